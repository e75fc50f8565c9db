//! Lookups over HTTP at a server that loads them: what is loaded, with its contents (`/druid/v1/lookups/introspect`), and pushes
//! of a Coordinator (`/druid/listen/v1/lookups`, `LookupListeningResource`), in JSON or Smile.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use ovate_base::DruidError;
use ovate_net::{ApiError, ApiResult, JsonBody};
use serde_json::{Map, Value, json};

pub use ovate_engine::lookup::{LookupState, LookupStore};

use crate::respond;

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    store: Arc<LookupStore>,
    client: ovate_net::HttpClient,
}

/// Routes of a server with lookups; `client` reads namespaces that are pushed.
pub fn routes(store: Arc<LookupStore>, client: ovate_net::HttpClient) -> Router {
    Router::new()
        .route("/druid/listen/v1/lookups", get(all).post(push_many))
        .route("/druid/listen/v1/lookups/updates", post(updates))
        .route("/druid/listen/v1/lookups/{id}", get(one).post(push_one).delete(drop_one))
        .route("/druid/v1/lookups/introspect/{id}", get(introspect))
        .route("/druid/v1/lookups/introspect/{id}/{part}", get(part))
        .with_state(Shared { store, client })
}

impl Shared {
    /// Reads what was pushed and is not written out, without keeping the pusher waiting.
    fn read(&self) {
        let (store, client) = (self.store.clone(), self.client.clone());
        tokio::spawn(async move { store.read_due(&client).await });
    }

    fn apply(&self, updates: &Map<String, Value>, drops: &[String]) -> Result<(), DruidError> {
        let errors = self.store.apply(updates, drops);
        self.read();
        errors.into_iter().next().map_or(Ok(()), Err)
    }
}

/// `{"current":{…},"toLoad":{…},"toDrop":[]}`: what is loaded, and what is to be.
fn state(store: &LookupStore) -> Value {
    let (mut current, mut to_load) = (Map::new(), Map::new());
    for (name, known) in store.states() {
        let list = if known.map.is_some() { &mut current } else { &mut to_load };
        list.insert(name, document(&known));
    }
    json!({"current": current, "toLoad": to_load, "toDrop": []})
}

fn document(known: &LookupState) -> Value {
    json!({"version": known.version, "lookupExtractorFactory": known.factory})
}

fn absent(name: &str) -> ApiError {
    ApiError(DruidError::not_found(format!("lookup [{name}] is not loaded here")))
}

async fn all(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    respond::document(respond::wanted_format(&headers), StatusCode::OK, &state(&shared.store))
}

async fn updates(State(shared): State<Shared>, headers: HeaderMap, JsonBody(body): JsonBody<Value>) -> ApiResult<Response> {
    let empty = Map::new();
    let load = body["toLoad"].as_object().unwrap_or(&empty);
    let drops: Vec<String> =
        body["toDrop"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    shared.apply(load, &drops)?;
    Ok(respond::document(respond::wanted_format(&headers), StatusCode::ACCEPTED, &state(&shared.store)))
}

async fn push_many(State(shared): State<Shared>, JsonBody(given): JsonBody<Map<String, Value>>) -> ApiResult<Response> {
    shared.apply(&given, &[])?;
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "accepted", "failedUpdates": {}}))).into_response())
}

async fn push_one(State(shared): State<Shared>, Path(id): Path<String>, JsonBody(given): JsonBody<Value>) -> ApiResult<Response> {
    shared.apply(&Map::from_iter([(id, given)]), &[])?;
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "accepted"}))).into_response())
}

async fn one(State(shared): State<Shared>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    shared.store.states().get(&id).map(|known| Json(document(known))).ok_or_else(|| absent(&id))
}

async fn drop_one(State(shared): State<Shared>, Path(id): Path<String>) -> ApiResult<Response> {
    if !shared.store.remove(&id) {
        return Err(absent(&id));
    }
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "accepted"}))).into_response())
}

async fn introspect(State(shared): State<Shared>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    match shared.store.snapshot().get(&id) {
        Some(map) => Ok(Json(map.iter().map(|(key, value)| (key.clone(), json!(value))).collect())),
        None => Err(absent(&id)),
    }
}

async fn part(State(shared): State<Shared>, Path((id, part)): Path<(String, String)>) -> ApiResult<Json<Value>> {
    let states = shared.store.states();
    let known = states.get(&id).ok_or_else(|| absent(&id))?;
    let map = known.map.as_ref().ok_or_else(|| absent(&id))?;
    match part.as_str() {
        "keys" => Ok(Json(map.keys().map(|key| json!(key)).collect())),
        "values" => Ok(Json(map.values().map(|value| json!(value)).collect())),
        "version" => Ok(Json(json!({"version": known.cache_version}))),
        other => Err(ApiError(DruidError::not_found(format!("a lookup has keys, values and version, and no [{other}]")))),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(routes: &Router, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let answer =
            routes.clone().oneshot(request.body(Body::from(body.to_string())).expect("a request")).await.expect("an answer");
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    #[tokio::test]
    async fn a_pushed_lookup_is_listed_inspected_and_dropped() {
        let routes = routes(Arc::default(), ovate_net::HttpClient::new().expect("a client"));
        let m = json!({"version": "v1", "lookupExtractorFactory": {"type": "map", "map": {"a": "b"}}});
        let (status, state) =
            ask(&routes, "POST", "/druid/listen/v1/lookups/updates", json!({"current": {}, "toLoad": {"m": m}, "toDrop": []}))
                .await;
        assert_eq!((status, &state["current"]["m"]), (202, &m));
        let get = async |path: &str| ask(&routes, "GET", path, Value::Null).await;
        assert_eq!(get("/druid/v1/lookups/introspect/m").await, (200, json!({"a": "b"})));
        assert_eq!(get("/druid/v1/lookups/introspect/m/keys").await, (200, json!(["a"])));
        assert_eq!(get("/druid/v1/lookups/introspect/m/values").await, (200, json!(["b"])));
        assert_eq!(get("/druid/v1/lookups/introspect/m/version").await, (200, json!({"version": "v1"})));
        assert_eq!(get("/druid/v1/lookups/introspect/other").await.0, 404);
        assert_eq!(get("/druid/listen/v1/lookups/m").await, (200, m.clone()));
        let bad = json!({"version": "v1", "lookupExtractorFactory": {"type": "nothing"}});
        assert_eq!(ask(&routes, "POST", "/druid/listen/v1/lookups/x", bad).await.0, 501);
        let body = json!({"toLoad": {}, "toDrop": ["m", "x"]});
        let (_, state) = ask(&routes, "POST", "/druid/listen/v1/lookups/updates", body).await;
        assert_eq!(state, json!({"current": {}, "toLoad": {}, "toDrop": []}));
        assert_eq!(ask(&routes, "DELETE", "/druid/listen/v1/lookups/m", Value::Null).await.0, 404);
    }
}
