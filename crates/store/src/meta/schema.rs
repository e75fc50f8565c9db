//! Druid's tables, columns and indexes (`SQLMetadataConnector`) as 39 writes them, made when they are absent, and tables of
//! our own for leases and announcements. Nothing that is there is changed.

use std::collections::BTreeSet;

use ovate_base::{DruidError, Result};

use super::MetadataStore;
use super::dialect::Dialect;

/// A table: its token, columns with types, what stands behind them, and indexes as name's end and columns.
struct Table {
    token: &'static str,
    columns: &'static [(&'static str, &'static str)],
    constraints: &'static str,
    indexes: &'static [(&'static str, &'static str)],
    /// Made by `createTables`; others are made by us alone.
    druids: bool,
}

const TEXT: &str = "VARCHAR(255) NOT NULL";
const NAME: &str = "VARCHAR(255){collation} NOT NULL";
const MAYBE: &str = "VARCHAR(255)";
const FLAG: &str = "BOOLEAN NOT NULL";
const PAYLOAD: &str = "{payload} NOT NULL";

const TABLES: &[Table] = &[
    Table {
        token: "segments",
        columns: &[
            ("id", TEXT),
            ("dataSource", NAME),
            ("created_date", TEXT),
            ("start", TEXT),
            ("{end}", TEXT),
            ("partitioned", FLAG),
            ("version", TEXT),
            ("used", FLAG),
            ("payload", PAYLOAD),
            ("used_status_last_updated", TEXT),
            ("indexing_state_fingerprint", MAYBE),
            ("upgraded_from_segment_id", MAYBE),
        ],
        constraints: "PRIMARY KEY (id)",
        indexes: &[
            ("USED_USLU_DATASOURCE", "used, used_status_last_updated, dataSource, id"),
            ("DATASOURCE_USED_END_START", "dataSource, used, {end}, start"),
            ("DATASOURCE_UPGRADED_FROM_SEGMENT_ID", "dataSource, upgraded_from_segment_id"),
        ],
        druids: true,
    },
    Table {
        token: "pendingSegments",
        columns: &[
            ("id", TEXT),
            ("dataSource", NAME),
            ("created_date", TEXT),
            ("start", TEXT),
            ("{end}", TEXT),
            ("sequence_name", TEXT),
            ("sequence_prev_id", TEXT),
            ("sequence_name_prev_id_sha1", TEXT),
            ("payload", PAYLOAD),
            ("upgraded_from_segment_id", MAYBE),
            ("task_allocator_id", MAYBE),
        ],
        constraints: "PRIMARY KEY (id), UNIQUE (sequence_name_prev_id_sha1)",
        indexes: &[
            ("DATASOURCE_END", "dataSource, {end}"),
            ("DATASOURCE_SEQUENCE", "dataSource, sequence_name"),
            ("DATASOURCE_TASK_ALLOCATOR_ID", "dataSource, task_allocator_id"),
        ],
        druids: true,
    },
    Table {
        token: "upgradeSegments",
        columns: &[("id", "{serial}"), ("task_id", TEXT), ("segment_id", TEXT), ("lock_version", TEXT)],
        constraints: "",
        indexes: &[("TASK", "task_id")],
        druids: true,
    },
    Table {
        token: "dataSource",
        columns: &[
            ("dataSource", NAME),
            ("created_date", TEXT),
            ("commit_metadata_payload", PAYLOAD),
            ("commit_metadata_sha1", TEXT),
        ],
        constraints: "PRIMARY KEY (dataSource)",
        indexes: &[],
        druids: true,
    },
    Table {
        token: "rules",
        columns: &[("id", TEXT), ("dataSource", NAME), ("version", TEXT), ("payload", PAYLOAD)],
        constraints: "PRIMARY KEY (id)",
        indexes: &[("DATASOURCE", "dataSource")],
        druids: true,
    },
    Table {
        token: "config",
        columns: &[("name", TEXT), ("payload", PAYLOAD)],
        constraints: "PRIMARY KEY (name)",
        indexes: &[],
        druids: true,
    },
    Table {
        token: "tasks",
        columns: &[
            ("id", TEXT),
            ("created_date", TEXT),
            ("datasource", NAME),
            ("payload", PAYLOAD),
            ("status_payload", PAYLOAD),
            ("active", "BOOLEAN NOT NULL DEFAULT FALSE"),
            ("type", MAYBE),
            ("group_id", MAYBE),
        ],
        constraints: "PRIMARY KEY (id)",
        indexes: &[("ACTIVE_CREATED_DATE", "active, created_date"), ("DATASOURCE_ACTIVE", "datasource, active")],
        druids: true,
    },
    Table {
        token: "tasklocks",
        columns: &[("id", "{serial}"), ("task_id", "VARCHAR(255) DEFAULT NULL"), ("lock_payload", "{payload}")],
        constraints: "",
        indexes: &[("TASK_ID", "task_id")],
        druids: true,
    },
    Table {
        token: "supervisors",
        columns: &[("id", "{serial}"), ("spec_id", TEXT), ("created_date", TEXT), ("payload", PAYLOAD)],
        constraints: "",
        indexes: &[("SPEC_ID", "spec_id")],
        druids: true,
    },
    Table {
        token: "audit",
        columns: &[
            ("id", "{serial}"),
            ("audit_key", TEXT),
            ("type", TEXT),
            ("author", TEXT),
            ("comment", "VARCHAR(2048) NOT NULL"),
            ("created_date", TEXT),
            ("payload", PAYLOAD),
        ],
        constraints: "",
        indexes: &[("KEY_TIME", "audit_key, created_date"), ("TYPE_TIME", "type, created_date"), ("AUDIT_TIME", "created_date")],
        druids: true,
    },
    Table {
        token: "indexingStates",
        columns: &[
            ("created_date", TEXT),
            ("dataSource", TEXT),
            ("fingerprint", TEXT),
            ("payload", PAYLOAD),
            ("used", FLAG),
            ("pending", FLAG),
            ("used_status_last_updated", TEXT),
        ],
        constraints: "PRIMARY KEY (fingerprint)",
        indexes: &[("USED", "used, used_status_last_updated")],
        druids: true,
    },
    Table {
        token: "ovate_lease",
        columns: &[("role", TEXT), ("holder", TEXT), ("term", "BIGINT NOT NULL"), ("expires_ms", "BIGINT NOT NULL")],
        constraints: "PRIMARY KEY (role)",
        indexes: &[],
        druids: false,
    },
    Table {
        token: "ovate_nodes",
        columns: &[("role", TEXT), ("name", TEXT), ("payload", "VARCHAR(4096) NOT NULL"), ("expires_ms", "BIGINT NOT NULL")],
        constraints: "PRIMARY KEY (role, name)",
        indexes: &[],
        druids: false,
    },
];

