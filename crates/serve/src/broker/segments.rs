//! The rows of `sys.segments` in memory (`SystemSchema.SegmentsTable`): used segments and announced ones, kept up by differences, so that
//! a statement looks at them where they are. What a statement does not read is not made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ovate_base::time::format_iso;
use ovate_base::{DataSegment, SegmentId, Timeline};
use ovate_compute::{ColumnType, Value, Vector};
use ovate_engine::Relation;
use ovate_sql::{Comparison, SystemScan, SystemTable};
use serde_json::Value as Json;

use super::used::Answer;
use super::view::ServedAt;

const SEGMENT_ID: usize = 0;
const DATASOURCE: usize = 1;

/// Where a segment is served.
#[derive(Debug, Clone, Copy)]
struct Served {
    servers: u32,
    rows: i64,
    /// By tasks alone.
    realtime: bool,
}

/// One row of the table.
struct Row {
    segment: Arc<DataSegment>,
    start: Arc<str>,
    end: Arc<str>,
    /// In the metadata store's list of used segments.
    published: bool,
    overshadowed: bool,
    replication: Option<i64>,
    served: Option<Served>,
}

/// The rows of one datasource.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    places: HashMap<SegmentId, u32>,
    /// The published ones, for telling which are overshadowed.
    published: Timeline<()>,
}

/// All rows.
#[derive(Default)]
pub struct SegmentTable {
    tables: BTreeMap<Arc<str>, Rows>,
    /// Texts of the instants in them, which many rows share.
    instants: HashMap<i64, Arc<str>>,
}

impl SegmentTable {
    /// Takes over what a Coordinator told.
    pub fn apply(&mut self, answer: Answer) {
        if answer.full {
            for table in self.tables.values_mut() {
                table.published = Timeline::new();
                table.rows.iter_mut().for_each(|row| row.published = false);
            }
        }
        for used in answer.segments {
            let id = used.segment.id();
            let row = self.row(&id, &used.segment);
            row.segment = used.segment;
            row.published = true;
            row.replication = used.replication;
            let shard = row.segment.shard_spec.clone();
            let table = self.tables.get_mut(&id.data_source).expect("its row was found or made");
            table.published.add(id.interval, id.version.clone(), shard, ());
            if !answer.full {
                table.tell_overshadowed(&id);
            }
        }
        for id in &answer.removed {
            if let Some(table) = self.tables.get_mut(&id.data_source) {
                table.published.remove(id.interval, &id.version, id.partition);
                if let Some(row) = table.find(id) {
                    row.published = false;
                    row.overshadowed = false;
                }
                table.tell_overshadowed(id);
                table.forget(id);
            }
        }
        for (id, copies) in &answer.replicas {
            if let Some(row) = self.tables.get_mut(&id.data_source).and_then(|table| table.find(id)) {
                row.replication = *copies;
            }
        }
        if answer.full {
            self.settle();
        }
    }

    /// After a whole list: rows that nothing speaks of go, and it is worked out which are overshadowed.
    fn settle(&mut self) {
        for table in self.tables.values_mut() {
            let gone = table.rows.iter().filter(|row| !row.published && row.served.is_none()).map(|row| row.segment.id());
            gone.collect::<Vec<_>>().iter().for_each(|id| table.forget(id));
            table.rows.iter_mut().for_each(|row| row.overshadowed = false);
            let hidden: Vec<u32> = {
                let (published, places) = (&table.published, &table.places);
                let hidden = published.find_fully_overshadowed();
                let name = table.rows.first().map(|row| row.segment.data_source.clone()).unwrap_or_else(|| "".into());
                let id =
                    |interval, version: &Arc<str>, partition| SegmentId::new(name.clone(), interval, version.clone(), partition);
                hidden.iter().filter_map(|(i, v, chunk)| places.get(&id(*i, v, chunk.shard.partition_num())).copied()).collect()
            };
            hidden.into_iter().for_each(|at| table.rows[at as usize].overshadowed = true);
        }
        self.tables.retain(|_, table| !table.rows.is_empty());
        let known: std::collections::HashSet<i64> = self
            .tables
            .values()
            .flat_map(|table| &table.rows)
            .flat_map(|row| [row.segment.interval.start, row.segment.interval.end])
            .collect();
        self.instants.retain(|instant, _| known.contains(instant));
    }

