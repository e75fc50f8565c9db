//! The segments table: reading used and unused segments, following changes, and marking.

use std::collections::BTreeSet;

use ovate_base::time::{format_iso, parse_instant};
use ovate_base::{DataSegment, Interval, Result};

use super::db::{Row, Statement, Tx};
use super::{MetadataStore, now_text, parse_json};

/// A segment row that was added or whose used flag changed.
#[derive(Debug, Clone)]
pub struct SegmentChange {
    pub segment: DataSegment,
    pub used: bool,
    /// The row's `used_status_last_updated`.
    pub updated: String,
    pub created: String,
}

/// Which unused segments to give (`segmentListUnused`).
#[derive(Debug, Clone, Default)]
pub struct UnusedFilter {
    pub interval: Option<Interval>,
    pub versions: Option<Vec<String>>,
    pub limit: Option<usize>,
    /// Only those that became unused at this time or before.
    pub updated_before: Option<i64>,
    /// Only ids after this one, for paging.
    pub last_segment_id: Option<String>,
    pub descending: bool,
}

impl MetadataStore {
    /// Used segments of a data source whose interval overlaps any of `intervals` (all when empty), hidden ones too.
    pub async fn used_segments(&self, data_source: &str, intervals: &[Interval]) -> Result<Vec<DataSegment>> {
        let (from, to) = text_range(intervals);
        let query = self.q(USED_OVERLAPPING).bind(data_source).bind(true).bind(to).bind(from);
        overlapping(query.map(|row| segment_of(&row)).await?, intervals)
    }

    /// Used segments of all data sources.
    pub async fn all_used_segments(&self) -> Result<Vec<SegmentChange>> {
        let sql = "SELECT payload, used, used_status_last_updated, created_date FROM {segments} WHERE used = ?";
        self.q(sql).bind(true).map(|row| change_of(&row)).await
    }

    /// Rows added or marked since a time, used and unused, for an incremental poll. Ask again with a time some seconds
    /// before the newest one seen: a transaction's rows carry the time from before it committed.
    pub async fn segment_changes_since(&self, updated: &str) -> Result<Vec<SegmentChange>> {
        // Druid's index begins with `used`, so each of its values is looked for by itself.
        let sql = "SELECT payload, used, used_status_last_updated, created_date FROM {segments} \
                   WHERE used = ? AND used_status_last_updated >= ?";
        let mut changes = Vec::new();
        for used in [true, false] {
            changes.extend(self.q(sql).bind(used).bind(updated).map(|row| change_of(&row)).await?);
        }
        changes.sort_by(|a: &SegmentChange, b| a.updated.cmp(&b.updated));
        Ok(changes)
    }

    /// How many used segments there are, to notice deleted rows cheaply.
    pub async fn used_segment_count(&self) -> Result<i64> {
        self.count_of(self.q("SELECT COUNT(*) FROM {segments} WHERE used = ?").bind(true)).await
    }

    /// A segment by its id.
    pub async fn segment(&self, id: &str, include_unused: bool) -> Result<Option<DataSegment>> {
        let sql = "SELECT payload, used FROM {segments} WHERE id = ?";
        let row = self.q(sql).bind(id).one().await?;
        let Some(row) = row else { return Ok(None) };
        let used: bool = row.get(1)?;
        if used || include_unused { segment_of(&row).map(Some) } else { Ok(None) }
    }

    /// Unused segments of a data source, ordered by end and id.
    pub async fn unused_segments(&self, data_source: &str, filter: &UnusedFilter) -> Result<Vec<DataSegment>> {
        Ok(self.unused_segment_rows(data_source, filter).await?.into_iter().map(|change| change.segment).collect())
    }

