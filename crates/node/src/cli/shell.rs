//! `ovate sql` without a statement: an interactive client. Lines are collected up to a semicolon, with history and completion
//! of tables, columns and words; what a long query has done so far is shown, and Ctrl-C cancels it.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ovate_base::{DruidError, Result};
use ovate_net::HttpClient;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use serde_json::{Map, Value, json};

use super::sql::Output;
use super::statements::split;
use super::table::Table;

/// Longest wait for an answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(310);
/// A query that takes longer shows how far it is, so often.
const PROGRESS: Duration = Duration::from_secs(1);
/// Names that completion knows at most.
const NAMES_MAX: usize = 20_000;

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT JOIN",
    "UNION ALL",
    "WITH",
    "EXPLAIN PLAN FOR",
    "INFORMATION_SCHEMA",
    "COUNT(*)",
    "TIME_FLOOR(",
    "CURRENT_TIMESTAMP",
    "INTERVAL",
    "DISTINCT",
    "UNNEST(",
];

const HELP: &str = "\
Statements end with a semicolon. Commands:
  \\d               lists the datasources
  \\d NAME          shows the columns of a table
  \\format FORM     table, csv or json
  \\set KEY VALUE   sets a key of the query context (as SET key = value; does); without VALUE removes it
  \\timing          shows times, or no longer
  \\q               leaves (so does Ctrl-D); Ctrl-C cancels a query
";

/// What is kept between statements.
struct Session {
    client: HttpClient,
    url: String,
    format: Output,
    timing: bool,
    context: Map<String, Value>,
}

/// What a line asks for.
#[derive(Debug, PartialEq)]
enum Line {
    Statements(String),
    Describe(Option<String>),
    Format(String),
    Set(String, Option<String>),
    Timing,
    Help,
    Quit,
    Nothing,
}

/// Reads a line as a command or a statement.
fn parse(line: &str) -> Line {
    let line = line.trim();
    let Some(command) = line.strip_prefix('\\') else {
        let statement = line.trim_end_matches(';').trim();
        return match statement.to_ascii_lowercase().as_str() {
            "" => Line::Nothing,
            "quit" | "exit" => Line::Quit,
            "help" => Line::Help,
            _ => Line::Statements(line.to_owned()),
        };
    };
    let mut words = command.split_whitespace().map(str::to_owned);
    match words.next().as_deref() {
        Some("q") => Line::Quit,
        Some("d") => Line::Describe(words.next()),
        Some("format") => Line::Format(words.next().unwrap_or_default()),
        Some("set") => match words.next() {
            Some(key) => {
                let value: Vec<String> = words.collect();
                Line::Set(key, (!value.is_empty()).then(|| value.join(" ")))
            }
            None => Line::Help,
        },
        Some("timing") => Line::Timing,
        _ => Line::Help,
    }
}

/// A value of the context as typed: JSON where it is some, else text.
fn context_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// Completion and the rule where a statement ends.
struct Words {
    names: Vec<String>,
}

impl Helper for Words {}
impl Highlighter for Words {}
impl Hinter for Words {
    type Hint = String;
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Commands and words of the shell end with their line, statements with a semicolon.
fn is_complete(input: &str) -> bool {
    let text = input.trim();
    text.is_empty() || text.starts_with('\\') || split(text).complete || ["quit", "exit", "help"].contains(&text)
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..position).unwrap_or(line);
        let start = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).map_or(0, |at| at + 1);
        let typed = before.get(start..).unwrap_or_default();
        let fits = |name: &&str| !typed.is_empty() && name.to_lowercase().starts_with(&typed.to_lowercase());
        let names = self.names.iter().map(String::as_str).chain(WORDS.iter().copied()).filter(fits);
        Ok((start, names.take(50).map(|name| Pair { display: name.to_owned(), replacement: name.to_owned() }).collect()))
    }
}

