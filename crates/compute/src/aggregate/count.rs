//! `count`: rows after the filter (`CountAggregatorFactory`). It counts stored rows, not the events rolled up in them.

use std::any::Any;
use std::sync::Arc;

use ovate_base::Result;
use serde_json::{Value as Json, json};

use super::json::Fields;
use super::number::for_each_number;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups, simple};
use crate::column::{ColumnSource, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug)]
struct Count {
    name: String,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    Ok(AggregatorSpec::new(Count { name: fields.string("name")?.to_owned() }))
}

impl AggregatorFactory for Count {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        json!({"type": "count", "name": self.name})
    }
    fn required_columns(&self) -> Vec<String> {
        Vec::new()
    }
    fn bind(&self, _: &Arc<dyn ColumnSource>, _: &EvalContext) -> Result<Box<dyn Aggregator>> {
        Ok(Box::<CountState>::default())
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        Ok(Box::<CountState>::default())
    }
    fn combining(&self) -> AggregatorSpec {
        simple::long_sum(&self.name, &self.name)
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Count { name: name.to_owned() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::Long
    }
    fn result_type(&self) -> ColumnType {
        ColumnType::Long
    }
}

#[derive(Default)]
struct CountState {
    counts: Vec<i64>,
}

impl Aggregator for CountState {
    fn resize(&mut self, groups: usize) {
        if groups > self.counts.len() {
            self.counts.resize(groups, 0);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        match groups {
            Groups::One(group) => self.counts[group as usize] += rows.len() as i64,
            Groups::Each(groups) => groups.iter().for_each(|group| self.counts[*group as usize] += 1),
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for_each_number(partial, |row, count: i64| {
            let total = &mut self.counts[groups[row] as usize];
            *total = total.wrapping_add(count);
        })
    }
    fn take_partial(&mut self) -> Result<Vector> {
        Ok(Vector::Long { values: std::mem::take(&mut self.counts), nulls: None })
    }
    fn memory_bytes(&self) -> usize {
        self.counts.capacity() * 8
    }
    fn as_any(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }
    fn take_groups(&mut self, before: &mut dyn Aggregator) -> bool {
        let Some(before) = super::same_kind::<Self>(before) else { return false };
        self.counts = std::mem::take(&mut before.counts);
        true
    }
    fn absorb(&mut self, other: &mut dyn Aggregator) -> Result<()> {
        let Some(other) = super::same_kind::<Self>(other) else { return Err(super::other_kind()) };
        self.resize(other.counts.len());
        self.counts.iter_mut().zip(std::mem::take(&mut other.counts)).for_each(|(own, other)| *own = own.wrapping_add(other));
        Ok(())
    }
}
