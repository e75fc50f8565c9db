//! Which worker takes a task (`WorkerSelectStrategy`): pure over the workers as they are now and the dynamic configuration
//! that `/druid/indexer/v1/worker` holds (COV-08).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ovate_base::{DruidError, Result};
use serde::Deserialize;
use serde_json::Value;

/// A worker that may take tasks.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    pub name: String,
    pub category: String,
    pub capacity: usize,
    /// Slots in use, and those of them that supervising tasks use.
    pub used: usize,
    pub parallel_used: usize,
}

/// What of a task matters.
#[derive(Debug, Clone, Copy)]
pub struct TaskNeed<'a> {
    pub task_type: &'a str,
    pub data_source: &'a str,
    pub slots: usize,
}

/// `WorkerBehaviorConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SelectConfig {
    fill: bool,
    affinity: Option<Affinity>,
    categories: Option<Categories>,
    limits: Limits,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Affinity {
    #[serde(default)]
    affinity: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    strong: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Categories {
    #[serde(default, rename = "categoryMap")]
    by_type: BTreeMap<String, Category>,
    #[serde(default)]
    strong: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Category {
    #[serde(default, rename = "defaultCategory")]
    default: Option<String>,
    #[serde(default, rename = "categoryAffinity")]
    by_data_source: BTreeMap<String, String>,
}

/// `TaskLimits`: slots in all that tasks of a type may use.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    #[serde(default, rename = "maxSlotCountByType")]
    count: BTreeMap<String, usize>,
    #[serde(default, rename = "maxSlotRatioByType")]
    ratio: BTreeMap<String, f64>,
}

impl SelectConfig {
    /// Reads the dynamic configuration; what is not supported is refused by name.
    pub fn from_json(config: &Value) -> Result<SelectConfig> {
        if config.get("autoScaler").is_some_and(|scaler| !scaler.is_null()) {
            return Err(DruidError::unsupported("worker config with autoScaler"));
        }
        let strategy = &config["selectStrategy"];
        if strategy.is_null() {
            return Ok(SelectConfig::default());
        }
        let (fill, by_category) = match strategy["type"].as_str() {
            Some("fillCapacity" | "fillCapacityWithAffinity") => (true, false),
            Some("equalDistribution" | "equalDistributionWithAffinity") => (false, false),
            Some("fillCapacityWithCategorySpec") => (true, true),
            Some("equalDistributionWithCategorySpec") => (false, true),
            Some("javascript") => return Err(DruidError::unsupported("worker select strategy [javascript]")),
            other => {
                return Err(DruidError::invalid_input(format!("unknown worker select strategy [{}]", other.unwrap_or("null"))));
            }
        };
        let affinity: Option<Affinity> = part(strategy, "affinityConfig")?;
        let categories: Option<Categories> = part(strategy, "workerCategorySpec")?;
        Ok(SelectConfig {
            fill,
            affinity: affinity.filter(|_| !by_category),
            categories: categories.filter(|_| by_category),
            limits: part(strategy, "taskLimits")?.unwrap_or_default(),
        })
    }

    /// The worker for a task, of those with room. `used_by_type` are the slots that tasks of the same type use now.
    pub fn choose<'a>(
        &self,
        workers: &'a [Candidate],
        need: TaskNeed<'_>,
        used_by_type: usize,
        parallel_ratio: f64,
    ) -> Option<&'a Candidate> {
        if !self.within_limits(workers, need, used_by_type) {
            return None;
        }
        let room = |worker: &&Candidate| {
            let parallel_max = ((worker.capacity as f64 * parallel_ratio) as usize).clamp(1, worker.capacity.max(1));
            worker.used + need.slots <= worker.capacity
                && (need.task_type != "index_parallel" || worker.parallel_used < parallel_max)
        };
        let roomy: Vec<&Candidate> = workers.iter().filter(room).collect();
        match (&self.affinity, &self.categories) {
            (Some(affinity), _) => self.by_affinity(affinity, &roomy, need.data_source),
            (None, Some(categories)) => self.by_category(categories, &roomy, need),
            (None, None) => self.best(roomy.iter().copied()),
        }
    }

    fn within_limits(&self, workers: &[Candidate], need: TaskNeed<'_>, used_by_type: usize) -> bool {
        let total: usize = workers.iter().map(|worker| worker.capacity).sum();
        let ratio = self.limits.ratio.get(need.task_type).map(|ratio| (total as f64 * ratio) as usize);
        let max = [self.limits.count.get(need.task_type).copied(), ratio].into_iter().flatten().min();
        max.is_none_or(|max| used_by_type + need.slots <= max)
    }

    /// Workers of the data source first; a weak affinity then takes those that are reserved for nobody.
    fn by_affinity<'a>(&self, config: &Affinity, roomy: &[&'a Candidate], data_source: &str) -> Option<&'a Candidate> {
        let reserved = |name: &String| config.affinity.values().any(|names| names.contains(name));
        let free = || self.best(roomy.iter().copied().filter(|worker| !reserved(&worker.name)));
        let Some(names) = config.affinity.get(data_source) else { return free() };
        let own = self.best(roomy.iter().copied().filter(|worker| names.contains(&worker.name)));
        own.or_else(|| if config.strong { None } else { free() })
    }

    fn by_category<'a>(&self, config: &Categories, roomy: &[&'a Candidate], need: TaskNeed<'_>) -> Option<&'a Candidate> {
        let all = || self.best(roomy.iter().copied());
        let Some(of_type) = config.by_type.get(need.task_type) else { return all() };
        let Some(wanted) = of_type.by_data_source.get(need.data_source).or(of_type.default.as_ref()) else { return all() };
        let own = self.best(roomy.iter().copied().filter(|worker| worker.category == *wanted));
        own.or_else(|| if config.strong { None } else { all() })
    }

    fn best<'a>(&self, workers: impl Iterator<Item = &'a Candidate>) -> Option<&'a Candidate> {
        let free = |worker: &Candidate| worker.capacity.saturating_sub(worker.used);
        if self.fill {
            workers.min_by_key(|worker| (free(worker), worker.name.clone()))
        } else {
            workers.min_by_key(|worker| (Reverse(free(worker)), worker.name.clone()))
        }
    }
}

