//! Longs of encoding DELTA or TABLE: packed big-endian bits (`VSizeLongSerde`) in blocks or one stream.

use std::ops::Range;

use bytes::Bytes;
use ovate_base::Result;

use super::blocks::Blocks;
use super::compression::{BLOCK_BYTES_MAX, Compression};
use super::cursor::{Cursor, damaged};
use super::files::Files;
use super::fixed::{DecodeBlock, FixedColumn, RAW_BLOCK_ROWS};

/// What packed numbers stand for.
enum Meaning {
    Delta(i64),
    Table(Vec<i64>),
}

/// Header and where the bits are.
struct PackedLongs {
    bits: u32,
    meaning: Meaning,
    data: Data,
}

enum Data {
    Raw(Bytes),
    Blocks(Blocks),
}

const TABLE_MAX: usize = 256;

/// Reads encoding header and data of a column. `encoding` is 0 for DELTA and 1 for TABLE.
pub(crate) fn read_packed(
    cursor: &mut Cursor,
    files: &Files,
    (total, per_block, compression): (u32, u32, Compression),
    encoding: u8,
) -> Result<FixedColumn<i64>> {
    let version = cursor.u8()?;
    if version != 1 {
        return Err(damaged(format!("unknown version of a long encoding. version={version}")));
    }
    let (meaning, bits) = match encoding {
        0 => {
            let base = cursor.i64_be()?;
            (Meaning::Delta(base), cursor.i32_be()?)
        }
        1 => {
            let size = cursor.count_be("size of a long table")?;
            if size > TABLE_MAX {
                return Err(damaged(format!("long table is too large. size={size}")));
            }
            let table = (0..size).map(|_| cursor.i64_be()).collect::<Result<Vec<_>>>()?;
            let bits = [1, 2, 4, 8].into_iter().find(|bits| size <= 1 << bits).expect("256 values fit in 8 bits");
            (Meaning::Table(table), bits)
        }
        _ => return Err(damaged(format!("unknown long encoding. id={encoding}"))),
    };
    if ![1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64].contains(&bits) {
        return Err(damaged(format!("bad width of packed longs. bits={bits}")));
    }
    let bits = bits as u32;
    let data = if compression == Compression::None {
        Data::Raw(cursor.take(packed_bytes(bits, total))?)
    } else {
        if per_block == 0 || packed_bytes(bits, per_block) > BLOCK_BYTES_MAX {
            return Err(damaged(format!("bad number of values to a block. value={per_block}")));
        }
        Data::Blocks(Blocks::read(cursor, files, compression, total.div_ceil(per_block))?)
    };
    let per_block = if compression == Compression::None { RAW_BLOCK_ROWS } else { per_block };
    Ok(FixedColumn::new(total, per_block, Box::new(PackedLongs { bits, meaning, data })))
}

/// Bytes of `count` packed numbers with the four that follow them.
fn packed_bytes(bits: u32, count: u32) -> usize {
    (u64::from(bits) * u64::from(count)).div_ceil(8) as usize + 4
}

/// The packed number at `index`; the bytes hold it.
#[inline]
fn unpack_one(bytes: &[u8], bits: u32, index: usize) -> u64 {
    let first = index * bits as usize;
    let (byte, shift) = (first / 8, first as u32 % 8);
    // No width needs more than 8 bytes: those above 8 begin on a byte or in the middle of one (12 and 20 bits).
    let mut window = [0; 8];
    let part = &bytes[byte..bytes.len().min(byte + 8)];
    window[..part.len()].copy_from_slice(part);
    u64::from_be_bytes(window) << shift >> (64 - bits)
}

/// Appends the packed numbers of `range`.
fn unpack(bytes: &[u8], bits: u32, range: Range<usize>, out: &mut Vec<i64>) {
    let whole = |width: usize| &bytes[range.start * width..range.end * width];
    match bits {
        8 => out.extend(whole(1).iter().map(|&b| i64::from(b))),
        16 => out.extend(whole(2).as_chunks().0.iter().map(|b| i64::from(u16::from_be_bytes(*b)))),
        24 => out.extend(whole(3).as_chunks::<3>().0.iter().map(|b| i64::from(u32::from_be_bytes([0, b[0], b[1], b[2]])))),
        32 => out.extend(whole(4).as_chunks().0.iter().map(|b| i64::from(u32::from_be_bytes(*b)))),
        64 => out.extend(whole(8).as_chunks().0.iter().map(|b| i64::from_be_bytes(*b))),
        _ => out.extend(range.map(|i| unpack_one(bytes, bits, i) as i64)),
    }
}

impl DecodeBlock<i64> for PackedLongs {
    fn decode(&self, index: u32, rows: Range<u32>, out: &mut Vec<i64>) -> Result<()> {
        out.clear();
        match &self.data {
            Data::Raw(raw) => unpack(raw, self.bits, rows.start as usize..rows.end as usize, out),
            Data::Blocks(blocks) => {
                let mut block = vec![0; BLOCK_BYTES_MAX];
                blocks.decode(index, &mut block, packed_bytes(self.bits, rows.len() as u32) - 4)?;
                unpack(&block, self.bits, 0..rows.len(), out);
            }
        }
        match &self.meaning {
            Meaning::Delta(base) => out.iter_mut().for_each(|v| *v = v.wrapping_add(*base)),
            Meaning::Table(table) => {
                for value in out {
                    *value = *table.get(*value as usize).ok_or_else(|| damaged("packed number is outside its table"))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_of_all_kinds_unpack() {
        let bytes = [0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0, 0, 0, 0, 0];
        let all = |bits: u32, count: usize| {
            let mut out = Vec::new();
            unpack(&bytes, bits, 0..count, &mut out);
            let singly: Vec<i64> = (0..count).map(|i| unpack_one(&bytes, bits, i) as i64).collect();
            assert_eq!(out, singly);
            out
        };
        assert_eq!(all(4, 4), [1, 2, 3, 4]);
        assert_eq!(all(12, 3), [0x123, 0x456, 0x789]);
        assert_eq!(all(20, 2), [0x12345, 0x6789A]);
        assert_eq!(all(40, 1), [0x12_3456_789A]);
        assert_eq!(all(64, 1), [0x1234_5678_9ABC_DEF0]);
        assert_eq!(all(1, 8), [0, 0, 0, 1, 0, 0, 1, 0]);
        assert_eq!(all(24, 2), [0x12_3456, 0x78_9ABC]);
    }
}
