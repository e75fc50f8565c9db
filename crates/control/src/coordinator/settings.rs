//! Settings of a Coordinator, read from Druid's properties.

use std::time::Duration;

use ovate_base::{Properties, Result};

use super::cleanup::Cleanup;
use super::dynamic::Strategy;

/// Settings of a Coordinator.
#[derive(Debug, Clone)]
pub struct CoordinatorSettings {
    /// Between rounds when nothing happens: the shorter of `druid.coordinator.period` and
    /// `druid.manager.segments.pollDuration`, since a round polls.
    pub period: Duration,
    /// Between polls of all segments instead of the changed ones.
    pub full_poll_period: Duration,
    /// Between looks for what to compact (`druid.coordinator.period.indexingPeriod`).
    pub compaction_period: Duration,
    /// `druid.coordinator.balancer.strategy`.
    pub strategy: Strategy,
    /// `druid.coordinator.kill.<metadata>.*`.
    pub cleanups: Vec<Cleanup>,
    /// `druid.coordinator.kill.*`; `None` when it is off.
    pub kill: Option<KillSettings>,
    /// `druid.manager.lookups.period`: between two looks at what servers have loaded.
    pub lookups_period: Duration,
}

/// When unused segments are deleted for good (CCO-03).
#[derive(Debug, Clone)]
pub struct KillSettings {
    pub period: Duration,
    /// Segments are kept this long after the end of their interval; `None` with `ignoreDurationToRetain`.
    pub retain_ms: Option<i64>,
    /// Segments are kept this long after they became unused.
    pub buffer_ms: i64,
    pub segments_max: usize,
    /// Longest interval of one task.
    pub interval_max_ms: i64,
}

impl Default for CoordinatorSettings {
    fn default() -> Self {
        CoordinatorSettings {
            period: Duration::from_secs(5),
            full_poll_period: Duration::from_secs(300),
            compaction_period: Duration::from_secs(10),
            strategy: Strategy::Cost,
            cleanups: Vec::new(),
            kill: None,
            lookups_period: Duration::from_secs(30),
        }
    }
}

const DAY_MS: i64 = 86_400_000;

impl CoordinatorSettings {
    pub fn from_properties(properties: &Properties) -> Result<CoordinatorSettings> {
        let millis = |name: &str, default: i64| properties.millis(name, default).map(|millis| millis.max(1));
        let period = millis("druid.coordinator.period", 5_000)?.min(millis("druid.manager.segments.pollDuration", 5_000)?);
        let kill = properties.flag("druid.coordinator.kill.on", false)?.then(|| KillSettings::from_properties(properties));
        Ok(CoordinatorSettings {
            period: Duration::from_millis(period.unsigned_abs()),
            compaction_period: Duration::from_millis(
                millis("druid.coordinator.period.indexingPeriod", 10_000)?.max(1_000).unsigned_abs(),
            ),
            strategy: Strategy::parse(properties.text("druid.coordinator.balancer.strategy", "cost").trim())?,
            cleanups: Cleanup::from_properties(properties)?,
            kill: kill.transpose()?,
            lookups_period: Duration::from_millis(millis("druid.manager.lookups.period", 30_000)?.unsigned_abs()),
            ..CoordinatorSettings::default()
        })
    }
}

impl KillSettings {
    fn from_properties(properties: &Properties) -> Result<KillSettings> {
        let name = |name: &str| format!("druid.coordinator.kill.{name}");
        let indexing_period = properties.millis("druid.coordinator.period.indexingPeriod", 1_800_000)?;
        let period = properties.millis(&name("period"), indexing_period)?.max(1_000);
        let ignore = properties.flag(&name("ignoreDurationToRetain"), false)?;
        Ok(KillSettings {
            period: Duration::from_millis(period.unsigned_abs()),
            retain_ms: if ignore { None } else { Some(properties.millis(&name("durationToRetain"), 90 * DAY_MS)?) },
            buffer_ms: properties.millis(&name("bufferPeriod"), 30 * DAY_MS)?,
            segments_max: properties.int(&name("maxSegments"), 100)?.max(1) as usize,
            interval_max_ms: properties.millis(&name("maxInterval"), 30 * DAY_MS)?.max(1),
        })
    }
}
