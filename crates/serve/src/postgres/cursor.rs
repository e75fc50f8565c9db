//! Cursors (`DECLARE`, `FETCH`, `MOVE`, `CLOSE`): what they are asked for, and where they stand. Their rows are held whole, as every result
//! that is not streamed, so they go in all directions.

use super::error::{PgError, PgResult};
use super::rewrite::{Kind, Token};

/// Cursors that a session may have open.
pub const CURSORS_MAX: usize = 32;

/// What FETCH asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// So many rows onwards; negative ones go back, none is the current one again. `None` is all.
    Forward(Option<i64>),
    Backward(Option<i64>),
    /// From the start, or from the end where negative.
    Absolute(i64),
    Relative(i64),
}

/// `[direction [FROM | IN]] name`, the tokens after FETCH or MOVE.
pub fn fetch(sql: &str, list: &[Token]) -> PgResult<(Direction, String)> {
    let wrong = || PgError::new("42601", "syntax error in FETCH: a direction and the name of a cursor are expected");
    let word = |at: usize| list.get(at).map_or(String::new(), |token| token.of(sql).to_ascii_lowercase());
    // A number with its sign, and the place after it.
    let number = |at: usize| -> Option<(i64, usize)> {
        let (sign, at) = match word(at).as_str() {
            "-" => (-1, at + 1),
            "+" => (1, at + 1),
            _ => (1, at),
        };
        list.get(at).filter(|token| token.kind == Kind::Number)?;
        Some((sign * word(at).parse::<i64>().ok()?, at + 1))
    };
    let counted = |at: usize| match word(at).as_str() {
        "all" => (None, at + 1),
        _ => number(at).map_or((Some(1), at), |(n, at)| (Some(n), at)),
    };
    let (direction, at) = match word(0).as_str() {
        "next" => (Direction::Forward(Some(1)), 1),
        "prior" => (Direction::Backward(Some(1)), 1),
        "first" => (Direction::Absolute(1), 1),
        "last" => (Direction::Absolute(-1), 1),
        "all" => (Direction::Forward(None), 1),
        "absolute" => number(1).map(|(n, at)| (Direction::Absolute(n), at)).ok_or_else(wrong)?,
        "relative" => number(1).map(|(n, at)| (Direction::Relative(n), at)).ok_or_else(wrong)?,
        "forward" => {
            let (count, at) = counted(1);
            (Direction::Forward(count), at)
        }
        "backward" => {
            let (count, at) = counted(1);
            (Direction::Backward(count), at)
        }
        _ => number(0).map_or((Direction::Forward(Some(1)), 0), |(n, at)| (Direction::Forward(Some(n)), at)),
    };
    let at = at + usize::from(matches!(word(at).as_str(), "from" | "in"));
    match &list[at.min(list.len())..] {
        [name] => Ok((direction, unquoted(sql, name)?)),
        [name, end] if end.of(sql) == ";" => Ok((direction, unquoted(sql, name)?)),
        _ => Err(wrong()),
    }
}

/// A name: quoted as it is, else in lower case.
pub fn unquoted(sql: &str, token: &Token) -> PgResult<String> {
    match token.kind {
        Kind::Quoted => Ok(token.of(sql)[1..token.end - token.start - 1].replace("\"\"", "\"")),
        Kind::Word => Ok(token.of(sql).to_ascii_lowercase()),
        _ => Err(PgError::new("42601", format!("syntax error at or near \"{}\"", token.of(sql)))),
    }
}

/// Where a cursor stands: 0 is before the first of `count` rows, `count + 1` after the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position(pub usize);

impl Position {
    /// The rows that a FETCH gives, from 0, in order; moves on.
    pub fn go(&mut self, direction: Direction, count: usize) -> Vec<usize> {
        let (at, last) = (self.0 as i64, count as i64);
        let (target, rows): (i64, Vec<i64>) = match direction {
            Direction::Forward(Some(0)) | Direction::Backward(Some(0)) | Direction::Relative(0) => (at, vec![at]),
            Direction::Forward(Some(n)) if n < 0 => return self.go(Direction::Backward(Some(n.saturating_neg())), count),
            Direction::Backward(Some(n)) if n < 0 => return self.go(Direction::Forward(Some(n.saturating_neg())), count),
            Direction::Forward(n) => {
                // All, or more than there are: the cursor stands after the last.
                let end = n.map_or(last + 1, |n| at.saturating_add(n).min(last + 1));
                (end, (at + 1..=end).collect())
            }
            Direction::Backward(n) => {
                let end = n.map_or(0, |n| at.saturating_sub(n).max(0));
                (end, (end..at).rev().collect())
            }
            Direction::Absolute(n) => {
                let to = if n < 0 { last.saturating_add(1).saturating_add(n) } else { n }.clamp(0, last + 1);
                (to, vec![to])
            }
            Direction::Relative(n) => {
                let to = at.saturating_add(n).clamp(0, last + 1);
                (to, vec![to])
            }
        };
        self.0 = target as usize;
        rows.into_iter().filter(|row| (1..=last).contains(row)).map(|row| row as usize - 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::tokens;
    use super::*;

    #[test]
    fn directions_are_read() {
        let read = |sql: &str| fetch(sql, &tokens(sql).expect("tokens"));
        assert_eq!(read("c"), Ok((Direction::Forward(Some(1)), "c".to_owned())));
        assert_eq!(read("FORWARD 10 FROM \"C x\""), Ok((Direction::Forward(Some(10)), "C x".to_owned())));
        assert_eq!(read("-5 IN C;"), Ok((Direction::Forward(Some(-5)), "c".to_owned())));
        assert_eq!(read("BACKWARD ALL FROM c"), Ok((Direction::Backward(None), "c".to_owned())));
        assert_eq!(read("ABSOLUTE -1 FROM c"), Ok((Direction::Absolute(-1), "c".to_owned())));
        assert_eq!(read("ALL c"), Ok((Direction::Forward(None), "c".to_owned())));
        for bad in ["", "FORWARD", "ABSOLUTE FROM c", "NEXT FROM", "1 2 c", "ABSOLUTE 99999999999999999999 FROM c", "'c'"] {
            assert_eq!(read(bad).map_err(|e| e.code), Err("42601"), "{bad}");
        }
    }

    #[test]
    fn a_cursor_goes_both_ways_and_stands_outside_at_both_ends() {
        let mut at = Position::default();
        let mut go = |direction| at.go(direction, 3);
        assert_eq!(go(Direction::Forward(Some(2))), [0, 1]);
        assert_eq!(go(Direction::Forward(Some(0))), [1], "again");
        assert_eq!(go(Direction::Forward(Some(2))), [2]);
        assert_eq!(go(Direction::Forward(Some(1))), [0usize; 0]);
        assert_eq!(go(Direction::Backward(Some(1))), [2], "after the last, the last is one back");
        assert_eq!(go(Direction::Backward(None)), [1, 0]);
        assert_eq!(go(Direction::Absolute(-1)), [2]);
        assert_eq!(go(Direction::Absolute(2)), [1]);
        assert_eq!(go(Direction::Relative(-1)), [0]);
        assert_eq!(go(Direction::Relative(i64::MIN)), [0usize; 0]);
        assert_eq!(go(Direction::Forward(Some(i64::MIN))), [0usize; 0]);
        assert_eq!(go(Direction::Forward(None)), [0, 1, 2]);
        assert_eq!(Position::default().go(Direction::Absolute(i64::MIN), 0), [0usize; 0]);
    }
}
