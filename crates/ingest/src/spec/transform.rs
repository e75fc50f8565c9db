//! `transformSpec` (SCH-06): expression transforms, each over the row as it came, and a filter over the result
//! (`TransformSpec`, `ExpressionTransform`).

use std::collections::BTreeSet;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::expr::Expr;
use ovate_compute::filter::FilterSpec;
use serde_json::{Value, json};

use super::fields::Fields;

/// One `expression` transform.
#[derive(Clone)]
pub struct Transform {
    pub name: Arc<str>,
    pub expr: Arc<Expr>,
    text: String,
}

/// Checked `transformSpec`.
#[derive(Clone, Default)]
pub struct TransformSpec {
    pub transforms: Vec<Transform>,
    pub filter: Option<Arc<FilterSpec>>,
    filter_json: Value,
}

impl TransformSpec {
    /// Reads the spec; an absent one does nothing.
    pub fn from_json(json: Option<&Value>) -> Result<TransformSpec> {
        let Some(json) = json else { return Ok(TransformSpec::default()) };
        let fields = Fields::new(json, "transformSpec")?;
        let mut transforms: Vec<Transform> = Vec::new();
        for entry in fields.list("transforms")? {
            let transform = transform(entry)?;
            if transforms.iter().any(|other| other.name == transform.name) {
                return Err(DruidError::invalid_input(format!("transform [{}] stands twice in [transformSpec]", transform.name)));
            }
            transforms.push(transform);
        }
        let filter_json = fields.get("filter").cloned().unwrap_or(Value::Null);
        fields.finish()?;
        let filter = if filter_json.is_null() { None } else { Some(Arc::new(FilterSpec::from_json(&filter_json)?)) };
        Ok(TransformSpec { transforms, filter, filter_json })
    }

    /// Fields of the input that transforms and filter read.
    pub fn required_columns(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for transform in &self.transforms {
            names.extend(transform.expr.required_columns());
        }
        if let Some(filter) = &self.filter {
            names.extend(filter.required_columns());
        }
        names
    }

    /// True when rows pass unchanged.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty() && self.filter.is_none()
    }

    /// The form that Druid writes.
    pub fn to_json(&self) -> Value {
        let transforms: Vec<Value> =
            self.transforms.iter().map(|t| json!({"type": "expression", "name": &*t.name, "expression": t.text})).collect();
        json!({"filter": self.filter_json, "transforms": transforms})
    }
}

fn transform(json: &Value) -> Result<Transform> {
    let fields = Fields::new(json, "transformSpec.transforms")?;
    let kind = fields.need_text("type")?;
    if kind != "expression" {
        return Err(DruidError::unsupported(format!("transform type [{kind}] is not supported")));
    }
    let name = fields.need_text("name")?;
    let text = fields.need_text("expression")?;
    fields.finish()?;
    let expr = Expr::parse(text).map_err(|e| e.prefixed(format!("transform [{name}]")))?;
    Ok(Transform { name: Arc::from(name), expr: Arc::new(expr), text: text.to_owned() })
}
