//! `arithmetic`: doubles folded from left to right by `+ - * / pow quotient` (`ArithmeticPostAggregator`). `/` by zero
//! gives 0, `quotient` follows floating point; a null operand makes the result null.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::json::Fields;
use crate::aggregate::number::for_each_number;
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug)]
struct Arithmetic {
    name: Option<String>,
    function: Function,
    fields: Vec<PostAggregatorSpec>,
    ordering: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Quotient,
    Power,
}

const FUNCTIONS: &[(&str, Function)] = &[
    ("+", Function::Add),
    ("-", Function::Subtract),
    ("*", Function::Multiply),
    ("/", Function::Divide),
    ("quotient", Function::Quotient),
    ("pow", Function::Power),
];

impl Function {
    fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Function::Add => left + right,
            Function::Subtract => left - right,
            Function::Multiply => left * right,
            Function::Divide if right == 0.0 => 0.0,
            Function::Divide | Function::Quotient => left / right,
            Function::Power => left.powf(right),
        }
    }
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let text = fields.string("fn")?;
    let function = FUNCTIONS.iter().find(|(name, _)| *name == text).map(|(_, function)| *function);
    let function = function.ok_or_else(|| fields.bad("fn", &format!("is unknown: [{text}]")))?;
    let operands: Vec<_> = fields.list("fields")?.iter().map(PostAggregatorSpec::from_json).collect::<Result<_>>()?;
    if operands.len() <= 1 {
        return Err(fields.bad("fields", "must hold two or more fields"));
    }
    let name = fields.string_or_none("name")?.map(str::to_owned);
    let ordering = fields.string_or_none("ordering")?.map(str::to_owned);
    Ok(PostAggregatorSpec::new(Arithmetic { name, function, fields: operands, ordering }))
}

impl PostAggregatorFactory for Arithmetic {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        let function = FUNCTIONS.iter().find(|(_, function)| *function == self.function).map_or("", |(name, _)| name);
        let mut json = Map::new();
        json.insert("type".into(), json!("arithmetic"));
        json.insert("name".into(), json!(self.name));
        json.insert("fn".into(), json!(function));
        json.insert("fields".into(), self.fields.iter().map(PostAggregatorSpec::to_json).collect());
        if let Some(ordering) = &self.ordering {
            json.insert("ordering".into(), json!(ordering));
        }
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        super::spec::columns_of(&self.fields)
    }
    fn result_type(&self, _: &dyn Fn(&str) -> Option<ColumnType>, _: &[AggregatorSpec]) -> Option<ColumnType> {
        Some(ColumnType::Double)
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        let mut values = vec![0.0; inputs.len];
        let mut nulls = vec![false; inputs.len];
        for (index, field) in self.fields.iter().enumerate() {
            let operand = field.evaluate(inputs)?;
            let mut seen = vec![false; inputs.len];
            for_each_number(&operand, |row, value: f64| {
                seen[row] = true;
                values[row] = if index == 0 { value } else { self.function.apply(values[row], value) };
            })?;
            nulls.iter_mut().zip(seen).for_each(|(null, seen)| *null |= !seen);
        }
        Ok(super::spec::doubles(values, nulls))
    }
}
