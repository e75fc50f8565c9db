//! Segments of the metadata store (`MetadataResource`).

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ovate_base::{DataSegment, DruidError, Interval, SegmentId};
use ovate_net::{ApiResult, JsonBody};
use ovate_store::meta::UnusedFilter;
use serde_json::{Map, Value, json};

use super::super::changes::Change;
use super::super::plan::first_rule;
use super::super::{Coordinator, SegmentView, Term, UsedSegment, What};
use super::Params;
use crate::http::flag;

pub(super) fn routes() -> Router<Arc<Coordinator>> {
    Router::new()
        .route("/metadata/datasources", get(data_sources))
        .route("/metadata/datasources/{ds}", get(data_source))
        .route("/metadata/datasources/{ds}/segments", get(segments).post(segments_of_intervals))
        .route("/metadata/datasources/{ds}/segments/{id}", get(segment))
        .route("/metadata/datasources/{ds}/unusedSegments", get(unused))
        .route("/metadata/segments", get(all_segments))
        .route("/metadata/bootstrapSegments", post(bootstrap))
        .route("/metadata/dataSourceInformation", post(|| async { StatusCode::NOT_FOUND }))
}

async fn data_sources(State(coordinator): State<Arc<Coordinator>>, Query(params): Params) -> ApiResult<Json<Value>> {
    let term = coordinator.term()?;
    if flag(&params, "includeUnused") || flag(&params, "includeDisabled") {
        return Ok(Json(json!(term.store.data_sources(true).await?)));
    }
    let view = term.view.read();
    if flag(&params, "full") {
        return Ok(Json(view.data_sources().map(|name| full_data_source(&view, name)).collect()));
    }
    Ok(Json(json!(view.data_sources().collect::<Vec<_>>())))
}

