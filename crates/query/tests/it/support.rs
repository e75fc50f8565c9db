//! Tables and runs for the tests.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, ColumnType, EvalContext, Value, Vector};
use ovate_query::{NativeQuery, Partial, QueryContext, SegmentRef, finalize, merge, run_segment, write_json};
use serde_json::Value as Json;

pub const DAY_MS: i64 = 86_400_000;

/// One row of the test table.
#[derive(Debug, Clone)]
pub struct Row {
    pub time: i64,
    pub city: Option<&'static str>,
    pub tags: Vec<&'static str>,
    pub number: Option<i64>,
    pub price: f64,
}

/// A table with columns `__time`, `city`, `tags` (multi-value), `number` (LONG) and `price` (DOUBLE).
pub fn table(rows: &[Row]) -> Arc<dyn ColumnSource> {
    let text = |text: &str| Value::from(text);
    let numbers = rows.iter().map(|row| row.number.map_or(Value::Null, Value::Long)).collect();
    let tags = rows.iter().map(|row| Value::Array(row.tags.iter().map(|t| text(t)).collect())).collect();
    let columns = vec![
        ("__time".to_owned(), Vector::Long { values: rows.iter().map(|row| row.time).collect(), nulls: None }),
        ("city".to_owned(), Vector::String(rows.iter().map(|row| row.city.map(Arc::from)).collect())),
        ("tags".to_owned(), Vector::Any { column_type: ColumnType::String, values: tags }),
        ("number".to_owned(), Vector::from_values(&ColumnType::Long, numbers)),
        ("price".to_owned(), Vector::Double { values: rows.iter().map(|row| row.price).collect(), nulls: None }),
    ];
    Arc::new(MemoryTable::new(columns).unwrap().with_bitmaps().unwrap())
}

pub fn context() -> QueryContext {
    QueryContext::new(EvalContext::at(0))
}

pub fn query(json: Json) -> NativeQuery {
    NativeQuery::from_json(&json).unwrap()
}

/// Runs over sources as separate segments.
pub fn answer_of(query: &NativeQuery, sources: &[Arc<dyn ColumnSource>]) -> Result<Json> {
    let context = context();
    let mut partials: Vec<Partial> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let segment = SegmentRef::new(&format!("s{index}"), query.intervals().to_vec(), source.clone());
        partials.push(run_segment(query, &segment, &context)?);
    }
    finished(query, merge(query, partials, &context)?)
}

pub fn finished(query: &NativeQuery, partial: Partial) -> Result<Json> {
    let rows = finalize(query, partial, &context())?;
    let mut out = Vec::new();
    write_json(query, &rows, &mut out)?;
    Ok(serde_json::from_slice(&out).expect("answers are JSON"))
}

/// The answer over one table, as JSON text.
pub fn answer(rows: &[Row], json: Json) -> String {
    match answer_of(&query(json), &[table(rows)]) {
        Ok(json) => json.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

/// Five rows over three days.
pub fn five() -> Vec<Row> {
    let row = |time, city, tags: &[&'static str], number, price| Row { time, city, tags: tags.to_vec(), number, price };
    vec![
        row(0, Some("ulm"), &["a", "b"], Some(1), 1.5),
        row(1000, Some("bonn"), &[], Some(2), -0.25),
        row(DAY_MS, None, &["b"], None, 1e10),
        row(2 * DAY_MS, Some("ulm"), &["a"], Some(10), 0.0),
        row(2 * DAY_MS + 5, Some("köln"), &["c", "a"], Some(2), 2.0),
    ]
}
