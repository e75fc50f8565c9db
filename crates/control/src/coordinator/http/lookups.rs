//! Lookup configuration (`LookupCoordinatorResource`): tier, lookup, version and factory, in one config value that is
//! changed by compare-and-swap. Brokers and data servers read it from here.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ovate_base::{DruidError, Result};
use ovate_net::{ApiResult, JsonBody};
use ovate_store::meta::AuditInfo;
use serde_json::{Map, Value, json};

use super::super::Coordinator;
use super::super::lookup_nodes::{status, versions_only};
use super::Params;
use crate::http::{audit_info, flag};

/// The name of the configuration in the store.
const LOOKUPS: &str = "lookupsConfig";
/// How often a change is tried when others change the value meanwhile.
const TRIES: usize = 10;

/// Tier to lookups.
type Tiers = Map<String, Value>;

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/lookups/config", get(tiers).post(update_all))
        .route("/lookups/config/all", get(all))
        .route("/lookups/config/{tier}", get(tier).delete(delete_tier))
        .route("/lookups/config/{tier}/{id}", get(one).post(update_one).delete(delete_one))
        .route("/lookups/status", get(status_of_all))
        .route("/lookups/status/{tier}", get(status_of_tier))
        .route("/lookups/status/{tier}/{id}", get(status_of_one))
        .route("/lookups/nodeStatus", get(nodes_of_all))
        .route("/lookups/nodeStatus/{tier}", get(nodes_of_tier))
        .route("/lookups/nodeStatus/{tier}/{node}", get(one_node))
}

impl Coordinator {
    pub(in crate::coordinator) async fn lookups(&self) -> Result<Option<Tiers>> {
        match self.term()?.store.config_json(LOOKUPS).await? {
            Some(Value::Object(tiers)) => Ok(Some(tiers)),
            Some(_) => Err(DruidError::runtime("metadata store: lookupsConfig is not an object")),
            None => Ok(None),
        }
    }

    /// Changes the configuration; `change` says false when there is nothing to do.
    async fn change_lookups(&self, audit: &AuditInfo, change: impl Fn(&mut Tiers) -> Result<bool>) -> Result<bool> {
        let store = &self.term()?.store;
        for _ in 0..TRIES {
            let old = store.config(LOOKUPS).await?;
            let mut tiers: Tiers = match &old {
                Some(bytes) => serde_json::from_slice(bytes)
                    .map_err(|error| DruidError::runtime(format!("metadata store: damaged lookupsConfig: {error}")))?,
                None => Map::new(),
            };
            if !change(&mut tiers)? {
                return Ok(false);
            }
            let new = Value::Object(tiers).to_string().into_bytes();
            if store.swap_config(LOOKUPS, old.as_deref(), &new, Some(audit)).await? {
                return Ok(true);
            }
        }
        Err(DruidError::conflict("lookupsConfig is being changed by others; try again"))
    }
}

