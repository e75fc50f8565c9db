//! Virtual columns (features DIM-06..09): columns computed from others, which look like stored ones. One over a single
//! dictionary column keeps a dictionary, evaluated once an entry.

mod expression;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use source::with_virtual_columns;

use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use crate::dimension::DimensionSpec;
use crate::doc::Doc;
use crate::expr::Expr;
use crate::types::ColumnType;

/// A virtual column as a user writes it (`VirtualColumn`).
#[derive(Debug, Clone, PartialEq)]
pub enum VirtualColumnSpec {
    Expression {
        name: String,
        expression: Expr,
        output_type: Option<ColumnType>,
    },
    NestedField {
        column_name: String,
        output_name: String,
        expected_type: Option<ColumnType>,
        path: Vec<PathPart>,
        process_from_raw: bool,
    },
    MvFiltered {
        name: String,
        delegate: DimensionSpec,
        values: Arc<[Option<Arc<str>>]>,
        is_allow_list: bool,
    },
    MvRegexFiltered {
        name: String,
        delegate: DimensionSpec,
        pattern: String,
    },
    MvPrefixFiltered {
        name: String,
        delegate: DimensionSpec,
        prefix: String,
    },
    Fallback {
        name: String,
        columns: Vec<DimensionSpec>,
    },
}

/// One step into a JSON document (`NestedPathPart`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathPart {
    Field(String),
    /// Negative counts from the end.
    Element(i64),
}

impl VirtualColumnSpec {
    /// Reads a virtual column document.
    pub fn from_json(json: &Json) -> Result<Self> {
        let doc = Doc::new("virtual column", json)?;
        let name = || doc.text("name").map(str::to_owned);
        let delegate = || DimensionSpec::from_json(doc.required("delegate")?);
        Ok(match doc.type_name()? {
            "expression" => VirtualColumnSpec::Expression {
                name: name()?,
                expression: Expr::parse(doc.text("expression")?)?,
                output_type: doc.optional_type("outputType")?,
            },
            "nested-field" => nested_field(&doc)?,
            "mv-filtered" => VirtualColumnSpec::MvFiltered {
                name: name()?,
                delegate: delegate()?,
                values: crate::doc::texts(doc.list("values")?).into(),
                is_allow_list: doc.boolean("isAllowList", true)?,
            },
            "mv-regex-filtered" => VirtualColumnSpec::MvRegexFiltered {
                name: name()?,
                delegate: delegate()?,
                pattern: doc.text("pattern")?.to_owned(),
            },
            "mv-prefix-filtered" => VirtualColumnSpec::MvPrefixFiltered {
                name: name()?,
                delegate: delegate()?,
                prefix: doc.text("prefix")?.to_owned(),
            },
            "fallback" => VirtualColumnSpec::Fallback {
                name: name()?,
                columns: doc.list("columns")?.iter().map(DimensionSpec::from_json).collect::<Result<_>>()?,
            },
            other => return Err(doc.unknown_type(other)),
        })
    }

    /// Writes the document that `from_json` reads.
    pub fn to_json(&self) -> Json {
        match self {
            VirtualColumnSpec::Expression { name, expression, output_type } => {
                let mut json = json!({"type": "expression", "name": name, "expression": expression.text()});
                if let Some(output_type) = output_type {
                    json["outputType"] = output_type.to_string().into();
                }
                json
            }
            VirtualColumnSpec::NestedField { column_name, output_name, expected_type, path, process_from_raw } => {
                let parts: Vec<Json> = path.iter().map(PathPart::to_json).collect();
                let mut json =
                    json!({"type": "nested-field", "columnName": column_name, "outputName": output_name, "pathParts": parts});
                if let Some(expected_type) = expected_type {
                    json["expectedType"] = expected_type.to_string().into();
                }
                if *process_from_raw {
                    json["processFromRaw"] = true.into();
                }
                json
            }
            VirtualColumnSpec::MvFiltered { name, delegate, values, is_allow_list } => {
                let values: Vec<Json> = values.iter().map(crate::doc::text_or_null).collect();
                json!({"type": "mv-filtered", "name": name, "delegate": delegate.to_json(), "values": values, "isAllowList": is_allow_list})
            }
            VirtualColumnSpec::MvRegexFiltered { name, delegate, pattern } => {
                json!({"type": "mv-regex-filtered", "name": name, "delegate": delegate.to_json(), "pattern": pattern})
            }
            VirtualColumnSpec::MvPrefixFiltered { name, delegate, prefix } => {
                json!({"type": "mv-prefix-filtered", "name": name, "delegate": delegate.to_json(), "prefix": prefix})
            }
            VirtualColumnSpec::Fallback { name, columns } => {
                let columns: Vec<Json> = columns.iter().map(DimensionSpec::to_json).collect();
                json!({"type": "fallback", "name": name, "columns": columns})
            }
        }
    }

    /// The name of the column that it makes.
    pub fn name(&self) -> &str {
        match self {
            VirtualColumnSpec::Expression { name, .. }
            | VirtualColumnSpec::MvFiltered { name, .. }
            | VirtualColumnSpec::MvRegexFiltered { name, .. }
            | VirtualColumnSpec::MvPrefixFiltered { name, .. }
            | VirtualColumnSpec::Fallback { name, .. } => name,
            VirtualColumnSpec::NestedField { output_name, .. } => output_name,
        }
    }