    /// Says where a segment is served now.
    pub fn serve(&mut self, id: &SegmentId, at: Option<&ServedAt>) {
        let served = at.map(|at| Served {
            servers: at.servers.len() as u32,
            rows: at.schema.rows as i64,
            realtime: at.servers.iter().all(|server| server.placement.server_type != "historical"),
        });
        match at {
            Some(at) => self.row(id, &at.segment).served = served,
            None => {
                if let Some(table) = self.tables.get_mut(&id.data_source) {
                    if let Some(row) = table.find(id) {
                        row.served = None;
                    }
                    table.forget(id);
                }
            }
        }
    }

    /// No segment is served anywhere.
    pub fn serve_none(&mut self) {
        for table in self.tables.values_mut() {
            table.rows.iter_mut().for_each(|row| row.served = None);
            let gone = table.rows.iter().filter(|row| !row.published).map(|row| row.segment.id());
            gone.collect::<Vec<_>>().iter().for_each(|id| table.forget(id));
        }
    }

    fn row(&mut self, id: &SegmentId, segment: &Arc<DataSegment>) -> &mut Row {
        let instants = &mut self.instants;
        let mut text = |instant: i64| instants.entry(instant).or_insert_with(|| format_iso(instant).into()).clone();
        let table = self.tables.entry(id.data_source.clone()).or_default();
        let place = *table.places.entry(id.clone()).or_insert_with(|| {
            let (start, end) = (text(id.interval.start), text(id.interval.end));
            let row = Row {
                segment: segment.clone(),
                start,
                end,
                published: false,
                overshadowed: false,
                replication: None,
                served: None,
            };
            table.rows.push(row);
            table.rows.len() as u32 - 1
        });
        &mut table.rows[place as usize]
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.tables.values().map(|table| table.rows.len()).sum()
    }

    /// The rows that a statement wants, as far as its comparisons tell, with the columns that it reads.
    pub fn scan(&self, scan: &SystemScan) -> Relation {
        let tests = Tests::new(scan);
        let mut found: Vec<&Row> = Vec::new();
        if let Some(texts) = scan.texts(SEGMENT_ID) {
            let ids = texts.iter().flat_map(|text| SegmentId::possible_parsings(text));
            let rows = ids.filter_map(|id| {
                let table = self.tables.get(&id.data_source)?;
                table.places.get(&id).map(|at| &table.rows[*at as usize])
            });
            found.extend(rows.filter(|row| tests.admit(row)));
        } else {
            let most = scan.limit.unwrap_or(usize::MAX);
            for (_, table) in self.tables.iter().filter(|(name, _)| scan.admits(DATASOURCE, name)) {
                found.extend(table.rows.iter().filter(|row| tests.admit(row)).take(most - found.len()));
            }
        }
        let column = |(at, (_, column_type)): (usize, &(&str, ColumnType))| match column_type {
            _ if !scan.reads(at) => Vector::Null { len: found.len() },
            ColumnType::Long => Vector::Long { values: found.iter().map(|row| row.long(at)).collect(), nulls: None },
            _ => Vector::String(found.iter().map(|row| row.text(at)).collect()),
        };
        let columns = SystemTable::Segments.columns().iter().enumerate().map(column).collect();
        Relation { columns, rows: found.len() }
    }
}

impl Rows {
    fn find(&mut self, id: &SegmentId) -> Option<&mut Row> {
        let at = *self.places.get(id)?;
        self.rows.get_mut(at as usize)
    }

    /// Drops a row that is neither published nor served.
    fn forget(&mut self, id: &SegmentId) {
        let Some(at) = self.places.get(id).map(|at| *at as usize) else { return };
        if self.rows[at].published || self.rows[at].served.is_some() {
            return;
        }
        self.places.remove(id);
        self.rows.swap_remove(at);
        if let Some(moved) = self.rows.get(at) {
            self.places.insert(moved.segment.id(), at as u32);
        }
    }

