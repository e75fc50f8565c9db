//! Lists of byte strings (`GenericIndexed` version 1), fixed-width lists (`FixedIndexed`), and the small number codec that
//! front coding uses (`VByte`).

use ovate_base::{DruidError, Result};

/// Appends a `VByte`: seven bits a byte, low bits first, the last byte has its high bit set.
pub(crate) fn put_vbyte(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8);
        value >>= 7;
    }
    out.push(value as u8 | 0x80);
}

/// Appends a big-endian length and the bytes (`SerializerUtils.writeString`, `ByteBufferWriter`).
pub(crate) fn put_sized(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A `GenericIndexed` being filled: value bytes behind each other, each after its null marker.
#[derive(Default)]
pub(crate) struct IndexedBytes {
    ends: Vec<u32>,
    data: Vec<u8>,
}

impl IndexedBytes {
    pub(crate) fn with_capacity(count: usize) -> Self {
        IndexedBytes { ends: Vec::with_capacity(count), data: Vec::new() }
    }

    /// Adds an element; `None` is null.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) -> Result<()> {
        let marker = if value.is_some() { 0i32 } else { -1 };
        self.data.extend_from_slice(&marker.to_be_bytes());
        self.data.extend_from_slice(value.unwrap_or_default());
        self.end_element()
    }

    /// Adds an element that `write` appends to the bytes it is given.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        self.data.extend_from_slice(&[0; 4]);
        write(&mut self.data)?;
        self.end_element()
    }

    fn end_element(&mut self) -> Result<()> {
        // Version 2, which spills to files of their own, begins where this ends.
        let end =
            i32::try_from(self.data.len()).map_err(|_| DruidError::unsupported("a list of more than 2 GiB in one column"))?;
        self.ends.push(end as u32);
        Ok(())
    }

    /// Appends the finished list; `sorted` says that elements ascend strictly.
    pub(crate) fn write(&self, sorted: bool, out: &mut Vec<u8>) -> Result<()> {
        let size = 4 + 4 * self.ends.len() + self.data.len();
        let size = i32::try_from(size).map_err(|_| DruidError::unsupported("a list of more than 2 GiB in one column"))?;
        out.reserve(size as usize + 6);
        out.extend_from_slice(&[1, u8::from(sorted)]);
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(&(self.ends.len() as i32).to_be_bytes());
        for end in &self.ends {
            out.extend_from_slice(&end.to_be_bytes());
        }
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

/// Appends a list of optional strings, the flag set by the writer's rule: sorted until an element is not greater than
/// the one before it, nulls before it not compared (`GenericIndexed.fromIterable`).
pub(crate) fn put_string_list<'a>(values: impl Iterator<Item = Option<&'a str>>, out: &mut Vec<u8>) -> Result<()> {
    let mut list = IndexedBytes::default();
    let (mut sorted, mut previous) = (true, None);
    for value in values {
        sorted &= match (previous, value) {
            (Some(before), Some(value)) => crate::order::utf16_order(before, value).is_lt(),
            (Some(_), None) => false,
            (None, _) => true,
        };
        list.push(value.map(str::as_bytes))?;
        previous = value;
    }
    list.write(sorted, out)
}

/// Appends a `FixedIndexed`: sorted values of fixed width in column order, null as element 0 where said.
pub(crate) fn put_fixed<const N: usize>(has_null: bool, values: impl ExactSizeIterator<Item = [u8; N]>, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 2 | u8::from(has_null)]);
    out.extend_from_slice(&(values.len() as i32).to_le_bytes());
    for value in values {
        out.extend_from_slice(&value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::hex;

    #[test]
    fn vbytes_match_the_format_table() {
        for (value, bytes) in [(0, "80"), (5, "85"), (127, "FF"), (300, "2C82"), (16384, "000081")] {
            let mut out = Vec::new();
            put_vbyte(value, &mut out);
            assert_eq!(out, hex(bytes), "{value}");
        }
    }

    #[test]
    fn string_list_matches_the_worked_example() {
        let mut out = Vec::new();
        put_string_list([None, Some("a"), Some("bc")].into_iter(), &mut out).unwrap();
        assert_eq!(
            out,
            hex("01 01 00 00 00 1F 00 00 00 03 00 00 00 04 00 00 00 09 00 00 00 0F FF FF FF FF 00 00 00 00 61 00 00 00 00 62 63")
        );
    }

    #[test]
    fn fixed_list_matches_the_worked_example() {
        let mut out = Vec::new();
        put_fixed(true, [5i64, 9].iter().map(|v| v.to_le_bytes()), &mut out);
        assert_eq!(out, hex("00 03 02 00 00 00 05 00 00 00 00 00 00 00 09 00 00 00 00 00 00 00"));
    }
}
