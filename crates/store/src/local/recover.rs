//! What a cache finds at start: segments with their descriptions, read by several threads; halves of crashed loads and
//! drops are removed.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ovate_base::DataSegment;

use super::{CacheLocation, Entry, PATH_DEPTH, TEMPORARY, relative_path};
use crate::deep::tree_bytes;

/// Finds every whole segment. `threads` read descriptions and sizes, which is most of the work with many small segments.
pub(super) fn recover(locations: &[CacheLocation], info_dir: &Path, threads: usize) -> io::Result<Vec<Entry>> {
    fs::create_dir_all(info_dir)?;
    for location in locations {
        fs::create_dir_all(&location.path)?;
        let _ = fs::remove_dir_all(location.path.join(TEMPORARY));
    }
    let mut files = Vec::new();
    for file in fs::read_dir(info_dir)? {
        let file = file?;
        if file.file_type()?.is_file() {
            files.push(file.path());
        }
    }
    let part = files.len().div_ceil(threads.max(1)).max(1);
    let entries = std::thread::scope(|scope| {
        let readers: Vec<_> = files
            .chunks(part)
            .map(|files| {
                scope.spawn(move || files.iter().map(|file| read_entry(file, locations)).collect::<io::Result<Vec<_>>>())
            })
            .collect();
        let mut entries = Vec::with_capacity(files.len());
        for reader in readers {
            let found = reader.join().unwrap_or_else(|_| Err(io::Error::other("a reader of the segment cache panicked")))?;
            entries.extend(found.into_iter().flatten());
        }
        Ok::<_, io::Error>(entries)
    })?;
    let known: HashSet<&Path> = entries.iter().map(|entry| entry.path.as_path()).collect();
    for location in locations {
        remove_unknown(&location.path, 0, &known, info_dir)?;
    }
    Ok(entries)
}

/// The segment that a file describes; a file without its segment is removed.
fn read_entry(file: &Path, locations: &[CacheLocation]) -> io::Result<Option<Entry>> {
    let segment = fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<DataSegment>(&bytes).ok());
    let found = segment.and_then(|segment| {
        let relative = relative_path(&segment).ok()?;
        // A folder that is not there has no bytes either.
        let sized = |location: &CacheLocation| {
            let path = location.path.join(&relative);
            tree_bytes(&path).ok().map(|bytes| (path, bytes))
        };
        let (location, (path, bytes)) =
            locations.iter().enumerate().find_map(|(index, location)| Some((index, sized(location)?)))?;
        Some(Entry { bytes, segment, location, path })
    });
    if found.is_none() {
        fs::remove_file(file)?;
    }
    Ok(found)
}

/// Deletes segment directories that no info file describes: their load did not finish or their drop did not.
fn remove_unknown(dir: &Path, depth: usize, known: &HashSet<&Path>, info_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path: PathBuf = entry.path();
        let is_info = path == info_dir || (depth == 0 && entry.file_name() == "info_dir");
        if is_info || !entry.file_type()?.is_dir() {
            continue;
        }
        if depth + 1 == PATH_DEPTH {
            if !known.contains(path.as_path()) {
                fs::remove_dir_all(&path)?;
            }
            continue;
        }
        remove_unknown(&path, depth + 1, known, info_dir)?;
    }
    Ok(())
}
