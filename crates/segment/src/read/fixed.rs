//! Columns of numbers: values in blocks or one raw stream, decoded block by block into the shared cache. The reader lends
//! slices straight out of a block where it keeps full width, else widens the rows that are asked for.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ovate_base::Result;
use ovate_compute::column::{LongBounds, Summary, SummaryNumber, gcd};

use super::blocks::Blocks;
use super::cache::{BlockSlots, CachedBlock};
use super::compression::{BLOCK_BYTES_MAX, Compression};
use super::cursor::{ByteOrder, Cursor, damaged};
use super::files::Files;
use super::long_block::LongBlock;

/// A number of fixed width that may hold any bits.
pub(crate) trait Scalar: Copy + Default + PartialEq + Send + Sync + 'static {
    const WIDTH: usize;
    fn from_bytes(bytes: &[u8], order: ByteOrder) -> Self;
    fn swap(self) -> Self;
}

macro_rules! scalar {
    ($type:ty) => {
        impl Scalar for $type {
            const WIDTH: usize = size_of::<$type>();
            fn from_bytes(bytes: &[u8], order: ByteOrder) -> Self {
                let bytes = bytes.try_into().expect("caller cut WIDTH bytes");
                match order {
                    ByteOrder::Little => <$type>::from_le_bytes(bytes),
                    ByteOrder::Big => <$type>::from_be_bytes(bytes),
                }
            }
            fn swap(self) -> Self {
                let mut bytes = self.to_ne_bytes();
                bytes.reverse();
                <$type>::from_ne_bytes(bytes)
            }
        }
    };
}
scalar!(i32);
scalar!(i64);
scalar!(f32);
scalar!(f64);

/// A number that columns are made of.
pub(crate) trait Fixed: Scalar + SummaryNumber {
    /// How a decoded block of it is kept.
    type Block: NumberBlock<Self>;
}

impl Fixed for i64 {
    type Block = LongBlock;
}
impl Fixed for f32 {
    type Block = PlainBlock<f32>;
}
impl Fixed for f64 {
    type Block = PlainBlock<f64>;
}

/// A decoded block. Positions are checked by the caller to lie inside.
pub(crate) trait NumberBlock<T>: CachedBlock {
    fn from_values(values: &[T]) -> Self;
    /// The values as they are, where they are kept at full width.
    fn slice(&self, range: Range<usize>) -> Option<&[T]>;
    /// Appends values.
    fn copy(&self, range: Range<usize>, out: &mut Vec<T>);
    /// Appends the values of ids, which count from `start`.
    fn gather(&self, ids: &[u32], start: u32, out: &mut Vec<T>);
}

/// Values at full width.
pub(crate) struct PlainBlock<T>(Box<[T]>);

impl<T: Scalar> CachedBlock for PlainBlock<T> {
    fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl<T: Scalar> NumberBlock<T> for PlainBlock<T> {
    fn from_values(values: &[T]) -> Self {
        PlainBlock(values.into())
    }

    fn slice(&self, range: Range<usize>) -> Option<&[T]> {
        Some(&self.0[range])
    }

    fn copy(&self, range: Range<usize>, out: &mut Vec<T>) {
        out.extend_from_slice(&self.0[range]);
    }

    fn gather(&self, ids: &[u32], start: u32, out: &mut Vec<T>) {
        out.extend(ids.iter().map(|id| self.0[(id - start) as usize]));
    }
}

/// The memory of numbers as bytes, to decompress into.
fn as_bytes_mut<T: Scalar>(values: &mut [T]) -> &mut [u8] {
    let length = size_of_val(values);
    // SAFETY: `Scalar` types have no padding, take any bits, and are at least as aligned as bytes.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), length) }
}

/// Gives the values of one block after another.
pub(crate) trait DecodeBlock<T>: Send + Sync {
    /// Puts the `rows` of block `index` into `out`, replacing what is there.
    fn decode(&self, index: u32, rows: Range<u32>, out: &mut Vec<T>) -> Result<()>;
}

/// Compressed blocks of values at full width.
struct WideBlocks {
    blocks: Blocks,
    order: ByteOrder,
}

impl<T: Scalar> DecodeBlock<T> for WideBlocks {
    fn decode(&self, index: u32, rows: Range<u32>, out: &mut Vec<T>) -> Result<()> {
        out.resize(BLOCK_BYTES_MAX / T::WIDTH, T::default());
        self.blocks.decode(index, as_bytes_mut(out), rows.len() * T::WIDTH)?;
        out.truncate(rows.len());
        if (self.order == ByteOrder::Big) != cfg!(target_endian = "big") {
            out.iter_mut().for_each(|v| *v = v.swap());
        }
        Ok(())
    }
}

/// Values at full width in one piece.
struct WideRaw {
    bytes: Bytes,
    order: ByteOrder,
}

impl<T: Scalar> DecodeBlock<T> for WideRaw {
    fn decode(&self, _index: u32, rows: Range<u32>, out: &mut Vec<T>) -> Result<()> {
        let bytes = &self.bytes[rows.start as usize * T::WIDTH..rows.end as usize * T::WIDTH];
        out.clear();
        out.extend(bytes.chunks_exact(T::WIDTH).map(|b| T::from_bytes(b, self.order)));
        Ok(())
    }
}

/// Rows to a block where the stored form has none.
pub(crate) const RAW_BLOCK_ROWS: u32 = 8192;

/// The column: where its values are, and its decoded blocks.
pub(crate) struct FixedColumn<T: Fixed> {
    pub(crate) total: u32,
    per_block: u32,
    decoder: Box<dyn DecodeBlock<T>>,
    slots: Arc<BlockSlots<T::Block>>,
    /// Of each block that was asked for; they stay when blocks go.
    summaries: Box<[OnceLock<Summary<T>>]>,
    bounds: OnceLock<Option<LongBounds>>,
}

/// Shorter blocks have no summary: adding up few values in order keeps their sum Druid's to the last bit.
const SUMMARY_ROWS_MIN: usize = 1024;

impl<T: Fixed> FixedColumn<T> {
    /// A column of `total` rows, `per_block` (not 0) to a block.
    pub(crate) fn new(total: u32, per_block: u32, decoder: Box<dyn DecodeBlock<T>>) -> Self {
        let blocks = total.div_ceil(per_block);
        FixedColumn {
            total,
            per_block,
            decoder,
            slots: BlockSlots::new(blocks),
            summaries: (0..blocks).map(|_| OnceLock::new()).collect(),
            bounds: OnceLock::new(),
        }
    }

