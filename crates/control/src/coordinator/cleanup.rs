//! Old metadata is deleted (CCO-04): audit entries, rules of data sources that are gone, terminated supervisors, commit
//! metadata and compaction configurations nobody uses, and allocations that no task will publish any more.

use std::time::{Duration, Instant};

use ovate_base::time::parse_instant;
use ovate_base::{Interval, Properties, Result};
use ovate_store::meta::AuditInfo;
use ovate_store::now_ms;
use tracing::{info, warn};

use super::{Coordinator, Term};
use crate::compaction::DataSourceConfig;

/// What is cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Audit,
    Rule,
    Supervisor,
    DataSource,
    Compaction,
    PendingSegments,
}

/// One cleaning, `druid.coordinator.kill.<name>.*`.
#[derive(Debug, Clone)]
pub struct Cleanup {
    pub kind: Kind,
    pub period: Duration,
    /// Rows younger than this stay.
    pub retain_ms: i64,
}

const DAY_MS: i64 = 86_400_000;
/// Allocations stay this long before the oldest active task.
const PENDING_RETAIN_MS: i64 = DAY_MS;
/// Between two looks whether a cleaning is due.
const LOOK_MAX: Duration = Duration::from_secs(3600);

impl Cleanup {
    /// Those that are on, which all are by default.
    pub fn from_properties(properties: &Properties) -> Result<Vec<Cleanup>> {
        let kinds = [
            (Kind::Audit, "audit"),
            (Kind::Rule, "rule"),
            (Kind::Supervisor, "supervisor"),
            (Kind::DataSource, "datasource"),
            (Kind::Compaction, "compaction"),
            (Kind::PendingSegments, "pendingSegments"),
        ];
        let mut all = Vec::new();
        for (kind, name) in kinds {
            let property = |key: &str| format!("druid.coordinator.kill.{name}.{key}");
            if !properties.flag(&property("on"), true)? {
                continue;
            }
            let period = properties.millis(&property("period"), DAY_MS)?.max(1_000).unsigned_abs();
            let retain_ms = match kind {
                Kind::PendingSegments => PENDING_RETAIN_MS,
                _ => properties.millis(&property("durationToRetain"), 90 * DAY_MS)?.max(0),
            };
            all.push(Cleanup { kind, period: Duration::from_millis(period), retain_ms });
        }
        Ok(all)
    }
}

impl Coordinator {
    /// Cleans by period until dropped.
    pub(super) async fn clean_forever(&self, term: &Term) {
        let cleanups = &self.settings.cleanups;
        let look = cleanups.iter().map(|cleanup| cleanup.period).min().unwrap_or(LOOK_MAX).min(LOOK_MAX);
        let mut last: Vec<Option<Instant>> = vec![None; cleanups.len()];
        loop {
            tokio::time::sleep(look).await;
            let start = now_ms();
            for (cleanup, last) in cleanups.iter().zip(&mut last) {
                if last.is_some_and(|last| last.elapsed() < cleanup.period) {
                    continue;
                }
                *last = Some(Instant::now());
                match self.clean(term, cleanup).await {
                    Ok(0) => {}
                    Ok(deleted) => info!(kind = ?cleanup.kind, deleted, "old metadata is deleted"),
                    Err(error) => warn!(kind = ?cleanup.kind, "cannot delete old metadata: {error}"),
                }
            }
            self.duties.note(super::Group::Metadata, start, now_ms());
        }
    }

    async fn clean(&self, term: &Term, cleanup: &Cleanup) -> Result<u64> {
        let before = now_ms().saturating_sub(cleanup.retain_ms);
        match cleanup.kind {
            Kind::Audit => term.store.delete_audit_before(before).await,
            Kind::Rule => term.store.delete_rules_before(before).await,
            Kind::Supervisor => term.store.delete_terminated_supervisors_before(before).await,
            Kind::DataSource => term.store.delete_data_source_metadata_before(before).await,
            Kind::Compaction => clean_compaction(term).await,
            Kind::PendingSegments => self.clean_pending(term, before).await,
        }
    }

    /// Allocations from well before the oldest active task (`KillStalePendingSegments`).
    async fn clean_pending(&self, term: &Term, before: i64) -> Result<u64> {
        let config = self.config(term).await?;
        let skipped = super::dynamic::names(&config["killPendingSegmentsSkipList"]);
        let tasks = self.ask_overlord("/tasks?max=0").await?;
        let created = tasks.as_array().into_iter().flatten().filter(|task| task["runnerStatusCode"] != "NONE");
        let oldest = created.filter_map(|task| parse_instant(task["createdTime"].as_str()?).ok()).min();
        let end = oldest.map_or(before, |oldest| before.min(oldest.saturating_sub(PENDING_RETAIN_MS)));
        let mut deleted = 0;
        for data_source in term.store.data_sources(true).await?.into_iter().filter(|name| !skipped.contains(name)) {
            deleted += term.store.delete_pending_created_in(&data_source, Interval { start: 0, end: end.max(0) }).await?;
        }
        Ok(deleted)
    }
}

/// Configurations of data sources that have no segments at all (`KillCompactionConfig`).
async fn clean_compaction(term: &Term) -> Result<u64> {
    let known = term.store.data_sources(true).await?;
    let audit = AuditInfo {
        author: "KillCompactionConfig".to_owned(),
        comment: "CoordinatorDuty for automatic deletion of compaction config".to_owned(),
        ..AuditInfo::default()
    };
    let mut deleted = 0;
    for config in DataSourceConfig::listed(&term.store).await? {
        if let Some(name) = config["dataSource"].as_str().filter(|name| !known.iter().any(|known| known == name)) {
            deleted += u64::from(DataSourceConfig::remove_listed(&term.store, name, &audit).await?);
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cleaning_is_on_unless_turned_off() {
        let settings = |pairs: &[(&str, &str)]| Cleanup::from_properties(&pairs.iter().copied().collect()).unwrap();
        assert_eq!(settings(&[]).len(), 6);
        let some = settings(&[
            ("druid.coordinator.kill.audit.on", "false"),
            ("druid.coordinator.kill.rule.durationToRetain", "P4D"),
            ("druid.coordinator.kill.rule.period", "PT1H"),
        ]);
        assert_eq!((some.len(), some[0].kind), (5, Kind::Rule));
        assert_eq!((some[0].period, some[0].retain_ms), (Duration::from_secs(3600), 4 * DAY_MS));
    }
}
