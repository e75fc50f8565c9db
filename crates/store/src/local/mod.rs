//! The local segment cache of a Historical (`SegmentLocalCacheManager`): segments are pulled into a temporary directory
//! and renamed into place, then described by a file in the info directory. A segment without its info file is deleted
//! at start, an info file without its segment too, so a crash leaves no half segment.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::time::format_iso;
use ovate_base::{DataSegment, DruidError, Result, SegmentId};
use parking_lot::Mutex;

use crate::deep::{DeepStorage, sync_dir, sync_tree, tree_bytes, write_atomically};

/// A directory for segments and how much it may hold (`druid.segmentCache.locations`).
#[derive(Debug, Clone)]
pub struct CacheLocation {
    pub path: PathBuf,
    pub max_bytes: u64,
}

/// Segments on this machine's disks.
#[derive(Debug)]
pub struct SegmentCache {
    locations: Vec<CacheLocation>,
    info_dir: PathBuf,
    state: Mutex<State>,
    /// One lock a segment that is being loaded or dropped.
    busy: Mutex<HashMap<SegmentId, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<SegmentId, Entry>,
    /// Bytes taken or promised, by location.
    used_bytes: Vec<u64>,
}

#[derive(Debug, Clone)]
struct Entry {
    segment: DataSegment,
    location: usize,
    bytes: u64,
    path: PathBuf,
}

const TEMPORARY: &str = ".loading";

impl SegmentCache {
    /// Opens the cache: finds what survived and removes what is half there. Tombstones need no files.
    pub fn open(locations: Vec<CacheLocation>, info_dir: Option<PathBuf>) -> Result<SegmentCache> {
        let Some(first) = locations.first() else {
            return Err(DruidError::invalid_input("druid.segmentCache.locations is empty"));
        };
        let info_dir = info_dir.unwrap_or_else(|| first.path.join("info_dir"));
        let state = State { entries: BTreeMap::new(), used_bytes: vec![0; locations.len()] };
        let cache = SegmentCache { locations, info_dir, state: Mutex::new(state), busy: Mutex::default() };
        cache.recover().map_err(|error| DruidError::runtime(format!("cannot open the segment cache: {error}")))?;
        Ok(cache)
    }

    /// Segments that are here, from before the start too.
    pub fn segments(&self) -> Vec<DataSegment> {
        self.state.lock().entries.values().map(|entry| entry.segment.clone()).collect()
    }

