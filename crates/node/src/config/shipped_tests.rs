//! The conf trees that Druid ships, and ours, are accepted whole: every folder of a service gives settings.

use std::path::{Path, PathBuf};

use ovate_net::NodeRole;

use super::registry::Verdict;
use super::{Settings, launch, load_conf, registry};

/// Folders below `tree` that hold a service's `runtime.properties`.
fn services(tree: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
            let path = entry.path();
            if path.join("runtime.properties").is_file() {
                found.push(path.clone());
            }
            folders.push(path);
        }
    }
    found.sort();
    found
}

fn accept(tree: &Path) -> usize {
    let services = services(tree);
    for folder in &services {
        let roles = launch::roles(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let conf = load_conf(Some(folder), &[]).expect("readable");
        let settings = Settings::new(&roles, conf, Path::new("/base"), Some(folder.clone()))
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let unknown: Vec<&String> = settings.notices.warnings.iter().filter(|text| text.starts_with("unknown")).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", folder.display());
        // Whatever is in the files is accounted for.
        for (name, _) in settings.properties.iter().filter(|(name, _)| name.starts_with("druid.")) {
            assert!(registry::find(name).is_some_and(|row| row.verdict != Verdict::Refused), "{}: {name}", folder.display());
        }
        if roles == [NodeRole::Coordinator] {
            assert_eq!(settings.port(NodeRole::Overlord), Some(8081), "{}", folder.display());
        }
    }
    services.len()
}

#[test]
fn every_conf_tree_that_druid_ships_is_accepted_whole() {
    let Some(shared) = ovate_testkit::shared_dir() else {
        return ovate_testkit::skip("every_conf_tree_that_druid_ships_is_accepted_whole", "no ../shared");
    };
    let count = accept(&shared.join("fixtures/druid/shipped/conf/druid"));
    assert!(count >= 42, "only {count} services in the shipped trees");
}

#[test]
fn every_conf_tree_of_ours_is_accepted_whole() {
    let count = accept(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/druid"));
    assert_eq!(count, 6 + 6 * 5 + 6);
}
