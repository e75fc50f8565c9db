//! Values of `auto` and `json` columns as tagged bytes, so that equal values are equal bytes: they can be interned like
//! strings and walked without building trees. Numbers are little endian, texts and lists carry their lengths.

use std::cmp::Ordering;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::Value;
use serde_json::Value as Json;

use crate::order::utf16_order;
use crate::write::data::ByteTable;

const NULL: u8 = 0;
const STRING: u8 = 1;
const LONG: u8 = 2;
const DOUBLE: u8 = 3;
const BOOLEAN: u8 = 4;
const ARRAY: u8 = 5;
const OBJECT: u8 = 6;

/// Distinct packed values; code 0 is always null.
#[derive(Debug, Clone)]
pub struct PackedTable {
    values: ByteTable,
}

impl Default for PackedTable {
    fn default() -> Self {
        let mut values = ByteTable::default();
        values.push(&[NULL]);
        PackedTable { values }
    }
}

impl PackedTable {
    /// How null is packed.
    pub(crate) const NULL_BYTES: &'static [u8] = &[NULL];

    /// Of distinct packed values, the first of which is null.
    pub(crate) fn from_values(values: ByteTable) -> Self {
        PackedTable { values }
    }

    /// Number of codes.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when null is the only value.
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    /// The bytes of a code.
    pub(crate) fn bytes(&self, code: u32) -> &[u8] {
        self.values.get(code as usize)
    }

    /// The value of a code.
    pub(crate) fn view(&self, code: u32) -> Packed<'_> {
        Packed::read(self.bytes(code))
    }
}

/// One value, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum Packed<'a> {
    Null,
    String(&'a str),
    Long(i64),
    Double(f64),
    Boolean(bool),
    Array(PackedItems<'a>),
    Object(PackedItems<'a>),
}

/// Elements of an array, or names and values of an object.
#[derive(Clone, Copy)]
pub(crate) struct PackedItems<'a> {
    count: u32,
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    /// The value that these bytes begin with.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        take(&mut rest)
    }

    /// True for what is not an array or object.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(self, Packed::Array(_) | Packed::Object(_))
    }

    /// An owned value; objects, and arrays that hold them, become JSON.
    pub(crate) fn to_value(self) -> Value {
        match self {
            Packed::Null => Value::Null,
            Packed::String(text) => Value::from(text),
            Packed::Long(value) => Value::Long(value),
            Packed::Double(value) => Value::Double(value),
            Packed::Boolean(value) => Value::Long(i64::from(value)),
            Packed::Array(items) if items.elements().all(|e| e.is_plain()) => {
                Value::Array(items.elements().map(Packed::to_value).collect())
            }
            Packed::Array(_) | Packed::Object(_) => Value::Json(Arc::new(self.to_json())),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Packed::Long(value) => Some(*value as f64),
            Packed::Double(value) => Some(*value),
            Packed::Boolean(value) => Some(f64::from(u8::from(*value))),
            _ => None,
        }
    }

    fn is_plain(&self) -> bool {
        match self {
            Packed::Object(_) => false,
            Packed::Array(items) => items.elements().all(|e| e.is_plain()),
            _ => true,
        }
    }

    /// As JSON; numbers that JSON cannot hold become texts, as Jackson writes them.
    pub(crate) fn to_json(self) -> Json {
        match self {
            Packed::Null => Json::Null,
            Packed::String(text) => Json::from(text),
            Packed::Long(value) => Json::from(value),
            Packed::Double(value) if value.is_finite() => Json::from(value),
            Packed::Double(value) if value.is_nan() => Json::from("NaN"),
            Packed::Double(value) => Json::from(if value > 0.0 { "Infinity" } else { "-Infinity" }),
            Packed::Boolean(value) => Json::from(value),
            Packed::Array(items) => Json::Array(items.elements().map(Packed::to_json).collect()),
            Packed::Object(items) => Json::Object(items.fields().map(|(k, v)| (k.to_owned(), v.to_json())).collect()),
        }
    }
}

impl<'a> PackedItems<'a> {
    /// The elements of an array.
    pub(crate) fn elements(self) -> impl Iterator<Item = Packed<'a>> {
        let mut rest = self.rest;
        (0..self.count).map(move |_| take(&mut rest))
    }

    /// The names and values of an object, in the order given.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'a str, Packed<'a>)> {
        let mut rest = self.rest;
        (0..self.count).map(move |_| {
            let name = take_text(&mut rest);
            (name, take(&mut rest))
        })
    }
}

const WHOLE: &str = "packed values are written whole by this module";

fn split<'a>(rest: &mut &'a [u8], size: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at_checked(size).expect(WHOLE);
    *rest = tail;
    head
}

fn take_count(rest: &mut &[u8]) -> u32 {
    u32::from_le_bytes(split(rest, 4).try_into().expect(WHOLE))
}

fn take_text<'a>(rest: &mut &'a [u8]) -> &'a str {
    let size = take_count(rest) as usize;
    std::str::from_utf8(split(rest, size)).expect("packed from a str")
}

