//! Passes one request on over HTTP and streams the answer back. Hop-by-hop headers stay behind.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use axum::response::{IntoResponse, Response};
use ovate_base::{Category, DruidError, Persona};
use ovate_net::{ApiError, HttpClient};

/// Longest time a proxied request may take (`druid.router.http.readTimeout` is 15 minutes in Druid).
const FORWARD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Sends `request` to `base` with the same method, path, query, headers and body.
pub async fn forward(client: &HttpClient, base: &str, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let url = format!("{base}{path}");
    let sent = client
        .raw()
        .request(parts.method, &url)
        .headers(end_to_end(&parts.headers))
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .timeout(FORWARD_TIMEOUT)
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let (status, headers) = (answer.status(), end_to_end(answer.headers()));
            let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        Err(error) => {
            let (category, what) = if error.is_timeout() {
                (Category::Timeout, "did not answer in time")
            } else {
                (Category::ServiceUnavailable, "cannot be reached")
            };
            ApiError(DruidError::new(Persona::Operator, category, "general", format!("[{base}] {what}: {error}"))).into_response()
        }
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        kept.remove(name);
    }
    kept
}