/// Whether the lookups of every tier are loaded; `detailed` names the servers that have not yet.
async fn status_of_all(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Response> {
    let Some(tiers) = coordinator.lookups().await? else { return Ok(no_lookups("No lookups found")) };
    let states = coordinator.lookup_states(coordinator.lookup_nodes().await?).await;
    let detailed = flag(&params, "detailed");
    let of_tier = |(tier, lookups): (&String, &Value)| {
        let found = status(tier, lookups.as_object().unwrap_or(&Map::new()), &states, detailed);
        (tier.clone(), Value::Object(found))
    };
    Ok(Json(Value::Object(tiers.iter().map(of_tier).collect())).into_response())
}

async fn status_of_tier(
    State(coordinator): State<Arc<Coordinator>>,
    Path(tier): Path<String>,
    Query(params): Params,
) -> ApiResult<Response> {
    let found = coordinator.lookups().await?.and_then(|mut tiers| tiers.remove(&tier));
    let Some(Value::Object(lookups)) = found else { return Ok(no_lookups(&format!("No lookups found for tier [{tier}]."))) };
    let states = coordinator.lookup_states(coordinator.lookup_nodes().await?).await;
    Ok(Json(Value::Object(status(&tier, &lookups, &states, flag(&params, "detailed")))).into_response())
}

async fn status_of_one(
    State(coordinator): State<Arc<Coordinator>>,
    Path((tier, id)): Path<(String, String)>,
    Query(params): Params,
) -> ApiResult<Response> {
    let spec = coordinator.lookups().await?.and_then(|tiers| tiers.get(&tier)?.get(&id).cloned());
    let Some(spec) = spec else { return Ok(no_lookups(&format!("Lookup [{id}] not found for tier [{tier}]."))) };
    let states = coordinator.lookup_states(coordinator.lookup_nodes().await?).await;
    let mut found = status(&tier, &Map::from_iter([(id.clone(), spec)]), &states, flag(&params, "detailed"));
    Ok(Json(found.remove(&id).unwrap_or_default()).into_response())
}

/// What every server says, by tier and name; without contents with `detailed=false`.
async fn nodes_of_all(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Response> {
    let mut tiers: Tiers = Map::new();
    if !flag(&params, "discover") {
        for tier in coordinator.lookups().await?.unwrap_or_default().keys() {
            tiers.insert(tier.clone(), json!({}));
        }
    }
    for (node, state) in coordinator.lookup_states(coordinator.lookup_nodes().await?).await {
        if flag(&params, "discover") || tiers.contains_key(&node.tier) {
            let tier = tiers.entry(node.tier).or_insert_with(|| json!({}));
            tier[node.name] = shown(&state, &params);
        }
    }
    Ok(Json(Value::Object(tiers)).into_response())
}

async fn nodes_of_tier(
    State(coordinator): State<Arc<Coordinator>>,
    Path(tier): Path<String>,
    Query(params): Params,
) -> ApiResult<Response> {
    let nodes: Vec<_> = coordinator.lookup_nodes().await?.into_iter().filter(|node| node.tier == tier).collect();
    let states = coordinator.lookup_states(nodes).await;
    let states: Tiers = states.into_iter().map(|(node, state)| (node.name, shown(&state, &params))).collect();
    Ok(Json(Value::Object(states)).into_response())
}

async fn one_node(
    State(coordinator): State<Arc<Coordinator>>,
    Path((tier, name)): Path<(String, String)>,
) -> ApiResult<Response> {
    let nodes = coordinator.lookup_nodes().await?;
    let nodes: Vec<_> = nodes.into_iter().filter(|node| node.tier == tier && node.name == name).collect();
    Ok(match coordinator.lookup_states(nodes).await.pop() {
        Some((_, state)) => Json(state).into_response(),
        None => no_lookups(&format!("Node [{name}] status is unknown.")),
    })
}

fn shown(state: &Value, params: &std::collections::HashMap<String, String>) -> Value {
    match params.get("detailed").map(String::as_str) {
        Some("false") => versions_only(state),
        _ => state.clone(),
    }
}

/// Puts a lookup into its tier. A version must be greater than the one that is there, unless nothing changes.
fn put(tiers: &mut Tiers, tier: &str, id: &str, spec: &Value) -> Result<()> {
    let valid = spec["lookupExtractorFactory"]["type"].is_string();
    if id.trim().is_empty() || !valid {
        return Err(DruidError::invalid_input(format!("lookup [{id}] needs a lookupExtractorFactory with a type")));
    }
    let lookups = tiers.entry(tier.to_owned()).or_insert_with(|| json!({}));
    let Some(lookups) = lookups.as_object_mut() else {
        return Err(DruidError::runtime(format!("metadata store: lookup tier [{tier}] is not an object")));
    };
    if let Some(old) = lookups.get(id).filter(|old| *old != spec) {
        let version = |spec: &Value| spec["version"].as_str().map(str::to_owned);
        if version(spec) <= version(old) {
            let message =
                format!("given update for lookup [{tier}]:[{id}] can't replace existing spec [{old}]: raise its version");
            return Err(DruidError::invalid_input(message));
        }
    }
    lookups.insert(id.to_owned(), spec.clone());
    Ok(())
}

fn no_lookups(what: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": what}))).into_response()
}

async fn tiers(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Response> {
    let found = coordinator.lookups().await?;
    if flag(&params, "discover") {
        let names: Vec<String> = found.map_or_else(|| vec!["__default".to_owned()], |tiers| tiers.keys().cloned().collect());
        return Ok(Json(json!(names)).into_response());
    }
    Ok(match found {
        Some(tiers) => Json(json!(tiers.keys().collect::<Vec<_>>())).into_response(),
        None => no_lookups("No lookups found"),
    })
}

async fn all(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Response> {
    Ok(match coordinator.lookups().await? {
        Some(tiers) => Json(Value::Object(tiers)).into_response(),
        None => no_lookups("No lookups found"),
    })
}

async fn tier(
    State(coordinator): State<Arc<Coordinator>>,
    Path(tier): Path<String>,
    Query(params): Params,
) -> ApiResult<Response> {
    let Some(mut tiers) = coordinator.lookups().await? else { return Ok(no_lookups("No lookups found")) };
    Ok(match tiers.remove(&tier) {
        Some(lookups) if flag(&params, "detailed") => Json(lookups).into_response(),
        Some(Value::Object(lookups)) => Json(json!(lookups.keys().collect::<Vec<_>>())).into_response(),
        _ => no_lookups(&format!("Tier [{tier}] not found")),
    })
}

async fn one(State(coordinator): State<Arc<Coordinator>>, Path((tier, id)): Path<(String, String)>) -> ApiResult<Response> {
    let found = coordinator.lookups().await?.and_then(|tiers| tiers.get(&tier)?.get(&id).cloned());
    Ok(match found {
        Some(spec) => Json(spec).into_response(),
        None => no_lookups(&format!("lookup [{id}] not found")),
    })
}

async fn update_all(
    State(coordinator): State<Arc<Coordinator>>,
    headers: HeaderMap,
    JsonBody(given): JsonBody<Tiers>,
) -> ApiResult<Response> {
    coordinator
        .change_lookups(&audit_info(&headers), |tiers| {
            for (tier, lookups) in &given {
                let Some(lookups) = lookups.as_object() else {
                    return Err(DruidError::invalid_input(format!("lookups of tier [{tier}] must be an object")));
                };
                tiers.entry(tier.clone()).or_insert_with(|| json!({}));
                for (id, spec) in lookups {
                    put(tiers, tier, id, spec)?;
                }
            }
            Ok(true)
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(Value::Object(given))).into_response())
}

async fn update_one(
    State(coordinator): State<Arc<Coordinator>>,
    Path((tier, id)): Path<(String, String)>,
    headers: HeaderMap,
    JsonBody(spec): JsonBody<Value>,
) -> ApiResult<Response> {
    coordinator.change_lookups(&audit_info(&headers), |tiers| put(tiers, &tier, &id, &spec).map(|()| true)).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response())
}

async fn delete_one(
    State(coordinator): State<Arc<Coordinator>>,
    Path((tier, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let remove = |tiers: &mut Tiers| {
        Ok(tiers.get_mut(&tier).and_then(Value::as_object_mut).is_some_and(|lookups| lookups.remove(&id).is_some()))
    };
    Ok(if coordinator.change_lookups(&audit_info(&headers), remove).await? {
        StatusCode::ACCEPTED.into_response()
    } else {
        no_lookups(&format!("lookup [{id}] not found"))
    })
}

async fn delete_tier(
    State(coordinator): State<Arc<Coordinator>>,
    Path(tier): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let remove = |tiers: &mut Tiers| Ok(tiers.remove(&tier).is_some());
    Ok(if coordinator.change_lookups(&audit_info(&headers), remove).await? {
        StatusCode::ACCEPTED.into_response()
    } else {
        no_lookups(&format!("Tier [{tier}] not found"))
    })
}
