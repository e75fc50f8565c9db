//! Druid's JSON envelopes (NQ-12), written straight from columns. Numbers print as Jackson prints them.

use ovate_base::time::format_iso_into;
use ovate_base::{Granularity, Result};
use ovate_compute::value::{double_to_text, float_to_text, to_json};
use ovate_compute::{Value, Vector};

use super::{QueryRows, ResultExtra, RowBatch};
use crate::document::{GroupByQuery, NativeQuery, ScanQuery, ScanResultFormat};

/// Appends the answer as a JSON array, as `/druid/v2` gives it.
pub fn write_json(query: &NativeQuery, rows: &QueryRows, out: &mut Vec<u8>) -> Result<()> {
    if let ResultExtra::Json(results) = &rows.extra {
        serde_json::to_writer(&mut *out, results).expect("writing to memory cannot fail");
        return Ok(());
    }
    out.push(b'[');
    match query {
        NativeQuery::Timeseries(q) => write_timeseries(rows, q.base.context.date_time_as_long()?, out),
        NativeQuery::TopN(q) => write_top_n(rows, q.base.context.date_time_as_long()?, out),
        NativeQuery::GroupBy(q) => write_group_by(q, rows, out)?,
        NativeQuery::Scan(q) => write_scan(q, rows, out),
        NativeQuery::Search(_)
        | NativeQuery::TimeBoundary(_)
        | NativeQuery::SegmentMetadata(_)
        | NativeQuery::DataSourceMetadata(_) => {}
    }
    out.push(b']');
    Ok(())
}

/// Prepared `"name":` texts of columns.
fn labels(rows: &QueryRows) -> Vec<Vec<u8>> {
    let label = |name: &str| {
        let mut text = serde_json::to_vec(name).expect("writing to memory cannot fail");
        text.push(b':');
        text
    };
    rows.signature.iter().map(|(name, _)| label(name)).collect()
}

