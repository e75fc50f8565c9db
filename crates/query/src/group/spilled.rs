//! Groups on disk, cut into parts by the hash of their keys' values, so that each part can be merged by itself. Equal keys lie in
//! the same part whatever dictionary they came with.

use ovate_base::{DruidError, Reservation, Result};
use ovate_compute::{ColumnType, Vector};
use parking_lot::Mutex;

use super::merger::{double_bits, float_bits};
use super::table::mix;
use crate::partial::{GroupsPartial, Partial, encode_value};
use crate::spill::{Spill, SpillFile};

/// Parts of one spill; a power of two. A part of what fills the disk budget must fit in memory.
const PARTS: usize = 256;
/// Stands for null among hashes.
const NULL: u64 = 0x6E75_6C6C;

/// The spilled groups of one merge.
pub(crate) struct Spilled {
    file: Box<dyn SpillFile>,
    limit: Spill,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where the pieces of each part lie.
    pieces: Vec<Vec<(u64, u32)>>,
    /// Types of the keys, of the first partial that knew them; others are read as these, as the merger does.
    types: Vec<Option<ColumnType>>,
    buckets: Vec<i64>,
    taken: Vec<Reservation>,
    bytes: u64,
}

impl Spilled {
    /// An empty one.
    pub fn create(spill: &Spill) -> Result<Self> {
        let state = State { pieces: vec![Vec::new(); PARTS], ..State::default() };
        Ok(Spilled { file: spill.store.create()?, limit: spill.clone(), state: Mutex::new(state) })
    }

    /// Writes a partial's groups.
    pub fn write(&self, partial: &GroupsPartial) -> Result<()> {
        let keys = self.typed_keys(partial);
        let partial = GroupsPartial { keys, ..partial.clone() };
        for (part, rows) in cut(&partial)?.into_iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            let bytes = Partial::Groups(partial.pick(&rows)).encode()?;
            let length = u32::try_from(bytes.len()).map_err(|_| DruidError::runtime("a spilled piece is larger than 4 GiB"))?;
            let taken = self.limit.budget.reserve(bytes.len() as u64)?;
            let offset = self.file.append(&bytes)?;
            let mut state = self.state.lock();
            state.pieces[part].push((offset, length));
            state.taken.push(taken);
            state.bytes += bytes.len() as u64;
        }
        self.state.lock().buckets.extend_from_slice(&partial.buckets);
        Ok(())
    }

    fn typed_keys(&self, partial: &GroupsPartial) -> Vec<Vector> {
        let mut state = self.state.lock();
        state.types.resize(partial.keys.len(), None);
        let typed = |(key, known): (&Vector, &mut Option<ColumnType>)| match (key.column_type(), &known) {
            (Some(own), Some(wanted)) if own != *wanted => key.clone().cast(wanted),
            (own, None) => {
                *known = own;
                key.clone()
            }
            _ => key.clone(),
        };
        partial.keys.iter().zip(&mut state.types).map(typed).collect()
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        PARTS
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Bytes of one part.
    pub fn part_bytes(&self, part: usize) -> u64 {
        self.state.lock().pieces[part].iter().map(|(_, length)| u64::from(*length)).sum()
    }

    /// Takes the buckets that the partials listed.
    pub fn take_buckets(&self) -> Vec<i64> {
        let mut buckets = std::mem::take(&mut self.state.lock().buckets);
        buckets.sort_unstable();
        buckets.dedup();
        buckets
    }

    /// The pieces of one part, one by one.
    pub fn read(&self, part: usize, each: &mut dyn FnMut(GroupsPartial) -> Result<()>) -> Result<()> {
        let pieces = self.state.lock().pieces[part].clone();
        let mut bytes = Vec::new();
        for (offset, length) in pieces {
            bytes.resize(length as usize, 0);
            self.file.read(offset, &mut bytes)?;
            match Partial::decode(&bytes)? {
                Partial::Groups(groups) => each(groups)?,
                _ => return Err(DruidError::runtime("a spilled piece is of another kind")),
            }
        }
        Ok(())
    }
}

/// The rows of each part.
fn cut(partial: &GroupsPartial) -> Result<Vec<Vec<u32>>> {
    let mut hashes = vec![0u64; partial.rows];
    for key in &partial.keys {
        fold(&mut hashes, key)?;
    }
    let mut rows = vec![Vec::new(); PARTS];
    for (row, hash) in hashes.iter().enumerate() {
        rows[(hash >> 40) as usize & (PARTS - 1)].push(row as u32);
    }
    Ok(rows)
}

fn fold(hashes: &mut [u64], key: &Vector) -> Result<()> {
    let mut put = |row: usize, bits: u64| hashes[row] = mix(hashes[row] ^ bits);
    let is_null = |nulls: &Option<Vec<bool>>, row: usize| nulls.as_ref().is_some_and(|nulls| nulls[row]);
    match key {
        Vector::Null { len } => (0..*len).for_each(|row| put(row, NULL)),
        Vector::Long { values, nulls } => {
            (0..values.len()).for_each(|row| put(row, if is_null(nulls, row) { NULL } else { values[row] as u64 }));
        }
        Vector::Float { values, nulls } => {
            (0..values.len()).for_each(|row| put(row, if is_null(nulls, row) { NULL } else { float_bits(values[row]) }));
        }
        Vector::Double { values, nulls } => {
            (0..values.len()).for_each(|row| put(row, if is_null(nulls, row) { NULL } else { double_bits(values[row]) }));
        }
        Vector::String(values) => {
            values.iter().enumerate().for_each(|(row, text)| put(row, text.as_deref().map_or(NULL, |t| of_bytes(t.as_bytes()))));
        }
        Vector::Codes { dictionary, codes } => {
            for (row, code) in codes.iter().enumerate() {
                put(row, dictionary.get(*code)?.map_or(NULL, |text| of_bytes(text.as_bytes())));
            }
        }
        Vector::Any { values, .. } => {
            let mut bytes = Vec::new();
            for (row, value) in values.iter().enumerate() {
                bytes.clear();
                encode_value(value, &mut bytes);
                put(row, if value.is_null() { NULL } else { of_bytes(&bytes) });
            }
        }
    }
    Ok(())
}

fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}
