//! Columns of contributed types with containers of their own; `read/contributed.rs` tells their layout.

use ovate_base::{DruidError, Result};

use super::data::ByteTable;
use super::indexed::put_sized;
use super::ints::{put_compressed_ints, put_compressed_multi};
use super::spec::Compression;

/// Appends the column if its type has a container of its own; false otherwise.
pub(crate) fn put(type_name: &str, rows: &ByteTable, out: &mut Vec<u8>) -> Result<bool> {
    match type_name {
        "compressedBigDecimal" => put_decimals(rows, out)?,
        _ if type_name.starts_with("spectatorHistogram") => put_histograms(rows, out)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Scales and magnitudes; always LZ4, as Druid has it. Druid has no nulls here; ours are magnitudes of no parts.
fn put_decimals(rows: &ByteTable, out: &mut Vec<u8>) -> Result<()> {
    let damaged = || DruidError::runtime("damaged compressedBigDecimal value");
    let (mut scales, mut offsets, mut parts) = (Vec::with_capacity(rows.len()), vec![0], Vec::new());
    for row in rows.iter() {
        let (scale, magnitude) = match row.split_first_chunk::<4>() {
            Some((scale, magnitude)) => (u32::from_le_bytes(*scale), magnitude),
            None if row.is_empty() => (0, row),
            None => return Err(damaged()),
        };
        if scale > 255 || magnitude.len() % 4 != 0 {
            return Err(damaged());
        }
        scales.push(scale);
        parts.extend(magnitude.as_chunks::<4>().0.iter().map(|part| u32::from_le_bytes(*part)));
        offsets.push(u32::try_from(parts.len()).map_err(|_| DruidError::unsupported("more than 2^32 parts of decimals"))?);
    }
    out.push(1);
    put_compressed_ints(&scales, 255, Compression::Lz4, out)?;
    put_compressed_multi(&offsets, &parts, u32::MAX, Compression::Lz4, out)
}

/// Which rows have a value, where each ends, and the values. The set of rows is left out where it is all of them.
fn put_histograms(rows: &ByteTable, out: &mut Vec<u8>) -> Result<()> {
    let too_large = || DruidError::unsupported("a column of histograms of more than 2 GiB");
    let count = i32::try_from(rows.len()).map_err(|_| too_large())?;
    let mut body = count.to_be_bytes().to_vec();
    let (mut present, mut ends, mut end, mut full) = (Vec::new(), Vec::new(), 0usize, true);
    for (row, value) in rows.iter().enumerate() {
        if value.is_empty() {
            full = false;
            continue;
        }
        present.resize(row / 8 + 1, 0u8);
        present[row / 8] |= 1 << (row % 8);
        end += value.len();
        ends.extend_from_slice(&i32::try_from(end).map_err(|_| too_large())?.to_be_bytes());
    }
    put_sized(if full { &[] } else { &present }, &mut body);
    body.extend_from_slice(&ends);
    body.extend_from_slice(rows.all_bytes());
    i32::try_from(body.len()).map_err(|_| too_large())?;
    out.extend_from_slice(&[1, 0]);
    put_sized(&body, out);
    Ok(())
}
