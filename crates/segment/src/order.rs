//! Java's order of strings: by UTF-16 code unit. It differs from byte order only where characters beyond the BMP meet
//! U+E000 to U+FFFF.

use std::cmp::Ordering;

/// Compares as `String.compareTo` does.
pub fn utf16_order(a: &str, b: &str) -> Ordering {
    utf16_byte_order(a.as_bytes(), b.as_bytes())
}

/// The same for UTF-8 bytes. At the first different byte, the lead byte decides, but four-byte sequences (lead F0 and up,
/// surrogates in UTF-16) come before three-byte ones with lead EE and EF (U+E000 and up).
#[inline]
pub fn utf16_byte_order(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.iter().zip(b).position(|(x, y)| x != y);
    match common {
        None => a.len().cmp(&b.len()),
        Some(at) => weight(a[at]).cmp(&weight(b[at])),
    }
}

/// Different bytes at the same place: continuation bytes keep their order, and lead bytes EE and EF go behind F0 to F4.
#[inline]
fn weight(byte: u8) -> u16 {
    match byte {
        0xEE | 0xEF => byte as u16 + 0x100,
        _ => byte as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_utf16_units() {
        let texts = [
            "",
            "a",
            "ab",
            "b",
            "é",
            "\u{7ff}",
            "\u{800}",
            "\u{d7ff}",
            "\u{e000}",
            "\u{ffff}",
            "\u{10000}",
            "\u{10ffff}",
            "\u{e000}x",
        ];
        for a in texts {
            for b in texts {
                let expected = a.encode_utf16().collect::<Vec<_>>().cmp(&b.encode_utf16().collect::<Vec<_>>());
                assert_eq!(utf16_order(a, b), expected, "{a:?} {b:?}");
            }
        }
    }
}
