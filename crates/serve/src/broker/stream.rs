//! Scans that are streamed: segments are read a few at a time, and their rows are on their way to the client while the next ones
//! are read; a slow client holds the reading up. What the Broker holds is bounded, however long the answer is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderName;
use axum::response::Response;
use futures::StreamExt as _;
use ovate_base::{DruidError, Result};
use ovate_compute::EvalContext;
use ovate_query::document::ScanQuery;
use ovate_query::{DataSource, NativeQuery, Partial, QueryContext, QueryRows, ResultFormat, write_json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::scatter::Located;
use super::{Broker, registered_id};
use crate::clock::now_ms;
use crate::respond;

/// Segments read in one go.
const SEGMENTS_AT_A_TIME: usize = 8;
/// Goes under way beside the one that is being written.
const AHEAD: usize = 2;
/// Pieces that wait for a slow client.
const PIECES_MAX: usize = 4;

/// What is left to skip and to give.
#[derive(Clone, Copy)]
struct Window {
    offset: u64,
    limit: Option<u64>,
}

impl Broker {
    /// True for a scan whose rows may come in any order, over tables alone, whole or not at all.
    pub(super) fn streams(query: &NativeQuery, format: ResultFormat) -> bool {
        let NativeQuery::Scan(scan) = query else { return false };
        let tables = matches!(scan.base.data_source, DataSource::Table(_) | DataSource::Union(_));
        let flagged = query.context().bool("returnPartialResults", false).unwrap_or(true);
        tables && scan.order_by.is_empty() && format == ResultFormat::Json && !flagged
    }

    /// Streams such a scan. Errors before the first rows are the answer; later ones break it off.
    pub(super) async fn stream_scan(
        self: &Arc<Self>,
        mut query: NativeQuery,
        headers: Vec<(HeaderName, String)>,
        turn: OwnedSemaphorePermit,
    ) -> Result<Response> {
        let timeout_ms = self.checked_timeout(&query)?;
        let tables = query.data_source().table_names();
        let mut located = self.locate(&tables, query.intervals()).await;
        let intervals: Vec<_> = located.iter().flat_map(|l| l.pieces.iter().map(|piece| piece.served.segment.interval)).collect();
        let place = self.scheduler.admit(&mut query, &intervals, now_ms())?;
        located.iter_mut().for_each(|table| table.pieces.sort_by_key(|piece| piece.interval));
        let (pieces, received) = mpsc::channel(PIECES_MAX);
        let broker = self.clone();
        let work = async move {
            let (_turn, _place) = (turn, place);
            let registration = broker.running.register(&registered_id(&query));
            let deadline = (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms));
            let eval = EvalContext { lookups: broker.lookups.snapshot(), now_ms: now_ms() };
            let mut context = QueryContext::new(eval).with_deadline(deadline).with_budget(broker.settings.budget.clone());
            context.stop = registration.stop.clone();
            let written = broker.write_scan(query, located, &context, &pieces);
            let outcome = match deadline {
                None => written.await,
                Some(deadline) => tokio::time::timeout_at(deadline.into(), written)
                    .await
                    .unwrap_or_else(|_| Err(DruidError::timeout(format!("Query timed out after {timeout_ms} ms")))),
            };
            if let Err(error) = outcome {
                let _ = pieces.send(Err(error)).await;
            }
        };
        tokio::spawn(work);
        respond::stream_of(ResultFormat::Json, headers, received).await
    }

    async fn write_scan(
        &self,
        query: NativeQuery,
        located: Vec<Located>,
        context: &QueryContext,
        out: &mpsc::Sender<Result<Vec<u8>>>,
    ) -> Result<()> {
        let (parts, mut received) = mpsc::channel(1);
        let reading = async {
            let outcome = self.scan_parts(&query, located, context, &parts).await;
            drop(parts);
            outcome
        };
        let writing = async {
            let mut began = false;
            while let Some(rows) = received.recv().await {
                let query = query.clone();
                let written = tokio::task::spawn_blocking(move || {
                    let mut text = Vec::new();
                    write_json(&query, &rows, &mut text).map(|()| text)
                });
                let text = written.await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))??;
                // The elements between the brackets.
                let elements = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
                if elements.is_empty() {
                    continue;
                }
                let mut piece = Vec::with_capacity(elements.len() + 1);
                piece.push(if began { b',' } else { b'[' });
                piece.extend_from_slice(elements);
                began = true;
                out.send(Ok(piece)).await.map_err(|_| DruidError::cancelled("the client is gone"))?;
            }
            Ok(began)
        };
        let ((), began) = futures::future::try_join(reading, writing).await?;
        let end: &[u8] = if began { b"]" } else { b"[]" };
        let _ = out.send(Ok(end.to_vec())).await;
        Ok(())
    }

    /// Reads a scan's segments a few at a time, and hands their rows on, those in the query's window.
    async fn scan_parts(
        &self,
        query: &NativeQuery,
        located: Vec<Located>,
        context: &QueryContext,
        parts: &mpsc::Sender<QueryRows>,
    ) -> Result<()> {
        let NativeQuery::Scan(scan) = query else { return Err(DruidError::defensive("only scans are streamed")) };
        let goes = located.into_iter().flat_map(|Located { table, pieces, absent }| {
            let mut list: Vec<Located> = pieces
                .chunks(SEGMENTS_AT_A_TIME)
                .map(|chunk| Located { table: table.clone(), pieces: chunk.to_vec(), absent: Vec::new() })
                .collect();
            if !absent.is_empty() {
                // First, so that an answer that cannot be complete does not begin.
                list.insert(0, Located { table, pieces: Vec::new(), absent });
            }
            list
        });
        let mut window = Window { offset: scan.offset, limit: scan.limit };
        let mut gathered = futures::stream::iter(goes).map(|go| self.scatter(query, vec![go], context)).buffered(AHEAD);
        while window.limit != Some(0)
            && let Some(next) = gathered.next().await
        {
            let next = next?;
            let (scan, surroundings) = (scan.clone(), context.clone());
            let taken = tokio::task::spawn_blocking(move || window.take(scan, next.partials, &surroundings));
            let rows;
            (rows, window) = taken.await.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))??;
            if rows.row_count() > 0 {
                parts.send(rows).await.map_err(|_| DruidError::cancelled("nobody wants the rows any more"))?;
            }
            drop(next.reservations);
        }
        Ok(())
    }

    /// Runs a scan that SQL was planned into, part by part where that can be; registered and within its timeout, as
    /// [`Broker::run_native`].
    pub(super) async fn stream_rows(&self, mut query: NativeQuery, parts: mpsc::Sender<QueryRows>) -> Result<()> {
        let gone = |_| DruidError::cancelled("nobody wants the rows any more");
        if !Self::streams(&query, ResultFormat::Json) || query.context().by_segment()? || self.caches_results(&query) {
            return parts.send(self.run_native(query).await?).await.map_err(gone);
        }
        let timeout_ms = self.checked_timeout(&query)?;
        let tables = query.data_source().table_names();
        let mut located = self.locate(&tables, query.intervals()).await;
        let intervals: Vec<_> = located.iter().flat_map(|l| l.pieces.iter().map(|piece| piece.served.segment.interval)).collect();
        let _place = self.scheduler.admit(&mut query, &intervals, now_ms())?;
        located.iter_mut().for_each(|table| table.pieces.sort_by_key(|piece| piece.interval));
        let registration = self.running.register(&registered_id(&query));
        let deadline = (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms));
        let eval = EvalContext { lookups: self.lookups.snapshot(), now_ms: now_ms() };
        let mut context = QueryContext::new(eval).with_deadline(deadline).with_budget(self.settings.budget.clone());
        context.stop = registration.stop.clone();
        context.profile = query.context().profile()?.then(|| registration.profile.clone());
        let read = self.scan_parts(&query, located, &context, &parts);
        match deadline {
            None => read.await,
            Some(deadline) => {
                let late =
                    |_| DruidError::timeout(format!("Query timed out after {timeout_ms} ms; raise [timeout] in its context"));
                tokio::time::timeout_at(deadline.into(), read).await.map_err(late)?
            }
        }
    }
}

impl Window {
    /// The rows of these partials that lie in the window, and what is left of it.
    fn take(self, scan: ScanQuery, partials: Vec<Partial>, context: &QueryContext) -> Result<(QueryRows, Window)> {
        let query = NativeQuery::Scan(ScanQuery { offset: self.offset, limit: self.limit, ..scan });
        let merged = ovate_query::merge(&query, partials, context)?;
        let met = match &merged {
            Partial::Scan(rows) => rows.row_count() as u64,
            _ => 0,
        };
        let rows = ovate_query::finalize(&query, merged, context)?;
        let limit = self.limit.map(|limit| limit.saturating_sub(rows.row_count() as u64));
        Ok((rows, Window { offset: self.offset.saturating_sub(met), limit }))
    }
}
