//! Values on PostgreSQL's wire, as text or binary, by the type that the client was told.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use ovate_base::time::Zone;
use ovate_compute::Value;
use ovate_compute::value::json_text;
use ovate_sql::types::SqlType;
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldFormat;

use super::catalog::{Datum, types};

/// Milliseconds from 1970 to PostgreSQL's zero, 2000-01-01.
pub const EPOCH_MS: i64 = 946_684_800_000;
pub const DAY_MS: i64 = 86_400_000;

/// The format of a column; clients may name fewer than there are columns.
pub fn format_of(format: &Format, column: usize) -> FieldFormat {
    match format {
        Format::UnifiedText => FieldFormat::Text,
        Format::UnifiedBinary => FieldFormat::Binary,
        Format::Individual(codes) => codes.get(column).map_or(FieldFormat::Text, |code| FieldFormat::from(*code)),
    }
}

/// A value of ours in the terms of the wire: times as milliseconds, texts of several values and JSON as JSON text.
pub fn datum(value: &Value, t: &SqlType) -> Datum {
    let text = |value: &Value| match value {
        Value::Array(items) if items.len() == 1 => items[0].as_text(),
        Value::Array(_) | Value::Json(_) | Value::Complex(..) => {
            Some(Arc::from(json_text(&ovate_compute::value::to_json(value))))
        }
        other => other.as_text(),
    };
    if value.is_null() {
        return Datum::Null;
    }
    match t {
        SqlType::Boolean => value.as_boolean().map_or(Datum::Null, Datum::Bool),
        t if t.is_integer() || t.is_time() || t.is_interval() => value.as_long().map_or(Datum::Null, Datum::Int),
        t if t.is_approximate() => value.as_double().map_or(Datum::Null, Datum::Float),
        SqlType::Array(element) => match value {
            Value::Array(items) => Datum::Array(items.iter().map(|item| datum(item, element)).collect()),
            scalar => Datum::Array(vec![datum(scalar, element)]),
        },
        _ => text(value).map_or(Datum::Null, Datum::Text),
    }
}

