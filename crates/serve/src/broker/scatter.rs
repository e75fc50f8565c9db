//! Scatter and gather: which server is asked for which segments, one more try on another server for what is missing, and an
//! error rather than an answer that lacks a segment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use ovate_base::{Category, DruidError, Interval, Persona, Result, SegmentDescriptor, SegmentId};
use ovate_query::{NativeQuery, Partial, QueryContext};

use super::view::Piece;
use super::{Broker, descriptor};
use crate::data_server::{Answer, DataServer};

/// How long a query waits for a segment that should be served and is not, such as one being moved.
const WAIT_FOR_SEGMENT: Duration = Duration::from_secs(5);
/// Rounds over the replicas before a missing segment is an error.
const ROUNDS_MAX: usize = 3;

/// Segments to ask one server for.
struct Share {
    server: Arc<dyn DataServer>,
    segments: Vec<SegmentDescriptor>,
}

impl Broker {
    /// The partial results of all visible segments of these tables in the query's intervals.
    pub(super) async fn scatter(&self, query: &NativeQuery, tables: &[String], context: &QueryContext) -> Result<Vec<Partial>> {
        let query = Arc::new(query.clone());
        let work = tables.iter().map(|table| self.scatter_table(query.clone(), table, context));
        Ok(try_join_all(work).await?.into_iter().flatten().collect())
    }

    async fn scatter_table(&self, query: Arc<NativeQuery>, table: &str, context: &QueryContext) -> Result<Vec<Partial>> {
        let mut wanted = self.pieces(table, query.intervals()).await?;
        let mut partials = Vec::new();
        // Servers that have failed this query, as a whole or for one segment, are not asked again.
        let mut tried: HashMap<SegmentDescriptor, Vec<String>> = HashMap::new();
        for _ in 0..ROUNDS_MAX {
            if wanted.is_empty() {
                return Ok(partials);
            }
            context.check()?;
            let Some(shares) = share(&wanted, &tried) else { break };
            for share in &shares {
                for segment in &share.segments {
                    tried.entry(segment.clone()).or_default().push(share.server.name().to_owned());
                }
            }
            let work = shares.into_iter().map(|share| self.ask(query.clone(), table, share, context));
            let mut missing = Vec::new();
            for answer in try_join_all(work).await? {
                partials.extend(answer.partial);
                missing.extend(answer.missing);
            }
            wanted.retain(|piece| missing.contains(&descriptor(&piece.served.segment, piece.interval)));
        }
        match wanted.first() {
            None => Ok(partials),
            Some(piece) => Err(unavailable(&[piece.served.segment.id()])),
        }
    }

    /// One server's share. A server that cannot be reached counts as missing all, so that replicas are tried.
    async fn ask(&self, query: Arc<NativeQuery>, table: &str, share: Share, context: &QueryContext) -> Result<Answer> {
        let asked = share.segments.clone();
        match share.server.run(query, table, share.segments, context).await {
            Err(error) if error.category == Category::ServiceUnavailable => Ok(Answer { partial: None, missing: asked }),
            answer => answer,
        }
    }

    /// The visible segments; waits a bounded time for ones that should be there.
    async fn pieces(&self, table: &str, intervals: &[Interval]) -> Result<Vec<Piece>> {
        let deadline = Instant::now() + WAIT_FOR_SEGMENT;
        let mut changes = self.view.changes();
        loop {
            match self.view.pieces(table, intervals) {
                Ok(pieces) => return Ok(pieces),
                Err(missing) => {
                    let changed = tokio::time::timeout_at(deadline.into(), changes.changed()).await;
                    if changed.is_err() {
                        return Err(unavailable(&missing));
                    }
                }
            }
        }
    }
}

/// Spreads the pieces over the servers that have them and were not tried for them; `None` when a piece has no such server.
fn share(pieces: &[Piece], tried: &HashMap<SegmentDescriptor, Vec<String>>) -> Option<Vec<Share>> {
    let mut shares: HashMap<String, Share> = HashMap::new();
    for (number, piece) in pieces.iter().enumerate() {
        let segment = descriptor(&piece.served.segment, piece.interval);
        let servers = &piece.served.servers;
        let failed = tried.get(&segment);
        let turns = (0..servers.len()).map(|turn| &servers[(number + turn) % servers.len()]);
        let mut fresh = turns.filter(|server| failed.is_none_or(|failed| !failed.iter().any(|name| name == server.name())));
        let server = fresh.next()?;
        let share =
            shares.entry(server.name().to_owned()).or_insert_with(|| Share { server: server.clone(), segments: Vec::new() });
        share.segments.push(segment);
    }
    Some(shares.into_values().collect())
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
