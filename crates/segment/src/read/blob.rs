//! Bytes in compressed blocks of fixed plain size (`CompressedBlockReader`), and lists of values of any length stored in
//! them (`CompressedVariableSizedBlobColumn`).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;

use super::compression::{BLOCK_BYTES_MAX, Compression};
use super::cursor::{ByteOrder, Cursor, damaged};
use super::files::Files;

/// A run of bytes, cut into blocks.
pub(crate) struct ByteBlocks {
    pub(crate) compression: Compression,
    pub(crate) block_size: usize,
    /// End of each compressed block in `data`, four bytes each.
    pub(crate) ends: Bytes,
    pub(crate) order: ByteOrder,
    pub(crate) data: Bytes,
}

impl ByteBlocks {
    /// Reads a `CompressedBlock` file.
    pub(crate) fn read(cursor: &mut Cursor, order: ByteOrder) -> Result<Self> {
        let version = cursor.u8()?;
        if version != 1 {
            return Err(damaged(format!("unknown version of compressed bytes. version={version}")));
        }
        let compression = Compression::from_id(cursor.u8()?)?;
        let block_size = cursor.count_be("size of a block")?;
        if block_size == 0 || block_size > BLOCK_BYTES_MAX {
            return Err(damaged(format!("bad size of a block. value={block_size}")));
        }
        let count = cursor.count_be("number of blocks")?;
        let ends = cursor.take(count.saturating_mul(4))?;
        Ok(ByteBlocks { compression, block_size, ends, order, data: cursor.rest() })
    }

    fn block(&self, index: usize) -> Result<&[u8]> {
        let end = |i: usize| -> Result<usize> {
            let bytes = self.ends.get(4 * i..4 * i + 4).ok_or_else(|| damaged(format!("block is missing. block={i}")))?;
            Ok(self.order.i32(bytes.try_into().expect("four bytes")) as usize)
        };
        let start = if index == 0 { 0 } else { end(index - 1)? };
        self.data.get(start..end(index)?).ok_or_else(|| damaged(format!("block lies outside. block={index}")))
    }
}

/// A cursor over bytes in blocks.
pub(crate) struct ByteBlocksReader {
    blocks: Arc<ByteBlocks>,
    held: Option<usize>,
    length: usize,
    block: Vec<u8>,
}

impl ByteBlocksReader {
    pub(crate) fn new(blocks: Arc<ByteBlocks>) -> Self {
        ByteBlocksReader { blocks, held: None, length: 0, block: Vec::new() }
    }

    fn load(&mut self, index: usize) -> Result<()> {
        if self.held != Some(index) {
            self.held = None;
            self.block.resize(BLOCK_BYTES_MAX, 0);
            let packed = self.blocks.block(index)?;
            self.length = self
                .blocks
                .compression
                .decompress(packed, &mut self.block)
                .map_err(|e| e.prefixed(format_args!("block={index}")))?;
            self.held = Some(index);
        }
        Ok(())
    }

    /// Puts the bytes of a range into `out`, which grows only as blocks prove to be there.
    pub(crate) fn read(&mut self, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        let size = self.blocks.block_size as u64;
        let mut next = range.start;
        while next < range.end {
            self.load((next / size) as usize)?;
            let from = (next % size) as usize;
            let to = (range.end - (next - from as u64)).min(size) as usize;
            let part = self.block[..self.length].get(from..to).ok_or_else(|| damaged("bytes end in the middle of a value"))?;
            out.extend_from_slice(part);
            next += part.len() as u64;
        }
        Ok(())
    }
}

/// A list of values in compressed blocks.
pub(crate) struct Blob {
    pub(crate) len: u32,
    order: ByteOrder,
    ends: Arc<ByteBlocks>,
    values: Arc<ByteBlocks>,
}

impl Blob {
    /// Reads the file `name` and its companions.
    pub(crate) fn read(files: &Files, name: &str, order: ByteOrder) -> Result<Self> {
        let mut cursor = Cursor::new(files.require(name)?);
        let version = cursor.u8()?;
        if version != 1 {
            return Err(damaged(format!("unknown version of a list of values. file={name} version={version}")));
        }
        let len = cursor.count_be("number of values")? as u32;
        let part = |suffix: &str| -> Result<Arc<ByteBlocks>> {
            let file = files.require(&format!("{name}{suffix}"))?;
            Ok(Arc::new(ByteBlocks::read(&mut Cursor::new(file), order)?))
        };
        Ok(Blob { len, order, ends: part("_offsets")?, values: part("_compressed")? })
    }
}

/// A cursor over the values.
pub(crate) struct BlobReader {
    len: u32,
    order: ByteOrder,
    ends: ByteBlocksReader,
    values: ByteBlocksReader,
    scratch: Vec<u8>,
}

impl BlobReader {
    pub(crate) fn new(blob: &Blob) -> Self {
        BlobReader {
            len: blob.len,
            order: blob.order,
            ends: ByteBlocksReader::new(blob.ends.clone()),
            values: ByteBlocksReader::new(blob.values.clone()),
            scratch: Vec::new(),
        }
    }

    /// Puts a value into `out`.
    pub(crate) fn read(&mut self, index: u32, out: &mut Vec<u8>) -> Result<()> {
        if index >= self.len {
            return Err(damaged(format!("no such value. index={index} length={}", self.len)));
        }
        let at = 8 * u64::from(index);
        self.ends.read(at.saturating_sub(8)..at + 8, &mut self.scratch)?;
        let mut bounds = self.scratch.as_chunks::<8>().0.iter().map(|b| self.order.i64(*b) as u64);
        let start = if index == 0 { 0 } else { bounds.next().expect("two ends were read") };
        let end = bounds.next().expect("an end was read");
        // A value lies inside the blocks there are, so bad ends cannot make us loop for long.
        if start > end || end > (self.values.blocks.ends.len() as u64 / 4) * self.values.blocks.block_size as u64 {
            return Err(damaged(format!("value lies outside. index={index}")));
        }
        self.values.read(start..end, out)
    }
}
