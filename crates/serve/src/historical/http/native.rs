//! Queries in Druid's own protocol (`DirectDruidClient`, `formats/cluster-protocols.md` 8): from JVM Brokers in Smile, with
//! aggregators in their intermediate form, or from anybody in JSON. The segments are in `intervals`; plain intervals
//! mean what this server has of them.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use ovate_base::{DruidError, Result};
use ovate_net::JsonBody;
use ovate_query::{NativeQuery, QueryContext, QuerySegments, SegmentDescriptor, write_by_segment, write_result};
use serde_json::Value;

use super::HistoricalState;
use crate::data_server::{Answer, DataServer, QUERY_ID_HEADER, RESPONSE_CONTEXT_HEADER, response_context};
use crate::respond;

/// `POST /druid/v2`.
pub(super) async fn query(State(state): State<HistoricalState>, headers: HeaderMap, request: Request) -> Response {
    let format = respond::wanted_format(&headers);
    let body = <JsonBody<Value> as axum::extract::FromRequest<()>>::from_request(request, &()).await;
    let answered = match body {
        Ok(JsonBody(document)) => answer(&state, &document, format).await,
        Err(refused) => Err(refused.0),
    };
    answered.unwrap_or_else(|error| respond::error(format, &error, Some(state.historical.name())))
}

/// `DELETE /druid/v2/{id}`.
pub(super) async fn cancel(State(state): State<HistoricalState>, Path(id): Path<String>) -> StatusCode {
    state.running.cancel(&id);
    StatusCode::ACCEPTED
}

async fn answer(state: &HistoricalState, document: &Value, format: ovate_query::ResultFormat) -> Result<Response> {
    let mut query = NativeQuery::from_json(document)?;
    query.context_mut().add_defaults(&state.default_context);
    let table = query.data_source().table_names().into_iter().next().unwrap_or_default();
    let (query, segments) = match query.base().segments.segments.clone() {
        Some(segments) => (query, segments),
        None => {
            let segments = state.historical.segments.visible(&table, query.intervals());
            (query.with_segments(QuerySegments::specific(segments.clone())), segments)
        }
    };
    let id = query.context().query_id().map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let registration = state.running.register(&id);
    let timeout_ms = query.context().timeout_ms()?.unwrap_or(0);
    let context = state.context(&registration, timeout_ms, crate::clock::now_ms(), &query)?;
    let query = Arc::new(query);
    let id_header = (HeaderName::from_static(QUERY_ID_HEADER), id);
    let headers = |missing: &[SegmentDescriptor]| {
        vec![id_header.clone(), (HeaderName::from_static(RESPONSE_CONTEXT_HEADER), response_context(missing))]
    };
    if query.context().by_segment()? {
        let (parts, missing) = state.historical.run_by_segment(query.clone(), &table, segments, &context).await?;
        return respond::stream(format, headers(&missing), move |sink| write_by_segment(&query, &parts, format, sink)).await;
    }
    let Answer { partial, missing, .. } = state.historical.run(query.clone(), &table, segments, &context).await?;
    respond::stream(format, headers(&missing), move |sink| {
        let rows = finished(&query, partial, &context)?;
        write_result(&query, &rows, format, sink)
    })
    .await
}

/// The rows; none at all where no segment was there, so that nobody takes zeros for an answer.
fn finished(
    query: &NativeQuery,
    partial: Option<ovate_query::Partial>,
    context: &QueryContext,
) -> Result<ovate_query::QueryRows, DruidError> {
    let intermediate = !query.context().finalize()?;
    match partial {
        None if intermediate => Ok(ovate_query::QueryRows::default()),
        partial => {
            let merged = ovate_query::merge(query, partial.into_iter().collect(), context)?;
            ovate_query::finalize(query, merged, context)
        }
    }
}