    /// As `unused_segments`, with the times of the rows.
    pub async fn unused_segment_rows(&self, data_source: &str, filter: &UnusedFilter) -> Result<Vec<SegmentChange>> {
        let order = if filter.descending { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT payload, used, used_status_last_updated, created_date FROM {{segments}} \
             WHERE dataSource = ? AND used = ? AND used_status_last_updated <= ? ORDER BY id {order}"
        );
        let before = filter.updated_before.map_or_else(|| "9999".to_owned(), format_iso);
        let query = self.q(&sql).bind(data_source).bind(false).bind(before);
        let rows = query.all().await?;
        let mut found = Vec::new();
        for row in &rows {
            let change = change_of(row)?;
            let segment = &change.segment;
            let in_interval = filter.interval.is_none_or(|interval| interval.encloses(&segment.interval));
            let in_versions =
                filter.versions.as_ref().is_none_or(|versions| versions.iter().any(|version| **version == *segment.version));
            let after_last = filter.last_segment_id.as_ref().is_none_or(|last| {
                let id = segment.id().to_string();
                if filter.descending { id < *last } else { id > *last }
            });
            if in_interval && in_versions && after_last {
                found.push(change);
            }
            if filter.limit.is_some_and(|limit| found.len() >= limit) {
                break;
            }
        }
        Ok(found)
    }

    /// Names of data sources with used segments, or with any.
    pub async fn data_sources(&self, include_unused: bool) -> Result<Vec<String>> {
        let condition = if include_unused { "" } else { "WHERE used = TRUE" };
        let sql = format!("SELECT DISTINCT dataSource FROM {{segments}} {condition} ORDER BY dataSource");
        self.q(&sql).map(|row| row.get(0)).await
    }

    /// Sets the used flag of segments by id; gives how many changed.
    pub async fn mark_segments(&self, ids: &[String], used: bool) -> Result<u64> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let changed = self.mark_in(&mut tx, ids, used).await?;
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Marks used segments unused whose interval lies inside, optionally of some versions; gives how many changed.
    pub async fn mark_interval_unused(&self, data_source: &str, interval: Interval, versions: Option<&[String]>) -> Result<u64> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let ids = self.ids_inside(&mut tx, data_source, interval, versions).await?;
            let changed = self.mark_in(&mut tx, &ids, false).await?;
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Marks all segments of a data source unused; gives how many changed.
    pub async fn mark_data_source_unused(&self, data_source: &str) -> Result<u64> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "UPDATE {segments} SET used = ?, used_status_last_updated = ? WHERE dataSource = ? AND used = ?";
            let query = self.q(sql).bind(false).bind(now_text()).bind(data_source).bind(true);
            let changed = query.run_in(&mut tx).await?;
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Deletes the rows of unused segments; used ones stay. Gives the ids that are gone.
    pub async fn delete_unused_segments(&self, ids: &[String]) -> Result<Vec<String>> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let mut gone = Vec::new();
            for some in ids.chunks(IDS_MAX) {
                let marks = marks(some.len());
                let sql = format!("SELECT id FROM {{segments}} WHERE used = ? AND id IN ({marks}){{for_update}}");
                let used: BTreeSet<String> = texts(&with_ids(self.q(&sql).bind(true), some).all_in(&mut tx).await?)?;
                let sql = format!("DELETE FROM {{segments}} WHERE used = ? AND id IN ({marks})");
                with_ids(self.q(&sql).bind(false), some).run_in(&mut tx).await?;
                // An id without a row counts as well: another try of ours may have deleted it.
                gone.extend(some.iter().filter(|id| !used.contains(*id)).cloned());
            }
            tx.commit().await?;
            Ok(gone)
        })
        .await
    }

    /// Replaces the payloads of segments that exist (`segmentMetadataUpdate`), for a changed load spec.
    pub async fn update_segment_payloads(&self, segments: &[DataSegment]) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            for segment in segments {
                let sql = "UPDATE {segments} SET payload = ? WHERE id = ?";
                let query = self.q(sql).bind(super::to_bytes(segment)).bind(segment.id().to_string());
                query.run_in(&mut tx).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// Ids of segments that share a load spec because of upgrades: id to the id it was upgraded from.
    pub async fn upgraded_from(&self, data_source: &str, ids: &[String]) -> Result<Vec<(String, String)>> {
        let sql =
            "SELECT id, upgraded_from_segment_id FROM {segments} WHERE dataSource = ? AND upgraded_from_segment_id IS NOT NULL";
        let rows = self.q(sql).bind(data_source).all().await?;
        let wanted: BTreeSet<&String> = ids.iter().collect();
        let mut pairs = Vec::new();
        for row in rows {
            let pair: (String, String) = (row.get(0)?, row.get(1)?);
            if wanted.contains(&pair.0) || wanted.contains(&pair.1) {
                pairs.push(pair);
            }
        }
        Ok(pairs)
    }

    /// Used segments of a data source inside a transaction, overlapping `interval`.
    pub(super) async fn used_in(&self, tx: &mut Tx, data_source: &str, interval: Interval) -> Result<Vec<DataSegment>> {
        let (from, to) = text_range(&[interval]);
        let query = self.q(USED_OVERLAPPING).bind(data_source).bind(true).bind(to).bind(from);
        let rows = query.all_in(tx).await?;
        overlapping(segments_of(&rows)?, &[interval])
    }

    async fn mark_in(&self, tx: &mut Tx, ids: &[String], used: bool) -> Result<u64> {
        let now = now_text();
        let mut changed = 0;
        for some in ids.chunks(IDS_MAX) {
            let marks = marks(some.len());
            let sql =
                format!("UPDATE {{segments}} SET used = ?, used_status_last_updated = ? WHERE used = ? AND id IN ({marks})");
            changed += with_ids(self.q(&sql).bind(used).bind(&now).bind(!used), some).run_in(tx).await?;
        }
        Ok(changed)
    }

    async fn ids_inside(
        &self,
        tx: &mut Tx,
        data_source: &str,
        interval: Interval,
        versions: Option<&[String]>,
    ) -> Result<Vec<String>> {
        let sql = "SELECT id, start, {end}, version FROM {segments} WHERE dataSource = ? AND used = ?";
        let rows = self.q(sql).bind(data_source).bind(true).all_in(tx).await?;
        let mut ids = Vec::new();
        for row in rows {
            let text = |column: usize| row.get::<String>(column);
            let inside = Interval { start: parse_instant(&text(1)?)?, end: parse_instant(&text(2)?)? };
            let version = text(3)?;
            if interval.encloses(&inside) && versions.is_none_or(|versions| versions.contains(&version)) {
                ids.push(text(0)?);
            }
        }
        Ok(ids)
    }
}

