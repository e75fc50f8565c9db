//! The internal files of a segment by name, as slices of memory-mapped chunks; `meta.smoosh` of V9 (`SmooshedFileMapper`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::Mmap;
use ovate_base::Result;

use super::cursor::damaged;
use super::digests::{Checks, Digests};

/// Names and bytes. Sorted by name, so that the parts of a column stand together.
#[derive(Default)]
pub(crate) struct Files {
    entries: BTreeMap<String, Bytes>,
    checks: Option<Checks>,
}

impl Files {
    pub(crate) fn insert(&mut self, name: &str, bytes: Bytes) {
        self.entries.insert(name.to_owned(), bytes);
    }

    pub(crate) fn get(&self, name: &str) -> Option<Bytes> {
        self.entries.get(name).cloned()
    }

    /// A file that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<Bytes> {
        self.get(name).ok_or_else(|| damaged(format!("internal file is missing. file={name}")))
    }

    /// Compares files with these checksums before they are first read.
    pub(crate) fn check_against(&mut self, digests: Digests) {
        self.checks = Some(Checks::new(digests));
    }

    /// Checksums of all files as they are now.
    pub(crate) fn digests(&self) -> Digests {
        Digests::of(self.entries.iter())
    }

    /// Checks one file, where there is something to check it against.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        match (&self.checks, self.entries.get(name)) {
            (Some(checks), Some(bytes)) => checks.check(name, bytes),
            _ => Ok(()),
        }
    }

    /// Checks all files.
    pub(crate) fn check_all(&self) -> Result<()> {
        self.entries.keys().try_for_each(|name| self.check(name))
    }

    /// Checks a column's files, but for those of fields, which are checked when a field is opened.
    pub(crate) fn check_column(&self, column: &str) -> Result<()> {
        if self.checks.is_none() {
            return Ok(());
        }
        let near = self.entries.range(column.to_owned()..).take_while(|(name, _)| name.starts_with(column));
        let parts = near.filter(|(name, _)| {
            let rest = &name[column.len()..];
            rest.is_empty()
                || rest.starts_with("_header")
                || rest.starts_with("_value_")
                || rest.starts_with(".__") && !rest.starts_with(".__field_")
        });
        parts.map(|(name, _)| name).try_for_each(|name| self.check(name))
    }

    /// Bytes of a column: its own file and its parts (`<column>.__…`, `<column>_header`, `<column>_value_…`).
    pub(crate) fn column_bytes(&self, column: &str) -> u64 {
        // Another column may be called like the first half of a spilled list.
        let spilled = ["_header", "_value_0"].iter().all(|end| self.entries.contains_key(&format!("{column}{end}")));
        let is_part = |name: &str| match name.strip_prefix(column) {
            Some("") => true,
            Some(rest) => rest.starts_with(".__") || spilled && (rest == "_header" || rest.starts_with("_value_")),
            None => false,
        };
        let from = self.entries.range(column.to_owned()..);
        let near = from.take_while(|(name, _)| name.starts_with(column));
        near.filter(|(name, _)| is_part(name)).map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Maps the chunks that `meta.smoosh` lists and cuts them into files.
    pub(crate) fn open_smoosh(dir: &Path) -> Result<(Self, u64)> {
        let meta = read_small(&dir.join("meta.smoosh"))?;
        let text = std::str::from_utf8(&meta).map_err(|_| damaged("meta.smoosh is not UTF-8"))?;
        let mut lines = text.lines();
        let chunk_count = smoosh_header(lines.next().unwrap_or(""))?;
        let mut size = meta.len() as u64;
        let mut chunks = Vec::new();
        for i in 0..chunk_count {
            let chunk = map_file(&dir.join(format!("{i:05}.smoosh")))?;
            size += chunk.len() as u64;
            chunks.push(chunk);
        }
        let mut files = Files::default();
        for line in lines {
            let (name, bytes) = smoosh_entry(line, &chunks)?;
            files.insert(name, bytes);
        }
        Ok((files, size))
    }
}

