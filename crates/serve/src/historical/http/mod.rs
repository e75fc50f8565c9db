//! The Historical over HTTP: segment list and load queue (`SegmentListerResource`), queries of brokers and of anybody
//! (`/druid/v2`), readiness.

mod lists;
mod native;
mod partial;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use ovate_base::{Budget, Result};
use ovate_compute::EvalContext;
use ovate_query::{NativeQuery, QueryContext};
use serde_json::{Map, Value, json};

use super::{Historical, SegmentLoader};
use crate::lookup::LookupStore;
use crate::running::{Registration, RunningQueries};
use crate::spill::SpillSettings;

/// What the handlers share.
#[derive(Clone)]
pub struct HistoricalState {
    pub historical: Arc<Historical>,
    pub loader: Arc<SegmentLoader>,
    pub lookups: Arc<LookupStore>,
    /// What all queries of this process may hold together.
    pub budget: Budget,
    /// What queries may put on disk.
    pub spill: SpillSettings,
    /// Queries of other servers, to be cancelled.
    pub running: Arc<RunningQueries>,
    /// `druid.query.default.context.*`, for queries that come in Druid's own protocol.
    pub default_context: Arc<Map<String, Value>>,
}

/// Routes of the Historical role.
pub fn routes(state: HistoricalState) -> Router {
    Router::new()
        .route("/druid-internal/v1/segments", get(lists::segments))
        .route("/druid-internal/v1/segments/changeRequests", post(lists::change_requests))
        .route("/druid-internal/v1/segments/loadCapabilities", get(lists::load_capabilities))
        .route("/druid-internal/v1/ovate", get(partial::protocol))
        .route("/druid-internal/v1/ovate/cache", get(cache))
        .route("/druid-internal/v1/query", post(partial::query))
        .route("/druid-internal/v1/schemas", post(partial::schemas))
        .route("/druid/historical/v1/loadstatus", get(load_status))
        .route("/druid/historical/v1/readiness", get(readiness))
        .route("/druid/v2", post(native::query))
        .route("/druid/v2/", post(native::query))
        .route("/druid/v2/{id}", delete(native::cancel))
        .with_state(state)
}

impl HistoricalState {
    /// The surroundings of one query of another server; it stops when the registration goes.
    fn context(
        &self,
        registration: &Registration<'_>,
        timeout_ms: u64,
        now_ms: i64,
        query: &NativeQuery,
    ) -> Result<QueryContext> {
        let deadline = (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms));
        let eval = EvalContext { lookups: self.lookups.snapshot(), now_ms };
        let spill = self.spill.of_query(query.context())?;
        let mut context = QueryContext::new(eval).with_deadline(deadline).with_budget(self.budget.clone()).with_spill(spill);
        context.stop = registration.stop.clone();
        Ok(context)
    }
}

async fn load_status(State(state): State<HistoricalState>) -> Json<Value> {
    Json(json!({"cacheInitialized": state.loader.is_bootstrapped()}))
}

/// What the segment cache holds on disk.
async fn cache(State(state): State<HistoricalState>) -> Json<Value> {
    Json(state.loader.report())
}

async fn readiness(State(state): State<HistoricalState>) -> StatusCode {
    if state.loader.is_bootstrapped() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
