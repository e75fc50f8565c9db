//! `index_parallel` and `index` (ING-01, ING-02): reads rows on several threads of one process, makes segments, and
//! publishes all of them in one transaction. Nothing is visible before that, so a task may be killed at any instant.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_base::segment::shard::{DimensionRange, Hashed, SingleRange};
use ovate_base::segment::{DataSegment, SegmentId, ShardSpec};
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::filter::FilterSpec;
use ovate_segment::incremental::{Discovery, IndexSchema};
use ovate_segment::write::WriteReport;
use parking_lot::Mutex;
use serde_json::json;
use tokio::runtime::Handle;

use super::TaskEnv;
use super::actions::TaskAction;
use super::lock::LockType;
use super::locks::ChunkClaims;
use super::parallel::{self, Phases, Rollup};
use super::report::{IngestionState, Reports};
use crate::append::{
    Assignment, Bucket, Builder, Built, Collector, Feed, Input, Meter, Part, PartKey, Partitioning, Phase, SegmentPlan, Sink,
    SinkLimits, build_segments, pack, run_feed, write as write_parts,
};
use crate::format::{Batch, Wanted};
use crate::source;
use crate::source::segments::{self, SegmentInput};
use crate::spec::io::WindowedSegment;
use crate::spec::{
    IndexSpecs, InputSource, MergeSpec, PartitionsSpec, SubTaskKind, SubTaskSpec, TaskKind, TaskSpec, TuningConfig,
};
use crate::transform::RowMaker;

/// How often it is asked whether segments are served.
const AVAILABILITY_PERIOD: Duration = Duration::from_millis(500);

/// The folder of deep storage that parts of segments wait in.
const PARTS_FOLDER: &str = "shuffle-data";

/// Everything of one run.
struct Run<'a> {
    task: &'a TaskSpec,
    specs: &'a IndexSpecs,
    env: &'a TaskEnv,
    handle: Handle,
    meter: Arc<Meter>,
    reports: Arc<Reports>,
    now_ms: i64,
    /// Segments that a compaction has pulled already.
    segments: Option<Vec<SegmentInput>>,
    /// Subtasks whose report was taken.
    reported: Mutex<Vec<String>>,
}

/// The used segments of a datasource that overlap an interval.
pub fn used_segments(data_source: &str, interval: Interval, env: &TaskEnv, handle: &Handle) -> Result<Vec<DataSegment>> {
    let list = TaskAction::SegmentListUsed {
        data_source: data_source.to_owned(),
        intervals: vec![interval],
        include_overshadowed: false,
    };
    let answer = handle.block_on(env.actions.submit(list))?;
    answer.as_array().into_iter().flatten().map(DataSegment::from_json).collect()
}

/// The visible segments of a datasource, pulled.
pub fn read_segments(data_source: &str, interval: Interval, env: &TaskEnv, handle: &Handle) -> Result<Vec<SegmentInput>> {
    let used = used_segments(data_source, interval, env, handle)?;
    segments::pull(segments::visible(&used, interval), &env.work_dir.join("segments"), &*env.storage, handle)
}

/// The segments of a split, pulled. One that is not used any more is an error: its rows would be missing.
fn read_named(data_source: &str, named: &[WindowedSegment], env: &TaskEnv, handle: &Handle) -> Result<Vec<SegmentInput>> {
    let intervals = named.iter().flat_map(|segment| &segment.intervals);
    let Some(hull) = intervals.copied().reduce(|a, b| Interval { start: a.start.min(b.start), end: a.end.max(b.end) }) else {
        return Ok(Vec::new());
    };
    let used = used_segments(data_source, hull, env, handle)?;
    let by_id: hashbrown::HashMap<String, &DataSegment> =
        used.iter().map(|segment| (segment.id().to_string(), segment)).collect();
    let mut list = Vec::new();
    for segment in named {
        let found = by_id
            .get(&segment.id)
            .ok_or_else(|| DruidError::conflict(format!("segment [{}] of the input is not used any more", segment.id)))?;
        list.extend(segment.intervals.iter().map(|interval| ((*found).clone(), *interval)));
    }
    segments::pull(list, &env.work_dir.join("segments"), &*env.storage, handle)
}

