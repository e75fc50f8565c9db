//! One field of a batch of records, typed by what arrived: readers push values, the append side lends them to the index.
//! A column that meets a second type turns into plain values, so that no text form is lost.

use std::borrow::Cow;
use std::sync::Arc;

use ovate_compute::Value;
use ovate_compute::value::{double_to_text, float_to_text};

/// Null flags that exist only once there is a null; true means null.
#[derive(Debug, Clone, Default)]
pub struct Nulls(Option<Vec<bool>>);

impl Nulls {
    fn push(&mut self, null: bool, len_before: usize) {
        match &mut self.0 {
            Some(flags) => flags.push(null),
            None if null => {
                let mut flags = vec![false; len_before];
                flags.push(true);
                self.0 = Some(flags);
            }
            None => {}
        }
    }

    fn truncate(&mut self, len: usize) {
        if let Some(flags) = &mut self.0 {
            flags.truncate(len);
        }
    }

    /// Flags of all rows, `None` without nulls.
    pub fn flags(&self) -> Option<&[bool]> {
        self.0.as_deref()
    }

    /// Whether a row is null.
    pub fn is_null(&self, row: usize) -> bool {
        self.0.as_ref().is_some_and(|flags| flags[row])
    }

    /// From flags as they are.
    pub fn from_flags(flags: Option<Vec<bool>>) -> Nulls {
        Nulls(flags)
    }

    fn all(len: usize) -> Nulls {
        Nulls((len > 0).then(|| vec![true; len]))
    }
}

/// Text of many rows in one buffer, as Arrow has it.
#[derive(Debug, Clone)]
pub struct Text {
    pub offsets: Vec<i32>,
    pub bytes: Vec<u8>,
    pub nulls: Nulls,
}

impl Text {
    fn nulls_only(len: usize) -> Text {
        Text { offsets: vec![0; len + 1], bytes: Vec::new(), nulls: Nulls::all(len) }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The text of a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        if self.nulls.is_null(row) {
            return None;
        }
        let bytes = &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize];
        Some(std::str::from_utf8(bytes).expect("only whole strings are pushed"))
    }

    fn push(&mut self, text: Option<&str>) {
        let len = self.len();
        if let Some(text) = text {
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self.offsets.push(self.bytes.len() as i32);
        self.nulls.push(text.is_none(), len);
    }
}

/// Values of one field.
#[derive(Debug, Clone)]
pub enum Column {
    /// So many nulls.
    Null(usize),
    Longs {
        values: Vec<i64>,
        nulls: Nulls,
    },
    Floats {
        values: Vec<f32>,
        nulls: Nulls,
    },
    Doubles {
        values: Vec<f64>,
        nulls: Nulls,
    },
    Bools {
        values: Vec<bool>,
        nulls: Nulls,
    },
    Text(Text),
    /// Codes into distinct texts; a null row has the code of a `None`.
    Coded {
        values: Vec<Option<Arc<str>>>,
        codes: Vec<u32>,
    },
    /// Anything: a list of scalars is `Value::Array`, everything else of JSON `Value::Json`.
    Values(Vec<Value>),
}

