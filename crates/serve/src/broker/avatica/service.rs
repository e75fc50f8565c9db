//! Avatica's requests over JSON documents (`DruidMeta`): connections with their properties as query context, statements
//! with limits, prepared statements, results fetched in frames. Idle connections are closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovate_base::DruidError;
use ovate_base::time::Zone;
use ovate_sql::types::SqlType;
use ovate_sql::{SqlParameter, SqlRequest, SqlRows};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use super::super::BrokerState;
use super::columns;
use super::metadata::statement as catalogue_statement;
use crate::clock::now_ms;

/// Limits (`druid.sql.avatica.*`).
#[derive(Debug, Clone)]
pub struct AvaticaSettings {
    /// `maxConnections`.
    pub connections_max: usize,
    /// `maxStatementsPerConnection`.
    pub statements_max: usize,
    /// `maxRowsPerFrame`.
    pub frame_rows_max: usize,
    /// `connectionIdleTimeout`.
    pub idle: Duration,
}

impl Default for AvaticaSettings {
    fn default() -> Self {
        AvaticaSettings { connections_max: 50, statements_max: 4, frame_rows_max: 5000, idle: Duration::from_secs(300) }
    }
}

/// An answer that is an error, in Avatica's form.
pub struct Refusal {
    pub message: String,
    /// 1 tells the driver that the connection is not known, so that it may open it again.
    pub code: i64,
}

impl From<DruidError> for Refusal {
    fn from(error: DruidError) -> Self {
        let message = format!("QueryInterruptedException: {} -> DruidException: {}", error.message, error.message);
        Refusal { message, code: -1 }
    }
}

type Answer = std::result::Result<Json, Refusal>;

fn refuse<T>(message: impl Into<String>) -> std::result::Result<T, Refusal> {
    Err(Refusal { message: message.into(), code: -1 })
}

struct Statement {
    sql: String,
    signature: Json,
    /// The query id of what it runs now.
    runs: Option<String>,
    rows: Option<Arc<SqlRows>>,
    /// Most rows that the client wants in all.
    rows_max: usize,
}

struct Connection {
    context: Map<String, Json>,
    properties: Json,
    statements: HashMap<i64, Statement>,
    last_id: i64,
    used: Instant,
}

impl Connection {
    fn is_busy(&self) -> bool {
        self.statements.values().any(|statement| statement.runs.is_some())
    }
}

/// All connections of this broker.
pub struct AvaticaService {
    state: BrokerState,
    settings: AvaticaSettings,
    address: String,
    connections: Mutex<HashMap<String, Connection>>,
}

impl AvaticaService {
    /// `address` is `host:port` of this server, which the driver is told.
    pub fn new(state: BrokerState, settings: AvaticaSettings, address: String) -> Self {
        AvaticaService { state, settings, address, connections: Mutex::default() }
    }

    /// Answers one request; the flag tells whether it is an error.
    pub async fn handle(&self, request: &Json) -> (bool, Json) {
        let (failed, mut response) = match self.answer(request).await {
            Ok(response) => (false, response),
            Err(refusal) => {
                let response = json!({"response": "error", "exceptions": [refusal.message], "errorMessage": refusal.message,
                    "errorCode": refusal.code, "sqlState": "00000", "severity": "UNKNOWN"});
                (true, response)
            }
        };
        if !matches!(response["response"].as_str(), Some("commit" | "rollback")) {
            response["rpcMetadata"] = self.rpc();
        }
        (failed, response)
    }

    fn rpc(&self) -> Json {
        json!({"response": "rpcMetadata", "serverAddress": self.address})
    }

