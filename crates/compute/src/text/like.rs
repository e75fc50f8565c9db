//! SQL LIKE patterns as Druid's `LikeDimFilter.LikeMatcher`: `%` is any text, `_` any character, an optional escape.

use memchr::memmem::Finder;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct LikePattern {
    prefix: String,
    /// What follows the literal prefix; empty when the pattern is only that.
    rest: Vec<Part>,
    /// The rest where it has no `_`: plain searches one after the other.
    searches: Option<Searches>,
}

/// `%text%text%…`: the texts between `%`, each found after the one before, and what the end has to be.
#[derive(Debug, Clone)]
struct Searches {
    between: Vec<Finder<'static>>,
    end: String,
}

impl Searches {
    fn of(rest: &[Part]) -> Option<Searches> {
        if rest.first() != Some(&Part::Many) || rest.contains(&Part::One) {
            return None;
        }
        let text = |part: &[Part]| part.iter().filter_map(Part::text).collect::<String>();
        let mut texts: Vec<String> = rest.split(|part| *part == Part::Many).map(text).collect();
        let end = texts.pop()?;
        let texts = texts.iter().filter(|text| !text.is_empty());
        Some(Searches { between: texts.map(|text| Finder::new(text.as_bytes()).into_owned()).collect(), end })
    }

    /// The first place for each text leaves the most for those after it.
    fn matches(&self, text: &str) -> bool {
        let mut left = text.as_bytes();
        if !self.end.is_empty() {
            let Some(before) = left.strip_suffix(self.end.as_bytes()) else { return false };
            left = before;
        }
        for finder in &self.between {
            let Some(at) = finder.find(left) else { return false };
            left = &left[at + finder.needle().len()..];
        }
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(char),
    One,
    Many,
}

impl Part {
    fn text(&self) -> Option<char> {
        match self {
            Part::Text(c) => Some(*c),
            Part::One | Part::Many => None,
        }
    }
}

impl LikePattern {
    /// Compiles a pattern. What follows an escape stands for itself, whatever it is.
    pub fn new(pattern: &str, escape: Option<char>) -> Self {
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if Some(c) == escape {
                parts.extend(chars.next().map(Part::Text));
                continue;
            }
            match c {
                '%' if parts.last() == Some(&Part::Many) => {}
                '%' => parts.push(Part::Many),
                '_' => parts.push(Part::One),
                other => parts.push(Part::Text(other)),
            }
        }
        let literal = parts.iter().take_while(|part| matches!(part, Part::Text(_))).count();
        let rest = parts.split_off(literal);
        let prefix = parts.iter().filter_map(Part::text).collect();
        let searches = Searches::of(&rest);
        LikePattern { prefix, rest, searches }
    }

    /// The literal text before the first wildcard.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// True when the pattern has no wildcard: equality.
    pub fn is_literal(&self) -> bool {
        self.rest.is_empty()
    }

    /// True when the pattern is the prefix and `%`.
    pub fn is_prefix(&self) -> bool {
        self.rest == [Part::Many]
    }

    /// True when the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        // An empty text has no place in memory; comparing with it is slow on processors that mask what they load.
        let rest = if self.prefix.is_empty() { Some(text) } else { text.strip_prefix(self.prefix.as_str()) };
        let Some(rest) = rest else { return false };
        match &self.searches {
            Some(searches) => searches.matches(rest),
            None => self.matches_rest(rest),
        }
    }

    /// Greedy matching with one point of return: the last `%`.
    fn matches_rest(&self, text: &str) -> bool {
        let mut at = 0;
        let mut part = 0;
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let next = text[at..].chars().next();
            match (self.rest.get(part), next) {
                (Some(Part::Many), _) => {
                    part += 1;
                    if part == self.rest.len() {
                        return true;
                    }
                    retry = Some((part, at));
                }
                (Some(Part::One), Some(c)) => (at, part) = (at + c.len_utf8(), part + 1),
                (Some(Part::Text(wanted)), Some(c)) if *wanted == c => (at, part) = (at + c.len_utf8(), part + 1),
                (None, None) => return true,
                _ => {
                    let Some((retry_part, retry_at)) = retry else { return false };
                    let Some(c) = text[retry_at..].chars().next() else { return false };
                    (at, part) = (retry_at + c.len_utf8(), retry_part);
                    retry = Some((retry_part, at));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_sql() {
        let like = |pattern: &str, text: &str| LikePattern::new(pattern, Some('\\')).matches(text);
        assert!(like("foo%", "foobar") && like("%bar", "foobar") && like("%o_a%", "foobar") && like("%", ""));
        assert!(like("a%b%c", "aXbYbZc") && like("_é_", "aéb") && like("50\\%", "50%"));
        assert!(like("%oba%", "foobar") && like("f%ob%", "foobar") && !like("f%f%", "foobar"));
        assert!(!like("foo", "foobar") && !like("f_", "f") && !like("50\\%", "50x") && !like("%a%b", "ba"));
        assert!(
            like("%b%c%", "abxc") && !like("%b%c%", "cb") && !like("%bb%b%", "abb") && like("%a%a", "aa") && !like("%a%a", "a")
        );
        assert!(like("x%é%", "xyéz") && !like("x%é%", "é") && like("%%", "") && like("%a%%b%", "ab"));
        assert!(like("a\\b", "ab") && like("a\\\\b", "a\\b"));
    }
}