async fn data_source(State(coordinator): State<Arc<Coordinator>>, Path(name): Path<String>) -> ApiResult<Response> {
    let term = coordinator.term()?;
    let view = term.view.read();
    if view.timeline(&name).is_none() {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    Ok(Json(full_data_source(&view, &name)).into_response())
}

/// `ImmutableDruidDataSource`.
fn full_data_source(view: &SegmentView, name: &str) -> Value {
    let segments: Vec<Value> = view.of(name).iter().map(|used| used.segment.to_json()).collect();
    json!({"name": name, "properties": {}, "segments": segments})
}

async fn segments(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
) -> ApiResult<Response> {
    let term = coordinator.term()?;
    let view = term.view.read();
    if view.timeline(&name).is_none() {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    Ok(Json(listed(view.of(&name).into_iter(), flag(&params, "full"))).into_response())
}

async fn segments_of_intervals(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
    JsonBody(intervals): JsonBody<Vec<Interval>>,
) -> ApiResult<Json<Value>> {
    let term = coordinator.term()?;
    let view = term.view.read();
    let segments =
        view.of(&name).into_iter().filter(|used| intervals.iter().any(|wanted| wanted.overlaps(&used.segment.interval)));
    Ok(Json(listed(segments, flag(&params, "full"))))
}

/// Ids, or whole documents.
pub(super) fn listed<'a>(segments: impl Iterator<Item = &'a UsedSegment>, full: bool) -> Value {
    segments.map(|used| if full { used.segment.to_json() } else { json!(used.segment.id().to_string()) }).collect()
}

async fn segment(
    State(coordinator): State<Arc<Coordinator>>,
    Path((_, id)): Path<(String, String)>,
    Query(params): Params,
) -> ApiResult<Response> {
    let term = coordinator.term()?;
    match term.store.segment(&id, flag(&params, "includeUnused")).await? {
        Some(segment) => Ok(Json(segment.to_json()).into_response()),
        None => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

async fn unused(
    State(coordinator): State<Arc<Coordinator>>,
    Path(name): Path<String>,
    Query(params): Params,
) -> ApiResult<Json<Value>> {
    let bad = |text: &str| DruidError::invalid_input(format!("Invalid limit[{text}] specified. Limit must be > 0."));
    let limit = |text: &String| text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| bad(text));
    let descending = match params.get("sortOrder").map(|order| order.to_ascii_uppercase()).as_deref() {
        None | Some("ASC") => false,
        Some("DESC") => true,
        Some(_) => {
            let message = format!(
                "Unexpected value[{}] for SortOrder. Possible values are: [ASC, DESC]",
                params.get("sortOrder").map_or("", String::as_str)
            );
            return Err(DruidError::invalid_input(message).into());
        }
    };
    let filter = UnusedFilter {
        interval: params.get("interval").map(|text| Interval::parse(&text.replace('_', "/"))).transpose()?,
        limit: params.get("limit").map(limit).transpose()?,
        last_segment_id: params.get("lastSegmentId").cloned(),
        descending,
        ..UnusedFilter::default()
    };
    let rows = coordinator.term()?.store.unused_segment_rows(&name, &filter).await?;
    let shown = rows.iter().map(|row| {
        json!({
            "dataSegment": row.segment.to_json(),
            "createdDate": row.created,
            "usedStatusLastUpdatedDate": row.updated,
            "schemaFingerprint": null,
            "numRows": null,
            "upgradedFromSegmentId": null,
        })
    });
    Ok(Json(shown.collect()))
}

/// Segments that every server has to have before it answers: those of broadcast rules.
async fn bootstrap(State(coordinator): State<Arc<Coordinator>>) -> ApiResult<Json<Value>> {
    let term = coordinator.term()?;
    let (view, rules, now) = (term.view.read(), term.rules.read(), ovate_store::now_ms());
    let broadcast = view.all().into_iter().filter(|(used, hidden)| {
        !hidden && matches!(first_rule(&rules, &used.segment, now).map(|rule| &rule.what), Some(What::Broadcast))
    });
    Ok(Json(broadcast.map(|(used, _)| used.segment.to_json()).collect()))
}

/// The stream that Brokers read. With `includeOvershadowedStatus` hidden segments are in it, and replication factors.
/// Without, a Broker that has this very list already is told so (`If-None-Match`).
async fn all_segments(
    State(coordinator): State<Arc<Coordinator>>,
    headers: HeaderMap,
    request: axum::extract::RawQuery,
) -> ApiResult<Response> {
    // `datasources` may stand several times, so the query is read by hand.
    let query = request.0.unwrap_or_default();
    let pairs: Vec<(String, String)> = query.split('&').filter(|pair| !pair.is_empty()).map(decode_pair).collect();
    let has = |name: &str| pairs.iter().any(|(key, value)| key == name && value != "false");
    let wanted: HashSet<&str> =
        pairs.iter().filter(|(key, _)| key == "datasources").flat_map(|(_, names)| names.split(',')).collect();
    let term = coordinator.term()?;
    let with_status = has("includeOvershadowedStatus");
    if let Some((_, known)) = pairs.iter().find(|(key, _)| key == "ovateSince") {
        let body = differences(&term, known);
        return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    let (view, plan) = (term.view.read(), term.plan.read());
    let tag = format!("\"{:x}-{:x}\"", term.tag, view.version());
    if !with_status && headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let mut body = Vec::with_capacity(view.len() * 512 + 2);
    body.push(b'[');
    for (used, overshadowed) in view.all() {
        if !wanted.is_empty() && !wanted.contains(&*used.segment.data_source) {
            continue;
        }
        if body.len() > 1 {
            body.push(b',');
        }
        let document = if with_status {
            with_state(&used.segment, overshadowed, plan.wanted.get(&used.segment.id()).copied())
        } else {
            used.segment.to_json()
        };
        serde_json::to_writer(&mut body, &document).expect("writing to memory does not fail");
    }
    body.push(b']');
    let mut answer = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    // State changes without a change of the segments.
    if let (false, Ok(tag)) = (with_status, HeaderValue::from_str(&tag)) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    Ok(answer)
}

/// `ovateSince=TAG`, which JVM Coordinators pass over: what changed since the answer that had this tag, or everything. Segments come
/// with the copies that rules want of them; `replicas` tells those of segments that are the same otherwise.
fn differences(term: &Term, known: &str) -> Vec<u8> {
    // The number first: what changes meanwhile is told again the next time.
    let (number, changed) = {
        let changes = term.changes.lock();
        let known = known.split_once('-').filter(|(tag, _)| *tag == format!("{:x}", term.tag));
        let known = known.and_then(|(_, number)| u64::from_str_radix(number, 16).ok());
        (changes.number(), known.and_then(|number| changes.since(number)))
    };
    let (view, plan) = (term.view.read(), term.plan.read());
    let count = changed.as_ref().map_or(view.len(), |changed| changed.len());
    let mut body = Vec::with_capacity(count * 512 + 100);
    let mut write = |name: &str, begins: bool, documents: &mut dyn Iterator<Item = Value>| {
        body.extend_from_slice(if begins { b"{" } else { b"," });
        serde_json::to_writer(&mut body, name).expect("writing to memory does not fail");
        body.extend_from_slice(b":[");
        for (at, document) in documents.enumerate() {
            if at > 0 {
                body.push(b',');
            }
            serde_json::to_writer(&mut body, &document).expect("writing to memory does not fail");
        }
        body.push(b']');
    };
    let document = |used: &UsedSegment| {
        let mut document = used.segment.to_json();
        document["replicationFactor"] = json!(plan.wanted.get(&used.segment.id()));
        document
    };
    match &changed {
        None => write("segments", true, &mut view.data_sources().flat_map(|name| view.of(name)).map(document)),
        Some(changed) => {
            let uses = || changed.iter().filter(|(_, change)| **change == Change::Use).map(|(id, _)| id);
            write("segments", true, &mut uses().filter_map(|id| view.get(id)).map(document));
            write(
                "removed",
                false,
                &mut uses().filter(|id| !view.contains(id)).map(|id| json!([id.data_source, id.to_string()])),
            );
            let copies = changed.iter().filter(|(_, change)| **change == Change::Replicas).map(|(id, _)| id);
            let told = |id: &SegmentId| json!([id.data_source, id.to_string(), plan.wanted.get(id)]);
            write("replicas", false, &mut copies.filter(|id| view.contains(id)).map(told));
        }
    }
    let tail = format!(",\"full\":{},\"tag\":\"{:x}-{number:x}\"}}", changed.is_none(), term.tag);
    body.extend_from_slice(tail.as_bytes());
    body
}

/// `SegmentStatusInCluster`: the segment's properties after its state.
fn with_state(segment: &DataSegment, overshadowed: bool, replicas: Option<usize>) -> Value {
    let mut out = Map::new();
    out.insert("overshadowed".into(), json!(overshadowed));
    // Nobody needs to load what others hide.
    out.insert("replicationFactor".into(), json!(replicas.or(overshadowed.then_some(0))));
    out.insert("numRows".into(), json!(segment.total_rows));
    out.insert("realtime".into(), json!(false));
    if let Value::Object(fields) = segment.to_json() {
        out.extend(fields);
    }
    Value::Object(out)
}

/// `name=value` with `%XX` and `+` undone.
fn decode_pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (percent_decode(name), percent_decode(value))
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The id of a path, which must be of the data source.
pub(super) fn parse_id(data_source: &str, id: &str) -> Option<SegmentId> {
    SegmentId::parse(data_source, id)
}
