//! The roles that answer queries: Historical, Broker, Router.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ovate_base::time::{Period, Zone};
use ovate_base::{Budget, DruidError, Properties, Result};
use ovate_engine::lookup::DEFAULT_TIER;
use ovate_net::{LeaderSelector, NodeRole};
use ovate_serve::broker::avatica::AvaticaSettings;
use ovate_serve::broker::{
    Broker, BrokerSettings, BrokerState, BrokerSystemTables, Follower, QueryScheduler, Selection, ServerView, SqlServices,
    SqlStatements, UsedSegments, Watched,
};
use ovate_serve::cache::{self, CacheSettings, QueryCache};
use ovate_serve::data_server::DataServer;
use ovate_serve::flight::FlightListener;
use ovate_serve::historical::{self, Historical, HistoricalState, LoadSettings, SegmentLoader, ServedSegments};
use ovate_serve::lookup::{self, LookupStore};
use ovate_serve::postgres::PostgresListener;
use ovate_serve::request_log::RequestLogger;
use ovate_serve::router::Backends;
use ovate_serve::running::RunningQueries;
use ovate_serve::spill::SpillSettings;
use ovate_serve::{broker, router as router_role};
use ovate_sql::SqlEngine;
use ovate_store::{CacheLocation, LocationSelector, SegmentCache, SegmentCacheSettings, now_ms};
use serde_json::{Map, Value, json};

use super::external::ExternalReader;
use super::{RoleService, Shared};
use crate::config::Settings;

pub async fn historical(shared: &Arc<Shared>) -> Result<RoleService> {
    let settings = &shared.settings;
    let locations: Vec<CacheLocation> = settings
        .cache_locations
        .iter()
        .map(|(path, max_bytes)| CacheLocation { path: path.clone(), max_bytes: *max_bytes })
        .collect();
    let max_bytes: u64 = locations.iter().map(|location| location.max_bytes).sum();
    let info_dir = settings.properties.get("druid.segmentCache.infoDir").map(PathBuf::from);
    let threads = settings.properties.int("druid.segmentCache.numLoadingThreads", 4)?.clamp(1, 64) as usize;
    let bootstrap_threads =
        settings.properties.int("druid.segmentCache.numBootstrapThreads", threads as i64)?.clamp(1, 64) as usize;
    let strategy = settings.properties.text("druid.segmentCache.locationSelector.strategy", "leastBytesUsed");
    let selector = LocationSelector::from_name(strategy)?;
    let cache = Arc::new(SegmentCache::open(SegmentCacheSettings { locations, info_dir, selector, bootstrap_threads })?);
    let segments = Arc::new(ServedSegments::new(now_ms()));
    let drop_delay = settings.properties.millis("druid.segmentCache.dropSegmentDelayMillis", 30_000)?;
    let accelerators = settings.properties.flag("druid.ovate.segmentCache.accelerators", true)?;
    let drop_delay = Duration::from_millis(drop_delay.unsigned_abs());
    let lazy_on_start = settings.properties.flag("druid.segmentCache.lazyLoadOnStart", false)?;
    let load = LoadSettings { threads, bootstrap_threads, lazy_on_start, accelerators, drop_delay };
    let loader = Arc::new(SegmentLoader::new(cache, settings.storage().deep_storage()?, segments.clone(), load));
    // Decoded column blocks are part of the process's budget, beside queries and tasks.
    let decoded = settings.query_memory_bytes / 2;
    ovate_segment::read::set_decoded_cache_bytes(usize::try_from(decoded).unwrap_or(usize::MAX));
    loader.bootstrap().await?;
    let name = shared.name(NodeRole::Historical);
    let lookups = Arc::new(LookupStore::of_tier(lookup_tier(settings)));
    let mut historical = Historical::new(name.clone(), segments, settings.processing_threads);
    if let Some(cache) = query_cache(shared, "druid.historical.cache")? {
        historical = historical.with_cache(cache, lookups.clone());
    }
    let historical = Arc::new(historical);
    historical.set_loader(&loader);
    let server: Arc<dyn DataServer> = historical.clone();
    shared.data_servers.write().insert(name, server);
    tokio::spawn(until_shutdown(shared, lookups.clone().follow(shared.client.clone(), shared.discovery.clone())));
    let running: Arc<RunningQueries> = Arc::default();
    shared.running.lock().push(running.clone());
    let spill = SpillSettings::from_properties(&settings.properties)?;
    let pushed = lookup::routes(lookups.clone(), shared.client.clone());
    let (budget, default_context) = (shared.query_budget.clone(), Arc::new(query_context(&settings.properties)));
    let state = HistoricalState { historical, loader, lookups, budget, spill, running, default_context };
    let routes = historical::routes(state).merge(pushed);
    let tier = settings.properties.text("druid.server.tier", "_default_tier");
    let mut services = Map::new();
    let data = json!({"type": "dataNodeService", "tier": tier, "maxSize": max_bytes, "storageSize": max_bytes,
        "serverType": "historical", "priority": settings.properties.int("druid.server.priority", 0)?});
    services.insert("dataNodeService".to_owned(), data);
    services.insert("lookupNodeService".to_owned(), json!({"type": "lookupNodeService", "lookupTier": lookup_tier(settings)}));
    Ok(RoleService { role: NodeRole::Historical, routes, services, election: None })
}

