//! One thread's indexes, by time chunk and bucket. Spills to disk when its share of the memory is used up; the chunk that
//! rows are coming for now goes last.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use ovate_base::{Interval, Result};
use ovate_segment::incremental::{IncrementalIndex, IndexSchema, RowBatch};
use ovate_segment::write::{IndexSpec, WriteReport};

use super::lend::{Lender, coded_texts, inputs};
use super::meter::{Meter, Phase};
use super::partition::Assignment;
use crate::transform::{Rows, event};

/// Which segment rows are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartKey {
    pub chunk: Interval,
    pub bucket: u32,
}

/// Rows that are ready to be merged into a segment.
pub enum Part {
    Memory(Box<IncrementalIndex>),
    Disk { dir: PathBuf, report: WriteReport },
}

impl Part {
    /// Rows inside.
    pub fn rows(&self) -> u64 {
        match self {
            Part::Memory(index) => index.row_count() as u64,
            Part::Disk { report, .. } => report.row_count,
        }
    }
}

/// One thread's share of the limits.
#[derive(Debug, Clone)]
pub struct SinkLimits {
    pub rows_in_memory: u64,
    pub bytes_in_memory: u64,
    /// Rows of one part, so that no segment gets more.
    pub rows_per_part: u64,
}

/// Takes rows; one a thread.
pub struct Sink {
    schema: IndexSchema,
    lender: Lender,
    spec: IndexSpec,
    limits: SinkLimits,
    dir: PathBuf,
    open: HashMap<PartKey, IncrementalIndex>,
    done: Vec<(PartKey, Part)>,
    persisted: usize,
}

impl Sink {
    /// A sink that spills into `dir`, a directory of its own.
    pub fn new(schema: IndexSchema, spec: IndexSpec, limits: SinkLimits, dir: &Path) -> Sink {
        let lender = Lender::new(&schema);
        Sink { schema, lender, spec, limits, dir: dir.to_owned(), open: HashMap::new(), done: Vec::new(), persisted: 0 }
    }

    /// Adds rows. `assignment` names each row's bucket.
    pub fn add(&mut self, mut rows: Rows, assignment: &Assignment, meter: &Meter) -> Result<()> {
        let phase = Phase::BuildSegments;
        for bad in std::mem::take(&mut rows.batch.bad) {
            meter.unparseable(phase, &bad.input, &bad.message)?;
        }
        let totals = meter.totals(phase);
        totals.thrown_away.fetch_add(rows.thrown_away, std::sync::atomic::Ordering::Relaxed);
        totals.processed_bytes.fetch_add(rows.batch.bytes, std::sync::atomic::Ordering::Relaxed);
        let parts = assignment.divide(&rows)?;
        self.lender.settle(&mut rows.batch);
        let texts = coded_texts(&rows.batch);
        let columns = inputs(&rows.batch, &texts);
        for (key, selection) in parts {
            let mut rest = &selection[..];
            while !rest.is_empty() {
                rest = self.add_some(key, &rows, &columns, rest, meter)?;
            }
        }
        Ok(())
    }

    /// Adds as many of the selected rows as the part takes; answers the others.
    fn add_some<'s>(
        &mut self,
        key: PartKey,
        rows: &Rows,
        columns: &[(&str, ovate_segment::incremental::InputColumn<'_>)],
        selection: &'s [u32],
        meter: &Meter,
    ) -> Result<&'s [u32]> {
        let index = match self.open.entry(key) {
            hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_map::Entry::Vacant(entry) => {
                let mut schema = self.schema.clone();
                schema.min_timestamp = key.chunk.start;
                entry.insert(IncrementalIndex::new(schema)?)
            }
        };
        let room = self.limits.rows_per_part.saturating_sub(index.row_count() as u64).min(u64::from(u32::MAX)) as usize;
        let (now, later) = selection.split_at(room.min(selection.len()));
        let whole = now.len() == rows.batch.rows;
        let batch = RowBatch { timestamps: &rows.timestamps, columns, selection: (!whole).then_some(now) };
        let mut result = index.add_batch(&batch)?;
        result.problems.sort_by_key(|problem| problem.row);
        let full = index.row_count() as u64 >= self.limits.rows_per_part;
        let mut with_error = 0;
        let mut problems = result.problems.iter().peekable();
        while let Some(problem) = problems.next() {
            let mut messages = vec![problem.message.clone()];
            while let Some(more) = problems.next_if(|next| next.row == problem.row) {
                messages.push(more.message.clone());
            }
            with_error += 1;
            meter.with_error(Phase::BuildSegments, &event(&rows.batch, problem.row as usize), &messages)?;
        }
        let processed = (result.rows as u64).saturating_sub(with_error);
        meter.totals(Phase::BuildSegments).processed.fetch_add(processed, std::sync::atomic::Ordering::Relaxed);
        if full {
            let index = self.open.remove(&key).expect("just used");
            self.persist(key, index)?;
        } else {
            self.spill_if_full(key)?;
        }
        Ok(later)
    }

    /// Rows and bytes that are in memory now.
    fn in_memory(&self) -> (u64, u64) {
        let rows = self.open.values().map(|index| index.row_count() as u64).sum();
        let bytes = self.open.values().map(|index| index.memory_bytes() as u64).sum();
        (rows, bytes)
    }

    fn spill_if_full(&mut self, current: PartKey) -> Result<()> {
        let (rows, bytes) = self.in_memory();
        if rows < self.limits.rows_in_memory && bytes < self.limits.bytes_in_memory {
            return Ok(());
        }
        // Chunks that time has passed are complete and become segments as they are; the current one may go on.
        let current = self.open.remove_entry(&current);
        for (key, index) in std::mem::take(&mut self.open) {
            self.persist(key, index)?;
        }
        match current {
            Some((key, index)) => {
                let (rows, bytes) = (index.row_count() as u64, index.memory_bytes() as u64);
                if rows > self.limits.rows_in_memory / 2 || bytes > self.limits.bytes_in_memory / 2 {
                    return self.persist(key, index);
                }
                self.open.insert(key, index);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn persist(&mut self, key: PartKey, mut index: IncrementalIndex) -> Result<()> {
        if index.row_count() == 0 {
            return Ok(());
        }
        let dir = self.dir.join(self.persisted.to_string());
        self.persisted += 1;
        std::fs::create_dir_all(&dir)
            .map_err(|e| ovate_base::DruidError::runtime(format!("cannot create [{}]: {e}", dir.display())))?;
        let report = index.persist(&dir, &self.spec)?;
        self.done.push((key, Part::Disk { dir, report }));
        Ok(())
    }

    /// All parts, those in memory last.
    pub fn finish(mut self) -> Vec<(PartKey, Part)> {
        let open = std::mem::take(&mut self.open);
        self.done.extend(
            open.into_iter().filter(|(_, index)| index.row_count() > 0).map(|(key, index)| (key, Part::Memory(Box::new(index)))),
        );
        self.done
    }
}
