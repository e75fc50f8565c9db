//! What operators work out of a segment again and again, worked out once and kept in a file beside it: sum, minimum and maximum of
//! each block of numbers, bounds and step of longs, and what sketches make of each dictionary value. All of it follows
//! from the segment's own bytes, so the file may be thrown away at any time; it is believed only if its checksum fits
//! and it was made of the very files that are there.

mod file;
mod numbers;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ovate_base::{DruidError, Result};
use ovate_compute::ColumnSource as _;
use ovate_compute::aggregate::stored_items::{STORED_KINDS, items_to_bytes};
use ovate_compute::column::Column;

pub(crate) use file::Entry;
use file::{Kind, read_file, write_file};

use super::Digests;
use super::files::map_file;
use super::numeric_column::NumberData;
use super::segment::Segment;

/// The name of the file beside a segment's own.
pub const ACCELERATOR_FILE: &str = "ovate.accelerator";
/// Smaller segments are read whole as quickly.
pub const ACCELERATED_ROWS_MIN: u32 = 16_384;
/// Dictionaries of fewer values are hashed as quickly as they are read.
const ITEMS_FROM: u32 = 256;

/// Facts of one segment's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Accelerator {
    entries: Arc<[Entry]>,
}

impl Accelerator {
    /// Works everything out; reads all columns. `go_on` is asked now and then, and ends it with an error when it says false.
    pub fn build(segment: &Segment, go_on: &dyn Fn() -> bool) -> Result<Accelerator> {
        let mut entries = Vec::new();
        for name in segment.column_names() {
            if !go_on() {
                return Err(DruidError::cancelled("an accelerator is no longer wanted"));
            }
            let Some((column, numbers)) = segment.column_and_numbers(&name)? else { continue };
            if let Some(numbers) = numbers {
                entries.push(Entry { column: name, kind: Kind::NUMBERS, bytes: numbers.facts()?.into() });
                continue;
            }
            let Some(dictionary) = column.dictionary().filter(|dictionary| dictionary.cardinality() >= ITEMS_FROM) else {
                continue;
            };
            for kind in STORED_KINDS {
                if let Some(bytes) = items_to_bytes(kind, dictionary.as_ref())? {
                    entries.push(Entry { column: name.clone(), kind: Kind::items(kind), bytes: bytes.into() });
                }
            }
        }
        Ok(Accelerator { entries: entries.into() })
    }

    /// The file's bytes; `digests` are those of the segment's files.
    pub fn to_bytes(&self, digests: &Digests) -> Vec<u8> {
        write_file(digests.fingerprint(), &self.entries)
    }

    /// Reads a file; an error when it is damaged, of another version, or was made of other files.
    pub fn open(path: &Path, digests: &Digests) -> Result<Accelerator> {
        Self::from_bytes(&map_file(path)?, digests)
    }

    /// Reads the bytes of a file.
    pub fn from_bytes(bytes: &Bytes, digests: &Digests) -> Result<Accelerator> {
        Ok(Accelerator { entries: read_file(bytes, digests.fingerprint())?.into() })
    }

    /// Gives a column what is known of it. What does not fit the column is left out; items are made of their bytes when a query
    /// asks for them.
    pub(crate) fn apply(&self, name: &str, column: &Arc<dyn Column>, numbers: Option<&NumberData>) {
        for entry in self.entries.iter().filter(|entry| entry.column == name) {
            if let (Kind::NUMBERS, Some(numbers)) = (entry.kind, numbers) {
                numbers.take_facts(&entry.bytes);
            }
            if let Some(kind) = entry.kind.derived() {
                column.offer_derived(kind, entry.bytes.clone());
            }
        }
    }
}
