//! Group numbers for combinations of integer keys: a dense array while the key space is small, a table of packed 64-bit
//! keys above, and a table of wide keys where they do not fit. Groups are numbered in the order met.

use hashbrown::HashTable;

/// Key spaces up to this many combinations use a dense array (4 MiB of group numbers).
const DENSE_MAX: u64 = 1 << 20;
const NONE: u32 = u32::MAX;

/// Assigns group numbers, and remembers each group's key.
pub(crate) struct GroupTable {
    /// One column a key; entry `g` belongs to group `g`.
    keys: Vec<Vec<u32>>,
    len: usize,
    index: Index,
    scratch: Vec<u64>,
}

enum Index {
    /// No keys: one group.
    Unit,
    /// `slots[key0 * strides0 + …]`.
    Dense {
        strides: Vec<u32>,
        slots: Vec<u32>,
    },
    /// One key without a known limit: `slots[key]`, growing.
    Direct {
        slots: Vec<u32>,
    },
    Packed {
        shifts: Vec<u32>,
        table: PackedTable,
    },
    Wide {
        table: HashTable<u32>,
        seed: u64,
    },
    /// Every row is a group of its own; whoever merges finds the equal ones.
    Every,
}

impl GroupTable {
    /// A table for keys below these limits; `1 << 32` is "not known".
    pub fn new(limits: &[u64]) -> Self {
        let product = limits.iter().try_fold(1u64, |a, b| a.checked_mul(*b)).unwrap_or(u64::MAX);
        let bits: Vec<u32> = limits.iter().map(|limit| 64 - limit.saturating_sub(1).leading_zeros()).collect();
        let index = if limits.is_empty() {
            Index::Unit
        } else if product <= DENSE_MAX {
            let mut strides = vec![1u32; limits.len()];
            for i in (0..limits.len() - 1).rev() {
                strides[i] = strides[i + 1] * limits[i + 1].max(1) as u32;
            }
            Index::Dense { strides, slots: vec![NONE; product.max(1) as usize] }
        } else if limits.len() == 1 {
            Index::Direct { slots: Vec::new() }
        } else if bits.iter().sum::<u32>() <= 64 {
            let mut shifts = vec![0u32; limits.len()];
            for i in 1..limits.len() {
                // A key of one possible value has no bits; any place will do.
                shifts[i] = (shifts[i - 1] + bits[i - 1]).min(63);
            }
            Index::Packed { shifts, table: PackedTable::new() }
        } else {
            Index::Wide { table: HashTable::new(), seed: seed() }
        };
        GroupTable { keys: vec![Vec::new(); limits.len()], len: 0, index, scratch: Vec::new() }
    }

    /// A table for few of many possible keys: never indexed by the key itself.
    pub fn scattered(key_count: usize) -> Self {
        let mut table = GroupTable::new(&vec![1 << 32; key_count]);
        if key_count == 1 {
            table.index = Index::Packed { shifts: vec![0], table: PackedTable::new() };
        }
        if let Index::Packed { table, .. } = &mut table.index {
            table.reserve(10_000);
        }
        table
    }

    /// From now on every row is a group of its own, whether its key was met or not: where nearly all keys differ, looking
    /// each up in a large table finds next to nothing.
    pub fn stop_looking(&mut self) {
        self.index = Index::Every;
    }

    /// True when groups are looked up in a table that grows with them.
    pub fn is_hashed(&self) -> bool {
        matches!(self.index, Index::Packed { .. } | Index::Wide { .. })
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The keys of all groups, column by column.
    pub fn into_keys(self) -> Vec<Vec<u32>> {
        self.keys
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|k| k.capacity() * 4).sum();
        keys + match &self.index {
            Index::Unit | Index::Every => 0,
            Index::Dense { slots, .. } | Index::Direct { slots } => slots.capacity() * 4,
            Index::Packed { table, .. } => table.slots.len() * size_of::<Slot>(),
            Index::Wide { table, .. } => table.capacity() * 5,
        }
    }

