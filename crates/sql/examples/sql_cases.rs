//! Answers recorded SQL cases without a server: ingests data sets by whole tasks into a directory once, then plans and runs
//! every case of a folder and writes one JSON line with status and body for each.
//!
//! `sql_cases load TASKS.jsonl DIR`, then `sql_cases run DIR LOOKUPS.json CASES_DIR OUT.jsonl [FILTER]`, or
//! `sql_cases batch DIR LOOKUPS.json STATEMENTS.jsonl OUT.jsonl`, or `sql_cases explain|query DIR LOOKUPS.json SQL`.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::{ColumnSource, ColumnType, EvalContext, LookupMap, Value};
use ovate_engine::{Catalog, CatalogSnapshot, ColumnSchema, NativeRunner, TableSchema};
use ovate_ingest::task::{StopFlag, TaskEnv, memory::MemoryActions, run_task};
use ovate_query::{DataSource, NativeQuery, QueryContext, QueryRows, SegmentRef};
use ovate_segment::Segment;
use ovate_sql::{SqlEngine, SqlRequest, SystemScan, SystemTable, SystemTables};
use ovate_store::deep::LocalDeepStorage;
use serde_json::{Value as Json, json};

type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Clone)]
struct Piece {
    interval: Interval,
    source: Arc<dyn ColumnSource>,
}

struct World {
    tables: BTreeMap<String, Vec<Piece>>,
    lookups: Arc<HashMap<String, LookupMap>>,
    snapshot: Arc<CatalogSnapshot>,
}

#[async_trait]
impl NativeRunner for World {
    async fn run(&self, query: NativeQuery) -> Result<QueryRows> {
        let names: Vec<String> = match query.data_source() {
            DataSource::Table(name) => vec![name.clone()],
            DataSource::Union(list) => list.iter().flat_map(|d| d.table_names().into_iter().map(|n| n.to_string())).collect(),
            other => return Err(DruidError::unsupported(format!("datasource {other:?}"))),
        };
        let mut segments = Vec::new();
        for name in names {
            for piece in self.tables.get(&name).into_iter().flatten() {
                let intervals: Vec<Interval> = query.intervals().iter().filter_map(|i| i.intersect(&piece.interval)).collect();
                if !intervals.is_empty() {
                    segments.push(SegmentRef::new(&name, intervals, piece.source.clone()));
                }
            }
        }
        let context = QueryContext::new(EvalContext { lookups: self.lookups.clone(), now_ms: 0 });
        let partial = ovate_query::run_segments(&query, &segments, &context, 1)?;
        ovate_query::finalize(&query, partial, &context)
    }
}

impl Catalog for World {
    fn snapshot(&self) -> Arc<CatalogSnapshot> {
        self.snapshot.clone()
    }
    fn lookups(&self) -> Arc<HashMap<String, LookupMap>> {
        self.lookups.clone()
    }
}

struct NoSystem;

#[async_trait]
impl SystemTables for NoSystem {
    async fn fetch(&self, _table: SystemTable, _scan: &SystemScan) -> Result<Vec<Vec<Value>>> {
        Ok(Vec::new())
    }
}

async fn load(tasks: &str, dir: &Path) -> Outcome<()> {
    let mut actions: HashMap<String, Arc<MemoryActions>> = HashMap::new();
    let mut order: Vec<String> = Vec::new();
    for line in std::fs::read_to_string(tasks)?.lines() {
        let entry: Json = serde_json::from_str(line)?;
        let name = entry["ds"].as_str().unwrap_or_default().to_owned();
        let state = actions.entry(name.clone()).or_default().clone();
        if !order.contains(&name) {
            order.push(name.clone());
        }
        let spec = match ovate_ingest::spec::TaskSpec::from_json(&entry["task"], 0, 7) {
            Ok(spec) => spec,
            Err(error) => {
                eprintln!("{name}: {error}");
                continue;
            }
        };
        let env = TaskEnv {
            lookups: Default::default(),
            work_dir: dir.join("work"),
            actions: state,
            storage: Arc::new(LocalDeepStorage::new(dir.join("deep"), false)),
            threads: 2,
            memory_bytes: 1 << 30,
            stop: StopFlag::default(),
            report_file: None,
            chat: Default::default(),
        };
        let outcome = run_task(&spec, &env).await;
        let _ = std::fs::remove_dir_all(&env.work_dir);
        if let Some(message) = outcome.status.error_message {
            eprintln!("{name}: {message}");
        }
    }
    let mut list = Vec::new();
    for name in order {
        for segment in actions[&name].visible() {
            if let Some(path) = segment.load_spec.as_ref().and_then(|spec| spec["path"].as_str()) {
                list.push(json!({"ds": name, "path": path, "start": segment.interval.start, "end": segment.interval.end}));
            }
        }
    }
    std::fs::write(dir.join("segments.json"), Json::Array(list).to_string())?;
    Ok(())
}

