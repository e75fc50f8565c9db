//! The segments that a Historical can answer for now, by table, and the change log that tells the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use ovate_base::{DataSegment, Interval, Result, Timeline};
use ovate_query::{SegmentDescriptor, SegmentMeta, SegmentRef};
use ovate_segment::Segment;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use super::changes::{Change, ChangeLog};
use crate::data_server::SegmentSchema;

/// One announced segment.
pub struct ServedSegment {
    pub id: Arc<str>,
    pub data_segment: DataSegment,
    /// Empty until the first query, where a start does not open what it announces.
    rows: OnceLock<OpenRows>,
    /// Held by who opens it.
    opening: Mutex<()>,
}

/// What a segment has to answer with.
pub enum OpenRows {
    /// A tombstone.
    None,
    Open {
        source: Arc<Segment>,
        meta: Option<Arc<SegmentMeta>>,
    },
}

/// Descriptors by what can be done about them.
#[derive(Default)]
pub struct Resolved {
    pub found: Vec<SegmentRef>,
    /// Not here.
    pub missing: Vec<SegmentDescriptor>,
    /// Here, but nobody has opened them yet.
    pub unopened: Vec<Arc<ServedSegment>>,
}

type ByPartition = BTreeMap<(String, i32), Vec<Arc<ServedSegment>>>;

/// All announced segments of one server.
pub struct ServedSegments {
    tables: RwLock<HashMap<String, ByPartition>>,
    log: ChangeLog,
}

impl ServedSegments {
    /// None yet; `life` tells this life of the server from others (its start in milliseconds).
    pub fn new(life: i64) -> Self {
        ServedSegments { tables: RwLock::default(), log: ChangeLog::new(life) }
    }

    /// The log that followers poll.
    pub fn log(&self) -> &ChangeLog {
        &self.log
    }

    /// Announces segments that can answer now; one already announced stays as it is.
    pub fn announce(&self, segments: Vec<ServedSegment>) {
        let mut tables = self.tables.write();
        let mut changes = Vec::with_capacity(segments.len());
        for segment in segments {
            let partitions = tables.entry(segment.data_segment.data_source.to_string()).or_default();
            let same = partitions
                .entry((segment.data_segment.version.to_string(), segment.data_segment.shard_spec.partition_num()))
                .or_default();
            if same.iter().any(|other| other.data_segment.interval == segment.data_segment.interval) {
                continue;
            }
            changes.push(Change { action: "load", segment: segment.data_segment.to_json() });
            same.push(Arc::new(segment));
        }
        self.log.append(changes);
    }

    /// Takes a segment back; queries that hold it go on. False when it was not there.
    pub fn withdraw(&self, data_segment: &DataSegment) -> bool {
        let mut tables = self.tables.write();
        let Some(partitions) = tables.get_mut(&*data_segment.data_source) else { return false };
        let key = (data_segment.version.to_string(), data_segment.shard_spec.partition_num());
        let Some(same) = partitions.get_mut(&key) else { return false };
        let before = same.len();
        same.retain(|other| other.data_segment.interval != data_segment.interval);
        let found = same.len() < before;
        if same.is_empty() {
            partitions.remove(&key);
        }
        if partitions.is_empty() {
            tables.remove(&*data_segment.data_source);
        }
        if found {
            self.log.append([Change { action: "drop", segment: data_segment.to_json() }]);
        }
        found
    }

    /// The segment that a descriptor names; its interval may be a part of the segment's.
    pub fn find(&self, table: &str, descriptor: &SegmentDescriptor) -> Option<Arc<ServedSegment>> {
        let tables = self.tables.read();
        let same = tables.get(table)?.get(&(descriptor.version.to_string(), descriptor.partition))?;
        same.iter().find(|segment| segment.data_segment.interval.encloses(&descriptor.interval)).cloned()
    }

    /// True when the segment is announced.
    pub fn has(&self, data_segment: &DataSegment) -> bool {
        self.find(&data_segment.data_source, &data_segment.id().descriptor())
            .is_some_and(|s| s.data_segment.interval == data_segment.interval)
    }

