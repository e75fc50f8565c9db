//! The container of a V9 segment: internal files one behind the other in `00000.smoosh`, `00001.smoosh`, …, and their table
//! in `meta.smoosh` (Druid's `FileSmoosher`). An internal file never spans two chunks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ovate_base::{DruidError, Result};

/// Largest chunk and largest internal file.
const MAX_CHUNK_BYTES: u64 = i32::MAX as u64;

/// Writes internal files in the order given.
pub(crate) struct Smoosher {
    dir: PathBuf,
    chunk: Option<BufWriter<File>>,
    chunk_count: u32,
    chunk_bytes: u64,
    total_bytes: u64,
    /// Name to chunk, start and end; names sort as Java sorts them (UTF-16) when written.
    files: BTreeMap<Vec<u16>, (String, u32, u64, u64)>,
}

impl Smoosher {
    /// Starts in this directory, which must exist.
    pub(crate) fn new(dir: &Path) -> Self {
        let dir = dir.to_path_buf();
        Smoosher { dir, chunk: None, chunk_count: 0, chunk_bytes: 0, total_bytes: 0, files: BTreeMap::new() }
    }

    /// Adds one internal file.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if name.contains([',', '\n']) {
            return Err(DruidError::invalid_input(format!("column [{name}] cannot be stored: its name has a comma or line end")));
        }
        let size = bytes.len() as u64;
        if size > MAX_CHUNK_BYTES {
            return Err(DruidError::unsupported(format!(
                "column file [{name}] of {size} bytes is beyond 2 GiB; use smaller segments"
            )));
        }
        if self.chunk.is_none() || self.chunk_bytes + size > MAX_CHUNK_BYTES {
            self.next_chunk()?;
        }
        let (start, end) = (self.chunk_bytes, self.chunk_bytes + size);
        let entry = (name.to_owned(), self.chunk_count - 1, start, end);
        if self.files.insert(name.encode_utf16().collect(), entry).is_some() {
            return Err(DruidError::invalid_input(format!("two columns need the same internal file [{name}]")));
        }
        let chunk = self.chunk.as_mut().expect("opened above");
        chunk.write_all(bytes).map_err(|e| io_error(&self.dir, &e))?;
        self.chunk_bytes = end;
        self.total_bytes += size;
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<()> {
        self.close_chunk()?;
        let path = self.dir.join(format!("{:05}.smoosh", self.chunk_count));
        let file = File::create(&path).map_err(|e| io_error(&path, &e))?;
        self.chunk = Some(BufWriter::with_capacity(1 << 20, file));
        self.chunk_count += 1;
        self.chunk_bytes = 0;
        Ok(())
    }

    fn close_chunk(&mut self) -> Result<()> {
        if let Some(mut chunk) = self.chunk.take() {
            chunk.flush().map_err(|e| io_error(&self.dir, &e))?;
        }
        Ok(())
    }

    /// Writes the table of contents and the small files beside it; gives the bytes of all files.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.close_chunk()?;
        let mut meta = format!("v1,{MAX_CHUNK_BYTES},{}\n", self.chunk_count);
        for (name, chunk, start, end) in self.files.values() {
            meta.push_str(&format!("{name},{chunk},{start},{end}\n"));
        }
        let factory = br#"{"type":"mMapSegmentFactory"}"#;
        for (name, bytes) in [("meta.smoosh", meta.as_bytes()), ("factory.json", factory), ("version.bin", &[0, 0, 0, 9])] {
            let path = self.dir.join(name);
            std::fs::write(&path, bytes).map_err(|e| io_error(&path, &e))?;
            self.total_bytes += bytes.len() as u64;
        }
        Ok(self.total_bytes)
    }
}

/// An I/O failure on this path.
pub(crate) fn io_error(path: &Path, error: &std::io::Error) -> DruidError {
    DruidError::runtime(format!("cannot write segment: {error}. path={}", path.display()))
}
