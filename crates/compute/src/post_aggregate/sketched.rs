//! The frame of post-aggregators over sketches: fields give a sketch each, a function makes one value of a row's sketches.

use std::fmt;

use ovate_base::Result;
use serde_json::{Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::json::Fields;
use crate::aggregate::sketched::sketch_bytes;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// One value from the bytes of a row's sketches; `None` and no bytes stand for no sketch.
pub(super) type SketchFunction = Box<dyn Fn(&[Option<&[u8]>]) -> Result<Value> + Send + Sync>;

/// A post-aggregator over sketches.
pub(super) struct SketchPostAggregator {
    json: Json,
    name: Option<String>,
    fields: Vec<PostAggregatorSpec>,
    result: ColumnType,
    function: SketchFunction,
}

impl fmt::Debug for SketchPostAggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.json)
    }
}

/// Over the sketch that `field` gives.
pub(super) fn over_field(
    fields: &Fields<'_>,
    result: ColumnType,
    function: impl Fn(Option<&[u8]>) -> Result<Value> + Send + Sync + 'static,
) -> Result<PostAggregatorSpec> {
    let field = PostAggregatorSpec::from_json(fields.require("field")?)?;
    build(fields, vec![field], result, Box::new(move |sketches| function(sketches[0])))
}

/// Over the sketches that `fields` give.
pub(super) fn over_fields(fields: &Fields<'_>, result: ColumnType, function: SketchFunction) -> Result<PostAggregatorSpec> {
    let list: Vec<_> = fields.list("fields")?.iter().map(PostAggregatorSpec::from_json).collect::<Result<_>>()?;
    if list.len() <= 1 {
        return Err(fields.bad("fields", "must hold two or more fields"));
    }
    build(fields, list, result, function)
}

/// Over no field at all.
pub(super) fn constant(fields: &Fields<'_>, result: ColumnType, value: Value) -> Result<PostAggregatorSpec> {
    build(fields, Vec::new(), result, Box::new(move |_| Ok(value.clone())))
}

/// Over these fields.
pub(super) fn build(
    fields: &Fields<'_>,
    list: Vec<PostAggregatorSpec>,
    result: ColumnType,
    function: SketchFunction,
) -> Result<PostAggregatorSpec> {
    let name = fields.string_or_none("name")?.map(str::to_owned);
    Ok(PostAggregatorSpec::new(SketchPostAggregator { json: json!(fields.map()), name, fields: list, result, function }))
}

impl PostAggregatorFactory for SketchPostAggregator {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        self.json.clone()
    }
    fn required_columns(&self) -> Vec<String> {
        super::spec::columns_of(&self.fields)
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, _: &[AggregatorSpec]) -> Option<ColumnType> {
        Some(self.result.clone())
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        let columns: Vec<Vector> = self.fields.iter().map(|field| field.evaluate(inputs)).collect::<Result<_>>()?;
        let mut values = Vec::with_capacity(inputs.len);
        for row in 0..inputs.len {
            let row: Vec<Value> = columns.iter().map(|column| column.value(row)).collect();
            let bytes = row.iter().map(sketch_bytes).collect::<Result<Vec<_>>>()?;
            let sketches: Vec<Option<&[u8]>> =
                bytes.iter().map(|bytes| bytes.as_deref().filter(|bytes| !bytes.is_empty())).collect();
            values.push((self.function)(&sketches)?);
        }
        Ok(Vector::from_values(&self.result, values))
    }
}
