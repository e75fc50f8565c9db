//! The dictionary of a decoded partial: strings in one text.

use std::borrow::Cow;

use ovate_base::{DruidError, Result};
use ovate_compute::Dictionary;

/// Entries in the order of their codes; holds `ends` ascending, on character boundaries of `text`.
pub(super) struct TextDictionary {
    pub text: String,
    pub ends: Vec<usize>,
    pub null: Option<u32>,
}

impl Dictionary for TextDictionary {
    fn cardinality(&self) -> u32 {
        self.ends.len() as u32
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        if self.null == Some(code) {
            return Ok(None);
        }
        let index = code as usize;
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(usize::MAX) };
        let text = self.ends.get(index).and_then(|end| self.text.get(start..*end));
        text.map(|t| Some(Cow::Borrowed(t)))
            .ok_or_else(|| DruidError::runtime(format!("dictionary code out of range. code={code}")))
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        for code in 0..self.cardinality() {
            if self.get(code)?.as_deref() == value {
                return Ok(Some(code));
            }
        }
        Ok(None)
    }

    fn is_sorted(&self) -> bool {
        false
    }

    fn memory_bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 8
    }
}