pub async fn broker(shared: &Arc<Shared>) -> Result<RoleService> {
    let settings = &shared.settings;
    let lookups = Arc::new(LookupStore::of_tier(lookup_tier(settings)));
    let view = Arc::new(ServerView::new(lookups.clone()));
    let limits = BrokerSettings {
        timeout_ms: settings.query_timeout_ms,
        budget: shared.query_budget.clone(),
        gathered_bytes_max: settings.properties.bytes("druid.server.http.maxScatterGatherBytes", u64::MAX)?,
        requests_max: settings.properties.int("druid.server.http.numThreads", default_http_threads())?.max(1) as usize,
        timeout_max_ms: settings.properties.int("druid.server.http.maxQueryTimeout", i64::MAX)?.max(0).unsigned_abs(),
        selection: Selection::from_properties(&settings.properties)?,
        subquery_rows_max: settings.properties.int("druid.server.http.maxSubqueryRows", 100_000)?.max(0) as usize,
        subquery_bytes_max: subquery_bytes(&settings.properties, &shared.query_budget)?,
        spill: SpillSettings::from_properties(&settings.properties)?,
        threads: settings.processing_threads,
    };
    let scheduler = QueryScheduler::from_properties(&settings.properties, limits.requests_max)?;
    let cache = query_cache(shared, "druid.broker.cache")?;
    let broker = Arc::new(Broker::new(view.clone(), lookups.clone(), limits, scheduler, cache));
    shared.running.lock().push(broker.running.clone());
    let (client, discovery) = (shared.client.clone(), shared.discovery.clone());
    let statements: Arc<SqlStatements> = Arc::default();
    let shown = settings.properties.flag("druid.sql.planner.enableSysQueriesTable", false)?;
    let queries = shown.then(|| (statements.clone(), shared.name(NodeRole::Broker)));
    let (watched, local) = (Watched::from_properties(&settings.properties)?, shared.data_servers.clone());
    let used = Arc::new(UsedSegments::new(view.clone(), client.clone(), discovery.clone(), watched.clone()));
    let (view_of, used_of) = (view.clone(), used.clone());
    let system =
        BrokerSystemTables { view: view_of, used: used_of, client: client.clone(), discovery: discovery.clone(), queries };
    tokio::spawn(until_shutdown(shared, lookups.clone().read_forever(client.clone())));
    let refresh = settings.properties.millis("druid.sql.planner.metadataRefreshPeriod", 60_000)?;
    let metadata_refresh = Duration::from_millis(refresh.max(100).unsigned_abs());
    let (view_too, lookups_too) = (view.clone(), lookups.clone());
    let follower = Follower { view: view_too, lookups: lookups_too, client, discovery, used, watched, metadata_refresh, local };
    let follower = Arc::new(follower);
    tokio::spawn(follower.run(shared.shutdown.clone()));
    let default_context = Arc::new(query_context(&settings.properties));
    let mut sql_defaults = sql_context(&settings.properties)?;
    sql_defaults.extend(default_context.as_ref().clone());
    let mut sql = SqlEngine::new(broker.clone(), view, Arc::new(system)).with_default_context(sql_defaults);
    if settings.properties.flag("druid.sql.extern.enabled", true)? {
        let storage = settings.storage().deep_storage()?;
        let reader = ExternalReader::new(storage, std::env::temp_dir(), settings.query_timeout_ms);
        sql = sql.with_external(Arc::new(reader));
    }
    let sql = Arc::new(sql);
    let log = Arc::new(RequestLogger::from_properties(&settings.properties)?);
    let services = SqlServices {
        avatica: avatica(&settings.properties)?,
        address: shared.name(NodeRole::Broker),
        statements: settings.base_dir.join(settings.properties.text("druid.sql.statements.directory", "var/druid/statements")),
        awaits_view: settings.properties.flag("druid.broker.segment.awaitInitializationOnStart", true)?,
    };
    let state = BrokerState { broker, sql, log, statements, default_context };
    listeners(shared, &state).await?;
    let routes = broker::routes(state, services).merge(lookup::routes(lookups.clone(), shared.client.clone()));
    let mut services = Map::new();
    services.insert("lookupNodeService".to_owned(), json!({"type": "lookupNodeService", "lookupTier": lookup_tier(settings)}));
    Ok(RoleService { role: NodeRole::Broker, routes, services, election: None })
}

