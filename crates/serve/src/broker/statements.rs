//! Asynchronous statements (SQW-09, `SqlStatementResource`): a SELECT runs on, its rows are kept in files, page by page, and
//! fetched later, also after a restart. A statement is a folder: `status.json`, and `page-N.jsonl` with a JSON array a row.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use ovate_net::body::read_body;
use ovate_net::{ApiError, ApiResult};
use ovate_sql::{ResultFormat, SqlRequest};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::BrokerState;
use super::sql_http::parse;
use super::statement::{identify, timeout_ms, within};
use crate::clock::now_ms;
use crate::work::apart;

/// Rows of a page (`rowsPerPage`).
const PAGE_ROWS: usize = 100_000;
/// Rows shown with the status.
const SAMPLE_ROWS: usize = 3000;
/// Pieces of an answer that wait to be written.
const PIECES_MAX: usize = 4;
/// Most statements that run at once here.
const RUNNING_MAX: usize = 64;

/// The statements of one broker.
pub struct Statements {
    broker: BrokerState,
    folder: PathBuf,
    running: Mutex<HashMap<String, Value>>,
}

/// Routes of asynchronous statements; results are kept under `folder`.
pub fn routes(broker: BrokerState, folder: PathBuf) -> Router {
    let state = Arc::new(Statements { broker, folder, running: Mutex::default() });
    Router::new()
        .route("/druid/v2/sql/statements", post(submit))
        .route("/druid/v2/sql/statements/", post(submit))
        .route("/druid/v2/sql/statements/enabled", get(|| async { Json(json!({"enabled": true})) }))
        .route("/druid/v2/sql/statements/{id}", get(status).delete(cancel))
        .route("/druid/v2/sql/statements/{id}/results", get(results))
        .with_state(state)
}

async fn submit(State(state): State<Arc<Statements>>, headers: HeaderMap, request: Request) -> ApiResult<Response> {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json").to_ascii_lowercase();
    let mut request = parse(&kind, &read_body(request, &()).await?)?;
    match request.context.get("executionMode").and_then(Value::as_str) {
        Some(mode) if mode.eq_ignore_ascii_case("ASYNC") => {}
        Some(mode) => {
            return Err(ApiError(DruidError::invalid_input(format!(
                "The statement sql api only supports sync mode[ASYNC]. Please set context parameter [executionMode=ASYNC] in the \
                 query context payload; it is [{mode}]"
            ))));
        }
        None => {
            return Err(ApiError(DruidError::invalid_input(
                "Execution mode is not provided to the sql statement api. Please set [executionMode] to [ASYNC] in the query context",
            )));
        }
    }
    let id = identify(&mut request);
    if !is_name(&id) {
        return Err(ApiError(DruidError::invalid_input(format!("sqlQueryId [{id}] cannot name a statement"))));
    }
    let prepared = state.broker.sql.prepare(SqlRequest { parameters: Vec::new(), ..request.clone() }, now_ms())?;
    let schema: Vec<Value> = prepared
        .columns
        .iter()
        .map(|(name, t)| json!({"name": &**name, "type": t.name(), "nativeType": t.native().to_string()}))
        .collect();
    let status =
        json!({"queryId": id, "state": "ACCEPTED", "createdAt": format_iso(now_ms()), "schema": schema, "durationMs": -1});
    {
        let mut running = state.running.lock();
        if running.len() >= RUNNING_MAX {
            let message = format!("{RUNNING_MAX} statements run already; ask again when one has ended");
            return Err(ApiError(DruidError::capacity(message)));
        }
        if running.contains_key(&id) || state.folder.join(&id).exists() {
            return Err(ApiError(DruidError::invalid_input(format!("statement [{id}] is there already"))));
        }
        running.insert(id.clone(), status.clone());
    }
    tokio::spawn(async move { state.run(id, request).await });
    Ok(Json(status).into_response())
}

async fn status(State(state): State<Arc<Statements>>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    Ok(Json(state.status(&id)?))
}

async fn cancel(State(state): State<Arc<Statements>>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let status = state.status(&id)?;
    if matches!(status["state"].as_str(), Some("ACCEPTED" | "RUNNING")) {
        state.broker.broker.running.cancel(&id);
        return Ok(StatusCode::ACCEPTED);
    }
    Ok(StatusCode::OK)
}

