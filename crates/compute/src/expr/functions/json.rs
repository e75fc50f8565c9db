//! JSON functions (EXP-08) over `COMPLEX<json>` values, with Druid's subset of JSONPath.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::{Map, Value as Json};

use super::{Function, MANY, Output, closure, literal_text};
use crate::expr::node::{Literal, Node};
use crate::types::ColumnType;
use crate::value::{self, Value};
use crate::virtual_column::PathPart;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::prepared("json_value", (2, 3), Output::Of(value_type), |literals| {
        let path = path(literals, 1)?;
        let target = literal_text(literals, 2, "type")?.map(|name| ColumnType::parse(&name)).transpose()?;
        Ok(closure(move |args, _| {
            let found = scalar_at(&args[0], &path);
            Ok(match &target {
                Some(target) => cast_json(found, target),
                None => found,
            })
        }))
    }),
    Function::prepared("json_query", (2, 2), Output::Json, |literals| {
        let path = path(literals, 1)?;
        Ok(closure(move |args, _| {
            Ok(find(&document(&args[0]), &path)
                .filter(|j| !j.is_null())
                .map_or(Value::Null, |found| Value::Json(Arc::new(found.clone()))))
        }))
    }),
    Function::prepared("json_query_array", (2, 2), Output::JsonArray, |literals| {
        let path = path(literals, 1)?;
        Ok(closure(move |args, _| {
            Ok(match find(&document(&args[0]), &path) {
                Some(Json::Array(items)) => Value::Array(items.iter().map(|item| Value::Json(Arc::new(item.clone()))).collect()),
                Some(Json::Null) | None => Value::Null,
                Some(one) => Value::Array(Arc::from([Value::Json(Arc::new(one.clone()))])),
            })
        }))
    }),
    Function::simple("json_object", (0, MANY), Output::Json, |args| {
        if !args.len().is_multiple_of(2) {
            return Err(DruidError::invalid_input("Function[json_object] needs an even number of arguments"));
        }
        let mut map = Map::new();
        for pair in args.chunks_exact(2) {
            let key = pair[0]
                .as_text()
                .ok_or_else(|| DruidError::invalid_input("Function[json_object] field name must be a STRING"))?;
            map.insert(key.to_string(), value::to_json(&pair[1]));
        }
        Ok(Value::Json(Arc::new(Json::Object(map))))
    }),
    Function::simple("parse_json", (1, 1), Output::Json, |args| parse(args, true)),
    Function::simple("try_parse_json", (1, 1), Output::Json, |args| parse(args, false)),
    Function::simple("to_json_string", (1, 1), Output::String, |args| match document(&args[0]).as_ref() {
        Json::Null => Ok(Value::Null),
        json => Ok(Value::from(value::json_text(json))),
    }),
    Function::prepared("json_keys", (2, 2), Output::StringArray, |literals| {
        let path = path(literals, 1)?;
        Ok(closure(move |args, _| {
            Ok(match find(&document(&args[0]), &path) {
                Some(Json::Object(map)) => Value::Array(map.keys().map(|key| Value::from(key.as_str())).collect()),
                Some(Json::Array(items)) => Value::Array((0..items.len()).map(|i| Value::from(i.to_string())).collect()),
                _ => Value::Null,
            })
        }))
    }),
    Function::simple("json_paths", (1, 1), Output::StringArray, |args| {
        let paths = super::json_order::literal_paths(&document(&args[0]));
        Ok(Value::Array(paths.into_iter().map(Value::from).collect()))
    }),
    Function::simple("json_merge", (1, MANY), Output::Json, |args| {
        let mut merged: Option<Json> = None;
        for arg in args {
            let own = match arg {
                Value::Null => return Ok(Value::Null),
                Value::String(text) => serde_json::from_str(text)
                    .map_err(|_| DruidError::invalid_input(format!("Function[json_merge] bad string input [{text}]")))?,
                other => value::to_json(other),
            };
            merged = Some(match merged {
                None => own,
                Some(base) => merge(base, own),
            });
        }
        Ok(merged.map_or(Value::Null, |json| Value::Json(Arc::new(json))))
    }),
];

