//! Hash partitioning (`HashPartitionFunction.MURMUR3_32_ABS`): MurmurHash3 x86 32 with seed 0 over the JSON of the
//! group key.

use std::fmt::Write;

/// The bucket of a group key's JSON; 0 when there are no buckets.
pub fn hash_bucket(key_json: &[u8], num_buckets: i32) -> i32 {
    if num_buckets <= 0 {
        return 0;
    }
    ((murmur3_32(key_json) as i32) % num_buckets).abs()
}

/// The key of partition dimensions: one list of values a dimension, for example `[["US"],["en"]]`; `out` is replaced.
pub fn hash_key_json(values: &[&[&str]], out: &mut String) {
    out.clear();
    out.push('[');
    for (index, list) in values.iter().enumerate() {
        out.push_str(if index > 0 { ",[" } else { "[" });
        for (index, value) in list.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_json_text(value, out);
        }
        out.push(']');
    }
    out.push(']');
}

/// As Jackson writes a string: short escapes, upper-case hex for other control characters, all else as it is.
pub fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// MurmurHash3 x86 32 with seed 0, as Guava's `Hashing.murmur3_32()` computes it over bytes.
pub fn murmur3_32(bytes: &[u8]) -> u32 {
    let mix = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        hash ^= mix(u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = chunks.remainder().iter().rev().fold(0u32, |sum, byte| sum << 8 | *byte as u32);
    hash ^= mix(tail);
    hash ^= bytes.len() as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}
