//! `dump-segment` (`DumpSegment`): a segment's rows as JSON lines, its metadata, its bitmaps, or its nested columns.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ovate_base::time::format_iso;
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::virtual_column::PathPart;
use ovate_compute::{ColumnSource, EvalContext};
use ovate_query::{NativeQuery, QueryContext, SegmentMeta, SegmentRef, finalize, merge, run_segment, write_json};
use ovate_segment::Segment;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use super::files;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Rows,
    Metadata,
    Bitmaps,
    Nested,
    #[value(name = "metadata_v10")]
    MetadataV10,
}

#[derive(Debug, Args)]
pub struct DumpArgs {
    /// Folder with the segment, or its index.zip.
    #[arg(short, long)]
    directory: PathBuf,
    /// File to write to instead of the terminal.
    #[arg(short, long)]
    out: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "rows")]
    dump: What,
    /// Column to show; may be repeated; default is all.
    #[arg(short, long)]
    column: Vec<String>,
    /// Filter in JSON that rows must pass.
    #[arg(long)]
    filter: Option<String>,
    /// Writes __time in ISO 8601.
    #[arg(long = "time-iso8601")]
    time_iso8601: bool,
    /// Writes bitmaps as lists of row numbers instead of counts.
    #[arg(long = "decompress-bitmaps")]
    decompress_bitmaps: bool,
    /// With --dump nested: the path whose values are shown, such as $.a.b.
    #[arg(long = "nested-path")]
    nested_path: Option<String>,
}

