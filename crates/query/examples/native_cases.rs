//! Answers recorded native queries over data sets read straight from their ingestion specs, without any server: a check of
//! operators while they are worked on. `native_cases DATA_DIR CASES.jsonl…` prints `{"id", "result" | "error"}` lines.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, EvalContext, Value};
use ovate_query::{NativeQuery, QueryContext, QueryRows, SegmentRef, finalize, merge, run_segment, write_json};
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema};
use serde_json::Value as Json;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let mut tables: HashMap<String, Result<Vec<Arc<dyn ColumnSource>>>> = HashMap::new();
    for file in &arguments[2..] {
        let text = std::fs::read_to_string(file).expect("readable cases");
        for line in text.lines() {
            let case: Json = serde_json::from_str(line).expect("a case a line");
            let answer = answer(&case, Path::new(&arguments[1]), &mut tables);
            let out = match answer {
                Ok(result) => serde_json::json!({"id": case["id"], "result": result}),
                Err(error) => serde_json::json!({"id": case["id"], "error": error.to_string()}),
            };
            println!("{out}");
        }
    }
}

type Tables = HashMap<String, Result<Vec<Arc<dyn ColumnSource>>>>;

fn answer(case: &Json, data: &Path, tables: &mut Tables) -> Result<Json> {
    let query = NativeQuery::from_json(&case["native"])?;
    let again = NativeQuery::from_json(&query.to_json())?;
    assert_eq!(query.to_json(), again.to_json(), "documents are written as they are read");
    run(&query, data, tables)
}

fn run(query: &NativeQuery, data: &Path, tables: &mut Tables) -> Result<Json> {
    let rows = run_rows(query, data, tables)?;
    let mut out = Vec::new();
    write_json(query, &rows, &mut out)?;
    Ok(serde_json::from_slice(&out).expect("what we write is JSON"))
}

fn run_rows(query: &NativeQuery, data: &Path, tables: &mut Tables) -> Result<QueryRows> {
    let mut sources: Vec<Arc<dyn ColumnSource>> = Vec::new();
    let names = match query.data_source() {
        ovate_query::DataSource::Query(inner) => {
            let rows = run_rows(inner, data, tables)?;
            for batch in rows.batches {
                let named = rows.signature.iter().zip(batch.columns).map(|((name, _), column)| (name.to_string(), column));
                sources.push(Arc::new(MemoryTable::new(named.collect())?));
            }
            Vec::new()
        }
        other => other.table_names(),
    };
    for name in names {
        let table = tables.entry(name.clone()).or_insert_with(|| load(&name, data));
        sources.extend(table.as_ref().map_err(Clone::clone)?.iter().cloned());
    }
    let context = QueryContext::new(EvalContext::at(1_700_000_000_000));
    let mut partials = Vec::new();
    for (index, source) in sources.into_iter().enumerate() {
        let segment = SegmentRef::new(&format!("segment{index}"), query.intervals().to_vec(), source);
        partials.push(run_segment(query, &segment, &context)?);
    }
    finalize(query, merge(query, partials, &context)?, &context)
}

fn load(name: &str, data: &Path) -> Result<Vec<Arc<dyn ColumnSource>>> {
    let read = |file: &str| {
        std::fs::read_to_string(data.join(file)).map_err(|e| DruidError::not_found(format!("cannot read {file}: {e}")))
    };
    let spec: Json = serde_json::from_str(&read(&format!("{name}.spec.json"))?).expect("spec is JSON");
    let mut sources = Vec::new();
    for part in spec["parts"].as_array().expect("parts") {
        sources.push(load_part(part, &read(part["file"].as_str().unwrap_or_default())?)?);
    }
    Ok(sources)
}

fn load_part(part: &Json, rows: &str) -> Result<Arc<dyn ColumnSource>> {
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    let granularity = &part["granularitySpec"];
    let mut index = IncrementalIndex::new(IndexSchema {
        dimensions: list(&part["dimensionsSpec"]["dimensions"]).iter().map(DimensionSchema::from_json).collect::<Result<_>>()?,
        metrics: list(&part["metricsSpec"]).iter().map(AggregatorSpec::from_json).collect::<Result<_>>()?,
        query_granularity: match granularity.get("queryGranularity") {
            Some(json) => Granularity::from_json(json)?,
            None => Granularity::None,
        },
        rollup: granularity["rollup"].as_bool().unwrap_or(false),
        ..IndexSchema::default()
    })?;
    let time = part["timestampSpec"]["column"].as_str().unwrap_or("timestamp");
    for line in rows.lines() {
        let row: Json = serde_json::from_str(line).expect("a row a line");
        let at = ovate_base::time::instant_from_json(&row[time])?;
        let fields = row.as_object().expect("a row is an object");
        let values: Vec<(&str, Value)> =
            fields.iter().map(|(name, value)| (name.as_str(), ovate_compute::value::from_json(value))).collect();
        index.add_row(at, &values)?;
    }
    index.snapshot()
}
