//! The global ids of a column: strings (null is 0), longs, doubles, arrays of those, in this order, each sorted
//! (`GlobalDictionarySortedCollector`).

use std::collections::HashMap;

use ovate_compute::ColumnType;
use ovate_compute::value::double_to_text;

use super::types::element_type;
use crate::interner::{ByteInterner, sorted_codes};
use crate::packed::Packed;
use crate::write::data::ByteTable;

/// A distinct value, by kind and the number it got when first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Leaf {
    String(u32),
    Long(u32),
    Double(u32),
    Array(u32),
}

/// Distinct values as they are collected.
#[derive(Default)]
pub(super) struct GlobalDictionary {
    strings: ByteInterner,
    longs: Vec<i64>,
    long_codes: HashMap<i64, u32>,
    doubles: Vec<f64>,
    double_codes: HashMap<u64, u32>,
    arrays: Vec<Vec<Option<Leaf>>>,
    array_codes: HashMap<Vec<Option<Leaf>>, u32>,
}

impl GlobalDictionary {
    /// Adds a scalar; null gives `None`. Booleans are stored as 1 and 0.
    pub(super) fn add_scalar(&mut self, value: Packed<'_>) -> Option<Leaf> {
        match value {
            Packed::String(text) => Some(Leaf::String(self.strings.intern(text.as_bytes()))),
            Packed::Long(value) => Some(self.add_long(value)),
            Packed::Boolean(value) => Some(self.add_long(i64::from(value))),
            Packed::Double(value) => Some(self.add_double(value)),
            Packed::Null | Packed::Array(_) | Packed::Object(_) => None,
        }
    }

    /// Adds a scalar or an array of scalars, whose elements are cast to one type first.
    pub(super) fn add(&mut self, value: Packed<'_>) -> Option<Leaf> {
        let Packed::Array(items) = value else { return self.add_scalar(value) };
        let element = element_type(value);
        let array: Vec<Option<Leaf>> = items
            .elements()
            .map(|item| match (&element, item) {
                (Some(ColumnType::String), Packed::Long(value)) => self.add_text(&value.to_string()),
                (Some(ColumnType::String), Packed::Boolean(value)) => self.add_text(if value { "true" } else { "false" }),
                (Some(ColumnType::String), Packed::Double(value)) => self.add_text(&double_to_text(value)),
                (Some(ColumnType::Double), Packed::Long(value)) => Some(self.add_double(value as f64)),
                (Some(ColumnType::Double), Packed::Boolean(value)) => Some(self.add_double(f64::from(u8::from(value)))),
                (_, item) => self.add_scalar(item),
            })
            .collect();
        if let Some(code) = self.array_codes.get(&array) {
            return Some(Leaf::Array(*code));
        }
        let code = self.arrays.len() as u32;
        self.array_codes.insert(array.clone(), code);
        self.arrays.push(array);
        Some(Leaf::Array(code))
    }

    fn add_text(&mut self, text: &str) -> Option<Leaf> {
        Some(Leaf::String(self.strings.intern(text.as_bytes())))
    }

    fn add_long(&mut self, value: i64) -> Leaf {
        Leaf::Long(*self.long_codes.entry(value).or_insert_with(|| {
            self.longs.push(value);
            self.longs.len() as u32 - 1
        }))
    }

    fn add_double(&mut self, value: f64) -> Leaf {
        Leaf::Double(*self.double_codes.entry(value.to_bits()).or_insert_with(|| {
            self.doubles.push(value);
            self.doubles.len() as u32 - 1
        }))
    }

    /// Sorts all kinds; ids are known from here on.
    pub(super) fn sort(self) -> SortedDictionary {
        let string_order = sorted_codes(self.strings.values());
        let mut strings = ByteTable::default();
        string_order.iter().for_each(|code| strings.push(self.strings.get(*code)));
        let mut long_order: Vec<u32> = (0..self.longs.len() as u32).collect();
        long_order.sort_unstable_by_key(|code| self.longs[*code as usize]);
        let mut double_order: Vec<u32> = (0..self.doubles.len() as u32).collect();
        double_order.sort_unstable_by(|a, b| self.doubles[*a as usize].total_cmp(&self.doubles[*b as usize]));
        let mut sorted = SortedDictionary {
            strings,
            longs: long_order.iter().map(|code| self.longs[*code as usize]).collect(),
            doubles: double_order.iter().map(|code| self.doubles[*code as usize]).collect(),
            arrays: Vec::new(),
            string_ranks: ranks(&string_order),
            long_ranks: ranks(&long_order),
            double_ranks: ranks(&double_order),
            array_ranks: Vec::new(),
        };
        let arrays: Vec<Vec<u32>> =
            self.arrays.iter().map(|array| array.iter().map(|leaf| leaf.map_or(0, |leaf| sorted.id(leaf))).collect()).collect();
        let mut array_order: Vec<u32> = (0..arrays.len() as u32).collect();
        array_order.sort_unstable_by(|a, b| arrays[*a as usize].cmp(&arrays[*b as usize]));
        sorted.array_ranks = ranks(&array_order);
        sorted.arrays = array_order.iter().map(|code| arrays[*code as usize].clone()).collect();
        sorted
    }
}

/// The place of each code in the order.
fn ranks(order: &[u32]) -> Vec<u32> {
    let mut ranks = vec![0; order.len()];
    order.iter().enumerate().for_each(|(rank, code)| ranks[*code as usize] = rank as u32);
    ranks
}

/// Sorted values and the ids of what was collected.
pub(super) struct SortedDictionary {
    pub(super) strings: ByteTable,
    pub(super) longs: Vec<i64>,
    pub(super) doubles: Vec<f64>,
    /// Arrays of global ids.
    pub(super) arrays: Vec<Vec<u32>>,
    string_ranks: Vec<u32>,
    long_ranks: Vec<u32>,
    double_ranks: Vec<u32>,
    array_ranks: Vec<u32>,
}

impl SortedDictionary {
    fn first_long(&self) -> u32 {
        self.strings.len() as u32 + 1
    }

    fn first_double(&self) -> u32 {
        self.first_long() + self.longs.len() as u32
    }

    fn first_array(&self) -> u32 {
        self.first_double() + self.doubles.len() as u32
    }

    /// Number of global ids.
    pub(super) fn cardinality(&self) -> usize {
        self.first_array() as usize + self.arrays.len()
    }

    /// The place among values of its kind.
    pub(super) fn scalar_rank(&self, leaf: Leaf) -> u32 {
        match leaf {
            Leaf::String(code) => self.string_ranks[code as usize],
            Leaf::Long(code) => self.long_ranks[code as usize],
            Leaf::Double(code) => self.double_ranks[code as usize],
            Leaf::Array(code) => self.array_ranks[code as usize],
        }
    }

    /// The global id.
    pub(super) fn id(&self, leaf: Leaf) -> u32 {
        self.scalar_rank(leaf)
            + match leaf {
                Leaf::String(_) => 1,
                Leaf::Long(_) => self.first_long(),
                Leaf::Double(_) => self.first_double(),
                Leaf::Array(_) => self.first_array(),
            }
    }

    /// The long behind a global id.
    pub(super) fn long(&self, id: u32) -> i64 {
        self.longs[(id - self.first_long()) as usize]
    }

    /// The double behind a global id.
    pub(super) fn double(&self, id: u32) -> f64 {
        self.doubles[(id - self.first_double()) as usize]
    }

    /// The elements behind a global id, when it is an array's.
    pub(super) fn array(&self, id: u32) -> Option<&[u32]> {
        let index = id.checked_sub(self.first_array())?;
        Some(&self.arrays[index as usize])
    }
}