/// Writes one field of a row: its length and its bytes, or -1 for null.
pub fn field(out: &mut BytesMut, value: &Datum, kind: &Type, format: FieldFormat, zone: &Zone) {
    if value.is_null() {
        return out.put_i32(-1);
    }
    let start = out.len();
    out.put_i32(0);
    let written = match format {
        FieldFormat::Text => {
            put_text(out, value, kind, zone);
            true
        }
        FieldFormat::Binary => binary(out, value, kind),
    };
    let length = if written { i32::try_from(out.len() - start - 4).unwrap_or(-1) } else { -1 };
    if length < 0 {
        out.truncate(start + 4);
    }
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A value that is not null as text.
pub fn put_text(out: &mut BytesMut, value: &Datum, kind: &Type, zone: &Zone) {
    match (value, kind) {
        (Datum::Int(ms), &Type::TIMESTAMPTZ) => out.put_slice(instant(*ms, zone).as_bytes()),
        (Datum::Int(ms), &Type::DATE) => out.put_slice(&instant(*ms, zone).as_bytes()[..10]),
        (Datum::Float(number), _) => out.put_slice(float(*number, kind).as_bytes()),
        (Datum::Array(items), _) => {
            let element = element(kind);
            let shown = items.iter().map(|item| match (item, &element) {
                (Datum::Int(ms), &Type::TIMESTAMPTZ) => Datum::from(instant(*ms, zone)),
                (Datum::Float(number), _) => Datum::from(float(*number, &element)),
                (other, _) => other.clone(),
            });
            out.put_slice(Datum::Array(shown.collect()).text().unwrap_or_default().as_bytes());
        }
        (Datum::Text(text), _) => out.put_slice(text.as_bytes()),
        (other, _) => out.put_slice(other.text().unwrap_or_default().as_bytes()),
    }
}

fn float(number: f64, kind: &Type) -> String {
    match number {
        n if n.is_nan() => "NaN".to_owned(),
        n if n.is_infinite() => if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        n if *kind == Type::FLOAT4 => (n as f32).to_string(),
        n => n.to_string(),
    }
}

/// `2000-01-01 00:00:00.123+00` in a zone.
fn instant(ms: i64, zone: &Zone) -> String {
    let local = zone.to_local(ms);
    let shift = (local - ms) / 60_000;
    let iso = ovate_base::time::format_iso(local);
    let plain = iso.trim_end_matches('Z').replacen('T', " ", 1);
    let plain = plain.trim_end_matches(".000");
    let (sign, minutes) = (if shift < 0 { '-' } else { '+' }, shift.abs());
    let rest = if minutes % 60 == 0 { String::new() } else { format!(":{:02}", minutes % 60) };
    format!("{plain}{sign}{:02}{rest}", minutes / 60)
}

fn binary(out: &mut BytesMut, value: &Datum, kind: &Type) -> bool {
    let small = |number: i64| i32::try_from(number).ok();
    match *kind {
        Type::BOOL => value.truth().map(|flag| out.put_u8(u8::from(flag))).is_some(),
        Type::INT2 => value.int().and_then(|n| i16::try_from(n).ok()).map(|n| out.put_i16(n)).is_some(),
        Type::INT4 => value.int().and_then(small).map(|n| out.put_i32(n)).is_some(),
        Type::OID => value.int().and_then(|n| u32::try_from(n).ok()).map(|n| out.put_u32(n)).is_some(),
        Type::INT8 => value.int().map(|n| out.put_i64(n)).is_some(),
        Type::FLOAT4 => value.float().map(|n| out.put_f32(n as f32)).is_some(),
        Type::FLOAT8 => value.float().map(|n| out.put_f64(n)).is_some(),
        Type::TIMESTAMPTZ => value.int().map(|ms| out.put_i64(ms.saturating_sub(EPOCH_MS).saturating_mul(1000))).is_some(),
        Type::DATE => {
            let days = value.int().and_then(|ms| small(ms.saturating_sub(EPOCH_MS).div_euclid(DAY_MS)));
            days.map(|days| out.put_i32(days)).is_some()
        }
        _ => match value {
            Datum::Array(items) if types::element_of(kind).is_some() => {
                array(out, items, &element(kind));
                true
            }
            other => {
                out.put_slice(other.text().unwrap_or_default().as_bytes());
                true
            }
        },
    }
}

fn array(out: &mut BytesMut, items: &[Datum], element: &Type) {
    let any_null = items.iter().any(Datum::is_null);
    out.put_i32(i32::from(!items.is_empty()));
    out.put_i32(i32::from(any_null));
    out.put_u32(element.oid());
    if items.is_empty() {
        return;
    }
    out.put_i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
    out.put_i32(1);
    for item in items {
        field(out, item, element, FieldFormat::Binary, &Zone::UTC);
    }
}

fn element(kind: &Type) -> Type {
    types::element_of(kind).unwrap_or(Type::TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Datum, kind: &Type, format: FieldFormat) -> Vec<u8> {
        let mut out = BytesMut::new();
        field(&mut out, value, kind, format, &Zone::parse("America/Los_Angeles").expect("a zone"));
        out.to_vec()
    }

    fn shown(value: &Datum, kind: &Type) -> String {
        String::from_utf8(written(value, kind, FieldFormat::Text)[4..].to_vec()).expect("text")
    }

    #[test]
    fn texts_are_postgresqls() {
        assert_eq!(shown(&Datum::Int(EPOCH_MS), &Type::TIMESTAMPTZ), "1999-12-31 16:00:00-08");
        assert_eq!(shown(&Datum::Int(EPOCH_MS + 1), &Type::TIMESTAMPTZ), "1999-12-31 16:00:00.001-08");
        assert_eq!(shown(&Datum::Int(EPOCH_MS), &Type::DATE), "1999-12-31");
        assert_eq!(shown(&Datum::Float(f64::NEG_INFINITY), &Type::FLOAT8), "-Infinity");
        assert_eq!(shown(&Datum::Bool(true), &Type::BOOL), "t");
        assert_eq!(shown(&Datum::Array(vec![Datum::from("a b"), Datum::Null]), &Type::TEXT_ARRAY), "{\"a b\",NULL}");
        assert_eq!(written(&Datum::Null, &Type::TEXT, FieldFormat::Text), (-1i32).to_be_bytes());
    }

    #[test]
    fn binaries_are_postgresqls() {
        let binary = |value: &Datum, kind: &Type| written(value, kind, FieldFormat::Binary)[4..].to_vec();
        assert_eq!(binary(&Datum::Int(EPOCH_MS + 2), &Type::TIMESTAMPTZ), 2000i64.to_be_bytes());
        assert_eq!(binary(&Datum::Int(EPOCH_MS - 1), &Type::DATE), (-1i32).to_be_bytes());
        assert_eq!(binary(&Datum::Int(7), &Type::INT4), 7i32.to_be_bytes());
        // What does not fit its type is null rather than something else.
        assert_eq!(written(&Datum::Int(i64::MAX), &Type::INT4, FieldFormat::Binary), (-1i32).to_be_bytes());
        let array = binary(&Datum::Array(vec![Datum::Int(5)]), &Type::INT8_ARRAY);
        assert_eq!(array[..20], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!(array[20..], [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5]);
    }
}
