//! Where the metadata store is and how its tables are called: `druid.metadata.storage.*` with Druid's names and JDBC
//! addresses (`MetadataStorageConnectorConfig`, `MetadataStorageTablesConfig`). What we cannot honour is refused by name.

mod jdbc;
mod mysql;
mod postgres;
mod tables;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ovate_base::{DruidError, Properties, Result};
use serde_json::Value;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

pub use tables::TableNames;

const TYPE: &str = "druid.metadata.storage.type";
const CONNECTOR: &str = "druid.metadata.storage.connector.";
/// Where an embedded store is.
const DEFAULT_FILE: &str = "var/druid/metadata/ovate.db";
/// Connections of a process (`dbcp.maxTotal`; as many as Druid's pool has by default).
const CONNECTIONS_MAX: u32 = 8;
/// How long a statement waits for a connection unless `connectTimeout` says otherwise.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long one statement may take unless `socketTimeout` says otherwise; a poll of a million rows is one statement.
const STATEMENT_MAX: Duration = Duration::from_secs(120);

/// How to reach the database.
#[derive(Debug, Clone)]
pub enum Connector {
    /// A file.
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
    /// MySQL or MariaDB.
    Mysql(Box<MySqlConnectOptions>),
}

/// Everything that opening a store needs.
#[derive(Debug, Clone)]
pub struct MetadataOptions {
    pub connector: Connector,
    pub tables: TableNames,
    /// `createTables`: missing tables, columns and indexes are made at start.
    pub create_tables: bool,
    pub connections_max: u32,
    pub connect_max: Duration,
    pub statement_max: Duration,
    /// What was accepted without effect, and why; logged when the store is opened.
    pub notes: Vec<String>,
}

impl MetadataOptions {
    /// A store in a SQLite file, with Druid's table names.
    pub fn sqlite(path: impl Into<PathBuf>) -> MetadataOptions {
        MetadataOptions {
            connector: Connector::Sqlite(path.into()),
            tables: TableNames::default(),
            create_tables: true,
            connections_max: CONNECTIONS_MAX,
            connect_max: CONNECT_MAX,
            statement_max: STATEMENT_MAX,
            notes: Vec::new(),
        }
    }

    /// Reads `druid.metadata.storage.*`. Relative paths are below `base_dir`; `environment` answers password providers of
    /// that type.
    pub fn from_properties(
        properties: &Properties,
        base_dir: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<MetadataOptions> {
        let name = |field: &str| format!("{CONNECTOR}{field}");
        let connector = |field: &str| properties.get(&name(field));
        let uri = connector("connectURI");
        let kind = match properties.get(TYPE) {
            Some(kind) => kind,
            None => uri.map_or("sqlite", jdbc::kind_of),
        };
        let mut options = MetadataOptions { tables: TableNames::from_properties(properties)?, ..MetadataOptions::sqlite("") };
        options.create_tables = properties.flag(&name("createTables"), true)?;
        let pool = properties.int(&format!("{CONNECTOR}dbcp.maxTotal"), i64::from(CONNECTIONS_MAX))?;
        options.connections_max = u32::try_from(pool)
            .ok()
            .filter(|count| (2..=1000).contains(count))
            .ok_or_else(|| DruidError::invalid_input(format!("{CONNECTOR}dbcp.maxTotal must be 2 to 1000, but is {pool}")))?;
        options.note_properties(properties);
        let login = Login {
            user: connector("user").map(str::to_owned),
            password: connector("password").map(|text| password(text, environment)).transpose()?,
        };
        let needed = || uri.ok_or_else(|| DruidError::invalid_input(format!("{TYPE}={kind} needs {CONNECTOR}connectURI")));
        options.connector = match kind {
            "sqlite" => Connector::Sqlite(match uri {
                Some(uri) => jdbc::sqlite_path(uri, base_dir)?,
                None => base_dir.join(DEFAULT_FILE),
            }),
            "derby" => Connector::Sqlite(jdbc::instead_of_derby(uri, base_dir, &mut options.notes)?),
            "postgresql" => Connector::Postgres(Box::new(postgres::connector(needed()?, login, properties, &mut options)?)),
            "mysql" => Connector::Mysql(Box::new(mysql::connector(needed()?, login, properties, &mut options)?)),
            other => {
                return Err(DruidError::unsupported(format!(
                    "{TYPE}={other}; there are sqlite, postgresql and mysql (which is MariaDB's too)"
                )));
            }
        };
        Ok(options)
    }

    /// The address without user and password, for messages.
    pub fn shown(&self) -> String {
        match &self.connector {
            Connector::Sqlite(path) => format!("sqlite {}", path.display()),
            Connector::Postgres(connect) => {
                format!("postgresql {}:{}/{}", connect.get_host(), connect.get_port(), connect.get_database().unwrap_or(""))
            }
            Connector::Mysql(connect) => {
                format!("mysql {}:{}/{}", connect.get_host(), connect.get_port(), connect.get_database().unwrap_or(""))
            }
        }
    }

    fn note_properties(&mut self, properties: &Properties) {
        for (name, _) in properties.iter() {
            if name.starts_with("druid.metadata.storage.connector.dbcp.") && !name.ends_with(".maxTotal") {
                self.notes.push(format!("{name} has no effect: the connection pool is not Apache Commons DBCP"));
            }
            if name == "druid.metadata.storage.tables.useShortIndexNames" {
                self.notes.push(format!("{name} has no effect: indexes have Druid's long names, which fit"));
            }
            if name == "druid.metadata.mysql.driver.driverClassName" {
                self.notes.push(format!("{name} has no effect: there is no JDBC driver, MySQL and MariaDB are spoken directly"));
            }
        }
    }
}

/// User and password from properties; those in the address come first, as with JDBC's drivers.
struct Login {
    user: Option<String>,
    password: Option<String>,
}

/// A password, or a `PasswordProvider` in JSON.
fn password(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let provider = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(provider)) => provider,
        _ => return Ok(text.to_owned()),
    };
    let field = |name: &str| provider.get(name).and_then(Value::as_str);
    match field("type") {
        Some("default") => field("password").map(str::to_owned).ok_or_else(|| bad_password("without password")),
        Some("environment") => {
            let variable = field("variable").ok_or_else(|| bad_password("without variable"))?;
            environment(variable).ok_or_else(|| bad_password(&format!("whose variable [{variable}] is not set")))
        }
        other => Err(DruidError::unsupported(format!(
            "{CONNECTOR}password: a provider of type [{}]; there are default and environment",
            other.unwrap_or("null")
        ))),
    }
}

fn bad_password(what: &str) -> DruidError {
    DruidError::invalid_input(format!("{CONNECTOR}password is a provider {what}"))
}
