//! The container of a V9 segment: internal files one behind the other in `00000.smoosh`, `00001.smoosh`, …, and their table
//! in `meta.smoosh` (Druid's `FileSmoosher`). An internal file never spans two chunks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
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

    /// Goes on with a finished directory, in a new chunk; gives its `metadata.drd` besides.
    pub(crate) fn reopen(dir: &Path) -> Result<(Self, Vec<u8>)> {
        let damaged =
            || DruidError::runtime(format!("meta.smoosh of a written segment is not as it was written. dir={}", dir.display()));
        let path = dir.join("meta.smoosh");
        let meta = std::fs::read_to_string(&path).map_err(|e| io_error(&path, &e))?;
        let mut smoosher = Smoosher::new(dir);
        let mut metadata = None;
        for line in meta.lines().skip(1) {
            let mut fields = line.rsplitn(4, ',');
            let mut number = || fields.next().and_then(|text| text.parse::<u64>().ok()).ok_or_else(damaged);
            let (end, start, chunk) = (number()?, number()?, u32::try_from(number()?).map_err(|_| damaged())?);
            let name = fields.next().ok_or_else(damaged)?.to_owned();
            smoosher.chunk_count = smoosher.chunk_count.max(chunk + 1);
            smoosher.total_bytes += end - start;
            if name == "metadata.drd" {
                metadata = Some((chunk, start, end));
            }
            smoosher.files.insert(name.encode_utf16().collect(), (name, chunk, start, end));
        }
        let (chunk, start, end) = metadata.ok_or_else(damaged)?;
        let path = dir.join(format!("{chunk:05}.smoosh"));
        let mut bytes = vec![0; usize::try_from(end - start).map_err(|_| damaged())?];
        let mut file = File::open(&path).map_err(|e| io_error(&path, &e))?;
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes)).map_err(|e| io_error(&path, &e))?;
        Ok((smoosher, bytes))
    }

    /// Adds an internal file in the place of one of its name; the old bytes stay where they are, unused.
    pub(crate) fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let key: Vec<u16> = name.encode_utf16().collect();
        self.files.remove(&key);
        self.add(name, bytes)
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
