//! One client's session: its settings, and what its statements come to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::BytesMut;
use futures::future::BoxFuture;
use futures::stream;
use ovate_base::time::Zone;
use ovate_sql::types::SqlType;
use ovate_sql::{SqlParameter, SqlRequest};
use parking_lot::Mutex;
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{CopyResponse, FieldInfo, QueryResponse, Response, Tag};
use pgwire::error::PgWireResult;
use pgwire::messages::copy::CopyData;
use pgwire::messages::data::DataRow;
use serde_json::{Map, Value as Json, json};

use super::catalog::{self, Catalogue, Datum, Table};
use super::command::{Command, command};
use super::copy::{CopyKind, CopyOptions};
use super::cursor::{CURSORS_MAX, Position};
use super::encode::{datum, field, format_of};
use super::error::{PgError, PgResult};
use super::parameters;
use crate::broker::BrokerState;
use crate::clock::now_ms;

/// What the catalogue tells of a session.
#[derive(Debug, Clone, Default)]
pub struct SessionInfo {
    pub user: String,
    pub pid: i64,
    pub settings: BTreeMap<String, String>,
}

/// A session.
pub struct Session {
    user: String,
    pid: i64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    settings: BTreeMap<String, String>,
    /// Keys of Druid's query context that were SET.
    context: Map<String, Json>,
    /// Settings that the client has to be told of.
    changed: Vec<(String, String)>,
    cursors: HashMap<String, Cursor>,
}

/// An open cursor.
struct Cursor {
    rows: Arc<Given>,
    at: Position,
    /// It stays open when the transaction ends.
    hold: bool,
}

/// Rows that a statement gave, each value made when it is asked for.
struct Given {
    columns: Vec<(String, Type)>,
    count: usize,
    cell: Box<dyn Fn(usize, usize) -> Datum + Send + Sync>,
}

/// Settings whose changes clients are told.
pub const REPORTED: [&str; 11] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "is_superuser",
    "default_transaction_read_only",
    "application_name",
];

/// A statement with its types, as Parse leaves it.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub command: Command,
    /// `None`: gives no rows.
    pub columns: Option<Vec<(String, Type)>>,
    pub parameters: Vec<Type>,
}

/// Settings of PostgreSQL that may be SET to anything; they change nothing here but what SHOW says.
const IDLE: [&str; 21] = [
    "application_name",
    "client_encoding",
    "datestyle",
    "intervalstyle",
    "extra_float_digits",
    "search_path",
    "bytea_output",
    "standard_conforming_strings",
    "client_min_messages",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "row_security",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "transaction_isolation",
    "transaction_read_only",
    "session_authorization",
    "synchronous_commit",
    "jit",
    "work_mem",
    "lc_messages",
];

impl Session {
    pub fn new(user: String, pid: i64) -> Session {
        let settings = catalog::first_settings(&user);
        Session { user, pid, state: Mutex::new(State { settings, ..State::default() }) }
    }

    fn info(&self) -> SessionInfo {
        SessionInfo { user: self.user.clone(), pid: self.pid, settings: self.state.lock().settings.clone() }
    }

    /// The zone in which times are shown.
    pub fn zone(&self) -> Zone {
        let name = self.state.lock().settings.get("TimeZone").cloned().unwrap_or_default();
        Zone::parse(&name).unwrap_or(Zone::UTC)
    }

    fn request(&self, sql: String, parameters: Vec<SqlParameter>) -> SqlRequest {
        let state = self.state.lock();
        let mut context = state.context.clone();
        if let Some(zone) = state.settings.get("TimeZone") {
            context.entry("sqlTimeZone").or_insert_with(|| json!(zone));
        }
        if let Some(timeout) =
            state.settings.get("statement_timeout").and_then(|text| text.parse::<u64>().ok()).filter(|ms| *ms > 0)
        {
            context.entry("timeout").or_insert(json!(timeout));
        }
        context.entry("sqlStringifyArrays").or_insert(json!(false));
        SqlRequest { context, parameters, ..SqlRequest::text(sql) }
    }

