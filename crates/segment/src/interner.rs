//! Distinct byte strings by code, in the order they first came. Values live in one arena; the hash table holds only codes
//! and 32 bits of hash, so growing it never reads the arena.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

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
    // A prefix of eight bytes decides most comparisons without touching the arena.
    let mut keyed: Vec<(u64, u32)> = (0..values.len() as u32).map(|code| (prefix(values.get(code as usize)), code)).collect();
    keyed.sort_unstable_by(|(a, left), (b, right)| {
        a.cmp(b).then_with(|| crate::order::utf16_byte_order(values.get(*left as usize), values.get(*right as usize)))
    });
    keyed.into_iter().map(|(_, code)| code).collect()
}

/// The first bytes up to one that the UTF-16 order would move, big endian: smaller prefixes are smaller strings.
fn prefix(value: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (slot, byte) in bytes.iter_mut().zip(value) {
        if *byte >= 0xEE {
            // EE, EF and F0 to F4 compare in an order of their own: give them all one prefix and let the values decide.
            *slot = 0xEE;
            break;
        }
        *slot = *byte;
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
        let texts =
            ["b", "", "a\u{10000}", "a\u{e000}", "a", "aa", "a\0", "a\u{ffff}x", "longer than eight", "longer than eighty"];
        let mut interner = ByteInterner::default();
        texts.iter().for_each(|t| drop(interner.intern(t.as_bytes())));
        let sorted: Vec<&str> = sorted_codes(interner.values()).iter().map(|c| texts[*c as usize]).collect();
        let mut expected = texts.to_vec();
        expected.sort_by(|a, b| crate::order::utf16_order(a, b));
        assert_eq!(sorted, expected);
    }
}
