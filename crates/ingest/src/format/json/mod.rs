//! `json` (FMT-01): objects one after the other, usually one a line. The common case - only fields of the record itself are
//! wanted - goes from text straight into typed columns; paths of a `flattenSpec` go through a tree, a record at a time.

pub mod scan;

use std::borrow::Cow;

use std::sync::Arc;

use hashbrown::HashMap;
use ovate_base::Result;
use serde_json::Value as Json;

use self::scan::{ScanError, Scanner, Token};
use super::column::{Column, json_value};
use super::{BadRecord, Batch, Header, TextReader, Wanted, chunk_text, reported};
use crate::spec::flatten::{FlattenField, FlattenSource, FlattenSpec};

/// Reads JSON records into columns; keeps the order of fields of the last record to find columns without hashing.
pub struct JsonReader {
    fields: Vec<FlattenField>,
    discover: bool,
    keep_nulls: bool,
    nested: bool,
    /// Column number of a field, `SKIP` for one that nobody wants.
    slots: HashMap<Box<str>, usize>,
    names: Vec<(Arc<str>, bool)>,
    columns: Vec<Column>,
    order: Vec<(Box<str>, usize)>,
}

const SKIP: usize = usize::MAX;
/// A record may not bring in more fields than this by discovery.
const COLUMNS_MAX: usize = 100_000;

impl JsonReader {
    /// A reader for what is wanted; with discovery every field that holds something becomes a column.
    pub fn new(flatten: &FlattenSpec, keep_nulls: bool, wanted: &Wanted) -> JsonReader {
        let mut reader = JsonReader {
            fields: flatten.fields.clone(),
            discover: wanted.columns.is_none() && flatten.use_field_discovery,
            keep_nulls,
            nested: wanted.nested,
            slots: HashMap::new(),
            names: Vec::new(),
            columns: Vec::new(),
            order: Vec::new(),
        };
        for name in wanted.columns.iter().flatten() {
            reader.slot_for(name, wanted.doubles.contains(name));
        }
        for field in flatten.fields.iter().filter(|_| wanted.columns.is_none()) {
            reader.slot_for(&field.name, false);
        }
        // Only roots of their own name: nothing is flattened.
        reader.fields.retain(|f| !matches!(&f.source, FlattenSource::Root(name) if **name == *f.name));
        reader
    }

    fn slot_for(&mut self, name: &str, double: bool) -> usize {
        if let Some(&slot) = self.slots.get(name) {
            return slot;
        }
        let slot = self.names.len();
        self.names.push((Arc::from(name), double));
        self.columns.push(Column::Null(0));
        self.slots.insert(Box::from(name), slot);
        slot
    }

    /// One object into row `row`; the opening brace is at hand.
    fn object(&mut self, scanner: &mut Scanner<'_>, row: usize) -> Result<(), ScanError> {
        scanner.expect(b'{', "a record must be an object")?;
        scanner.skip_blanks();
        if scanner.peek() == b'}' {
            scanner.at += 1;
            return Ok(());
        }
        for position in 0.. {
            let key = scanner.string()?;
            scanner.skip_blanks();
            scanner.expect(b':', "a colon must follow a field name")?;
            scanner.skip_blanks();
            let slot = match self.order.get(position) {
                Some((name, slot)) if **name == *key => *slot,
                _ => self.find(position, &key),
            };
            if slot == SKIP && !self.discover {
                scanner.skip_value()?;
            } else {
                let token = scanner.value()?;
                self.put(slot, position, &key, token, row)?;
            }
            scanner.skip_blanks();
            match scanner.peek() {
                b',' => scanner.at += 1,
                b'}' => {
                    scanner.at += 1;
                    return Ok(());
                }
                _ => return scanner.expect(b'}', "a comma or a closing brace must follow a field"),
            }
            scanner.skip_blanks();
        }
        unreachable!("positions do not end")
    }

    #[cold]
    fn find(&mut self, position: usize, key: &str) -> usize {
        let slot = self.slots.get(key).copied().unwrap_or(SKIP);
        if position < self.order.len() {
            self.order[position] = (Box::from(key), slot);
        } else if position == self.order.len() && position < 4096 {
            self.order.push((Box::from(key), slot));
        }
        slot
    }

