//! The JSON before a column's payload (`ColumnDescriptor`, `ColumnPartSerde`).

use ovate_base::Result;
use serde::Deserialize;
use serde_json::Value;

use super::bitmap::BitmapKind;
use super::cursor::{ByteOrder, Cursor, damaged};

/// What a column file says of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ColumnDescriptor {
    pub(crate) value_type: String,
    #[serde(default)]
    #[allow(dead_code, reason = "the part's flags say the same and are what decides")]
    pub(crate) has_multiple_values: bool,
    #[serde(default)]
    pub(crate) parts: Vec<Value>,
}

impl ColumnDescriptor {
    /// Reads a descriptor that stands before the payload (V9).
    pub(crate) fn read(cursor: &mut Cursor) -> Result<Self> {
        Self::parse(&cursor.sized("length of a column descriptor")?)
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let value = serde_json::from_slice(bytes).map_err(|e| damaged(format!("column descriptor is not JSON: {e}")))?;
        Self::from_json(value)
    }

    /// Checks a descriptor's JSON.
    pub(crate) fn from_json(value: Value) -> Result<Self> {
        let descriptor: ColumnDescriptor =
            serde_json::from_value(value).map_err(|e| damaged(format!("bad column descriptor: {e}")))?;
        let known = ["LONG", "DOUBLE", "FLOAT", "STRING", "COMPLEX", "ARRAY"];
        if !known.contains(&descriptor.value_type.to_ascii_uppercase().as_str()) {
            return Err(damaged(format!("unknown value type in a column descriptor. type={}", descriptor.value_type)));
        }
        Ok(descriptor)
    }

    /// The one part that columns have.
    pub(crate) fn part(&self) -> Result<&Value> {
        match &self.parts[..] {
            [part] => Ok(part),
            parts => Err(damaged(format!("column must have one part. parts={}", parts.len()))),
        }
    }
}

/// The `type` of a part.
pub(crate) fn part_type(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// `byteOrder`; little endian where nothing is said.
pub(crate) fn byte_order(json: &Value) -> Result<ByteOrder> {
    match json.get("byteOrder").and_then(Value::as_str) {
        None | Some("LITTLE_ENDIAN") => Ok(ByteOrder::Little),
        Some("BIG_ENDIAN") => Ok(ByteOrder::Big),
        Some(other) => Err(damaged(format!("unknown byte order. value={other}"))),
    }
}

/// `bitmapSerdeFactory`.
pub(crate) fn bitmap_kind(json: &Value) -> Result<BitmapKind> {
    BitmapKind::from_json(json.get("bitmapSerdeFactory"))
}
