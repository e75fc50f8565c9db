//! Where the fixtures are, how expected rows are read, and a scan that touches everything in a segment.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::{Column, ColumnSource, Rows};
use ovate_compute::{Bitmap, ColumnType, Value};
use ovate_segment::Segment;
use serde_json::Value as Json;

/// The folder of Druid's fixtures: `OVATE_SHARED`, else beside the project, else this machine's. `None` is printed.
pub fn fixtures() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned();
    let places = std::env::var("OVATE_SHARED").into_iter().chain([beside, "/work/shared".to_owned()]);
    let found = places.map(|p| Path::new(&p).join("fixtures/druid")).find(|p| p.is_dir());
    if found.is_none() {
        eprintln!("skipped: shared/fixtures/druid is absent (set OVATE_SHARED)");
    }
    found
}

/// The folders in `dir` that hold an `about.json`, by name.
pub fn cases(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("about.json").is_file())
        .collect();
    found.sort();
    found
}

pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

pub fn about(case: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(case.join("about.json")).unwrap()).unwrap()
}

/// The lines of `<name>` or `<name>.gz`, as JSON.
pub fn json_lines(case: &Path, name: &str) -> Option<Vec<Json>> {
    let mut text = String::new();
    if let Ok(plain) = std::fs::read_to_string(case.join(name)) {
        text = plain;
    } else {
        let packed = std::fs::File::open(case.join(format!("{name}.gz"))).ok()?;
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    }
    Some(text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect())
}

/// A column read in every way there is; the ways must agree (`bitmaps`: and so must the bitmaps). Gives the rows, multi-value rows as arrays throughout.
pub fn read_column(column: &Arc<dyn Column>, rows: u32, bitmaps: bool) -> Result<Vec<Value>> {
    let capabilities = column.capabilities();
    let mut reader = column.reader()?;
    let mut values = Vec::new();
    for start in (0..rows).step_by(1009) {
        values.extend_from_slice(reader.values(Rows::Range(start..rows.min(start + 1009)))?);
    }
    let ids: Vec<u32> = (0..rows).step_by(if rows > 1000 { 37 } else { 3 }).collect();
    let picked = reader.values(Rows::Ids(&ids))?;
    for (id, value) in ids.iter().zip(picked) {
        assert!(same(&values[*id as usize], value), "row {id}: {:?} by range, {value:?} by id", values[*id as usize]);
    }
    if capabilities.dictionary {
        values = read_dictionary_column(column, rows, &ids, &values, bitmaps)?;
    } else {
        read_numbers(column, rows, &ids, &values)?;
    }
    if let Some(nulls) = column.null_rows()? {
        let expected: Vec<u32> = (0..rows).filter(|r| values[*r as usize].is_null()).collect();
        assert_eq!(nulls.to_vec(), expected, "null rows");
    }
    if !capabilities.has_nulls {
        assert!(values.iter().all(|v| !v.is_null()), "has_nulls is false, but a row is null");
    }
    Ok(values)
}

/// NaN equals itself here.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

