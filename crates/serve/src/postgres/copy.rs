//! `COPY (query) TO STDOUT` and `COPY table TO STDOUT`: its options, and rows in its three formats. COPY FROM and files are refused.

use bytes::{BufMut, BytesMut};
use ovate_base::time::Zone;
use pgwire::api::Type;
use pgwire::api::results::FieldFormat;

use super::catalog::Datum;
use super::cursor::unquoted;
use super::encode::{field, put_text};
use super::error::{PgError, PgResult};
use super::rewrite::{Kind, Token};

/// How rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    pub kind: CopyKind,
    pub header: bool,
    delimiter: u8,
    null: String,
    quote: u8,
    escape: u8,
    /// CSV: quotes around every value that is not null.
    quote_all: bool,
}

/// The formats of COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyKind {
    Text,
    Csv,
    Binary,
}

/// A COPY statement: the query that it copies, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub query: String,
    pub options: CopyOptions,
}

fn syntax(sql: &str, token: Option<&Token>) -> PgError {
    let near = token.map_or("end of input", |token| token.of(sql));
    PgError::new("42601", format!("syntax error at or near \"{near}\" in COPY"))
}

/// Understands `COPY … TO STDOUT …`; `list` has the tokens after COPY.
pub fn copy(sql: &str, list: &[Token]) -> PgResult<Copy> {
    let list = match list {
        [rest @ .., end] if end.of(sql) == ";" => rest,
        all => all,
    };
    let (query, at) = source(sql, list)?;
    if list.get(at).is_some_and(|token| token.is(sql, "from")) {
        return Err(PgError::unsupported("COPY FROM"));
    }
    if !list.get(at).is_some_and(|token| token.is(sql, "to")) {
        return Err(syntax(sql, list.get(at)));
    }
    if !list.get(at + 1).is_some_and(|token| token.is(sql, "stdout")) {
        return Err(PgError::unsupported("COPY to anything but STDOUT"));
    }
    Ok(Copy { query, options: options(sql, &list[at + 2..])? })
}

/// The query, and the place after it.
fn source(sql: &str, list: &[Token]) -> PgResult<(String, usize)> {
    let closing = |open: usize| {
        let mut depth = 0usize;
        list[open..]
            .iter()
            .position(|token| {
                match token.of(sql) {
                    "(" if token.kind == Kind::Symbol => depth += 1,
                    ")" if token.kind == Kind::Symbol => depth -= 1,
                    _ => {}
                }
                depth == 0
            })
            .map(|end| open + end)
            .ok_or_else(|| syntax(sql, None))
    };
    let first = list.first().ok_or_else(|| syntax(sql, None))?;
    if first.of(sql) == "(" {
        let end = closing(0)?;
        return Ok((sql[first.end..list[end].start].trim().to_owned(), end + 1));
    }
    let mut at = 0;
    while list.get(at).is_some_and(|t| matches!(t.kind, Kind::Word | Kind::Quoted))
        && list.get(at + 1).is_some_and(|t| t.of(sql) == ".")
    {
        at += 2;
    }
    let name = list.get(at).filter(|t| matches!(t.kind, Kind::Word | Kind::Quoted)).ok_or_else(|| syntax(sql, list.get(at)))?;
    let table = &sql[first.start..name.end];
    if list.get(at + 1).is_some_and(|t| t.of(sql) == "(") {
        let end = closing(at + 1)?;
        return Ok((format!("SELECT {} FROM {table}", &sql[list[at + 1].end..list[end].start]), end + 1));
    }
    Ok((format!("SELECT * FROM {table}"), at + 1))
}

