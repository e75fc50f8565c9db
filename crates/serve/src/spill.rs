//! Groups of queries on disk (`druid.processing.tmpDir`, `druid.query.groupBy.maxOnDiskStorage`): a file a merge, without a name
//! from the start, so that nothing stays behind however the process ends.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ovate_base::{DruidError, Properties, Result};
use ovate_query::document::Context;
use ovate_query::{Spill, SpillFile, SpillStore};

/// What queries of this process may spill.
#[derive(Debug, Clone)]
pub struct SpillSettings {
    /// `druid.processing.tmpDir`.
    pub folder: PathBuf,
    /// `druid.query.groupBy.maxOnDiskStorage`: bytes on disk for one query on one server; 0 keeps groups in memory.
    pub bytes_max: u64,
}

impl SpillSettings {
    /// No spilling.
    pub fn off() -> Self {
        SpillSettings { folder: std::env::temp_dir(), bytes_max: 0 }
    }

    /// From the properties.
    pub fn from_properties(properties: &Properties) -> Result<Self> {
        let folder = properties.text("druid.processing.tmpDir", "");
        let folder = if folder.is_empty() { std::env::temp_dir() } else { PathBuf::from(folder) };
        Ok(SpillSettings { folder, bytes_max: properties.bytes("druid.query.groupBy.maxOnDiskStorage", 0)? })
    }

    /// What a query may spill; its context's `maxOnDiskStorage` may only lower what the server allows.
    pub fn of_query(&self, context: &Context) -> Result<Option<Spill>> {
        let asked = context.long("maxOnDiskStorage")?.map_or(u64::MAX, |bytes| bytes.max(0).unsigned_abs());
        let bytes = self.bytes_max.min(asked);
        let store = FolderStore { folder: self.folder.clone() };
        Ok((bytes > 0).then(|| Spill::new(Arc::new(store), bytes)))
    }
}

struct FolderStore {
    folder: PathBuf,
}

struct Unnamed {
    file: File,
    end: AtomicU64,
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

impl SpillStore for FolderStore {
    fn create(&self) -> Result<Box<dyn SpillFile>> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("ovate-spill-{}-{number}", std::process::id()));
        let failed = |e: std::io::Error| DruidError::runtime(format!("cannot spill groups: {e}. path={}", path.display()));
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        std::fs::remove_file(&path).map_err(failed)?;
        Ok(Box::new(Unnamed { file, end: AtomicU64::new(0) }))
    }
}

impl SpillFile for Unnamed {
    fn append(&self, bytes: &[u8]) -> Result<u64> {
        let start = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, start).map_err(|e| DruidError::runtime(format!("cannot spill groups: {e}")))?;
        Ok(start)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(bytes, offset).map_err(|e| DruidError::runtime(format!("cannot read spilled groups: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spilled_bytes_are_read_back_and_leave_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = SpillSettings { folder: folder.path().to_owned(), bytes_max: 100 };
        let store = FolderStore { folder: settings.folder.clone() };
        let file = store.create().expect("a file");
        assert_eq!((file.append(b"abc").expect("room"), file.append(b"defg").expect("room")), (0, 3));
        let mut four = [0; 4];
        file.read(3, &mut four).expect("bytes");
        assert_eq!(&four, b"defg");
        assert!(file.read(5, &mut four).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_query_may_lower_what_it_spills_but_not_raise_it() {
        let settings = SpillSettings { folder: std::env::temp_dir(), bytes_max: 100 };
        let mut context = Context::default();
        assert!(settings.of_query(&context).expect("a context").is_some());
        context.set("maxOnDiskStorage", 0);
        assert!(settings.of_query(&context).expect("a context").is_none());
        context.set("maxOnDiskStorage", 1000);
        assert!(SpillSettings::off().of_query(&context).expect("a context").is_none());
    }
}
