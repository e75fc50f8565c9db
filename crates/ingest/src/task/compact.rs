//! `compact` (CMP-01): an index task over a datasource's own segments. Dimensions, metrics, granularity and rollup that the
//! task does not name are those of the segments (`CompactionTask.createDataSchema`).

use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Interval, Result};
use ovate_compute::ColumnSource;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_segment::incremental::DimensionSchema;
use ovate_segment::merge::MergeSchema;
use ovate_segment::read::ProjectionSchema;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::TaskEnv;
use super::index;
use super::locks::ChunkClaims;
use super::report::Reports;
use crate::append::Meter;
use crate::source::segments::SegmentInput;
use crate::spec::compact::CompactSpec;
use crate::spec::dimensions::DimensionsSpec;
use crate::spec::granularity::GranularitySpec;
use crate::spec::timestamp::TimestampSpec;
use crate::spec::transform::TransformSpec;
use crate::spec::{DataSchema, IndexSpecs, InputSource, IoConfig, ProjectionSpec, TaskSpec};

/// Runs the task on the calling thread, which must not be one of the runtime's own.
pub fn run(
    task: &TaskSpec,
    spec: &CompactSpec,
    env: &TaskEnv,
    handle: Handle,
    meter: Arc<Meter>,
    reports: Arc<Reports>,
) -> Result<()> {
    lock_chunks(task, spec, env, &handle)?;
    let segments = index::read_segments(&spec.data_source, spec.interval, env, &handle)?;
    if segments.is_empty() {
        tracing::warn!("no segments to compact. task={} interval={}", task.id, spec.interval);
        return Ok(());
    }
    let specs = index_specs(spec, &segments)?;
    index::run(task, &specs, Some(segments), env, handle, meter, reports)
}

/// How often chunks are looked at again when new ones appear while the known ones are being locked.
const LOOKS_MAX: usize = 10;

/// Locks every chunk that will be rewritten before its segments are listed, lest rows that are added meanwhile get lost.
fn lock_chunks(task: &TaskSpec, spec: &CompactSpec, env: &TaskEnv, handle: &Handle) -> Result<()> {
    let granularity = GranularitySpec {
        segment: spec.segment_granularity.clone(),
        query: Granularity::None,
        rollup: false,
        intervals: Vec::new(),
    };
    let claims = ChunkClaims::new(task, &granularity, false, env.actions.clone(), handle.clone());
    let mut locked: Vec<Interval> = Vec::new();
    for _ in 0..LOOKS_MAX {
        let used = index::used_segments(&spec.data_source, spec.interval, env, handle)?;
        let mut wanted = joined(used.iter().map(|segment| segment.interval).collect());
        if let Some(granularity) = &spec.segment_granularity {
            let of = GranularitySpec { segment: Some(granularity.clone()), intervals: wanted, ..granularity_of_nothing() };
            wanted = of.chunks(super::locks::TIME_CHUNKS_MAX)?;
        }
        wanted.retain(|chunk| !locked.iter().any(|known| known.encloses(chunk)));
        if wanted.is_empty() {
            return Ok(());
        }
        for chunk in wanted {
            claims.lock(chunk)?;
            locked.push(chunk);
        }
    }
    Err(DruidError::conflict(format!("time chunks of [{}] keep changing while they are being locked", spec.data_source)))
}

fn granularity_of_nothing() -> GranularitySpec {
    GranularitySpec { segment: None, query: Granularity::None, rollup: false, intervals: Vec::new() }
}

/// The index task that does the work.
fn index_specs(spec: &CompactSpec, segments: &[SegmentInput]) -> Result<IndexSpecs> {
    let metrics = match &spec.metrics {
        Some(metrics) => metrics.clone(),
        None => stored_metrics(segments)?,
    };
    let dimensions = match &spec.dimensions {
        Some(given) if !given.dimensions.is_empty() || given.use_schema_discovery => given.clone(),
        _ => DimensionsSpec { dimensions: stored_dimensions(segments, &metrics), ..DimensionsSpec::default() },
    };
    let rolled_up = segments.iter().all(|input| input.segment.metadata().rollup == Some(true));
    let granularity = GranularitySpec {
        segment: spec.segment_granularity.clone(),
        query: match &spec.query_granularity {
            Some(query) => query.clone(),
            None => stored_query_granularity(segments),
        },
        rollup: spec.rollup.unwrap_or(rolled_up),
        intervals: match spec.segment_granularity {
            Some(_) if spec.drop_existing => vec![spec.interval],
            Some(_) => Vec::new(),
            None => chunks(segments),
        },
    };
    let schema = DataSchema {
        data_source: spec.data_source.clone(),
        timestamp: TimestampSpec::from_json(Some(&json!({"column": "__time", "format": "millis"})))?,
        dimensions,
        metrics,
        granularity,
        transform: match &spec.filter {
            Some(filter) => TransformSpec::from_json(Some(&json!({"filter": filter})))?,
            None => TransformSpec::default(),
        },
        projections: match &spec.projections {
            Some(projections) => projections.clone(),
            None => stored_projections(segments)?,
        },
    };
    let source =
        InputSource::Druid { data_source: spec.data_source.clone(), interval: spec.interval, filter: None, segments: None };
    let io = IoConfig {
        source,
        format: None,
        append_to_existing: false,
        drop_existing: spec.drop_existing && spec.segment_granularity.is_some(),
    };
    Ok(IndexSpecs { schema, io, tuning: spec.tuning.clone() })
}

