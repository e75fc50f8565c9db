//! The bytes of a partial result. Layout: `O V P version kind`, then the kind's fields. Counts are LEB128; numbers are
//! little endian. A column is a tag byte, a row count, and its values; strings carry a dictionary of the entries that
//! occur. Every row costs at least a bit, so that what is decoded never outgrows what was received.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Value, Vector};

use super::dictionary::TextDictionary;

/// Raised with every change of the layout; another version is refused.
pub const FORMAT_VERSION: u8 = 1;
/// How deep values may lie inside each other.
const DEPTH_MAX: usize = 32;

pub(super) fn put_count(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_count(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(super) fn put_long(n: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn put_nulls(nulls: Option<&[bool]>, out: &mut Vec<u8>) {
    let Some(nulls) = nulls else { return out.push(0) };
    out.push(1);
    for chunk in nulls.chunks(8) {
        out.push(chunk.iter().enumerate().fold(0, |byte, (bit, null)| byte | u8::from(*null) << bit));
    }
}

/// Appends one value.
pub(crate) fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0),
        Value::Long(n) => {
            out.push(1);
            put_long(*n, out);
        }
        Value::Float(f) => {
            out.push(2);
            out.extend_from_slice(&f.to_le_bytes());
        }
        Value::Double(d) => {
            out.push(3);
            out.extend_from_slice(&d.to_le_bytes());
        }
        Value::String(text) => {
            out.push(4);
            put_bytes(text.as_bytes(), out);
        }
        Value::Array(items) => {
            out.push(5);
            put_count(items.len() as u64, out);
            items.iter().for_each(|item| encode_value(item, out));
        }
        Value::Json(json) => {
            out.push(6);
            put_bytes(json.to_string().as_bytes(), out);
        }
        Value::Complex(name, bytes) => {
            out.push(7);
            put_bytes(name.as_bytes(), out);
            put_bytes(bytes, out);
        }
    }
}

/// Appends what makes a value a group of its own. Pairs of a time and a value are told apart by the value alone
/// (`SerializablePair.createNullHandlingComparator`).
pub(crate) fn encode_key(value: &Value, out: &mut Vec<u8>) {
    const TIME_BYTES: usize = 8;
    match value {
        Value::Complex(name, bytes) if name.starts_with("serializablePair") && bytes.len() >= TIME_BYTES => {
            out.push(8);
            put_bytes(&bytes[TIME_BYTES..], out);
        }
        other => encode_value(other, out),
    }
}

