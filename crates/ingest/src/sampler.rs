//! The sampler (API-O-14, `InputSourceSampler`): reads the first rows of an input by a spec that is being made and shows each
//! record beside the row that it becomes. Nothing is stored.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::value::to_json as value_json;
use ovate_compute::{ColumnSource, ColumnType, Rows as RowRange};
use ovate_segment::incremental::{DimensionSchema, IncrementalIndex, IndexSchema};
use ovate_store::deep::DeepStorage;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::append::{Assignment, Feed, Input, Meter, Part, Partitioning, Sink, SinkLimits, run_feed};
use crate::format::{Batch, Wanted};
use crate::source;
use crate::spec::{DataSchema, InputSource, IoConfig, PartitionsSpec, TuningConfig};
use crate::task::StopFlag;
use crate::transform::{RowMaker, Rows, event};

/// Rows that are read unless the request says otherwise, and at most (`SamplerConfig`).
const ROWS: u64 = 500;
const ROWS_MAX: u64 = 5000;
/// Time for reading unless the request says otherwise, and at most.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The answer's size unless the request says otherwise.
const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// A checked request.
pub struct SampleSpec {
    schema: DataSchema,
    io: IoConfig,
    tuning: TuningConfig,
    rows_max: usize,
    response_bytes_max: usize,
    pub timeout: Duration,
}

impl SampleSpec {
    /// Reads a request: an index spec whose parts may be missing, and `samplerConfig`.
    pub fn from_json(json: &Value) -> Result<SampleSpec> {
        match json["type"].as_str() {
            Some("index" | "index_parallel") => {}
            Some(known @ ("kafka" | "kinesis" | "rabbit")) => {
                return Err(DruidError::unsupported(format!("sampler of type [{known}] is not supported")));
            }
            Some(other) => return Err(DruidError::invalid_input(format!("unknown sampler type [{other}]"))),
            None => return Err(DruidError::invalid_input("a sampler spec needs a [type]")),
        }
        let spec = &json["spec"];
        let mut schema = match &spec["dataSchema"] {
            Value::Object(given) => given.clone(),
            Value::Null => Map::new(),
            _ => return Err(DruidError::invalid_input("[dataSchema] must be an object")),
        };
        for (name, default) in [
            ("dataSource", json!("sample")),
            ("timestampSpec", json!({"column": "timestamp", "missingValue": "1970-01-01T00:00:00Z"})),
            ("dimensionsSpec", json!({})),
        ] {
            if schema.get(name).is_none_or(Value::is_null) {
                schema.insert(name.to_owned(), default);
            }
        }
        let mut schema = DataSchema::from_json(&Value::Object(schema))?;
        // All rows are shown together, whatever chunks they would be cut into.
        schema.granularity.segment = Some(Granularity::All);
        let io = IoConfig::from_json(&spec["ioConfig"])?;
        if matches!(io.source, InputSource::Druid { .. }) {
            return Err(DruidError::unsupported("input source [druid] in the sampler"));
        }
        let config = &json["samplerConfig"];
        let rows = config["numRows"].as_u64().unwrap_or(ROWS).clamp(1, ROWS_MAX);
        let timeout = config["timeoutMs"].as_u64().filter(|ms| *ms > 0).map_or(TIMEOUT, Duration::from_millis);
        let bytes = config["maxClientResponseBytes"].as_u64().filter(|bytes| *bytes > 0);
        Ok(SampleSpec {
            schema,
            io,
            tuning: TuningConfig::from_json(None)?,
            rows_max: rows as usize,
            response_bytes_max: bytes.map_or(RESPONSE_BYTES_MAX, |bytes| usize::try_from(bytes).unwrap_or(RESPONSE_BYTES_MAX)),
            timeout: timeout.min(TIMEOUT_MAX),
        })
    }
}

