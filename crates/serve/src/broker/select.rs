//! Which of the servers that have a segment is asked (`TierSelectorStrategy`, `ServerSelectorStrategy`): the best priority
//! that has one, then at random or the least busy. A server that does not answer at the moment comes last.

use std::sync::Arc;

use ovate_base::{DruidError, Properties, Result};
use rand::Rng as _;

use super::server::KnownServer;

/// `druid.broker.select.tier`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierStrategy {
    HighestPriority,
    LowestPriority,
    /// Priorities in this order; the others after them, highest first.
    Custom(Vec<i64>),
    /// Only these priorities.
    Strict(Vec<i64>),
    /// Servers of this tier first; among the rest, and within it, by priority.
    Preferred {
        tier: String,
        highest: bool,
    },
    /// All priorities together.
    Pooled(Vec<i64>),
}

/// `druid.broker.balancer.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    Random,
    ConnectionCount,
}

/// Both together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub tiers: TierStrategy,
    pub balancer: Balancer,
}

impl Default for Selection {
    fn default() -> Self {
        Selection { tiers: TierStrategy::HighestPriority, balancer: Balancer::Random }
    }
}

impl Selection {
    /// Reads `druid.broker.select.tier…` and `druid.broker.balancer.type`.
    pub fn from_properties(properties: &Properties) -> Result<Self> {
        let priorities = |kind: &str| -> Result<Vec<i64>> {
            let name = format!("druid.broker.select.tier.{kind}.priorities");
            let text = properties.text(&name, "").trim_matches(['[', ']']).to_owned();
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let list: Vec<i64> = parts
                .map(|part| part.parse().map_err(|_| DruidError::invalid_input(format!("{name}: [{part}] is no whole number"))))
                .collect::<Result<_>>()?;
            if list.is_empty() && kind != "pooled" {
                Err(DruidError::invalid_input(format!("{name} must be given")))
            } else {
                Ok(list)
            }
        };
        let tiers = match properties.text("druid.broker.select.tier", "highestPriority") {
            "highestPriority" => TierStrategy::HighestPriority,
            "lowestPriority" => TierStrategy::LowestPriority,
            "custom" => TierStrategy::Custom(priorities("custom")?),
            "strict" => TierStrategy::Strict(priorities("strict")?),
            "pooled" => TierStrategy::Pooled(priorities("pooled")?),
            "preferred" => TierStrategy::Preferred {
                tier: properties.text("druid.broker.select.tier.preferred.tier", "_default_tier").to_owned(),
                highest: match properties.text("druid.broker.select.tier.preferred.priority", "highest") {
                    "highest" => true,
                    "lowest" => false,
                    other => return Err(unknown("druid.broker.select.tier.preferred.priority", other, "highest, lowest")),
                },
            },
            other => {
                let known = "highestPriority, lowestPriority, custom, strict, preferred, pooled";
                return Err(unknown("druid.broker.select.tier", other, known));
            }
        };
        let balancer = match properties.text("druid.broker.balancer.type", "random") {
            "random" => Balancer::Random,
            "connectionCount" => Balancer::ConnectionCount,
            other => return Err(unknown("druid.broker.balancer.type", other, "random, connectionCount")),
        };
        Ok(Selection { tiers, balancer })
    }

    /// Lower is better; `None`: never asked.
    fn rank(&self, server: &KnownServer) -> Option<(i64, i64)> {
        let priority = server.placement.priority;
        let place = |list: &[i64]| list.iter().position(|p| *p == priority).map(|at| at as i64);
        match &self.tiers {
            TierStrategy::HighestPriority => Some((0, priority.saturating_neg())),
            TierStrategy::LowestPriority => Some((0, priority)),
            TierStrategy::Custom(list) => Some(place(list).map_or((i64::MAX, priority.saturating_neg()), |at| (at, 0))),
            TierStrategy::Strict(list) => place(list).map(|at| (at, 0)),
            TierStrategy::Pooled(list) if list.is_empty() => Some((0, 0)),
            TierStrategy::Pooled(list) => place(list).map(|_| (0, 0)),
            TierStrategy::Preferred { tier, highest } => {
                let other_tier = i64::from(server.placement.tier != *tier);
                Some((other_tier, if *highest { priority.saturating_neg() } else { priority }))
            }
        }
    }

