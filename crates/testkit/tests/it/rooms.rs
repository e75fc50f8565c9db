//! `rooms.toml` is the truth about who may depend on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn rooms_depend_only_on_what_rooms_toml_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("rooms.toml")).expect("rooms.toml is there");
    let allowed: BTreeMap<String, BTreeSet<String>> = toml::from_str(&text).expect("rooms.toml is TOML");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(&root)
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let room = room_of(package["name"].as_str().expect("a name"));
        let Some(may) = room.and_then(|room| allowed.get(room)) else {
            wrong.push(format!("{} is not a room of rooms.toml", package["name"]));
            continue;
        };
        let room = room.expect("checked above");
        seen.insert(room.to_owned());
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            // Development dependencies may go anywhere: tests see everything.
            let name = dependency["name"].as_str().expect("a name");
            if dependency["kind"] == "dev" {
                continue;
            }
            match room_of(name) {
                Some(other) if !may.contains(other) => wrong.push(format!("{room} must not depend on {other}")),
                None if is_datafusion(name) && room != "engine" && room != "sql" => {
                    wrong.push(format!("{room} names {name}; only engine and sql may"));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, allowed.keys().cloned().collect::<BTreeSet<_>>(), "rooms.toml names rooms that are not there");
}

fn room_of(package: &str) -> Option<&str> {
    package.strip_prefix("ovate-")
}

fn is_datafusion(name: &str) -> bool {
    name.starts_with("datafusion") || name == "ballista"
}
