//! The table against the sources, the feature list and the page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::extensions::{EXTENSIONS, Extension};
use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust source of the workspace but this room's tables and all tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("crates")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !matches!(name.as_str(), "tests" | "registry" | "target" | "testkit" | "benches") {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                sources.push((path, code.to_owned()));
            }
        }
    }
    sources
}

/// Whether the sources name the property: whole, or a beginning and an end of it, as `format!` puts them together.
fn is_read(name: &str, sources: &[(PathBuf, String)]) -> bool {
    let stem = name.trim_end_matches(".**").trim_end_matches(".*");
    let any = |needle: String| sources.iter().any(|(_, code)| code.contains(&needle));
    let whole = |text: &str| any(format!("\"{text}\"")) || any(format!("\"{text}."));
    let split = |at: usize| {
        let tail = stem[at + 1..].trim_start_matches("*.");
        whole(&stem[..at]) && (any(format!("\"{tail}\"")) || any(format!(".{tail}\"")))
    };
    whole(stem) || stem.match_indices('.').any(|(at, _)| at > 6 && split(at))
}

#[test]
fn what_the_table_calls_honoured_is_read_by_the_code() {
    let sources = sources();
    let unread: Vec<&str> = table()
        .iter()
        .filter(|row| row.verdict == Verdict::Honoured && !is_read(row.name.trim_start_matches("druid.*."), &sources))
        .map(|row| row.name)
        .filter(|name| *name != "druid.*.plaintextPort")
        .collect();
    assert!(unread.is_empty(), "said to be honoured, but no source reads them: {unread:#?}");
}

