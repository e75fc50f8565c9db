//! Mutates what Druid and we wrote, and reads it: a panic, or an answer that is not an error or a value, ends the run and keeps the
//! input. Run it under `ulimit -v` to see allocations without bound.
//!
//!     cargo run --release -p ovate-query --example fuzz -- TARGET COUNT [SEED]      TARGET: a name below, or `all`
//!
//! Segment targets (`accelerator` too) mutate the files of golden segments in `../shared` (or `$OVATE_SHARED`); sketch targets the bytes of sketches that
//! are made here; `partial` and `query` the two documents that come from other processes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::column::{Column, ColumnSource, MemoryTable, Rows};
use ovate_compute::virtual_column::PathPart;
use ovate_compute::{EvalContext, Groups, Value, Vector};
use ovate_query::{NativeQuery, Partial, QueryContext, SegmentRef, run_segment};
use ovate_segment::Segment;
use ovate_segment::read::Accelerator;
use serde_json::json;

/// Segment targets: a kind of column or container, and the golden segments of it.
const SEGMENTS: &[(&str, &[&str])] = &[
    ("string", &["golden-37.0.0/string_basic", "golden/string_uncompressed", "golden/string_lzf", "golden/string_zstd"]),
    ("front-coded", &["golden-37.0.0/front_coded_v0_b4", "golden-37.0.0/front_coded_v1_b16", "golden/string_fc1_b128"]),
    ("long", &["golden/num_lz4_longs", "golden/num_none_auto", "golden/num_zstd_auto", "golden-37.0.0/long_auto_widths_none"]),
    ("float-double", &["golden/num_edges_lz4_longs", "golden/num_edges_none_auto", "golden-37.0.0/numeric_edges_roaring"]),
    ("concise", &["golden/string_concise", "golden/num_edges_concise", "golden-37.0.0/nested_zstd_concise"]),
    ("spatial", &["golden-37.0.0/string_spatial_concise"]),
    ("auto", &["golden-37.0.0/auto_scalars", "golden-37.0.0/auto_variants", "golden/auto_fc1", "golden/auto_no_raw"]),
    ("array", &["golden-37.0.0/auto_arrays"]),
    (
        "json",
        &["golden-37.0.0/nested_basic", "golden-37.0.0/nested_front_coded", "golden-37.0.0/nested_no_raw", "golden/json_default"],
    ),
    (
        "complex",
        &[
            "golden/complex_sketches",
            "golden/complex_sketches_lz4",
            "golden/complex_others_lz4",
            "golden-37.0.0/complex_first_last",
        ],
    ),
    (
        "contributed",
        &[
            "golden/complex_contrib_spectatorHistogram",
            "golden/complex_contrib_compressedBigDecimalSum",
            "golden/complex_contrib_momentSketch",
            "golden/complex_contrib_ddSketch",
        ],
    ),
    ("clustered", &["golden/v10_clustered", "golden/v10_clustered_two"]),
    ("projection", &["golden-37.0.0/projections", "golden/table_projections"]),
    ("v10", &["golden-37.0.0/v10_projections", "golden-37.0.0/v10_metadata_zstd", "golden/v10_complex", "golden/v10_strings_fc"]),
];

