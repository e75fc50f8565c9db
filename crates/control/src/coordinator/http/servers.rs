//! Data servers, tiers, load queues, and the nodes of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ovate_net::{ApiResult, NodeRole};
use serde_json::{Map, Value, json};

use super::super::Coordinator;
use super::super::inventory::Server;
use super::Params;
use crate::http::flag;

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/servers", get(list))
        .route("/servers/{name}", get(one))
        .route("/servers/{name}/segments", get(segments))
        .route("/servers/{name}/segments/{id}", get(segment))
        .route("/tiers", get(tiers))
        .route("/tiers/{tier}", get(tier))
        .route("/loadqueue", get(load_queue))
        .route("/cluster", get(cluster))
        .route("/cluster/{role}", get(cluster_role))
}

fn simple(server: &Server) -> Value {
    json!({
        "host": server.name,
        "tier": server.tier,
        "type": server.server_type,
        "priority": server.priority,
        "currSize": server.used_bytes(),
        "maxSize": server.max_bytes,
    })
}

fn full(server: &Server) -> Value {
    let mut out = simple(server);
    let segments: Map<String, Value> =
        server.served().iter().map(|segment| (segment.id().to_string(), segment.to_json())).collect();
    out["segments"] = Value::Object(segments);
    out
}

async fn list(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> Json<Value> {
    let servers = coordinator.inventory.servers();
    let show = |server: &Arc<Server>| {
        if flag(&params, "full") {
            full(server)
        } else if flag(&params, "simple") {
            simple(server)
        } else {
            json!(server.name)
        }
    };
    Json(servers.iter().map(show).collect())
}

fn find(coordinator: &Coordinator, name: &str) -> Option<Arc<Server>> {
    coordinator.inventory.servers().into_iter().find(|server| server.name == name)
}

async fn one(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>, Query(params): Params) -> Response {
    match find(&coordinator, &name) {
        Some(server) if flag(&params, "simple") => Json(simple(&server)).into_response(),
        Some(server) => Json(full(&server)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn segments(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>, Query(params): Params) -> Response {
    let Some(server) = find(&coordinator, &name) else { return StatusCode::NOT_FOUND.into_response() };
    let is_full = flag(&params, "full");
    let served = server.served();
    let shown = served.iter().map(|segment| if is_full { segment.to_json() } else { json!(segment.id().to_string()) });
    Json(shown.collect::<Value>()).into_response()
}

async fn segment(State(coordinator): State<Arc<Coordinator>>, Path((name, id)): Path<(String, String)>) -> Response {
    let served = find(&coordinator, &name).map(|server| server.served()).unwrap_or_default();
    match served.iter().find(|segment| segment.id().to_string() == id) {
        Some(segment) => Json(segment.to_json()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn tiers(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> Json<Value> {
    let mut tiers: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for server in coordinator.inventory.servers() {
        let entry = tiers.entry(server.tier.clone()).or_default();
        *entry = (entry.0.saturating_add(server.used_bytes()), entry.1.saturating_add(server.max_bytes));
    }
    if !flag(&params, "simple") {
        return Json(json!(tiers.keys().collect::<Vec<_>>()));
    }
    Json(Value::Object(tiers.into_iter().map(|(tier, (used, max))| (tier, json!({"currSize": used, "maxSize": max}))).collect()))
}

/// Data sources of a tier, or with `simple` their sizes by interval.
async fn tier(State(coordinator): State<Arc<Coordinator>>, Path(tier): Path<String>, Query(params): Params) -> Json<Value> {
    let servers = coordinator.inventory.servers();
    let served: Vec<_> = servers.iter().filter(|server| server.tier == tier).flat_map(|server| server.served()).collect();
    if !flag(&params, "simple") {
        let names: std::collections::BTreeSet<_> = served.iter().map(|segment| &segment.data_source).collect();
        return Json(json!(names));
    }
    let mut sizes: BTreeMap<String, BTreeMap<String, (i64, usize)>> = BTreeMap::new();
    for segment in served {
        let of_source = sizes.entry(segment.data_source.to_string()).or_default();
        let entry = of_source.entry(segment.interval.to_string()).or_default();
        *entry = (entry.0 + segment.size, entry.1 + 1);
    }
    let shown = sizes.into_iter().map(|(name, intervals)| {
        let intervals = intervals.into_iter().map(|(interval, (size, count))| (interval, json!({"size": size, "count": count})));
        (name, Value::Object(intervals.collect()))
    });
    Json(Value::Object(shown.collect()))
}

async fn load_queue(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> Json<Value> {
    let shown = coordinator.inventory.servers().into_iter().map(|server| {
        let (loads, drops) = server.queue();
        let sum = |list: &[Arc<ovate_base::DataSegment>]| list.iter().map(|segment| segment.size).sum::<i64>();
        let value = if flag(&params, "simple") {
            json!({
                "segmentsToLoad": loads.len(),
                "segmentsToDrop": drops.len(),
                "segmentsToLoadSize": sum(&loads),
                "segmentsToDropSize": sum(&drops),
                "expectedLoadTimeMillis": 0,
            })
        } else if flag(&params, "full") {
            json!({"segmentsToLoad": loads, "segmentsToDrop": drops})
        } else {
            let ids =
                |list: &[Arc<ovate_base::DataSegment>]| list.iter().map(|segment| segment.id().to_string()).collect::<Vec<_>>();
            json!({"segmentsToLoad": ids(&loads), "segmentsToDrop": ids(&drops)})
        };
        (server.name.clone(), value)
    });
    Json(Value::Object(shown.collect()))
}

const ROLES: [NodeRole; 7] = [
    NodeRole::Coordinator,
    NodeRole::Overlord,
    NodeRole::Broker,
    NodeRole::Historical,
    NodeRole::MiddleManager,
    NodeRole::Indexer,
    NodeRole::Router,
];

async fn nodes(coordinator: &Coordinator, role: NodeRole) -> ApiResult<Value> {
    let nodes = coordinator.discovery.nodes(role).await?;
    let shown = nodes.iter().map(|node| {
        let node = &node.druid_node;
        let mut shown = json!({"host": node.host, "service": node.service, "plaintextPort": node.plaintext_port});
        if node.tls_port > 0 {
            shown["tlsPort"] = json!(node.tls_port);
        }
        shown
    });
    Ok(shown.collect())
}

async fn cluster(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Json<Value>> {
    let mut out = Map::new();
    for role in ROLES {
        let nodes = nodes(&coordinator, role).await?;
        if nodes.as_array().is_some_and(|list| !list.is_empty()) {
            out.insert(role.name().to_owned(), nodes);
        }
    }
    Ok(Json(Value::Object(out)))
}

/// Nodes of one role; of a role that nobody has there are none.
async fn cluster_role(State(coordinator): State<Arc<Coordinator>>, Path(role): Path<String>) -> ApiResult<Json<Value>> {
    match serde_json::from_value::<NodeRole>(json!(role)) {
        Ok(role) => Ok(Json(nodes(&coordinator, role).await?)),
        Err(_) => Ok(Json(json!([]))),
    }
}