async fn results(
    State(state): State<Arc<Statements>>,
    Path(id): Path<String>,
    Query(options): Query<HashMap<String, String>>,
) -> ApiResult<Response> {
    let status = state.status(&id)?;
    match status["state"].as_str() {
        Some("SUCCESS") => {}
        Some("FAILED") => {
            let reason = status["errorDetails"]["errorMessage"].as_str().unwrap_or("unknown");
            return Err(ApiError(not_found(format!("Query[{id}] failed. Check the status api for more details: {reason}"))));
        }
        other => {
            let state = other.unwrap_or("UNKNOWN");
            let message = format!("Query[{id}] is currently in [{state}] state. Please wait for it to complete.");
            return Err(ApiError(DruidError::invalid_input(message)));
        }
    }
    let format = ResultFormat::parse(options.get("resultFormat").map_or("object", String::as_str))?;
    let pages = status["result"]["pages"].as_array().map_or(0, Vec::len);
    let wanted: Vec<usize> = match options.get("page") {
        None => (0..pages).collect(),
        Some(text) => match text.parse::<usize>() {
            Ok(page) if page < pages => vec![page],
            _ => {
                let message = format!("Page cannot be negative, and less than {pages}. Please pass a valid page id: [{text}]");
                return Err(ApiError(DruidError::invalid_input(message)));
            }
        },
    };
    let names: Vec<String> =
        status["schema"].as_array().into_iter().flatten().map(|c| c["name"].as_str().unwrap_or_default().to_owned()).collect();
    let folder = state.folder.join(&id);
    let body = tokio::task::spawn_blocking(move || write_pages(&folder, &wanted, &names, format)).await;
    let body = body.map_err(|e| DruidError::runtime(format!("reading the result failed: {e}")))??;
    let mut answer = ([(CONTENT_TYPE, format.content_type())], body).into_response();
    if let Some(name) = options.get("filename") {
        answer.headers_mut().insert(CONTENT_DISPOSITION, attachment(name)?);
    }
    Ok(answer)
}

impl Statements {
    fn status(&self, id: &str) -> Result<Value> {
        if let Some(status) = self.running.lock().get(id) {
            return Ok(status.clone());
        }
        let unknown = || {
            not_found(format!(
                "Query [{id}] was not found. The query details are no longer present or might not be of the type [query_controller]. \
                 Verify that the id is correct."
            ))
        };
        if !is_name(id) {
            return Err(unknown());
        }
        let text = std::fs::read(self.folder.join(id).join("status.json")).map_err(|_| unknown())?;
        serde_json::from_slice(&text).map_err(|e| DruidError::runtime(format!("damaged status of statement [{id}]: {e}")))
    }

    /// Runs the statement, writes its pages, and then its status; what fails is a status too.
    async fn run(self: Arc<Self>, id: String, mut request: SqlRequest) {
        let began = std::time::Instant::now();
        if let Some(status) = self.running.lock().get_mut(&id) {
            status["state"] = json!("RUNNING");
        }
        let rows_per_page = request.context.get("rowsPerPage").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        request.result_format = ResultFormat::ArrayLines;
        (request.header, request.types_header, request.sql_types_header) = (false, false, false);
        let folder = self.folder.join(&id);
        let outcome = self.result(&id, request, &folder, rows_per_page.unwrap_or(PAGE_ROWS).max(1)).await;
        let mut status = self.running.lock().get(&id).cloned().unwrap_or_else(|| json!({"queryId": id}));
        status["durationMs"] = json!(began.elapsed().as_millis() as u64);
        match outcome {
            Ok(result) => {
                status["state"] = json!("SUCCESS");
                status["result"] = result;
            }
            Err(error) => {
                status["state"] = json!("FAILED");
                status["errorDetails"] = error.to_json(None);
            }
        }
        let kept = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("status.json.new"), status.to_string()))
            .and_then(|()| std::fs::rename(folder.join("status.json.new"), folder.join("status.json")));
        if let Err(error) = kept {
            tracing::warn!("cannot keep the status of a statement. id={id} error={error}");
            return;
        }
        self.running.lock().remove(&id);
    }
}

