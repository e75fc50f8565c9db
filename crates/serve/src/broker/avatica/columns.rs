//! Column descriptions and values in the form of Avatica's JSON: types with their JDBC numbers and representations, times
//! as milliseconds, dates as days (`QueryMaker`, `DruidMeta`).

use base64::Engine as _;
use ovate_compute::Value;
use ovate_sql::types::SqlType;
use serde_json::{Value as Json, json};

/// Calcite's "no scale".
const NO_SCALE: i64 = -2_147_483_648;

/// A column of a signature.
pub fn column(ordinal: usize, name: &str, t: &SqlType) -> Json {
    let (precision, scale) = precision(t);
    let nullable = i64::from(!(*t == SqlType::Timestamp && name == "__time"));
    json!({
        "ordinal": ordinal, "autoIncrement": false, "caseSensitive": true, "searchable": false, "currency": false,
        "nullable": nullable, "signed": true, "displaySize": precision, "label": name, "columnName": name,
        "schemaName": null, "precision": precision, "scale": scale, "tableName": null, "catalogName": null,
        "type": kind(t), "readOnly": true, "writable": false, "definitelyWritable": false, "columnClassName": class(t),
    })
}

/// A parameter of a signature.
pub fn parameter(index: usize, t: &SqlType) -> Json {
    let (precision, scale) = precision(t);
    json!({"signed": false, "precision": precision, "scale": scale, "parameterType": t.jdbc_type(), "typeName": t.name(),
        "className": class(t), "name": format!("?{index}")})
}

fn precision(t: &SqlType) -> (i64, i64) {
    match t {
        SqlType::Bigint => (19, 0),
        SqlType::Integer => (10, 0),
        SqlType::Float | SqlType::Double => (15, NO_SCALE),
        SqlType::Decimal => (19, 9),
        SqlType::Timestamp => (3, NO_SCALE),
        SqlType::Boolean => (1, NO_SCALE),
        SqlType::Date => (0, NO_SCALE),
        _ => (-1, NO_SCALE),
    }
}

fn kind(t: &SqlType) -> Json {
    if let SqlType::Array(element) = t {
        return json!({"type": "array", "id": 2003, "name": "ARRAY", "rep": "ARRAY", "component": kind(element)});
    }
    let rep = match t {
        SqlType::Boolean => "BOOLEAN",
        t if t.is_numeric() || t.is_time() || t.is_interval() => "NUMBER",
        SqlType::Complex(_) => "OBJECT",
        _ => "STRING",
    };
    let (id, name) = match t {
        // A bare NULL has no representation of its own.
        SqlType::Null | SqlType::Any => (12, "VARCHAR"),
        t if t.is_interval() => (-5, "BIGINT"),
        t => (t.jdbc_type(), t.name()),
    };
    json!({"type": "scalar", "id": id, "name": name, "rep": rep})
}

fn class(t: &SqlType) -> &'static str {
    match t {
        SqlType::Boolean => "java.lang.Boolean",
        SqlType::Integer => "java.lang.Integer",
        SqlType::Bigint | SqlType::IntervalDay | SqlType::IntervalMonth => "java.lang.Long",
        SqlType::Float | SqlType::Double => "java.lang.Double",
        SqlType::Decimal => "java.math.BigDecimal",
        SqlType::Timestamp => "java.sql.Timestamp",
        SqlType::Date => "java.sql.Date",
        SqlType::Array(_) => "java.sql.Array",
        SqlType::Complex(_) => "java.lang.Object",
        _ => "java.lang.String",
    }
}

/// A value of a column.
pub fn value(value: &Value, t: &SqlType, offset_ms: &dyn Fn(i64) -> i64) -> Json {
    if value.is_null() {
        return Json::Null;
    }
    match t {
        SqlType::Boolean => value.as_boolean().map_or(Json::Null, Json::from),
        // Calcite's instants are local times written as if they were UTC.
        SqlType::Timestamp => value.as_long().map_or(Json::Null, |ms| json!(ms + offset_ms(ms))),
        SqlType::Date => value.as_long().map_or(Json::Null, |ms| json!((ms + offset_ms(ms)).div_euclid(86_400_000))),
        t if t.is_integer() || t.is_interval() => value.as_long().map_or(Json::Null, Json::from),
        t if t.is_approximate() => value.as_double().map_or(Json::Null, double),
        SqlType::Array(element) => match value {
            Value::Array(items) => items.iter().map(|item| self::value(item, element, offset_ms)).collect(),
            scalar => json!([self::value(scalar, element, offset_ms)]),
        },
        SqlType::Complex(_) => Json::from(plain(value).to_string()),
        _ => match value {
            Value::Array(items) if items.is_empty() => Json::Null,
            Value::Array(items) if items.len() == 1 => self::value(&items[0], t, offset_ms),
            Value::Array(_) => Json::from(plain(value).to_string()),
            other => other.as_text().map_or_else(|| Json::from(plain(other).to_string()), |text| Json::from(&*text)),
        },
    }
}

/// Avatica's JSON has numbers only; what is none is text that the driver reads as one.
fn double(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or_else(
        || {
            Json::from(if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            })
        },
        Json::Number,
    )
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Long(v) => json!(v),
        Value::Float(v) => json!(v),
        Value::Double(v) => json!(v),
        Value::String(v) => json!(&**v),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Json(v) => (**v).clone(),
        Value::Complex(_, bytes) => Json::from(base64::engine::general_purpose::STANDARD.encode(bytes)),
    }
}