/// Aggregators whose stored form is bytes of their own.
const SKETCHES: &[&str] = &[
    r#"{"type": "thetaSketch", "name": "a", "fieldName": "s", "size": 64}"#,
    r#"{"type": "HLLSketchBuild", "name": "a", "fieldName": "s", "lgK": 6}"#,
    r#"{"type": "HLLSketchBuild", "name": "a", "fieldName": "s", "lgK": 7, "tgtHllType": "HLL_8"}"#,
    r#"{"type": "quantilesDoublesSketch", "name": "a", "fieldName": "n", "k": 16}"#,
    r#"{"type": "KllDoublesSketch", "name": "a", "fieldName": "n", "k": 20}"#,
    r#"{"type": "KllFloatsSketch", "name": "a", "fieldName": "n", "k": 20}"#,
    r#"{"type": "arrayOfDoublesSketch", "name": "a", "fieldName": "s", "nominalEntries": 64, "metricColumns": ["n"]}"#,
    r#"{"type": "hyperUnique", "name": "a", "fieldName": "s"}"#,
    r#"{"type": "cardinality", "name": "a", "fields": ["s"]}"#,
    r#"{"type": "variance", "name": "a", "fieldName": "n"}"#,
    r#"{"type": "approxHistogram", "name": "a", "fieldName": "n", "resolution": 20}"#,
    r#"{"type": "fixedBucketsHistogram", "name": "a", "fieldName": "n", "lowerLimit": 0, "upperLimit": 100, "numBuckets": 20}"#,
    r#"{"type": "ddSketch", "name": "a", "fieldName": "n"}"#,
    r#"{"type": "tDigestSketch", "name": "a", "fieldName": "n", "compression": 20}"#,
    r#"{"type": "Bitmap64ExactCountBuild", "name": "a", "fieldName": "n"}"#,
    r#"{"type": "bloom", "name": "a", "field": "s", "maxNumEntries": 100}"#,
    r#"{"type": "momentSketch", "name": "a", "fieldName": "n", "k": 8}"#,
    r#"{"type": "spectatorHistogram", "name": "a", "fieldName": "n"}"#,
    r#"{"type": "compressedBigDecimalSum", "name": "a", "fieldName": "n"}"#,
    r#"{"type": "histogram", "name": "a", "fieldName": "n", "breaks": [0, 10, 50]}"#,
    r#"{"type": "stringLast", "name": "a", "fieldName": "s"}"#,
    r#"{"type": "doubleFirst", "name": "a", "fieldName": "n"}"#,
    r#"{"type": "expression", "name": "a", "fields": ["n"], "initialValue": "0", "fold": "__acc + n", "combine": "__acc + a"}"#,
];

/// xorshift, so that a run can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// Changes a few places, sometimes the length.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(12) {
                0 => bytes.truncate(at),
                1 => {
                    let (from, length) = (self.below(bytes.len()), self.below(9));
                    let piece: Vec<u8> = bytes[from..(from + length).min(bytes.len())].to_vec();
                    let end = (at + piece.len()).min(bytes.len());
                    bytes[at..end].copy_from_slice(&piece[..end - at]);
                }
                2 => bytes.insert(at, self.below(256) as u8),
                3..=5 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][self.below(6)],
                6..=8 => bytes[at] ^= 1 << self.below(8),
                _ => bytes[at] = self.below(256) as u8,
            }
        }
    }
}

/// Runs one input; a panic is told with what is needed to see it again.
fn guarded(target: &str, number: u64, input: &[u8], run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        let path = format!("/tmp/fuzz-{target}-{number}.bin");
        let _ = std::fs::write(&path, input);
        eprintln!("PANIC target={target} input={number} kept={path}");
        std::process::exit(1);
    }
}

fn touch(column: &dyn Column, rows: u32) {
    let _ = (column.null_rows(), column.long_bounds());
    if let Some(dictionary) = column.dictionary() {
        for code in 0..dictionary.cardinality().min(100) {
            let _ = dictionary.get(code);
        }
        let _ = (dictionary.find(None), dictionary.find(Some("a")), dictionary.lower_bound("b"));
        if let Some(index) = column.bitmap_index() {
            let _ = index.union(&mut (0..dictionary.cardinality().min(100)));
        }
    }
    let Ok(mut reader) = column.reader() else { return };
    let rows = 0..rows.min(300);
    let _ = reader.codes(Rows::Range(rows.clone())).map(|codes| codes.len());
    let _ = reader.multi_codes(Rows::Range(rows.clone())).map(|codes| codes.codes.len());
    let _ = reader.longs(Rows::Range(rows.clone())).map(|numbers| numbers.values.len());
    let _ = reader.floats(Rows::Range(rows.clone())).map(|numbers| numbers.values.len());
    let _ = reader.doubles(Rows::Range(rows.clone())).map(|numbers| numbers.values.len());
    let _ = reader.values(Rows::Range(rows)).map(|values| values.len());
}

