//! `csv` and `tsv` (FMT-02): one record a line; csv has RFC 4180 quotes within the line (`DelimitedValueReader`,
//! `RFC4180Parser`). Empty fields are null; a list delimiter makes lists.

use std::collections::HashSet;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::Value;

use super::column::Column;
use super::{BadRecord, Batch, Header, TextReader, Wanted, chunk_text, reported};
use crate::spec::io::Delimited;

/// Column names of a file: those of the spec, or the last header line.
pub fn header(spec: &Delimited, lines: &[&str]) -> Result<Header> {
    if !spec.find_columns_from_header {
        let columns = spec.columns.iter().flatten().map(|c| Arc::from(c.as_str())).collect();
        return Ok(Header { columns: Arc::new(columns) });
    }
    let line = lines.get(spec.skip_header_rows).copied().unwrap_or("");
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let mut fields = Vec::new();
    split(line, spec, &mut fields)
        .map_err(|why| DruidError::invalid_input(format!("malformed header [{}]: {why}", reported(line))))?;
    let mut seen = HashSet::new();
    let mut columns: Vec<Arc<str>> = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        let name = if field.is_empty() { format!("column_{}", at + 1) } else { field.to_string() };
        if !seen.insert(name.clone()) {
            return Err(DruidError::invalid_input(format!("column [{name}] stands twice in the header [{}]", reported(line))));
        }
        columns.push(Arc::from(name));
    }
    if fields.iter().all(|field| field.is_empty()) {
        return Err(DruidError::invalid_input("the header that should name the columns is empty"));
    }
    Ok(Header { columns: Arc::new(columns) })
}

/// Reads lines of separated fields.
pub struct DelimitedReader {
    spec: Delimited,
    wanted: Wanted,
}

impl DelimitedReader {
    /// A reader for what is wanted.
    pub fn new(spec: &Delimited, wanted: &Wanted) -> DelimitedReader {
        DelimitedReader { spec: spec.clone(), wanted: wanted.clone() }
    }

    fn push(&self, column: &mut Column, field: &str) {
        if field.is_empty() {
            return column.push_null();
        }
        if field.contains(self.spec.list_delimiter.as_str()) {
            let texts = field.split(self.spec.list_delimiter.as_str());
            let list: Vec<Value> = texts.map(|text| self.scalar(text)).collect();
            return column.push_value(Value::Array(list.into()));
        }
        if self.spec.try_parse_numbers { column.push_value(self.scalar(field)) } else { column.push_text(field) }
    }

    fn scalar(&self, text: &str) -> Value {
        if self.spec.try_parse_numbers {
            if let Ok(whole) = text.parse::<i64>() {
                return Value::Long(whole);
            }
            if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
                && let Some(number) = ovate_compute::value::parse_double(text)
            {
                return Value::Double(number);
            }
        }
        Value::from(text)
    }
}

impl TextReader for DelimitedReader {
    fn read(&mut self, chunk: &[u8], header: &Header) -> Result<Batch> {
        let text = chunk_text(chunk);
        let mut batch = Batch { bytes: chunk.len() as u64, ..Batch::default() };
        let is_wanted = |name: &Arc<str>| self.wanted.columns.as_ref().is_none_or(|names| names.contains(&**name));
        let mut columns: Vec<Option<Column>> =
            header.columns.iter().map(|name| is_wanted(name).then_some(Column::Null(0))).collect();
        let mut fields = Vec::new();
        for line in text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            if let Err(why) = split(line, &self.spec, &mut fields) {
                let message = format!("Unable to parse row [{}]: {why}", reported(line));
                batch.bad.push(BadRecord { input: reported(line), message });
                continue;
            }
            for (at, column) in columns.iter_mut().enumerate() {
                if let Some(column) = column {
                    self.push(column, fields.get(at).map_or("", |field| field.as_ref()));
                }
            }
            batch.rows += 1;
        }
        for (name, column) in header.columns.iter().zip(columns) {
            if let Some(column) = column {
                batch.columns.push((name.clone(), column));
            }
        }
        Ok(batch)
    }
}

type Field<'a> = std::borrow::Cow<'a, str>;

/// Splits a line. Quotes in csv may hold separators and, doubled, quotes.
fn split<'a>(line: &'a str, spec: &Delimited, fields: &mut Vec<Field<'a>>) -> Result<(), &'static str> {
    fields.clear();
    let delimiter = spec.delimiter.as_str();
    if !spec.quoted || !line.contains('"') {
        fields.extend(line.split(delimiter).map(Field::Borrowed));
        return Ok(());
    }
    let mut rest = line;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = unquote(quoted).ok_or("unterminated quoted field")?;
            let end = after.find(delimiter).unwrap_or(after.len());
            // Text after the closing quote belongs to the field, as in Druid's parser.
            fields.push(if end == 0 { Field::Owned(field) } else { Field::Owned(field + &after[..end]) });
            match after.get(end + delimiter.len()..) {
                Some(tail) if end < after.len() => rest = tail,
                _ => return Ok(()),
            }
        } else {
            match rest.split_once(delimiter) {
                Some((field, tail)) => {
                    fields.push(Field::Borrowed(field));
                    rest = tail;
                }
                None => {
                    fields.push(Field::Borrowed(rest));
                    return Ok(());
                }
            }
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let (head, tail) = rest.split_once('"')?;
        out.push_str(head);
        match tail.strip_prefix('"') {
            Some(more) => {
                out.push('"');
                rest = more;
            }
            None => return Some((out, tail)),
        }
    }
}