fn part<T: serde::de::DeserializeOwned>(strategy: &Value, name: &str) -> Result<Option<T>> {
    match &strategy[name] {
        Value::Null => Ok(None),
        json => serde_json::from_value(json.clone())
            .map(Some)
            .map_err(|error| DruidError::invalid_input(format!("[{name}] in [selectStrategy]: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn worker(name: &str, category: &str, capacity: usize, used: usize) -> Candidate {
        Candidate { name: name.into(), category: category.into(), capacity, used, parallel_used: used }
    }

    fn chosen(config: Value, task_type: &str, data_source: &str) -> Option<String> {
        let workers = [worker("a", "c1", 4, 3), worker("b", "c1", 4, 1), worker("c", "c2", 4, 2), worker("full", "c3", 2, 2)];
        let config = SelectConfig::from_json(&json!({"selectStrategy": config})).unwrap();
        let need = TaskNeed { task_type, data_source, slots: 1 };
        config.choose(&workers, need, 3, 1.0).map(|worker| worker.name.clone())
    }

    #[test]
    fn slots_are_filled_or_spread() {
        assert_eq!(chosen(json!({"type": "fillCapacity"}), "index", "x").as_deref(), Some("a"));
        assert_eq!(chosen(json!({"type": "equalDistribution"}), "index", "x").as_deref(), Some("b"));
        assert_eq!(chosen(Value::Null, "index", "x").as_deref(), Some("b"));
    }

    #[test]
    fn affinity_reserves_workers() {
        let config = |strong: bool| json!({"type": "equalDistribution", "affinityConfig": {"affinity": {"x": ["full"], "y": ["b"]}, "strong": strong}});
        assert_eq!(chosen(config(false), "index", "x").as_deref(), Some("c"));
        assert_eq!(chosen(config(true), "index", "x"), None);
        assert_eq!(chosen(config(true), "index", "y").as_deref(), Some("b"));
        assert_eq!(chosen(config(true), "index", "z").as_deref(), Some("c"));
    }

    #[test]
    fn categories_and_limits_bind_types_of_tasks() {
        let config = |strong: bool| {
            json!({"type": "fillCapacityWithCategorySpec", "workerCategorySpec": {"strong": strong, "categoryMap":
                {"compact": {"defaultCategory": "c3", "categoryAffinity": {"y": "c2"}}}}})
        };
        assert_eq!(chosen(config(true), "compact", "x"), None);
        assert_eq!(chosen(config(false), "compact", "x").as_deref(), Some("a"));
        assert_eq!(chosen(config(true), "compact", "y").as_deref(), Some("c"));
        let limited = json!({"type": "equalDistribution", "taskLimits": {"maxSlotCountByType": {"index": 3}}});
        assert_eq!(chosen(limited.clone(), "index", "x"), None);
        assert!(chosen(limited, "kill", "x").is_some());
    }

    #[test]
    fn supervising_tasks_leave_slots_for_their_subtasks() {
        let workers = [worker("a", "c", 4, 2)];
        let need = |task_type| TaskNeed { task_type, data_source: "x", slots: 1 };
        assert!(SelectConfig::default().choose(&workers, need("index_parallel"), 0, 0.5).is_none());
        assert!(SelectConfig::default().choose(&workers, need("single_phase_sub_task"), 0, 0.5).is_some());
    }

    #[test]
    fn javascript_and_unknown_strategies_are_refused_by_name() {
        for (kind, word) in [("javascript", "javascript"), ("best", "best")] {
            let error = SelectConfig::from_json(&json!({"selectStrategy": {"type": kind}})).unwrap_err();
            assert!(error.message.contains(word), "{error}");
        }
    }
}
