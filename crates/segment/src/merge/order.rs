//! Where every input row goes: a k-way merge by time and dimensions. Inputs that do not overlap in time are put one behind
//! the other without a look at their dimensions.

use std::cmp::Ordering;

use ovate_base::{DruidError, Result};

use super::columns::{DimensionMerge, KeyReader, KeyWindow};

/// The merged order.
pub(crate) struct RowOrder {
    /// Times of the output rows.
    pub(crate) times: Vec<i64>,
    /// For each input, the output row of each of its rows; ascends.
    pub(crate) targets: Vec<Vec<u32>>,
    /// Whether several input rows share an output row.
    pub(crate) combined: bool,
}

/// Inputs by their first time; empty ones left out.
fn by_time(times: &[Vec<i64>]) -> Vec<usize> {
    let mut inputs: Vec<usize> = (0..times.len()).filter(|input| !times[*input].is_empty()).collect();
    inputs.sort_by_key(|input| (times[*input][0], times[*input][times[*input].len() - 1]));
    inputs
}

/// Whether each input ends before the next one begins.
pub(crate) fn are_disjoint(times: &[Vec<i64>]) -> bool {
    by_time(times).windows(2).all(|pair| times[pair[0]].last() < times[pair[1]].first())
}

impl RowOrder {
    /// Inputs one behind the other, by time.
    pub(crate) fn concatenated(times: Vec<Vec<i64>>) -> Self {
        let mut targets = vec![Vec::new(); times.len()];
        let mut all = Vec::with_capacity(times.iter().map(Vec::len).sum());
        for input in by_time(&times) {
            let first = all.len() as u32;
            all.extend_from_slice(&times[input]);
            targets[input] = (first..all.len() as u32).collect();
        }
        RowOrder { times: all, targets, combined: false }
    }

    /// By time and dimensions; with `rollup`, rows that are equal in both share an output row.
    pub(crate) fn merged(times: Vec<Vec<i64>>, dimensions: &[&DimensionMerge], rollup: bool) -> Result<Self> {
        let total: usize = times.iter().map(Vec::len).sum();
        if total > i32::MAX as usize {
            return Err(DruidError::unsupported("a merge of more than 2^31 rows"));
        }
        let mut cursors = Vec::with_capacity(times.len());
        for (input, times) in times.iter().enumerate() {
            cursors.push(Cursor::new(input, times, dimensions)?);
        }
        let mut order = RowOrder {
            times: Vec::with_capacity(total),
            targets: times.iter().map(|times| Vec::with_capacity(times.len())).collect(),
            combined: false,
        };
        let mut heap = Heap::new(&mut cursors)?;
        // The row that the last output row was made of, where rollup must compare with it.
        let mut last: Option<(i64, Vec<Key>)> = None;
        while let Some(input) = heap.first() {
            let limit = heap.second_time(&cursors);
            let cursor = &mut cursors[input];
            loop {
                let time = cursor.time();
                if rollup {
                    let same = match &last {
                        Some((last_time, keys)) if *last_time == time => cursor.equals(keys)?,
                        _ => false,
                    };
                    if same {
                        order.combined = true;
                    } else {
                        last = Some((time, cursor.keys()?));
                        order.times.push(time);
                    }
                } else {
                    order.times.push(time);
                }
                order.targets[input].push(order.times.len() as u32 - 1);
                cursor.row += 1;
                // Rows before all others' next time need no comparison.
                if cursor.is_done() || limit.is_some_and(|limit| cursor.time() >= limit) {
                    break;
                }
            }
            heap.restore(&mut cursors)?;
        }
        Ok(order)
    }
}

/// A dimension's value as it compares.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Number(u64),
    List(Vec<u32>),
}

/// One input, a window of its rows' keys in memory once they are asked for.
struct Cursor<'a> {
    times: &'a [i64],
    row: usize,
    readers: Vec<KeyReader<'a>>,
    windows: Vec<KeyWindow>,
    /// Rows that the windows hold.
    loaded: std::ops::Range<usize>,
}

