//! Druid's envelopes around rows (NQ-12), written straight from columns. Values of aggregators that were not finalised
//! stand in the form in which Druid's servers hand them to each other (`formats/cluster-protocols.md` 8.5).

use base64::Engine as _;
use ovate_base::smile::SmileWriter;
use ovate_base::time::format_iso;
use ovate_base::{Granularity, Interval, Result};
use ovate_compute::value::to_json;
use ovate_compute::{Value, Vector};

use super::document::{DocumentWriter, JsonDocument, Label, SmileDocument};
use super::{QueryRows, ResultExtra, ResultFormat, RowBatch, Sink, cell};
use crate::document::{GroupByQuery, NativeQuery, ScanQuery, ScanResultFormat};

/// Appends the answer as a JSON array, as `/druid/v2` gives it.
pub fn write_json(query: &NativeQuery, rows: &QueryRows, out: &mut Vec<u8>) -> Result<()> {
    write_result(query, rows, ResultFormat::Json, &mut |piece| {
        out.extend_from_slice(&piece);
        Ok(())
    })
}

/// Writes the answer in pieces.
pub fn write_result(query: &NativeQuery, rows: &QueryRows, format: ResultFormat, sink: Sink<'_>) -> Result<()> {
    match format {
        ResultFormat::Json => {
            let mut writer = JsonDocument::new(sink);
            write_rows(query, rows, &mut writer)?;
            writer.finish()
        }
        ResultFormat::Smile => {
            let mut writer = SmileDocument::new(smile_writer(rows), sink);
            write_rows(query, rows, &mut writer)?;
            writer.finish()
        }
    }
}

/// What one segment gave, for `bySegment`.
pub struct SegmentRows {
    pub segment: String,
    /// The part of time asked for.
    pub interval: Interval,
    pub rows: QueryRows,
}

/// Writes the answers of segments apart from each other (`BySegmentResultValueClass`).
pub fn write_by_segment(query: &NativeQuery, parts: &[SegmentRows], format: ResultFormat, sink: Sink<'_>) -> Result<()> {
    match format {
        ResultFormat::Json => write_parts(query, parts, &mut JsonDocument::new(sink)),
        ResultFormat::Smile => {
            // Names inside are not known beforehand, so none are shared.
            write_parts(query, parts, &mut SmileDocument::new(SmileWriter::new(false), sink))
        }
    }
}

fn write_parts(query: &NativeQuery, parts: &[SegmentRows], out: &mut impl DocumentWriter) -> Result<()> {
    out.begin_array();
    for part in parts {
        out.begin_object();
        out.name("timestamp");
        out.text(&format_iso(part.interval.start));
        out.name("result");
        out.begin_object();
        out.name("results");
        write_rows(query, &part.rows, out)?;
        out.name("segment");
        out.text(&part.segment);
        out.name("interval");
        out.text(&part.interval.to_string());
        out.end_object();
        out.end_object();
    }
    out.end_array();
    out.finish()
}

fn smile_writer(rows: &QueryRows) -> SmileWriter {
    // Documents inside cells bring names of their own.
    let plain = rows.signature.iter().all(|(_, kind)| kind.as_ref().is_none_or(|t| t.is_numeric() || t.to_string() == "STRING"));
    match &rows.extra {
        ResultExtra::Json(_) => SmileWriter::new(false),
        _ if plain => SmileWriter::for_names(rows.signature.iter().map(|(name, _)| name.as_ref())),
        _ => SmileWriter::new(false),
    }
}

fn write_rows(query: &NativeQuery, rows: &QueryRows, out: &mut impl DocumentWriter) -> Result<()> {
    out.begin_array();
    if let ResultExtra::Json(results) = &rows.extra {
        for result in results {
            out.json(result);
            out.row_done()?;
        }
        out.end_array();
        return Ok(());
    }
    match query {
        NativeQuery::Timeseries(q) => write_timeseries(rows, q.base.context.date_time_as_long()?, out)?,
        NativeQuery::TopN(q) => write_top_n(rows, q.base.context.date_time_as_long()?, out)?,
        NativeQuery::GroupBy(q) => write_group_by(q, rows, out)?,
        NativeQuery::MovingAverage(q) => write_group_by(&q.shape(), rows, out)?,
        NativeQuery::Scan(q) => write_scan(q, rows, out)?,
        NativeQuery::WindowOperator(_) | NativeQuery::Union(_) => write_arrays(rows, out)?,
        NativeQuery::Search(_)
        | NativeQuery::TimeBoundary(_)
        | NativeQuery::SegmentMetadata(_)
        | NativeQuery::DataSourceMetadata(_) => {}
    }
    out.end_array();
    Ok(())
}

