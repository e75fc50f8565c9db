//! Lengths and slices counted in UTF-16 units, as Java's `String` counts. A slice that would cut a surrogate pair gives
//! the replacement character in its place.

use std::borrow::Cow;

/// `String.length()`.
pub fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// `String.substring(start, end)` with both ends moved into the text.
pub fn utf16_slice(text: &str, start: usize, end: usize) -> Cow<'_, str> {
    if text.is_ascii() {
        let start = start.min(text.len());
        return Cow::Borrowed(&text[start..end.clamp(start, text.len())]);
    }
    let units: Vec<u16> = text.encode_utf16().skip(start).take(end.saturating_sub(start)).collect();
    Cow::Owned(String::from_utf16_lossy(&units))
}
