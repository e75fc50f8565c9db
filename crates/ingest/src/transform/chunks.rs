//! Which time chunk each row belongs to. Rows mostly come in runs of one chunk, so the last one is tried first.

use ovate_base::Interval;

use crate::spec::granularity::GranularitySpec;

/// Row numbers by chunk, in order of appearance, and the number of good rows outside the spec's intervals.
pub fn divide(granularity: &GranularitySpec, timestamps: &[i64], good: &[bool]) -> (Vec<(Interval, Vec<u32>)>, u64) {
    let mut chunks: Vec<(Interval, Vec<u32>)> = Vec::new();
    let mut outside = 0;
    let mut last = 0;
    for (row, time) in timestamps.iter().enumerate() {
        if !good[row] {
            continue;
        }
        // An interval of the spec may cut a chunk, so only a chunk that no interval cuts may be taken unseen.
        let whole = granularity.intervals.is_empty();
        let known = |at: usize| chunks.get(at).is_some_and(|(chunk, _)| chunk.contains(*time));
        if !(whole && known(last)) {
            let Some(chunk) = granularity.chunk(*time) else {
                outside += 1;
                continue;
            };
            last = match chunks.iter().position(|(own, _)| *own == chunk) {
                Some(at) => at,
                None => {
                    chunks.push((chunk, Vec::new()));
                    chunks.len() - 1
                }
            };
        }
        chunks[last].1.push(row as u32);
    }
    (chunks, outside)
}