/// Runs until the user leaves.
pub async fn run(client: HttpClient, url: &str, format: Output) -> Result<()> {
    let url = url.trim_end_matches('/').to_owned();
    let mut session = Session { client, url, format, timing: true, context: Map::new() };
    let names = session.names().await;
    println!("Ovate SQL at {} ({} names known). \\? shows help.", session.url, names.len());
    let failed = |e: ReadlineError| DruidError::runtime(format!("the terminal cannot be read: {e}"));
    // Tab writes what all candidates have in common, and shows them when there is no more of that.
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Words { names }));
    let history = history_file();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    loop {
        // The terminal is read on a thread of its own, so that this one stays free.
        let read = tokio::task::spawn_blocking(move || {
            let line = editor.readline("ovate> ");
            (editor, line)
        });
        let line;
        (editor, line) = read.await.map_err(|e| DruidError::runtime(format!("the terminal's thread failed: {e}")))?;
        match line {
            Ok(text) => {
                let _ = editor.add_history_entry(text.as_str());
                // At once, so that it is there whatever ends this session.
                if let Some(path) = &history {
                    let _ = editor.append_history(path);
                }
                if !session.obey(parse(&text)).await {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => println!("(\\q leaves)"),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    if let Some(path) = &history
        && let Err(error) = editor.append_history(path)
    {
        eprintln!("the history cannot be kept in {}: {error}", path.display());
    }
    Ok(())
}

fn history_file() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ovate_sql_history"))
}

impl Session {
    /// Does what a line asks for; false to leave.
    async fn obey(&mut self, line: Line) -> bool {
        match line {
            Line::Nothing => {}
            Line::Quit => return false,
            Line::Help => print!("{HELP}"),
            Line::Timing => {
                self.timing = !self.timing;
                println!("times are {}", if self.timing { "shown" } else { "not shown" });
            }
            Line::Format(name) => match name.as_str() {
                "table" => self.format = Output::Table,
                "csv" => self.format = Output::Csv,
                "json" => self.format = Output::Json,
                _ => println!("formats are table, csv and json"),
            },
            Line::Set(key, Some(value)) => {
                self.context.insert(key, context_value(&value));
            }
            Line::Set(key, None) => {
                self.context.remove(&key);
            }
            Line::Describe(None) => {
                let sql = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'druid' ORDER BY 1";
                self.statement(sql).await;
            }
            Line::Describe(Some(name)) => {
                let (schema, table) = name.split_once('.').unwrap_or(("druid", &name));
                let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
                let sql = format!(
                    "SELECT COLUMN_NAME, DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
                     ORDER BY ORDINAL_POSITION",
                    quoted(schema),
                    quoted(table)
                );
                self.statement(&sql).await;
            }
            Line::Statements(text) => {
                let found = split(&text);
                for sql in found.statements {
                    if !self.statement(&sql).await {
                        break;
                    }
                }
                for (key, value) in found.settings {
                    self.context.insert(key, context_value(&value));
                }
            }
        }
        true
    }

    /// Runs a statement and prints its answer; Ctrl-C cancels it on the server. False when what follows should not run.
    async fn statement(&self, sql: &str) -> bool {
        let id = uuid::Uuid::new_v4().to_string();
        let mut context = self.context.clone();
        context.insert("sqlQueryId".to_owned(), json!(id));
        context.entry("profile").or_insert(json!(true));
        let (format, header) = match self.format {
            Output::Table => ("array", true),
            Output::Csv => ("csv", true),
            Output::Json => ("object", false),
        };
        let body = json!({"query": sql, "resultFormat": format, "header": header, "context": context});
        let url = format!("{}/druid/v2/sql", self.url);
        let began = Instant::now();
        let asked = self.client.send(self.client.raw().post(&url).json(&body), &url, ANSWER_DEADLINE);
        tokio::pin!(asked);
        let answer = tokio::select! {
            answer = &mut asked => Some(answer),
            _ = tokio::signal::ctrl_c() => None,
            () = self.show_progress(&id, began) => None,
        };
        if std::io::stderr().is_terminal() && began.elapsed() >= PROGRESS {
            eprint!("\r\x1b[K");
        }
        match answer {
            Some(Ok(bytes)) => self.print(&bytes, began.elapsed()),
            Some(Err(error)) => {
                println!("{}", error.message);
                return false;
            }
            None => {
                let url = format!("{url}/{id}");
                // The answer may come first; then there is nothing to cancel.
                let _ = self.client.send(self.client.raw().delete(&url), &url, Duration::from_secs(10)).await;
                println!("cancelled after {:.1} s", began.elapsed().as_secs_f64());
                return false;
            }
        }
        true
    }

    /// Says again and again how far a statement is, where somebody looks on; does not end.
    async fn show_progress(&self, id: &str, began: Instant) {
        let looked_at = std::io::stderr().is_terminal();
        loop {
            tokio::time::sleep(PROGRESS).await;
            if !looked_at {
                continue;
            }
            let list: Value =
                self.client.get_json(&format!("{}/druid/v2/sql/queries", self.url), PROGRESS).await.unwrap_or_default();
            let own = list["queries"].as_array().into_iter().flatten().find(|query| query["sqlQueryId"] == id);
            eprint!("\r\x1b[K{}", progress(own, began.elapsed()));
            let _ = std::io::stderr().flush();
        }
    }

    fn print(&self, bytes: &[u8], took: Duration) {
        let mut rows = None;
        match self.format {
            Output::Table => match serde_json::from_slice::<Vec<Vec<Value>>>(bytes) {
                Ok(answer) => {
                    let table = Table::new(answer);
                    print!("{table}");
                    rows = Some(table.row_count());
                }
                Err(error) => println!("the answer cannot be read: {error}"),
            },
            Output::Csv | Output::Json => print!("{}", String::from_utf8_lossy(bytes)),
        }
        if self.timing {
            let count = rows.map_or(String::new(), |rows| format!("{rows} rows in "));
            println!("{count}{:.3} s", took.as_secs_f64());
        }
    }

    /// Tables and columns for completion; none when the server does not answer.
    async fn names(&self) -> Vec<String> {
        let sql = format!("SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS LIMIT {NAMES_MAX}");
        let body = json!({"query": sql, "resultFormat": "array"});
        let url = format!("{}/druid/v2/sql", self.url);
        let rows: Vec<Vec<String>> = match self.client.post_json(&url, &body, Duration::from_secs(10)).await {
            Ok(rows) => rows,
            Err(_) => return Vec::new(),
        };
        let mut names = BTreeMap::new();
        for row in rows {
            if let [schema, table, column] = row.as_slice() {
                let table = if schema == "druid" { table.clone() } else { format!("{schema}.{table}") };
                names.insert(table, ());
                names.insert(column.clone(), ());
            }
        }
        names.into_keys().collect()
    }
}

/// `3 s, 12 segments, 1200000 rows read; Ctrl-C cancels`.
fn progress(query: Option<&Value>, elapsed: Duration) -> String {
    let count = |key: &str| query.and_then(|query| query["progress"][key].as_u64()).unwrap_or(0);
    let mut parts = vec![format!("{} s", elapsed.as_secs())];
    if query.is_some_and(|query| query["state"] == "ACCEPTED") {
        parts.push("waits for its turn".to_owned());
    }
    for (key, what) in [("segments", "segments"), ("rowsSelected", "rows read"), ("groups", "groups")] {
        if count(key) > 0 {
            parts.push(format!("{} {what}", count(key)));
        }
    }
    format!("{}; Ctrl-C cancels", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_what_is_known() {
        let query = json!({"state": "RUNNING", "progress": {"segments": 12, "rowsSelected": 5000, "groups": 0}});
        let shown = progress(Some(&query), Duration::from_millis(3100));
        assert_eq!(shown, "3 s, 12 segments, 5000 rows read; Ctrl-C cancels");
        assert_eq!(progress(None, Duration::from_secs(1)), "1 s; Ctrl-C cancels");
        let waiting = progress(Some(&json!({"state": "ACCEPTED"})), Duration::from_secs(1));
        assert_eq!(waiting, "1 s, waits for its turn; Ctrl-C cancels");
    }

    #[test]
    fn statements_end_with_a_semicolon_and_commands_with_their_line() {
        assert!(!is_complete("SELECT 1"));
        assert!(is_complete("SELECT 1\n;") && is_complete("\\d foo") && is_complete("") && is_complete("quit"));
    }

    #[test]
    fn lines_are_commands_or_statements() {
        assert!(!is_complete("SELECT ';") && !is_complete("SELECT 1 -- ;") && is_complete("SELECT 1; -- done"));
        assert_eq!(parse("SELECT 1 ;"), Line::Statements("SELECT 1 ;".to_owned()));
        assert_eq!(parse("\\d foo"), Line::Describe(Some("foo".to_owned())));
        assert_eq!(parse("\\set timeout 100"), Line::Set("timeout".to_owned(), Some("100".to_owned())));
        assert_eq!(parse("\\set timeout"), Line::Set("timeout".to_owned(), None));
        assert_eq!((parse("\\q"), parse("exit;"), parse(" ")), (Line::Quit, Line::Quit, Line::Nothing));
        assert_eq!((context_value("100"), context_value("Etc/UTC")), (json!(100), json!("Etc/UTC")));
    }

    #[test]
    fn words_complete_without_regard_to_case() {
        let words = Words { names: vec!["wikipedia".to_owned(), "channel".to_owned()] };
        let history = DefaultHistory::new();
        let (start, found) = words.complete("SELECT Wik", 10, &Context::new(&history)).expect("completed");
        assert_eq!((start, found[0].replacement.as_str()), (7, "wikipedia"));
    }
}
