//! `sql`: Druid SQL - parser, binder with Druid's types and functions, planner to native queries, metadata tables, result
//! formats. A statement becomes native queries that `engine::NativeRunner` runs, and operators of `engine` above them.

mod bind;
mod functions;
mod parse;
mod plan;
mod types;
pub mod request;
pub mod system;

mod server;

pub use request::{ResultFormat, SqlParameter, SqlRequest, SqlResponse};
pub use server::SqlEngine;
pub use system::{SystemTable, SystemTables};
