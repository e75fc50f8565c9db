//! Distinct byte strings by code, in the order they first came. Values live in one arena; the hash table holds only codes
//! and 32 bits of hash, so growing it never reads the arena.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::order::utf16_byte_order;
use crate::write::data::ByteTable;

const HASHER: FixedState = FixedState::with_seed(0x0A7E);

/// Interned byte strings.
#[derive(Default, Clone)]
pub(crate) struct ByteInterner {
    table: HashTable<(u32, u32)>,
    values: ByteTable,
}

/// 32 bits of hash spread over 64, because the table takes its tag from the top bits and its place from the low ones.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl ByteInterner {
    /// The code of a value, new or known.
    #[inline]
    pub(crate) fn intern(&mut self, value: &[u8]) -> u32 {
        let hash = HASHER.hash_one(value);
        let hash = (hash ^ hash >> 32) as u32;
        let values = &self.values;
        if let Some((_, code)) = self.table.find(spread(hash), |(h, code)| *h == hash && values.get(*code as usize) == value) {
            return *code;
        }
        let code = self.values.len() as u32;
        self.values.push(value);
        self.table.insert_unique(spread(hash), (hash, code), |(h, _)| spread(*h));
        code
    }

    /// The code of a value that is there.
    pub(crate) fn find(&self, value: &[u8]) -> Option<u32> {
        let hash = HASHER.hash_one(value);
        let hash = (hash ^ hash >> 32) as u32;
        let same = |(known, code): &(u32, u32)| *known == hash && self.get(*code) == value;
        self.table.find(spread(hash), same).map(|(_, code)| *code)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    #[inline]
    pub(crate) fn get(&self, code: u32) -> &[u8] {
        self.values.get(code as usize)
    }

    /// All values by code.
    pub(crate) fn values(&self) -> &ByteTable {
        &self.values
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.values.memory_bytes() + self.table.capacity() * 9
    }
}

/// Codes in ascending order of their values, as Java sorts strings.
pub(crate) fn sorted_codes(values: &ByteTable) -> Vec<u32> {
    let mut keyed: Vec<(u64, u32)> = (0..values.len() as u32).map(|code| (0, code)).collect();
    sort_from(&mut keyed, 0, values);
    keyed.into_iter().map(|(_, code)| code).collect()
}

/// Sorts values that agree in their first `depth` bytes: by the next eight bytes that are not common to all, then each run
/// of equal ones from there on. Arena reads are few and in long strides, whatever prefixes the values share.
fn sort_from(run: &mut [(u64, u32)], depth: usize, values: &ByteTable) {
    const SMALL: usize = 24;
    let value = |entry: &(u64, u32)| values.get(entry.1 as usize);
    if run.len() < SMALL {
        run.sort_unstable_by(|a, b| utf16_byte_order(value(a), value(b)));
        return;
    }
    let first = value(&run[0]);
    let mut common = first.len();
    for entry in run.iter() {
        let other = value(entry);
        let limit = common.min(other.len());
        common = (depth..limit).find(|at| other[*at] != first[*at]).unwrap_or(limit);
        if common <= depth {
            break;
        }
    }
    let depth = common.max(depth);
    run.iter_mut().for_each(|entry| entry.0 = key_at(values.get(entry.1 as usize), depth));
    run.sort_unstable_by_key(|entry| entry.0);
    let mut start = 0;
    while start < run.len() {
        let mut end = start + 1;
        while end < run.len() && run[end].0 == run[start].0 {
            end += 1;
        }
        if end - start > 1 {
            let ties = &mut run[start..end];
            if ties.iter().all(|entry| value(entry).len() >= depth + 8) {
                sort_from(ties, depth + 8, values);
            } else {
                // Some end here: a padded zero looks like a zero byte.
                ties.sort_unstable_by(|a, b| utf16_byte_order(value(a), value(b)));
            }
        }
        start = end;
    }
}

/// Eight bytes as a number that compares as the text does: leads EE and EF sort behind F0 to F4, the surrogates of UTF-16.
fn key_at(value: &[u8], depth: usize) -> u64 {
    let mut bytes = [0; 8];
    for (slot, byte) in bytes.iter_mut().zip(value.get(depth..).unwrap_or_default()) {
        *slot = if matches!(byte, 0xEE | 0xEF) { byte + 10 } else { *byte };
    }
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_codes() {
        let mut interner = ByteInterner::default();
        let texts: Vec<String> = (0..5000).map(|i| format!("v{}", i % 1700)).collect();
        for (i, text) in texts.iter().enumerate() {
            assert_eq!(interner.intern(text.as_bytes()), i as u32 % 1700);
        }
        assert_eq!(interner.len(), 1700);
        assert_eq!(interner.get(7), b"v7");
    }

    #[test]
    fn codes_sort_in_java_order() {
        let mut texts: Vec<String> =
            ["b", "", "a\u{10000}", "a\u{e000}", "a", "aa", "a\0", "a\u{ffff}x", "longer than eight", "longer than eighty"]
                .map(str::to_owned)
                .to_vec();
        for i in 0..3000u32 {
            texts.push(format!("https://example.org/{}/{}", i % 7, i * 7919 % 3000));
            texts.push(format!("x{}{}", char::from_u32(0xD000 + i * 37 % 0x700).unwrap(), i));
            texts.push(format!("x{}\u{10001}{}", "\u{fffd}".repeat(i as usize % 5), i));
            texts.push("y".repeat(i as usize % 40) + &"\0".repeat(i as usize % 3));
        }
        texts.sort_by_key(|text| text.len() % 13);
        let mut seen = std::collections::HashSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        let mut interner = ByteInterner::default();
        for text in &texts {
            interner.intern(text.as_bytes());
        }
        let sorted: Vec<&String> = sorted_codes(interner.values()).iter().map(|c| &texts[*c as usize]).collect();
        let mut expected: Vec<&String> = texts.iter().collect();
        expected.sort_by(|a, b| crate::order::utf16_order(a, b));
        assert_eq!(sorted, expected);
    }
}
