//! Decodes Smile, the binary JSON in which Druid stores whole values of json columns, from untrusted bytes: depth is bounded
//! and nothing is allocated that the bytes do not hold.

use ovate_base::Result;
use serde_json::{Map, Number, Value};

use super::cursor::damaged;

const DEPTH_MAX: usize = 200;
const SHARED_MAX: usize = 1024;

/// The value in a Smile document.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value> {
    let [b':', b')', b'\n', flags, body @ ..] = bytes else { return Err(damaged("bytes are no smile document")) };
    let mut decoder = Decoder {
        rest: body,
        shared_names: flags & 1 != 0,
        shared_strings: flags & 2 != 0,
        names: Vec::new(),
        strings: Vec::new(),
    };
    decoder.value(0)
}

struct Decoder<'a> {
    rest: &'a [u8],
    shared_names: bool,
    shared_strings: bool,
    names: Vec<&'a str>,
    strings: Vec<&'a str>,
}

fn short() -> ovate_base::DruidError {
    damaged("smile document ends too early")
}

impl<'a> Decoder<'a> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(short)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (front, rest) = self.rest.split_at_checked(count).ok_or_else(short)?;
        self.rest = rest;
        Ok(front)
    }

    fn text(&mut self, count: usize) -> Result<&'a str> {
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).map_err(|_| damaged("smile text is not UTF-8"))
    }

    /// Text up to the byte 0xFC, which UTF-8 does not use.
    fn long_text(&mut self) -> Result<&'a str> {
        let length = self.rest.iter().position(|b| *b == 0xFC).ok_or_else(short)?;
        let text = self.text(length)?;
        self.byte()?;
        Ok(text)
    }

    /// Groups of 7 bits, the last byte with its high bit set and 6 bits.
    fn vint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for _ in 0..11 {
            let byte = self.byte()?;
            if byte & 0x80 != 0 {
                return Ok(value << 6 | u64::from(byte & 0x3F));
            }
            value = value << 7 | u64::from(byte);
        }
        Err(damaged("smile integer has no end"))
    }

    fn zigzag(&mut self) -> Result<i64> {
        let value = self.vint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Bytes of 7 bits that hold the low `bits` bits of a number.
    fn seven_bits(&mut self, count: usize) -> Result<u64> {
        Ok(self.take(count)?.iter().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7F)))
    }

    /// Binary data in bytes of 7 bits, of which the last holds the remaining bits low.
    fn seven_bit_bytes(&mut self) -> Result<Vec<u8>> {
        let length = usize::try_from(self.vint()?).map_err(|_| short())?;
        let packed = self.take(length.checked_mul(8).ok_or_else(short)?.div_ceil(7))?;
        let mut bytes = Vec::with_capacity(length);
        let (mut window, mut held, mut left) = (0u32, 0, length * 8);
        for byte in packed {
            let bits = left.min(7) as u32;
            left -= bits as usize;
            window = window << bits | u32::from(byte & 0x7F) & ((1 << bits) - 1);
            held += bits;
            if held >= 8 {
                held -= 8;
                bytes.push((window >> held) as u8);
            }
        }
        Ok(bytes)
    }

    fn remember(list: &mut Vec<&'a str>, text: &'a str) {
        if list.len() == SHARED_MAX {
            list.clear();
        }
        list.push(text);
    }

    fn short_value(&mut self, length: usize) -> Result<Value> {
        let text = self.text(length)?;
        if self.shared_strings {
            Self::remember(&mut self.strings, text);
        }
        Ok(Value::from(text))
    }

    fn shared_value(&self, index: usize) -> Result<Value> {
        let text = self.strings.get(index).ok_or_else(|| damaged("smile refers to a text that is not there"))?;
        Ok(Value::from(*text))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > DEPTH_MAX {
            return Err(damaged("smile document is nested too deeply"));
        }
        let token = self.byte()?;
        let length = usize::from(token & 0x1F);
        match token {
            0x01..=0x1F => self.shared_value(length - 1),
            0x20 => Ok(Value::from("")),
            0x21 => Ok(Value::Null),
            0x22 => Ok(Value::Bool(false)),
            0x23 => Ok(Value::Bool(true)),
            0x24 | 0x25 => Ok(Value::from(self.zigzag()?)),
            0x26 => Ok(big_integer(&self.seven_bit_bytes()?)),
            0x28 => {
                let value = f32::from_bits(self.seven_bits(5)? as u32);
                // The shortest decimal of the float, as Java prints it.
                Ok(number(value.to_string().parse().unwrap_or(f64::from(value))))
            }
            0x29 => Ok(number(f64::from_bits(self.seven_bits(10)?))),
            0x2A => {
                let scale = self.zigzag()?;
                let unscaled = big_integer(&self.seven_bit_bytes()?).as_f64().unwrap_or(f64::NAN);
                let scale = scale.clamp(-400, 400) as i32;
                Ok(number(if scale >= 0 { unscaled / 10f64.powi(scale) } else { unscaled * 10f64.powi(-scale) }))
            }
            0x40..=0x5F => self.short_value(length + 1),
            0x60..=0x7F => self.short_value(length + 33),
            0x80..=0x9F => self.short_value(length + 2),
            0xA0..=0xBF => self.short_value(length + 34),
            0xC0..=0xDF => Ok(Value::from((length as i64 >> 1) ^ -(length as i64 & 1))),
            0xE0 | 0xE4 => Ok(Value::from(self.long_text()?)),
            0xEC..=0xEF => {
                let index = usize::from(token & 3) << 8 | usize::from(self.byte()?);
                self.shared_value(index)
            }
            0xF8 => self.array(depth),
            0xFA => self.object(depth),
            _ => Err(damaged(format!("unknown smile token. token={token:#04x}"))),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        let mut elements = Vec::new();
        loop {
            match self.rest.first() {
                Some(0xF9) => {
                    self.byte()?;
                    return Ok(Value::Array(elements));
                }
                _ => elements.push(self.value(depth + 1)?),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        let mut object = Map::new();
        while let Some(name) = self.name()? {
            let value = self.value(depth + 1)?;
            object.insert(name.to_owned(), value);
        }
        Ok(Value::Object(object))
    }

    /// The next field's name, `None` at the end of the object.
    fn name(&mut self) -> Result<Option<&'a str>> {
        let token = self.byte()?;
        let shared = |names: &[&'a str], index: usize| {
            names.get(index).copied().map(Some).ok_or_else(|| damaged("smile refers to a name that is not there"))
        };
        let name = match token {
            0x20 => return Ok(Some("")),
            0x30..=0x33 => {
                let index = usize::from(token & 3) << 8 | usize::from(self.byte()?);
                return shared(&self.names, index);
            }
            0x34 => return self.long_text().map(Some),
            0x40..=0x7F => return shared(&self.names, usize::from(token & 0x3F)),
            0x80..=0xBF => self.text(usize::from(token & 0x3F) + 1)?,
            0xC0..=0xF7 => self.text(usize::from(token - 0xC0) + 2)?,
            0xFB => return Ok(None),
            _ => return Err(damaged(format!("unknown smile name. token={token:#04x}"))),
        };
        if self.shared_names {
            Self::remember(&mut self.names, name);
        }
        Ok(Some(name))
    }
}

/// A double; what JSON cannot hold becomes the text that Druid writes for it.
pub(crate) fn number(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from("NaN"),
        None if value > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

/// A big-endian two's complement integer; beyond 64 bits it becomes a double.
fn big_integer(bytes: &[u8]) -> Value {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    if bytes.len() <= 16 {
        let start = if negative { -1i128 } else { 0 };
        let value = bytes.iter().fold(start, |value, byte| value << 8 | i128::from(*byte));
        if let Ok(value) = i64::try_from(value) {
            return Value::from(value);
        }
        return u64::try_from(value).map_or_else(|_| number(value as f64), Value::from);
    }
    let start = if negative { -1.0 } else { 0.0 };
    number(bytes.iter().fold(start, |value: f64, byte| value * 256.0 + f64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_decode() {
        let bytes = b":)\n\x05\xFA\x80a\xC2\x80b\xF8\x40x\x21\x23\xF9\x40\x24\x01\x88\xFB";
        assert_eq!(decode(bytes).unwrap(), json!({"a": 36, "b": ["x", null, true]}));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn deep_documents_are_errors() {
        let mut bytes = b":)\n\x05".to_vec();
        bytes.resize(100_000, 0xF8);
        assert!(decode(&bytes).is_err());
    }
}