#[test]
fn what_the_code_reads_is_in_the_table() {
    let mut missing = BTreeSet::new();
    for (path, code) in sources() {
        for piece in code.split("\"druid.").skip(1) {
            let name = format!("druid.{}", piece.split('"').next().unwrap_or_default());
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            let begins_others = || table().iter().any(|row| row.name.starts_with(&format!("{name}.")));
            if plain && !name.ends_with('.') && name.matches('.').count() > 1 && find(&name).is_none() && !begins_others() {
                missing.insert(format!("{name} ({})", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "read by the code, but not in registry/properties.table: {missing:#?}");
}

#[test]
fn names_stand_once_and_every_row_says_something() {
    let mut seen = BTreeSet::new();
    for row in table() {
        assert!(seen.insert(row.name), "twice: {}", row.name);
        assert!(row.name.starts_with("druid.") && !row.roles.is_empty() && !row.text.is_empty(), "{row:?}");
    }
}

/// Properties of one row of the feature list: backticked words with `{a,b}` opened, defaults cut off, and words that begin
/// with a dot taken as relative to some beginning of the name before them.
fn named(row: &str) -> Vec<Vec<String>> {
    let mut wanted: Vec<Vec<String>> = Vec::new();
    let mut last = String::new();
    for word in row.split('`').skip(1).step_by(2).flat_map(|words| split_outside_braces(words, ' ')) {
        for name in open_braces(&word) {
            let name = name.split('=').next().unwrap_or_default().trim_end_matches("[]").replace("<group>", "mine");
            let name = name.split('[').next().unwrap_or_default().split("\\|").next().unwrap_or_default().to_owned();
            if name.starts_with("druid.") {
                wanted.push(vec![name.clone()]);
                last = name;
            } else if let Some(tail) = name.strip_prefix('.').filter(|_| !last.is_empty()) {
                let beginnings = last.match_indices('.').map(|(at, _)| format!("{}.{tail}", &last[..at]));
                let mut choices: Vec<String> = beginnings.collect();
                choices.push(format!("{last}.{tail}"));
                choices.reverse();
                wanted.push(choices);
            }
        }
    }
    wanted
}

fn split_outside_braces(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(matches!(c, '{' | '[')) - i32::from(matches!(c, '}' | ']'));
        if c == separator && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("never empty").push(c);
        }
    }
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

fn open_braces(word: &str) -> Vec<String> {
    let Some((head, rest)) = word.split_once('{').filter(|(head, _)| !head.contains('[') && !head.contains('=')) else {
        return vec![word.to_owned()];
    };
    let end = rest.rfind('}').unwrap_or(rest.len());
    let tail = rest.get(end + 1..).unwrap_or_default();
    split_outside_braces(&rest[..end], ',').iter().flat_map(|part| open_braces(&format!("{head}{}{tail}", part.trim()))).collect()
}

#[test]
fn every_property_of_the_feature_list_has_a_row() {
    let Some(shared) = ovate_testkit::shared_dir() else {
        return ovate_testkit::skip("every_property_of_the_feature_list_has_a_row", "no ../shared");
    };
    let list = std::fs::read_to_string(shared.join("druid-features.md")).expect("readable");
    let mut missing = Vec::new();
    let mut count = 0;
    for row in list.lines() {
        let id = row.trim_start_matches("| ").split(' ').next().unwrap_or_default();
        let ours = ["CFG", "CCO", "COV", "CMM", "CHI", "CBR"].iter().any(|group| id.starts_with(&format!("{group}-")));
        // Dynamic configuration is JSON that is posted, not properties.
        if !ours || matches!(id, "CCO-07" | "COV-08" | "CBR-08") {
            continue;
        }
        // A word with dots in its middle stands for several; they are spelt out elsewhere in the row.
        for choices in named(row).iter().filter(|choices| !choices[0].contains("...")) {
            count += 1;
            let known = |name: &String| {
                find(name).is_some()
                    || table().iter().any(|row| row.name.starts_with(&format!("{}.", name.trim_end_matches(".*"))))
            };
            if !choices.iter().any(known) {
                missing.push(format!("{id}: {}", choices[0]));
            }
        }
    }
    assert!(count > 250, "only {count} names were found in the feature list; does it still have its form?");
    assert!(missing.is_empty(), "of {count}, without a row: {missing:#?}");
}

/// The generated part of the page.
fn page_table() -> String {
    let mut text = String::new();
    let mut section = "";
    for row in table() {
        if row.section != section {
            section = row.section;
            text +=
                &format!("\n### {section}\n\n| property | roles | here | default | meaning or reason |\n|---|---|---|---|---|\n");
        }
        let here = match &row.verdict {
            Verdict::Honoured => "honoured".to_owned(),
            Verdict::Idle => "accepted, no effect".to_owned(),
            Verdict::Only(values) => format!("only `{}`", values.join("`, `")),
            Verdict::Refused => "refused".to_owned(),
        };
        text += &format!("| `{}` | {} | {here} | {} | {} |\n", row.name, row.roles, row.default, row.text);
    }
    text += "\n### Extensions\n\n| `druid.extensions.loadList` may name | here |\n|---|---|\n";
    for (name, extension) in EXTENSIONS {
        let here = match extension {
            Extension::BuiltIn => "built in".to_owned(),
            Extension::Missed(what) => format!("accepted with a warning; missing: {what}"),
            Extension::Refused(why) => format!("refused: {why}"),
        };
        text += &format!("| `{name}` | {here} |\n");
    }
    text + "\nAny other name is refused: jars cannot be loaded.\n"
}

#[test]
fn the_configuration_page_is_current() {
    const MARK: &str = "<!-- made from crates/node/src/config/registry/properties.table; OVATE_WRITE_DOCS=1 cargo test -p ovate-node --bin ovate configuration_page writes it anew -->\n";
    let page = root().join("docs/configuration.md");
    let text = std::fs::read_to_string(&page).expect("the page");
    let (head, old) = text.split_once(MARK).expect("the page has the mark");
    let new = page_table();
    if std::env::var_os("OVATE_WRITE_DOCS").is_some() {
        std::fs::write(&page, format!("{head}{MARK}{new}")).expect("written");
    } else {
        assert!(old == new, "docs/configuration.md is not what the table says; see the mark in it for how to write it anew");
    }
}
