//! Segments that Druid wrote decode to the rows that Druid's own reader gave; damaged copies fail as it is asked of them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ovate_compute::column::ColumnSource;
use ovate_compute::virtual_column::PathPart;
use ovate_compute::{ColumnType, Value};
use ovate_segment::Segment;
use serde_json::Value as Json;

use crate::support::{about, cases, fixtures, json_lines, name_of, read_column, read_segment};

/// Cases that wait for later, by the beginning of their names, with the reason.
const WAITING: &[(&str, &str)] = &[("index_zip", "holds a zip, not a segment")];

fn waits(name: &str) -> Option<&'static str> {
    WAITING.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, reason)| *reason)
}

/// Compares a value with the JSON that Druid's reader gave.
pub fn agrees(value: &Value, expected: &Json) -> bool {
    match (value, expected) {
        (Value::Null, Json::Null) => true,
        (Value::Null, Json::Object(object)) => object.get("base64").is_some_and(|b| b == ""),
        (Value::Long(v), Json::Number(n)) => n.as_i64() == Some(*v) || n.as_f64() == Some(*v as f64),
        (Value::Float(v), Json::Number(n)) => n.as_f64().is_some_and(|n| n as f32 == *v),
        (Value::Double(v), Json::Number(n)) => n.as_f64() == Some(*v),
        (Value::Float(v), Json::String(s)) => special(f64::from(*v), s),
        (Value::Double(v), Json::String(s)) => special(*v, s),
        (Value::String(v), Json::String(s)) => **v == **s,
        (Value::Array(v), Json::Array(a)) => v.len() == a.len() && v.iter().zip(a).all(|(v, a)| agrees(v, a)),
        (Value::Json(v), expected) => json_agrees(v, expected),
        (Value::Complex(name, bytes), Json::Object(object)) if name.starts_with("serializablePair") => {
            pair_agrees(name, bytes, object)
        }
        // Druid gives the buckets in no order: each is two bytes in these.
        (Value::Complex(name, bytes), Json::Object(object)) if &**name == "spectatorHistogram" => {
            let sorted = |bytes: &[u8]| {
                let mut buckets: Vec<Vec<u8>> = bytes.chunks(2).map(<[u8]>::to_vec).collect();
                buckets.sort();
                buckets
            };
            let stored = object["base64"].as_str().and_then(|text| STANDARD.decode(text).ok());
            stored.is_some_and(|stored| sorted(&stored) == sorted(bytes))
        }
        (Value::Complex(_, bytes), Json::Object(object)) => match object.get("base64") {
            Some(Json::String(text)) => STANDARD.encode(bytes) == *text,
            _ => false,
        },
        _ => false,
    }
}

fn special(value: f64, text: &str) -> bool {
    match text {
        "NaN" => value.is_nan(),
        "Infinity" => value == f64::INFINITY,
        "-Infinity" => value == f64::NEG_INFINITY,
        _ => false,
    }
}

fn json_agrees(value: &Json, expected: &Json) -> bool {
    match (value, expected) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_agrees(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|e| json_agrees(v, e)))
        }
        (a, b) => a == b,
    }
}

/// First and last pairs are given as `{"time", "value"}` by the 37.0.0 set, as `{"lhs", "rhs"}` by the other.
fn pair_agrees(type_name: &str, bytes: &[u8], expected: &serde_json::Map<String, Json>) -> bool {
    let time = i64::from_be_bytes(bytes[..8].try_into().unwrap());
    let rest = &bytes[8..];
    let value = match type_name {
        "serializablePairLongString" => match i32::from_be_bytes(rest[..4].try_into().unwrap()) {
            0 => Value::Null,
            _ => Value::from(std::str::from_utf8(&rest[4..]).unwrap()),
        },
        _ if rest[0] == 1 => Value::Null,
        "serializablePairLongLong" => Value::Long(i64::from_be_bytes(rest[1..9].try_into().unwrap())),
        "serializablePairLongDouble" => Value::Double(f64::from_be_bytes(rest[1..9].try_into().unwrap())),
        _ => Value::Float(f32::from_be_bytes(rest[1..5].try_into().unwrap())),
    };
    let expected_time = expected.get("time").or(expected.get("lhs")).and_then(Json::as_i64);
    let expected_value = expected.get("value").filter(|_| expected.contains_key("time")).or(expected.get("rhs"));
    expected_time == Some(time) && expected_value.is_some_and(|e| agrees(&value, e))
}

/// Turns the array of a multi-value row into what the 39 set shows: null, a text, or an array.
fn as_selector(value: &Value) -> Value {
    match value {
        Value::Array(list) if list.is_empty() => Value::Null,
        Value::Array(list) if list.len() == 1 => list[0].clone(),
        other => other.clone(),
    }
}