    fn set(&self, name: &str, value: Option<String>) -> PgResult<()> {
        let lower = name.to_ascii_lowercase();
        let wrong = |value: &str| PgError::new("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
        let first = catalog::first_settings(&self.user);
        let mut state = self.state.lock();
        let known = first.keys().find(|key| key.to_ascii_lowercase() == lower).cloned();
        if let Some(value) = &value {
            match lower.as_str() {
                "timezone" => drop(Zone::parse(value).map_err(|_| wrong(value))?),
                "client_encoding" if !matches!(value.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode") => {
                    return Err(PgError::unsupported(format!("client_encoding {value}")));
                }
                "statement_timeout" => drop(value.parse::<u64>().map_err(|_| wrong(value))?),
                "server_version" | "server_version_num" | "server_encoding" | "integer_datetimes" | "is_superuser" => {
                    return Err(PgError::new("55P02", format!("parameter \"{name}\" cannot be changed")));
                }
                _ => {}
            }
        }
        let is_setting = known.is_some() || IDLE.contains(&lower.as_str());
        let key = known.unwrap_or_else(|| if is_setting { lower } else { name.to_owned() });
        let told = value.clone().or_else(|| first.get(&key).cloned());
        if let (true, Some(told)) = (REPORTED.contains(&key.as_str()), told) {
            state.changed.push((key.clone(), told));
        }
        match value {
            Some(value) if is_setting => drop(state.settings.insert(key, value)),
            // Anything else is a key of the query context, as with Druid's own SET.
            Some(value) => drop(state.context.insert(key, context_value(&value))),
            None => {
                state.context.remove(&key);
                match first.get(&key) {
                    Some(value) => drop(state.settings.insert(key, value.clone())),
                    None => drop(state.settings.remove(&key)),
                }
            }
        }
        Ok(())
    }

    /// Settings that have changed since the last call.
    pub fn take_changed(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state.lock().changed)
    }

