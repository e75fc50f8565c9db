//! The peon: one task in a process of its own. Dies with its parent, writes status and report before it exits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_store::deep::DeepStorage;

use crate::spec::TaskSpec;
use crate::task::TaskActions;

/// The files of a task's directory.
#[derive(Debug, Clone)]
pub struct PeonFiles {
    /// The task as the overlord stores it.
    pub task: PathBuf,
    /// `TaskStatus`, written when the task has ended, by rename.
    pub status: PathBuf,
    /// The report, written now and then by rename, and at the end.
    pub report: PathBuf,
    /// Intermediate files.
    pub work: PathBuf,
}

impl PeonFiles {
    /// The files below a task's directory.
    pub fn in_dir(dir: &Path) -> PeonFiles {
        PeonFiles {
            task: dir.join("task.json"),
            status: dir.join("status.json"),
            report: dir.join("report.json"),
            work: dir.join("work"),
        }
    }
}

/// What the binary gives a peon besides its files.
pub struct PeonServices {
    /// Makes the task's door to the overlord.
    pub actions: Box<dyn FnOnce(&TaskSpec) -> Arc<dyn TaskActions> + Send>,
    pub storage: Arc<dyn DeepStorage>,
    pub threads: usize,
    pub memory_bytes: usize,
}

/// Runs the task of `ovate internal peon <dir>`. The exit status is 0 when a status was written, whatever it says.
pub async fn run_peon(files: &PeonFiles, services: PeonServices) -> Result<i32> {
    let _ = (files, services);
    Err(DruidError::unsupported("peons do not run yet"))
}
