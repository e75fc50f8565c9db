//! Facts about SQL that need no server: tables of statement and answer, the page `docs/sql.md`, and the texts of errors.

mod docs;
mod facts;
mod mutated;
mod support;