fn read(segment: &Segment) {
    let rows = segment.row_count();
    let _ = (segment.is_time_sorted(), segment.interval());
    for name in segment.column_names() {
        if let Ok(Some(column)) = segment.column(&name) {
            touch(column.as_ref(), rows);
        }
        for path in segment.nested_paths(&name).ok().flatten().unwrap_or_default().iter().take(8) {
            if let Ok(Some(column)) = segment.nested_field(&name, path) {
                touch(column.as_ref(), rows);
            }
        }
        if let Ok(Some(column)) = segment.nested_field(&name, &[PathPart::Element(-1)]) {
            touch(column.as_ref(), rows);
        }
    }
    for projection in segment.projections() {
        if let Ok(Some(inner)) = Segment::projection(segment, &projection.name) {
            for name in inner.column_names() {
                if let Ok(Some(column)) = inner.column(&name) {
                    touch(column.as_ref(), inner.row_count());
                }
            }
        }
    }
}

fn shared() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned();
    let places = std::env::var("OVATE_SHARED").into_iter().chain([beside, "/work/shared".to_owned()]);
    places.map(|p| Path::new(&p).join("fixtures/druid")).find(|p| p.is_dir()).expect("shared/fixtures is there")
}

fn segments(target: &str, names: &[&str], count: u64, random: &mut Random) {
    let work =
        tempfile::Builder::new().tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).expect("a folder");
    let seeds: Vec<(PathBuf, Vec<(String, Vec<u8>)>)> = names
        .iter()
        .map(|name| {
            let from = shared().join(name);
            let to = work.path().join(name.replace('/', "-"));
            std::fs::create_dir_all(&to).expect("a folder");
            let mut files = Vec::new();
            for entry in std::fs::read_dir(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
                let path = entry.expect("an entry").path();
                let file = path.file_name().expect("a name").to_string_lossy().into_owned();
                if file.ends_with(".smoosh") || file == "version.bin" || file == "factory.json" || file == "druid.segment" {
                    let bytes = std::fs::read(&path).expect("a file");
                    std::fs::write(to.join(&file), &bytes).expect("written");
                    files.push((file, bytes));
                }
            }
            read(&Segment::open(&to).expect("the seed opens"));
            (to, files)
        })
        .collect();
    for number in 0..count {
        let (dir, files) = &seeds[random.below(seeds.len())];
        // Mostly the data, now and then the table of contents.
        let wanted = if random.below(10) == 0 { "meta.smoosh" } else { "00000.smoosh" };
        let (file, original) = files.iter().find(|(name, _)| name == wanted || name == "druid.segment").expect("a file of data");
        let mut bytes = original.clone();
        random.mutate(&mut bytes);
        let path = dir.join(file);
        std::fs::write(&path, &bytes).expect("written");
        guarded(target, number, &bytes, || {
            if let Ok(segment) = Segment::open(dir) {
                read(&segment);
            }
        });
        std::fs::write(&path, original).expect("written");
    }
}

/// An accelerator file: damaged ones are refused, and what fits the checksum but not the columns is left out.
fn accelerator(count: u64, random: &mut Random) {
    let whole = Segment::open(&shared().join("golden/string_blocks_lz4")).expect("the seed opens");
    let digests = whole.digests();
    let good = Accelerator::build(&whole, &|| true).expect("it is made").to_bytes(&digests);
    for number in 0..count {
        let mut bytes = good[20..].to_vec();
        random.mutate(&mut bytes);
        let mut forged = good[..16].to_vec();
        forged.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        forged.extend_from_slice(&bytes);
        guarded("accelerator", number, &bytes, || {
            assert!(Accelerator::from_bytes(&bytes.clone().into(), &digests).is_err(), "no file begins like that");
            if let Ok(accelerator) = Accelerator::from_bytes(&forged.into(), &digests) {
                // A segment of its own: columns take what they are offered once.
                let segment = Segment::open(&shared().join("golden/string_blocks_lz4")).expect("the seed opens");
                segment.accelerate(accelerator);
                for name in segment.column_names() {
                    touch(segment.column(&name).expect("it opens").expect("it is there").as_ref(), segment.row_count());
                }
            }
        });
    }
}