    async fn answer(&self, request: &Json) -> Answer {
        let id = request["connectionId"].as_str().or(request["statementHandle"]["connectionId"].as_str()).unwrap_or_default();
        let kind = request["request"].as_str().unwrap_or_default();
        match kind {
            "openConnection" => self.open(id, &request["info"]),
            "closeConnection" => {
                let closed = self.connections.lock().remove(id);
                closed.iter().flat_map(|connection| connection.statements.values()).for_each(|statement| self.stop(statement));
                Ok(json!({"response": "closeConnection"}))
            }
            "databaseProperties" => self.with(id, |_| Ok(json!({"response": "databaseProperties", "map": {}}))),
            "connectionSync" => self.with(id, |connection| {
                for (key, value) in request["connProps"].as_object().into_iter().flatten() {
                    if !value.is_null() {
                        connection.properties[key] = value.clone();
                    }
                }
                Ok(json!({"response": "connectionSync", "connProps": connection.properties}))
            }),
            "createStatement" => {
                let statement = self.create(id, String::new(), Json::Null)?;
                Ok(json!({"response": "createStatement", "connectionId": id, "statementId": statement}))
            }
            "closeStatement" => {
                let statement = request["statementId"].as_i64().unwrap_or(-1);
                let closed = self.connections.lock().get_mut(id).and_then(|c| c.statements.remove(&statement));
                closed.iter().for_each(|statement| self.stop(statement));
                Ok(json!({"response": "closeStatement"}))
            }
            "prepare" => self.prepare(id, request["sql"].as_str().unwrap_or_default()),
            "prepareAndExecute" => {
                let statement = request["statementId"].as_i64().unwrap_or(-1);
                let sql = request["sql"].as_str().unwrap_or_default().to_owned();
                self.execute(id, statement, Some(sql), Vec::new(), request).await
            }
            "execute" => {
                let statement = request["statementHandle"]["id"].as_i64().unwrap_or(-1);
                let values = parameters(&request["parameterValues"])?;
                self.execute(id, statement, None, values, request).await
            }
            "fetch" => self.fetch(id, request),
            "commit" | "rollback" => self.with(id, |_| Ok(json!({"response": kind}))),
            "prepareAndExecuteBatch" | "executeBatch" => refuse("UOE: Batch statements not supported"),
            "syncResults" => refuse("UOE: Not supported"),
            _ => match catalogue_statement(request) {
                Some(sql) => self.catalogue(id, sql).await,
                None => refuse(format!("unknown request [{kind}]")),
            },
        }
    }

    fn open(&self, id: &str, info: &Json) -> Answer {
        let mut connections = self.connections.lock();
        let idle = self.settings.idle;
        connections.retain(|_, connection| connection.used.elapsed() < idle || connection.is_busy());
        if connections.contains_key(id) {
            return refuse(format!("ISE: Connection [{id}] already open."));
        }
        if connections.len() >= self.settings.connections_max {
            let most = self.settings.connections_max;
            return refuse(format!("ISE: Too many connections, limit is {most} per broker (druid.sql.avatica.maxConnections)"));
        }
        let own = info.as_object().into_iter().flatten().filter(|(key, _)| !matches!(key.as_str(), "user" | "password"));
        let context = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        let properties = json!({"connProps": "connPropsImpl", "autoCommit": null, "readOnly": null,
            "transactionIsolation": null, "catalog": null, "schema": null, "dirty": true});
        let connection = Connection { context, properties, statements: HashMap::new(), last_id: 0, used: Instant::now() };
        connections.insert(id.to_owned(), connection);
        Ok(json!({"response": "openConnection"}))
    }

    fn with<T>(
        &self,
        id: &str,
        work: impl FnOnce(&mut Connection) -> std::result::Result<T, Refusal>,
    ) -> std::result::Result<T, Refusal> {
        let mut connections = self.connections.lock();
        match connections.get_mut(id) {
            Some(connection) => {
                connection.used = Instant::now();
                work(connection)
            }
            None => {
                let message = format!("NoSuchConnectionException: Invalid connection id: {id}");
                Err(Refusal { message, code: 1 })
            }
        }
    }

    fn create(&self, id: &str, sql: String, signature: Json) -> std::result::Result<i64, Refusal> {
        self.with(id, |connection| {
            if connection.statements.len() >= self.settings.statements_max {
                return refuse(format!("ISE: Too many open statements, limit is {}", self.settings.statements_max));
            }
            connection.last_id += 1;
            let statement = Statement { sql, signature, runs: None, rows: None, rows_max: usize::MAX };
            connection.statements.insert(connection.last_id, statement);
            Ok(connection.last_id)
        })
    }

    fn request(&self, id: &str, sql: &str, parameters: Vec<SqlParameter>) -> std::result::Result<SqlRequest, Refusal> {
        let mut context = self.with(id, |connection| Ok(connection.context.clone()))?;
        context.entry("sqlQueryId").or_insert_with(|| json!(uuid::Uuid::new_v4().to_string()));
        context.entry("sqlStringifyArrays").or_insert(json!(false));
        Ok(SqlRequest { context, parameters, ..SqlRequest::text(sql) })
    }

