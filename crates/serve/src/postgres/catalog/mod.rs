//! PostgreSQL's system tables over our schemas (`pg_catalog`, `information_schema`), and a small evaluator for the queries by
//! which psql, Grafana, drivers and tools look around. Queries of data never come here.

mod datum;
mod eval;
mod fill;
mod from;
mod functions;
mod kinds;
mod numbered;
mod select;
mod tables;
pub mod types;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use ovate_base::Result;
use ovate_sql::SqlRequest;
use pgwire::api::Type;
use sqlparser::ast::{ObjectName, Query, SetExpr, Statement, TableFactor, TableWithJoins};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

pub use datum::{Datum, array_from_text};
pub use select::Table;

use self::eval::folded;
use super::error::{PgError, PgResult};
use super::session::SessionInfo;
use crate::broker::BrokerState;
use crate::clock::now_ms;

/// The database that clients see.
pub const DATABASE: &str = "druid";
/// The schema in which names without one are found.
pub const SCHEMA: &str = "druid";
/// The release of PostgreSQL whose catalogue this is like.
pub const SERVER_VERSION: &str = "15.0";

/// A table of ours.
#[derive(Debug, Clone)]
pub struct KnownTable {
    pub oid: i64,
    pub schema: String,
    pub name: String,
    /// Druid's `TABLE` or `SYSTEM_TABLE`.
    pub kind: String,
    pub joinable: String,
    pub broadcast: String,
    pub columns: Vec<KnownColumn>,
}

/// A column of one.
#[derive(Debug, Clone)]
pub struct KnownColumn {
    pub name: String,
    pub data_type: String,
    pub nullable: bool,
    pub jdbc_type: i64,
    pub kind: Type,
}

/// What the system tables are made of, at one moment.
pub struct Catalogue {
    pub session: SessionInfo,
    pub tables: Vec<KnownTable>,
    /// Rows and bytes of datasources.
    pub sizes: HashMap<String, (i64, i64)>,
    pub routines: Vec<(String, String, String)>,
    /// Statements that run now.
    pub statements: Vec<crate::broker::RunningStatement>,
    places: HashMap<i64, usize>,
}