/// `druid.server.http.maxSubqueryBytes`: a number, `auto` (a tenth of what queries may hold), or `disabled`.
fn subquery_bytes(properties: &Properties, budget: &Budget) -> Result<Option<u64>> {
    const NAME: &str = "druid.server.http.maxSubqueryBytes";
    match properties.text(NAME, "disabled") {
        "disabled" => Ok(None),
        "auto" => Ok(Some(budget.limit_bytes() / 10)),
        _ => properties.bytes(NAME, 0).map(Some),
    }
}

/// `druid.lookup.lookupTier`.
fn lookup_tier(settings: &Settings) -> &str {
    settings.properties.text("druid.lookup.lookupTier", DEFAULT_TIER)
}

/// Starts the Broker's other listeners, those whose port is set.
async fn listeners(shared: &Arc<Shared>, state: &BrokerState) -> Result<()> {
    let settings = &shared.settings;
    let port = |name: &str| -> Result<Option<u16>> {
        match settings.properties.int(name, 0)? {
            0 => Ok(None),
            port => u16::try_from(port).map(Some).map_err(|_| DruidError::invalid_input(format!("{name} is not a port: {port}"))),
        }
    };
    if let Some(port) = port("druid.ovate.flight.port")? {
        let listener = FlightListener::bind(&settings.bind, port, state.clone()).await?;
        tokio::spawn(listener.serve(shared.shutdown.clone()));
    }
    if let Some(port) = port("druid.ovate.postgres.port")? {
        let listener = PostgresListener::bind(&settings.bind, port, state.clone()).await?;
        tokio::spawn(listener.serve(shared.shutdown.clone()));
    }
    Ok(())
}

/// Druid's default of `druid.server.http.numThreads`.
fn default_http_threads() -> i64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as i64;
    (cores * 17 / 16 + 2).max(10) + 30
}

/// The process's cache with a role's settings, when the role uses one.
fn query_cache(shared: &Shared, prefix: &str) -> Result<Option<QueryCache>> {
    let settings = CacheSettings::from_properties(&shared.settings.properties, prefix)?;
    if !settings.is_on() {
        return Ok(None);
    }
    let mut known = shared.cache.lock();
    let cache = match known.as_ref() {
        Some(cache) => cache.clone(),
        None => known.insert(cache::from_properties(&shared.settings.properties, &shared.query_budget)?).clone(),
    };
    Ok(Some(QueryCache::new(cache, settings)))
}

