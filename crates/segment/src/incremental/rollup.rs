//! Finds the row that a new row rolls up into: a hash table from the hash of time and dimensions to the row's number.

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
    table: HashTable<(u64, u32)>,
}

impl RowTable {
    /// The row with this hash that `same` accepts, or `new`, which is remembered.
    #[inline]
    pub(crate) fn find_or_add(&mut self, hash: u64, new: u32, same: impl Fn(u32) -> bool) -> u32 {
        if let Some((_, row)) = self.table.find(hash, |(known, row)| *known == hash && same(*row)) {
            return *row;
        }
        self.table.insert_unique(hash, (hash, new), |(hash, _)| *hash);
        new
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.table.capacity() * 17
    }
}