    /// Rows of a block, but for the last.
    pub(crate) fn per_block(&self) -> u32 {
        self.per_block
    }

    pub(crate) fn block_count(&self) -> u32 {
        self.summaries.len() as u32
    }

    fn block_rows(&self, index: u32) -> Range<u32> {
        let start = index * self.per_block;
        start..start.saturating_add(self.per_block).min(self.total)
    }

    /// True for blocks that are large enough to be summed up.
    pub(crate) fn has_summary(&self, index: u32) -> bool {
        self.block_rows(index).len() >= SUMMARY_ROWS_MIN
    }

    /// A block's summary out of its stored bytes, past the cache; `values` is room to decode into.
    pub(crate) fn fresh_summary(&self, index: u32, values: &mut Vec<T>) -> Result<Option<Summary<T>>> {
        if !self.has_summary(index) {
            return Ok(None);
        }
        self.decoder.decode(index, self.block_rows(index), values)?;
        Ok(Some(T::summary(values)))
    }

    /// Takes over what was found out earlier; of a block that has a summary already nothing changes.
    pub(crate) fn set_summary(&self, index: u32, summary: Summary<T>) {
        if let Some(slot) = self.summaries.get(index as usize) {
            let _ = slot.set(summary);
        }
    }

    /// Reads the data that follow a header of `total` values, `per_block` to a block.
    pub(crate) fn read(
        cursor: &mut Cursor,
        files: &Files,
        (total, per_block, compression): (u32, u32, Compression),
        order: ByteOrder,
    ) -> Result<Self> {
        if compression == Compression::None {
            let bytes = cursor.take((total as usize).saturating_mul(T::WIDTH))?;
            return Ok(Self::new(total, RAW_BLOCK_ROWS, Box::new(WideRaw { bytes, order })));
        }
        if per_block == 0 || per_block as usize > BLOCK_BYTES_MAX / T::WIDTH {
            return Err(damaged(format!("bad number of values to a block. value={per_block}")));
        }
        let blocks = Blocks::read(cursor, files, compression, total.div_ceil(per_block))?;
        Ok(Self::new(total, per_block, Box::new(WideBlocks { blocks, order })))
    }
}

/// A cursor over the column.
pub(crate) struct FixedReader<T: Fixed> {
    column: Arc<FixedColumn<T>>,
    /// The block read last and its rows.
    held: Option<Arc<T::Block>>,
    rows: Range<u32>,
    decoded: Vec<T>,
    scratch: Vec<T>,
}

impl<T: Fixed> FixedReader<T> {
    pub(crate) fn new(column: Arc<FixedColumn<T>>) -> Self {
        FixedReader { column, held: None, rows: 0..0, decoded: Vec::new(), scratch: Vec::new() }
    }

    /// Holds the block with `row`, which lies inside the column.
    fn load(&mut self, row: u32) -> Result<()> {
        if self.rows.contains(&row) {
            return Ok(());
        }
        let column = &self.column;
        let index = row / column.per_block;
        let start = index * column.per_block;
        let rows = start..start.saturating_add(column.per_block).min(column.total);
        let decoded = &mut self.decoded;
        let block = column.slots.get(index, || {
            column.decoder.decode(index, rows.clone(), decoded)?;
            Ok(T::Block::from_values(decoded))
        })?;
        self.held = Some(block);
        self.rows = rows;
        Ok(())
    }

