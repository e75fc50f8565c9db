//! The Coordinator's endpoints below `/druid/coordinator/v1` (features API-C-…).

mod compaction;
mod config;
mod data_sources;
mod lookups;
mod metadata;
mod rules;
mod servers;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::middleware::from_fn_with_state;
use axum::routing::get;

pub(crate) use config::default_config;

use super::Coordinator;
use crate::http::{is_leader, leader, only_leader};

type Params = Query<HashMap<String, String>>;

/// All routes.
pub fn routes(coordinator: Arc<Coordinator>) -> Router {
    let selector = coordinator.selector.clone();
    let routes = Router::new()
        .route("/leader", get(|State(coordinator): State<Arc<Coordinator>>| async move { leader(&*coordinator.selector) }))
        .route("/isLeader", get(|State(coordinator): State<Arc<Coordinator>>| async move { is_leader(&*coordinator.selector) }))
        .merge(metadata::routes())
        .merge(data_sources::routes())
        .merge(servers::routes())
        .merge(rules::routes())
        .merge(config::routes())
        .merge(compaction::routes())
        .merge(lookups::routes())
        .with_state(coordinator);
    // Outside of the nesting, where the path is still whole.
    Router::new().nest("/druid/coordinator/v1", routes).route_layer(from_fn_with_state(selector, only_leader))
}
