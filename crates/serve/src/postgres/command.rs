//! What a statement asks of a session: rows of the catalogue, rows of ours, or one of the commands by which PostgreSQL's clients
//! set up their session.

use sqlparser::ast::Query;

use super::catalog;
use super::copy::{Copy, CopyOptions, copy};
use super::cursor::{Direction, fetch, unquoted};
use super::error::{PgError, PgResult};
use super::rewrite::{Kind, Rewritten, Token, rewrite, tokens};

/// One statement, understood.
#[derive(Debug, Clone)]
pub enum Command {
    Catalogue(Box<Query>),
    Statement(Rewritten),
    /// `SET name TO value`; `None` is DEFAULT.
    Set {
        name: String,
        value: Option<String>,
    },
    ResetAll,
    Show(String),
    Begin,
    Commit,
    Rollback,
    /// `COPY … TO STDOUT` of what this gives.
    Copy {
        query: Box<Command>,
        options: CopyOptions,
    },
    Declare {
        name: String,
        query: Box<Command>,
        /// It outlives its transaction.
        hold: bool,
    },
    Fetch {
        name: String,
        direction: Direction,
        /// MOVE: no rows are given.
        only_moves: bool,
    },
    /// One cursor, or all.
    Close(Option<String>),
    /// Accepted, there is nothing to do; answered by this tag.
    Nothing(&'static str),
}

/// Understands one statement; `None` when there is none.
pub fn command(sql: &str) -> PgResult<Option<Command>> {
    let list = tokens(sql)?;
    let Some(first) = list.first() else { return Ok(None) };
    if let Some(second) = list.iter().position(|token| token.of(sql) == ";")
        && list[second..].iter().any(|token| token.of(sql) != ";")
        && !first.is(sql, "set")
    {
        return Err(PgError::new("42601", "cannot insert multiple commands into a prepared statement"));
    }
    let word = |at: usize| list.get(at).map_or(String::new(), |token| token.of(sql).to_ascii_lowercase());
    Ok(Some(match word(0).as_str() {
        "begin" | "start" => Command::Begin,
        "commit" | "end" => Command::Commit,
        "rollback" | "abort" if word(1) != "to" => Command::Rollback,
        "rollback" => Command::Nothing("ROLLBACK"),
        "savepoint" => Command::Nothing("SAVEPOINT"),
        "release" => Command::Nothing("RELEASE"),
        "discard" => Command::ResetAll,
        "deallocate" => Command::Nothing("DEALLOCATE"),
        "listen" => Command::Nothing("LISTEN"),
        "unlisten" => Command::Nothing("UNLISTEN"),
        "close" if word(1) == "all" => Command::Close(None),
        "close" => match list.get(1) {
            Some(token) => Command::Close(Some(unquoted(sql, token)?)),
            None => return Err(PgError::new("42601", "CLOSE needs the name of a cursor")),
        },
        "copy" => {
            let Copy { query, options } = copy(sql, &list[1..])?;
            Command::Copy { query: Box::new(rows_of(&query)?), options }
        }
        "declare" => declare(sql, &list)?,
        "fetch" | "move" => {
            let (direction, name) = fetch(sql, &list[1..])?;
            Command::Fetch { name, direction, only_moves: word(0) == "move" }
        }
        "reset" if word(1) == "all" => Command::ResetAll,
        "reset" => Command::Set { name: name(sql, &list[1..]), value: None },
        "set" => set(sql, &list)?,
        "show" => Command::Show(name(sql, &list[1..])),
        "prepare" | "execute" | "lock" | "vacuum" | "analyze" => {
            return Err(PgError::unsupported(word(0).to_ascii_uppercase()));
        }
        "explain" if word(1) != "plan" => {
            let rest = list[1..]
                .iter()
                .find(|token| matches!(token.of(sql).to_ascii_lowercase().as_str(), "select" | "with" | "values"));
            let rest = rest.ok_or_else(|| PgError::unsupported("EXPLAIN of anything but a query"))?;
            Command::Statement(rewrite(&format!("EXPLAIN PLAN FOR {}", &sql[rest.start..]))?)
        }
        _ => match catalog::query_of(sql) {
            Some(query) => Command::Catalogue(Box::new(query)),
            None => Command::Statement(rewrite(sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()))?),
        },
    }))
}

