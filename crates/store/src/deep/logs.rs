//! Task logs and reports in a directory (`druid.indexer.logs.type=file`): `<taskId>.log`, `<taskId>.report.json`.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ovate_base::{DruidError, Result};

use super::local::blocking;
use super::names::checked_task_id;
use super::{TaskLogs, write_atomically};

/// Logs in `druid.indexer.logs.directory`.
#[derive(Debug, Clone)]
pub struct LocalTaskLogs {
    dir: PathBuf,
}

/// Most bytes of a log or report given at once.
const READ_BYTES_MAX: u64 = 256 << 20;

impl LocalTaskLogs {
    pub fn new(dir: impl Into<PathBuf>) -> LocalTaskLogs {
        LocalTaskLogs { dir: dir.into() }
    }

    fn path(&self, task_id: &str, suffix: &str) -> Result<PathBuf> {
        Ok(self.dir.join(format!("{}{suffix}", checked_task_id(task_id)?)))
    }
}

#[async_trait]
impl TaskLogs for LocalTaskLogs {
    async fn push_log(&self, task_id: &str, file: &Path) -> Result<()> {
        let (target, file, dir) = (self.path(task_id, ".log")?, file.to_owned(), self.dir.clone());
        blocking(move || {
            let temporary = dir.join(format!(".{}.tmp", uuid::Uuid::new_v4()));
            let result =
                fs::create_dir_all(&dir).and_then(|()| fs::copy(&file, &temporary)).and_then(|_| fs::rename(&temporary, &target));
            result.map_err(|error| failed(&target, error))
        })
        .await
    }

    async fn push_report(&self, task_id: &str, report: &[u8]) -> Result<()> {
        let (target, report, dir) = (self.path(task_id, ".report.json")?, report.to_vec(), self.dir.clone());
        blocking(move || {
            let result = fs::create_dir_all(&dir).and_then(|()| write_atomically(&target, &report));
            result.map_err(|error| failed(&target, error))
        })
        .await
    }

    async fn log(&self, task_id: &str, offset: i64) -> Result<Option<Vec<u8>>> {
        let path = self.path(task_id, ".log")?;
        blocking(move || read_from(&path, offset)).await
    }

    async fn report(&self, task_id: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(task_id, ".report.json")?;
        blocking(move || read_from(&path, 0)).await
    }

    async fn kill(&self, task_id: &str) -> Result<()> {
        let paths = [self.path(task_id, ".log")?, self.path(task_id, ".report.json")?];
        blocking(move || {
            for path in paths {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, error)),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }
}

/// The bytes of a file from an offset, from the end when negative; `None` when there is no file.
pub(crate) fn read_from(path: &Path, offset: i64) -> Result<Option<Vec<u8>>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        let start = if offset < 0 { length.saturating_sub(offset.unsigned_abs()) } else { (offset as u64).min(length) };
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

fn failed(path: &Path, error: io::Error) -> DruidError {
    DruidError::runtime(format!("task log [{}]: {error}", path.display()))
}
