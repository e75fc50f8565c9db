//! A data server of Apache Druid itself, asked in its own protocol (`DirectDruidClient`, `formats/cluster-protocols.md` 8):
//! queries and answers in Smile, aggregators in their intermediate form. What comes back is a [`Partial`] like any other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use bytes::Bytes;
use futures::StreamExt;
use ovate_base::{Category, DruidError, Result, SegmentId, smile};
use ovate_compute::EvalContext;
use ovate_net::HttpClient;
use ovate_query::partial::druid::data_server_query;
use ovate_query::{NativeQuery, Partial, QueryContext, SegmentDescriptor};
use serde_json::{Value, json};
use tracing::debug;

use crate::data_server::{
    Answer, DataServer, NO_TIMEOUT, RESPONSE_CONTEXT_HEADER, SegmentSchema, missing_segments, unreachable_server,
};
use crate::older_words::older_words;
use crate::respond::SMILE;

/// Bytes of one answer, whatever the query allows.
const ANSWER_BYTES_MAX: u64 = 8 << 30;
/// Longest wait for the columns of segments.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a cancellation to be taken.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// Segments asked about in one schema query.
const SCHEMA_BATCH: usize = 200;

/// A JVM Historical, Peon or Indexer behind HTTP.
pub struct JvmDataServer {
    client: HttpClient,
    name: String,
    url: String,
}

/// Cancels a query on its server unless it ends by itself.
struct CancelOnDrop {
    client: HttpClient,
    url: String,
    armed: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let request = self.client.raw().delete(&self.url).timeout(CANCEL_TIMEOUT);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = request.send().await {
                    debug!("cannot cancel a query on a data server. error={error}");
                }
            });
        }
    }
}

impl JvmDataServer {
    /// `url` is `http://host:port`.
    pub fn new(client: HttpClient, name: String, url: String) -> Self {
        JvmDataServer { client, name, url }
    }

    /// Asks a query; gives the body and the response context.
    async fn ask(&self, query: &Value, timeout: Duration, bytes_max: u64) -> Result<(Vec<u8>, Option<String>)> {
        let url = format!("{}/druid/v2/", self.url);
        let post = self
            .client
            .raw()
            .post(&url)
            .header(CONTENT_TYPE, SMILE)
            .header(ACCEPT, SMILE)
            .body(smile::from_json(&older_words(query)));
        let answer = post.timeout(timeout).send().await.map_err(|e| unreachable_server(&self.name, &e))?;
        let status = answer.status().as_u16();
        let context = answer.headers().get(RESPONSE_CONTEXT_HEADER).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut body: Vec<u8> = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece: Bytes = piece.map_err(|e| unreachable_server(&self.name, &e))?;
            body.extend_from_slice(&piece);
            if body.len() as u64 > bytes_max {
                return Err(DruidError::resource_limit(format!(
                    "Query[{}] url[{url}] total bytes gathered exceeds maxScatterGatherBytes[{bytes_max}]",
                    query["context"]["queryId"].as_str().unwrap_or("")
                )));
            }
        }
        if status >= 400 || is_object(&body) { Err(self.refused(status, &body)) } else { Ok((body, context)) }
    }

    /// The error in an answer; a status of 200 may carry one too.
    fn refused(&self, status: u16, body: &[u8]) -> DruidError {
        let document = if smile::is_smile(body) { smile::to_json(body).ok() } else { serde_json::from_slice(body).ok() };
        let text = document.as_ref().map_or_else(|| body.to_vec(), |document| document.to_string().into_bytes());
        let status = if status < 400 { 500 } else { status };
        let mut error = ovate_net::client::remote_error(&self.url, status, &text);
        let legacy = document.as_ref().and_then(|d| d["error"].as_str().or(d["context"]["legacyErrorCode"].as_str()));
        error.category = match legacy {
            Some("Query timeout") => Category::Timeout,
            Some("Query cancelled") => Category::Canceled,
            Some("Query capacity exceeded") => Category::CapacityExceeded,
            Some("Resource limit exceeded") => Category::InvalidInput,
            Some("Unsupported operation") => Category::Unsupported,
            _ => error.category,
        };
        error.prefixed(format_args!("server [{}]", self.name))
    }
}

