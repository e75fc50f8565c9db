//! The folder `../shared` with fixtures and conformance data: beside the checkout, or where `OVATE_SHARED` points.

use std::path::{Path, PathBuf};

/// The folder, or `None` where there is none.
pub fn shared_dir() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let candidates = [std::env::var_os("OVATE_SHARED").map(PathBuf::from), Some(beside), Some(PathBuf::from("/work/shared"))];
    candidates.into_iter().flatten().find(|dir| dir.is_dir())
}

/// Says, by name and with the reason, that a test did not run.
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
}
