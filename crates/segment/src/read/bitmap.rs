//! Stored bitmaps: Roaring's portable form and CONCISE words, decoded on demand and checked against the row count; the
//! bitmap index of a dictionary; and null bitmaps spread to one bit a row for scans.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use croaring::bitmap::Deserializer;
use croaring::{Bitmap, Portable};
use ovate_base::Result;
use ovate_compute::{BitmapIndex, Rows};

use super::cursor::{At, Place, damaged};
use super::generic_indexed::GenericIndexed;
use super::row_bits::RowBits;

/// How bitmaps are stored (`BitmapSerdeFactory`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BitmapKind {
    Roaring,
    Concise,
}

impl BitmapKind {
    /// From the JSON of a `bitmapSerdeFactory`; absent means concise.
    pub(crate) fn from_json(json: Option<&serde_json::Value>) -> Result<Self> {
        let name = match json {
            None | Some(serde_json::Value::Null) => return Ok(BitmapKind::Concise),
            Some(value) => value.get("type").and_then(|t| t.as_str()).unwrap_or_default(),
        };
        match name {
            "roaring" => Ok(BitmapKind::Roaring),
            "concise" => Ok(BitmapKind::Concise),
            _ => Err(damaged(format!("unknown bitmap type. type={name}"))),
        }
    }

    /// Decodes a bitmap over `rows` rows; no bytes are the empty bitmap.
    pub(crate) fn decode(self, bytes: &[u8], rows: u32) -> Result<Bitmap> {
        if bytes.is_empty() {
            return Ok(Bitmap::new());
        }
        let bitmap = match self {
            BitmapKind::Roaring => {
                Bitmap::try_deserialize::<Portable>(bytes).ok_or_else(|| damaged("bytes are no roaring bitmap"))?
            }
            BitmapKind::Concise => concise(bytes, rows)?,
        };
        if bitmap.maximum().is_some_and(|last| last >= rows) {
            return Err(damaged(format!("bitmap has rows beyond the last. rows={rows}")));
        }
        Ok(bitmap)
    }
}

/// Decodes CONCISE: words of 31 bits, literal or run.
fn concise(bytes: &[u8], rows: u32) -> Result<Bitmap> {
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(damaged("concise bitmap does not consist of whole words"));
    }
    let mut bitmap = Bitmap::new();
    let mut ids: Vec<u32> = Vec::with_capacity(4096);
    let mut position = 0u64;
    for word in words {
        // Writers may fill the last word; nothing begins behind the last row.
        if position >= u64::from(rows) {
            return Err(damaged("concise bitmap is longer than the column"));
        }
        let word = u32::from_be_bytes(*word);
        let start = position as u32;
        if word & 0x8000_0000 != 0 {
            push_literal(word & 0x7FFF_FFFF, start, &mut ids);
            position += 31;
        } else {
            let blocks = u64::from(word & 0x01FF_FFFF) + 1;
            let flipped = (word >> 25) & 31;
            position += 31 * blocks;
            if word & 0x4000_0000 != 0 {
                let end = position.min(u64::from(rows)) as u32;
                bitmap.add_range(start..end);
                if flipped != 0 {
                    bitmap.remove(start + flipped - 1);
                }
            } else if flipped != 0 {
                ids.push(start + flipped - 1);
            }
        }
        if ids.len() >= 4096 - 31 {
            bitmap.add_many(&ids);
            ids.clear();
        }
    }
    bitmap.add_many(&ids);
    Ok(bitmap)
}

fn push_literal(mut bits: u32, start: u32, ids: &mut Vec<u32>) {
    while bits != 0 {
        ids.push(start + bits.trailing_zeros());
        bits &= bits - 1;
    }
}

/// Bitmaps by dictionary code, as stored behind a dictionary column.
pub(crate) struct StoredBitmaps {
    list: GenericIndexed,
    kind: BitmapKind,
    rows: u32,
    place: Place,
    /// One bit a code: these bytes were once decoded with all checks.
    checked: OnceLock<Box<[AtomicU64]>>,
}

