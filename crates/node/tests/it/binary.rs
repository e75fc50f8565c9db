//! The binary under test. Clones share a target folder, and a build of another clone replaces `target/debug/ovate` while
//! tests run: each run of the tests keeps the file it began with by a link of its own.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static OVATE: LazyLock<String> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    forget_ended_runs(&folder);
    let link = folder.join(format!("ovate-{}", std::process::id()));
    let built = env!("CARGO_BIN_EXE_ovate");
    std::fs::hard_link(built, &link).or_else(|_| std::fs::copy(built, &link).map(drop)).expect("the binary is built");
    link.to_string_lossy().into_owned()
});

/// Path of the binary that this run of the tests judges.
pub fn ovate() -> &'static str {
    &OVATE
}

fn forget_ended_runs(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("ovate-").and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
