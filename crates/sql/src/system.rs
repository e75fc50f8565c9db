//! The tables of schema `sys` (MET-05..10): their fixed columns, and the trait by which the server room fills them.

use async_trait::async_trait;
use ovate_base::Result;
use ovate_compute::{ColumnType, Value};
use ovate_engine::Relation;

/// A table of schema `sys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemTable {
    Segments,
    Servers,
    ServerSegments,
    Tasks,
    Supervisors,
    ServerProperties,
    Queries,
}

use ColumnType::{Long, String as Str};

const SEGMENTS: &[(&str, ColumnType)] = &[
    ("segment_id", Str),
    ("datasource", Str),
    ("start", Str),
    ("end", Str),
    ("size", Long),
    ("version", Str),
    ("partition_num", Long),
    ("num_replicas", Long),
    ("num_rows", Long),
    ("is_active", Long),
    ("is_published", Long),
    ("is_available", Long),
    ("is_realtime", Long),
    ("is_overshadowed", Long),
    ("shard_spec", Str),
    ("dimensions", Str),
    ("metrics", Str),
    ("projections", Str),
    ("last_compaction_state", Str),
    ("replication_factor", Long),
];

const SERVERS: &[(&str, ColumnType)] = &[
    ("server", Str),
    ("host", Str),
    ("plaintext_port", Long),
    ("tls_port", Long),
    ("server_type", Str),
    ("tier", Str),
    ("curr_size", Long),
    ("max_size", Long),
    ("storage_size", Long),
    ("is_leader", Long),
    ("start_time", Str),
    ("version", Str),
    ("build_revision", Str),
    ("labels", Str),
    ("available_processors", Long),
    ("total_memory", Long),
];

const SERVER_SEGMENTS: &[(&str, ColumnType)] = &[("server", Str), ("segment_id", Str)];

const TASKS: &[(&str, ColumnType)] = &[
    ("task_id", Str),
    ("group_id", Str),
    ("type", Str),
    ("datasource", Str),
    ("created_time", Str),
    ("queue_insertion_time", Str),
    ("status", Str),
    ("runner_status", Str),
    ("duration", Long),
    ("location", Str),
    ("host", Str),
    ("plaintext_port", Long),
    ("tls_port", Long),
    ("error_msg", Str),
];

const SUPERVISORS: &[(&str, ColumnType)] = &[
    ("supervisor_id", Str),
    ("datasource", Str),
    ("state", Str),
    ("detailed_state", Str),
    ("healthy", Long),
    ("type", Str),
    ("source", Str),
    ("suspended", Long),
    ("spec", Str),
];

const SERVER_PROPERTIES: &[(&str, ColumnType)] =
    &[("server", Str), ("service_name", Str), ("node_roles", Str), ("property", Str), ("value", Str), ("error_message", Str)];

const QUERIES: &[(&str, ColumnType)] = &[("id", Str), ("engine", Str), ("state", Str), ("info", Str)];

impl SystemTable {
    /// All of them.
    pub const ALL: [SystemTable; 7] = [
        SystemTable::Segments,
        SystemTable::Servers,
        SystemTable::ServerSegments,
        SystemTable::Tasks,
        SystemTable::Supervisors,
        SystemTable::ServerProperties,
        SystemTable::Queries,
    ];

    /// Those that are there unless a setting says otherwise.
    pub const USUAL: &'static [SystemTable] = &[
        SystemTable::Segments,
        SystemTable::Servers,
        SystemTable::ServerSegments,
        SystemTable::Tasks,
        SystemTable::Supervisors,
        SystemTable::ServerProperties,
    ];

    /// The name after `sys.`.
    pub fn name(self) -> &'static str {
        match self {
            SystemTable::Segments => "segments",
            SystemTable::Servers => "servers",
            SystemTable::ServerSegments => "server_segments",
            SystemTable::Tasks => "tasks",
            SystemTable::Supervisors => "supervisors",
            SystemTable::ServerProperties => "server_properties",
            SystemTable::Queries => "queries",
        }
    }

    /// Columns in order; only STRING and LONG occur.
    pub fn columns(self) -> &'static [(&'static str, ColumnType)] {
        match self {
            SystemTable::Segments => SEGMENTS,
            SystemTable::Servers => SERVERS,
            SystemTable::ServerSegments => SERVER_SEGMENTS,
            SystemTable::Tasks => TASKS,
            SystemTable::Supervisors => SUPERVISORS,
            SystemTable::ServerProperties => SERVER_PROPERTIES,
            SystemTable::Queries => QUERIES,
        }
    }
}

/// What a statement wants of a system table, so that the rest need not be made. Rows that do not fit may be given all the
/// same, and so may columns that are not read: the filter runs over what comes.
#[derive(Debug, Clone, Default)]
pub struct SystemScan {
    /// For each column whether it is read; empty when all are.
    pub columns: Vec<bool>,
    /// Columns that must be equal to one of these texts.
    pub among: Vec<(usize, Vec<String>)>,
    /// Comparisons of columns with constants, all of which must hold.
    pub bounds: Vec<SystemBound>,
    /// So many rows that fit are enough, whichever they are.
    pub limit: Option<usize>,
}

/// A comparison of a column with a constant of its type.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemBound {
    pub column: usize,
    pub comparison: Comparison,
    pub value: Value,
}

/// How a column stands to a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    /// The operator of that name.
    pub fn named(op: &str) -> Option<Comparison> {
        Some(match op {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            "=" => Comparison::Equal,
            ">=" => Comparison::GreaterOrEqual,
            ">" => Comparison::Greater,
            _ => return None,
        })
    }

    /// The same with its sides swapped.
    pub fn flipped(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Equal => Comparison::Equal,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            Comparison::Greater => Comparison::Less,
        }
    }

    /// Whether it holds for things that stand so to each other.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Equal => order.is_eq(),
            Comparison::GreaterOrEqual => order.is_ge(),
            Comparison::Greater => order.is_gt(),
        }
    }
}

impl SystemScan {
    /// Whether the column's values are looked at.
    pub fn reads(&self, column: usize) -> bool {
        self.columns.get(column).copied().unwrap_or(true)
    }

    /// The texts that a column is restricted to.
    pub fn texts(&self, column: usize) -> Option<&[String]> {
        self.among.iter().find(|(at, _)| *at == column).map(|(_, texts)| texts.as_slice())
    }

    /// False when a row with this text in the column cannot be in the answer.
    pub fn admits(&self, column: usize, text: &str) -> bool {
        self.texts(column).is_none_or(|texts| texts.iter().any(|wanted| wanted == text))
    }
}

/// Fetches the rows of system tables; implemented by the server room (`SystemSchema`).
#[async_trait]
pub trait SystemTables: Send + Sync {
    /// Which tables there are.
    fn tables(&self) -> &'static [SystemTable] {
        SystemTable::USUAL
    }

    /// The rows now, each with one value for each of `table.columns()`; columns that are not read may be null.
    async fn fetch(&self, table: SystemTable, scan: &SystemScan) -> Result<Vec<Vec<Value>>>;

    /// The same column by column, for tables of many rows.
    async fn relation(&self, table: SystemTable, scan: &SystemScan) -> Result<Relation> {
        let types: Vec<ColumnType> = table.columns().iter().map(|(_, t)| t.clone()).collect();
        Ok(Relation::from_rows(&types, self.fetch(table, scan).await?))
    }
}
