//! How rows of a time chunk are divided into buckets (TUN-03): one for `dynamic`, by hash, or by ranges whose bounds a
//! first pass over the rows finds (`PartialDimensionCardinalityTask`, `PartialDimensionDistributionTask`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hasher};

use hashbrown::HashMap;
use ovate_base::segment::shard::{hash_bucket, hash_key_json, murmur3_32};
use ovate_base::{DruidError, Granularity, Interval, Result};
use ovate_compute::Value;
use serde_json::{Value as Json, json};

use super::sink::PartKey;
use crate::format::{Batch, Column};
use crate::spec::PartitionsSpec;
use crate::transform::Rows;

/// A range key: one value a partition dimension, null first.
pub type RangeKey = Vec<Option<String>>;

/// The division of one time chunk.
#[derive(Debug, Clone, PartialEq)]
pub enum Bucket {
    One,
    Hashed {
        buckets: u32,
    },
    /// Ascending first keys of all ranges but the first.
    Ranges {
        bounds: Vec<RangeKey>,
    },
}

/// What the first pass found, for all chunks.
#[derive(Debug, Clone, Default)]
pub struct Partitioning {
    pub chunks: HashMap<Interval, Bucket>,
}

/// Gives each row its bucket.
pub struct Assignment {
    spec: PartitionsSpec,
    partitioning: Partitioning,
    query_granularity: Granularity,
    dimensions: Vec<String>,
}

impl Assignment {
    /// `dimensions` are those that unnamed hashing uses, empty for all fields.
    pub fn new(
        spec: &PartitionsSpec,
        partitioning: Partitioning,
        query_granularity: &Granularity,
        dimensions: Vec<String>,
    ) -> Assignment {
        Assignment { spec: spec.clone(), partitioning, query_granularity: query_granularity.clone(), dimensions }
    }

    /// The division of a chunk.
    pub fn bucket(&self, chunk: &Interval) -> Bucket {
        match (&self.spec, self.partitioning.chunks.get(chunk)) {
            (_, Some(found)) => found.clone(),
            (PartitionsSpec::Hashed { num_shards: Some(n), .. }, None) => {
                Bucket::Hashed { buckets: (*n).clamp(1, 1 << 20) as u32 }
            }
            _ => Bucket::One,
        }
    }

    /// Rows by segment.
    pub fn divide(&self, rows: &Rows) -> Result<Vec<(PartKey, Vec<u32>)>> {
        let mut out = Vec::new();
        for (chunk, selection) in &rows.chunks {
            let chunk = *chunk;
            match self.bucket(&chunk) {
                Bucket::One | Bucket::Hashed { buckets: 0 | 1 } => out.push((PartKey { chunk, bucket: 0 }, selection.clone())),
                Bucket::Hashed { buckets } => {
                    let named = match &self.spec {
                        PartitionsSpec::Hashed { dimensions, .. } => &dimensions[..],
                        _ => &[],
                    };
                    let bucket = |row: u32| {
                        if named.is_empty() {
                            let key = group_hash(rows, row as usize, &self.dimensions, &self.query_granularity);
                            (key % u64::from(buckets)) as u32
                        } else {
                            named_bucket(&rows.batch, row as usize, named, buckets)
                        }
                    };
                    by_bucket(chunk, selection, buckets, bucket, &mut out);
                }
                Bucket::Ranges { bounds } => {
                    let PartitionsSpec::Range { dimensions, .. } = &self.spec else { continue };
                    let columns: Vec<Option<&Column>> = dimensions.iter().map(|d| rows.batch.column(d)).collect();
                    let bucket = |row: u32| {
                        let key = range_key(&columns, row as usize);
                        bounds.partition_point(|bound| *bound <= key) as u32
                    };
                    by_bucket(chunk, selection, bounds.len() as u32 + 1, bucket, &mut out);
                }
            }
        }
        Ok(out)
    }
}

