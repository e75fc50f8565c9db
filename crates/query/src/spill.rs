//! Where groups (`SpillingGrouper`) and sorted rows wait on disk when memory is short. This room opens no files: whoever runs the query hands a
//! store in, with how much it may take (`druid.query.groupBy.maxOnDiskStorage`).

use std::sync::Arc;

use ovate_base::{Budget, DruidError, Reservation, Result};

/// Gives files for spilling.
pub trait SpillStore: Send + Sync {
    /// A new file, gone when dropped.
    fn create(&self) -> Result<Box<dyn SpillFile>>;
}

/// One file, written at its end and read anywhere.
pub trait SpillFile: Send + Sync {
    /// Appends and tells where the bytes begin.
    fn append(&self, bytes: &[u8]) -> Result<u64>;
    /// Fills `bytes` from there.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()>;
}

/// What one query may spill: where to, and how many bytes.
#[derive(Clone)]
pub struct Spill {
    pub(crate) store: Arc<dyn SpillStore>,
    pub(crate) budget: Budget,
}

/// The setting that allows spilling, for messages.
pub const SPILL_SETTING: &str = "druid.query.groupBy.maxOnDiskStorage (or maxOnDiskStorage in the query's context)";

impl Spill {
    /// At most `bytes` on disk for this query.
    pub fn new(store: Arc<dyn SpillStore>, bytes: u64) -> Self {
        Spill { store, budget: Budget::new(SPILL_SETTING, bytes) }
    }

    /// A new file for pieces of bytes, counted against what the query may spill.
    pub fn pieces(&self) -> Result<SpillPieces> {
        Ok(SpillPieces { file: self.store.create()?, taken: self.budget.empty() })
    }
}

/// Where a piece lies in its file.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    offset: u64,
    length: u32,
}

/// Pieces of bytes in one file.
pub struct SpillPieces {
    file: Box<dyn SpillFile>,
    taken: Reservation,
}

impl SpillPieces {
    /// Writes a piece.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Piece> {
        let length = u32::try_from(bytes.len()).map_err(|_| DruidError::runtime("a spilled piece is larger than 4 GiB"))?;
        self.taken.grow(u64::from(length))?;
        Ok(Piece { offset: self.file.append(bytes)?, length })
    }

    /// Reads a piece of this file.
    pub fn read(&self, piece: Piece) -> Result<Vec<u8>> {
        let mut bytes = vec![0; piece.length as usize];
        self.file.read(piece.offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.taken.bytes()
    }
}
