//! What the Coordinator does again and again, and how long it took (`GET /druid/coordinator/v1/duties`, `DutyGroupStatus`).

use std::collections::VecDeque;
use std::time::Duration;

use ovate_base::time::format_iso;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::CoordinatorSettings;
use super::cleanup::Kind;

/// Runs that averages are taken over.
const RUNS_MAX: usize = 10;
/// Where Druid's duties are.
const PACKAGE: &str = "org.apache.druid.server.coordinator.duty.";

/// A group of duties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Historicals,
    Indexing,
    Metadata,
}

/// The last runs of every group in this process.
#[derive(Debug, Default)]
pub(super) struct DutyRuns {
    groups: [Mutex<VecDeque<(i64, i64)>>; 3],
}

impl DutyRuns {
    /// A run from `start` to `end`, in milliseconds since the epoch.
    pub fn note(&self, group: Group, start: i64, end: i64) {
        let mut runs = self.groups[group as usize].lock();
        if runs.len() == RUNS_MAX {
            runs.pop_front();
        }
        runs.push_back((start, end.max(start)));
    }

    /// The document.
    pub fn to_json(&self, settings: &CoordinatorSettings) -> Value {
        let cleanups = settings.cleanups.iter();
        let mut indexing = vec!["CompactSegments"];
        indexing.extend(settings.kill.iter().map(|_| "KillUnusedSegments"));
        let pending = cleanups.clone().any(|cleanup| cleanup.kind == Kind::PendingSegments);
        indexing.extend(pending.then_some("KillStalePendingSegments"));
        let metadata: Vec<&str> = cleanups.clone().filter_map(|cleanup| duty(cleanup.kind)).collect();
        let metadata_period = cleanups.map(|cleanup| cleanup.period).min().unwrap_or_default();
        let historicals =
            ["RunRules", "UnloadUnusedSegments", "MarkOvershadowedSegmentsAsUnused", "BalanceSegments", "CloneHistoricals"];
        json!({"dutyGroups": [
            self.group(Group::Historicals, "HistoricalManagementDuties", settings.period, &historicals),
            self.group(Group::Indexing, "IndexingServiceDuties", settings.compaction_period, &indexing),
            self.group(Group::Metadata, "MetadataStoreManagementDuties", metadata_period, &metadata),
        ]})
    }

    fn group(&self, group: Group, name: &str, period: Duration, duties: &[&str]) -> Value {
        let runs = self.groups[group as usize].lock();
        let last = runs.back();
        let time = |at: Option<i64>| at.map_or(Value::Null, |at| Value::from(format_iso(at)));
        let lengths = runs.iter().map(|(start, end)| end - start);
        let gaps = runs.iter().zip(runs.iter().skip(1)).map(|((_, end), (next, _))| (next - end).max(0));
        json!({
            "name": name,
            "period": iso_period(period),
            "dutyNames": duties.iter().map(|duty| format!("{PACKAGE}{duty}")).collect::<Vec<_>>(),
            "lastRunStart": time(last.map(|run| run.0)),
            "lastRunEnd": time(last.map(|run| run.1)),
            "avgRuntimeMillis": average(lengths),
            "avgRunGapMillis": average(gaps),
        })
    }
}

/// Druid's duty for a cleaning that stands in the group of metadata.
fn duty(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Audit => "KillAuditLog",
        Kind::Rule => "KillRules",
        Kind::Supervisor => "KillSupervisors",
        Kind::DataSource => "KillDatasourceMetadata",
        Kind::Compaction => "KillCompactionConfig",
        Kind::PendingSegments => return None,
    })
}

/// `PT5S`, `PT1800S`, `PT0.200S`, as Joda writes durations.
fn iso_period(period: Duration) -> String {
    match period.subsec_millis() {
        0 => format!("PT{}S", period.as_secs()),
        millis => format!("PT{}.{millis:03}S", period.as_secs()),
    }
}

fn average(values: impl Iterator<Item = i64>) -> i64 {
    let (sum, count) = values.fold((0, 0), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0 } else { sum / count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_tells_its_last_run_and_averages_over_a_bounded_number_of_runs() {
        let (runs, settings) = (DutyRuns::default(), CoordinatorSettings::default());
        let before = runs.to_json(&settings);
        assert_eq!(before["dutyGroups"][0]["lastRunStart"], Value::Null);
        for n in 0..100 {
            runs.note(Group::Historicals, n * 1000, n * 1000 + 200);
        }
        let document = runs.to_json(&settings);
        let group = &document["dutyGroups"][0];
        assert_eq!(group["name"], "HistoricalManagementDuties");
        assert_eq!(group["period"], "PT5S");
        assert_eq!(group["dutyNames"][0], "org.apache.druid.server.coordinator.duty.RunRules");
        assert_eq!(group["lastRunEnd"], "1970-01-01T00:01:39.200Z");
        assert_eq!((&group["avgRuntimeMillis"], &group["avgRunGapMillis"]), (&json!(200), &json!(800)));
        assert_eq!(document["dutyGroups"].as_array().map(Vec::len), Some(3));
        assert_eq!(iso_period(Duration::from_millis(1_200)), "PT1.200S");
    }
}
