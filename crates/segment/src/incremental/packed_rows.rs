//! Numbers by row while rows are being ingested, packed so that they take about what they will take on disk: blocks of
//! 1,024 rows hold differences from a base in as many bits as the largest needs, without the zero bits that all of them end
//! with. Any row can be read and replaced; a block into which a new value does not fit is packed again with room to spare.
//! The rows after the last full block are plain.

/// Rows of a block.
const BLOCK: usize = 1024;

/// A number as bits, in an order that keeps near numbers near.
pub(crate) trait RowNumber: Copy + Default + PartialEq + Send + Sync + 'static {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

impl RowNumber for u32 {
    fn to_bits(self) -> u64 {
        u64::from(self)
    }
    fn from_bits(bits: u64) -> Self {
        bits as u32
    }
}

impl RowNumber for bool {
    fn to_bits(self) -> u64 {
        u64::from(self)
    }
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

impl RowNumber for i64 {
    fn to_bits(self) -> u64 {
        self as u64 ^ 1 << 63
    }
    fn from_bits(bits: u64) -> Self {
        (bits ^ 1 << 63) as i64
    }
}

impl RowNumber for f64 {
    fn to_bits(self) -> u64 {
        let bits = f64::to_bits(self);
        if bits >> 63 == 1 { !bits } else { bits ^ 1 << 63 }
    }
    fn from_bits(bits: u64) -> Self {
        f64::from_bits(if bits >> 63 == 1 { bits ^ 1 << 63 } else { !bits })
    }
}

impl RowNumber for f32 {
    fn to_bits(self) -> u64 {
        let bits = f32::to_bits(self);
        u64::from(if bits >> 31 == 1 { !bits } else { bits ^ 1 << 31 })
    }
    fn from_bits(bits: u64) -> Self {
        let bits = bits as u32;
        f32::from_bits(if bits >> 31 == 1 { bits ^ 1 << 31 } else { !bits })
    }
}

/// 1,024 numbers: each `base + (packed << shift)`, wrapping.
#[derive(Clone)]
struct Block {
    base: u64,
    shift: u8,
    width: u8,
    words: Box<[u64]>,
}

impl Block {
    /// Packs numbers as tightly as can be, or with room for others that are near.
    fn pack(bits: &[u64], room: bool) -> Block {
        let mut base = bits.iter().copied().min().unwrap_or(0);
        let all = bits.iter().fold(0, |all, value| all | (value - base));
        let shift = if all == 0 { 0 } else { all.trailing_zeros() };
        let largest = bits.iter().fold(0, |largest: u64, value| largest.max(value - base)) >> shift;
        let mut width = u64::BITS - largest.leading_zeros();
        let mut shift = shift;
        if room && width + 2 + shift <= u64::BITS {
            base = base.wrapping_sub((1 << width) << shift);
            width += 2;
        } else if room {
            (base, width, shift) = (0, u64::BITS, 0);
        }
        let words = vec![0; BLOCK * width as usize / 64].into_boxed_slice();
        let mut block = Block { base, shift: shift as u8, width: width as u8, words };
        bits.iter().enumerate().for_each(|(at, value)| block.put(at, value.wrapping_sub(base) >> shift));
        block
    }

    #[inline]
    fn mask(&self) -> u64 {
        if self.width == 64 { u64::MAX } else { (1 << self.width) - 1 }
    }

    #[inline]
    fn get(&self, at: usize) -> u64 {
        if self.width == 0 {
            return self.base;
        }
        let bit = at * usize::from(self.width);
        let (word, offset) = (bit / 64, bit % 64);
        let mut packed = self.words[word] >> offset;
        if offset + usize::from(self.width) > 64 {
            packed |= self.words[word + 1] << (64 - offset);
        }
        self.base.wrapping_add((packed & self.mask()) << self.shift)
    }

    /// Replaces the packed form of a number.
    fn put(&mut self, at: usize, packed: u64) {
        if self.width == 0 {
            return;
        }
        let (bit, mask) = (at * usize::from(self.width), self.mask());
        let (word, offset) = (bit / 64, bit % 64);
        self.words[word] = self.words[word] & !(mask << offset) | packed << offset;
        if offset + usize::from(self.width) > 64 {
            let shift = 64 - offset;
            self.words[word + 1] = self.words[word + 1] & !(mask >> shift) | packed >> shift;
        }
    }

    /// Replaces a number; false when it does not fit.
    fn set(&mut self, at: usize, bits: u64) -> bool {
        let difference = bits.wrapping_sub(self.base);
        let packed = difference >> self.shift;
        if packed << self.shift != difference || packed & !self.mask() != 0 {
            return false;
        }
        self.put(at, packed);
        true
    }

    fn unpack(&self) -> Vec<u64> {
        (0..BLOCK).map(|at| self.get(at)).collect()
    }

    fn bytes(&self) -> usize {
        self.words.len() * 8
    }
}

/// A number a row.
#[derive(Clone)]
pub(crate) struct PackedRows<T> {
    blocks: Vec<Block>,
    open: Vec<T>,
    /// Bytes of the blocks' words.
    packed_bytes: usize,
}

impl<T> Default for PackedRows<T> {
    fn default() -> Self {
        PackedRows { blocks: Vec::new(), open: Vec::new(), packed_bytes: 0 }
    }
}

impl<T: RowNumber> PackedRows<T> {
    /// Number of rows.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.open.len()
    }