impl Statements {
    /// Runs the statement and writes its pages while it runs, so that only some pieces of them are in memory.
    async fn result(&self, id: &str, mut request: SqlRequest, folder: &FilePath, rows_per_page: usize) -> Result<Value> {
        let running = self.broker.broker.running.register(id);
        request.stop = running.stop.clone();
        let limit_ms = timeout_ms(&self.broker, &request);
        let (pieces, received) = mpsc::channel(PIECES_MAX);
        let sql = self.broker.sql.clone();
        let work = apart(async move { sql.execute_into(request, now_ms(), &pieces).await });
        let target = folder.to_owned();
        let reader = PieceReader { received, rest: bytes::Bytes::new() };
        let writing = tokio::task::spawn_blocking(move || store_pages(&target, reader, rows_per_page));
        let worked = within(limit_ms, async { work.await? }).await;
        if worked.is_err() {
            // One that is late works on until it is stopped; the writer ends with it.
            self.broker.broker.running.cancel(id);
        }
        let written = writing.await.unwrap_or_else(|e| Err(DruidError::runtime(format!("writing the result failed: {e}"))));
        // A disk that takes no more ends the statement too: then it is the disk's error that tells why.
        let outcome = written.and_then(|result| worked.map(|_| result));
        if outcome.is_err() {
            let _ = std::fs::remove_dir_all(folder);
        }
        outcome
    }
}

/// What makes browsers keep an answer as a file of this name (`filename`).
fn attachment(name: &str) -> Result<HeaderValue> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '(' | ')');
    if name.is_empty() || name.len() > 255 || !name.chars().all(fits) {
        return Err(DruidError::invalid_input(format!(
            "filename must have 1 to 255 letters, digits, spaces and signs of -_.(), and is [{}]",
            name.chars().take(300).collect::<String>()
        )));
    }
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .map_err(|_| DruidError::invalid_input("filename must be ASCII"))
}

/// Ids become folder names, so they may be nothing else.
fn is_name(id: &str) -> bool {
    !id.is_empty() && id.len() <= 200 && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn not_found(message: String) -> DruidError {
    DruidError::not_found(message)
}

fn disk(error: &std::io::Error) -> DruidError {
    DruidError::runtime(format!("cannot keep or read a statement's rows: {error}"))
}

/// Splits the lines of an answer into pages; gives the `result` part of the status.
fn store_pages(folder: &FilePath, body: impl std::io::Read, rows_per_page: usize) -> Result<Value> {
    std::fs::create_dir_all(folder).map_err(|e| disk(&e))?;
    let reader = BufReader::new(body);
    let (mut pages, mut sample): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let (mut total_rows, mut total_bytes) = (0usize, 0usize);
    let (mut rows, mut size) = (0usize, 0usize);
    let mut file: Option<std::io::BufWriter<std::fs::File>> = None;
    let mut close = |file: &mut Option<std::io::BufWriter<std::fs::File>>, rows: &mut usize, size: &mut usize| -> Result<()> {
        if let Some(mut done) = file.take() {
            done.flush().map_err(|e| disk(&e))?;
            pages.push(json!({"id": pages.len(), "numRows": *rows, "sizeInBytes": *size}));
            (*rows, *size) = (0, 0);
        }
        Ok(())
    };
    let mut number = 0;
    for line in reader.lines() {
        let line = line.map_err(|e| disk(&e))?;
        if line.is_empty() {
            continue;
        }
        if rows == rows_per_page {
            close(&mut file, &mut rows, &mut size)?;
        }
        if file.is_none() {
            let path = folder.join(format!("page-{number}.jsonl"));
            file = Some(std::io::BufWriter::new(std::fs::File::create(path).map_err(|e| disk(&e))?));
            number += 1;
        }
        if let Some(file) = &mut file {
            writeln!(file, "{line}").map_err(|e| disk(&e))?;
        }
        if sample.len() < SAMPLE_ROWS {
            sample.push(serde_json::from_str(&line).unwrap_or(Value::Null));
        }
        (rows, size) = (rows + 1, size + line.len());
        (total_rows, total_bytes) = (total_rows + 1, total_bytes + line.len());
    }
    close(&mut file, &mut rows, &mut size)?;
    Ok(json!({"numTotalRows": total_rows, "totalSizeInBytes": total_bytes, "dataSource": "__query_select",
        "sampleRecords": sample, "pages": pages}))
}

/// Reads the pieces of an answer one after the other, on a thread that may wait for them.
struct PieceReader {
    received: mpsc::Receiver<bytes::Bytes>,
    rest: bytes::Bytes,
}

impl std::io::Read for PieceReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.received.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(out.len());
        out[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

fn write_pages(folder: &FilePath, pages: &[usize], names: &[String], format: ResultFormat) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let whole = matches!(format, ResultFormat::Object | ResultFormat::Array);
    if whole {
        out.push(b'[');
    }
    let mut first = true;
    for page in pages {
        let file = std::fs::File::open(folder.join(format!("page-{page}.jsonl"))).map_err(|e| disk(&e))?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|e| disk(&e))?;
            if whole && !std::mem::take(&mut first) {
                out.push(b',');
            }
            match format {
                ResultFormat::Array | ResultFormat::ArrayLines => out.extend_from_slice(line.as_bytes()),
                ResultFormat::Object | ResultFormat::ObjectLines => {
                    let row: Vec<Value> = row_of(&line)?;
                    let object: serde_json::Map<String, Value> = names.iter().cloned().zip(row).collect();
                    out.extend_from_slice(Value::Object(object).to_string().as_bytes());
                }
                ResultFormat::Csv => {
                    for (i, cell) in row_of(&line)?.iter().enumerate() {
                        if i > 0 {
                            out.push(b',');
                        }
                        out.extend_from_slice(csv(cell).as_bytes());
                    }
                }
            }
            if !whole {
                out.push(b'\n');
            }
        }
    }
    out.extend_from_slice(if whole { b"]\n" } else { b"\n" });
    Ok(out)
}

