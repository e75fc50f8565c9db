//! The door of this room: a statement in, a written answer out (`SqlResource`, `DirectStatement`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use ovate_base::time::Zone;
use ovate_base::{DruidError, Result};
use ovate_compute::EvalContext;
use ovate_engine::{Catalog, CatalogSnapshot, NativeRunner, Relation};
use serde_json::{Map, Value as Json};
use tokio::sync::mpsc;

use crate::bind::{Session, bind};
use crate::context;
use crate::exec::Executor;
use crate::external::{ExternalTables, NoExternalTables};
use crate::native::Settings;
use crate::parse::ast::{Literal, Statement, StatementBody};
use crate::parse::parse_statement;
use crate::plan::Rel;
use crate::prepare::SqlPrepared;
use crate::request::{ResultFormat, SqlRequest, SqlResponse};
use crate::result::{ResultWriter, Style, send, write};
use crate::system::SystemTables;
use crate::types::{Field, SqlType};

/// Bound plans kept for texts that come again.
const PLANS_MAX: u64 = 1000;

/// How long a table's number of rows is taken as known; it only guides the order of joins.
const COUNTS_FOR: Duration = Duration::from_secs(30);

/// Plans and runs SQL; shared by all requests.
pub struct SqlEngine {
    runner: Arc<dyn NativeRunner>,
    catalog: Arc<dyn Catalog>,
    system: Arc<dyn SystemTables>,
    external: Arc<dyn ExternalTables>,
    plans: Cache<String, Arc<Planned>>,
    /// Rows of tables as they were a short while ago.
    counts: Cache<String, u64>,
    /// What a statement's context has unless it says otherwise.
    default_context: Map<String, Json>,
}

/// A statement bound against one version of the catalog.
struct Planned {
    rel: Rel,
    explain: bool,
    version: u64,
    /// It is one native query over tables, and nothing is computed around it but its few result rows.
    one_query: bool,
    /// How many rows it gave the last time.
    rows_before: AtomicUsize,
}

/// Results of so many rows are ordered and written in no time.
const FEW_ROWS: usize = 1000;

/// A statement's rows before they are written.
pub struct SqlRows {
    pub columns: Vec<(Arc<str>, SqlType)>,
    pub rows: Relation,
}

impl SqlEngine {
    /// An engine over the broker's runner and catalog and the server's system tables.
    pub fn new(runner: Arc<dyn NativeRunner>, catalog: Arc<dyn Catalog>, system: Arc<dyn SystemTables>) -> Self {
        let counts = Cache::builder().max_capacity(PLANS_MAX).time_to_live(COUNTS_FOR).build();
        let external = Arc::new(NoExternalTables);
        SqlEngine { runner, catalog, system, external, plans: Cache::new(PLANS_MAX), counts, default_context: Map::new() }
    }

    /// Reads EXTERN by this.
    pub fn with_external(mut self, external: Arc<dyn ExternalTables>) -> Self {
        self.external = external;
        self
    }

    /// Gives every statement's context these keys unless it has them (`druid.sql.planner.*`).
    pub fn with_default_context(mut self, default_context: Map<String, Json>) -> Self {
        self.default_context = default_context;
        self
    }

    /// True for a statement that is planned already, is one native query, and gave few rows before: whoever runs it does next to
    /// nothing but wait for that query.
    pub fn is_quick(&self, request: &SqlRequest) -> bool {
        let known = cache_key(request).and_then(|key| self.plans.get(&key));
        known.is_some_and(|planned| planned.one_query && planned.rows_before.load(Ordering::Relaxed) <= FEW_ROWS)
    }

    /// Parses, plans, runs and writes one statement. `now_ms` is the clock, for CURRENT_TIMESTAMP.
    pub async fn execute(&self, request: SqlRequest, now_ms: i64) -> Result<SqlResponse> {
        let mut request = without_idle_flags(request);
        let (fields, rows, style) = self.rows(&mut request, now_ms).await?;
        let count = rows.rows;
        let body: Vec<Bytes> = write(&request, &fields, &rows, &style);
        Ok(SqlResponse {
            content_type: request.result_format.content_type(),
            sql_query_id: request.context.get("sqlQueryId").and_then(Json::as_str).map(str::to_owned),
            header_included: request.header,
            body,
            rows: count,
        })
    }

    /// Runs one statement and sends its answer piece by piece as it is written: the rows of a plain scan while they are read, others
    /// once they are there. Waits for whoever takes the pieces. Gives the answer's bytes.
    pub async fn execute_into(&self, request: SqlRequest, now_ms: i64, out: &mpsc::Sender<Bytes>) -> Result<u64> {
        let mut request = without_idle_flags(request);
        let (planned, session) = self.planned(&mut request, now_ms)?;
        let style = style(&request, &session);
        let executor = self.executor(&request, &session);
        if planned.explain {
            let (fields, rows) = executor.explain(&planned.rel, flag(&request.context, "useNativeQueryExplain", true))?;
            return send(write(&request, &fields, &rows, &style), out).await;
        }
        let rel = outer_limited(&planned.rel, &request.context);
        let mut writer = ResultWriter::new(&request, &planned.rel.fields, &style);
        let (sender, mut parts) = mpsc::channel(1);
        let running = async {
            let outcome = executor.stream(&rel, &sender).await;
            drop(sender);
            outcome
        };
        let writing = async {
            let (mut bytes, mut count) = (0, 0);
            while let Some(part) = parts.recv().await {
                count += part.rows;
                bytes += writer.part(&part, out).await?;
            }
            Ok((bytes, count))
        };
        let ((), (bytes, count)) = futures::future::try_join(running, writing).await?;
        planned.rows_before.store(count, Ordering::Relaxed);
        Ok(bytes + send(writer.finish(), out).await?)
    }