fn by_bucket(chunk: Interval, selection: &[u32], buckets: u32, bucket: impl Fn(u32) -> u32, out: &mut Vec<(PartKey, Vec<u32>)>) {
    let mut lists: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for row in selection {
        lists.entry(bucket(*row).min(buckets.saturating_sub(1))).or_default().push(*row);
    }
    out.extend(lists.into_iter().map(|(bucket, list)| (PartKey { chunk, bucket }, list)));
}

/// Druid's bucket of a row, which brokers use for pruning (`HashPartitioner`).
fn named_bucket(batch: &Batch, row: usize, dimensions: &[String], buckets: u32) -> u32 {
    let texts: Vec<Vec<String>> = dimensions
        .iter()
        .map(|name| match batch.column(name).map(|column| column.value(row)) {
            Some(Value::Array(list)) => list.iter().map(|v| crate::format::column::value_text(v).unwrap_or_default()).collect(),
            Some(value) => crate::format::column::value_text(&value).into_iter().collect(),
            None => Vec::new(),
        })
        .collect();
    let borrowed: Vec<Vec<&str>> = texts.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
    let lists: Vec<&[&str]> = borrowed.iter().map(Vec::as_slice).collect();
    let mut key = String::new();
    hash_key_json(&lists, &mut key);
    hash_bucket(key.as_bytes(), buckets as i32).unsigned_abs()
}

/// A hash of truncated time and dimension values: equal for rows that roll up together.
fn group_hash(rows: &Rows, row: usize, dimensions: &[String], granularity: &Granularity) -> u64 {
    // Fixed keys: all threads and both passes must agree.
    let mut hasher = DefaultHasher::new();
    hasher.write_i64(granularity.bucket_start(rows.timestamps[row]));
    let mut one = |name: &str, column: &Column| {
        if let Some(text) = column.text(row) {
            hasher.write_u32(murmur3_32(name.as_bytes()));
            hasher.write(text.as_bytes());
        }
    };
    if dimensions.is_empty() {
        for (name, column) in &rows.batch.columns {
            one(name, column);
        }
    } else {
        for name in dimensions {
            if let Some(column) = rows.batch.column(name) {
                one(name, column);
            }
        }
    }
    hasher.finish()
}

fn range_key(columns: &[Option<&Column>], row: usize) -> RangeKey {
    columns.iter().map(|column| column.and_then(|c| c.text(row)).map(|text| text.into_owned())).collect()
}

/// Distinct groups and keys of the first pass; one a thread, then joined.
pub struct Collector {
    spec: PartitionsSpec,
    rollup: bool,
    query_granularity: Granularity,
    dimensions: Vec<String>,
    chunks: HashMap<Interval, Seen>,
}

#[derive(Default)]
struct Seen {
    smallest: Smallest,
    keys: BTreeMap<RangeKey, u64>,
    rows: u64,
    groups: HashSet<u64>,
    /// Only each `1 << thinning`th new key is kept.
    thinning: u32,
}

/// Keys kept for one chunk, and groups remembered to count each once.
const KEYS_MAX: usize = 1 << 20;
const GROUPS_MAX: usize = 1 << 22;

impl Collector {
    /// `dimensions` as in [`Assignment::new`].
    pub fn new(spec: &PartitionsSpec, rollup: bool, query_granularity: &Granularity, dimensions: Vec<String>) -> Collector {
        let query_granularity = query_granularity.clone();
        Collector { spec: spec.clone(), rollup, query_granularity, dimensions, chunks: HashMap::new() }
    }

