//! Which time chunks of a data source need compaction (`DataSourceCompactibleSegmentIterator`): those whose visible segments
//! do not all carry the fingerprint of the wanted state.

use std::collections::BTreeMap;
use std::sync::Arc;

use ovate_base::time::Zone;
use ovate_base::{DataSegment, Interval};
use serde_json::{Value, json};

use super::DataSourceConfig;

/// A time chunk and what is to be done with it.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub interval: Interval,
    pub segments: Vec<Arc<DataSegment>>,
    pub state: ChunkState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkState {
    Compacted,
    Needed,
    Skipped,
}

/// The chunks of visible segments, newest first.
pub fn chunks(visible: &[Arc<DataSegment>], config: &DataSourceConfig, fingerprint: &str) -> Vec<Chunk> {
    let Some(latest) = visible.iter().map(|segment| segment.interval.end).max() else { return Vec::new() };
    let skip_after = config.skip_offset.add_to(latest, -1, &Zone::UTC);
    let mut intervals: Vec<Interval> = match &config.segment_granularity {
        Some(granularity) => {
            let buckets = visible.iter().flat_map(|segment| {
                let first = granularity.bucket(segment.interval.start);
                let last = granularity.bucket(segment.interval.end - 1);
                if first == last { vec![first] } else { vec![first.cover(&last)] }
            });
            buckets.collect()
        }
        None => visible.iter().map(|segment| segment.interval).collect(),
    };
    // Chunks that overlap, such as a day of a month, go together; abutting ones do not.
    intervals.sort();
    let mut joined: Vec<Interval> = Vec::new();
    for interval in intervals {
        match joined.last_mut() {
            Some(last) if last.overlaps(&interval) => *last = last.cover(&interval),
            _ => joined.push(interval),
        }
    }
    let mut by_chunk: BTreeMap<Interval, Vec<Arc<DataSegment>>> = BTreeMap::new();
    for segment in visible {
        let at = joined.partition_point(|chunk| chunk.end <= segment.interval.start);
        if let Some(chunk) = joined.get(at).filter(|chunk| chunk.overlaps(&segment.interval)) {
            by_chunk.entry(*chunk).or_default().push(segment.clone());
        }
    }
    let state = |interval: &Interval, segments: &[Arc<DataSegment>]| {
        let bytes: i64 = segments.iter().map(|segment| segment.size).sum();
        if segments
            .iter()
            .all(|segment| segment.indexing_state_fingerprint.as_deref() == Some(fingerprint) || segment.is_tombstone())
        {
            ChunkState::Compacted
        } else if interval.end > skip_after || bytes > config.input_bytes_max {
            ChunkState::Skipped
        } else {
            ChunkState::Needed
        }
    };
    by_chunk
        .into_iter()
        .rev()
        .map(|(interval, segments)| Chunk { state: state(&interval, &segments), interval, segments })
        .collect()
}

/// Bytes, segments and intervals of one state.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    bytes: i64,
    segments: usize,
    intervals: usize,
}

/// What `/compaction/status` shows of a data source (`AutoCompactionSnapshot`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    compacted: Total,
    needed: Total,
    skipped: Total,
}

impl Totals {
    pub fn of(chunks: &[Chunk]) -> Totals {
        let mut totals = Totals::default();
        for chunk in chunks {
            let total = match chunk.state {
                ChunkState::Compacted => &mut totals.compacted,
                ChunkState::Needed => &mut totals.needed,
                ChunkState::Skipped => &mut totals.skipped,
            };
            total.bytes += chunk.segments.iter().map(|segment| segment.size).sum::<i64>();
            total.segments += chunk.segments.len();
            total.intervals += 1;
        }
        totals
    }

    pub fn needed_bytes(&self) -> i64 {
        self.needed.bytes
    }

    pub fn to_json(self, data_source: &str) -> Value {
        json!({
            "dataSource": data_source,
            "scheduleStatus": "RUNNING",
            "message": null,
            "bytesAwaitingCompaction": self.needed.bytes,
            "bytesCompacted": self.compacted.bytes,
            "bytesSkipped": self.skipped.bytes,
            "segmentCountAwaitingCompaction": self.needed.segments,
            "segmentCountCompacted": self.compacted.segments,
            "segmentCountSkipped": self.skipped.segments,
            "intervalCountAwaitingCompaction": self.needed.intervals,
            "intervalCountCompacted": self.compacted.intervals,
            "intervalCountSkipped": self.skipped.intervals,
        })
    }
}

#[cfg(test)]
mod tests {
    use ovate_base::{SegmentId, ShardSpec};

    use super::*;

    fn segment(day: i64, days: i64, fingerprint: Option<&str>) -> Arc<DataSegment> {
        let interval = Interval { start: day * 86_400_000, end: (day + days) * 86_400_000 };
        let shard = ShardSpec::Numbered { partition_num: 0, partitions: 1 };
        let mut segment = DataSegment::new(SegmentId::new("wiki", interval, "v", 0), shard);
        segment.indexing_state_fingerprint = fingerprint.map(str::to_owned);
        segment.size = 10;
        Arc::new(segment)
    }

    fn states(visible: &[Arc<DataSegment>], config: Value) -> Vec<(i64, i64, ChunkState)> {
        let config = DataSourceConfig::from_json(&config).unwrap();
        let day = |millis: i64| millis / 86_400_000;
        chunks(visible, &config, "F")
            .iter()
            .map(|chunk| (day(chunk.interval.start), day(chunk.interval.end), chunk.state))
            .collect()
    }

    #[test]
    fn the_latest_chunks_are_left_alone_and_marked_ones_are_done() {
        let visible = [segment(0, 1, None), segment(1, 1, Some("F")), segment(2, 1, Some("old")), segment(3, 1, None)];
        let config = json!({"dataSource": "wiki", "skipOffsetFromLatest": "P1D"});
        use ChunkState::*;
        assert_eq!(states(&visible, config), [(3, 4, Skipped), (2, 3, Needed), (1, 2, Compacted), (0, 1, Needed)]);
    }

    #[test]
    fn a_coarser_granularity_joins_chunks() {
        let visible = [segment(0, 1, None), segment(1, 1, None), segment(31, 1, None)];
        let config =
            json!({"dataSource": "wiki", "skipOffsetFromLatest": "PT0S", "granularitySpec": {"segmentGranularity": "MONTH"}});
        let found: Vec<(i64, i64)> = states(&visible, config).iter().map(|chunk| (chunk.0, chunk.1)).collect();
        assert_eq!(found, [(31, 59), (0, 31)]);
    }
}