    fn show(&self, name: &str) -> PgResult<String> {
        let lower = name.to_ascii_lowercase();
        let state = self.state.lock();
        if let Some((_, value)) = state.settings.iter().find(|(key, _)| key.to_ascii_lowercase() == lower) {
            return Ok(value.clone());
        }
        let own = state.context.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let unknown = || PgError::new("42704", format!("unrecognized configuration parameter \"{name}\""));
        own.map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).ok_or_else(unknown)
    }

    /// Understands a statement and works out its types.
    pub async fn prepare(&self, broker: &BrokerState, sql: &str, given: &[Option<Type>]) -> PgResult<Option<Prepared>> {
        let Some(command) = command(sql)? else { return Ok(None) };
        self.typed(broker, command, sql, given).await.map(Some)
    }

    fn typed<'s>(
        &'s self,
        broker: &'s BrokerState,
        command: Command,
        sql: &'s str,
        types: &'s [Option<Type>],
    ) -> BoxFuture<'s, PgResult<Prepared>> {
        let given = |at: usize| types.get(at).cloned().flatten().filter(|t| *t != Type::UNKNOWN);
        let text = || Some(vec![(String::new(), Type::TEXT)]);
        Box::pin(async move {
            Ok(match &command {
                Command::Catalogue(query) => {
                    let count = highest_parameter(sql);
                    let parameters: Vec<Type> = (0..count).map(|at| given(at).unwrap_or(Type::TEXT)).collect();
                    let catalogue = Catalogue::load(broker, self.info()).await?;
                    let columns = catalogue.run(query, &vec![Datum::Null; count])?.columns;
                    Prepared { command, columns: Some(columns), parameters }
                }
                Command::Statement(statement) => {
                    let prepared = broker.sql.prepare(self.request(statement.sql.clone(), Vec::new()), now_ms())?;
                    let count = statement.parameters.iter().map(|at| at + 1).max().unwrap_or(0);
                    let inferred = |at: usize| {
                        let place = statement.parameters.iter().position(|n| *n == at);
                        place.and_then(|place| prepared.parameters.get(place)).map(catalog::types::of_sql)
                    };
                    let parameters = (0..count).map(|at| given(at).or_else(|| inferred(at)).unwrap_or(Type::TEXT)).collect();
                    let columns =
                        prepared.columns.iter().map(|(name, t)| (name.to_string(), catalog::types::of_sql(t))).collect();
                    Prepared { command, columns: Some(columns), parameters }
                }
                Command::Show(name) => {
                    let columns = text().map(|mut list: Vec<(String, Type)>| {
                        list[0].0.clone_from(name);
                        list
                    });
                    Prepared { command, columns, parameters: Vec::new() }
                }
                Command::Copy { query, .. } | Command::Declare { query, .. } => {
                    let inner = self.typed(broker, query.as_ref().clone(), sql, types).await?;
                    Prepared { command, columns: None, parameters: inner.parameters }
                }
                Command::Fetch { name, only_moves, .. } => {
                    let columns = self.cursor_columns(name)?;
                    let columns = (!only_moves).then_some(columns);
                    Prepared { command, columns, parameters: Vec::new() }
                }
                _ => Prepared { command, columns: None, parameters: Vec::new() },
            })
        })
    }

    /// What FETCH from this cursor gives.
    pub fn cursor_columns(&self, name: &str) -> PgResult<Vec<(String, Type)>> {
        let state = self.state.lock();
        state.cursors.get(name).map(|cursor| cursor.rows.columns.clone()).ok_or_else(|| no_cursor(name))
    }

    /// Runs a prepared statement.
    pub async fn execute(
        &self,
        broker: &BrokerState,
        prepared: &Prepared,
        values: &[Datum],
        format: &Format,
    ) -> PgResult<Response> {
        Ok(match &prepared.command {
            command @ (Command::Catalogue(_) | Command::Statement(_)) => {
                let given = Arc::new(self.given(broker, command, values, &prepared.parameters).await?);
                let rows = 0..given.count;
                Response::Query(self.response(given, rows, "SELECT", format))
            }
            Command::Copy { query, options } => {
                let given = self.given(broker, query, values, &prepared.parameters).await?;
                Response::CopyOut(self.copied(given, options.clone()))
            }
            Command::Declare { name, query, hold } => {
                self.may_declare(name)?;
                let rows = Arc::new(self.given(broker, query, values, &prepared.parameters).await?);
                let cursor = Cursor { rows, at: Position::default(), hold: *hold };
                self.state.lock().cursors.insert(name.clone(), cursor);
                Response::Execution(Tag::new("DECLARE CURSOR"))
            }
            Command::Fetch { name, direction, only_moves } => {
                let (given, rows) = {
                    let mut state = self.state.lock();
                    let cursor = state.cursors.get_mut(name).ok_or_else(|| no_cursor(name))?;
                    let rows = cursor.at.go(*direction, cursor.rows.count);
                    (cursor.rows.clone(), rows)
                };
                match only_moves {
                    true => Response::Execution(Tag::new("MOVE").with_rows(rows.len())),
                    false => Response::Query(self.response(given, rows.into_iter(), "FETCH", format)),
                }
            }
            Command::Close(name) => {
                let mut state = self.state.lock();
                match name {
                    None => state.cursors.clear(),
                    Some(name) => drop(state.cursors.remove(name).ok_or_else(|| no_cursor(name))?),
                }
                Response::Execution(Tag::new(if name.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" }))
            }
            Command::Set { name, value } => {
                self.set(name, value.clone())?;
                Response::Execution(Tag::new("SET"))
            }
            Command::ResetAll => {
                *self.state.lock() = State { settings: catalog::first_settings(&self.user), ..State::default() };
                Response::Execution(Tag::new("RESET"))
            }
            Command::Show(name) => {
                let row = vec![Datum::from(self.show(name)?)];
                let given = Arc::new(of_table(Table { columns: vec![(name.clone(), Type::TEXT)], rows: vec![row] }));
                Response::Query(self.response(given, 0..1, "SHOW", format))
            }
            Command::Begin => Response::TransactionStart(Tag::new("BEGIN")),
            Command::Commit => self.ended("COMMIT"),
            Command::Rollback => self.ended("ROLLBACK"),
            Command::Nothing(tag) => Response::Execution(Tag::new(tag)),
        })
    }

    /// Cursors without HOLD end with their transaction.
    fn ended(&self, tag: &str) -> Response {
        self.state.lock().cursors.retain(|_, cursor| cursor.hold);
        Response::TransactionEnd(Tag::new(tag))
    }

    fn may_declare(&self, name: &str) -> PgResult<()> {
        let state = self.state.lock();
        if state.cursors.contains_key(name) {
            return Err(PgError::new("42P03", format!("cursor \"{name}\" already exists")));
        }
        if state.cursors.len() >= CURSORS_MAX {
            return Err(PgError::new("53400", format!("a session may have at most {CURSORS_MAX} cursors open; CLOSE some")));
        }
        Ok(())
    }

    /// The rows of a query: of the catalogue's, or of ours.
    async fn given(&self, broker: &BrokerState, query: &Command, values: &[Datum], kinds: &[Type]) -> PgResult<Given> {
        let statement = match query {
            Command::Catalogue(query) => return Ok(of_table(Catalogue::load(broker, self.info()).await?.run(query, values)?)),
            Command::Statement(statement) => statement,
            _ => return Err(PgError::new("42601", "a query is expected")),
        };
        let value = |at: &usize| match (values.get(*at), kinds.get(*at)) {
            (Some(value), Some(kind)) => parameters::for_statement(value, kind),
            _ => Err(PgError::new("42P02", format!("there is no parameter ${}", at + 1))),
        };
        let list = statement.parameters.iter().map(value).collect::<PgResult<Vec<_>>>()?;
        let found = broker.fetch_rows(self.request(statement.sql.clone(), list)).await?;
        let columns = found.columns.iter().map(|(name, t)| (name.to_string(), catalog::types::of_sql(t))).collect();
        let types: Vec<SqlType> = found.columns.iter().map(|(_, t)| t.clone()).collect();
        let rows = found.rows;
        let count = rows.rows;
        let cell = move |row: usize, column: usize| datum(&rows.columns[column].value(row), &types[column]);
        Ok(Given { columns, count, cell: Box::new(cell) })
    }

    /// Rows are written as the client takes them.
    fn response(
        &self,
        given: Arc<Given>,
        rows: impl Iterator<Item = usize> + Send + 'static,
        tag: &str,
        format: &Format,
    ) -> QueryResponse {
        let zone = self.zone();
        let fields = Arc::new(fields(&given.columns, Some(format)));
        let described = fields.clone();
        let rows = rows.map(move |row| -> PgWireResult<DataRow> {
            let mut data = BytesMut::new();
            for (column, info) in fields.iter().enumerate() {
                field(&mut data, &(given.cell)(row, column), info.datatype(), info.format(), &zone);
            }
            Ok(DataRow::new(data, i16::try_from(fields.len()).unwrap_or(i16::MAX)))
        });
        let mut response = QueryResponse::new(described, stream::iter(rows));
        response.set_command_tag(tag);
        response
    }

    /// One message a row, since clients are told the number of messages; what begins the data goes with the first.
    fn copied(&self, given: Given, options: CopyOptions) -> CopyResponse {
        let zone = self.zone();
        let width = given.columns.len();
        let (names, kinds): (Vec<String>, Vec<Type>) = given.columns.iter().cloned().unzip();
        let format = i8::from(options.kind == CopyKind::Binary);
        let messages = (0..given.count.max(1)).map(move |row| -> PgWireResult<CopyData> {
            let mut data = BytesMut::new();
            if row == 0 {
                options.begin(&mut data, &names);
            }
            if row < given.count {
                let values: Vec<Datum> = (0..width).map(|column| (given.cell)(row, column)).collect();
                options.row(&mut data, &values, &kinds, &zone);
            }
            Ok(CopyData::new(data.freeze()))
        });
        CopyResponse::new(format, width, stream::iter(messages))
    }
}

fn no_cursor(name: &str) -> PgError {
    PgError::new("34000", format!("cursor \"{name}\" does not exist"))
}

fn of_table(table: Table) -> Given {
    let Table { columns, rows } = table;
    Given { columns, count: rows.len(), cell: Box::new(move |row, column| rows[row][column].clone()) }
}

/// Columns as they are described.
pub fn fields(columns: &[(String, Type)], format: Option<&Format>) -> Vec<FieldInfo> {
    let plain = Format::UnifiedText;
    let format = format.unwrap_or(&plain);
    let field = |(at, (name, kind)): (usize, &(String, Type))| {
        FieldInfo::new(name.clone(), None, None, kind.clone(), format_of(format, at)).with_type_size(size(kind))
    };
    columns.iter().enumerate().map(field).collect()
}

fn size(kind: &Type) -> i16 {
    match *kind {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::OID | Type::FLOAT4 | Type::DATE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMPTZ => 8,
        _ => -1,
    }
}

fn context_value(text: &str) -> Json {
    match serde_json::from_str::<Json>(text) {
        Ok(value @ (Json::Bool(_) | Json::Number(_))) => value,
        _ => json!(text),
    }
}

fn highest_parameter(sql: &str) -> usize {
    let number = |token: &super::rewrite::Token| match token.kind {
        super::rewrite::Kind::Parameter(number) => Some(number),
        _ => None,
    };
    super::rewrite::tokens(sql).unwrap_or_default().iter().filter_map(number).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_end_with_their_transaction_unless_they_are_held() {
        let session = Session::new("alice".to_owned(), 7);
        let open = |name: &str, hold: bool| {
            let rows = Arc::new(of_table(Table { columns: vec![("a".to_owned(), Type::TEXT)], rows: Vec::new() }));
            session.state.lock().cursors.insert(name.to_owned(), Cursor { rows, at: Position::default(), hold });
        };
        open("a", false);
        open("b", true);
        assert_eq!(session.may_declare("a").map_err(|e| e.code), Err("42P03"));
        session.ended("COMMIT");
        assert_eq!(session.cursor_columns("a").map_err(|e| e.code), Err("34000"));
        assert_eq!(session.cursor_columns("b"), Ok(vec![("a".to_owned(), Type::TEXT)]));
        (0..CURSORS_MAX).for_each(|i| open(&format!("c{i}"), true));
        assert_eq!(session.may_declare("one more").map_err(|e| e.code), Err("53400"));
    }

    #[test]
    fn settings_are_shown_as_they_were_set_and_others_are_query_context() {
        let session = Session::new("alice".to_owned(), 7);
        assert_eq!(session.show("TIMEZONE"), Ok("UTC".to_owned()));
        session.set("timezone", Some("Asia/Tokyo".to_owned())).expect("a zone");
        session.set("useApproximateCountDistinct", Some("false".to_owned())).expect("context");
        session.set("statement_timeout", Some("500".to_owned())).expect("a timeout");
        let request = session.request("SELECT 1".to_owned(), Vec::new());
        assert_eq!(request.context["sqlTimeZone"], "Asia/Tokyo");
        assert_eq!(request.context["useApproximateCountDistinct"], false);
        assert_eq!(request.context["timeout"], 500);
        session.set("timezone", None).expect("the first value");
        assert_eq!(session.show("timezone"), Ok("UTC".to_owned()));
        assert_eq!(session.set("timezone", Some("Nowhere".to_owned())).map_err(|e| e.code), Err("22023"));
        assert_eq!(session.set("client_encoding", Some("LATIN1".to_owned())).map_err(|e| e.code), Err("0A000"));
        assert_eq!(session.show("nothing").map_err(|e| e.code), Err("42704"));
    }
}
