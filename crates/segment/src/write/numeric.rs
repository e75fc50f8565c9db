//! Numeric columns (`LongColumnSerializerV2` and its float and double sisters): values in blocks, longs also packed as
//! differences or table indexes (`longEncoding` auto), then a bitmap of the null rows.

use std::ops::Range;

use ovate_base::{DruidError, Result};

use super::bitmaps::put_roaring;
use super::compress::write_blocks;
use super::indexed::put_sized;
use super::spec::{Compression, LongEncoding};

/// Numbers of a fixed width, written in column order (little endian).
pub(crate) trait FixedNumber: Copy {
    /// Values in a block of 64 KiB.
    const PER_BLOCK: usize;
    fn put(self, out: &mut Vec<u8>);
}

impl FixedNumber for i64 {
    const PER_BLOCK: usize = 8192;
    #[inline]
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl FixedNumber for f64 {
    const PER_BLOCK: usize = 8192;
    #[inline]
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl FixedNumber for f32 {
    const PER_BLOCK: usize = 16384;
    #[inline]
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

/// Appends the payload of a `…V2` part: sized values, then the null rows if there are any.
pub(crate) fn put_v2(
    put_values: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    null_rows: Option<&[u32]>,
    runs: bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put_values(out)?;
    let size =
        i32::try_from(out.len() - start - 4).map_err(|_| DruidError::unsupported("a numeric column of more than 2 GiB"))?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    if let Some(rows) = null_rows.filter(|rows| !rows.is_empty()) {
        let mut bitmap = Vec::new();
        put_roaring(rows, runs, &mut bitmap);
        put_sized(&bitmap, out);
    }
    Ok(())
}

/// Appends floats or doubles, or longs one by one.
pub(crate) fn put_fixed_numbers<T: FixedNumber>(values: &[T], compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let per_block = if compression == Compression::None { 0 } else { T::PER_BLOCK };
    put_header(values.len(), per_block, out)?;
    out.push(compression.id());
    put_data(values.len(), per_block, compression, out, |range, plain| values[range].iter().for_each(|v| v.put(plain)))
}

/// Appends longs in the wanted encoding.
pub(crate) fn put_longs(values: &[i64], compression: Compression, encoding: LongEncoding, out: &mut Vec<u8>) -> Result<()> {
    match encoding {
        LongEncoding::Longs => put_fixed_numbers(values, compression, out),
        LongEncoding::Auto => match LongTable::of(values) {
            Some(table) => put_table(values, &table, compression, out),
            None => put_delta_or_longs(values, compression, out),
        },
    }
}

fn put_header(count: usize, per_block: usize, out: &mut Vec<u8>) -> Result<()> {
    let count = i32::try_from(count).map_err(|_| DruidError::unsupported("more than 2^31 values in one column"))?;
    out.push(2);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&(per_block as i32).to_be_bytes());
    Ok(())
}

/// Blocks, or one stream where compression is none.
fn put_data(
    count: usize,
    per_block: usize,
    compression: Compression,
    out: &mut Vec<u8>,
    mut fill: impl FnMut(Range<usize>, &mut Vec<u8>),
) -> Result<()> {
    if compression == Compression::None {
        fill(0..count, out);
        return Ok(());
    }
    write_blocks(count, per_block, compression, out, fill)
}

/// Up to 256 distinct values in the order they appear.
struct LongTable {
    values: Vec<i64>,
    codes: hashbrown::HashMap<i64, u8, foldhash::fast::FixedState>,
}

impl LongTable {
    fn of(values: &[i64]) -> Option<Self> {
        let mut table = LongTable { values: Vec::new(), codes: hashbrown::HashMap::default() };
        let mut last = None;
        for value in values {
            if last == Some(*value) || table.codes.contains_key(value) {
                last = Some(*value);
                continue;
            }
            if table.values.len() == 256 {
                return None;
            }
            table.codes.insert(*value, table.values.len() as u8);
            table.values.push(*value);
        }
        Some(table)
    }
}

fn put_table(values: &[i64], table: &LongTable, compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let bits = bits_for(table.values.len() as u64);
    put_packed_header(values.len(), bits, compression, 1, out)?;
    out.push(1);
    out.extend_from_slice(&(table.values.len() as i32).to_be_bytes());
    table.values.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
    put_data(values.len(), per_block(bits), compression, out, |range, plain| {
        pack(values[range].iter().map(|v| u64::from(table.codes[v])), bits, plain)
    })
}

fn put_delta_or_longs(values: &[i64], compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let min = values.iter().copied().min().unwrap_or(0);
    let max = values.iter().copied().max().unwrap_or(0);
    let Some(span) = max.checked_sub(min).filter(|span| *span < i64::MAX) else {
        return put_fixed_numbers(values, compression, out);
    };
    let bits = bits_for(span as u64 + 1);
    put_packed_header(values.len(), bits, compression, 0, out)?;
    out.push(1);
    out.extend_from_slice(&min.to_be_bytes());
    out.extend_from_slice(&(bits as i32).to_be_bytes());
    put_data(values.len(), per_block(bits), compression, out, |range, plain| {
        pack(values[range].iter().map(|v| v.wrapping_sub(min) as u64), bits, plain)
    })
}

fn put_packed_header(count: usize, bits: u32, compression: Compression, encoding: u8, out: &mut Vec<u8>) -> Result<()> {
    put_header(count, if compression == Compression::None { 0 } else { per_block(bits) }, out)?;
    // A compression id moved down by 126 says that an encoding byte follows (`CompressionFactory.setEncodingFlag`).
    out.extend_from_slice(&[compression.id().wrapping_sub(126), encoding]);
    Ok(())
}

/// The smallest allowed width that holds `codes` different codes (`VSizeLongSerde.getBitsForMax`).
fn bits_for(codes: u64) -> u32 {
    const WIDTHS: [u32; 13] = [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64];
    WIDTHS.into_iter().find(|w| *w == 64 || codes <= 1 << w).unwrap_or(64)
}

/// The largest power of two whose block, with four bytes behind, fits 64 KiB.
fn per_block(bits: u32) -> usize {
    match bits {
        1 => 262144,
        2 => 131072,
        4 => 65536,
        8 | 12 => 32768,
        16 | 20 | 24 => 16384,
        64 => 4096,
        _ => 8192,
    }
}

/// A bit stream, most significant bit first, the last byte filled with zeros, and four zero bytes.
fn pack(codes: impl Iterator<Item = u64>, bits: u32, out: &mut Vec<u8>) {
    let (mut pending, mut pending_bits) = (0u128, 0);
    for code in codes {
        pending = pending << bits | u128::from(code);
        pending_bits += bits;
        while pending_bits >= 8 {
            pending_bits -= 8;
            out.push((pending >> pending_bits) as u8);
        }
        pending &= (1 << pending_bits) - 1;
    }
    if pending_bits > 0 {
        out.push((pending << (8 - pending_bits)) as u8);
    }
    out.extend_from_slice(&[0; 4]);
}

/// The rows marked as null, ascending.
pub(crate) fn null_rows(nulls: Option<&[bool]>) -> Vec<u32> {
    nulls
        .map(|nulls| nulls.iter().enumerate().filter(|(_, null)| **null).map(|(row, _)| row as u32).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::hex;

    fn longs(values: &[i64], encoding: LongEncoding) -> Vec<u8> {
        let mut out = Vec::new();
        put_longs(values, Compression::None, encoding, &mut out).unwrap();
        out
    }

    #[test]
    fn longs_match_the_worked_examples() {
        let plain = "02 00 00 00 02 00 00 00 00 FE 0A 00 00 00 00 00 00 00 FF FF FF FF FF FF FF FF";
        assert_eq!(longs(&[10, -1], LongEncoding::Longs), hex(plain));
        let table =
            "02 00 00 00 03 00 00 00 00 80 01 01 00 00 00 02 00 00 00 00 00 00 00 64 00 00 00 00 00 00 00 C8 40 00 00 00 00";
        assert_eq!(longs(&[100, 200, 100], LongEncoding::Auto), hex(table));
    }

    #[test]
    fn deltas_match_the_worked_example() {
        let mut out = Vec::new();
        put_delta_or_longs(&[1000, 1005, 1003], Compression::None, &mut out).unwrap();
        assert_eq!(out, hex("02 00 00 00 03 00 00 00 00 80 00 01 00 00 00 00 00 00 03 E8 00 00 00 04 05 30 00 00 00 00"));
    }
}
