//! Containers of small non-negative integers: dictionary codes and offsets (`VSizeColumnarInts`,
//! `CompressedVSizeColumnarInts`, `CompressedColumnarInts`). Readers widen them to `u32` in tight loops.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;

use super::blocks::Blocks;
use super::cache::{BlockSlots, CachedBlock};
use super::compression::{BLOCK_BYTES_MAX, Compression};
use super::cursor::{ByteOrder, Cursor, damaged};
use super::files::Files;

/// Where the integers are.
pub(crate) struct Ints {
    pub(crate) total: u32,
    width: usize,
    order: ByteOrder,
    data: Data,
    /// Values from here on are damage.
    limit: u32,
}

enum Data {
    Raw(Bytes),
    Blocks { blocks: Blocks, per_block: u32, slots: Arc<BlockSlots<IntBlock>> },
}

/// A decoded block, in the stored width, but three bytes widened to four, which scans read twice as fast. A block that was
/// never compressed stays where it is.
struct IntBlock {
    bytes: Bytes,
    width: usize,
}

impl IntBlock {
    fn decoded(bytes: &[u8], width: usize, order: ByteOrder) -> Self {
        if width != 3 {
            return IntBlock { bytes: Bytes::copy_from_slice(bytes), width };
        }
        let mut wide = Vec::with_capacity(bytes.len() / 3 * 4);
        for [a, b, c] in bytes.as_chunks::<3>().0 {
            wide.extend_from_slice(&match order {
                ByteOrder::Little => [*a, *b, *c, 0],
                ByteOrder::Big => [0, *a, *b, *c],
            });
        }
        IntBlock { bytes: wide.into(), width: 4 }
    }
}

impl CachedBlock for IntBlock {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Ints {
    /// `VSizeColumnarInts`: big endian in one piece.
    pub(crate) fn read_plain(cursor: &mut Cursor) -> Result<Self> {
        check_version(cursor.u8()?, 0)?;
        let width = read_width(cursor)?;
        let bytes = cursor.sized("byte count of integers")?;
        let Some(used) = bytes.len().checked_sub(4 - width) else { return Err(damaged("integers lack their padding")) };
        let total = (used / width) as u32;
        Ok(Ints { total, width, order: ByteOrder::Big, data: Data::Raw(bytes.slice(..total as usize * width)), limit: u32::MAX })
    }

    /// Big-endian integers without a header, as they stand inside `VSizeColumnarMultiInts`.
    pub(crate) fn raw(bytes: Bytes, width: usize) -> Self {
        Ints { total: (bytes.len() / width) as u32, width, order: ByteOrder::Big, data: Data::Raw(bytes), limit: u32::MAX }
    }

    /// `CompressedVSizeColumnarInts`: 1 to 4 bytes each, in blocks.
    pub(crate) fn read_compressed(cursor: &mut Cursor, files: &Files, order: ByteOrder) -> Result<Self> {
        check_version(cursor.u8()?, 2)?;
        let width = read_width(cursor)?;
        Self::read_blocks(cursor, files, order, width)
    }

    /// `CompressedColumnarInts`: 4 bytes each, in blocks.
    pub(crate) fn read_compressed_wide(cursor: &mut Cursor, files: &Files, order: ByteOrder) -> Result<Self> {
        check_version(cursor.u8()?, 2)?;
        Self::read_blocks(cursor, files, order, 4)
    }

    fn read_blocks(cursor: &mut Cursor, files: &Files, order: ByteOrder, width: usize) -> Result<Self> {
        let total = cursor.count_be("number of integers")? as u32;
        let per_block = cursor.count_be("integers of a block")? as u32;
        if per_block == 0 || per_block as usize > BLOCK_BYTES_MAX / width {
            return Err(damaged(format!("bad number of integers to a block. value={per_block}")));
        }
        let compression = Compression::from_id(cursor.u8()?)?;
        let count = total.div_ceil(per_block);
        let blocks = Blocks::read(cursor, files, compression, count)?;
        Ok(Ints { total, width, order, data: Data::Blocks { blocks, per_block, slots: BlockSlots::new(count) }, limit: u32::MAX })
    }

