//! A Broker that has just started does not know yet what should be served: whatever it answered could be silently partial.
//! Queries wait for its first view, and are refused when that takes too long, unless
//! `druid.broker.segment.awaitInitializationOnStart` is off.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ovate_base::DruidError;
use ovate_net::ApiError;

use super::view::ServerView;

/// How long a query waits for the view.
const WAIT: Duration = Duration::from_secs(10);

/// Holds queries back until the view is there; everything but `POST /druid/v2…` passes.
pub async fn wait_for_view(State(view): State<Arc<ServerView>>, request: Request, next: Next) -> Response {
    let asks = request.method() == Method::POST && request.uri().path().starts_with("/druid/v2");
    if asks && !view.is_initialized() && !view.wait_initialized(WAIT).await {
        let message =
            "this Broker has not heard from a Coordinator yet which segments are used; ask again, and see to the Coordinator";
        return ApiError(DruidError::service_unavailable(message)).into_response();
    }
    next.run(request).await
}
