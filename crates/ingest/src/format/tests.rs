//! Facts about the line formats.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::spec::InputFormat;

fn all() -> Wanted {
    Wanted { columns: None, nested: false, doubles: BTreeSet::new() }
}

fn only(names: &[&str]) -> Wanted {
    Wanted { columns: Some(names.iter().map(|n| n.to_string()).collect()), ..all() }
}

fn read(format: Json, wanted: &Wanted, text: &str) -> Batch {
    let format = InputFormat::from_json(&format).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let skip = header_lines(&format);
    let header = read_header(&format, &lines[..skip.min(lines.len())]).unwrap();
    let body = lines[skip.min(lines.len())..].join("\n");
    text_reader(&format, wanted).unwrap().read(body.as_bytes(), &header).unwrap()
}

fn cells(batch: &Batch, name: &str) -> Vec<String> {
    let column = batch.column(name).unwrap_or_else(|| panic!("no column {name}"));
    assert_eq!(column.len(), batch.rows);
    (0..batch.rows).map(|row| column.text(row).map_or("-".to_owned(), |t| t.into_owned())).collect()
}

#[test]
fn json_fields_are_typed_by_what_arrives() {
    let text = r#"{"a":1,"b":"x","c":[1,2],"d":{"e":1},"n":null}
{"b":"y","a":2.5,"z":true,"a2":"caf\u00e9"}"#;
    let batch = read(json!({"type": "json"}), &all(), text);
    assert_eq!(cells(&batch, "a"), ["1", "2.5"]);
    assert_eq!(cells(&batch, "b"), ["x", "y"]);
    assert_eq!(cells(&batch, "c"), ["[1, 2]", "-"]);
    assert_eq!(cells(&batch, "z"), ["-", "true"]);
    assert_eq!(cells(&batch, "a2"), ["-", "café"]);
    assert!(batch.column("d").is_none(), "nested fields are not discovered as strings");
    assert_eq!(cells(&batch, "n"), ["-", "-"], "null fields are discovered");
    let without = read(json!({"type": "json", "keepNullColumns": false}), &all(), text);
    assert!(without.column("n").is_none(), "unless they are not to be kept");
    let nested = read(json!({"type": "json"}), &Wanted { nested: true, ..all() }, text);
    assert_eq!(cells(&nested, "d"), ["{e=1}", "-"]);
}

#[test]
fn json_named_fields_are_read_whatever_their_order() {
    let text = "{\"x\":{\"deep\":[1,{\"y\":\"}\"}]},\"a\":1}\n{\"a\":2,\"x\":5}\n\n{\"a\":3,\"a\":4} {\"a\":5}";
    let batch = read(json!({"type": "json"}), &only(&["a", "gone"]), text);
    assert_eq!(cells(&batch, "a"), ["1", "2", "4", "5"]);
    assert_eq!(cells(&batch, "gone"), ["-", "-", "-", "-"]);
    assert!(batch.column("x").is_none());
}

#[test]
fn broken_json_is_kept_apart() {
    let text = "{\"a\":1}\n{\"a\":2,\"b\":\n[1]\nnull\n{\"a\":3}\n{\"a\":tru}\n{\"a\":4,}";
    let batch = read(json!({"type": "json"}), &only(&["a", "b"]), text);
    assert_eq!(cells(&batch, "a"), ["1", "3"]);
    assert_eq!(batch.bad.len(), 5);
    assert!(batch.bad[0].message.contains("Unable to parse row"), "{}", batch.bad[0].message);
    assert_eq!(batch.bad[1].input, "[1]");
}

#[test]
fn json_flattens() {
    let format = json!({"type": "json", "flattenSpec": {"useFieldDiscovery": true, "fields": [
        {"type": "path", "name": "deep", "expr": "$.x.y[1]"}, {"type": "jq", "name": "c1", "expr": ".c1.o"},
        {"type": "root", "name": "alias", "expr": "a"}, {"type": "tree", "name": "t", "nodes": ["x", "z"]}]}});
    let text = r#"{"a":1,"x":{"y":["p","q"],"z":7},"c1":{"o":{"k":1}}}
{"a":2}"#;
    let batch = read(format, &all(), text);
    assert_eq!(cells(&batch, "deep"), ["q", "-"]);
    assert_eq!(cells(&batch, "c1"), ["{k=1}", "-"]);
    assert_eq!(cells(&batch, "alias"), ["1", "2"]);
    assert_eq!(cells(&batch, "t"), ["7", "-"]);
    assert_eq!(cells(&batch, "a"), ["1", "2"]);
}

