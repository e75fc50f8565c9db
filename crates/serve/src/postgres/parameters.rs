//! Parameters of prepared statements: bytes of a client, by type and format, as values of our statements or of the catalogue's.

use ovate_base::time::{Zone, parse_instant_in};
use ovate_sql::SqlParameter;
use pgwire::api::Type;
use serde_json::{Value as Json, json};

use super::catalog::{Datum, array_from_text};
use super::encode::{DAY_MS, EPOCH_MS};
use super::error::{PgError, PgResult};

fn wrong(kind: &Type) -> PgError {
    PgError::new("22P02", format!("invalid input for a parameter of type {}", kind.name()))
}

fn fixed<const N: usize>(bytes: &[u8], kind: &Type) -> PgResult<[u8; N]> {
    bytes
        .try_into()
        .map_err(|_| PgError::new("22P03", format!("incorrect binary data format of a parameter of type {}", kind.name())))
}

/// Reads one parameter; times become milliseconds.
pub fn read(bytes: Option<&[u8]>, kind: &Type, is_binary: bool, zone: &Zone) -> PgResult<Datum> {
    let Some(bytes) = bytes else { return Ok(Datum::Null) };
    if is_binary {
        return binary(bytes, kind);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PgError::new("22021", "a parameter is not valid UTF-8"))?;
    let trimmed = text.trim();
    Ok(match *kind {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Datum::Int(trimmed.parse().map_err(|_| wrong(kind))?),
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => Datum::Float(trimmed.parse().map_err(|_| wrong(kind))?),
        Type::BOOL => Datum::Bool(Datum::from(trimmed).truth().ok_or_else(|| wrong(kind))?),
        Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::DATE => Datum::Int(instant(trimmed, zone).ok_or_else(|| wrong(kind))?),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::INT4_ARRAY | Type::INT8_ARRAY | Type::FLOAT8_ARRAY => {
            Datum::Array(array_from_text(trimmed).ok_or_else(|| wrong(kind))?)
        }
        _ => Datum::from(text),
    })
}

/// `2000-01-01 00:00:00+01` and the like.
fn instant(text: &str, zone: &Zone) -> Option<i64> {
    let mut iso = text.replacen(' ', "T", 1);
    let time = iso.find('T').map_or(iso.len(), |at| at);
    if let Some(at) = iso[time..].rfind(['+', '-']).map(|at| at + time)
        && iso.len() - at == 3
    {
        iso.push_str(":00");
    }
    parse_instant_in(&iso, zone).ok()
}

fn binary(bytes: &[u8], kind: &Type) -> PgResult<Datum> {
    Ok(match *kind {
        Type::BOOL => Datum::Bool(fixed::<1>(bytes, kind)?[0] != 0),
        Type::INT2 => Datum::Int(i64::from(i16::from_be_bytes(fixed(bytes, kind)?))),
        Type::INT4 => Datum::Int(i64::from(i32::from_be_bytes(fixed(bytes, kind)?))),
        Type::OID => Datum::Int(i64::from(u32::from_be_bytes(fixed(bytes, kind)?))),
        Type::INT8 => Datum::Int(i64::from_be_bytes(fixed(bytes, kind)?)),
        Type::FLOAT4 => Datum::Float(f64::from(f32::from_be_bytes(fixed(bytes, kind)?))),
        Type::FLOAT8 => Datum::Float(f64::from_be_bytes(fixed(bytes, kind)?)),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(fixed(bytes, kind)?);
            Datum::Int(micros.div_euclid(1000).saturating_add(EPOCH_MS))
        }
        Type::DATE => Datum::Int(i64::from(i32::from_be_bytes(fixed(bytes, kind)?)) * DAY_MS + EPOCH_MS),
        Type::NUMERIC => numeric(bytes).ok_or_else(|| PgError::new("22P03", "incorrect binary data format of a numeric"))?,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
            Datum::from(std::str::from_utf8(bytes).map_err(|_| PgError::new("22021", "a parameter is not valid UTF-8"))?)
        }
        _ => return Err(PgError::unsupported(format!("a binary parameter of type {}", kind.name()))),
    })
}

/// Digits to the base 10000.
fn numeric(bytes: &[u8]) -> Option<Datum> {
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let (count, weight, sign) = (usize::from(word(0)?), word(2)? as i16, word(4)?);
    if sign == 0xC000 {
        return Some(Datum::Float(f64::NAN));
    }
    let mut value = 0.0;
    for place in 0..count {
        value += f64::from(word(8 + 2 * place)?) * 10_000f64.powi(i32::from(weight) - i32::try_from(place).ok()?);
    }
    Some(Datum::Float(if sign == 0x4000 { -value } else { value }))
}

/// The value as a parameter of our statements.
pub fn for_statement(value: &Datum, kind: &Type) -> PgResult<SqlParameter> {
    let typed = |sql_type: &str, value: Json| Ok(SqlParameter { sql_type: sql_type.to_owned(), value });
    match (value, kind) {
        (Datum::Null, _) => typed("NULL", Json::Null),
        (Datum::Int(ms), &Type::TIMESTAMP | &Type::TIMESTAMPTZ) => typed("TIMESTAMP", json!(ms)),
        (Datum::Int(ms), &Type::DATE) => typed("DATE", json!(ms)),
        (Datum::Int(number), _) => typed("BIGINT", json!(number)),
        (Datum::Float(number), _) => match serde_json::Number::from_f64(*number) {
            Some(number) => typed("DOUBLE", Json::Number(number)),
            None => Err(PgError::new("22003", "a parameter is not a finite number")),
        },
        (Datum::Bool(flag), _) => typed("BOOLEAN", json!(flag)),
        (Datum::Text(text), _) => typed("VARCHAR", json!(&**text)),
        (Datum::Array(_), _) => Err(PgError::unsupported("an array as a parameter")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_binaries_are_read_alike() {
        let text = |text: &str, kind: &Type| read(Some(text.as_bytes()), kind, false, &Zone::UTC);
        let binary = |bytes: &[u8], kind: &Type| read(Some(bytes), kind, true, &Zone::UTC);
        assert_eq!(text("12", &Type::INT4), binary(&12i32.to_be_bytes(), &Type::INT4));
        assert_eq!(text("2000-01-01 00:00:01+00", &Type::TIMESTAMPTZ), binary(&1_000_000i64.to_be_bytes(), &Type::TIMESTAMPTZ));
        assert_eq!(text("2000-01-01T01:00:00+01:00", &Type::TIMESTAMPTZ), Ok(Datum::Int(EPOCH_MS)));
        assert_eq!(text("2000-01-02", &Type::DATE), binary(&1i32.to_be_bytes(), &Type::DATE));
        assert_eq!(
            text("-12345.5", &Type::NUMERIC),
            binary(&[0, 3, 0, 1, 0x40, 0, 0, 1, 0, 1, 9, 0x29, 0x13, 0x88], &Type::NUMERIC)
        );
        assert_eq!(read(None, &Type::INT4, true, &Zone::UTC), Ok(Datum::Null));
    }

    #[test]
    fn damaged_bytes_are_errors() {
        for kind in [Type::BOOL, Type::INT2, Type::INT4, Type::INT8, Type::FLOAT8, Type::TIMESTAMPTZ, Type::DATE, Type::NUMERIC] {
            assert!(read(Some(&[1, 2, 3]), &kind, true, &Zone::UTC).is_err(), "{kind}");
            assert!(read(Some(b"x"), &kind, false, &Zone::UTC).is_err(), "{kind}");
        }
        assert!(read(Some(&[0xff]), &Type::TEXT, true, &Zone::UTC).is_err());
    }
}
