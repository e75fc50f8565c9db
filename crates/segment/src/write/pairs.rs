//! Columns of first and last pairs (`AbstractSerializablePairLongObjectColumnHeader`): times as differences from the
//! smallest, cells in compressed blocks. Rows come as `compute::sketch::pair` encodes them.

use ovate_base::{DruidError, Result};

use super::compress::{BLOCK_BYTES, compress_block};
use super::data::ByteTable;
use super::spec::Compression;

const VERSION: u8 = 3;
const FLAG_INT_DELTAS: u8 = 0x80;

/// Types that have this format. Strings keep the older list of rows, which Druid writes by default.
pub(crate) fn is_pair_type(type_name: &str) -> bool {
    matches!(type_name, "serializablePairLongLong" | "serializablePairLongDouble" | "serializablePairLongFloat")
}

/// Appends the column.
pub(crate) fn put_pairs(type_name: &str, rows: &ByteTable, out: &mut Vec<u8>) -> Result<()> {
    let damaged = || DruidError::runtime(format!("damaged {type_name} value"));
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        cells.push(match row.split_first_chunk::<8>() {
            Some((time, rest)) => Some((i64::from_be_bytes(*time), rest)),
            None if row.is_empty() => None,
            None => return Err(damaged()),
        });
    }
    let times = || cells.iter().flatten().map(|(time, _)| *time);
    let (min, max) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let int_deltas = max.checked_sub(min).is_some_and(|span| span <= i64::from(i32::MAX));
    out.extend_from_slice(&[VERSION, if int_deltas { FLAG_INT_DELTAS } else { 0 }, 0, 0]);
    out.extend_from_slice(&min.to_le_bytes());

    let (mut starts, mut payload) = (Vec::with_capacity(8 * cells.len() + 8), Vec::new());
    for cell in cells {
        starts.extend_from_slice(&(payload.len() as i64).to_le_bytes());
        let Some((time, value)) = cell else { continue };
        let delta = time.wrapping_sub(min);
        match int_deltas {
            true => payload.extend_from_slice(&(delta as i32).to_le_bytes()),
            false => payload.extend_from_slice(&delta.to_le_bytes()),
        }
        let (null, value) = value.split_first().ok_or_else(damaged)?;
        payload.push(*null);
        // Kept big endian in memory, in column order here.
        payload.extend(value.iter().rev());
    }
    starts.extend_from_slice(&(payload.len() as i64).to_le_bytes());
    put_block_compressed(&starts, out)?;
    put_block_compressed(&payload, out)
}

/// `BlockCompressedPayloadSerializer`, with its size before it.
fn put_block_compressed(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let (mut starts, mut data) = (Vec::new(), Vec::new());
    let mut add_start = |data: &Vec<u8>| -> Result<()> {
        let start = i32::try_from(data.len()).map_err(|_| DruidError::unsupported("a pair column of more than 2 GiB"))?;
        starts.extend_from_slice(&start.to_le_bytes());
        Ok(())
    };
    for block in bytes.chunks(BLOCK_BYTES) {
        add_start(&data)?;
        compress_block(Compression::Lz4, block, &mut data)?;
    }
    add_start(&data)?;
    let total = 4 + starts.len() + 4 + data.len();
    let total = i32::try_from(total).map_err(|_| DruidError::unsupported("a pair column of more than 2 GiB"))?;
    out.extend_from_slice(&total.to_le_bytes());
    out.extend_from_slice(&(starts.len() as i32).to_le_bytes());
    out.extend_from_slice(&starts);
    out.extend_from_slice(&(data.len() as i32).to_le_bytes());
    out.extend_from_slice(&data);
    Ok(())
}
