//! Compaction configurations on the Overlord (`OverlordCompactionResource`): each data source's is the supervisor
//! `autocompact__<dataSource>`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use ovate_base::{DruidError, Result};
use ovate_net::{ApiResult, JsonBody};
use ovate_store::meta::indexing_state_fingerprint;
use serde_json::{Map, Value, json};

use super::super::{Overlord, actions};
use super::supervisors;
use crate::compaction::{ClusterConfig, DataSourceConfig, SUPERVISOR_PREFIX, Totals, chunks};
use crate::http::audit_info;

pub(super) fn routes() -> Router<Arc<Overlord>> {
    Router::new()
        .route("/compaction/isSupervisorEnabled", get(|| async { Json(true) }))
        .route("/compaction/config/cluster", get(cluster).post(set_cluster))
        .route("/compaction/config/datasources", get(list))
        .route("/compaction/config/datasources/{ds}", get(one).post(put).delete(delete))
        .route("/compaction/config/datasources/{ds}/history", get(history))
        .route("/compaction/status/datasources", get(statuses))
        .route("/compaction/status/datasources/{ds}", get(status))
}

async fn cluster(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    Ok(Json(Value::Object(ClusterConfig::read(&overlord.term()?.store).await?.json)))
}

async fn set_cluster(
    State(overlord): State<Arc<Overlord>>,
    headers: HeaderMap,
    JsonBody(given): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    ClusterConfig::update(&overlord.term()?.store, &given, &audit_info(&headers)).await?;
    Ok(Json(json!({"success": true})))
}

/// Configurations in force.
async fn active(overlord: &Overlord) -> Result<Vec<DataSourceConfig>> {
    Ok(DataSourceConfig::active(&overlord.term()?.store).await?.into_values().collect())
}

fn missing(name: &str) -> DruidError {
    DruidError::not_found(format!("Datasource compaction config does not exist. dataSource={name}"))
}

async fn list(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    let configs: Vec<Value> = active(&overlord).await?.into_iter().map(|config| Value::Object(config.json)).collect();
    Ok(Json(json!({"compactionConfigs": configs})))
}

async fn one(State(overlord): State<Arc<Overlord>>, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let found = active(&overlord).await?.into_iter().find(|config| config.data_source == name);
    Ok(Json(Value::Object(found.ok_or_else(|| missing(&name))?.json)))
}

async fn put(
    State(overlord): State<Arc<Overlord>>,
    Path(name): Path<String>,
    JsonBody(json): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    let config = DataSourceConfig::from_json(&json)?;
    if config.data_source != name {
        let message = format!("DataSource name in config[{}] does not match the name in the path[{name}]", config.data_source);
        return Err(DruidError::invalid_input(message).into());
    }
    supervisors::put(&overlord, &json!({"type": "autocompact", "spec": json, "suspended": false})).await?;
    Ok(Json(json!({"success": true})))
}

async fn delete(State(overlord): State<Arc<Overlord>>, Path(name): Path<String>, headers: HeaderMap) -> ApiResult<Json<Value>> {
    let ended = supervisors::end(&overlord, &format!("{SUPERVISOR_PREFIX}{name}")).await?;
    let removed = DataSourceConfig::remove_listed(&overlord.term()?.store, &name, &audit_info(&headers)).await?;
    if !ended && !removed {
        return Err(missing(&name).into());
    }
    Ok(Json(json!({"success": true})))
}

async fn history(State(overlord): State<Arc<Overlord>>, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let mut history = overlord.term()?.store.supervisor_history().await?;
    let versions = history.remove(&format!("{SUPERVISOR_PREFIX}{name}")).unwrap_or_default();
    let entries: Vec<Value> =
        versions.iter().map(|version| json!({"compactionConfig": version.spec["spec"], "auditTime": version.version})).collect();
    Ok(Json(json!({"entries": entries})))
}

pub(super) async fn snapshot(overlord: &Overlord, config: &DataSourceConfig) -> Result<Value> {
    let used = overlord.term()?.store.used_segments(&config.data_source, &[]).await?;
    let visible: Vec<Arc<_>> = actions::visible(used, &[]).into_iter().map(Arc::new).collect();
    let fingerprint = indexing_state_fingerprint(&config.data_source, &config.state());
    Ok(Totals::of(&chunks(&visible, config, &fingerprint)).to_json(&config.data_source))
}

async fn statuses(State(overlord): State<Arc<Overlord>>) -> ApiResult<Json<Value>> {
    let mut all = Vec::new();
    for config in active(&overlord).await? {
        all.push(snapshot(&overlord, &config).await?);
    }
    Ok(Json(json!({"compactionSnapshots": all, "latestStatus": all})))
}

async fn status(State(overlord): State<Arc<Overlord>>, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let found = active(&overlord).await?.into_iter().find(|config| config.data_source == name);
    Ok(Json(snapshot(&overlord, &found.ok_or_else(|| missing(&name))?).await?))
}
