//! HTTP between our processes: every call has a deadline, and a remote error comes back as the error it was.

use std::time::Duration;

use bytes::Bytes;
use ovate_base::{Category, DruidError, Persona, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest wait for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections kept to one server.
const IDLE_PER_HOST_MAX: usize = 64;

/// A client shared by all of a process; cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
}

impl HttpClient {
    /// A client with our connection limits.
    pub fn new() -> Result<Self> {
        let inner = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .tcp_nodelay(true)
            .no_proxy()
            // Answers between servers are not compressed, and those that the Router passes on stay as they are.
            .no_gzip()
            .build()
            .map_err(|e| DruidError::runtime(format!("cannot build the HTTP client: {e}")))?;
        Ok(HttpClient { inner })
    }

    /// The client underneath, for streaming.
    pub fn raw(&self) -> &reqwest::Client {
        &self.inner
    }

    /// GET and parse JSON.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &str, deadline: Duration) -> Result<T> {
        let bytes = self.send(self.inner.get(url), url, deadline).await?;
        parse(&bytes, url)
    }

    /// GET of JSON that the server gives a tag (`ETag`), with the tag of what is known already: `None` while that is still the
    /// answer.
    pub async fn get_if_changed<T: DeserializeOwned>(
        &self,
        url: &str,
        known: Option<&str>,
        deadline: Duration,
    ) -> Result<Option<(T, Option<String>)>> {
        let mut request = self.inner.get(url).timeout(deadline);
        if let Some(known) = known {
            request = request.header(reqwest::header::IF_NONE_MATCH, known);
        }
        let answer = request.send().await.map_err(|e| transport_error(url, &e))?;
        let status = answer.status().as_u16();
        if status == 304 {
            return Ok(None);
        }
        let tag = answer.headers().get(reqwest::header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let bytes = answer.bytes().await.map_err(|e| transport_error(url, &e))?;
        if status >= 400 { Err(remote_error(url, status, &bytes)) } else { Ok(Some((parse(&bytes, url)?, tag))) }
    }

    /// GET, the body as text.
    pub async fn get_text(&self, url: &str, deadline: Duration) -> Result<String> {
        let bytes = self.send(self.inner.get(url), url, deadline).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// POST JSON and parse JSON; an empty answer reads as `null`.
    pub async fn post_json<T: DeserializeOwned>(&self, url: &str, body: &impl Serialize, deadline: Duration) -> Result<T> {
        let bytes = self.send(self.inner.post(url).json(body), url, deadline).await?;
        if bytes.is_empty() { parse(b"null", url) } else { parse(&bytes, url) }
    }

    /// Sends a prepared request and reads the whole answer; a status of 400 or more becomes the error in its body.
    pub async fn send(&self, request: reqwest::RequestBuilder, url: &str, deadline: Duration) -> Result<Bytes> {
        let answer = request.timeout(deadline).send().await.map_err(|e| transport_error(url, &e))?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(|e| transport_error(url, &e))?;
        if status >= 400 { Err(remote_error(url, status, &bytes)) } else { Ok(bytes) }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], url: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| DruidError::runtime(format!("cannot parse the answer of [{url}]: {e}")))
}

fn transport_error(url: &str, error: &reqwest::Error) -> DruidError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() {
        DruidError::timeout(format!("no answer from [{url}] within its deadline"))
    } else {
        DruidError::new(Persona::Operator, Category::ServiceUnavailable, "general", format!("cannot reach [{url}]: {cause}"))
    }
}

/// Rebuilds the error that a server of ours, or Druid, put into its answer.
pub fn remote_error(url: &str, status: u16, body: &[u8]) -> DruidError {
    let category = match status {
        400 => Category::InvalidInput,
        401 => Category::Unauthorized,
        403 => Category::Forbidden,
        404 => Category::NotFound,
        409 => Category::Conflict,
        429 => Category::CapacityExceeded,
        501 => Category::Unsupported,
        503 => Category::ServiceUnavailable,
        504 => Category::Timeout,
        _ => Category::RuntimeFailure,
    };
    let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("errorMessage")
        .or_else(|| text("error"))
        .unwrap_or_else(|| format!("[{url}] answered {status}: {}", String::from_utf8_lossy(&body[..body.len().min(500)])));
    let code = text("errorCode").unwrap_or_else(|| "general".to_owned());
    let mut error = DruidError::new(Persona::Operator, category, &code, message);
    const LEGACY: [&str; 5] =
        ["Query timeout", "Resource limit exceeded", "Query capacity exceeded", "Query cancelled", "Unknown exception"];
    error.legacy = text("error").and_then(|e| LEGACY.into_iter().find(|known| *known == e));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_errors_keep_category_and_message() {
        let body = DruidError::resource_limit("too many rows, raise maxRows").to_json(None).to_string();
        let error = remote_error("http://x", 400, body.as_bytes());
        assert_eq!(error.message, "too many rows, raise maxRows");
        assert_eq!(error.legacy, Some("Resource limit exceeded"));
        assert_eq!(error.http_status(), 400);
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_sent_again() {
        use axum::http::{HeaderMap, StatusCode, header};
        use axum::response::IntoResponse;
        let answer = async |headers: HeaderMap| match headers.get(header::IF_NONE_MATCH) {
            Some(tag) if tag == "\"1\"" => StatusCode::NOT_MODIFIED.into_response(),
            _ => ([(header::ETAG, "\"1\"")], "[7]").into_response(),
        };
        let server = crate::server::BoundServer::bind("127.0.0.1", 0).await.expect("a port");
        let url = format!("http://{}/list", server.address);
        let stop = tokio::sync::watch::channel(false).0;
        tokio::spawn(server.serve(axum::Router::new().route("/list", axum::routing::get(answer)), stop.subscribe()));
        let (client, deadline) = (HttpClient::new().expect("a client"), Duration::from_secs(10));
        let first = client.get_if_changed::<Vec<i64>>(&url, None, deadline).await.expect("an answer");
        assert_eq!(first, Some((vec![7], Some("\"1\"".to_owned()))));
        assert_eq!(client.get_if_changed::<Vec<i64>>(&url, Some("\"1\""), deadline).await.expect("an answer"), None);
        assert!(client.get_if_changed::<Vec<i64>>(&url, Some("\"0\""), deadline).await.expect("an answer").is_some());
        stop.send_replace(true);
    }

    #[test]
    fn a_body_that_is_no_json_is_quoted() {
        let error = remote_error("http://x", 502, b"<html>bad gateway</html>");
        assert!(error.message.contains("bad gateway"));
    }
}
