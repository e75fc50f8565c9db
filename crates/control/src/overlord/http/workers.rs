//! Workers, the worker configuration, and locks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ovate_base::{DruidError, Interval, Result};
use ovate_net::{ApiResult, JsonBody};
use ovate_store::meta::TaskLock;
use serde_json::{Value, json};

use super::super::Overlord;
use super::super::select::SelectConfig;
use crate::http::audit_info;

/// The name of the worker configuration in the store.
pub const WORKER_CONFIG: &str = "worker.config";

pub(super) async fn list(State(overlord): State<Arc<Overlord>>) -> Json<Value> {
    let workers = overlord.runner.workers().await;
    let shown = workers.iter().map(|worker| {
        json!({
            "worker": {
                "scheme": "http",
                "host": worker.host,
                "ip": worker.host.rsplit_once(':').map_or(worker.host.as_str(), |(ip, _)| ip),
                "capacity": worker.capacity,
                "version": worker.version,
                "category": worker.category,
                "disabled": worker.disabled,
            },
            "currCapacityUsed": worker.running.len(),
            "currParallelIndexCapacityUsed": worker.parallel,
            "availabilityGroups": worker.running,
            "runningTasks": worker.running,
            "lastCompletedTaskTime": worker.last_completed,
            "blacklistedUntil": worker.blacklisted_until.map(ovate_base::time::format_iso),
        })
    });
    Json(shown.collect())
}

pub(super) async fn capacity(State(overlord): State<Arc<Overlord>>) -> Json<Value> {
    let workers = overlord.runner.workers().await;
    let current: usize = workers.iter().map(|worker| worker.capacity).sum();
    let used: usize = workers.iter().map(|worker| worker.running.len()).sum();
    Json(json!({"currentClusterCapacity": current, "maximumCapacityWithAutoScale": -1, "usedClusterCapacity": used}))
}

pub(super) async fn config(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    let stored = overlord.term()?.store.config_json(WORKER_CONFIG).await?;
    Ok(Json(stored.unwrap_or(Value::Null)))
}

/// Checked, stored with its audit entry, and in force from the next assignment on.
pub(super) async fn set_config(
    State(overlord): State<Arc<Overlord>>,
    headers: HeaderMap,
    JsonBody(config): JsonBody<Value>,
) -> ApiResult<()> {
    let select = SelectConfig::from_json(&config)?;
    let bytes = config.to_string().into_bytes();
    let term = overlord.term()?;
    term.store.set_config(WORKER_CONFIG, &bytes, Some(&audit_info(&headers))).await?;
    *term.select.write() = select;
    term.queue_changed.notify_one();
    Ok(())
}

pub(super) async fn config_history(
    State(overlord): State<Arc<Overlord>>,
    Query(params): Query<HashMap<String, String>>,
) -> ApiResult<Json<Value>> {
    let (interval, count) = history_range(&params)?;
    Ok(Json(json!(overlord.term()?.store.audit(None, WORKER_CONFIG, interval, count).await?)))
}

/// `interval` or `count` of a history request; the last week when neither is given.
pub(crate) fn history_range(params: &HashMap<String, String>) -> Result<(Option<Interval>, Option<usize>)> {
    let interval = params.get("interval").map(|text| Interval::parse(text)).transpose()?;
    let bad = || DruidError::invalid_input("Limit must be greater than zero!");
    let positive = |text: &String| text.parse::<usize>().ok().filter(|count| *count > 0).ok_or_else(bad);
    let count = params.get("count").map(positive).transpose()?;
    if interval.is_some() || count.is_some() {
        return Ok((interval, count));
    }
    const WEEK_MS: i64 = 7 * 86_400_000;
    let now = ovate_store::now_ms();
    Ok((Some(Interval { start: now - WEEK_MS, end: now + 1_000 }), None))
}

pub(super) async fn enable(State(overlord): State<Arc<Overlord>>, Path(host): Path<String>) -> Response {
    set_enabled(&overlord, &host, true).await
}

pub(super) async fn disable(State(overlord): State<Arc<Overlord>>, Path(host): Path<String>) -> Response {
    set_enabled(&overlord, &host, false).await
}

async fn set_enabled(overlord: &Overlord, host: &str, enabled: bool) -> Response {
    if overlord.runner.set_enabled(host, enabled).await {
        let state = if enabled { "enabled" } else { "disabled" };
        return Json(json!({host: state})).into_response();
    }
    (StatusCode::NOT_FOUND, Json(json!({"error": "Worker Not Found"}))).into_response()
}

/// Locks of a data source that tasks of at least a priority hold.
async fn locks_of(overlord: &Overlord, filters: &[(String, i64)]) -> Result<BTreeMap<String, Vec<TaskLock>>> {
    let term = overlord.term()?;
    let lockbox = term.lockbox.lock().await;
    let mut found: BTreeMap<String, Vec<TaskLock>> = BTreeMap::new();
    for (data_source, least) in filters {
        for row in lockbox.rows().iter().filter(|row| row.lock.data_source == *data_source) {
            if i64::from(row.lock.priority) >= *least && !row.lock.revoked {
                found.entry(data_source.clone()).or_default().push(row.lock.clone());
            }
        }
    }
    Ok(found)
}

/// `LockFilterPolicy`; older clients write `dataSource` and `minTaskPriority`.
fn lock_filters(filters: &[Value]) -> Result<Vec<(String, i64)>> {
    let missing = || DruidError::invalid_input("a lock filter needs a datasource");
    let read = |filter: &Value| {
        let name = filter["datasource"].as_str().or(filter["dataSource"].as_str()).ok_or_else(missing)?;
        let least = filter["priority"].as_i64().or(filter["minTaskPriority"].as_i64()).unwrap_or(0);
        Ok((name.to_owned(), least))
    };
    if filters.is_empty() {
        return Err(DruidError::invalid_input("No filter provided"));
    }
    filters.iter().map(read).collect()
}

/// `POST /activeLocks`: filters to the locks they meet.
pub(super) async fn active_locks(
    State(overlord): State<Arc<Overlord>>,
    JsonBody(filters): JsonBody<Vec<Value>>,
) -> ApiResult<Json<Value>> {
    Ok(Json(json!({"datasourceToLocks": locks_of(&overlord, &lock_filters(&filters)?).await?})))
}

/// `POST /lockedIntervals`: least priority by data source.
pub(super) async fn locked_intervals(
    State(overlord): State<Arc<Overlord>>,
    JsonBody(least): JsonBody<BTreeMap<String, i64>>,
) -> ApiResult<Json<Value>> {
    let filters: Vec<(String, i64)> = least.into_iter().collect();
    Ok(Json(intervals(locks_of(&overlord, &filters).await?)))
}

/// `POST /lockedIntervals/v2`: filters to the intervals that are locked.
pub(super) async fn locked_intervals_v2(
    State(overlord): State<Arc<Overlord>>,
    JsonBody(filters): JsonBody<Vec<Value>>,
) -> ApiResult<Json<Value>> {
    Ok(Json(intervals(locks_of(&overlord, &lock_filters(&filters)?).await?)))
}

fn intervals(locks: BTreeMap<String, Vec<TaskLock>>) -> Value {
    let condense = |locks: Vec<TaskLock>| {
        let all: Vec<Interval> = locks.into_iter().map(|lock| lock.interval).collect();
        Interval::condense(&all).iter().map(Interval::to_string).collect::<Vec<_>>()
    };
    Value::Object(locks.into_iter().map(|(name, locks)| (name, json!(condense(locks)))).collect())
}