impl Catalogue {
    /// Reads what there is now.
    pub async fn load(state: &BrokerState, session: SessionInfo) -> Result<Catalogue> {
        let texts = async |sql: &str| -> Result<Vec<Vec<Option<String>>>> {
            let rows = state.sql.fetch(SqlRequest::text(sql), now_ms()).await?.rows;
            let text = |row: usize| rows.columns.iter().map(|c| c.value(row).as_text().map(|t| t.to_string())).collect();
            Ok((0..rows.rows).map(text).collect())
        };
        let mut columns: HashMap<(String, String), Vec<KnownColumn>> = HashMap::new();
        let list =
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, IS_NULLABLE, JDBC_TYPE FROM INFORMATION_SCHEMA.COLUMNS";
        for row in texts(list).await? {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || cells.next().unwrap_or_default();
            let key = (next(), next());
            let (name, data_type) = (next(), next());
            let kind = types::of_data_type(&data_type);
            let column = KnownColumn { name, data_type, nullable: next() == "YES", jdbc_type: next().parse().unwrap_or(0), kind };
            columns.entry(key).or_default().push(column);
        }
        let mut tables = Vec::new();
        let list = "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, IS_JOINABLE, IS_BROADCAST FROM INFORMATION_SCHEMA.TABLES \
                    WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA'";
        for row in texts(list).await? {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || cells.next().unwrap_or_default();
            let (schema, name) = (next(), next());
            let columns = columns.remove(&(schema.clone(), name.clone())).unwrap_or_default();
            tables.push(KnownTable { oid: 0, schema, name, kind: next(), joinable: next(), broadcast: next(), columns });
        }
        for (full, _) in tables::TABLES {
            let (schema, name) = full.split_once('.').unwrap_or_default();
            let column = |(name, kind): (String, Type)| KnownColumn {
                name,
                data_type: types::format(i64::from(kind.oid())).to_ascii_uppercase(),
                nullable: true,
                jdbc_type: 0,
                kind,
            };
            let columns = tables::columns(full).into_iter().map(column).collect();
            let no = || "NO".to_owned();
            tables.push(KnownTable {
                oid: 0,
                schema: schema.to_owned(),
                name: name.to_owned(),
                kind: "SYSTEM_TABLE".to_owned(),
                joinable: no(),
                broadcast: no(),
                columns,
            });
        }
        let routines = texts("SELECT ROUTINE_NAME, IS_AGGREGATOR, SIGNATURES FROM INFORMATION_SCHEMA.ROUTINES").await?;
        let routine = |row: Vec<Option<String>>| {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            (cells.next().unwrap_or_default(), cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        };
        let mut sizes: HashMap<String, (i64, i64)> = HashMap::new();
        state.broker.view.each_served(|served| {
            let entry = sizes.entry(served.segment.data_source.to_string()).or_default();
            entry.0 = entry.0.saturating_add(served.schema.rows as i64);
            entry.1 = entry.1.saturating_add(served.segment.size);
        });
        let routines = routines.into_iter().map(routine).collect();
        Ok(Catalogue::new(session, tables, sizes, routines, state.statements.list()))
    }

    /// Of these tables; gives each its number, which follows from its name.
    pub fn new(
        session: SessionInfo,
        mut tables: Vec<KnownTable>,
        sizes: HashMap<String, (i64, i64)>,
        routines: Vec<(String, String, String)>,
        statements: Vec<crate::broker::RunningStatement>,
    ) -> Catalogue {
        let mut places = HashMap::new();
        for (place, table) in tables.iter_mut().enumerate() {
            let mut oid = oid_of_name(&format!("{}.{}", table.schema, table.name));
            while places.contains_key(&oid) {
                oid += 1;
            }
            places.insert(oid, place);
            table.oid = oid;
        }
        Catalogue { session, tables, sizes, routines, statements, places }
    }

    fn table(&self, oid: i64) -> Option<&KnownTable> {
        self.places.get(&oid).map(|place| &self.tables[*place])
    }

    fn is_visible(&self, oid: i64) -> bool {
        self.table(oid).is_some_and(|table| table.schema == SCHEMA || table.schema == "pg_catalog")
    }

    /// A table's name as `regclass` shows it.
    fn shown_name(&self, oid: i64) -> Datum {
        match self.table(oid) {
            Some(table) if self.is_visible(oid) => Datum::from(table.name.as_str()),
            Some(table) => Datum::from(format!("{}.{}", table.schema, table.name)),
            None => Datum::from(oid.to_string()),
        }
    }

    /// The number of a table by its name, with or without a schema.
    fn oid_of(&self, name: &str) -> PgResult<i64> {
        let plain = name.replace('"', "");
        let (schema, table) = match plain.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, plain.as_str()),
        };
        let fits = |known: &&KnownTable| known.name == table && schema.map_or(self.is_visible(known.oid), |s| known.schema == s);
        let absent = || PgError::new("42P01", format!("relation \"{name}\" does not exist"));
        self.tables.iter().find(fits).map(|table| table.oid).ok_or_else(absent)
    }

    /// `regclass`: of a number its name, of a name its number.
    fn regclass(&self, value: &Datum) -> PgResult<Datum> {
        match value.int() {
            Some(oid) => Ok(self.shown_name(oid)),
            None => self.oid_of(&value.text().unwrap_or_default()).map(Datum::Int),
        }
    }

    fn size_of(&self, oid: i64) -> i64 {
        let table = self.table(oid).filter(|table| table.schema == SCHEMA);
        table.and_then(|table| self.sizes.get(&table.name)).map_or(0, |(_, bytes)| *bytes)
    }

    fn total_size(&self) -> i64 {
        self.sizes.values().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    fn setting(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        self.session.settings.iter().find(|(known, _)| known.to_ascii_lowercase() == name).map(|(_, value)| value.clone())
    }

    /// Names that are values without parentheses.
    fn session_value(&self, name: &str) -> Option<Datum> {
        Some(match name {
            "current_user" | "session_user" | "user" | "current_role" => Datum::from(self.session.user.as_str()),
            "current_catalog" => Datum::from(DATABASE),
            "current_schema" => Datum::from(SCHEMA),
            _ => return None,
        })
    }

    /// Runs a query of the catalogue.
    pub fn run(&self, query: &Query, parameters: &[Datum]) -> PgResult<Table> {
        select::Evaluator::new(self, parameters).query(query, None, &HashMap::new())
    }
}

