//! Facts about the timeline, then a comparison with a model that looks at every instant.

use proptest::prelude::*;

use super::*;
use crate::segment::shard::NumberedOverwrite;

fn numbered(partition_num: i32, partitions: i32) -> ShardSpec {
    ShardSpec::Numbered { partition_num, partitions }
}

fn i(start: i64, end: i64) -> Interval {
    Interval { start, end }
}

fn show(timeline: &Timeline<&'static str>, interval: Interval) -> String {
    let holders = timeline.lookup(interval);
    let text = holders.iter().map(|holder| {
        let names: Vec<&str> = holder.chunks.iter().map(|chunk| chunk.object).collect();
        format!("{}-{}:{}:{}", holder.interval.start, holder.interval.end, holder.version, names.join("+"))
    });
    text.collect::<Vec<_>>().join(" ")
}

#[test]
fn newer_version_hides_older_interval() {
    let mut timeline = Timeline::new();
    timeline.add(i(0, 100), "v1", numbered(0, 1), "a");
    timeline.add(i(20, 40), "v2", numbered(0, 1), "b");
    assert_eq!(show(&timeline, i(0, 100)), "0-20:v1:a 20-40:v2:b 40-100:v1:a");
    assert_eq!(show(&timeline, i(30, 50)), "30-40:v2:b 40-50:v1:a");
    timeline.remove(i(20, 40), "v2", 0);
    assert_eq!(show(&timeline, i(0, 100)), "0-100:v1:a");
}

#[test]
fn a_version_shows_when_its_core_partitions_are_complete() {
    let mut timeline = Timeline::new();
    timeline.add(i(0, 100), "v1", numbered(0, 1), "old");
    timeline.add(i(0, 100), "v2", numbered(0, 2), "new0");
    assert_eq!(show(&timeline, i(0, 100)), "0-100:v1:old");
    timeline.add(i(0, 100), "v2", numbered(1, 2), "new1");
    assert_eq!(show(&timeline, i(0, 100)), "0-100:v2:new0+new1");
    timeline.add(i(0, 100), "v2", numbered(2, 2), "appended");
    timeline.remove(i(0, 100), "v2", 0);
    assert_eq!(show(&timeline, i(0, 100)), "0-100:v1:old");
}

#[test]
fn appended_segments_without_core_are_visible_at_once() {
    let mut timeline = Timeline::new();
    timeline.add(i(0, 10), "v1", numbered(7, 0), "a");
    timeline.add(i(0, 10), "v1", numbered(9, 0), "b");
    assert_eq!(show(&timeline, i(0, 10)), "0-10:v1:a+b");
}

#[test]
fn a_tombstone_hides_older_data() {
    let mut timeline = Timeline::new();
    timeline.add(i(0, 100), "v1", numbered(0, 1), "a");
    timeline.add(i(0, 100), "v2", ShardSpec::Tombstone, "t");
    assert_eq!(show(&timeline, i(0, 100)), "0-100:v2:t");
    let hidden: Vec<&str> = timeline.find_fully_overshadowed().iter().map(|(_, _, chunk)| chunk.object).collect();
    assert_eq!(hidden, ["a"]);
    assert!(timeline.is_overshadowed(i(0, 50), "v1", &numbered(0, 1)));
    assert!(!timeline.is_overshadowed(i(0, 101), "v1", &numbered(0, 1)));
    assert!(!timeline.is_overshadowed(i(0, 50), "v2", &numbered(0, 1)));
}

#[test]
fn several_chunks_together_overshadow_a_longer_one() {
    let mut timeline = Timeline::new();
    timeline.add(i(0, 20), "v1", numbered(0, 1), "long");
    timeline.add(i(0, 10), "v2", numbered(0, 1), "b");
    assert!(timeline.find_fully_overshadowed().is_empty());
    timeline.add(i(10, 20), "v3", numbered(0, 1), "c");
    assert_eq!(timeline.find_fully_overshadowed().len(), 1);
}

