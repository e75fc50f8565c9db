//! `index_parallel` with dynamic partitions (`SinglePhaseParallelIndexTaskRunner`): one phase of `single_phase_sub_task`s, each of
//! which pushes the segments of its split. Where existing segments are replaced, the supervisor numbers the new ones, so that
//! numbers have no gaps whatever attempts failed.

use std::collections::BTreeMap;

use ovate_base::segment::{DataSegment, ShardSpec};
use ovate_base::{DruidError, Interval, Result};
use serde_json::{Map, Value, json};

use super::phase::{PhaseSpec, Phases};
use crate::append::Meter;
use crate::task::locks::ChunkClaims;

/// Has subtasks read `splits` by the rest of `spec`; gives the segments that they pushed, ready to be published.
pub fn supervise(
    phases: &Phases<'_>,
    spec: &Value,
    splits: Vec<Value>,
    claims: &ChunkClaims,
    append: bool,
    meter: &Meter,
) -> Result<Vec<DataSegment>> {
    let part = |split| Map::from_iter([("spec".to_owned(), with_source(spec, split))]);
    let phase = PhaseSpec {
        name: "segment generation",
        task_type: "single_phase_sub_task",
        parts: splits.into_iter().map(part).collect(),
    };
    let reports = phases.run(phase, |report| {
        // The group shares its locks, so these are granted at once; they outlive the subtask's own.
        for segment in segments_of(report)? {
            let lock = claims.lock(segment.interval)?;
            if !append && *lock.version != *segment.version {
                let message = format!("segment [{}] was made under another lock than [{}]", segment.id(), lock.version);
                return Err(DruidError::conflict(message));
            }
        }
        meter.add(&report["taskReport"]["ingestionStatsAndErrors"]["payload"]);
        Ok(())
    })?;
    let mut segments = Vec::new();
    for report in &reports {
        segments.extend(segments_of(report)?);
    }
    if !append {
        number(&mut segments);
    }
    Ok(segments)
}

/// The spec of a subtask: that of the supervisor over one split.
pub fn with_source(spec: &Value, source: Value) -> Value {
    let mut spec = spec.clone();
    spec["ioConfig"]["inputSource"] = source;
    if let Some(io) = spec["ioConfig"].as_object_mut() {
        // Tombstones are the supervisor's affair.
        io.remove("dropExisting");
    }
    spec
}

/// The segments that a `pushed_segments` report names.
pub fn segments_of(report: &Value) -> Result<Vec<DataSegment>> {
    report["newSegments"].as_array().into_iter().flatten().map(DataSegment::from_json).collect()
}

/// Numbers the segments of each chunk from 0; all of them make up its core partitions.
fn number(segments: &mut [DataSegment]) {
    let mut counts: BTreeMap<Interval, i32> = BTreeMap::new();
    for segment in segments.iter() {
        *counts.entry(segment.interval).or_default() += 1;
    }
    let mut next: BTreeMap<Interval, i32> = BTreeMap::new();
    for segment in segments {
        let number = next.entry(segment.interval).or_default();
        segment.shard_spec = ShardSpec::Numbered { partition_num: *number, partitions: counts[&segment.interval] };
        *number += 1;
    }
}

/// The `spec` of an index task that does what a task of another type asks for.
pub fn index_spec_json(specs: &crate::spec::IndexSpecs) -> Value {
    let schema = &specs.schema;
    json!({
        "dataSchema": {
            "dataSource": schema.data_source,
            "timestampSpec": schema.timestamp.to_json(),
            "dimensionsSpec": schema.dimensions.to_json(),
            "metricsSpec": schema.metrics.iter().map(|metric| metric.to_json()).collect::<Vec<_>>(),
            "granularitySpec": schema.granularity.to_json(),
            "transformSpec": if schema.transform.is_empty() { Value::Null } else { schema.transform.to_json() },
        },
        "ioConfig": {"type": "index_parallel", "appendToExisting": specs.io.append_to_existing},
        "tuningConfig": specs.tuning.json,
    })
}
