//! Dictionaries that segments of one table share: each column's distinct values get numbers that never change, and every
//! segment's codes are mapped to them once, as they are first met. Queries over many segments then merge numbers; strings
//! are read again only for results. Bounded: past the limit new values are left to the slower way.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use ovate_base::{DruidError, Result};
use ovate_compute::{Column, Dictionary};
use parking_lot::{Mutex, RwLock};

use super::BytesInterner;

const UNKNOWN: u32 = u32::MAX;

/// The shared number of each code of one segment.
pub(crate) struct CodeMap {
    numbers: Vec<AtomicU32>,
    /// No number is missing.
    complete: AtomicBool,
}

impl CodeMap {
    /// The shared number of a code; `u32::MAX` for one that is unknown.
    #[inline]
    pub fn get(&self, code: u32) -> u32 {
        self.numbers.get(code as usize).map_or(UNKNOWN, |number| number.load(Ordering::Relaxed))
    }
}

type MappedColumnCodes = (Weak<dyn Column>, Arc<CodeMap>);

/// The shared dictionaries of a server, by table and column.
pub struct SharedDictionaries {
    columns: Mutex<HashMap<(String, String), Arc<SharedDictionary>>>,
    bytes_max: usize,
}

impl SharedDictionaries {
    /// At most about this many bytes for each column.
    pub fn new(bytes_max: usize) -> Self {
        SharedDictionaries { columns: Mutex::default(), bytes_max }
    }

    /// The dictionary of a column.
    pub(crate) fn column(&self, table: &str, column: &str) -> Arc<SharedDictionary> {
        let mut columns = self.columns.lock();
        let fresh = || {
            let (values, maps) = (RwLock::default(), Mutex::default());
            Arc::new(SharedDictionary { values, maps, bytes_max: self.bytes_max })
        };
        columns.entry((table.to_owned(), column.to_owned())).or_insert_with(fresh).clone()
    }

    /// The shared dictionary behind a dictionary, if it is one of these.
    pub(crate) fn find(&self, dictionary: &Arc<dyn Dictionary>) -> Option<Arc<SharedDictionary>> {
        let wanted = Arc::as_ptr(dictionary).cast::<()>();
        self.columns.lock().values().find(|own| Arc::as_ptr(own).cast::<()>() == wanted).cloned()
    }

    /// Forgets everything; running queries keep what they hold.
    pub fn clear(&self) {
        self.columns.lock().clear();
    }
}

impl Default for SharedDictionaries {
    fn default() -> Self {
        SharedDictionaries::new(256 << 20)
    }
}

/// The distinct values of one column over many segments.
pub(crate) struct SharedDictionary {
    values: RwLock<BytesInterner>,
    /// By the address of a segment's open column, with the column to tell whether it is still the same one.
    maps: Mutex<HashMap<usize, MappedColumnCodes>>,
    bytes_max: usize,
}

impl SharedDictionary {
    /// Turns a segment's codes into shared ones. False, and nothing changed, when there is no room.
    pub fn map_codes(&self, column: &Arc<dyn Column>, dictionary: &dyn Dictionary, codes: &mut [u32]) -> Result<bool> {
        let map = self.map_of(column, dictionary.cardinality());
        let damaged = || DruidError::runtime("dictionary code out of range");
        let mut missing: Vec<u32> = Vec::new();
        for code in codes.iter() {
            if map.numbers.get(*code as usize).ok_or_else(damaged)?.load(Ordering::Acquire) == UNKNOWN {
                missing.push(*code);
            }
        }
        if !missing.is_empty() {
            missing.sort_unstable();
            missing.dedup();
            let mut values = self.values.write();
            if values.memory_bytes() > self.bytes_max {
                return Ok(false);
            }
            let mut codes = missing.iter();
            values.intern_all(missing.iter().map(|code| dictionary.get(*code)), &mut |id| {
                let code = codes.next().expect("as many numbers as codes");
                map.numbers[*code as usize].store(id, Ordering::Release);
            })?;
        }
        codes.iter_mut().for_each(|code| *code = map.numbers[*code as usize].load(Ordering::Acquire));
        Ok(true)
    }

    /// The shared numbers of all of a segment's codes. `None` when there is no room.
    pub fn complete_map(&self, column: &Arc<dyn Column>, dictionary: &dyn Dictionary) -> Result<Option<Arc<CodeMap>>> {
        let map = self.map_of(column, dictionary.cardinality());
        if !map.complete.load(Ordering::Acquire) {
            let mut all: Vec<u32> = (0..dictionary.cardinality()).collect();
            if !self.map_codes(column, dictionary, &mut all)? {
                return Ok(None);
            }
            map.complete.store(true, Ordering::Release);
        }
        Ok(Some(map))
    }

    fn map_of(&self, column: &Arc<dyn Column>, cardinality: u32) -> Arc<CodeMap> {
        let address = Arc::as_ptr(column).cast::<()>() as usize;
        let mut maps = self.maps.lock();
        if let Some((known, map)) = maps.get(&address)
            && known.upgrade().is_some_and(|known| Arc::ptr_eq(&known, column))
            && map.numbers.len() == cardinality as usize
        {
            return map.clone();
        }
        // Segments come and go; their maps go with them.
        maps.retain(|_, (column, _)| column.strong_count() > 0);
        let numbers = (0..cardinality).map(|_| AtomicU32::new(UNKNOWN)).collect();
        let map = Arc::new(CodeMap { numbers, complete: AtomicBool::new(false) });
        maps.insert(address, (Arc::downgrade(column), map.clone()));
        map
    }

    /// The numbers of these values; new ones where they were not met yet.
    pub fn intern_all<'a>(&self, values: impl Iterator<Item = Result<Option<Cow<'a, str>>>>) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.values.write().intern_all(values, &mut |id| ids.push(id))?;
        Ok(ids)
    }

    /// The number of null.
    pub fn null_id(&self) -> u32 {
        self.values.write().intern(None)
    }
}

impl Dictionary for SharedDictionary {
    fn cardinality(&self) -> u32 {
        self.values.read().cardinality()
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        Ok(Dictionary::get(&*self.values.read(), code)?.map(|text| Cow::Owned(text.into_owned())))
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        self.values.read().find(value)
    }

    fn is_sorted(&self) -> bool {
        false
    }
}