/// Reads a case and compares its rows, and those of its projections; what is wrong comes back as text.
fn check_rows(dir: &Path, arrays_throughout: bool) -> Result<(), String> {
    let about = about(dir);
    let base = about["base"].as_str().map_or(dir.to_owned(), |base| dir.join("../..").join(base));
    let segment = Segment::open(dir).map_err(|e| e.to_string())?;
    compare(&segment, &json_lines(&base, "expected.jsonl").unwrap(), arrays_throughout, true)?;
    for projection in segment.projections() {
        let name = projection.name;
        let opened = segment.projection(&name).map_err(|e| e.to_string())?.expect("a listed projection is there");
        let expected = json_lines(&base, &format!("expected.{name}.jsonl")).ok_or(format!("no rows of projection {name}"))?;
        let bitmaps = about.get("bitmapsDisagree").is_none();
        compare(&opened, &expected, arrays_throughout, bitmaps).map_err(|e| format!("projection {name}: {e}"))?;
    }
    Ok(())
}

fn compare(segment: &Segment, expected: &[Json], arrays_throughout: bool, bitmaps: bool) -> Result<(), String> {
    if segment.row_count() as usize != expected.len() {
        return Err(format!("{} rows instead of {}", segment.row_count(), expected.len()));
    }
    let columns = read_segment(segment, bitmaps).map_err(|e| e.to_string())?;
    let names: Vec<&String> = columns.iter().map(|(name, _)| name).collect();
    let mut wanted: Vec<&String> = expected.first().and_then(Json::as_object).map(|o| o.keys().collect()).unwrap_or_default();
    let mut sorted = names.clone();
    sorted.sort();
    wanted.sort();
    if sorted != wanted {
        return Err(format!("columns {sorted:?} instead of {wanted:?}"));
    }
    for (name, values) in &columns {
        let capabilities = segment.capabilities(name).expect("just read");
        let multi = capabilities.multi_value && capabilities.column_type == ColumnType::String;
        for (row, (value, expected)) in values.iter().zip(expected).enumerate() {
            let shown = if multi && !arrays_throughout { as_selector(value) } else { value.clone() };
            if !agrees(&shown, &expected[name]) {
                return Err(format!("column {name} row {row}: {shown:?} instead of {}", expected[name]));
            }
        }
    }
    Ok(())
}

