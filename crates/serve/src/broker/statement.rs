//! One statement's run, the same for every listener (HTTP, JDBC, PostgreSQL, Flight SQL): its id, its turn among the requests,
//! its timeout, its line in the request log, its place among the running statements; a client that goes away stops it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use ovate_sql::{SqlRequest, SqlRows};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::BrokerState;
use crate::clock::now_ms;
use crate::request_log::RequestLine;
use crate::running::RunningQueries;
use crate::work::apart;

/// The text of a statement is shown up to this length.
const SHOWN_MAX: usize = 10_000;

/// Statements that run or wait here now, for `sys.queries`.
#[derive(Default)]
pub struct SqlStatements {
    next: AtomicU64,
    list: Mutex<BTreeMap<u64, RunningStatement>>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct RunningStatement {
    pub id: String,
    pub sql: String,
    pub started_ms: i64,
    /// False while it waits for its turn.
    pub runs: bool,
}

impl RunningStatement {
    /// `ACCEPTED` or `RUNNING`.
    pub fn state(&self) -> &'static str {
        if self.runs { "RUNNING" } else { "ACCEPTED" }
    }

    /// What `info` says of it.
    pub fn info(&self) -> Value {
        json!({"sqlQueryId": self.id, "sql": self.sql, "startTime": format_iso(self.started_ms), "state": self.state(), "engine": "native"})
    }
}

impl SqlStatements {
    /// The statements now, oldest first.
    pub fn list(&self) -> Vec<RunningStatement> {
        self.list.lock().values().cloned().collect()
    }

    /// Lists a statement until the entry is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: &str, sql: &str) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let sql = sql.chars().take(SHOWN_MAX).collect();
        let statement = RunningStatement { id: id.to_owned(), sql, started_ms: now_ms(), runs: false };
        self.list.lock().insert(number, statement);
        Entry { statements: self.clone(), number }
    }
}

/// A place in the list.
pub(super) struct Entry {
    statements: Arc<SqlStatements>,
    number: u64,
}

impl Entry {
    /// It no longer waits.
    pub(super) fn runs(&self) {
        if let Some(statement) = self.statements.list.lock().get_mut(&self.number) {
            statement.runs = true;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.statements.list.lock().remove(&self.number);
    }
}

/// Stops every query of a statement when it is dropped before the statement ended: its client went away.
pub(super) struct StopWhenDropped {
    running: Arc<RunningQueries>,
    id: String,
    ended: bool,
}

impl StopWhenDropped {
    pub(super) fn new(running: Arc<RunningQueries>, id: &str) -> Self {
        StopWhenDropped { running, id: id.to_owned(), ended: false }
    }

    /// The statement ended by itself.
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        if !self.ended {
            self.running.cancel(&self.id);
        }
    }
}

/// The statement's id, made up when the context has none.
pub(crate) fn identify(request: &mut SqlRequest) -> String {
    match request.context.get("sqlQueryId").and_then(Value::as_str) {
        Some(id) => id.to_owned(),
        None => {
            let id = uuid::Uuid::new_v4().to_string();
            request.context.insert("sqlQueryId".to_owned(), json!(id));
            id
        }
    }
}

/// Milliseconds that a statement may take; 0 for ever.
pub(super) fn timeout_ms(state: &BrokerState, request: &SqlRequest) -> u64 {
    let given = request.context.get("timeout").or_else(|| state.default_context.get("timeout"));
    let asked = given.and_then(|t| t.as_u64().or_else(|| t.as_str().and_then(|t| t.parse().ok())));
    asked.unwrap_or(state.broker.timeout_ms())
}

/// Waits for work with a limit.
pub(super) async fn within<T>(timeout_ms: u64, work: impl Future<Output = Result<T>>) -> Result<T> {
    if timeout_ms == 0 {
        return work.await;
    }
    let late = || DruidError::timeout(format!("Query timed out after {timeout_ms} ms; raise [timeout] in its context"));
    tokio::time::timeout(Duration::from_millis(timeout_ms), work).await.map_err(|_| late())?
}

impl BrokerState {
    /// Runs a statement and gives its rows. Dropping the future cancels it.
    pub(crate) async fn fetch_rows(&self, mut request: SqlRequest) -> Result<SqlRows> {
        let id = identify(&mut request);
        let entry = self.statements.enter(&id, &request.query);
        let _turn = self.broker.turn().await?;
        entry.runs();
        let running = self.broker.running.register(&id);
        request.stop = running.stop.clone();
        let mut stop = StopWhenDropped::new(self.broker.running.clone(), &id);
        let (began, log) = (Instant::now(), self.log.clone());
        let logged = (!log.is_off()).then(|| (request.query.clone(), Value::Object(request.context.clone())));
        let limit_ms = timeout_ms(self, &request);
        let sql = self.sql.clone();
        let work = apart(async move { sql.fetch(request, now_ms()).await });
        let answer = within(limit_ms, async { work.await? }).await;
        // One that is late works on until it is stopped.
        if answer.is_ok() {
            stop.ended();
        }
        if logged.is_some() {
            let error = answer.as_ref().err().map(ToString::to_string);
            log.log(&RequestLine { began, native: None, sql: logged, bytes: None, error });
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_listed_while_it_waits_and_runs() {
        let statements: Arc<SqlStatements> = Arc::default();
        let entry = statements.enter("a", "SELECT 1");
        assert_eq!(statements.list()[0].state(), "ACCEPTED");
        entry.runs();
        assert_eq!(statements.list()[0].info()["state"], "RUNNING");
        drop(entry);
        assert!(statements.list().is_empty());
    }

    #[test]
    fn dropping_the_guard_of_a_statement_stops_its_queries_unless_it_ended() {
        let running: Arc<RunningQueries> = Arc::default();
        let query = running.register("q");
        let mut guard = StopWhenDropped::new(running.clone(), "q");
        guard.ended();
        drop(guard);
        assert!(!query.stop.load(Ordering::Relaxed));
        drop(StopWhenDropped::new(running.clone(), "q"));
        assert!(query.stop.load(Ordering::Relaxed));
    }
}
