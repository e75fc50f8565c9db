//! Front-coded dictionaries (`FrontCodedIndexed`): buckets whose values share prefixes; and the same for lists of ids
//! (`FrontCodedIntArrayIndexed`), which array columns use.

use ovate_base::{DruidError, Result};

use super::indexed::put_vbyte;

/// Appends a front-coded list of strings; `values` ascend strictly and hold no null.
pub(crate) fn put_front_coded<'a>(
    has_null: bool,
    values: impl Iterator<Item = &'a [u8]>,
    bucket_size: u8,
    version: u8,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut buckets = Buckets::default();
    let (mut first, mut previous): (&[u8], &[u8]) = (&[], &[]);
    for value in values {
        if buckets.count % bucket_size as u32 == 0 {
            buckets.start_bucket();
            put_vbyte(value.len() as u32, &mut buckets.bytes);
            buckets.bytes.extend_from_slice(value);
            first = value;
        } else {
            // Version 0 counts the prefix shared with the bucket's first value, version 1 with the value before.
            let base = if version == 0 { first } else { previous };
            let prefix = base.iter().zip(value).take_while(|(a, b)| a == b).count();
            put_vbyte(prefix as u32, &mut buckets.bytes);
            put_vbyte((value.len() - prefix) as u32, &mut buckets.bytes);
            buckets.bytes.extend_from_slice(&value[prefix..]);
        }
        previous = value;
        buckets.count += 1;
    }
    buckets.write(version, bucket_size, has_null, out)
}

/// Appends a front-coded list of id lists, which ascend strictly; no null.
pub(crate) fn put_front_coded_ints<'a>(values: impl Iterator<Item = &'a [u32]>, out: &mut Vec<u8>) -> Result<()> {
    const BUCKET_SIZE: u8 = 4;
    let mut buckets = Buckets::default();
    let mut previous: &[u32] = &[];
    for value in values {
        let prefix = if buckets.count % BUCKET_SIZE as u32 == 0 {
            buckets.start_bucket();
            0
        } else {
            let prefix = previous.iter().zip(value).take_while(|(a, b)| a == b).count();
            put_vbyte(prefix as u32, &mut buckets.bytes);
            prefix
        };
        put_vbyte((value.len() - prefix) as u32, &mut buckets.bytes);
        for id in &value[prefix..] {
            buckets.bytes.extend_from_slice(&id.to_le_bytes());
        }
        previous = value;
        buckets.count += 1;
    }
    buckets.write(0, BUCKET_SIZE, false, out)
}

#[derive(Default)]
struct Buckets {
    count: u32,
    /// Where each bucket but the first begins, that is where the one before ends.
    offsets: Vec<u32>,
    bytes: Vec<u8>,
}

impl Buckets {
    fn start_bucket(&mut self) {
        if self.count > 0 {
            self.offsets.push(self.bytes.len() as u32);
        }
    }

    fn write(self, version: u8, bucket_size: u8, has_null: bool, out: &mut Vec<u8>) -> Result<()> {
        let size = 4 * self.offsets.len() + self.bytes.len();
        if size > i32::MAX as usize {
            return Err(DruidError::unsupported("a front-coded dictionary of more than 2 GiB"));
        }
        out.extend_from_slice(&[version, bucket_size, u8::from(has_null)]);
        put_vbyte(self.count, out);
        put_vbyte(size as u32, out);
        for offset in self.offsets {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        out.extend_from_slice(&self.bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::hex;

    #[test]
    fn front_coded_list_matches_the_worked_example() {
        let mut out = Vec::new();
        put_front_coded(true, ["apple", "apply", "banana"].iter().map(|s| s.as_bytes()), 4, 1, &mut out).unwrap();
        assert_eq!(out, hex("01 04 01 83 91 85 61 70 70 6C 65 84 81 79 80 86 62 61 6E 61 6E 61"));
    }
}
