//! Avatica's JDBC protocol (SQW-08): JSON at `/druid/v2/sql/avatica/`, protobuf at `/druid/v2/sql/avatica-protobuf/`.

mod columns;
mod messages;
mod metadata;
mod proto;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

pub use service::{AvaticaService, AvaticaSettings};

/// Routes of both forms.
pub fn routes(service: Arc<AvaticaService>) -> Router {
    Router::new()
        .route("/druid/v2/sql/avatica", post(over_json))
        .route("/druid/v2/sql/avatica/", post(over_json))
        .route("/druid/v2/sql/avatica-protobuf", post(over_protobuf))
        .route("/druid/v2/sql/avatica-protobuf/", post(over_protobuf))
        .with_state(service)
}

/// The connection that a request of either form is for, by which a Router keeps it at one Broker.
pub fn connection_id(is_protobuf: bool, body: &[u8], header: Option<&[u8]>) -> Option<String> {
    let request = match (is_protobuf, body.is_empty()) {
        (true, _) => proto::request_json(body).ok()?,
        (false, false) => serde_json::from_slice(body).ok()?,
        (false, true) => serde_json::from_slice(header?).ok()?,
    };
    let id = request["connectionId"].as_str().or(request["statementHandle"]["connectionId"].as_str());
    id.map(str::to_owned)
}

fn status(failed: bool) -> StatusCode {
    if failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}

/// Old drivers send the request in a header of that name instead of the body.
async fn over_json(State(service): State<Arc<AvaticaService>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = if body.is_empty() { headers.get("request").map_or(&[][..], |value| value.as_bytes()) } else { &body };
    let (failed, response) = match serde_json::from_slice::<Value>(text) {
        Ok(request) => service.handle(&request).await,
        Err(error) => {
            let message = format!("cannot read the Avatica request: {error}");
            (
                true,
                json!({"response": "error", "exceptions": [message], "errorMessage": message, "errorCode": -1,
                "sqlState": "00000", "severity": "UNKNOWN"}),
            )
        }
    };
    (status(failed), [("content-type", "application/json;charset=utf-8")], response.to_string()).into_response()
}

async fn over_protobuf(State(service): State<Arc<AvaticaService>>, body: Bytes) -> Response {
    let (failed, response) = match proto::request_json(&body) {
        Ok(request) => service.handle(&request).await,
        Err(error) => (true, json!({"response": "error", "errorMessage": error.message, "errorCode": -1, "sqlState": "00000"})),
    };
    (status(failed), [("content-type", "application/octet-stream;charset=utf-8")], proto::response_bytes(&response))
        .into_response()
}