/// A number above PostgreSQL's own, out of a name (FNV-1a).
fn oid_of_name(name: &str) -> i64 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i64::from(hash % 1_000_000_000) + 16_384
}

/// The number of a schema.
fn namespace_oid(schema: &str) -> i64 {
    match schema {
        "pg_catalog" => 11,
        "druid" => 2200,
        "information_schema" => 13_000,
        other => oid_of_name(other),
    }
}

/// The query, when a statement asks for the catalogue and nothing else.
pub fn query_of(sql: &str) -> Option<Query> {
    /// Names that only a query of the catalogue has.
    const HINTS: [&str; 18] = [
        "pg_",
        "information_schema",
        "current_schema",
        "current_database",
        "current_setting",
        "set_config",
        "version",
        "current_user",
        "session_user",
        "current_catalog",
        "has_",
        "format_type",
        "to_reg",
        "regclass",
        "obj_description",
        "generate_series",
        "current_role",
        "quote_ident",
    ];
    let lower = sql.to_ascii_lowercase();
    if !HINTS.iter().any(|hint| lower.contains(hint)) {
        return None;
    }
    let mut statements = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?.parse_statements().ok()?;
    let (Some(Statement::Query(query)), true) = (statements.pop(), statements.is_empty()) else { return None };
    let mut found = Relations::default();
    found.query(&query, &[]);
    (!found.others).then_some(*query)
}

/// Which relations a query reads.
#[derive(Default)]
struct Relations {
    others: bool,
}

impl Relations {
    fn query(&mut self, query: &Query, outer: &[String]) {
        let mut ctes = outer.to_vec();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.query(&cte.query, &ctes);
            ctes.push(folded(&cte.alias.name));
        }
        self.body(&query.body, &ctes);
    }

    fn body(&mut self, body: &SetExpr, ctes: &[String]) {
        match body {
            SetExpr::Select(select) => select.from.iter().for_each(|item| self.item(item, ctes)),
            SetExpr::Query(query) => self.query(query, ctes),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, ctes);
                self.body(right, ctes);
            }
            SetExpr::Values(_) => {}
            _ => self.others = true,
        }
    }

    fn item(&mut self, item: &TableWithJoins, ctes: &[String]) {
        self.factor(&item.relation, ctes);
        item.joins.iter().for_each(|join| self.factor(&join.relation, ctes));
    }

    fn factor(&mut self, factor: &TableFactor, ctes: &[String]) {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.others |= !is_known(name, ctes),
            TableFactor::Derived { subquery, .. } => self.query(subquery, ctes),
            TableFactor::NestedJoin { table_with_joins, .. } => self.item(table_with_joins, ctes),
            TableFactor::Table { .. } | TableFactor::Function { .. } | TableFactor::UNNEST { .. } => {}
            _ => self.others = true,
        }
    }
}

fn is_known(name: &ObjectName, ctes: &[String]) -> bool {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
    match parts.as_slice() {
        [table] => ctes.contains(table) || tables::full_name(None, table).is_some(),
        // A table of these schemas that is not there is an error of the catalogue.
        [.., schema, _] => schema == "pg_catalog" || schema == "information_schema",
        [] => false,
    }
}

/// What a session starts with (`pg_settings`).
pub fn first_settings(user: &str) -> BTreeMap<String, String> {
    let pairs = [
        ("server_version", SERVER_VERSION),
        ("server_version_num", "150000"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("search_path", SCHEMA),
        ("application_name", ""),
        ("max_identifier_length", "63"),
        ("max_index_keys", "32"),
        ("transaction_isolation", "read committed"),
        ("default_transaction_isolation", "read committed"),
        ("transaction_read_only", "on"),
        ("default_transaction_read_only", "on"),
        ("default_tablespace", ""),
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("extra_float_digits", "1"),
        ("bytea_output", "hex"),
        ("lc_collate", "C"),
        ("lc_ctype", "C"),
        ("lc_messages", "C"),
        ("lc_monetary", "C"),
        ("is_superuser", "off"),
        ("in_hot_standby", "off"),
        ("row_security", "on"),
        ("client_min_messages", "notice"),
    ];
    let mut settings: BTreeMap<String, String> =
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    settings.insert("session_authorization".to_owned(), user.to_owned());
    settings
}
