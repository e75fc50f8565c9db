//! The local segment cache of a Historical (`SegmentLocalCacheManager`): segments are pulled into a temporary directory
//! and renamed into place, then described by a file in the info directory. A segment without its info file is deleted
//! at start, an info file without its segment too, so a crash leaves no half segment.

mod recover;
mod select;
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

pub use select::{Filling, LocationSelector};

use crate::deep::{DeepStorage, sync_dir, sync_tree, tree_bytes, write_atomically};

/// A directory for segments and how much it may hold (`druid.segmentCache.locations`).
#[derive(Debug, Clone)]
pub struct CacheLocation {
    pub path: PathBuf,
    pub max_bytes: u64,
}

/// `druid.segmentCache.*` of what is on disk.
#[derive(Debug)]
pub struct SegmentCacheSettings {
    pub locations: Vec<CacheLocation>,
    /// `infoDir`; by default in the first location.
    pub info_dir: Option<PathBuf>,
    /// `locationSelector.strategy`.
    pub selector: LocationSelector,
    /// Threads that read what is there at start (`numBootstrapThreads`).
    pub bootstrap_threads: usize,
}

/// Segments on this machine's disks.
#[derive(Debug)]
pub struct SegmentCache {
    locations: Vec<CacheLocation>,
    selector: LocationSelector,
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
    pub fn open(settings: SegmentCacheSettings) -> Result<SegmentCache> {
        let SegmentCacheSettings { locations, info_dir, selector, bootstrap_threads } = settings;
        let Some(first) = locations.first() else {
            return Err(DruidError::invalid_input("druid.segmentCache.locations is empty"));
        };
        let info_dir = info_dir.unwrap_or_else(|| first.path.join("info_dir"));
        let found = recover::recover(&locations, &info_dir, bootstrap_threads)
            .map_err(|error| DruidError::runtime(format!("cannot open the segment cache: {error}")))?;
        let mut state = State { entries: BTreeMap::new(), used_bytes: vec![0; locations.len()] };
        for entry in found {
            state.used_bytes[entry.location] += entry.bytes;
            state.entries.insert(entry.segment.id(), entry);
        }
        Ok(SegmentCache { locations, selector, info_dir, state: Mutex::new(state), busy: Mutex::default() })
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

    /// Puts a file of ours beside a segment's own, in place of an older one. Its bytes count like the segment's; false, and
    /// nothing written, where there is no room for them or the segment is gone.
    pub fn put_file(&self, id: &SegmentId, name: &str, contents: &[u8]) -> Result<bool> {
        let Some(Entry { location, path, .. }) = self.state.lock().entries.get(id).cloned() else { return Ok(false) };
        let (target, temporary) = (path.join(name), path.join(format!("{name}.tmp")));
        let before = fs::metadata(&target).map_or(0, |metadata| metadata.len());
        let bytes = contents.len() as u64;
        if !self.reserve(location, bytes) {
            return Ok(false);
        }
        // Without syncing: whoever reads it checks it, and makes it again.
        let written = fs::write(&temporary, contents).and_then(|()| fs::rename(&temporary, &target));
        let mut state = self.state.lock();
        let State { entries, used_bytes } = &mut *state;
        let used = &mut used_bytes[location];
        match (written, entries.get_mut(id)) {
            (Ok(()), Some(entry)) => {
                entry.bytes = (entry.bytes + bytes).saturating_sub(before);
                *used = used.saturating_sub(before);
                Ok(true)
            }
            (written, _) => {
                *used = used.saturating_sub(bytes);
                drop(state);
                let _ = fs::remove_file(&temporary);
                match written {
                    Err(error) if path.exists() => {
                        Err(DruidError::runtime(format!("cannot write [{}]: {error}", target.display())))
                    }
                    // A segment that was dropped meanwhile took its folder along.
                    _ => Ok(false),
                }
            }
        }
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

    /// Tries the locations in the selector's order. One whose disk fails gives way to the next; a failure of deep storage
    /// would be the same anywhere, and is the answer.
    async fn load_locked(&self, segment: &DataSegment, deep: &dyn DeepStorage) -> Result<PathBuf> {
        let id = segment.id();
        let relative = relative_path(segment)?;
        let promised = segment.size.max(0) as u64;
        let mut failure = None;
        for location in self.selector.order(&self.fillings()) {
            if !self.reserve(location, promised) {
                continue;
            }
            match self.load_into(location, segment, deep, &relative).await {
                Ok(bytes) => {
                    let path = self.locations[location].path.join(&relative);
                    let mut state = self.state.lock();
                    state.used_bytes[location] = state.used_bytes[location].saturating_sub(promised) + bytes;
                    state.entries.insert(id, Entry { segment: segment.clone(), location, bytes, path: path.clone() });
                    return Ok(path);
                }
                Err(error) => {
                    self.give_back(location, promised);
                    if !is_disk_failure(&error) {
                        return Err(error);
                    }
                    let path = self.locations[location].path.display();
                    tracing::warn!(
                        "a location of the segment cache failed, the next one is tried. location={path} error={error}"
                    );
                    failure = Some(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| self.no_room(&id, promised)))
    }

    async fn load_into(&self, location: usize, segment: &DataSegment, deep: &dyn DeepStorage, relative: &Path) -> Result<u64> {
        let root = &self.locations[location].path;
        let temporary = root.join(TEMPORARY).join(uuid::Uuid::new_v4().to_string());
        let result = self.pull_into(segment, deep, &temporary, &root.join(relative)).await;
        if result.is_err() {
            let _ = fs::remove_dir_all(&temporary);
        }
        result
    }

    async fn pull_into(&self, segment: &DataSegment, deep: &dyn DeepStorage, temporary: &Path, target: &Path) -> Result<u64> {
        let at = |error: io::Error| DruidError::runtime(format!("cannot load segment [{}]: {error}", segment.id()));
        fs::create_dir_all(temporary).map_err(at)?;
        if !segment.is_tombstone() {
            let pulled = deep.pull(segment, temporary).await?;
            check_whole(segment, pulled)?;
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

    fn fillings(&self) -> Vec<Filling> {
        let state = self.state.lock();
        let filling =
            |(location, used_bytes): (&CacheLocation, &u64)| Filling { used_bytes: *used_bytes, max_bytes: location.max_bytes };
        self.locations.iter().zip(&state.used_bytes).map(filling).collect()
    }

    /// Promises space; false where there is not enough.
    fn reserve(&self, location: usize, bytes: u64) -> bool {
        let mut state = self.state.lock();
        let fits = self.locations[location].max_bytes.saturating_sub(state.used_bytes[location]) >= bytes;
        if fits {
            state.used_bytes[location] += bytes;
        }
        fits
    }

    fn give_back(&self, location: usize, bytes: u64) {
        let mut state = self.state.lock();
        state.used_bytes[location] = state.used_bytes[location].saturating_sub(bytes);
    }

    fn no_room(&self, id: &SegmentId, bytes: u64) -> DruidError {
        let free = |filling: &Filling| filling.max_bytes.saturating_sub(filling.used_bytes);
        let most = self.fillings().iter().map(free).max().unwrap_or(0);
        DruidError::runtime(format!(
            "not enough space for segment [{id}]: {bytes} bytes wanted, {most} free; raise maxSize in druid.segmentCache.locations"
        ))
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

/// Files of a folder carry no sums; one that is missing or cut is told by the sizes. Archives verify themselves, and old
/// writers noted other sizes for them.
fn check_whole(segment: &DataSegment, pulled: u64) -> Result<()> {
    let path = |name: &str| segment.load_spec.as_ref().and_then(|spec| spec.get(name)).and_then(|path| path.as_str());
    let is_folder = ["path", "key", "blobPath"].iter().any(|name| path(name).is_some_and(|path| path.ends_with('/')));
    let wanted = if is_folder { segment.size.max(0) as u64 } else { 1 };
    if pulled < wanted {
        let message = format!("segment [{}] is not whole in deep storage: {pulled} bytes of {wanted}", segment.id());
        return Err(DruidError::runtime(message));
    }
    Ok(())
}

/// Levels of directories above a segment's files.
const PATH_DEPTH: usize = 4;

/// Codes of Linux for a disk that cannot take what is written: I/O error, no space, read-only, quota.
const DISK_FAILURES: [&str; 4] = ["(os error 5)", "(os error 28)", "(os error 30)", "(os error 122)"];

/// True for errors of the disk. They come as text, since deep storage of every kind passes them on.
fn is_disk_failure(error: &DruidError) -> bool {
    DISK_FAILURES.iter().any(|code| error.message.contains(code))
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
