//! Hive's `BloomKFilter`, as Druid's `bloom` filter carries it in base64: one byte with the number of hash functions, a
//! big-endian count of longs, then the longs, big-endian. Bits are set by two halves of one Murmur3 hash, in blocks of eight longs.

use base64::Engine as _;
use ovate_base::{DruidError, Result};

/// A decoded filter.
pub(crate) struct BloomFilter {
    hash_functions: u8,
    words: Vec<u64>,
}

/// Longs of one block.
pub(crate) const BLOCK_WORDS: usize = 8;
/// What null hashes to (`Murmur3.NULL_HASHCODE`).
pub(crate) const NULL_HASH: u64 = 2_862_933_555_777_941_757;

impl BloomFilter {
    /// Decodes base64 of the serialized filter.
    pub(crate) fn decode(text: &str) -> Result<Self> {
        let bad = |why: &str| DruidError::invalid_input(format!("bloomKFilter cannot be read: {why}"));
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| bad("it is not base64"))?;
        let (head, body) = bytes.split_at_checked(5).ok_or_else(|| bad("it is too short"))?;
        let count = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if body.len() < count.saturating_mul(8) || count == 0 || !count.is_multiple_of(BLOCK_WORDS) {
            return Err(bad("its length does not fit"));
        }
        let words =
            body[..count * 8].chunks_exact(8).map(|w| u64::from_be_bytes(w.try_into().expect("chunks of eight"))).collect();
        Ok(BloomFilter { hash_functions: head[0], words })
    }

    /// True when the text may be in the set.
    pub(crate) fn contains(&self, text: Option<&str>) -> bool {
        let hash = text.map_or(NULL_HASH, |text| murmur3_64(text.as_bytes()));
        let (first, second) = (hash as u32 as i32, (hash >> 32) as u32 as i32);
        let non_negative = |hash: i32| if hash < 0 { !hash } else { hash } as usize;
        let block = non_negative(first.wrapping_add(second)) % (self.words.len() / BLOCK_WORDS) * BLOCK_WORDS;
        (1..=i32::from(self.hash_functions)).all(|i| {
            let combined = non_negative(first.wrapping_add(i.wrapping_add(1).wrapping_mul(second)));
            self.words[block + (combined & 7)] & (1 << ((combined >> 3) & 63)) != 0
        })
    }
}

/// Hive's `Murmur3.hash64` with its default seed.
pub(crate) fn murmur3_64(data: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    const SEED: u64 = 104_729;
    let mix = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mut hash = SEED;
    let chunks = data.chunks_exact(8);
    let tail = chunks.remainder();
    for chunk in chunks {
        hash ^= mix(u64::from_le_bytes(chunk.try_into().expect("chunks of eight")));
        hash = hash.rotate_left(27).wrapping_mul(5).wrapping_add(0x52dc_e729);
    }
    if !tail.is_empty() {
        let k = tail.iter().rev().fold(0u64, |k, byte| (k << 8) | u64::from(*byte));
        hash ^= mix(k);
    }
    hash ^= data.len() as u64;
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A test of texts against a serialized filter, for `bloom_filter_test`.
pub(crate) fn decode_bloom(text: &str) -> Result<impl Fn(Option<&str>) -> bool + Send + Sync + use<>> {
    let filter = BloomFilter::decode(text)?;
    Ok(move |text: Option<&str>| filter.contains(text))
}
