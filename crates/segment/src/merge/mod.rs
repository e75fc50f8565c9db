//! Merges segments into one (`IndexMergerV9.merge`): dictionaries by code maps, rows by time and dimensions, equal rows
//! combined when rollup asks for it. In memory are the timestamps, four bytes a row for where it goes, the dictionaries
//! of string dimensions, and the few columns being written.

mod columns;
mod order;
mod strings;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::{ColumnSource, ColumnType, Rows};
use serde_json::Value as Json;

use crate::incremental::{DimensionKind, DimensionSchema, Discovery, IndexSchema};
use crate::write::{IndexSpec, SegmentMetadata, SegmentRows, WriteReport, write_segment};
use columns::{DimensionMerge, metric_column};
use order::RowOrder;

/// What the merged segment holds.
#[derive(Debug, Clone)]
pub struct MergeSchema {
    /// Dimensions in order; columns that an input lacks are null.
    pub dimensions: Vec<DimensionSchema>,
    /// The ingestion's aggregators; inputs hold their partial results under the same names.
    pub metrics: Vec<AggregatorSpec>,
    /// What becomes of input columns that are named nowhere.
    pub discovery: Discovery,
    pub rollup: bool,
    pub query_granularity: Granularity,
    pub timestamp_spec: Option<Json>,
}

impl MergeSchema {
    /// For the segments that indexes of this schema persisted.
    pub fn of(schema: &IndexSchema) -> Self {
        MergeSchema {
            dimensions: schema.dimensions.clone(),
            metrics: schema.metrics.clone(),
            discovery: schema.discovery,
            rollup: schema.rollup,
            query_granularity: schema.query_granularity.clone(),
            timestamp_spec: schema.timestamp_spec.clone(),
        }
    }

    /// The dimension that a column of this type would be: for segments whose ingestion is not known.
    pub fn dimension_of(name: &str, column_type: &ColumnType) -> DimensionSchema {
        let kind = match column_type {
            ColumnType::String => DimensionKind::STRING,
            ColumnType::Long => DimensionKind::Long,
            ColumnType::Float => DimensionKind::Float,
            ColumnType::Double => DimensionKind::Double,
            ColumnType::Array(_) => DimensionKind::Auto { cast_to: None },
            ColumnType::Complex(_) => DimensionKind::Json,
        };
        DimensionSchema::new(name, kind)
    }

    /// Dimensions with those that discovery finds in the inputs behind them.
    fn all_dimensions(&self, inputs: &[Arc<dyn ColumnSource>]) -> Vec<DimensionSchema> {
        let mut dimensions = self.dimensions.clone();
        let kind = match self.discovery {
            Discovery::Off => return dimensions,
            Discovery::Strings => DimensionKind::STRING,
            Discovery::Auto => DimensionKind::Auto { cast_to: None },
        };
        for input in inputs {
            for name in input.column_names() {
                let known = name == "__time"
                    || dimensions.iter().any(|dimension| *dimension.name == *name)
                    || self.metrics.iter().any(|metric| metric.name() == name);
                if !known {
                    dimensions.push(DimensionSchema::new(&name, kind.clone()));
                }
            }
        }
        dimensions
    }
}

/// Merges `inputs`, each ordered by time, into a segment in `dir`.
pub fn merge(inputs: &[Arc<dyn ColumnSource>], schema: &MergeSchema, spec: &IndexSpec, dir: &Path) -> Result<WriteReport> {
    if inputs.iter().any(|input| !input.is_time_sorted()) {
        return Err(DruidError::unsupported("merging a segment that is not ordered by time"));
    }
    let times = inputs.iter().map(read_times).collect::<Result<Vec<_>>>()?;
    let dimensions = schema.all_dimensions(inputs);
    // Dictionaries are needed for the order of rows, except where inputs do not overlap in time.
    let overlap = !order::are_disjoint(&times);
    let prepared: Vec<Option<DimensionMerge>> = if overlap {
        let prepare = |index: usize| DimensionMerge::new(&dimensions[index], inputs).map(Some);
        crate::parallel::map(dimensions.len(), prepare).into_iter().collect::<Result<_>>()?
    } else {
        dimensions.iter().map(|_| None).collect()
    };
    let order = if overlap {
        let keys: Vec<&DimensionMerge> = prepared.iter().flatten().collect();
        RowOrder::merged(times, &keys, schema.rollup)?
    } else {
        RowOrder::concatenated(times)
    };

    let mut metrics: Vec<&AggregatorSpec> = schema.metrics.iter().collect();
    metrics.sort_by(|a, b| a.name().cmp(b.name()));
    let metric_names: Vec<String> = metrics.iter().map(|metric| metric.name().to_owned()).collect();
    let dimension_names: Vec<String> = dimensions.iter().map(|dimension| dimension.name.to_string()).collect();
    let column = |index: usize| match metrics.get(index) {
        Some(metric) => metric_column(metric, inputs, &order),
        None => {
            let index = index - metrics.len();
            match &prepared[index] {
                Some(dimension) => dimension.column(&order),
                None => DimensionMerge::new(&dimensions[index], inputs)?.column(&order),
            }
        }
    };
    let metadata = SegmentMetadata {
        aggregators: schema.metrics.clone(),
        timestamp_spec: schema.timestamp_spec.clone(),
        query_granularity: schema.query_granularity.clone(),
        rollup: schema.rollup,
    };
    let rows = SegmentRows { times: &order.times, metrics: &metric_names, dimensions: &dimension_names, column: &column };
    write_segment(dir, &rows, &metadata, spec)
}

/// Rows that are read at a time.
const BLOCK_ROWS: u32 = 8192;

/// The blocks of a table of so many rows.
fn blocks(row_count: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (0..row_count).step_by(BLOCK_ROWS as usize).map(move |start| start..row_count.min(start.saturating_add(BLOCK_ROWS)))
}

fn read_times(input: &Arc<dyn ColumnSource>) -> Result<Vec<i64>> {
    let column = input.column("__time")?.ok_or_else(|| DruidError::runtime("merging a table without __time"))?;
    let mut reader = column.reader()?;
    let mut times = Vec::with_capacity(input.row_count() as usize);
    for block in blocks(input.row_count()) {
        times.extend_from_slice(reader.longs(Rows::Range(block))?.values);
    }
    Ok(times)
}
