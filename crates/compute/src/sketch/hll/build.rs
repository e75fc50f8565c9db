//! An HLL sketch while it is built: a list of distinct coupons while they are few, registers of a byte each above. Both
//! change over at the sizes at which DataSketches does, and keep its estimator, so that the bytes are the same.

use std::num::NonZeroU32;

use datasketches::hll::{HllSketch, HllType};

const SLOT_BITS: u32 = 26;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// A list has so many coupons at most, then it is a set.
const LIST_MAX: usize = 8;
/// Above this number of coupons looking through them takes longer than a table.
const SCANNED_MAX: usize = 16;
const PREAMBLE_BYTES: usize = 40;
const COMPACT: u8 = 8;
/// A nibble that says: look among the exceptions.
const EXCEPTION: u8 = 15;

/// A hashed value: six bits of rank over 26 bits of slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HllCoupon(NonZeroU32);

impl HllCoupon {
    pub(super) fn of_hash((low, high): (u64, u64)) -> Self {
        let rank = high.leading_zeros().min(62) + 1;
        HllCoupon(NonZeroU32::new(rank << SLOT_BITS | low as u32 & SLOT_MASK).expect("a rank is at least 1"))
    }

    /// All of it; never 0.
    pub(crate) fn bits(self) -> u32 {
        self.0.get()
    }

    /// Reads [`HllCoupon::bits`]; 0 is none.
    pub(crate) fn of_bits(bits: u32) -> Option<Self> {
        NonZeroU32::new(bits).map(HllCoupon)
    }

    fn rank(self) -> u8 {
        (self.0.get() >> SLOT_BITS) as u8
    }
}

fn type_bits(hll_type: HllType) -> u8 {
    match hll_type {
        HllType::Hll4 => 0,
        HllType::Hll6 => 1,
        HllType::Hll8 => 2,
    }
}

/// Few values: distinct coupons in the order met.
#[derive(Default)]
pub(super) struct Few {
    coupons: Vec<u32>,
    seen: Option<hashbrown::HashSet<u32, foldhash::fast::RandomState>>,
}

impl Few {
    pub(super) fn is_empty(&self) -> bool {
        self.coupons.is_empty()
    }

    /// Adds a coupon; true when they have become too many for this form.
    pub(super) fn add(&mut self, coupon: HllCoupon, lg_k: u8) -> bool {
        let raw = coupon.0.get();
        let new = match &mut self.seen {
            Some(seen) => seen.insert(raw),
            None => !self.coupons.contains(&raw),
        };
        if !new {
            return false;
        }
        self.coupons.push(raw);
        if self.seen.is_none() && self.coupons.len() > SCANNED_MAX {
            self.seen = Some(self.coupons.iter().copied().collect());
        }
        self.coupons.len() > Self::most(lg_k)
    }

    /// The greatest number of coupons in this form.
    fn most(lg_k: u8) -> usize {
        if lg_k < 8 { LIST_MAX - 1 } else { (3usize << (lg_k - 3)) / 4 }
    }

    /// The slots of the set that would hold the coupons: at most three quarters full, and 32 to begin with.
    fn set_bits(&self) -> u8 {
        let mut bits = 5;
        while 4 * self.coupons.len() > 3 << bits {
            bits += 1;
        }
        bits
    }

    pub(super) fn to_bytes(&self, lg_k: u8, hll_type: HllType) -> Vec<u8> {
        let count = self.coupons.len();
        let is_list = count < LIST_MAX;
        let mut bytes = if is_list {
            let empty = if count == 0 { 4 } else { 0 };
            vec![2, 1, 7, lg_k, 3, COMPACT | empty, count as u8, type_bits(hll_type) << 2]
        } else {
            vec![3, 1, 7, lg_k, self.set_bits(), COMPACT, 0, type_bits(hll_type) << 2 | 1]
        };
        if !is_list {
            bytes.extend_from_slice(&(count as u32).to_le_bytes());
        }
        self.coupons.iter().for_each(|coupon| bytes.extend_from_slice(&coupon.to_le_bytes()));
        if is_list {
            return bytes;
        }
        // Sets are stored in the order of their table, which the crate keeps.
        HllSketch::deserialize(&bytes).map_or(bytes, |sketch| sketch.serialize())
    }

    /// The same values as registers; the estimate so far is the set's.
    pub(super) fn registers(&self, lg_k: u8) -> Registers {
        let mut registers = Registers::new(lg_k);
        self.coupons.iter().for_each(|raw| {
            if let Some(raw) = NonZeroU32::new(*raw) {
                registers.add(HllCoupon(raw));
            }
        });
        // The crate changes over with the coupon that is one too many, so it can still hold that one as a set.
        let mut bytes = vec![3, 1, 7, lg_k.max(8) + 1, self.set_bits(), COMPACT, 0, 1];
        bytes.extend_from_slice(&(self.coupons.len() as u32).to_le_bytes());
        self.coupons.iter().for_each(|coupon| bytes.extend_from_slice(&coupon.to_le_bytes()));
        registers.hip = HllSketch::deserialize(&bytes).map_or(self.coupons.len() as f64, |set| set.estimate());
        registers
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.coupons.capacity() * 4 + self.seen.as_ref().map_or(0, |seen| seen.capacity() * 5)
    }
}

/// Many values: the highest rank of each slot, and the sums of the HIP estimator.
pub(super) struct Registers {
    ranks: Box<[u8]>,
    zeros: u32,
    hip: f64,
    /// Sums of `2^-rank`, of ranks below 32 and of the others.
    sums: [f64; 2],
}

