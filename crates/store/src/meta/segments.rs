//! The segments table: reading used and unused segments, following changes, and marking.

use std::collections::BTreeSet;

use ovate_base::time::{format_iso, parse_instant};
use ovate_base::{DataSegment, Interval, Result};
use sqlx::Row as _;

use super::dialect::{Row, Tx};
use super::{MetadataStore, commit, now_text, parse_json, sql_error};

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
        let query = sqlx::query(self.sql(USED_OVERLAPPING)).bind(data_source).bind(true).bind(to).bind(from);
        let rows = query.fetch_all(&self.pool).await.map_err(sql_error)?;
        overlapping(segments_of(&rows)?, intervals)
    }

    /// Used segments of all data sources.
    pub async fn all_used_segments(&self) -> Result<Vec<SegmentChange>> {
        let sql = "SELECT payload, used, used_status_last_updated, created_date FROM {segments} WHERE used = ?";
        let rows = sqlx::query(self.sql(sql)).bind(true).fetch_all(&self.pool).await.map_err(sql_error)?;
        rows.iter().map(change_of).collect()
    }

    /// Rows added or marked since a time, used and unused, for an incremental poll. Ask again with a time some seconds
    /// before the newest one seen: a transaction's rows carry the time from before it committed.
    pub async fn segment_changes_since(&self, updated: &str) -> Result<Vec<SegmentChange>> {
        let sql = "SELECT payload, used, used_status_last_updated, created_date FROM {segments} \
                   WHERE used_status_last_updated >= ? ORDER BY used_status_last_updated";
        let rows = sqlx::query(self.sql(sql)).bind(updated).fetch_all(&self.pool).await.map_err(sql_error)?;
        rows.iter().map(change_of).collect()
    }

    /// How many used segments there are, to notice deleted rows cheaply.
    pub async fn used_segment_count(&self) -> Result<i64> {
        let sql = self.sql("SELECT COUNT(*) FROM {segments} WHERE used = ?");
        sqlx::query_scalar(sql).bind(true).fetch_one(&self.pool).await.map_err(sql_error)
    }

    /// A segment by its id.
    pub async fn segment(&self, id: &str, include_unused: bool) -> Result<Option<DataSegment>> {
        let sql = self.sql("SELECT payload, used FROM {segments} WHERE id = ?");
        let row = sqlx::query(sql).bind(id).fetch_optional(&self.pool).await.map_err(sql_error)?;
        let Some(row) = row else { return Ok(None) };
        let used: bool = row.try_get(1).map_err(sql_error)?;
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
        let query = sqlx::query(self.sql(&sql)).bind(data_source).bind(false).bind(before);
        let rows = query.fetch_all(&self.pool).await.map_err(sql_error)?;
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
        sqlx::query_scalar(self.sql(&sql)).fetch_all(&self.pool).await.map_err(sql_error)
    }

    /// Sets the used flag of segments by id; gives how many changed.
    pub async fn mark_segments(&self, ids: &[String], used: bool) -> Result<u64> {
        let mut tx = self.write().await?;
        let changed = self.mark_in(&mut tx, ids, used).await?;
        commit(tx).await?;
        Ok(changed)
    }

    /// Marks used segments unused whose interval lies inside, optionally of some versions; gives how many changed.
    pub async fn mark_interval_unused(&self, data_source: &str, interval: Interval, versions: Option<&[String]>) -> Result<u64> {
        let mut tx = self.write().await?;
        let ids = self.ids_inside(&mut tx, data_source, interval, versions).await?;
        let changed = self.mark_in(&mut tx, &ids, false).await?;
        commit(tx).await?;
        Ok(changed)
    }

    /// Marks all segments of a data source unused; gives how many changed.
    pub async fn mark_data_source_unused(&self, data_source: &str) -> Result<u64> {
        let mut tx = self.write().await?;
        let sql = "UPDATE {segments} SET used = ?, used_status_last_updated = ? WHERE dataSource = ? AND used = ?";
        let query = sqlx::query(self.sql(sql)).bind(false).bind(now_text()).bind(data_source).bind(true);
        let changed = query.execute(&mut *tx).await.map_err(sql_error)?.rows_affected();
        commit(tx).await?;
        Ok(changed)
    }

    /// Deletes the rows of unused segments; used ones stay. Gives the ids that were deleted.
    pub async fn delete_unused_segments(&self, ids: &[String]) -> Result<Vec<String>> {
        let mut tx = self.write().await?;
        let mut deleted = Vec::new();
        for id in ids {
            let sql = self.sql("DELETE FROM {segments} WHERE id = ? AND used = ?");
            let result = sqlx::query(sql).bind(id).bind(false).execute(&mut *tx).await.map_err(sql_error)?;
            if result.rows_affected() > 0 {
                deleted.push(id.clone());
            }
        }
        commit(tx).await?;
        Ok(deleted)
    }

    /// Replaces the payloads of segments that exist (`segmentMetadataUpdate`), for a changed load spec.
    pub async fn update_segment_payloads(&self, segments: &[DataSegment]) -> Result<()> {
        let mut tx = self.write().await?;
        for segment in segments {
            let sql = self.sql("UPDATE {segments} SET payload = ? WHERE id = ?");
            let query = sqlx::query(sql).bind(super::to_bytes(segment)).bind(segment.id().to_string());
            query.execute(&mut *tx).await.map_err(sql_error)?;
        }
        commit(tx).await
    }

    /// Ids of segments that share a load spec because of upgrades: id to the id it was upgraded from.
    pub async fn upgraded_from(&self, data_source: &str, ids: &[String]) -> Result<Vec<(String, String)>> {
        let sql =
            "SELECT id, upgraded_from_segment_id FROM {segments} WHERE dataSource = ? AND upgraded_from_segment_id IS NOT NULL";
        let rows = sqlx::query(self.sql(sql)).bind(data_source).fetch_all(&self.pool).await.map_err(sql_error)?;
        let wanted: BTreeSet<&String> = ids.iter().collect();
        let mut pairs = Vec::new();
        for row in rows {
            let pair: (String, String) = (row.try_get(0).map_err(sql_error)?, row.try_get(1).map_err(sql_error)?);
            if wanted.contains(&pair.0) || wanted.contains(&pair.1) {
                pairs.push(pair);
            }
        }
        Ok(pairs)
    }

    /// Used segments of a data source inside a transaction, overlapping `interval`.
    pub(super) async fn used_in(&self, tx: &mut Tx, data_source: &str, interval: Interval) -> Result<Vec<DataSegment>> {
        let (from, to) = text_range(&[interval]);
        let query = sqlx::query(self.sql(USED_OVERLAPPING)).bind(data_source).bind(true).bind(to).bind(from);
        let rows = query.fetch_all(&mut **tx).await.map_err(sql_error)?;
        overlapping(segments_of(&rows)?, &[interval])
    }

    async fn mark_in(&self, tx: &mut Tx, ids: &[String], used: bool) -> Result<u64> {
        let now = now_text();
        let mut changed = 0;
        for id in ids {
            let sql = self.sql("UPDATE {segments} SET used = ?, used_status_last_updated = ? WHERE id = ? AND used = ?");
            let query = sqlx::query(sql).bind(used).bind(&now).bind(id).bind(!used);
            changed += query.execute(&mut **tx).await.map_err(sql_error)?.rows_affected();
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
        let sql = self.sql("SELECT id, start, {end}, version FROM {segments} WHERE dataSource = ? AND used = ?");
        let rows = sqlx::query(sql).bind(data_source).bind(true).fetch_all(&mut **tx).await.map_err(sql_error)?;
        let mut ids = Vec::new();
        for row in rows {
            let text = |column: usize| row.try_get::<String, _>(column).map_err(sql_error);
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

fn overlapping(mut segments: Vec<DataSegment>, intervals: &[Interval]) -> Result<Vec<DataSegment>> {
    if !intervals.is_empty() {
        segments.retain(|segment| intervals.iter().any(|interval| interval.overlaps(&segment.interval)));
    }
    Ok(segments)
}

pub(super) fn segment_of(row: &Row) -> Result<DataSegment> {
    parse_json(row.try_get::<&[u8], _>(0).map_err(sql_error)?, "segment payload")
}

fn segments_of(rows: &[Row]) -> Result<Vec<DataSegment>> {
    rows.iter().map(segment_of).collect()
}

fn change_of(row: &Row) -> Result<SegmentChange> {
    Ok(SegmentChange {
        segment: segment_of(row)?,
        used: row.try_get(1).map_err(sql_error)?,
        updated: row.try_get(2).map_err(sql_error)?,
        created: row.try_get(3).map_err(sql_error)?,
    })
}
