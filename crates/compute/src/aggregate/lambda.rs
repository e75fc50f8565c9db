//! `expression` (`ExpressionLambdaAggregatorFactory`): an accumulator folded over rows by one expression and over partials
//! by another.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json, json};

use super::json::Fields;
use super::{Aggregator, AggregatorFactory, AggregatorSpec, Groups};
use crate::column::{ColumnReader, ColumnSource, Rows};
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

const FINALIZE_IDENTIFIER: &str = "o";

#[derive(Debug, Clone)]
struct Lambda {
    name: String,
    fields: Vec<String>,
    accumulator: String,
    initial_value: String,
    initial_combine_value: String,
    null_unless_aggregated: bool,
    aggregate_nulls: bool,
    combine_nulls: bool,
    fold: String,
    combine: Option<String>,
    compare: Option<String>,
    finalize: Option<String>,
    max_size_bytes: i64,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let owned = |name: &str| fields.string_or_none(name).map(|text| text.map(str::to_owned));
    let initial_value = owned("initialValue")?.ok_or_else(|| fields.bad("initialValue", "must be given"))?;
    let aggregate_nulls = fields.bool("shouldAggregateNullInputs", true)?;
    let lambda = Lambda {
        name: fields.string("name")?.to_owned(),
        fields: fields.strings("fields")?,
        accumulator: owned("accumulatorIdentifier")?.unwrap_or_else(|| "__acc".to_owned()),
        initial_combine_value: owned("initialCombineValue")?.unwrap_or_else(|| initial_value.clone()),
        initial_value,
        null_unless_aggregated: fields.bool("isNullUnlessAggregated", true)?,
        aggregate_nulls,
        combine_nulls: fields.bool("shouldCombineAggregateNullInputs", aggregate_nulls)?,
        fold: fields.string("fold")?.to_owned(),
        combine: owned("combine")?,
        compare: owned("compare")?,
        finalize: owned("finalize")?,
        max_size_bytes: fields.long("maxSizeBytes", 8192)?,
    };
    if lambda.combine.is_none() && lambda.fields.len() != 1 {
        return Err(fields.bad("combine", "must be given unless there is a single field"));
    }
    Ok(AggregatorSpec::new(lambda))
}

impl Lambda {
    fn state(
        &self,
        readers: Vec<Option<Box<dyn ColumnReader>>>,
        explodes: Vec<bool>,
        context: &EvalContext,
    ) -> Result<Box<dyn Aggregator>> {
        let constant = |text: &str| Expr::parse(text)?.eval_row(&|_| Value::Null, context);
        let combine = self.combine.as_deref().unwrap_or(&self.fold);
        Ok(Box::new(LambdaState {
            initial: constant(&self.initial_value)?,
            initial_combine: constant(&self.initial_combine_value)?,
            fold: Expr::parse(&self.fold)?,
            combine: Expr::parse(combine)?,
            intermediate: self.intermediate_type(),
            spec: self.clone(),
            readers,
            explodes,
            context: context.clone(),
            folded: Vec::new(),
            combined: Vec::new(),
        }))
    }
}

/// The type of a constant expression's value.
fn constant_type(text: &str) -> Option<ColumnType> {
    let expr = Expr::parse(text).ok()?;
    let value = expr.eval_row(&|_| Value::Null, &EvalContext::at(0)).ok();
    expr.output_type(&|_| None).or_else(|| value.and_then(|value| value.value_type()))
}