/// Rows as lists of values.
fn write_arrays(rows: &QueryRows, out: &mut impl DocumentWriter) -> Result<()> {
    for batch in &rows.batches {
        for row in 0..batch.rows {
            out.begin_array();
            batch.columns.iter().for_each(|column| write_cell(column, row, out));
            out.end_array();
            out.row_done()?;
        }
    }
    Ok(())
}

/// Names of the columns, ready to be written many times.
fn labels(rows: &QueryRows) -> Vec<Label> {
    rows.signature.iter().map(|(name, _)| Label::new(name)).collect()
}

fn write_object(labels: &[Label], columns: &[Vector], row: usize, out: &mut impl DocumentWriter) {
    out.begin_object();
    for (label, column) in labels.iter().zip(columns) {
        out.label(label);
        write_cell(column, row, out);
    }
    out.end_object();
}

fn write_timestamp(millis: Option<i64>, as_long: bool, out: &mut impl DocumentWriter) {
    match millis {
        None => out.null(),
        Some(millis) if as_long => out.long(millis),
        Some(millis) => out.text(&format_iso(millis)),
    }
}

fn long_at(column: &Vector, row: usize) -> Option<i64> {
    match column {
        Vector::Long { values, nulls } => (!nulls.as_ref().is_some_and(|n| n[row])).then(|| values[row]),
        _ => None,
    }
}

fn write_timeseries(rows: &QueryRows, as_long: bool, out: &mut impl DocumentWriter) -> Result<()> {
    let labels = labels(rows);
    let (timestamp, result) = (Label::new("timestamp"), Label::new("result"));
    for batch in &rows.batches {
        for row in 0..batch.rows {
            out.begin_object();
            out.label(&timestamp);
            write_timestamp(long_at(&batch.columns[0], row), as_long, out);
            out.label(&result);
            write_object(&labels[1..], &batch.columns[1..], row, out);
            out.end_object();
            out.row_done()?;
        }
    }
    Ok(())
}

fn write_top_n(rows: &QueryRows, as_long: bool, out: &mut impl DocumentWriter) -> Result<()> {
    let labels = labels(rows);
    let ResultExtra::Buckets(buckets) = &rows.extra else { return Ok(()) };
    let Some(batch) = rows.batches.first() else { return Ok(()) };
    let mut row = 0;
    for bucket in buckets {
        out.begin_object();
        out.name("timestamp");
        write_timestamp(Some(*bucket), as_long, out);
        out.name("result");
        out.begin_array();
        while row < batch.rows && long_at(&batch.columns[0], row) == Some(*bucket) {
            write_object(&labels[1..], &batch.columns[1..], row, out);
            out.row_done()?;
            row += 1;
        }
        out.end_array();
        out.end_object();
    }
    Ok(())
}

fn write_group_by(query: &GroupByQuery, rows: &QueryRows, out: &mut impl DocumentWriter) -> Result<()> {
    let as_long = query.base.context.date_time_as_long()?;
    let as_array = query.base.context.result_as_array()?;
    let all = query.base.granularity == Granularity::All;
    // Granularity `all` has one timestamp for everything (`GroupByQuery.getUniversalTimestamp`).
    let fudged = query.base.context.str("fudgeTimestamp").and_then(|text| text.parse().ok());
    let universal = fudged.or(query.base.segments.intervals.first().map(|interval| interval.start));
    let labels = labels(rows);
    let (version, timestamp, event) = (Label::new("version"), Label::new("timestamp"), Label::new("event"));
    let skip = usize::from(!all);
    for batch in &rows.batches {
        for row in 0..batch.rows {
            if as_array {
                write_array(batch, row, out);
            } else {
                let time = if all { universal } else { long_at(&batch.columns[0], row) };
                out.begin_object();
                out.label(&version);
                out.text("v1");
                out.label(&timestamp);
                write_timestamp(time, as_long, out);
                out.label(&event);
                write_object(&labels[skip..], &batch.columns[skip..], row, out);
                out.end_object();
            }
            out.row_done()?;
        }
    }
    Ok(())
}