    /// The server to ask among those for which `fresh` holds.
    pub fn pick<'a>(
        &self,
        servers: &'a [Arc<KnownServer>],
        fresh: impl Fn(&KnownServer) -> bool,
    ) -> Option<&'a Arc<KnownServer>> {
        let mut rng = rand::rng();
        let candidates = servers.iter().filter(|server| fresh(server));
        let ranked = candidates.filter_map(|server| {
            let rank = self.rank(server)?;
            let busy = match self.balancer {
                Balancer::Random => 0,
                Balancer::ConnectionCount => server.calls(),
            };
            Some(((!server.is_stable(), rank, busy, rng.random::<u32>()), server))
        });
        ranked.min_by_key(|(key, _)| *key).map(|(_, server)| server)
    }
}

fn unknown(name: &str, value: &str, known: &str) -> DruidError {
    DruidError::invalid_input(format!("{name} is [{value}]; known: {known}"))
}

#[cfg(test)]
mod tests {
    use super::super::server::Placement;
    use super::*;
    use crate::data_server::RemoteDataServer;

    fn server(name: &str, tier: &str, priority: i64) -> Arc<KnownServer> {
        let client = ovate_net::HttpClient::new().expect("a client");
        let remote = RemoteDataServer::new(client, name.to_owned(), format!("http://{name}"));
        let placement = Placement { tier: tier.to_owned(), priority, ..Placement::default() };
        Arc::new(KnownServer::new(Arc::new(remote), placement))
    }

    fn picked(selection: &Selection, servers: &[Arc<KnownServer>]) -> Option<String> {
        selection.pick(servers, |_| true).map(|server| server.name().to_owned())
    }

    fn selection(properties: &[(&str, &str)]) -> Result<Selection> {
        let mut read = Properties::default();
        properties.iter().for_each(|(name, value)| read.set(*name, *value));
        Selection::from_properties(&read)
    }

    #[test]
    fn the_strategy_orders_servers_by_priority_and_tier() {
        let servers = [server("a", "hot", 5), server("b", "_default_tier", 1), server("c", "cold", -3)];
        let choice = |properties: &[(&str, &str)]| picked(&selection(properties).expect("it reads"), &servers);
        assert_eq!(choice(&[]).as_deref(), Some("a"));
        assert_eq!(choice(&[("druid.broker.select.tier", "lowestPriority")]).as_deref(), Some("c"));
        let custom = ("druid.broker.select.tier.custom.priorities", "[1, 5]");
        assert_eq!(choice(&[("druid.broker.select.tier", "custom"), custom]).as_deref(), Some("b"));
        let strict = ("druid.broker.select.tier.strict.priorities", "7");
        assert_eq!(choice(&[("druid.broker.select.tier", "strict"), strict]), None);
        let preferred = ("druid.broker.select.tier.preferred.tier", "cold");
        assert_eq!(choice(&[("druid.broker.select.tier", "preferred"), preferred]).as_deref(), Some("c"));
        assert!(selection(&[("druid.broker.select.tier", "nearest")]).is_err());
        assert!(selection(&[("druid.broker.select.tier", "custom")]).is_err());
    }

    #[test]
    fn the_least_busy_server_is_asked_by_connection_count() {
        let servers = [server("a", "t", 0), server("b", "t", 0)];
        let _call = servers[0].begin();
        let selection = selection(&[("druid.broker.balancer.type", "connectionCount")]).expect("it reads");
        assert!((0..20).all(|_| picked(&selection, &servers).as_deref() == Some("b")));
    }

    #[test]
    fn a_server_out_of_reach_is_asked_only_when_nobody_else_has_the_segment() {
        let servers = [server("a", "t", 9), server("b", "t", 0)];
        servers[0].set_stable(false);
        assert_eq!(picked(&Selection::default(), &servers).as_deref(), Some("b"));
        servers[1].set_stable(false);
        assert_eq!(picked(&Selection::default(), &servers).as_deref(), Some("a"));
        servers[0].set_stable(true);
        assert_eq!(picked(&Selection::default(), &servers).as_deref(), Some("a"));
    }
}