fn table() -> Arc<dyn ColumnSource> {
    let rows = 0..2000;
    let columns = vec![
        ("__time".to_owned(), Vector::Long { values: rows.clone().collect(), nulls: None }),
        ("s".to_owned(), Vector::String(rows.clone().map(|i| Some(Arc::from(format!("text {}", i % 997)))).collect())),
        ("n".to_owned(), Vector::Double { values: rows.map(|i| (i % 113) as f64).collect(), nulls: None }),
    ];
    Arc::new(MemoryTable::new(columns).expect("a table"))
}

fn sketch(document: &str, count: u64, random: &mut Random) {
    let spec = AggregatorSpec::from_json(&serde_json::from_str(document).expect("JSON")).expect("an aggregator");
    let context = EvalContext::at(0);
    let mut seeds = Vec::new();
    for rows in [0u32, 1, 3, 20, 200, 2000] {
        let mut state = spec.bind(&table(), &context).expect("it binds");
        state.resize(1);
        state.add(Rows::Range(0..rows), Groups::One(0)).expect("rows");
        seeds.push(state.take_partial().expect("a partial").value(0));
    }
    for number in 0..count {
        let seed = seeds[random.below(seeds.len())].clone();
        let (value, input) = match &seed {
            Value::Complex(name, bytes) => {
                let mut bytes = bytes.to_vec();
                random.mutate(&mut bytes);
                (Value::Complex(name.clone(), bytes.clone().into()), bytes)
            }
            other => (other.clone(), Vec::new()),
        };
        guarded(&spec.type_name(), number, &input, || {
            let column = Vector::from_values(&spec.intermediate_type(), vec![value.clone(), seed.clone()]);
            let _ = spec.finalize(&column).map(|result| result.len());
            let mut merger = spec.merger().expect("a merger");
            merger.resize(1);
            if merger.merge(&column, &[0, 0]).is_ok()
                && let Ok(merged) = merger.take_partial()
            {
                let _ = spec.finalize(&merged).map(|result| result.len());
            }
        });
    }
}

fn partial(count: u64, random: &mut Random) {
    let document = json!({"queryType": "groupBy", "dataSource": "t", "intervals": "1900/2100", "granularity": "day",
        "dimensions": ["s", {"dimension": "n", "outputName": "n", "outputType": "DOUBLE"}],
        "aggregations": [{"type": "count", "name": "c"}, {"type": "thetaSketch", "name": "t", "fieldName": "s"}]});
    let scan = json!({"queryType": "scan", "dataSource": "t", "intervals": "1900/2100", "limit": 50});
    let context = QueryContext::new(EvalContext::at(0));
    let seeds: Vec<Vec<u8>> = [document, scan]
        .iter()
        .map(|document| {
            let query = NativeQuery::from_json(document).expect("a query");
            let segment = SegmentRef::new("t", query.intervals().to_vec(), table());
            run_segment(&query, &segment, &context).expect("it runs").encode().expect("bytes")
        })
        .collect();
    for number in 0..count {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        random.mutate(&mut bytes);
        guarded("partial", number, &bytes, || {
            if let Ok(partial) = Partial::decode(&bytes) {
                let _ = partial.encode().map(|bytes| bytes.len());
            }
        });
    }
}

