//! A dictionary held in memory: for inline tables, subquery results and virtual columns.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use ovate_base::{DruidError, Result};

use super::Dictionary;

/// Distinct strings by code, sorted or in order of arrival.
#[derive(Default)]
pub struct MemoryDictionary {
    values: Vec<Option<Arc<str>>>,
    codes: HashMap<Option<Arc<str>>, u32>,
    sorted: bool,
}

impl MemoryDictionary {
    /// No values yet; codes will be given in order of arrival.
    pub fn new() -> Self {
        Self { sorted: true, ..Self::default() }
    }

    /// The code of a value, added when it is new.
    pub fn intern(&mut self, value: Option<&str>) -> u32 {
        if let Some(code) = self.codes.get(&Key(value)) {
            return *code;
        }
        let code = self.values.len() as u32;
        let owned: Option<Arc<str>> = value.map(Arc::from);
        self.sorted &= self.values.last().is_none_or(|last| last.as_deref() < value);
        self.values.push(owned.clone());
        self.codes.insert(owned, code);
        code
    }

    /// The same values in sorted order, and for each old code the new one.
    pub fn into_sorted(self) -> (MemoryDictionary, Vec<u32>) {
        let mut order: Vec<u32> = (0..self.values.len() as u32).collect();
        order.sort_by(|a, b| self.values[*a as usize].cmp(&self.values[*b as usize]));
        let mut mapping = vec![0; order.len()];
        let mut sorted = MemoryDictionary::new();
        for old in order {
            mapping[old as usize] = sorted.intern(self.values[old as usize].as_deref());
        }
        (sorted, mapping)
    }
}

/// A borrowed key that hashes as the owned one.
struct Key<'a>(Option<&'a str>);

impl std::hash::Hash for Key<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl hashbrown::Equivalent<Option<Arc<str>>> for Key<'_> {
    fn equivalent(&self, key: &Option<Arc<str>>) -> bool {
        self.0 == key.as_deref()
    }
}

impl Dictionary for MemoryDictionary {
    fn cardinality(&self) -> u32 {
        self.values.len() as u32
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        match self.values.get(code as usize) {
            Some(value) => Ok(value.as_deref().map(Cow::Borrowed)),
            None => Err(DruidError::runtime(format!("code out of range. code={code} cardinality={}", self.values.len()))),
        }
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        Ok(self.codes.get(&Key(value)).copied())
    }

    fn is_sorted(&self) -> bool {
        self.sorted
    }
}
