//! `index_parallel` with hashed or range partitions, for perfect rollup (`PartialHashSegmentGenerateParallelIndexTaskRunner` and
//! its kin): what the partitions depend on is collected where it is not given, then every subtask cuts its rows into parts, and
//! at last the parts of each segment are merged. Parts wait in deep storage (`deepstore` intermediary data), so that a
//! worker that goes takes nothing with it.

use std::collections::BTreeMap;

use ovate_base::segment::{DataSegment, ShardSpec};
use ovate_base::{DruidError, Interval, Result};
use serde_json::{Map, Value, json};

use super::dynamic::{segments_of, with_source};
use super::phase::{PhaseSpec, Phases};
use crate::append::{Collector, Meter, Partitioning};
use crate::spec::{MergeSpec, PartitionsSpec};
use crate::task::locks::ChunkClaims;

/// What the three phases share.
pub struct Rollup<'a> {
    pub phases: Phases<'a>,
    pub spec: Value,
    pub splits: Vec<Value>,
    pub claims: &'a ChunkClaims,
    pub partitions: &'a PartitionsSpec,
    pub meter: &'a Meter,
    /// `totalNumMergeTasks`.
    pub merge_tasks: usize,
}

/// Runs the phases; `shard_spec` names the one of a chunk's buckets in use. Gives the segments, ready to be published.
pub fn supervise_rollup(
    rollup: &Rollup<'_>,
    collector: Collector,
    shard_spec: impl Fn(&Partitioning, Interval, &[u32], usize) -> ShardSpec,
) -> Result<Vec<DataSegment>> {
    let partitioning = rollup.partitioning(collector)?;
    let parts = rollup.generate(&partitioning)?;
    let result = rollup.merge(&partitioning, &parts, shard_spec);
    rollup.clear(parts);
    result
}

/// Parts by chunk and bucket.
type Parts = BTreeMap<Interval, BTreeMap<u32, Vec<DataSegment>>>;

impl Rollup<'_> {
    fn is_range(&self) -> bool {
        matches!(self.partitions, PartitionsSpec::Range { .. })
    }

    /// The subtasks of a phase that reads the input.
    fn reading(&self, more: &Map<String, Value>) -> Vec<Map<String, Value>> {
        let part = |split: &Value| {
            let mut part = Map::from_iter([("spec".to_owned(), with_source(&self.spec, split.clone()))]);
            part.extend(more.clone());
            part
        };
        self.splits.iter().map(part).collect()
    }

    /// The first phase, where the partitions depend on the rows.
    fn partitioning(&self, mut collector: Collector) -> Result<Partitioning> {
        let (name, task_type) = match self.partitions {
            PartitionsSpec::Dynamic { .. } | PartitionsSpec::Hashed { num_shards: Some(_), .. } => {
                return Ok(Partitioning::default());
            }
            PartitionsSpec::Hashed { num_shards: None, .. } => ("partial dimension cardinality", "partial_dimension_cardinality"),
            PartitionsSpec::Range { .. } => ("partial dimension distribution", "partial_dimension_distribution"),
        };
        let phase = PhaseSpec { name, task_type, parts: self.reading(&Map::new()) };
        self.phases.run(phase, |report| {
            self.meter.add(&report["taskReport"]["ingestionStatsAndErrors"]["payload"]);
            collector.join_json(&report["distribution"])
        })?;
        Ok(collector.finish())
    }

    fn generate(&self, partitioning: &Partitioning) -> Result<Parts> {
        let task_type = if self.is_range() { "partial_range_index_generate" } else { "partial_index_generate" };
        let more = Map::from_iter([("partitioning".to_owned(), partitioning.to_json())]);
        let phase = PhaseSpec { name: "partial segment generation", task_type, parts: self.reading(&more) };
        let reports = self.phases.run(phase, |report| {
            for (interval, _, _) in parts_of(report)? {
                self.claims.lock(interval)?;
            }
            self.meter.add(&report["taskReport"]["ingestionStatsAndErrors"]["payload"]);
            Ok(())
        })?;
        let mut parts = Parts::new();
        for report in &reports {
            for (interval, bucket, segment) in parts_of(report)? {
                parts.entry(interval).or_default().entry(bucket).or_default().push(segment);
            }
        }
        Ok(parts)
    }

    fn merge(
        &self,
        partitioning: &Partitioning,
        parts: &Parts,
        shard_spec: impl Fn(&Partitioning, Interval, &[u32], usize) -> ShardSpec,
    ) -> Result<Vec<DataSegment>> {
        let mut merges = Vec::new();
        for (interval, buckets) in parts {
            let version = self.claims.lock(*interval)?.version;
            let used: Vec<u32> = buckets.keys().copied().collect();
            for (at, parts) in buckets.values().enumerate() {
                let shard_spec = shard_spec(partitioning, *interval, &used, at);
                merges.push(MergeSpec { interval: *interval, version: version.clone(), shard_spec, parts: parts.clone() });
            }
        }
        if merges.is_empty() {
            return Ok(Vec::new());
        }
        // Each merging subtask gets about as many segments as any other.
        let mut shares: Vec<Vec<Value>> = vec![Vec::new(); self.merge_tasks.clamp(1, merges.len())];
        let count = shares.len();
        for (number, merge) in merges.iter().enumerate() {
            shares[number % count].push(merge.to_json());
        }
        let nothing = with_source(&self.spec, json!({"type": "inline", "data": ""}));
        let mut spec = nothing;
        if spec["ioConfig"]["inputFormat"].is_null() {
            spec["ioConfig"]["inputFormat"] = json!({"type": "json"});
        }
        let part = |share| Map::from_iter([("spec".to_owned(), spec.clone()), ("partitions".to_owned(), Value::Array(share))]);
        let phase = PhaseSpec {
            name: "partial segment merge",
            task_type: "partial_index_generic_merge",
            parts: shares.into_iter().map(part).collect(),
        };
        let reports = self.phases.run(phase, |_| Ok(()))?;
        let mut segments = Vec::new();
        for report in &reports {
            segments.extend(segments_of(report)?);
        }
        if segments.len() != merges.len() {
            return Err(DruidError::runtime(format!("[{}] segments were merged, not [{}]", segments.len(), merges.len())));
        }
        Ok(segments)
    }

    /// Parts are not needed any more, however the merge went.
    fn clear(&self, parts: Parts) {
        for segment in parts.into_values().flat_map(BTreeMap::into_values).flatten() {
            if let Err(error) = self.phases.handle.block_on(self.phases.env.storage.kill(&segment)) {
                tracing::warn!("cannot delete a part. segment={} error={error}", segment.id());
            }
        }
    }
}

/// The parts that a `generated_partitions` report names: chunk, bucket, and where they are.
fn parts_of(report: &Value) -> Result<Vec<(Interval, u32, DataSegment)>> {
    let damaged = || DruidError::invalid_input("a subtask told damaged parts");
    let part = |json: &Value| {
        let interval = Interval::parse(json["interval"].as_str().ok_or_else(damaged)?)?;
        let bucket = json["bucketId"].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(damaged)?;
        Ok((interval, bucket, DataSegment::from_json(&json["part"])?))
    };
    report["partitions"].as_array().into_iter().flatten().map(part).collect()
}
