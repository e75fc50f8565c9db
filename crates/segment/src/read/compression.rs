//! Druid's block compressions (`CompressionStrategy`): LZF, LZ4 blocks, Zstandard and stored bytes. Blocks decompress into
//! a buffer of the caller, so that a lying block cannot make us allocate.

use std::cell::RefCell;

use ovate_base::Result;

use super::cursor::damaged;

/// A block decompresses to at most this many bytes (`CompressedPools.BUFFER_SIZE`).
pub(crate) const BLOCK_BYTES_MAX: usize = 0x10000;

/// How blocks are compressed. `None` has no blocks at all; only numeric columns know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Lzf,
    Lz4,
    Zstd,
    Uncompressed,
    None,
}

impl Compression {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            0x00 => Ok(Compression::Lzf),
            0x01 => Ok(Compression::Lz4),
            0x02 => Ok(Compression::Zstd),
            0xFF => Ok(Compression::Uncompressed),
            0xFE => Ok(Compression::None),
            _ => Err(damaged(format!("unknown compression. id={id:#04x}"))),
        }
    }

    /// Decompresses a block to the front of `out` and gives its length.
    pub(crate) fn decompress(self, block: &[u8], out: &mut [u8]) -> Result<usize> {
        match self {
            Compression::Lz4 => lz4_flex::block::decompress_into(block, out).map_err(|e| damaged(format!("bad lz4 block: {e}"))),
            Compression::Zstd => zstd_into(block, out),
            Compression::Lzf => lzf_into(block, out),
            Compression::Uncompressed | Compression::None => {
                let target = out.get_mut(..block.len()).ok_or_else(|| damaged("stored block is too long"))?;
                target.copy_from_slice(block);
                Ok(block.len())
            }
        }
    }
}

thread_local! {
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn zstd_into(block: &[u8], out: &mut [u8]) -> Result<usize> {
    ZSTD.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(ready) => ready,
            None => slot.insert(zstd::bulk::Decompressor::new().map_err(|e| damaged(format!("cannot start zstd: {e}")))?),
        };
        decompressor.decompress_to_buffer(block, out).map_err(|e| damaged(format!("bad zstd block: {e}")))
    })
}

/// A stream of LZF chunks: `ZV`, a kind, lengths of 16 bits, and the chunk's bytes.
fn lzf_into(mut block: &[u8], out: &mut [u8]) -> Result<usize> {
    let bad = || damaged("bad lzf block");
    let mut filled = 0;
    while !block.is_empty() {
        let header: &[u8; 5] = block.first_chunk().ok_or_else(bad)?;
        if &header[..2] != b"ZV" {
            return Err(bad());
        }
        let packed = usize::from(u16::from_be_bytes([header[3], header[4]]));
        match header[2] {
            0 => {
                let stored = block.get(5..5 + packed).ok_or_else(bad)?;
                out.get_mut(filled..filled + packed).ok_or_else(bad)?.copy_from_slice(stored);
                filled += packed;
                block = &block[5 + packed..];
            }
            1 => {
                let plain = block.get(5..7).ok_or_else(bad)?;
                let plain = usize::from(u16::from_be_bytes([plain[0], plain[1]]));
                let chunk = block.get(7..7 + packed).ok_or_else(bad)?;
                lzf_chunk(chunk, out.get_mut(filled..filled + plain).ok_or_else(bad)?)?;
                filled += plain;
                block = &block[7 + packed..];
            }
            _ => return Err(bad()),
        }
    }
    Ok(filled)
}

/// One compressed LZF chunk; it must fill `out` exactly.
fn lzf_chunk(chunk: &[u8], out: &mut [u8]) -> Result<()> {
    let bad = || damaged("bad lzf chunk");
    let (mut from, mut to) = (0, 0);
    while to < out.len() {
        let control = usize::from(*chunk.get(from).ok_or_else(bad)?);
        from += 1;
        if control < 32 {
            let length = control + 1;
            let literal = chunk.get(from..from + length).ok_or_else(bad)?;
            out.get_mut(to..to + length).ok_or_else(bad)?.copy_from_slice(literal);
            from += length;
            to += length;
            continue;
        }
        let mut length = control >> 5;
        if length == 7 {
            length += usize::from(*chunk.get(from).ok_or_else(bad)?);
            from += 1;
        }
        let distance = ((control & 31) << 8 | usize::from(*chunk.get(from).ok_or_else(bad)?)) + 1;
        from += 1;
        length += 2;
        if distance > to || to + length > out.len() {
            return Err(bad());
        }
        for i in to..to + length {
            out[i] = out[i - distance];
        }
        to += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lzf_chunks_repeat_what_came_before() {
        // Literal "ab", then 6 bytes from distance 2; then a stored chunk "!".
        let block = [b'Z', b'V', 1, 0, 5, 0, 8, 1, b'a', b'b', 0x80, 1, b'Z', b'V', 0, 0, 1, b'!'];
        let mut out = [0; 16];
        let length = Compression::Lzf.decompress(&block, &mut out).unwrap();
        assert_eq!(&out[..length], b"abababab!");
        assert!(Compression::Lzf.decompress(&block[..9], &mut out).is_err());
        assert!(Compression::Lzf.decompress(&block, &mut out[..8]).is_err());
    }

    #[test]
    fn unknown_compressions_are_errors() {
        assert!(Compression::from_id(0x55).is_err());
    }
}
