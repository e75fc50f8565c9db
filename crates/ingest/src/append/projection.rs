//! Writes a segment's projections: each is a groupBy over the finished segment, in the order of its grouping columns, so that what
//! it holds is what a query over the rows would answer.

use std::path::Path;
use std::sync::Arc;

use ovate_base::{DruidError, Interval, Result};
use ovate_compute::{ColumnSource, ColumnType, EvalContext, Value, Vector};
use ovate_query::document::NativeQuery;
use ovate_query::partial::{GroupsPartial, Partial};
use ovate_query::{QueryContext, SegmentRef, run_segment};
use ovate_segment::Segment;
use ovate_segment::incremental::{DimensionKind, DimensionSchema};
use ovate_segment::write::data::{ByteTable, CodeRows, ColumnData, ComplexColumn, NumberColumn, StringColumn, StringTable};
use ovate_segment::write::{IndexSpec, ProjectionColumn, ProjectionRows, append_projections};
use serde_json::{Value as Json, json};

use crate::spec::ProjectionSpec;

/// Adds the projections to the segment in `dir`; gives the bytes of all its files.
pub fn add_projections(dir: &Path, projections: &[ProjectionSpec], spec: &IndexSpec, now_ms: i64) -> Result<u64> {
    let segment = Segment::open(dir)?;
    let rows = projections.iter().map(|projection| {
        rows_of(&segment, projection, now_ms).map_err(|e| e.prefixed(format!("projection [{}]", projection.name)))
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    drop(segment);
    append_projections(dir, &rows, spec)
}

fn rows_of(segment: &Segment, projection: &ProjectionSpec, now_ms: i64) -> Result<ProjectionRows> {
    let groups = grouped(segment, projection, now_ms)?;
    let order = sorted(&groups);
    let mut columns = Vec::new();
    for (column, key) in projection.grouping_columns.iter().zip(&groups.keys) {
        columns.push(grouping_column(segment, column, &key.gather(&order))?);
    }
    for (aggregator, values) in projection.aggregators.iter().zip(&groups.aggregates) {
        let data = metric_column(&aggregator.intermediate_type(), &values.gather(&order))?;
        columns.push((aggregator.name().to_owned(), ProjectionColumn::Own(data)));
    }
    let row_count = u32::try_from(groups.rows).map_err(|_| DruidError::unsupported("a projection of more than 2^31 rows"))?;
    Ok(ProjectionRows { name: projection.name.clone(), schema: projection.stored_schema(), row_count, columns })
}

fn grouped(segment: &Segment, projection: &ProjectionSpec, now_ms: i64) -> Result<GroupsPartial> {
    let dimension = |column: &DimensionSchema| {
        let kind = match &column.kind {
            DimensionKind::String { .. } => "STRING",
            DimensionKind::Long => "LONG",
            DimensionKind::Float => "FLOAT",
            DimensionKind::Double => "DOUBLE",
            DimensionKind::Auto { .. } | DimensionKind::Json => {
                return Err(DruidError::unsupported(format!(
                    "grouping column [{}] of type auto or json; declare it as string, long, float or double",
                    column.name
                )));
            }
        };
        let own = !projection.virtual_columns.iter().any(|spec| spec.name() == &*column.name);
        if own
            && segment.capabilities(&column.name).is_some_and(|c| c.multi_value || matches!(c.column_type, ColumnType::Array(_)))
        {
            return Err(DruidError::unsupported(format!("grouping column [{}] whose rows have several values", column.name)));
        }
        Ok(json!({"type": "default", "dimension": &*column.name, "outputName": &*column.name, "outputType": kind}))
    };
    let document = json!({
        "queryType": "groupBy", "dataSource": "segment", "granularity": "all",
        "intervals": [Interval::ETERNITY.to_string()],
        "virtualColumns": projection.virtual_columns.iter().map(|spec| spec.to_json()).collect::<Vec<Json>>(),
        "filter": projection.filter.as_ref().map(|filter| filter.to_json()),
        "dimensions": projection.grouping_columns.iter().map(dimension).collect::<Result<Vec<_>>>()?,
        "aggregations": projection.aggregators.iter().map(|spec| spec.to_json()).collect::<Vec<Json>>(),
        "context": {"noProjections": true},
    });
    let query = NativeQuery::from_json(&document)?;
    let context = QueryContext::new(EvalContext::at(now_ms));
    let source: Arc<dyn ColumnSource> = Arc::new(segment.clone());
    match run_segment(&query, &SegmentRef::new("segment", vec![Interval::ETERNITY], source), &context)? {
        Partial::Groups(groups) => Ok(groups),
        _ => Err(DruidError::runtime("a groupBy gave no groups")),
    }
}

/// The groups by their keys, nulls first.
fn sorted(groups: &GroupsPartial) -> Vec<u32> {
    let keys: Vec<Vec<Value>> = groups.keys.iter().map(Vector::to_values).collect();
    let mut order: Vec<u32> = (0..groups.rows as u32).collect();
    order.sort_by(|a, b| {
        let compare = |key: &Vec<Value>| key[*a as usize].compare(&key[*b as usize]);
        keys.iter().map(compare).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    order
}

/// Columns of nothing but nulls have files too: Druid 37 does not open a projection that lacks one.
fn grouping_column(segment: &Segment, column: &DimensionSchema, values: &Vector) -> Result<(String, ProjectionColumn)> {
    let name = column.name.to_string();
    if !matches!(column.kind, DimensionKind::String { .. }) {
        return Ok((name, ProjectionColumn::Own(number_column(&column.kind, values))));
    }
    let texts: Vec<Option<Arc<str>>> = values.to_values().iter().map(Value::as_text).collect();
    // A reader takes a column of the segment's name to share its dictionary.
    let Some(stored) = segment.column(&name)? else {
        return Ok((name, ProjectionColumn::Own(ColumnData::String(own_strings(&texts)))));
    };
    let shared = segment.shares_dictionary(&name)?;
    if !shared && texts.iter().all(Option::is_none) {
        return Ok((name, ProjectionColumn::Own(ColumnData::String(own_strings(&texts)))));
    }
    let dictionary = stored.dictionary().filter(|_| stored.capabilities().column_type == ColumnType::String);
    let Some(dictionary) = dictionary.filter(|_| shared) else {
        return Err(DruidError::unsupported(format!(
            "grouping column [{name}] that the segment does not store as a string column"
        )));
    };
    let code = |text: &Option<Arc<str>>| {
        dictionary.find(text.as_deref())?.ok_or_else(|| {
            DruidError::unsupported(format!("grouping column [{name}] with values that the segment\'s column of this name lacks"))
        })
    };
    let codes = texts.iter().map(code).collect::<Result<Vec<u32>>>()?;
    Ok((name, ProjectionColumn::Shared { codes, cardinality: dictionary.cardinality() as usize }))
}

fn own_strings(texts: &[Option<Arc<str>>]) -> StringColumn {
    let mut distinct: Vec<&str> = texts.iter().flatten().map(|text| &**text).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let has_null = texts.iter().any(Option::is_none);
    let mut table = ByteTable::with_capacity(distinct.len(), distinct.iter().map(|text| text.len()).sum());
    distinct.iter().for_each(|text| table.push(text.as_bytes()));
    let first = u32::from(has_null);
    let code = |text: &Option<Arc<str>>| match text {
        None => 0,
        Some(text) => distinct.partition_point(|known| *known < &**text) as u32 + first,
    };
    let rows = CodeRows::Single(texts.iter().map(code).collect());
    StringColumn { table: Arc::new(StringTable { has_null, texts: table }), rows, bitmap_index: true }
}

fn number_column(kind: &DimensionKind, values: &Vector) -> ColumnData {
    let nulls: Vec<bool> = (0..values.len()).map(|row| values.is_null(row)).collect();
    let nulls = nulls.contains(&true).then_some(nulls);
    let all = values.to_values();
    match kind {
        DimensionKind::Float => {
            let values = all.iter().map(|v| v.as_double().unwrap_or(0.0) as f32).collect();
            ColumnData::Float(NumberColumn { values, nulls })
        }
        DimensionKind::Double => {
            ColumnData::Double(NumberColumn { values: all.iter().map(|v| v.as_double().unwrap_or(0.0)).collect(), nulls })
        }
        _ => ColumnData::Long(NumberColumn { values: all.iter().map(|v| v.as_long().unwrap_or(0)).collect(), nulls }),
    }
}

fn metric_column(column_type: &ColumnType, values: &Vector) -> Result<ColumnData> {
    let type_name = match column_type {
        ColumnType::Long => return Ok(number_column(&DimensionKind::Long, values)),
        ColumnType::Float => return Ok(number_column(&DimensionKind::Float, values)),
        ColumnType::Double => return Ok(number_column(&DimensionKind::Double, values)),
        ColumnType::Complex(Some(name)) => name.clone(),
        other => return Err(DruidError::unsupported(format!("aggregator of type {other} in a projection"))),
    };
    let mut rows = ByteTable::with_capacity(values.len(), values.len() * 16);
    for value in values.to_values() {
        match value {
            Value::Complex(_, bytes) => rows.push(&bytes),
            Value::Null => rows.push(&[]),
            other => return Err(DruidError::runtime(format!("an aggregator of {type_name} gave {other:?}"))),
        }
    }
    Ok(ColumnData::Complex(ComplexColumn { type_name, rows }))
}

#[cfg(test)]
mod tests {
    use ovate_compute::aggregate::AggregatorSpec;
    use ovate_query::{Profile, finalize, write_json};
    use ovate_segment::incremental::{IncrementalIndex, IndexSchema, InputColumn, RowBatch};

    use super::*;

    fn spec(document: Json) -> ProjectionSpec {
        ProjectionSpec::from_json(&document).expect("a projection")
    }

    /// 400 rows in 20 hours: `page`, `user` with nulls, `city` (null throughout), `code` and `added`.
    fn segment(dir: &Path) {
        let dimensions = [json!("page"), json!("user"), json!("city"), json!({"type": "long", "name": "code"})];
        let mut index = IncrementalIndex::new(IndexSchema {
            dimensions: dimensions.iter().map(|d| DimensionSchema::from_json(d).expect("a dimension")).collect(),
            metrics: vec![
                AggregatorSpec::from_json(&json!({"type": "longSum", "name": "added", "fieldName": "added"})).expect("a metric"),
            ],
            ..IndexSchema::default()
        })
        .expect("an index");
        let rows = 400i64;
        let times: Vec<i64> = (0..rows).map(|i| 1_704_067_200_000 + i * 180_000).collect();
        let pages: Vec<Option<String>> = (0..rows).map(|i| Some(format!("p{}", i % 5))).collect();
        let users: Vec<Option<String>> = (0..rows).map(|i| (i % 7 != 0).then(|| format!("u{}", i % 11))).collect();
        let codes: Vec<i64> = (0..rows).map(|i| i % 3).collect();
        let added: Vec<i64> = (0..rows).map(|i| i * i % 101).collect();
        let at: Vec<u32> = (0..rows as u32).collect();
        let pages: Vec<Option<&str>> = pages.iter().map(Option::as_deref).collect();
        let users: Vec<Option<&str>> = users.iter().map(Option::as_deref).collect();
        let columns = [
            ("page", InputColumn::Dictionary { values: &pages, codes: &at }),
            ("user", InputColumn::Dictionary { values: &users, codes: &at }),
            ("code", InputColumn::Longs { values: &codes, nulls: None }),
            ("added", InputColumn::Longs { values: &added, nulls: None }),
        ];
        index.add_batch(&RowBatch { timestamps: &times, columns: &columns, selection: None }).expect("rows");
        index.persist(dir, &IndexSpec::default()).expect("written");
    }

    fn answer(segment: &Segment, mut document: Json, use_them: bool) -> (String, Json) {
        document["context"] = json!({"noProjections": !use_them});
        let query = NativeQuery::from_json(&document).expect("a query");
        let mut context = QueryContext::new(EvalContext::at(0));
        context.profile = Some(Arc::new(Profile::default()));
        let reference = SegmentRef::new("s", query.intervals().to_vec(), Arc::new(segment.clone()));
        let partial = run_segment(&query, &reference, &context).expect("it runs");
        let rows = finalize(&query, partial, &context).expect("rows");
        let mut out = Vec::new();
        write_json(&query, &rows, &mut out).expect("JSON");
        let profile = context.profile.expect("a profile").to_json();
        (String::from_utf8(out).expect("UTF-8"), profile["segmentsByProjection"].clone())
    }

    #[test]
    fn written_projections_answer_what_the_rows_answer() {
        let dir = tempfile::tempdir().expect("a folder");
        // Kept for Druid's reader when asked for.
        let kept = std::env::var("OVATE_KEEP_PROJECTIONS").ok().map(std::path::PathBuf::from);
        let dir = kept.unwrap_or_else(|| dir.path().join("segment"));
        segment(&dir);
        let hour =
            json!({"type": "expression", "name": "h", "expression": "timestamp_floor(__time,'PT1H')", "outputType": "LONG"});
        let upper = json!({"type": "expression", "name": "big", "expression": "upper(user)", "outputType": "STRING"});
        let sketch = json!({"type": "thetaSketch", "name": "users", "fieldName": "user"});
        let sum = json!({"type": "longSum", "name": "sum", "fieldName": "added"});
        let count = json!({"type": "count", "name": "n"});
        let projections = [
            spec(json!({"type": "aggregate", "name": "hourly", "virtualColumns": [hour], "aggregators": [count, sum],
                "groupingColumns": [{"type": "long", "name": "h"}, "user", "city", {"type": "long", "name": "code"}]})),
            spec(
                json!({"type": "aggregate", "name": "big", "virtualColumns": [upper], "groupingColumns": ["big"], "aggregators": [sum, sketch]}),
            ),
            spec(
                json!({"type": "aggregate", "name": "total", "aggregators": [count, {"type": "stringLast", "name": "last", "fieldName": "user"}]}),
            ),
            spec(json!({"type": "aggregate", "name": "p1", "filter": {"type": "selector", "dimension": "page", "value": "p1"},
                "groupingColumns": ["user"], "aggregators": [count]})),
        ];
        let bytes = add_projections(&dir, &projections, &IndexSpec::default(), 0).expect("projections");
        let on_disk: u64 =
            std::fs::read_dir(&dir).expect("a folder").map(|f| f.expect("a file").metadata().expect("a size").len()).sum();
        assert_eq!(bytes, on_disk);
        let segment = Segment::open(&dir).expect("it opens");
        assert_eq!(segment.projections().len(), 4);
        let base = |more: Json| {
            let mut document = json!({"queryType": "groupBy", "dataSource": "t", "intervals": "2000/3000", "granularity": "all"});
            for (name, value) in more.as_object().expect("an object") {
                document[name] = value.clone();
            }
            document
        };
        let cases = [
            ("hourly", base(json!({"dimensions": ["user", "city"], "granularity": "hour", "aggregations": [count, sum]}))),
            (
                "hourly",
                base(
                    json!({"dimensions": [{"dimension": "code", "outputName": "c", "outputType": "LONG"}], "granularity": "day",
                "aggregations": [sum], "filter": {"type": "selector", "dimension": "user", "value": "u3"}}),
                ),
            ),
            (
                "big",
                base(
                    json!({"virtualColumns": [{"type": "expression", "name": "v", "expression": "upper(user)", "outputType": "STRING"}],
                "dimensions": ["v"], "aggregations": [sketch]}),
                ),
            ),
            ("total", base(json!({"dimensions": [], "aggregations": [count]}))),
            (
                "p1",
                base(
                    json!({"dimensions": ["user"], "aggregations": [count], "filter": {"type": "selector", "dimension": "page", "value": "p1"}}),
                ),
            ),
        ];
        for (name, document) in cases {
            let (plain, projected) = (answer(&segment, document.clone(), false), answer(&segment, document.clone(), true));
            assert_eq!(projected.1, json!({name: 1}), "{document}");
            assert_eq!(plain.0, projected.0, "{document}");
            assert!(plain.0.len() > 10);
        }
        let several = spec(
            json!({"type": "aggregate", "name": "x", "groupingColumns": [{"type": "auto", "name": "page"}], "aggregators": [count]}),
        );
        let refused = add_projections(&dir, &[several], &IndexSpec::default(), 0).expect_err("auto columns are refused");
        assert!(refused.message.contains("projection [x]") && refused.message.contains("[page]"), "{refused}");
    }
}
