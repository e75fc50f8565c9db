//! Finds the row that a new row rolls up into: a hash table of row numbers only, since what they hash is in the columns.

use hashbrown::HashTable;

/// Salt of the time's part of a row's hash.
pub(crate) const TIME_SALT: u64 = 0x5851_F42D_4C95_7F2D;

/// Salt of a dimension's part.
pub(crate) fn salt(dimension: usize) -> u64 {
    (dimension as u64 + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// Rows by hash.
#[derive(Default)]
pub(crate) struct RowTable {
    table: HashTable<u32>,
}

impl RowTable {
    /// The row with this hash that `same` accepts, or `new`, which is remembered. `hash_of` gives the hash of a row that is
    /// there, for when the table grows.
    #[inline]
    pub(crate) fn find_or_add(&mut self, hash: u64, new: u32, same: impl Fn(u32) -> bool, hash_of: impl Fn(u32) -> u64) -> u32 {
        if let Some(row) = self.table.find(hash, |row| same(*row)) {
            return *row;
        }
        self.table.insert_unique(hash, new, |row| hash_of(*row));
        new
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.table.allocation_size()
    }
}
