//! Replays native queries over folders of segments, without any server, and prints the CPU time of each: for measuring
//! operators on real data while the machine has other work. `replay SEGMENTS_DIR QUERIES.json [THREADS [NAME…]]`; segments are
//! the folders `SEGMENTS_DIR/<datasource>/**/version.bin`, queries an object of lists of native queries by name (`EXPLAIN`).
//! Each line: name, best CPU milliseconds (one thread) or wall milliseconds (more), median, rows, and a hash of the answer.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ovate_compute::EvalContext;
use ovate_query::{NativeQuery, QueryContext, SegmentRef, finalize, run_segments, write_json};
use ovate_segment::Segment;
use serde_json::Value as Json;

const REPEATS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let queries: serde_json::Map<String, Json> =
        serde_json::from_str(&std::fs::read_to_string(&arguments[2]).expect("readable queries")).expect("an object of queries");
    let threads: usize = arguments.get(3).map_or(1, |text| text.parse().expect("a number of threads"));
    let wanted = arguments.get(4..).unwrap_or_default();
    let mut tables: BTreeMap<String, Vec<Arc<Segment>>> = BTreeMap::new();
    let shared = QueryContext::new(EvalContext::at(0)).with_memory(8 << 30);
    for (name, native) in queries.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)) {
        let query = NativeQuery::from_json(&native[0]).expect("a native query");
        let table = query.data_source().table_names().first().map(|name| name.to_string()).expect("a table");
        let opened = tables.entry(table.clone()).or_insert_with(|| open(&Path::new(&arguments[1]).join(&table)));
        let segments: Vec<SegmentRef> = opened
            .iter()
            .filter(|segment| query.intervals().iter().any(|interval| interval.overlaps(&interval_of(segment))))
            .map(|segment| SegmentRef::new("s", query.intervals().to_vec(), segment.clone()))
            .collect();
        let (mut times, mut answer, mut rows) = (Vec::new(), Vec::new(), 0);
        for _ in 0..=REPEATS {
            let context =
                QueryContext::new(EvalContext::at(0)).with_memory(8 << 30).with_dictionaries(shared.dictionaries.clone());
            let (wall, cpu) = (Instant::now(), cpu_ms());
            let partial = run_segments(&query, &segments, &context, threads).expect("runs");
            let result = finalize(&query, partial, &context).expect("finalises");
            times.push(if threads == 1 { cpu_ms() - cpu } else { wall.elapsed().as_secs_f64() * 1000.0 });
            answer.clear();
            rows = result.row_count();
            write_json(&query, &result, &mut answer).expect("writes");
        }
        let first = times.remove(0);
        times.sort_by(f64::total_cmp);
        let mut hash = DefaultHasher::new();
        hash.write(&answer);
        println!(
            "{name:32} best {:9.2} median {:9.2} first {first:9.2} rows {rows:6} answer {:016x}",
            times[0],
            times[REPEATS / 2],
            hash.finish()
        );
        if std::env::var("REPLAY_PRINT").is_ok() {
            println!("{}", String::from_utf8_lossy(&answer[..answer.len().min(3000)]));
        }
    }
}

fn interval_of(segment: &Arc<Segment>) -> ovate_base::Interval {
    ovate_compute::ColumnSource::interval(segment.as_ref())
}

/// CPU milliseconds of this thread.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

fn open(dir: &Path) -> Vec<Arc<Segment>> {
    let mut found: Vec<PathBuf> = Vec::new();
    collect(dir, &mut found);
    found.sort();
    found.iter().map(|dir| Arc::new(Segment::open(dir).expect("a readable segment"))).collect()
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    if dir.join("version.bin").exists() {
        return found.push(dir.to_owned());
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), found);
        }
    }
}