    fn put(&mut self, slot: usize, position: usize, key: &str, token: Token<'_>, row: usize) -> Result<(), ScanError> {
        let slot = if slot == SKIP {
            if !self.discovers(&token) || self.names.len() >= COLUMNS_MAX {
                return Ok(());
            }
            let slot = self.slot_for(key, false);
            if let Some(entry) = self.order.get_mut(position) {
                entry.1 = slot;
            }
            slot
        } else {
            slot
        };
        let double = self.names[slot].1;
        let column = &mut self.columns[slot];
        column.truncate(row); // a field that stands twice: the last one counts
        column.pad(row);
        match token {
            Token::Null => column.push_null(),
            Token::Bool(flag) => column.push_bool(flag),
            Token::Long(value) if double => column.push_double(value as f64),
            Token::Long(value) => column.push_long(value),
            Token::Double(value) => column.push_double(value),
            Token::Text(text) => column.push_text(&text),
            Token::Nested(text) => match serde_json::from_str::<Json>(text) {
                Ok(json) => column.push_value(json_value(&json)),
                Err(_) => return Err(ScanError { at: 0, why: "malformed nested value" }),
            },
        }
        Ok(())
    }

    /// Whether a new field becomes a column (`ObjectFlatteners`, `JSONFlattenerMaker.discoverRootFields`).
    fn discovers(&self, token: &Token<'_>) -> bool {
        match token {
            Token::Null => self.keep_nulls,
            Token::Nested(_) if self.nested => true,
            Token::Nested(text) => text.starts_with('[') && !text[1..].contains(['{', '[']),
            _ => true,
        }
    }

    /// One record through a tree, for paths.
    fn flattened(&mut self, text: &str, row: usize) -> Result<usize, ScanError> {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Json>();
        let json = match stream.next() {
            Some(Ok(json @ Json::Object(_))) => json,
            _ => return Err(ScanError { at: 0, why: "a record must be an object" }),
        };
        let used = stream.byte_offset();
        let fields = std::mem::take(&mut self.fields);
        let object = json.as_object().expect("checked above");
        for (name, value) in object {
            if fields.iter().any(|f| &*f.name == name.as_str()) {
                continue;
            }
            let flat = match value {
                Json::Null => self.keep_nulls,
                Json::Object(_) => self.nested,
                Json::Array(list) => self.nested || list.iter().all(|v| !v.is_array() && !v.is_object()),
                _ => true,
            };
            match self.slots.get(name.as_str()) {
                Some(&slot) => self.set(slot, row, value),
                None if self.discover && flat && self.names.len() < COLUMNS_MAX => {
                    let slot = self.slot_for(name, false);
                    self.set(slot, row, value);
                }
                None => {}
            }
        }
        for field in &fields {
            let Some(&slot) = self.slots.get(&*field.name) else { continue };
            let value = match &field.source {
                FlattenSource::Root(name) => object.get(name).map(Cow::Borrowed),
                FlattenSource::Path(path) => path.find(&json),
                FlattenSource::Tree(nodes) => nodes.iter().try_fold(&json, |at, node| at.get(node.as_str())).map(Cow::Borrowed),
            };
            if let Some(value) = value {
                self.set(slot, row, &value);
            }
        }
        self.fields = fields;
        Ok(used)
    }

    fn set(&mut self, slot: usize, row: usize, json: &Json) {
        let column = &mut self.columns[slot];
        column.truncate(row);
        column.pad(row);
        column.push_value(json_value(json));
    }

    /// All records of one line.
    fn line(&mut self, line: &str, batch: &mut Batch) {
        let mut at = 0;
        let mut first = true;
        loop {
            let mut scanner = Scanner::new(&line[at..]);
            if !scanner.skip_blanks() {
                if first {
                    batch.skipped += 1;
                }
                return;
            }
            let start = at + scanner.at;
            if !first && line.as_bytes()[start] != b'{' {
                return; // what follows a record in its line is not read, as in Jackson
            }
            let row = batch.rows;
            let result = if self.fields.is_empty() {
                self.object(&mut scanner, row).map(|()| at + scanner.at)
            } else {
                self.flattened(&line[start..], row).map(|used| start + used)
            };
            match result {
                Ok(end) => {
                    batch.rows += 1;
                    at = end;
                    first = false;
                }
                Err(error) => {
                    for column in &mut self.columns {
                        column.truncate(row);
                    }
                    let message = format!("Unable to parse row [{}]: {} at byte {}", reported(line), error.why, at + error.at);
                    batch.bad.push(BadRecord { input: reported(line), message });
                    return;
                }
            }
        }
    }
}

impl TextReader for JsonReader {
    fn read(&mut self, chunk: &[u8], _header: &Header) -> Result<Batch> {
        let text = chunk_text(chunk);
        let mut batch = Batch { bytes: chunk.len() as u64, ..Batch::default() };
        for line in text.split('\n') {
            if !line.is_empty() {
                self.line(line, &mut batch);
            }
        }
        for (at, (name, _)) in self.names.iter().enumerate() {
            let mut column = std::mem::replace(&mut self.columns[at], Column::Null(0));
            column.pad(batch.rows);
            batch.columns.push((name.clone(), column));
        }
        Ok(batch)
    }
}
