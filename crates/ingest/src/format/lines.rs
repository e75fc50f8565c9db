//! `lines` (FMT-09): the whole line in one column `line`; `regex` (FMT-10): the groups of a pattern that matches the whole line.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::Value;
use regex::Regex;

use super::column::Column;
use super::{BadRecord, Batch, Header, TextReader, chunk_text, reported};

/// Reads `lines`.
pub struct LinesReader;

impl TextReader for LinesReader {
    fn read(&mut self, chunk: &[u8], _header: &Header) -> Result<Batch> {
        let text = chunk_text(chunk);
        let mut batch = Batch { bytes: chunk.len() as u64, ..Batch::default() };
        let mut column = Column::Null(0);
        for line in text.strip_suffix('\n').unwrap_or(&text).split('\n') {
            column.push_text(line.strip_suffix('\r').unwrap_or(line));
            batch.rows += 1;
        }
        batch.columns.push((Arc::from("line"), column));
        Ok(batch)
    }
}

/// Reads `regex`.
pub struct RegexReader {
    regex: Regex,
    columns: Vec<Arc<str>>,
    list_delimiter: Option<String>,
}

impl RegexReader {
    /// A reader for a pattern in Java's syntax as far as ours agrees; look-around and back references are refused.
    pub fn new(pattern: &str, columns: &[String], list_delimiter: Option<&str>) -> Result<RegexReader> {
        let regex = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|e| DruidError::invalid_input(format!("[pattern] in [inputFormat] of type [regex]: {e}")))?;
        let groups = regex.captures_len() - 1;
        let columns: Vec<Arc<str>> = match columns {
            [] => (1..=groups).map(|at| Arc::from(format!("column_{at}"))).collect(),
            given if given.len() == groups => given.iter().map(|c| Arc::from(c.as_str())).collect(),
            given => {
                return Err(DruidError::invalid_input(format!(
                    "[pattern] of [regex] has [{groups}] groups for [{}] columns",
                    given.len()
                )));
            }
        };
        Ok(RegexReader { regex, columns, list_delimiter: list_delimiter.map(str::to_owned) })
    }
}

impl TextReader for RegexReader {
    fn read(&mut self, chunk: &[u8], _header: &Header) -> Result<Batch> {
        let text = chunk_text(chunk);
        let mut batch = Batch { bytes: chunk.len() as u64, ..Batch::default() };
        let mut columns = vec![Column::Null(0); self.columns.len()];
        for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty()) {
            let Some(found) = self.regex.captures(line) else {
                let message = format!("Unable to parse row [{}]: the pattern does not match", reported(line));
                batch.bad.push(BadRecord { input: reported(line), message });
                continue;
            };
            for (at, column) in columns.iter_mut().enumerate() {
                match (found.get(at + 1).map(|group| group.as_str()), &self.list_delimiter) {
                    (None, _) => column.push_null(),
                    (Some(text), Some(delimiter)) if text.contains(delimiter.as_str()) => {
                        column.push_value(Value::Array(text.split(delimiter.as_str()).map(Value::from).collect()));
                    }
                    (Some(text), _) => column.push_text(text),
                }
            }
            batch.rows += 1;
        }
        batch.columns = self.columns.iter().cloned().zip(columns).collect();
        Ok(batch)
    }
}
