//! Where statements end in what somebody typed: at semicolons outside of quotes and comments. `SET key = value;` goes with the statement
//! after it, as Druid takes it; without one it is for the session.

/// What was typed.
#[derive(Debug, Default, PartialEq)]
pub struct Typed {
    pub statements: Vec<String>,
    /// SETs that no statement follows.
    pub settings: Vec<(String, String)>,
    /// The last statement has its semicolon.
    pub complete: bool,
}

/// Splits a text.
pub fn split(text: &str) -> Typed {
    let (pieces, complete) = pieces(text);
    let mut typed = Typed { complete, ..Typed::default() };
    let mut before: Vec<String> = Vec::new();
    for piece in pieces {
        if setting(&piece).is_some() {
            before.push(piece);
            continue;
        }
        before.push(piece);
        typed.statements.push(std::mem::take(&mut before).join("; "));
    }
    typed.settings = before.iter().filter_map(|piece| setting(piece)).collect();
    typed
}

/// `SET key = value`, the value without its quotes.
fn setting(piece: &str) -> Option<(String, String)> {
    let rest = piece.get(..4).filter(|word| word.eq_ignore_ascii_case("set ")).map(|_| &piece[4..])?;
    let (key, value) = rest.split_once('=')?;
    let (key, value) = (key.trim().trim_matches('"'), value.trim());
    let text = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).map(|value| value.replace("''", "'"));
    (!key.is_empty() && !key.contains(char::is_whitespace)).then(|| (key.to_owned(), text.unwrap_or_else(|| value.to_owned())))
}

/// The texts between semicolons, without empty ones, and whether the last one had its own.
fn pieces(text: &str) -> (Vec<String>, bool) {
    let bytes = text.as_bytes();
    let (mut list, mut start, mut at) = (Vec::new(), 0, 0);
    // Whether anything but space and comments stands since the last semicolon.
    let mut open = false;
    while at < bytes.len() {
        let next = bytes.get(at + 1);
        match bytes[at] {
            quote @ (b'\'' | b'"') => {
                open = true;
                match bytes[at + 1..].iter().position(|b| *b == quote) {
                    Some(end) => at += end + 2,
                    // The quote is not closed: whatever follows belongs to it.
                    None => at = bytes.len(),
                }
                continue;
            }
            b'-' if next == Some(&b'-') => {
                at = text[at..].find('\n').map_or(bytes.len(), |end| at + end);
                continue;
            }
            b'/' if next == Some(&b'*') => {
                let end = text[at + 2..].find("*/").map(|end| at + end + 4);
                open |= end.is_none();
                at = end.unwrap_or(bytes.len());
                continue;
            }
            b';' => {
                if open {
                    list.push(text[start..at].trim().to_owned());
                }
                (start, open) = (at + 1, false);
            }
            b if b.is_ascii_whitespace() => {}
            _ => open = true,
        }
        at += 1;
    }
    if open {
        list.push(text[start..].trim().to_owned());
    }
    let complete = !open && !list.is_empty();
    (list, complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes_and_comments() {
        let typed = split("SELECT ';' AS \"a;\" -- x;\n; /* ; */ SELECT 2; ");
        assert_eq!(typed.statements, ["SELECT ';' AS \"a;\" -- x;", "/* ; */ SELECT 2"]);
        assert!(typed.complete);
        for open in ["SELECT 1", "SELECT 'a;", "SELECT 1 /* ;", "SELECT 1; SELECT 2", "", "--;"] {
            assert!(!split(open).complete, "{open}");
        }
    }

    #[test]
    fn settings_go_with_the_statement_after_them_or_with_the_session() {
        let typed = split("SET a = 1; set \"b\" = 'it''s'; SELECT 1; SET c=TRUE;");
        assert_eq!(typed.statements, ["SET a = 1; set \"b\" = 'it''s'; SELECT 1"]);
        assert_eq!(typed.settings, [("c".to_owned(), "TRUE".to_owned())]);
        assert_eq!(split("SET x; SELECT 1;").statements.len(), 2, "no setting of ours: the server tells what is wrong");
    }
}
