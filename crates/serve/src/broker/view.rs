//! What is served where (`BrokerServerView`): per table one timeline of announced segments with their servers, and one of the
//! segments that should be served (used in the metadata store). A query sees the announced ones; a segment that ought to be
//! there and is not makes it wait, and then fail, rather than answer in part.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ovate_base::Interval;
use ovate_base::segment::{DataSegment, SegmentId, ShardSpec};
use ovate_base::timeline::Timeline;
use ovate_compute::LookupMap;
use ovate_engine::{Catalog, CatalogSnapshot, TableSchema};
use parking_lot::RwLock;
use std::collections::HashMap;
use tokio::sync::watch;
use tracing::debug;

use super::schema;
use super::server::KnownServer;
use crate::data_server::SegmentSchema;
use crate::lookup::LookupStore;

/// One announced segment, with the servers that have it.
#[derive(Clone)]
pub struct ServedAt {
    pub segment: Arc<DataSegment>,
    pub schema: Arc<SegmentSchema>,
    /// The columns are those of a segment that does not grow any more.
    pub settled: bool,
    pub servers: Vec<Arc<KnownServer>>,
    /// For each server the number of its announcement; later ones have larger numbers.
    pub announcements: Vec<u64>,
}

impl ServedAt {
    /// The number of the latest announcement that a query could know of.
    pub fn latest(&self) -> u64 {
        self.announcements.iter().copied().max().unwrap_or(0)
    }

    /// The number of a server's announcement; `None` where it announces the segment no more.
    pub fn announcement(&self, server: &str) -> Option<u64> {
        self.servers.iter().position(|other| other.name() == server).and_then(|at| self.announcements.get(at)).copied()
    }

    fn withdraw(&mut self, server: &str) {
        while let Some(at) = self.servers.iter().position(|other| other.name() == server) {
            self.servers.remove(at);
            self.announcements.remove(at);
        }
    }
}

/// Everything known of one table.
#[derive(Default)]
struct TableView {
    served: Timeline<ServedAt>,
    /// Used segments, visible among themselves.
    wanted: Timeline<Arc<DataSegment>>,
    /// The columns of `served` together, until that changes.
    columns: Option<Arc<TableSchema>>,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<String, TableView>,
    /// Used segments that were announced at some time, or were used when this broker started: they must be there.
    expected: HashSet<SegmentId>,
    /// Announced, and in no list of used segments that was asked for since: may be used or not. With the number of lists
    /// that had been asked for by then.
    unsure: HashMap<SegmentId, u64>,
    /// Those of `unsure` that nobody serves any more, such as a new segment that is moved: until the next list tells, they
    /// are expected.
    withdrawn: HashMap<SegmentId, u64>,
    /// Columns of used segments that nobody serves now, for when a server comes back: a segment's never change.
    remembered: HashMap<SegmentId, Arc<SegmentSchema>>,
    /// How many lists of used segments were asked for.
    lists: u64,
    /// How many announcements there were.
    announcements: u64,
    wanted_known: bool,
    /// Announced segments that changed since [`ServerView::take_touched`] was called.
    touched: Touched,
    /// The last picture of all columns, and whether it is still to be looked over.
    catalog: Arc<CatalogSnapshot>,
    catalog_is_old: bool,
}

/// Announced segments that came, went or have other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// Any of them may have.
    All,
    Some(HashSet<SegmentId>),
}

impl Default for Touched {
    fn default() -> Self {
        Touched::Some(HashSet::new())
    }
}

/// So many are told one by one.
const TOUCHED_MAX: usize = 100_000;

impl Touched {
    fn add(&mut self, id: SegmentId) {
        if let Touched::Some(ids) = self {
            ids.insert(id);
            if ids.len() > TOUCHED_MAX {
                *self = Touched::All;
            }
        }
    }
}

/// A part of a table to be read: one segment, or an error's worth of knowing that it is missing.
#[derive(Clone)]
pub struct Piece {
    pub interval: Interval,
    pub served: ServedAt,
}

/// The shared view.
pub struct ServerView {
    state: RwLock<State>,
    lookups: Arc<LookupStore>,
    changes: watch::Sender<u64>,
}

impl ServerView {
    /// Empty; `lookups` is part of the catalog.
    pub fn new(lookups: Arc<LookupStore>) -> Self {
        ServerView { state: RwLock::default(), lookups, changes: watch::channel(0).0 }
    }