/// Reads and answers on the calling thread, which must not be one of the runtime's own; ends early when `stop` is set.
pub fn sample(
    spec: &SampleSpec,
    dir: &Path,
    storage: &dyn DeepStorage,
    handle: &Handle,
    stop: &StopFlag,
    now_ms: i64,
) -> Result<Value> {
    let schema = spec.schema.index_schema();
    let meter = Meter::new(u64::MAX, 0, false);
    let limits = SinkLimits { rows_in_memory: u64::MAX, bytes_in_memory: u64::MAX, rows_per_part: u64::from(u32::MAX) };
    let feed = SampleFeed {
        maker: RowMaker::new(&spec.schema, now_ms),
        sink: Sink::new(schema.clone(), spec.tuning.index_spec.clone(), limits, dir),
        assignment: assignment(spec),
        meter: &meter,
        stop: stop.clone(),
        rows_max: spec.rows_max,
        read: 0,
        records: Vec::new(),
    };
    let input = Input {
        entities: source::entities(&spec.io.source, source::Lookup { storage, handle })?,
        format: spec.io.format.clone(),
        segments: Vec::new(),
        filter: None,
        now_ms,
        wanted: Wanted { columns: None, nested: true, doubles: Default::default() },
        dir: dir.to_owned(),
    };
    let (sink, records, read) = read_all(&input, feed, handle, stop)?;
    answer(spec, &schema, sink, records, read)
}

fn assignment(spec: &SampleSpec) -> Assignment {
    let dynamic = PartitionsSpec::Dynamic { max_rows_per_segment: u64::MAX };
    Assignment::new(&dynamic, Partitioning::default(), &spec.schema.granularity.query, Vec::new())
}

type Read = (Sink, Vec<Record>, usize);

fn read_all(input: &Input, feed: SampleFeed<'_>, handle: &Handle, stop: &StopFlag) -> Result<Read> {
    // The feed stops the reading once it has enough, which ends as an error and loses the feed; so it keeps its state apart.
    let state = Arc::new(parking_lot::Mutex::new(Some(feed)));
    let result = run_feed(input, vec![Shared(state.clone())], handle, stop);
    let feed = state.lock().take().ok_or_else(|| DruidError::runtime("the sampler's state is gone"))?;
    match result {
        Err(error) if !stop.is_stopped() => Err(error),
        _ => Ok((feed.sink, feed.records, feed.read)),
    }
}

/// A record and what became of it.
struct Record {
    input: Value,
    outcome: Outcome,
}

enum Outcome {
    /// Time and dimensions tell its row.
    Row(i64),
    Bad(String),
}

struct SampleFeed<'a> {
    maker: RowMaker,
    sink: Sink,
    assignment: Assignment,
    meter: &'a Meter,
    stop: StopFlag,
    rows_max: usize,
    read: usize,
    records: Vec<Record>,
}

/// A feed whose state outlives the run.
struct Shared<'a>(Arc<parking_lot::Mutex<Option<SampleFeed<'a>>>>);

impl Feed for Shared<'_> {
    fn take(&mut self, batch: Batch) -> Result<()> {
        match &mut *self.0.lock() {
            Some(feed) => feed.take(batch),
            None => Ok(()),
        }
    }
}

impl SampleFeed<'_> {
    fn take(&mut self, mut batch: Batch) -> Result<()> {
        let room = self.rows_max.saturating_sub(self.read);
        for bad in batch.bad.drain(..).take(room) {
            self.read += 1;
            let input = serde_json::from_str(&bad.input).ok().filter(Value::is_object);
            let input = input.unwrap_or_else(|| json!({"raw": bad.input}));
            self.records.push(Record { input, outcome: Outcome::Bad(bad.message) });
        }
        let count = batch.rows.min(self.rows_max.saturating_sub(self.read));
        let inputs: Vec<Value> = (0..count).map(|row| raw(&batch, row)).collect();
        let mut rows = self.maker.rows(batch)?;
        for (_, selection) in &mut rows.chunks {
            selection.retain(|row| (*row as usize) < count);
        }
        rows.chunks.retain(|(_, selection)| !selection.is_empty());
        self.note(inputs, &rows);
        rows.batch.bad.clear();
        self.read += count;
        if !rows.chunks.is_empty() {
            self.sink.add(rows, &self.assignment, self.meter)?;
        }
        if self.read >= self.rows_max {
            self.stop.stop();
        }
        Ok(())
    }

    /// Rows that the filter left out are not shown.
    fn note(&mut self, inputs: Vec<Value>, rows: &Rows) {
        let good: std::collections::HashSet<u32> = rows.chunks.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
        let mut bad = rows.batch.bad.iter().peekable();
        for (row, input) in inputs.into_iter().enumerate() {
            if good.contains(&(row as u32)) {
                self.records.push(Record { input, outcome: Outcome::Row(rows.timestamps[row]) });
            } else if let Some(why) = bad.next_if(|bad| bad.input == event(&rows.batch, row)) {
                self.records.push(Record { input, outcome: Outcome::Bad(why.message.clone()) });
            }
        }
    }
}