impl<'a> Cursor<'a> {
    fn new(input: usize, times: &'a [i64], dimensions: &[&'a DimensionMerge]) -> Result<Self> {
        let readers = dimensions.iter().map(|dimension| dimension.key_reader(input)).collect::<Result<Vec<_>>>()?;
        let windows = readers.iter().map(|_| KeyWindow::default()).collect();
        Ok(Cursor { times, row: 0, readers, windows, loaded: 0..0 })
    }

    fn is_done(&self) -> bool {
        self.row >= self.times.len()
    }

    fn time(&self) -> i64 {
        self.times[self.row]
    }

    fn load(&mut self) -> Result<()> {
        const WINDOW: usize = 2048;
        if !self.loaded.contains(&self.row) {
            let range = self.row..self.times.len().min(self.row + WINDOW);
            for (reader, window) in self.readers.iter_mut().zip(&mut self.windows) {
                reader.read(range.start as u32..range.end as u32, window)?;
            }
            self.loaded = range;
        }
        Ok(())
    }

    fn keys(&mut self) -> Result<Vec<Key>> {
        self.load()?;
        let at = self.row - self.loaded.start;
        Ok(self
            .windows
            .iter()
            .map(|window| match window {
                KeyWindow::Numbers(keys) => Key::Number(keys[at]),
                KeyWindow::Lists { offsets, codes } => Key::List(codes[offsets[at] as usize..offsets[at + 1] as usize].to_vec()),
            })
            .collect())
    }

    fn equals(&mut self, keys: &[Key]) -> Result<bool> {
        self.load()?;
        let at = self.row - self.loaded.start;
        Ok(self.windows.iter().zip(keys).all(|(window, key)| match (window, key) {
            (KeyWindow::Numbers(keys), Key::Number(key)) => keys[at] == *key,
            (KeyWindow::Lists { offsets, codes }, Key::List(list)) => {
                codes[offsets[at] as usize..offsets[at + 1] as usize] == list[..]
            }
            _ => false,
        }))
    }
}

/// Compares the current rows of two inputs; equal ones go by the inputs' order.
fn compare(cursors: &mut [Cursor<'_>], a: usize, b: usize) -> Result<Ordering> {
    let by_time = cursors[a].time().cmp(&cursors[b].time());
    if by_time.is_ne() {
        return Ok(by_time);
    }
    cursors[a].load()?;
    cursors[b].load()?;
    let (left, right) = (&cursors[a], &cursors[b]);
    let (x, y) = (left.row - left.loaded.start, right.row - right.loaded.start);
    for (left, right) in left.windows.iter().zip(&right.windows) {
        let order = match (left, right) {
            (KeyWindow::Numbers(left), KeyWindow::Numbers(right)) => left[x].cmp(&right[y]),
            (KeyWindow::Lists { offsets: o, codes: c }, KeyWindow::Lists { offsets: p, codes: d }) => {
                let left = &c[o[x] as usize..o[x + 1] as usize];
                let right = &d[p[y] as usize..p[y + 1] as usize];
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
            _ => Ordering::Equal,
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.cmp(&b))
}

/// Inputs that have rows left, smallest row first (a binary heap whose comparison can fail).
struct Heap(Vec<usize>);

impl Heap {
    fn new(cursors: &mut [Cursor<'_>]) -> Result<Self> {
        let mut heap = Heap((0..cursors.len()).filter(|input| !cursors[*input].is_done()).collect());
        for at in (0..heap.0.len() / 2).rev() {
            heap.sift_down(at, cursors)?;
        }
        Ok(heap)
    }

    fn first(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// The smallest time of the inputs behind the first.
    fn second_time(&self, cursors: &[Cursor<'_>]) -> Option<i64> {
        self.0.iter().skip(1).take(2).map(|input| cursors[*input].time()).min()
    }

    /// After the first input moved on.
    fn restore(&mut self, cursors: &mut [Cursor<'_>]) -> Result<()> {
        if self.first().is_some_and(|input| cursors[input].is_done()) {
            self.0.swap_remove(0);
        }
        self.sift_down(0, cursors)
    }

    fn sift_down(&mut self, mut at: usize, cursors: &mut [Cursor<'_>]) -> Result<()> {
        loop {
            let mut smallest = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.0.len() && compare(cursors, self.0[child], self.0[smallest])?.is_lt() {
                    smallest = child;
                }
            }
            if smallest == at {
                return Ok(());
            }
            self.0.swap(at, smallest);
            at = smallest;
        }
    }
}
