//! The dynamic configuration as rounds use it (`CoordinatorDynamicConfig`, CCO-07): read from its JSON, with what smart
//! segment loading decides by itself (`SegmentLoadingConfig`).

use std::collections::{BTreeMap, BTreeSet};

use ovate_base::{DruidError, Result};
use serde_json::Value;

/// How a segment's server is chosen (`druid.coordinator.balancer.strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    #[default]
    Cost,
    DiskNormalized,
    /// Where the fewest segments are.
    Random,
}

impl Strategy {
    /// `cachingCost` is what our `cost` is: sums are kept, not computed for each question.
    pub fn parse(name: &str) -> Result<Strategy> {
        match name {
            "cost" | "cachingCost" => Ok(Strategy::Cost),
            "diskNormalized" => Ok(Strategy::DiskNormalized),
            "random" => Ok(Strategy::Random),
            other => Err(DruidError::invalid_input(format!("unknown druid.coordinator.balancer.strategy [{other}]"))),
        }
    }
}

/// What a round goes by.
#[derive(Debug, Clone)]
pub struct Dynamic {
    pub strategy: Strategy,
    /// Most segments of a tier that move at a time (`maxSegmentsToMove`).
    pub moves_max: usize,
    /// Most loads that may wait for one server (`maxSegmentsInNodeLoadingQueue`); 0: any number.
    pub queue_max: usize,
    /// Most further copies of a tier that load at a time (`replicationThrottleLimit`).
    pub replicas_max: usize,
    /// New copies go to the servers in turn, not by the strategy (`useRoundRobinSegmentAssignment`).
    pub round_robin: bool,
    pub paused: bool,
    pub decommissioning: BTreeSet<String>,
    /// Load as fast as they can, without a bound on their queue (`turboLoadingNodes`).
    pub turbo: BTreeSet<String>,
    /// Targets and the servers that they mirror (`cloneServers`).
    pub clones: BTreeMap<String, String>,
    /// Names that stand for several tiers (`historicalTierAliases`).
    pub aliases: BTreeMap<String, Vec<String>>,
    /// `millisToWaitBeforeDeleting`.
    pub retire_after_ms: u64,
}

impl Default for Dynamic {
    fn default() -> Self {
        Dynamic {
            strategy: Strategy::Cost,
            moves_max: 100,
            queue_max: 0,
            replicas_max: usize::MAX,
            round_robin: true,
            paused: false,
            decommissioning: BTreeSet::new(),
            turbo: BTreeSet::new(),
            clones: BTreeMap::new(),
            aliases: BTreeMap::new(),
            retire_after_ms: 900_000,
        }
    }
}

impl Dynamic {
    /// Reads the configuration with its defaults filled in, for so many used segments.
    pub fn from_json(config: &Value, strategy: Strategy, used: usize) -> Dynamic {
        let number = |name: &str, default: u64| config[name].as_u64().unwrap_or(default) as usize;
        let smart = config["smartSegmentLoading"].as_bool().unwrap_or(true);
        Dynamic {
            strategy,
            moves_max: if smart { (used / 50).clamp(100, 1000) } else { number("maxSegmentsToMove", 100) },
            queue_max: if smart { 0 } else { number("maxSegmentsInNodeLoadingQueue", 500) },
            replicas_max: if smart { (used / 20).max(100) } else { number("replicationThrottleLimit", 500) },
            round_robin: smart || config["useRoundRobinSegmentAssignment"].as_bool().unwrap_or(true),
            paused: config["pauseCoordination"].as_bool() == Some(true),
            decommissioning: names(&config["decommissioningNodes"]),
            turbo: names(&config["turboLoadingNodes"]),
            clones: pairs(&config["cloneServers"]).filter_map(|(name, v)| Some((name, v.as_str()?.to_owned()))).collect(),
            aliases: pairs(&config["historicalTierAliases"])
                .map(|(name, tiers)| (name, names(tiers).into_iter().collect()))
                .collect(),
            retire_after_ms: config["millisToWaitBeforeDeleting"].as_u64().unwrap_or(900_000),
        }
    }

    /// The tiers that a rule's tier stands for.
    pub fn tiers_of<'a>(&'a self, tier: &'a String) -> &'a [String] {
        self.aliases.get(tier).map_or(std::slice::from_ref(tier), Vec::as_slice)
    }

    /// Whether a server mirrors another, and takes no part in rules and balancing.
    pub fn is_clone(&self, server: &str) -> bool {
        self.clones.contains_key(server)
    }

    /// Most loads that may wait for a server; 0: any number.
    pub fn queue_max_of(&self, server: &str) -> usize {
        if self.turbo.contains(server) { 0 } else { self.queue_max }
    }
}

/// A list of names, or one text with commas as older clients write it.
pub fn names(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
        other => other.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn pairs(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value))
}
