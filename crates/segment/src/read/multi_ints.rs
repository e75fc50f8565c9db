//! Containers of several integers a row: `VSizeColumnarMultiInts`, `V3CompressedVSizeColumnarMultiInts` and the older
//! `CompressedVSizeColumnarMultiInts`.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;
use ovate_compute::Rows;

use super::cursor::{ByteOrder, Cursor, damaged};
use super::files::Files;
use super::ints::{Ints, IntsReader, read_width};

/// Where rows begin, and all their integers back to back.
pub(crate) struct MultiInts {
    offsets: Offsets,
    values: Arc<Ints>,
}

enum Offsets {
    /// Entry `i` is the position of the first integer of row `i`; one entry more than rows.
    Starts(Arc<Ints>),
    /// End of each row in bytes (`i32be`), for integers of this width.
    ByteEnds { ends: Bytes, width: u32 },
}

impl MultiInts {
    /// `VSizeColumnarMultiInts`.
    pub(crate) fn read_plain(cursor: &mut Cursor, limit: u32) -> Result<Self> {
        let version = cursor.u8()?;
        if version != 1 {
            return Err(damaged(format!("unknown version of multi-value integers. version={version}")));
        }
        let width = read_width(cursor)?;
        let mut body = Cursor::new(cursor.sized("byte count of multi-value integers")?);
        let rows = body.count_be("row count of multi-value integers")?;
        let ends = body.take(rows.saturating_mul(4))?;
        let values = Ints::raw(body.rest(), width).with_limit(limit);
        Ok(MultiInts { offsets: Offsets::ByteEnds { ends, width: width as u32 }, values: Arc::new(values) })
    }

    /// The normal compressed form.
    pub(crate) fn read_v3(cursor: &mut Cursor, files: &Files, order: ByteOrder, limit: u32) -> Result<Self> {
        let version = cursor.u8()?;
        if version != 3 {
            return Err(damaged(format!("unknown version of multi-value integers. version={version}")));
        }
        let starts = Ints::read_compressed_wide(cursor, files, order)?;
        let values = Ints::read_compressed(cursor, files, order)?.with_limit(limit);
        Ok(MultiInts { offsets: Offsets::Starts(Arc::new(starts)), values: Arc::new(values) })
    }

    /// The older compressed form.
    pub(crate) fn read_v2(cursor: &mut Cursor, files: &Files, order: ByteOrder, limit: u32) -> Result<Self> {
        let version = cursor.u8()?;
        if version != 2 {
            return Err(damaged(format!("unknown version of multi-value integers. version={version}")));
        }
        let starts = Ints::read_compressed(cursor, files, order)?;
        let values = Ints::read_compressed(cursor, files, order)?.with_limit(limit);
        Ok(MultiInts { offsets: Offsets::Starts(Arc::new(starts)), values: Arc::new(values) })
    }

    pub(crate) fn rows(&self) -> u32 {
        match &self.offsets {
            Offsets::Starts(starts) => starts.total.saturating_sub(1),
            Offsets::ByteEnds { ends, .. } => (ends.len() / 4) as u32,
        }
    }
}

/// A cursor over the rows.
pub(crate) struct MultiIntsReader {
    column: Arc<MultiInts>,
    starts: Option<IntsReader>,
    values: IntsReader,
    bounds: Vec<u32>,
    ids: Vec<u32>,
    pub(crate) offsets: Vec<u32>,
    pub(crate) codes: Vec<u32>,
}

impl MultiIntsReader {
    pub(crate) fn new(column: Arc<MultiInts>) -> Self {
        let starts = match &column.offsets {
            Offsets::Starts(starts) => Some(IntsReader::new(starts.clone())),
            Offsets::ByteEnds { .. } => None,
        };
        let values = IntsReader::new(column.values.clone());
        MultiIntsReader { column, starts, values, bounds: Vec::new(), ids: Vec::new(), offsets: Vec::new(), codes: Vec::new() }
    }

    /// Fills `bounds` with the starts of rows and the end of the last: `rows.len() + 1` positions for a range, two for
    /// each of chosen rows.
    fn fill_bounds(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.bounds.clear();
        self.ids.clear();
        match rows {
            Rows::Range(range) => self.ids.extend(range.start..=range.end),
            Rows::Ids(ids) => self.ids.extend(ids.iter().flat_map(|id| [*id, id.saturating_add(1)])),
        }
        match (&self.column.offsets, &mut self.starts) {
            (Offsets::ByteEnds { ends, width }, _) => {
                for id in &self.ids {
                    let end = match id.checked_sub(1) {
                        None => 0,
                        Some(row) => {
                            let at = 4 * row as usize;
                            let bytes = ends.get(at..at + 4).ok_or_else(|| damaged("row is missing"))?;
                            u32::from_be_bytes(bytes.try_into().expect("four bytes"))
                        }
                    };
                    self.bounds.push(end / width);
                }
                Ok(())
            }
            (Offsets::Starts(_), Some(starts)) => match rows {
                Rows::Range(range) => starts.range(range.start..range.end.saturating_add(1), &mut self.bounds),
                Rows::Ids(_) => starts.gather(&self.ids, &mut self.bounds),
            },
            (Offsets::Starts(_), None) => unreachable!("readers of start offsets have a cursor for them"),
        }
    }

    /// Reads rows inside the column into `offsets` and `codes`.
    pub(crate) fn read(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.offsets.clear();
        self.codes.clear();
        self.offsets.push(0);
        if rows.is_empty() {
            return Ok(());
        }
        self.fill_bounds(rows)?;
        let total = self.column.values.total;
        match rows {
            Rows::Range(_) => {
                if !self.bounds.is_sorted() || self.bounds.last().is_some_and(|end| *end > total) {
                    return Err(damaged("offsets of multi-value rows do not ascend"));
                }
                let (first, last) = (self.bounds[0], self.bounds[self.bounds.len() - 1]);
                self.offsets.clear();
                self.offsets.extend(self.bounds.iter().map(|bound| bound - first));
                self.values.range(first..last, &mut self.codes)
            }
            Rows::Ids(_) => {
                for pair in self.bounds.as_chunks::<2>().0 {
                    if pair[0] > pair[1] || pair[1] > total || self.codes.len() > i32::MAX as usize {
                        return Err(damaged("offsets of multi-value rows do not ascend"));
                    }
                    self.values.range(pair[0]..pair[1], &mut self.codes)?;
                    self.offsets.push(self.codes.len() as u32);
                }
                Ok(())
            }
        }
    }
}