/// Times are compared as text, which is right for years of four digits; other rows are fetched and compared as numbers.
const USED_OVERLAPPING: &str = "SELECT payload FROM {segments} WHERE dataSource = ? AND used = ? \
                                AND ((start < ? AND {end} > ?) OR LENGTH(start) <> 24 OR LENGTH({end}) <> 24)";

/// Texts before and after all times of the intervals; of everything when they are empty or beyond four digits.
fn text_range(intervals: &[Interval]) -> (String, String) {
    let cover = intervals.iter().copied().reduce(|all, one| all.cover(&one));
    match cover.map(|cover| (format_iso(cover.start), format_iso(cover.end))) {
        Some((from, to)) if from.len() == 24 && to.len() == 24 => (from, to),
        _ => (String::new(), "A".to_owned()),
    }
}

/// Ids in one statement.
const IDS_MAX: usize = 200;

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn with_ids<'s>(statement: Statement<'s>, ids: &[String]) -> Statement<'s> {
    ids.iter().fold(statement, |statement, id| statement.bind(id))
}

fn texts(rows: &[Row]) -> Result<BTreeSet<String>> {
    rows.iter().map(|row| row.get(0)).collect()
}

fn overlapping(mut segments: Vec<DataSegment>, intervals: &[Interval]) -> Result<Vec<DataSegment>> {
    if !intervals.is_empty() {
        segments.retain(|segment| intervals.iter().any(|interval| interval.overlaps(&segment.interval)));
    }
    Ok(segments)
}

pub(super) fn segment_of(row: &Row) -> Result<DataSegment> {
    parse_json(row.bytes(0)?, "segment payload")
}

fn segments_of(rows: &[Row]) -> Result<Vec<DataSegment>> {
    rows.iter().map(segment_of).collect()
}

fn change_of(row: &Row) -> Result<SegmentChange> {
    Ok(SegmentChange {
        segment: segment_of(row)?,
        used: row.get(1)?,
        // Rows from before that column was added have none.
        updated: row.get::<Option<String>>(2)?.map_or_else(|| row.get(3), Ok)?,
        created: row.get(3)?,
    })
}