/// A query inside another statement.
fn rows_of(sql: &str) -> PgResult<Command> {
    match command(sql)? {
        Some(query @ (Command::Catalogue(_) | Command::Statement(_))) => Ok(query),
        _ => Err(PgError::new("42601", "a query is expected in COPY and DECLARE")),
    }
}

/// `DECLARE name [options] CURSOR [WITH | WITHOUT HOLD] FOR query`.
fn declare(sql: &str, list: &[Token]) -> PgResult<Command> {
    let wrong = || PgError::new("42601", "syntax error in DECLARE: DECLARE name CURSOR FOR query is expected");
    let name = unquoted(sql, list.get(1).ok_or_else(wrong)?)?;
    let at = list.iter().position(|token| token.kind == Kind::Word && token.is(sql, "for")).ok_or_else(wrong)?;
    let words: Vec<String> = list[2..at.max(2)].iter().map(|token| token.of(sql).to_ascii_lowercase()).collect();
    let known = ["binary", "asensitive", "insensitive", "no", "scroll", "cursor", "with", "without", "hold"];
    if !words.iter().any(|word| word == "cursor") || words.iter().any(|word| !known.contains(&word.as_str())) {
        return Err(wrong());
    }
    if words.iter().any(|word| word == "binary") {
        return Err(PgError::unsupported("DECLARE BINARY CURSOR; ask for binary results when binding"));
    }
    let hold = words.iter().any(|word| word == "hold") && !words.iter().any(|word| word == "without");
    Ok(Command::Declare { name, query: Box::new(rows_of(&sql[list[at].end..])?), hold })
}

/// `a.b` from these tokens; `time zone` is the setting of that meaning.
fn name(sql: &str, list: &[Token]) -> String {
    let mut words = list.iter().map(|token| token.of(sql).trim_matches('"'));
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    match (first.to_ascii_lowercase().as_str(), second.to_ascii_lowercase().as_str()) {
        ("time", "zone") => "TimeZone".to_owned(),
        ("transaction", "isolation") => "transaction_isolation".to_owned(),
        ("session", "authorization") => "session_authorization".to_owned(),
        (_, ".") => format!("{first}.{}", words.next().unwrap_or_default()),
        _ => first.to_owned(),
    }
}

