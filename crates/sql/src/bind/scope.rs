//! The names visible at a place in a query, and the scopes around it for correlated references.

use std::sync::Arc;

use ovate_base::Result;

use super::error_at;
use crate::parse::ast::Ident;
use crate::plan::{Rel, Rex};
use crate::types::{Field, SqlType};

/// One visible column.
#[derive(Debug, Clone)]
pub struct ScopeColumn {
    /// The table's alias or name.
    pub table: Option<Arc<str>>,
    /// The schema, when the table was named with or without one and has no alias.
    pub schema: Option<Arc<str>>,
    pub name: Arc<str>,
    pub sql_type: SqlType,
    /// Its place in the relation.
    pub index: usize,
    /// Left out of `*` (the second copy of a USING column).
    pub hidden: bool,
}

/// The columns of FROM, and the scope of the query around.
#[derive(Clone, Default)]
pub struct Scope<'a> {
    pub columns: Vec<ScopeColumn>,
    pub parent: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// The columns of a relation under one table name.
    pub fn of(rel: &Rel, table: Option<&str>, schema: Option<&str>, parent: Option<&'a Scope<'a>>) -> Scope<'a> {
        let (table, schema): (Option<Arc<str>>, Option<Arc<str>>) = (table.map(Arc::from), schema.map(Arc::from));
        let column = |(index, field): (usize, &Field)| ScopeColumn {
            table: table.clone(),
            schema: schema.clone(),
            name: field.name.clone(),
            sql_type: field.sql_type.clone(),
            index,
            hidden: false,
        };
        Scope { columns: rel.fields.iter().enumerate().map(column).collect(), parent }
    }

    /// Both sides of a join; `offset` is the number of columns on the left.
    pub fn join(mut self, right: Scope<'a>, offset: usize) -> Scope<'a> {
        self.columns.extend(right.columns.into_iter().map(|mut column| {
            column.index += offset;
            column
        }));
        self
    }

    fn matches(column: &ScopeColumn, path: &[Ident]) -> bool {
        match path {
            [name] => column.name.as_ref() == name.value,
            [table, name] => column.name.as_ref() == name.value && column.table.as_deref() == Some(table.value.as_str()),
            [schema, table, name] => {
                column.name.as_ref() == name.value
                    && column.table.as_deref() == Some(table.value.as_str())
                    && column.schema.as_deref() == Some(schema.value.as_str())
            }
            _ => false,
        }
    }

    /// The column that a path names here, without looking outwards.
    pub fn find_here(&self, path: &[Ident]) -> Result<Option<&ScopeColumn>> {
        let mut found: Option<&ScopeColumn> = None;
        for column in self.columns.iter().filter(|c| Self::matches(c, path)) {
            if column.hidden && path.len() == 1 {
                continue;
            }
            if found.is_some() {
                let name = &path[path.len() - 1];
                return Err(error_at(format!("Column '{}' is ambiguous", name.value), name.pos));
            }
            found = Some(column);
        }
        Ok(found)
    }

    /// The expression that a path stands for, looking outwards.
    pub fn resolve(&self, path: &[Ident]) -> Result<Rex> {
        let (mut scope, mut depth) = (Some(self), 0);
        while let Some(here) = scope {
            if let Some(column) = here.find_here(path)? {
                return Ok(match depth {
                    0 => Rex::Input(column.index, column.sql_type.clone()),
                    _ => Rex::Outer { depth, index: column.index, sql_type: column.sql_type.clone() },
                });
            }
            scope = here.parent;
            depth += 1;
        }
        let last = &path[path.len() - 1];
        if path.len() > 1 {
            let table = &path[path.len() - 2];
            if !self.knows_table(&table.value) {
                return Err(error_at(format!("Table '{}' not found", table.value), table.pos));
            }
            return Err(error_at(format!("Column '{}' not found in table '{}'", last.value, table.value), path[0].pos));
        }
        let other_case = self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(&last.value));
        let hint = other_case.map_or(String::new(), |c| format!("; did you mean '{}'?", c.name));
        Err(error_at(format!("Column '{}' not found in any table{hint}", last.value), last.pos))
    }

    fn knows_table(&self, name: &str) -> bool {
        self.columns.iter().any(|c| c.table.as_deref() == Some(name)) || self.parent.is_some_and(|p| p.knows_table(name))
    }
}
