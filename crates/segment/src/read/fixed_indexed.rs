//! `FixedIndexed`: a sorted dictionary of numbers of one width, with null as element 0 where there is one.

use bytes::Bytes;
use ovate_base::Result;

use super::cursor::{ByteOrder, Cursor, damaged};
use super::fixed::Scalar;

/// The dictionary; values stay in the mapping.
pub(crate) struct FixedIndexed<T> {
    has_null: bool,
    values: Bytes,
    order: ByteOrder,
    kind: std::marker::PhantomData<T>,
}

impl<T: Scalar> FixedIndexed<T> {
    pub(crate) fn read(cursor: &mut Cursor, order: ByteOrder) -> Result<Self> {
        let version = cursor.u8()?;
        if version != 0 {
            return Err(damaged(format!("unknown version of a number dictionary. version={version}")));
        }
        let flags = cursor.u8()?;
        if flags & !3 != 0 {
            return Err(damaged(format!("unknown flags of a number dictionary. flags={flags:#04x}")));
        }
        let count = cursor.count(order, "count of a number dictionary")?;
        let values = cursor.take(count.saturating_mul(T::WIDTH))?;
        Ok(FixedIndexed { has_null: flags & 1 != 0, values, order, kind: std::marker::PhantomData })
    }

    pub(crate) fn len(&self) -> u32 {
        (self.values.len() / T::WIDTH) as u32 + u32::from(self.has_null)
    }

    /// The value at an index; `None` is null.
    pub(crate) fn get(&self, index: u32) -> Result<Option<T>> {
        if index >= self.len() {
            return Err(damaged(format!("no such value of a number dictionary. index={index} length={}", self.len())));
        }
        if self.has_null && index == 0 {
            return Ok(None);
        }
        let start = (index - u32::from(self.has_null)) as usize * T::WIDTH;
        Ok(Some(T::from_bytes(&self.values[start..start + T::WIDTH], self.order)))
    }

    /// The index of a value, which must compare as `less` and `equal` say.
    pub(crate) fn find(&self, less: impl Fn(T) -> bool, equal: impl Fn(T) -> bool) -> Result<Option<u32>> {
        let (mut low, mut high) = (u32::from(self.has_null), self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)?.is_some_and(&less) { low = middle + 1 } else { high = middle }
        }
        Ok((low < self.len() && self.get(low)?.is_some_and(equal)).then_some(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_comes_before_the_numbers() {
        let bytes = [0, 3, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        let cursor = &mut Cursor::new(Bytes::copy_from_slice(&bytes));
        let list = FixedIndexed::<i64>::read(cursor, ByteOrder::Little).unwrap();
        assert_eq!((0..3).map(|i| list.get(i).unwrap()).collect::<Vec<_>>(), [None, Some(5), Some(9)]);
        assert_eq!(list.find(|v| v < 9, |v| v == 9).unwrap(), Some(2));
        assert_eq!(list.find(|v| v < 7, |v| v == 7).unwrap(), None);
        assert!(list.get(3).is_err());
    }
}
