//! Lends a batch's columns to an incremental index. True and false turn into what the destination stores: text for string
//! dimensions, 1 and 0 for numbers and `auto`, themselves for JSON.

use std::collections::HashMap;
use std::sync::Arc;

use ovate_compute::Value;
use ovate_segment::incremental::{DimensionKind, Discovery, IndexSchema, InputColumn};

use crate::format::Batch;
use crate::format::column::{Column, Nulls, json_value, value_text};
use crate::transform::numeric_bools;

/// How a field is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Text,
    Number,
    Auto,
    Json,
}

/// Knows the destinations of fields.
pub struct Lender {
    targets: HashMap<Arc<str>, Target>,
    other: Target,
}

impl Lender {
    /// For indexes of this schema.
    pub fn new(schema: &IndexSchema) -> Lender {
        let target = |kind: &DimensionKind| match kind {
            DimensionKind::String { .. } => Target::Text,
            DimensionKind::Long | DimensionKind::Float | DimensionKind::Double => Target::Number,
            DimensionKind::Auto { .. } => Target::Auto,
            DimensionKind::Json => Target::Json,
        };
        let targets = schema.dimensions.iter().map(|d| (d.name.clone(), target(&d.kind))).collect();
        let other = match schema.discovery {
            Discovery::Strings => Target::Text,
            Discovery::Auto => Target::Auto,
            Discovery::Off => Target::Number,
        };
        Lender { targets, other }
    }

    /// Brings the batch's columns into forms that can be lent.
    pub fn settle(&self, batch: &mut Batch) {
        for (name, column) in &mut batch.columns {
            let target = self.targets.get(name).copied().unwrap_or(self.other);
            match column {
                Column::Bools { values, nulls } => *column = settled_bools(values, nulls, target),
                Column::Values(values) => values.iter_mut().for_each(|value| settle_value(value, target)),
                _ => {}
            }
        }
    }
}

fn settled_bools(values: &[bool], nulls: &Nulls, target: Target) -> Column {
    match target {
        Target::Text => Column::Coded {
            values: vec![Some(Arc::from("false")), Some(Arc::from("true")), None],
            codes: values.iter().enumerate().map(|(row, v)| if nulls.is_null(row) { 2 } else { u32::from(*v) }).collect(),
        },
        Target::Number | Target::Auto => {
            Column::Longs { values: values.iter().map(|v| i64::from(*v)).collect(), nulls: nulls.clone() }
        }
        Target::Json => {
            let (no, yes) = (Arc::new(serde_json::Value::Bool(false)), Arc::new(serde_json::Value::Bool(true)));
            let value = |row: usize, v: bool| {
                if nulls.is_null(row) { Value::Null } else { Value::Json(if v { yes.clone() } else { no.clone() }) }
            };
            Column::Values(values.iter().enumerate().map(|(row, v)| value(row, *v)).collect())
        }
    }
}

fn settle_value(value: &mut Value, target: Target) {
    match (&*value, target) {
        (Value::Json(json), Target::Text) => {
            *value = match json.as_ref() {
                serde_json::Value::Array(list) => {
                    let texts = list.iter().map(|v| value_text(&json_value(v)).map_or(Value::Null, |t| Value::from(t.as_str())));
                    Value::Array(texts.collect())
                }
                _ => value_text(value).map_or(Value::Null, |text| Value::from(text.as_str())),
            };
        }
        (Value::Array(list), Target::Text) if list.iter().any(|v| matches!(v, Value::Json(_))) => {
            let texts = list.iter().map(|v| value_text(v).map_or(Value::Null, |text| Value::from(text.as_str())));
            *value = Value::Array(texts.collect());
        }
        (Value::Json(_) | Value::Array(_), Target::Number | Target::Auto) => *value = numeric_bools(std::mem::take(value)),
        _ => {}
    }
}

/// A batch's columns, lent. The distinct texts of coded columns are borrowed in `texts`, made by [`coded_texts`].
pub fn inputs<'a>(batch: &'a Batch, texts: &'a [Vec<Option<&'a str>>]) -> Vec<(&'a str, InputColumn<'a>)> {
    batch.columns.iter().zip(texts).map(|((name, column), texts)| (&**name, input(column, texts))).collect()
}

/// The distinct texts of the batch's coded columns; empty for others.
pub fn coded_texts(batch: &Batch) -> Vec<Vec<Option<&str>>> {
    let mut out: Vec<Vec<Option<&str>>> = Vec::with_capacity(batch.columns.len());
    for (_, column) in &batch.columns {
        out.push(match column {
            Column::Coded { values, .. } => values.iter().map(|v| v.as_deref()).collect(),
            _ => Vec::new(),
        });
    }
    out
}

fn input<'a>(column: &'a Column, texts: &'a [Option<&'a str>]) -> InputColumn<'a> {
    match column {
        Column::Null(_) => InputColumn::Null,
        Column::Longs { values, nulls } => InputColumn::Longs { values, nulls: nulls.flags() },
        Column::Floats { values, nulls } => InputColumn::Floats { values, nulls: nulls.flags() },
        Column::Doubles { values, nulls } => InputColumn::Doubles { values, nulls: nulls.flags() },
        Column::Text(text) => InputColumn::Strings { offsets: &text.offsets, bytes: &text.bytes, nulls: text.nulls.flags() },
        Column::Coded { codes, .. } => InputColumn::Dictionary { values: texts, codes },
        Column::Values(values) => InputColumn::Values(values),
        Column::Bools { .. } => unreachable!("settle() turned them into something else"),
    }
}
