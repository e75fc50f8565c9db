//! A list of compressed blocks (`GenericIndexed` of blocks), each decoded on demand into a buffer of the reader.

use bytes::Bytes;
use ovate_base::Result;

use super::compression::Compression;
use super::cursor::{Cursor, damaged};
use super::files::Files;
use super::generic_indexed::GenericIndexed;

/// The list and how its blocks are compressed.
pub(crate) struct Blocks {
    list: GenericIndexed,
    compression: Compression,
}

impl Blocks {
    /// Reads a list that must hold at least `wanted` blocks.
    pub(crate) fn read(cursor: &mut Cursor, files: &Files, compression: Compression, wanted: u32) -> Result<Self> {
        let list = GenericIndexed::read(cursor, files)?;
        if list.len() < wanted {
            return Err(damaged(format!("column has too few blocks. blocks={} wanted={wanted}", list.len())));
        }
        Ok(Blocks { list, compression })
    }

    /// A block that is not compressed, where it stands; `None` where blocks are compressed.
    pub(crate) fn stored(&self, index: u32, wanted: usize) -> Result<Option<Bytes>> {
        if self.compression != Compression::Uncompressed {
            return Ok(None);
        }
        match self.list.get_bytes(index)? {
            Some(bytes) if bytes.len() >= wanted => Ok(Some(bytes)),
            _ => Err(damaged(format!("block is too short. block={index} wanted={wanted}"))),
        }
    }

    /// Decodes a block to the front of `out`; it must give at least `wanted` bytes.
    pub(crate) fn decode(&self, index: u32, out: &mut [u8], wanted: usize) -> Result<()> {
        let block = self.list.get(index)?.ok_or_else(|| damaged(format!("block is null. block={index}")))?;
        let length = self.compression.decompress(block, out).map_err(|e| e.prefixed(format_args!("block={index}")))?;
        if length < wanted {
            return Err(damaged(format!("block is too short. block={index} bytes={length} wanted={wanted}")));
        }
        Ok(())
    }
}
