//! Front-coded dictionaries (`FrontCodedIndexed` of strings, `FrontCodedIntArrayIndexed` of arrays): values in buckets, each
//! storing only what differs from a value before it. Every value is decoded from the start of its bucket.

use bytes::Bytes;
use ovate_base::Result;

use super::cursor::{ByteOrder, Cursor, damaged, vbyte};

/// Header and bucket positions, shared by both kinds.
struct Buckets {
    bucket_size: u32,
    has_null: bool,
    /// Stored values, without null.
    stored: u32,
    offsets: Bytes,
    data: Bytes,
    order: ByteOrder,
}

impl Buckets {
    fn read(cursor: &mut Cursor, order: ByteOrder) -> Result<Self> {
        let bucket_size = u32::from(cursor.u8()?);
        if !bucket_size.is_power_of_two() || bucket_size > 128 {
            return Err(damaged(format!("bad bucket size of a front-coded dictionary. value={bucket_size}")));
        }
        let has_null = match cursor.u8()? {
            0 => false,
            1 => true,
            flag => return Err(damaged(format!("bad null flag of a front-coded dictionary. value={flag}"))),
        };
        let stored = cursor.vbyte()? as u32;
        let size = cursor.vbyte()?;
        let mut body = Cursor::new(cursor.take(size)?);
        let buckets = stored.div_ceil(bucket_size) as usize;
        let offsets = body.take(4 * buckets.saturating_sub(1))?;
        let data = body.rest();
        // A value takes a byte at least, so the count cannot lie by much.
        if stored as usize > data.len() {
            return Err(damaged("front-coded dictionary has fewer bytes than values"));
        }
        Ok(Buckets { bucket_size, has_null, stored, offsets, data, order })
    }

    fn len(&self) -> u32 {
        self.stored + u32::from(self.has_null)
    }

    /// Bytes of a bucket.
    fn bucket(&self, bucket: u32) -> Result<&[u8]> {
        let offset = |i: usize| {
            let bytes = self.offsets[4 * i..4 * i + 4].try_into().expect("four bytes");
            self.order.i32(bytes) as usize
        };
        let i = bucket as usize;
        let start = if i == 0 { 0 } else { offset(i - 1) };
        let end = if i == self.offsets.len() / 4 { self.data.len() } else { offset(i) };
        self.data.get(start..end).ok_or_else(|| damaged(format!("bucket of a front-coded dictionary lies outside. bucket={i}")))
    }

    /// Bucket and position in it, `None` for null.
    fn locate(&self, index: u32) -> Result<Option<(u32, u32)>> {
        if index >= self.len() {
            return Err(damaged(format!("no such value of a front-coded dictionary. index={index} length={}", self.len())));
        }
        let stored = match (self.has_null, index) {
            (true, 0) => return Ok(None),
            (true, index) => index - 1,
            (false, index) => index,
        };
        Ok(Some((stored / self.bucket_size, stored % self.bucket_size)))
    }
}

/// Takes `count` bytes off the front.
fn split<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (front, back) = bytes.split_at_checked(count).ok_or_else(|| damaged("front-coded value ends too late"))?;
    *bytes = back;
    Ok(front)
}

fn split_vbyte(bytes: &mut &[u8]) -> Result<usize> {
    let (value, used) = vbyte(bytes)?;
    *bytes = &bytes[used..];
    Ok(value)
}

/// A dictionary of strings.
pub(crate) struct FrontCodedStrings {
    buckets: Buckets,
    /// Version 1: prefixes are those of the value before, not of the bucket's first.
    incremental: bool,
}

impl FrontCodedStrings {
    pub(crate) fn read(cursor: &mut Cursor, order: ByteOrder) -> Result<Self> {
        let incremental = match cursor.u8()? {
            0 => false,
            1 => true,
            version => return Err(damaged(format!("unknown version of a front-coded dictionary. version={version}"))),
        };
        Ok(FrontCodedStrings { buckets: Buckets::read(cursor, order)?, incremental })
    }

    pub(crate) fn len(&self) -> u32 {
        self.buckets.len()
    }

    /// The value at an index; `None` is null.
    pub(crate) fn get(&self, index: u32) -> Result<Option<Vec<u8>>> {
        let Some((bucket, position)) = self.buckets.locate(index)? else { return Ok(None) };
        let mut bytes = self.buckets.bucket(bucket)?;
        let length = split_vbyte(&mut bytes)?;
        let first = split(&mut bytes, length)?;
        if position == 0 {
            return Ok(Some(first.to_vec()));
        }
        let mut value = if self.incremental { first.to_vec() } else { Vec::new() };
        for step in 1..=position {
            let prefix = split_vbyte(&mut bytes)?;
            let length = split_vbyte(&mut bytes)?;
            let suffix = split(&mut bytes, length)?;
            if self.incremental {
                if prefix > value.len() {
                    return Err(damaged("front-coded prefix is longer than the value before"));
                }
                value.truncate(prefix);
                value.extend_from_slice(suffix);
            } else if step == position {
                value.extend_from_slice(first.get(..prefix).ok_or_else(|| damaged("front-coded prefix is too long"))?);
                value.extend_from_slice(suffix);
            }
        }
        Ok(Some(value))
    }
}

/// A dictionary of arrays of numbers.
pub(crate) struct FrontCodedArrays {
    buckets: Buckets,
}

impl FrontCodedArrays {
    pub(crate) fn read(cursor: &mut Cursor, order: ByteOrder) -> Result<Self> {
        match cursor.u8()? {
            0 => Ok(FrontCodedArrays { buckets: Buckets::read(cursor, order)? }),
            version => Err(damaged(format!("unknown version of an array dictionary. version={version}"))),
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.buckets.len()
    }

    /// The array at an index; `None` is null.
    pub(crate) fn get(&self, index: u32) -> Result<Option<Vec<u32>>> {
        let Some((bucket, position)) = self.buckets.locate(index)? else { return Ok(None) };
        let mut bytes = self.buckets.bucket(bucket)?;
        let mut value: Vec<u32> = Vec::new();
        for step in 0..=position {
            let prefix = if step == 0 { 0 } else { split_vbyte(&mut bytes)? };
            let count = split_vbyte(&mut bytes)?;
            if prefix > value.len() {
                return Err(damaged("prefix is longer than the array before"));
            }
            let suffix = split(&mut bytes, count.saturating_mul(4))?;
            value.truncate(prefix);
            let (elements, _) = suffix.as_chunks::<4>();
            value.extend(elements.iter().map(|e| self.buckets.order.i32(*e) as u32));
        }
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_share_the_prefix_of_the_one_before() {
        let bytes = b"\x01\x04\x01\x83\x91\x85apple\x84\x81y\x80\x86banana";
        let cursor = &mut Cursor::new(Bytes::from_static(bytes));
        let list = FrontCodedStrings::read(cursor, ByteOrder::Little).unwrap();
        let all: Vec<_> = (0..list.len()).map(|i| list.get(i).unwrap().map(|v| String::from_utf8(v).unwrap())).collect();
        assert_eq!(all, [None, Some("apple".into()), Some("apply".into()), Some("banana".into())]);
        assert!(list.get(4).is_err());
    }
}