    /// The directory of a segment that is here.
    pub fn path(&self, id: &SegmentId) -> Option<PathBuf> {
        self.state.lock().entries.get(id).map(|entry| entry.path.clone())
    }

    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes.iter().sum()
    }

    pub fn max_bytes(&self) -> u64 {
        self.locations.iter().fold(0, |sum, location| sum.saturating_add(location.max_bytes))
    }

    /// Brings a segment here, unless it is, and gives its directory. Several callers for one segment wait for one pull.
    pub async fn load(&self, segment: &DataSegment, deep: &dyn DeepStorage) -> Result<PathBuf> {
        let id = segment.id();
        let busy = self.busy_lock(&id);
        let result = {
            let _guard = busy.lock().await;
            match self.path(&id) {
                Some(path) => Ok(path),
                None => self.load_locked(segment, deep).await,
            }
        };
        self.forget_busy(&id, busy);
        result
    }

    /// Removes a segment; false when it was not here. Files that are mapped stay readable until they are closed.
    pub async fn drop_segment(&self, id: &SegmentId) -> Result<bool> {
        let busy = self.busy_lock(id);
        let result = {
            let _guard = busy.lock().await;
            let entry = self.state.lock().entries.remove(id);
            match entry {
                None => Ok(false),
                Some(entry) => self.remove_files(id, &entry).map(|()| true),
            }
        };
        self.forget_busy(id, busy);
        result
    }

    async fn load_locked(&self, segment: &DataSegment, deep: &dyn DeepStorage) -> Result<PathBuf> {
        let id = segment.id();
        let relative = relative_path(segment)?;
        let promised = segment.size.max(0) as u64;
        let location = self.reserve(&id, promised)?;
        let root = self.locations[location].path.clone();
        let temporary = root.join(TEMPORARY).join(uuid::Uuid::new_v4().to_string());
        let target = root.join(&relative);
        let result = self.pull_into(segment, deep, &temporary, &target).await;
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(error) => {
                let _ = fs::remove_dir_all(&temporary);
                let mut state = self.state.lock();
                state.used_bytes[location] = state.used_bytes[location].saturating_sub(promised);
                return Err(error);
            }
        };
        let mut state = self.state.lock();
        state.used_bytes[location] = state.used_bytes[location].saturating_sub(promised) + bytes;
        state.entries.insert(id, Entry { segment: segment.clone(), location, bytes, path: target.clone() });
        Ok(target)
    }

    async fn pull_into(&self, segment: &DataSegment, deep: &dyn DeepStorage, temporary: &Path, target: &Path) -> Result<u64> {
        let at = |error: io::Error| DruidError::runtime(format!("cannot load segment [{}]: {error}", segment.id()));
        fs::create_dir_all(temporary).map_err(at)?;
        if !segment.is_tombstone() {
            deep.pull(segment, temporary).await?;
        }
        let (segment, temporary, target, info) =
            (segment.clone(), temporary.to_owned(), target.to_owned(), self.info_path(&segment.id()));
        crate::deep::blocking(move || {
            let at = |error: io::Error| DruidError::runtime(format!("cannot load segment [{}]: {error}", segment.id()));
            sync_tree(&temporary).map_err(at)?;
            let bytes = tree_bytes(&temporary).map_err(at)?;
            let parent = target.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(parent).map_err(at)?;
            if target.exists() {
                fs::remove_dir_all(&target).map_err(at)?;
            }
            fs::rename(&temporary, &target).map_err(at)?;
            sync_dir(parent).map_err(at)?;
            let json = serde_json::to_vec(&segment).expect("a segment is JSON");
            if let Err(error) = write_atomically(&info, &json) {
                let _ = fs::remove_dir_all(&target);
                return Err(at(error));
            }
            Ok(bytes)
        })
        .await
    }

    /// Promises space in the location that has the most left.
    fn reserve(&self, id: &SegmentId, bytes: u64) -> Result<usize> {
        let mut state = self.state.lock();
        let free = |index: usize| self.locations[index].max_bytes.saturating_sub(state.used_bytes[index]);
        let best = (0..self.locations.len()).max_by_key(|index| free(*index)).expect("open refuses an empty list");
        if free(best) < bytes {
            return Err(DruidError::runtime(format!(
                "not enough space for segment [{id}]: {bytes} bytes wanted, {} free; raise maxSize in druid.segmentCache.locations",
                free(best)
            )));
        }
        state.used_bytes[best] += bytes;
        Ok(best)
    }

    fn remove_files(&self, id: &SegmentId, entry: &Entry) -> Result<()> {
        let at = |error: io::Error| DruidError::runtime(format!("cannot drop segment [{id}]: {error}"));
        // The info file goes first: after a crash here the files are removed at the next start.
        for result in [fs::remove_file(self.info_path(id)), fs::remove_dir_all(&entry.path)] {
            match result {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
                _ => {}
            }
        }
        remove_empty_parents(&entry.path, &self.locations[entry.location].path);
        let mut state = self.state.lock();
        state.used_bytes[entry.location] = state.used_bytes[entry.location].saturating_sub(entry.bytes);
        Ok(())
    }

    fn recover(&self) -> io::Result<()> {
        fs::create_dir_all(&self.info_dir)?;
        for location in &self.locations {
            fs::create_dir_all(&location.path)?;
            let _ = fs::remove_dir_all(location.path.join(TEMPORARY));
        }
        let mut state = self.state.lock();
        for file in fs::read_dir(&self.info_dir)? {
            let file = file?.path();
            let segment = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<DataSegment>(&bytes).ok());
            let found = segment.and_then(|segment| {
                let relative = relative_path(&segment).ok()?;
                let paths = self.locations.iter().map(|location| location.path.join(&relative));
                let (location, path) = paths.enumerate().find(|(_, path)| path.is_dir())?;
                Some(Entry { bytes: tree_bytes(&path).ok()?, segment, location, path })
            });
            match found {
                Some(entry) => {
                    state.used_bytes[entry.location] += entry.bytes;
                    state.entries.insert(entry.segment.id(), entry);
                }
                None if file.is_file() => fs::remove_file(&file)?,
                None => {}
            }
        }
        let known: std::collections::HashSet<PathBuf> = state.entries.values().map(|entry| entry.path.clone()).collect();
        for location in &self.locations {
            remove_unknown(&location.path, 0, &known, &self.info_dir)?;
        }
        Ok(())
    }

    fn info_path(&self, id: &SegmentId) -> PathBuf {
        self.info_dir.join(id.to_string())
    }

    fn busy_lock(&self, id: &SegmentId) -> Arc<tokio::sync::Mutex<()>> {
        self.busy.lock().entry(id.clone()).or_default().clone()
    }

    fn forget_busy(&self, id: &SegmentId, lock: Arc<tokio::sync::Mutex<()>>) {
        let mut busy = self.busy.lock();
        // Two: the map's and ours. With more, somebody waits.
        if Arc::strong_count(&lock) == 2 {
            busy.remove(id);
        }
    }
}

/// `<dataSource>/<start>_<end>/<version>/<partition>`, as deep storage has it.
fn relative_path(segment: &DataSegment) -> Result<PathBuf> {
    let (start, end) = (format_iso(segment.interval.start), format_iso(segment.interval.end));
    let parts = [
        segment.data_source.to_string(),
        format!("{start}_{end}"),
        segment.version.to_string(),
        segment.shard_spec.partition_num().to_string(),
    ];
    if parts.iter().any(|part| part.is_empty() || part == "." || part == ".." || part.contains(['/', '\0'])) {
        return Err(DruidError::invalid_input(format!("segment [{}] cannot be a path", segment.id())));
    }
    Ok(parts.iter().collect())
}

/// Levels of directories above a segment's files.
const PATH_DEPTH: usize = 4;

/// Deletes segment directories that no info file describes: their load did not finish or their drop did not.
fn remove_unknown(dir: &Path, depth: usize, known: &std::collections::HashSet<PathBuf>, info_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.is_dir() || path == info_dir || (depth == 0 && path.file_name().is_some_and(|name| name == "info_dir")) {
            continue;
        }
        if depth + 1 == PATH_DEPTH {
            if !known.contains(&path) {
                fs::remove_dir_all(&path)?;
            }
            continue;
        }
        remove_unknown(&path, depth + 1, known, info_dir)?;
    }
    Ok(())
}

fn remove_empty_parents(path: &Path, root: &Path) {
    let mut parent = path.parent();
    while let Some(dir) = parent.filter(|dir| dir.starts_with(root) && *dir != root) {
        if fs::remove_dir(dir).is_err() {
            return;
        }
        parent = dir.parent();
    }
}
