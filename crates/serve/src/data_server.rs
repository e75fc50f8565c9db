//! How a broker reaches segments: one trait, for a Historical in this process and for one behind HTTP, so that the broker
//! cannot tell them apart (decision 0002).

use std::sync::Arc;
use std::time::Duration;

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
pub const RESPONSE_CONTEXT_HEADER: &str = "x-druid-response-context";
/// Header that tells what a query did, where its context asks for it by `profile`.
pub const PROFILE_HEADER: &str = "x-druid-query-profile";
/// Header with a query's id.
pub const QUERY_ID_HEADER: &str = "x-druid-query-id";
/// Longest response context that all proxies pass on (`druid.server.http.maxResponseContextHeaderSize`).
const RESPONSE_CONTEXT_BYTES_MAX: usize = 7 * 1024;
/// Deadline of a call whose query has no timeout.
pub(crate) const NO_TIMEOUT: Duration = Duration::from_secs(300);
/// First bytes of our servers' answers.
const ANSWER_MAGIC: &[u8] = b"OVA1";

/// What one server worked out.
pub struct Answer {
    /// Merged over all segments that the server has; `None` when it has none of them.
    pub partial: Option<Partial>,
    /// Asked for but not there.
    pub missing: Vec<SegmentDescriptor>,
    /// What it took on the wire; 0 within this process.
    pub bytes: u64,
}

/// Columns of one segment with their types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
        let request = PartialRequest {
            query: query.to_json(),
            table: table.to_owned(),
            segments: segments.iter().map(SegmentDescriptor::to_json).collect(),
            timeout_ms: context.timeout_ms_left(),
            now_ms: context.eval.now_ms,
        };
        let asked = segments;
        let url = format!("{}/druid-internal/v1/query", self.url);
        let body = serde_json::to_vec(&request).map_err(|e| DruidError::runtime(format!("cannot write the query: {e}")))?;
        let post =
            self.client.raw().post(&url).header(CONTENT_TYPE, "application/json").header(ACCEPT, PARTIAL_MEDIA_TYPE).body(body);
        let answer = post
            .timeout(context.time_left().unwrap_or(NO_TIMEOUT))
            .send()
            .await
            .map_err(|e| unreachable_server(&self.name, &e))?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        // The bytes are counted while they are there, before they are read where their number is known.
        let mut taken = context.budget().reserve(answer.content_length().unwrap_or(0))?;
        let bytes = answer.bytes().await.map_err(|e| unreachable_server(&self.name, &e))?;
        taken.resize(bytes.len() as u64)?;
        let decoded = tokio::task::spawn_blocking(move || {
            let answer = decode_answer(&asked, &bytes);
            drop((bytes, taken));
            answer
        });
        decoded.await.map_err(|e| DruidError::runtime(format!("reading a partial result failed: {e}")))?
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

pub(crate) fn unreachable_server(name: &str, error: &reqwest::Error) -> DruidError {
    if error.is_timeout() {
        return DruidError::timeout(format!("server [{name}] did not answer within the query's timeout"));
    }
    let category = Category::ServiceUnavailable;
    DruidError::new(ovate_base::Persona::Operator, category, "general", format!("cannot reach server [{name}]: {error}"))
}

/// An answer in our own form: `OVA1`, the number of segments asked for, a bit for each that is covered, the partial.
/// An answer always says what it covers, so that nothing can be left out silently.
pub(crate) fn encode_answer(asked: &[SegmentDescriptor], answer: Answer) -> Result<Vec<u8>> {
    let mut bytes = ANSWER_MAGIC.to_vec();
    bytes.extend_from_slice(&(asked.len() as u32).to_le_bytes());
    for eight in asked.chunks(8) {
        let bit = |(bit, segment): (usize, &SegmentDescriptor)| u8::from(!answer.missing.contains(segment)) << bit;
        bytes.push(eight.iter().enumerate().map(bit).sum());
    }
    if let Some(partial) = answer.partial {
        bytes.extend_from_slice(&partial.encode()?);
    }
    Ok(bytes)
}

fn decode_answer(asked: &[SegmentDescriptor], bytes: &[u8]) -> Result<Answer> {
    let damaged = || DruidError::runtime("the answer of a data server does not say which segments it covers");
    let rest = bytes.strip_prefix(ANSWER_MAGIC).ok_or_else(damaged)?;
    let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let bits = asked.len().div_ceil(8);
    if u32::from_le_bytes(*count) as usize != asked.len() || rest.len() < bits {
        return Err(damaged());
    }
    let (bits, partial) = rest.split_at(bits);
    let uncovered = asked.iter().enumerate().filter(|(at, _)| bits[at / 8] >> (at % 8) & 1 == 0);
    let missing = uncovered.map(|(_, segment)| segment.clone()).collect();
    let partial = if partial.is_empty() { None } else { Some(Partial::decode(partial)?) };
    Ok(Answer { partial, missing, bytes: bytes.len() as u64 })
}

/// Reads `missingSegments` out of a response context header; `None` when it was cut, so that it does not name them all.
pub(crate) fn missing_segments(header: Option<&str>) -> Result<Option<Vec<SegmentDescriptor>>> {
    let Some(text) = header else { return Ok(Some(Vec::new())) };
    let context: Value =
        serde_json::from_str(text).map_err(|e| DruidError::runtime(format!("cannot parse {RESPONSE_CONTEXT_HEADER}: {e}")))?;
    if context["truncated"].as_bool() == Some(true) {
        return Ok(None);
    }
    context["missingSegments"].as_array().into_iter().flatten().map(SegmentDescriptor::from_json).collect::<Result<_>>().map(Some)
}

/// Writes the response context header's value; a long one is cut and says so (`ResponseContext.serializeWith`).
pub fn response_context(missing: &[SegmentDescriptor]) -> String {
    let mut shown: Vec<Value> = missing.iter().map(SegmentDescriptor::to_json).collect();
    let whole = json!({"missingSegments": shown}).to_string();
    if whole.len() <= RESPONSE_CONTEXT_BYTES_MAX {
        return whole;
    }
    shown.truncate(shown.len() * RESPONSE_CONTEXT_BYTES_MAX / whole.len() / 2);
    json!({"missingSegments": shown, "truncated": true}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(count: i32) -> Vec<SegmentDescriptor> {
        let interval = ovate_base::Interval::parse("2020/2021").expect("an interval");
        (0..count).map(|partition| SegmentDescriptor { interval, version: "v1".into(), partition }).collect()
    }

    #[test]
    fn answers_name_exactly_what_they_cover() {
        let asked = segments(19);
        let missing = vec![asked[3].clone(), asked[17].clone()];
        let bytes = encode_answer(&asked, Answer { partial: None, missing: missing.clone(), bytes: 0 }).expect("it encodes");
        assert_eq!(decode_answer(&asked, &bytes).expect("it decodes").missing, missing);
        assert!(decode_answer(&asked[1..], &bytes).is_err());
        assert!((0..bytes.len()).all(|end| decode_answer(&asked, &bytes[..end]).is_err()));
    }

    #[test]
    fn a_long_response_context_is_cut_and_says_so() {
        assert_eq!(missing_segments(Some(&response_context(&segments(5)))).expect("it parses").map(|list| list.len()), Some(5));
        let cut = response_context(&segments(5000));
        assert!(cut.len() < 8000 && missing_segments(Some(&cut)).expect("it parses").is_none());
    }
}
