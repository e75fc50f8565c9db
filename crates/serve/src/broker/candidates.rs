//! What a query would touch: `POST /druid/v2/candidates`, `GET /druid/v2/datasources/{ds}/candidates` (`ServerViewUtil`), and
//! the columns of a datasource by time (`ClientInfoResource`).

use std::collections::{BTreeSet, HashMap};

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::{DruidError, Interval, Result};
use ovate_net::{ApiResult, JsonBody};
use ovate_query::NativeQuery;
use serde_json::{Map, Value, json};

use super::http::BrokerState;
use super::server::KnownServer;
use super::view::{Piece, ServerView};

/// How far back columns are looked for when no interval is given (`druid.query.segmentMetadata.defaultHistory`).
const HISTORY_MS: i64 = 7 * 86_400_000;

pub(super) fn routes() -> Router<BrokerState> {
    Router::new()
        .route("/druid/v2/candidates", post(of_query))
        .route("/druid/v2/datasources/{table}/candidates", get(of_table))
        .route("/druid/v2/datasources/{table}", get(table))
        .route("/druid/v2/datasources/{table}/dimensions", get(dimensions))
        .route("/druid/v2/datasources/{table}/metrics", get(metrics))
}

type Params = HashMap<String, String>;

/// `numCandidates`: at most so many servers a segment; all where it is not positive.
fn servers_max(params: &Params) -> Result<usize> {
    let Some(text) = params.get("numCandidates") else { return Ok(usize::MAX) };
    let count: i64 =
        text.parse().map_err(|_| DruidError::invalid_input(format!("numCandidates must be a whole number, not [{text}]")))?;
    Ok(if count > 0 { count.unsigned_abs() as usize } else { usize::MAX })
}

/// `LocatedSegmentDescriptor`s.
fn located(view: &ServerView, table: &str, intervals: &[Interval], servers_max: usize) -> Vec<Value> {
    let server = |server: &std::sync::Arc<KnownServer>| {
        let placement = &server.placement;
        json!({"name": server.name(), "host": server.name(), "hostAndTlsPort": null, "maxSize": placement.max_bytes,
            "type": placement.server_type, "tier": placement.tier, "priority": placement.priority})
    };
    let one = |piece: &Piece| {
        let segment = &piece.served.segment;
        let servers: Vec<Value> = piece.served.servers.iter().take(servers_max).map(server).collect();
        json!({"interval": piece.interval, "version": segment.version, "partitionNumber": segment.shard_spec.partition_num(),
            "size": segment.size, "locations": servers})
    };
    view.pieces(table, &Interval::condense(intervals)).0.iter().map(one).collect()
}

async fn of_query(
    State(state): State<BrokerState>,
    Query(params): Query<Params>,
    _: HeaderMap,
    JsonBody(document): JsonBody<Value>,
) -> ApiResult<Json<Vec<Value>>> {
    let query = NativeQuery::from_json(&document)?;
    let most = servers_max(&params)?;
    let tables = query.data_source().table_names();
    let found = tables.iter().flat_map(|table| located(&state.broker.view, table, query.intervals(), most));
    Ok(Json(found.collect()))
}

async fn of_table(
    State(state): State<BrokerState>,
    Path(table): Path<String>,
    Query(params): Query<Params>,
) -> ApiResult<Json<Vec<Value>>> {
    let text = params.get("intervals").ok_or_else(|| DruidError::invalid_input("the parameter [intervals] is missing"))?;
    let intervals = text.split(',').map(|one| Interval::parse(one.trim())).collect::<Result<Vec<_>>>()?;
    Ok(Json(located(&state.broker.view, &table, &intervals, servers_max(&params)?)))
}

/// The interval that is asked about; the last week when none is given.
fn wanted(params: &Params) -> Result<Interval> {
    match params.get("interval").filter(|text| !text.is_empty()) {
        Some(text) => Interval::parse(text),
        None => {
            let now = crate::clock::now_ms();
            Ok(Interval { start: now - HISTORY_MS, end: now })
        }
    }
}

async fn table(
    State(state): State<BrokerState>,
    Path(table): Path<String>,
    Query(params): Query<Params>,
) -> ApiResult<Json<Value>> {
    let (view, wanted) = (&state.broker.view, wanted(&params)?);
    if params.contains_key("full") {
        return Ok(Json(by_time(&view.pieces(&table, &[wanted]).0)));
    }
    let (dimensions, metrics) = view.dimensions_and_metrics(&table, wanted);
    Ok(Json(json!({"dimensions": dimensions, "metrics": metrics})))
}

/// Columns by served interval; neighbours with the same columns are one.
fn by_time(pieces: &[Piece]) -> Value {
    let mut parts: Vec<(Interval, BTreeSet<&str>, BTreeSet<&str>)> = Vec::new();
    for piece in pieces {
        let segment = &piece.served.segment;
        if parts.last().is_none_or(|(interval, _, _)| *interval != piece.interval) {
            parts.push((piece.interval, BTreeSet::new(), BTreeSet::new()));
        }
        if let Some((_, dimensions, metrics)) = parts.last_mut() {
            dimensions.extend(segment.dimensions.iter().map(String::as_str));
            metrics.extend(segment.metrics.iter().map(String::as_str));
        }
    }
    let mut merged: Vec<(Interval, BTreeSet<&str>, BTreeSet<&str>)> = Vec::new();
    for part in parts {
        match merged.last_mut() {
            Some((interval, dimensions, metrics))
                if interval.end == part.0.start && *dimensions == part.1 && *metrics == part.2 =>
            {
                interval.end = part.0.end;
            }
            _ => merged.push(part),
        }
    }
    let shown = merged
        .into_iter()
        .map(|(interval, dimensions, metrics)| (interval.to_string(), json!({"dimensions": dimensions, "metrics": metrics})));
    Value::Object(shown.collect::<Map<String, Value>>())
}

async fn dimensions(
    State(state): State<BrokerState>,
    Path(table): Path<String>,
    Query(params): Query<Params>,
) -> ApiResult<Json<Vec<String>>> {
    Ok(Json(state.broker.view.dimensions_and_metrics(&table, wanted(&params)?).0))
}

async fn metrics(
    State(state): State<BrokerState>,
    Path(table): Path<String>,
    Query(params): Query<Params>,
) -> ApiResult<Json<Vec<String>>> {
    Ok(Json(state.broker.view.dimensions_and_metrics(&table, wanted(&params)?).1))
}
