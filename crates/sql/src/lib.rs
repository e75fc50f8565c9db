//! `sql`: Druid SQL - parser, binder with Druid's types and functions, planner to native queries, metadata tables, result
//! formats. A statement becomes native queries that `engine::NativeRunner` runs, and operators of `engine` above them.

#[allow(dead_code, unused_imports)]
mod bind;
#[allow(dead_code)]
mod exec;
#[allow(dead_code)]
mod functions;
#[allow(dead_code)]
mod parse;
#[allow(dead_code)]
mod native;
#[allow(dead_code)]
mod plan;
pub mod request;
pub mod system;
#[allow(dead_code)]
mod types;

mod server;

pub use request::{ResultFormat, SqlParameter, SqlRequest, SqlResponse};
pub use server::SqlEngine;
pub use system::{SystemTable, SystemTables};