/// The meter of a task's rows.
pub fn meter(tuning: &TuningConfig) -> Arc<Meter> {
    Arc::new(Meter::new(tuning.max_parse_exceptions, tuning.max_saved_parse_exceptions, tuning.log_parse_exceptions))
}

/// Runs the task on the calling thread, which must not be one of the runtime's own. `segments` are the rows of a `druid`
/// input source where they have been pulled already.
pub fn run(
    task: &TaskSpec,
    specs: &IndexSpecs,
    segments: Option<Vec<SegmentInput>>,
    env: &TaskEnv,
    handle: Handle,
    meter: Arc<Meter>,
    reports: Arc<Reports>,
) -> Result<()> {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    Run { task, specs, env, handle, meter, reports, now_ms, segments, reported: Mutex::default() }.run()
}

/// Runs a subtask on the calling thread: what it made is reported to its supervisor.
pub fn run_subtask(
    task: &TaskSpec,
    subtask: &SubTaskSpec,
    env: &TaskEnv,
    handle: Handle,
    meter: Arc<Meter>,
    reports: Arc<Reports>,
) -> Result<()> {
    let now_ms = crate::worker::now_ms();
    let run =
        Run { task, specs: &subtask.specs, env, handle, meter, reports, now_ms, segments: None, reported: Mutex::default() };
    match &subtask.kind {
        SubTaskKind::SinglePhase => {
            let built = run.build(&run.claims())?;
            run.report_built(subtask, built)
        }
        SubTaskKind::Collect => {
            let collector = run.collect(&run.input()?)?;
            let body = json!({"type": "dimension_distribution", "taskId": task.id, "distribution": collector.to_json(),
                "taskReport": run.reports.to_json()});
            parallel::subtask::send(subtask, &body, env, &run.handle)
        }
        SubTaskKind::Generate(partitioning) => {
            let parts = run.generate(Partitioning::from_json(partitioning)?)?;
            let body = json!({"type": "generated_partitions", "taskId": task.id, "partitions": parts,
                "taskReport": run.reports.to_json()});
            parallel::subtask::send(subtask, &body, env, &run.handle)
        }
        SubTaskKind::Merge(merges) => {
            let plans = run.merge_plans(merges)?;
            let built = run.build_all(plans, &run.specs.schema.index_schema())?;
            run.report_built(subtask, built)
        }
    }
}

