//! The tables of schema `sys` (MET-05..10): their fixed columns, and the trait by which the server room fills them.

use async_trait::async_trait;
use ovate_base::Result;
use ovate_compute::{ColumnType, Value};

/// A table of schema `sys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemTable {
    Segments,
    Servers,
    ServerSegments,
    Tasks,
    Supervisors,
    ServerProperties,
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

impl SystemTable {
    /// All of them.
    pub const ALL: [SystemTable; 6] = [
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
        }
    }
}

/// Fetches the rows of system tables; implemented by the server room (`SystemSchema`).
#[async_trait]
pub trait SystemTables: Send + Sync {
    /// All rows now, each with one value for each of `table.columns()`.
    async fn fetch(&self, table: SystemTable) -> Result<Vec<Vec<Value>>>;
}
