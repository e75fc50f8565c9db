//! Which types the values of a column or of a path have (`FieldTypeInfo.MutableTypeSet`), and the one type that holds
//! them all.

use ovate_compute::ColumnType;

use super::is_leaf_array;
use crate::packed::{Packed, PackedTable};

pub(super) const STRING: u8 = 0x01;
pub(super) const LONG: u8 = 0x04;
pub(super) const DOUBLE: u8 = 0x08;
pub(super) const STRING_ARRAY: u8 = 0x10;
pub(super) const LONG_ARRAY: u8 = 0x20;
pub(super) const DOUBLE_ARRAY: u8 = 0x40;
const ARRAYS: u8 = STRING_ARRAY | LONG_ARRAY | DOUBLE_ARRAY;

/// Types seen, as the mask that Druid stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TypeSet {
    mask: u8,
    /// Arrays without any element that is not null.
    untyped_array: bool,
    /// Objects, or arrays that hold arrays or objects.
    pub(super) nested: bool,
}

impl TypeSet {
    /// Of all values of a table.
    pub(super) fn of(table: &PackedTable) -> Self {
        let mut types = TypeSet::default();
        (0..table.len() as u32).for_each(|code| types.add(table.view(code)));
        types
    }

    /// Adds the type of a value.
    pub(super) fn add(&mut self, value: Packed<'_>) {
        match value {
            Packed::Null => {}
            Packed::String(_) => self.mask |= STRING,
            Packed::Long(_) | Packed::Boolean(_) => self.mask |= LONG,
            Packed::Double(_) => self.mask |= DOUBLE,
            Packed::Array(_) if is_leaf_array(&value) => match element_type(value) {
                None => self.untyped_array = true,
                Some(ColumnType::Long) => self.mask |= LONG_ARRAY,
                Some(ColumnType::Double) => self.mask |= DOUBLE_ARRAY,
                Some(_) => self.mask |= STRING_ARRAY,
            },
            Packed::Array(_) | Packed::Object(_) => self.nested = true,
        }
    }

    /// The mask; arrays without typed elements count as the smallest array type that the others allow.
    pub(super) fn mask(&self) -> u8 {
        if !self.untyped_array || self.mask & ARRAYS != 0 {
            return self.mask;
        }
        self.mask
            | match self.mask {
                scalars if scalars & STRING != 0 => STRING_ARRAY,
                scalars if scalars & DOUBLE != 0 => DOUBLE_ARRAY,
                _ => LONG_ARRAY,
            }
    }

    /// The type when all values are of one scalar type; null alone is STRING.
    pub(super) fn single_scalar(&self) -> Option<ColumnType> {
        match self.mask() {
            0 | STRING => Some(ColumnType::String),
            LONG => Some(ColumnType::Long),
            DOUBLE => Some(ColumnType::Double),
            _ => None,
        }
    }

    /// True when values of several types are there.
    pub(super) fn is_mixed(&self) -> bool {
        self.mask().count_ones() > 1
    }

    /// The type that holds all (`ColumnType.leastRestrictiveType`).
    pub(super) fn least_restrictive(&self) -> ColumnType {
        let mask = self.mask();
        let element = if mask & (STRING | STRING_ARRAY) != 0 {
            ColumnType::String
        } else if mask & (DOUBLE | DOUBLE_ARRAY) != 0 {
            ColumnType::Double
        } else {
            ColumnType::Long
        };
        if mask & ARRAYS != 0 { ColumnType::array(element) } else { element }
    }
}

/// Element type of an array of scalars (`ExprEval.bestEffortArray`); `None` when all are null.
pub(super) fn element_type(array: Packed<'_>) -> Option<ColumnType> {
    let Packed::Array(items) = array else { return None };
    let (mut strings, mut doubles, mut longs) = (false, false, false);
    for item in items.elements() {
        match item {
            Packed::String(_) => strings = true,
            Packed::Double(_) => doubles = true,
            Packed::Long(_) | Packed::Boolean(_) => longs = true,
            Packed::Null | Packed::Array(_) | Packed::Object(_) => {}
        }
    }
    match (strings, doubles, longs) {
        (true, _, _) => Some(ColumnType::String),
        (_, true, _) => Some(ColumnType::Double),
        (_, _, true) => Some(ColumnType::Long),
        _ => None,
    }
}
