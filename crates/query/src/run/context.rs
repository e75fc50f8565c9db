//! What a running query may use and when it must stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ovate_base::{DruidError, Result};
use ovate_compute::EvalContext;

use crate::group::SharedDictionaries;

/// Shared by all threads of one query; cheap to clone.
#[derive(Clone)]
pub struct QueryContext {
    pub eval: EvalContext,
    /// Set by a cancellation.
    pub stop: Arc<AtomicBool>,
    /// When the query's timeout ends.
    pub deadline: Option<Instant>,
    /// Bytes that grouping may hold in this process, all threads together.
    pub memory_bytes_max: u64,
    memory_bytes: Arc<AtomicU64>,
    /// What the server's segments share; empty for a context of its own.
    pub dictionaries: Arc<SharedDictionaries>,
}

impl QueryContext {
    /// No deadline, and 1 GiB for grouping.
    pub fn new(eval: EvalContext) -> Self {
        QueryContext {
            eval,
            stop: Arc::default(),
            deadline: None,
            memory_bytes_max: 1 << 30,
            memory_bytes: Arc::default(),
            dictionaries: Arc::default(),
        }
    }

    /// With this deadline.
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// With the dictionaries that this server's segments share.
    pub fn with_dictionaries(mut self, dictionaries: Arc<SharedDictionaries>) -> Self {
        self.dictionaries = dictionaries;
        self
    }

    /// With this much memory for grouping.
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory_bytes_max = bytes;
        self
    }

    /// An error when the query was cancelled or is out of time. Called once a batch.
    pub fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(DruidError::cancelled("query was cancelled"));
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(DruidError::timeout("query ran past its timeout")),
            _ => Ok(()),
        }
    }

    /// A reservation that grows and gives everything back when dropped.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation { bytes: 0, bytes_max: self.memory_bytes_max, used: self.memory_bytes.clone() }
    }
}

/// Bytes that one grouping holds.
pub(crate) struct Reservation {
    bytes: u64,
    bytes_max: u64,
    used: Arc<AtomicU64>,
}

impl Reservation {
    /// Sets the size; over the query's budget it is Druid's resource limit error.
    pub fn set(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        if bytes >= self.bytes {
            let before = self.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
            let total = before + (bytes - self.bytes);
            self.bytes = bytes;
            if total > self.bytes_max {
                return Err(DruidError::resource_limit(format!(
                    "Not enough memory for grouping: {total} bytes wanted, {} allowed. Try raising druid.processing.buffer.sizeBytes \
                     or druid.query.groupBy.maxMergingDictionarySize, or narrow the query.",
                    self.bytes_max
                )));
            }
        } else {
            self.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
