//! From input sources to batches on several threads: one thread reads and cuts text into chunks of whole lines (and files
//! into row groups), the others parse. The queue between them is bounded, so memory is too.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use ovate_base::{DruidError, Result};
use ovate_compute::filter::FilterSpec;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::format::parquet::ParquetFile;
use crate::format::{Batch, Column, Header, TextReader, Wanted, header_lines, read_header, text_reader};
use crate::source::segments::{SegmentInput, SegmentReader};
use crate::source::{Entity, Place, decompressed};
use crate::spec::InputFormat;
use crate::task::StopFlag;

/// What is read, and what for.
pub struct Input {
    pub entities: Vec<Entity>,
    /// `None` when there are only segments.
    pub format: Option<InputFormat>,
    pub segments: Vec<SegmentInput>,
    /// The filter of the `druid` input source.
    pub filter: Option<Arc<FilterSpec>>,
    pub now_ms: i64,
    pub wanted: Wanted,
    /// For files that have to be fetched whole before they can be read.
    pub dir: PathBuf,
}

/// Size of the chunks that text is cut into.
const CHUNK_BYTES: usize = 1 << 20;
/// A line may not be longer.
const LINE_BYTES_MAX: usize = 256 << 20;
/// Units that may wait for each parsing thread.
const QUEUE_PER_THREAD: usize = 2;

enum Unit {
    Text { entity: Arc<Entity>, header: Header, bytes: Vec<u8> },
    RowGroup { entity: Arc<Entity>, file: ParquetFile, number: usize },
    Segment(Box<SegmentInput>),
}

/// One parsing thread's work on batches.
pub trait Feed: Send {
    /// Takes a batch.
    fn take(&mut self, batch: Batch) -> Result<()>;
}

/// Reads everything, parsing on as many threads as there are feeds; gives the feeds back. Blocks; must not be called on
/// one of the runtime's own threads.
pub fn run_feed<F: Feed>(input: &Input, feeds: Vec<F>, handle: &Handle, stop: &StopFlag) -> Result<Vec<F>> {
    let (sender, receiver) = sync_channel(feeds.len() * QUEUE_PER_THREAD);
    let receiver = Mutex::new(Some(receiver));
    let failed: Mutex<Option<DruidError>> = Mutex::new(None);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for feed in feeds {
            scope.spawn(|| match parse_units(input, feed, &receiver, stop) {
                Ok(feed) => done.lock().push(feed),
                Err(error) => {
                    failed.lock().get_or_insert(error);
                    // Without a receiver the reading thread and the other parsers come to their ends. Whoever holds the
                    // lock waits for the reading thread, which goes on meanwhile.
                    receiver.lock().take();
                }
            });
        }
        let read = read_units(input, &sender, handle, stop);
        // Parsers that wait for more hold the receiver's lock until the sender is gone.
        drop(sender);
        if let Err(error) = read {
            failed.lock().get_or_insert(error);
        }
    });
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(done.into_inner()),
    }
}

/// Marks that the other side has hung up because it failed; its own error is the one to tell.
fn hung_up() -> DruidError {
    DruidError::cancelled("input is no longer wanted")
}

fn read_units(input: &Input, sender: &SyncSender<Unit>, handle: &Handle, stop: &StopFlag) -> Result<()> {
    for segment in &input.segments {
        stop.check()?;
        sender.send(Unit::Segment(Box::new(segment.clone()))).map_err(|_| hung_up())?;
    }
    for entity in &input.entities {
        stop.check()?;
        let Some(format) = &input.format else { break };
        let entity = Arc::new(entity.clone());
        let result = match format {
            InputFormat::Parquet { .. } => parquet_units(&entity, &input.dir, sender, handle),
            format => text_units(&entity, format, sender, handle, stop),
        };
        result?;
    }
    Ok(())
}

fn parquet_units(entity: &Arc<Entity>, dir: &Path, sender: &SyncSender<Unit>, handle: &Handle) -> Result<()> {
    let local = match &entity.place {
        Place::File(path) => path.clone(),
        Place::Http { .. } => fetch(entity, dir, handle)?,
        Place::Inline(_) => return Err(DruidError::invalid_input("parquet cannot be read from an inline input source")),
    };
    let file = ParquetFile::open(&local)?;
    for number in 0..file.row_groups() {
        let unit = Unit::RowGroup { entity: entity.clone(), file: file.clone(), number };
        sender.send(unit).map_err(|_| hung_up())?;
    }
    Ok(())
}

/// Copies a remote file into the task's directory.
fn fetch(entity: &Entity, dir: &Path, handle: &Handle) -> Result<PathBuf> {
    let path = dir.join(format!("fetched-{}", uuid::Uuid::new_v4()));
    let broken =
        |e: std::io::Error| DruidError::runtime(format!("cannot fetch [{}] to [{}]: {e}", entity.name(), path.display()));
    std::fs::create_dir_all(dir).map_err(broken)?;
    let mut file = std::fs::File::create(&path).map_err(broken)?;
    std::io::copy(&mut decompressed(entity.open_raw(handle)?, &entity.name())?, &mut file).map_err(broken)?;
    Ok(path)
}

