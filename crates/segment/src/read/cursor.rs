//! Reads little pieces off the front of untrusted bytes: every read is checked against what is left, and what is cut off
//! stays a slice of the same mapping. Also the names that errors carry ([`Place`]) and byte order.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::{DruidError, Result};

/// An error about damaged bytes; the caller that knows segment and column adds them ([`At::at`]).
pub(crate) fn damaged(message: impl Into<String>) -> DruidError {
    let mut error = DruidError::runtime(message);
    error.code = super::DAMAGED.to_owned();
    error
}

/// Segment and column, for error messages.
#[derive(Clone)]
pub(crate) struct Place(Arc<str>);

impl Place {
    pub(crate) fn new(segment: &str, column: &str) -> Self {
        Place(format!("segment={segment} column={column}").into())
    }
}

/// Adds the place to an error.
pub(crate) trait At {
    fn at(self, place: &Place) -> Self;
    fn opening(self, place: &Place) -> Self;
}

impl<T> At for Result<T> {
    fn at(self, place: &Place) -> Self {
        self.map_err(|e| e.prefixed(format_args!("cannot read column. {}", place.0)))
    }

    fn opening(self, place: &Place) -> Self {
        self.map_err(|e| e.prefixed(format_args!("cannot open column. {}", place.0)))
    }
}

/// Order of multi-byte values, as a column's descriptor names it (`byteOrder`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(crate) fn i32(self, bytes: [u8; 4]) -> i32 {
        match self {
            ByteOrder::Little => i32::from_le_bytes(bytes),
            ByteOrder::Big => i32::from_be_bytes(bytes),
        }
    }

    pub(crate) fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            ByteOrder::Little => i64::from_le_bytes(bytes),
            ByteOrder::Big => i64::from_be_bytes(bytes),
        }
    }
}

/// Reads forward through bytes.
#[derive(Clone)]
pub(crate) struct Cursor {
    data: Bytes,
    position: usize,
}

impl Cursor {
    pub(crate) fn new(data: Bytes) -> Self {
        Cursor { data, position: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.data.len() - self.position
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.data.get(self.position).copied()
    }

    /// The next `count` bytes, without copying them.
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes> {
        if count > self.remaining() {
            return Err(damaged(format!("bytes end too early. wanted={count} left={}", self.remaining())));
        }
        let start = self.position;
        self.position += count;
        Ok(self.data.slice(start..start + count))
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> Bytes {
        let start = self.position;
        self.position = self.data.len();
        self.data.slice(start..)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let left = &self.data[self.position..];
        let Some(bytes) = left.first_chunk::<N>() else {
            return Err(damaged(format!("bytes end too early. wanted={N} left={}", left.len())));
        };
        self.position += N;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn i32_be(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self, order: ByteOrder) -> Result<i32> {
        Ok(order.i32(self.array()?))
    }

    pub(crate) fn i64_be(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A big-endian `i32` that counts something.
    pub(crate) fn count_be(&mut self, what: &str) -> Result<usize> {
        let value = self.i32_be()?;
        usize::try_from(value).map_err(|_| damaged(format!("{what} is negative. value={value}")))
    }

    /// A column-order `i32` that counts something.
    pub(crate) fn count(&mut self, order: ByteOrder, what: &str) -> Result<usize> {
        let value = self.i32(order)?;
        usize::try_from(value).map_err(|_| damaged(format!("{what} is negative. value={value}")))
    }

    /// `i32be` length and that many bytes (`SerializerUtils`, `ByteBufferWriter`).
    pub(crate) fn sized(&mut self, what: &str) -> Result<Bytes> {
        let length = self.count_be(what)?;
        self.take(length)
    }

    /// Druid's `VByte`: little-endian groups of 7 bits, the last one with its high bit set.
    pub(crate) fn vbyte(&mut self) -> Result<usize> {
        let (value, used) = vbyte(&self.data[self.position..])?;
        self.position += used;
        Ok(value)
    }
}

/// A `VByte` at the front of `bytes` and the number of bytes it takes.
pub(crate) fn vbyte(bytes: &[u8]) -> Result<(usize, usize)> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 != 0 {
            let value = i32::try_from(value).map_err(|_| damaged("variable length integer is too large"))?;
            return Ok((value as usize, i + 1));
        }
    }
    Err(damaged("variable length integer has no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vbytes_end_with_the_high_bit_set() {
        assert_eq!(vbyte(&[0x80]).unwrap(), (0, 1));
        assert_eq!(vbyte(&[0x2C, 0x82]).unwrap(), (300, 2));
        assert_eq!(vbyte(&[0, 0, 0x81]).unwrap(), (16384, 3));
        assert!(vbyte(&[0, 0]).is_err());
        assert!(vbyte(&[0x7F, 0x7F, 0x7F, 0x7F, 0xFF]).is_err());
    }

    #[test]
    fn reads_beyond_the_end_are_errors() {
        let mut cursor = Cursor::new(Bytes::from_static(&[0, 0, 0, 9, 1]));
        assert!(cursor.clone().sized("part").is_err());
        assert_eq!(cursor.i32_be().unwrap(), 9);
        assert!(cursor.i32_be().is_err());
    }
}
