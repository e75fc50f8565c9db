//! `Partial::decode`: from bytes that nobody vouches for. Damage is an error, never a panic, and never allocates more
//! than a small multiple of the input.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Vector};

use super::wire::{FORMAT_VERSION, Input};
use super::{BoundaryPartial, GroupsPartial, Partial, ScanPartial, SearchHit, SearchPartial, SegmentAnalysis};
use crate::result::RowBatch;

impl Partial {
    /// Reads what [`Partial::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Partial> {
        let mut input = Input::new(bytes);
        if input.take(3)? != b"OVP" {
            return Err(DruidError::runtime("not a partial result"));
        }
        let version = input.byte()?;
        if version != FORMAT_VERSION {
            return Err(DruidError::unsupported(format!(
                "partial result of version [{version}], this build reads [{FORMAT_VERSION}]"
            )));
        }
        let partial = match input.byte()? {
            1 => Partial::Groups(groups(&mut input)?),
            2 => Partial::Scan(scan(&mut input)?),
            3 => Partial::Search(search(&mut input)?),
            4 => {
                let mut bound = || -> Result<Option<i64>> {
                    let there = input.byte()? != 0;
                    let value = input.long()?;
                    Ok(there.then_some(value))
                };
                Partial::TimeBoundary(BoundaryPartial { min: bound()?, max: bound()? })
            }
            5 => {
                let mut analyses = Vec::new();
                for _ in 0..input.len()? {
                    let json = serde_json::from_str(input.text()?)
                        .map_err(|e| DruidError::runtime(format!("partial result is damaged: {e}")))?;
                    analyses.push(SegmentAnalysis::from_wire_json(&json)?);
                }
                Partial::SegmentMetadata(analyses)
            }
            kind => return Err(DruidError::runtime(format!("unknown kind of partial result [{kind}]"))),
        };
        input.finished()?;
        Ok(partial)
    }
}

fn damaged() -> DruidError {
    DruidError::runtime("partial result is truncated or damaged")
}

fn buckets(input: &mut Input<'_>) -> Result<Vec<i64>> {
    let count = input.len()?;
    (0..count).map(|_| input.long()).collect()
}

fn column(input: &mut Input<'_>, rows: usize) -> Result<Vector> {
    let column = input.vector()?;
    if column.len() != rows { Err(damaged()) } else { Ok(column) }
}

fn groups(input: &mut Input<'_>) -> Result<GroupsPartial> {
    let rows = input.count()? as usize;
    let buckets = buckets(input)?;
    let mut lists = [Vec::new(), Vec::new()];
    for list in &mut lists {
        for _ in 0..input.len()? {
            list.push(column(input, rows)?);
        }
    }
    let [keys, aggregates] = lists;
    if rows > 1 && keys.is_empty() {
        return Err(damaged());
    }
    Ok(GroupsPartial { keys, aggregates, rows, buckets, ..GroupsPartial::default() })
}

fn scan(input: &mut Input<'_>) -> Result<ScanPartial> {
    let mut signature = Vec::new();
    for _ in 0..input.len()? {
        let name: Arc<str> = Arc::from(input.text()?);
        let text = input.text()?;
        signature.push((name, (!text.is_empty()).then(|| ColumnType::parse(text)).transpose()?));
    }
    let mut batches = Vec::new();
    for _ in 0..input.len()? {
        let segment: Arc<str> = Arc::from(input.text()?);
        let rows = input.count()? as usize;
        if signature.is_empty() {
            input.take(rows.div_ceil(8))?;
        }
        let mut columns = Vec::new();
        for _ in 0..signature.len() {
            columns.push(column(input, rows)?);
        }
        batches.push((segment, RowBatch { columns, rows }));
    }
    Ok(ScanPartial { signature, batches })
}

fn search(input: &mut Input<'_>) -> Result<SearchPartial> {
    let buckets = buckets(input)?;
    let mut hits = Vec::new();
    for _ in 0..input.len()? {
        let bucket = input.long()?;
        let dimension = Arc::from(input.text()?);
        let there = input.byte()? != 0;
        let value = input.text()?;
        hits.push(SearchHit { bucket, dimension, value: there.then(|| Arc::from(value)), count: input.count()? });
    }
    Ok(SearchPartial { hits, buckets })
}