/// True for a body whose value is an object: an error, since answers are lists.
fn is_object(body: &[u8]) -> bool {
    if smile::is_smile(body) { body.get(4) == Some(&0xFA) } else { body.trim_ascii_start().starts_with(b"{") }
}

#[async_trait]
impl DataServer for JvmDataServer {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(
        &self,
        query: Arc<NativeQuery>,
        table: &str,
        segments: Vec<SegmentDescriptor>,
        context: &QueryContext,
    ) -> Result<Answer> {
        let mut request = data_server_query(&query, table, segments.clone(), context.timeout_ms_left())?;
        // An id of this call's own, so that cancelling one share does not touch another query.
        let id = uuid::Uuid::new_v4().to_string();
        request["context"]["subQueryId"] = json!(id);
        if query.context().query_id().is_none() {
            request["context"]["queryId"] = json!(id);
        }
        let id = request["context"]["queryId"].as_str().unwrap_or_default().to_owned();
        let cancel_url = format!("{}/druid/v2/{id}", self.url);
        let mut cancel = CancelOnDrop { client: self.client.clone(), url: cancel_url, armed: true };
        let bytes_max = query.context().long("maxScatterGatherBytes")?.map_or(ANSWER_BYTES_MAX, i64::unsigned_abs);
        let asked = self.ask(&request, context.time_left().unwrap_or(NO_TIMEOUT), bytes_max.min(ANSWER_BYTES_MAX)).await;
        cancel.armed = asked.as_ref().is_err_and(|e| e.category == Category::Timeout);
        let (body, header) = asked?;
        let Some(missing) = missing_segments(header.as_deref())? else {
            // It does not say all that it lacks: what it gave cannot be used.
            return Ok(Answer { partial: None, missing: segments, bytes: 0 });
        };
        let (context, bytes) = (context.clone(), body.len() as u64);
        let read = tokio::task::spawn_blocking(move || Partial::from_druid(&query, &body, &context));
        let partial = read.await.map_err(|e| DruidError::runtime(format!("reading an answer failed: {e}")))?;
        Ok(Answer { partial: partial.map_err(|e| e.prefixed(format_args!("server [{}]", self.name)))?, missing, bytes })
    }

    async fn schemas(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>> {
        let mut schemas = Vec::with_capacity(segments.len());
        for batch in segments.chunks(SCHEMA_BATCH) {
            schemas.extend(self.schemas_of(table, batch).await?);
        }
        Ok(schemas)
    }
}

impl JvmDataServer {
    /// By a segmentMetadata query without analyses, as Druid's Brokers do (`SegmentMetadataCache`).
    async fn schemas_of(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>> {
        let document = json!({"queryType": "segmentMetadata", "dataSource": table, "merge": false, "analysisTypes": [],
            "intervals": {"type": "segments", "segments": segments.iter().map(SegmentDescriptor::to_json).collect::<Vec<_>>()},
            "context": {"queryId": uuid::Uuid::new_v4().to_string(), "priority": -10}});
        let query = NativeQuery::from_json(&document)?;
        let request = data_server_query(&query, table, segments.to_vec(), SCHEMA_TIMEOUT.as_millis() as u64)?;
        let (body, _) = self.ask(&request, SCHEMA_TIMEOUT, ANSWER_BYTES_MAX).await?;
        let context = QueryContext::new(EvalContext::at(0));
        let Some(Partial::SegmentMetadata(analyses)) = Partial::from_druid(&query, &body, &context)? else {
            return Ok(vec![None; segments.len()]);
        };
        let mut by_id: HashMap<String, SegmentSchema> = HashMap::new();
        for analysis in analyses {
            let columns = analysis.columns.iter().map(|(name, column)| (name.clone(), column.column_type.to_string()));
            by_id.insert(analysis.id, SegmentSchema { rows: analysis.row_count, columns: columns.collect() });
        }
        let one = |segment: &SegmentDescriptor| {
            let id = SegmentId::new(table, segment.interval, segment.version.clone(), segment.partition);
            by_id.get(&id.to_string()).cloned()
        };
        Ok(segments.iter().map(one).collect())
    }
}
