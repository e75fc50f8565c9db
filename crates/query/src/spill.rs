//! Where groups wait on disk when memory is short (`SpillingGrouper`). This room opens no files: whoever runs the query hands a
//! store in, with how much it may take (`druid.query.groupBy.maxOnDiskStorage`).

use std::sync::Arc;

use ovate_base::{Budget, Result};

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
}
