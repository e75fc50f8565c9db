//! Statements of PostgreSQL's clients in Druid's words: `$1` becomes `?`, `expr::type` a CAST, `E'…'` a plain text, `now()`
//! CURRENT_TIMESTAMP; `ILIKE`, `~` and their kin become LIKE and REGEXP_LIKE. It looks at tokens only; everything else is passed on as it was written.

use super::error::{PgError, PgResult};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Word,
    Quoted,
    Text,
    /// `E'…'`.
    Escaped,
    Number,
    /// `$n`.
    Parameter(usize),
    Symbol,
}

/// A token's place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    pub fn of<'t>(&self, sql: &'t str) -> &'t str {
        &sql[self.start..self.end]
    }

    pub fn is(&self, sql: &str, word: &str) -> bool {
        self.of(sql).eq_ignore_ascii_case(word)
    }
}

/// The tokens of a text, without comments and white space.
pub fn tokens(sql: &str) -> PgResult<Vec<Token>> {
    let bytes = sql.as_bytes();
    let mut list = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let next = bytes.get(at + 1).copied();
        let kind = match bytes[at] {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if next == Some(b'-') => {
                at = sql[at..].find('\n').map_or(bytes.len(), |end| at + end);
                continue;
            }
            b'/' if next == Some(b'*') => {
                at = comment_end(bytes, at)?;
                continue;
            }
            b'\'' => {
                at = quoted_end(bytes, at, b'\'', false)?;
                Kind::Text
            }
            b'"' => {
                at = quoted_end(bytes, at, b'"', false)?;
                Kind::Quoted
            }
            b'e' | b'E' if next == Some(b'\'') => {
                at = quoted_end(bytes, at + 1, b'\'', true)?;
                Kind::Escaped
            }
            b'$' if next.is_some_and(|b| b.is_ascii_digit()) => {
                at += 1 + bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
                let number = sql[start + 1..at].parse().ok().filter(|n| (1..=65_535).contains(n));
                Kind::Parameter(
                    number.ok_or_else(|| PgError::new("42P02", format!("there is no parameter {}", &sql[start..at])))?,
                )
            }
            b if b.is_ascii_digit() => {
                at += bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'.').count();
                Kind::Number
            }
            b if b.is_ascii_alphabetic() || b == b'_' || !b.is_ascii() => {
                at += bytes[at..]
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || !b.is_ascii())
                    .count();
                Kind::Word
            }
            b':' if next == Some(b':') => {
                at += 2;
                Kind::Symbol
            }
            _ => {
                at += 1;
                Kind::Symbol
            }
        };
        list.push(Token { kind, start, end: at });
    }
    Ok(list)
}

fn comment_end(bytes: &[u8], start: usize) -> PgResult<usize> {
    let (mut at, mut depth) = (start, 0usize);
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            (b'*', Some(b'/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => at += 1,
        }
    }
    Err(PgError::new("42601", "unterminated /* comment"))
}

fn quoted_end(bytes: &[u8], open: usize, quote: u8, escapes: bool) -> PgResult<usize> {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            b if b == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err(PgError::new("42601", "unterminated quoted string"))
}

/// The statements of a text, at its semicolons.
pub fn split(sql: &str) -> PgResult<Vec<String>> {
    let mut list = Vec::new();
    let mut start = 0;
    let all = tokens(sql)?;
    let mut any = false;
    for token in &all {
        if token.kind == Kind::Symbol && token.of(sql) == ";" {
            if any {
                list.push(sql[start..token.start].trim().to_owned());
            }
            (start, any) = (token.end, false);
        } else {
            any = true;
        }
    }
    if any {
        list.push(sql[start..].trim().to_owned());
    }
    Ok(list)
}

/// A statement in Druid's words, and which parameter each `?` stands for, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    pub sql: String,
    pub parameters: Vec<usize>,
}

/// A text in place of a range; an insertion where the range is empty.
struct Edit {
    start: usize,
    end: usize,
    outermost: bool,
    text: String,
}

