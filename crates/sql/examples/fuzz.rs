//! Statements put together from pieces of others: through lexer, binder, optimiser and native plan, and run where they read no
//! datasource. Statements that panic are told, one for each place.
//!
//!     cargo run --release -p ovate-sql --example fuzz -- COUNT [SEED]

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, LookupMap, Value};
use ovate_engine::{Catalog, CatalogSnapshot, ColumnSchema, NativeRunner, TableSchema};
use ovate_query::{NativeQuery, QueryRows};
use ovate_sql::{SqlEngine, SqlRequest, SystemScan, SystemTable, SystemTables};
use serde_json::json;

const SEEDS: &[&str] = &[
    "SELECT s, COUNT(*) AS c, SUM(n) FROM t WHERE __time >= TIMESTAMP '2020-01-01' AND d > 1.5 GROUP BY 1 HAVING COUNT(*) > 2 ORDER BY c DESC LIMIT 10",
    "SELECT FLOOR(__time TO DAY) AS day, APPROX_COUNT_DISTINCT(s) FILTER (WHERE n > 0) FROM t GROUP BY FLOOR(__time TO DAY)",
    "SELECT a.s, b.n FROM t a LEFT JOIN (SELECT s, MAX(n) n FROM u GROUP BY s) b ON a.s = b.s WHERE a.n IN (SELECT n FROM u)",
    "WITH x AS (SELECT n, ROW_NUMBER() OVER (PARTITION BY s ORDER BY n DESC ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) r FROM t) SELECT * FROM x WHERE r < 3",
    "SELECT CASE WHEN n > 1 THEN 'x' WHEN n IS NULL THEN NULL ELSE CAST(d AS VARCHAR) END, COALESCE(s, 'none') || '-' FROM t OFFSET 3",
    "SELECT GROUPING(s, n), s, n, AVG(d) FROM t GROUP BY GROUPING SETS ((s), (n), ())",
    "SELECT JSON_VALUE(j, '$.a.b' RETURNING BIGINT), ARRAY_LENGTH(a), MV_TO_ARRAY(s) FROM t WHERE ARRAY_CONTAINS(a, 'x')",
    "SELECT v FROM t CROSS JOIN UNNEST(a) AS x(v) WHERE v LIKE 'a%' ESCAPE '!'",
    "SELECT * FROM (VALUES (1, 'a', DATE '2020-02-29'), (2, NULL, NULL)) AS v (i, c, d) UNION ALL SELECT 3, 'b', CURRENT_DATE",
    "SELECT TIMESTAMPADD(MONTH, -1, __time), TIME_FORMAT(__time, 'yyyy', 'Europe/Berlin'), EXTRACT(DOW FROM __time) FROM t",
    "SELECT LATEST_BY(n, __time), STRING_AGG(DISTINCT s, ',', 100), ARRAY_AGG(n), DS_QUANTILES_SKETCH(d, 64) FROM t",
    "SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 't' AND DATA_TYPE <> 'BIGINT'",
    "SELECT REGEXP_EXTRACT(s, '(a+)b', 1), SUBSTRING(s FROM 2 FOR 3), TRIM(BOTH 'x' FROM s), ROUND(d, 2), MOD(n, 7) FROM t",
    "EXPLAIN PLAN FOR SELECT s FROM t WHERE n BETWEEN 1 AND 5 OR (s, n) IN (('a', 1), ('b', 2)) ORDER BY s NULLS LAST",
    "SET sqlTimeZone = 'Asia/Tokyo'; SELECT DISTINCT s FROM TABLE(APPEND('t', 'u')) WHERE n = ? AND s IS NOT DISTINCT FROM 'q'",
];

/// Where the last panic was.
static PLACE: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

struct Nothing;

#[async_trait]
impl NativeRunner for Nothing {
    async fn run(&self, query: NativeQuery) -> Result<QueryRows> {
        // The plan must be a document that other servers read.
        NativeQuery::from_json(&query.to_json()).expect("what is planned is read");
        Err(DruidError::runtime("there are no rows here"))
    }
}

#[async_trait]
impl SystemTables for Nothing {
    async fn fetch(&self, _table: SystemTable, _scan: &SystemScan) -> Result<Vec<Vec<Value>>> {
        Ok(Vec::new())
    }
}

impl Catalog for Nothing {
    fn snapshot(&self) -> Arc<CatalogSnapshot> {
        let column = |name: &str, column_type| ColumnSchema { name: name.to_owned(), column_type };
        let columns = vec![
            column("__time", ColumnType::Long),
            column("s", ColumnType::String),
            column("n", ColumnType::Long),
            column("d", ColumnType::Double),
            column("a", ColumnType::array(ColumnType::String)),
            column("j", ColumnType::Complex(Some("json".into()))),
        ];
        let tables = ["t", "u"].map(|name| (name.to_owned(), Arc::new(TableSchema::new(name, columns.clone()))));
        Arc::new(CatalogSnapshot { version: 1, tables: BTreeMap::from(tables) })
    }

    fn lookups(&self) -> Arc<HashMap<String, LookupMap>> {
        Arc::new(HashMap::new())
    }
}

/// Words, numbers, texts and signs, with what separates them left out.
fn tokens(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let end = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |at| at + 2),
            first if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            first => first.len_utf8(),
        };
        out.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    out
}

fn main() {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().and_then(|text| text.parse().ok()).expect("COUNT is a number");
    let mut state: u64 = args.next().map_or(1, |text| text.parse().expect("SEED is a number"));
    let mut below = move |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit.max(1)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let engine = SqlEngine::new(Arc::new(Nothing), Arc::new(Nothing), Arc::new(Nothing));
    let seeds: Vec<Vec<&str>> = SEEDS.iter().map(|text| tokens(text)).collect();
    let mut panics = std::collections::BTreeSet::new();
    std::panic::set_hook(Box::new(|info| {
        *PLACE.lock().expect("one thread") = info.location().map(ToString::to_string).unwrap_or_default();
    }));
    let (start, mut planned) = (std::time::Instant::now(), 0u64);
    for number in 0..count {
        let mut words = seeds[below(seeds.len())].clone();
        for _ in 0..below(5) {
            let (other, at) = (&seeds[below(seeds.len())], below(words.len()));
            let from = below(other.len());
            let piece = &other[from..other.len().min(from + 1 + below(6))];
            match below(4) {
                0 if !words.is_empty() => drop(words.remove(at)),
                1 => words.splice(at..at, piece.iter().copied()).for_each(drop),
                2 => words.truncate(at.max(1)),
                _ => {
                    let end = words.len().min(at + piece.len());
                    words.splice(at..end, piece.iter().copied()).for_each(drop);
                }
            }
        }
        let sql = words.join(" ");
        let run = AssertUnwindSafe(|| {
            let request = SqlRequest::from_json(&json!({"query": sql, "parameters": [{"type": "BIGINT", "value": 5}]}));
            request.map(|request| runtime.block_on(engine.execute(request, 1_700_000_000_000)).is_ok()).unwrap_or(false)
        });
        match catch_unwind(run) {
            Ok(good) => planned += u64::from(good),
            Err(_) => {
                let place = std::mem::take(&mut *PLACE.lock().expect("one thread"));
                // One statement for each place is enough.
                if panics.insert(place.clone()) {
                    eprintln!("PANIC input={number} at {place}\n{sql}");
                }
            }
        }
    }
    let _ = std::panic::take_hook();
    println!("sql: {count} statements in {:.1} s, {planned} answered", start.elapsed().as_secs_f64());
    assert!(panics.is_empty(), "{} places panic", panics.len());
}
