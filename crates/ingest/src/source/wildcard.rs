//! File name patterns: `*`, `?` and `{a,b}`; anything else is itself (`WildcardFileFilter`, with alternatives added).

/// A parsed pattern.
pub struct Wildcard(Vec<Vec<char>>);

/// Alternatives multiply; beyond this many the rest is dropped into literal text.
const ALTERNATIVES_MAX: usize = 1024;

impl Wildcard {
    /// Parses a pattern; every text is one.
    pub fn new(pattern: &str) -> Wildcard {
        Wildcard(alternatives(pattern).iter().map(|pattern| pattern.chars().collect()).collect())
    }

    /// Whether a file name matches.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.0.iter().any(|pattern| matches(pattern, &name))
    }
}

/// Every text that the braces of a pattern stand for.
pub fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(next) = open.pop() {
        match split_braces(&next).filter(|_| open.len() + done.len() < ALTERNATIVES_MAX) {
            Some(parts) => open.extend(parts),
            None => done.push(next),
        }
    }
    done
}

/// The first innermost `{…}` expanded; `None` without one.
fn split_braces(pattern: &str) -> Option<Vec<String>> {
    let close = pattern.find('}')?;
    let open = pattern[..close].rfind('{')?;
    let (head, tail) = (&pattern[..open], &pattern[close + 1..]);
    Some(pattern[open + 1..close].split(',').map(|part| format!("{head}{part}{tail}")).collect())
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::Wildcard;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*.json", "a.json", true),
            ("*.json", "a.json.gz", false),
            ("a?c*", "abcdef", true),
            ("*.{json,csv}", "x.csv", true),
            ("*.{json,csv}", "x.tsv", false),
            ("{a,b{1,2}}.x", "b2.x", true),
            ("wiki[1].gz", "wiki[1].gz", true),
            ("*", "", true),
        ] {
            assert_eq!(Wildcard::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }
}
