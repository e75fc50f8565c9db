//! `engine`: what runs a planned statement above native queries - the traits that the broker implements, relations in
//! memory, and the operators (join, window, sort, set operations, unnest) that work on them. Knows no SQL text and no HTTP.

pub mod catalog;
pub mod runner;

pub use catalog::{Catalog, CatalogSnapshot, ColumnSchema, TableKind, TableSchema};
pub use runner::NativeRunner;
