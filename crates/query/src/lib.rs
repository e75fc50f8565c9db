//! `query`: native query documents, one operator a query type over one segment, merging of partial results, finalising,
//! and the shapes of answers. Knows neither which server runs it nor DataFusion.
//!
//! A query's way: [`NativeQuery::from_json`] → [`run_segment`] or [`run_segments`] → [`merge`] (any number of times, in any
//! order) → [`finalize`] → [`write_json`].

pub mod document;
mod finalize;
mod group;
mod merge;
pub mod partial;
pub mod result;
mod run;
pub mod source;
mod spill;

pub use document::{Context, DataSource, NativeQuery, QuerySegments, SegmentDescriptor};
pub use finalize::{finalize, moving_average, prune_for_transfer};
pub use group::SharedDictionaries;
pub use merge::merge;
pub use partial::Partial;
pub use result::{QueryRows, ResultFormat, RowBatch, SegmentRows, write_by_segment, write_json, write_result};
pub use run::{Profile, QueryContext, SegmentMeta, SegmentRef, on_threads, run_each, run_segment, run_segments};
pub use spill::{Piece, SPILL_SETTING, Spill, SpillFile, SpillPieces, SpillStore};
