//! `expression` virtual columns. One that takes a single dictionary column as single values and gives text keeps a
//! dictionary and indexes; the others are computed batch by batch.

use std::sync::Arc;

use ovate_base::Result;

use crate::column::{
    Column, ColumnCapabilities, ColumnReader, ColumnSource, ComputedColumn, Lent, Mapped, MappedColumn, MemoryColumn, Numbers,
    Rows,
};
use crate::context::EvalContext;
use crate::expr::{BoundExpr, Expr};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// The column of an expression over `source`.
pub(super) fn column(
    expression: &Expr,
    declared: Option<&ColumnType>,
    source: &Arc<dyn ColumnSource>,
    context: &EvalContext,
) -> Result<Arc<dyn Column>> {
    if let Some(name) = expression.identifier()
        && let Some(base) = source.column(name)?
    {
        let own = base.capabilities().column_type;
        return Ok(match declared {
            Some(declared) if *declared != own => ComputedColumn::cast(base, declared),
            _ => base,
        });
    }
    let inferred = expression.output_type(&|name| source.capabilities(name));
    let column_type = declared.cloned().or(inferred).unwrap_or(ColumnType::Double);
    if let Some(value) = expression.literal().filter(|_| !expression.is_volatile()) {
        let value = if column_type == ColumnType::String { text_or_texts(value) } else { value.cast(&column_type) };
        let vector = match value {
            Value::Null => Vector::from_values(&column_type, vec![Value::Null; source.row_count() as usize]),
            Value::Array(_) => Vector::Any { column_type: column_type.clone(), values: vec![value; source.row_count() as usize] },
            value => Vector::constant(&value, source.row_count() as usize),
        };
        return Ok(Arc::new(MemoryColumn::new(vector)?));
    }
    if column_type == ColumnType::String
        && let Some(mapped) = mapped(expression, source, context)?
    {
        return Ok(mapped);
    }
    let names = expression.required_columns();
    let multi_value = column_type == ColumnType::String && names.iter().any(|name| may_give_several(source.as_ref(), name));
    Ok(Arc::new(ExpressionColumn {
        expression: expression.clone(),
        source: source.clone(),
        context: context.clone(),
        column_type,
        multi_value,
    }))
}

/// True when an expression over this column may have several values a row.
fn may_give_several(source: &dyn ColumnSource, name: &str) -> bool {
    source
        .capabilities(name)
        .is_some_and(|own| own.multi_value || !matches!(own.column_type, ColumnType::String) && !own.column_type.is_numeric())
}

/// The dictionary way: the expression once for each value.
fn mapped(expression: &Expr, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Option<Arc<dyn Column>>> {
    let names = expression.required_columns();
    let [name] = names.as_slice() else { return Ok(None) };
    if !expression.is_scalar_use(name) {
        return Ok(None);
    }
    let Some(base) = source.column(name)? else { return Ok(None) };
    let capabilities = base.capabilities();
    let Some(dictionary) = base.dictionary().filter(|_| capabilities.column_type == ColumnType::String) else { return Ok(None) };
    let codes: Vec<u32> = (0..dictionary.cardinality()).collect();
    let len = codes.len();
    let input = Vector::Codes { dictionary: dictionary.clone(), codes };
    // A value that no selected row has may fail; the general way asks only for those that are selected.
    let Ok(results) = expression.eval_vectors(&[(name, &input)], len, context) else { return Ok(None) };
    let mut values = Vec::with_capacity(len);
    for value in results.to_values() {
        match value {
            Value::Array(_) => return Ok(None),
            other => values.push(Mapped::Value(other.as_text())),
        }
    }
    if capabilities.multi_value {
        // A row without values is null to the expression; the mapping leaves it without values.
        let of_null = expression.eval_row(&|_| Value::Null, context);
        if !of_null.is_ok_and(|value| value.is_null()) {
            return Ok(None);
        }
    }
    Ok(Some(Arc::new(MappedColumn::from_mapped(base, values))))
}

/// An expression evaluated batch by batch.
struct ExpressionColumn {
    expression: Expr,
    source: Arc<dyn ColumnSource>,
    context: EvalContext,
    column_type: ColumnType,
    multi_value: bool,
}

impl Column for ExpressionColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: self.column_type.clone(),
            multi_value: self.multi_value,
            dictionary: false,
            bitmaps: false,
            has_nulls: true,
        }
    }
    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(ExpressionReader {
            bound: self.expression.bind(&self.source, &self.context)?,
            column_type: self.column_type.clone(),
            lent: Lent::default(),
            values: Vec::new(),
        }))
    }
}

struct ExpressionReader {
    bound: BoundExpr,
    column_type: ColumnType,
    lent: Lent,
    values: Vec<Value>,
}

impl ExpressionReader {
    fn eval(&mut self, rows: Rows<'_>) -> Result<()> {
        self.lent.vector = self.bound.eval(rows)?.cast(&self.column_type);
        Ok(())
    }
}

impl ColumnReader for ExpressionReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        self.eval(rows)?;
        self.lent.longs()
    }
    fn floats(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        self.eval(rows)?;
        self.lent.floats()
    }
    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        self.eval(rows)?;
        self.lent.doubles()
    }
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        // A multi-value result of a STRING column keeps its arrays.
        let vector = self.bound.eval(rows)?;
        self.values = match (&self.column_type, vector) {
            (ColumnType::String, Vector::Any { values, .. }) => values.iter().map(text_or_texts).collect(),
            (column_type, vector) => vector.cast(column_type).to_values(),
        };
        Ok(&self.values)
    }
}

fn text_or_texts(value: &Value) -> Value {
    match value {
        Value::Array(elements) => match elements.as_ref() {
            [one] => one.cast(&ColumnType::String),
            many => Value::Array(many.iter().map(|element| element.cast(&ColumnType::String)).collect()),
        },
        scalar => scalar.cast(&ColumnType::String),
    }
}
