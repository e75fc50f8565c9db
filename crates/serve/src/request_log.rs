//! The log of queries (`druid.request.logging.*`, EMT-06): one line a query in Druid's form, to files by day or to the
//! process's log. Writing happens on a thread of its own; when it cannot keep up, lines are dropped and counted.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use ovate_base::time::{DateTimePattern, Period, Zone, format_iso};
use ovate_base::{DruidError, Properties, Result};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::clock::now_ms;

/// Lines that wait for the disk.
const LINES_MAX: usize = 4096;
/// How often old files are looked for.
const CLEAN: Duration = Duration::from_secs(600);

/// One query, when it is over.
pub struct RequestLine {
    pub began: Instant,
    /// The native query's document, or
    pub native: Option<Value>,
    /// the statement and its context.
    pub sql: Option<(String, Value)>,
    pub bytes: Option<u64>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Where lines go.
pub enum RequestLogger {
    Noop,
    File(FileLog),
    /// The process's own log.
    Slf4j,
    Filtered {
        delegate: Box<RequestLogger>,
        native_ms: i64,
        sql_ms: i64,
        muted: HashSet<String>,
    },
    Composing(Vec<RequestLogger>),
    Switching {
        native: Box<RequestLogger>,
        sql: Box<RequestLogger>,
    },
}

impl RequestLogger {
    /// The logger that the properties describe.
    pub fn from_properties(properties: &Properties) -> Result<Self> {
        Self::read(properties, "druid.request.logging", 0)
    }

