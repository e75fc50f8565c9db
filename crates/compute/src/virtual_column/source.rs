//! A source with virtual columns besides its own. Columns are made when they are asked for and kept; one virtual column
//! may read another, and a chain that comes back to itself reads the stored column of that name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ovate_base::{Granularity, Interval, Result};

use super::{PathPart, VirtualColumnSpec, expression};
use crate::column::{Column, ColumnCapabilities, ColumnSource, ComputedColumn};
use crate::context::EvalContext;
use crate::dimension::filtered;
use crate::expr::{cast_json, document_at, scalar_at};
use crate::types::ColumnType;
use crate::value::Value;

/// A source that has these virtual columns besides its own; a virtual column hides a stored one of the same name.
pub fn with_virtual_columns(
    source: Arc<dyn ColumnSource>,
    specs: &[VirtualColumnSpec],
    context: &EvalContext,
) -> Result<Arc<dyn ColumnSource>> {
    if specs.is_empty() {
        return Ok(source);
    }
    let shared = Shared { base: source, specs: specs.to_vec(), context: context.clone(), made: Mutex::default() };
    Ok(Arc::new(VirtualSource { shared: Arc::new(shared), hidden: Vec::new() }))
}

struct Shared {
    base: Arc<dyn ColumnSource>,
    specs: Vec<VirtualColumnSpec>,
    context: EvalContext,
    made: Mutex<HashMap<usize, Option<Arc<dyn Column>>>>,
}

struct VirtualSource {
    shared: Arc<Shared>,
    /// Virtual columns that are being made: not to be seen by the ones that they read.
    hidden: Vec<usize>,
}

impl VirtualSource {
    fn find(&self, name: &str) -> Option<usize> {
        let position = self.shared.specs.iter().position(|spec| spec.name() == name)?;
        (!self.hidden.contains(&position)).then_some(position)
    }

    fn make(&self, position: usize) -> Result<Option<Arc<dyn Column>>> {
        let made = self.shared.made.lock().unwrap_or_else(PoisonError::into_inner).get(&position).cloned();
        if let Some(column) = made {
            return Ok(column);
        }
        let mut hidden = self.hidden.clone();
        hidden.push(position);
        let inner: Arc<dyn ColumnSource> = Arc::new(VirtualSource { shared: self.shared.clone(), hidden });
        let column = make(&self.shared.specs[position], &inner, &self.shared.context)?;
        self.shared.made.lock().unwrap_or_else(PoisonError::into_inner).insert(position, column.clone());
        Ok(column)
    }
}

impl ColumnSource for VirtualSource {
    fn row_count(&self) -> u32 {
        self.shared.base.row_count()
    }
    fn column_names(&self) -> Vec<String> {
        // Virtual columns are found by name only; `*` does not show them (as in Druid's storage adapters).
        self.shared.base.column_names()
    }
    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        match self.find(name) {
            Some(position) => self.make(position).ok().flatten().map(|column| column.capabilities()),
            None => self.shared.base.capabilities(name),
        }
    }
    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>> {
        match self.find(name) {
            Some(position) => self.make(position),
            None => self.shared.base.column(name),
        }
    }
    fn nested_field(&self, column: &str, path: &[PathPart]) -> Result<Option<Arc<dyn Column>>> {
        match self.find(column) {
            Some(_) => Ok(None),
            None => self.shared.base.nested_field(column, path),
        }
    }
    fn time_step(&self, column: &str) -> Option<Granularity> {
        match self.find(column) {
            // A hidden `__time` is another one.
            Some(position) if self.find(crate::TIME_COLUMN).is_none() => match &self.shared.specs[position] {
                VirtualColumnSpec::Expression { expression, .. } => expression.time_step(),
                _ => None,
            },
            Some(_) => None,
            None => self.shared.base.time_step(column),
        }
    }
    fn interval(&self) -> Interval {
        self.shared.base.interval()
    }
    fn is_time_sorted(&self) -> bool {
        self.shared.base.is_time_sorted() && self.find(crate::TIME_COLUMN).is_none()
    }
}

