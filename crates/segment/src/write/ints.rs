//! Columns of small integers: dictionary ids of single and multi-value columns, plain or in compressed blocks
//! (`VSizeColumnarInts`, `CompressedVSizeColumnarInts`, `V3CompressedVSizeColumnarMultiInts`, …).

use ovate_base::{DruidError, Result};

use super::compress::write_blocks;
use super::spec::Compression;

/// Bytes that an id up to `max` needs.
pub(crate) fn width_of(max: u32) -> usize {
    match max {
        0..=0xFF => 1,
        0x100..=0xFFFF => 2,
        0x1_0000..=0xFF_FFFF => 3,
        _ => 4,
    }
}

/// Appends ids in compressed blocks; `max` decides the width.
pub(crate) fn put_compressed_ints(ids: &[u32], max: u32, compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let width = width_of(max);
    let per_block = [65536, 32768, 16384, 16384][width - 1];
    out.extend_from_slice(&[2, width as u8]);
    out.extend_from_slice(&count(ids.len())?.to_be_bytes());
    out.extend_from_slice(&(per_block as i32).to_be_bytes());
    out.push(compression.id());
    write_blocks(ids.len(), per_block, compression, out, |range, plain| {
        let ids = &ids[range];
        match width {
            1 => plain.extend(ids.iter().map(|id| *id as u8)),
            2 => ids.iter().for_each(|id| plain.extend_from_slice(&(*id as u16).to_le_bytes())),
            3 => ids.iter().for_each(|id| plain.extend_from_slice(&id.to_le_bytes()[..3])),
            _ => ids.iter().for_each(|id| plain.extend_from_slice(&id.to_le_bytes())),
        }
    })
}

/// Appends ids as plain big-endian bytes.
pub(crate) fn put_plain_ints(ids: &[u32], max: u32, out: &mut Vec<u8>) -> Result<()> {
    let width = width_of(max);
    let size = count(ids.len() * width + 4 - width)?;
    out.extend_from_slice(&[0, width as u8]);
    out.extend_from_slice(&size.to_be_bytes());
    put_big_endian(ids, width, out);
    Ok(())
}

/// Appends rows of ids in version 3 of the compressed form; row `i` is `ids[offsets[i]..offsets[i + 1]]`.
pub(crate) fn put_compressed_multi(
    offsets: &[u32],
    ids: &[u32],
    max: u32,
    compression: Compression,
    out: &mut Vec<u8>,
) -> Result<()> {
    const PER_BLOCK: usize = 16384;
    out.extend_from_slice(&[3, 2]);
    out.extend_from_slice(&count(offsets.len())?.to_be_bytes());
    out.extend_from_slice(&(PER_BLOCK as i32).to_be_bytes());
    out.push(compression.id());
    write_blocks(offsets.len(), PER_BLOCK, compression, out, |range, plain| {
        offsets[range].iter().for_each(|offset| plain.extend_from_slice(&offset.to_le_bytes()));
    })?;
    put_compressed_ints(ids, max, compression, out)
}

/// Appends rows of ids in the plain form.
pub(crate) fn put_plain_multi(offsets: &[u32], ids: &[u32], max: u32, out: &mut Vec<u8>) -> Result<()> {
    let width = width_of(max);
    let rows = offsets.len() - 1;
    let size = count(4 + 4 * rows + ids.len() * width + 4 - width)?;
    out.extend_from_slice(&[1, width as u8]);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&(rows as i32).to_be_bytes());
    for end in &offsets[1..] {
        out.extend_from_slice(&(end * width as u32).to_be_bytes());
    }
    put_big_endian(ids, width, out);
    Ok(())
}

/// Big-endian ids with the padding that lets a reader take four bytes anywhere.
fn put_big_endian(ids: &[u32], width: usize, out: &mut Vec<u8>) {
    for id in ids {
        out.extend_from_slice(&id.to_be_bytes()[4 - width..]);
    }
    out.resize(out.len() + 4 - width, 0);
}

fn count(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| DruidError::unsupported("more than 2^31 values in one column"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::hex;

    #[test]
    fn ids_match_the_worked_examples() {
        let mut out = Vec::new();
        put_plain_ints(&[0, 1, 2], 2, &mut out).unwrap();
        assert_eq!(out, hex("00 01 00 00 00 06 00 01 02 00 00 00"));
        out.clear();
        put_compressed_ints(&[0, 1, 2], 2, Compression::Uncompressed, &mut out).unwrap();
        assert_eq!(out, hex("02 01 00 00 00 03 00 01 00 00 FF 01 00 00 00 00 0F 00 00 00 01 00 00 00 07 00 00 00 00 00 01 02"));
    }
}
