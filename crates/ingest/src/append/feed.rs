//! From input sources to batches on several threads: one thread reads and cuts text into chunks of whole lines (and files
//! into row groups), the others parse. The queue between them is bounded, so memory is too.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

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

/// What all threads of one run share.
struct Run<'a> {
    input: &'a Input,
    handle: &'a Handle,
    stop: &'a StopFlag,
    failed: Mutex<Option<DruidError>>,
    /// Some thread has failed, so the others may end.
    over: AtomicBool,
}

impl Run<'_> {
    fn fail(&self, error: DruidError) {
        self.failed.lock().get_or_insert(error);
        self.over.store(true, Ordering::Relaxed);
    }

    /// An error when the task was stopped or another thread has failed, whose own error is the one to tell.
    fn check(&self) -> Result<()> {
        if self.over.load(Ordering::Relaxed) {
            return Err(DruidError::cancelled("input is no longer wanted"));
        }
        self.stop.check()
    }
}

/// Takes units, from the reading thread to the parsing ones or within one.
type SendUnit<'a> = &'a mut dyn FnMut(Unit) -> Result<()>;

/// With this many files a thread, each thread reads files of its own, whole, so that rows of one file - often of one time
/// chunk - stay together.
const FILES_PER_THREAD: usize = 4;

/// Reads everything, parsing on as many threads as there are feeds; gives the feeds back. Blocks; must not be called on
/// one of the runtime's own threads.
pub fn run_feed<F: Feed>(input: &Input, feeds: Vec<F>, handle: &Handle, stop: &StopFlag) -> Result<Vec<F>> {
    let run = Run { input, handle, stop, failed: Mutex::new(None), over: AtomicBool::new(false) };
    let done = if input.segments.is_empty() && input.entities.len() >= feeds.len() * FILES_PER_THREAD {
        by_file(&run, feeds)
    } else {
        by_unit(&run, feeds)
    };
    match run.failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// Each thread takes the next file and reads it to its end.
fn by_file<F: Feed>(run: &Run<'_>, feeds: Vec<F>) -> Vec<F> {
    let queue = Mutex::new(run.input.entities.iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for mut feed in feeds {
            let (queue, done) = (&queue, &done);
            scope.spawn(move || {
                let mut reader = None;
                loop {
                    let next = queue.lock().next();
                    let Some(entity) = next else { break };
                    let result = entity_units(run, entity, &mut |unit| parse_unit(run, unit, &mut feed, &mut reader));
                    if let Err(error) = result {
                        return run.fail(error);
                    }
                }
                done.lock().push(feed);
            });
        }
    });
    done.into_inner()
}

/// One thread reads, the others parse what it has read.
fn by_unit<F: Feed>(run: &Run<'_>, feeds: Vec<F>) -> Vec<F> {
    let (sender, receiver) = sync_channel(feeds.len() * QUEUE_PER_THREAD);
    let receiver = Mutex::new(receiver);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for mut feed in feeds {
            let (receiver, done) = (&receiver, &done);
            scope.spawn(move || {
                let mut reader = None;
                loop {
                    let next = receiver.lock().recv();
                    let Ok(unit) = next else { break };
                    if run.over.load(Ordering::Relaxed) {
                        continue; // so that the reading thread is not kept waiting
                    }
                    if let Err(error) = parse_unit(run, unit, &mut feed, &mut reader) {
                        run.fail(error);
                    }
                }
                done.lock().push(feed);
            });
        }
        // Parsers run until the sender is gone, so sending cannot fail.
        let mut send = |unit| sender.send(unit).map_err(|_| DruidError::cancelled("input is no longer wanted"));
        if let Err(error) = read_units(run, &mut send) {
            run.fail(error);
        }
        drop(sender);
    });
    done.into_inner()
}

fn read_units(run: &Run<'_>, send: SendUnit<'_>) -> Result<()> {
    for segment in &run.input.segments {
        run.check()?;
        send(Unit::Segment(Box::new(segment.clone())))?;
    }
    for entity in &run.input.entities {
        entity_units(run, entity, send)?;
    }
    Ok(())
}

/// All units of one entity.
fn entity_units(run: &Run<'_>, entity: &Entity, send: SendUnit<'_>) -> Result<()> {
    run.check()?;
    let entity = Arc::new(entity.clone());
    match format_of(run.input)? {
        InputFormat::Parquet { .. } => parquet_units(run, &entity, send),
        format => text_units(run, &entity, format, send),
    }
}

fn parquet_units(run: &Run<'_>, entity: &Arc<Entity>, send: SendUnit<'_>) -> Result<()> {
    let local = match &entity.place {
        Place::File(path) => path.clone(),
        Place::Http { .. } | Place::Cloud(_) => fetch(entity, &run.input.dir, run.handle)?,
        Place::Inline(_) => return Err(DruidError::invalid_input("parquet cannot be read from an inline input source")),
    };
    let file = ParquetFile::open(&local)?;
    for number in 0..file.row_groups() {
        run.check()?;
        send(Unit::RowGroup { entity: entity.clone(), file: file.clone(), number })?;
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

fn text_units(run: &Run<'_>, entity: &Arc<Entity>, format: &InputFormat, send: SendUnit<'_>) -> Result<()> {
    let mut lines = LineChunks { stream: entity.open(run.handle)?, name: entity.name(), rest: Vec::new(), ended: false };
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
        run.check()?;
        send(Unit::Text { entity: entity.clone(), header: header.clone(), bytes })?;
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

/// Parses one unit into the feed; `reader` is the thread's own, made when first needed.
fn parse_unit<F: Feed>(run: &Run<'_>, unit: Unit, feed: &mut F, reader: &mut Option<Box<dyn TextReader>>) -> Result<()> {
    run.check()?;
    let input = run.input;
    match unit {
        Unit::Segment(segment) => {
            let mut reader = SegmentReader::new(&segment, &input.wanted, input.filter.as_deref(), input.now_ms)?;
            while let Some(batch) = reader.next_batch()? {
                run.check()?;
                feed.take(batch)?;
            }
            Ok(())
        }
        Unit::Text { entity, header, bytes } => {
            let reader = match reader {
                Some(reader) => reader,
                None => reader.insert(text_reader(format_of(input)?, &input.wanted)?),
            };
            let batch = reader.read(&bytes, &header)?;
            feed.take(with_system_fields(batch, &entity))
        }
        Unit::RowGroup { entity, file, number } => {
            let InputFormat::Parquet { flatten, binary_as_string } = format_of(input)? else { return Ok(()) };
            let mut reader = file.read(number, flatten, *binary_as_string, &input.wanted)?;
            while let Some(batch) = reader.next_batch()? {
                run.check()?;
                feed.take(with_system_fields(batch, &entity))?;
            }
            Ok(())
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
