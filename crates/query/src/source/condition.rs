//! Join conditions (`JoinConditionAnalysis`): equalities between an expression over the left and a column of the right,
//! joined by `&&`. Text is cut at the top level only; the pieces are parsed as expressions.

use ovate_base::{DruidError, Result};
use ovate_compute::expr::Expr;

/// A condition taken apart.
pub(super) struct JoinCondition {
    /// Left expression and right column, without its prefix.
    pub equalities: Vec<(Expr, String)>,
    /// A constant part is false: nothing matches.
    pub never: bool,
}

impl JoinCondition {
    /// Takes a condition apart; `prefix` marks columns of the right.
    pub fn parse(text: &str, prefix: &str) -> Result<Self> {
        let mut condition = JoinCondition { equalities: Vec::new(), never: false };
        condition.add(text, text, prefix)?;
        Ok(condition)
    }

    fn add(&mut self, part: &str, whole: &str, prefix: &str) -> Result<()> {
        let part = unwrapped(part);
        let unsupported =
            || DruidError::unsupported(format!("join condition [{whole}]: only equalities joined by && are possible"));
        let pieces = split(part, "&&");
        if pieces.len() > 1 {
            return pieces.into_iter().try_for_each(|piece| self.add(piece, whole, prefix));
        }
        match part {
            "1" | "true" => return Ok(()),
            "0" | "false" => {
                self.never = true;
                return Ok(());
            }
            _ => {}
        }
        let sides = split(part, "==");
        let [left, right] = sides.as_slice() else { return Err(unsupported()) };
        let (left, right) = (unwrapped(left), unwrapped(right));
        for (value, column) in [(left, right), (right, left)] {
            let Some(name) = identifier(column).and_then(|name| name.strip_prefix(prefix).map(str::to_owned)) else { continue };
            let expr = Expr::parse(value)?;
            if expr.required_columns().iter().all(|column| !column.starts_with(prefix)) {
                self.equalities.push((expr, name));
                return Ok(());
            }
        }
        Err(unsupported())
    }
}

/// The name, when the text is nothing but a column: plain, or in double quotes.
fn identifier(text: &str) -> Option<String> {
    if let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let mut name = String::new();
        let mut chars = quoted.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => return None,
                '\\' => name.push(chars.next()?),
                other => name.push(other),
            }
        }
        return Some(name);
    }
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'));
    (plain && !text.starts_with(|c: char| c.is_ascii_digit())).then(|| text.to_owned())
}

/// Walks the text outside quotes, with the depth of parentheses after each character.
fn depths(text: &str) -> Vec<(usize, char, i32)> {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    let mut result = Vec::new();
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == open => quote = None,
                _ => {}
            }
            continue;
        }
        match c {
            '\'' | '"' => {
                quote = Some(c);
                continue;
            }
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        result.push((at, c, depth));
    }
    result
}

/// Without blanks and parentheses around the whole.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let inner = match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => inner,
        None => return text,
    };
    let closes_early = depths(text).iter().any(|(at, _, depth)| *depth == 0 && *at + 1 < text.len());
    if closes_early { text } else { unwrapped(inner) }
}

/// Cuts at an operator of two characters, outside quotes and parentheses.
fn split<'a>(text: &'a str, operator: &str) -> Vec<&'a str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, _, depth) in depths(text) {
        if depth == 0 && at >= start && text[at..].starts_with(operator) {
            pieces.push(&text[start..at]);
            start = at + operator.len();
        }
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(String, String)> {
        let condition = JoinCondition::parse(text, "j0.").unwrap();
        condition.equalities.iter().map(|(expr, column)| (expr.text().to_owned(), column.clone())).collect()
    }

    #[test]
    fn conditions_are_cut_at_the_top_level() {
        let one = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(parts("(\"dim1\" == \"j0.k\")"), [one("\"dim1\"", "k")]);
        assert_eq!(parts("((\"j0.a b\" == x) && (concat('&&', y) == j0.c))"), [one("x", "a b"), one("concat('&&', y)", "c")]);
        assert_eq!(parts("1"), []);
    }

    #[test]
    fn other_conditions_are_refused_by_name() {
        let error = JoinCondition::parse("a > \"j0.b\"", "j0.").err().unwrap();
        assert!(error.message.contains("a > \"j0.b\""), "{error}");
    }
}
