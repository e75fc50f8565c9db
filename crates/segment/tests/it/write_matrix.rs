//! A matrix of column types, encodings, compressions, nulls, cardinalities and row counts around block borders, written by
//! us and read by Druid.

use std::io::Write;
use std::path::{Path, PathBuf};

use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema};
use ovate_segment::write::IndexSpec;
use serde_json::{Value as Json, json};

use crate::druid_reader::DruidReader;
use crate::write_golden::add_rows;

/// Same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// One segment of the matrix.
struct Shape {
    rows: usize,
    cardinality: u64,
    /// One row in so many is null; 0 for none.
    nulls: u64,
    spec: Json,
}

fn shapes() -> Vec<Shape> {
    let dimension = ["lz4", "lzf", "zstd", "uncompressed"];
    let metric = ["lz4", "lzf", "zstd", "uncompressed", "none"];
    let encodings = ["longs", "auto"];
    let dictionaries = [
        json!({"type": "utf8"}),
        json!({"type": "frontCoded", "bucketSize": 4, "formatVersion": 1}),
        json!({"type": "frontCoded", "bucketSize": 128, "formatVersion": 0}),
    ];
    let rows = [1, 2, 100, 8191, 8193, 1000, 300, 8192, 16385, 2000, 32769, 3, 65537];
    let cardinalities = [1, 2, 16, 254, 255, 256, 257, 3000, 65_535, 70_000];
    (0..14)
        .map(|i| Shape {
            rows: rows[i % rows.len()],
            cardinality: cardinalities[(i * 3 + i / 10) % cardinalities.len()],
            nulls: [0, 3, 50][i % 3],
            spec: json!({
                "dimensionCompression": dimension[i % dimension.len()],
                "metricCompression": metric[i % metric.len()],
                "longEncoding": encodings[(i / 2) % 2],
                "stringDictionaryEncoding": dictionaries[(i / 3) % dictionaries.len()],
            }),
        })
        .collect()
}

/// Every combination of the encodings with nulls or without, over few rows: the whole matrix.
fn all_shapes() -> Vec<Shape> {
    let mut dictionaries = vec![json!({"type": "utf8"})];
    for version in [0, 1] {
        for bucket in [1, 4, 16, 128] {
            dictionaries.push(json!({"type": "frontCoded", "bucketSize": bucket, "formatVersion": version}));
        }
    }
    let mut shapes = Vec::new();
    for dictionary in &dictionaries {
        for dimension in ["lz4", "lzf", "zstd", "uncompressed"] {
            for metric in ["lz4", "lzf", "zstd", "uncompressed", "none"] {
                for encoding in ["longs", "auto"] {
                    for nulls in [0, 3] {
                        let number = shapes.len();
                        shapes.push(Shape {
                            rows: [40, 1, 90, 7][number % 4],
                            cardinality: [1, 3, 30, 300][(number / 3) % 4],
                            nulls,
                            spec: json!({
                                "dimensionCompression": dimension,
                                "metricCompression": metric,
                                "longEncoding": encoding,
                                "stringDictionaryEncoding": dictionary,
                                "jsonCompression": if dimension == "uncompressed" { "zstd" } else { dimension },
                                "bitmap": {"type": "roaring", "compressRunOnSerialization": number % 2 == 0},
                            }),
                        });
                    }
                }
            }
        }
    }
    shapes
}

fn dimensions() -> Vec<DimensionSchema> {
    [
        json!("s"),
        json!({"type": "string", "name": "plain", "createBitmapIndex": false}),
        json!({"type": "string", "name": "mv", "multiValueHandling": "ARRAY"}),
        json!({"type": "string", "name": "nothing"}),
        json!({"type": "long", "name": "l"}),
        json!({"type": "float", "name": "f"}),
        json!({"type": "double", "name": "d"}),
        json!({"type": "auto", "name": "as"}),
        json!({"type": "auto", "name": "al"}),
        json!({"type": "auto", "name": "ad"}),
        json!({"type": "auto", "name": "aa"}),
        json!({"type": "auto", "name": "ast"}),
        json!({"type": "auto", "name": "adb"}),
        json!({"type": "string", "name": "mvs", "multiValueHandling": "SORTED_SET", "createBitmapIndex": false}),
        json!({"type": "json", "name": "j"}),
    ]
    .iter()
    .map(|d| DimensionSchema::from_json(d).unwrap())
    .collect()
}

