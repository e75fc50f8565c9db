//! The file: `OVACCEL1`, the fingerprint of the segment's files, the CRC-32 of what follows, the number of entries; each entry
//! is a name, a kind and bytes, with their lengths before them. Numbers are little endian.

use bytes::Bytes;
use ovate_base::Result;

use super::super::cursor::damaged;

/// Grows with every change of what the bytes mean; a file of another version is made anew.
const MAGIC: &[u8; 8] = b"OVACCEL1";
const HEADER_BYTES: usize = 20;
/// More columns than any segment has.
const ENTRIES_MAX: u32 = 1 << 20;

/// What an entry tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    /// Summaries and bounds of a column of numbers.
    pub(super) const NUMBERS: Kind = Kind(0);
    const ITEMS: u8 = 0x10;

    /// Items of this kind of a dictionary's values.
    pub(super) fn items(derived: usize) -> Kind {
        Kind(Self::ITEMS + derived as u8)
    }

    /// The kind of items.
    pub(super) fn derived(self) -> Option<usize> {
        (self.0 & 0xF0 == Self::ITEMS).then_some(usize::from(self.0 & 0xF))
    }
}

/// One fact of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(super) column: String,
    pub(super) kind: Kind,
    pub(super) bytes: Bytes,
}

pub(super) fn write_file(fingerprint: u64, entries: &[Entry]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER_BYTES + entries.iter().map(|entry| entry.bytes.len() + 64).sum::<usize>());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&fingerprint.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        file.extend_from_slice(&(entry.column.len() as u32).to_le_bytes());
        file.extend_from_slice(entry.column.as_bytes());
        file.push(entry.kind.0);
        file.extend_from_slice(&(entry.bytes.len() as u64).to_le_bytes());
        file.extend_from_slice(&entry.bytes);
    }
    let crc = crc32fast::hash(&file[HEADER_BYTES..]);
    file[16..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    file
}

/// The entries, which share the memory of `file`.
pub(super) fn read_file(file: &Bytes, fingerprint: u64) -> Result<Vec<Entry>> {
    let bad = |what: &str| damaged(format!("accelerator file is not usable: {what}"));
    let (header, body) = file.split_at_checked(HEADER_BYTES).ok_or_else(|| bad("too short"))?;
    if &header[..8] != MAGIC {
        return Err(bad("another version"));
    }
    if header[8..16] != fingerprint.to_le_bytes() {
        return Err(bad("made of other files"));
    }
    if header[16..] != crc32fast::hash(body).to_le_bytes() {
        return Err(bad("checksum"));
    }
    let mut rest = body;
    let mut take = |count: u64| -> Result<&[u8]> {
        let count = usize::try_from(count).map_err(|_| bad("length"))?;
        let (taken, after) = rest.split_at_checked(count).ok_or_else(|| bad("cut"))?;
        rest = after;
        Ok(taken)
    };
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let count = word(take(4)?) as u32;
    if count > ENTRIES_MAX {
        return Err(bad("number of entries"));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let length = word(take(4)?);
        let column = std::str::from_utf8(take(length)?).map_err(|_| bad("name"))?.to_owned();
        let kind = Kind(take(1)?[0]);
        let length = word(take(8)?);
        entries.push(Entry { column, kind, bytes: file.slice_ref(take(length)?) });
    }
    if rest.is_empty() { Ok(entries) } else { Err(bad("trailing bytes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_and_any_change_is_found() {
        let entries = vec![
            Entry { column: "added".into(), kind: Kind::NUMBERS, bytes: Bytes::from_static(b"numbers") },
            Entry { column: "page".into(), kind: Kind::items(2), bytes: Bytes::new() },
        ];
        let mut file = write_file(7, &entries);
        let read = |bytes: &[u8], fingerprint| read_file(&Bytes::copy_from_slice(bytes), fingerprint);
        assert_eq!(read(&file, 7).expect("as written"), entries);
        assert!(read(&file, 8).is_err());
        for at in 0..file.len() {
            assert!(read(&file[..at], 7).is_err(), "cut at {at}");
            file[at] ^= 0x40;
            assert!(read(&file, 7).is_err(), "changed at {at}");
            file[at] ^= 0x40;
        }
        assert_eq!(Kind::items(2).derived(), Some(2));
        assert_eq!(Kind::NUMBERS.derived(), None);
    }
}
