//! Puts the value of a field back into its document, for json columns that store no whole values.

use ovate_compute::Value;
use ovate_compute::virtual_column::PathPart;
use serde_json::{Map, Value as Json};

use crate::read::smile::number;

/// Elements beyond this are not put back: paths are untrusted.
const ELEMENT_MAX: i64 = 1 << 16;

/// Sets the value at a path, making objects and arrays on the way; null is not set.
pub(crate) fn rebuild(document: &mut Json, path: &[PathPart], value: &Value) {
    if value.is_null() {
        return;
    }
    let mut place = document;
    for part in path {
        match part {
            PathPart::Field(name) => {
                if !place.is_object() {
                    *place = Json::Object(Map::new());
                }
                let Json::Object(object) = place else { return };
                place = object.entry(name.clone()).or_insert(Json::Null);
            }
            PathPart::Element(index) => {
                if !(0..ELEMENT_MAX).contains(index) {
                    return;
                }
                if !place.is_array() {
                    *place = Json::Array(Vec::new());
                }
                let Json::Array(array) = place else { return };
                let index = *index as usize;
                if array.len() <= index {
                    array.resize(index + 1, Json::Null);
                }
                place = &mut array[index];
            }
        }
    }
    *place = to_json(value);
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null | Value::Complex(..) => Json::Null,
        Value::Long(v) => Json::from(*v),
        Value::Float(v) => number(f64::from(*v)),
        Value::Double(v) => number(*v),
        Value::String(v) => Json::from(&**v),
        Value::Array(v) => Json::Array(v.iter().map(to_json).collect()),
        Value::Json(v) => (**v).clone(),
    }
}