/// Columns that later releases added to tables of earlier ones; they are nullable then.
const ADDED: &[(&str, &str)] = &[
    ("segments", "used_status_last_updated"),
    ("segments", "upgraded_from_segment_id"),
    ("segments", "indexing_state_fingerprint"),
    ("pendingSegments", "upgraded_from_segment_id"),
    ("pendingSegments", "task_allocator_id"),
    ("tasks", "type"),
    ("tasks", "group_id"),
];

/// Looks at one table while other processes make it too.
const COLLISIONS_MAX: u32 = 50;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Text,
    Serial,
    Flag,
    Payload,
}

/// A table's columns and which of them is the key.
pub(super) struct TableShape {
    pub columns: Vec<(&'static str, ColumnKind)>,
    pub key: usize,
}

/// The shape of one of Druid's tables.
pub(super) fn shape(token: &str) -> Option<TableShape> {
    let table = TABLES.iter().find(|table| table.druids && table.token == token)?;
    let kind = |kind: &str| match kind {
        "{serial}" => ColumnKind::Serial,
        kind if kind.starts_with("{payload}") => ColumnKind::Payload,
        kind if kind.starts_with("BOOLEAN") => ColumnKind::Flag,
        _ => ColumnKind::Text,
    };
    let columns: Vec<_> = table.columns.iter().map(|(name, text)| (name.trim_matches(['{', '}']), kind(text))).collect();
    let key = columns.iter().position(|(name, kind)| {
        *kind == ColumnKind::Serial || table.constraints.starts_with(&format!("PRIMARY KEY ({name})"))
    })?;
    Some(TableShape { columns, key })
}

impl MetadataStore {
    /// Makes what is absent: tables, columns, indexes.
    pub async fn create_tables(&self) -> Result<()> {
        for table in TABLES {
            let mut collisions = 0;
            while let Err(error) = self.retry(|| self.complete(table)).await {
                // Another process makes the same things at this moment; what it has made is seen by the next look.
                let text = error.message.to_lowercase();
                let collided = text.contains("already exists") || text.contains("duplicate");
                collisions += 1;
                if !collided || collisions > COLLISIONS_MAX {
                    return Err(error);
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// For a store whose tables somebody else makes (`createTables=false`).
    pub(super) async fn check_tables(&self) -> Result<()> {
        for table in TABLES {
            let columns = self.columns(&self.tables.name(table.token)).await?;
            let name = self.tables.name(table.token);
            if columns.is_empty() {
                return Err(DruidError::runtime(format!(
                    "metadata store: table {name} is missing and createTables is off; `ovate tools metadata-init` makes it"
                )));
            }
            for (_, column) in ADDED.iter().filter(|(token, _)| *token == table.token) {
                if !columns.contains(*column) {
                    return Err(DruidError::runtime(format!(
                        "metadata store: column {column} of {name} is missing and createTables is off; \
                         `ovate tools metadata-update --action add-missing-columns` adds it"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Names of Druid's tables, as tokens, in the order in which they are made.
    pub fn druid_tables() -> impl Iterator<Item = &'static str> {
        TABLES.iter().filter(|table| table.druids).map(|table| table.token)
    }

    async fn complete(&self, table: &Table) -> Result<()> {
        let name = self.tables.name(table.token);
        let columns = self.columns(&name).await?;
        if columns.is_empty() {
            self.make(&create(table)).await?;
        } else {
            for (_, column) in ADDED.iter().filter(|(token, _)| *token == table.token) {
                if !columns.contains(*column) {
                    self.make(&format!("ALTER TABLE {{{}}} ADD COLUMN {column} {MAYBE}", table.token)).await?;
                }
            }
        }
        let present = self.indexes(&name).await?;
        for (end, columns) in table.indexes {
            let index = format!("IDX_{}_{end}", name.replace('.', "_").to_uppercase());
            // PostgreSQL cuts names.
            let cut: String = index.to_lowercase().chars().take(63).collect();
            if !present.contains(&index.to_lowercase()) && !present.contains(&cut) {
                self.make(&format!("CREATE INDEX {index} ON {{{}}}({columns})", table.token)).await?;
            }
        }
        Ok(())
    }

    /// Makes something; that another process, which starts at the same time, has made it meanwhile is no error.
    async fn make(&self, sql: &str) -> Result<()> {
        match self.q(sql).run().await {
            Err(error) if is_there(&error) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Lower-case names of a table's columns; empty when there is no table.
    pub(super) async fn columns(&self, table: &str) -> Result<BTreeSet<String>> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT name FROM pragma_table_info(?)",
            Dialect::Postgres => {
                "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = LOWER(?)"
            }
            Dialect::Mysql => {
                "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?"
            }
        };
        self.names(sql, table).await
    }

    async fn indexes(&self, table: &str) -> Result<BTreeSet<String>> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT name FROM pragma_index_list(?)",
            Dialect::Postgres => {
                "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND tablename = LOWER(?)"
            }
            Dialect::Mysql => {
                "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ?"
            }
        };
        self.names(sql, table).await
    }

    async fn names(&self, sql: &str, table: &str) -> Result<BTreeSet<String>> {
        // A name with a schema of its own is looked for by its last part.
        let rows = self.q(sql).bind(table.rsplit('.').next().unwrap_or(table)).all().await?;
        rows.iter().map(|row| Ok(row.get::<String>(0)?.to_lowercase())).collect()
    }
}

/// Whether a CREATE failed only because what it makes is there.
fn is_there(error: &DruidError) -> bool {
    let message = error.message.to_ascii_lowercase();
    // PostgreSQL's catalogue tells of a collision of two CREATEs as a duplicate key of its own tables.
    ["already exists", "duplicate key name", "duplicate column", "pg_type_typname_nsp_index", "pg_class_relname_nsp_index"]
        .iter()
        .any(|words| message.contains(words))
}

fn create(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    let constraints = if table.constraints.is_empty() { String::new() } else { format!(", {}", table.constraints) };
    format!("CREATE TABLE {{{}}} ({}{constraints})", table.token, columns.join(", "))
}
