//! Values as Smile (the binary JSON that Jackson calls so), as nested columns keep whole rows: shared property names,
//! no shared string values.

use std::collections::HashMap;

use crate::packed::Packed;

/// `:)\n` and flags: version 0, shared names, raw binary allowed.
const HEADER: [u8; 4] = [0x3A, 0x29, 0x0A, 0x05];
/// The reader forgets shared names after so many; references stop before.
const MAX_SHARED_NAMES: usize = 1024;
/// Names up to this index are referred to by one byte.
const SHORT_REFERENCES: usize = 64;

/// Writes one document.
pub(super) struct SmileWriter<'a> {
    out: Vec<u8>,
    names: HashMap<&'a str, usize>,
    name_count: usize,
}

impl<'a> SmileWriter<'a> {
    /// The document of a value.
    pub(super) fn write(value: Packed<'a>) -> Vec<u8> {
        let mut writer = SmileWriter { out: HEADER.to_vec(), names: HashMap::new(), name_count: 0 };
        writer.put(value);
        writer.out
    }

    fn put(&mut self, value: Packed<'a>) {
        match value {
            Packed::Null => self.out.push(0x21),
            Packed::Boolean(value) => self.out.push(if value { 0x23 } else { 0x22 }),
            Packed::Long(value) => self.put_long(value),
            Packed::Double(value) => self.put_double(value),
            Packed::String(text) => self.put_text(text),
            Packed::Array(items) => {
                self.out.push(0xF8);
                items.elements().for_each(|item| self.put(item));
                self.out.push(0xF9);
            }
            Packed::Object(fields) => {
                self.out.push(0xFA);
                for (name, value) in fields.fields() {
                    self.put_name(name);
                    self.put(value);
                }
                self.out.push(0xFB);
            }
        }
    }

    fn put_long(&mut self, value: i64) {
        let zigzag = ((value << 1) ^ (value >> 63)) as u64;
        if (-16..16).contains(&value) {
            self.out.push(0xC0 + zigzag as u8);
            return;
        }
        self.out.push(if i32::try_from(value).is_ok() { 0x24 } else { 0x25 });
        // Groups of seven bits, highest first; the last byte has six and its high bit set.
        let mut shift = 6;
        while shift < 63 && zigzag >> shift != 0 {
            shift += 7;
        }
        while shift > 6 {
            shift -= 7;
            self.out.push((zigzag >> shift) as u8 & 0x7F);
        }
        self.out.push(zigzag as u8 & 0x3F | 0x80);
    }

    fn put_double(&mut self, value: f64) {
        self.out.push(0x29);
        let bits = value.to_bits();
        (0..10).rev().for_each(|i| self.out.push((bits >> (7 * i)) as u8 & 0x7F));
    }

    fn put_text(&mut self, text: &str) {
        let (bytes, ascii) = (text.as_bytes(), text.is_ascii());
        match (bytes.len(), ascii) {
            (0, _) => self.out.push(0x20),
            (size @ 1..=32, true) => self.out.push(0x40 + size as u8 - 1),
            (size @ 33..=64, true) => self.out.push(0x60 + size as u8 - 33),
            (size @ 2..=33, false) => self.out.push(0x80 + size as u8 - 2),
            (size @ 34..=64, false) => self.out.push(0xA0 + size as u8 - 34),
            (_, ascii) => {
                self.out.push(if ascii { 0xE0 } else { 0xE4 });
                self.out.extend_from_slice(bytes);
                self.out.push(0xFC);
                return;
            }
        }
        self.out.extend_from_slice(bytes);
    }

    fn put_name(&mut self, name: &'a str) {
        if let Some(index) = self.names.get(name)
            && self.name_count < MAX_SHARED_NAMES
        {
            self.out.push(0x40 + *index as u8);
            return;
        }
        let bytes = name.as_bytes();
        match (bytes.len(), name.is_ascii()) {
            (0, _) => return self.out.push(0x20),
            (size @ 1..=64, true) => self.out.push(0x80 + size as u8 - 1),
            (size @ 2..=57, false) => self.out.push(0xC0 + size as u8 - 2),
            _ => {
                self.out.push(0x34);
                self.out.extend_from_slice(bytes);
                self.out.push(0xFC);
                return;
            }
        }
        self.out.extend_from_slice(bytes);
        // The reader numbers every name that was written out short; one past the first 64 is written out again.
        if self.name_count < SHORT_REFERENCES {
            self.names.insert(name, self.name_count);
        }
        self.name_count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::put_json;
    use crate::write::tests::hex;
    use serde_json::json;

    #[test]
    fn known_documents_have_jacksons_bytes() {
        let cases = [
            (json!({"a": 1, "b": [true, null, "x"]}), "3A290A05 FA 80 61 C2 80 62 F8 23 21 40 78 F9 FB"),
            (json!([{"k": -1}, {"k": 16}]), "3A290A05 F8 FA 80 6B C1 FB FA 40 24 A0 FB F9"),
            (json!(1000), "3A290A05 24 1F 90"),
            (json!(1.0), "3A290A05 29 00 3F 78 00 00 00 00 00 00 00"),
            (json!("é"), "3A290A05 80 C3 A9"),
        ];
        for (value, bytes) in cases {
            let mut packed = Vec::new();
            put_json(&value, &mut packed).unwrap();
            assert_eq!(SmileWriter::write(Packed::read(&packed)), hex(bytes), "{value}");
        }
    }
}
