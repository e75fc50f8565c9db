//! The segment-level cache of a Historical (SEM-07): partial results by segment, the part of time asked of it, and the query.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use ovate_base::{DruidError, Result};
use ovate_query::{NativeQuery, Partial, QueryContext, SegmentRef};

use super::Historical;
use crate::cache::{CacheKey, CacheUse, QueryCache, query_key};
use crate::work::compute;

/// Keys asked for at a time.
const LOOKUPS_AT_A_TIME: usize = 16;

/// How one query uses the cache.
pub(super) struct CachePlan<'a> {
    cache: &'a QueryCache,
    allowed: CacheUse,
    keys: Vec<CacheKey>,
}

impl Historical {
    /// `None`: the query is not cached.
    pub(super) fn cache_plan(
        &self,
        query: &NativeQuery,
        found: &[SegmentRef],
        context: &QueryContext,
    ) -> Result<Option<CachePlan<'_>>> {
        let Some((cache, lookups)) = &self.cache else { return Ok(None) };
        let allowed = cache.segment_use(query)?;
        if !allowed.reads && !allowed.writes {
            return Ok(None);
        }
        let Some(versions) = lookups.versions_of(&context.eval.lookups) else { return Ok(None) };
        let Some(key) = query_key(query, &versions) else { return Ok(None) };
        let one = |segment: &SegmentRef| {
            let intervals: Vec<String> = segment.intervals.iter().map(ToString::to_string).collect();
            key.over(std::iter::once(segment.id.as_ref()).chain(intervals.iter().map(String::as_str)))
        };
        Ok(Some(CachePlan { cache, allowed, keys: found.iter().map(one).collect() }))
    }

    /// Takes from the cache what is there, works the rest out segment by segment, and keeps it.
    pub(super) async fn run_cached(
        &self,
        plan: CachePlan<'_>,
        query: Arc<NativeQuery>,
        found: Vec<SegmentRef>,
        context: QueryContext,
    ) -> Result<Partial> {
        let CachePlan { cache, allowed, keys } = plan;
        let known: Vec<Option<Bytes>> = match allowed.reads {
            true => {
                let asked = keys.clone();
                let lookups = futures::stream::iter(asked).map(|key| async move { cache.get(&key).await });
                lookups.buffered(LOOKUPS_AT_A_TIME).collect().await
            }
            false => vec![None; keys.len()],
        };
        let (threads, alone) = (self.threads_now(), context.alone);
        let work = move || {
            // An entry that cannot be read is as good as none.
            let mut partials: Vec<Option<Partial>> =
                known.into_iter().map(|bytes| bytes.and_then(|bytes| Partial::decode(&bytes).ok())).collect();
            let open: Vec<usize> = (0..found.len()).filter(|at| partials[*at].is_none()).collect();
            let segments: Vec<SegmentRef> = open.iter().map(|at| found[*at].clone()).collect();
            let made = ovate_query::run_each(&query, &segments, &context, threads)?;
            let mut entries = Vec::new();
            for (at, partial) in open.into_iter().zip(made) {
                if allowed.writes {
                    entries.push((at, partial.encode()?));
                }
                partials[at] = Some(partial);
            }
            let merged = ovate_query::merge(&query, partials.into_iter().flatten().collect(), &context)?;
            Ok::<_, DruidError>((merged, entries))
        };
        let (merged, entries) = compute(alone, work).await??;
        let entries = entries.into_iter().map(|(at, bytes)| (keys[at], bytes)).collect();
        cache.put_all_later(entries, cache.settings.entry_bytes_max);
        Ok(merged)
    }
}
