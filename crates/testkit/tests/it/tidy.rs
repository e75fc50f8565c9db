//! What style.md asks of every file and a tool can see.

use std::path::{Path, PathBuf};

/// Lines at which a file must have become a folder.
const FILE_LINES_MAX: usize = 700;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).expect("a readable folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut found);
    found
}

#[test]
fn every_file_says_what_it_is() {
    let bare: Vec<String> = sources()
        .iter()
        .filter(|(path, text)| !path.ends_with("tests.rs") && !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(bare.is_empty(), "files without a //! header:\n{}", bare.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{lines} {}", path.display()))
        .collect();
    assert!(long.is_empty(), "files past {FILE_LINES_MAX} lines, each a folder in waiting:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_to_do_in_code() {
    let marks =
        ["todo!", "unimplemented!", "#[ignore"].map(|mark| format!("{mark}{}", if mark.ends_with('!') { "(" } else { "" }));
    let left: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| !path.ends_with("tidy.rs"))
        .filter(|(_, text)| marks.iter().any(|mark| text.contains(mark.as_str())))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(left.is_empty(), "stubs in:\n{}", left.join("\n"));
}