/// A record as it was read.
fn raw(batch: &Batch, row: usize) -> Value {
    let fields = batch.columns.iter().map(|(name, column)| (name.to_string(), value_json(&column.value(row))));
    Value::Object(fields.filter(|(_, value)| !value.is_null()).collect())
}

fn answer(spec: &SampleSpec, schema: &IndexSchema, sink: Sink, records: Vec<Record>, read: usize) -> Result<Value> {
    let mut indexes: Vec<IncrementalIndex> = Vec::new();
    for (_, part) in sink.finish() {
        if let Part::Memory(index) = part {
            indexes.push(*index);
        }
    }
    let dimensions: Vec<DimensionSchema> = match indexes.first() {
        Some(index) => index.dimension_schemas(),
        None => schema.dimensions.clone(),
    };
    let mut rows: HashMap<i64, VecDeque<Value>> = HashMap::new();
    let mut segment_schema = vec![json!({"name": "__time", "type": "LONG"})];
    for (number, index) in indexes.iter_mut().enumerate() {
        let source = index.freeze()?;
        if number == 0 {
            segment_schema.extend(columns(&*source));
        }
        parsed_rows(&*source, &mut rows)?;
    }
    let shared = spec.schema.granularity.rollup && !spec.schema.metrics.is_empty();
    let (mut data, mut bytes, mut indexed) = (Vec::new(), 0, 0);
    for record in records {
        let line = match record.outcome {
            Outcome::Bad(why) => json!({"input": record.input, "unparseable": true, "error": why}),
            Outcome::Row(time) => {
                indexed += 1;
                let time = spec.schema.granularity.query.bucket_start(time);
                json!({"input": record.input, "parsed": pick(&mut rows, time, &record.input, &dimensions, shared)})
            }
        };
        bytes += line.to_string().len();
        if bytes > spec.response_bytes_max {
            break;
        }
        data.push(line);
    }
    let dimensions: Vec<Value> = dimensions.iter().map(DimensionSchema::to_json).collect();
    Ok(json!({"numRowsRead": read, "numRowsIndexed": indexed, "logicalDimensions": dimensions, "physicalDimensions": dimensions,
        "logicalSegmentSchema": segment_schema, "data": data}))
}

fn columns(source: &dyn ColumnSource) -> Vec<Value> {
    let type_name = |column_type: &ColumnType| column_type.to_string();
    let known = source.column_names().into_iter().filter(|name| name != "__time");
    known
        .filter_map(|name| source.capabilities(&name).map(|found| json!({"name": name, "type": type_name(&found.column_type)})))
        .collect()
}

/// The rows of an index by their time.
fn parsed_rows(source: &dyn ColumnSource, rows: &mut HashMap<i64, VecDeque<Value>>) -> Result<()> {
    let count = source.row_count();
    let mut out: Vec<Map<String, Value>> = vec![Map::new(); count as usize];
    for name in source.column_names() {
        let Some(column) = source.column(&name)? else { continue };
        let mut reader = column.reader()?;
        let values = reader.values(RowRange::Range(0..count))?;
        for (row, value) in out.iter_mut().zip(values.iter()) {
            let value = value_json(value);
            if !value.is_null() {
                row.insert(name.clone(), value);
            }
        }
    }
    for row in out {
        let time = row.get("__time").and_then(Value::as_i64).unwrap_or(0);
        rows.entry(time).or_default().push_back(Value::Object(row));
    }
    Ok(())
}

