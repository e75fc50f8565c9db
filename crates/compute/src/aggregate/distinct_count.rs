//! `distinctCount` (`DistinctCountAggregatorFactory`): the distinct values of a dimension, null among them, counted exactly within
//! each segment and added up over segments; right where data is partitioned by the dimension.

use std::collections::HashSet;
use std::sync::Arc;

use ovate_base::Result;
use serde_json::{Value as Json, json};

use super::json::Fields;
use super::number::for_each_number;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups, simple};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct DistinctCount {
    name: String,
    field_name: String,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let (name, field_name) = (fields.string("name")?.to_owned(), fields.string("fieldName")?.to_owned());
    Ok(AggregatorSpec::new(DistinctCount { name, field_name }))
}

impl AggregatorFactory for DistinctCount {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        json!({"type": "distinctCount", "name": self.name, "fieldName": self.field_name})
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field_name.clone()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let column = source.column(&self.field_name)?;
        let coded = column.as_ref().is_some_and(|column| column.capabilities().dictionary);
        let reader = column.map(|column| column.reader()).transpose()?;
        Ok(Box::new(DistinctState { reader, coded, ..DistinctState::default() }))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(Box::<DistinctState>::default())
    }
    fn combining(&self) -> AggregatorSpec {
        simple::long_sum(&self.name, &self.name)
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(DistinctCount { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::Long
    }
    fn result_type(&self) -> ColumnType {
        ColumnType::Long
    }
}

#[derive(Default)]
struct DistinctState {
    /// `None`: no such column, which has no values at all.
    reader: Option<Box<dyn ColumnReader>>,
    coded: bool,
    codes: Vec<HashSet<u32>>,
    texts: Vec<HashSet<Option<Arc<str>>>>,
    merged: Vec<i64>,
}

impl Aggregator for DistinctState {
    fn resize(&mut self, groups: usize) {
        if groups > self.merged.len() {
            self.merged.resize(groups, 0);
            if self.coded {
                self.codes.resize_with(groups, HashSet::new);
            } else if self.reader.is_some() {
                self.texts.resize_with(groups, HashSet::new);
            }
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let Some(reader) = self.reader.as_deref_mut() else { return Ok(()) };
        if self.coded {
            let codes = reader.multi_codes(rows)?;
            for (row, bounds) in codes.offsets.windows(2).enumerate() {
                self.codes[groups.of(row)].extend(&codes.codes[bounds[0] as usize..bounds[1] as usize]);
            }
            return Ok(());
        }
        for (row, value) in reader.values(rows)?.iter().enumerate() {
            let set = &mut self.texts[groups.of(row)];
            match value {
                Value::Array(values) => set.extend(values.iter().map(Value::as_text)),
                value => _ = set.insert(value.as_text()),
            }
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for_each_number(partial, |row, count: i64| {
            let total = &mut self.merged[groups[row] as usize];
            *total = total.wrapping_add(count);
        })
    }
    fn take_partial(&mut self) -> Result<Vector> {
        let mut values = std::mem::take(&mut self.merged);
        for (total, set) in values.iter_mut().zip(std::mem::take(&mut self.codes)) {
            *total += set.len() as i64;
        }
        for (total, set) in values.iter_mut().zip(std::mem::take(&mut self.texts)) {
            *total += set.len() as i64;
        }
        Ok(Vector::Long { values, nulls: None })
    }
    fn memory_bytes(&self) -> usize {
        let codes: usize = self.codes.iter().map(|set| 48 + set.capacity() * 5).sum();
        let texts: usize = self.texts.iter().map(|set| 48 + set.capacity() * 48).sum();
        codes + texts + self.merged.capacity() * 8
    }
}
