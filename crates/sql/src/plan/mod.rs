//! A bound statement: relations over typed expressions, before native queries are chosen (Calcite's `RelNode`, `RexNode`).

mod constants;
mod decorrelate;
mod distinct;
mod factor;
mod on;
mod optimise;
mod prune;
mod rewrite;

pub use constants::pull_constants;
pub use decorrelate::decorrelate;
pub use distinct::expand_distinct;
pub use optimise::{fold_constants, push_filters, reads_only};
pub use prune::prune_columns;

use std::sync::Arc;

use ovate_compute::Value;
use ovate_compute::filter::LongSet;
use ovate_engine::Relation;

use crate::external::ExternalTable;
use crate::system::SystemTable;
use crate::types::{Field, SqlType};

/// A bound scalar expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Rex {
    /// A column of the relation below.
    Input(usize, SqlType),
    /// A column of a query around this one; `depth` 1 is the next one out.
    Outer {
        depth: usize,
        index: usize,
        sql_type: SqlType,
    },
    Literal(Value, SqlType),
    /// An operator or function by its name in `functions`.
    Call {
        op: &'static str,
        args: Vec<Rex>,
        sql_type: SqlType,
    },
    /// A query used as a value; `args` are the operands of IN.
    Subquery {
        kind: SubqueryKind,
        plan: Arc<Rel>,
        args: Vec<Rex>,
        sql_type: SqlType,
    },
    /// While a SELECT is being bound: the n-th aggregate of the block.
    Aggregate(usize, SqlType),
    /// While a SELECT is being bound: the n-th window call of the block.
    Window(usize, SqlType),
    /// Whole numbers gathered while the statement runs: the right side of `IN_SET`.
    Set(KeySet, SqlType),
}

/// Whole numbers that one side of a join has; equal only to themselves.
#[derive(Debug, Clone)]
pub struct KeySet(pub Arc<LongSet>);

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a subquery gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubqueryKind {
    Scalar,
    Exists,
    In,
    Array,
    /// One column of a query that LATERAL joins, as an array; `outer` gives one null where it has no rows.
    Column {
        index: usize,
        outer: bool,
    },
}

/// A relation and its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Rel {
    pub kind: RelKind,
    pub fields: Arc<[Field]>,
}

/// Tables of INFORMATION_SCHEMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfoTable {
    Schemata,
    Tables,
    Columns,
    Routines,
}

/// The kinds of relation.
#[derive(Debug, Clone, PartialEq)]
pub enum RelKind {
    /// A datasource, or several read as one (`TABLE(APPEND(…))`).
    Table {
        names: Vec<String>,
    },
    Lookup {
        name: String,
    },
    System(SystemTable),
    Info(InfoTable),
    /// Data from outside the cluster.
    External(Arc<ExternalTable>),
    Values(Vec<Vec<Rex>>),
    /// Rows that were computed already.
    Rows(Rows),
    Filter {
        input: Box<Rel>,
        condition: Rex,
    },
    Project {
        input: Box<Rel>,
        exprs: Vec<Rex>,
    },
    /// Keys come first in the fields, then the aggregates. `sets` are indexes into the keys; one set of all keys is plain GROUP BY.
    Aggregate {
        input: Box<Rel>,
        keys: Vec<Rex>,
        sets: Vec<Vec<usize>>,
        aggregates: Vec<AggregateCall>,
    },
    Sort {
        input: Box<Rel>,
        keys: Vec<SortKey>,
        offset: u64,
        limit: Option<u64>,
    },
    Join {
        left: Box<Rel>,
        right: Box<Rel>,
        kind: RelJoin,
        condition: Rex,
    },
    /// UNION ALL.
    Union(Vec<Rel>),
    /// INTERSECT or EXCEPT of two relations.
    SetDifference {
        left: Box<Rel>,
        right: Box<Rel>,
        intersect: bool,
        all: bool,
    },
    /// The input's fields, then one for each call.
    Window {
        input: Box<Rel>,
        calls: Vec<WindowCall>,
    },
    /// The input's fields, then one for each array, then the ordinality.
    Unnest {
        input: Box<Rel>,
        arrays: Vec<Rex>,
        ordinality: bool,
    },
}

/// Computed rows inside a plan; equal only to themselves.
#[derive(Clone)]
pub struct Rows(pub Arc<Relation>);

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({})", self.0.rows)
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The kinds of join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelJoin {
    Inner,
    Left,
    Right,
    Full,
    /// Left rows with a match; the relation has the left fields only.
    Semi,
    /// Left rows without one.
    Anti,
}

impl RelJoin {
    /// True when the right columns are not in the result.
    pub fn left_only(self) -> bool {
        matches!(self, RelJoin::Semi | RelJoin::Anti)
    }
}

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

/// One aggregate over groups.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    pub function: &'static str,
    pub args: Vec<Rex>,
    pub distinct: bool,
    pub filter: Option<Rex>,
    pub sql_type: SqlType,
}