impl Column {
    /// Rows pushed so far.
    pub fn len(&self) -> usize {
        match self {
            Column::Null(len) => *len,
            Column::Longs { values, .. } => values.len(),
            Column::Floats { values, .. } => values.len(),
            Column::Doubles { values, .. } => values.len(),
            Column::Bools { values, .. } => values.len(),
            Column::Text(text) => text.len(),
            Column::Coded { codes, .. } => codes.len(),
            Column::Values(values) => values.len(),
        }
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a null row.
    pub fn push_null(&mut self) {
        match self {
            Column::Null(len) => *len += 1,
            Column::Longs { values, nulls } => push_number(values, nulls, 0, true),
            Column::Floats { values, nulls } => push_number(values, nulls, 0.0, true),
            Column::Doubles { values, nulls } => push_number(values, nulls, 0.0, true),
            Column::Bools { values, nulls } => push_number(values, nulls, false, true),
            Column::Text(text) => text.push(None),
            Column::Coded { .. } => self.to_values().push(Value::Null),
            Column::Values(values) => values.push(Value::Null),
        }
    }

    /// Adds null rows until there are `len`.
    pub fn pad(&mut self, len: usize) {
        while self.len() < len {
            match self {
                Column::Null(own) => *own = len,
                _ => self.push_null(),
            }
        }
    }

    /// Drops rows beyond `len`.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Column::Null(own) => *own = len.min(*own),
            Column::Longs { values, nulls } => cut(values, nulls, len),
            Column::Floats { values, nulls } => cut(values, nulls, len),
            Column::Doubles { values, nulls } => cut(values, nulls, len),
            Column::Bools { values, nulls } => cut(values, nulls, len),
            Column::Text(text) if text.len() > len => {
                text.bytes.truncate(text.offsets[len] as usize);
                text.offsets.truncate(len + 1);
                text.nulls.truncate(len);
            }
            Column::Text(_) => {}
            Column::Coded { codes, .. } => codes.truncate(len),
            Column::Values(values) => values.truncate(len),
        }
    }

    /// Adds a whole number.
    #[inline]
    pub fn push_long(&mut self, value: i64) {
        match self {
            Column::Longs { values, nulls } => push_number(values, nulls, value, false),
            Column::Null(len) => {
                let len = *len;
                *self = Column::Longs { values: vec![0; len], nulls: Nulls::all(len) };
                self.push_long(value);
            }
            _ => self.to_values().push(Value::Long(value)),
        }
    }

    /// Adds a number with a fraction.
    #[inline]
    pub fn push_double(&mut self, value: f64) {
        match self {
            Column::Doubles { values, nulls } => push_number(values, nulls, value, false),
            Column::Null(len) => {
                let len = *len;
                *self = Column::Doubles { values: vec![0.0; len], nulls: Nulls::all(len) };
                self.push_double(value);
            }
            _ => self.to_values().push(Value::Double(value)),
        }
    }

    /// Adds true or false.
    pub fn push_bool(&mut self, value: bool) {
        match self {
            Column::Bools { values, nulls } => push_number(values, nulls, value, false),
            Column::Null(len) => {
                let len = *len;
                *self = Column::Bools { values: vec![false; len], nulls: Nulls::all(len) };
                self.push_bool(value);
            }
            _ => self.to_values().push(bool_value(value)),
        }
    }

    /// Adds text.
    #[inline]
    pub fn push_text(&mut self, value: &str) {
        match self {
            Column::Text(text) => text.push(Some(value)),
            Column::Null(len) => {
                let mut text = Text::nulls_only(*len);
                text.push(Some(value));
                *self = Column::Text(text);
            }
            _ => self.to_values().push(Value::from(value)),
        }
    }

    /// Adds any value.
    pub fn push_value(&mut self, value: Value) {
        match value {
            Value::Null => self.push_null(),
            Value::Long(value) => self.push_long(value),
            Value::Double(value) => self.push_double(value),
            Value::String(text) => self.push_text(&text),
            Value::Json(json) if json.is_boolean() => self.push_bool(json.as_bool().unwrap_or(false)),
            other => self.to_values().push(other),
        }
    }

    /// The value of a row.
    pub fn value(&self, row: usize) -> Value {
        match self {
            Column::Null(_) => Value::Null,
            Column::Longs { values, nulls } => {
                if nulls.is_null(row) {
                    Value::Null
                } else {
                    Value::Long(values[row])
                }
            }
            Column::Floats { values, nulls } => {
                if nulls.is_null(row) {
                    Value::Null
                } else {
                    Value::Float(values[row])
                }
            }
            Column::Doubles { values, nulls } => {
                if nulls.is_null(row) {
                    Value::Null
                } else {
                    Value::Double(values[row])
                }
            }
            Column::Bools { values, nulls } => {
                if nulls.is_null(row) {
                    Value::Null
                } else {
                    bool_value(values[row])
                }
            }
            Column::Text(text) => text.get(row).map_or(Value::Null, Value::from),
            Column::Coded { values, codes } => values[codes[row] as usize].clone().map_or(Value::Null, Value::String),
            Column::Values(values) => values[row].clone(),
        }
    }

    /// The text form of a row's value, as Java's `String.valueOf` has it; `None` for null.
    pub fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Column::Text(text) => text.get(row).map(Cow::Borrowed),
            Column::Coded { values, codes } => values[codes[row] as usize].as_deref().map(Cow::Borrowed),
            other => value_text(&other.value(row)).map(Cow::Owned),
        }
    }

    /// Turns the column into plain values.
    pub fn to_values(&mut self) -> &mut Vec<Value> {
        if !matches!(self, Column::Values(_)) {
            let values: Vec<Value> = (0..self.len()).map(|row| self.value(row)).collect();
            *self = Column::Values(values);
        }
        match self {
            Column::Values(values) => values,
            _ => unreachable!("just made"),
        }
    }

    /// Bytes held, roughly.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Column::Null(_) => 16,
            Column::Longs { values, .. } => values.len() * 9,
            Column::Doubles { values, .. } => values.len() * 9,
            Column::Floats { values, .. } => values.len() * 5,
            Column::Bools { values, .. } => values.len() * 2,
            Column::Text(text) => text.bytes.len() + text.offsets.len() * 5,
            Column::Coded { codes, values } => codes.len() * 4 + values.len() * 40,
            Column::Values(values) => values.len() * 48,
        }
    }
}