fn separate(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

fn write_object(labels: &[Vec<u8>], batch: &RowBatch, row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (label, column) in labels.iter().zip(&batch.columns) {
        separate(&mut first, out);
        out.extend_from_slice(label);
        write_cell(column, row, out);
    }
    out.push(b'}');
}

fn write_timestamp(millis: Option<i64>, as_long: bool, out: &mut Vec<u8>) {
    match millis {
        None => out.extend_from_slice(b"null"),
        Some(millis) if as_long => out.extend_from_slice(itoa::Buffer::new().format(millis).as_bytes()),
        Some(millis) => {
            let mut text = String::with_capacity(26);
            text.push('"');
            format_iso_into(millis, &ovate_base::time::Zone::UTC, &mut text);
            text.push('"');
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn long_at(column: &Vector, row: usize) -> Option<i64> {
    match column {
        Vector::Long { values, nulls } => (!nulls.as_ref().is_some_and(|n| n[row])).then(|| values[row]),
        _ => None,
    }
}

fn write_timeseries(rows: &QueryRows, as_long: bool, out: &mut Vec<u8>) {
    let labels = labels(rows);
    let mut first = true;
    for batch in &rows.batches {
        let inner = RowBatch { columns: batch.columns[1..].to_vec(), rows: batch.rows };
        for row in 0..batch.rows {
            separate(&mut first, out);
            out.extend_from_slice(b"{\"timestamp\":");
            write_timestamp(long_at(&batch.columns[0], row), as_long, out);
            out.extend_from_slice(b",\"result\":");
            write_object(&labels[1..], &inner, row, out);
            out.push(b'}');
        }
    }
}

fn write_top_n(rows: &QueryRows, as_long: bool, out: &mut Vec<u8>) {
    let labels = labels(rows);
    let ResultExtra::Buckets(buckets) = &rows.extra else { return };
    let Some(batch) = rows.batches.first() else { return };
    let inner = RowBatch { columns: batch.columns[1..].to_vec(), rows: batch.rows };
    let mut row = 0;
    for (index, bucket) in buckets.iter().enumerate() {
        separate(&mut (index == 0), out);
        out.extend_from_slice(b"{\"timestamp\":");
        write_timestamp(Some(*bucket), as_long, out);
        out.extend_from_slice(b",\"result\":[");
        let mut first = true;
        while row < batch.rows && long_at(&batch.columns[0], row) == Some(*bucket) {
            separate(&mut first, out);
            write_object(&labels[1..], &inner, row, out);
            row += 1;
        }
        out.extend_from_slice(b"]}");
    }
}

fn write_group_by(query: &GroupByQuery, rows: &QueryRows, out: &mut Vec<u8>) -> Result<()> {
    let as_long = query.base.context.date_time_as_long()?;
    let as_array = query.base.context.result_as_array()?;
    let all = query.base.granularity == Granularity::All;
    // Granularity `all` has one timestamp for everything (`GroupByQuery.getUniversalTimestamp`).
    let universal = query.base.segments.intervals.first().map(|interval| interval.start);
    let labels = labels(rows);
    let mut first = true;
    for batch in &rows.batches {
        let skip = usize::from(!all);
        let inner = RowBatch { columns: batch.columns[skip..].to_vec(), rows: batch.rows };
        for row in 0..batch.rows {
            separate(&mut first, out);
            if as_array {
                write_array(batch, row, out);
                continue;
            }
            let time = if all { universal } else { long_at(&batch.columns[0], row) };
            out.extend_from_slice(b"{\"version\":\"v1\",\"timestamp\":");
            write_timestamp(time, as_long, out);
            out.extend_from_slice(b",\"event\":");
            write_object(&labels[skip..], &inner, row, out);
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_array(batch: &RowBatch, row: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut first = true;
    for column in &batch.columns {
        separate(&mut first, out);
        write_cell(column, row, out);
    }
    out.push(b']');
}

fn write_scan(query: &ScanQuery, rows: &QueryRows, out: &mut Vec<u8>) {
    let labels = labels(rows);
    let segments: &[std::sync::Arc<str>] = match &rows.extra {
        ResultExtra::ScanSegments(segments) => segments,
        _ => &[],
    };
    for (index, batch) in rows.batches.iter().enumerate() {
        separate(&mut (index == 0), out);
        out.extend_from_slice(b"{\"segmentId\":");
        match segments.get(index) {
            // Ordered rows come from any segment (`ScanQueryLimitRowIterator`).
            Some(segment) if query.order_by.is_empty() => write_text(segment, out),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"columns\":[");
        let mut first = true;
        for (name, _) in &rows.signature {
            separate(&mut first, out);
            write_text(name, out);
        }
        out.extend_from_slice(b"],\"events\":[");
        for row in 0..batch.rows {
            separate(&mut (row == 0), out);
            match query.result_format {
                ScanResultFormat::List => write_object(&labels, batch, row, out),
                ScanResultFormat::CompactedList => write_array(batch, row, out),
            }
        }
        out.extend_from_slice(b"],\"rowSignature\":[");
        let mut first = true;
        for (name, column_type) in &rows.signature {
            separate(&mut first, out);
            out.extend_from_slice(b"{\"name\":");
            write_text(name, out);
            out.extend_from_slice(b",\"type\":");
            match column_type {
                Some(column_type) => write_text(&column_type.to_string(), out),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory cannot fail");
}

/// A double as Java's `Double.toString` has it; NaN and infinities as texts, as Jackson writes them.
fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(double_to_text(value).as_bytes());
    } else {
        write_text(&double_to_text(value), out);
    }
}

fn write_float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(float_to_text(value).as_bytes());
    } else {
        write_text(&float_to_text(value), out);
    }
}

/// One value of a column.
fn write_cell(column: &Vector, row: usize, out: &mut Vec<u8>) {
    let null = |nulls: &Option<Vec<bool>>| nulls.as_ref().is_some_and(|n| n[row]);
    match column {
        Vector::Long { nulls, .. } | Vector::Float { nulls, .. } | Vector::Double { nulls, .. } if null(nulls) => {
            out.extend_from_slice(b"null");
        }
        Vector::Long { values, .. } => out.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes()),
        Vector::Float { values, .. } => write_float(values[row], out),
        Vector::Double { values, .. } => write_double(values[row], out),
        Vector::Codes { dictionary, codes } => match dictionary.get(codes[row]) {
            Ok(Some(text)) => write_text(&text, out),
            _ => out.extend_from_slice(b"null"),
        },
        Vector::String(values) => match &values[row] {
            Some(text) => write_text(text, out),
            None => out.extend_from_slice(b"null"),
        },
        Vector::Any { values, .. } => write_value(&values[row], out),
        Vector::Null { .. } => out.extend_from_slice(b"null"),
    }
}

/// One value of any type.
fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Long(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::Float(f) => write_float(*f, out),
        Value::Double(d) => write_double(*d, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(&mut (index == 0), out);
                write_value(item, out);
            }
            out.push(b']');
        }
        other => serde_json::to_writer(out, &to_json(other)).expect("writing to memory cannot fail"),
    }
}
