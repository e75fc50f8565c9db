//! Scatter and gather: which server is asked for which segments. A share that fails, or that its server has only in part, goes
//! to replicas at once, by itself; a server that stops answering is raced by its replicas. What nobody has is an error,
//! or, where the query's context allows, named as missing; never left out silently.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use indexmap::IndexMap;
use ovate_base::{Category, DruidError, Interval, Persona, Reservation, Result, SegmentDescriptor, SegmentId};
use ovate_query::partial::Held;
use ovate_query::{NativeQuery, Partial, QueryContext};
use parking_lot::Mutex;
use tracing::info;

use super::cached::SegmentCaching;
use super::server::KnownServer;
use super::view::Piece;
use super::{Broker, descriptor};
use crate::data_server::Answer;

/// How long a query waits for a segment that should be served and is not, such as one being moved.
const WAIT_FOR_SEGMENT: Duration = Duration::from_secs(5);
/// Rounds over the replicas before a missing segment is an error; more when `numRetriesOnMissingSegments` says so.
const ROUNDS: usize = 4;
/// Most rounds that a query may ask for.
const ROUNDS_MAX: i64 = 20;
/// A server out of reach for so long that has work of a query which nobody else can do fails the query.
const GIVE_UP: Duration = Duration::from_secs(15);

/// What the servers gave.
#[derive(Default)]
pub(super) struct Gathered {
    pub partials: Vec<Partial>,
    /// Segments that no server answered for.
    pub missing: Vec<(SegmentId, SegmentDescriptor)>,
    /// What the partials take of the process's memory.
    pub reservations: Vec<Reservation>,
    /// Why the last server refused.
    failure: Option<DruidError>,
}

impl Gathered {
    fn add(&mut self, other: Gathered) {
        self.partials.extend(other.partials);
        self.missing.extend(other.missing);
        self.reservations.extend(other.reservations);
        self.failure = self.failure.take().or(other.failure);
    }
}

/// One query over one table.
struct Call<'a> {
    query: Arc<NativeQuery>,
    table: &'a str,
    context: &'a QueryContext,
    /// The query reads one table, so that there is one such call.
    one_table: bool,
    /// Servers that were asked for a segment are not asked for it again.
    tried: Mutex<HashMap<SegmentDescriptor, Vec<String>>>,
    rounds: usize,
    gathered_bytes: &'a Mutex<u64>,
    gathered_bytes_max: u64,
    caching: Option<&'a SegmentCaching<'a>>,
}

/// Segments to ask one server for.
struct Share {
    server: Arc<KnownServer>,
    pieces: Vec<Piece>,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// The segments of one table that a query reads, found once, so that the answer is of exactly these.
pub(super) struct Located {
    pub table: String,
    pub pieces: Vec<Piece>,
    /// Should be there and are not.
    pub absent: Vec<SegmentId>,
}

impl Broker {
    /// The visible segments of these tables in the query's intervals.
    pub(super) async fn locate(&self, tables: &[String], intervals: &[Interval]) -> Vec<Located> {
        let one = |table: &String| {
            let table = table.clone();
            async move {
                let (pieces, absent) = self.pieces(&table, intervals).await;
                Located { table, pieces, absent }
            }
        };
        futures::future::join_all(tables.iter().map(one)).await
    }

    /// The partial results of these segments.
    pub(super) async fn scatter(&self, query: &NativeQuery, located: Vec<Located>, context: &QueryContext) -> Result<Gathered> {
        let caching = self.segment_caching(query, context)?;
        let mut query = query.clone();
        if caching.as_ref().is_some_and(|caching| caching.allowed.writes) {
            // One level of caches is enough.
            query.context_mut().set("populateCache", false);
        }
        let query = Arc::new(query);
        let limit = query.context().long("maxScatterGatherBytes")?.map_or(u64::MAX, i64::unsigned_abs);
        let retries = query.context().long("numRetriesOnMissingSegments")?.unwrap_or(0).clamp(0, ROUNDS_MAX) as usize;
        let gathered_bytes = Mutex::new(0);
        let one_table = located.len() == 1;
        let work = located.into_iter().map(|Located { table, pieces, absent }| {
            let (query, gathered_bytes, caching) = (query.clone(), &gathered_bytes, caching.as_ref());
            async move {
                let call = Call {
                    query,
                    table: &table,
                    context,
                    one_table,
                    tried: Mutex::default(),
                    rounds: ROUNDS.max(retries + 1),
                    gathered_bytes,
                    gathered_bytes_max: limit.min(self.settings.gathered_bytes_max),
                    caching,
                };
                let mut gathered = Gathered::default();
                let pieces = match caching {
                    Some(caching) => caching.take(pieces, context, &mut gathered).await?,
                    None => pieces,
                };
                gathered.add(self.gather(&call, pieces, 0).await?);
                gathered.missing.extend(absent.into_iter().map(|id| {
                    let descriptor = id.descriptor();
                    (id, descriptor)
                }));
                Ok::<_, DruidError>(gathered)
            }
        });
        let mut all = Gathered::default();
        try_join_all(work).await?.into_iter().for_each(|gathered| all.add(gathered));
        if all.missing.is_empty() || query.context().bool("returnPartialResults", false)? {
            return Ok(all);
        }
        let ids: Vec<SegmentId> = all.missing.iter().map(|(id, _)| id.clone()).collect();
        Err(all.failure.unwrap_or_else(|| unavailable(&ids)))
    }