    /// The segments of a table in these intervals that nothing newer hides, among those that are here.
    pub fn visible(&self, table: &str, intervals: &[Interval]) -> Vec<SegmentDescriptor> {
        let tables = self.tables.read();
        let mut timeline = Timeline::new();
        for segment in tables.get(table).into_iter().flat_map(|partitions| partitions.values().flatten()) {
            let segment = &segment.data_segment;
            timeline.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), ());
        }
        let holders = intervals.iter().flat_map(|interval| timeline.lookup(*interval));
        let chunks = holders.flat_map(|holder| {
            let (interval, version) = (holder.interval, holder.version.clone());
            holder.chunks.into_iter().map(move |chunk| (interval, version.clone(), chunk.shard.partition_num()))
        });
        chunks.map(|(interval, version, partition)| SegmentDescriptor { interval, version, partition }).collect()
    }

    /// Splits descriptors into segments to query, those that must be opened first, and those that are not here.
    pub fn resolve(&self, table: &str, descriptors: &[SegmentDescriptor]) -> Resolved {
        let mut resolved = Resolved { found: Vec::with_capacity(descriptors.len()), ..Resolved::default() };
        let Resolved { found, missing, unopened } = &mut resolved;
        // Descriptors of one segment become one reference with several intervals.
        let mut by_id: HashMap<Arc<str>, usize> = HashMap::new();
        for descriptor in descriptors {
            match self.find(table, descriptor) {
                None => missing.push(descriptor.clone()),
                Some(segment) => match segment.rows() {
                    None => unopened.push(segment),
                    Some(OpenRows::None) => {}
                    Some(OpenRows::Open { source, meta }) => {
                        let position = *by_id.entry(segment.id.clone()).or_insert_with(|| {
                            let mut reference = SegmentRef::new(&segment.id, Vec::new(), source.clone());
                            reference.meta = meta.clone();
                            found.push(reference);
                            found.len() - 1
                        });
                        found[position].intervals.push(descriptor.interval);
                    }
                },
            }
        }
        for reference in found {
            reference.intervals.sort();
        }
        resolved
    }

    /// Every announced segment's document, with the log's counter at that moment.
    pub fn snapshot(&self) -> Value {
        let tables = self.tables.read();
        let segments = tables.values().flat_map(|partitions| partitions.values().flatten());
        self.log.snapshot(self.log.counter(), segments.map(|segment| segment.data_segment.to_json()))
    }

    /// Rows and typed columns of open segments, read without opening any column.
    pub fn schemas(&self, table: &str, descriptors: &[SegmentDescriptor]) -> Vec<Option<SegmentSchema>> {
        descriptors.iter().map(|descriptor| self.find(table, descriptor).and_then(|segment| segment.schema())).collect()
    }

    /// Segments that nobody has opened yet.
    pub fn unopened_count(&self) -> usize {
        let tables = self.tables.read();
        let segments = tables.values().flat_map(|partitions| partitions.values().flatten());
        segments.filter(|segment| segment.rows().is_none()).count()
    }

    /// Number of segments and their bytes.
    pub fn totals(&self) -> (usize, u64) {
        let tables = self.tables.read();
        let segments = tables.values().flat_map(|partitions| partitions.values().flatten());
        segments.fold((0, 0), |(count, bytes), segment| (count + 1, bytes + segment.data_segment.size.unsigned_abs()))
    }
}

impl ServedSegment {
    /// A segment that is open.
    pub fn open(data_segment: DataSegment, rows: OpenRows) -> Self {
        let segment = Self::unopened(data_segment);
        segment.rows.get_or_init(|| rows);
        segment
    }

    /// A segment whose files nobody has looked at yet.
    pub fn unopened(data_segment: DataSegment) -> Self {
        let id = Arc::from(data_segment.id().to_string());
        ServedSegment { id, data_segment, rows: OnceLock::new(), opening: Mutex::new(()) }
    }

    /// What it answers with; `None` before it was opened.
    pub fn rows(&self) -> Option<&OpenRows> {
        self.rows.get()
    }

    /// The segment, where it is open and has rows.
    pub fn source(&self) -> Option<&Arc<Segment>> {
        match self.rows()? {
            OpenRows::None => None,
            OpenRows::Open { source, .. } => Some(source),
        }
    }

    /// Opens it by `open` unless somebody has; who comes meanwhile waits.
    pub fn open_with(&self, open: impl FnOnce() -> Result<OpenRows>) -> Result<()> {
        let _one = self.opening.lock();
        if self.rows.get().is_none() {
            let rows = open()?;
            self.rows.get_or_init(|| rows);
        }
        Ok(())
    }

    /// Rows and typed columns; none for a tombstone, nothing at all before it was opened.
    pub fn schema(&self) -> Option<SegmentSchema> {
        use ovate_compute::ColumnSource;
        let source = match self.rows()? {
            OpenRows::None => return Some(SegmentSchema { rows: 0, columns: Vec::new() }),
            OpenRows::Open { source, .. } => source,
        };
        let typed = |name: String| source.capabilities(&name).map(|c| (name, c.column_type.to_string()));
        Some(SegmentSchema {
            rows: u64::from(source.row_count()),
            columns: source.column_names().into_iter().filter_map(typed).collect(),
        })
    }
}
