//! The Broker's segment-level cache (SEM-07, `CachingClusteredClient`): partial results by segment, the part of time asked of
//! it, and the query, under the keys that Historicals use. What is in it is not asked for; what is to come into it is asked for
//! segment by segment, from Historicals alone: what tasks still write to is never kept.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use ovate_base::{DruidError, Result, SegmentDescriptor};
use ovate_query::{NativeQuery, Partial, QueryContext};

use super::scatter::{Gathered, piece_descriptor};
use super::server::KnownServer;
use super::view::Piece;
use super::{Broker, ServedAt};
use crate::cache::{CacheKey, CacheUse, QueryCache, QueryKey, query_key};
use crate::data_server::Answer;

/// Keys asked for at a time.
const LOOKUPS_AT_A_TIME: usize = 16;
/// Calls to one server at a time for segments whose results are to be kept.
const CALLS_AT_A_TIME: usize = 8;

type Lookup<'a> = BoxFuture<'a, (Piece, Option<Bytes>)>;
type Call<'a> = BoxFuture<'a, Result<(CacheKey, Answer)>>;

/// How one query uses the cache.
pub(super) struct SegmentCaching<'a> {
    cache: &'a QueryCache,
    pub allowed: CacheUse,
    key: QueryKey,
}

impl Broker {
    /// `None`: the query's segments are not cached here.
    pub(super) fn segment_caching(&self, query: &NativeQuery, context: &QueryContext) -> Result<Option<SegmentCaching<'_>>> {
        let Some(cache) = &self.cache else { return Ok(None) };
        let allowed = cache.segment_use(query)?;
        if !allowed.reads && !allowed.writes {
            return Ok(None);
        }
        let Some(versions) = self.lookups.versions_of(&context.eval.lookups) else { return Ok(None) };
        Ok(query_key(query, &versions).map(|key| SegmentCaching { cache, allowed, key }))
    }
}

impl SegmentCaching<'_> {
    fn key_of(&self, piece: &Piece) -> CacheKey {
        let (id, interval) = (piece.served.segment.id().to_string(), piece.interval.to_string());
        self.key.over([id.as_str(), interval.as_str()].into_iter())
    }

    /// What the cache has of these pieces goes to `gathered`; the others are given back.
    pub async fn take(&self, pieces: Vec<Piece>, context: &QueryContext, gathered: &mut Gathered) -> Result<Vec<Piece>> {
        if !self.allowed.reads {
            return Ok(pieces);
        }
        let mut lookups: Vec<Lookup<'_>> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            lookups.push(Box::pin(async move {
                let found = if is_settled(&piece.served) { self.cache.get(&self.key_of(&piece)).await } else { None };
                (piece, found)
            }));
        }
        let answers: Vec<_> = futures::stream::iter(lookups).buffered(LOOKUPS_AT_A_TIME).collect().await;
        let bytes = answers.iter().filter_map(|(_, found)| found.as_ref().map(|found| found.len() as u64)).sum();
        if bytes > 0 {
            gathered.reservations.push(context.budget().reserve(bytes)?);
        }
        let decoded = tokio::task::spawn_blocking(move || {
            // An entry that cannot be read is as good as none.
            let decode = |(piece, found): (Piece, Option<Bytes>)| match found.and_then(|b| Partial::decode(&b).ok()) {
                Some(partial) => Ok(partial),
                None => Err(piece),
            };
            answers.into_iter().map(decode).collect::<Vec<_>>()
        });
        let decoded = decoded.await.map_err(|e| DruidError::runtime(format!("reading the cache failed: {e}")))?;
        let mut rest = Vec::new();
        for one in decoded {
            match one {
                Ok(partial) => gathered.partials.push(partial),
                Err(piece) => rest.push(piece),
            }
        }
        Ok(rest)
    }

    /// Whether what this server answers is to be kept.
    pub fn keeps(&self, server: &KnownServer) -> bool {
        self.allowed.writes && server.placement.server_type == "historical"
    }

    /// Asks for each piece apart and keeps what comes; gives the partial results, the missing segments, and the bytes.
    pub async fn fill(
        &self,
        server: &KnownServer,
        query: &Arc<NativeQuery>,
        table: &str,
        pieces: &[Piece],
        context: &QueryContext,
    ) -> Result<(Vec<Partial>, Vec<SegmentDescriptor>, u64)> {
        let mut calls: Vec<Call<'_>> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let run = server.server.run(query.clone(), table, vec![piece_descriptor(piece)], context);
            let key = self.key_of(piece);
            calls.push(Box::pin(async move { run.await.map(|answer| (key, answer)) }));
        }
        let answers: Vec<(CacheKey, Answer)> =
            futures::stream::iter(calls).buffer_unordered(CALLS_AT_A_TIME).try_collect().await?;
        let encoded = tokio::task::spawn_blocking(move || {
            let (mut partials, mut missing, mut entries, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0u64);
            for (key, answer) in answers {
                bytes = bytes.saturating_add(answer.bytes);
                if let Some(partial) = answer.partial {
                    if answer.missing.is_empty() {
                        entries.push((key, partial.encode()?));
                    }
                    partials.push(partial);
                }
                missing.extend(answer.missing);
            }
            Ok::<_, DruidError>((partials, missing, entries, bytes))
        });
        let (partials, missing, entries, bytes) =
            encoded.await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))??;
        self.cache.put_all_later(entries, self.cache.settings.entry_bytes_max);
        Ok((partials, missing, bytes))
    }
}

/// Some Historical has the segment, so nobody writes to it any more.
fn is_settled(served: &ServedAt) -> bool {
    served.servers.iter().any(|server| server.placement.server_type == "historical")
}