fn write_array(batch: &RowBatch, row: usize, out: &mut impl DocumentWriter) {
    out.begin_array();
    for column in &batch.columns {
        write_cell(column, row, out);
    }
    out.end_array();
}

fn write_scan(query: &ScanQuery, rows: &QueryRows, out: &mut impl DocumentWriter) -> Result<()> {
    let labels = labels(rows);
    let segments: &[std::sync::Arc<str>] = match &rows.extra {
        ResultExtra::ScanSegments(segments) => segments,
        _ => &[],
    };
    for (index, batch) in rows.batches.iter().enumerate() {
        out.begin_object();
        out.name("segmentId");
        match segments.get(index) {
            // Ordered rows come from any segment (`ScanQueryLimitRowIterator`).
            Some(segment) if query.order_by.is_empty() => out.text(segment),
            _ => out.null(),
        }
        out.name("columns");
        out.begin_array();
        rows.signature.iter().for_each(|(name, _)| out.text(name));
        out.end_array();
        out.name("events");
        out.begin_array();
        for row in 0..batch.rows {
            match query.result_format {
                ScanResultFormat::List => write_object(&labels, &batch.columns, row, out),
                ScanResultFormat::CompactedList => write_array(batch, row, out),
            }
            out.row_done()?;
        }
        out.end_array();
        out.name("rowSignature");
        out.begin_array();
        for (name, column_type) in &rows.signature {
            out.begin_object();
            out.name("name");
            out.text(name);
            out.name("type");
            match column_type {
                Some(column_type) => out.text(&column_type.to_string()),
                None => out.null(),
            }
            out.end_object();
        }
        out.end_array();
        out.end_object();
    }
    Ok(())
}

/// One value of a column.
fn write_cell(column: &Vector, row: usize, out: &mut impl DocumentWriter) {
    let null = |nulls: &Option<Vec<bool>>| nulls.as_ref().is_some_and(|n| n[row]);
    match column {
        Vector::Long { nulls, .. } | Vector::Float { nulls, .. } | Vector::Double { nulls, .. } if null(nulls) => out.null(),
        Vector::Long { values, .. } => out.long(values[row]),
        Vector::Float { values, .. } => out.float(values[row]),
        Vector::Double { values, .. } => out.double(values[row]),
        Vector::Codes { dictionary, codes } => match dictionary.get(codes[row]) {
            Ok(Some(text)) => out.text(&text),
            _ => out.null(),
        },
        Vector::String(values) => match &values[row] {
            Some(text) => out.text(text),
            None => out.null(),
        },
        Vector::Any { values, .. } => write_value(&values[row], out),
        Vector::Null { .. } => out.null(),
    }
}

/// One value of any type.
fn write_value(value: &Value, out: &mut impl DocumentWriter) {
    match value {
        Value::Null => out.null(),
        Value::Long(n) => out.long(*n),
        Value::Float(f) => out.float(*f),
        Value::Double(d) => out.double(*d),
        Value::String(text) => out.text(text),
        Value::Array(items) => {
            out.begin_array();
            items.iter().for_each(|item| write_value(item, out));
            out.end_array();
        }
        Value::Complex(name, bytes) => match cell::pair(name, bytes) {
            Some((time, value)) => {
                out.begin_object();
                out.name("lhs");
                out.long(time);
                out.name("rhs");
                write_value(&value, out);
                out.end_object();
            }
            // Druid reads this one back from text only (`FixedBucketsHistogramAggregatorFactory.deserialize`).
            None if name.as_ref() == "fixedBucketsHistogram" => {
                out.text(&base64::engine::general_purpose::STANDARD.encode(bytes));
            }
            None => out.bytes(bytes),
        },
        Value::Json(_) => out.json(&to_json(value)),
    }
}
