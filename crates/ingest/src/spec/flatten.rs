//! `flattenSpec` (FMT-13): fields taken out of nested records (`JSONPathSpec`).

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::Value;

use super::fields::Fields;
use crate::format::path::Path;

/// Where a flattened field comes from.
#[derive(Debug, Clone)]
pub enum FlattenSource {
    /// A field of the record itself.
    Root(String),
    /// A JSONPath, or a `jq` expression that is no more than a path.
    Path(Path),
    /// `tree`: the names of nested fields, outermost first.
    Tree(Vec<String>),
}

/// One entry of `fields`.
#[derive(Debug, Clone)]
pub struct FlattenField {
    pub name: Arc<str>,
    pub source: FlattenSource,
}

/// Checked `flattenSpec`.
#[derive(Debug, Clone)]
pub struct FlattenSpec {
    pub use_field_discovery: bool,
    pub fields: Vec<FlattenField>,
}

impl FlattenSpec {
    /// Reads the spec; an absent one discovers the record's own fields.
    pub fn from_json(json: Option<&Value>) -> Result<FlattenSpec> {
        let Some(json) = json else { return Ok(FlattenSpec { use_field_discovery: true, fields: Vec::new() }) };
        let outer = Fields::new(json, "flattenSpec")?;
        let mut fields: Vec<FlattenField> = Vec::new();
        for entry in outer.list("fields")? {
            let field = field(entry)?;
            if fields.iter().any(|other| other.name == field.name) {
                return Err(DruidError::invalid_input(format!("field [{}] stands twice in [flattenSpec]", field.name)));
            }
            fields.push(field);
        }
        let spec = FlattenSpec { use_field_discovery: outer.flag("useFieldDiscovery", true)?, fields };
        outer.finish()?;
        Ok(spec)
    }
}

fn field(json: &Value) -> Result<FlattenField> {
    if let Some(name) = json.as_str() {
        return Ok(FlattenField { name: Arc::from(name), source: FlattenSource::Root(name.to_owned()) });
    }
    let fields = Fields::new(json, "flattenSpec.fields")?;
    let name = fields.need_text("name")?;
    let expr = fields.text("expr")?;
    let nodes = fields.texts("nodes")?;
    let need = || expr.ok_or_else(|| DruidError::invalid_input(format!("field [{name}] in [flattenSpec] needs [expr]")));
    let source = match fields.need_text("type")? {
        "root" => FlattenSource::Root(expr.unwrap_or(name).to_owned()),
        "path" => FlattenSource::Path(Path::parse(need()?)?),
        "jq" => FlattenSource::Path(Path::parse_jq(need()?)?),
        "tree" => FlattenSource::Tree(
            nodes
                .filter(|n| !n.is_empty())
                .ok_or_else(|| DruidError::invalid_input(format!("field [{name}] in [flattenSpec] needs [nodes]")))?,
        ),
        other => return Err(DruidError::invalid_input(format!("unknown type [{other}] of field [{name}] in [flattenSpec]"))),
    };
    fields.finish()?;
    Ok(FlattenField { name: Arc::from(name), source })
}
