//! The `scan` operator: a native scan over the rows, which also numbers them, so that those left keep their partitions.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::filter::FilterSpec;
use ovate_compute::{ColumnType, TIME_COLUMN, Vector};
use ovate_query::document::{QueryBase, ScanOperator, ScanOrder, ScanQuery, ScanResultFormat};
use ovate_query::{DataSource, NativeQuery, QueryContext, SegmentRef};

use super::Rows;
use crate::relation::Relation;

/// The name of the column that numbers the rows; no stored name starts like this.
const NUMBER: &str = "\u{0}row";

pub(super) fn scan(mut rows: Rows, spec: &ScanOperator, context: &QueryContext) -> Result<Rows> {
    let names: Vec<Arc<str>> = match &spec.columns {
        Some(columns) => columns.iter().map(|name| Arc::from(name.as_str())).collect(),
        None => {
            let computed = spec.virtual_columns.iter().map(|column| Arc::from(column.name()));
            let mut names = rows.names.clone();
            names.extend(computed.filter(|name: &Arc<str>| rows.place(name).is_none()));
            names
        }
    };
    if rows.relation.rows == 0 || spec.limit == Some(0) {
        let columns = names.iter().map(|_| Vector::Null { len: 0 }).collect();
        return Ok(Rows { names, relation: Relation { columns, rows: 0 }, starts: vec![0] });
    }
    rows.put(NUMBER, Vector::Long { values: (0..rows.relation.rows as i64).collect(), nulls: None });
    let query = NativeQuery::Scan(query(spec, &names)?);
    let segment = SegmentRef::new("inline", query.intervals().to_vec(), rows.as_source()?);
    let partial = ovate_query::run_segment(&query, &segment, context)?;
    let merged = ovate_query::merge(&query, vec![partial], context)?;
    let result = ovate_query::finalize(&query, merged, context)?;
    let mut wanted: Vec<(&str, ColumnType)> = names.iter().map(|name| (name.as_ref(), ColumnType::String)).collect();
    wanted.push((NUMBER, ColumnType::Long));
    for (name, column_type) in &mut wanted {
        let known = result.signature.iter().find(|(known, _)| known.as_ref() == *name).and_then(|(_, t)| t.clone());
        *column_type = known.unwrap_or_else(|| column_type.clone());
    }
    let mut relation = Relation::from_query(result, &wanted);
    let Some(Vector::Long { values: numbers, .. }) = relation.columns.pop() else {
        return Ok(Rows { names, relation, starts: vec![0] });
    };
    let starts = if spec.ordering.is_empty() { kept_starts(&rows.starts, &numbers) } else { vec![0] };
    Ok(Rows { names, relation, starts })
}

/// Where the partitions that still have rows begin.
fn kept_starts(starts: &[usize], numbers: &[i64]) -> Vec<usize> {
    let partition = |number: i64| starts.partition_point(|start| (*start as i64) <= number);
    let mut kept = Vec::new();
    let mut last = None;
    for (at, number) in numbers.iter().enumerate() {
        let own = Some(partition(*number));
        if own != last {
            kept.push(at);
            last = own;
        }
    }
    if kept.is_empty() { vec![0] } else { kept }
}

fn query(spec: &ScanOperator, names: &[Arc<str>]) -> Result<ScanQuery> {
    let mut base = QueryBase::over(DataSource::Table("inline".to_owned()));
    let range = spec.time_range.map(|range| {
        let text = range.to_string();
        FilterSpec::from_json(&serde_json::json!({"type": "interval", "dimension": TIME_COLUMN, "intervals": [text]}))
    });
    let filters: Vec<FilterSpec> = range.transpose()?.into_iter().chain(spec.filter.clone()).collect();
    base.filter = (!filters.is_empty()).then_some(FilterSpec::And(filters));
    base.virtual_columns = spec.virtual_columns.clone();
    let columns = names.iter().map(|name| name.to_string()).chain([NUMBER.to_owned()]).collect();
    Ok(ScanQuery {
        base,
        columns,
        column_types: None,
        result_format: ScanResultFormat::CompactedList,
        batch_size: 20480,
        offset: spec.offset,
        limit: spec.limit,
        order_by: spec.ordering.iter().map(|c| ScanOrder { column: c.column.clone(), direction: c.direction }).collect(),
    })
}