impl Run<'_> {
    fn run(&self) -> Result<()> {
        let claims = self.claims();
        // What replaces itself is locked before it is read, lest rows that are added meanwhile get lost.
        let replaces_itself = matches!(&self.specs.io.source, InputSource::Druid { data_source, .. } if *data_source == self.task.data_source)
            && !self.specs.io.append_to_existing;
        if replaces_itself {
            for chunk in self.specs.schema.granularity.chunks(super::locks::TIME_CHUNKS_MAX)? {
                claims.lock(chunk)?;
            }
        }
        let segments = match self.splits()? {
            Some(splits) => self.supervise(splits, &claims)?,
            None => self.build(&claims)?.into_iter().map(|built| built.segment).collect(),
        };
        self.publish(segments, &claims)?;
        parallel::await_ends(self.env, &self.handle, &self.reported.lock());
        Ok(())
    }

    fn report_built(&self, subtask: &SubTaskSpec, built: Vec<Built>) -> Result<()> {
        self.env.stop.check()?;
        let segments: Vec<DataSegment> = built.into_iter().map(|built| built.segment).collect();
        self.reports.published(segments.len() as u64);
        parallel::subtask::report_pushed(self.task, subtask, &segments, self.reports.to_json(), self.env, &self.handle)
    }

    /// Rows by bucket, each bucket's merged and pushed as a part; tells where they are.
    fn generate(&self, partitioning: Partitioning) -> Result<Vec<serde_json::Value>> {
        self.reports.state(IngestionState::BuildSegments);
        let claims = self.claims();
        let (assignment, schema) = (self.assignment(partitioning), self.specs.schema.index_schema());
        let parts = self.index_rows(&self.input()?, &assignment, &schema, &claims)?;
        let mut buckets: std::collections::BTreeMap<PartKey, Vec<Part>> = Default::default();
        for (key, part) in parts {
            buckets.entry(key).or_default().push(part);
        }
        let mut out = Vec::with_capacity(buckets.len());
        for (number, (key, parts)) in buckets.into_iter().enumerate() {
            self.env.stop.check()?;
            let dir = self.env.work_dir.join(format!("part-{number}"));
            prepare_dir(&dir)?;
            let report = write_parts(parts, &schema, &self.specs.tuning.index_spec, &dir)?;
            let shard_spec = ShardSpec::Numbered { partition_num: key.bucket as i32, partitions: 0 };
            let id = SegmentId::new(PARTS_FOLDER, key.chunk, claims.lock(key.chunk)?.version, key.bucket as i32);
            let mut part = DataSegment::new(id, shard_spec);
            (part.total_rows, part.size) = (Some(report.row_count as i64), report.size_bytes as i64);
            let part = self.handle.block_on(self.env.storage.push(&dir, &part, true))?;
            let _ = std::fs::remove_dir_all(&dir);
            out.push(json!({"interval": key.chunk, "bucketId": key.bucket, "part": part.to_json()}));
        }
        Ok(out)
    }

    /// Pulls the parts of segments that are to be merged.
    fn merge_plans(&self, merges: &[MergeSpec]) -> Result<Vec<SegmentPlan>> {
        let mut plans = Vec::with_capacity(merges.len());
        for (number, merge) in merges.iter().enumerate() {
            let mut parts = Vec::with_capacity(merge.parts.len());
            for (at, part) in merge.parts.iter().enumerate() {
                self.env.stop.check()?;
                let dir = self.env.work_dir.join(format!("pulled-{number}-{at}"));
                prepare_dir(&dir)?;
                let size_bytes = self.handle.block_on(self.env.storage.pull(part, &dir))?;
                let row_count = part.total_rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
                let report = WriteReport { row_count, dimensions: Vec::new(), metrics: Vec::new(), interval: None, size_bytes };
                parts.push(Part::Disk { dir, report });
            }
            plans.push(SegmentPlan {
                data_source: self.specs.schema.data_source.clone(),
                interval: merge.interval,
                version: merge.version.clone(),
                shard_spec: merge.shard_spec.clone(),
                parts,
                unique_path: true,
            });
        }
        Ok(plans)
    }

    fn claims(&self) -> ChunkClaims {
        let (schema, io) = (&self.specs.schema, &self.specs.io);
        let (actions, handle) = (self.env.actions.clone(), self.handle.clone());
        let claims = ChunkClaims::new(self.task, &schema.granularity, io.append_to_existing, actions, handle);
        claims.limited_to(self.specs.tuning.locks_max)
    }

    /// The parts that subtasks read; `None` when this process does all of the work.
    fn splits(&self) -> Result<Option<Vec<serde_json::Value>>> {
        if self.task.task_type == "index" || self.env.actions.cluster().is_none() || !parallel::is_parallel(self.specs) {
            return Ok(None);
        }
        let hint = &self.specs.tuning.split_hint;
        let splits = match &self.specs.io.source {
            InputSource::Druid { data_source, interval, filter, segments: None } => {
                let used = used_segments(data_source, *interval, self.env, &self.handle)?;
                Some(source::split::segments(data_source, filter.as_ref(), segments::visible(&used, *interval), hint))
            }
            other => {
                let json = match self.task.to_json().pointer("/spec/ioConfig/inputSource") {
                    Some(json) => json.clone(),
                    None => return Ok(None),
                };
                source::split::bytes(other, &json, hint, source::Lookup { storage: &*self.env.storage, handle: &self.handle })?
            }
        };
        if splits.is_none() {
            tracing::warn!("the input cannot be split, all of it is read by this task. task={}", self.task.id);
        }
        Ok(splits)
    }

    fn supervise(&self, splits: Vec<serde_json::Value>, claims: &ChunkClaims) -> Result<Vec<DataSegment>> {
        self.reports.state(IngestionState::BuildSegments);
        let tuning = &self.specs.tuning;
        let phases = Phases {
            task: self.task,
            env: self.env,
            handle: &self.handle,
            reports: &self.reports,
            running_max: tuning.max_concurrent_sub_tasks,
            retries_max: tuning.subtask_retries,
            period: tuning.status_period,
            reported: &self.reported,
        };
        let spec = match self.task.to_json().get("spec") {
            Some(spec) => spec.clone(),
            None => parallel::index_spec_json(self.specs),
        };
        if matches!(tuning.partitions, PartitionsSpec::Dynamic { .. }) {
            return parallel::supervise(&phases, &spec, splits, claims, self.specs.io.append_to_existing, &self.meter);
        }
        let (partitions, meter, merge_tasks) = (&tuning.partitions, &*self.meter, tuning.merge_tasks);
        let rollup = Rollup { phases, spec, splits, claims, partitions, meter, merge_tasks };
        parallel::supervise_rollup(&rollup, self.collector(), |partitioning, chunk, used, at| {
            self.shard_spec(&self.assignment(partitioning.clone()).bucket(&chunk), used, at)
        })
    }

    fn assignment(&self, partitioning: Partitioning) -> Assignment {
        let schema = &self.specs.schema;
        let dimensions: Vec<String> = schema.dimensions.dimensions.iter().map(|d| d.name.to_string()).collect();
        Assignment::new(&self.specs.tuning.partitions, partitioning, &schema.granularity.query, dimensions)
    }

    fn collector(&self) -> Collector {
        let schema = &self.specs.schema;
        let dimensions = schema.dimensions.dimensions.iter().map(|d| d.name.to_string()).collect();
        Collector::new(&self.specs.tuning.partitions, schema.granularity.rollup, &schema.granularity.query, dimensions)
    }

    /// Reads all input and pushes its segments.
    fn build(&self, claims: &ChunkClaims) -> Result<Vec<Built>> {
        let schema = &self.specs.schema;
        let input = self.input()?;
        let partitioning = self.determine_partitions(&input)?;
        self.reports.state(IngestionState::BuildSegments);
        let assignment = self.assignment(partitioning);
        let index_schema = schema.index_schema();
        let parts = self.index_rows(&input, &assignment, &index_schema, claims)?;
        let plans = self.plans(parts, &assignment, claims)?;
        self.build_all(plans, &index_schema)
    }

    fn build_all(&self, plans: Vec<SegmentPlan>, schema: &IndexSchema) -> Result<Vec<Built>> {
        let builder = Builder {
            schema,
            spec: &self.specs.tuning.index_spec,
            dir: &self.env.work_dir,
            storage: &*self.env.storage,
            handle: &self.handle,
            threads: self.env.threads,
            compaction_state: self.task.context_flag("storeCompactionState").then(|| self.specs.compaction_state()),
            stop: &self.env.stop,
            projections: &self.specs.schema.projections,
            now_ms: self.now_ms,
        };
        build_segments(plans, &builder)
    }

    fn input(&self) -> Result<Input> {
        let (schema, io) = (&self.specs.schema, &self.specs.io);
        let wanted = Wanted {
            columns: schema.wanted_columns(),
            nested: schema.dimensions.use_schema_discovery,
            doubles: doubles(&schema.index_schema(), &schema.transform.required_columns(), &schema.timestamp.column),
        };
        let mut input = Input {
            entities: Vec::new(),
            format: io.format.clone(),
            segments: Vec::new(),
            filter: None,
            now_ms: self.now_ms,
            wanted,
            dir: self.env.work_dir.join("fetched"),
        };
        match &io.source {
            InputSource::Druid { data_source, interval, filter, segments } => {
                input.filter = filter.as_ref().map(FilterSpec::from_json).transpose()?.map(Arc::new);
                input.segments = match (&self.segments, segments) {
                    (Some(pulled), _) => pulled.clone(),
                    (None, Some(named)) => read_named(data_source, named, self.env, &self.handle)?,
                    (None, None) => read_segments(data_source, *interval, self.env, &self.handle)?,
                };
                self.reports.read(input.segments.len() as u64);
            }
            other => {
                input.entities = source::entities(other, source::Lookup { storage: &*self.env.storage, handle: &self.handle })?
            }
        }
        Ok(input)
    }

    /// The first pass, where the partitions depend on the rows.
    fn determine_partitions(&self, input: &Input) -> Result<Partitioning> {
        let spec = &self.specs.tuning.partitions;
        match spec {
            PartitionsSpec::Dynamic { .. } | PartitionsSpec::Hashed { num_shards: Some(_), .. } => {
                return Ok(Partitioning::default());
            }
            PartitionsSpec::Hashed { num_shards: None, .. } | PartitionsSpec::Range { .. } => {}
        }
        Ok(self.collect(input)?.finish())
    }

    /// What the partitions depend on, over all rows.
    fn collect(&self, input: &Input) -> Result<Collector> {
        self.reports.state(IngestionState::DeterminePartitions);
        let feed = |_| CollectFeed {
            maker: RowMaker::new(&self.specs.schema, self.now_ms).with_lookups(self.env.lookups.clone()),
            collector: self.collector(),
            meter: &self.meter,
        };
        let feeds: Vec<CollectFeed<'_>> = (0..self.env.threads.max(1)).map(feed).collect();
        let mut all = self.collector();
        run_feed(input, feeds, &self.handle, &self.env.stop)?.into_iter().for_each(|feed| all.join(feed.collector));
        Ok(all)
    }

    fn index_rows(
        &self,
        input: &Input,
        assignment: &Assignment,
        schema: &IndexSchema,
        claims: &ChunkClaims,
    ) -> Result<Vec<(PartKey, Part)>> {
        let tuning = &self.specs.tuning;
        let threads = self.env.threads.max(1);
        let share = threads as u64;
        let limits = SinkLimits {
            rows_in_memory: (tuning.max_rows_in_memory / share).max(1),
            bytes_in_memory: (tuning.max_bytes_in_memory.unwrap_or(self.env.memory_bytes as u64) / share).max(1),
            rows_per_part: match tuning.partitions {
                PartitionsSpec::Dynamic { max_rows_per_segment } => max_rows_per_segment,
                PartitionsSpec::Hashed { .. } | PartitionsSpec::Range { .. } => u32::MAX as u64 / 2,
            },
        };
        let feeds = (0..threads).map(|number| {
            let dir = self.env.work_dir.join(format!("sink-{number}"));
            IndexFeed {
                maker: RowMaker::new(&self.specs.schema, self.now_ms).with_lookups(self.env.lookups.clone()),
                sink: Sink::new(schema.clone(), tuning.index_spec.clone(), limits.clone(), &dir),
                assignment,
                claims,
                append: self.specs.io.append_to_existing,
                claimed: hashbrown::HashSet::new(),
                meter: &self.meter,
            }
        });
        let feeds = run_feed(input, feeds.collect(), &self.handle, &self.env.stop)?;
        Ok(feeds.into_iter().flat_map(|feed| feed.sink.finish()).collect())
    }

    /// Parts by segment, with shard specs.
    fn plans(&self, parts: Vec<(PartKey, Part)>, assignment: &Assignment, claims: &ChunkClaims) -> Result<Vec<SegmentPlan>> {
        let mut chunks: std::collections::BTreeMap<Interval, std::collections::BTreeMap<u32, Vec<Part>>> = Default::default();
        for (key, part) in parts {
            chunks.entry(key.chunk).or_default().entry(key.bucket).or_default().push(part);
        }
        let mut plans = Vec::new();
        for (chunk, buckets) in chunks {
            let groups: Vec<(u32, Vec<Part>)> = match &self.specs.tuning.partitions {
                PartitionsSpec::Dynamic { max_rows_per_segment } => {
                    let parts = buckets.into_values().flatten().collect();
                    pack(parts, *max_rows_per_segment).into_iter().map(|group| (0, group)).collect()
                }
                PartitionsSpec::Hashed { .. } | PartitionsSpec::Range { .. } => buckets.into_iter().collect(),
            };
            if self.specs.io.append_to_existing {
                let ids = claims.ids(chunk, groups.len())?;
                for (allocated, (_, parts)) in ids.into_iter().zip(groups) {
                    plans.push(self.plan(chunk, allocated.id.version.to_string(), allocated.shard_spec, parts, claims));
                }
            } else {
                let version = claims.lock(chunk)?.version;
                let bucket = assignment.bucket(&chunk);
                let used: Vec<u32> = groups.iter().map(|(number, _)| *number).collect();
                for (at, (_, parts)) in groups.into_iter().enumerate() {
                    let shard_spec = self.shard_spec(&bucket, &used, at);
                    plans.push(self.plan(chunk, version.clone(), shard_spec, parts, claims));
                }
            }
        }
        Ok(plans)
    }

    fn plan(
        &self,
        interval: Interval,
        version: String,
        shard_spec: ShardSpec,
        parts: Vec<Part>,
        claims: &ChunkClaims,
    ) -> SegmentPlan {
        // Ids of subtasks are provisional, and an attempt that was given up may still push under an allocated one.
        let unique_path = claims.lock_type() == LockType::Append
            || self.specs.io.append_to_existing
            || matches!(self.task.kind, TaskKind::SubTask(_));
        SegmentPlan { data_source: self.specs.schema.data_source.clone(), interval, version, shard_spec, parts, unique_path }
    }

    /// The shard spec of the segment with number `at` of those whose buckets are `used`.
    fn shard_spec(&self, bucket: &Bucket, used: &[u32], at: usize) -> ShardSpec {
        let (partition_num, partitions) = (at as i32, used.len() as i32);
        match (&self.specs.tuning.partitions, bucket) {
            (PartitionsSpec::Hashed { dimensions, .. }, Bucket::Hashed { buckets }) => ShardSpec::Hashed(Hashed {
                partition_num,
                partitions,
                bucket_id: used[at] as i32,
                num_buckets: *buckets as i32,
                partition_dimensions: dimensions.clone(),
                partition_function: Some("murmur3_32_abs".to_owned()),
            }),
            (PartitionsSpec::Range { dimensions, single, .. }, Bucket::Ranges { bounds }) => {
                // Ranges without rows join the next one, so that the ranges of a chunk have no gaps.
                let number = used[at] as usize;
                let before = if at == 0 { None } else { used.get(at - 1).map(|n| *n as usize) };
                let start = before.map(|before| bounds[before].clone());
                let end = if at + 1 == used.len() { None } else { bounds.get(number).cloned() };
                if *single {
                    let first = |key: Option<Vec<Option<String>>>| key.and_then(|key| key.into_iter().next().flatten());
                    ShardSpec::Single(SingleRange {
                        dimension: dimensions[0].clone(),
                        start: first(start),
                        end: first(end),
                        partition_num,
                        num_core_partitions: Some(partitions),
                    })
                } else {
                    ShardSpec::Range(DimensionRange {
                        dimensions: dimensions.clone(),
                        start,
                        end,
                        partition_num,
                        num_core_partitions: Some(partitions),
                        virtual_columns: None,
                    })
                }
            }
            _ => ShardSpec::Numbered { partition_num, partitions },
        }
    }

    fn publish(&self, mut segments: Vec<DataSegment>, claims: &ChunkClaims) -> Result<()> {
        self.env.stop.check()?;
        if self.specs.io.drop_existing {
            segments.extend(self.tombstones(&segments, claims)?);
        }
        let count = segments.len() as u64;
        let published = segments.clone();
        if segments.is_empty() {
            tracing::warn!("no rows, nothing to publish. task={}", self.task.id);
        } else {
            let segments = segments.iter().map(DataSegment::to_json).collect();
            let nothing = serde_json::Value::Null;
            let action = match claims.lock_type() {
                LockType::Append => {
                    TaskAction::SegmentTransactionalAppend { segments, start_metadata: nothing.clone(), end_metadata: nothing }
                }
                LockType::Replace => TaskAction::SegmentTransactionalReplace { segments },
                LockType::Exclusive | LockType::Shared => TaskAction::SegmentTransactionalInsert {
                    segments,
                    data_source: Some(self.task.data_source.clone()),
                    start_metadata: nothing.clone(),
                    end_metadata: nothing,
                },
            };
            self.handle.block_on(self.env.actions.publish(action))?;
        }
        self.reports.published(count);
        self.await_availability(&published);
        Ok(())
    }

    /// Waits until the segments are served, as long as the task asks for; the task has succeeded either way.
    fn await_availability(&self, segments: &[DataSegment]) {
        let limit = Duration::from_millis(self.specs.tuning.await_availability_ms);
        if limit.is_zero() {
            return;
        }
        self.reports.state(IngestionState::SegmentAvailabilityWait);
        let started = Instant::now();
        let mut waiting: Vec<&DataSegment> = segments.iter().filter(|segment| !segment.is_tombstone()).collect();
        while !waiting.is_empty() && started.elapsed() < limit && !self.env.stop.is_stopped() {
            waiting.retain(|segment| match self.handle.block_on(self.env.actions.is_served(segment)) {
                Ok(served) => !served,
                Err(error) => {
                    tracing::debug!("cannot ask whether a segment is served. segment={} error={error}", segment.id());
                    true
                }
            });
            if !waiting.is_empty() {
                std::thread::sleep(AVAILABILITY_PERIOD.min(limit));
            }
        }
        self.reports.availability(waiting.is_empty(), started.elapsed().as_millis() as u64);
    }

    /// Tombstones for chunks of the spec's intervals that had data and got none (LIF-05, `TombstoneHelper`).
    fn tombstones(&self, new: &[DataSegment], claims: &ChunkClaims) -> Result<Vec<DataSegment>> {
        let granularity = &self.specs.schema.granularity;
        let list = TaskAction::SegmentListUsed {
            data_source: self.task.data_source.clone(),
            intervals: granularity.intervals.clone(),
            include_overshadowed: false,
        };
        let answer = self.handle.block_on(self.env.actions.submit(list))?;
        let used: Vec<DataSegment> =
            answer.as_array().into_iter().flatten().map(DataSegment::from_json).collect::<Result<_>>()?;
        let mut out = Vec::new();
        for chunk in granularity.chunks(super::locks::TIME_CHUNKS_MAX)? {
            let replaced = new.iter().any(|segment| segment.interval.overlaps(&chunk));
            if replaced || !used.iter().any(|segment| !segment.is_tombstone() && segment.interval.overlaps(&chunk)) {
                continue;
            }
            let version = claims.lock(chunk)?.version;
            let id = SegmentId::new(self.task.data_source.as_str(), chunk, version, 0);
            let mut tombstone = DataSegment::new(id, ShardSpec::Tombstone);
            tombstone.load_spec = Some(serde_json::json!({"path": null, "type": "tombstone"}));
            tombstone.binary_version = None;
            tombstone.size = 1;
            tombstone.total_rows = Some(0);
            out.push(tombstone);
        }
        Ok(out)
    }
}

