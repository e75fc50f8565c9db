//! Data sources as the data servers serve them (`DataSourcesResource`), load status and hand-off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::time::format_iso;
use ovate_base::{DataSegment, DruidError, Interval, SegmentId};
use ovate_net::ApiResult;
use serde_json::{Map, Value, json};

use super::super::plan::first_rule;
use super::super::segments::Summary;
use super::super::{Coordinator, Term, What};
use super::Params;
use super::metadata::parse_id;
use crate::http::flag;

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/datasources", get(list))
        .route("/datasources/{ds}", get(one).post(forward).delete(forward))
        .route("/datasources/{ds}/markUsed", post(forward))
        .route("/datasources/{ds}/markUnused", post(forward))
        .route("/datasources/{ds}/loadstatus", get(load_status_of))
        .route("/datasources/{ds}/segments", get(segments))
        .route("/datasources/{ds}/segments/{id}", get(segment).post(forward).delete(forward))
        .route("/datasources/{ds}/intervals", get(intervals))
        .route("/datasources/{ds}/intervals/{interval}", get(interval).delete(kill))
        .route("/datasources/{ds}/intervals/{interval}/serverview", get(server_view))
        .route("/datasources/{ds}/tiers", get(tiers))
        .route("/datasources/{ds}/handoffComplete", get(handoff_complete))
        .route("/loadstatus", get(load_status))
        .route("/intervals", get(all_intervals))
        .route("/intervals/{interval}", get(one_interval))
}

/// Segments that are served, once each, with the servers' tiers.
fn served(coordinator: &Coordinator) -> BTreeMap<SegmentId, (Arc<DataSegment>, Vec<String>)> {
    let mut found: BTreeMap<SegmentId, (Arc<DataSegment>, Vec<String>)> = BTreeMap::new();
    for server in coordinator.inventory.servers() {
        for segment in server.served() {
            found.entry(segment.id()).or_insert_with(|| (segment, Vec::new())).1.push(server.tier.clone());
        }
    }
    found
}

fn served_of(coordinator: &Coordinator, name: &str) -> Vec<(Arc<DataSegment>, Vec<String>)> {
    served(coordinator).into_iter().filter(|(id, _)| *id.data_source == *name).map(|(_, served)| served).collect()
}