    /// From now on values of `limit` and above are errors; blocks are checked once, when they are decoded.
    pub(crate) fn with_limit(mut self, limit: u32) -> Self {
        let value_max = u32::MAX >> (32 - 8 * self.width);
        self.limit = if value_max < limit { u32::MAX } else { limit };
        self
    }

    fn check_values(&self, values: impl Iterator<Item = u32>) -> Result<()> {
        let max = values.fold(0, u32::max);
        if self.limit == u32::MAX || max < self.limit {
            return Ok(());
        }
        Err(damaged(format!("code is not in the dictionary. code={max} cardinality={}", self.limit)))
    }

    /// Checks the values of a block.
    fn check_block(&self, bytes: &[u8]) -> Result<()> {
        if self.limit == u32::MAX {
            return Ok(());
        }
        match (self.width, self.order) {
            (1, _) => self.check_values(bytes.iter().map(|b| u32::from(*b))),
            (2, ByteOrder::Little) => self.check_values(bytes.as_chunks().0.iter().map(|b| u32::from(u16::from_le_bytes(*b)))),
            (3, ByteOrder::Little) => {
                let values = bytes.as_chunks::<3>().0.iter();
                self.check_values(values.map(|b| u32::from_le_bytes([b[0], b[1], b[2], 0])))
            }
            (4, ByteOrder::Little) => self.check_values(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b))),
            (width, order) => self.check_values((0..bytes.len() / width).map(|i| pick(bytes, i, width, order))),
        }
    }
}

pub(crate) fn read_width(cursor: &mut Cursor) -> Result<usize> {
    match cursor.u8()? {
        width @ 1..=4 => Ok(usize::from(width)),
        width => Err(damaged(format!("bad width of integers. bytes={width}"))),
    }
}

fn check_version(version: u8, known: u8) -> Result<()> {
    if version == known { Ok(()) } else { Err(damaged(format!("unknown version of integers. version={version} known={known}"))) }
}

/// Appends integers of 1 to 4 bytes to `out`.
fn widen(bytes: &[u8], width: usize, order: ByteOrder, out: &mut Vec<u32>) {
    match (width, order) {
        (1, _) => out.extend(bytes.iter().map(|&b| u32::from(b))),
        (2, ByteOrder::Little) => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from(u16::from_le_bytes(*b)))),
        (2, ByteOrder::Big) => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from(u16::from_be_bytes(*b)))),
        (3, ByteOrder::Little) => {
            out.extend(bytes.as_chunks::<3>().0.iter().map(|b| u32::from_le_bytes([b[0], b[1], b[2], 0])));
        }
        (3, ByteOrder::Big) => {
            out.extend(bytes.as_chunks::<3>().0.iter().map(|b| u32::from_be_bytes([0, b[0], b[1], b[2]])));
        }
        (_, ByteOrder::Little) => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b))),
        (_, ByteOrder::Big) => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from_be_bytes(*b))),
    }
}

/// One integer.
fn pick(bytes: &[u8], index: usize, width: usize, order: ByteOrder) -> u32 {
    let value = &bytes[index * width..(index + 1) * width];
    let mut wide = [0; 4];
    match order {
        ByteOrder::Little => {
            wide[..width].copy_from_slice(value);
            u32::from_le_bytes(wide)
        }
        ByteOrder::Big => {
            wide[4 - width..].copy_from_slice(value);
            u32::from_be_bytes(wide)
        }
    }
}

/// A cursor over integers. Appends to a vector of the caller, for columns need them in different places.
pub(crate) struct IntsReader {
    ints: Arc<Ints>,
    /// Positions that `block` holds.
    held: Range<u32>,
    block: Arc<IntBlock>,
    decoded: Vec<u8>,
}

impl IntsReader {
    pub(crate) fn new(ints: Arc<Ints>) -> Self {
        IntsReader { ints, held: 0..0, block: Arc::new(IntBlock { bytes: Bytes::new(), width: 1 }), decoded: Vec::new() }
    }

