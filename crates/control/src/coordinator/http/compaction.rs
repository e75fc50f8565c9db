//! The older compaction endpoints of the Coordinator (`CoordinatorCompactionConfigsResource`, `CompactionResource`).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::{ApiResult, JsonBody};
use ovate_store::meta::indexing_state_fingerprint;
use serde_json::{Map, Value, json};

use super::super::{Coordinator, visible};
use super::Params;
use crate::compaction::{ClusterConfig, DataSourceConfig, Totals, chunks};
use crate::http::audit_info;
use crate::overlord::history_range;

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/config/compaction", get(list).post(put))
        .route("/config/compaction/taskslots", post(task_slots))
        .route("/config/compaction/cluster", post(cluster))
        .route("/config/compaction/{ds}", get(one).delete(delete))
        .route("/config/compaction/{ds}/history", get(history))
        .route("/compaction/status", get(status))
        .route("/compaction/progress", get(progress))
        .route("/compaction/compact", post(compact))
        .route("/duties", get(duties))
}

async fn duties(State(coordinator): State<Arc<Coordinator>>) -> Json<Value> {
    Json(coordinator.duties.to_json(&coordinator.settings))
}

async fn list(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Json<Value>> {
    let store = &coordinator.term()?.store;
    let mut out = Map::new();
    out.insert("compactionConfigs".into(), Value::Array(DataSourceConfig::listed(store).await?));
    out.extend(ClusterConfig::read(store).await?.json);
    Ok(Json(Value::Object(out)))
}

async fn put(
    State(coordinator): State<Arc<Coordinator>>,
    headers: HeaderMap,
    JsonBody(config): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    let config = DataSourceConfig::from_json(&config)?;
    config.put_listed(&coordinator.term()?.store, &audit_info(&headers)).await?;
    Ok(Json(json!({"success": true})))
}

async fn one(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>) -> ApiResult<Response> {
    let found =
        DataSourceConfig::listed(&coordinator.term()?.store).await?.into_iter().find(|config| config["dataSource"] == *name);
    Ok(Json(found.ok_or_else(|| DruidError::not_found(NO_CONFIG))?).into_response())
}

async fn delete(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let removed = DataSourceConfig::remove_listed(&coordinator.term()?.store, &name, &audit_info(&headers)).await?;
    if !removed {
        return Err(DruidError::not_found(NO_CONFIG).into());
    }
    Ok(Json(json!({"success": true})).into_response())
}

async fn task_slots(
    State(coordinator): State<Arc<Coordinator>>,
    headers: HeaderMap,
    Query(params): Params,
) -> ApiResult<Json<Value>> {
    let mut given = Map::new();
    let bad = |name: &str| DruidError::invalid_input(format!("{name} must be a number"));
    if let Some(ratio) = params.get("ratio") {
        given.insert("compactionTaskSlotRatio".into(), json!(ratio.parse::<f64>().map_err(|_| bad("ratio"))?));
    }
    if let Some(max) = params.get("max") {
        given.insert("maxCompactionTaskSlots".into(), json!(max.parse::<u64>().map_err(|_| bad("max"))?));
    }
    ClusterConfig::update(&coordinator.term()?.store, &given, &audit_info(&headers)).await?;
    Ok(Json(json!({"success": true})))
}

async fn cluster(
    State(coordinator): State<Arc<Coordinator>>,
    headers: HeaderMap,
    JsonBody(given): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    ClusterConfig::update(&coordinator.term()?.store, &given, &audit_info(&headers)).await?;
    Ok(Json(json!({"success": true})))
}

/// What Druid says of a data source without one.
const NO_CONFIG: &str = "Datasource compaction config does not exist";

/// Looks for what to compact at once.
async fn compact(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<StatusCode> {
    let term = coordinator.term()?;
    coordinator.compact_now(&term).await?;
    Ok(StatusCode::OK)
}

async fn history(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
) -> ApiResult<Json<Value>> {
    let (interval, count) = history_range(&params)?;
    let entries = DataSourceConfig::history(&coordinator.term()?.store, &name, interval, count).await?;
    Ok(Json(Value::Array(entries)))
}

/// Totals of all configured data sources.
async fn totals(coordinator: &Coordinator) -> ApiResult<Vec<(String, Totals)>> {
    let term = coordinator.term()?;
    let configs = DataSourceConfig::active(&term.store).await?;
    let view = term.view.read();
    let total = |config: &DataSourceConfig| {
        let fingerprint = indexing_state_fingerprint(&config.data_source, &config.state());
        Totals::of(&chunks(&visible(&view, &config.data_source), config, &fingerprint))
    };
    Ok(configs.values().map(|config| (config.data_source.clone(), total(config))).collect())
}

async fn status(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Response> {
    let totals = totals(&coordinator).await?;
    let wanted = params.get("dataSource");
    let found: Vec<Value> = totals
        .into_iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name))
        .map(|(name, totals)| totals.to_json(&name))
        .collect();
    if wanted.is_some() && found.is_empty() {
        return Err(DruidError::not_found("Unknown DataSource").into());
    }
    Ok(Json(json!({"latestStatus": found})).into_response())
}

async fn progress(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Response> {
    let wanted = params.get("dataSource").filter(|name| !name.is_empty());
    let wanted = wanted.ok_or_else(|| DruidError::invalid_input("No DataSource specified"))?;
    let totals = totals(&coordinator).await?;
    let found = totals.iter().find(|(name, _)| name == wanted).ok_or_else(|| DruidError::not_found("Unknown DataSource"))?;
    Ok(Json(json!({"remainingSegmentSize": found.1.needed_bytes()})).into_response())
}
