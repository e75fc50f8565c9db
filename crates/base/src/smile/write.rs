//! Writing Smile as Druid's servers write it.

use std::collections::HashMap;

use serde_json::Value;

use super::{MAGIC, RAW_BINARY, SHARED_MAX, SHARED_NAMES};

/// Longest name for which all readers agree that it is shared.
const SHORT_NAME_MAX: usize = 56;
/// Longest text with its length in the token, when it is ASCII; others may be one byte longer.
const SHORT_TEXT_MAX: usize = 64;

/// Appends one document. The caller opens and closes arrays and objects in pairs.
pub struct SmileWriter {
    out: Vec<u8>,
    /// Names written so far and their numbers; `None`: names are not shared.
    names: Option<HashMap<String, usize>>,
    count: usize,
}

pub(super) fn is_short_name(name: &str) -> bool {
    name.len() <= SHORT_NAME_MAX
}

impl SmileWriter {
    /// Writes the header. `shared`: names are shared; no name may be longer than 56 bytes then.
    pub fn new(shared: bool) -> Self {
        let mut out = MAGIC.to_vec();
        out.push(RAW_BINARY | if shared { SHARED_NAMES } else { 0 });
        SmileWriter { out, names: shared.then(HashMap::new), count: 0 }
    }

    /// A writer for objects with these names, among others that are short.
    pub fn for_names<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        SmileWriter::new(names.all(is_short_name))
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// What was written since the last call, for sending in pieces.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Bytes not yet taken.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// True when everything was taken.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn begin_array(&mut self) {
        self.out.push(0xF8);
    }

    pub fn end_array(&mut self) {
        self.out.push(0xF9);
    }

    pub fn begin_object(&mut self) {
        self.out.push(0xFA);
    }

    pub fn end_object(&mut self) {
        self.out.push(0xFB);
    }

    pub fn null(&mut self) {
        self.out.push(0x21);
    }

    pub fn bool(&mut self, value: bool) {
        self.out.push(if value { 0x23 } else { 0x22 });
    }

    /// An integer in its smallest form.
    pub fn long(&mut self, value: i64) {
        let folded = (value << 1 ^ value >> 63) as u64;
        match value {
            -16..=15 => self.out.push(0xC0 | folded as u8),
            _ => {
                self.out.push(if i32::try_from(value).is_ok() { 0x24 } else { 0x25 });
                self.count(folded);
            }
        }
    }

    pub fn float(&mut self, value: f32) {
        self.out.push(0x28);
        self.bits(u64::from(value.to_bits()), 5);
    }

    pub fn double(&mut self, value: f64) {
        self.out.push(0x29);
        self.bits(value.to_bits(), 10);
    }

    pub fn text(&mut self, text: &str) {
        let (length, ascii) = (text.len(), text.is_ascii());
        match length {
            0 => self.out.push(0x20),
            1..=SHORT_TEXT_MAX if ascii => self.out.push(0x40 + (length - 1) as u8),
            2..=65 if !ascii => self.out.push(0x80 + (length - 2) as u8),
            _ => {
                self.out.push(if ascii { 0xE0 } else { 0xE4 });
                self.out.extend_from_slice(text.as_bytes());
                return self.out.push(0xFC);
            }
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Raw binary.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.push(0xFD);
        self.count(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// The name of the next value of an object.
    pub fn name(&mut self, name: &str) {
        let length = name.len();
        if length == 0 {
            return self.out.push(0x20);
        }
        if let Some(names) = &mut self.names {
            match names.get(name) {
                Some(number @ 0..64) => return self.out.push(0x40 + *number as u8),
                Some(number) => return self.out.extend_from_slice(&[0x30 | (number >> 8) as u8, *number as u8]),
                None if length <= SHORT_NAME_MAX => {
                    if self.count == SHARED_MAX {
                        names.clear();
                        self.count = 0;
                    }
                    // References never end in a byte that means something else in Smile.
                    if self.count & 0xFF < 0xFE {
                        names.insert(name.to_owned(), self.count);
                    }
                    self.count += 1;
                }
                None => {}
            }
        }
        if length > SHORT_NAME_MAX {
            self.out.push(0x34);
            self.out.extend_from_slice(name.as_bytes());
            return self.out.push(0xFC);
        }
        self.out.push(if name.is_ascii() { 0x80 + (length - 1) as u8 } else { 0xC0 + (length - 2) as u8 });
        self.out.extend_from_slice(name.as_bytes());
    }

    /// A JSON document as a value.
    pub fn json(&mut self, json: &Value) {
        match json {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => self.long(value),
                (None, Some(value)) => self.big_integer(value),
                (None, None) => self.double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.begin_array();
                items.iter().for_each(|item| self.json(item));
                self.end_array();
            }
            Value::Object(fields) => {
                self.begin_object();
                for (name, value) in fields {
                    self.name(name);
                    self.json(value);
                }
                self.end_object();
            }
        }
    }

    /// A number above the longs: nine bytes, packed seven bits a byte.
    fn big_integer(&mut self, value: u64) {
        self.out.push(0x26);
        self.count(9);
        // The first seven bytes, 0 and the upper six, take eight; the lower two take three.
        self.bits(value >> 16, 8);
        self.out.extend_from_slice(&[(value >> 9 & 0x7F) as u8, (value >> 2 & 0x7F) as u8, (value & 3) as u8]);
    }

    fn count(&mut self, value: u64) {
        let mut bytes = [0u8; 10];
        let (mut at, mut rest) = (9, value >> 6);
        bytes[9] = 0x80 | (value & 0x3F) as u8;
        while rest > 0 {
            at -= 1;
            bytes[at] = (rest & 0x7F) as u8;
            rest >>= 7;
        }
        self.out.extend_from_slice(&bytes[at..]);
    }

    fn bits(&mut self, bits: u64, bytes: u32) {
        for at in (0..bytes).rev() {
            self.out.push((bits.checked_shr(7 * at).unwrap_or(0) & 0x7F) as u8);
        }
    }
}
