//! The Router (SVC-08): one address for everything. Queries go to a Broker, `/druid/coordinator` to the Coordinator that
//! leads, `/druid/indexer` to the Overlord that leads (RTR-01, RTR-02). Keeps no state but where the others are.

mod backend;
mod proxy;
mod spread;

pub use backend::{Backend, Backends};
use spread::Way;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::{ApiError, ApiResult, NodeRole};
use serde_json::{Value, json};

/// Routes of the Router role.
pub fn routes(backends: Arc<Backends>) -> Router {
    Router::new()
        .route("/proxy/enabled", get(|| async { Json(json!({"enabled": true})) }))
        .route("/proxy/coordinator/{*path}", any(stripped_coordinator))
        .route("/proxy/overlord/{*path}", any(stripped_overlord))
        .route("/proxy/{*path}", any(no_proxy))
        .route("/druid/router/v1/brokers", get(brokers))
        .route("/druid/v2", any(to_broker))
        .route("/druid/v2/", any(to_broker))
        .route("/druid/v2/{*path}", any(to_broker))
        .route("/druid/broker/{*path}", any(to_broker))
        .route("/druid/coordinator/{*path}", any(to_coordinator))
        .route("/druid/indexer/{*path}", any(to_overlord))
        .with_state(backends)
}

async fn brokers(State(backends): State<Arc<Backends>>) -> ApiResult<Json<Value>> {
    Ok(Json(json!({"druid/broker": backends.list(NodeRole::Broker).await?})))
}

async fn to_broker(State(backends): State<Arc<Backends>>, request: Request) -> Response {
    match spread::way(request.method(), request.uri().path()) {
        Way::Any => forward(&backends, NodeRole::Broker, request).await,
        Way::Connection { is_protobuf } => spread::by_connection(&backends, is_protobuf, request).await,
        Way::Known => spread::until_known(&backends, request).await,
    }
}

async fn to_coordinator(State(backends): State<Arc<Backends>>, request: Request) -> Response {
    forward(&backends, NodeRole::Coordinator, request).await
}

async fn to_overlord(State(backends): State<Arc<Backends>>, request: Request) -> Response {
    forward(&backends, NodeRole::Overlord, request).await
}

async fn no_proxy(request: Request) -> Response {
    let error = format!("Unsupported proxy destination[{}]", request.uri().path());
    (axum::http::StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

async fn stripped_coordinator(State(backends): State<Arc<Backends>>, request: Request) -> Response {
    strip_and_forward(&backends, NodeRole::Coordinator, "/proxy/coordinator", request).await
}

async fn stripped_overlord(State(backends): State<Arc<Backends>>, request: Request) -> Response {
    strip_and_forward(&backends, NodeRole::Overlord, "/proxy/overlord", request).await
}

async fn strip_and_forward(backends: &Backends, role: NodeRole, prefix: &str, mut request: Request<Body>) -> Response {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let stripped = path.strip_prefix(prefix).unwrap_or(path).to_owned();
    match stripped.parse() {
        Ok(uri) => {
            *request.uri_mut() = uri;
            forward(backends, role, request).await
        }
        Err(_) => ApiError(DruidError::invalid_input(format!("not a path: [{stripped}]"))).into_response(),
    }
}

async fn forward(backends: &Backends, role: NodeRole, request: Request<Body>) -> Response {
    match backends.choose(role).await {
        Ok(backend) => backend.forward(request).await,
        Err(error) => ApiError(error).into_response(),
    }
}
