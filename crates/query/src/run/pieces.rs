//! Cutting segments, so that all threads have work to the end: a query over one day is often a query over one segment, and of
//! seven years one thread would do three while the other does four.

use std::borrow::Cow;

use ovate_base::Result;

use super::SegmentRef;
use super::cursor::{BATCH_ROWS, row_ranges};

/// Pieces for each thread, so that one that is late makes nobody wait long.
const PIECES_PER_THREAD: u64 = 8;

/// The segments, the large ones of few cut into pieces by rows. Pieces end where stored blocks do.
/// `piece_rows`: fewer are not worth a piece of their own.
pub(super) fn cut(segments: &[SegmentRef], threads: usize, piece_rows: u64) -> Result<Cow<'_, [SegmentRef]>> {
    let (threads, least) = (threads as u64, piece_rows.max(1));
    let wanted = threads * PIECES_PER_THREAD;
    let all: u64 = segments.iter().map(|segment| u64::from(segment.source.row_count())).sum();
    if threads < 2 || segments.len() as u64 >= wanted || all < 2 * least {
        return Ok(Cow::Borrowed(segments));
    }
    let ranges = segments.iter().map(|s| row_ranges(&s.source, &s.intervals)).collect::<Result<Vec<_>>>()?;
    let selected: Vec<u64> = ranges.iter().map(|ranges| ranges.iter().map(|range| range.len() as u64).sum()).collect();
    let mut count = (selected.iter().sum::<u64>() / least).min(wanted);
    if segments.len() == 1 {
        // Equal parts for all threads; another round of pieces would only bring more groups to merge.
        count = count.min(threads);
    }
    if count <= segments.len() as u64 {
        return Ok(Cow::Borrowed(segments));
    }
    let piece_rows = selected.iter().sum::<u64>().div_ceil(count);
    let mut pieces = Vec::with_capacity(count as usize + segments.len());
    for ((segment, ranges), rows) in segments.iter().zip(&ranges).zip(selected) {
        let parts = (rows + piece_rows / 2) / piece_rows;
        let (Some(first), Some(last), 2..) = (ranges.first(), ranges.last(), parts) else {
            pieces.push(segment.clone());
            continue;
        };
        // What lies between ranges counts along; mostly there is one.
        let (start, end) = (u64::from(first.start), u64::from(last.end));
        let (mut from, mut continued) = (first.start, false);
        for part in 1..=parts {
            let border = (start + (end - start) * part / parts) as u32;
            let to = if part == parts { last.end } else { border / BATCH_ROWS * BATCH_ROWS };
            if from < to {
                pieces.push(SegmentRef { rows: Some(from..to), continued, ..segment.clone() });
                (from, continued) = (to, true);
            }
        }
    }
    Ok(Cow::Owned(pieces))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ovate_base::Interval;
    use ovate_compute::MemoryTable;

    use super::*;

    const PIECE_ROWS: u64 = 1 << 17;

    fn segment(rows: u32) -> SegmentRef {
        SegmentRef::new("s", vec![Interval::ETERNITY], Arc::new(MemoryTable::without_columns(rows)))
    }

    #[test]
    fn pieces_have_every_row_once_and_end_with_blocks() {
        for (sizes, threads) in [(vec![300_000], 2), (vec![900_000, 10, 800_000], 2), (vec![500_000; 3], 3)] {
            let segments: Vec<SegmentRef> = sizes.iter().map(|rows| segment(*rows)).collect();
            let pieces = cut(&segments, threads, PIECE_ROWS).expect("cut");
            assert!(pieces.len() > segments.len() && pieces.len() <= 8 * threads + segments.len());
            for whole in &segments {
                let own = pieces.iter().filter(|piece| Arc::ptr_eq(&piece.source, &whole.source));
                let mut next = 0;
                for piece in own {
                    let rows = piece.rows.clone().unwrap_or(0..whole.source.row_count());
                    assert_eq!(rows.start, next);
                    assert!(rows.end % BATCH_ROWS == 0 || rows.end == whole.source.row_count());
                    next = rows.end;
                }
                assert_eq!(next, whole.source.row_count());
            }
        }
    }

    #[test]
    fn what_is_small_or_many_stays_whole() {
        let small = [segment(1000)];
        assert!(matches!(cut(&small, 2, PIECE_ROWS), Ok(Cow::Borrowed(_))));
        let many: Vec<SegmentRef> = (0..17).map(|_| segment(200_000)).collect();
        assert!(matches!(cut(&many, 2, PIECE_ROWS), Ok(Cow::Borrowed(_))));
        assert!(matches!(cut(&[segment(900_000)], 1, PIECE_ROWS), Ok(Cow::Borrowed(_))));
    }
}