#[test]
fn csv_reads_quotes_lists_and_header() {
    let text = "a,b,c\n1,\"x, \"\"y\"\"\",p|q\r\n2,,\n";
    let batch = read(json!({"type": "csv", "findColumnsFromHeader": true, "listDelimiter": "|"}), &all(), text);
    assert_eq!(cells(&batch, "a"), ["1", "2"]);
    assert_eq!(cells(&batch, "b"), ["x, \"y\"", "-"]);
    assert_eq!(cells(&batch, "c"), ["[p, q]", "-"]);
    let numbers = read(
        json!({"type": "csv", "columns": ["a", "b"], "findColumnsFromHeader": false, "tryParseNumbers": true}),
        &all(),
        "1,1.50\nx,-3",
    );
    assert!(matches!(numbers.column("b"), Some(Column::Values(_))));
    assert_eq!(cells(&numbers, "b"), ["1.5", "-3"]);
}

#[test]
fn csv_with_an_open_quote_is_unparseable() {
    let batch = read(json!({"type": "csv", "columns": ["a"], "findColumnsFromHeader": false}), &all(), "\"x\ny");
    assert_eq!((batch.rows, batch.bad.len()), (1, 1));
}

#[test]
fn tsv_has_its_own_delimiter_and_skips_headers() {
    let format =
        json!({"type": "tsv", "delimiter": "|", "columns": ["a", "b", "c"], "findColumnsFromHeader": false, "skipHeaderRows": 1});
    let batch = read(format, &all(), "head\n1|\"2\n3|4|5|6");
    assert_eq!(cells(&batch, "b"), ["\"2", "4"]);
    assert_eq!(cells(&batch, "c"), ["-", "5"]);
}

#[test]
fn lines_and_regex() {
    let batch = read(json!({"type": "lines"}), &all(), "a b\nc");
    assert_eq!(cells(&batch, "line"), ["a b", "c"]);
    let format = json!({"type": "regex", "pattern": r"(\w+) (\d+)?", "columns": ["w", "n"]});
    let batch = read(format, &all(), "a 1\nb \n??");
    assert_eq!(cells(&batch, "w"), ["a", "b"]);
    assert_eq!(cells(&batch, "n"), ["1", "-"]);
    assert_eq!(batch.bad.len(), 1);
}

#[test]
fn parquet_columns_become_ours() {
    use arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Int32Type, Int64Type};
    let dir = std::env::temp_dir().join(format!("ovate-parquet-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("a.parquet");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500), None, Some(-1)]))),
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
        ("d", Arc::new(Float64Array::from(vec![1.5, 2.0, 3.0]))),
        ("s", Arc::new(StringArray::from(vec![Some("x"), Some("y"), None]))),
        ("k", Arc::new(vec!["p", "q", "p"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        (
            "l",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), Some(2)]), None, Some(vec![])])),
        ),
    ];
    let batch =
        arrow::record_batch::RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = parquet::ParquetFile::open(&path).unwrap();
    let InputFormat::Parquet { flatten, .. } = InputFormat::from_json(&json!({"type": "parquet"})).unwrap() else { panic!() };
    let mut reader = file.read(0, &flatten, false, &all()).unwrap();
    let batch = reader.next_batch().unwrap().unwrap();
    assert_eq!(cells(&batch, "t"), ["1", "-", "-1"]);
    assert_eq!(cells(&batch, "n"), ["1", "-", "3"]);
    assert_eq!(cells(&batch, "d"), ["1.5", "2.0", "3.0"]);
    assert_eq!(cells(&batch, "s"), ["x", "y", "-"]);
    assert_eq!(cells(&batch, "k"), ["p", "q", "p"]);
    assert_eq!(cells(&batch, "l"), ["[1, 2]", "-", "[]"]);
    assert!(matches!(batch.column("s"), Some(Column::Coded { .. })));
    std::fs::write(dir.join("bad.parquet"), b"PAR1 nonsense").unwrap();
    assert!(parquet::ParquetFile::open(&dir.join("bad.parquet")).err().unwrap().message.contains("bad.parquet"));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn damaged_json_never_panics_and_agrees_with_serde() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    let mut chance = StdRng::seed_from_u64(11);
    let line = r#"{"a":"x\u00e9\n\ud83d\ude00","b":-1.5e3,"c":[1,{"d":"}\""}],"é":true,"n":null,"big":12345678901234567890}"#;
    let pieces = b"\"\\{}[],:0123456789eE+-.truefalsn \tu\xc3\xa9\x01";
    for round in 0..20_000 {
        let mut bytes = line.as_bytes().to_vec();
        for _ in 0..chance.random_range(0..4) {
            let at = chance.random_range(0..bytes.len());
            match chance.random_range(0..3) {
                0 => bytes[at] = pieces[chance.random_range(0..pieces.len())],
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, pieces[chance.random_range(0..pieces.len())]),
            }
        }
        let batch = text_reader(&InputFormat::from_json(&json!({"type": "json"})).unwrap(), &Wanted { nested: true, ..all() })
            .unwrap()
            .read(&bytes, &Header::default())
            .unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let strict: Result<std::collections::BTreeMap<String, Json>, _> = serde_json::from_str(&text);
        if strict.is_ok() {
            assert_eq!((batch.rows, batch.bad.len()), (1, 0), "round {round}: {text}");
        }
        assert!(batch.columns.iter().all(|(_, column)| column.len() == batch.rows), "round {round}: {text}");
    }
}