/// The limits of JDBC connections (`AvaticaServerConfig`).
fn avatica(properties: &Properties) -> Result<AvaticaSettings> {
    let plain = AvaticaSettings::default();
    let count = |name: &str, default: usize| -> Result<usize> { Ok(properties.int(name, default as i64)?.max(1) as usize) };
    let idle = properties.text("druid.sql.avatica.connectionIdleTimeout", "PT5M");
    let idle = Period::parse(idle).map_err(|e| e.prefixed("druid.sql.avatica.connectionIdleTimeout"))?;
    let from = Zone::default();
    Ok(AvaticaSettings {
        connections_max: count("druid.sql.avatica.maxConnections", plain.connections_max)?,
        statements_max: count("druid.sql.avatica.maxStatementsPerConnection", plain.statements_max)?,
        frame_rows_max: count("druid.sql.avatica.maxRowsPerFrame", plain.frame_rows_max)?,
        idle: std::time::Duration::from_millis(idle.add_to(0, 1, &from).max(0) as u64),
    })
}

/// What `druid.query.default.context.*` gives every query's context unless it says otherwise (`DefaultQueryConfig`): JSON where
/// it parses as that, else texts.
fn query_context(properties: &Properties) -> Map<String, Value> {
    let given = properties.with_prefix("druid.query.default.context.");
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    given.iter().map(|(name, text)| (name.to_owned(), parsed(text))).collect()
}

/// What `druid.sql.planner.*` gives every statement's context unless it says otherwise (`PlannerConfig`).
fn sql_context(properties: &Properties) -> Result<Map<String, Value>> {
    const NAMES: [(&str, &str); 5] = [
        ("druid.sql.planner.maxTopNLimit", "maxTopNLimit"),
        ("druid.sql.planner.useApproximateCountDistinct", "useApproximateCountDistinct"),
        ("druid.sql.planner.useApproximateTopN", "useApproximateTopN"),
        ("druid.sql.planner.useNativeQueryExplain", "useNativeQueryExplain"),
        ("druid.sql.planner.sqlTimeZone", "sqlTimeZone"),
    ];
    let mut context = Map::new();
    for (name, key) in NAMES {
        let value = match properties.text(name, "") {
            "" => continue,
            _ if key == "maxTopNLimit" => json!(properties.int(name, 0)?),
            zone if key == "sqlTimeZone" => json!(Zone::parse(zone).map(|_| zone).map_err(|e| e.prefixed(name))?),
            _ => json!(properties.flag(name, true)?),
        };
        context.insert(key.to_owned(), value);
    }
    Ok(context)
}

/// A role of this process: its routes, and its election if it is elected.
pub type LocalRole = (NodeRole, Router, Option<Arc<dyn LeaderSelector>>);

/// The Router's routes; roles of this process are reached without a socket.
pub fn router(shared: &Shared, local: &[LocalRole]) -> Router {
    let backends = Backends::new(shared.client.clone(), shared.discovery.clone());
    for (role, routes, election) in local {
        if matches!(role, NodeRole::Broker | NodeRole::Coordinator | NodeRole::Overlord) {
            backends.add_local(*role, ovate_net::server::shell(routes.clone()), election.clone());
        }
    }
    router_role::routes(Arc::new(backends))
}

/// Runs `work` until it ends or the process stops.
fn until_shutdown(shared: &Shared, work: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send + 'static {
    let mut shutdown = shared.shutdown.clone();
    async move {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            () = work => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_the_query_context_are_json_or_texts() {
        let text = "druid.query.default.context.timeout=5000\ndruid.query.default.context.lane=low\n\
            druid.query.default.context.vectorize=false";
        let context = query_context(&Properties::parse(text).unwrap());
        assert_eq!(json!(context), json!({"timeout": 5000, "lane": "low", "vectorize": false}));
    }

    #[test]
    fn planner_properties_become_keys_of_every_statements_context() {
        let text = "druid.sql.planner.sqlTimeZone=Asia/Tokyo\ndruid.sql.planner.useApproximateTopN=false\ndruid.sql.planner.maxTopNLimit=7";
        let context = sql_context(&Properties::parse(text).unwrap()).unwrap();
        assert_eq!(json!(context), json!({"maxTopNLimit": 7, "useApproximateTopN": false, "sqlTimeZone": "Asia/Tokyo"}));
        let bad = Properties::parse("druid.sql.planner.sqlTimeZone=Nowhere/Land").unwrap();
        assert!(sql_context(&bad).unwrap_err().message.contains("sqlTimeZone"));
    }
}
