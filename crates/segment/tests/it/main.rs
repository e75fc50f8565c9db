//! Tests of the segment room against files that Druid wrote (`shared/fixtures/druid`).

mod contributed;
mod druid_reader;
mod golden;
mod index_memory;
mod mutation;
mod support;
mod write_golden;
mod write_matrix;
mod write_merge;
