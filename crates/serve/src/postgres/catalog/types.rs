//! The types that PostgreSQL's clients are told of, by our SQL types, by their names and by their numbers.

use ovate_sql::types::SqlType;
use pgwire::api::Type;

/// The type under which values of an SQL type are sent.
pub fn of_sql(t: &SqlType) -> Type {
    match t {
        SqlType::Boolean => Type::BOOL,
        SqlType::Integer => Type::INT4,
        SqlType::Bigint | SqlType::IntervalDay | SqlType::IntervalMonth => Type::INT8,
        SqlType::Float => Type::FLOAT4,
        SqlType::Double | SqlType::Decimal => Type::FLOAT8,
        SqlType::Timestamp => Type::TIMESTAMPTZ,
        SqlType::Date => Type::DATE,
        SqlType::Complex(name) if &**name == "json" => Type::JSON,
        SqlType::Null | SqlType::Varchar | SqlType::Char | SqlType::Any | SqlType::Complex(_) => Type::TEXT,
        SqlType::Array(element) => match element.as_ref() {
            SqlType::Boolean => Type::BOOL_ARRAY,
            t if t.is_integer() => Type::INT8_ARRAY,
            t if t.is_approximate() => Type::FLOAT8_ARRAY,
            SqlType::Timestamp => Type::TIMESTAMPTZ_ARRAY,
            _ => Type::TEXT_ARRAY,
        },
    }
}

/// The type under which a column of INFORMATION_SCHEMA's `DATA_TYPE` is sent.
pub fn of_data_type(name: &str) -> Type {
    match name {
        "COMPLEX<json>" => Type::JSON,
        // The elements' type is not shown there.
        "ARRAY" => Type::TEXT_ARRAY,
        other => SqlType::parse(other).map_or(Type::TEXT, |t| of_sql(&t)),
    }
}

/// Types that `pg_type` lists: each of these and its array.
pub const LISTED: &[(Type, &str, i64, char)] = &[
    (Type::BOOL, "boolean", 1, 'B'),
    (Type::CHAR, "\"char\"", 1, 'Z'),
    (Type::NAME, "name", 64, 'S'),
    (Type::INT8, "bigint", 8, 'N'),
    (Type::INT2, "smallint", 2, 'N'),
    (Type::INT4, "integer", 4, 'N'),
    (Type::TEXT, "text", -1, 'S'),
    (Type::OID, "oid", 4, 'N'),
    (Type::JSON, "json", -1, 'U'),
    (Type::FLOAT4, "real", 4, 'N'),
    (Type::FLOAT8, "double precision", 8, 'N'),
    (Type::BPCHAR, "character", -1, 'S'),
    (Type::VARCHAR, "character varying", -1, 'S'),
    (Type::DATE, "date", 4, 'D'),
    (Type::TIME, "time without time zone", 8, 'D'),
    (Type::TIMESTAMP, "timestamp without time zone", 8, 'D'),
    (Type::TIMESTAMPTZ, "timestamp with time zone", 8, 'D'),
    (Type::INTERVAL, "interval", 16, 'T'),
    (Type::NUMERIC, "numeric", -1, 'N'),
    (Type::REGPROC, "regproc", 4, 'N'),
    (Type::REGCLASS, "regclass", 4, 'N'),
    (Type::REGTYPE, "regtype", 4, 'N'),
    (Type::BYTEA, "bytea", -1, 'U'),
    (Type::UUID, "uuid", 16, 'U'),
    (Type::UNKNOWN, "unknown", -2, 'X'),
];

/// The array type of a listed type.
pub fn array_of(t: &Type) -> Option<Type> {
    Type::from_oid(match *t {
        Type::BOOL => 1000,
        Type::CHAR => 1002,
        Type::NAME => 1003,
        Type::INT8 => 1016,
        Type::INT2 => 1005,
        Type::INT4 => 1007,
        Type::TEXT => 1009,
        Type::OID => 1028,
        Type::JSON => 199,
        Type::FLOAT4 => 1021,
        Type::FLOAT8 => 1022,
        Type::BPCHAR => 1014,
        Type::VARCHAR => 1015,
        Type::DATE => 1182,
        Type::TIME => 1183,
        Type::TIMESTAMP => 1115,
        Type::TIMESTAMPTZ => 1185,
        Type::INTERVAL => 1187,
        Type::NUMERIC => 1231,
        Type::BYTEA => 1001,
        Type::UUID => 2951,
        _ => return None,
    })
}

/// The type of an array type's elements; `None` for other types.
pub fn element_of(t: &Type) -> Option<Type> {
    LISTED.iter().map(|(element, _, _, _)| element).find(|element| array_of(element).as_ref() == Some(t)).cloned()
}

/// The SQL name of a type's number (`format_type`).
pub fn format(oid: i64) -> String {
    for (t, name, _, _) in LISTED {
        if i64::from(t.oid()) == oid {
            return (*name).to_owned();
        }
        if array_of(t).is_some_and(|array| i64::from(array.oid()) == oid) {
            return format!("{name}[]");
        }
    }
    "???".to_owned()
}

/// The type of a name as it stands in a cast.
pub fn by_name(name: &str) -> Option<Type> {
    let name = name.trim().trim_start_matches("pg_catalog.").to_ascii_lowercase();
    let (name, array) = match name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (name.as_str(), false),
    };
    let base = name.split('(').next().unwrap_or_default().trim();
    let t = match base {
        "int" | "int4" | "integer" => Type::INT4,
        "int8" | "bigint" => Type::INT8,
        "int2" | "smallint" => Type::INT2,
        "bool" | "boolean" => Type::BOOL,
        "float8" | "double precision" | "float" | "double" => Type::FLOAT8,
        "float4" | "real" => Type::FLOAT4,
        "numeric" | "decimal" => Type::NUMERIC,
        "varchar" | "character varying" => Type::VARCHAR,
        "text" | "string" => Type::TEXT,
        "char" | "\"char\"" | "character" | "bpchar" => Type::BPCHAR,
        "timestamptz" | "timestamp with time zone" => Type::TIMESTAMPTZ,
        "timestamp" | "timestamp without time zone" => Type::TIMESTAMP,
        other => LISTED.iter().find(|(t, _, _, _)| t.name() == other).map(|(t, _, _, _)| t.clone())?,
    };
    if array { array_of(&t) } else { Some(t) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_sent_is_listed_with_its_array() {
        let sent = [SqlType::Boolean, SqlType::Bigint, SqlType::Double, SqlType::Varchar, SqlType::Timestamp];
        for t in sent {
            for t in [t.clone(), SqlType::Array(Box::new(t))] {
                assert_ne!(format(i64::from(of_sql(&t).oid())), "???", "{t}");
            }
        }
        assert_eq!(format(1185), "timestamp with time zone[]");
        assert_eq!(by_name("pg_catalog.text"), Some(Type::TEXT));
        assert_eq!(by_name("varchar(10)"), Some(Type::VARCHAR));
        assert_eq!(by_name("int[]"), Some(Type::INT4_ARRAY));
        assert_eq!(by_name("nothing"), None);
    }
}