/// Appends one column.
pub(super) fn put_vector(vector: &Vector, out: &mut Vec<u8>) -> Result<()> {
    let mut head = |tag: u8, len: usize| {
        out.push(tag);
        put_count(len as u64, out);
    };
    match vector {
        Vector::Null { len } => {
            head(0, *len);
            out.resize(out.len() + len.div_ceil(8), 0);
        }
        Vector::Long { values, nulls } => {
            head(1, values.len());
            put_nulls(nulls.as_deref(), out);
            values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
        Vector::Float { values, nulls } => {
            head(2, values.len());
            put_nulls(nulls.as_deref(), out);
            values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
        Vector::Double { values, nulls } => {
            head(3, values.len());
            put_nulls(nulls.as_deref(), out);
            values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
        Vector::Codes { dictionary, codes } => {
            head(4, codes.len());
            put_codes(dictionary.as_ref(), codes, out)?;
        }
        Vector::String(values) => {
            head(5, values.len());
            for value in values {
                match value {
                    None => put_count(0, out),
                    Some(text) => {
                        put_count(text.len() as u64 + 1, out);
                        out.extend_from_slice(text.as_bytes());
                    }
                }
            }
        }
        Vector::Any { column_type, values } => {
            head(6, values.len());
            put_bytes(column_type.to_string().as_bytes(), out);
            values.iter().for_each(|value| encode_value(value, out));
        }
    }
    Ok(())
}

fn put_codes(dictionary: &dyn ovate_compute::Dictionary, codes: &[u32], out: &mut Vec<u8>) -> Result<()> {
    let mut map = vec![u32::MAX; dictionary.cardinality() as usize];
    let mut used = Vec::new();
    for code in codes {
        let entry = map.get_mut(*code as usize).ok_or_else(|| DruidError::runtime("dictionary code out of range"))?;
        if *entry == u32::MAX {
            *entry = used.len() as u32;
            used.push(*code);
        }
    }
    put_count(used.len() as u64, out);
    for code in &used {
        match dictionary.get(*code)? {
            None => put_count(0, out),
            Some(text) => {
                put_count(text.len() as u64 + 1, out);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
    let width = code_width(used.len());
    for code in codes {
        out.extend_from_slice(&map[*code as usize].to_le_bytes()[..width]);
    }
    Ok(())
}

fn code_width(cardinality: usize) -> usize {
    match cardinality {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        0x1_0001..=0x100_0000 => 3,
        _ => 4,
    }
}

/// Reads from bytes that nobody vouches for.
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    fn short() -> DruidError {
        DruidError::runtime("partial result is truncated or damaged")
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.rest.len() {
            return Err(Self::short());
        }
        let (head, tail) = self.rest.split_at(count);
        self.rest = tail;
        Ok(head)
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn count(&mut self) -> Result<u64> {
        let (mut n, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7F).checked_shl(shift).ok_or_else(Self::short)?;
            if byte < 0x80 {
                return Ok(n);
            }
            shift += 7;
            if shift > 63 {
                return Err(Self::short());
            }
        }
    }

    /// A count of things that take at least one bit each.
    pub fn len(&mut self) -> Result<usize> {
        let n = self.count()?;
        if n > self.rest.len() as u64 * 8 {
            return Err(Self::short());
        }
        Ok(n as usize)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count()?;
        self.take(usize::try_from(len).map_err(|_| Self::short())?)
    }

    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Self::short())
    }

    pub fn long(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives exactly N bytes"))
    }

    pub fn finished(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Self::short()) }
    }

    fn nulls(&mut self, len: usize) -> Result<Option<Vec<bool>>> {
        if self.byte()? == 0 {
            return Ok(None);
        }
        let bits = self.take(len.div_ceil(8))?;
        Ok(Some((0..len).map(|row| bits[row / 8] >> (row % 8) & 1 == 1).collect()))
    }

    fn numbers<const N: usize, T>(&mut self, len: usize, read: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        let bytes = self.take(len.checked_mul(N).ok_or_else(Self::short)?)?;
        Ok(bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().expect("chunks of exactly N"))).collect())
    }

    fn opt_text(&mut self) -> Result<Option<&'a str>> {
        match self.count()? {
            0 => Ok(None),
            n => {
                let bytes = self.take(usize::try_from(n - 1).map_err(|_| Self::short())?)?;
                std::str::from_utf8(bytes).map(Some).map_err(|_| Self::short())
            }
        }
    }

    pub fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > DEPTH_MAX {
            return Err(Self::short());
        }
        Ok(match self.byte()? {
            0 => Value::Null,
            1 => Value::Long(self.long()?),
            2 => Value::Float(f32::from_le_bytes(self.array()?)),
            3 => Value::Double(f64::from_le_bytes(self.array()?)),
            4 => Value::from(self.text()?),
            5 => {
                let len = self.len()?;
                let mut items = Vec::new();
                for _ in 0..len {
                    items.push(self.value(depth + 1)?);
                }
                Value::Array(items.into())
            }
            6 => Value::Json(Arc::new(serde_json::from_str(self.text()?).map_err(|_| Self::short())?)),
            7 => {
                let name = self.text()?;
                Value::Complex(Arc::from(name), Bytes::copy_from_slice(self.bytes()?))
            }
            _ => return Err(Self::short()),
        })
    }

    pub fn vector(&mut self) -> Result<Vector> {
        let tag = self.byte()?;
        let len = self.len()?;
        Ok(match tag {
            0 => {
                self.take(len.div_ceil(8))?;
                Vector::Null { len }
            }
            1 => {
                let nulls = self.nulls(len)?;
                Vector::Long { values: self.numbers(len, i64::from_le_bytes)?, nulls }
            }
            2 => {
                let nulls = self.nulls(len)?;
                Vector::Float { values: self.numbers(len, f32::from_le_bytes)?, nulls }
            }
            3 => {
                let nulls = self.nulls(len)?;
                Vector::Double { values: self.numbers(len, f64::from_le_bytes)?, nulls }
            }
            4 => self.codes(len)?,
            5 => {
                let mut values = Vec::new();
                for _ in 0..len {
                    values.push(self.opt_text()?.map(Arc::from));
                }
                Vector::String(values)
            }
            6 => {
                let column_type = ColumnType::parse(self.text()?)?;
                let mut values = Vec::new();
                for _ in 0..len {
                    values.push(self.value(0)?);
                }
                Vector::Any { column_type, values }
            }
            _ => return Err(Self::short()),
        })
    }

    fn codes(&mut self, len: usize) -> Result<Vector> {
        let cardinality = self.len()?;
        let mut dictionary = TextDictionary { text: String::new(), ends: Vec::new(), null: None };
        for code in 0..cardinality {
            match self.opt_text()? {
                None => dictionary.null = Some(code as u32),
                Some(text) => dictionary.text.push_str(text),
            }
            dictionary.ends.push(dictionary.text.len());
        }
        let width = code_width(cardinality);
        let bytes = self.take(len.checked_mul(width).ok_or_else(Self::short)?)?;
        let mut codes = Vec::with_capacity(len);
        for chunk in bytes.chunks_exact(width) {
            let mut code = [0u8; 4];
            code[..width].copy_from_slice(chunk);
            let code = u32::from_le_bytes(code);
            if code as usize >= cardinality {
                return Err(Self::short());
            }
            codes.push(code);
        }
        Ok(Vector::Codes { dictionary: Arc::new(dictionary), codes })
    }
}