/// Fields that are only ever read as DOUBLE or FLOAT: double dimensions that nothing else reads.
fn doubles(
    schema: &IndexSchema,
    transforms: &std::collections::BTreeSet<String>,
    timestamp: &str,
) -> std::collections::BTreeSet<String> {
    use ovate_segment::incremental::DimensionKind;
    if schema.discovery != Discovery::Off {
        return Default::default();
    }
    let numeric =
        |name: &str| schema.dimensions.iter().find(|d| &*d.name == name).is_some_and(|d| matches!(d.kind, DimensionKind::Double));
    let names = schema.dimensions.iter().map(|d| d.name.to_string()).filter(|name| numeric(name));
    names.filter(|name| !transforms.contains(name) && name != timestamp).collect()
}

struct CollectFeed<'a> {
    maker: RowMaker,
    collector: Collector,
    meter: &'a Meter,
}

impl Feed for CollectFeed<'_> {
    fn take(&mut self, batch: Batch) -> Result<()> {
        let rows = self.maker.rows(batch)?;
        for bad in &rows.batch.bad {
            self.meter.unparseable(Phase::DeterminePartitions, &bad.input, &bad.message)?;
        }
        let count: usize = rows.chunks.iter().map(|(_, rows)| rows.len()).sum();
        let totals = self.meter.totals(Phase::DeterminePartitions);
        totals.processed.fetch_add(count as u64, std::sync::atomic::Ordering::Relaxed);
        totals.processed_bytes.fetch_add(rows.batch.bytes, std::sync::atomic::Ordering::Relaxed);
        totals.thrown_away.fetch_add(rows.thrown_away, std::sync::atomic::Ordering::Relaxed);
        self.collector.add(&rows)
    }
}

struct IndexFeed<'a> {
    maker: RowMaker,
    sink: Sink,
    assignment: &'a Assignment,
    claims: &'a ChunkClaims,
    append: bool,
    claimed: hashbrown::HashSet<Interval>,
    meter: &'a Meter,
}

impl Feed for IndexFeed<'_> {
    fn take(&mut self, batch: Batch) -> Result<()> {
        let mut rows = self.maker.rows(batch)?;
        if self.append {
            self.claims.place(&mut rows)?;
        } else {
            for (chunk, _) in &rows.chunks {
                if self.claimed.insert(*chunk) {
                    self.claims.lock(*chunk)?;
                }
            }
        }
        self.sink.add(rows, self.assignment, self.meter)
    }
}

/// Makes the task's directory.
pub fn prepare_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| DruidError::runtime(format!("cannot create [{}]: {e}", dir.display())))
}
