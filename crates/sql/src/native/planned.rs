//! What planning a stage gives: the query's document, the sets of numbers that it filters by besides, and where outputs are.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::Value;
use ovate_compute::filter::{FilterSpec, LongSet};
use ovate_query::NativeQuery;
use serde_json::{Map, Value as Json};

use super::columns::Columns;
use crate::plan::Rex;

/// Where an output column of a native query comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Column(String),
    Constant(Value),
}

/// A native query and how its result columns make the stage's output.
#[derive(Debug, Clone)]
pub struct Planned {
    pub query: Map<String, Json>,
    pub outputs: Vec<Output>,
    /// Sorting and limiting that the query does not do itself, by output name.
    pub sort_after: Option<(Vec<(String, bool, bool)>, u64, Option<u64>)>,
    /// Known to give no rows: a condition that is false on every row.
    pub nothing: bool,
    /// Columns whose values are among numbers gathered while the statement runs; no part of the document.
    pub sets: Vec<(String, Arc<LongSet>)>,
}

impl Planned {
    /// The query with all that it filters by.
    pub fn native(&self) -> Result<NativeQuery> {
        let mut query = NativeQuery::from_json(&Json::Object(self.query.clone()))?;
        if self.sets.is_empty() {
            return Ok(query);
        }
        let sets = self.sets.iter().map(|(column, set)| FilterSpec::LongSet { column: column.clone(), set: set.clone() });
        let filter = &mut query.base_mut().filter;
        // Testing a number costs less than most other conditions do.
        let mut all: Vec<FilterSpec> = sets.collect();
        all.extend(filter.take());
        *filter = Some(if all.len() == 1 { all.remove(0) } else { FilterSpec::And(all) });
        Ok(query)
    }
}

/// Conditions on sets of numbers, by column, and the other conditions.
pub(super) fn split_sets(filters: Vec<Rex>, columns: &mut Columns<'_>) -> Result<(Vec<(String, Arc<LongSet>)>, Vec<Rex>)> {
    let (mut sets, mut rest) = (Vec::new(), Vec::new());
    for rex in filters {
        if let Rex::Call { op: "IN_SET", args, .. } = &rex
            && let Rex::Set(set, _) = &args[1]
        {
            sets.push((columns.column(&args[0])?, set.0.clone()));
        } else {
            rest.push(rex);
        }
    }
    Ok((sets, rest))
}