impl StoredBitmaps {
    pub(crate) fn new(list: GenericIndexed, kind: BitmapKind, rows: u32, place: Place) -> Self {
        StoredBitmaps { list, kind, rows, place, checked: OnceLock::new() }
    }

    fn decode(&self, code: u32) -> Result<Bitmap> {
        let Some(bytes) = self.list.get(code)? else { return Ok(Bitmap::new()) };
        if self.kind != BitmapKind::Roaring || bytes.is_empty() {
            return self.kind.decode(bytes, self.rows);
        }
        let words = || (0..self.list.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let (word, bit) = (&self.checked.get_or_init(words)[code as usize / 64], 1u64 << (code % 64));
        if word.load(Ordering::Acquire) & bit != 0 {
            // SAFETY: the very same bytes, which never change, passed the checks of `decode` before.
            return Ok(unsafe { <Portable as Deserializer>::try_deserialize_unchecked(bytes) });
        }
        let bitmap = self.kind.decode(bytes, self.rows)?;
        word.fetch_or(bit, Ordering::Release);
        Ok(bitmap)
    }
}

impl BitmapIndex for StoredBitmaps {
    fn bitmap(&self, code: u32) -> Result<Bitmap> {
        self.decode(code).at(&self.place)
    }

    fn union(&self, codes: &mut dyn Iterator<Item = u32>) -> Result<Bitmap> {
        // A few bitmaps are merged by croaring; many are poured into plain bits, which costs nothing a container.
        const FEW: usize = 8;
        let mut few: Vec<Bitmap> = Vec::new();
        for code in (&mut *codes).take(FEW) {
            few.push(self.bitmap(code)?);
        }
        let mut result = Bitmap::fast_or(&few.iter().collect::<Vec<_>>());
        if few.len() < FEW {
            return Ok(result);
        }
        let mut bits = RowBits::new(self.rows);
        for code in codes {
            match (self.list.get(code).at(&self.place)?, self.kind) {
                (None, _) => {}
                (Some(bytes), BitmapKind::Roaring) => bits.add_roaring(bytes).at(&self.place)?,
                (Some(_), BitmapKind::Concise) => result.or_inplace(&self.bitmap(code)?),
            }
        }
        result.or_inplace(&bits.into_bitmap());
        Ok(result)
    }
}

/// The null bitmap of a column, decoded and spread to one bit a row when first needed.
pub(crate) struct NullBitmap {
    bytes: Bytes,
    kind: BitmapKind,
    rows: u32,
    words: OnceLock<Vec<u64>>,
}

impl NullBitmap {
    pub(crate) fn new(bytes: Bytes, kind: BitmapKind, rows: u32) -> Self {
        NullBitmap { bytes, kind, rows, words: OnceLock::new() }
    }

    pub(crate) fn bitmap(&self) -> Result<Bitmap> {
        self.kind.decode(&self.bytes, self.rows)
    }

    /// One bit a row.
    fn words(&self) -> Result<&[u64]> {
        if let Some(words) = self.words.get() {
            return Ok(words);
        }
        let mut words = vec![0u64; self.rows.div_ceil(64) as usize];
        for row in self.bitmap()?.iter() {
            words[row as usize / 64] |= 1 << (row % 64);
        }
        Ok(self.words.get_or_init(|| words))
    }