    /// Works out again which segments around a changed one are overshadowed.
    fn tell_overshadowed(&mut self, changed: &SegmentId) {
        for (interval, version, chunk) in self.published.overlapping(changed.interval) {
            let id = SegmentId::new(changed.data_source.clone(), interval, version.clone(), chunk.shard.partition_num());
            if let Some(at) = self.places.get(&id) {
                self.rows[*at as usize].overshadowed = self.published.is_overshadowed(interval, version, &chunk.shard);
            }
        }
    }
}

impl Row {
    fn is_realtime(&self) -> bool {
        self.served.is_some_and(|served| served.realtime)
    }

    fn long(&self, column: usize) -> i64 {
        let served = self.served;
        match column {
            4 => self.segment.size,
            6 => i64::from(self.segment.shard_spec.partition_num()),
            7 => served.map_or(0, |served| i64::from(served.servers)),
            8 => served.map(|served| served.rows).or(self.segment.total_rows).unwrap_or(0),
            9 => i64::from((self.published && !self.overshadowed) || self.is_realtime()),
            10 => i64::from(self.published),
            11 => i64::from(served.is_some()),
            12 => i64::from(self.is_realtime()),
            13 => i64::from(self.overshadowed),
            // Nobody needs to load what others hide.
            _ => self.replication.or(self.overshadowed.then_some(0)).unwrap_or(-1),
        }
    }

    fn text(&self, column: usize) -> Option<Arc<str>> {
        let segment = &self.segment;
        let list = |names: &[String]| Some(Json::from(names.to_vec()).to_string().into());
        match column {
            SEGMENT_ID => Some(segment.id().to_string().into()),
            14 => Some(segment.shard_spec.to_json().to_string().into()),
            15 => list(&segment.dimensions),
            16 => list(&segment.metrics),
            17 => segment.projections.as_deref().and_then(list),
            18 => segment.last_compaction_state.as_ref().map(|state| state.to_string().into()),
            _ => self.shared_text(column).cloned(),
        }
    }

    /// Texts that are there as they are.
    fn shared_text(&self, column: usize) -> Option<&Arc<str>> {
        match column {
            DATASOURCE => Some(&self.segment.data_source),
            2 => Some(&self.start),
            3 => Some(&self.end),
            5 => Some(&self.segment.version),
            _ => None,
        }
    }
}

/// A statement's comparisons, those that cost little first.
struct Tests<'a> {
    longs: Vec<(usize, Comparison, i64)>,
    texts: Vec<(usize, Comparison, &'a str)>,
    among: Vec<(usize, &'a [String])>,
}

impl<'a> Tests<'a> {
    fn new(scan: &'a SystemScan) -> Self {
        let (mut longs, mut texts) = (Vec::new(), Vec::new());
        for bound in &scan.bounds {
            match &bound.value {
                Value::Long(value) => longs.push((bound.column, bound.comparison, *value)),
                Value::String(value) => texts.push((bound.column, bound.comparison, &**value)),
                _ => {}
            }
        }
        let among = scan.among.iter().filter(|(column, _)| *column != DATASOURCE);
        let mut tests = Tests { longs, texts, among: among.map(|(column, texts)| (*column, texts.as_slice())).collect() };
        let is_made = |column: usize| !matches!(column, DATASOURCE | 2 | 3 | 5);
        tests.texts.sort_by_key(|(column, _, _)| is_made(*column));
        tests.among.sort_by_key(|(column, _)| is_made(*column));
        tests
    }

    fn admit(&self, row: &Row) -> bool {
        self.longs.iter().all(|(column, comparison, value)| comparison.holds(row.long(*column).cmp(value)))
            && self.texts.iter().all(|(column, comparison, value)| holds(row, *column, |text| comparison.holds(text.cmp(value))))
            && self.among.iter().all(|(column, texts)| holds(row, *column, |text| texts.iter().any(|t| t == text)))
    }
}

/// A test of a text; null passes none.
fn holds(row: &Row, column: usize, test: impl Fn(&str) -> bool) -> bool {
    match row.shared_text(column) {
        Some(text) => test(text),
        None => row.text(column).is_some_and(|text| test(&text)),
    }
}

#[cfg(test)]
mod tests;
