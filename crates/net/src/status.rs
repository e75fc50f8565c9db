//! The endpoints that every role has: `/status`, `/status/health`, `/status/ready`, `/status/properties`,
//! `/status/selfDiscovered` (features API-A-01..06).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

/// What `/status` shows of a process.
pub struct StatusInfo {
    /// The version that clients see; Druid's numbering, since tools compare it.
    pub version: String,
    /// Effective properties; values of hidden keys are already masked.
    pub properties: BTreeMap<String, String>,
    /// False until the role can do its work, and again during shutdown.
    pub ready: AtomicBool,
}

/// Routes for one role.
pub fn routes(info: Arc<StatusInfo>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/status/health", get(|| async { Json(true) }))
        .route("/status/ready", get(ready))
        .route("/status/properties", get(properties))
        .route("/status/selfDiscovered/status", get(self_discovered))
        .route("/status/selfDiscovered", get(ready))
        .with_state(info)
}

async fn status(State(info): State<Arc<StatusInfo>>) -> Json<Value> {
    let memory = resident_bytes().unwrap_or(0);
    Json(json!({
        "version": info.version,
        "modules": [],
        "memory": {"maxMemory": memory, "totalMemory": memory, "freeMemory": 0, "usedMemory": memory, "directMemory": 0}
    }))
}

async fn ready(State(info): State<Arc<StatusInfo>>) -> StatusCode {
    if info.ready.load(Ordering::Acquire) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn self_discovered(State(info): State<Arc<StatusInfo>>) -> Json<Value> {
    Json(json!({"selfDiscovered": info.ready.load(Ordering::Acquire)}))
}

async fn properties(State(info): State<Arc<StatusInfo>>) -> Json<BTreeMap<String, String>> {
    Json(info.properties.clone())
}

/// Resident memory of this process in bytes, where `/proc` tells it.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