    /// Looks at rows.
    pub fn add(&mut self, rows: &Rows) -> Result<()> {
        for (chunk, selection) in &rows.chunks {
            let seen = self.chunks.entry(*chunk).or_default();
            match &self.spec {
                PartitionsSpec::Dynamic { .. } => {}
                PartitionsSpec::Hashed { .. } => {
                    for row in selection {
                        seen.rows += 1;
                        seen.smallest.add(group_hash(rows, *row as usize, &self.dimensions, &self.query_granularity));
                    }
                }
                PartitionsSpec::Range { dimensions, .. } => {
                    let columns: Vec<Option<&Column>> = dimensions.iter().map(|d| rows.batch.column(d)).collect();
                    check_single_values(dimensions, &columns, selection)?;
                    for row in selection {
                        if self.rollup && seen.groups.len() < GROUPS_MAX {
                            let group = group_hash(rows, *row as usize, &self.dimensions, &self.query_granularity);
                            if !seen.groups.insert(group) {
                                continue;
                            }
                        }
                        seen.count(range_key(&columns, *row as usize));
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what another thread saw.
    pub fn join(&mut self, other: Collector) {
        for (chunk, theirs) in other.chunks {
            let seen = self.chunks.entry(chunk).or_default();
            seen.rows += theirs.rows;
            theirs.smallest.0.into_iter().for_each(|hash| seen.smallest.add(hash));
            for (key, count) in theirs.keys {
                *seen.keys.entry(key).or_default() += count;
            }
        }
    }

    /// The division of every chunk seen.
    pub fn finish(self) -> Partitioning {
        let spec = &self.spec;
        let chunks = self
            .chunks
            .into_iter()
            .map(|(chunk, seen)| {
                let bucket = match spec {
                    PartitionsSpec::Dynamic { .. } => Bucket::One,
                    PartitionsSpec::Hashed { num_shards: Some(n), .. } => {
                        Bucket::Hashed { buckets: (*n).clamp(1, 1 << 20) as u32 }
                    }
                    PartitionsSpec::Hashed { num_shards: None, target_rows, .. } => {
                        let groups = if self.rollup { seen.smallest.estimate() } else { seen.rows };
                        Bucket::Hashed { buckets: groups.div_ceil(*target_rows).clamp(1, 1 << 20) as u32 }
                    }
                    PartitionsSpec::Range { target_rows, max_rows, .. } => {
                        let size = target_rows.or(*max_rows).unwrap_or(crate::spec::tuning::DEFAULT_ROWS_PER_SEGMENT);
                        Bucket::Ranges { bounds: bounds(&seen.keys, size.max(1)) }
                    }
                };
                (chunk, bucket)
            })
            .collect();
        Partitioning { chunks }
    }
}

/// Keys of one chunk that a subtask tells its supervisor; more are thinned out.
const KEYS_TOLD_MAX: usize = 1 << 14;

impl Collector {
    /// What was seen, for the supervisor of a subtask (`DimensionCardinalityReport`, `DimensionDistributionReport`).
    pub fn to_json(&self) -> Json {
        let chunk = |(chunk, seen): (&Interval, &Seen)| {
            let mut keys: Vec<(&RangeKey, u64)> = seen.keys.iter().map(|(key, count)| (key, *count)).collect();
            while keys.len() > KEYS_TOLD_MAX {
                // Each second key stands for its neighbour too.
                keys = keys.chunks(2).map(|pair| (pair[0].0, pair.iter().map(|(_, count)| count).sum())).collect();
            }
            (chunk.to_string(), json!({"rows": seen.rows, "smallest": seen.smallest.0, "keys": keys}))
        };
        Json::Object(self.chunks.iter().map(chunk).collect())
    }

    /// Adds what a subtask saw.
    pub fn join_json(&mut self, told: &Json) -> Result<()> {
        let damaged = || DruidError::invalid_input("a subtask told a damaged distribution");
        for (interval, part) in told.as_object().ok_or_else(damaged)? {
            let seen = self.chunks.entry(Interval::parse(interval)?).or_default();
            seen.rows += part["rows"].as_u64().ok_or_else(damaged)?;
            for hash in part["smallest"].as_array().into_iter().flatten() {
                seen.smallest.add(hash.as_u64().ok_or_else(damaged)?);
            }
            let keys: Vec<(RangeKey, u64)> = serde_json::from_value(part["keys"].clone()).map_err(|_| damaged())?;
            for (key, count) in keys {
                *seen.keys.entry(key).or_default() += count;
            }
        }
        Ok(())
    }
}

impl Partitioning {
    /// The form that subtasks are given.
    pub fn to_json(&self) -> Json {
        let bucket = |(chunk, bucket): (&Interval, &Bucket)| {
            let json = match bucket {
                Bucket::One => json!({}),
                Bucket::Hashed { buckets } => json!({"hashed": buckets}),
                Bucket::Ranges { bounds } => json!({"ranges": bounds}),
            };
            (chunk.to_string(), json)
        };
        Json::Object(self.chunks.iter().map(bucket).collect())
    }

    pub fn from_json(json: &Json) -> Result<Partitioning> {
        let damaged = || DruidError::invalid_input("[partitioning] of a subtask is damaged");
        let mut chunks = HashMap::new();
        for (interval, part) in json.as_object().into_iter().flatten() {
            let bucket = match (part.get("hashed"), part.get("ranges")) {
                (Some(count), _) => {
                    Bucket::Hashed { buckets: count.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(damaged)? }
                }
                (None, Some(bounds)) => Bucket::Ranges { bounds: serde_json::from_value(bounds.clone()).map_err(|_| damaged())? },
                (None, None) => Bucket::One,
            };
            chunks.insert(Interval::parse(interval)?, bucket);
        }
        Ok(Partitioning { chunks })
    }
}

impl Seen {
    fn count(&mut self, key: RangeKey) {
        self.rows += 1;
        if let Some(count) = self.keys.get_mut(&key) {
            *count += 1;
        } else if self.rows.is_multiple_of(1 << self.thinning) {
            self.keys.insert(key, 1 << self.thinning);
            if self.keys.len() > KEYS_MAX {
                self.thinning += 1;
                let mut odd = false;
                self.keys.retain(|_, _| {
                    odd = !odd;
                    odd
                });
                self.keys.values_mut().for_each(|count| *count *= 2);
            }
        }
    }
}

/// Several values in a row cannot be ordered into ranges.
fn check_single_values(names: &[String], columns: &[Option<&Column>], selection: &[u32]) -> Result<()> {
    for (name, column) in names.iter().zip(columns) {
        if let Some(Column::Values(values)) = column
            && selection.iter().any(|row| matches!(&values[*row as usize], Value::Array(list) if list.len() > 1))
        {
            return Err(DruidError::invalid_input(format!("cannot partition on multi-value dimension [{name}]")));
        }
    }
    Ok(())
}

/// Even cuts: as many ranges as rows need, each cut at the first key that passes its share.
fn bounds(keys: &BTreeMap<RangeKey, u64>, size: u64) -> Vec<RangeKey> {
    let total: u64 = keys.values().sum();
    let ranges = total.div_ceil(size).max(1);
    let mut out: Vec<RangeKey> = Vec::new();
    let mut before = 0;
    for (key, count) in keys {
        let share = (out.len() as u64 + 1) * total;
        if before > 0 && before * ranges >= share {
            out.push(key.clone());
        }
        before += count;
    }
    out
}

/// The smallest hashes seen, for an estimate of how many there are.
#[derive(Default)]
struct Smallest(BTreeSet<u64>);

const SMALLEST_KEPT: usize = 1 << 14;

impl Smallest {
    fn add(&mut self, hash: u64) {
        if self.0.len() >= SMALLEST_KEPT && self.0.last().is_some_and(|largest| hash >= *largest) {
            return;
        }
        if self.0.insert(hash) && self.0.len() > SMALLEST_KEPT {
            self.0.pop_last();
        }
    }

    fn estimate(&self) -> u64 {
        match self.0.last() {
            Some(largest) if self.0.len() >= SMALLEST_KEPT => {
                let part = *largest as f64 / u64::MAX as f64;
                ((SMALLEST_KEPT - 1) as f64 / part) as u64
            }
            _ => self.0.len() as u64,
        }
    }
}
