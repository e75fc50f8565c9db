//! Patterns over whole paths, as Java's `glob:` has them: `*` and `?` stay within one folder, `**` crosses folders, `[a-c]`
//! and `[!a]` are classes, `{a,b}` alternatives, a backslash takes the next character as it is.

use super::wildcard::alternatives;

/// A parsed pattern.
#[derive(Debug, Clone)]
pub struct PathGlob(Vec<Vec<Part>>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Char(char),
    /// One character within a folder.
    Any,
    /// Some within a folder.
    Some,
    /// Some across folders.
    Across,
    Class {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

impl PathGlob {
    /// Parses a pattern; every text is one.
    pub fn new(pattern: &str) -> PathGlob {
        PathGlob(alternatives(pattern).iter().map(|pattern| parse(pattern)).collect())
    }

    /// Whether a path matches.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        self.0.iter().any(|parts| matches(parts, &path))
    }

    /// The folder that every match is below, without a slash at its end; what comes before the first special character.
    pub fn folder(pattern: &str) -> &str {
        let plain = pattern.find(['*', '?', '[', '{', '\\']).map_or(pattern, |at| &pattern[..at]);
        plain.rfind('/').map_or("", |at| &plain[..at])
    }

    /// Whether the text has anything special.
    pub fn is_special(pattern: &str) -> bool {
        pattern.contains(['*', '?', '[', '{', '\\'])
    }
}

fn parse(pattern: &str) -> Vec<Part> {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let part = match chars[at] {
            '*' if chars.get(at + 1) == Some(&'*') => {
                at += 1;
                Part::Across
            }
            '*' => Part::Some,
            '?' => Part::Any,
            '\\' if at + 1 < chars.len() => {
                at += 1;
                Part::Char(chars[at])
            }
            '[' => match class(&chars[at + 1..]) {
                Some((class, length)) => {
                    at += length;
                    class
                }
                None => Part::Char('['),
            },
            c => Part::Char(c),
        };
        parts.push(part);
        at += 1;
    }
    parts
}

/// A class after its `[`, and how many characters it has with its `]`.
fn class(chars: &[char]) -> Option<(Part, usize)> {
    let close = chars.iter().position(|c| *c == ']').filter(|close| *close > 0)?;
    let negated = chars[0] == '!';
    let (mut inside, mut ranges) = (&chars[usize::from(negated)..close], Vec::new());
    while let [first, rest @ ..] = inside {
        match rest {
            ['-', last, rest @ ..] => {
                ranges.push((*first, *last));
                inside = rest;
            }
            _ => {
                ranges.push((*first, *first));
                inside = rest;
            }
        }
    }
    Some((Part::Class { ranges, negated }, close + 1))
}

/// Every place that a prefix of the pattern can end at, one part after the other: no backtracking, whatever the pattern.
fn matches(parts: &[Part], path: &[char]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in parts {
        let mut next = vec![false; path.len() + 1];
        match part {
            Part::Some | Part::Across => {
                let mut inside = false;
                for at in 0..=path.len() {
                    inside = reached[at] || inside && (*part == Part::Across || path[at - 1] != '/');
                    next[at] = inside;
                }
            }
            one => (0..path.len()).filter(|at| reached[*at] && takes(one, path[*at])).for_each(|at| next[at + 1] = true),
        }
        reached = next;
    }
    reached[path.len()]
}

fn takes(part: &Part, c: char) -> bool {
    match part {
        Part::Char(wanted) => *wanted == c,
        Part::Any => c != '/',
        Part::Class { ranges, negated } => {
            c != '/' && ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
        }
        Part::Some | Part::Across => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_know_folders() {
        let check = |pattern: &str, path: &str| PathGlob::new(pattern).matches(path);
        assert!(check("**.json", "a/b/c.json") && check("a/**/c.json", "a/b/x/c.json"));
        assert!(check("a/*.json", "a/b.json") && !check("a/*.json", "a/b/c.json") && !check("*.json", "a/b.json"));
        assert!(check("a/{b,c}?.[jx]*", "a/c1.json") && !check("a/{b,c}?.[!jx]*", "a/c1.json"));
        assert!(check("a\\*b", "a*b") && !check("a\\*b", "axb") && check("[a-c]", "b") && check("[", "["));
        assert_eq!(PathGlob::folder("a/b/c*/d"), "a/b");
        assert_eq!(PathGlob::folder("*.json"), "");
    }
}