fn query(count: u64, random: &mut Random) {
    let seeds = [
        r#"{"queryType":"groupBy","dataSource":{"type":"join","left":"t","right":{"type":"inline","columnNames":["k"],"rows":[["a"]]},"rightPrefix":"j.","condition":"x == \"j.k\"","joinType":"LEFT"},"intervals":["2020/2021"],"granularity":{"type":"period","period":"P1D","timeZone":"UTC"},"dimensions":["a",{"type":"extraction","dimension":"b","outputName":"c","extractionFn":{"type":"substring","index":1}}],"aggregations":[{"type":"filtered","filter":{"type":"bound","dimension":"x","lower":"1","ordering":"numeric"},"aggregator":{"type":"longSum","name":"s","expression":"x + 1"}}],"having":{"type":"greaterThan","aggregation":"s","value":3},"limitSpec":{"type":"default","limit":5,"columns":["a"]},"virtualColumns":[{"type":"nested-field","columnName":"j","outputName":"v","path":".a[0]","useJqSyntax":true}]}"#,
        r#"{"queryType":"windowOperator","dataSource":{"type":"query","query":{"queryType":"union","queries":[{"queryType":"scan","dataSource":"a","intervals":"2020/2021","columns":["x"]}]}},"outputSignature":[{"name":"x","type":"LONG"}],"operatorDefinition":[{"type":"naivePartition","partitionColumns":["x"]},{"type":"window","processor":{"type":"framedAgg","frame":{"type":"rows","lowerOffset":-1,"upperOffset":0},"aggregations":[{"type":"count","name":"c"}]}}]}"#,
        r#"{"queryType":"topN","dataSource":"t","intervals":"2020/2021","granularity":"all","dimension":"d","metric":{"type":"inverted","metric":{"type":"dimension","ordering":"numeric"}},"threshold":3,"aggregations":[{"type":"thetaSketch","name":"t","fieldName":"x"}],"postAggregations":[{"type":"arithmetic","name":"p","fn":"/","fields":[{"type":"fieldAccess","fieldName":"t"},{"type":"constant","value":2}]}]}"#,
    ];
    for number in 0..count {
        let mut bytes = seeds[random.below(seeds.len())].as_bytes().to_vec();
        random.mutate(&mut bytes);
        guarded("query", number, &bytes, || {
            if let Ok(json) = serde_json::from_slice(&bytes)
                && let Ok(query) = NativeQuery::from_json(&json)
            {
                let written = query.to_json();
                let again = NativeQuery::from_json(&written).expect("what is written is read");
                assert_eq!(again.to_json(), written);
            }
        });
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (wanted, count) = match &args[..] {
        [target, count, ..] => (target.as_str(), count.parse::<u64>().expect("COUNT is a number")),
        _ => panic!(
            "fuzz TARGET COUNT [SEED]; targets: all, {:?}, sketches, accelerator, partial, query",
            SEGMENTS.iter().map(|(name, _)| name).collect::<Vec<_>>()
        ),
    };
    let seed: u64 = args.get(2).map_or(1, |seed| seed.parse().expect("SEED is a number"));
    // Panics are told by `guarded`, with the input.
    let run = |name: &str, work: &mut dyn FnMut(&mut Random)| {
        let start = Instant::now();
        work(&mut Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
        println!("{name}: {count} inputs in {:.1} s", start.elapsed().as_secs_f64());
    };
    for (name, files) in SEGMENTS {
        if wanted == "all" || wanted == *name {
            run(name, &mut |random| segments(name, files, count, random));
        }
    }
    for document in SKETCHES {
        let name = AggregatorSpec::from_json(&serde_json::from_str(document).expect("JSON")).expect("an aggregator").type_name();
        if ["all", "sketches", name.as_str()].contains(&wanted) {
            run(&name, &mut |random| sketch(document, count, random));
        }
    }
    if ["all", "accelerator"].contains(&wanted) {
        run("accelerator", &mut |random| accelerator(count, random));
    }
    if ["all", "partial"].contains(&wanted) {
        run("partial", &mut |random| partial(count, random));
    }
    if ["all", "query"].contains(&wanted) {
        run("query", &mut |random| query(count, random));
    }
}
