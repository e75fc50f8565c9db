//! A query over stored tables: its place among the others, its segments, and the result-level cache (SEM-08) in front of the
//! servers.

use std::sync::Arc;

use ovate_base::{DataSegment, DruidError, Interval, Result};
use ovate_query::{DataSource, NativeQuery, Partial, QueryContext, QueryRows};

use super::scatter::{Gathered, Located};
use super::{Broker, registered_id};
use crate::cache::{CacheKey, query_key};
use crate::clock::now_ms;
use crate::finish::finish;
use crate::work::compute;

impl Broker {
    /// Runs a query whose inner queries have become rows already.
    pub(super) async fn over_tables(
        &self,
        mut query: NativeQuery,
        tables: &[String],
        context: QueryContext,
    ) -> Result<QueryRows> {
        let mut located = self.locate(tables, query.intervals()).await;
        if let Some(wanted) = query.specific_segments() {
            let asked = |segment: &DataSegment| {
                wanted.iter().any(|one| {
                    one.version == segment.version
                        && one.partition == segment.shard_spec.partition_num()
                        && one.interval.overlaps(&segment.interval)
                })
            };
            located.iter_mut().for_each(|one| one.pieces.retain(|piece| asked(&piece.served.segment)));
        }
        let segments: Vec<Interval> = match self.scheduler.wants_segments() {
            true => located.iter().flat_map(|l| l.pieces.iter().map(|piece| piece.served.segment.interval)).collect(),
            false => Vec::new(),
        };
        let _place = self.scheduler.admit(&mut query, &segments, now_ms())?;
        let key = self.result_key(&query, &located, &context);
        if let Some((key, cache)) = key.as_ref().zip(self.cache.as_ref())
            && cache.result_use(&query)?.reads
            && let Some(bytes) = cache.get(key).await
            && let Ok(partial) = Partial::decode(&bytes)
        {
            return finish(Arc::new(query), vec![partial], context).await;
        }
        let Gathered { partials, missing, reservations, .. } = self.scatter(&query, located, &context).await?;
        let whole = missing.is_empty();
        if !whole {
            self.running.note_missing(&registered_id(&query), missing.into_iter().map(|(_, descriptor)| descriptor).collect());
        }
        let query = Arc::new(query);
        let writes = self.cache.as_ref().map(|cache| cache.result_use(&query)).transpose()?.is_some_and(|allowed| allowed.writes);
        let Some((key, cache)) = key.filter(|_| writes && whole).zip(self.cache.as_ref()) else {
            let rows = finish(query, partials, context).await;
            drop(reservations);
            return rows;
        };
        let (merged_query, merged_context) = (query.clone(), context.clone());
        let merged = compute(true, move || {
            let merged = ovate_query::merge(&merged_query, partials, &merged_context)?;
            let bytes = merged.encode()?;
            Ok::<_, DruidError>((merged, bytes))
        });
        let (merged, bytes) = merged.await??;
        cache.put_later(key, bytes, cache.settings.result_bytes_max);
        let rows = finish(query, vec![merged], context).await;
        drop(reservations);
        rows
    }

    /// True when the result-level cache may be used for this query.
    pub(super) fn caches_results(&self, query: &NativeQuery) -> bool {
        let allowed = self.cache.as_ref().and_then(|cache| cache.result_use(query).ok());
        allowed.is_some_and(|allowed| allowed.reads || allowed.writes)
    }

    /// The key of a result over exactly these segments; `None` where it must not be cached: a segment is absent, or is still
    /// written to by a task.
    fn result_key(&self, query: &NativeQuery, located: &[Located], context: &QueryContext) -> Option<CacheKey> {
        let cache = self.cache.as_ref()?;
        let allowed = cache.result_use(query).ok()?;
        if !allowed.reads && !allowed.writes {
            return None;
        }
        let mut parts = Vec::new();
        for table in located {
            if !table.absent.is_empty() {
                return None;
            }
            for piece in &table.pieces {
                if !piece.served.servers.iter().any(|server| server.placement.server_type == "historical") {
                    return None;
                }
                parts.push(format!("{} {}", piece.served.segment.id(), piece.interval));
            }
        }
        parts.sort_unstable();
        // Granularity `all` shows the query's own intervals, beside its segments.
        parts.extend(query.intervals().iter().map(ToString::to_string));
        let versions = self.lookups.versions_of(&context.eval.lookups)?;
        Some(query_key(query, &versions)?.over(parts.iter().map(String::as_str)))
    }

    /// What tells one answer of this query from another, for clients that keep answers (`ETag`); only with a result-level cache,
    /// and for queries over tables alone.
    pub(super) async fn etag(&self, query: &NativeQuery) -> Option<String> {
        self.cache.as_ref()?;
        let tables = match query.data_source() {
            DataSource::Table(name) => vec![name.clone()],
            _ => return None,
        };
        let (pieces, absent) = self.view.pieces(&tables[0], query.intervals());
        let located = [Located { table: tables[0].clone(), pieces, absent }];
        let eval = ovate_compute::EvalContext { lookups: self.lookups.snapshot(), now_ms: 0 };
        let key = self.result_key(query, &located, &QueryContext::new(eval))?;
        Some(key.to_text("etag"))
    }
}
