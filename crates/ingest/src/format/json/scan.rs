//! A scanner over JSON text: one pass, no tree. It checks what it reads as Jackson does, except that a value which nobody
//! wants is only checked for its extent.

use std::borrow::Cow;

/// Where and why a record is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanError {
    pub at: usize,
    pub why: &'static str,
}

/// A scalar, or the extent of something nested.
#[derive(Debug)]
pub enum Token<'a> {
    Null,
    Bool(bool),
    Long(i64),
    Double(f64),
    Text(Cow<'a, str>),
    /// An object or an array, brackets included.
    Nested(&'a str),
}

/// Reads values one after the other.
pub struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pub at: usize,
}

/// Deeper values are refused, as Jackson does.
const DEPTH_MAX: usize = 1000;

impl<'a> Scanner<'a> {
    /// A scanner at the start of a text.
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, bytes: text.as_bytes(), at: 0 }
    }

    fn error<T>(&self, why: &'static str) -> Result<T, ScanError> {
        Err(ScanError { at: self.at, why })
    }

    /// Skips white space; true when something follows.
    #[inline]
    pub fn skip_blanks(&mut self) -> bool {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return true;
            }
            self.at += 1;
        }
        false
    }

    /// The byte at hand, 0 at the end.
    #[inline]
    pub fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Takes this byte, or fails.
    #[inline]
    pub fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), ScanError> {
        if self.peek() == byte && self.at < self.bytes.len() {
            self.at += 1;
            return Ok(());
        }
        self.error(why)
    }

    /// A string; the opening quote is at hand.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, ScanError> {
        self.expect(b'"', "a string must start with a double quote")?;
        let start = self.at;
        let stop = start + quiet_bytes(&self.bytes[start..]);
        self.at = stop;
        match self.bytes.get(stop) {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(&self.text[start..stop]))
            }
            Some(b'\\') => self.escaped(start),
            Some(_) => self.error("illegal control character in a string"),
            None => self.error("the end came inside a string"),
        }
    }

    /// The rest of a string with escapes; the first backslash is at hand.
    #[cold]
    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>, ScanError> {
        let mut out = self.text[start..self.at].to_owned();
        loop {
            let from = self.at;
            self.at += quiet_bytes(&self.bytes[from..]);
            out.push_str(&self.text[from..self.at]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let escape = self.peek();
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' => out.push(escape as char),
                        b'b' => out.push('\u{8}'),
                        b'f' => out.push('\u{c}'),
                        b'n' => out.push('\n'),
                        b'r' => out.push('\r'),
                        b't' => out.push('\t'),
                        b'u' => out.push(self.unicode()?),
                        _ => return self.error("unrecognized character escape"),
                    }
                }
                Some(_) => return self.error("illegal control character in a string"),
                None => return self.error("the end came inside a string"),
            }
        }
    }

    fn hex4(&mut self) -> Result<u32, ScanError> {
        let digits = self.bytes.get(self.at..self.at + 4).and_then(|d| std::str::from_utf8(d).ok());
        match digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.error("expected four hexadecimal digits"),
        }
    }

    /// The character of `\uXXXX`; halves of pairs that stand alone read as `?`, which is how Java encodes them.
    fn unicode(&mut self) -> Result<char, ScanError> {
        let code = self.hex4()?;
        if (0xD800..0xDC00).contains(&code) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xDC00..0xE000).contains(&low) {
                return Ok(char::from_u32(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)).unwrap_or('?'));
            }
            self.at = back;
        }
        Ok(char::from_u32(code).unwrap_or('?'))
    }

    /// The value at hand.
    #[inline]
    pub fn value(&mut self) -> Result<Token<'a>, ScanError> {
        match self.peek() {
            b'"' => self.string().map(Token::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' | b'[' => {
                let start = self.at;
                self.skip_nested()?;
                Ok(Token::Nested(&self.text[start..self.at]))
            }
            b't' => self.word("true", Token::Bool(true)),
            b'f' => self.word("false", Token::Bool(false)),
            b'n' => self.word("null", Token::Null),
            _ => self.error("expected a value"),
        }
    }

    /// Skips the value at hand.
    pub fn skip_value(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_nested(),
            _ => self.value().map(|_| ()),
        }
    }

    fn word(&mut self, word: &'static str, token: Token<'a>) -> Result<Token<'a>, ScanError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            if !self.bytes.get(self.at).is_some_and(u8::is_ascii_alphanumeric) {
                return Ok(token);
            }
        }
        self.error("unrecognized token")
    }

    fn skip_string(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        loop {
            self.at += quiet_bytes(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.at = (self.at + 2).min(self.bytes.len()),
                Some(_) => return self.error("illegal control character in a string"),
                None => return self.error("the end came inside a string"),
            }
        }
    }

    fn skip_nested(&mut self) -> Result<(), ScanError> {
        let mut closing: Vec<u8> = Vec::new();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.skip_string()?;
                    continue;
                }
                Some(b'{') => closing.push(b'}'),
                Some(b'[') => closing.push(b']'),
                Some(b'}' | b']') => {
                    if closing.pop() != Some(self.bytes[self.at]) {
                        return self.error("unexpected closing bracket");
                    }
                    if closing.is_empty() {
                        self.at += 1;
                        return Ok(());
                    }
                }
                Some(_) => {}
                None => return self.error("the end came inside an object or a list"),
            }
            if closing.len() > DEPTH_MAX {
                return self.error("nesting is deeper than 1000");
            }
            self.at += 1;
        }
    }

    #[inline]
    fn number(&mut self) -> Result<Token<'a>, ScanError> {
        let start = self.at;
        let negative = self.peek() == b'-';
        if negative {
            self.at += 1;
        }
        let digits = self.at;
        let mut whole: i64 = 0;
        while let Some(digit) = self.bytes.get(self.at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            whole = whole.wrapping_mul(10).wrapping_add(i64::from(digit));
            self.at += 1;
        }
        let count = self.at - digits;
        if count == 0 {
            return self.error("expected a digit");
        }
        if count > 1 && self.bytes[digits] == b'0' {
            return self.error("leading zeroes are not allowed in numbers");
        }
        if !matches!(self.peek(), b'.' | b'e' | b'E') {
            if count <= 18 {
                return Ok(Token::Long(if negative { -whole } else { whole }));
            }
            let text = &self.text[start..self.at];
            return Ok(text.parse().map_or_else(|_| Token::Double(text.parse().unwrap_or(f64::INFINITY)), Token::Long));
        }
        self.fraction()?;
        match self.text[start..self.at].parse() {
            Ok(value) => Ok(Token::Double(value)),
            Err(_) => self.error("malformed number"),
        }
    }

    fn fraction(&mut self) -> Result<(), ScanError> {
        let digits = |scanner: &mut Self| {
            let from = scanner.at;
            while scanner.bytes.get(scanner.at).is_some_and(u8::is_ascii_digit) {
                scanner.at += 1;
            }
            if scanner.at == from { scanner.error("expected a digit") } else { Ok(()) }
        };
        if self.peek() == b'.' {
            self.at += 1;
            digits(self)?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            digits(self)?;
        }
        Ok(())
    }
}