    fn prepare(&self, id: &str, sql: &str) -> Answer {
        let prepared = self.state.sql.prepare(self.request(id, sql, Vec::new())?, now_ms())?;
        let signature = signature(sql, &prepared.columns, &prepared.parameters, "ARRAY");
        let statement = self.create(id, sql.to_owned(), signature.clone())?;
        let handle = json!({"connectionId": id, "id": statement, "signature": signature});
        Ok(json!({"response": "prepare", "statement": handle}))
    }

    async fn execute(&self, id: &str, statement: i64, sql: Option<String>, values: Vec<SqlParameter>, request: &Json) -> Answer {
        let known =
            self.with(id, |connection| Ok(connection.statements.get(&statement).map(|s| (s.sql.clone(), s.signature.clone()))))?;
        let Some((own, prepared)) = known else {
            return Ok(json!({"response": "executeResults", "missingStatement": true, "results": []}));
        };
        let sql = sql.unwrap_or(own);
        let query = self.request(id, &sql, values)?;
        let zone = zone(&query.context);
        let rows = Arc::new(self.run(id, statement, query).await?);
        let mut signature = signature(&sql, &rows.columns, &[], "LIST");
        if let Json::Array(parameters) = &prepared["parameters"] {
            signature["parameters"] = json!(parameters);
        }
        let total = request["maxRowCount"].as_i64().filter(|n| *n >= 0 && request["request"] == json!("prepareAndExecute"));
        let rows_max = total.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let asked = request["maxRowsInFirstFrame"].as_i64().unwrap_or(-1);
        let first = self.frame(&rows, 0, asked, rows_max, &zone);
        self.with(id, |connection| {
            if let Some(statement) = connection.statements.get_mut(&statement) {
                statement.sql.clone_from(&sql);
                statement.rows = (first["done"] != json!(true)).then(|| rows.clone());
                statement.rows_max = rows_max;
            }
            Ok(())
        })?;
        let result = self.result_set(id, statement, signature, first);
        Ok(json!({"response": "executeResults", "missingStatement": false, "results": [result]}))
    }

    /// Runs a statement; closing it, or its connection, meanwhile cancels what it runs (`DruidStatement.close`).
    async fn run(&self, id: &str, statement: i64, query: SqlRequest) -> std::result::Result<SqlRows, Refusal> {
        let query_id = query.context.get("sqlQueryId").and_then(Json::as_str).map(str::to_owned);
        let note = |runs: Option<String>| {
            self.with(id, |connection| {
                if let Some(statement) = connection.statements.get_mut(&statement) {
                    statement.runs = runs;
                }
                Ok(())
            })
        };
        note(query_id)?;
        let outcome = self.state.fetch_rows(query).await;
        // The connection may be closed by now; the outcome tells more than that.
        let _ = note(None);
        Ok(outcome?)
    }

    fn stop(&self, statement: &Statement) {
        if let Some(id) = &statement.runs {
            self.state.broker.running.cancel(id);
        }
    }

    fn result_set(&self, id: &str, statement: i64, signature: Json, first: Json) -> Json {
        json!({"response": "resultSet", "connectionId": id, "statementId": statement, "ownStatement": false,
            "signature": signature, "firstFrame": first, "updateCount": -1, "rpcMetadata": self.rpc()})
    }

    async fn catalogue(&self, id: &str, sql: String) -> Answer {
        let query = self.request(id, &sql, Vec::new())?;
        let rows = self.state.fetch_rows(query).await?;
        let signature = signature(&sql, &rows.columns, &[], "LIST");
        // The result is given whole, so no statement is kept for it.
        let statement = self.with(id, |connection| {
            connection.last_id += 1;
            Ok(connection.last_id)
        })?;
        let first = self.frame(&rows, 0, i64::MAX, usize::MAX, &Zone::parse("UTC")?);
        Ok(self.result_set(id, statement, signature, first))
    }