fn set(sql: &str, list: &[Token]) -> PgResult<Command> {
    let mut rest = &list[1..];
    if rest.first().is_some_and(|t| t.is(sql, "session") || t.is(sql, "local"))
        && rest.get(1).is_some_and(|t| !t.is(sql, "authorization"))
    {
        rest = &rest[1..];
    }
    if rest.first().is_some_and(|t| t.is(sql, "transaction") || t.is(sql, "characteristics")) {
        return Ok(Command::Nothing("SET"));
    }
    let separator = rest.iter().position(|t| t.of(sql) == "=" || t.is(sql, "to"));
    let time_zone = rest.first().is_some_and(|t| t.is(sql, "time"));
    let (name, values) = match separator {
        Some(at) => (name(sql, &rest[..at]), &rest[at + 1..]),
        None if time_zone => (name(sql, rest), rest.get(2..).unwrap_or_default()),
        None if rest.first().is_some_and(|t| t.is(sql, "names")) => ("client_encoding".to_owned(), &rest[1..]),
        None => return Err(PgError::new("42601", "SET needs a name and a value")),
    };
    // `SET a = 1; SELECT …` is one statement of Druid's.
    if values.iter().any(|t| t.of(sql) == ";") && values.last().is_some_and(|t| t.of(sql) != ";") {
        return Ok(Command::Statement(rewrite(sql)?));
    }
    let value = |token: &Token| match token.kind {
        Kind::Text => token.of(sql)[1..token.end - token.start - 1].replace("''", "'"),
        Kind::Quoted => token.of(sql).trim_matches('"').to_owned(),
        _ => token.of(sql).to_owned(),
    };
    let values: Vec<String> = values.iter().filter(|t| t.of(sql) != ";").map(value).collect();
    if values.is_empty() {
        return Err(PgError::new("42601", format!("SET {name} needs a value")));
    }
    let value = match values.as_slice() {
        [sign, number] if sign == "-" => format!("-{number}"),
        list => list.iter().filter(|v| *v != ",").cloned().collect::<Vec<_>>().join(", "),
    };
    let default = value.eq_ignore_ascii_case("default");
    Ok(Command::Set { name, value: (!default).then_some(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> String {
        match command(sql) {
            Ok(None) => "empty".to_owned(),
            Ok(Some(Command::Set { name, value })) => format!("{name}={value:?}"),
            Ok(Some(Command::Statement(statement))) => statement.sql,
            Ok(Some(Command::Catalogue(_))) => "catalogue".to_owned(),
            Ok(Some(other)) => format!("{other:?}"),
            Err(error) => error.code.to_owned(),
        }
    }

    #[test]
    fn statements_are_told_apart() {
        assert_eq!(shown("-- nothing"), "empty");
        assert_eq!(shown("SET datestyle TO 'ISO'"), "datestyle=Some(\"ISO\")");
        assert_eq!(shown("set session time zone 'Asia/Tokyo'"), "TimeZone=Some(\"Asia/Tokyo\")");
        assert_eq!(shown("SET search_path = \"a\", b"), "search_path=Some(\"a, b\")");
        assert_eq!(shown("SET extra_float_digits = -1"), "extra_float_digits=Some(\"-1\")");
        assert_eq!(shown("SET x TO DEFAULT"), "x=None");
        assert_eq!(shown("SET TRANSACTION READ ONLY"), "Nothing(\"SET\")");
        assert_eq!(shown("SHOW transaction isolation level"), "Show(\"transaction_isolation\")");
        assert_eq!(shown("START TRANSACTION"), "Begin");
        assert_eq!(shown("SELECT 1;"), "SELECT 1");
        assert_eq!(shown("SELECT 1; SELECT 2"), "42601");
        assert_eq!(shown("SET sqlTimeZone = 'UTC'; SELECT 1"), "SET sqlTimeZone = 'UTC'; SELECT 1");
        assert_eq!(shown("EXPLAIN (ANALYZE) SELECT a::int FROM t"), "EXPLAIN PLAN FOR SELECT CAST(a AS INTEGER) FROM t");
        assert_eq!(shown("COPY t FROM STDIN"), "0A000");
        let declared = shown("DECLARE \"C 1\" NO SCROLL CURSOR WITH HOLD FOR SELECT a::int FROM t WHERE x = $1;");
        assert!(declared.contains("\"C 1\"") && declared.contains("hold: true") && declared.contains("CAST(a AS INTEGER)"));
        assert!(shown("FETCH FORWARD 10 FROM c").contains("Forward(Some(10))"));
        assert!(shown("MOVE c").contains("only_moves: true"));
        assert_eq!((shown("CLOSE ALL").as_str(), shown("CLOSE c").as_str()), ("Close(None)", "Close(Some(\"c\"))"));
        assert!(shown("COPY (SELECT a ILIKE 'b' FROM t) TO STDOUT").contains("LOWER(a) LIKE"));
        for bad in ["DECLARE", "DECLARE c FOR SELECT 1", "DECLARE c CURSOR FOR SHOW x", "CLOSE", "FETCH"] {
            assert_eq!(shown(bad), "42601", "{bad}");
        }
        assert_eq!(shown("SELECT version()"), "catalogue");
        assert_eq!(shown("SELECT relname FROM pg_class JOIN t ON true"), "SELECT relname FROM pg_class JOIN t ON true");
    }
}
