//! Expressions for data servers of older releases of Druid: what has a function of its own here, and in a newer Druid, is
//! said with the functions that those have had for long.

use std::borrow::Cow;

use serde_json::Value;

/// A function and the one that takes its place once nulls in its first argument are harmonised.
const WORDS: [(&str, &str); 2] = [("mv_contains(", "array_contains("), ("mv_overlap(", "array_overlap(")];

/// A query document with older words in all of its expressions.
pub fn older_words(query: &Value) -> Cow<'_, Value> {
    if !needs_words(query) {
        return Cow::Borrowed(query);
    }
    let mut query = query.clone();
    rewrite_all(&mut query);
    Cow::Owned(query)
}

fn needs_words(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| match value {
            Value::String(text) => name == "expression" && WORDS.iter().any(|(word, _)| text.contains(word)),
            other => needs_words(other),
        }),
        Value::Array(items) => items.iter().any(needs_words),
        _ => false,
    }
}

fn rewrite_all(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match value {
            Value::String(text) if name == "expression" => *text = rewrite(text),
            other => rewrite_all(other),
        }),
        Value::Array(items) => items.iter_mut().for_each(rewrite_all),
        _ => {}
    }
}

/// `mv_contains(x, y)` becomes `array_contains(mv_harmonize_nulls(x), y)`; names and texts in quotes stay as they are.
fn rewrite(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 32);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let begins_name = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let known = WORDS.iter().find(|(word, _)| begins_name && rest.starts_with(word));
        if let Some((word, older)) = known {
            let arguments = &rest[word.len()..];
            if let Some(comma) = first_comma(arguments) {
                written.push_str(&format!("{older}mv_harmonize_nulls({})", rewrite(&arguments[..comma])));
                at += word.len() + comma;
                continue;
            }
        }
        let length = piece(rest);
        written.push_str(&rest[..length]);
        at += length;
    }
    written
}

/// Length of the next piece of an expression: a whole quoted text or name, or one character.
fn piece(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    if !matches!(first, '\'' | '"') {
        return first.len_utf8();
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == first => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where the first argument ends, if there is a second.
fn first_comma(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'(' | b'[' => depth += 1,
            b')' | b']' if depth == 0 => return None,
            b')' | b']' => depth -= 1,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += piece(&text[at..]);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_said_in_older_words_and_quoted_text_stays() {
        let check = |text: &str, wanted: &str| assert_eq!(rewrite(text), wanted);
        check(r#"mv_contains("d",array('a','b'))"#, r#"array_contains(mv_harmonize_nulls("d"),array('a','b'))"#);
        check(
            r#"(mv_overlap(concat("x,y",'mv_contains('), array('\'')) || mv_contains(mv_overlap(a,b), c))"#,
            r#"(array_overlap(mv_harmonize_nulls(concat("x,y",'mv_contains(')), array('\'')) || array_contains(mv_harmonize_nulls(array_overlap(mv_harmonize_nulls(a),b)), c))"#,
        );
        check(r#"my_mv_contains(a,b) + mv_contains(é)"#, r#"my_mv_contains(a,b) + mv_contains(é)"#);
    }

    #[test]
    fn a_query_without_such_functions_is_not_copied() {
        let query = serde_json::json!({"filter": {"type": "expression", "expression": "a == 1"}, "name": "mv_contains("});
        assert!(matches!(older_words(&query), Cow::Borrowed(_)));
    }
}