/// The row that a record became: of those of its time the one that agrees with it in most dimensions. Rows that were rolled up
/// stay for the other records that are in them.
fn pick(
    rows: &mut HashMap<i64, VecDeque<Value>>,
    time: i64,
    input: &Value,
    dimensions: &[DimensionSchema],
    shared: bool,
) -> Value {
    let Some(candidates) = rows.get_mut(&time) else { return json!({"__time": time}) };
    let agreement = |row: &Value| dimensions.iter().filter(|d| same(&row[&*d.name], &input[&*d.name])).count();
    let best = (0..candidates.len()).max_by_key(|at| (agreement(&candidates[*at]), std::cmp::Reverse(*at)));
    match best {
        Some(at) if shared => candidates[at].clone(),
        Some(at) => candidates.remove(at).unwrap_or_else(|| json!({"__time": time})),
        None => json!({"__time": time}),
    }
}

fn same(row: &Value, input: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text(row) == text(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sampled(request: Value) -> Value {
        let spec = SampleSpec::from_json(&request).unwrap_or_else(|e| panic!("{e}"));
        let (dir, handle) = (tempfile::tempdir().unwrap(), Handle::current());
        let storage = ovate_store::LocalDeepStorage::new(dir.path().join("deep"), false);
        let run = move || sample(&spec, dir.path(), &storage, &handle, &StopFlag::default(), 0).unwrap_or_else(|e| panic!("{e}"));
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn request(data: &str, schema: Value) -> Value {
        json!({"type": "index_parallel", "spec": {"type": "index_parallel", "dataSchema": schema, "ioConfig": {"type": "index_parallel",
            "inputSource": {"type": "inline", "data": data}, "inputFormat": {"type": "json"}}}, "samplerConfig": {"numRows": 3}})
    }

    const DATA: &str = "{\"t\":\"2024-01-01T01:00:00Z\",\"page\":\"b\",\"n\":1}\n{\"t\":\"x\",\"page\":\"a\",\"n\":2}\n\
                        {\"t\":\"2024-01-01T01:00:00Z\",\"page\":\"a\",\"n\":3}\n{\"t\":\"2024-01-01T01:00:00Z\",\"page\":\"c\",\"n\":4}\n";

    #[tokio::test(flavor = "multi_thread")]
    async fn records_stand_beside_their_rows_and_bad_ones_say_why() {
        let schema = json!({"dataSource": "s", "timestampSpec": {"column": "t", "format": "iso"}, "dimensionsSpec": {"dimensions": ["page"]},
            "granularitySpec": {"rollup": false}});
        let answer = sampled(request(DATA, schema)).await;
        assert_eq!((&answer["numRowsRead"], &answer["numRowsIndexed"]), (&json!(3), &json!(2)), "{answer}");
        let data = answer["data"].as_array().unwrap();
        assert_eq!(data[0]["parsed"], json!({"__time": 1_704_070_800_000i64, "page": "b"}));
        assert_eq!(data[0]["input"]["n"], 1);
        assert!(data[1]["unparseable"] == true && data[1]["error"].as_str().unwrap().contains("x"), "{answer}");
        assert_eq!(data[2]["parsed"]["page"], "a");
        assert_eq!(
            answer["logicalSegmentSchema"],
            json!([{"name": "__time", "type": "LONG"}, {"name": "page", "type": "STRING"}])
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_spec_without_a_schema_discovers_the_fields() {
        let answer = sampled(request(DATA, Value::Null)).await;
        let names: Vec<&str> =
            answer["logicalDimensions"].as_array().unwrap().iter().filter_map(|d| d["name"].as_str()).collect();
        assert_eq!((names, &answer["numRowsIndexed"]), (vec!["t", "page", "n"], &json!(3)), "{answer}");
    }
}
