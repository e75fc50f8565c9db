//! `filtered` (`FilteredAggregatorFactory`): any aggregator over the rows that pass a filter of its own.

use std::any::Any;
use std::sync::Arc;

use croaring::Bitmap;
use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::json::Fields;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnSource, Rows};
use crate::context::EvalContext;
use crate::filter::{FilterSpec, Matcher};
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug, Clone)]
struct Filtered {
    /// `None`: the inner aggregator's name.
    name: Option<String>,
    inner: AggregatorSpec,
    filter: FilterSpec,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let name = fields.string_or_none("name")?.filter(|name| !name.is_empty()).map(str::to_owned);
    // The inner aggregator may leave its name to the outer one.
    let mut inner = fields.require("aggregator")?.clone();
    if let (Some(name), Json::Object(map)) = (&name, &mut inner) {
        map.entry("name").or_insert_with(|| json!(name));
    }
    let inner = AggregatorSpec::from_json(&inner)?;
    Ok(AggregatorSpec::new(Filtered { name, inner, filter: FilterSpec::from_json(fields.require("filter")?)? }))
}

impl AggregatorFactory for Filtered {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.inner.name())
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!("filtered"));
        json.insert("aggregator".into(), self.inner.to_json());
        json.insert("filter".into(), self.filter.to_json());
        json.insert("name".into(), json!(self.name));
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        let mut columns = self.inner.required_columns();
        columns.extend(self.filter.required_columns());
        columns.sort();
        columns.dedup();
        columns
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let bound = self.filter.bind(source, context)?;
        let bitmap = bound.bitmap;
        let inner = self.inner.bind(source, context)?;
        Ok(Box::new(FilteredState { inner, bitmap, residual: bound.residual, passing: Vec::new(), kept: Vec::new() }))
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        self.inner.merger()
    }
    fn combining(&self) -> AggregatorSpec {
        self.inner.with_name(self.name()).combining()
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Filtered { name: Some(name.to_owned()), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        self.inner.intermediate_type()
    }
    fn result_type(&self) -> ColumnType {
        self.inner.result_type()
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        self.inner.finalize(partial)
    }
    fn inner(&self) -> Option<&AggregatorSpec> {
        Some(&self.inner)
    }
}

struct FilteredState {
    inner: Box<dyn Aggregator>,
    bitmap: Option<Bitmap>,
    residual: Option<Box<dyn Matcher>>,
    passing: Vec<u32>,
    kept: Vec<u32>,
}

impl FilteredState {
    /// Fills `passing` with the rows that pass; false when all do.
    fn select(&mut self, rows: &Rows<'_>) -> Result<bool> {
        self.passing.clear();
        if let Some(bitmap) = &self.bitmap {
            match rows {
                Rows::Range(range) => {
                    let count = bitmap.range_cardinality(range.clone());
                    if count == range.len() as u64 && self.residual.is_none() {
                        return Ok(false);
                    }
                    if count > 0 {
                        let mut cursor = bitmap.cursor();
                        cursor.reset_at_or_after(range.start);
                        self.passing.resize(count as usize, 0);
                        let read = cursor.read_many(&mut self.passing);
                        self.passing.truncate(read);
                    }
                }
                Rows::Ids(ids) => {
                    let mut cursor = bitmap.cursor();
                    for id in *ids {
                        cursor.reset_at_or_after(*id);
                        match cursor.current() {
                            Some(current) if current == *id => self.passing.push(*id),
                            Some(_) => {}
                            None => break,
                        }
                    }
                }
            }
            if let Some(residual) = &mut self.residual {
                self.kept.clear();
                residual.keep(Rows::Ids(&self.passing), &mut self.kept)?;
                std::mem::swap(&mut self.passing, &mut self.kept);
            }
        } else if let Some(residual) = &mut self.residual {
            residual.keep(rows.clone(), &mut self.passing)?;
        } else {
            return Ok(false);
        }
        Ok(self.passing.len() < rows.len())
    }
}

impl Aggregator for FilteredState {
    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        if !self.select(&rows)? {
            return self.inner.add(rows, groups);
        }
        if self.passing.is_empty() {
            return Ok(());
        }
        match groups {
            Groups::One(group) => self.inner.add(Rows::Ids(&self.passing), Groups::One(group)),
            Groups::Each(groups) => {
                let mut chosen = Vec::with_capacity(self.passing.len());
                match &rows {
                    Rows::Range(range) => {
                        chosen.extend(self.passing.iter().map(|row| groups[(*row - range.start) as usize]));
                    }
                    Rows::Ids(ids) => {
                        let mut position = 0;
                        for row in &self.passing {
                            while ids[position] != *row {
                                position += 1;
                            }
                            chosen.push(groups[position]);
                        }
                    }
                }
                self.inner.add(Rows::Ids(&self.passing), Groups::Each(&chosen))
            }
        }
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        self.inner.merge(partial, groups)
    }
    fn take_partial(&mut self) -> Result<Vector> {
        self.inner.take_partial()
    }
    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes() + (self.passing.capacity() + self.kept.capacity()) * 4
    }
    fn as_any(&mut self) -> Option<&mut dyn Any> {
        // Only what the inner state can do.
        self.inner.as_any().is_some().then_some(self)
    }
    fn take_groups(&mut self, before: &mut dyn Aggregator) -> bool {
        let Some(before) = super::same_kind::<Self>(before) else { return false };
        self.inner.take_groups(before.inner.as_mut())
    }
    fn absorb(&mut self, other: &mut dyn Aggregator) -> Result<()> {
        let Some(other) = super::same_kind::<Self>(other) else { return Err(super::other_kind()) };
        self.inner.absorb(other.inner.as_mut())
    }
}
