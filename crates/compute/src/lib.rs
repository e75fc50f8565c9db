//! `compute`: work on batches of columns - types, expressions, filters, virtual columns, aggregators, post-aggregators,
//! sketches. One file a feature. Knows nothing of files, segments or clocks.

pub mod aggregate;
pub mod column;
pub mod context;
pub mod dimension;
pub mod doc;
pub mod expr;
pub mod extraction;
pub mod filter;
pub mod ordering;
pub mod post_aggregate;
pub mod sketch;
pub mod text;
pub mod types;
pub mod value;
pub mod vector;
pub mod virtual_column;

pub use aggregate::{Aggregator, AggregatorSpec, Groups};
pub use column::{
    BitmapIndex, Column, ColumnCapabilities, ColumnReader, ColumnSource, Dictionary, MemoryColumn, MemoryDictionary, MemoryTable,
    MultiCodes, Numbers, Rows,
};
pub use context::{EvalContext, LookupMap};
pub use croaring::Bitmap;
pub use dimension::DimensionSpec;
pub use expr::{BoundExpr, Expr};
pub use extraction::ExtractionFn;
pub use filter::{BoundFilter, FilterSpec, Matcher};
pub use ordering::StringOrder;
pub use post_aggregate::PostAggregatorSpec;
pub use types::ColumnType;
pub use value::Value;
pub use vector::Vector;
pub use virtual_column::{VirtualColumnSpec, with_virtual_columns};

/// The name of the time column in every source.
pub const TIME_COLUMN: &str = "__time";