    /// Asks servers for these pieces until each is answered for, or nobody is left to ask.
    fn gather<'a>(&'a self, call: &'a Call<'a>, pieces: Vec<Piece>, round: usize) -> Boxed<'a, Gathered> {
        Box::pin(async move {
            let mut gathered = Gathered::default();
            if pieces.is_empty() {
                return Ok(gathered);
            }
            call.context.check()?;
            if round >= call.rounds {
                gathered.missing.extend(pieces.iter().map(named));
                return Ok(gathered);
            }
            let (shares, homeless) = self.share(call, pieces);
            let alone = call.one_table && shares.len() == 1 && homeless.is_empty();
            let mut work: Vec<Boxed<'_, Gathered>> = Vec::with_capacity(shares.len() + 1);
            for share in shares {
                work.push(Box::pin(self.settle(call, share, round, alone)));
            }
            if !homeless.is_empty() {
                work.push(Box::pin(self.wait_for_home(call, homeless, round)));
            }
            try_join_all(work).await?.into_iter().for_each(|part| gathered.add(part));
            Ok(gathered)
        })
    }

    /// One share, to the end: its own answer and what replicas say to the rest of it. When the server goes out of reach
    /// meanwhile, replicas are asked too, and whoever is complete first counts.
    async fn settle(&self, call: &Call<'_>, share: Share, round: usize, alone: bool) -> Result<Gathered> {
        let (server, pieces) = (share.server.clone(), share.pieces.clone());
        let first = self.ask(call, share, round, alone);
        tokio::pin!(first);
        tokio::select! {
            biased;
            answered = &mut first => return answered,
            () = server.out_of_reach_for(Duration::ZERO) => {}
        }
        info!("a data server stopped answering, its replicas are asked. server={} segments={}", server.name(), pieces.len());
        let replicas = self.gather(call, pieces, round + 1);
        tokio::pin!(replicas);
        let complete = |gathered: &Gathered| gathered.missing.is_empty();
        tokio::select! {
            answered = &mut first => {
                let own = answered?;
                if complete(&own) {
                    return Ok(own);
                }
                // Both ways share the list of servers tried, so what one lacks the other may be getting.
                let other = replicas.await?;
                Ok(if complete(&other) { other } else { own })
            }
            gathered = &mut replicas => {
                let other = gathered?;
                if complete(&other) {
                    return Ok(other);
                }
                tokio::select! {
                    answered = &mut first => answered,
                    () = server.out_of_reach_for(GIVE_UP) => Ok(other),
                }
            }
        }
    }

    /// One server's answer; what it does not cover goes on to others.
    async fn ask(&self, call: &Call<'_>, share: Share, round: usize, alone: bool) -> Result<Gathered> {
        let Share { server, mut pieces } = share;
        let answer = {
            let _counted = server.begin();
            call.answer(&server, &pieces, alone).await
        };
        let mut gathered = Gathered::default();
        match answer {
            Ok((mut partials, missing, bytes)) => {
                let taken = self.account(call, bytes)?;
                match (&mut partials[..], taken) {
                    // Given back as soon as the groups are merged or on disk.
                    ([Partial::Groups(groups)], Some(taken)) => groups.memory = Held::of(taken),
                    (_, taken) => gathered.reservations.extend(taken),
                }
                gathered.partials.extend(partials);
                pieces.retain(|piece| missing.contains(&piece_descriptor(piece)));
            }
            Err(error) => {
                let unreachable = error.category == Category::ServiceUnavailable;
                // A damaged copy, or a server in trouble: another one may do better, once.
                let worth_another_try = unreachable || (error.category == Category::RuntimeFailure && round == 0);
                if !worth_another_try {
                    return Err(error);
                }
                if unreachable {
                    server.set_stable(false);
                } else {
                    gathered.failure = Some(error);
                }
            }
        }
        gathered.add(self.gather(call, pieces, round + 1).await?);
        Ok(gathered)
    }

    /// Counts an answer against the query's limit and the process's memory.
    fn account(&self, call: &Call<'_>, bytes: u64) -> Result<Option<Reservation>> {
        let mut total = call.gathered_bytes.lock();
        *total = total.saturating_add(bytes);
        if *total > call.gathered_bytes_max {
            return Err(DruidError::resource_limit(format!(
                "Query total bytes gathered [{total}] exceeds maxScatterGatherBytes [{}]; raise it in the query's context or \
                 druid.server.http.maxScatterGatherBytes",
                call.gathered_bytes_max
            )));
        }
        if bytes == 0 {
            return Ok(None);
        }
        call.context.budget().reserve(bytes).map(Some)
    }

    /// Spreads pieces over servers that were not tried for them; beside the shares, pieces that have no such server.
    fn share(&self, call: &Call<'_>, pieces: Vec<Piece>) -> (Vec<Share>, Vec<Piece>) {
        // In the order of the pieces, so that what is merged in that order comes out the same every time.
        let mut shares: IndexMap<String, Share> = IndexMap::new();
        let mut homeless = Vec::new();
        let mut tried = call.tried.lock();
        for piece in pieces {
            let asked = tried.entry(piece_descriptor(&piece)).or_default();
            let fresh = |server: &KnownServer| !asked.iter().any(|name| name == server.name());
            let Some(server) = self.settings.selection.pick(&piece.served.servers, fresh).cloned() else {
                homeless.push(piece);
                continue;
            };
            asked.push(server.name().to_owned());
            let share = || Share { server: server.clone(), pieces: Vec::new() };
            shares.entry(server.name().to_owned()).or_insert_with(share).pieces.push(piece);
        }
        (shares.into_values().collect(), homeless)
    }

    /// Waits a bounded time until somebody else announces pieces that all known servers have failed to answer for.
    async fn wait_for_home(&self, call: &Call<'_>, mut pieces: Vec<Piece>, round: usize) -> Result<Gathered> {
        let end = tokio::time::Instant::now() + WAIT_FOR_SEGMENT;
        let mut changes = self.view.changes();
        loop {
            let mut found = false;
            for piece in &mut pieces {
                let Some(now) = self.view.find(call.table, &piece.served.segment) else { continue };
                let known = piece.served.latest();
                let mut tried = call.tried.lock();
                let asked = tried.entry(piece_descriptor(piece)).or_default();
                // Who has announced the segment anew since is asked again: it may have been moved to and fro.
                asked.retain(|name| now.announcement(name).is_some_and(|number| number <= known));
                found |= now.servers.iter().any(|server| !asked.iter().any(|name| name == server.name()));
                drop(tried);
                piece.served = now;
            }
            if found {
                // Somebody fresh is asked in this round, which counts.
                return self.gather(call, pieces, round).await;
            }
            let changed = tokio::time::timeout_at(end, changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Ok(Gathered { missing: pieces.iter().map(named).collect(), ..Gathered::default() });
            }
        }
    }

    /// The visible segments, and those that should be there and are not, after a bounded wait for them.
    async fn pieces(&self, table: &str, intervals: &[Interval]) -> (Vec<Piece>, Vec<SegmentId>) {
        let deadline = Instant::now() + WAIT_FOR_SEGMENT;
        let mut changes = self.view.changes();
        loop {
            let (pieces, missing) = self.view.pieces(table, intervals);
            if missing.is_empty() {
                return (pieces, missing);
            }
            if !matches!(tokio::time::timeout_at(deadline.into(), changes.changed()).await, Ok(Ok(()))) {
                return (pieces, missing);
            }
        }
    }
}