/// Runs a check over cases, prints those that wait, and fails with all that went wrong.
fn run(cases: &[std::path::PathBuf], check: impl Fn(&Path, &str) -> Result<(), String>) {
    let (mut done, mut failures) = (0, Vec::new());
    for case in cases {
        let name = name_of(case);
        if let Some(reason) = waits(&name) {
            eprintln!("waits: {name}: {reason}");
            continue;
        }
        done += 1;
        if let Err(problem) = check(case, &name) {
            failures.push(format!("{name}: {problem}"));
        }
    }
    eprintln!("{done} cases checked");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn segments_of_37_0_0_give_their_rows() {
    let Some(root) = fixtures() else { return };
    let all = cases(&root.join("golden-37.0.0"));
    let whole: Vec<_> = all.into_iter().filter(|c| !name_of(c).starts_with("damaged_")).collect();
    run(&whole, |case, _| check_rows(case, true));
}

/// Compares the fields of json columns with `fields.jsonl`: column, path, value, nulls left out.
fn check_fields(dir: &Path, expected: &[Json]) -> Result<(), String> {
    let segment = Segment::open(dir).map_err(|e| e.to_string())?;
    for (column, _) in expected[0].as_object().unwrap() {
        let mut paths: Vec<String> = expected.iter().flat_map(|row| row[column].as_object().unwrap().keys().cloned()).collect();
        paths.sort();
        paths.dedup();
        let stored = segment.nested_paths(column).map_err(|e| e.to_string())?;
        if stored.map(|s| s.len()) != Some(paths.len()) {
            return Err(format!("{column} has not the fields {paths:?}"));
        }
        for path in paths {
            let parts = PathPart::parse_json_path(&path).map_err(|e| e.to_string())?;
            let field = segment.nested_field(column, &parts).map_err(|e| e.to_string())?.expect("json columns have fields");
            let values = read_column(&field, segment.row_count(), true).map_err(|e| e.to_string())?;
            for (row, (value, expected)) in values.iter().zip(expected).enumerate() {
                let expected = expected[column].get(&path).unwrap_or(&Json::Null);
                if !agrees(value, expected) {
                    return Err(format!("{column} {path} row {row}: {value:?} instead of {expected}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn fields_of_json_columns_give_their_values() {
    let Some(root) = fixtures() else { return };
    let mut with_fields = cases(&root.join("golden-37.0.0"));
    with_fields.retain(|c| json_lines(c, "fields.jsonl").is_some());
    assert!(with_fields.len() >= 9);
    run(&with_fields, |case, _| check_fields(case, &json_lines(case, "fields.jsonl").unwrap()));
}

#[test]
fn segments_of_39_give_their_rows() {
    let Some(root) = fixtures() else { return };
    run(&cases(&root.join("golden")), |case, _| check_rows(case, false));
}

#[test]
fn damaged_segments_of_37_0_0_fail_or_read_on_as_asked() {
    let Some(root) = fixtures() else { return };
    let all = cases(&root.join("golden-37.0.0"));
    let damaged: Vec<_> = all.into_iter().filter(|c| name_of(c).starts_with("damaged_")).collect();
    run(&damaged, |case, _| {
        let outcome = Segment::open(case).and_then(|segment| read_segment(&segment, true));
        match (about(case)["expected"].as_str(), outcome) {
            (Some("no panic"), _) | (Some("error"), Err(_)) => Ok(()),
            (expected, outcome) => Err(format!("expected {expected:?}, got {:?}", outcome.map(|_| "rows"))),
        }
    });
}

#[test]
fn damaged_segments_of_39_fail_or_read_on_as_asked() {
    let Some(root) = fixtures() else { return };
    let golden = root.join("golden");
    run(&cases(&golden.join("damaged")), |case, _| {
        let about = about(case);
        let outcome = Segment::open(case).and_then(|segment| read_segment(&segment, true));
        match (about["expected"].as_str().unwrap_or_default(), outcome) {
            (_, Err(_)) => Ok(()),
            ("an error", Ok(_)) => Err("expected an error, got rows".to_owned()),
            (expected, Ok(_)) if expected.contains("the rows of the undamaged segment") => check_rows(case, false),
            (expected, Ok(_)) => Err(format!("unknown expectation {expected:?}")),
        }
    });
}

/// Unpacks the segments of old formats and of a whole Druid's deep storage, which come without expected rows.
fn unpack(archive: &Path, to: &Path) -> bool {
    let bytes = std::fs::read(archive).unwrap();
    // The zips are stored or deflated with sizes in their central directory; the system's python reads them all.
    let script = "import sys,zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    !bytes.is_empty()
        && std::process::Command::new("python3").arg("-c").arg(script).arg(archive).arg(to).status().is_ok_and(|s| s.success())
}

#[test]
fn json_columns_of_old_formats_give_their_fields() {
    let Some(root) = fixtures() else { return };
    for (archive, rows) in [("nested_v3.index.zip", 5), ("nested_v4.index.zip", 1)] {
        let dir = tempfile::tempdir().unwrap();
        if !unpack(&root.join(archive), dir.path()) {
            eprintln!("skipped: {archive}: python3 cannot unpack it");
            continue;
        }
        let segment = Segment::open(dir.path()).unwrap();
        read_segment(&segment, true).unwrap();
        let whole = segment.column("shipTo").unwrap().unwrap();
        let whole = read_column(&whole, segment.row_count(), true).unwrap();
        let path = PathPart::parse_json_path("$.address.city").unwrap();
        let city = segment.nested_field("shipTo", &path).unwrap().unwrap();
        let city = read_column(&city, segment.row_count(), true).unwrap();
        assert!(whole.len() >= rows);
        for (whole, city) in whole.iter().zip(&city) {
            let Value::Json(document) = whole else { panic!("{whole:?}") };
            assert!(agrees(city, &document["address"]["city"]), "{city:?} instead of {document}");
        }
    }
}

#[test]
fn segments_of_a_whole_druid_read_to_the_end() {
    let Some(root) = fixtures() else { return };
    let dir = tempfile::tempdir().unwrap();
    let archive = root.join("takeover/deep-storage.tar.gz");
    let unpacked = std::process::Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status();
    if !unpacked.is_ok_and(|status| status.success()) {
        eprintln!("skipped: tar cannot unpack the deep storage");
        return;
    }
    let (mut waiting, mut read) = (vec![dir.path().to_owned()], 0);
    while let Some(dir) = waiting.pop() {
        let entries: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        waiting.extend(entries.iter().filter(|path| path.is_dir()).cloned());
        let zipped = entries.iter().find(|path| path.ends_with("index.zip"));
        let folder = tempfile::tempdir().unwrap();
        let segment = match zipped {
            Some(zip) => {
                assert!(unpack(zip, folder.path()));
                folder.path().to_owned()
            }
            None if dir.join("version.bin").is_file() => dir,
            None => continue,
        };
        let segment = Segment::open(&segment).unwrap();
        assert!(segment.row_count() > 0 && !segment.interval().is_empty());
        read_segment(&segment, true).unwrap();
        for projection in segment.projections() {
            read_segment(&segment.projection(&projection.name).unwrap().unwrap(), true).unwrap();
        }
        read += 1;
    }
    assert!(read > 20, "{read} segments");
}

#[test]
fn an_early_v10_file_and_an_old_v9_directory_open() {
    let Some(root) = fixtures() else { return };
    let early = Segment::open(&root.join("v10_nested_empty_field_name.druid.segment")).unwrap();
    read_segment(&early, true).unwrap();
    // Older Druids held null and the empty string for the same, so a row without values is in the bitmap of "".
    let old = Segment::open(&root.join("v8")).unwrap();
    let columns = read_segment(&old, false).unwrap();
    assert!(old.capabilities("dim0").unwrap().multi_value && columns.iter().all(|(_, rows)| rows.len() == 6));
    assert!(Segment::open(&root.join("v9_damaged")).and_then(|segment| read_segment(&segment, true)).is_err());
}