/// Writes the dump.
pub fn run(args: &DumpArgs) -> Result<i32> {
    let open = files::open(&args.directory)?;
    let failed = |e: std::io::Error| DruidError::runtime(format!("cannot write the dump: {e}"));
    let mut out: Box<dyn Write> = match &args.out {
        Some(path) => {
            let file =
                std::fs::File::create(path).map_err(|e| DruidError::runtime(format!("cannot create {}: {e}", path.display())))?;
            Box::new(std::io::BufWriter::new(file))
        }
        None => Box::new(std::io::BufWriter::new(std::io::stdout().lock())),
    };
    let segment = &open.segment;
    let columns = columns_of(args, segment)?;
    match args.dump {
        What::Rows => {
            for row in rows(segment, &columns, args.filter.as_deref())? {
                writeln!(out, "{}", shown(row, args.time_iso8601)).map_err(failed)?;
            }
        }
        What::Metadata => writeln!(out, "{}", metadata(segment, &columns)?).map_err(failed)?,
        What::Bitmaps => writeln!(out, "{}", bitmaps(segment, &columns, args.decompress_bitmaps)?).map_err(failed)?,
        What::Nested => writeln!(out, "{}", nested(segment, &columns, args.nested_path.as_deref())?).map_err(failed)?,
        What::MetadataV10 => {
            let projections: Vec<String> = segment.projections().iter().map(|schema| format!("{schema:?}")).collect();
            writeln!(out, "{}", json!({"columns": segment.column_names(), "projections": projections})).map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(0)
}

fn columns_of(args: &DumpArgs, segment: &Segment) -> Result<Vec<String>> {
    let all = segment.column_names();
    if let Some(unknown) = args.column.iter().find(|name| !all.contains(name)) {
        return Err(DruidError::invalid_input(format!("the segment has no column [{unknown}]; it has {}", all.join(", "))));
    }
    Ok(if args.column.is_empty() { all } else { args.column.clone() })
}

/// Rows that pass the filter, as objects.
pub fn rows(segment: &Arc<Segment>, columns: &[String], filter: Option<&str>) -> Result<Vec<Map<String, Value>>> {
    let mut query = json!({"queryType": "scan", "dataSource": "segment", "intervals": [Interval::ETERNITY.to_string()],
        "columns": columns, "resultFormat": "list"});
    if let Some(filter) = filter {
        let bad = |e: serde_json::Error| DruidError::invalid_input(format!("--filter is not JSON: {e}"));
        query["filter"] = serde_json::from_str(filter).map_err(bad)?;
    }
    let mut found = Vec::new();
    for batch in answer(&query, segment)? {
        let Some(events) = batch["events"].as_array() else { continue };
        found.extend(events.iter().filter_map(|event| event.as_object().cloned()));
    }
    Ok(found)
}

fn shown(mut row: Map<String, Value>, iso: bool) -> Value {
    if iso && let Some(millis) = row.get("__time").and_then(Value::as_i64) {
        row.insert("__time".to_owned(), json!(format_iso(millis)));
    }
    Value::Object(row)
}

/// What a segmentMetadata query tells.
fn metadata(segment: &Arc<Segment>, columns: &[String]) -> Result<Value> {
    let query = json!({"queryType": "segmentMetadata", "dataSource": "segment", "merge": false,
        "intervals": [Interval::ETERNITY.to_string()],
        "toInclude": {"type": "list", "columns": columns},
        "analysisTypes": ["cardinality", "interval", "size", "minmax", "aggregators", "timestampSpec", "queryGranularity", "rollup"]});
    Ok(answer(&query, segment)?.into_iter().next().unwrap_or(Value::Null))
}

fn answer(query: &Value, segment: &Arc<Segment>) -> Result<Vec<Value>> {
    let query = NativeQuery::from_json(query)?;
    let source: Arc<dyn ColumnSource> = segment.clone();
    let mut one = SegmentRef::new("segment", vec![Interval::ETERNITY], source);
    let meta = segment.metadata();
    one.meta = Some(Arc::new(SegmentMeta {
        interval: Some(segment.interval()),
        size_bytes: segment.size_bytes(),
        rollup: meta.rollup,
        aggregators: meta.aggregators.clone(),
        query_granularity: meta.query_granularity.clone(),
        timestamp_spec: meta.timestamp_spec.clone(),
    }));
    let context = QueryContext::new(EvalContext::at(ovate_store::now_ms()));
    let partial = run_segment(&query, &one, &context)?;
    let rows = finalize(&query, merge(&query, vec![partial], &context)?, &context)?;
    let mut out = Vec::new();
    write_json(&query, &rows, &mut out)?;
    serde_json::from_slice(&out).map_err(|e| DruidError::runtime(format!("cannot read the dump: {e}")))
}

/// Dictionary values with their rows, as Druid's tool writes them.
fn bitmaps(segment: &Segment, columns: &[String], decompress: bool) -> Result<Value> {
    let mut shown = Map::new();
    for name in columns {
        let Some(column) = segment.column(name)? else { continue };
        let (Some(dictionary), Some(index)) = (column.dictionary(), column.bitmap_index()) else { continue };
        let mut of_column = Map::new();
        for code in 0..dictionary.cardinality() {
            let value = dictionary.get(code)?.map_or_else(|| "null".to_owned(), |text| text.into_owned());
            let bitmap = index.bitmap(code)?;
            let rows = if decompress { json!(bitmap.iter().collect::<Vec<u32>>()) } else { json!(bitmap.cardinality()) };
            of_column.insert(value, rows);
        }
        shown.insert(name.clone(), Value::Object(of_column));
    }
    Ok(json!({"bitmapSerdeFactory": {"type": "roaring"}, "bitmaps": shown}))
}

/// A path as `JSON_PATHS` writes it.
fn path_text(path: &[PathPart]) -> String {
    let part = |part: &PathPart| match part {
        PathPart::Field(name) => format!(".{name}"),
        PathPart::Element(number) => format!("[{number}]"),
    };
    format!("${}", path.iter().map(part).collect::<String>())
}

/// Paths of nested columns, or the values at one of them.
fn nested(segment: &Arc<Segment>, columns: &[String], path: Option<&str>) -> Result<Value> {
    let mut shown = Map::new();
    for name in columns {
        let Some(paths) = segment.nested_paths(name)? else { continue };
        let texts: Vec<String> = paths.iter().map(|path| path_text(path)).collect();
        let Some(wanted) = path else {
            shown.insert(name.clone(), json!({"fields": texts}));
            continue;
        };
        let virtual_column = json!({"type": "nested-field", "columnName": name, "outputName": "v", "path": wanted});
        let query = json!({"queryType": "groupBy", "dataSource": "segment", "intervals": [Interval::ETERNITY.to_string()],
            "granularity": "all", "virtualColumns": [virtual_column], "dimensions": ["v"],
            "aggregations": [{"type": "count", "name": "rows"}]});
        let values: Vec<Value> = answer(&query, segment)?.into_iter().map(|row| row["event"].clone()).collect();
        shown.insert(name.clone(), json!({"path": wanted, "values": values}));
    }
    Ok(json!({"nested": shown}))
}
