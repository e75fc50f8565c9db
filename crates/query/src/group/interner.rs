//! Numbers for distinct values, in the order met.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ovate_base::{DruidError, Result};
use ovate_compute::Dictionary;

use super::table::mix;

/// Distinct byte strings, and null, in one arena. Frozen, it is a [`Dictionary`].
#[derive(Default)]
pub(crate) struct BytesInterner {
    bytes: Vec<u8>,
    /// End of each entry in `bytes`.
    ends: Vec<usize>,
    null: Option<u32>,
    table: TagTable,
    state: RandomState,
}

/// How many values [`BytesInterner::intern_all`] looks up side by side.
const BATCH: usize = 64;

impl BytesInterner {
    /// The number of a value; a new one when it was not met yet.
    pub fn intern(&mut self, value: Option<&[u8]>) -> u32 {
        match value {
            None => self.intern_null(),
            Some(value) => self.intern_hashed(value, self.state.hash_one(value)),
        }
    }

    fn intern_null(&mut self) -> u32 {
        *self.null.get_or_insert_with(|| {
            self.ends.push(self.bytes.len());
            self.ends.len() as u32 - 1
        })
    }

    fn intern_hashed(&mut self, value: &[u8], hash: u64) -> u32 {
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(id) = self.table.find(hash, |id| entry(bytes, ends, id) == value) {
            return id;
        }
        let id = self.ends.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.table.insert(hash, id);
        id
    }

    /// Numbers of many values. They are looked up in batches, step by step, so that the memory reads of a batch overlap.
    pub fn intern_all<'a>(
        &mut self,
        values: impl Iterator<Item = Result<Option<Cow<'a, str>>>>,
        take: &mut dyn FnMut(u32),
    ) -> Result<()> {
        let mut values = values.peekable();
        let mut batch: Vec<Option<Cow<'a, str>>> = Vec::with_capacity(BATCH);
        while values.peek().is_some() {
            batch.clear();
            for value in values.by_ref().take(BATCH) {
                batch.push(value?);
            }
            let (mut hashes, mut first, mut spans) = ([0u64; BATCH], [NOTHING; BATCH], [(0usize, 0usize); BATCH]);
            for (hash, value) in hashes.iter_mut().zip(&batch) {
                *hash = value.as_deref().map_or(0, |text| self.state.hash_one(text.as_bytes()));
            }
            for (slot, hash) in first.iter_mut().zip(&hashes[..batch.len()]) {
                *slot = self.table.first(*hash);
            }
            for (span, slot) in spans.iter_mut().zip(&first[..batch.len()]) {
                if *slot != NOTHING {
                    let id = *slot as usize;
                    *span = (if id == 0 { 0 } else { self.ends[id - 1] }, self.ends[id]);
                }
            }
            for (at, value) in batch.iter().enumerate() {
                let Some(text) = value.as_deref() else {
                    take(self.intern_null());
                    continue;
                };
                let known = first[at] != NOTHING && &self.bytes[spans[at].0..spans[at].1] == text.as_bytes();
                take(if known { first[at] } else { self.intern_hashed(text.as_bytes(), hashes[at]) });
            }
        }
        Ok(())
    }

    /// The number of a value that was met.
    pub fn find_bytes(&self, value: &[u8]) -> Option<u32> {
        self.table.find(self.state.hash_one(value), |id| entry(&self.bytes, &self.ends, id) == value)
    }

    /// The value of a number; `None` is null.
    pub fn get(&self, id: u32) -> Option<&[u8]> {
        (self.null != Some(id)).then(|| entry(&self.bytes, &self.ends, id))
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8 + self.table.slots.len() * 8
    }
}

const NOTHING: u32 = u32::MAX;
const EMPTY: u64 = u64::MAX;

/// Open addressing over numbers with 32 bits of their hash beside them; growing never looks at the values.
#[derive(Default)]
struct TagTable {
    /// Tag in the upper half, number in the lower.
    slots: Vec<u64>,
    used: usize,
}

impl TagTable {
    fn tag(hash: u64) -> u32 {
        (hash >> 32) as u32
    }

    /// The number of this hash that a search meets first, which nearly always is the one looked for.
    fn first(&self, hash: u64) -> u32 {
        if self.slots.is_empty() {
            return NOTHING;
        }
        let mask = self.slots.len() - 1;
        let mut at = Self::tag(hash) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return NOTHING;
            }
            if (slot >> 32) as u32 == Self::tag(hash) {
                return slot as u32;
            }
            at = (at + 1) & mask;
        }
    }

    fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = Self::tag(hash) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return None;
            }
            if (slot >> 32) as u32 == Self::tag(hash) && same(slot as u32) {
                return Some(slot as u32);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a number that is not there.
    fn insert(&mut self, hash: u64, id: u32) {
        if (self.used + 1) * 8 > self.slots.len() * 5 {
            let bigger = vec![EMPTY; (self.slots.len() * 2).max(64)];
            for slot in std::mem::replace(&mut self.slots, bigger) {
                if slot != EMPTY {
                    self.place(slot);
                }
            }
        }
        self.place(u64::from(Self::tag(hash)) << 32 | u64::from(id));
        self.used += 1;
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
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

    fn memory_bytes(&self) -> usize {
        BytesInterner::memory_bytes(self)
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
    fn batches_give_the_same_numbers_as_one_by_one() {
        let texts: Vec<Option<String>> = (0..3000).map(|i| (i % 17 != 0).then(|| format!("v{}", i * 7919 % 1009))).collect();
        let (mut one, mut many) = (BytesInterner::default(), BytesInterner::default());
        let expected: Vec<u32> = texts.iter().map(|text| one.intern(text.as_deref().map(str::as_bytes))).collect();
        let mut ids = Vec::new();
        many.intern_all(texts.iter().map(|text| Ok(text.as_deref().map(Cow::Borrowed))), &mut |id| ids.push(id)).unwrap();
        assert_eq!(ids, expected);
        assert!(texts.iter().zip(&ids).all(|(text, id)| many.get(*id) == text.as_deref().map(str::as_bytes)));
    }

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
