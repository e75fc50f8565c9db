//! Dictionaries of strings, plain or front-coded, sorted as Java sorts strings: by UTF-16 code unit.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::OnceLock;

use ovate_base::Result;
use ovate_compute::Dictionary;

use super::cursor::{At, ByteOrder, Cursor, Place, damaged};
use super::files::Files;
use super::front_coded::FrontCodedStrings;
use super::generic_indexed::{GenericIndexed, utf8};

/// The dictionary of a string column; values stay in the mapping.
pub(crate) struct StringDictionary {
    form: Form,
    place: Place,
    /// Whether UTF-16 order is also UTF-8 order here; found out when first asked.
    byte_ordered: OnceLock<bool>,
}

enum Form {
    Plain(GenericIndexed),
    FrontCoded(FrontCodedStrings),
}

impl StringDictionary {
    /// Reads either form (`DictionarySerdeHelper`).
    pub(crate) fn read(cursor: &mut Cursor, files: &Files, order: ByteOrder, place: &Place) -> Result<Self> {
        let form = match cursor.peek() {
            Some(0x7F) => {
                cursor.u8()?;
                match cursor.u8()? {
                    0 => Form::Plain(GenericIndexed::read(cursor, files)?),
                    1 => Form::FrontCoded(FrontCodedStrings::read(cursor, order)?),
                    id => return Err(damaged(format!("unknown dictionary encoding. id={id}"))),
                }
            }
            _ => Form::Plain(GenericIndexed::read(cursor, files)?),
        };
        Ok(StringDictionary { form, place: place.clone(), byte_ordered: OnceLock::new() })
    }

    /// The bytes of a value.
    fn bytes(&self, code: u32) -> Result<Option<Cow<'_, [u8]>>> {
        match &self.form {
            Form::Plain(list) => Ok(list.get(code)?.map(Cow::Borrowed)),
            Form::FrontCoded(list) => Ok(list.get(code)?.map(Cow::Owned)),
        }
    }

    /// True when null is the first entry.
    pub(crate) fn has_null(&self) -> bool {
        self.cardinality() > 0 && matches!(self.bytes(0), Ok(None))
    }

    fn value(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        match self.bytes(code)? {
            None => Ok(None),
            Some(Cow::Borrowed(bytes)) => utf8(bytes).map(|text| Some(Cow::Borrowed(text))),
            Some(Cow::Owned(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(Cow::Owned(text))),
                Err(_) => Err(damaged("value is not UTF-8")),
            },
        }
    }

    fn search(&self, wanted: &[u8]) -> Result<Option<u32>> {
        let sorted = match &self.form {
            Form::Plain(list) => list.is_sorted(),
            Form::FrontCoded(_) => true,
        };
        if !sorted {
            for code in 0..self.cardinality() {
                if self.bytes(code)?.is_some_and(|v| v.as_ref() == wanted) {
                    return Ok(Some(code));
                }
            }
            return Ok(None);
        }
        let (mut low, mut high) = (0, self.cardinality());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.bytes(middle)?.map_or(Ordering::Less, |v| compare_utf16(&v, wanted)) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(Some(middle)),
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Orders differ only where characters of four bytes meet characters from U+E000 on.
    fn order_is_bytewise(&self) -> bool {
        if matches!(&self.form, Form::Plain(list) if !list.is_sorted()) {
            return false;
        }
        let (mut high, mut supplementary) = (false, false);
        for code in 0..self.cardinality() {
            if let Ok(Some(value)) = self.bytes(code) {
                high |= value.iter().any(|b| (0xEE..0xF0).contains(b));
                supplementary |= value.iter().any(|b| *b >= 0xF0);
            }
        }
        !(high && supplementary)
    }
}

impl Dictionary for StringDictionary {
    fn cardinality(&self) -> u32 {
        match &self.form {
            Form::Plain(list) => list.len(),
            Form::FrontCoded(list) => list.len(),
        }
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        self.value(code).at(&self.place)
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        match value {
            None => Ok(self.has_null().then_some(0)),
            Some(value) => self.search(value.as_bytes()).at(&self.place),
        }
    }

    fn is_sorted(&self) -> bool {
        *self.byte_ordered.get_or_init(|| self.order_is_bytewise())
    }
}

/// Compares UTF-8 texts as Java's `String.compareTo` does, by UTF-16 code unit.
pub(crate) fn compare_utf16(a: &[u8], b: &[u8]) -> Ordering {
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        // Surrogates stand for characters of four bytes (lead byte F0 and above) and sort below U+E000 (EE and EF).
        Some((&x, &y)) if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) => y.cmp(&x),
        Some((x, y)) => x.cmp(y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supplementary_characters_sort_below_private_use() {
        let sorted = ["", "a", "ab", "\u{d7ff}", "\u{10000}", "\u{10ffff}", "\u{e000}", "\u{ffff}"];
        for pair in sorted.windows(2) {
            assert_eq!(compare_utf16(pair[0].as_bytes(), pair[1].as_bytes()), Ordering::Less, "{pair:?}");
            assert_eq!(compare_utf16(pair[1].as_bytes(), pair[0].as_bytes()), Ordering::Greater, "{pair:?}");
        }
    }
}