    /// Ticks with every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self, state: &mut State) {
        state.catalog_is_old = true;
        self.changes.send_modify(|tick| *tick += 1);
    }

    /// A server announces segments, with their columns.
    pub fn add(&self, server: &Arc<KnownServer>, segments: Vec<(DataSegment, Arc<SegmentSchema>)>) {
        let mut state = self.state.write();
        state.announcements += 1;
        let number = state.announcements;
        for (segment, schema) in segments {
            let id = segment.id();
            debug!("announced. server={} segment={id}", server.name());
            let partition = segment.shard_spec.partition_num();
            let table = state.tables.entry(segment.data_source.to_string()).or_default();
            match table.served.find_mut(segment.interval, &segment.version, partition) {
                Some(known) => {
                    known.withdraw(server.name());
                    known.servers.push(server.clone());
                    known.announcements.push(number);
                    if !known.settled {
                        if *known.schema != *schema {
                            table.columns = None;
                        }
                        (known.schema, known.settled) = (schema, !server.grows());
                    }
                }
                None => {
                    // Most segments have the columns that their table has already.
                    table.columns.take_if(|columns| !schema::is_beginning_of(&schema, columns));
                    let (interval, version, shard) = (segment.interval, segment.version.clone(), segment.shard_spec.clone());
                    let segment = Arc::new(segment);
                    let (servers, announcements) = (vec![server.clone()], vec![number]);
                    let served = ServedAt { segment, schema, settled: !server.grows(), servers, announcements };
                    table.served.add(interval, version, shard, served);
                }
            }
            let used = table.wanted.find(id.interval, &id.version, partition).is_some();
            state.touched.add(id.clone());
            state.withdrawn.remove(&id);
            state.remembered.remove(&id);
            if used {
                state.expected.insert(id);
            } else {
                let lists = state.lists;
                state.unsure.insert(id, lists);
            }
        }
        self.changed(&mut state);
    }

    /// What a server serves of segments that grow.
    pub fn growing_at(&self, server: &str) -> Vec<Arc<DataSegment>> {
        let state = self.state.read();
        let served = state.tables.values().flat_map(|table| table.served.iter().map(|(_, _, chunk)| &chunk.object));
        let growing = served.filter(|at| !at.settled && at.servers.iter().any(|other| other.name() == server));
        growing.map(|at| at.segment.clone()).collect()
    }

    /// What has become of the columns of segments that grow.
    pub fn set_schemas(&self, schemas: Vec<(Arc<DataSegment>, SegmentSchema)>) {
        let mut state = self.state.write();
        let mut changed = false;
        for (segment, schema) in schemas {
            let Some(table) = state.tables.get_mut(&*segment.data_source) else { continue };
            let partition = segment.shard_spec.partition_num();
            let Some(known) = table.served.find_mut(segment.interval, &segment.version, partition) else { continue };
            if !known.settled && *known.schema != schema {
                known.schema = Arc::new(schema);
                table.columns = None;
                state.touched.add(segment.id());
                changed = true;
            }
        }
        if changed {
            self.changed(&mut state);
        }
    }

    /// The columns of a segment, where any server told them for good.
    pub fn schema_of(&self, segment: &DataSegment) -> Option<Arc<SegmentSchema>> {
        let state = self.state.read();
        let view = state.tables.get(&*segment.data_source);
        let partition = segment.shard_spec.partition_num();
        let served = view.and_then(|view| view.served.find(segment.interval, &segment.version, partition));
        match served {
            Some(chunk) => chunk.object.settled.then(|| chunk.object.schema.clone()),
            None => state.remembered.get(&segment.id()).cloned(),
        }
    }

    /// A server no longer has these segments.
    pub fn remove(&self, server: &str, segments: &[DataSegment]) {
        let mut state = self.state.write();
        for segment in segments {
            debug!("withdrawn. server={server} segment={}", segment.id());
            drop_from(
                &mut state,
                server,
                segment.data_source.as_ref(),
                segment.interval,
                &segment.version,
                segment.shard_spec.partition_num(),
            );
        }
        self.changed(&mut state);
    }

    /// A server is gone with all it had.
    pub fn remove_server(&self, server: &str) {
        self.retain(server, &HashSet::new());
    }

    /// A server has none but these segments.
    pub fn retain(&self, server: &str, listed: &HashSet<SegmentId>) {
        let mut state = self.state.write();
        let mut gone = Vec::new();
        for (name, table) in &state.tables {
            for (interval, version, chunk) in table.served.iter() {
                let there = chunk.object.servers.iter().any(|s| s.name() == server);
                if there && !listed.contains(&chunk.object.segment.id()) {
                    gone.push((name.clone(), interval, version.clone(), chunk.shard.partition_num()));
                }
            }
        }
        if gone.is_empty() {
            return;
        }
        for (name, interval, version, partition) in gone {
            drop_from(&mut state, server, &name, interval, &version, partition);
        }
        self.changed(&mut state);
    }

    /// Says that the used segments are about to be asked for; the number goes with the answer.
    pub fn begin_list(&self) -> u64 {
        let mut state = self.state.write();
        state.lists += 1;
        state.lists
    }

    /// The used segments are still those of the last [`ServerView::set_wanted`]. `list`: from [`ServerView::begin_list`].
    pub fn keep_wanted(&self, list: u64) {
        let mut state = self.state.write();
        if settle(&mut state, list) {
            self.changed(&mut state);
        }
    }

    /// Takes over the whole set of used segments. `list`: from [`ServerView::begin_list`].
    pub fn set_wanted(&self, segments: Vec<Arc<DataSegment>>, list: u64) {
        let mut state = self.state.write();
        let first = !state.wanted_known;
        state.wanted_known = true;
        for table in state.tables.values_mut() {
            table.wanted = Timeline::new();
        }
        let mut used = HashSet::with_capacity(segments.len());
        for segment in segments {
            let id = segment.id();
            let table = state.tables.entry(segment.data_source.to_string()).or_default();
            let served = table.served.find(id.interval, &id.version, id.partition).is_some();
            let (interval, version, shard) = (segment.interval, segment.version.clone(), segment.shard_spec.clone());
            table.wanted.add(interval, version, shard, segment);
            if first || served || state.withdrawn.contains_key(&id) {
                state.expected.insert(id.clone());
            }
            used.insert(id);
        }
        state.expected.retain(|id| used.contains(id));
        state.remembered.retain(|id, _| used.contains(id));
        state.tables.retain(|_, table| !table.served.is_empty() || !table.wanted.is_empty());
        if settle(&mut state, list) || first {
            self.changed(&mut state);
        }
    }

    /// These segments are used now, and those are not any more. `list`: from [`ServerView::begin_list`].
    pub fn change_wanted(&self, added: Vec<Arc<DataSegment>>, removed: &[SegmentId], list: u64) {
        let mut state = self.state.write();
        for id in removed {
            if let Some(table) = state.tables.get_mut(id.data_source.as_ref()) {
                table.wanted.remove(id.interval, &id.version, id.partition);
            }
            state.expected.remove(id);
            state.remembered.remove(id);
        }
        for segment in added {
            let id = segment.id();
            let table = state.tables.entry(segment.data_source.to_string()).or_default();
            let served = table.served.find(id.interval, &id.version, id.partition).is_some();
            let (interval, version, shard) = (segment.interval, segment.version.clone(), segment.shard_spec.clone());
            table.wanted.add(interval, version, shard, segment);
            if served || state.withdrawn.contains_key(&id) {
                state.expected.insert(id);
            }
        }
        if !removed.is_empty() {
            state.tables.retain(|_, table| !table.served.is_empty() || !table.wanted.is_empty());
        }
        if settle(&mut state, list) {
            self.changed(&mut state);
        }
    }

    /// Whether announced segments changed since [`ServerView::take_touched`] was called.
    pub fn is_touched(&self) -> bool {
        self.state.read().touched != Touched::default()
    }

    /// Announced segments that changed since the last call, for whoever keeps a copy.
    pub fn take_touched(&self) -> Touched {
        std::mem::take(&mut self.state.write().touched)
    }

    /// Looks at every announced segment.
    pub fn each_served(&self, mut look: impl FnMut(&ServedAt)) {
        let state = self.state.read();
        state.tables.values().flat_map(|table| table.served.iter()).for_each(|(_, _, chunk)| look(&chunk.object));
    }

    /// The segment of that id where it is served now.
    pub fn served(&self, id: &SegmentId) -> Option<ServedAt> {
        let state = self.state.read();
        let table = state.tables.get(id.data_source.as_ref())?;
        table.served.find(id.interval, &id.version, id.partition).map(|chunk| chunk.object.clone())
    }

    /// True once the used segments are known.
    pub fn is_initialized(&self) -> bool {
        self.state.read().wanted_known
    }

    /// Waits for the first set of used segments; false when it did not come in time.
    pub async fn wait_initialized(&self, limit: std::time::Duration) -> bool {
        let mut changes = self.changes();
        let heard = async {
            while !self.is_initialized() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, heard).await.is_ok() && self.is_initialized()
    }

    /// The segment where it is served now.
    pub fn find(&self, table: &str, segment: &DataSegment) -> Option<ServedAt> {
        let state = self.state.read();
        let view = state.tables.get(table)?;
        view.served.find(segment.interval, &segment.version, segment.shard_spec.partition_num()).map(|chunk| chunk.object.clone())
    }

    /// The visible segments of a table in these intervals, and those that should be served and are not.
    pub fn pieces(&self, table: &str, intervals: &[Interval]) -> (Vec<Piece>, Vec<SegmentId>) {
        let state = self.state.read();
        let mut missing = Vec::new();
        let mut pieces = Vec::new();
        for id in state.withdrawn.keys() {
            let asked = id.data_source.as_ref() == table && intervals.iter().any(|interval| interval.overlaps(&id.interval));
            if asked && !state.expected.contains(id) {
                missing.push(id.clone());
            }
        }
        let Some(view) = state.tables.get(table) else { return (pieces, missing) };
        for interval in intervals {
            for holder in view.wanted.lookup(*interval) {
                for chunk in holder.chunks {
                    let id = chunk.object.id();
                    if state.expected.contains(&id) && view.served.find(id.interval, &id.version, id.partition).is_none() {
                        missing.push(id);
                    }
                }
            }
            for holder in view.served.lookup(*interval) {
                for chunk in holder.chunks {
                    if !matches!(chunk.shard, ShardSpec::Tombstone) {
                        pieces.push(Piece { interval: holder.interval, served: chunk.object.clone() });
                    }
                }
            }
        }
        (pieces, missing)
    }

    /// Names of the tables that can be queried.
    pub fn tables(&self) -> Vec<String> {
        self.state.read().tables.iter().filter(|(_, table)| !table.served.is_empty()).map(|(name, _)| name.clone()).collect()
    }

    /// Dimensions and metrics of a table, as its segments in this interval name them.
    pub fn dimensions_and_metrics(&self, table: &str, wanted: Interval) -> (Vec<String>, Vec<String>) {
        let state = self.state.read();
        let (mut dimensions, mut metrics) = (Vec::new(), Vec::new());
        let served = state.tables.get(table).into_iter().flat_map(|view| view.served.iter());
        for (_, _, chunk) in served.filter(|(interval, _, _)| interval.overlaps(&wanted)) {
            let add = |from: &[String], to: &mut Vec<String>| {
                from.iter().for_each(|n| {
                    if !to.contains(n) {
                        to.push(n.clone())
                    }
                })
            };
            add(&chunk.object.segment.dimensions, &mut dimensions);
            add(&chunk.object.segment.metrics, &mut metrics);
        }
        (dimensions, metrics)
    }
}

