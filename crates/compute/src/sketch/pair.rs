//! First and last pairs, `(time, value)`, as one value in memory: `SerializablePairLongString` and its numeric sisters.
//! Strings use the bytes of Druid's `SerializablePairLongStringComplexMetricSerde` (`i64be` time, `i32be` length, UTF-8;
//! length 0 is null), with length -1 for the empty string, which Druid reads as null. Numeric pairs have no stored form of
//! their own outside the column format, so theirs is ours: `i64be` time, `u8` 1 for null, else the value big endian.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::{DruidError, Result};

use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// Joda's largest instant: the time of a "first" that saw nothing.
pub const MAX_TIME: i64 = i64::MAX / 2;
/// Joda's smallest instant: the time of a "last" that saw nothing.
pub const MIN_TIME: i64 = i64::MIN / 2;

/// A type that first and last aggregators work on.
pub trait PairValue: Clone + Send + Sync + std::fmt::Debug + 'static {
    /// Type of the value.
    const TYPE: ColumnType;
    /// Complex type name of the pair.
    const PAIR: &'static str;
    /// The value after the time; `None` is null.
    fn write(value: Option<&Self>, out: &mut Vec<u8>);
    /// Reads what `write` wrote; `None` when damaged.
    fn read(bytes: &[u8]) -> Option<Option<Self>>;
    /// From any value, by Druid's conversions.
    fn from_value(value: &Value) -> Option<Self>;
    /// The value cut to this many UTF-8 bytes, where it is text (`StringUtils.chop`).
    fn chopped(self, _max_bytes: Option<usize>) -> Self {
        self
    }
    /// Values as a vector.
    fn vector(values: Vec<Option<Self>>) -> Vector;
}

/// The bytes of a pair.
pub fn encode<V: PairValue>(time: i64, value: Option<&V>) -> Bytes {
    let mut bytes = Vec::with_capacity(20);
    bytes.extend_from_slice(&time.to_be_bytes());
    V::write(value, &mut bytes);
    Bytes::from(bytes)
}

/// The pair in these bytes.
pub fn decode<V: PairValue>(bytes: &[u8]) -> Result<(i64, Option<V>)> {
    let damaged = || DruidError::runtime(format!("damaged {} value of {} bytes", V::PAIR, bytes.len()));
    let (time, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    Ok((i64::from_be_bytes(*time), V::read(rest).ok_or_else(damaged)?))
}

macro_rules! numeric_pair {
    ($type:ty, $variant:ident, $pair:literal) => {
        impl PairValue for $type {
            const TYPE: ColumnType = ColumnType::$variant;
            const PAIR: &'static str = $pair;
            fn write(value: Option<&Self>, out: &mut Vec<u8>) {
                out.push(u8::from(value.is_none()));
                if let Some(value) = value {
                    out.extend_from_slice(&value.to_be_bytes());
                }
            }
            fn read(bytes: &[u8]) -> Option<Option<Self>> {
                match bytes.split_first()? {
                    (0, rest) => Some(Some(<$type>::from_be_bytes(rest.try_into().ok()?))),
                    (1, []) => Some(None),
                    _ => None,
                }
            }
            fn from_value(value: &Value) -> Option<Self> {
                crate::aggregate::number::number_of(value)
            }
            fn vector(values: Vec<Option<Self>>) -> Vector {
                let nulls = values.contains(&None).then(|| values.iter().map(Option::is_none).collect());
                Vector::$variant { values: values.into_iter().map(Option::unwrap_or_default).collect(), nulls }
            }
        }
    };
}

numeric_pair!(i64, Long, "serializablePairLongLong");
numeric_pair!(f32, Float, "serializablePairLongFloat");
numeric_pair!(f64, Double, "serializablePairLongDouble");

impl PairValue for Arc<str> {
    const TYPE: ColumnType = ColumnType::String;
    const PAIR: &'static str = "serializablePairLongString";
    fn write(value: Option<&Self>, out: &mut Vec<u8>) {
        let length = value.map_or(0, |text| if text.is_empty() { -1 } else { text.len() as i32 });
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value.map_or(b"", |text| text.as_bytes()));
    }
    fn read(bytes: &[u8]) -> Option<Option<Self>> {
        let (length, text) = bytes.split_first_chunk::<4>()?;
        match i32::from_be_bytes(*length) {
            0 => Some(None),
            -1 => Some(Some(Arc::from(""))),
            length => {
                let text = text.get(..usize::try_from(length).ok()?)?;
                Some(Some(Arc::from(String::from_utf8_lossy(text))))
            }
        }
    }
    fn from_value(value: &Value) -> Option<Self> {
        value.as_text()
    }
    fn chopped(self, max_bytes: Option<usize>) -> Self {
        match max_bytes {
            Some(max_bytes) if self.len() > max_bytes => Arc::from(&self[..self.floor_char_boundary(max_bytes)]),
            _ => self,
        }
    }
    fn vector(values: Vec<Option<Self>>) -> Vector {
        Vector::String(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_time_value_and_null() {
        for value in [None, Some(Arc::from("")), Some(Arc::<str>::from("text"))] {
            assert_eq!(decode::<Arc<str>>(&encode(-5, value.as_ref())).unwrap(), (-5, value));
        }
        assert_eq!(decode::<f64>(&encode(7, Some(&0.5))).unwrap(), (7, Some(0.5)));
        assert_eq!(decode::<i64>(&encode::<i64>(7, None)).unwrap(), (7, None));
        assert!(decode::<f32>(&[0, 1, 2]).is_err());
        assert!(decode::<Arc<str>>(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 65]).is_err());
    }
}
