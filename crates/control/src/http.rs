//! What the routers of both leaders share: redirects of followers, `leader` and `isLeader`, audit headers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ovate_base::DruidError;
use ovate_net::{ApiError, LeaderSelector};
use ovate_store::meta::AuditInfo;
use serde_json::json;

/// Sends requests to the leader when this process is not it; `leader` and `isLeader` are answered by all.
pub(crate) async fn only_leader(State(selector): State<Arc<dyn LeaderSelector>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let for_all = path.ends_with("/v1/leader") || path.ends_with("/v1/isLeader");
    if for_all || selector.leadership().is_some() {
        return next.run(request).await;
    }
    match selector.leader_url() {
        Some(url) => {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("{url}{target}"))]).into_response()
        }
        None => ApiError(DruidError::service_unavailable("no leader is elected yet")).into_response(),
    }
}

/// `GET …/leader`: the URL as text.
pub(crate) fn leader(selector: &dyn LeaderSelector) -> Response {
    match selector.leader_url() {
        Some(url) => url.into_response(),
        None => ApiError(DruidError::not_found("no leader is elected")).into_response(),
    }
}

/// `GET …/isLeader`: 200 or 404, for load balancers.
pub(crate) fn is_leader(selector: &dyn LeaderSelector) -> Response {
    let leads = selector.leadership().is_some();
    let status = if leads { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (status, Json(json!({"leader": leads}))).into_response()
}

/// `X-Druid-Author` and `X-Druid-Comment`.
pub(crate) fn audit_info(headers: &HeaderMap) -> AuditInfo {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    // Nobody is asked who they are, which Druid calls by the name of its authenticator.
    let identity = Some("allowAll".to_owned());
    AuditInfo { author: text("X-Druid-Author"), comment: text("X-Druid-Comment"), identity, ip: String::new() }
}

/// True when a query parameter stands there, with or without a value, and is not `false`.
pub(crate) fn flag(query: &std::collections::HashMap<String, String>, name: &str) -> bool {
    query.get(name).is_some_and(|value| value != "false")
}