fn take<'a>(rest: &mut &'a [u8]) -> Packed<'a> {
    match split(rest, 1)[0] {
        NULL => Packed::Null,
        STRING => Packed::String(take_text(rest)),
        LONG => Packed::Long(i64::from_le_bytes(split(rest, 8).try_into().expect(WHOLE))),
        DOUBLE => Packed::Double(f64::from_le_bytes(split(rest, 8).try_into().expect(WHOLE))),
        BOOLEAN => Packed::Boolean(split(rest, 1)[0] != 0),
        tag => {
            // Lists carry the bytes of their content, so that a walker can skip them.
            let count = take_count(rest);
            let size = take_count(rest) as usize;
            let items = PackedItems { count, rest: split(rest, size) };
            if tag == ARRAY { Packed::Array(items) } else { Packed::Object(items) }
        }
    }
}

/// Orders values: null, numbers, texts, arrays, objects; within a kind by value, element by element.
pub(crate) fn compare_packed(a: Packed<'_>, b: Packed<'_>) -> Ordering {
    let kind = |value: &Packed<'_>| match value {
        Packed::Null => 0,
        Packed::Long(_) | Packed::Double(_) | Packed::Boolean(_) => 1,
        Packed::String(_) => 2,
        Packed::Array(_) => 3,
        Packed::Object(_) => 4,
    };
    let items = |a: PackedItems<'_>, b: PackedItems<'_>| {
        let pairs = a.elements().zip(b.elements()).map(|(a, b)| compare_packed(a, b));
        pairs.into_iter().find(|order| order.is_ne()).unwrap_or(a.count.cmp(&b.count))
    };
    match (a, b) {
        (Packed::Long(a), Packed::Long(b)) => a.cmp(&b),
        (Packed::String(a), Packed::String(b)) => utf16_order(a, b),
        (Packed::Array(a), Packed::Array(b)) => items(a, b),
        (Packed::Object(a), Packed::Object(b)) => {
            let pairs = a.fields().zip(b.fields());
            let order =
                |((n, a), (m, b)): ((&str, Packed<'_>), (&str, Packed<'_>))| utf16_order(n, m).then_with(|| compare_packed(a, b));
            pairs.map(order).find(|order| order.is_ne()).unwrap_or(a.count.cmp(&b.count))
        }
        (a, b) => match (a.number(), b.number()) {
            // A long and a double of one value are different entries: the long comes first.
            (Some(x), Some(y)) => {
                x.total_cmp(&y).then_with(|| matches!(a, Packed::Double(_)).cmp(&matches!(b, Packed::Double(_))))
            }
            _ => kind(&a).cmp(&kind(&b)),
        },
    }
}

/// Packs a string.
pub(crate) fn put_string(text: &str, out: &mut Vec<u8>) {
    out.push(STRING);
    put_text(text, out);
}

/// Packs a long.
pub(crate) fn put_long(value: i64, out: &mut Vec<u8>) {
    out.push(LONG);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Packs a double.
pub(crate) fn put_double(value: f64, out: &mut Vec<u8>) {
    out.push(DOUBLE);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_list(tag: u8, count: usize, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    out.push(tag);
    out.extend_from_slice(&(count as u32).to_le_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out)?;
    let size = u32::try_from(out.len() - at - 4).map_err(|_| DruidError::invalid_input("a nested value of more than 4 GiB"))?;
    out[at..at + 4].copy_from_slice(&size.to_le_bytes());
    Ok(())
}

/// Packs any value.
pub(crate) fn put_value(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.push(NULL),
        Value::Long(value) => put_long(*value, out),
        Value::Float(value) => put_double(f64::from(*value), out),
        Value::Double(value) => put_double(*value, out),
        Value::String(text) => put_string(text, out),
        Value::Array(items) => {
            put_list(ARRAY, items.len(), out, |out| items.iter().try_for_each(|item| put_value(item, out)))?;
        }
        Value::Json(json) => put_json(json, out)?,
        Value::Complex(name, _) => {
            return Err(DruidError::unsupported(format!("a value of type COMPLEX<{name}> in an auto or json column")));
        }
    }
    Ok(())
}

/// Packs a JSON document.
pub(crate) fn put_json(json: &Json, out: &mut Vec<u8>) -> Result<()> {
    match json {
        Json::Null => out.push(NULL),
        Json::Bool(value) => out.extend_from_slice(&[BOOLEAN, u8::from(*value)]),
        Json::Number(number) => match number.as_i64() {
            Some(value) => put_long(value, out),
            None => put_double(number.as_f64().unwrap_or(f64::NAN), out),
        },
        Json::String(text) => put_string(text, out),
        Json::Array(items) => put_list(ARRAY, items.len(), out, |out| items.iter().try_for_each(|item| put_json(item, out)))?,
        Json::Object(fields) => put_list(OBJECT, fields.len(), out, |out| {
            fields.iter().try_for_each(|(name, value)| {
                put_text(name, out);
                put_json(value, out)
            })
        })?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_comes_back() {
        let json = json!({"a": [1, 2.5, "x", null, true, {"b": {}}], "c": "", "d": -7});
        let mut bytes = Vec::new();
        put_json(&json, &mut bytes).unwrap();
        assert_eq!(Packed::read(&bytes).to_json(), json);
    }
}