    fn load(&mut self, row: u32) -> Result<()> {
        if self.held.contains(&row) {
            return Ok(());
        }
        let Data::Blocks { blocks, per_block, slots } = &self.ints.data else { unreachable!("raw integers have no blocks") };
        let index = row / per_block;
        let start = index * per_block;
        let end = start.saturating_add(*per_block).min(self.ints.total);
        let wanted = (end - start) as usize * self.ints.width;
        self.block = match blocks.stored(index, wanted)? {
            Some(bytes) => {
                self.ints.check_block(&bytes[..wanted])?;
                Arc::new(IntBlock { bytes, width: self.ints.width })
            }
            None => slots.get(index, || {
                self.decoded.resize(BLOCK_BYTES_MAX, 0);
                blocks.decode(index, &mut self.decoded, wanted)?;
                self.ints.check_block(&self.decoded[..wanted])?;
                Ok(IntBlock::decoded(&self.decoded[..wanted], self.ints.width, self.ints.order))
            })?,
        };
        self.held = start..end;
        Ok(())
    }

    fn check(&self, end: u32) -> Result<()> {
        if end > self.ints.total {
            return Err(damaged(format!("integers end too early. wanted={end} total={}", self.ints.total)));
        }
        Ok(())
    }

    /// Appends the integers at consecutive positions.
    pub(crate) fn range(&mut self, rows: Range<u32>, out: &mut Vec<u32>) -> Result<()> {
        self.check(rows.end)?;
        let (width, order) = (self.ints.width, self.ints.order);
        if let Data::Raw(raw) = &self.ints.data {
            let start = out.len();
            if !rows.is_empty() {
                widen(&raw[rows.start as usize * width..rows.end as usize * width], width, order, out);
            }
            return self.ints.check_values(out[start..].iter().copied());
        }
        let mut next = rows.start;
        while next < rows.end {
            self.load(next)?;
            let end = rows.end.min(self.held.end);
            let (from, to) = ((next - self.held.start) as usize, (end - self.held.start) as usize);
            let width = self.block.width;
            widen(&self.block.bytes[from * width..to * width], width, order, out);
            next = end;
        }
        Ok(())
    }

    /// Appends the integers at chosen positions.
    pub(crate) fn gather(&mut self, ids: &[u32], out: &mut Vec<u32>) -> Result<()> {
        self.check(ids.iter().copied().max().map_or(0, |id| id.saturating_add(1)))?;
        let (width, order) = (self.ints.width, self.ints.order);
        if let Data::Raw(raw) = &self.ints.data {
            let start = out.len();
            out.extend(ids.iter().map(|&id| pick(raw, id as usize, width, order)));
            return self.ints.check_values(out[start..].iter().copied());
        }
        let mut rest = ids;
        while let Some(&first) = rest.first() {
            self.load(first)?;
            let (start, length) = (self.held.start, self.held.len());
            let run = rest.iter().take_while(|id| (id.wrapping_sub(start) as usize) < length).count();
            let width = self.block.width;
            let block = &self.block.bytes[..length * width];
            let ids = rest[..run].iter().map(|id| (id - start) as usize);
            match (width, order) {
                (1, _) => out.extend(ids.map(|i| u32::from(block[i]))),
                (2, ByteOrder::Little) => {
                    let pairs = block.as_chunks::<2>().0;
                    out.extend(ids.map(|i| u32::from(u16::from_le_bytes(pairs[i]))));
                }
                (3, ByteOrder::Little) => {
                    let triples = block.as_chunks::<3>().0;
                    out.extend(ids.map(|i| {
                        let [a, b, c] = triples[i];
                        u32::from_le_bytes([a, b, c, 0])
                    }));
                }
                (4, ByteOrder::Little) => {
                    let quads = block.as_chunks::<4>().0;
                    out.extend(ids.map(|i| u32::from_le_bytes(quads[i])));
                }
                _ => out.extend(ids.map(|i| pick(block, i, width, order))),
            }
            rest = &rest[run..];
        }
        Ok(())
    }
}
