//! Tests of the segment room against files that Druid wrote (`shared/fixtures/druid`).

mod golden;
mod mutation;
mod support;
