//! Every property of Druid that we know by name, and what becomes of it: read by our code, accepted although it has no
//! meaning here (with the reason, logged), or refused. The table is `properties.table`, one line a property; the
//! configuration page's table is made from it, and tests hold it against the sources and against the feature list.

mod check;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

pub use check::{Notices, check};

/// What becomes of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Our code reads it.
    Honoured,
    /// Accepted, but means nothing here; the row's text says why.
    Idle,
    /// These values say what we do anyway, or name what we have; any other is refused.
    Only(Vec<&'static str>),
    /// Any value is refused; the row's text says why.
    Refused,
}

/// One line of the table.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), expect(dead_code, reason = "the configuration page is made from every field"))]
pub struct Property {
    /// The name; a part `*` stands for any one part, `start*` for one that begins so, `**` at the end for any rest.
    pub name: &'static str,
    /// Who reads it, as the page says it.
    pub roles: &'static str,
    pub verdict: Verdict,
    pub default: &'static str,
    /// What it means, or why it means nothing, or why it is refused.
    pub text: &'static str,
    /// Heading of the page that it stands under.
    pub section: &'static str,
}

/// The whole table, in the order of the page.
pub fn table() -> &'static [Property] {
    static TABLE: OnceLock<Vec<Property>> = OnceLock::new();
    TABLE.get_or_init(|| parse(include_str!("properties.table")))
}

/// The row of a property: an exact name before a pattern.
pub fn find(name: &str) -> Option<&'static Property> {
    let exact = table().iter().find(|property| property.name == name);
    exact.or_else(|| table().iter().find(|property| property.name.contains('*') && matches(property.name, name)))
}

fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = name.split('.');
    for wanted in pattern.split('.') {
        match (wanted, parts.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(part)) if !part.is_empty() => {}
            (wanted, Some(part)) if wanted == part => {}
            (wanted, Some(part)) if wanted.strip_suffix('*').is_some_and(|start| part.starts_with(start)) => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// Lines `name | roles | verdict | default | text`; `# heading` begins a section, blank lines are passed over.
fn parse(text: &'static str) -> Vec<Property> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            section = heading;
        } else if !line.trim().is_empty() {
            rows.push(row(line, section));
        }
    }
    rows
}

fn row(line: &'static str, section: &'static str) -> Property {
    let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let [name, roles, verdict, default, text] = cells[..] else { panic!("not five cells in the property table: {line}") };
    let verdict = match verdict.split_once(' ') {
        None if verdict == "yes" => Verdict::Honoured,
        None if verdict == "idle" => Verdict::Idle,
        None if verdict == "refused" => Verdict::Refused,
        Some(("only", values)) => Verdict::Only(values.split(' ').collect()),
        _ => panic!("unknown verdict in the property table: {line}"),
    };
    Property { name, roles, verdict, default, text, section }
}
