//! First and last pairs (`SerializablePairLong…`): cells of a time and a value. Each is given in the bytes that compute's
//! `sketch::pair` reads, all big endian: time (`i64`); then for numbers a null flag and the value, for strings a length
//! (`i32`, 0 null, -1 empty) and the text. The older form of string pairs is already that.

use std::sync::Arc;

use ovate_base::Result;

use super::blob::{ByteBlocks, ByteBlocksReader};
use super::compression::{BLOCK_BYTES_MAX, Compression};
use super::cursor::{ByteOrder, Cursor, damaged};

/// What the second half of a pair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairKind {
    Number { width: usize },
    Text,
}

impl PairKind {
    /// From a complex type's name.
    pub(crate) fn from_type(name: &str) -> Option<Self> {
        match name {
            "serializablePairLongLong" | "serializablePairLongDouble" => Some(PairKind::Number { width: 8 }),
            "serializablePairLongFloat" => Some(PairKind::Number { width: 4 }),
            "serializablePairLongString" => Some(PairKind::Text),
            _ => None,
        }
    }
}

/// A column of pairs in cells.
pub(crate) struct PairCells {
    kind: PairKind,
    /// Deltas of 32 bits, not 64.
    short_delta: bool,
    time_min: i64,
    cell_index: Arc<ByteBlocks>,
    payload: Arc<ByteBlocks>,
}

const SHORT_DELTA: u8 = 0x80;

impl PairCells {
    pub(crate) fn read(cursor: &mut Cursor, kind: PairKind) -> Result<Self> {
        let order = ByteOrder::Little;
        let version = cursor.u8()?;
        if version != 3 {
            return Err(damaged(format!("unknown version of pairs. version={version}")));
        }
        let [flags, _, _] = cursor.array::<3>()?;
        let time_min = order.i64(cursor.array()?);
        let mut part = || -> Result<Arc<ByteBlocks>> {
            let length = cursor.count(order, "byte count of cells")?;
            Ok(Arc::new(read_payload(&mut Cursor::new(cursor.take(length)?), order)?))
        };
        Ok(PairCells { kind, short_delta: flags & SHORT_DELTA != 0, time_min, cell_index: part()?, payload: part()? })
    }
}

/// Starts of the blocks and one total, then the blocks.
fn read_payload(cursor: &mut Cursor, order: ByteOrder) -> Result<ByteBlocks> {
    let index = cursor.count(order, "byte count of a block index")?;
    let starts = cursor.take(index)?;
    let size = cursor.count(order, "byte count of blocks")?;
    let data = cursor.take(size)?;
    let ends = starts.slice(starts.len().min(4)..);
    Ok(ByteBlocks { compression: Compression::Lz4, block_size: BLOCK_BYTES_MAX, ends, order, data })
}

/// A cursor over cells.
pub(crate) struct PairReader {
    cells: Arc<PairCells>,
    cell_index: ByteBlocksReader,
    payload: ByteBlocksReader,
    bounds: Vec<u8>,
    cell: Vec<u8>,
}

impl PairReader {
    pub(crate) fn new(cells: Arc<PairCells>) -> Self {
        PairReader {
            cell_index: ByteBlocksReader::new(cells.cell_index.clone()),
            payload: ByteBlocksReader::new(cells.payload.clone()),
            cells,
            bounds: Vec::new(),
            cell: Vec::new(),
        }
    }

    /// The pair of a row, in Druid's bytes; `None` where there is none.
    pub(crate) fn read(&mut self, row: u32) -> Result<Option<Vec<u8>>> {
        let at = 8 * u64::from(row);
        self.cell_index.read(at..at + 16, &mut self.bounds)?;
        let bound = |i: usize| i64::from_le_bytes(self.bounds[8 * i..8 * i + 8].try_into().expect("eight bytes")) as u64;
        let (start, end) = (bound(0), bound(1));
        if start == end {
            return Ok(None);
        }
        if start > end || end > (self.cells.payload.ends.len() as u64 / 4) * BLOCK_BYTES_MAX as u64 {
            return Err(damaged(format!("cell lies outside. row={row}")));
        }
        self.payload.read(start..end, &mut self.cell)?;
        self.decode().map(Some)
    }

    fn decode(&self) -> Result<Vec<u8>> {
        let short = || damaged("cell is too short");
        let (delta, rest) = if self.cells.short_delta {
            let (bytes, rest) = self.cell.split_first_chunk().ok_or_else(short)?;
            (i64::from(i32::from_le_bytes(*bytes)), rest)
        } else {
            let (bytes, rest) = self.cell.split_first_chunk().ok_or_else(short)?;
            (i64::from_le_bytes(*bytes), rest)
        };
        let wanted = match self.cells.kind {
            PairKind::Number { width } => match rest.first().ok_or_else(short)? {
                0 => 1 + width,
                _ => 1,
            },
            PairKind::Text => {
                let (length, _) = rest.split_first_chunk().ok_or_else(short)?;
                4 + i32::from_le_bytes(*length).max(0) as usize
            }
        };
        let rest = rest.get(..wanted).ok_or_else(short)?;
        let mut pair = self.cells.time_min.wrapping_add(delta).to_be_bytes().to_vec();
        let (head, body) = match self.cells.kind {
            PairKind::Number { .. } => rest.split_at(1),
            PairKind::Text => rest.split_at(4),
        };
        match self.cells.kind {
            PairKind::Number { .. } => {
                pair.push(u8::from(head[0] != 0));
                pair.extend(body.iter().rev());
            }
            PairKind::Text => {
                pair.extend(head.iter().rev());
                pair.extend(body);
            }
        }
        Ok(pair)
    }
}
