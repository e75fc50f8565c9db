//! `GenericIndexed`: a list of byte values with nulls, in one piece (V1) or with its values in files of their own (V2).
//! Opening checks only the header; each element is checked when it is asked for.

use bytes::Bytes;
use ovate_base::Result;

use super::cursor::{Cursor, damaged};
use super::files::Files;

/// The list. Elements are slices of the mapping.
pub(crate) struct GenericIndexed {
    len: u32,
    sorted: bool,
    layout: Layout,
}

enum Layout {
    /// End offsets (`i32be`) and the value area.
    V1 { ends: Bytes, values: Bytes },
    /// End offsets (`i32` little endian, restarting in each file) and value files of `1 << log` elements.
    V2 { ends: Bytes, files: Vec<Bytes>, log: u32 },
}

impl GenericIndexed {
    /// Reads the list at the cursor and moves behind it. `files` is asked only for the parts of a V2 list.
    pub(crate) fn read(cursor: &mut Cursor, files: &Files) -> Result<Self> {
        match cursor.u8()? {
            1 => Self::read_v1(cursor),
            2 => Self::read_v2(cursor, files),
            version => Err(damaged(format!("unknown version of an indexed list. version={version}"))),
        }
    }

    fn read_v1(cursor: &mut Cursor) -> Result<Self> {
        let sorted = cursor.u8()? == 1;
        let mut body = Cursor::new(cursor.sized("byte count of an indexed list")?);
        let len = body.count_be("element count of an indexed list")?;
        let ends = body.take(len.saturating_mul(4))?;
        Ok(GenericIndexed { len: len as u32, sorted, layout: Layout::V1 { ends, values: body.rest() } })
    }

    fn read_v2(cursor: &mut Cursor, files: &Files) -> Result<Self> {
        let sorted = cursor.u8()? == 1;
        let log = cursor.count_be("elements of a value file")?;
        let len = cursor.count_be("element count of an indexed list")?;
        let base = cursor.sized("name of an indexed list")?;
        let base = std::str::from_utf8(&base).map_err(|_| damaged("name of an indexed list is not UTF-8"))?;
        if log > 31 {
            return Err(damaged(format!("value files of an indexed list are too large. log={log}")));
        }
        let ends = files.require(&format!("{base}_header"))?;
        if ends.len() / 4 < len {
            return Err(damaged("header of an indexed list is too short"));
        }
        let count = len.div_ceil(1 << log);
        let mut parts = Vec::new();
        for i in 0..count {
            parts.push(files.require(&format!("{base}_value_{i}"))?);
        }
        Ok(GenericIndexed { len: len as u32, sorted, layout: Layout::V2 { ends, files: parts, log: log as u32 } })
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// True when the writer found the elements to ascend.
    pub(crate) fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// Start of the marker and end of the value of an element, and the bytes they lie in.
    fn locate(&self, index: u32) -> Result<(usize, usize, &Bytes)> {
        let i = index as usize;
        if index >= self.len {
            return Err(damaged(format!("no such element of an indexed list. index={index} length={}", self.len)));
        }
        match &self.layout {
            Layout::V1 { ends, values } => {
                let end = |i: usize| i32::from_be_bytes(four(ends, i));
                Ok((if i == 0 { 0 } else { end(i - 1) as usize }, end(i) as usize, values))
            }
            Layout::V2 { ends, files, log } => {
                let end = |i: usize| i32::from_le_bytes(four(ends, i));
                let first = i & ((1 << log) - 1) == 0;
                Ok((if first { 0 } else { end(i - 1) as usize }, end(i) as usize, &files[i >> log]))
            }
        }
    }

    fn range(&self, index: u32) -> Result<Option<(usize, usize, &Bytes)>> {
        let (start, end, area) = self.locate(index)?;
        // Negative ends have become huge, so one comparison each is enough.
        if end > area.len() || start > end || end - start < 4 {
            return Err(damaged(format!("element of an indexed list lies outside. index={index}")));
        }
        let null = end - start == 4 && area[start..end] == [0xFF; 4];
        Ok((!null).then_some((start + 4, end, area)))
    }

    /// An element; `None` is null.
    pub(crate) fn get(&self, index: u32) -> Result<Option<&[u8]>> {
        Ok(self.range(index)?.map(|(start, end, area)| &area[start..end]))
    }

    /// An element that can be kept.
    pub(crate) fn get_bytes(&self, index: u32) -> Result<Option<Bytes>> {
        Ok(self.range(index)?.map(|(start, end, area)| area.slice(start..end)))
    }

    /// All elements as text.
    pub(crate) fn strings(&self) -> Result<Vec<Option<String>>> {
        (0..self.len)
            .map(|i| match self.get(i)? {
                None => Ok(None),
                Some(bytes) => utf8(bytes).map(|text| Some(text.to_owned())),
            })
            .collect()
    }
}

fn four(bytes: &Bytes, index: usize) -> [u8; 4] {
    bytes[4 * index..4 * index + 4].try_into().expect("four bytes")
}

/// Text out of untrusted bytes.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| damaged("value is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: [u8; 37] = [
        1, 1, 0, 0, 0, 0x1F, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, b'a', 0, 0,
        0, 0, b'b', b'c',
    ];

    #[test]
    fn null_and_text_come_back() {
        let list = GenericIndexed::read(&mut Cursor::new(Bytes::from_static(&LIST)), &Files::default()).unwrap();
        assert_eq!(list.strings().unwrap(), [None, Some("a".to_owned()), Some("bc".to_owned())]);
        assert!(list.is_sorted());
        assert!(list.get(3).is_err());
    }

    #[test]
    fn offsets_outside_are_errors_when_asked_for() {
        for end in [[0xFF, 0, 0, 0], [0, 0, 0, 0x7F], [0, 0, 0, 2]] {
            let mut bytes = LIST.to_vec();
            bytes[14..18].copy_from_slice(&end);
            let list = GenericIndexed::read(&mut Cursor::new(bytes.into()), &Files::default()).unwrap();
            assert!(list.get(1).is_err());
        }
    }

    #[test]
    fn large_lists_have_their_values_in_files() {
        let mut files = Files::default();
        files.insert("x_header", Bytes::from_static(&[5, 0, 0, 0, 10, 0, 0, 0, 6, 0, 0, 0]));
        files.insert("x_value_0", Bytes::from_static(b"\0\0\0\0a\0\0\0\0b"));
        files.insert("x_value_1", Bytes::from_static(b"\0\0\0\0cd"));
        let inline = [2, 1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, b'x'];
        let list = GenericIndexed::read(&mut Cursor::new(Bytes::copy_from_slice(&inline)), &files).unwrap();
        let all: Vec<_> = list.strings().unwrap().into_iter().flatten().collect();
        assert_eq!(all, ["a", "b", "cd"]);
    }
}
