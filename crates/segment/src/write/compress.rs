//! Compression of blocks (`CompressionStrategy`). A block holds at most 64 KiB; its plain size is not stored.

use ovate_base::{DruidError, Result};

use super::indexed::IndexedBytes;
use super::spec::Compression;

/// Largest plain block (`CompressedPools.BUFFER_SIZE`).
pub(crate) const BLOCK_BYTES: usize = 0x10000;

/// Compresses one block to the end of `out`.
pub(crate) fn compress_block(compression: Compression, block: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match compression {
        Compression::None | Compression::Uncompressed => out.extend_from_slice(block),
        Compression::Lz4 => {
            let start = out.len();
            out.resize(start + lz4_flex::block::get_maximum_output_size(block.len()), 0);
            let size = lz4_flex::block::compress_into(block, &mut out[start..])
                .map_err(|e| DruidError::runtime(format!("lz4 cannot compress a block: {e}")))?;
            out.truncate(start + size);
        }
        Compression::Zstd => {
            let bytes = zstd::bulk::compress(block, zstd::DEFAULT_COMPRESSION_LEVEL)
                .map_err(|e| DruidError::runtime(format!("zstd cannot compress a block: {e}")))?;
            out.extend_from_slice(&bytes);
        }
        Compression::Lzf => super::lzf::compress(block, out),
    }
    Ok(())
}

/// Writes `total` values as a list of compressed blocks; `fill` appends the plain bytes of a range of values.
pub(crate) fn write_blocks(
    total: usize,
    per_block: usize,
    compression: Compression,
    out: &mut Vec<u8>,
    mut fill: impl FnMut(std::ops::Range<usize>, &mut Vec<u8>),
) -> Result<()> {
    let mut blocks = IndexedBytes::with_capacity(total.div_ceil(per_block.max(1)));
    let mut plain = Vec::with_capacity(BLOCK_BYTES);
    let mut start = 0;
    while start < total {
        let end = (start + per_block).min(total);
        plain.clear();
        fill(start..end, &mut plain);
        blocks.push_with(|bytes| compress_block(compression, &plain, bytes))?;
        start = end;
    }
    blocks.write(false, out)
}

/// A byte stream cut into compressed blocks of 64 KiB with end offsets before them (`CompressedBlockSerializer`).
/// An empty stream still has one empty block.
pub(crate) fn write_compressed_stream(bytes: &[u8], compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let (mut ends, mut data) = (Vec::new(), Vec::new());
    let mut add = |block: &[u8]| -> Result<()> {
        compress_block(compression, block, &mut data)?;
        let end = i32::try_from(data.len()).map_err(|_| DruidError::unsupported("a compressed stream beyond 2 GiB"))?;
        ends.push(end);
        Ok(())
    };
    if bytes.is_empty() {
        add(&[])?;
    }
    for block in bytes.chunks(BLOCK_BYTES) {
        add(block)?;
    }
    out.extend_from_slice(&[1, compression.id()]);
    out.extend_from_slice(&(BLOCK_BYTES as i32).to_be_bytes());
    out.extend_from_slice(&(ends.len() as i32).to_be_bytes());
    for end in ends {
        out.extend_from_slice(&end.to_le_bytes());
    }
    out.extend_from_slice(&data);
    Ok(())
}