/// `v1,<maxChunkSize>,<numChunks>`.
fn smoosh_header(line: &str) -> Result<usize> {
    let fields: Vec<&str> = line.split(',').collect();
    match fields[..] {
        ["v1", _, count] => match count.trim().parse::<u16>() {
            Ok(count) => Ok(usize::from(count)),
            Err(_) => Err(damaged(format!("meta.smoosh has a bad number of chunks. value={count}"))),
        },
        _ => Err(damaged(format!("meta.smoosh has an unknown first line. line={line:?}"))),
    }
}

/// `<name>,<chunk>,<start>,<end>`.
fn smoosh_entry<'a>(line: &'a str, chunks: &[Bytes]) -> Result<(&'a str, Bytes)> {
    let bad = || damaged(format!("meta.smoosh has a bad line. line={line:?}"));
    let fields: Vec<&str> = line.split(',').collect();
    let [name, chunk, start, end] = fields[..] else { return Err(bad()) };
    let chunk = chunks.get(chunk.parse::<usize>().map_err(|_| bad())?).ok_or_else(bad)?;
    let (start, end) = (start.parse::<usize>().map_err(|_| bad())?, end.parse::<usize>().map_err(|_| bad())?);
    if start > end || end > chunk.len() {
        return Err(bad());
    }
    Ok((name, chunk.slice(start..end)))
}

/// Files up to this size are read rather than mapped: a server may have more small segments than Linux allows mappings.
const READ_BYTES_MAX: u64 = 8 << 10;
/// Beyond the mappings that we allow ourselves, files up to this size are read too.
const READ_BYTES_WITHOUT_MAPPINGS_MAX: u64 = 1 << 20;

/// Mappings of segment files in this process.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// A mapping that is counted while it lives.
struct Counted(Mmap);

impl Counted {
    /// `None` once three quarters of what the system allows are in use; the rest is for memory and threads.
    fn map(file: &File) -> std::io::Result<Option<Counted>> {
        static ALLOWED: OnceLock<usize> = OnceLock::new();
        let allowed = *ALLOWED.get_or_init(|| {
            let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
            text.trim().parse::<usize>().unwrap_or(65_530) / 4 * 3
        });
        if MAPPED.fetch_add(1, Ordering::Relaxed) >= allowed {
            MAPPED.fetch_sub(1, Ordering::Relaxed);
            return Ok(None);
        }
        // SAFETY: segment files are immutable once in the cache directory; only its owner deletes them, and a mapping
        // outlives the unlinking of its file.
        match unsafe { Mmap::map(file) } {
            Ok(map) => Ok(Some(Counted(map))),
            Err(error) => {
                MAPPED.fetch_sub(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Maps a whole file; a small one is read.
pub(crate) fn map_file(path: &Path) -> Result<Bytes> {
    let fail = |e: std::io::Error| damaged(format!("cannot open {}: {e}", path.display()));
    let mut file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    if length > READ_BYTES_MAX {
        if let Some(map) = Counted::map(&file).map_err(fail)? {
            return Ok(Bytes::from_owner(map));
        }
        if length > READ_BYTES_WITHOUT_MAPPINGS_MAX {
            let few = "too many mapped files; raise vm.max_map_count";
            return Err(fail(std::io::Error::new(std::io::ErrorKind::OutOfMemory, few)));
        }
    }
    let mut bytes = Vec::with_capacity(length as usize);
    (&mut file).take(length).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes.into())
}

/// Reads a small file; the table of contents of a segment with very many columns still fits.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>> {
    const BYTES_MAX: u64 = 1 << 28;
    let fail = |e: std::io::Error| damaged(format!("cannot read {}: {e}", path.display()));
    let length = std::fs::metadata(path).map_err(fail)?.len();
    if length > BYTES_MAX {
        return Err(damaged(format!("file is too large. path={} bytes={length}", path.display())));
    }
    std::fs::read(path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoosh_lines_that_lie_are_errors() {
        let chunks = [Bytes::from_static(b"0123456789")];
        assert_eq!(smoosh_entry("a/b,0,2,4", &chunks).unwrap(), ("a/b", Bytes::from_static(b"23")));
        for line in ["a,0,2,11", "a,0,4,2", "a,1,0,1", "a,0,x,1", "a,0,1", "a,b,0,0,1", ""] {
            assert!(smoosh_entry(line, &chunks).is_err(), "{line}");
        }
        assert!(smoosh_header("v2,2147483647,1").is_err());
        assert!(smoosh_header("v1,2147483647").is_err());
    }
}
