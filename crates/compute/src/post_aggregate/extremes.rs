//! `doubleGreatest`, `doubleLeast`, `longGreatest`, `longLeast`: across the fields of one row, nulls aside.

use ovate_base::Result;
use serde_json::{Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::json::Fields;
use crate::aggregate::number::{Number, for_each_number};
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug)]
struct Extreme {
    kind: String,
    name: Option<String>,
    fields: Vec<PostAggregatorSpec>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let list: Vec<_> = fields.list("fields")?.iter().map(PostAggregatorSpec::from_json).collect::<Result<_>>()?;
    if list.is_empty() {
        return Err(fields.bad("fields", "must hold at least one field"));
    }
    let (kind, name) = (fields.kind()?.to_owned(), fields.string_or_none("name")?.map(str::to_owned));
    Ok(PostAggregatorSpec::new(Extreme { kind, name, fields: list }))
}

impl Extreme {
    fn fold<T: Number>(&self, inputs: &PostInputs<'_>, replaces: impl Fn(T, T) -> bool) -> Result<Vector> {
        let mut values = vec![T::default(); inputs.len];
        let mut nulls = vec![true; inputs.len];
        for field in &self.fields {
            for_each_number(&field.evaluate(inputs)?, |row, value: T| {
                if nulls[row] || replaces(value, values[row]) {
                    (values[row], nulls[row]) = (value, false);
                }
            })?;
        }
        let nulls = nulls.contains(&true).then_some(nulls);
        Ok(T::vector(values, nulls))
    }
}

impl PostAggregatorFactory for Extreme {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        let fields: Vec<Json> = self.fields.iter().map(PostAggregatorSpec::to_json).collect();
        json!({"type": self.kind, "name": self.name, "fields": fields})
    }
    fn required_columns(&self) -> Vec<String> {
        super::spec::columns_of(&self.fields)
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, _: &[AggregatorSpec]) -> Option<ColumnType> {
        Some(if self.kind.starts_with("long") { ColumnType::Long } else { ColumnType::Double })
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        match self.kind.as_str() {
            "longGreatest" => self.fold(inputs, |new: i64, old| new > old),
            "longLeast" => self.fold(inputs, |new: i64, old| new < old),
            "doubleGreatest" => self.fold(inputs, |new: f64, old| new.total_cmp(&old).is_gt()),
            _ => self.fold(inputs, |new: f64, old| new.total_cmp(&old).is_lt()),
        }
    }
}