/// True or false as a value: rooms below have no such type, in JSON it is itself.
pub fn bool_value(value: bool) -> Value {
    Value::Json(Arc::new(serde_json::Value::Bool(value)))
}

fn push_number<T>(values: &mut Vec<T>, nulls: &mut Nulls, value: T, null: bool) {
    nulls.push(null, values.len());
    values.push(value);
}

fn cut<T>(values: &mut Vec<T>, nulls: &mut Nulls, len: usize) {
    values.truncate(len);
    nulls.truncate(len);
}

/// `String.valueOf` of a value that Druid's parsers make.
pub fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Long(v) => Some(v.to_string()),
        Value::Float(v) => Some(float_to_text(*v)),
        Value::Double(v) => Some(double_to_text(*v)),
        Value::String(text) => Some(text.to_string()),
        Value::Array(list) => {
            let texts: Vec<String> = list.iter().map(|v| value_text(v).unwrap_or_else(|| "null".to_owned())).collect();
            Some(format!("[{}]", texts.join(", ")))
        }
        Value::Json(json) => json_text(json),
        Value::Complex(_, bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// `String.valueOf` of a parsed JSON value: maps as `{a=1, b=[2, 3]}`.
pub fn json_text(json: &serde_json::Value) -> Option<String> {
    use serde_json::Value as Json;
    let inner = |v: &Json| json_text(v).unwrap_or_else(|| "null".to_owned());
    match json {
        Json::Null => None,
        Json::Bool(flag) => Some(flag.to_string()),
        Json::String(text) => Some(text.clone()),
        Json::Number(_) => value_text(&json_value(json)),
        Json::Array(list) => Some(format!("[{}]", list.iter().map(inner).collect::<Vec<_>>().join(", "))),
        Json::Object(map) => {
            Some(format!("{{{}}}", map.iter().map(|(k, v)| format!("{k}={}", inner(v))).collect::<Vec<_>>().join(", ")))
        }
    }
}

/// A parsed JSON value as a column's value; lists of scalars become arrays (`JSONFlattenerMaker.finalizeConversion`).
pub fn json_value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(_) => Value::Json(Arc::new(json.clone())),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Long(whole),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) if list.iter().all(|v| !v.is_array() && !v.is_object()) => {
            Value::Array(list.iter().map(json_value).collect())
        }
        Json::Array(_) | Json::Object(_) => Value::Json(Arc::new(json.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_type_keeps_the_text_of_the_first() {
        let mut column = Column::Null(0);
        column.push_null();
        column.push_long(1);
        column.push_double(1.0);
        column.push_bool(true);
        column.push_text("x");
        let texts: Vec<_> = (0..5).map(|row| column.text(row).map(Cow::into_owned)).collect();
        assert_eq!(texts, [None, Some("1".into()), Some("1.0".into()), Some("true".into()), Some("x".into())]);
    }

    #[test]
    fn truncated_rows_leave_no_trace() {
        let mut column = Column::Null(0);
        column.push_text("a");
        column.push_text("b");
        column.truncate(1);
        column.pad(3);
        column.push_text("c");
        assert_eq!(
            (0..4).map(|r| column.text(r).map(Cow::into_owned)).collect::<Vec<_>>(),
            [Some("a".into()), None, None, Some("c".into())]
        );
    }

    #[test]
    fn maps_read_as_javas() {
        let json = serde_json::json!({"a": 1, "b": [2.0, null], "c": {"d": "x"}});
        assert_eq!(json_text(&json).unwrap(), "{a=1, b=[2.0, null], c={d=x}}");
    }
}