/// One window function with its window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowCall {
    pub function: &'static str,
    pub args: Vec<Rex>,
    pub distinct: bool,
    pub filter: Option<Rex>,
    pub ignore_nulls: bool,
    pub partition_by: Vec<Rex>,
    pub order_by: Vec<(Rex, bool, bool)>,
    pub frame: WindowFrame,
    pub sql_type: SqlType,
}

/// A frame with constant bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowFrame {
    pub rows: bool,
    pub start: FrameBound,
    pub end: FrameBound,
}

/// One end: rows (or the value distance) relative to the current row; `None` is unbounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FrameBound {
    UnboundedPreceding,
    UnboundedFollowing,
    Offset(i64),
}

impl Rex {
    /// The type of the value.
    pub fn sql_type(&self) -> &SqlType {
        match self {
            Rex::Input(_, t) | Rex::Literal(_, t) | Rex::Aggregate(_, t) | Rex::Window(_, t) | Rex::Set(_, t) => t,
            Rex::Outer { sql_type, .. } | Rex::Call { sql_type, .. } | Rex::Subquery { sql_type, .. } => sql_type,
        }
    }

    pub fn call(op: &'static str, args: Vec<Rex>, sql_type: SqlType) -> Rex {
        Rex::Call { op, args, sql_type }
    }

    pub fn long(value: i64) -> Rex {
        Rex::Literal(Value::Long(value), SqlType::Bigint)
    }

    pub fn boolean(value: bool) -> Rex {
        Rex::Literal(Value::Long(i64::from(value)), SqlType::Boolean)
    }

    pub fn null(sql_type: SqlType) -> Rex {
        Rex::Literal(Value::Null, sql_type)
    }

    pub fn not(self) -> Rex {
        Rex::call("NOT", vec![self], SqlType::Boolean)
    }

    /// AND of all; TRUE when there are none.
    pub fn and_all(mut list: Vec<Rex>) -> Rex {
        match list.len() {
            0 => Rex::boolean(true),
            1 => list.remove(0),
            _ => Rex::call("AND", list, SqlType::Boolean),
        }
    }

    /// The parts of an AND, flat.
    pub fn conjuncts(self, out: &mut Vec<Rex>) {
        match self {
            Rex::Call { op: "AND", args, .. } => args.into_iter().for_each(|arg| arg.conjuncts(out)),
            Rex::Literal(Value::Long(1), SqlType::Boolean) => {}
            other => out.push(other),
        }
    }

    pub fn is_literal(&self) -> bool {
        matches!(self, Rex::Literal(..))
    }

    /// The value of a literal.
    pub fn literal(&self) -> Option<&Value> {
        match self {
            Rex::Literal(value, _) => Some(value),
            _ => None,
        }
    }

    /// The text of a text literal.
    pub fn literal_text(&self) -> Option<&str> {
        match self {
            Rex::Literal(Value::String(text), _) => Some(text),
            _ => None,
        }
    }
}

impl Rel {
    pub fn new(kind: RelKind, fields: impl Into<Arc<[Field]>>) -> Rel {
        Rel { kind, fields: fields.into() }
    }

    /// The rows that pass.
    pub fn filter(self, condition: Rex) -> Rel {
        let fields = self.fields.clone();
        Rel { kind: RelKind::Filter { input: Box::new(self), condition }, fields }
    }

    /// References to all columns.
    pub fn inputs(&self) -> Vec<Rex> {
        self.fields.iter().enumerate().map(|(i, f)| Rex::Input(i, f.sql_type.clone())).collect()
    }

    /// Other columns computed from these.
    pub fn project(self, exprs: Vec<Rex>, names: &[Arc<str>]) -> Rel {
        let fields: Vec<Field> =
            exprs.iter().zip(names).map(|(e, n)| Field { name: n.clone(), sql_type: e.sql_type().clone() }).collect();
        Rel { kind: RelKind::Project { input: Box::new(self), exprs }, fields: fields.into() }
    }

    /// The first rows only; a sort on top is kept and cut itself.
    pub fn limited(self, limit: u64) -> Rel {
        let fields = self.fields.clone();
        let kind = match self.kind {
            RelKind::Sort { input, keys, offset, limit: own } => {
                RelKind::Sort { input, keys, offset, limit: Some(own.map_or(limit, |own| own.min(limit))) }
            }
            kind => {
                let input = Box::new(Rel { kind, fields: fields.clone() });
                RelKind::Sort { input, keys: Vec::new(), offset: 0, limit: Some(limit) }
            }
        };
        Rel { kind, fields }
    }

    /// The same rows under other names.
    pub fn renamed(mut self, names: &[Arc<str>]) -> Rel {
        self.fields =
            self.fields.iter().zip(names).map(|(f, n)| Field { name: n.clone(), sql_type: f.sql_type.clone() }).collect();
        self
    }
}