fn make(spec: &VirtualColumnSpec, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Option<Arc<dyn Column>>> {
    match spec {
        VirtualColumnSpec::Expression { expression: text, output_type, .. } => {
            expression::column(text, output_type.as_ref(), source, context).map(Some)
        }
        VirtualColumnSpec::NestedField { column_name, expected_type, path, process_from_raw, .. } => {
            nested(source, column_name, path, expected_type.as_ref(), *process_from_raw)
        }
        VirtualColumnSpec::MvFiltered { delegate, values, is_allow_list, .. } => {
            let values: hashbrown::HashSet<Option<Arc<str>>> = values.iter().cloned().collect();
            let allow = *is_allow_list;
            let keep = move |value: Option<&str>| values.contains(&value.map(Arc::from)) == allow;
            filtered(delegate.column(source, context)?, Arc::new(keep))
        }
        VirtualColumnSpec::MvRegexFiltered { delegate, pattern, .. } => {
            let regex = crate::text::java_regex(pattern)?;
            let keep = move |value: Option<&str>| value.is_some_and(|value| regex.is_match(value));
            filtered(delegate.column(source, context)?, Arc::new(keep))
        }
        VirtualColumnSpec::MvPrefixFiltered { delegate, prefix, .. } => {
            let prefix = prefix.clone();
            let keep = move |value: Option<&str>| value.is_some_and(|value| value.starts_with(prefix.as_str()));
            filtered(delegate.column(source, context)?, Arc::new(keep))
        }
        VirtualColumnSpec::Fallback { columns, .. } => {
            // The first of the columns that is there (`FallbackVirtualColumn`).
            for dimension in columns {
                if source.capabilities(dimension.dimension()).is_some() {
                    return dimension.column(source, context);
                }
            }
            Ok(None)
        }
    }
}

fn nested(
    source: &Arc<dyn ColumnSource>,
    name: &str,
    path: &[PathPart],
    expected: Option<&ColumnType>,
    from_raw: bool,
) -> Result<Option<Arc<dyn Column>>> {
    let cast = |column: Arc<dyn Column>| match expected {
        // A complex target asks for documents, which only the raw way has.
        Some(target) if !matches!(target, ColumnType::Complex(_)) => cast_field(column, target),
        _ => column,
    };
    let Some(column) = source.column(name)? else { return Ok(None) };
    let own = column.capabilities().column_type;
    if !matches!(own, ColumnType::Complex(_)) && path.is_empty() {
        return Ok(Some(cast(column)));
    }
    if !from_raw && let Some(field) = source.nested_field(name, path)? {
        return Ok(Some(cast(field)));
    }
    let target = expected.cloned().unwrap_or(ColumnType::String);
    let path = path.to_vec();
    if matches!(&target, ColumnType::Complex(_)) {
        let function = move |value: &Value| document_at(value, &path);
        return Ok(Some(Arc::new(ComputedColumn::new(column, target, Arc::new(function)))));
    }
    let to = target.clone();
    let at = path.clone();
    let function = move |value: &Value| cast_json(scalar_at(value, &path), &to);
    Ok(Some(with_lists(ComputedColumn::new(column, target, Arc::new(function)), move |value| scalar_at(value, &at))))
}

/// A field as the type that is wanted: arrays of several elements are no scalars.
fn cast_field(column: Arc<dyn Column>, target: &ColumnType) -> Arc<dyn Column> {
    let capabilities = column.capabilities();
    let own = capabilities.column_type;
    // A field of mixed types has no dictionary; its values are of their own types whatever the column says.
    if own == *target && (own != ColumnType::String || capabilities.dictionary) {
        return column;
    }
    if own.is_numeric() && target.is_numeric() || own == ColumnType::String && target.is_numeric() {
        return ComputedColumn::cast(column, target);
    }
    let to = target.clone();
    with_lists(ComputedColumn::new(column, target.clone(), Arc::new(move |value| cast_json(value.clone(), &to))), Value::clone)
}

/// A list where a text is wanted is no scalar, but rows show it: a list of texts (`NestedFieldVirtualColumn`'s value selectors).
fn with_lists(column: ComputedColumn, found: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Arc<dyn Column> {
    if column.capabilities().column_type != ColumnType::String {
        return Arc::new(column);
    }
    let text = |value: &Value| value.as_text().map_or(serde_json::Value::Null, |text| text.as_ref().into());
    Arc::new(column.shown_as(Arc::new(move |value| match found(value) {
        Value::Array(elements) => Value::Json(Arc::new(elements.iter().map(text).collect())),
        other => cast_json(other, &ColumnType::String),
    })))
}
