//! Columns of numbers of one width in compressed blocks or one raw stream: longs of encoding LONGS, floats, doubles. The
//! reader keeps the block decoded last and lends slices straight out of it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;

use super::blocks::Blocks;
use super::compression::{BLOCK_BYTES_MAX, Compression};
use super::cursor::{ByteOrder, Cursor, damaged};
use super::files::Files;

/// A number of fixed width that may hold any bits.
pub(crate) trait Fixed: Copy + Default + PartialEq + Send + Sync + 'static {
    const WIDTH: usize;
    fn from_bytes(bytes: &[u8], order: ByteOrder) -> Self;
    fn swap(self) -> Self;
}

macro_rules! fixed {
    ($type:ty) => {
        impl Fixed for $type {
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
fixed!(i32);
fixed!(i64);
fixed!(f32);
fixed!(f64);

/// The memory of numbers as bytes, to decompress into.
fn as_bytes_mut<T: Fixed>(values: &mut [T]) -> &mut [u8] {
    let length = size_of_val(values);
    // SAFETY: `Fixed` types have no padding, take any bits, and are at least as aligned as bytes.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), length) }
}

/// The column: where its values are.
pub(crate) struct FixedColumn {
    pub(crate) total: u32,
    per_block: u32,
    order: ByteOrder,
    data: Data,
}

enum Data {
    Blocks(Blocks),
    Raw(Bytes),
}

impl FixedColumn {
    /// Reads the data that follow a header of `total` values, `per_block` to a block.
    pub(crate) fn read<T: Fixed>(
        cursor: &mut Cursor,
        files: &Files,
        (total, per_block, compression): (u32, u32, Compression),
        order: ByteOrder,
    ) -> Result<Self> {
        if compression == Compression::None {
            let raw = cursor.take((total as usize).saturating_mul(T::WIDTH))?;
            return Ok(FixedColumn { total, per_block: total.max(1), order, data: Data::Raw(raw) });
        }
        if per_block == 0 || per_block as usize > BLOCK_BYTES_MAX / T::WIDTH {
            return Err(damaged(format!("bad number of values to a block. value={per_block}")));
        }
        let blocks = Blocks::read(cursor, files, compression, total.div_ceil(per_block))?;
        Ok(FixedColumn { total, per_block, order, data: Data::Blocks(blocks) })
    }
}

/// A cursor over the column.
pub(crate) struct FixedReader<T> {
    column: Arc<FixedColumn>,
    /// Rows that `block` holds.
    held: Range<u32>,
    block: Vec<T>,
    scratch: Vec<T>,
}

impl<T: Fixed> FixedReader<T> {
    pub(crate) fn new(column: Arc<FixedColumn>) -> Self {
        FixedReader { column, held: 0..0, block: Vec::new(), scratch: Vec::new() }
    }

    /// Makes `block` the one that holds `row`, which lies inside the column.
    fn load(&mut self, row: u32) -> Result<()> {
        if self.held.contains(&row) {
            return Ok(());
        }
        let Data::Blocks(blocks) = &self.column.data else { unreachable!("raw columns have no blocks") };
        let index = row / self.column.per_block;
        let start = index * self.column.per_block;
        let end = start.saturating_add(self.column.per_block).min(self.column.total);
        self.block.resize(BLOCK_BYTES_MAX / T::WIDTH, T::default());
        self.held = 0..0;
        let count = (end - start) as usize;
        blocks.decode(index, as_bytes_mut(&mut self.block), count * T::WIDTH)?;
        if (self.column.order == ByteOrder::Big) != cfg!(target_endian = "big") {
            self.block[..count].iter_mut().for_each(|v| *v = v.swap());
        }
        self.held = start..end;
        Ok(())
    }

    /// Values of consecutive rows inside the column.
    pub(crate) fn range(&mut self, rows: Range<u32>) -> Result<&[T]> {
        self.scratch.clear();
        if rows.is_empty() {
            return Ok(&self.scratch);
        }
        if let Data::Raw(raw) = &self.column.data {
            let bytes = &raw[rows.start as usize * T::WIDTH..rows.end as usize * T::WIDTH];
            let order = self.column.order;
            self.scratch.extend(bytes.chunks_exact(T::WIDTH).map(|b| T::from_bytes(b, order)));
            return Ok(&self.scratch);
        }
        self.load(rows.start)?;
        if rows.end <= self.held.end {
            let start = (rows.start - self.held.start) as usize;
            return Ok(&self.block[start..start + rows.len()]);
        }
        let mut next = rows.start;
        while next < rows.end {
            self.load(next)?;
            let end = rows.end.min(self.held.end);
            let (from, to) = ((next - self.held.start) as usize, (end - self.held.start) as usize);
            self.scratch.extend_from_slice(&self.block[from..to]);
            next = end;
        }
        Ok(&self.scratch)
    }

    /// Values of chosen rows inside the column.
    pub(crate) fn gather(&mut self, ids: &[u32]) -> Result<&[T]> {
        self.scratch.clear();
        self.scratch.reserve(ids.len());
        if let Data::Raw(raw) = &self.column.data {
            let order = self.column.order;
            let value = |&id: &u32| T::from_bytes(&raw[id as usize * T::WIDTH..(id as usize + 1) * T::WIDTH], order);
            self.scratch.extend(ids.iter().map(value));
            return Ok(&self.scratch);
        }
        let mut rest = ids;
        while let Some(&first) = rest.first() {
            self.load(first)?;
            let (start, length) = (self.held.start, self.held.len());
            let run = rest.iter().take_while(|id| (id.wrapping_sub(start) as usize) < length).count();
            let block = &self.block[..length];
            self.scratch.extend(rest[..run].iter().map(|id| block[(id - start) as usize]));
            rest = &rest[run..];
        }
        Ok(&self.scratch)
    }
}