/// `WITH (FORMAT csv, HEADER, …)`, or the words of older versions: `CSV HEADER DELIMITER ','`.
fn options(sql: &str, list: &[Token]) -> PgResult<CopyOptions> {
    let list = if list.first().is_some_and(|token| token.is(sql, "with")) { &list[1..] } else { list };
    let list: Vec<&Token> = match list {
        [open, inner @ .., close] if open.of(sql) == "(" && close.of(sql) == ")" => inner.iter().collect(),
        all => all.iter().collect(),
    };
    let text = |token: Option<&&Token>| match token {
        Some(token) if token.kind == Kind::Text => Ok(token.of(sql)[1..token.end - token.start - 1].replace("''", "'")),
        Some(token) if token.kind == Kind::Escaped => Ok(super::rewrite::unescaped(token.of(sql)).trim_matches('\'').to_owned()),
        Some(token) if matches!(token.kind, Kind::Word | Kind::Quoted) => unquoted(sql, token),
        other => Err(syntax(sql, other.copied())),
    };
    let single = |text: String, what: &str| match text.as_bytes() {
        [byte] if !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err(PgError::new("22023", format!("COPY {what} must be a single one-byte character"))),
    };
    let (mut kind, mut header, mut quote_all) = (CopyKind::Text, false, false);
    let (mut delimiter, mut null, mut quote, mut escape) = (None, None, None, None);
    let mut at = 0;
    while let Some(token) = list.get(at) {
        let word = token.of(sql).to_ascii_lowercase();
        at += 1;
        // Where there is a value it may stand after AS.
        let value = at + usize::from(list.get(at).is_some_and(|t| t.is(sql, "as")));
        match word.as_str() {
            "," => {}
            "csv" => kind = CopyKind::Csv,
            "binary" => kind = CopyKind::Binary,
            "format" => {
                kind = match text(list.get(value))?.to_ascii_lowercase().as_str() {
                    "text" => CopyKind::Text,
                    "csv" => CopyKind::Csv,
                    "binary" => CopyKind::Binary,
                    other => return Err(PgError::new("22023", format!("COPY format \"{other}\" not recognized"))),
                };
                at = value + 1;
            }
            "header" => {
                header = true;
                if let Some(flag) = list.get(at).filter(|t| t.of(sql) != ",").and_then(|t| flag(t.of(sql))) {
                    (header, at) = (flag, at + 1);
                }
            }
            "delimiter" => (delimiter, at) = (Some(single(text(list.get(value))?, "delimiter")?), value + 1),
            "null" => (null, at) = (Some(text(list.get(value))?), value + 1),
            "quote" => (quote, at) = (Some(single(text(list.get(value))?, "quote")?), value + 1),
            "escape" => (escape, at) = (Some(single(text(list.get(value))?, "escape")?), value + 1),
            "force_quote" if list.get(at).is_some_and(|t| t.of(sql) == "*") => (quote_all, at) = (true, at + 1),
            "force" if list.get(at).is_some_and(|t| t.is(sql, "quote")) && list.get(at + 1).is_some_and(|t| t.of(sql) == "*") => {
                (quote_all, at) = (true, at + 2);
            }
            "encoding" => {
                let name = text(list.get(value))?;
                if !matches!(name.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode") {
                    return Err(PgError::unsupported(format!("COPY with encoding {name}")));
                }
                at = value + 1;
            }
            _ => return Err(PgError::unsupported(format!("option \"{word}\" of COPY"))),
        }
    }
    let csv = kind == CopyKind::Csv;
    if !csv && (quote.is_some() || escape.is_some() || quote_all) {
        return Err(PgError::new("0A000", "COPY QUOTE, ESCAPE and FORCE QUOTE are for CSV alone"));
    }
    if kind == CopyKind::Binary && (header || delimiter.is_some() || null.is_some()) {
        return Err(PgError::new("42601", "cannot specify HEADER, DELIMITER or NULL in BINARY mode"));
    }
    let quote = quote.unwrap_or(b'"');
    Ok(CopyOptions {
        kind,
        header,
        delimiter: delimiter.unwrap_or(if csv { b',' } else { b'\t' }),
        null: null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() }),
        quote,
        escape: escape.unwrap_or(quote),
        quote_all,
    })
}

