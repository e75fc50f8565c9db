//! The mutable index that rows are ingested into, and that becomes a segment (`IncrementalIndex`).
//!
//! Being filled in; signatures that callers can count on:
//! `IndexSchema { dimensions, metrics: Vec<AggregatorSpec>, query_granularity, rollup, discovery, exclusions, timestamp_spec }`;
//! `IncrementalIndex::new(schema: IndexSchema) -> Result<Self>`; `add_batch(&mut self, &RowBatch) -> Result<AddResult>`;
//! `add_row(&mut self, timestamp: i64, fields: &[(&str, Value)]) -> Result<AddResult>`; `row_count() -> usize`;
//! `memory_bytes() -> usize`; `interval() -> Option<Interval>`; `snapshot(&mut self) -> Result<Arc<dyn ColumnSource>>`;
//! `persist(&mut self, dir: &Path, spec: &IndexSpec) -> Result<WriteReport>`.

pub mod batch;
pub mod schema;

pub use batch::{AddResult, InputColumn, RowBatch, RowProblem};
pub use schema::{DimensionKind, DimensionSchema, Discovery, IndexSchema, MultiValueHandling};
