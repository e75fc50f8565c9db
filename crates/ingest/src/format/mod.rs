//! Input formats (FMT-*): bytes become batches of typed columns, a chunk of whole records at a time, so that chunks are
//! parsed in parallel. What cannot be parsed is kept beside the rows, for the report.

pub mod column;
mod delimited;
pub mod json;
mod lines;
pub mod parquet;
pub mod path;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use ovate_base::Result;

pub use column::Column;

use crate::spec::InputFormat;

/// A record that could not be parsed.
#[derive(Debug, Clone)]
pub struct BadRecord {
    /// The record as it came.
    pub input: String,
    pub message: String,
}

/// Parsed records of one chunk; every column has `rows` rows.
#[derive(Debug, Default)]
pub struct Batch {
    pub rows: usize,
    pub columns: Vec<(Arc<str>, Column)>,
    pub bad: Vec<BadRecord>,
    /// Bytes of input that it was made from.
    pub bytes: u64,
    /// Records that held nothing, such as empty lines of csv.
    pub skipped: u64,
}

impl Batch {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(own, _)| &**own == name).map(|(_, column)| column)
    }

    /// Puts a column, replacing one of the same name.
    pub fn set(&mut self, name: Arc<str>, column: Column) {
        match self.columns.iter_mut().find(|(own, _)| *own == name) {
            Some((_, old)) => *old = column,
            None => self.columns.push((name, column)),
        }
    }
}

/// What a reader has to produce.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// `None`: every field there is (discovery).
    pub columns: Option<BTreeSet<String>>,
    /// Discovery takes nested fields too (`useSchemaDiscovery`).
    pub nested: bool,
    /// Fields only read as DOUBLE or FLOAT: whole numbers may be kept as doubles.
    pub doubles: BTreeSet<String>,
}

/// What stands before the records of a file: the column names found in the header.
#[derive(Debug, Clone, Default)]
pub struct Header {
    pub columns: Arc<Vec<Arc<str>>>,
}

/// Parses chunks of whole lines. One a thread.
pub trait TextReader: Send {
    /// Parses a chunk that starts at the start of a line and ends at the end of one.
    fn read(&mut self, chunk: &[u8], header: &Header) -> Result<Batch>;
}

/// How many lines at the start of each file are no records.
pub fn header_lines(format: &InputFormat) -> usize {
    match format {
        InputFormat::Delimited(d) => d.skip_header_rows + usize::from(d.find_columns_from_header),
        InputFormat::Json { .. } | InputFormat::Parquet { .. } | InputFormat::Lines | InputFormat::Regex { .. } => 0,
    }
}

/// Reads the header from the first lines of a file.
pub fn read_header(format: &InputFormat, lines: &[&str]) -> Result<Header> {
    match format {
        InputFormat::Delimited(d) => delimited::header(d, lines),
        _ => Ok(Header::default()),
    }
}

/// A reader of one of the line formats; parquet is read by `parquet`.
pub fn text_reader(format: &InputFormat, wanted: &Wanted) -> Result<Box<dyn TextReader>> {
    Ok(match format {
        InputFormat::Json { flatten, keep_null_columns } => Box::new(json::JsonReader::new(flatten, *keep_null_columns, wanted)),
        InputFormat::Delimited(d) => Box::new(delimited::DelimitedReader::new(d, wanted)),
        InputFormat::Lines => Box::new(lines::LinesReader),
        InputFormat::Regex { pattern, columns, list_delimiter } => {
            Box::new(lines::RegexReader::new(pattern, columns, list_delimiter.as_deref())?)
        }
        InputFormat::Parquet { .. } => {
            return Err(ovate_base::DruidError::invalid_input("parquet is not a format of lines"));
        }
    })
}

/// Text of a chunk; what is no UTF-8 reads as replacement characters, as in Java.
pub(crate) fn chunk_text(chunk: &[u8]) -> std::borrow::Cow<'_, str> {
    // The check alone is several times quicker than the search for replacements.
    std::str::from_utf8(chunk).map_or_else(|_| String::from_utf8_lossy(chunk), std::borrow::Cow::Borrowed)
}

/// Records longer than this are cut in reports.
const REPORTED_BYTES_MAX: usize = 2000;

/// A record for the report, cut to a bearable length.
pub(crate) fn reported(text: &str) -> String {
    match text.char_indices().nth(REPORTED_BYTES_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}