    /// Puts the group of each of `rows` rows into `out`; `ids` has one column a key.
    pub fn groups_of(&mut self, ids: &[Vec<u32>], rows: usize, out: &mut Vec<u32>) {
        out.clear();
        out.reserve(rows);
        match &mut self.index {
            Index::Unit => {
                self.len = self.len.max(usize::from(rows > 0));
                out.resize(rows, 0);
            }
            Index::Dense { strides, slots } => {
                let (keys, len) = (&mut self.keys, &mut self.len);
                let mut assign = |slot: usize, row: usize| {
                    let group = slots[slot];
                    if group != NONE {
                        return group;
                    }
                    slots[slot] = new_group(keys, len, ids, row);
                    slots[slot]
                };
                match (ids, strides.as_slice()) {
                    ([one], _) => out.extend(one[..rows].iter().enumerate().map(|(row, id)| assign(*id as usize, row))),
                    ([a, b], [stride, _]) => out.extend(
                        (a[..rows].iter().zip(&b[..rows]).enumerate())
                            .map(|(row, (a, b))| assign((a * stride + b) as usize, row)),
                    ),
                    ([a, b, c], [first, second, _]) => out.extend(
                        (a[..rows].iter().zip(&b[..rows]).zip(&c[..rows]).enumerate())
                            .map(|(row, ((a, b), c))| assign((a * first + b * second + c) as usize, row)),
                    ),
                    _ => {
                        self.scratch.clear();
                        self.scratch.resize(rows, 0);
                        for (column, stride) in ids.iter().zip(strides.iter()) {
                            self.scratch.iter_mut().zip(&column[..rows]).for_each(|(slot, id)| *slot += u64::from(id * stride));
                        }
                        out.extend(self.scratch.iter().enumerate().map(|(row, slot)| assign(*slot as usize, row)));
                    }
                }
            }
            Index::Direct { slots } => {
                for (row, id) in ids[0][..rows].iter().enumerate() {
                    let id = *id as usize;
                    if id >= slots.len() {
                        slots.resize((id + 1).next_power_of_two(), NONE);
                    }
                    if slots[id] == NONE {
                        slots[id] = new_group(&mut self.keys, &mut self.len, ids, row);
                    }
                    out.push(slots[id]);
                }
            }
            Index::Packed { shifts, table } => {
                self.scratch.clear();
                self.scratch.resize(rows, 0);
                for (column, shift) in ids.iter().zip(shifts.iter()) {
                    self.scratch.iter_mut().zip(&column[..rows]).for_each(|(key, id)| *key |= u64::from(*id) << shift);
                }
                table.reserve(rows);
                for (row, key) in self.scratch.iter().enumerate() {
                    let slot = table.slot(*key);
                    if slot.group == NONE {
                        *slot = Slot { key: *key, group: new_group(&mut self.keys, &mut self.len, ids, row) };
                        out.push(slot.group);
                        table.used += 1;
                    } else {
                        out.push(slot.group);
                    }
                }
            }
            Index::Every => {
                for (key, column) in self.keys.iter_mut().zip(ids) {
                    key.extend_from_slice(&column[..rows]);
                }
                out.extend(self.len as u32..(self.len + rows) as u32);
                self.len += rows;
            }
            Index::Wide { table, seed } => {
                let seed = *seed;
                for row in 0..rows {
                    let hash = ids.iter().fold(seed, |hash, column| mix(hash ^ u64::from(column[row])));
                    let keys = &self.keys;
                    let same = |group: &u32| keys.iter().zip(ids).all(|(key, column)| key[*group as usize] == column[row]);
                    if let Some(group) = table.find(hash, same) {
                        out.push(*group);
                        continue;
                    }
                    let group = new_group(&mut self.keys, &mut self.len, ids, row);
                    let keys = &self.keys;
                    let rehash = |g: &u32| keys.iter().fold(seed, |hash, key| mix(hash ^ u64::from(key[*g as usize])));
                    table.insert_unique(hash, group, rehash);
                    out.push(group);
                }
            }
        }
    }
}

fn new_group(keys: &mut [Vec<u32>], len: &mut usize, ids: &[Vec<u32>], row: usize) -> u32 {
    let group = *len as u32;
    for (key, column) in keys.iter_mut().zip(ids) {
        key.push(column[row]);
    }
    *len += 1;
    group
}

#[derive(Clone, Copy)]
struct Slot {
    key: u64,
    group: u32,
}

/// Open addressing with linear probing on whole 64-bit keys; at most five eighths full.
struct PackedTable {
    slots: Vec<Slot>,
    used: usize,
    seed: u64,
}

impl PackedTable {
    fn new() -> Self {
        PackedTable { slots: vec![Slot { key: 0, group: NONE }; 1024], used: 0, seed: seed() }
    }

    /// Makes room for this many more keys.
    fn reserve(&mut self, more: usize) {
        let needed = (self.used + more) * 8 / 5 + 1;
        if needed <= self.slots.len() {
            return;
        }
        let bigger = vec![Slot { key: 0, group: NONE }; (needed * 2).next_power_of_two()];
        let old = std::mem::replace(&mut self.slots, bigger);
        for slot in old {
            if slot.group != NONE {
                *self.slot(slot.key) = slot;
            }
        }
    }

    /// The slot that holds the key or is free for it.
    #[inline]
    fn slot(&mut self, key: u64) -> &mut Slot {
        let mask = self.slots.len() - 1;
        let mut at = mix(key ^ self.seed) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.group == NONE || slot.key == key {
                return &mut self.slots[at];
            }
            at = (at + 1) & mask;
        }
    }
}

/// Spreads all bits of the key over the result.
#[inline]
pub(super) fn mix(key: u64) -> u64 {
    let product = u128::from(key ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    (product as u64) ^ ((product >> 64) as u64)
}

/// A seed that differs between processes, so that nobody can aim at one chain of slots.
fn seed() -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::RandomState::default().hash_one(0u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(limits: &[u64], columns: &[Vec<u32>]) -> (Vec<u32>, usize) {
        let mut table = GroupTable::new(limits);
        let (mut out, mut all) = (Vec::new(), Vec::new());
        let rows = columns.first().map_or(3, Vec::len);
        for start in (0..rows).step_by(7) {
            let end = (start + 7).min(rows);
            let part: Vec<Vec<u32>> = columns.iter().map(|c| c[start..end].to_vec()).collect();
            table.groups_of(&part, end - start, &mut out);
            all.extend_from_slice(&out);
        }
        (all, table.len())
    }

    #[test]
    fn all_kinds_of_tables_number_groups_alike() {
        let columns: Vec<Vec<u32>> =
            (0..3u32).map(|c| (0..5000u32).map(|r| (r * (7 + c) + r / 13) % (11 + c * 20)).collect()).collect();
        let dense = numbered(&[11, 31, 51], &columns);
        let packed = numbered(&[1 << 20, 1 << 20, 1 << 20], &columns);
        let wide = numbered(&[1 << 32, 1 << 32, 1 << 32], &columns);
        assert_eq!(dense, packed);
        assert_eq!(dense, wide);
        assert_eq!(numbered(&[11], &columns[..1]), numbered(&[1 << 32], &columns[..1]));
        assert_eq!(numbered(&[11, 31], &columns[..2]), numbered(&[1 << 32, 1 << 32], &columns[..2]));
    }

    #[test]
    fn without_keys_there_is_one_group() {
        assert_eq!(numbered(&[], &[]), (vec![0, 0, 0], 1));
    }
}