fn drop_from(state: &mut State, server: &str, table: &str, interval: Interval, version: &str, partition: i32) {
    let Some(view) = state.tables.get_mut(table) else { return };
    let Some(known) = view.served.find_mut(interval, version, partition) else { return };
    known.withdraw(server);
    let id = known.segment.id();
    state.touched.add(id.clone());
    if known.servers.is_empty() {
        let (schema, settled) = (known.schema.clone(), known.settled);
        view.columns = None;
        view.served.remove(interval, version, partition);
        if settled && state.expected.contains(&id) {
            state.remembered.insert(id.clone(), schema);
        }
        if let Some(lists) = state.unsure.remove(&id) {
            state.withdrawn.insert(id, lists);
        }
    }
}

/// What was announced before this list was asked for is in it, or is not used. True when queries may have waited for it.
fn settle(state: &mut State, list: u64) -> bool {
    let withdrawn = state.withdrawn.len();
    state.unsure.retain(|_, lists| *lists >= list);
    state.withdrawn.retain(|_, lists| *lists >= list);
    state.withdrawn.len() != withdrawn
}

impl Catalog for ServerView {
    fn snapshot(&self) -> Arc<CatalogSnapshot> {
        {
            let state = self.state.read();
            if !state.catalog_is_old {
                return state.catalog.clone();
            }
        }
        let mut state = self.state.write();
        let mut tables = BTreeMap::new();
        for (name, table) in state.tables.iter_mut().filter(|(_, table)| !table.served.is_empty()) {
            let served = &table.served;
            let columns = table.columns.get_or_insert_with(|| {
                // Newest first: the newest segment decides the order of columns.
                let mut segments: Vec<&ServedAt> = served.iter().map(|(_, _, chunk)| &chunk.object).collect();
                segments.sort_by_key(|served| std::cmp::Reverse((served.segment.interval, served.segment.version.clone())));
                Arc::new(schema::table(name, segments.iter().map(|served| served.schema.as_ref())))
            });
            tables.insert(name.clone(), columns.clone());
        }
        // Plans are kept as long as no column changes, whichever segments come and go.
        if tables != state.catalog.tables {
            state.catalog = Arc::new(CatalogSnapshot { version: state.catalog.version + 1, tables });
        }
        state.catalog_is_old = false;
        state.catalog.clone()
    }

