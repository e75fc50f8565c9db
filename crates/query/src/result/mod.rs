//! Final results: typed columns in batches, and Druid's JSON envelopes around them.

pub(crate) mod batch;
pub(crate) mod cell;
mod document;
mod envelope;
pub(crate) mod sort;

use std::sync::Arc;

use ovate_compute::{ColumnType, Vector};

pub(crate) use batch::{concatenate, join};
pub use document::{ResultFormat, Sink};
pub use envelope::{SegmentRows, write_by_segment, write_json, write_result};

/// Some rows of a result; every column has `rows` values.
#[derive(Clone)]
pub struct RowBatch {
    pub columns: Vec<Vector>,
    pub rows: usize,
}

/// The rows of a finished query (`toolChest.resultsAsArrays` with its `RowSignature`).
#[derive(Clone, Default)]
pub struct QueryRows {
    /// Names and types; `None` where the type is not known.
    pub signature: Vec<(Arc<str>, Option<ColumnType>)>,
    pub batches: Vec<RowBatch>,
    /// What the batches cannot tell, for the envelopes of some query types.
    pub extra: ResultExtra,
    /// What the process's budget counts for the rows.
    pub memory: crate::partial::Held,
}

/// Facts beside the rows that an envelope needs.
#[derive(Clone, Default)]
pub enum ResultExtra {
    #[default]
    None,
    /// topN: start of every bucket, also of those without rows.
    Buckets(Vec<i64>),
    /// timeseries: the last row is the grand total.
    GrandTotal,
    /// scan: the segment that each batch came from.
    ScanSegments(Vec<Arc<str>>),
    /// Result objects that are not rows (segmentMetadata, search, timeBoundary, dataSourceMetadata), as they are written.
    Json(Vec<serde_json::Value>),
}

impl QueryRows {
    /// All rows in one batch, beside the signature.
    #[allow(clippy::type_complexity)]
    pub fn into_one_batch(self) -> (Vec<(Arc<str>, Option<ColumnType>)>, RowBatch) {
        let batch = concatenate(&self.signature, self.batches);
        (self.signature, batch)
    }

    /// About how many bytes the rows take.
    pub fn memory_bytes(&self) -> u64 {
        self.batches.iter().flat_map(|batch| &batch.columns).map(|column| column.memory_bytes() as u64).sum()
    }

    /// Number of rows over all batches.
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows).sum()
    }
}
