//! Frames of rows and aggregates over them. Frames that share a beginning are worked out one from the other, so a running
//! total reads each row once; others read their rows.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::aggregate::{AggregatorSpec, Groups};
use ovate_compute::column::Rows as RowRange;
use ovate_compute::{ColumnSource, Vector};
use ovate_query::QueryContext;
use ovate_query::document::WindowFrame;

/// A frame that one or more rows have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    /// Rows of the table, end excluded; may be empty.
    pub range: (u32, u32),
    /// It begins where the frame before it does, and does not end before that one.
    grows: bool,
}

/// The distinct frames, and which of them each row has.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub frames: Vec<Frame>,
    pub of_row: Vec<u32>,
}

impl Frames {
    pub fn of(
        frame: &WindowFrame,
        partitions: &[(usize, usize)],
        rows: usize,
        group_starts: &dyn Fn(&[String]) -> Vec<usize>,
    ) -> Frames {
        let mut all = Frames { frames: Vec::new(), of_row: Vec::with_capacity(rows) };
        match frame {
            WindowFrame::Rows { lower, upper } => {
                for (start, end) in partitions {
                    let count = end - start;
                    for at in 0..count {
                        let (from, to) = clamp(at, count, *lower, *upper);
                        all.push((start + from, start + to), at == 0);
                    }
                }
            }
            WindowFrame::Groups { lower, upper, order_by } => {
                let mut starts = group_starts(order_by);
                starts.push(rows);
                for (start, end) in partitions {
                    let first = starts.partition_point(|s| s < start);
                    let count = starts.partition_point(|s| s < end) - first;
                    let edge = |group: usize| starts[first + group];
                    for group in 0..count {
                        let (from, to) = clamp(group, count, *lower, *upper);
                        for row in edge(group)..edge(group + 1) {
                            all.push((edge(from), edge(to)), row == *start);
                        }
                    }
                }
            }
        }
        all
    }

    fn push(&mut self, range: (usize, usize), first: bool) {
        let range = (range.0 as u32, range.1 as u32);
        match self.frames.last() {
            Some(last) if !first && last.range == range => {}
            last => {
                let grows = !first && last.is_some_and(|last| last.range.0 == range.0 && last.range.1 <= range.1);
                self.frames.push(Frame { range, grows });
            }
        }
        self.of_row.push(self.frames.len() as u32 - 1);
    }
}

/// Positions around `at` of `count`, end excluded; the end never lies before the beginning.
fn clamp(at: usize, count: usize, lower: Option<i64>, upper: Option<i64>) -> (usize, usize) {
    let move_by = |offset: i64| (at as i64).saturating_add(offset).clamp(0, count as i64) as usize;
    let from = lower.map_or(0, move_by);
    let to = upper.map_or(count, |offset| move_by(offset.saturating_add(1)));
    (from, to.max(from))
}

/// The finished aggregate of each row's frame.
pub(super) fn aggregate(
    spec: &AggregatorSpec,
    source: &Arc<dyn ColumnSource>,
    frames: &Frames,
    context: &QueryContext,
) -> Result<Vector> {
    let mut own = spec.bind(source, &context.eval)?;
    own.resize(frames.frames.len().max(1));
    let mut reached = 0;
    for (number, frame) in frames.frames.iter().enumerate() {
        if number % 1024 == 0 {
            context.check()?;
        }
        // Of a frame that grows only what is new; the rest is taken over below.
        let from = if frame.grows { reached } else { frame.range.0 };
        reached = frame.range.1;
        if from < frame.range.1 {
            own.add(RowRange::Range(from..frame.range.1), Groups::One(number as u32))?;
        }
    }
    let own = own.take_partial()?;
    let whole = if frames.frames.iter().any(|frame| frame.grows) { grown(spec, &own, frames, context)? } else { own };
    Ok(spec.finalize(&whole)?.gather(&frames.of_row))
}

/// Each frame that grows takes over what the one before it has.
fn grown(spec: &AggregatorSpec, own: &Vector, frames: &Frames, context: &QueryContext) -> Result<Vector> {
    let mut parts = Vec::with_capacity(frames.frames.len());
    let mut running = spec.merger()?;
    running.resize(1);
    for (number, frame) in frames.frames.iter().enumerate() {
        if number % 1024 == 0 {
            context.check()?;
        }
        if frame.grows {
            let before: &Vector = &parts[number - 1];
            running.merge(before, &[0])?;
        }
        running.merge(&own.gather(&[number as u32]), &[0])?;
        parts.push(running.take_partial()?);
        running.resize(1);
    }
    let column_type = own.column_type().unwrap_or(spec.intermediate_type());
    Ok(crate::relation::concat(&column_type, parts))
}