    /// Fills `out` with a flag a row; false when none of the rows is null. Rows lie inside the column.
    pub(crate) fn flags(&self, rows: &Rows<'_>, out: &mut Vec<bool>) -> Result<bool> {
        let words = self.words()?;
        out.clear();
        let is_null = |row: u32| words[row as usize / 64] >> (row % 64) & 1 != 0;
        match rows {
            Rows::Range(range) => {
                if range.is_empty() || !any_in_range(words, range.start, range.end) {
                    return Ok(false);
                }
                spread(words, range.clone(), out);
                Ok(true)
            }
            Rows::Ids(ids) => {
                let mut any = false;
                out.extend(ids.iter().map(|&row| {
                    let null = is_null(row);
                    any |= null;
                    null
                }));
                Ok(any)
            }
        }
    }
}

/// Appends a flag for each bit of the range, 64 at a time.
fn spread(words: &[u64], range: Range<u32>, out: &mut Vec<bool>) {
    let mut next = range.start;
    while next < range.end {
        let (at, shift) = (next as usize / 64, next % 64);
        let above = if shift == 0 { 0 } else { words.get(at + 1).map_or(0, |word| word << (64 - shift)) };
        let window = words[at] >> shift | above;
        let flags: [bool; 64] = std::array::from_fn(|i| window >> i & 1 != 0);
        let count = (range.end - next).min(64);
        out.extend_from_slice(&flags[..count as usize]);
        next += count;
    }
}

/// True when a bit of `start..end` is set; the range is not empty.
fn any_in_range(words: &[u64], start: u32, end: u32) -> bool {
    let (first, last) = (start as usize / 64, (end - 1) as usize / 64);
    let head = u64::MAX << (start % 64);
    let tail = u64::MAX >> (63 - (end - 1) % 64);
    if first == last {
        return words[first] & head & tail != 0;
    }
    words[first] & head != 0 || words[last] & tail != 0 || words[first + 1..last].iter().any(|w| *w != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roaring_bytes_are_checked() {
        let one = [0x3A, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 0];
        assert_eq!(BitmapKind::Roaring.decode(&one, 2).unwrap().to_vec(), [1]);
        assert!(BitmapKind::Roaring.decode(&one, 1).is_err());
        assert!(BitmapKind::Roaring.decode(&one[..10], 2).is_err());
        assert!(BitmapKind::Roaring.decode(&[], 2).unwrap().is_empty());
    }

    #[test]
    fn concise_words_are_literals_and_runs() {
        // Rows 0 and 5; 62 zeros with row 33 flipped; a run of 31 ones with its first bit flipped.
        let words = [0x8000_0021u32, 0x0000_0001 | 3 << 25, 0x4000_0000 | 1 << 25];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        let bitmap = BitmapKind::Concise.decode(&bytes, 124).unwrap();
        let expected: Vec<u32> = [0, 5, 33].into_iter().chain(94..124).collect();
        assert_eq!(bitmap.to_vec(), expected);
        assert_eq!(BitmapKind::Concise.decode(&bytes, 100).unwrap().maximum(), Some(99));
        assert!(BitmapKind::Concise.decode(&bytes, 93).is_err());
    }

    #[test]
    fn flags_are_spread_from_any_row_to_any_other() {
        let words = [0x8000_0000_0000_0001, 0x0F, u64::MAX];
        for (start, end) in [(0, 192), (1, 64), (63, 65), (64, 128), (60, 190), (130, 131)] {
            let mut out = Vec::new();
            spread(&words, start..end, &mut out);
            let expected: Vec<bool> = (start..end).map(|r| words[r as usize / 64] >> (r % 64) & 1 != 0).collect();
            assert_eq!(out, expected, "{start}..{end}");
        }
    }

    #[test]
    fn null_flags_are_given_only_where_a_row_is_null() {
        let mut bitmap = Bitmap::of(&[3, 64, 129]);
        bitmap.run_optimize();
        let nulls = NullBitmap::new(bitmap.serialize::<Portable>().into(), BitmapKind::Roaring, 200);
        let mut out = Vec::new();
        assert!(!nulls.flags(&Rows::Range(4..64), &mut out).unwrap());
        assert!(nulls.flags(&Rows::Range(4..65), &mut out).unwrap());
        assert_eq!(out.iter().filter(|n| **n).count(), 1);
        assert!(nulls.flags(&Rows::Range(65..199), &mut out).unwrap());
        assert!(!nulls.flags(&Rows::Ids(&[1, 2]), &mut out).unwrap());
        assert!(nulls.flags(&Rows::Ids(&[1, 129]), &mut out).unwrap());
        assert_eq!(out, [false, true]);
    }
}
