//! Java regular expressions on the `regex` crate: linear time, so a pattern from a query cannot hang a server. What Java
//! has and that crate has not (look-around, back-references, possessive quantifiers) is refused with its name.

use ovate_base::{DruidError, Result};
use regex::{Regex, RegexBuilder};

/// Compiles a Java pattern.
pub fn java_regex(pattern: &str) -> Result<Regex> {
    let translated = translate(pattern)?;
    RegexBuilder::new(&translated)
        .size_limit(16 << 20)
        .build()
        .map_err(|error| DruidError::invalid_input(format!("invalid regular expression [{pattern}]: {error}")))
}

/// Rewrites what both have under different spellings.
fn translate(pattern: &str) -> Result<String> {
    let refuse = |what: &str| Err(DruidError::unsupported(format!("{what} in regular expression [{pattern}]")));
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut class_depth = 0usize;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Q') => {
                    let mut quoted = String::new();
                    while let Some(q) = chars.next() {
                        if q == '\\' && chars.peek() == Some(&'E') {
                            chars.next();
                            break;
                        }
                        quoted.push(q);
                    }
                    out.push_str(&regex::escape(&quoted));
                }
                Some('Z') => out.push_str(r"\n?\z"),
                Some('e') => out.push_str(r"\x1B"),
                Some('h') if class_depth > 0 => out.push_str(r"\t\x{A0} "),
                Some('h') => out.push_str(r"[\t\x{A0} ]"),
                Some('R') => out.push_str(r"(?:\r\n|[\n\r\x0B\x0C\x{85}])"),
                Some('G') => return refuse(r"\G"),
                Some('k') => return refuse("named back-reference"),
                Some(digit @ '1'..='9') => return refuse(&format!("back-reference \\{digit}")),
                // ASCII classes, as in Java without UNICODE_CHARACTER_CLASS.
                Some('d') => out.push_str(if class_depth > 0 { "0-9" } else { "[0-9]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str(if class_depth > 0 { "a-zA-Z0-9_" } else { "[a-zA-Z0-9_]" }),
                Some('W') => out.push_str("[^a-zA-Z0-9_]"),
                Some('s') => out.push_str(if class_depth > 0 { r" \t\n\x0B\f\r" } else { r"[ \t\n\x0B\f\r]" }),
                Some('S') => out.push_str(r"[^ \t\n\x0B\f\r]"),
                Some(java @ ('p' | 'P')) => {
                    out.push('\\');
                    out.push(java);
                    if chars.peek() == Some(&'{') {
                        let name: String = chars.by_ref().take_while(|c| *c != '}').skip(1).collect();
                        out.push('{');
                        out.push_str(match name.as_str() {
                            "Alpha" | "IsAlphabetic" => "Alphabetic",
                            "Lower" | "javaLowerCase" | "IsLowercase" => "Lowercase",
                            "Upper" | "javaUpperCase" | "IsUppercase" => "Uppercase",
                            "Digit" | "IsDigit" => "Nd",
                            "Punct" | "IsPunctuation" => "Punctuation",
                            "Space" | "IsWhite_Space" => "White_Space",
                            other => other.strip_prefix("Is").unwrap_or(other),
                        });
                        out.push('}');
                    }
                }
                Some(letter) if letter.is_ascii_alphabetic() && !"AbBzntrfaxuUvc".contains(letter) => {
                    return Err(DruidError::invalid_input(format!(
                        "invalid escape \\{letter} in regular expression [{pattern}]"
                    )));
                }
                // Java lets any other character be escaped; the crate only punctuation.
                Some(other) if other.is_alphanumeric() || other.is_ascii_punctuation() => {
                    out.push('\\');
                    out.push(other);
                }
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            '[' => {
                class_depth += 1;
                out.push('[');
            }
            ']' => {
                class_depth = class_depth.saturating_sub(1);
                out.push(']');
            }
            '(' if class_depth == 0 && chars.peek() == Some(&'?') => {
                let ahead: String = chars.clone().skip(1).take(2).collect();
                match ahead.as_bytes() {
                    [b'=', ..] => return refuse("look-ahead"),
                    [b'!', ..] => return refuse("negative look-ahead"),
                    [b'<', b'=' | b'!'] => return refuse("look-behind"),
                    [b'>', ..] => return refuse("atomic group"),
                    _ => out.push('('),
                }
            }
            '*' | '+' | '?' | '}' if class_depth == 0 && chars.peek() == Some(&'+') => return refuse("possessive quantifier"),
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_spellings_are_understood() {
        assert!(java_regex(r"\Qa.b\E").unwrap().is_match("a.b"));
        assert!(!java_regex(r"^\d$").unwrap().is_match("٣"));
        assert!(java_regex(r"[\w.]+\/").unwrap().is_match("a.b/"));
        assert_eq!(java_regex(r"(?<=a)b").unwrap_err().http_status(), 501);
        assert_eq!(java_regex(r"(a").unwrap_err().http_status(), 400);
        assert!(java_regex(r"\p{Alpha}+").unwrap().is_match("abc"));
    }
}
