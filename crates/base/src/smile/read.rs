//! Reading Smile from bytes that nobody vouches for: what is allocated is a small multiple of what was received.

use std::sync::Arc;

use super::{DEPTH_MAX, MAGIC, RAW_BINARY, SHARED_MAX, SHARED_NAMES, SHARED_VALUES, SmileValue};
use crate::{DruidError, Result};

/// Ends texts of unknown length.
const END_OF_TEXT: u8 = 0xFC;
/// Longest text that is shared, in bytes.
const SHARED_TEXT_MAX: usize = 64;

/// A cursor over one document. [`SmileReader::value`] reads a whole value; arrays can be read element by element.
pub struct SmileReader<'a> {
    bytes: &'a [u8],
    at: usize,
    names: Option<Vec<Arc<str>>>,
    texts: Option<Vec<Arc<str>>>,
}

fn damaged(what: &str) -> DruidError {
    DruidError::invalid_input(format!("cannot read Smile: {what}"))
}

impl<'a> SmileReader<'a> {
    /// Reads the header.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let flags = match bytes.strip_prefix(MAGIC).and_then(<[u8]>::first) {
            Some(flags) => *flags,
            None => return Err(damaged("no header")),
        };
        if flags >> 4 != 0 {
            return Err(damaged(&format!("unknown version {}", flags >> 4)));
        }
        // Raw binary needs no mode of its own: its token tells.
        let _ = flags & RAW_BINARY;
        let names = (flags & SHARED_NAMES != 0).then(Vec::new);
        let texts = (flags & SHARED_VALUES != 0).then(Vec::new);
        Ok(SmileReader { bytes, at: MAGIC.len() + 1, names, texts })
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| damaged("it is cut off"))?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or_else(|| damaged("it is cut off"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// True when the next value is an array, whose beginning is passed then.
    pub fn begin_array(&mut self) -> Result<bool> {
        let is_array = self.bytes.get(self.at) == Some(&0xF8);
        self.at += usize::from(is_array);
        Ok(is_array)
    }

    /// The next element of the array begun, `None` at its end.
    pub fn element(&mut self) -> Result<Option<SmileValue>> {
        if self.bytes.get(self.at) == Some(&0xF9) {
            self.at += 1;
            return Ok(None);
        }
        self.value().map(Some)
    }

    /// Nothing but an end marker may follow.
    pub fn end(&self) -> Result<()> {
        match self.bytes.get(self.at..) {
            None | Some([] | [0xFF]) => Ok(()),
            Some(_) => Err(damaged("there is something behind the document")),
        }
    }

    /// One whole value.
    pub fn value(&mut self) -> Result<SmileValue> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Result<SmileValue> {
        if depth > DEPTH_MAX {
            return Err(damaged("it is nested too deep"));
        }
        let token = self.byte()?;
        Ok(match token {
            0x01..=0x1F => self.shared_text(usize::from(token) - 1)?,
            0x20 => SmileValue::Text(String::new()),
            0x21 => SmileValue::Null,
            0x22 => SmileValue::Bool(false),
            0x23 => SmileValue::Bool(true),
            0x24 | 0x25 => SmileValue::Long(zigzag(self.count()?)),
            0x26 => self.big_integer()?,
            0x28 => SmileValue::Float(f32::from_bits(self.bits(5)? as u32)),
            0x29 => SmileValue::Double(f64::from_bits(self.bits(10)?)),
            0x2A => self.big_decimal()?,
            0x40..=0x7F => self.short_text(usize::from(token - 0x40) + 1)?,
            0x80..=0xBF => self.short_text(usize::from(token - 0x80) + 2)?,
            0xC0..=0xDF => SmileValue::Long(zigzag(u64::from(token & 0x1F))),
            0xE0..=0xE7 => SmileValue::Text(self.long_text()?.to_owned()),
            0xE8..=0xEB => SmileValue::Bytes(self.packed_bytes()?),
            0xEC..=0xEF => {
                let low = usize::from(self.byte()?);
                self.shared_text(usize::from(token & 3) << 8 | low)?
            }
            0xF8 => {
                let mut items = Vec::new();
                while self.bytes.get(self.at) != Some(&0xF9) {
                    items.push(self.nested(depth + 1)?);
                }
                self.at += 1;
                SmileValue::Array(items)
            }
            0xFA => {
                let mut fields = Vec::new();
                while let Some(name) = self.name()? {
                    fields.push((name, self.nested(depth + 1)?));
                }
                SmileValue::Object(fields)
            }
            0xFD => {
                let length = usize::try_from(self.count()?).map_err(|_| damaged("it is cut off"))?;
                SmileValue::Bytes(self.take(length)?.to_vec())
            }
            other => return Err(damaged(&format!("unexpected token {other:#04x}"))),
        })
    }

    /// The next name of an object; `None` at its end.
    fn name(&mut self) -> Result<Option<Arc<str>>> {
        let token = self.byte()?;
        let (length, shares) = match token {
            0x20 => return Ok(Some(Arc::from(""))),
            0x30..=0x33 => {
                let low = usize::from(self.byte()?);
                return shared(&self.names, usize::from(token & 3) << 8 | low).map(Some);
            }
            0x34 => return Ok(Some(Arc::from(self.long_text()?))),
            0x40..=0x7F => return shared(&self.names, usize::from(token - 0x40)).map(Some),
            0x80..=0xBF => (usize::from(token - 0x80) + 1, true),
            0xC0..=0xF7 => (usize::from(token - 0xC0) + 2, true),
            0xFB => return Ok(None),
            other => return Err(damaged(&format!("unexpected token {other:#04x} for a name"))),
        };
        let name: Arc<str> = Arc::from(text(self.take(length)?)?);
        if shares {
            remember(&mut self.names, &name);
        }
        Ok(Some(name))
    }

    fn short_text(&mut self, length: usize) -> Result<SmileValue> {
        let text = text(self.take(length)?)?;
        if self.texts.is_some() && length <= SHARED_TEXT_MAX {
            remember(&mut self.texts, &Arc::from(text));
        }
        Ok(SmileValue::Text(text.to_owned()))
    }

    fn shared_text(&mut self, index: usize) -> Result<SmileValue> {
        Ok(SmileValue::Text(shared(&self.texts, index)?.to_string()))
    }

    fn long_text(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == END_OF_TEXT).ok_or_else(|| damaged("a text has no end"))?;
        let bytes = self.take(length)?;
        self.at += 1;
        text(bytes)
    }

    /// A number of variable length: 7 bits a byte, 6 in the last, which has the top bit set.
    fn count(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for _ in 0..11 {
            let byte = self.byte()?;
            let (bits, part) = if byte & 0x80 != 0 { (6, byte & 0x3F) } else { (7, byte) };
            if value >> (64 - bits) != 0 {
                break;
            }
            value = value << bits | u64::from(part);
            if byte & 0x80 != 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too long"))
    }

    /// Bits in bytes of seven, most significant first.
    fn bits(&mut self, count: usize) -> Result<u64> {
        Ok(self.take(count)?.iter().fold(0, |bits, byte| bits << 7 | u64::from(byte & 0x7F)))
    }

    /// Bytes in bytes of seven bits.
    fn packed_bytes(&mut self) -> Result<Vec<u8>> {
        let length = usize::try_from(self.count()?).map_err(|_| damaged("it is cut off"))?;
        let packed = length.checked_mul(8).map(|bits| bits.div_ceil(7)).ok_or_else(|| damaged("it is cut off"))?;
        let packed = self.take(packed)?;
        let mut bytes = Vec::with_capacity(length);
        for chunk in packed.chunks(8) {
            let whole = chunk.len() - 1;
            // The last byte of a chunk holds as many bits as are left, in its low end.
            let bits = chunk[..whole].iter().fold(0u64, |bits, byte| bits << 7 | u64::from(byte & 0x7F));
            let last = u64::from(chunk[whole] & 0x7F);
            let bits = bits << whole | last & ((1 << whole) - 1);
            bytes.extend_from_slice(&bits.to_be_bytes()[8 - whole..]);
        }
        Ok(bytes)
    }

    fn big_integer(&mut self) -> Result<SmileValue> {
        Ok(big_number(&self.packed_bytes()?, 0))
    }

    fn big_decimal(&mut self) -> Result<SmileValue> {
        let scale = zigzag(self.count()?);
        let scale = i32::try_from(scale).map_err(|_| damaged("a decimal's scale is out of range"))?;
        Ok(big_number(&self.packed_bytes()?, scale))
    }
}

/// Big endian two's complement, divided by ten to the `scale`: a long where it is one, else the nearest double.
fn big_number(bytes: &[u8], scale: i32) -> SmileValue {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    if scale == 0 && bytes.len() <= 8 {
        let start = if negative { -1i64 } else { 0 };
        return SmileValue::Long(bytes.iter().fold(start, |value, byte| value << 8 | i64::from(*byte)));
    }
    let start = if negative { -1.0 } else { 0.0 };
    let value = bytes.iter().fold(start, |value, byte| value * 256.0 + f64::from(*byte));
    SmileValue::Double(if scale == 0 { value } else { value / 10f64.powi(scale) })
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| damaged("a text is not UTF-8"))
}

fn shared(known: &Option<Vec<Arc<str>>>, index: usize) -> Result<Arc<str>> {
    known.as_ref().and_then(|known| known.get(index)).cloned().ok_or_else(|| damaged("a reference leads nowhere"))
}

fn remember(known: &mut Option<Vec<Arc<str>>>, text: &Arc<str>) {
    if let Some(known) = known {
        if known.len() == SHARED_MAX {
            known.clear();
        }
        known.push(text.clone());
    }
}
