//! Counts of a task's rows and its saved parse errors (LCK-06, TUN-05; `RowIngestionMeters`, `ParseExceptionHandler`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ovate_base::{DruidError, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Which pass the rows are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    DeterminePartitions,
    BuildSegments,
}

/// Counters of one pass; shared between threads.
#[derive(Debug, Default)]
pub struct Totals {
    pub processed: AtomicU64,
    pub processed_bytes: AtomicU64,
    pub processed_with_error: AtomicU64,
    pub thrown_away: AtomicU64,
    pub unparseable: AtomicU64,
    used: AtomicBool,
}

/// Counters of both passes and the saved errors.
#[derive(Debug)]
pub struct Meter {
    partitions: Totals,
    segments: Totals,
    saved: Mutex<VecDeque<Value>>,
    max_errors: u64,
    max_saved: usize,
    log: bool,
}

impl Meter {
    /// A meter with the limits of a `tuningConfig`.
    pub fn new(max_errors: u64, max_saved: usize, log: bool) -> Meter {
        Meter { partitions: Totals::default(), segments: Totals::default(), saved: Mutex::default(), max_errors, max_saved, log }
    }

    /// The counters of a pass.
    pub fn totals(&self, phase: Phase) -> &Totals {
        let totals = match phase {
            Phase::DeterminePartitions => &self.partitions,
            Phase::BuildSegments => &self.segments,
        };
        totals.used.store(true, Ordering::Relaxed);
        totals
    }

    /// A record that gave no row.
    pub fn unparseable(&self, phase: Phase, input: &str, message: &str) -> Result<()> {
        self.totals(phase).unparseable.fetch_add(1, Ordering::Relaxed);
        self.error(phase, input, std::slice::from_ref(&message.to_owned()))
    }

    /// A row that went in without some of its values.
    pub fn with_error(&self, phase: Phase, input: &str, messages: &[String]) -> Result<()> {
        self.totals(phase).processed_with_error.fetch_add(1, Ordering::Relaxed);
        self.error(phase, input, messages)
    }

    fn error(&self, phase: Phase, input: &str, messages: &[String]) -> Result<()> {
        if self.log {
            tracing::error!("parse error. {}", messages.join("; "));
        }
        if self.max_saved > 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
            let mut saved = self.saved.lock();
            while saved.len() >= self.max_saved {
                saved.pop_front();
            }
            saved.push_back(
                json!({"timeOfExceptionMillis": now, "input": input, "errorType": "ParseException", "details": messages}),
            );
        }
        let totals = self.totals(phase);
        let count = totals.unparseable.load(Ordering::Relaxed) + totals.processed_with_error.load(Ordering::Relaxed);
        if count > self.max_errors {
            let first = messages.first().map_or("", String::as_str);
            return Err(DruidError::invalid_input(format!(
                "Max parse exceptions[{}] exceeded; the last one: {first}",
                self.max_errors
            )));
        }
        Ok(())
    }

    /// Adds the counts and saved errors of a subtask, whose report's payload this is.
    pub fn add(&self, payload: &Value) {
        let stats = &payload["rowStats"];
        for (phase, name) in [(Phase::DeterminePartitions, "determinePartitions"), (Phase::BuildSegments, "buildSegments")] {
            if stats[name].is_object() {
                self.totals(phase).add(&stats[name]);
            }
        }
        let mut saved = self.saved.lock();
        for event in payload["unparseableEvents"]["buildSegments"].as_array().into_iter().flatten() {
            if saved.len() < self.max_saved {
                saved.push_back(event.clone());
            }
        }
    }

    /// `rowStats` of the report, with those that running subtasks told last.
    pub fn row_stats(&self, running: &[Value]) -> Value {
        let mut out = json!({"buildSegments": self.segments.to_json(running, "buildSegments")});
        let subtasks_too = running.iter().any(|stats| stats["determinePartitions"].is_object());
        if subtasks_too || self.partitions.used.load(Ordering::Relaxed) {
            out["determinePartitions"] = self.partitions.to_json(running, "determinePartitions");
        }
        out
    }

    /// `unparseableEvents` of the report.
    pub fn unparseable_events(&self) -> Value {
        let saved = self.saved.lock();
        if saved.is_empty() { json!({}) } else { json!({"buildSegments": saved.iter().cloned().collect::<Vec<_>>()}) }
    }
}

impl Totals {
    fn counters(&self) -> [(&'static str, &AtomicU64); 5] {
        [
            ("processedBytes", &self.processed_bytes),
            ("processed", &self.processed),
            ("processedWithError", &self.processed_with_error),
            ("thrownAway", &self.thrown_away),
            ("unparseable", &self.unparseable),
        ]
    }

    fn add(&self, stats: &Value) {
        for (name, counter) in self.counters() {
            counter.fetch_add(stats[name].as_u64().unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn to_json(&self, running: &[Value], phase: &str) -> Value {
        let sum = |(name, counter): (&str, &AtomicU64)| {
            let others: u64 = running.iter().filter_map(|stats| stats[phase][name].as_u64()).sum();
            (name.to_owned(), json!(counter.load(Ordering::Relaxed) + others))
        };
        Value::Object(self.counters().into_iter().map(sum).collect())
    }
}