    fn read(properties: &Properties, prefix: &str, depth: usize) -> Result<Self> {
        let name = |key: &str| format!("{prefix}.{key}");
        let kind = properties.text(&name("type"), "noop");
        if depth > 4 {
            return Err(DruidError::invalid_input(format!("{}: nested too deep", name("type"))));
        }
        let delegate = |key: &str| Self::read(properties, &name(key), depth + 1);
        Ok(match kind {
            "noop" => RequestLogger::Noop,
            "slf4j" => RequestLogger::Slf4j,
            "file" => RequestLogger::File(FileLog::start(properties, prefix)?),
            "filtered" => RequestLogger::Filtered {
                delegate: Box::new(delegate("delegate")?),
                native_ms: properties.int(&name("queryTimeThresholdMs"), 0)?,
                sql_ms: properties.int(&name("sqlQueryTimeThresholdMs"), 0)?,
                muted: properties.list(&name("mutedQueryTypes"))?.into_iter().collect(),
            },
            "switching" => RequestLogger::Switching {
                native: Box::new(delegate("nativeQueryLogger")?),
                sql: Box::new(delegate("sqlQueryLogger")?),
            },
            "composing" => {
                let text = properties.text(&name("loggerProviders"), "[]");
                let list: Vec<Value> = serde_json::from_str(text)
                    .map_err(|e| DruidError::invalid_input(format!("{} is no list: {e}", name("loggerProviders"))))?;
                let one = |provider: &Value| {
                    let mut inner = Properties::default();
                    for (key, value) in provider.as_object().into_iter().flatten() {
                        inner.set(format!("l.{key}"), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                    }
                    Self::read(&inner, "l", depth + 1)
                };
                RequestLogger::Composing(list.iter().map(one).collect::<Result<_>>()?)
            }
            "emitter" => return Err(DruidError::unsupported(format!("{} [emitter]", name("type")))),
            other => {
                let known = "noop, file, slf4j, filtered, composing, switching";
                return Err(DruidError::invalid_input(format!("{} is [{other}]; known: {known}", name("type"))));
            }
        })
    }

    /// True when lines need not be made.
    pub fn is_off(&self) -> bool {
        matches!(self, RequestLogger::Noop)
    }

    /// Logs one query; never waits.
    pub fn log(&self, line: &RequestLine) {
        let took_ms = i64::try_from(line.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.log_timed(line, took_ms);
    }

    fn log_timed(&self, line: &RequestLine, took_ms: i64) {
        match self {
            RequestLogger::Noop => {}
            RequestLogger::Slf4j => info!("query. {}", line.text(took_ms)),
            RequestLogger::File(file) => file.append(line.text(took_ms)),
            RequestLogger::Filtered { delegate, native_ms, sql_ms, muted } => {
                let kind = line.native.as_ref().and_then(|query| query["queryType"].as_str()).unwrap_or_default();
                let least = if line.sql.is_some() { *sql_ms } else { *native_ms };
                if took_ms >= least && !muted.contains(kind) {
                    delegate.log_timed(line, took_ms);
                }
            }
            RequestLogger::Composing(list) => list.iter().for_each(|logger| logger.log_timed(line, took_ms)),
            RequestLogger::Switching { native, sql } => {
                if line.sql.is_some() { sql } else { native }.log_timed(line, took_ms);
            }
        }
    }
}

impl RequestLine {
    /// Druid's line: time, address, native query, statistics, statement; separated by tabs (`RequestLogLine`).
    fn text(&self, took_ms: i64) -> String {
        let (time, size) = if self.sql.is_some() { ("sqlQuery/time", "sqlQuery/bytes") } else { ("query/time", "query/bytes") };
        let mut stats = json!({time: took_ms, "success": self.error.is_none()});
        if let Some(bytes) = self.bytes {
            stats[size] = json!(bytes);
        }
        if let Some(error) = &self.error {
            stats["exception"] = json!(error);
        }
        let native = self.native.as_ref().map(Value::to_string).unwrap_or_default();
        let sql =
            self.sql.as_ref().map(|(text, context)| json!({"query": text, "context": context}).to_string()).unwrap_or_default();
        format!("{}\t\t{native}\t{stats}\t{sql}", format_iso(now_ms().saturating_sub(took_ms)))
    }
}

/// Files of lines, one a day or as the pattern says.
pub struct FileLog {
    lines: SyncSender<String>,
    dropped: AtomicU64,
}

struct FileWriter {
    dir: PathBuf,
    pattern: DateTimePattern,
    retain_ms: Option<i64>,
}

impl FileLog {
    fn start(properties: &Properties, prefix: &str) -> Result<Self> {
        let name = |key: &str| format!("{prefix}.{key}");
        let dir = PathBuf::from(properties.text(&name("dir"), ""));
        if dir.as_os_str().is_empty() {
            return Err(DruidError::invalid_input(format!("{} must be given", name("dir"))));
        }
        std::fs::create_dir_all(&dir)
            .map_err(|e| DruidError::runtime(format!("cannot make {} [{}]: {e}", name("dir"), dir.display())))?;
        let retain = properties.get(&name("durationToRetain")).map(Period::parse).transpose()?;
        let writer = FileWriter {
            dir,
            pattern: DateTimePattern::parse(properties.text(&name("filePattern"), "yyyy-MM-dd'.log'"))?,
            retain_ms: retain.map(|period| period.approximate_millis()),
        };
        let (lines, received) = sync_channel(LINES_MAX);
        std::thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(|e| DruidError::runtime(format!("cannot start the request log: {e}")))?;
        Ok(FileLog { lines, dropped: AtomicU64::new(0) })
    }

    fn append(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                warn!("the request log does not keep up, lines are dropped. count={dropped}");
            }
        }
    }
}

impl FileWriter {
    fn run(self, lines: &Receiver<String>) {
        let mut cleaned = None;
        while let Ok(first) = lines.recv() {
            let mut block = first;
            block.push('\n');
            while let Ok(next) = lines.try_recv() {
                block.push_str(&next);
                block.push('\n');
            }
            let path = self.dir.join(self.pattern.format(now_ms(), &Zone::UTC));
            let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
            if let Err(error) = file.and_then(|mut file| file.write_all(block.as_bytes())) {
                warn!("cannot write the request log. file={} error={error}", path.display());
            }
            if let Some(retain_ms) = self.retain_ms
                && cleaned.is_none_or(|at: Instant| at.elapsed() > CLEAN)
            {
                cleaned = Some(Instant::now());
                remove_older(&self.dir, Duration::from_millis(retain_ms.unsigned_abs()));
            }
        }
    }
}

fn remove_older(dir: &Path, age: Duration) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let old = entry.metadata().and_then(|m| m.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age));
        if old && entry.path().is_file() && std::fs::remove_file(entry.path()).is_err() {
            warn!("cannot remove an old request log. file={}", entry.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logger(pairs: &[(&str, &str)]) -> Result<RequestLogger> {
        let mut properties = Properties::default();
        pairs.iter().for_each(|(name, value)| properties.set(format!("druid.request.logging.{name}"), *value));
        RequestLogger::from_properties(&properties)
    }

    fn native(kind: &str) -> RequestLine {
        RequestLine { began: Instant::now(), native: Some(json!({"queryType": kind})), sql: None, bytes: Some(7), error: None }
    }

    #[test]
    fn lines_go_to_the_file_of_the_day_unless_they_are_filtered_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().display().to_string();
        let pairs = [
            ("type", "filtered"),
            ("mutedQueryTypes", "[\"scan\"]"),
            ("delegate.type", "file"),
            ("delegate.dir", path.as_str()),
            ("delegate.filePattern", "yyyy'.txt'"),
        ];
        let logger = logger(&pairs).expect("a logger");
        logger.log(&native("scan"));
        logger.log(&native("topN"));
        logger.log(&RequestLine {
            sql: Some(("SELECT 1".into(), json!({}))),
            native: None,
            error: Some("no".into()),
            ..native("")
        });
        let file = dir.path().join(format!("{}.txt", &format_iso(now_ms())[..4]));
        let end = Instant::now() + Duration::from_secs(5);
        let mut text = String::new();
        while text.lines().count() < 2 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            text = std::fs::read_to_string(&file).unwrap_or_default();
        }
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0][2], r#"{"queryType":"topN"}"#);
        assert!(lines[0][3].contains(r#""success":true,"query/bytes":7"#), "{text}");
        assert!(lines[1][4].contains("SELECT 1") && lines[1][3].contains("\"exception\":\"no\""), "{text}");
    }

    #[test]
    fn loggers_that_are_not_known_are_refused_by_name() {
        assert!(logger(&[]).expect("noop").is_off());
        assert!(logger(&[("type", "file")]).is_err());
        assert!(logger(&[("type", "carbon")]).is_err());
    }
}