    /// The number of a row that is there.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> T {
        match self.blocks.get(row / BLOCK) {
            Some(block) => T::from_bits(block.get(row % BLOCK)),
            None => self.open[row - self.blocks.len() * BLOCK],
        }
    }

    /// Replaces the number of a row that is there.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, value: T) {
        let packed = self.blocks.len() * BLOCK;
        if row >= packed {
            self.open[row - packed] = value;
            return;
        }
        let block = &mut self.blocks[row / BLOCK];
        if !block.set(row % BLOCK, value.to_bits()) {
            let mut bits = block.unpack();
            bits[row % BLOCK] = value.to_bits();
            self.packed_bytes -= block.bytes();
            *block = Block::pack(&bits, true);
            self.packed_bytes += block.bytes();
        }
    }

    /// Appends a row.
    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        if self.open.len() == BLOCK {
            self.seal();
        }
        self.open.push(value);
    }

    #[cold]
    fn seal(&mut self) {
        let bits: Vec<u64> = self.open.iter().map(|value| value.to_bits()).collect();
        let block = Block::pack(&bits, false);
        self.packed_bytes += block.bytes();
        self.blocks.push(block);
        self.open.clear();
    }

    /// Appends rows.
    pub(crate) fn extend_from_slice(&mut self, mut values: &[T]) {
        while !values.is_empty() {
            if self.open.len() == BLOCK {
                self.seal();
            }
            let (now, later) = values.split_at(values.len().min(BLOCK - self.open.len()));
            self.open.extend_from_slice(now);
            values = later;
        }
    }

    /// Appends this number until there are so many rows.
    pub(crate) fn grow_to(&mut self, rows: usize, value: T) {
        (self.len()..rows).for_each(|_| self.push(value));
    }

    /// The numbers in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let packed = self.blocks.iter().flat_map(|block| (0..BLOCK).map(|at| T::from_bits(block.get(at))));
        packed.chain(self.open.iter().copied())
    }

    /// The numbers, plain.
    pub(crate) fn to_vec(&self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len());
        all.extend(self.iter());
        all
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.packed_bytes + self.blocks.capacity() * size_of::<Block>() + self.open.capacity() * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: RowNumber>(rows: &[T], changes: &[(usize, T)]) {
        let mut packed = PackedRows::default();
        let (first, second) = rows.split_at(rows.len() / 3);
        first.iter().for_each(|value| packed.push(*value));
        packed.extend_from_slice(second);
        let mut plain = rows.to_vec();
        for (row, value) in changes {
            plain[*row] = *value;
            packed.set(*row, *value);
        }
        assert_eq!(packed.len(), plain.len());
        let bits = |values: &[T]| values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
        assert_eq!(bits(&packed.to_vec()), bits(&plain));
        assert!((0..plain.len()).all(|row| packed.get(row).to_bits() == plain[row].to_bits()));
        let words: usize = packed.blocks.iter().map(Block::bytes).sum();
        assert_eq!(packed.packed_bytes, words);
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let mut state = 1u64;
        let mut random = |bits: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state as i64) >> (63 - bits)
        };
        for round in 0..60u32 {
            let count = 1 + random(11).unsigned_abs() as usize + random(9).unsigned_abs() as usize;
            let longs: Vec<i64> = (0..count).map(|_| random(round)).collect();
            let changes: Vec<(usize, i64)> =
                (0..20).map(|change| (random(30).unsigned_abs() as usize % count, random((round + change * 7) % 64))).collect();
            check(&longs, &changes);
            let doubles: Vec<f64> = longs.iter().map(|value| *value as f64 / 8.0).collect();
            check(&doubles, &changes.iter().map(|(at, value)| (*at, f64::from_bits(*value as u64))).collect::<Vec<_>>());
            let floats: Vec<f32> = longs.iter().map(|value| *value as f32).collect();
            check(&floats, &changes.iter().map(|(at, value)| (*at, f32::from_bits(*value as u32))).collect::<Vec<_>>());
            let codes: Vec<u32> = longs.iter().map(|value| *value as u32).collect();
            check(&codes, &changes.iter().map(|(at, value)| (*at, *value as u32)).collect::<Vec<_>>());
            let flags: Vec<bool> = longs.iter().map(|value| value % 2 == 0).collect();
            check(&flags, &changes.iter().map(|(at, value)| (*at, value % 2 == 0)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn narrow_numbers_take_few_bytes() {
        let mut times = PackedRows::default();
        let mut prices = PackedRows::default();
        let mut same = PackedRows::default();
        for row in 0..100_000i64 {
            times.push(1_700_000_000_000 + row % 8 * 1000);
            prices.push((row % 4096) as f64 / 8.0);
            same.push(7u32);
        }
        // Times of 10 bits, prices of 26 bits at most, and nothing.
        assert!(times.memory_bytes() < 145_000, "{}", times.memory_bytes());
        assert!(prices.memory_bytes() < 360_000, "{}", prices.memory_bytes());
        assert!(same.memory_bytes() < 10_000, "{}", same.memory_bytes());
        // Sums that grow are packed again now and then, and stay narrow.
        for round in 0..100i64 {
            (0..100_000).for_each(|row| times.set(row, times.get(row) + round * 8));
        }
        assert!(times.memory_bytes() < 300_000, "{}", times.memory_bytes());
    }
}