    /// Runs one statement and gives its rows, for JDBC and for tests.
    pub async fn fetch(&self, request: SqlRequest, now_ms: i64) -> Result<SqlRows> {
        let mut request = request;
        let (fields, rows, _) = self.rows(&mut request, now_ms).await?;
        Ok(SqlRows { columns: fields.iter().map(|f| (f.name.clone(), f.sql_type.clone())).collect(), rows })
    }

    /// Parses and binds a statement whose parameters have no values yet.
    pub fn prepare(&self, request: SqlRequest, now_ms: i64) -> Result<SqlPrepared> {
        let mut request = request;
        let statement = parse_statement(&request.query)?;
        apply_options(&statement, &mut request.context);
        let mut session = self.session(&request, self.catalog.snapshot(), now_ms)?;
        session.preparing = true;
        match &statement.body {
            StatementBody::Query(_) if statement.explain => {
                let columns = ["PLAN", "RESOURCES", "ATTRIBUTES"].map(|name| (Arc::from(name), SqlType::Varchar)).to_vec();
                Ok(SqlPrepared { columns, parameters: vec![SqlType::Varchar; statement.parameters] })
            }
            StatementBody::Query(query) => crate::prepare::prepared(&bind(&session, query)?, statement.parameters),
            StatementBody::Ingest(_) => plan(&statement, &session).map(|planned| SqlPrepared {
                columns: planned.rel.fields.iter().map(|f| (f.name.clone(), f.sql_type.clone())).collect(),
                parameters: Vec::new(),
            }),
        }
    }

    async fn rows(&self, request: &mut SqlRequest, now_ms: i64) -> Result<(Vec<Field>, Relation, Style)> {
        let (planned, session) = self.planned(request, now_ms)?;
        let style = style(request, &session);
        let executor = self.executor(request, &session);
        if planned.explain {
            let (fields, rows) = executor.explain(&planned.rel, flag(&request.context, "useNativeQueryExplain", true))?;
            return Ok((fields, rows, style));
        }
        let rows = executor.statement(&outer_limited(&planned.rel, &request.context)).await?;
        planned.rows_before.store(rows.rows, Ordering::Relaxed);
        Ok((planned.rel.fields.to_vec(), rows, style))
    }

    /// The statement's plan, made or found.
    fn planned(&self, request: &mut SqlRequest, now_ms: i64) -> Result<(Arc<Planned>, Session)> {
        if request.query.trim().is_empty() {
            return Err(DruidError::invalid_sql("Empty query"));
        }
        for (name, value) in &self.default_context {
            request.context.entry(name).or_insert_with(|| value.clone());
        }
        context::check(&request.context)?;
        let snapshot = self.catalog.snapshot();
        let key = cache_key(request);
        let cached = key.as_ref().and_then(|key| self.plans.get(key)).filter(|plan| plan.version == snapshot.version);
        let (planned, session) = match cached {
            Some(planned) => (planned, self.session(request, snapshot, now_ms)?),
            None => {
                let statement = parse_statement(&request.query)?;
                apply_options(&statement, &mut request.context);
                if !statement.options.is_empty() {
                    context::check(&request.context)?;
                }
                let session = self.session(request, snapshot, now_ms)?;
                let planned = Arc::new(plan(&statement, &session)?);
                let timeless = !request.query.to_ascii_uppercase().contains("CURRENT_");
                if let (Some(key), true) = (key, timeless && statement.options.is_empty()) {
                    self.plans.insert(key, planned.clone());
                }
                (planned, session)
            }
        };
        Ok((planned, session))
    }

    fn session(&self, request: &SqlRequest, catalog: Arc<CatalogSnapshot>, now_ms: i64) -> Result<Session> {
        let zone = match request.context.get("sqlTimeZone") {
            None | Some(Json::Null) => Zone::parse("UTC")?,
            // Druid takes UTC where it does not know the zone (`DateTimes.inferTzFromString`).
            Some(Json::String(id)) => Zone::parse(id).or_else(|_| Zone::parse("UTC"))?,
            Some(_) => Zone::parse("UTC")?,
        };
        let now_ms = match request.context.get("sqlCurrentTimestamp") {
            Some(Json::String(text)) => ovate_base::time::parse_instant(text)?,
            Some(Json::Number(n)) => n.as_i64().unwrap_or(now_ms),
            _ => now_ms,
        };
        Ok(Session {
            catalog,
            lookups: self.catalog.lookups(),
            system: self.system.tables(),
            zone,
            now_ms,
            parameters: request.parameters.clone(),
            approximate_distinct: flag(&request.context, "useApproximateCountDistinct", true),
            preparing: false,
        })
    }

