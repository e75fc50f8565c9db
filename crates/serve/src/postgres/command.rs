//! What a statement asks of a session: rows of the catalogue, rows of ours, or one of the commands by which PostgreSQL's clients
//! set up their session.

use sqlparser::ast::Query;

use super::catalog;
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
        "close" => Command::Nothing("CLOSE CURSOR"),
        "reset" if word(1) == "all" => Command::ResetAll,
        "reset" => Command::Set { name: name(sql, &list[1..]), value: None },
        "set" => set(sql, &list)?,
        "show" => Command::Show(name(sql, &list[1..])),
        "copy" | "declare" | "fetch" | "prepare" | "execute" | "lock" | "vacuum" | "analyze" => {
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
        assert_eq!(shown("SELECT version()"), "catalogue");
        assert_eq!(shown("SELECT relname FROM pg_class JOIN t ON true"), "SELECT relname FROM pg_class JOIN t ON true");
    }
}
