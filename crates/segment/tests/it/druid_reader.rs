//! Apache Druid's own reader as judge of what we write: `shared/fixtures/druid/generator-37.0.0/read.sh` (JDK 17, and Maven
//! with a registry the first time). Jars are kept in `~/.cache/ovate/druid-reader`, or where `OVATE_DRUID_READER` says.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::fixtures;

/// The reader, when everything that it needs is there; else the reason for skipping is printed.
pub struct DruidReader {
    script: PathBuf,
    work: PathBuf,
}

impl DruidReader {
    pub fn find() -> Option<Self> {
        let script = fixtures()?.join("generator-37.0.0/read.sh");
        if Command::new("java").arg("-version").output().is_err() {
            eprintln!("skipped: no java on the path");
            return None;
        }
        let home = std::env::var("HOME").unwrap_or_else(|_| "/tmp".to_owned());
        let work = std::env::var("OVATE_DRUID_READER").unwrap_or_else(|_| format!("{home}/.cache/ovate/druid-reader"));
        let work = PathBuf::from(work);
        if !work.join("lib").is_dir() && Command::new("mvn").arg("-version").output().is_err() {
            eprintln!("skipped: Druid's jars are not fetched yet and there is no mvn on the path");
            return None;
        }
        std::fs::create_dir_all(&work).unwrap();
        Some(DruidReader { script, work })
    }

    /// Reads these segments and compares each with its `expected.jsonl`; panics with Druid's words where it cannot.
    pub fn check(&self, segments: &[PathBuf], scratch: &Path) {
        let list = scratch.join("segments.txt");
        let lines: Vec<String> = segments.iter().map(|path| path.display().to_string()).collect();
        std::fs::write(&list, lines.join("\n") + "\n").unwrap();
        let output = Command::new(&self.script)
            .args(["--quiet", "--compare", "--list"])
            .arg(&list)
            .env("WORK_DIR", &self.work)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let failures: Vec<&str> =
            said.lines().filter(|line| !line.trim_start_matches(['\u{1b}', '[', '0', 'm']).starts_with("ok ")).collect();
        assert!(output.status.success(), "Druid's reader: {}\n{}", output.status, failures.join("\n"));
        assert_eq!(said.lines().filter(|line| line.contains("ok ")).count(), segments.len(), "{said}");
    }
}
