//! Dynamic configuration of the Coordinator (`CoordinatorDynamicConfigsResource`) and of Brokers.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use ovate_base::DruidError;
use ovate_net::{ApiResult, JsonBody};
use serde_json::{Map, Value, json};

use super::super::{CONFIG, Coordinator};
use super::Params;
use crate::http::audit_info;
use crate::overlord::history_range;

/// The name of the Brokers' configuration in the store.
const BROKER_CONFIG: &str = "broker.config";

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/config", get(config).post(set_config))
        .route("/config/history", get(history))
        // Brokers take nothing from this configuration, so that none is in step with it.
        .route("/config/syncedBrokers", get(|| async { Json(json!([])) }))
        .route("/config/cloneStatus", get(clone_status))
        .route("/broker/config", get(broker_config).post(set_broker_config))
        .route("/broker/config/history", get(broker_history))
}

/// `CoordinatorDynamicConfig` as it is without any change.
pub(crate) fn default_config() -> Value {
    json!({
        "millisToWaitBeforeDeleting": 900000,
        "maxSegmentsToMove": 100,
        "replicantLifetime": 15,
        "replicationThrottleLimit": 500,
        "balancerComputeThreads": 1,
        "killDataSourceWhitelist": [],
        "killTaskSlotRatio": 0.1,
        "maxKillTaskSlots": 2147483647,
        "killPendingSegmentsSkipList": [],
        "maxSegmentsInNodeLoadingQueue": 500,
        "decommissioningNodes": [],
        "pauseCoordination": false,
        "replicateAfterLoadTimeout": false,
        "useRoundRobinSegmentAssignment": true,
        "smartSegmentLoading": true,
        "debugDimensions": null,
        "turboLoadingNodes": [],
        "cloneServers": {},
        "historicalTierAliases": {},
    })
}

async fn config(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Json<Value>> {
    let term = coordinator.term()?;
    Ok(Json(coordinator.config(&term).await?))
}

/// Properties that are given change; the others keep their values.
async fn set_config(
    State(coordinator): State<Arc<Coordinator>>,
    headers: HeaderMap,
    JsonBody(given): JsonBody<Map<String, Value>>,
) -> ApiResult<()> {
    let term = coordinator.term()?;
    let mut config = coordinator.config(&term).await?;
    check(&given)?;
    if let Value::Object(config) = &mut config {
        // What another release knows means nothing here, and is not kept.
        let defaults = default_config();
        config.extend(given.into_iter().filter(|(name, _)| defaults.get(name).is_some()));
    }
    term.store.set_config(CONFIG, config.to_string().as_bytes(), Some(&audit_info(&headers))).await?;
    coordinator.bell.ring();
    Ok(())
}

/// Refuses types that the properties cannot have.
fn check(given: &Map<String, Value>) -> Result<(), DruidError> {
    let defaults = default_config();
    for (name, value) in given {
        let same_kind = match &defaults[name] {
            Value::Null => true,
            Value::Bool(_) => value.is_boolean(),
            Value::Number(_) => value.is_number(),
            Value::Array(_) => value.is_array() || value.is_string() || value.is_null(),
            Value::Object(_) => value.is_object() || value.is_null(),
            Value::String(_) => value.is_string(),
        };
        if !same_kind {
            return Err(DruidError::invalid_input(format!("coordinator config [{name}] cannot be {value}")));
        }
    }
    Ok(())
}

/// How far clones are (`ServerCloneStatus`).
async fn clone_status(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Json<Value>> {
    let config = coordinator.config(&*coordinator.term()?).await?;
    let servers = coordinator.inventory.servers();
    let find = |name: &str| servers.iter().find(|server| server.name == name);
    let status = |(target, source): (&String, &Value)| {
        let source = source.as_str().unwrap_or_default();
        let (Some(to), Some(from)) = (find(target), find(source)) else {
            let state = if find(source).is_none() { "SOURCE_SERVER_MISSING" } else { "TARGET_SERVER_MISSING" };
            return json!({"sourceServer": source, "targetServer": target, "state": state, "segmentLoadsRemaining": 0,
                "segmentDropsRemaining": 0, "bytesToLoad": 0});
        };
        let (there, wanted) = (ids(to), ids(from));
        let missing: Vec<_> = wanted.iter().filter(|(id, _)| !there.contains_key(*id)).collect();
        let surplus = there.keys().filter(|id| !wanted.contains_key(*id)).count();
        let state = if missing.is_empty() && surplus == 0 { "IN_SYNC" } else { "LOADING" };
        json!({"sourceServer": source, "targetServer": target, "state": state, "segmentLoadsRemaining": missing.len(),
            "segmentDropsRemaining": surplus, "bytesToLoad": missing.iter().map(|(_, size)| **size).sum::<i64>()})
    };
    let all: Vec<Value> = config["cloneServers"].as_object().into_iter().flatten().map(status).collect();
    Ok(Json(json!({"cloneStatus": all})))
}

/// Sizes of what a server serves.
fn ids(server: &super::super::inventory::Server) -> std::collections::HashMap<ovate_base::SegmentId, i64> {
    server.served().iter().map(|segment| (segment.id(), segment.size)).collect()
}

async fn history(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Json<Value>> {
    let (interval, count) = history_range(&params)?;
    Ok(Json(json!(coordinator.term()?.store.audit(None, CONFIG, interval, count).await?)))
}

async fn broker_config(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Json<Value>> {
    let stored = coordinator.term()?.store.config_json(BROKER_CONFIG).await?;
    Ok(Json(stored.unwrap_or_else(|| json!({"queryBlocklist": [], "queryContext": {}, "perSegmentTimeoutConfig": {}}))))
}

async fn set_broker_config(State(_): State<Arc<Coordinator>>) -> ApiResult<()> {
    Err(DruidError::unsupported("dynamic broker configuration is not supported").into())
}

async fn broker_history(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Json<Value>> {
    let (interval, count) = history_range(&params)?;
    Ok(Json(json!(coordinator.term()?.store.audit(None, BROKER_CONFIG, interval, count).await?)))
}