    fn lookups(&self) -> Arc<HashMap<String, LookupMap>> {
        self.lookups.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::Placement;
    use super::*;
    use crate::data_server::RemoteDataServer;

    const DAY: i64 = 86_400_000;

    fn server(name: &str) -> Arc<KnownServer> {
        let client = ovate_net::HttpClient::new().expect("a client");
        let remote = RemoteDataServer::new(client, name.to_owned(), format!("http://{name}"));
        let placement = Placement { tier: "t".to_owned(), ..Placement::default() };
        Arc::new(KnownServer::new(Arc::new(remote), placement))
    }

    fn segment() -> DataSegment {
        let id = SegmentId::new("t", Interval { start: 0, end: DAY }, "v", 0);
        DataSegment::new(id, ShardSpec::Numbered { partition_num: 0, partitions: 1 })
    }

    fn announced(view: &ServerView, server: &Arc<KnownServer>) {
        view.add(server, vec![(segment(), Arc::new(SegmentSchema { rows: 1, columns: Vec::new() }))]);
    }

    fn missing(view: &ServerView) -> usize {
        view.pieces("t", &[Interval { start: 0, end: 2 * DAY }]).1.len()
    }

    #[test]
    fn a_new_segment_that_moves_before_the_used_ones_were_listed_again_is_missed() {
        let (view, a) = (ServerView::new(Arc::default()), server("a:1"));
        view.set_wanted(Vec::new(), view.begin_list());
        let old_list = view.begin_list();
        announced(&view, &a);
        view.remove("a:1", &[segment()]);
        assert_eq!(missing(&view), 1, "nobody has said that it is not used");
        view.set_wanted(Vec::new(), old_list);
        assert_eq!(missing(&view), 1, "this list is older than the announcement");
        let list = view.begin_list();
        view.set_wanted(vec![Arc::new(segment())], list);
        assert_eq!(missing(&view), 1, "it is used and must be there");
        announced(&view, &a);
        assert_eq!(missing(&view), 0);
    }

    #[test]
    fn columns_of_a_used_segment_are_kept_while_its_server_is_away() {
        let (view, a) = (ServerView::new(Arc::default()), server("a:1"));
        view.set_wanted(vec![Arc::new(segment())], view.begin_list());
        assert!(view.schema_of(&segment()).is_none());
        announced(&view, &a);
        view.remove_server("a:1");
        assert_eq!(view.schema_of(&segment()).expect("kept").rows, 1);
        assert_eq!(missing(&view), 1);
        view.set_wanted(Vec::new(), view.begin_list());
        assert!(view.schema_of(&segment()).is_none(), "not used any more");
    }

    #[test]
    fn columns_of_a_running_tasks_segment_change_until_a_historical_has_it() {
        let (view, historical) = (ServerView::new(Arc::default()), server("h:1"));
        let client = ovate_net::HttpClient::new().expect("a client");
        let remote = RemoteDataServer::new(client, "p:1".to_owned(), "http://p:1".to_owned());
        let placement = Placement { server_type: "indexer-executor".to_owned(), ..Placement::default() };
        let task = Arc::new(KnownServer::new(Arc::new(remote), placement));
        let schema = |columns: &[&str]| SegmentSchema {
            rows: 1,
            columns: columns.iter().map(|name| ((*name).to_owned(), "LONG".to_owned())).collect(),
        };
        let columns = || view.snapshot().tables["t"].columns.len();
        view.set_wanted(vec![Arc::new(segment())], view.begin_list());
        view.add(&task, vec![(segment(), Arc::new(schema(&[])))]);
        assert_eq!((columns(), view.growing_at("p:1").len(), view.growing_at("h:1").len()), (1, 1, 0));
        view.set_schemas(vec![(Arc::new(segment()), schema(&["a"]))]);
        assert_eq!(columns(), 2);
        assert!(view.schema_of(&segment()).is_none(), "the Historical is asked");
        view.add(&historical, vec![(segment(), Arc::new(schema(&["a", "b"])))]);
        view.set_schemas(vec![(Arc::new(segment()), schema(&["a"]))]);
        assert_eq!((columns(), view.growing_at("p:1").len()), (3, 0), "what the Historical said stays");
        view.remove_server("p:1");
        view.remove_server("h:1");
        assert_eq!(view.schema_of(&segment()), Some(Arc::new(schema(&["a", "b"]))));
    }

    #[test]
    fn columns_have_a_new_version_when_they_change_and_only_then() {
        let (view, a, b) = (ServerView::new(Arc::default()), server("a:1"), server("b:1"));
        let nothing = view.snapshot();
        let add = |server: &Arc<KnownServer>, day: i64, columns: &[(&str, &str)]| {
            let id = SegmentId::new("t", Interval { start: day * DAY, end: (day + 1) * DAY }, "v", 0);
            let segment = DataSegment::new(id, ShardSpec::Numbered { partition_num: 0, partitions: 1 });
            let columns = columns.iter().map(|(name, t)| ((*name).to_owned(), (*t).to_owned())).collect();
            view.add(server, vec![(segment.clone(), Arc::new(SegmentSchema { rows: 1, columns }))]);
            segment
        };
        let shown = || {
            let snapshot = view.snapshot();
            let columns = snapshot.tables.get("t").map(|t| t.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
            (snapshot.version, columns.unwrap_or_default().join(","))
        };
        let first = add(&a, 1, &[("__time", "LONG"), ("x", "STRING"), ("y", "LONG")]);
        let known = shown();
        assert_eq!(known, (nothing.version + 1, "__time,x,y".to_owned()));
        add(&b, 1, &[("__time", "LONG"), ("x", "STRING"), ("y", "LONG")]);
        add(&a, 2, &[("__time", "LONG"), ("x", "STRING")]);
        assert_eq!(shown(), known, "a copy, and a segment with fewer columns");
        let newest = add(&a, 3, &[("__time", "LONG"), ("y", "LONG"), ("z", "LONG")]);
        assert_eq!(shown(), (known.0 + 1, "__time,y,z,x".to_owned()));
        view.remove("a:1", &[newest, first.clone()]);
        assert_eq!(shown(), (known.0 + 2, "__time,x,y".to_owned()));
        view.remove("b:1", &[first]);
        assert_eq!(shown(), (known.0 + 3, "__time,x".to_owned()));
    }

    #[test]
    fn differences_of_the_used_segments_do_what_whole_lists_do() {
        let (view, a) = (ServerView::new(Arc::default()), server("a:1"));
        view.set_wanted(Vec::new(), view.begin_list());
        announced(&view, &a);
        assert_eq!(view.take_touched(), Touched::Some(HashSet::from([segment().id()])));
        view.change_wanted(vec![Arc::new(segment())], &[], view.begin_list());
        assert_eq!(missing(&view), 0);
        view.remove("a:1", &[segment()]);
        assert_eq!(view.take_touched(), Touched::Some(HashSet::from([segment().id()])));
        assert_eq!(missing(&view), 1, "it is used and was served");
        view.change_wanted(Vec::new(), &[segment().id()], view.begin_list());
        assert_eq!(missing(&view), 0, "it is not used any more");
        assert_eq!(view.take_touched(), Touched::default());
    }

    #[test]
    fn a_withdrawn_segment_that_is_not_used_is_not_missed() {
        let (view, a) = (ServerView::new(Arc::default()), server("a:1"));
        view.set_wanted(Vec::new(), view.begin_list());
        announced(&view, &a);
        view.remove("a:1", &[segment()]);
        view.keep_wanted(view.begin_list());
        assert_eq!(missing(&view), 0, "the list, which has not changed, does not have it");
        announced(&view, &a);
        view.keep_wanted(view.begin_list());
        view.remove("a:1", &[segment()]);
        assert_eq!(missing(&view), 0);
    }
}