fn row_of(line: &str) -> Result<Vec<Value>> {
    serde_json::from_str(line).map_err(|e| DruidError::runtime(format!("damaged row of a statement: {e}")))
}

fn csv(cell: &Value) -> String {
    let text = match cell {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_into_pages_and_read_back_in_every_format() {
        let folder = std::env::temp_dir().join(format!("ovate-statements-{}", std::process::id()));
        let (pieces, received) = mpsc::channel(4);
        for piece in ["[1,\"a,b\"]\n[2,nu", "", "ll]\n[3,\"c\"]\n\n"] {
            pieces.try_send(bytes::Bytes::from_static(piece.as_bytes())).expect("there is room");
        }
        drop(pieces);
        let result = store_pages(&folder, PieceReader { received, rest: bytes::Bytes::new() }, 2).expect("pages");
        assert_eq!(result["numTotalRows"], json!(3));
        assert_eq!(
            result["pages"],
            json!([{"id": 0, "numRows": 2, "sizeInBytes": 17}, {"id": 1, "numRows": 1, "sizeInBytes": 7}])
        );
        let names = ["x".to_owned(), "y".to_owned()];
        let read = |pages: &[usize], format| {
            String::from_utf8(write_pages(&folder, pages, &names, format).expect("read")).expect("text")
        };
        assert_eq!(read(&[0, 1], ResultFormat::Array), "[[1,\"a,b\"],[2,null],[3,\"c\"]]\n");
        assert_eq!(read(&[1], ResultFormat::Object), "[{\"x\":3,\"y\":\"c\"}]\n");
        assert_eq!(read(&[0], ResultFormat::Csv), "1,\"a,b\"\n2,\n\n");
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn names_of_files_are_plain() {
        let header = attachment("My result (1).csv").expect("a name");
        assert_eq!(header.to_str().ok(), Some("attachment; filename=\"My result (1).csv\""));
        for bad in ["", "a/b", "a\"b", "a\nb", "é", &"x".repeat(256)] {
            assert!(attachment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_no_paths() {
        assert!(is_name("a-b_1") && !is_name("../x") && !is_name("") && !is_name("a/b"));
    }
}