/// Rewrites one statement.
pub fn rewrite(sql: &str) -> PgResult<Rewritten> {
    let list = tokens(sql)?;
    let mut edits: Vec<Edit> = Vec::new();
    let mut parameters = Vec::new();
    // Where the expression begins that ended with the token before, when that was a cast.
    let mut cast: Option<(usize, usize)> = None;
    let mut at = 0;
    while at < list.len() {
        let token = list[at];
        if matches!(token.kind, Kind::Word | Kind::Symbol)
            && let Some(matching) = matching(sql, &list, at)
        {
            let left = at.checked_sub(1 + usize::from(matching.negated && token.kind == Kind::Word));
            let left = left.ok_or_else(|| PgError::new("42601", format!("syntax error at or near \"{}\"", token.of(sql))))?;
            let begin = match cast {
                Some((end, begin)) if end == left + 1 => begin,
                _ => primary_start(sql, &list, left + 1)?,
            };
            let next = at + matching.tokens;
            let end = primary_end(sql, &list, next)?;
            let (from, to) = (list[next].start, list[end - 1].end);
            let not = if matching.negated { "NOT " } else { "" };
            let (fold, close) = if matching.folds { ("LOWER(", ")") } else { ("", "") };
            let (before, between, after) = match matching.is_pattern {
                true => (format!("{not}REGEXP_LIKE({fold}"), format!("{close},"), format!("{close})")),
                false => (fold.to_owned(), format!("{close} {not}LIKE"), close.to_owned()),
            };
            edits.push(Edit { start: begin, end: begin, outermost: false, text: before });
            edits.push(Edit { start: list[left].end, end: list[next - 1].end, outermost: false, text: between });
            edits.push(Edit { start: from, end: from, outermost: true, text: fold.to_owned() });
            edits.push(Edit { start: to, end: to, outermost: false, text: after });
            at = next;
            continue;
        }
        if let Some((end, text)) = literal(sql, &list, at) {
            edits.push(Edit { start: token.start, end: list[end - 1].end, outermost: false, text });
            at = end;
            continue;
        }
        let mut edit = |start: usize, end: usize, text: String| edits.push(Edit { start, end, outermost: false, text });
        match token.kind {
            Kind::Parameter(number) => {
                parameters.push(number - 1);
                edit(token.start, token.end, "?".to_owned());
            }
            Kind::Escaped => edit(token.start, token.end, unescaped(token.of(sql))),
            Kind::Symbol if token.of(sql) == "?" => {
                return Err(PgError::new("42601", "parameters are written $1, $2 and so on"));
            }
            Kind::Word if token.is(sql, "now") && of(sql, &list, at + 1) == "(" && of(sql, &list, at + 2) == ")" => {
                edit(token.start, list[at + 2].end, "CURRENT_TIMESTAMP".to_owned());
            }
            Kind::Symbol if token.of(sql) == "::" => {
                let begin = match cast {
                    Some((end, begin)) if end == at => begin,
                    _ => primary_start(sql, &list, at)?,
                };
                let (name, next) = type_name(sql, &list, at + 1)?;
                edit(begin, begin, "CAST(".to_owned());
                edit(token.start, list[next - 1].end, format!(" AS {name})"));
                at = next;
                cast = Some((at, begin));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    // Of two insertions at one place the later one is around the earlier one, unless that says that it is around all.
    let mut edits: Vec<(usize, Edit)> = edits.into_iter().enumerate().collect();
    edits.sort_by_key(|(number, edit)| (edit.start, edit.end, !edit.outermost, std::cmp::Reverse(*number)));
    let mut out = String::with_capacity(sql.len() + 16 * edits.len());
    let mut done = 0;
    for (_, edit) in edits {
        if edit.start < done {
            // Operands that overlap, as in `a ILIKE ILIKE b`.
            return Err(PgError::new("42601", "syntax error: an operator stands where an operand is expected"));
        }
        out.push_str(&sql[done..edit.start]);
        out.push_str(&edit.text);
        done = edit.end;
    }
    out.push_str(&sql[done..]);
    Ok(Rewritten { sql: out, parameters })
}

fn of<'t>(sql: &'t str, list: &[Token], at: usize) -> &'t str {
    list.get(at).map_or("", |token| token.of(sql))
}

/// `timestamptz '…'` and `timestamp with time zone '…'` as TIME_PARSE, `interval '-3 days'` as Druid writes it; the place after it.
fn literal(sql: &str, list: &[Token], at: usize) -> Option<(usize, String)> {
    let is = |place: usize, word: &str| list.get(place).is_some_and(|t| t.kind == Kind::Word && t.is(sql, word));
    let text = |place: usize| {
        let token = list.get(place).filter(|token| token.kind == Kind::Text)?;
        Some(token.of(sql)[1..token.end - token.start - 1].to_owned())
    };
    if is(at, "interval") {
        let text = text(at + 1)?;
        let (number, unit) = text.trim().split_once(char::is_whitespace)?;
        let number: i64 = number.parse().ok()?;
        let unit = unit.trim().to_ascii_lowercase();
        let (unit, times) = match unit.strip_suffix('s').unwrap_or(&unit) {
            "week" => ("DAY", 7),
            "day" => ("DAY", 1),
            "hour" => ("HOUR", 1),
            "minute" => ("MINUTE", 1),
            "second" => ("SECOND", 1),
            "month" => ("MONTH", 1),
            "year" => ("YEAR", 1),
            _ => return None,
        };
        let sign = if number < 0 { "-" } else { "" };
        return Some((at + 2, format!("INTERVAL {sign}'{}' {unit}", number.unsigned_abs().checked_mul(times)?)));
    }
    let words = match () {
        () if is(at, "timestamptz") => 1,
        () if is(at, "timestamp") && is(at + 1, "with") && is(at + 2, "time") && is(at + 3, "zone") => 4,
        () => return None,
    };
    let text = text(at + words)?;
    Some((at + words + 1, format!("TIME_PARSE('{}')", text.trim().replacen(' ', "T", 1))))
}

/// An operator of PostgreSQL that compares with a pattern.
struct Matching {
    /// A regular expression rather than LIKE's pattern.
    is_pattern: bool,
    negated: bool,
    /// Upper and lower case are the same.
    folds: bool,
    tokens: usize,
}

/// `ILIKE`, `NOT ILIKE`, `~`, `~*`, `!~`, `!~*`, `~~`, `~~*`, `!~~`, `!~~*` at a token; of NOT ILIKE, at ILIKE.
fn matching(sql: &str, list: &[Token], at: usize) -> Option<Matching> {
    if list[at].kind == Kind::Word {
        let negated = at > 0 && list[at - 1].is(sql, "not");
        return list[at].is(sql, "ilike").then_some(Matching { is_pattern: false, negated, folds: true, tokens: 1 });
    }
    // The symbols of one operator stand without space between them.
    let mut text = String::new();
    let mut next = at;
    while let Some(token) = list.get(next)
        && matches!(token.of(sql), "!" | "~" | "*")
        && (next == at || list[next - 1].end == token.start)
        && text.len() < 4
    {
        text.push_str(token.of(sql));
        next += 1;
    }
    let negated = text.starts_with('!');
    let (is_pattern, folds) = match text.trim_start_matches('!') {
        "~" => (true, false),
        "~*" => (true, true),
        "~~" => (false, false),
        "~~*" => (false, true),
        _ => return None,
    };
    Some(Matching { is_pattern, negated, folds, tokens: next - at })
}

/// The place after the operand that begins at a token: a value, a name or a call, with its casts.
fn primary_end(sql: &str, list: &[Token], from: usize) -> PgResult<usize> {
    let wrong = || PgError::new("42601", format!("syntax error at or near \"{}\"", of(sql, list, from)));
    let mut at = from;
    let group = |open: usize| -> PgResult<usize> {
        let mut depth = 0usize;
        for (place, token) in list.iter().enumerate().skip(open) {
            match token.of(sql) {
                "(" | "[" if token.kind == Kind::Symbol => depth += 1,
                ")" | "]" if token.kind == Kind::Symbol => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return Ok(place + 1);
            }
        }
        Err(wrong())
    };
    match list.get(at).map(|token| token.kind) {
        Some(Kind::Symbol) if of(sql, list, at) == "(" => at = group(at)?,
        Some(Kind::Symbol) | None => return Err(wrong()),
        Some(Kind::Word | Kind::Quoted) => {
            at += 1;
            while of(sql, list, at) == "." {
                at += 2;
            }
            if of(sql, list, at) == "(" || of(sql, list, at) == "[" {
                at = group(at)?;
            }
        }
        Some(_) => at += 1,
    }
    while of(sql, list, at) == "::" {
        at = type_name(sql, list, at + 1)?.1;
    }
    (at <= list.len()).then_some(at).ok_or_else(wrong)
}

/// Where the expression begins that `::` at this token casts.
fn primary_start(sql: &str, list: &[Token], cast: usize) -> PgResult<usize> {
    let wrong = || PgError::new("42601", "syntax error at or near \"::\"");
    let mut at = cast.checked_sub(1).ok_or_else(wrong)?;
    if matches!(list[at].of(sql), ")" | "]") {
        let mut depth = 0usize;
        loop {
            match list[at].of(sql) {
                ")" | "]" => depth += 1,
                "(" | "[" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            at = at.checked_sub(1).ok_or_else(wrong)?;
        }
        let called = at.checked_sub(1).filter(|before| match list[*before].kind {
            Kind::Word => list[at].of(sql) == "[" || !is_keyword(list[*before].of(sql)),
            Kind::Quoted => true,
            _ => false,
        });
        at = called.unwrap_or(at);
    } else if list[at].kind == Kind::Symbol || (list[at].kind == Kind::Word && is_keyword(list[at].of(sql))) {
        return Err(wrong());
    }
    while at >= 2 && list[at - 1].of(sql) == "." && matches!(list[at - 2].kind, Kind::Word | Kind::Quoted) {
        at -= 2;
    }
    Ok(list[at].start)
}

/// Words that may stand before a parenthesis without being a function.
fn is_keyword(word: &str) -> bool {
    const WORDS: [&str; 22] = [
        "select", "where", "and", "or", "not", "in", "on", "by", "when", "then", "else", "having", "from", "as", "between",
        "like", "case", "values", "limit", "offset", "union", "all",
    ];
    WORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Reads a type's name from a token on; gives Druid's name for it and the place after it.
fn type_name(sql: &str, list: &[Token], from: usize) -> PgResult<(&'static str, usize)> {
    let lower = |at: usize| of(sql, list, at).to_ascii_lowercase();
    let mut at = from;
    if lower(at) == "pg_catalog" && lower(at + 1) == "." {
        at += 2;
    }
    let first = lower(at).trim_matches('"').to_owned();
    at += 1;
    let name = match first.as_str() {
        "text" | "varchar" | "bpchar" | "char" | "name" | "string" | "json" | "jsonb" | "uuid" => "VARCHAR",
        "character" => {
            at += usize::from(lower(at) == "varying");
            "VARCHAR"
        }
        "int" | "int4" | "integer" | "int2" | "smallint" => "INTEGER",
        "int8" | "bigint" | "oid" => "BIGINT",
        "float4" | "real" => "FLOAT",
        "float8" | "float" | "numeric" | "decimal" => "DOUBLE",
        "double" => {
            at += usize::from(lower(at) == "precision");
            "DOUBLE"
        }
        "bool" | "boolean" => "BOOLEAN",
        "date" => "DATE",
        "timestamptz" => "TIMESTAMP",
        "timestamp" => {
            if lower(at) == "(" {
                at = skip_parentheses(sql, list, at);
            }
            if matches!(lower(at).as_str(), "with" | "without") && lower(at + 1) == "time" && lower(at + 2) == "zone" {
                at += 3;
            }
            "TIMESTAMP"
        }
        other => return Err(PgError::new("42704", format!("type \"{other}\" does not exist"))),
    };
    if lower(at) == "(" {
        at = skip_parentheses(sql, list, at);
    }
    if lower(at) == "[" {
        return Err(PgError::unsupported(format!("a cast to an array of {first}")));
    }
    Ok((name, at))
}

fn skip_parentheses(sql: &str, list: &[Token], open: usize) -> usize {
    let close = (open..list.len()).find(|at| list[*at].of(sql) == ")");
    close.map_or(list.len(), |at| at + 1)
}

/// `E'…'` as a plain text.
pub fn unescaped(token: &str) -> String {
    let mut out = String::from("'");
    let mut chars = token[2..token.len() - 1].chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let hex = |chars: &mut std::iter::Peekable<std::str::Chars>, most: usize| {
            let mut digits = String::new();
            while digits.len() < most && chars.peek().is_some_and(char::is_ascii_hexdigit) {
                digits.extend(chars.next());
            }
            u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('x') => out.push(hex(&mut chars, 2)),
            Some('u') => out.push(hex(&mut chars, 4)),
            Some('U') => out.push(hex(&mut chars, 8)),
            Some('\'') => out.push_str("''"),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &str, parameters: &[usize]) {
        let rewritten = rewrite(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!((rewritten.sql.as_str(), rewritten.parameters.as_slice()), (expected, parameters), "{sql}");
    }

    #[test]
    fn casts_become_cast() {
        check("SELECT a::text FROM t", "SELECT CAST(a AS VARCHAR) FROM t", &[]);
        check("SELECT t.a::int::text", "SELECT CAST(CAST(t.a AS INTEGER) AS VARCHAR)", &[]);
        check("SELECT (a + 1)::double precision, 2", "SELECT CAST((a + 1) AS DOUBLE), 2", &[]);
        check("SELECT f(x, (y))::numeric(10, 2)", "SELECT CAST(f(x, (y)) AS DOUBLE)", &[]);
        check("WHERE (x)::date > 'a'::timestamp with time zone", "WHERE CAST((x) AS DATE) > CAST('a' AS TIMESTAMP)", &[]);
        check("SELECT \"druid\".\"t\".\"a b\"::varchar(3)", "SELECT CAST(\"druid\".\"t\".\"a b\" AS VARCHAR)", &[]);
        assert_eq!(rewrite("SELECT ::int").map_err(|e| e.code), Err("42601"));
        assert_eq!(rewrite("SELECT a::nothing").map_err(|e| e.code), Err("42704"));
        assert_eq!(rewrite("::").map_err(|e| e.code), Err("42601"));
        assert_eq!(rewrite(")::int").map_err(|e| e.code), Err("42601"));
    }

    #[test]
    fn operators_of_patterns_become_like_and_regexp_like() {
        check("SELECT a ILIKE 'X%' FROM t", "SELECT LOWER(a) LIKE LOWER('X%') FROM t", &[]);
        check("t.a NOT ILIKE $1 ESCAPE '!'", "LOWER(t.a) NOT LIKE LOWER(?) ESCAPE '!'", &[0]);
        check("a::text ilike f('b', c)", "LOWER(CAST(a AS VARCHAR)) LIKE LOWER(f('b', c))", &[]);
        check("(a || b) ~~* '%x'::text", "LOWER((a || b)) LIKE LOWER(CAST('%x' AS VARCHAR))", &[]);
        check("a ~ '^x' AND b !~* 'Y'", "REGEXP_LIKE(a, '^x') AND NOT REGEXP_LIKE(LOWER(b), LOWER('Y'))", &[]);
        check("a !~~ 'x%'", "a NOT LIKE 'x%'", &[]);
        check("SELECT COUNT(*) * 2 FROM t WHERE a = '~'", "SELECT COUNT(*) * 2 FROM t WHERE a = '~'", &[]);
        for bad in ["ILIKE 'x'", "a ILIKE", "a ~", "~ 'x'", "a ILIKE (", "not ilike 'x'"] {
            assert_eq!(rewrite(bad).map_err(|e| e.code), Err("42601"), "{bad}");
        }
    }

    #[test]
    fn literals_of_times_become_druids() {
        check("now() + INTERVAL '-30 day'", "CURRENT_TIMESTAMP + INTERVAL -'30' DAY", &[]);
        check("a > interval '2 weeks'", "a > INTERVAL '14' DAY", &[]);
        check("INTERVAL '1' DAY, interval '1 fortnight'", "INTERVAL '1' DAY, interval '1 fortnight'", &[]);
        let zoned = "timestamp with time zone '2024-01-01 00:00:00.000Z', timestamptz '2024-01-01 01:00:00+01:00'";
        check(zoned, "TIME_PARSE('2024-01-01T00:00:00.000Z'), TIME_PARSE('2024-01-01T01:00:00+01:00')", &[]);
        check("timestamp '2024-01-01 00:00:00'", "timestamp '2024-01-01 00:00:00'", &[]);
    }

    #[test]
    fn parameters_are_numbered_and_quotes_and_comments_are_left_alone() {
        check("SELECT $2, $1, $2::int -- $9", "SELECT ?, ?, CAST(? AS INTEGER) -- $9", &[1, 0, 1]);
        check("SELECT '$1::int', \"$1\" /* $1 /* ? */ */", "SELECT '$1::int', \"$1\" /* $1 /* ? */ */", &[]);
        check("SELECT E'a\\'b\\n\\x41', now()", "SELECT 'a''b\nA', CURRENT_TIMESTAMP", &[]);
        assert_eq!(rewrite("SELECT ?").map_err(|e| e.code), Err("42601"));
        assert_eq!(rewrite("SELECT $99999").map_err(|e| e.code), Err("42P02"));
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes() {
        let list = split("SELECT ';'; ; -- a; b\nSELECT 2;").expect("statements");
        assert_eq!(list, ["SELECT ';'", "-- a; b\nSELECT 2"]);
        assert_eq!(split("SELECT 'a").map_err(|e| e.code), Err("42601"));
    }

    #[test]
    fn no_text_makes_it_panic() {
        let parts = [
            "a",
            "::",
            "(",
            ")",
            "'",
            "\"",
            "$1",
            ".",
            "E'\\",
            "int",
            "[",
            "]",
            "/*",
            "é",
            "timestamp",
            " ",
            "~",
            "*",
            " ilike ",
        ];
        for i in 0..parts.len().pow(4) {
            let text: String = (0..4).map(|k| parts[i / parts.len().pow(k) % parts.len()]).collect();
            let _ = rewrite(&text);
            let _ = split(&text);
        }
    }
}
