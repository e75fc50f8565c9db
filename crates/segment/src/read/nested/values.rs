//! The values of a nested column by global id: strings (0 is null), then longs, doubles and arrays of the ids before.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::{Dictionary, Value};

use super::Parts;
use crate::read::cursor::{ByteOrder, Cursor, Place, damaged};
use crate::read::dictionary::StringDictionary;
use crate::read::fixed_indexed::FixedIndexed;
use crate::read::front_coded::FrontCodedArrays;

/// The dictionaries that make up the id space.
pub(crate) struct GlobalValues {
    pub(crate) strings: Arc<StringDictionary>,
    longs: FixedIndexed<i64>,
    doubles: FixedIndexed<f64>,
    arrays: Option<FrontCodedArrays>,
    longs_start: u32,
    doubles_start: u32,
    arrays_start: u32,
    total: u32,
}

impl GlobalValues {
    pub(crate) fn read(parts: &Parts<'_>, order: ByteOrder, place: &Place) -> Result<Self> {
        let file = |suffix: &str| parts.require(suffix).map(Cursor::new);
        let strings = StringDictionary::read(&mut file("__stringDictionary")?, parts.files, order, place)?;
        let longs = FixedIndexed::<i64>::read(&mut file("__longDictionary")?, order)?;
        let doubles = FixedIndexed::<f64>::read(&mut file("__doubleDictionary")?, order)?;
        let arrays = match parts.get("__arrayDictionary") {
            Some(bytes) => Some(FrontCodedArrays::read(&mut Cursor::new(bytes), order)?),
            None => None,
        };
        let sum = |a: u32, b: u32| a.checked_add(b).ok_or_else(|| damaged("dictionaries are too large together"));
        let longs_start = strings.cardinality();
        let doubles_start = sum(longs_start, longs.len())?;
        let arrays_start = sum(doubles_start, doubles.len())?;
        let total = sum(arrays_start, arrays.as_ref().map_or(0, FrontCodedArrays::len))?;
        let strings = Arc::new(strings);
        Ok(GlobalValues { strings, longs, doubles, arrays, longs_start, doubles_start, arrays_start, total })
    }

    /// Number of ids.
    pub(crate) fn len(&self) -> u32 {
        self.total
    }

    /// The value of an id that is no array.
    fn scalar(&self, id: u32) -> Result<Value> {
        if id < self.longs_start {
            return Ok(self.strings.get(id)?.map_or(Value::Null, |text| Value::from(text.as_ref())));
        }
        if id < self.doubles_start {
            return Ok(self.longs.get(id - self.longs_start)?.map_or(Value::Null, Value::Long));
        }
        if id < self.arrays_start {
            return Ok(self.doubles.get(id - self.doubles_start)?.map_or(Value::Null, Value::Double));
        }
        Err(damaged(format!("id is no scalar. id={id}")))
    }

    /// The value of any id.
    pub(crate) fn get(&self, id: u32) -> Result<Value> {
        match &self.arrays {
            Some(arrays) if id >= self.arrays_start => match arrays.get(id - self.arrays_start)? {
                None => Ok(Value::Null),
                Some(elements) => Ok(Value::Array(elements.iter().map(|e| self.scalar(*e)).collect::<Result<_>>()?)),
            },
            _ => self.scalar(id),
        }
    }
}
