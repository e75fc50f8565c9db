//! `query`: native query documents, one operator a query type over one segment, merging of partial results, finalising,
//! and the shapes of answers. Knows neither which server runs it nor DataFusion.

pub mod document;

pub use document::{Context, DataSource, NativeQuery, QuerySegments, SegmentDescriptor};
