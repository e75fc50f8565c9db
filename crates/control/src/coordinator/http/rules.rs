//! Retention rules (`RulesResource`).

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use ovate_net::{ApiResult, JsonBody};
use serde_json::{Value, json};

use super::super::{Coordinator, Rule};
use super::Params;
use crate::http::{audit_info, flag};
use crate::overlord::history_range;

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/rules", get(all))
        .route("/rules/history", get(all_history))
        .route("/rules/{ds}", get(of_data_source).post(replace))
        .route("/rules/{ds}/history", get(history))
}

async fn all(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Json<Value>> {
    Ok(Json(json!(coordinator.term()?.store.all_rules().await?)))
}

async fn of_data_source(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
) -> ApiResult<Json<Value>> {
    let mut rules = coordinator.term()?.store.all_rules().await?;
    let mut list = rules.remove(&name).unwrap_or_default();
    if flag(&params, "full") && name != "_default" {
        list.extend(rules.remove("_default").unwrap_or_default());
    }
    Ok(Json(Value::Array(list)))
}

async fn replace(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    JsonBody(rules): JsonBody<Vec<Value>>,
) -> ApiResult<()> {
    for rule in &rules {
        Rule::from_json(rule)?;
    }
    coordinator.term()?.store.override_rules(&name, &rules, &audit_info(&headers)).await?;
    coordinator.bell.ring();
    Ok(())
}

async fn all_history(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Json<Value>> {
    show_history(&coordinator, None, &params).await
}

async fn history(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
) -> ApiResult<Json<Value>> {
    show_history(&coordinator, Some(&name), &params).await
}

async fn show_history(coordinator: &Coordinator, name: Option<&str>, params: &HashMap<String, String>) -> ApiResult<Json<Value>> {
    let (interval, count) = history_range(params)?;
    Ok(Json(json!(coordinator.term()?.store.audit(name, "rules", interval, count).await?)))
}
