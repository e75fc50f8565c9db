//! `SegmentAnalysis`: its JSON, and how several become one (`SegmentMetadataQueryQueryToolChest.mergeAnalyses`).

use ovate_base::{DruidError, Interval, Result, SegmentId};
use ovate_compute::ColumnType;
use serde_json::{Map, Value, json};

use super::{ColumnAnalysis, SegmentAnalysis};
use crate::document::{AggregatorMergeStrategy, SegmentMetadataQuery};

impl ColumnAnalysis {
    /// A column that cannot be analysed.
    pub fn failed(reason: &str) -> Self {
        ColumnAnalysis {
            column_type: ColumnType::String,
            multi_value: false,
            has_nulls: false,
            size: 0,
            cardinality: None,
            min: None,
            max: None,
            error: Some(format!("error:{reason}")),
        }
    }

    fn to_json(&self) -> Value {
        let legacy = match &self.column_type {
            ColumnType::Complex(Some(name)) => name.to_string(),
            ColumnType::Array(_) => "ARRAY".to_owned(),
            other => other.to_string(),
        };
        json!({
            "typeSignature": self.column_type.to_string(), "type": legacy, "hasMultipleValues": self.multi_value,
            "hasNulls": self.has_nulls, "size": self.size, "cardinality": self.cardinality, "minValue": self.min,
            "maxValue": self.max, "errorMessage": self.error,
        })
    }

    fn from_json(json: &Value) -> Result<Self> {
        let some = |name: &str| json.get(name).filter(|v| !v.is_null()).cloned();
        let flag = |name: &str| json.get(name).and_then(Value::as_bool).unwrap_or(false);
        Ok(ColumnAnalysis {
            column_type: ColumnType::parse(json["typeSignature"].as_str().unwrap_or("STRING"))?,
            multi_value: flag("hasMultipleValues"),
            has_nulls: flag("hasNulls"),
            size: json["size"].as_u64().unwrap_or(0),
            cardinality: json["cardinality"].as_u64(),
            min: some("minValue"),
            max: some("maxValue"),
            error: json["errorMessage"].as_str().map(str::to_owned),
        })
    }

    fn fold(self, other: ColumnAnalysis) -> ColumnAnalysis {
        if self.error.is_some() {
            return self;
        }
        if other.error.is_some() {
            return other;
        }
        if self.column_type != other.column_type {
            return ColumnAnalysis::failed(&format!(
                "cannot_merge_diff_types: [{}] and [{}]",
                self.column_type, other.column_type
            ));
        }
        ColumnAnalysis {
            column_type: self.column_type,
            multi_value: self.multi_value || other.multi_value,
            has_nulls: self.has_nulls || other.has_nulls,
            size: self.size.saturating_add(other.size),
            cardinality: match (self.cardinality, other.cardinality) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            },
            min: extreme(self.min, other.min, false),
            max: extreme(self.max, other.max, true),
            error: None,
        }
    }
}

fn extreme(a: Option<Value>, b: Option<Value>, greatest: bool) -> Option<Value> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let less = match (a.as_f64(), b.as_f64()) {
                (Some(x), Some(y)) => x < y,
                _ => a.as_str().unwrap_or("") < b.as_str().unwrap_or(""),
            };
            Some(if less == greatest { b } else { a })
        }
        // Null is the least value there is.
        (a, b) => a.or(b).filter(|_| greatest),
    }
}

impl SegmentAnalysis {
    /// Druid's JSON of one analysis.
    pub fn to_json(&self) -> Value {
        let columns: Map<String, Value> = self.columns.iter().map(|(name, column)| (name.clone(), column.to_json())).collect();
        let intervals = self.intervals.as_ref().map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        let aggregators = self.aggregators.as_ref().map(|list| list.iter().cloned().collect::<Map<String, Value>>());
        json!({
            "id": self.id, "intervals": intervals, "columns": columns, "size": self.size, "numRows": self.row_count,
            "aggregators": aggregators, "projections": null, "timestampSpec": self.timestamp_spec,
            "queryGranularity": self.query_granularity, "rollup": self.rollup,
        })
    }

    pub(super) fn to_wire_json(analysis: &SegmentAnalysis) -> Value {
        analysis.to_json()
    }

