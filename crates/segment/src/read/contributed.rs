//! Containers that contributed complex types have of their own.
//!
//! `compressedBigDecimal` (`CompressedBigDecimalColumnPartSupplier`): `01`, the scales as compressed integers, the magnitudes as
//! compressed integers, several a row. A value is given as Druid gives it: scale and magnitude, `i32le` each, least first.
//!
//! `spectatorHistogram` (`SpectatorHistogramIndexed`): `01`, a flag, `i32be` byte count; in it `i32be` rows, a sized set of the
//! rows that have a value (bit by bit, lowest first; nothing where all have one), `i32be` end of each of those, and the values.

use std::sync::Arc;

use bytes::Bytes;
use ovate_base::Result;
use ovate_compute::Rows;

use super::complex_column::check_rows;
use super::cursor::{Cursor, damaged};
use super::ints::{Ints, IntsReader};
use super::multi_ints::{MultiInts, MultiIntsReader};
use super::string_column::PartContext;

/// Decimals in two lists of integers.
pub(crate) struct Decimals {
    scales: Arc<Ints>,
    magnitudes: Arc<MultiInts>,
}

impl Decimals {
    pub(crate) fn read(cursor: &mut Cursor, part: &PartContext<'_>) -> Result<Self> {
        let version = cursor.u8()?;
        if version != 1 {
            return Err(damaged(format!("unknown version of decimals. version={version}")));
        }
        let scales = Arc::new(Ints::read_compressed(cursor, part.files, part.order)?);
        let magnitudes = Arc::new(MultiInts::read_v3(cursor, part.files, part.order, u32::MAX)?);
        check_rows(scales.total, part.rows)?;
        check_rows(magnitudes.rows(), part.rows)?;
        Ok(Decimals { scales, magnitudes })
    }
}

/// A cursor over decimals.
pub(crate) struct DecimalReader {
    scales: IntsReader,
    magnitudes: MultiIntsReader,
    scale: Vec<u32>,
}

impl DecimalReader {
    pub(crate) fn new(decimals: &Decimals) -> Self {
        let magnitudes = MultiIntsReader::new(decimals.magnitudes.clone());
        DecimalReader { scales: IntsReader::new(decimals.scales.clone()), magnitudes, scale: Vec::new() }
    }

    /// The value of a row; one without a magnitude is none.
    pub(crate) fn read(&mut self, row: u32) -> Result<Option<Bytes>> {
        self.scale.clear();
        self.scales.range(row..row + 1, &mut self.scale)?;
        self.magnitudes.read(&Rows::Range(row..row + 1))?;
        let parts = &self.magnitudes.codes;
        if parts.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.scale.iter().chain(parts).flat_map(|part| part.to_le_bytes()).collect::<Vec<u8>>().into()))
    }
}

/// Histograms back to back.
pub(crate) struct Histograms {
    rows: u32,
    present: Bytes,
    ends: Bytes,
    values: Bytes,
    /// Number of rows with a value before each 64th row.
    ranks: Vec<u32>,
    /// Every row has a value, and `present` is left out.
    full: bool,
}

impl Histograms {
    pub(crate) fn read(cursor: &mut Cursor, rows: u32) -> Result<Self> {
        let version = cursor.u8()?;
        if version != 1 {
            return Err(damaged(format!("unknown version of histograms. version={version}")));
        }
        cursor.u8()?;
        let mut body = Cursor::new(cursor.sized("byte count of histograms")?);
        let count = body.count_be("number of histograms")? as u32;
        check_rows(count, rows)?;
        let present = body.sized("byte count of rows with a value")?;
        let mut ranks = Vec::with_capacity(present.len() / 8 + 1);
        let mut met = 0;
        for eight in present.chunks(8) {
            ranks.push(met);
            met += eight.iter().map(|byte| byte.count_ones()).sum::<u32>();
        }
        let full = present.is_empty() && body.remaining() > 0;
        let ends = body.take((if full { count } else { met } as usize).saturating_mul(4))?;
        Ok(Histograms { rows: count, present, ends, values: body.rest(), ranks, full })
    }

    /// The value of a row.
    pub(crate) fn get(&self, row: u32) -> Result<Option<Bytes>> {
        if row >= self.rows {
            return Err(damaged(format!("row is missing. row={row}")));
        }
        let at = row as usize / 8;
        let rank = match self.present.get(at).filter(|byte| *byte >> (row % 8) & 1 == 1) {
            _ if self.full => row,
            None => return Ok(None),
            Some(byte) => {
                let before: u32 = self.present[at / 8 * 8..at].iter().map(|byte| byte.count_ones()).sum();
                self.ranks[at / 8] + before + (byte & ((1u16 << (row % 8)) - 1) as u8).count_ones()
            }
        };
        let end = |rank: u32| {
            let at = 4 * rank as usize;
            let bytes = self.ends.get(at..at + 4).ok_or_else(|| damaged("end of a histogram is missing"))?;
            Ok(u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize)
        };
        let (start, end) = (if rank == 0 { 0 } else { end(rank - 1)? }, end(rank)?);
        if start > end || end > self.values.len() {
            return Err(damaged(format!("histogram lies outside. row={row}")));
        }
        Ok(Some(self.values.slice(start..end)))
    }
}