/// How many bytes from the start are neither quote, backslash nor control character; eight at a time.
#[inline]
fn quiet_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(eight) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        let zero_in = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
        let quote = zero_in(word ^ (ONES * b'"' as u64));
        let slash = zero_in(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let hits = quote | slash | control;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_bytes_agrees_with_the_plain_loop() {
        for text in [
            "",
            "abc",
            "abcdefgh",
            "abcdefghi\"",
            "äöü\u{7f}üüüü\\",
            "1234567\n",
            "\u{1f}",
            "ab\"defgh",
            "\u{80}\u{a2}\u{dc}xxxxxxx\"",
        ] {
            let plain = text.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(text.len());
            assert_eq!(quiet_bytes(text.as_bytes()), plain, "{text:?}");
        }
    }

    #[test]
    fn scalars_are_read() {
        let read = |text: &str| format!("{:?}", Scanner::new(text).value());
        assert_eq!(read("-12"), "Ok(Long(-12))");
        assert_eq!(read("9223372036854775807"), "Ok(Long(9223372036854775807))");
        assert_eq!(read("9223372036854775808"), "Ok(Double(9.223372036854776e18))");
        assert_eq!(read("1.5e3"), "Ok(Double(1500.0))");
        assert_eq!(read(r#""a\u00e4\ud83d\ude00\n""#), "Ok(Text(\"aä😀\\n\"))");
        for bad in ["", "-", "01", "1.", "1e", "tru", "truex", "\"a", "\"\\x\"", "{\"a\":1", "[}", "'a'", "\"a\nb\""] {
            assert!(Scanner::new(bad).value().is_err(), "{bad}");
        }
    }
}