fn path(literals: &[Option<&Value>], index: usize) -> Result<Vec<PathPart>> {
    let text = literal_text(literals, index, "path")?.ok_or_else(|| DruidError::invalid_input(" needs a path"))?;
    PathPart::parse_json_path(&text)
}

fn value_type(_types: &[Option<ColumnType>], args: &[Node]) -> Option<ColumnType> {
    match args.get(2) {
        Some(Node::Literal(Literal { value: Value::String(name), .. })) => ColumnType::parse(name).ok(),
        _ => Some(ColumnType::String),
    }
}

/// The argument as a document.
fn document(value: &Value) -> std::borrow::Cow<'_, Json> {
    match value {
        Value::Json(json) => std::borrow::Cow::Borrowed(json.as_ref()),
        other => std::borrow::Cow::Owned(value::to_json(other)),
    }
}

/// The value at a path.
fn find<'a>(json: &'a Json, path: &[PathPart]) -> Option<&'a Json> {
    path.iter().try_fold(json, |json, part| match (part, json) {
        (PathPart::Field(name), Json::Object(map)) => map.get(name),
        (PathPart::Element(index), Json::Array(items)) => match usize::try_from(*index) {
            Ok(index) => items.get(index),
            Err(_) => items.len().checked_sub(index.unsigned_abs() as usize).and_then(|index| items.get(index)),
        },
        _ => None,
    })
}

/// The scalar, or array of scalars, at a path; null where there is none.
pub(crate) fn scalar_at(value: &Value, path: &[PathPart]) -> Value {
    let found = match value {
        Value::Json(json) => find(json, path).map_or(Value::Null, value::from_json),
        Value::Null => Value::Null,
        scalar if path.is_empty() => scalar.clone(),
        other => find(&document(other), path).map_or(Value::Null, value::from_json),
    };
    match found {
        Value::Json(_) => Value::Null,
        scalar => scalar,
    }
}

/// Whatever is at a path, as a document; null where there is nothing.
pub(crate) fn document_at(value: &Value, path: &[PathPart]) -> Value {
    match find(&document(value), path) {
        None | Some(Json::Null) => Value::Null,
        Some(found) => Value::Json(Arc::new(found.clone())),
    }
}

/// A cast that takes booleans' text: JSON's true is 1 as a number and `true` as text.
pub(crate) fn cast_json(found: Value, target: &ColumnType) -> Value {
    match (&found, target) {
        // An array is no scalar, unless it has one element.
        (Value::Array(elements), scalar) if !matches!(scalar, ColumnType::Array(_)) && elements.len() != 1 => Value::Null,
        _ => found.cast(target),
    }
}

fn parse(args: &[Value], strict: bool) -> Result<Value> {
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::String(text) => match serde_json::from_str::<Json>(text) {
            Ok(json) => Ok(Value::Json(Arc::new(json))),
            Err(_) if strict => Err(DruidError::invalid_input(format!("Function[parse_json] bad string input [{text}]"))),
            Err(_) => Ok(Value::Null),
        },
        Value::Json(_) => Ok(args[0].clone()),
        _ if strict => Err(DruidError::invalid_input("Function[parse_json] needs a STRING argument")),
        _ => Ok(Value::Null),
    }
}

/// Objects are merged field by field, anything else is replaced (Jackson's `readerForUpdating`).
fn merge(base: Json, update: Json) -> Json {
    match (base, update) {
        (Json::Object(mut base), Json::Object(update)) => {
            for (key, new) in update {
                let merged = match base.remove(&key) {
                    Some(old) => merge(old, new),
                    None => new,
                };
                base.insert(key, merged);
            }
            Json::Object(base)
        }
        (Json::Array(mut base), Json::Array(update)) => {
            base.extend(update);
            Json::Array(base)
        }
        (_, update) => update,
    }
}
