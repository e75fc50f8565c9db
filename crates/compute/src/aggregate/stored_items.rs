//! What sketches make of each value of a dictionary, as bytes that can be kept in a file: four a code, 0 where a value counts
//! as nothing. Whoever keeps them need not know what they mean.

use std::sync::Arc;

use ovate_base::Result;

use super::sketched::DerivedKind;
use crate::column::{Derived, Dictionary};
use crate::sketch::hll::{self, HllCoupon};
use crate::sketch::hyperloglog::Observation;
use crate::sketch::utf16_bytes;

/// The kinds of things kept beside a column ([`crate::Column::derived`]) that have bytes.
pub const STORED_KINDS: [usize; 2] = [DerivedKind::HllUtf16 as usize, DerivedKind::Cardinality as usize];

const ITEM_BYTES: usize = 4;

/// The items of all values of a dictionary; `None` for a kind that has no bytes.
pub fn items_to_bytes(kind: usize, dictionary: &dyn Dictionary) -> Result<Option<Vec<u8>>> {
    let of_text: fn(&str) -> u32 = if kind == DerivedKind::HllUtf16 as usize {
        |text| hll::coupon(&utf16_bytes(text)).map_or(0, HllCoupon::bits)
    } else if kind == DerivedKind::Cardinality as usize {
        |text| Observation::of_bytes(&utf16_bytes(text)).bits()
    } else {
        return Ok(None);
    };
    let mut bytes = Vec::with_capacity(dictionary.cardinality() as usize * ITEM_BYTES);
    for code in 0..dictionary.cardinality() {
        let bits = dictionary.get(code)?.map_or(0, |text| of_text(&text));
        bytes.extend_from_slice(&bits.to_le_bytes());
    }
    Ok(Some(bytes))
}

/// Items of so many codes out of bytes, and how many bytes of memory they take; `None` for anything that is not that.
pub fn items_from_bytes(kind: usize, bytes: &[u8], codes: usize) -> Option<(Derived, usize)> {
    let (words, rest) = bytes.as_chunks::<ITEM_BYTES>();
    if words.len() != codes || !rest.is_empty() {
        return None;
    }
    let words = words.iter().map(|word| u32::from_le_bytes(*word));
    if kind == DerivedKind::HllUtf16 as usize {
        let items: Vec<Option<HllCoupon>> = words.map(HllCoupon::of_bits).collect();
        return Some((Arc::new(items), codes * size_of::<Option<HllCoupon>>()));
    }
    if kind == DerivedKind::Cardinality as usize {
        let item = |bits: u32| if bits == 0 { Some(None) } else { Observation::of_bits(bits).map(Some) };
        let items: Vec<Option<Observation>> = words.map(item).collect::<Option<_>>()?;
        return Some((Arc::new(items), codes * size_of::<Option<Observation>>()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::MemoryDictionary;

    #[test]
    fn items_come_back_as_they_were_made() {
        let texts = [None, Some(""), Some("a"), Some("ü"), Some("value 7")];
        let mut dictionary = MemoryDictionary::new();
        texts.iter().for_each(|text| {
            dictionary.intern(*text);
        });
        let bytes = items_to_bytes(DerivedKind::HllUtf16 as usize, &dictionary).unwrap().unwrap();
        let (items, _) = items_from_bytes(DerivedKind::HllUtf16 as usize, &bytes, texts.len()).unwrap();
        let items = items.downcast::<Vec<Option<HllCoupon>>>().unwrap();
        let made: Vec<_> = texts.iter().map(|text| text.and_then(|text| hll::coupon(&utf16_bytes(text)))).collect();
        assert_eq!(*items, made);
        let bytes = items_to_bytes(DerivedKind::Cardinality as usize, &dictionary).unwrap().unwrap();
        let (items, _) = items_from_bytes(DerivedKind::Cardinality as usize, &bytes, texts.len()).unwrap();
        let items = items.downcast::<Vec<Option<Observation>>>().unwrap();
        let made: Vec<_> = texts.iter().map(|text| text.map(|text| Observation::of_bytes(&utf16_bytes(text)))).collect();
        assert_eq!(*items, made);
        assert!(items_from_bytes(DerivedKind::Cardinality as usize, &bytes, 4).is_none());
        assert!(items_from_bytes(DerivedKind::Cardinality as usize, &[255; 4], 1).is_none(), "no such register");
        assert!(items_from_bytes(DerivedKind::Theta as usize, &bytes, 5).is_none());
        assert!(items_to_bytes(DerivedKind::Theta as usize, &dictionary).unwrap().is_none());
    }
}
