//! The sketches behind approximate aggregators, in the bytes that Druid and Apache DataSketches store. `hll` and `kll`
//! stand on the `datasketches` crate of the Apache project; `theta` and `quantiles` are written here from the format facts.

pub mod approximate_histogram;
pub mod bitmap64;
pub mod breaks;
pub mod dd_sketch;
pub mod decimal;
pub mod distinct;
pub mod fixed_buckets;
pub mod hll;
pub mod hyperloglog;
pub mod kll;
pub mod moments;
pub mod murmur3;
pub mod pair;
pub mod quantiles;
pub mod sorted_view;
pub mod spectator;
pub mod t_digest;
pub mod theta;
pub mod tuple;

use ovate_base::DruidError;

/// Seed that DataSketches hashes with unless told otherwise.
pub const DATASKETCHES_SEED: u64 = 9001;

/// The error for bytes that are no sketch of this kind.
fn damaged(kind: &str, detail: impl std::fmt::Display) -> DruidError {
    DruidError::runtime(format!("damaged {kind} value: {detail}"))
}

/// A double as DataSketches hashes it: one zero, one NaN.
pub fn canonical_double(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        value.to_bits()
    }
}

/// Little endian UTF-16, as Java's `char[]` is hashed.
pub fn utf16_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() * 2);
    append_utf16(text, &mut bytes);
    bytes
}

/// Appends little endian UTF-16.
pub fn append_utf16(text: &str, bytes: &mut Vec<u8>) {
    if text.is_ascii() {
        bytes.extend(text.bytes().flat_map(|byte| [byte, 0]));
    } else {
        text.encode_utf16().for_each(|unit| bytes.extend_from_slice(&unit.to_le_bytes()));
    }
}
