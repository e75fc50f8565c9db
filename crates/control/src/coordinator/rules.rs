//! Retention rules (`Rule`, features RET-01 to RET-05): which segments are loaded, in how many copies of which tier.

use std::collections::BTreeMap;

use ovate_base::time::{Period, Zone};
use ovate_base::{DruidError, Interval, Result};
use serde_json::{Value, json};

/// The tier of servers that name none.
pub const DEFAULT_TIER: &str = "_default_tier";

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub when: When,
    pub what: What,
}

/// To which segments a rule applies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    Forever,
    Interval(Interval),
    /// The last period up to now, and the future when asked for.
    Period {
        period: Period,
        include_future: bool,
    },
    /// Older than the last period.
    BeforePeriod(Period),
}

/// What to do with them.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Copies by tier.
    Load(BTreeMap<String, usize>),
    /// On every server.
    Broadcast,
    Drop,
}

impl Rule {
    pub fn from_json(value: &Value) -> Result<Rule> {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let text = |name: &str| {
            let missing = || DruidError::invalid_input(format!("rule [{kind}] without {name}"));
            value.get(name).and_then(Value::as_str).ok_or_else(missing)
        };
        let period = || -> Result<When> {
            let include_future = value.get("includeFuture").and_then(Value::as_bool).unwrap_or(true);
            Ok(When::Period { period: Period::parse(text("period")?)?, include_future })
        };
        let interval = || Interval::parse(text("interval")?).map(When::Interval);
        let (when, what) = match kind {
            "loadForever" => (When::Forever, What::Load(replicants(value)?)),
            "loadByPeriod" => (period()?, What::Load(replicants(value)?)),
            "loadByInterval" => (interval()?, What::Load(replicants(value)?)),
            "dropForever" => (When::Forever, What::Drop),
            "dropByPeriod" => (period()?, What::Drop),
            "dropBeforeByPeriod" => (When::BeforePeriod(Period::parse(text("period")?)?), What::Drop),
            "dropByInterval" => (interval()?, What::Drop),
            "broadcastForever" => (When::Forever, What::Broadcast),
            "broadcastByPeriod" => (period()?, What::Broadcast),
            "broadcastByInterval" => (interval()?, What::Broadcast),
            other if other.starts_with("loadPartial") => {
                return Err(DruidError::unsupported(format!("rule type [{other}] is not supported")));
            }
            other => return Err(DruidError::invalid_input(format!("unknown rule type [{other}]"))),
        };
        Ok(Rule { when, what })
    }

    /// True when the rule decides over a segment of this interval.
    pub fn applies(&self, interval: &Interval, now_ms: i64) -> bool {
        let drops = self.what == What::Drop;
        match self.when {
            When::Forever => true,
            When::Interval(wanted) if drops => wanted.encloses(interval),
            When::Interval(wanted) => wanted.overlaps(interval),
            When::Period { period, include_future } => {
                let start = period.add_to(now_ms, -1, &Zone::UTC);
                let recent = Interval { start, end: now_ms };
                match (drops, include_future) {
                    (false, true) => start < interval.end,
                    (false, false) => recent.overlaps(interval),
                    (true, true) => start <= interval.start,
                    (true, false) => recent.encloses(interval),
                }
            }
            When::BeforePeriod(period) => interval.end <= period.add_to(now_ms, -1, &Zone::UTC),
        }
    }
}

fn replicants(value: &Value) -> Result<BTreeMap<String, usize>> {
    let use_default = value.get("useDefaultTierForNull").and_then(Value::as_bool).unwrap_or(true);
    let tiers = match value.get("tieredReplicants") {
        None | Some(Value::Null) => {
            return Ok(if use_default { BTreeMap::from([(DEFAULT_TIER.to_owned(), 2)]) } else { BTreeMap::new() });
        }
        Some(Value::Object(tiers)) => tiers,
        Some(_) => return Err(DruidError::invalid_input("tieredReplicants must be an object")),
    };
    let count = |(tier, count): (&String, &Value)| match count.as_u64() {
        Some(count) => Ok((tier.clone(), count as usize)),
        None => {
            Err(DruidError::invalid_input(format!("Replicant value [{count}] for tier [{tier}] must be a whole number >= 0")))
        }
    };
    tiers.iter().map(count).collect()
}

/// The cluster default that the first Coordinator writes.
pub fn default_rules() -> Vec<Value> {
    vec![json!({"tieredReplicants": {DEFAULT_TIER: 2}, "useDefaultTierForNull": true, "type": "loadForever"})]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_704_067_200_000; // 2024-01-01

    fn applies(rule: Value, interval: &str) -> bool {
        Rule::from_json(&rule).unwrap().applies(&Interval::parse(interval).unwrap(), NOW)
    }

    #[test]
    fn periods_look_back_from_now() {
        let load = json!({"type": "loadByPeriod", "period": "P1M"});
        assert!(applies(load.clone(), "2023-12-15/P1D"));
        assert!(applies(load.clone(), "2025-01-01/P1D"));
        assert!(!applies(load, "2023-11-01/P1D"));
        assert!(!applies(json!({"type": "loadByPeriod", "period": "P1M", "includeFuture": false}), "2025-01-01/P1D"));
        assert!(applies(json!({"type": "dropBeforeByPeriod", "period": "P1M"}), "2023-11-01/P1D"));
        assert!(!applies(json!({"type": "dropBeforeByPeriod", "period": "P1M"}), "2023-11-30/P3D"));
        assert!(!applies(json!({"type": "dropByPeriod", "period": "P1M"}), "2023-11-30/P3D"));
        assert!(applies(json!({"type": "dropByInterval", "interval": "2023/2024"}), "2023-11-30/P3D"));
        assert!(applies(json!({"type": "loadByInterval", "interval": "2023-12-01/2024"}), "2023-11-30/P3D"));
    }

    #[test]
    fn replicants_have_a_default() {
        let what = |rule: Value| Rule::from_json(&rule).unwrap().what;
        assert_eq!(what(json!({"type": "loadForever"})), What::Load(BTreeMap::from([(DEFAULT_TIER.to_owned(), 2)])));
        assert_eq!(what(json!({"type": "loadForever", "tieredReplicants": {}})), What::Load(BTreeMap::new()));
        for bad in
            [json!({"type": "x"}), json!({"type": "loadByPeriod"}), json!({"type": "loadForever", "tieredReplicants": {"a": -1}})]
        {
            assert!(Rule::from_json(&bad).is_err());
        }
    }
}
