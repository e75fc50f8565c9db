//! `engine`: what runs a planned statement above native queries - the traits that the broker implements, relations in
//! memory, and the operators (join, window, sort, set operations, unnest) that work on them; and the lookups that a process has
//! loaded, kept up with the Coordinator. Knows no SQL text and serves no HTTP.

pub mod catalog;
pub mod codes;
pub mod join;
pub mod keys;
pub mod lookup;
pub mod operator;
pub mod parallel;
pub mod relation;
pub mod runner;
pub mod sets;
pub mod sort;
pub mod unnest;
pub mod window;

pub use catalog::{Catalog, CatalogSnapshot, ColumnSchema, TableKind, TableSchema};
pub use operator::run_window_operators;
pub use relation::Relation;
pub use runner::NativeRunner;
