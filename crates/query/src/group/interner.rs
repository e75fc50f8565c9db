//! Numbers for distinct values, in the order met.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ovate_base::{DruidError, Result};
use ovate_compute::Dictionary;

use super::table::mix;

/// Distinct byte strings, and null, in one arena. Frozen, it is a [`Dictionary`].
pub(crate) struct BytesInterner {
    bytes: Vec<u8>,
    /// End of each entry in `bytes`.
    ends: Vec<usize>,
    null: Option<u32>,
    /// Upper half of the hash beside the entry's number, so that most mismatches end without touching the arena.
    table: HashTable<(u32, u32)>,
    state: RandomState,
}

impl Default for BytesInterner {
    fn default() -> Self {
        BytesInterner { bytes: Vec::new(), ends: Vec::new(), null: None, table: HashTable::new(), state: RandomState::default() }
    }
}

impl BytesInterner {
    /// The number of a value; a new one when it was not met yet.
    pub fn intern(&mut self, value: Option<&[u8]>) -> u32 {
        let Some(value) = value else {
            return *self.null.get_or_insert_with(|| {
                self.ends.push(self.bytes.len());
                self.ends.len() as u32 - 1
            });
        };
        let hash = self.state.hash_one(value);
        let tag = (hash >> 32) as u32;
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some((_, id)) = self.table.find(hash, |(t, id)| *t == tag && entry(bytes, ends, *id) == value) {
            return *id;
        }
        let id = self.ends.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        let (bytes, ends, state) = (&self.bytes, &self.ends, &self.state);
        self.table.insert_unique(hash, (tag, id), |(_, id)| state.hash_one(entry(bytes, ends, *id)));
        id
    }

    /// The number of a value that was met.
    pub fn find_bytes(&self, value: &[u8]) -> Option<u32> {
        let same = |(_, id): &(u32, u32)| entry(&self.bytes, &self.ends, *id) == value;
        self.table.find(self.state.hash_one(value), same).map(|(_, id)| *id)
    }

    /// The value of a number; `None` is null.
    pub fn get(&self, id: u32) -> Option<&[u8]> {
        (self.null != Some(id)).then(|| entry(&self.bytes, &self.ends, id))
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8 + self.table.capacity() * 9
    }
}

fn entry<'a>(bytes: &'a [u8], ends: &[usize], id: u32) -> &'a [u8] {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] };
    &bytes[start..ends[id]]
}

/// As a dictionary it holds only what came in as `str`.
impl Dictionary for BytesInterner {
    fn cardinality(&self) -> u32 {
        self.ends.len() as u32
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        if code as usize >= self.ends.len() {
            return Err(DruidError::runtime(format!("dictionary code out of range. code={code}")));
        }
        match self.get(code) {
            None => Ok(None),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(Cow::Borrowed(text))),
                Err(_) => Err(DruidError::runtime(format!("dictionary entry is not UTF-8. code={code}"))),
            },
        }
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        let Some(value) = value else { return Ok(self.null) };
        Ok(self.find_bytes(value.as_bytes()))
    }

    fn is_sorted(&self) -> bool {
        false
    }
}

/// Distinct 64-bit patterns (of longs, floats or doubles), and null.
#[derive(Default)]
pub(crate) struct NumberInterner {
    values: Vec<u64>,
    null: Option<u32>,
    table: HashTable<u32>,
    /// The last value asked for; sorted and repeated values skip the table.
    last: Option<(u64, u32)>,
}

impl NumberInterner {
    /// The number of a value; a new one when it was not met yet.
    #[inline]
    pub fn intern(&mut self, bits: u64) -> u32 {
        if let Some((last, id)) = self.last
            && last == bits
        {
            return id;
        }
        let values = &self.values;
        let id = match self.table.find(mix(bits), |id| values[*id as usize] == bits && self.null != Some(*id)) {
            Some(id) => *id,
            None => {
                let id = self.values.len() as u32;
                self.values.push(bits);
                let values = &self.values;
                self.table.insert_unique(mix(bits), id, |id| mix(values[*id as usize]));
                id
            }
        };
        self.last = Some((bits, id));
        id
    }

    /// The number of null.
    pub fn intern_null(&mut self) -> u32 {
        *self.null.get_or_insert_with(|| {
            self.values.push(0);
            self.values.len() as u32 - 1
        })
    }

    /// The number of null, where it was met.
    pub fn null_id(&self) -> Option<u32> {
        self.null
    }

    /// The value of a number; `None` is null.
    pub fn get(&self, id: u32) -> Option<u64> {
        (self.null != Some(id)).then(|| self.values[id as usize])
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.values.capacity() * 8 + self.table.capacity() * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_and_zero_differ() {
        let mut texts = BytesInterner::default();
        let ids =
            [texts.intern(Some(b"")), texts.intern(None), texts.intern(Some(b"a")), texts.intern(Some(b"")), texts.intern(None)];
        assert_eq!(ids, [0, 1, 2, 0, 1]);
        assert_eq!((texts.get(0), texts.get(1), texts.get(2)), (Some(&b""[..]), None, Some(&b"a"[..])));
        let mut numbers = NumberInterner::default();
        let ids = [numbers.intern_null(), numbers.intern(0), numbers.intern(0), numbers.intern_null()];
        assert_eq!(ids, [0, 1, 1, 0]);
        assert_eq!((numbers.get(0), numbers.get(1)), (None, Some(0)));
    }
}