/// The segments' own time chunks; ones that overlap are joined.
fn chunks(segments: &[SegmentInput]) -> Vec<Interval> {
    joined(segments.iter().map(|input| input.descriptor.interval).collect())
}

fn joined(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_by_key(|interval| (interval.start, interval.end));
    let mut out: Vec<Interval> = Vec::new();
    for interval in intervals {
        match out.last_mut() {
            Some(last) if last.overlaps(&interval) => last.end = last.end.max(interval.end),
            _ => out.push(interval),
        }
    }
    out
}

/// Aggregators that go on from the stored partial results; those of the newest segment that names any.
fn stored_metrics(segments: &[SegmentInput]) -> Result<Vec<AggregatorSpec>> {
    let mut out: Vec<AggregatorSpec> = Vec::new();
    for input in segments.iter().rev() {
        for json in input.segment.metadata().aggregators.iter().flatten() {
            let metric = AggregatorSpec::from_json(json)?.combining();
            if !out.iter().any(|known| known.name() == metric.name()) {
                out.push(metric);
            }
        }
    }
    Ok(out)
}

/// Projections of the newest segment that has any.
fn stored_projections(segments: &[SegmentInput]) -> Result<Vec<ProjectionSpec>> {
    let Some(input) = segments.iter().rev().find(|input| !input.segment.projections().is_empty()) else { return Ok(Vec::new()) };
    let one = |stored: ProjectionSchema| {
        let virtuals = stored.virtual_columns.iter();
        let made = |name: &String| virtuals.clone().find(|column| column["name"] == name.as_str());
        let column = |name: &String| {
            let column_type = match made(name) {
                Some(column) => column["outputType"].as_str().unwrap_or("STRING").to_owned(),
                None if name == "__time" => "LONG".to_owned(),
                None => input.segment.capabilities(name).map_or("STRING".to_owned(), |c| c.column_type.to_string()),
            };
            let kind = column_type.to_ascii_lowercase();
            // Others were written by Druid and cannot be written again here; the error names them.
            let kind = if ["string", "long", "float", "double"].contains(&kind.as_str()) { kind } else { "auto".to_owned() };
            json!({"type": kind, "name": name})
        };
        ProjectionSpec::from_json(&json!({
            "type": "aggregate",
            "name": stored.name,
            "filter": stored.filter,
            "virtualColumns": stored.virtual_columns,
            "groupingColumns": stored.grouping_columns.iter().map(column).collect::<Vec<_>>(),
            "aggregators": stored.aggregators,
        }))
    };
    input.segment.projections().into_iter().map(one).collect()
}

/// Dimensions in the order of the newest segments, older ones' behind.
fn stored_dimensions(segments: &[SegmentInput], metrics: &[AggregatorSpec]) -> Vec<DimensionSchema> {
    let mut out: Vec<DimensionSchema> = Vec::new();
    for input in segments.iter().rev() {
        for name in input.segment.dimensions() {
            let known = out.iter().any(|d| *d.name == **name) || metrics.iter().any(|m| m.name() == name) || name == "__time";
            if let (false, Some(capabilities)) = (known, input.segment.capabilities(name)) {
                out.push(MergeSchema::dimension_of(name, &capabilities.column_type));
            }
        }
    }
    out
}

/// The finest one, NONE where some segment does not say.
fn stored_query_granularity(segments: &[SegmentInput]) -> Granularity {
    let of = |input: &SegmentInput| {
        let json = input.segment.metadata().query_granularity.clone().unwrap_or(Value::Null);
        Granularity::from_json(&json).unwrap_or(Granularity::None)
    };
    let mut finest = of(&segments[0]);
    for input in &segments[1..] {
        let next = of(input);
        if next.is_finer_than(&finest) {
            finest = next;
        }
    }
    finest
}
