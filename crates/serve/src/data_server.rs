//! How a broker reaches segments: one trait, for a Historical in this process and for one behind HTTP, so that the broker
//! cannot tell them apart (decision 0002).

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use ovate_base::{Category, DruidError, Result};
use ovate_compute::ColumnType;
use ovate_net::HttpClient;
use ovate_query::{NativeQuery, Partial, QueryContext, SegmentDescriptor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Media type of a partial result between our own servers.
pub const PARTIAL_MEDIA_TYPE: &str = "application/x-ovate-partial";
/// Header that lists the segments a server was asked for and does not have (`ResponseContext`).
pub const RESPONSE_CONTEXT_HEADER: &str = "X-Druid-Response-Context";
/// Deadline of a call whose query has no timeout.
const NO_TIMEOUT: Duration = Duration::from_secs(300);

/// What one server worked out.
pub struct Answer {
    /// Merged over all segments that the server has; `None` when it has none of them.
    pub partial: Option<Partial>,
    /// Asked for but not there.
    pub missing: Vec<SegmentDescriptor>,
}

/// Columns of one segment with their types.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SegmentSchema {
    pub rows: u64,
    /// Name and `ColumnType` text.
    pub columns: Vec<(String, String)>,
}

impl SegmentSchema {
    /// Names with parsed types; columns of a type that this build does not know are left out.
    pub fn typed_columns(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.columns.iter().filter_map(|(name, text)| ColumnType::parse(text).ok().map(|t| (name.as_str(), t)))
    }
}

/// A server with segments of its own.
#[async_trait]
pub trait DataServer: Send + Sync {
    /// `host:port`.
    fn name(&self) -> &str;
    /// Runs the query over these segments of `table`.
    async fn run(
        &self,
        query: Arc<NativeQuery>,
        table: &str,
        segments: Vec<SegmentDescriptor>,
        context: &QueryContext,
    ) -> Result<Answer>;
    /// The columns of these segments of `table`, in the same order; `None` for one that is not there.
    async fn schemas(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>>;
}

/// A Historical behind HTTP.
pub struct RemoteDataServer {
    client: HttpClient,
    name: String,
    url: String,
}

impl RemoteDataServer {
    /// `url` is `http://host:port`.
    pub fn new(client: HttpClient, name: String, url: String) -> Self {
        RemoteDataServer { client, name, url }
    }
}

/// Body of the internal query call: the query, the table its segments belong to, and the segments.
#[derive(Serialize, Deserialize)]
pub struct PartialRequest {
    pub query: Value,
    pub table: String,
    pub segments: Vec<Value>,
    /// Milliseconds left; 0 for none.
    pub timeout_ms: u64,
    /// The query's fixed clock.
    pub now_ms: i64,
}

#[async_trait]
impl DataServer for RemoteDataServer {
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
        let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let request = PartialRequest {
            query: query.to_json(),
            table: table.to_owned(),
            segments: segments.iter().map(SegmentDescriptor::to_json).collect(),
            timeout_ms: left.map_or(0, |d| d.as_millis().max(1) as u64),
            now_ms: context.eval.now_ms,
        };
        let url = format!("{}/druid-internal/v1/query", self.url);
        let body = serde_json::to_vec(&request).map_err(|e| DruidError::runtime(format!("cannot write the query: {e}")))?;
        let post =
            self.client.raw().post(&url).header(CONTENT_TYPE, "application/json").header(ACCEPT, PARTIAL_MEDIA_TYPE).body(body);
        let answer = post.timeout(left.unwrap_or(NO_TIMEOUT)).send().await.map_err(|e| unreachable_server(&self.name, &e))?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        let missing = missing_segments(answer.headers().get(RESPONSE_CONTEXT_HEADER).and_then(|v| v.to_str().ok()))?;
        let bytes = answer.bytes().await.map_err(|e| unreachable_server(&self.name, &e))?;
        let partial = if bytes.is_empty() { None } else { Some(Partial::decode(&bytes)?) };
        Ok(Answer { partial, missing })
    }

    async fn schemas(&self, table: &str, segments: &[SegmentDescriptor]) -> Result<Vec<Option<SegmentSchema>>> {
        let body = json!({"table": table, "segments": segments.iter().map(SegmentDescriptor::to_json).collect::<Vec<_>>()});
        self.client.post_json(&format!("{}/druid-internal/v1/schemas", self.url), &body, Duration::from_secs(30)).await
    }
}

impl RemoteDataServer {
    /// The error in a refused call's body.
    async fn refused(&self, answer: reqwest::Response) -> DruidError {
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap_or_default();
        ovate_net::client::remote_error(&self.url, status, &bytes)
    }
}

fn unreachable_server(name: &str, error: &reqwest::Error) -> DruidError {
    if error.is_timeout() {
        return DruidError::timeout(format!("server [{name}] did not answer within the query's timeout"));
    }
    let category = Category::ServiceUnavailable;
    DruidError::new(ovate_base::Persona::Operator, category, "general", format!("cannot reach server [{name}]: {error}"))
}

/// Reads `missingSegments` out of a response context header.
fn missing_segments(header: Option<&str>) -> Result<Vec<SegmentDescriptor>> {
    let Some(text) = header else { return Ok(Vec::new()) };
    let context: Value =
        serde_json::from_str(text).map_err(|e| DruidError::runtime(format!("cannot parse {RESPONSE_CONTEXT_HEADER}: {e}")))?;
    context["missingSegments"].as_array().into_iter().flatten().map(SegmentDescriptor::from_json).collect()
}

/// Writes the response context header's value.
pub fn response_context(missing: &[SegmentDescriptor]) -> String {
    json!({"missingSegments": missing.iter().map(SegmentDescriptor::to_json).collect::<Vec<_>>()}).to_string()
}
