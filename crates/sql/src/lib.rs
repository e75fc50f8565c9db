//! `sql`: Druid SQL - parser, binder with Druid's types and functions, planner to native queries, metadata tables, result
//! formats. A statement becomes native queries that `engine::NativeRunner` runs, and operators of `engine` above them.

pub mod external;
pub mod request;
pub mod system;
pub mod types;

mod bind;
mod context;
mod exec;
mod functions;
mod native;
mod parse;
mod plan;
mod prepare;
mod result;
mod server;
mod signature;

pub use external::{ExternalTable, ExternalTables};
pub use prepare::SqlPrepared;
pub use request::{ResultFormat, SqlParameter, SqlRequest, SqlResponse};
pub use server::{SqlEngine, SqlRows};
pub use system::{Comparison, SystemBound, SystemScan, SystemTable, SystemTables};
