//! Settings of an Overlord, read from Druid's properties.

use std::time::Duration;

use ovate_base::{DruidError, Properties, Result};
use serde_json::{Map, Value};

/// Settings of an Overlord.
#[derive(Debug, Clone)]
pub struct OverlordSettings {
    /// How often the queue is looked at when nothing happens.
    pub manage_period: Duration,
    /// How long a runner may not tell of a task that it was given before the task counts as lost.
    pub lost_after: Duration,
    /// How long ended tasks are listed (`druid.indexer.storage.recentlyFinishedThreshold`).
    pub recently_finished: Duration,
    /// Most tasks that may wait and run (`druid.indexer.queue.maxSize`).
    pub tasks_max: usize,
    /// Context that tasks get unless they say otherwise (`druid.indexer.task.default.context`).
    pub default_context: Map<String, Value>,
    /// `druid.indexer.logs.kill.*`; `None` when it is off.
    pub log_kill: Option<LogKillSettings>,
}

/// How workers are watched (`druid.indexer.runner.*`, COV-03).
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// How long a worker may be away before its tasks fail (`taskCleanupTimeout`).
    pub lost_after: Duration,
    /// How long a worker that did not answer when it was given a task has to say that it runs (`taskAssignmentTimeout`).
    pub assign_within: Duration,
    /// Failures in a row after which a worker gets no tasks for a while (`maxRetriesBeforeBlacklist`).
    pub failures_max: u32,
    /// How long (`workerBlackListBackoffTime`).
    pub backoff: Duration,
    /// Part of all workers, in percent, that may be without tasks at a time (`maxPercentageBlacklistWorkers`).
    pub blacklist_percent_max: u32,
    /// Part of a worker's slots for supervising tasks (`parallelIndexTaskSlotRatio`).
    pub parallel_ratio: f64,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        RunnerSettings {
            lost_after: Duration::from_secs(15 * 60),
            assign_within: Duration::from_secs(5 * 60),
            failures_max: 5,
            backoff: Duration::from_secs(900),
            blacklist_percent_max: 20,
            parallel_ratio: 1.0,
        }
    }
}

impl RunnerSettings {
    pub fn from_properties(properties: &Properties) -> Result<RunnerSettings> {
        let defaults = RunnerSettings::default();
        let wait = |name: &str, default: Duration| -> Result<Duration> {
            Ok(Duration::from_millis(properties.millis(name, default.as_millis() as i64)?.max(1).unsigned_abs()))
        };
        let count = |name: &str, default: u32| -> Result<u32> {
            Ok(u32::try_from(properties.int(name, i64::from(default))?.max(0)).unwrap_or(u32::MAX))
        };
        const RATIO: &str = "druid.indexer.runner.parallelIndexTaskSlotRatio";
        let bad = || DruidError::invalid_input(format!("property {RATIO} must be above 0 and at most 1"));
        let parallel_ratio: f64 = properties.text(RATIO, "1").trim().parse().map_err(|_| bad())?;
        if !(parallel_ratio > 0.0 && parallel_ratio <= 1.0) {
            return Err(bad());
        }
        Ok(RunnerSettings {
            lost_after: wait("druid.indexer.runner.taskCleanupTimeout", defaults.lost_after)?,
            assign_within: wait("druid.indexer.runner.taskAssignmentTimeout", defaults.assign_within)?,
            failures_max: count("druid.indexer.runner.maxRetriesBeforeBlacklist", defaults.failures_max)?.max(1),
            backoff: wait("druid.indexer.runner.workerBlackListBackoffTime", defaults.backoff)?,
            blacklist_percent_max: count("druid.indexer.runner.maxPercentageBlacklistWorkers", defaults.blacklist_percent_max)?,
            parallel_ratio,
        })
    }
}

/// When logs and records of ended tasks are deleted (COV-09).
#[derive(Debug, Clone)]
pub struct LogKillSettings {
    pub retain_ms: i64,
    pub initial_delay: Duration,
    pub delay: Duration,
}

impl Default for OverlordSettings {
    fn default() -> Self {
        OverlordSettings {
            manage_period: Duration::from_secs(1),
            lost_after: Duration::from_secs(10),
            recently_finished: Duration::from_secs(24 * 3600),
            tasks_max: 100_000,
            default_context: Map::new(),
            log_kill: None,
        }
    }
}

impl OverlordSettings {
    pub fn from_properties(properties: &Properties) -> Result<OverlordSettings> {
        const CONTEXT: &str = "druid.indexer.task.default.context";
        let defaults = OverlordSettings::default();
        let recently = properties.millis("druid.indexer.storage.recentlyFinishedThreshold", 24 * 3_600_000)?;
        let tasks_max = properties.int("druid.indexer.queue.maxSize", defaults.tasks_max as i64)?;
        let default_context = match properties.get(CONTEXT).map(str::trim) {
            None | Some("") => Map::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| DruidError::invalid_input(format!("property {CONTEXT} must be a JSON object: {error}")))?,
        };
        let log_kill = properties.flag("druid.indexer.logs.kill.enabled", false)?.then(|| log_kill(properties));
        Ok(OverlordSettings {
            recently_finished: Duration::from_millis(recently.max(0).unsigned_abs()),
            tasks_max: usize::try_from(tasks_max).unwrap_or(usize::MAX),
            default_context,
            log_kill: log_kill.transpose()?,
            ..defaults
        })
    }
}

fn log_kill(properties: &Properties) -> Result<LogKillSettings> {
    const RETAIN: &str = "druid.indexer.logs.kill.durationToRetain";
    let retain_ms = properties.millis(RETAIN, -1)?;
    if retain_ms < 0 {
        return Err(DruidError::invalid_input(format!("druid.indexer.logs.kill.enabled needs property {RETAIN}")));
    }
    let wait = |name: &str, default: i64| -> Result<Duration> {
        Ok(Duration::from_millis(properties.millis(name, default)?.max(1_000).unsigned_abs()))
    };
    Ok(LogKillSettings {
        retain_ms,
        initial_delay: wait("druid.indexer.logs.kill.initialDelay", 60_000)?,
        delay: wait("druid.indexer.logs.kill.delay", 6 * 3_600_000)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_have_druids_names() {
        let properties: Properties = [
            ("druid.indexer.queue.maxSize", "7"),
            ("druid.indexer.storage.recentlyFinishedThreshold", "PT1H"),
            ("druid.indexer.task.default.context", r#"{"useConcurrentLocks":true}"#),
            ("druid.indexer.logs.kill.enabled", "true"),
            ("druid.indexer.logs.kill.durationToRetain", "86400000"),
        ]
        .into_iter()
        .collect();
        let settings = OverlordSettings::from_properties(&properties).unwrap();
        assert_eq!((settings.tasks_max, settings.recently_finished), (7, Duration::from_secs(3600)));
        assert_eq!(settings.default_context["useConcurrentLocks"], true);
        assert_eq!(settings.log_kill.unwrap().retain_ms, 86_400_000);
        let bad: Properties = [("druid.indexer.logs.kill.enabled", "true")].into_iter().collect();
        assert!(OverlordSettings::from_properties(&bad).is_err());
    }
}