fn inverse_power(rank: u8) -> f64 {
    f64::from_bits((1023 - u64::from(rank)) << 52)
}

impl Registers {
    fn new(lg_k: u8) -> Self {
        let slots = 1usize << lg_k;
        Registers { ranks: vec![0; slots].into(), zeros: slots as u32, hip: 0.0, sums: [slots as f64, 0.0] }
    }

    /// Adds a value.
    #[inline]
    pub(super) fn add(&mut self, coupon: HllCoupon) {
        let slot = coupon.0.get() as usize & (self.ranks.len() - 1);
        let (old, new) = (self.ranks[slot], coupon.rank());
        if new > old {
            self.raise(slot, old, new);
        }
    }

    fn raise(&mut self, slot: usize, old: u8, new: u8) {
        // HIP takes the sums from before the change.
        self.hip += self.ranks.len() as f64 / (self.sums[0] + self.sums[1]);
        self.sums[usize::from(old >= 32)] -= inverse_power(old);
        self.sums[usize::from(new >= 32)] += inverse_power(new);
        self.ranks[slot] = new;
        self.zeros -= u32::from(old == 0);
    }

    pub(super) fn to_bytes(&self, lg_k: u8, hll_type: HllType) -> Vec<u8> {
        let lowest = match hll_type {
            HllType::Hll4 => self.ranks.iter().copied().min().unwrap_or(0),
            HllType::Hll6 | HllType::Hll8 => 0,
        };
        let at_lowest = if lowest == 0 { self.zeros } else { self.ranks.iter().filter(|rank| **rank == lowest).count() as u32 };
        let exceptions: Vec<u32> = match hll_type {
            HllType::Hll4 => (self.ranks.iter().enumerate())
                .filter(|(_, rank)| **rank - lowest >= EXCEPTION)
                .map(|(slot, rank)| u32::from(*rank) << SLOT_BITS | slot as u32)
                .collect(),
            HllType::Hll6 | HllType::Hll8 => Vec::new(),
        };
        let flags = if hll_type == HllType::Hll4 { COMPACT } else { 0 };
        let mut bytes = Vec::with_capacity(PREAMBLE_BYTES + self.ranks.len() + exceptions.len() * 4);
        bytes.extend_from_slice(&[10, 1, 7, lg_k, 0, flags, lowest, type_bits(hll_type) << 2 | 2]);
        [self.hip, self.sums[0], self.sums[1]].iter().for_each(|sum| bytes.extend_from_slice(&sum.to_le_bytes()));
        bytes.extend_from_slice(&at_lowest.to_le_bytes());
        bytes.extend_from_slice(&(exceptions.len() as u32).to_le_bytes());
        match hll_type {
            HllType::Hll8 => bytes.extend_from_slice(&self.ranks),
            HllType::Hll6 => {
                for four in self.ranks.as_chunks::<4>().0 {
                    let bits = four.iter().rev().fold(0u32, |bits, rank| bits << 6 | u32::from(*rank));
                    bytes.extend_from_slice(&bits.to_le_bytes()[..3]);
                }
                // One byte more, so that the last register can be read as two bytes.
                bytes.push(0);
            }
            HllType::Hll4 => {
                let nibble = |rank: u8| (rank - lowest).min(EXCEPTION);
                bytes.extend(self.ranks.as_chunks::<2>().0.iter().map(|[even, odd]| nibble(*odd) << 4 | nibble(*even)));
                exceptions.iter().for_each(|pair| bytes.extend_from_slice(&pair.to_le_bytes()));
            }
        }
        bytes
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.ranks.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use datasketches::hash::value::raw_bytes;
    use datasketches::hll::Coupon;

    use super::super::{HllState, coupon};
    use super::*;

    #[test]
    fn states_have_the_bytes_of_the_library() {
        for lg_k in [4, 7, 8, 12] {
            for hll_type in [HllType::Hll4, HllType::Hll6, HllType::Hll8] {
                let mut theirs = HllSketch::new(lg_k, hll_type).unwrap();
                let mut ours = HllState::new(lg_k, hll_type).unwrap();
                for n in 0..60_000u32 {
                    let bytes = (n / 2).wrapping_mul(0x9E37_79B9).to_le_bytes();
                    theirs.update_with_coupon(Coupon::from_value(raw_bytes::from_slice(&bytes)));
                    ours.add(coupon(&bytes).unwrap());
                    if n.is_multiple_of(if n < 1200 { 3 } else { 9973 }) {
                        assert_eq!(
                            sorted_exceptions(ours.to_bytes()),
                            sorted_exceptions(theirs.serialize()),
                            "{lg_k} {hll_type:?} {n}"
                        );
                    }
                }
            }
        }
    }

    /// Coupons of a set, and exceptions of the four-bit form, stand in the order of a table.
    fn sorted_exceptions(mut bytes: Vec<u8>) -> Vec<u8> {
        let start = match bytes[7] & 3 {
            1 => 12,
            2 if bytes[7] == 2 => PREAMBLE_BYTES + (1 << bytes[3]) / 2,
            _ => return bytes,
        };
        let mut pairs: Vec<[u8; 4]> = bytes[start..].as_chunks::<4>().0.to_vec();
        pairs.sort_unstable();
        bytes.truncate(start);
        pairs.iter().for_each(|pair| bytes.extend_from_slice(pair));
        bytes
    }
}