/// Partial results, the segments that the server does not have, and the bytes on the wire.
type Answered = (Vec<Partial>, Vec<SegmentDescriptor>, u64);

impl Call<'_> {
    /// A server's answer over these pieces; piece by piece where the cache wants to keep it. `alone`: nothing else of the query
    /// runs meanwhile.
    fn answer<'a>(&'a self, server: &'a KnownServer, pieces: &'a [Piece], alone: bool) -> Boxed<'a, Answered> {
        Box::pin(async move {
            if let Some(caching) = self.caching.filter(|caching| caching.keeps(server)) {
                let context = self.context.clone().with_alone(alone && pieces.len() == 1);
                return caching.fill(server, &self.query, self.table, pieces, &context).await;
            }
            let segments: Vec<SegmentDescriptor> = pieces.iter().map(piece_descriptor).collect();
            let context = self.context.clone().with_alone(alone);
            let Answer { partial, missing, bytes } =
                server.server.run(self.query.clone(), self.table, segments, &context).await?;
            Ok((partial.into_iter().collect(), missing, bytes))
        })
    }
}

pub(super) fn piece_descriptor(piece: &Piece) -> SegmentDescriptor {
    descriptor(&piece.served.segment, piece.interval)
}

fn named(piece: &Piece) -> (SegmentId, SegmentDescriptor) {
    (piece.served.segment.id(), piece_descriptor(piece))
}

fn unavailable(missing: &[SegmentId]) -> DruidError {
    let shown: Vec<String> = missing.iter().take(5).map(ToString::to_string).collect();
    let message = format!(
        "{} segment(s) of the query's intervals are not served at the moment, so the answer would not be complete: {}. \
         Look at the Historicals' logs and at /druid/coordinator/v1/loadstatus.",
        missing.len(),
        shown.join(", ")
    );
    DruidError::new(Persona::Operator, Category::ServiceUnavailable, "segmentsUnavailable", message)
}