fn flag(word: &str) -> Option<bool> {
    match word.trim_matches('\'').to_ascii_lowercase().as_str() {
        "true" | "on" | "1" | "match" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

impl CopyOptions {
    /// What stands before the first row.
    pub fn begin(&self, out: &mut BytesMut, names: &[String]) {
        match self.kind {
            CopyKind::Binary => {
                out.put_slice(b"PGCOPY\n\xff\r\n\0");
                out.put_i32(0);
                out.put_i32(0);
            }
            _ if self.header => self.line(out, names.iter().map(|name| Some(name.as_bytes().to_vec()))),
            _ => {}
        }
    }

    /// One row.
    pub fn row(&self, out: &mut BytesMut, values: &[Datum], kinds: &[Type], zone: &Zone) {
        if self.kind == CopyKind::Binary {
            out.put_i16(i16::try_from(values.len()).unwrap_or(i16::MAX));
            values.iter().zip(kinds).for_each(|(value, kind)| field(out, value, kind, FieldFormat::Binary, zone));
            return;
        }
        let text = |(value, kind): (&Datum, &Type)| {
            if value.is_null() {
                return None;
            }
            let mut text = BytesMut::new();
            put_text(&mut text, value, kind, zone);
            Some(text.to_vec())
        };
        self.line(out, values.iter().zip(kinds).map(text));
    }

    fn line(&self, out: &mut BytesMut, cells: impl Iterator<Item = Option<Vec<u8>>>) {
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                out.put_u8(self.delimiter);
            }
            match cell {
                None => out.put_slice(self.null.as_bytes()),
                Some(text) if self.kind == CopyKind::Csv => self.csv(out, &text),
                Some(text) => self.escaped(out, &text),
            }
        }
        out.put_u8(b'\n');
    }

    fn csv(&self, out: &mut BytesMut, text: &[u8]) {
        let special = |b: &u8| *b == self.delimiter || *b == self.quote || matches!(b, b'\n' | b'\r');
        // A text that looks like null, or like the end of the data, is told from it by its quotes.
        if !(self.quote_all || text == self.null.as_bytes() || text == b"\\." || text.iter().any(special)) {
            return out.put_slice(text);
        }
        out.put_u8(self.quote);
        for byte in text {
            if *byte == self.quote || *byte == self.escape {
                out.put_u8(self.escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(self.quote);
    }

    fn escaped(&self, out: &mut BytesMut, text: &[u8]) {
        for byte in text {
            let letter = match byte {
                b'\\' => b'\\',
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                other if *other == self.delimiter => *other,
                other => {
                    out.put_u8(*other);
                    continue;
                }
            };
            out.put_u8(b'\\');
            out.put_u8(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::tokens;
    use super::*;

    fn read(sql: &str) -> PgResult<Copy> {
        copy(sql, &tokens(sql).expect("tokens")[1..])
    }

    fn written(sql: &str, rows: &[&[Datum]]) -> String {
        let options = read(sql).expect("a COPY").options;
        let mut out = BytesMut::new();
        let names = ["a".to_owned(), "b,c".to_owned()];
        options.begin(&mut out, &names);
        rows.iter().for_each(|row| options.row(&mut out, row, &[Type::INT8, Type::TEXT], &Zone::UTC));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn queries_and_tables_are_copied() {
        let query = |sql: &str| read(sql).map(|copy| copy.query);
        assert_eq!(
            query("COPY (SELECT f(x) FROM t WHERE y = ')') TO STDOUT;").as_deref(),
            Ok("SELECT f(x) FROM t WHERE y = ')'")
        );
        assert_eq!(query("COPY \"druid\".t (a, b) TO STDOUT (FORMAT csv)").as_deref(), Ok("SELECT a, b FROM \"druid\".t"));
        assert_eq!(query("copy t to stdout with csv header").as_deref(), Ok("SELECT * FROM t"));
        let code = |sql: &str| read(sql).map_err(|e| e.code).err();
        assert_eq!(code("COPY t FROM STDIN"), Some("0A000"));
        assert_eq!(code("COPY t TO '/tmp/x'"), Some("0A000"));
        assert_eq!(code("COPY t TO STDOUT (FORMAT xml)"), Some("22023"));
        assert_eq!(code("COPY t TO STDOUT (DELIMITER '||')"), Some("22023"));
        assert_eq!(code("COPY t TO STDOUT (FORCE_NULL (a))"), Some("0A000"));
        for bad in ["COPY", "COPY (SELECT 1", "COPY t", "COPY 'x' TO STDOUT", "COPY t TO STDOUT (NULL)", "COPY ) TO STDOUT"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rows_are_written_as_postgresql_writes_them() {
        let rows: [&[Datum]; 3] = [
            &[Datum::Int(1), Datum::from("x\ty\\z\nw")],
            &[Datum::Null, Datum::from("")],
            &[Datum::Int(2), Datum::from("say \"a,b\"")],
        ];
        assert_eq!(written("COPY t TO STDOUT", &rows), "1\tx\\ty\\\\z\\nw\n\\N\t\n2\tsay \"a,b\"\n");
        assert_eq!(
            written("COPY t TO STDOUT WITH (FORMAT csv, HEADER true)", &rows),
            "a,\"b,c\"\n1,\"x\ty\\z\nw\"\n,\"\"\n2,\"say \"\"a,b\"\"\"\n"
        );
        assert_eq!(
            written("COPY t TO STDOUT CSV DELIMITER ';' NULL AS '-' ESCAPE '\\' FORCE QUOTE *", &rows[1..]),
            "-;\"\"\n\"2\";\"say \\\"a,b\\\"\"\n"
        );
        let binary = written("COPY t TO STDOUT (FORMAT binary)", &[&[Datum::Null, Datum::from("é")]]);
        assert!(binary.starts_with("PGCOPY\n") && binary.ends_with("é"), "{binary:?}");
    }
}