fn open(dir: &Path, lookups: &str) -> Outcome<World> {
    let list: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(dir.join("segments.json"))?)?;
    let mut tables: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Vec<ColumnSchema>> = BTreeMap::new();
    for entry in list {
        let name = entry["ds"].as_str().unwrap_or_default().to_owned();
        let path = PathBuf::from(entry["path"].as_str().unwrap_or_default());
        let source: Arc<dyn ColumnSource> = match Segment::open(&path) {
            Ok(segment) => Arc::new(segment),
            Err(error) => {
                eprintln!("{name}: {error}");
                continue;
            }
        };
        let columns = schemas.entry(name.clone()).or_default();
        for column in source.column_names() {
            let Some(capabilities) = source.capabilities(&column) else { continue };
            match columns.iter_mut().find(|c| c.name == column) {
                // The least restrictive type of all segments.
                Some(known) if known.column_type != capabilities.column_type => {
                    known.column_type = wider(&known.column_type, &capabilities.column_type);
                }
                Some(_) => {}
                None => columns.push(ColumnSchema { name: column, column_type: capabilities.column_type }),
            }
        }
        let interval = Interval { start: entry["start"].as_i64().unwrap_or(0), end: entry["end"].as_i64().unwrap_or(0) };
        tables.entry(name).or_default().push(Piece { interval, source });
    }
    let snapshot = CatalogSnapshot {
        version: 1,
        tables: schemas.into_iter().map(|(name, columns)| (name.clone(), Arc::new(TableSchema::new(name, columns)))).collect(),
    };
    let document: Json = serde_json::from_str(&std::fs::read_to_string(lookups)?)?;
    let mut maps: HashMap<String, LookupMap> = HashMap::new();
    for (name, lookup) in document["lookups"].as_object().into_iter().flatten() {
        let map = lookup["map"].as_object().into_iter().flatten();
        maps.insert(name.clone(), Arc::new(map.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()));
    }
    Ok(World { tables, lookups: Arc::new(maps), snapshot: Arc::new(snapshot) })
}

fn wider(a: &ColumnType, b: &ColumnType) -> ColumnType {
    match (a, b) {
        (ColumnType::Complex(_), _) => a.clone(),
        (_, ColumnType::Complex(_)) => b.clone(),
        (ColumnType::Array(x), ColumnType::Array(y)) => ColumnType::array(wider(x, y)),
        (ColumnType::Array(x), y) | (y, ColumnType::Array(x)) => ColumnType::array(wider(x, y)),
        (ColumnType::String, _) | (_, ColumnType::String) => ColumnType::String,
        (ColumnType::Double, _) | (_, ColumnType::Double) => ColumnType::Double,
        _ => ColumnType::Double,
    }
}

async fn answer(engine: &SqlEngine, request: SqlRequest, now_ms: i64) -> (u16, String) {
    match engine.execute(request, now_ms).await {
        Ok(response) => (200, response.body.iter().map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect()),
        Err(error) => (error.http_status(), error.to_json(None).to_string()),
    }
}

