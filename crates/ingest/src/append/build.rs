//! Parts into published-to-be segments: grouped, merged where there are several, and pushed to deep storage. Each segment
//! is worked on by one thread.

use std::path::Path;
use std::sync::Arc;

use ovate_base::segment::{DataSegment, SegmentId, ShardSpec};
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::ColumnSource;
use ovate_segment::Segment;
use ovate_segment::incremental::IndexSchema;
use ovate_segment::merge::{MergeSchema, merge};
use ovate_segment::write::{IndexSpec, WriteReport};
use ovate_store::deep::DeepStorage;
use serde_json::Value;
use tokio::runtime::Handle;

use super::projection::add_projections;
use super::sink::Part;
use crate::spec::ProjectionSpec;
use crate::task::StopFlag;

/// A segment to be made.
pub struct SegmentPlan {
    pub data_source: String,
    pub interval: Interval,
    pub version: String,
    pub shard_spec: ShardSpec,
    pub parts: Vec<Part>,
    /// The path in deep storage carries a random id, because other tasks may make the same segment id.
    pub unique_path: bool,
}

/// A segment that is in deep storage and not yet published.
pub struct Built {
    pub segment: DataSegment,
    pub rows: u64,
}

/// What all segments of a task share.
pub struct Builder<'a> {
    pub schema: &'a IndexSchema,
    pub spec: &'a IndexSpec,
    /// For files on their way to deep storage.
    pub dir: &'a Path,
    pub storage: &'a dyn DeepStorage,
    pub handle: &'a Handle,
    pub threads: usize,
    /// `lastCompactionState` of the segments (`storeCompactionState` of the context).
    pub compaction_state: Option<Value>,
    pub stop: &'a StopFlag,
    pub projections: &'a [ProjectionSpec],
    pub now_ms: i64,
}

/// Makes and pushes all segments; the first error stops the others.
pub fn build_segments(plans: Vec<SegmentPlan>, builder: &Builder<'_>) -> Result<Vec<Built>> {
    let count = plans.len();
    let queue = parking_lot::Mutex::new(plans.into_iter().enumerate());
    let done = parking_lot::Mutex::new(Vec::with_capacity(count));
    let failed: parking_lot::Mutex<Option<DruidError>> = parking_lot::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..builder.threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    if failed.lock().is_some() {
                        return;
                    }
                    let Some((number, plan)) = queue.lock().next() else { return };
                    let dir = builder.dir.join(format!("segment-{number}"));
                    let result = builder.stop.check().and_then(|()| build(plan, builder, &dir));
                    match result {
                        Ok(built) => done.lock().push((number, built)),
                        Err(error) => {
                            failed.lock().get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    let mut done = done.into_inner();
    done.sort_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, built)| built).collect())
}

fn build(plan: SegmentPlan, builder: &Builder<'_>, dir: &Path) -> Result<Built> {
    let mut parts = plan.parts;
    // A part that is alone on disk is the segment.
    let (dir, mut report) = match (parts.pop(), parts.is_empty()) {
        (Some(Part::Disk { dir, report }), true) => (dir, report),
        (last, _) => {
            parts.extend(last);
            std::fs::create_dir_all(dir).map_err(|e| DruidError::runtime(format!("cannot create [{}]: {e}", dir.display())))?;
            (dir.to_owned(), write(parts, builder.schema, builder.spec, dir)?)
        }
    };
    if !builder.projections.is_empty() {
        report.size_bytes = add_projections(&dir, builder.projections, builder.spec, builder.now_ms)?;
    }
    let id = SegmentId::new(plan.data_source, plan.interval, plan.version, plan.shard_spec.partition_num());
    let mut segment = DataSegment::new(id, plan.shard_spec);
    segment.last_compaction_state = builder.compaction_state.clone();
    if !builder.projections.is_empty() {
        segment.projections = Some(builder.projections.iter().map(|projection| projection.name.clone()).collect());
    }
    segment.dimensions = report.dimensions;
    segment.metrics = report.metrics;
    segment.total_rows = Some(report.row_count as i64);
    segment.size = report.size_bytes as i64;
    let segment = builder.handle.block_on(builder.storage.push(&dir, &segment, plan.unique_path))?;
    // The task's directory is deleted anyway; this only frees the disk earlier.
    let _ = std::fs::remove_dir_all(&dir);
    Ok(Built { segment, rows: report.row_count })
}

/// Writes parts as one segment into `dir`, without pushing it.
pub fn write(mut parts: Vec<Part>, schema: &IndexSchema, spec: &IndexSpec, dir: &Path) -> Result<WriteReport> {
    if let [Part::Memory(index)] = &mut parts[..] {
        return index.persist(dir, spec);
    }
    let mut sources: Vec<Arc<dyn ColumnSource>> = Vec::with_capacity(parts.len());
    let mut spilled = Vec::new();
    for part in parts {
        match part {
            Part::Memory(mut index) => sources.push(index.freeze()?),
            Part::Disk { dir, .. } => {
                sources.push(Arc::new(Segment::open(&dir)?));
                spilled.push(dir);
            }
        }
    }
    let report = merge(&sources, &MergeSchema::of(schema), spec, dir)?;
    drop(sources);
    for dir in spilled {
        // The task's directory is deleted anyway; this only frees the disk earlier.
        let _ = std::fs::remove_dir_all(dir);
    }
    Ok(report)
}

/// Packs parts of one chunk into groups of no more rows than `limit`, in order of size, so that few segments are made.
pub fn pack(mut parts: Vec<Part>, limit: u64) -> Vec<Vec<Part>> {
    parts.sort_by_key(|part| std::cmp::Reverse(part.rows()));
    let mut groups: Vec<(u64, Vec<Part>)> = Vec::new();
    for part in parts {
        let rows = part.rows();
        match groups.iter_mut().find(|(own, _)| own + rows <= limit) {
            Some((own, group)) => {
                *own += rows;
                group.push(part);
            }
            None => groups.push((rows, vec![part])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