#[test]
fn minor_versions_hide_the_partitions_they_replace() {
    let overwrite = |partition_id, start, end, minor_version, size| {
        ShardSpec::NumberedOverwrite(NumberedOverwrite {
            partition_id,
            start_root_partition_id: start,
            end_root_partition_id: end,
            minor_version,
            atomic_update_group_size: size,
        })
    };
    let mut timeline = Timeline::new();
    for (number, name) in [(0, "a"), (1, "b"), (2, "c")] {
        timeline.add(i(0, 10), "v1", numbered(number, 3), name);
    }
    timeline.add(i(0, 10), "v1", overwrite(32768, 0, 2, 1, 2), "x");
    assert_eq!(show(&timeline, i(0, 10)), "0-10:v1:a+b+c");
    timeline.add(i(0, 10), "v1", overwrite(32769, 0, 2, 1, 2), "y");
    assert_eq!(show(&timeline, i(0, 10)), "0-10:v1:c+x+y");
    assert_eq!(timeline.find_fully_overshadowed().len(), 2);
}

/// A naive timeline: all segments in a list, every instant looked at on its own.
#[derive(Default)]
struct Model {
    segments: Vec<(Interval, u8, i32, i32)>,
}

impl Model {
    fn complete(&self, interval: Interval, version: u8) -> bool {
        let of_chunk = self.segments.iter().filter(|(i, v, ..)| *i == interval && *v == version);
        let core = of_chunk.clone().map(|segment| segment.3).max().unwrap_or(1);
        (0..core).all(|number| of_chunk.clone().any(|segment| segment.2 == number))
    }

    /// Version and partitions that an instant shows; chunks of one version never overlap here.
    fn at(&self, instant: i64) -> Option<(u8, Vec<i32>)> {
        let over = self.segments.iter().filter(|(i, v, ..)| i.contains(instant) && self.complete(*i, *v));
        let best = over.map(|(i, v, ..)| (*v, *i)).max()?;
        let mut numbers: Vec<i32> =
            self.segments.iter().filter(|(i, v, ..)| *i == best.1 && *v == best.0).map(|segment| segment.2).collect();
        numbers.sort();
        Some((best.0, numbers))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec((0..8i64, 0..4u8, 0..3i32, 0..3i32, any::<bool>()), 1..40)) {
        let mut timeline: Timeline<(u8, i32)> = Timeline::new();
        let mut model = Model::default();
        for (place, version, number, core, add) in steps {
            // A version decides the length of its chunks, so that those of one version do not overlap.
            let length = [1, 2, 4, 3][version as usize];
            let interval = i(place / length * length, place / length * length + length);
            let name = format!("v{version}");
            model.segments.retain(|segment| (segment.0, segment.1, segment.2) != (interval, version, number));
            if add {
                timeline.add(interval, name.as_str(), numbered(number, core), (version, number));
                model.segments.push((interval, version, number, core));
            } else {
                timeline.remove(interval, &name, number);
            }
            for instant in -1..14 {
                let shown = timeline.lookup(i(instant, instant + 1));
                prop_assert!(shown.len() <= 1);
                let shown = shown.first().map(|holder| {
                    let numbers: Vec<i32> = holder.chunks.iter().map(|chunk| chunk.object.1).collect();
                    (holder.chunks[0].object.0, numbers)
                });
                prop_assert_eq!(shown, model.at(instant), "at {}", instant);
            }
            let holders = timeline.visible();
            for pair in holders.windows(2) {
                prop_assert!(pair[0].interval.end <= pair[1].interval.start);
            }
            for (interval, version, _) in timeline.find_fully_overshadowed() {
                let hidden = (interval.start..interval.end)
                    .all(|instant| model.at(instant).is_some_and(|(shown, _)| format!("v{shown}").as_str() > &**version));
                prop_assert!(hidden);
            }
            prop_assert_eq!(timeline.len(), model.segments.len());
        }
    }
}