fn read_dictionary_column(
    column: &Arc<dyn Column>,
    rows: u32,
    ids: &[u32],
    values: &[Value],
    bitmaps: bool,
) -> Result<Vec<Value>> {
    let dictionary = column.dictionary().expect("capabilities promise it");
    let mut entries = Vec::new();
    for code in 0..dictionary.cardinality() {
        let entry = dictionary.get(code)?.map(|t| t.into_owned());
        if (code % 97 == 0 || code < 300)
            && let Some(found) = dictionary.find(entry.as_deref())?
        {
            assert_eq!(dictionary.get(found)?.map(|t| t.into_owned()), entry);
        }
        entries.push(entry);
    }
    dictionary.find(Some("no such value \u{10000}"))?;
    let text = |code: u32| entries[code as usize].as_deref().map_or(Value::Null, Value::from);
    let mut reader = column.reader()?;
    let multi = column.capabilities().multi_value;
    let mut by_code: Vec<Bitmap> = entries.iter().map(|_| Bitmap::new()).collect();
    let mut result = Vec::new();
    for start in (0..rows).step_by(4096) {
        let range = start..rows.min(start + 4096);
        if !multi {
            let codes = reader.codes(Rows::Range(range.clone()))?.to_vec();
            for (row, code) in range.clone().zip(codes) {
                assert_eq!(values[row as usize], text(code));
            }
        }
        let lists = reader.multi_codes(Rows::Range(range.clone()))?;
        for (i, row) in range.enumerate() {
            let codes = &lists.codes[lists.offsets[i] as usize..lists.offsets[i + 1] as usize];
            codes.iter().for_each(|code| by_code[*code as usize].add(row));
            if codes.is_empty() && entries.first() == Some(&None) {
                by_code[0].add(row);
            }
            let list: Vec<Value> = codes.iter().map(|c| text(*c)).collect();
            result.push(if multi { Value::Array(list.into()) } else { list[0].clone() });
        }
    }
    let lists = reader.multi_codes(Rows::Ids(ids))?;
    for (i, id) in ids.iter().enumerate() {
        let codes = &lists.codes[lists.offsets[i] as usize..lists.offsets[i + 1] as usize];
        let list: Vec<Value> = codes.iter().map(|c| text(*c)).collect();
        match &result[*id as usize] {
            Value::Array(expected) if multi => assert_eq!(&list[..], &expected[..]),
            expected => assert_eq!(&list[0], expected),
        }
    }
    if let Some(index) = column.bitmap_index() {
        let mut wrong = None;
        for (code, expected) in by_code.iter().enumerate() {
            let bitmap = index.bitmap(code as u32)?;
            if &bitmap != expected {
                wrong = Some(code);
            }
        }
        index.union(&mut (0..dictionary.cardinality()).step_by(2))?;
        if let Some(code) = wrong.filter(|_| bitmaps) {
            return Err(ovate_base::DruidError::runtime(format!("bitmap differs from the rows. code={code}")));
        }
    }
    Ok(result)
}

/// Reads the native numbers; they must agree with `values`.
fn read_numbers(column: &Arc<dyn Column>, rows: u32, ids: &[u32], values: &[Value]) -> Result<()> {
    let mut reader = column.reader()?;
    macro_rules! check {
        ($method:ident, $variant:path) => {{
            let mut start = 0;
            for step in [1u32, 5000, 100, 70000].into_iter().cycle() {
                let end = rows.min(start + step);
                let numbers = reader.$method(Rows::Range(start..end))?;
                for (i, number) in numbers.values.iter().enumerate() {
                    let null = numbers.nulls.is_some_and(|n| n[i]);
                    let value = if null { Value::Null } else { $variant(*number) };
                    assert!(same(&values[start as usize + i], &value));
                }
                assert_eq!(numbers.values.len() as u32, end - start);
                start = end;
                if start == rows {
                    break;
                }
            }
            let numbers = reader.$method(Rows::Ids(ids))?;
            for (i, id) in ids.iter().enumerate() {
                let null = numbers.nulls.is_some_and(|n| n[i]);
                let value = if null { Value::Null } else { $variant(numbers.values[i]) };
                assert!(same(&values[*id as usize], &value));
            }
        }};
    }
    match column.capabilities().column_type {
        ColumnType::Long => check!(longs, Value::Long),
        ColumnType::Float => check!(floats, Value::Float),
        ColumnType::Double => check!(doubles, Value::Double),
        _ => {}
    }
    Ok(())
}

/// Reads everything in a segment: rows by column, in the order of `column_names`.
pub fn read_segment(segment: &Segment, bitmaps: bool) -> Result<Vec<(String, Vec<Value>)>> {
    let mut columns = Vec::new();
    for name in segment.column_names() {
        let prefix = |e: ovate_base::DruidError| e.prefixed(format_args!("column {name}"));
        let column = segment.column(&name)?.expect("a listed column is there");
        assert_eq!(segment.capabilities(&name), Some(column.capabilities()));
        for path in segment.nested_paths(&name)?.unwrap_or_default() {
            let field = segment.nested_field(&name, &path)?.expect("a listed field is there");
            read_column(&field, segment.row_count(), bitmaps).map_err(prefix)?;
        }
        columns.push((name.clone(), read_column(&column, segment.row_count(), bitmaps).map_err(prefix)?));
    }
    Ok(columns)
}