/// One JSON line a statement in (`sql`, `context`, `parameters`, `fmt`), the same with status and body out.
async fn batch(engine: &Arc<SqlEngine>, statements: &str, out: &str) -> Outcome<()> {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
    let mut file = std::io::BufWriter::new(std::fs::File::create(out)?);
    for line in std::fs::read_to_string(statements)?.lines() {
        let mut case: Json = serde_json::from_str(line)?;
        let format = case["fmt"].as_str().unwrap_or("array").to_owned();
        let body = json!({"query": case["sql"], "resultFormat": format, "header": true, "sqlTypesHeader": true,
            "context": case["context"], "parameters": case["parameters"]});
        let engine = engine.clone();
        let (status, text) = match SqlRequest::from_json(&body) {
            Err(error) => (error.http_status(), error.to_json(None).to_string()),
            Ok(request) => {
                let task = tokio::spawn(async move { answer(&engine, request, now_ms).await });
                match tokio::time::timeout(std::time::Duration::from_secs(20), task).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(error)) => (599, json!({"errorMessage": format!("panic: {error}")}).to_string()),
                    Err(_) => (504, json!({"errorMessage": "timeout"}).to_string()),
                }
            }
        };
        case["status"] = json!(status);
        case["body"] = json!(text);
        writeln!(file, "{case}")?;
    }
    file.flush()?;
    Ok(())
}

async fn run(engine: &Arc<SqlEngine>, cases: &str, out: &str, filter: Option<&String>) -> Outcome<()> {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
    let mut file = std::io::BufWriter::new(std::fs::File::create(out)?);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(cases)?.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        for line in std::fs::read_to_string(&path)?.lines() {
            let case: Json = serde_json::from_str(line)?;
            let id = case["id"].as_str().unwrap_or_default().to_owned();
            if filter.is_some_and(|f| !id.contains(f.as_str())) {
                continue;
            }
            let body = json!({"query": case["sql"], "resultFormat": "array", "context": case["context"], "parameters": case["parameters"]});
            let request = SqlRequest::from_json(&body)?;
            let engine = engine.clone();
            let task = tokio::spawn(async move { answer(&engine, request, now_ms).await });
            let (status, text) = match tokio::time::timeout(std::time::Duration::from_secs(20), task).await {
                Ok(Ok(result)) => result,
                Ok(Err(error)) => (599, json!({"errorMessage": format!("panic: {error}")}).to_string()),
                Err(_) => (504, json!({"errorMessage": "timeout"}).to_string()),
            };
            writeln!(file, "{}", json!({"id": id, "status": status, "body": text}))?;
            file.flush()?;
        }
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(24).thread_stack_size(16 << 20).enable_all().build()?;
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["load", tasks, dir] => runtime.block_on(load(tasks, Path::new(dir))),
        ["run", dir, lookups, cases, out, ..] => {
            let world = Arc::new(open(Path::new(dir), lookups)?);
            let engine = Arc::new(SqlEngine::new(world.clone(), world, Arc::new(NoSystem)));
            runtime.block_on(run(&engine, cases, out, args.get(5)))
        }
        ["batch", dir, lookups, statements, out] => {
            let world = Arc::new(open(Path::new(dir), lookups)?);
            let engine = Arc::new(SqlEngine::new(world.clone(), world, Arc::new(NoSystem)));
            runtime.block_on(batch(&engine, statements, out))
        }
        [verb @ ("query" | "explain"), dir, lookups, sql] => {
            let world = Arc::new(open(Path::new(dir), lookups)?);
            let engine = SqlEngine::new(world.clone(), world, Arc::new(NoSystem));
            let sql = if *verb == "explain" { format!("EXPLAIN PLAN FOR {sql}") } else { (*sql).to_owned() };
            let body = json!({"query": sql, "resultFormat": "arrayLines", "context": {"useApproximateCountDistinct": false}});
            let (status, text) = runtime.block_on(answer(&engine, SqlRequest::from_json(&body)?, 0));
            println!("{status} {text}");
            Ok(())
        }
        _ => Err("usage: sql_cases load TASKS DIR | run DIR LOOKUPS CASES OUT [FILTER] | batch … | query DIR LOOKUPS SQL".into()),
    }
}
