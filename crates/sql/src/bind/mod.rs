//! From syntax to a bound statement: names looked up, types inferred, implicit casts made explicit, aggregates and
//! windows told apart (what Calcite's validator and `SqlToRelConverter` do for Druid).

mod call;
mod expr;
mod external;
mod from;
mod group;
mod literal;
mod metadata;
mod pivot;
mod query;
mod scope;
mod table_function;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::time::Zone;
use ovate_base::{DruidError, Result};
use ovate_compute::LookupMap;
use ovate_engine::CatalogSnapshot;

use crate::parse::ast::{Pos, Query};
use crate::plan::Rel;
use crate::request::SqlParameter;
use crate::system::SystemTable;

pub(crate) use literal::parse_date_literal;
pub(crate) use metadata::INFO_TABLES;
use scope::Scope;

/// What binding needs to know of the request and the server.
pub struct Session {
    pub catalog: Arc<CatalogSnapshot>,
    pub lookups: Arc<HashMap<String, LookupMap>>,
    /// The tables of schema `sys`.
    pub system: &'static [SystemTable],
    pub zone: Zone,
    pub now_ms: i64,
    pub parameters: Vec<SqlParameter>,
    pub approximate_distinct: bool,
    /// Parameters have no values yet.
    pub preparing: bool,
}

/// Binds one statement's query.
pub fn bind(session: &Session, query: &Query) -> Result<Rel> {
    Binder { session, ctes: Vec::new() }.query(query, None)
}

struct Binder<'a> {
    session: &'a Session,
    /// Visible WITH names, innermost last.
    ctes: Vec<(String, Rel)>,
}

/// `message (line [..], column [..])`, as Druid decorates validator errors.
pub(crate) fn error_at(message: impl std::fmt::Display, pos: Pos) -> DruidError {
    DruidError::invalid_sql(format!("{message} (line [{}], column [{}])", pos.line, pos.column))
        .with_context("line", pos.line.to_string())
        .with_context("column", pos.column.to_string())
}