fn text_units(
    entity: &Arc<Entity>,
    format: &InputFormat,
    sender: &SyncSender<Unit>,
    handle: &Handle,
    stop: &StopFlag,
) -> Result<()> {
    let mut lines = LineChunks { stream: entity.open(handle)?, name: entity.name(), rest: Vec::new(), ended: false };
    let wanted = header_lines(format);
    let mut first = Vec::new();
    while first.len() < wanted {
        match lines.line()? {
            Some(line) => first.push(line),
            None => break,
        }
    }
    let head: Vec<&str> = first.iter().map(String::as_str).collect();
    let header = read_header(format, &head).map_err(|e| e.prefixed(entity.name()))?;
    while let Some(bytes) = lines.chunk()? {
        stop.check()?;
        sender.send(Unit::Text { entity: entity.clone(), header: header.clone(), bytes }).map_err(|_| hung_up())?;
    }
    Ok(())
}

/// Cuts a stream into chunks of whole lines.
struct LineChunks {
    stream: Box<dyn Read + Send>,
    name: String,
    rest: Vec<u8>,
    ended: bool,
}

impl LineChunks {
    /// Reads on until there are `bytes` or the stream ends.
    fn fill(&mut self, bytes: usize) -> Result<()> {
        let from = self.rest.len();
        if self.ended || from >= bytes {
            return Ok(());
        }
        self.rest.reserve(bytes - from);
        let read = self.stream.by_ref().take((bytes - from) as u64).read_to_end(&mut self.rest);
        let read = read.map_err(|e| DruidError::invalid_input(format!("cannot read [{}]: {e}", self.name)))?;
        self.ended = read < bytes - from;
        Ok(())
    }

    /// One line without its end.
    fn line(&mut self) -> Result<Option<String>> {
        let mut size = 4096;
        loop {
            self.fill(size)?;
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()));
            }
            if self.ended {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned();
                return Ok((!line.is_empty()).then_some(line));
            }
            size = self.longer(size)?;
        }
    }

    /// Some whole lines.
    fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut size = CHUNK_BYTES;
        loop {
            self.fill(size)?;
            if self.ended {
                let last = std::mem::take(&mut self.rest);
                return Ok((!last.is_empty()).then_some(last));
            }
            if let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') {
                let later = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, later)));
            }
            size = self.longer(size)?;
        }
    }

    fn longer(&self, size: usize) -> Result<usize> {
        if size >= LINE_BYTES_MAX {
            return Err(DruidError::resource_limit(format!("a line of [{}] is longer than [{LINE_BYTES_MAX}] bytes", self.name)));
        }
        Ok(size * 2)
    }
}

fn parse_units<F: Feed>(input: &Input, mut feed: F, receiver: &Mutex<Option<Receiver<Unit>>>, stop: &StopFlag) -> Result<F> {
    let mut reader: Option<Box<dyn TextReader>> = None;
    loop {
        stop.check()?;
        let unit = match receiver.lock().as_ref() {
            Some(receiver) => receiver.recv(),
            None => return Ok(feed),
        };
        match unit {
            Err(_) => return Ok(feed),
            Ok(Unit::Text { entity, header, bytes }) => {
                let reader = match &mut reader {
                    Some(reader) => reader,
                    None => reader.insert(text_reader(format_of(input)?, &input.wanted)?),
                };
                let batch = reader.read(&bytes, &header)?;
                feed.take(with_system_fields(batch, &entity))?;
            }
            Ok(Unit::Segment(segment)) => {
                let mut reader = SegmentReader::new(&segment, &input.wanted, input.filter.as_deref(), input.now_ms)?;
                while let Some(batch) = reader.next_batch()? {
                    stop.check()?;
                    feed.take(batch)?;
                }
            }
            Ok(Unit::RowGroup { entity, file, number }) => {
                let InputFormat::Parquet { flatten, binary_as_string } = format_of(input)? else { continue };
                let mut reader = file.read(number, flatten, *binary_as_string, &input.wanted)?;
                while let Some(batch) = reader.next_batch()? {
                    stop.check()?;
                    feed.take(with_system_fields(batch, &entity))?;
                }
            }
        }
    }
}

fn format_of(input: &Input) -> Result<&InputFormat> {
    input.format.as_ref().ok_or_else(|| DruidError::invalid_input("[ioConfig] needs [inputFormat]"))
}

fn with_system_fields(mut batch: Batch, entity: &Entity) -> Batch {
    for field in entity.system_fields.iter() {
        let value = entity.system_value(*field).map(Arc::from);
        let codes = vec![0; batch.rows];
        batch.set(Arc::from(field.name()), Column::Coded { values: vec![value], codes });
    }
    batch
}