    pub(super) fn from_wire_json(json: &Value) -> Result<Self> {
        let some = |name: &str| json.get(name).filter(|v| !v.is_null()).cloned();
        let objects = |name: &str| json.get(name).and_then(Value::as_object);
        let intervals = json
            .get("intervals")
            .and_then(Value::as_array)
            .map(|list| list.iter().map(|v| Interval::parse(v.as_str().unwrap_or_default())).collect::<Result<Vec<_>>>());
        let columns = objects("columns").ok_or_else(|| DruidError::runtime("segment analysis has no columns"))?;
        Ok(SegmentAnalysis {
            id: json["id"].as_str().unwrap_or_default().to_owned(),
            intervals: intervals.transpose()?,
            columns: columns.iter().map(|(n, c)| Ok((n.clone(), ColumnAnalysis::from_json(c)?))).collect::<Result<_>>()?,
            size: json["size"].as_u64().unwrap_or(0),
            row_count: json["numRows"].as_u64().unwrap_or(0),
            aggregators: objects("aggregators").map(|map| map.iter().map(|(n, v)| (n.clone(), v.clone())).collect()),
            timestamp_spec: some("timestampSpec"),
            query_granularity: some("queryGranularity"),
            rollup: json.get("rollup").and_then(Value::as_bool),
        })
    }
}

/// Merges all analyses into one. It is called as the last of the segments under the version `merged`
/// (`SegmentId.merged`), or `merged` when ids cannot be read.
pub(crate) fn merge_analyses(query: &SegmentMetadataQuery, analyses: Vec<SegmentAnalysis>) -> Result<Vec<SegmentAnalysis>> {
    let several = analyses.len() > 1;
    let ids = analyses.iter().map(|analysis| id_in(query, &analysis.id)).collect::<Option<Vec<SegmentId>>>();
    let last = ids.and_then(|ids| ids.into_iter().max_by_key(|id| (id.interval.end, id.partition)));
    let mut result: Option<SegmentAnalysis> = None;
    for next in analyses {
        result = Some(match result {
            None => next,
            Some(before) => fold(before, next, query.strategy),
        });
    }
    Ok(result
        .map(|mut merged| {
            if several && let Some(id) = last {
                merged.id = SegmentId::new(id.data_source, id.interval, "merged", id.partition).to_string();
            }
            merged
        })
        .into_iter()
        .collect())
}

/// The id of a segment of one of the query's tables.
fn id_in(query: &SegmentMetadataQuery, id: &str) -> Option<SegmentId> {
    query.base.data_source.table_names().iter().find_map(|table| SegmentId::parse(table, id))
}

fn fold(before: SegmentAnalysis, next: SegmentAnalysis, strategy: AggregatorMergeStrategy) -> SegmentAnalysis {
    let intervals = match (before.intervals, next.intervals) {
        (Some(mut a), Some(b)) => {
            a.extend(b);
            Some(Interval::condense(&a))
        }
        (a, b) => a.or(b),
    };
    let mut columns = before.columns;
    for (name, analysis) in next.columns {
        match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = known.clone().fold(analysis),
            None => columns.push((name, analysis)),
        }
    }
    let same = |a: Option<Value>, b: Option<Value>| if a == b { a } else { None };
    SegmentAnalysis {
        id: "merged".to_owned(),
        intervals,
        columns,
        size: before.size.saturating_add(next.size),
        row_count: before.row_count.saturating_add(next.row_count),
        aggregators: fold_aggregators(before.aggregators, next.aggregators, strategy),
        timestamp_spec: same(before.timestamp_spec, next.timestamp_spec),
        query_granularity: same(before.query_granularity, next.query_granularity),
        rollup: if before.rollup == next.rollup { before.rollup } else { None },
    }
}

type NamedAggregators = Option<Vec<(String, Value)>>;

fn fold_aggregators(before: NamedAggregators, next: NamedAggregators, strategy: AggregatorMergeStrategy) -> NamedAggregators {
    match strategy {
        AggregatorMergeStrategy::Earliest => before.or(next),
        AggregatorMergeStrategy::Latest => next.or(before),
        AggregatorMergeStrategy::Strict => match (before, next) {
            (Some(a), Some(b)) if a.len() == b.len() && a.iter().all(|item| b.contains(item)) => Some(a),
            _ => None,
        },
        AggregatorMergeStrategy::Lenient => match (before, next) {
            (Some(mut a), Some(b)) => {
                for (name, spec) in b {
                    match a.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) if *known == spec => {}
                        Some((_, known)) => *known = Value::Null,
                        None => a.push((name, spec)),
                    }
                }
                Some(a)
            }
            (a, b) => a.or(b),
        },
    }
}
