//! Kill tasks for segments that have been unused for long (`KillUnusedSegments`, CCO-03). Off unless
//! `druid.coordinator.kill.on` is set.

use ovate_base::time::format_iso;
use ovate_base::{DataSegment, Interval, Result};
use ovate_store::meta::UnusedFilter;
use ovate_store::now_ms;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::settings::KillSettings;
use super::{Coordinator, Term};

impl Coordinator {
    /// Submits kill tasks by period until dropped; for ever idle when killing is off.
    pub(super) async fn kill_forever(&self, term: &Term) {
        let Some(settings) = &self.settings.kill else { return std::future::pending().await };
        loop {
            tokio::time::sleep(settings.period).await;
            if let Err(error) = self.kill_unused(term, settings, now_ms()).await {
                warn!("cannot look for segments to kill: {error}");
            }
        }
    }

    async fn kill_unused(&self, term: &Term, settings: &KillSettings, now: i64) -> Result<()> {
        let config = self.config(term).await?;
        let allowed: Vec<&str> =
            config["killDataSourceWhitelist"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for data_source in term.store.data_sources(true).await? {
            if !allowed.is_empty() && !allowed.contains(&data_source.as_str()) {
                continue;
            }
            let unused_since = now.saturating_sub(settings.buffer_ms);
            let filter = UnusedFilter { updated_before: Some(unused_since), ..UnusedFilter::default() };
            let unused = term.store.unused_segments(&data_source, &filter).await?;
            let Some(interval) = interval_to_kill(&unused, settings, now) else { continue };
            let task = json!({"type": "kill", "dataSource": data_source, "interval": interval, "limit": settings.segments_max,
                "maxUsedStatusLastUpdatedTime": format_iso(unused_since)});
            info!(data_source = %data_source, interval = %interval, "killing unused segments");
            self.submit_task(&task).await?;
        }
        Ok(())
    }
}

/// The interval of the oldest segments that may be deleted, of bounded length and number of segments.
fn interval_to_kill(unused: &[DataSegment], settings: &KillSettings, now: i64) -> Option<Interval> {
    let kept_from = settings.retain_ms.map(|retain| now.saturating_sub(retain));
    let mut old: Vec<Interval> = unused.iter().map(|segment| segment.interval).collect();
    old.retain(|interval| kept_from.is_none_or(|from| interval.end <= from));
    old.sort();
    let first = *old.first()?;
    let limit = first.start.saturating_add(settings.interval_max_ms).max(first.end);
    let taken = old.iter().take(settings.segments_max).take_while(|interval| interval.end <= limit);
    Some(taken.fold(first, |all, one| all.cover(one)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ovate_base::{SegmentId, ShardSpec};

    use super::*;

    const DAY: i64 = 86_400_000;

    fn segment(day: i64) -> DataSegment {
        let interval = Interval { start: day * DAY, end: (day + 1) * DAY };
        DataSegment::new(SegmentId::new("wiki", interval, "v", 0), ShardSpec::Numbered { partition_num: 0, partitions: 1 })
    }

    #[test]
    fn only_old_segments_within_the_limits_are_killed() {
        let mut settings = KillSettings {
            period: Duration::ZERO,
            retain_ms: Some(10 * DAY),
            buffer_ms: 0,
            segments_max: 100,
            interval_max_ms: 5 * DAY,
        };
        let unused: Vec<DataSegment> = [95, 3, 0, 1, 50].map(segment).to_vec();
        let days = |found: Option<Interval>| found.map(|interval| (interval.start / DAY, interval.end / DAY));
        assert_eq!(days(interval_to_kill(&unused, &settings, 100 * DAY)), Some((0, 4)));
        settings.segments_max = 2;
        assert_eq!(days(interval_to_kill(&unused, &settings, 100 * DAY)), Some((0, 2)));
        assert_eq!(days(interval_to_kill(&unused[..1], &settings, 100 * DAY)), None);
        settings.retain_ms = None;
        assert_eq!(days(interval_to_kill(&unused[..1], &settings, 100 * DAY)), Some((95, 96)));
    }
}