    /// Columns that it reads (other virtual columns may be among them).
    pub fn required_columns(&self) -> Vec<String> {
        match self {
            VirtualColumnSpec::Expression { expression, .. } => expression.required_columns(),
            VirtualColumnSpec::NestedField { column_name, .. } => vec![column_name.clone()],
            VirtualColumnSpec::MvFiltered { delegate, .. }
            | VirtualColumnSpec::MvRegexFiltered { delegate, .. }
            | VirtualColumnSpec::MvPrefixFiltered { delegate, .. } => vec![delegate.dimension().to_owned()],
            VirtualColumnSpec::Fallback { columns, .. } => columns.iter().map(|c| c.dimension().to_owned()).collect(),
        }
    }
}

fn nested_field(doc: &Doc<'_>) -> Result<VirtualColumnSpec> {
    let path = match (doc.get("pathParts"), doc.optional_text("path")?) {
        (Some(_), _) => doc.list("pathParts")?.iter().map(PathPart::from_json).collect::<Result<_>>()?,
        (None, Some(path)) if doc.boolean("useJqSyntax", false)? => PathPart::parse_jq_path(&path)?,
        (None, Some(path)) => PathPart::parse_json_path(&path)?,
        (None, None) => return Err(DruidError::invalid_input("virtual column [nested-field] needs [path] or [pathParts]")),
    };
    Ok(VirtualColumnSpec::NestedField {
        column_name: doc.text("columnName")?.to_owned(),
        output_name: doc.text("outputName")?.to_owned(),
        expected_type: doc.optional_type("expectedType")?,
        path,
        process_from_raw: doc.boolean("processFromRaw", false)?,
    })
}

impl PathPart {
    /// Reads `{"type": "field", "field": …}` or `{"type": "arrayElement", "index": …}`.
    pub fn from_json(json: &Json) -> Result<Self> {
        let doc = Doc::new("path part", json)?;
        match doc.type_name()? {
            "field" => Ok(PathPart::Field(doc.text("field")?.to_owned())),
            "arrayElement" => {
                Ok(PathPart::Element(doc.optional_long("index")?.ok_or_else(|| doc.error("index", "is required"))?))
            }
            other => Err(doc.unknown_type(other)),
        }
    }

    /// Writes the document that `from_json` reads.
    pub fn to_json(&self) -> Json {
        match self {
            PathPart::Field(field) => json!({"type": "field", "field": field}),
            PathPart::Element(index) => json!({"type": "arrayElement", "index": index}),
        }
    }

    /// Reads Druid's subset of jq's paths: `.`, `.name`, `."name"`, `.["name"]`, `[n]`, each with a `?` behind it that changes nothing
    /// (`NestedPathFinder.parseJqPath`).
    pub fn parse_jq_path(path: &str) -> Result<Vec<PathPart>> {
        let bad = |why: &str| DruidError::invalid_input(format!("jq path [{path}] is invalid, {why}"));
        if !path.starts_with('.') {
            return Err(bad("it must start with '.'"));
        }
        let (mut rest, mut parts) = (path, Vec::new());
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('?') {
                if parts.is_empty() {
                    return Err(bad("'?' must follow a part"));
                }
                rest = after;
                continue;
            }
            let dotted = rest.strip_prefix('.');
            let after = dotted.unwrap_or(rest);
            if let Some(inner) = after.strip_prefix('[') {
                let end = match inner.strip_prefix('"') {
                    Some(quoted) => quoted.find("\"]").map(|at| at + 2),
                    None => inner.find(']'),
                };
                let end = end.ok_or_else(|| bad("unterminated ["))?;
                let text = &inner[..end];
                match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                    Some(name) => parts.push(PathPart::Field(name.to_owned())),
                    None => parts.push(PathPart::Element(text.parse().map_err(|_| bad("an index must be a number"))?)),
                }
                rest = &inner[end + 1..];
            } else if dotted.is_none() {
                return Err(bad("expected '.' or '['"));
            } else if let Some(quoted) = after.strip_prefix('"') {
                let end = quoted.find('"').ok_or_else(|| bad("unterminated quote"))?;
                parts.push(PathPart::Field(quoted[..end].to_owned()));
                rest = &quoted[end + 1..];
            } else {
                let end = after.find(['.', '[', '?']).unwrap_or(after.len());
                if end > 0 {
                    parts.push(PathPart::Field(after[..end].to_owned()));
                } else if !after.is_empty() || !parts.is_empty() {
                    return Err(bad("found a '.' that names nothing"));
                }
                rest = &after[end..];
            }
        }
        Ok(parts)
    }

    /// Reads Druid's subset of JSONPath: `$`, `.name`, `['name']`, `[n]` (`NestedPathFinder.parseJsonPath`).
    pub fn parse_json_path(path: &str) -> Result<Vec<PathPart>> {
        let bad = |why: &str| DruidError::invalid_input(format!("JSONPath [{path}] is invalid, {why}"));
        let mut rest = path.strip_prefix('$').ok_or_else(|| bad("it must start with '$'"))?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                // A trailing or doubled dot names nothing, as in `$.` (the root) and `$.[0]`.
                match &after[..end] {
                    "" if after.starts_with('.') => return Err(bad("found '..'")),
                    "" => {}
                    name => parts.push(PathPart::Field(name.to_owned())),
                }
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix('[') {
                if let Some(quote) = after.chars().next().filter(|c| *c == '\'' || *c == '"') {
                    let close = format!("{quote}]");
                    let end = after[1..].find(&close).ok_or_else(|| bad("unterminated ["))?;
                    parts.push(PathPart::Field(after[1..1 + end].to_owned()));
                    rest = &after[1 + end + 2..];
                } else {
                    let end = after.find(']').ok_or_else(|| bad("unterminated ["))?;
                    let index = after[..end].parse().map_err(|_| bad("an index must be a number"))?;
                    parts.push(PathPart::Element(index));
                    rest = &after[end + 1..];
                }
            } else {
                return Err(bad("expected '.' or '['"));
            }
        }
        Ok(parts)
    }
}