fn row(random: &mut Random, shape: &Shape, number: usize) -> Json {
    let text = |n: u64| match n {
        0 => String::new(),
        1 => "\u{1F600}".to_owned(),
        2 => "\u{FFFD}é".to_owned(),
        n => format!("text {n} {}", "x".repeat((n % 40) as usize)),
    };
    let n = random.below(shape.cardinality);
    let mut or_null = |value: Json| if shape.nulls > 0 && random.below(shape.nulls) == 0 { Json::Null } else { value };
    let long = (n as i64 - 7) * 1_000_003;
    let list: Vec<Json> = (0..number % 4).map(|i| json!(text((n + i as u64) % shape.cardinality))).collect();
    let list = if shape.rows > 1 { json!(list) } else { json!(["one", "two"]) };
    json!({
        "timestamp": 1_704_067_200_000_i64 + number as i64 * 977,
        "s": or_null(json!(text(n))),
        "plain": or_null(json!(text(n / 2))),
        "mv": list,
        "nothing": null,
        "l": or_null(json!(long)),
        "f": or_null(json!(n as f64 * 0.5)),
        "d": or_null(json!(n as f64 * 0.125 - 1.0)),
        "as": or_null(json!(text(n))),
        "al": or_null(json!(long)),
        "ad": or_null(json!(n as f64 + 0.25)),
        "aa": or_null(json!([n % 50, null, n % 7])),
        "ast": or_null(json!([text(n), "x", null])),
        "adb": or_null(json!([n as f64 + 0.5, null])),
        "mvs": (0..number % 4).map(|i| format!("m{}", (n + i as u64) % shape.cardinality)).collect::<Vec<_>>(),
        "j": or_null(json!({"a": n % 100, "b": {"c": text(n % 90), "list": [{"x": 1.5}, {"x": n % 3}]}})),
    })
}

/// A row as Druid's reader gives it back; `several` tells of each multi-value column whether some row has several values.
fn expected(row: &Json, several: &[(&str, bool)]) -> Json {
    let mut row = row.clone();
    let fields = row.as_object_mut().unwrap();
    let time = fields.remove("timestamp").unwrap();
    fields.insert("__time".to_owned(), time);
    // A multi-value row of one value, or none, is still a list; without any there is only one value, or null.
    for (name, several) in several {
        let list = values(name, &fields[*name]);
        fields[*name] = if *several { json!(list) } else { list.first().map_or(Json::Null, |text| json!(text)) };
    }
    row
}

/// The values of a row of a multi-value column; `mvs` keeps each once, in order.
fn values(name: &str, row: &Json) -> Vec<String> {
    let mut list: Vec<String> =
        row.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    if name == "mvs" {
        list.sort();
        list.dedup();
    }
    list
}

fn write_shape(number: usize, shape: &Shape, out: &Path) -> PathBuf {
    let mut random = Random(number as u64 + 1);
    let rows: Vec<Json> = (0..shape.rows).map(|row_number| row(&mut random, shape, row_number)).collect();
    let mut index = IncrementalIndex::new(IndexSchema { dimensions: dimensions(), ..IndexSchema::default() }).unwrap();
    add_rows(&mut index, &rows);
    let dir = out.join(format!("shape{number}"));
    let spec = IndexSpec::from_json(&shape.spec).unwrap();
    let report = index.persist(&dir, &spec).unwrap();
    assert_eq!(report.row_count as usize, shape.rows);
    let mut file = std::io::BufWriter::new(std::fs::File::create(dir.join("expected.jsonl")).unwrap());
    let several = ["mv", "mvs"].map(|name| (name, rows.iter().any(|row| values(name, &row[name]).len() > 1)));
    rows.iter().for_each(|row| writeln!(file, "{}", expected(row, &several)).unwrap());
    file.flush().unwrap();
    dir
}

#[test]
fn druid_reads_the_whole_matrix() {
    let Some(reader) = DruidReader::find() else { return };
    let out = tempfile::tempdir().unwrap();
    // All of it takes minutes in a debug build; every 24th cell is read otherwise.
    let all = std::env::var_os("OVATE_FULL_MATRIX").is_some();
    let mut cells = shapes();
    let small = all_shapes();
    cells.extend(small.into_iter().enumerate().filter(|(number, _)| all || number % 24 == 5).map(|(_, shape)| shape));
    let segments: Vec<PathBuf> = cells.iter().enumerate().map(|(i, shape)| write_shape(i, shape, out.path())).collect();
    reader.check(&segments, out.path());
    let columns = dimensions().len() + 1;
    eprintln!("Druid read {} segments, {} columns", segments.len(), segments.len() * columns);
}