    fn block(&self) -> &T::Block {
        self.held.as_ref().expect("a block was just loaded")
    }

    /// Values of consecutive rows inside the column.
    pub(crate) fn range(&mut self, rows: Range<u32>) -> Result<&[T]> {
        self.scratch.clear();
        let mut next = rows.start;
        while next < rows.end {
            self.load(next)?;
            let end = rows.end.min(self.rows.end);
            let part = (next - self.rows.start) as usize..(end - self.rows.start) as usize;
            if part.len() == rows.len() && self.block().slice(part.clone()).is_some() {
                return Ok(self.block().slice(part).expect("just looked"));
            }
            self.held.as_ref().expect("a block was just loaded").copy(part, &mut self.scratch);
            next = end;
        }
        Ok(&self.scratch)
    }

    /// What is known of rows inside the column, when they are just one block.
    pub(crate) fn summary(&mut self, rows: Range<u32>) -> Result<Option<Summary<T>>> {
        let per_block = self.column.per_block;
        let whole = rows.start.is_multiple_of(per_block)
            && rows.len() >= SUMMARY_ROWS_MIN
            && (rows.len() == per_block as usize || rows.end == self.column.total && rows.len() < per_block as usize);
        if !whole {
            return Ok(None);
        }
        let index = (rows.start / per_block) as usize;
        if let Some(summary) = self.column.summaries[index].get() {
            return Ok(Some(*summary));
        }
        let summary = T::summary(self.range(rows)?);
        Ok(Some(*self.column.summaries[index].get_or_init(|| summary)))
    }

    /// Values of chosen rows inside the column.
    pub(crate) fn gather(&mut self, ids: &[u32]) -> Result<&[T]> {
        self.scratch.clear();
        self.scratch.reserve(ids.len());
        let mut rest = ids;
        while let Some(&first) = rest.first() {
            self.load(first)?;
            let (start, length) = (self.rows.start, self.rows.len());
            let run = rest.iter().take_while(|id| (id.wrapping_sub(start) as usize) < length).count();
            self.held.as_ref().expect("a block was just loaded").gather(&rest[..run], start, &mut self.scratch);
            rest = &rest[run..];
        }
        Ok(&self.scratch)
    }
}

/// The bounds of all values out of the stored bytes, past the cache.
pub(crate) fn bounds_of(column: &FixedColumn<i64>) -> Result<Option<LongBounds>> {
    let (mut min, mut max, mut step, mut first) = (i64::MAX, i64::MIN, 0, None);
    let mut values = Vec::new();
    for index in 0..column.block_count() {
        column.decoder.decode(index, column.block_rows(index), &mut values)?;
        let first = *first.get_or_insert_with(|| values.first().copied().unwrap_or(0));
        for value in &values {
            (min, max) = (min.min(*value), max.max(*value));
            let distance = value.abs_diff(first);
            if step != 1 && !distance.is_multiple_of(step) {
                step = gcd(step, distance);
            }
        }
    }
    let wide = max.wrapping_sub(min) as u64 > STEP_FROM;
    Ok((column.total > 0).then_some(LongBounds { min, max, step: if wide { step.max(1) } else { 1 } }))
}

impl FixedColumn<i64> {
    /// Takes over bounds that were found out earlier.
    pub(crate) fn set_bounds(&self, bounds: LongBounds) {
        let _ = self.bounds.set(Some(bounds));
    }

    /// The bounds of all values; reads the column the first time.
    pub(crate) fn bounds(self: &Arc<Self>) -> Result<Option<LongBounds>> {
        if let Some(bounds) = self.bounds.get() {
            return Ok(*bounds);
        }
        let mut reader = FixedReader::new(self.clone());
        let blocks = || (0..self.total).step_by(self.per_block as usize);
        let block = |start: u32| start..start.saturating_add(self.per_block).min(self.total);
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for start in blocks() {
            let summary = match reader.summary(block(start))? {
                Some(summary) => summary,
                None => i64::summary(reader.range(block(start))?),
            };
            (min, max) = (min.min(summary.min), max.max(summary.max));
        }
        let mut step = 1;
        // Small ranges need no step; larger ones are mostly instants on whole days or hours.
        if max.wrapping_sub(min) as u64 > STEP_FROM {
            step = 0;
            for start in blocks() {
                for value in reader.range(block(start))? {
                    let distance = value.wrapping_sub(min) as u64;
                    if !distance.is_multiple_of(step) {
                        step = gcd(step, distance);
                    }
                }
                if step == 1 {
                    break;
                }
            }
        }
        let bounds = (self.total > 0).then_some(LongBounds { min, max, step: step.max(1) });
        Ok(*self.bounds.get_or_init(|| bounds))
    }
}

/// From this distance between the least and the greatest value on it is worth knowing their common step.
const STEP_FROM: u64 = 1 << 22;