async fn list(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> Json<Value> {
    let names: BTreeSet<Arc<str>> = served(&coordinator).into_keys().map(|id| id.data_source).collect();
    if flag(&params, "full") {
        return Json(names.iter().map(|name| full(&coordinator, name)).collect());
    }
    if flag(&params, "simple") {
        return Json(
            names.iter().map(|name| json!({"name": name, "properties": properties(&served_of(&coordinator, name))})).collect(),
        );
    }
    Json(json!(names))
}

async fn one(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>, Query(params): Params) -> Response {
    let segments = served_of(&coordinator, &name);
    if segments.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    if flag(&params, "full") {
        Json(full(&coordinator, &name)).into_response()
    } else {
        Json(properties(&segments)).into_response()
    }
}

fn full(coordinator: &Coordinator, name: &str) -> Value {
    let segments: Vec<Value> = served_of(coordinator, name).iter().map(|(segment, _)| segment.to_json()).collect();
    json!({"name": name, "properties": {}, "segments": segments})
}

/// Sizes by tier and in all.
fn properties(segments: &[(Arc<DataSegment>, Vec<String>)]) -> Value {
    let summary = Summary::of(segments.iter().map(|(segment, _)| &**segment));
    let replicated: i64 = segments.iter().map(|(segment, tiers)| segment.size.saturating_mul(tiers.len() as i64)).sum();
    let mut by_tier: BTreeMap<&str, (usize, i64, i64)> = BTreeMap::new();
    for (segment, tiers) in segments {
        for tier in tiers.iter().collect::<BTreeSet<_>>() {
            let copies = tiers.iter().filter(|other| *other == tier).count() as i64;
            let entry = by_tier.entry(tier).or_default();
            *entry = (entry.0 + 1, entry.1 + segment.size, entry.2.saturating_add(segment.size.saturating_mul(copies)));
        }
    }
    let tiers: Map<String, Value> = by_tier
        .into_iter()
        .map(|(tier, (count, bytes, replicated))| {
            (tier.to_owned(), json!({"size": bytes, "replicatedSize": replicated, "segmentCount": count}))
        })
        .collect();
    json!({
        "tiers": tiers,
        "segments": {
            "count": summary.count,
            "size": summary.bytes,
            "replicatedSize": replicated,
            "minTime": summary.interval.map(|interval| format_iso(interval.start)),
            "maxTime": summary.interval.map(|interval| format_iso(interval.end)),
        },
    })
}

async fn segments(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>, Query(params): Params) -> Response {
    let segments = served_of(&coordinator, &name);
    if segments.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let full = flag(&params, "full");
    let show = |segment: &DataSegment| if full { segment.to_json() } else { json!(segment.id().to_string()) };
    Json(segments.iter().map(|(segment, _)| show(segment)).collect::<Value>()).into_response()
}

async fn segment(State(coordinator): State<Arc<Coordinator>>, Path((name, id)): Path<(String, String)>) -> Response {
    let Some(id) = parse_id(&name, &id) else { return StatusCode::NO_CONTENT.into_response() };
    let servers = coordinator.inventory.serving(&id);
    let found = servers.iter().flat_map(|server| server.served()).find(|segment| segment.id() == id);
    match found {
        Some(segment) => {
            let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
            Json(json!({"metadata": segment.to_json(), "servers": names})).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Served segments by interval, newest first; with `full` each with its document and its servers.
fn by_interval(
    coordinator: &Coordinator,
    segments: &[(Arc<DataSegment>, Vec<String>)],
    params: &std::collections::HashMap<String, String>,
) -> Value {
    let mut groups: BTreeMap<Interval, Vec<&DataSegment>> = BTreeMap::new();
    for (segment, _) in segments {
        groups.entry(segment.interval).or_default().push(segment);
    }
    if !flag(params, "simple") && !flag(params, "full") {
        return groups.keys().rev().map(|interval| json!(interval)).collect();
    }
    let simple = flag(params, "simple");
    let shown = groups.into_iter().rev().map(|(interval, segments)| {
        let value = if simple {
            json!({"size": segments.iter().map(|segment| segment.size).sum::<i64>(), "count": segments.len()})
        } else {
            let one = |segment: &&DataSegment| {
                let servers = coordinator.inventory.serving(&segment.id());
                let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
                (segment.id().to_string(), json!({"metadata": segment.to_json(), "servers": names}))
            };
            segments.iter().map(one).collect::<Map<String, Value>>().into()
        };
        (interval.to_string(), value)
    });
    Value::Object(shown.collect())
}

async fn intervals(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>, Query(params): Params) -> Response {
    let segments = served_of(&coordinator, &name);
    if segments.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    Json(by_interval(&coordinator, &segments, &params)).into_response()
}

async fn interval(
    State(coordinator): State<Arc<Coordinator>>,
    Path((name, interval)): Path<(String, String)>,
    Query(params): Params,
) -> ApiResult<Response> {
    // In paths Druid writes `_` for the slash.
    let wanted = Interval::parse(&interval.replace('_', "/"))?;
    let mut segments = served_of(&coordinator, &name);
    if segments.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    segments.retain(|(segment, _)| wanted.encloses(&segment.interval));
    if flag(&params, "simple") || flag(&params, "full") {
        return Ok(Json(by_interval(&coordinator, &segments, &params)).into_response());
    }
    Ok(Json(segments.iter().map(|(segment, _)| json!(segment.id().to_string())).collect::<Value>()).into_response())
}

/// Submits a kill task for the unused segments of an interval.
async fn kill(
    State(coordinator): State<Arc<Coordinator>>,
    Path((name, interval)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let interval = Interval::parse(&interval.replace('_', "/"))?;
    let task = json!({"type": "kill", "dataSource": name, "interval": interval});
    Ok(Json(coordinator.submit_task(&task).await?))
}

async fn all_intervals(State(coordinator): State<Arc<Coordinator>>) -> Json<Value> {
    let mut groups: BTreeMap<Interval, BTreeMap<Arc<str>, (i64, usize)>> = BTreeMap::new();
    for (segment, _) in served(&coordinator).into_values() {
        let entry = groups.entry(segment.interval).or_default().entry(segment.data_source.clone()).or_default();
        *entry = (entry.0 + segment.size, entry.1 + 1);
    }
    let shown = groups.into_iter().rev().map(|(interval, sources)| {
        let sources = sources.into_iter().map(|(name, (size, count))| (name.to_string(), json!({"size": size, "count": count})));
        (interval.to_string(), Value::Object(sources.collect()))
    });
    Json(Value::Object(shown.collect()))
}

/// The totals of an interval, or with `simple` of each interval in it, or with `full` of each data source of those.
async fn one_interval(
    State(coordinator): State<Arc<Coordinator>>,
    Path(interval): Path<String>,
    Query(params): Params,
) -> ApiResult<Json<Value>> {
    let wanted = Interval::parse(&interval.replace('_', "/"))?;
    let mut groups: BTreeMap<Interval, BTreeMap<Arc<str>, (i64, usize)>> = BTreeMap::new();
    for (segment, _) in served(&coordinator).into_values().filter(|(segment, _)| wanted.encloses(&segment.interval)) {
        let entry = groups.entry(segment.interval).or_default().entry(segment.data_source.clone()).or_default();
        *entry = (entry.0 + segment.size, entry.1 + 1);
    }
    let show = |(size, count): (i64, usize)| json!({"size": size, "count": count});
    let sum = |sources: &BTreeMap<Arc<str>, (i64, usize)>| sources.values().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if flag(&params, "full") {
        let shown = groups.into_iter().rev().map(|(interval, sources)| {
            let sources = sources.into_iter().map(|(name, totals)| (name.to_string(), show(totals)));
            (interval.to_string(), Value::Object(sources.collect()))
        });
        return Ok(Json(Value::Object(shown.collect())));
    }
    if flag(&params, "simple") {
        let shown = groups.iter().rev().map(|(interval, sources)| (interval.to_string(), show(sum(sources))));
        return Ok(Json(Value::Object(shown.collect())));
    }
    Ok(Json(show(groups.values().map(sum).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)))))
}

/// Which servers have the visible segments of an interval (`ImmutableSegmentLoadInfo`).
async fn server_view(
    State(coordinator): State<Arc<Coordinator>>,
    Path((name, interval)): Path<(String, String)>,
    Query(params): Params,
) -> ApiResult<Json<Value>> {
    let wanted = Interval::parse(&interval.replace('_', "/"))?;
    let partial = flag(&params, "partial");
    let mut out = Vec::new();
    for (segment, _) in served_of(&coordinator, &name) {
        let fits = if partial { wanted.overlaps(&segment.interval) } else { wanted.encloses(&segment.interval) };
        if fits {
            let server = |server: &Arc<super::super::inventory::Server>| {
                json!({"name": server.name, "host": server.name, "hostAndTlsPort": null, "maxSize": server.max_bytes,
                    "type": server.server_type, "tier": server.tier, "priority": server.priority})
            };
            let servers: Vec<Value> = coordinator.inventory.serving(&segment.id()).iter().map(server).collect();
            out.push(json!({"segment": segment.to_json(), "servers": servers}));
        }
    }
    Ok(Json(Value::Array(out)))
}

/// Marking moved to the Overlord; the older paths go there.
async fn forward(State(coordinator): State<Arc<Coordinator>>, request: axum::extract::Request) -> ApiResult<Json<Value>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let at = path.find("/datasources/").map_or(0, |at| at);
    let body = ovate_net::body::read_body(request, &()).await?;
    let body: Option<Value> = if body.is_empty() { None } else { Some(ovate_net::body::parse_json(&body)?) };
    Ok(Json(coordinator.forward(method, &path[at..], body.as_ref()).await?))
}

async fn tiers(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>) -> Json<Value> {
    let tiers: BTreeSet<String> = served_of(&coordinator, &name).into_iter().flat_map(|(_, tiers)| tiers).collect();
    Json(json!(tiers))
}

/// Used, visible segments of a data source that rules want loaded: all, and those that nobody serves yet.
fn to_load(coordinator: &Coordinator, term: &Term, name: &str, interval: Option<Interval>) -> (usize, Vec<SegmentId>) {
    let (view, rules) = (term.view.read(), term.rules.read());
    let Some(timeline) = view.timeline(name) else { return (0, Vec::new()) };
    let mut total = 0;
    let mut missing = Vec::new();
    let served = served(coordinator);
    let now = ovate_store::now_ms();
    let mut seen = BTreeSet::new();
    for holder in timeline.lookup(interval.unwrap_or(Interval { start: i64::MIN, end: i64::MAX })) {
        for chunk in holder.chunks {
            let segment = &chunk.object.segment;
            let loaded = matches!(first_rule(&rules, segment, now).map(|rule| &rule.what), Some(What::Load(tiers)) if tiers.values().any(|n| *n > 0))
                || matches!(first_rule(&rules, segment, now).map(|rule| &rule.what), Some(What::Broadcast));
            if loaded && seen.insert(segment.id()) {
                total += 1;
                if !served.contains_key(&segment.id()) {
                    missing.push(segment.id());
                }
            }
        }
    }
    (total, missing)
}

/// Copies that the rules want and nobody serves, by tier and data source. In the cluster's view a tier cannot be asked for
/// more copies than it has servers.
fn under_replicated(
    coordinator: &Coordinator,
    term: &Term,
    names: &[Arc<str>],
    interval: Option<Interval>,
    cluster_view: bool,
) -> BTreeMap<String, BTreeMap<String, usize>> {
    let (view, rules, now) = (term.view.read(), term.rules.read(), ovate_store::now_ms());
    let served = served(coordinator);
    let mut servers: BTreeMap<String, usize> = BTreeMap::new();
    for server in coordinator.inventory.servers() {
        *servers.entry(server.tier.clone()).or_default() += 1;
    }
    let mut out: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for name in names {
        for segment in super::super::visible(&view, name) {
            if interval.is_some_and(|wanted| !wanted.overlaps(&segment.interval)) {
                continue;
            }
            let Some(What::Load(tiers)) = first_rule(&rules, &segment, now).map(|rule| &rule.what) else { continue };
            let holders = served.get(&segment.id()).map_or(&[][..], |(_, tiers)| tiers);
            for (tier, count) in tiers {
                let wanted = if cluster_view { (*count).min(servers.get(tier).copied().unwrap_or(0)) } else { *count };
                let there = holders.iter().filter(|holder| *holder == tier).count();
                *out.entry(tier.clone()).or_default().entry(name.to_string()).or_default() += wanted.saturating_sub(there);
            }
        }
    }
    out
}

fn percentage(total: usize, missing: usize) -> f64 {
    if total == 0 { 100.0 } else { 100.0 * (total - missing) as f64 / total as f64 }
}

async fn load_status(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Json<Value>> {
    let term = coordinator.term()?;
    let names: Vec<Arc<str>> = term.view.read().data_sources().cloned().collect();
    let mut out = Map::new();
    if flag(&params, "full") {
        let missing = under_replicated(&coordinator, &term, &names, None, flag(&params, "computeUsingClusterView"));
        return Ok(Json(json!(missing)));
    }
    for name in names {
        let (total, missing) = to_load(&coordinator, &term, &name, None);
        let value = if flag(&params, "simple") { json!(missing.len()) } else { json!(percentage(total, missing.len())) };
        out.insert(name.to_string(), value);
    }
    Ok(Json(Value::Object(out)))
}

async fn load_status_of(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
) -> ApiResult<Response> {
    let term = coordinator.term()?;
    let Some(force) = params.get("forceMetadataRefresh") else {
        return Err(DruidError::invalid_input("Invalid request. forceMetadataRefresh must be specified").into());
    };
    if force == "true" {
        super::super::poll(&term, false).await?;
    }
    let interval = params.get("interval").map(|text| Interval::parse(&text.replace('_', "/"))).transpose()?;
    let (total, missing) = to_load(&coordinator, &term, &name, interval);
    if total == 0 {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut out = Map::new();
    if flag(&params, "full") {
        let names = [Arc::from(name)];
        let missing = under_replicated(&coordinator, &term, &names, interval, flag(&params, "computeUsingClusterView"));
        return Ok(Json(json!(missing)).into_response());
    } else if flag(&params, "simple") {
        out.insert(name, json!(missing.len()));
    } else {
        out.insert(name, json!(percentage(total, missing.len())));
    }
    Ok(Json(Value::Object(out)).into_response())
}

/// True when a segment is served, or never will be, because no rule wants its time loaded or newer segments hide it. One that
/// this Coordinator has not heard of is on its way: who asks has just published it, and would drop it too early.
async fn handoff_complete(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
) -> ApiResult<Json<bool>> {
    let text = |key: &str| params.get(key).ok_or_else(|| DruidError::invalid_input(format!("{key} is missing")));
    let interval = Interval::parse(text("interval")?)?;
    let partition =
        text("partitionNumber")?.parse().map_err(|_| DruidError::invalid_input("partitionNumber must be a number"))?;
    let id = SegmentId::new(name.as_str(), interval, text("version")?.as_str(), partition);
    let term = coordinator.term()?;
    let (view, rules) = (term.view.read(), term.rules.read());
    let asked = DataSegment::new(id.clone(), ovate_base::ShardSpec::None);
    let wanted = match first_rule(&rules, &asked, ovate_store::now_ms()).map(|rule| &rule.what) {
        Some(What::Load(tiers)) => tiers.values().any(|count| *count > 0),
        Some(What::Broadcast) => true,
        Some(What::Drop) | None => false,
    };
    let hidden = || view.timeline(&name).is_some_and(|timeline| is_behind(timeline, &id));
    Ok(Json(!wanted || !coordinator.inventory.serving(&id).is_empty() || hidden()))
}

/// A newer version is there for all of the segment's interval.
fn is_behind(timeline: &ovate_base::Timeline<super::super::UsedSegment>, id: &SegmentId) -> bool {
    let newer: Vec<Interval> = timeline
        .lookup(id.interval)
        .iter()
        .filter(|holder| holder.version.as_ref() > id.version.as_ref())
        .map(|holder| holder.interval)
        .collect();
    Interval::condense(&newer).iter().any(|interval| interval.encloses(&id.interval))
}