impl AggregatorFactory for Lambda {
    fn name(&self) -> &str {
        &self.name
    }
    fn shows_order(&self, _grouped: bool) -> bool {
        true
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!("expression"));
        json.insert("name".into(), json!(self.name));
        json.insert("fields".into(), json!(self.fields));
        json.insert("accumulatorIdentifier".into(), json!(self.accumulator));
        json.insert("initialValue".into(), json!(self.initial_value));
        json.insert("initialCombineValue".into(), json!(self.initial_combine_value));
        json.insert("isNullUnlessAggregated".into(), json!(self.null_unless_aggregated));
        json.insert("shouldAggregateNullInputs".into(), json!(self.aggregate_nulls));
        json.insert("shouldCombineAggregateNullInputs".into(), json!(self.combine_nulls));
        json.insert("fold".into(), json!(self.fold));
        for (name, text) in [("combine", &self.combine), ("compare", &self.compare), ("finalize", &self.finalize)] {
            if let Some(text) = text {
                json.insert(name.into(), json!(text));
            }
        }
        json.insert("maxSizeBytes".into(), json!(self.max_size_bytes));
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        self.fields.clone()
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Box<dyn Aggregator>> {
        let fold = Expr::parse(&self.fold)?;
        let (mut readers, mut explodes) = (Vec::new(), Vec::new());
        for name in &self.fields {
            let column = source.column(name)?;
            let several = column.as_ref().is_some_and(|column| {
                let own = column.capabilities();
                own.multi_value && own.column_type == ColumnType::String
            });
            // What takes a single value gets each value of a row in turn, as Druid folds such a column.
            explodes.push(several && fold.is_scalar_use(name));
            readers.push(column.map(|column| column.reader()).transpose()?);
        }
        self.state(readers, explodes, context)
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        self.state(Vec::new(), Vec::new(), &EvalContext::at(0))
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(Lambda {
            fields: vec![self.name.clone()],
            initial_value: self.initial_combine_value.clone(),
            aggregate_nulls: self.combine_nulls,
            fold: self.combine.clone().unwrap_or_else(|| self.fold.replace(self.fields[0].as_str(), &self.name)),
            ..self.clone()
        })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        // The combining expression names the aggregator, so a new name must reach it as well.
        let combine = self.combine.as_ref().map(|combine| combine.replace(self.name.as_str(), name));
        AggregatorSpec::new(Lambda { name: name.to_owned(), combine, ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        constant_type(&self.initial_combine_value).unwrap_or(ColumnType::String)
    }
    fn result_type(&self) -> ColumnType {
        let Some(finalize) = &self.finalize else { return self.intermediate_type() };
        let intermediate = self.intermediate_type();
        let capabilities = |name: &str| {
            (name == FINALIZE_IDENTIFIER).then(|| crate::column::ColumnCapabilities {
                column_type: intermediate.clone(),
                multi_value: false,
                dictionary: false,
                bitmaps: false,
                has_nulls: true,
            })
        };
        let parsed = Expr::parse(finalize).ok().and_then(|expr| expr.output_type(&capabilities));
        parsed.unwrap_or_else(|| self.intermediate_type())
    }
    fn finalize(&self, partial: &Vector) -> Result<Vector> {
        let Some(finalize) = &self.finalize else { return Ok(partial.clone()) };
        let (expr, context) = (Expr::parse(finalize)?, EvalContext::at(0));
        let mut values = Vec::with_capacity(partial.len());
        for row in 0..partial.len() {
            let value = partial.value(row);
            let binding = |name: &str| if name == FINALIZE_IDENTIFIER { value.clone() } else { Value::Null };
            values.push(expr.eval_row(&binding, &context)?);
        }
        Ok(Vector::from_values(&self.result_type(), values))
    }
}

struct LambdaState {
    spec: Lambda,
    fold: Expr,
    combine: Expr,
    initial: Value,
    initial_combine: Value,
    intermediate: ColumnType,
    readers: Vec<Option<Box<dyn ColumnReader>>>,
    /// Which of the readers give values one by one.
    explodes: Vec<bool>,
    context: EvalContext,
    /// By group, from rows; `None` until a row came.
    folded: Vec<Option<Value>>,
    /// By group, from partials.
    combined: Vec<Option<Value>>,
}

/// A rough size in memory, for the limit.
fn size_of_value(value: &Value) -> i64 {
    match value {
        Value::Null => 1,
        Value::Long(_) | Value::Float(_) | Value::Double(_) => 9,
        Value::String(text) => 5 + text.len() as i64,
        Value::Array(values) => 5 + values.iter().map(size_of_value).sum::<i64>(),
        Value::Json(json) => 5 + json.to_string().len() as i64,
        Value::Complex(_, bytes) => 5 + bytes.len() as i64,
    }
}

impl LambdaState {
    fn check_size(&self, value: &Value) -> Result<()> {
        let size = size_of_value(value);
        if size > self.spec.max_size_bytes {
            let (name, max) = (&self.intermediate, self.spec.max_size_bytes);
            return Err(DruidError::runtime(format!("Unable to serialize [{name}], size [{size}] is larger than max [{max}]")));
        }
        Ok(())
    }

    fn fold_one(&mut self, group: usize, values: &[Value]) -> Result<()> {
        let current = self.folded[group].take().unwrap_or_else(|| self.initial.clone());
        let binding = |name: &str| match self.spec.fields.iter().position(|field| field == name) {
            _ if name == self.spec.accumulator => current.clone(),
            Some(index) => values[index].clone(),
            None => Value::Null,
        };
        let value = self.fold.eval_row(&binding, &self.context)?;
        self.check_size(&value)?;
        self.folded[group] = Some(value);
        Ok(())
    }

    fn combine_one(&mut self, group: usize, partial: &Value) -> Result<()> {
        if partial.is_null() && !self.spec.combine_nulls {
            return Ok(());
        }
        let current = self.combined[group].take().unwrap_or_else(|| self.initial_combine.clone());
        let binding = |name: &str| match name {
            name if name == self.spec.accumulator => current.clone(),
            name if name == self.spec.name || self.spec.combine.is_none() => partial.clone(),
            _ => Value::Null,
        };
        let value = self.combine.eval_row(&binding, &self.context)?;
        self.check_size(&value)?;
        self.combined[group] = Some(value);
        Ok(())
    }
}

/// The values of a row; where columns give their values one by one, every combination of them.
fn combinations(inputs: &[Vec<Value>], row: usize, explodes: &[bool]) -> Vec<Vec<Value>> {
    let mut all = vec![Vec::with_capacity(inputs.len())];
    for (input, explodes) in inputs.iter().zip(explodes) {
        match &input[row] {
            Value::Array(values) if *explodes && !values.is_empty() => {
                all = all
                    .iter()
                    .flat_map(|known| values.iter().map(|value| [known.as_slice(), std::slice::from_ref(value)].concat()))
                    .collect();
            }
            Value::Array(_) if *explodes => all.iter_mut().for_each(|known| known.push(Value::Null)),
            value => all.iter_mut().for_each(|known| known.push(value.clone())),
        }
    }
    all
}

impl Aggregator for LambdaState {
    fn resize(&mut self, groups: usize) {
        if groups > self.folded.len() {
            self.folded.resize(groups, None);
            self.combined.resize(groups, None);
        }
    }
    fn add(&mut self, rows: Rows<'_>, groups: Groups<'_>) -> Result<()> {
        let mut inputs: Vec<Vec<Value>> = Vec::with_capacity(self.readers.len());
        for reader in &mut self.readers {
            inputs.push(match reader {
                Some(reader) => reader.values(rows.clone())?.to_vec(),
                None => vec![Value::Null; rows.len()],
            });
        }
        for row in 0..rows.len() {
            if !self.spec.aggregate_nulls && inputs.iter().any(|input| input[row].is_null()) {
                continue;
            }
            let group = groups.of(row);
            for values in combinations(&inputs, row, &self.explodes) {
                self.fold_one(group, &values)?;
            }
        }
        Ok(())
    }
    fn merge(&mut self, partial: &Vector, groups: &[u32]) -> Result<()> {
        for (row, group) in groups.iter().enumerate() {
            let value = partial.value(row);
            // A partial that nothing was added to is null, and adds nothing here either.
            if value.is_null() && self.spec.null_unless_aggregated {
                continue;
            }
            self.combine_one(*group as usize, &value)?;
        }
        Ok(())
    }
    fn take_partial(&mut self) -> Result<Vector> {
        for group in 0..self.folded.len() {
            if self.combined[group].is_some()
                && let Some(folded) = self.folded[group].take()
            {
                self.combine_one(group, &folded)?;
            }
        }
        let nothing = if self.spec.null_unless_aggregated { Value::Null } else { self.initial.clone() };
        let folded = std::mem::take(&mut self.folded);
        let combined = std::mem::take(&mut self.combined);
        let pick = |(folded, combined): (Option<Value>, Option<Value>)| combined.or(folded);
        let values = folded.into_iter().zip(combined).map(pick).map(|value| value.unwrap_or_else(|| nothing.clone()));
        Ok(Vector::from_values(&self.intermediate, values.collect()))
    }
    fn memory_bytes(&self) -> usize {
        let values = self.folded.iter().chain(&self.combined).flatten();
        values.map(|value| size_of_value(value) as usize + size_of::<Option<Value>>()).sum()
    }
}