    fn fetch(&self, id: &str, request: &Json) -> Answer {
        let statement = request["statementId"].as_i64().unwrap_or(-1);
        let offset = request["offset"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let asked = request["fetchMaxRowCount"].as_i64().unwrap_or(-1);
        let (found, zone) = self.with(id, |connection| {
            let found = connection.statements.get(&statement).map(|s| (s.rows.clone(), s.rows_max));
            Ok((found, zone(&connection.context)))
        })?;
        let Some((rows, rows_max)) = found else {
            return Ok(json!({"response": "fetch", "frame": null, "missingStatement": true, "missingResults": true}));
        };
        let frame = match rows {
            Some(rows) => self.frame(&rows, offset, asked, rows_max, &zone),
            None => json!({"offset": offset, "done": true, "rows": []}),
        };
        if frame["done"] == json!(true) {
            self.with(id, |connection| {
                if let Some(statement) = connection.statements.get_mut(&statement) {
                    statement.rows = None;
                }
                Ok(())
            })?;
        }
        Ok(json!({"response": "fetch", "frame": frame, "missingStatement": false, "missingResults": false}))
    }

    fn frame(&self, rows: &SqlRows, offset: usize, asked: i64, rows_max: usize, zone: &Zone) -> Json {
        let total = rows.rows.rows.min(rows_max);
        let most = match usize::try_from(asked) {
            Ok(n) if n > 0 && asked != i64::MAX => n.min(self.settings.frame_rows_max),
            Ok(_) if asked == i64::MAX => usize::MAX,
            _ => self.settings.frame_rows_max,
        };
        let end = offset.saturating_add(most).min(total);
        let shift = |ms: i64| zone.to_local(ms) - ms;
        let row = |row: usize| -> Json {
            let cells = rows.columns.iter().zip(&rows.rows.columns);
            cells.map(|((_, t), column)| columns::value(&column.value(row), t, &shift)).collect()
        };
        let list: Vec<Json> = (offset.min(end)..end).map(row).collect();
        json!({"offset": offset, "done": end >= total, "rows": list})
    }
}

fn zone(context: &Map<String, Json>) -> Zone {
    let utc = Zone::parse("UTC");
    let own = context.get("sqlTimeZone").and_then(Json::as_str).map(Zone::parse);
    own.and_then(std::result::Result::ok).or_else(|| utc.ok()).unwrap_or_default()
}

fn signature(sql: &str, names: &[(Arc<str>, SqlType)], parameters: &[SqlType], style: &str) -> Json {
    let list: Vec<Json> = names.iter().enumerate().map(|(i, (name, t))| columns::column(i, name, t)).collect();
    let wanted: Vec<Json> = parameters.iter().enumerate().map(|(i, t)| columns::parameter(i, t)).collect();
    json!({"columns": list, "sql": sql, "parameters": wanted,
        "cursorFactory": {"style": style, "clazz": null, "fieldNames": null}, "statementType": "SELECT"})
}

/// Typed values as parameters.
fn parameters(values: &Json) -> std::result::Result<Vec<SqlParameter>, Refusal> {
    let mut out = Vec::new();
    for value in values.as_array().into_iter().flatten() {
        if value.is_null() {
            return refuse(format!("No value bound for parameter (position [{}])", out.len() + 1));
        }
        let (kind, json) = (value["type"].as_str().unwrap_or("OBJECT"), value["value"].clone());
        let sql_type = match kind {
            _ if json.is_null() => "NULL",
            "STRING" | "CHARACTER" | "PRIMITIVE_CHAR" | "OBJECT" => "VARCHAR",
            "BOOLEAN" | "PRIMITIVE_BOOLEAN" => "BOOLEAN",
            "DOUBLE" | "PRIMITIVE_DOUBLE" | "FLOAT" | "PRIMITIVE_FLOAT" | "BIG_DECIMAL" => "DOUBLE",
            "JAVA_SQL_TIMESTAMP" | "JAVA_UTIL_DATE" => "TIMESTAMP",
            "JAVA_SQL_DATE" => "DATE",
            "ARRAY" => "ARRAY",
            "NUMBER" if json.is_f64() => "DOUBLE",
            "BYTE" | "SHORT" | "INTEGER" | "LONG" | "NUMBER" | "BIG_INTEGER" | "PRIMITIVE_BYTE" | "PRIMITIVE_SHORT"
            | "PRIMITIVE_INT" | "PRIMITIVE_LONG" => "BIGINT",
            other => return refuse(format!("parameter of type [{other}] is not supported")),
        };
        let json = if kind == "JAVA_SQL_DATE" { json.as_i64().map_or(json, |days| json!(days * 86_400_000)) } else { json };
        out.push(SqlParameter { sql_type: sql_type.to_owned(), value: json });
    }
    Ok(out)
}
