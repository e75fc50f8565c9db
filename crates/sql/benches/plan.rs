//! What SQL adds to a dashboard's query: from text to the native query handed to the broker, whose answer here is empty. `new text`
//! plans each time, `known text` finds the plan of the same statement.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use ovate_base::Result;
use ovate_compute::{ColumnType, LookupMap, Value};
use ovate_engine::{Catalog, CatalogSnapshot, ColumnSchema, NativeRunner, TableSchema};
use ovate_query::{NativeQuery, QueryRows};
use ovate_sql::{SqlEngine, SqlRequest, SystemScan, SystemTable, SystemTables};
use serde_json::json;

/// A broker without rows.
struct Empty(Arc<CatalogSnapshot>);

#[async_trait]
impl NativeRunner for Empty {
    async fn run(&self, query: NativeQuery) -> Result<QueryRows> {
        black_box(query);
        Ok(QueryRows { signature: Vec::new(), batches: Vec::new(), extra: Default::default(), memory: Default::default() })
    }
}

#[async_trait]
impl SystemTables for Empty {
    async fn fetch(&self, _table: SystemTable, _scan: &SystemScan) -> Result<Vec<Vec<Value>>> {
        Ok(Vec::new())
    }
}

impl Catalog for Empty {
    fn snapshot(&self) -> Arc<CatalogSnapshot> {
        self.0.clone()
    }
    fn lookups(&self) -> Arc<HashMap<String, LookupMap>> {
        Arc::default()
    }
}

/// A datasource of forty columns among two hundred.
fn snapshot() -> Arc<CatalogSnapshot> {
    let column = |name: String, column_type| ColumnSchema { name, column_type };
    let mut columns = vec![column("__time".to_owned(), ColumnType::Long)];
    columns.extend((0..24).map(|i| column(format!("s{i}"), ColumnType::String)));
    columns.extend((0..15).map(|i| column(format!("n{i}"), ColumnType::Long)));
    let table = |i: usize| (format!("edits{i}"), Arc::new(TableSchema::new(format!("edits{i}"), columns.clone())));
    Arc::new(CatalogSnapshot { version: 1, tables: (0..200).map(table).collect::<BTreeMap<_, _>>() })
}

const QUERIES: [(&str, &str); 3] = [
    (
        "topN",
        "SELECT s1, COUNT(*) AS c, SUM(n1) AS added, SUM(n2) AS deleted FROM edits7 WHERE __time >= TIMESTAMP '2026-01-01 00:00:00' \
         AND __time < TIMESTAMP '2026-02-01 00:00:00' AND s2 IN ('a', 'b', 'c') AND s3 = 'x' GROUP BY s1 ORDER BY added DESC LIMIT 50",
    ),
    (
        "by hour",
        "SELECT TIME_FLOOR(__time, 'PT1H') AS hour, COUNT(*) FILTER (WHERE s4 = 'y') AS c, AVG(n1) AS mean FROM edits7 \
         WHERE __time >= TIMESTAMP '2026-01-01 00:00:00' AND s2 <> 'a' GROUP BY 1 ORDER BY 1",
    ),
    (
        "two keys",
        "SELECT s1, s5, CASE WHEN SUM(n3) > 0 THEN SUM(n1) * 1.0 / SUM(n3) END AS share, MAX(n4), COUNT(DISTINCT s6) FROM edits7 \
         WHERE (s2 LIKE 'ab%' OR n5 BETWEEN 3 AND 9) AND s7 IS NOT NULL GROUP BY s1, s5 HAVING COUNT(*) > 10 ORDER BY 3 DESC LIMIT 100",
    ),
];

fn planning(criterion: &mut Criterion) {
    let empty = Arc::new(Empty(snapshot()));
    let engine = SqlEngine::new(empty.clone(), empty.clone(), empty);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut number = 0;
    for (name, sql) in QUERIES {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("known text", |bencher| {
            let body = json!({"query": sql, "resultFormat": "array"});
            bencher.iter(|| {
                let request = SqlRequest::from_json(&body).expect("a request");
                runtime.block_on(engine.execute(request, 0)).expect("an answer").rows
            });
        });
        group.bench_function("new text", |bencher| {
            bencher.iter(|| {
                number += 1;
                let body = json!({"query": format!("{sql} -- {number}"), "resultFormat": "array"});
                let request = SqlRequest::from_json(&body).expect("a request");
                runtime.block_on(engine.execute(request, 0)).expect("an answer").rows
            });
        });
        group.finish();
    }
}

criterion_group!(benches, planning);
criterion_main!(benches);
