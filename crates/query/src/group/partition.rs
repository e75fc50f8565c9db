//! Cutting the groups of a partial by the hash of their keys.

use std::sync::Arc;

use ovate_compute::Vector;

use super::merger::{double_bits, float_bits};
use super::table::mix;
use super::{SharedDictionaries, SharedDictionary};
use crate::partial::GroupsPartial;

/// The rows of each of `parts` parts (a power of two). `None` where keys cannot be hashed without their text.
pub(crate) fn partition(partial: &GroupsPartial, parts: usize, dictionaries: &SharedDictionaries) -> Option<Vec<Vec<u32>>> {
    let mut hashes = vec![0u64; partial.rows];
    for key in &partial.keys {
        match key {
            Vector::Codes { dictionary, codes } => {
                let _: Arc<SharedDictionary> = dictionaries.find(dictionary)?;
                fold(&mut hashes, codes.iter().map(|code| u64::from(*code)), None);
            }
            Vector::Long { values, nulls } => fold(&mut hashes, values.iter().map(|v| *v as u64), nulls.as_deref()),
            Vector::Float { values, nulls } => fold(&mut hashes, values.iter().map(|v| float_bits(*v)), nulls.as_deref()),
            Vector::Double { values, nulls } => fold(&mut hashes, values.iter().map(|v| double_bits(*v)), nulls.as_deref()),
            Vector::Null { .. } | Vector::String(_) | Vector::Any { .. } => return None,
        }
    }
    let mut rows: Vec<Vec<u32>> = (0..parts).map(|_| Vec::with_capacity(partial.rows / parts + 16)).collect();
    let mask = parts as u64 - 1;
    for (row, hash) in hashes.iter().enumerate() {
        // The low bits choose the slot in a table; these are others.
        rows[(hash >> 40 & mask) as usize].push(row as u32);
    }
    Some(rows)
}

fn fold(hashes: &mut [u64], bits: impl Iterator<Item = u64>, nulls: Option<&[bool]>) {
    match nulls {
        None => hashes.iter_mut().zip(bits).for_each(|(hash, bits)| *hash = mix(*hash ^ bits)),
        Some(nulls) => hashes.iter_mut().zip(bits).zip(nulls).for_each(|((hash, bits), null)| {
            *hash = mix(*hash ^ if *null { 0x6E75_6C6C } else { bits });
        }),
    }
}
