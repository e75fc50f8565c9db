//! Cuts SQL text into tokens as Calcite's lexer does: double quotes make names, single quotes text, case is kept.

use ovate_base::{DruidError, Result};

use super::ast::Pos;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// An unquoted word; `upper` is for keyword tests.
    Word {
        text: String,
        upper: String,
    },
    Quoted(String),
    String(String),
    /// Digits; with `point` or `exponent` where there is one.
    Number {
        text: String,
        point: bool,
        exponent: bool,
    },
    /// An operator or punctuation.
    Symbol(&'static str),
    End,
}

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub pos: Pos,
    /// Byte offset of the token's first character.
    pub offset: usize,
}

impl Token {
    /// The token as an error message shows it.
    pub fn shown(&self) -> String {
        match &self.kind {
            Kind::Word { text, .. } => text.clone(),
            Kind::Quoted(text) => format!("\"{text}\""),
            Kind::String(text) => format!("'{text}'"),
            Kind::Number { text, .. } => text.clone(),
            Kind::Symbol(text) => (*text).to_owned(),
            Kind::End => "<EOF>".to_owned(),
        }
    }
}

const SYMBOLS: &[&str] = &[
    "<>", "<=", ">=", "!=", "||", "=>", "::", "(", ")", ",", ".", ";", "+", "-", "*", "/", "%", "=", "<", ">", "?", "[", "]",
    ":", "{", "}", "|", "^", "&",
];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    pos: Pos,
}

/// All tokens of the text, with `End` last.
pub fn tokenize(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0, pos: Pos { line: 1, column: 1 } };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 4);
    loop {
        lexer.skip_blanks()?;
        let (pos, offset) = (lexer.pos, lexer.at);
        let kind = lexer.next()?;
        let end = kind == Kind::End;
        tokens.push(Token { kind, pos, offset });
        if end {
            return Ok(tokens);
        }
    }
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.pos = Pos { line: self.pos.line + 1, column: 1 };
        } else {
            self.pos.column += 1;
        }
        Some(c)
    }

    fn error(&self, what: &str) -> DruidError {
        DruidError::invalid_sql(format!("Lexical error at line {}, column {}.  {what}", self.pos.line, self.pos.column))
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            if rest.starts_with("--") || rest.starts_with("//") {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.bump();
                }
            } else if rest.starts_with("/*") {
                self.bump();
                self.bump();
                while !self.rest().starts_with("*/") {
                    if self.bump().is_none() {
                        return Err(self.error("Encountered: <EOF> inside a comment"));
                    }
                }
                self.bump();
                self.bump();
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Kind> {
        let Some(c) = self.peek() else { return Ok(Kind::End) };
        let rest = self.rest();
        let bytes = rest.as_bytes();
        if (c == 'U' || c == 'u') && bytes.get(1) == Some(&b'&') && bytes.get(2) == Some(&b'\'') {
            self.bump();
            self.bump();
            let raw = self.quoted('\'')?;
            return Ok(Kind::String(self.unescape_unicode(&raw)?));
        }
        if c.is_alphabetic() || c == '_' {
            return Ok(self.word());
        }
        if c == '"' {
            return Ok(Kind::Quoted(self.quoted('"')?));
        }
        if c == '\'' {
            return Ok(Kind::String(self.quoted('\'')?));
        }
        if c.is_ascii_digit() || (c == '.' && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
            return Ok(self.number());
        }
        for symbol in SYMBOLS {
            if rest.starts_with(symbol) {
                for _ in 0..symbol.len() {
                    self.bump();
                }
                return Ok(Kind::Symbol(symbol));
            }
        }
        Err(self.error(&format!("Encountered: \"{}\" ({}), after : \"\"", c, c as u32)))
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            self.bump();
        }
        let text = self.text[start..self.at].to_owned();
        let upper = text.to_ascii_uppercase();
        Kind::Word { text, upper }
    }

    fn quoted(&mut self, quote: char) -> Result<String> {
        let start = self.pos;
        self.bump();
        let mut out = String::new();
        loop {
            match self.bump() {
                None => {
                    return Err(DruidError::invalid_sql(format!(
                        "Lexical error at line {}, column {}.  Encountered: <EOF> inside a quoted text",
                        start.line, start.column
                    )));
                }
                Some(c) if c == quote => {
                    if self.peek() == Some(quote) {
                        self.bump();
                        out.push(quote);
                    } else {
                        return Ok(out);
                    }
                }
                Some(c) => out.push(c),
            }
        }
    }

    fn unescape_unicode(&self, raw: &str) -> Result<String> {
        let mut units: Vec<u16> = Vec::with_capacity(raw.len());
        let mut chars = raw.chars().peekable();
        let mut buffer = [0u16; 2];
        while let Some(c) = chars.next() {
            if c != '\\' {
                units.extend_from_slice(c.encode_utf16(&mut buffer));
            } else if chars.peek() == Some(&'\\') {
                chars.next();
                units.push(u16::from(b'\\'));
            } else {
                let hex: String = chars.by_ref().take(4).collect();
                let unit = u16::from_str_radix(&hex, 16);
                units.push(unit.map_err(|_| self.error(&format!("Unicode escape sequence \\{hex} is not valid")))?);
            }
        }
        String::from_utf16(&units).map_err(|_| self.error("Unicode escape gives half a surrogate pair"))
    }

    fn number(&mut self) -> Kind {
        let start = self.at;
        let (mut point, mut exponent) = (false, false);
        loop {
            let bytes = self.rest().as_bytes();
            match bytes.first() {
                Some(b'0'..=b'9') => {}
                Some(b'.') if !point && !exponent => point = true,
                Some(b'e' | b'E') if !exponent => {
                    let sign = matches!(bytes.get(1), Some(b'+' | b'-'));
                    if !bytes.get(1 + usize::from(sign)).is_some_and(u8::is_ascii_digit) {
                        break;
                    }
                    exponent = true;
                    if sign {
                        self.bump();
                    }
                }
                _ => break,
            }
            self.bump();
        }
        Kind::Number { text: self.text[start..self.at].to_owned(), point, exponent }
    }
}