    fn executor<'a>(&'a self, request: &SqlRequest, session: &Session) -> Executor<'a> {
        let limit = request.context.get("maxTopNLimit").and_then(count);
        Executor {
            runner: self.runner.as_ref(),
            system: self.system.as_ref(),
            catalog: session.catalog.clone(),
            settings: Settings {
                zone: session.zone.clone(),
                approximate_top_n: flag(&request.context, "useApproximateTopN", true),
                max_top_n_limit: limit.unwrap_or(100_000),
                time_boundary: flag(&request.context, "enableTimeBoundaryPlanning", false),
                finalize_sketches: flag(&request.context, "sqlFinalizeOuterSketches", false),
                context: native_context(&request.context),
            },
            eval: EvalContext { lookups: session.lookups.clone(), now_ms: session.now_ms },
            approximate_distinct: session.approximate_distinct,
            stop: request.stop.clone(),
            external: self.external.as_ref(),
            counts: &self.counts,
        }
    }
}

/// Header flags without `header` mean nothing to Druid either.
fn without_idle_flags(mut request: SqlRequest) -> SqlRequest {
    if request.result_format == ResultFormat::default() && !request.header {
        request.types_header = false;
        request.sql_types_header = false;
    }
    request
}

fn style(request: &SqlRequest, session: &Session) -> Style {
    Style { zone: session.zone.clone(), stringify_arrays: flag(&request.context, "sqlStringifyArrays", true) }
}

/// A number that clients may send as text.
fn count(json: &Json) -> Option<u64> {
    json.as_u64().or_else(|| json.as_str().and_then(|text| text.parse().ok()))
}

/// The plan under `sqlOuterLimit`, which cuts whatever the statement itself would give.
fn outer_limited(rel: &Rel, context: &Map<String, Json>) -> Rel {
    match context.get("sqlOuterLimit").and_then(count) {
        Some(limit) => rel.clone().limited(limit),
        None => rel.clone(),
    }
}

/// A flag of the context; text is read as Druid does.
fn flag(context: &Map<String, Json>, name: &str, default: bool) -> bool {
    match context.get(name) {
        Some(Json::Bool(value)) => *value,
        Some(Json::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => default,
    }
}

/// The context of native queries: the statement's, without what only SQL reads.
fn native_context(context: &Map<String, Json>) -> Map<String, Json> {
    const SQL_ONLY: &[&str] =
        &["sqlTimeZone", "sqlCurrentTimestamp", "sqlStringifyArrays", "useApproximateCountDistinct", "useApproximateTopN"];
    context.iter().filter(|(key, _)| !SQL_ONLY.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn apply_options(statement: &Statement, context: &mut Map<String, Json>) {
    for (key, literal) in &statement.options {
        let value = match literal {
            Literal::Null => Json::Null,
            Literal::Boolean(b) => Json::Bool(*b),
            Literal::Integer(text) => text.parse::<i64>().map_or_else(|_| Json::from(text.as_str()), Json::from),
            Literal::Decimal(text) | Literal::Double(text) => text.parse::<f64>().map_or(Json::Null, Json::from),
            Literal::String(text) | Literal::Timestamp(text) | Literal::Date(text) | Literal::Time(text) => {
                Json::from(text.as_str())
            }
        };
        context.insert(key.clone(), value);
    }
}

fn plan(statement: &Statement, session: &Session) -> Result<Planned> {
    match &statement.body {
        StatementBody::Query(query) => {
            if statement.parameters > session.parameters.len() {
                return Err(DruidError::invalid_sql("No value bound for parameter")
                    .with_context("position", (session.parameters.len() + 1).to_string()));
            }
            let rel = bind(session, query)?;
            let one_query = !statement.explain && crate::exec::is_one_query(&rel);
            let (version, rows_before) = (session.catalog.version, AtomicUsize::new(usize::MAX));
            Ok(Planned { rel, explain: statement.explain, version, one_query, rows_before })
        }
        StatementBody::Ingest(ingest) => {
            let verb = if ingest.replace.is_some() { "REPLACE" } else { "INSERT" };
            Err(DruidError::invalid_sql(format!(
                "{verb} operations are not supported by requested SQL engine [native], consider using MSQ."
            )))
        }
    }
}

/// What makes two requests have the same plan; `None` for requests too large to keep.
fn cache_key(request: &SqlRequest) -> Option<String> {
    if request.query.len() > 100_000 {
        return None;
    }
    let mut key = request.query.clone();
    for name in ["sqlTimeZone", "useApproximateCountDistinct", "sqlCurrentTimestamp"] {
        key.push('\u{1}');
        if let Some(value) = request.context.get(name) {
            key.push_str(&value.to_string());
        }
    }
    for parameter in &request.parameters {
        key.push('\u{2}');
        key.push_str(&parameter.sql_type);
        key.push_str(&parameter.value.to_string());
    }
    Some(key)
}
