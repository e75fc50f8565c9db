//! The scalar functions of Druid SQL: name, number of arguments, type of the result, and the native function that does
//! the work. Functions with their own translation are marked `Special` and handled in `native::expr`.

use crate::types::SqlType;

/// How a function is written as a native expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Native {
    /// The same arguments under this name.
    Function(&'static str),
    Special,
}

/// The type of a function's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    Varchar,
    Bigint,
    Integer,
    /// A text without a length of its own.
    Char,
    /// Text, CHAR when the n-th argument is.
    Text(usize),
    /// Of GREATEST and LEAST: text when any is, else DOUBLE when any has a fraction, else BIGINT.
    Reduced,
    Double,
    Boolean,
    Timestamp,
    Json,
    /// As the n-th argument.
    Arg(usize),
    /// Numeric: as the first argument when that is a number, else DOUBLE.
    Number,
    /// The common type of all arguments.
    Common,
    /// VARCHAR ARRAY.
    Texts,
    /// The element type of the n-th argument.
    Element(usize),
    /// The n-th argument's type, made an array when it is none.
    ArrayArg(usize),
    /// DOUBLE ARRAY.
    Doubles,
    /// VARCHAR ARRAY of JSON.
    JsonArray,
}

/// One function.
pub struct Function {
    pub name: &'static str,
    pub min_args: usize,
    pub max_args: usize,
    pub returns: Returns,
    pub native: Native,
}

const fn f(name: &'static str, min_args: usize, max_args: usize, returns: Returns, native: &'static str) -> Function {
    Function { name, min_args, max_args, returns, native: Native::Function(native) }
}

const fn s(name: &'static str, min_args: usize, max_args: usize, returns: Returns) -> Function {
    Function { name, min_args, max_args, returns, native: Native::Special }
}

const MANY: usize = usize::MAX;

use Returns::*;

/// All scalar functions; sorted by nothing, looked up through a map.
pub static FUNCTIONS: &[Function] = &[
    // numbers
    f("PI", 0, 0, Double, "pi"),
    f("ABS", 1, 1, Number, "abs"),
    s("CEIL", 1, 2, Arg(0)),
    s("FLOOR", 1, 2, Arg(0)),
    f("EXP", 1, 1, Double, "exp"),
    f("LN", 1, 1, Double, "log"),
    f("LOG10", 1, 1, Double, "log10"),
    f("POWER", 2, 2, Double, "pow"),
    f("SQRT", 1, 1, Double, "sqrt"),
    f("CBRT", 1, 1, Double, "cbrt"),
    f("SIGN", 1, 1, Number, "signum"),
    s("TRUNCATE", 1, 2, Number),
    f("ROUND", 1, 2, Number, "round"),
    s("MOD", 2, 2, Common),
    f("SIN", 1, 1, Double, "sin"),
    f("COS", 1, 1, Double, "cos"),
    f("TAN", 1, 1, Double, "tan"),
    f("COT", 1, 1, Double, "cot"),
    f("ASIN", 1, 1, Double, "asin"),
    f("ACOS", 1, 1, Double, "acos"),
    f("ATAN", 1, 1, Double, "atan"),
    f("ATAN2", 2, 2, Double, "atan2"),
    f("DEGREES", 1, 1, Double, "toDegrees"),
    f("RADIANS", 1, 1, Double, "toRadians"),
    f("BITWISE_AND", 2, 2, Bigint, "bitwiseAnd"),
    f("BITWISE_OR", 2, 2, Bigint, "bitwiseOr"),
    f("BITWISE_XOR", 2, 2, Bigint, "bitwiseXor"),
    f("BITWISE_COMPLEMENT", 1, 1, Bigint, "bitwiseComplement"),
    f("BITWISE_SHIFT_LEFT", 2, 2, Bigint, "bitwiseShiftLeft"),
    f("BITWISE_SHIFT_RIGHT", 2, 2, Bigint, "bitwiseShiftRight"),
    f("BITWISE_CONVERT_DOUBLE_TO_LONG_BITS", 1, 1, Bigint, "bitwiseConvertDoubleToLongBits"),
    f("BITWISE_CONVERT_LONG_BITS_TO_DOUBLE", 1, 1, Double, "bitwiseConvertLongBitsToDouble"),
    f("DIV", 2, 2, Bigint, "div"),
    f("SAFE_DIVIDE", 2, 2, Common, "safe_divide"),
    f("HUMAN_READABLE_BINARY_BYTE_FORMAT", 1, 2, Varchar, "human_readable_binary_byte_format"),
    f("HUMAN_READABLE_DECIMAL_BYTE_FORMAT", 1, 2, Varchar, "human_readable_decimal_byte_format"),
    f("HUMAN_READABLE_DECIMAL_FORMAT", 1, 2, Varchar, "human_readable_decimal_format"),
    // text
    f("CONCAT", 1, MANY, Varchar, "concat"),
    f("TEXTCAT", 2, 2, Varchar, "concat"),
    f("CONTAINS_STRING", 2, 2, Boolean, "contains_string"),
    f("ICONTAINS_STRING", 2, 2, Boolean, "icontains_string"),
    f("DECODE_BASE64_UTF8", 1, 1, Varchar, "decode_base64_utf8"),
    f("LEFT", 2, 2, Varchar, "left"),
    f("RIGHT", 2, 2, Varchar, "right"),
    f("LENGTH", 1, 1, Integer, "strlen"),
    f("LOOKUP", 2, 3, Varchar, "lookup"),
    f("LOWER", 1, 1, Text(0), "lower"),
    f("UPPER", 1, 1, Text(0), "upper"),
    s("LPAD", 2, 3, Varchar),
    s("RPAD", 2, 3, Varchar),
    f("PARSE_LONG", 1, 2, Bigint, "parse_long"),
    s("POSITION", 2, 3, Integer),
    s("STRPOS", 2, 2, Integer),
    f("REGEXP_EXTRACT", 2, 3, Varchar, "regexp_extract"),
    f("REGEXP_LIKE", 2, 2, Boolean, "regexp_like"),
    f("REGEXP_REPLACE", 3, 3, Varchar, "regexp_replace"),
    f("REPLACE", 3, 3, Varchar, "replace"),
    f("REPEAT", 2, 2, Varchar, "repeat"),
    f("REVERSE", 1, 1, Varchar, "reverse"),
    f("STRING_FORMAT", 1, MANY, Varchar, "format"),
    s("SUBSTRING", 2, 3, Text(0)),
    s("TRIM", 1, 3, Varchar),
    s("BTRIM", 1, 2, Varchar),
    s("LTRIM", 1, 2, Varchar),
    s("RTRIM", 1, 2, Varchar),
    // time
    s("DATE_TRUNC", 2, 2, Timestamp),
    s("TIME_CEIL", 2, 4, Timestamp),
    s("TIME_FLOOR", 2, 4, Timestamp),
    s("TIME_SHIFT", 3, 4, Timestamp),
    s("TIME_EXTRACT", 1, 3, Bigint),
    s("TIME_PARSE", 1, 3, Timestamp),
    s("TIME_FORMAT", 1, 3, Varchar),
    s("TIME_IN_INTERVAL", 2, 2, Boolean),
    s("MILLIS_TO_TIMESTAMP", 1, 1, Timestamp),
    s("TIMESTAMP_TO_MILLIS", 1, 1, Bigint),
    s("EXTRACT", 2, 2, Bigint),
    s("TIMESTAMPADD", 3, 3, Timestamp),
    s("TIMESTAMPDIFF", 3, 3, Integer),
    // choosing
    f("GREATEST", 0, MANY, Reduced, "greatest"),
    f("LEAST", 0, MANY, Reduced, "least"),
    f("COALESCE", 1, MANY, Common, "coalesce"),
    f("BLOOM_FILTER_TEST", 2, 2, Boolean, "bloom_filter_test"),
    // addresses
    f("IPV4_MATCH", 2, 2, Boolean, "ipv4_match"),
    f("IPV4_PARSE", 1, 1, Bigint, "ipv4_parse"),
    f("IPV4_STRINGIFY", 1, 1, Char, "ipv4_stringify"),
    f("IPV6_MATCH", 2, 2, Boolean, "ipv6_match"),
    // JSON
    f("JSON_KEYS", 2, 2, Texts, "json_keys"),
    f("JSON_MERGE", 1, MANY, Json, "json_merge"),
    f("JSON_OBJECT", 0, MANY, Json, "json_object"),
    f("JSON_PATHS", 1, 1, Texts, "json_paths"),
    f("JSON_QUERY", 2, 2, Json, "json_query"),
    f("JSON_QUERY_ARRAY", 2, 2, JsonArray, "json_query_array"),
    s("JSON_VALUE", 2, 2, Varchar),
    s("JSON_VALUE_ANY", 2, 2, Varchar),
    f("PARSE_JSON", 1, 1, Json, "parse_json"),
    f("TRY_PARSE_JSON", 1, 1, Json, "try_parse_json"),
    f("TO_JSON_STRING", 1, 1, Varchar, "to_json_string"),
    // arrays
    f("ARRAY", 0, MANY, Common, "array"),
    f("ARRAY_APPEND", 2, 2, ArrayArg(0), "array_append"),
    f("ARRAY_CONCAT", 1, MANY, ArrayArg(0), "array_concat"),
    f("ARRAY_CONTAINS", 2, 2, Boolean, "array_contains"),
    f("ARRAY_LENGTH", 1, 1, Integer, "array_length"),
    f("ARRAY_OFFSET", 2, 2, Element(0), "array_offset"),
    f("ARRAY_OFFSET_OF", 2, 2, Integer, "array_offset_of"),
    f("ARRAY_ORDINAL", 2, 2, Element(0), "array_ordinal"),
    f("ARRAY_ORDINAL_OF", 2, 2, Integer, "array_ordinal_of"),
    f("ARRAY_OVERLAP", 2, 2, Boolean, "array_overlap"),
    f("ARRAY_PREPEND", 2, 2, ArrayArg(1), "array_prepend"),
    f("ARRAY_SLICE", 2, 3, ArrayArg(0), "array_slice"),
    f("ARRAY_TO_MV", 1, 1, Varchar, "array_to_mv"),
    f("ARRAY_TO_STRING", 2, 2, Varchar, "array_to_string"),
    f("ARRAY_QUANTILE", 2, 2, Double, "array_quantile"),
    f("SCALAR_IN_ARRAY", 2, 2, Boolean, "scalar_in_array"),
    f("STRING_TO_ARRAY", 2, 2, Texts, "string_to_array"),
    // multi-value strings
    s("MV_FILTER_ONLY", 2, 2, Varchar),
    s("MV_FILTER_NONE", 2, 2, Varchar),
    s("MV_FILTER_REGEX", 2, 2, Varchar),
    s("MV_FILTER_PREFIX", 2, 2, Varchar),
    f("MV_LENGTH", 1, 1, Integer, "array_length"),
    f("MV_CONTAINS", 2, 2, Boolean, "mv_contains"),
    f("MV_OVERLAP", 2, 2, Boolean, "mv_overlap"),
    f("MV_OFFSET", 2, 2, Varchar, "array_offset"),
    f("MV_OFFSET_OF", 2, 2, Integer, "array_offset_of"),
    f("MV_ORDINAL", 2, 2, Varchar, "array_ordinal"),
    f("MV_ORDINAL_OF", 2, 2, Integer, "array_ordinal_of"),
    f("MV_PREPEND", 2, 2, Varchar, "array_prepend"),
    f("MV_APPEND", 2, 2, Varchar, "array_append"),
    f("MV_CONCAT", 2, 2, Varchar, "array_concat"),
    f("MV_SLICE", 2, 3, Varchar, "array_slice"),
    f("MV_TO_STRING", 2, 2, Varchar, "array_to_string"),
    f("STRING_TO_MV", 2, 2, Varchar, "string_to_array"),
    f("MV_TO_ARRAY", 1, 1, Texts, "mv_to_array"),
    // complex values
    s("DECODE_BASE64_COMPLEX", 2, 2, Json),
    // sketches after aggregation
    s("HLL_SKETCH_ESTIMATE", 1, 2, Double),
    s("HLL_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS", 1, 2, Doubles),
    s("HLL_SKETCH_UNION", 2, MANY, Json),
    s("HLL_SKETCH_TO_STRING", 1, 1, Varchar),
    s("THETA_SKETCH_ESTIMATE", 1, 1, Double),
    s("THETA_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS", 2, 2, Json),
    s("THETA_SKETCH_UNION", 2, MANY, Json),
    s("THETA_SKETCH_INTERSECT", 2, MANY, Json),
    s("THETA_SKETCH_NOT", 2, MANY, Json),
    s("DS_GET_QUANTILE", 2, 2, Double),
    s("DS_GET_QUANTILES", 2, MANY, Doubles),
    s("DS_HISTOGRAM", 2, MANY, Doubles),
    s("DS_CDF", 2, MANY, Doubles),
    s("DS_RANK", 2, 2, Double),
    s("DS_QUANTILE_SUMMARY", 1, 1, Varchar),
    s("DS_TUPLE_DOUBLES_METRICS_SUM_ESTIMATE", 1, 1, Doubles),
    s("DS_TUPLE_DOUBLES_INTERSECT", 2, MANY, Json),
    s("DS_TUPLE_DOUBLES_NOT", 2, MANY, Json),
    s("DS_TUPLE_DOUBLES_UNION", 2, MANY, Json),
];

/// Other spellings.
pub static ALIASES: &[(&str, &str)] = &[
    ("CEILING", "CEIL"),
    ("POW", "POWER"),
    ("TRUNC", "TRUNCATE"),
    ("CHAR_LENGTH", "LENGTH"),
    ("CHARACTER_LENGTH", "LENGTH"),
    ("STRLEN", "LENGTH"),
    ("SUBSTR", "SUBSTRING"),
    ("NVL", "COALESCE"),
    ("IFNULL", "COALESCE"),
    ("COMPLEX_DECODE_BASE64", "DECODE_BASE64_COMPLEX"),
];

/// The function of this upper-case name.
pub fn find(name: &str) -> Option<&'static Function> {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    static MAP: OnceLock<HashMap<&'static str, &'static Function>> = OnceLock::new();
    let map = MAP.get_or_init(|| {
        let mut map: HashMap<_, _> = FUNCTIONS.iter().map(|function| (function.name, function)).collect();
        for (alias, name) in ALIASES {
            if let Some(function) = map.get(name).copied() {
                map.insert(alias, function);
            }
        }
        map
    });
    map.get(name).copied()
}

/// The aggregate functions.
pub static AGGREGATES: &[&str] = &[
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVG",
    "APPROX_COUNT_DISTINCT",
    "APPROX_COUNT_DISTINCT_BUILTIN",
    "EARLIEST",
    "EARLIEST_BY",
    "LATEST",
    "LATEST_BY",
    "ANY_VALUE",
    "GROUPING",
    "ARRAY_AGG",
    "ARRAY_CONCAT_AGG",
    "STRING_AGG",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "VAR_POP",
    "VAR_SAMP",
    "VARIANCE",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "STDDEV",
    "APPROX_COUNT_DISTINCT_DS_HLL",
    "DS_HLL",
    "APPROX_COUNT_DISTINCT_DS_THETA",
    "DS_THETA",
    "APPROX_QUANTILE_DS",
    "DS_QUANTILES_SKETCH",
    "DS_TUPLE_DOUBLES",
    "APPROX_QUANTILE",
    "APPROX_QUANTILE_FIXED_BUCKETS",
    "BLOOM_FILTER",
    "APPROX_COUNT_DISTINCT_DS_HLL_UTF8",
    "BITMAP64_EXACT_COUNT",
    "TDIGEST_GENERATE_SKETCH",
    "TDIGEST_QUANTILE",
    "SPECTATOR_COUNT",
    "SPECTATOR_PERCENTILE",
    "BIG_SUM",
    "BIG_MIN",
    "BIG_MAX",
    "SINGLE_VALUE",
];

/// The aggregate functions by upper-case name, with the name they go by from here on.
pub fn find_aggregate(name: &str) -> Option<&'static str> {
    if name == "LISTAGG" {
        return Some("STRING_AGG");
    }
    AGGREGATES.iter().find(|known| **known == name).copied()
}

/// Functions that only make sense with OVER.
pub static WINDOW_FUNCTIONS: &[&str] = &[
    "ROW_NUMBER",
    "RANK",
    "DENSE_RANK",
    "PERCENT_RANK",
    "CUME_DIST",
    "NTILE",
    "LAG",
    "LEAD",
    "FIRST_VALUE",
    "LAST_VALUE",
    "NTH_VALUE",
];

/// The window function of this upper-case name.
pub fn find_window(name: &str) -> Option<&'static str> {
    WINDOW_FUNCTIONS.iter().find(|known| **known == name).copied()
}

impl Function {
    /// The type of the result for these argument types; `None` when they have no common type.
    pub fn result_type(&self, args: &[SqlType]) -> Option<SqlType> {
        let complex = |name: &str| SqlType::Complex(name.into());
        Some(match self.returns {
            Varchar => SqlType::Varchar,
            Bigint => SqlType::Bigint,
            Integer => SqlType::Integer,
            Char => SqlType::Char,
            Text(n) => match args.get(n) {
                Some(SqlType::Char) => SqlType::Char,
                Some(SqlType::Null) => SqlType::Null,
                _ => SqlType::Varchar,
            },
            Reduced => reduced(args),
            Double => SqlType::Double,
            Boolean => SqlType::Boolean,
            Timestamp => SqlType::Timestamp,
            Json => match self.name {
                "HLL_SKETCH_UNION" => complex("HLLSketch"),
                "THETA_SKETCH_UNION" | "THETA_SKETCH_INTERSECT" | "THETA_SKETCH_NOT" => complex("thetaSketch"),
                name if name.starts_with("DS_TUPLE") => complex("arrayOfDoublesSketch"),
                _ => complex("json"),
            },
            Arg(n) => args.get(n).cloned().unwrap_or(SqlType::Null),
            Number => match args.first() {
                Some(t) if t.is_numeric() => t.clone(),
                _ => SqlType::Double,
            },
            Common => {
                let mut result = SqlType::Null;
                for t in args {
                    let mixed = (result.is_text() != t.is_text()) && result != SqlType::Null && *t != SqlType::Null;
                    if self.name == "ARRAY" && mixed && result != SqlType::Any && *t != SqlType::Any {
                        return None;
                    }
                    result = result.common(t)?;
                }
                if self.name == "ARRAY" { SqlType::Array(Box::new(result)) } else { result }
            }
            Texts => SqlType::Array(Box::new(SqlType::Varchar)),
            Element(n) => match args.get(n) {
                Some(SqlType::Array(element)) => element.as_ref().clone(),
                _ => SqlType::Varchar,
            },
            ArrayArg(n) => match args.get(n) {
                Some(SqlType::Array(element)) => SqlType::Array(element.clone()),
                Some(other) => SqlType::Array(Box::new(other.clone())),
                None => SqlType::Array(Box::new(SqlType::Varchar)),
            },
            Doubles => SqlType::Array(Box::new(SqlType::Double)),
            JsonArray => SqlType::Array(Box::new(complex("json"))),
        })
    }
}

/// The type of GREATEST and LEAST (`ReductionOperatorConversionHelper`).
fn reduced(args: &[SqlType]) -> SqlType {
    let known: Vec<&SqlType> = args.iter().filter(|t| **t != SqlType::Null).collect();
    let texts: Vec<&&SqlType> = known.iter().filter(|t| t.is_text() || **t == &SqlType::Any).collect();
    if known.is_empty() {
        SqlType::Null
    } else if !texts.is_empty() {
        if texts.iter().all(|t| ***t == SqlType::Char) { SqlType::Char } else { SqlType::Varchar }
    } else if known.iter().any(|t| t.is_approximate()) {
        SqlType::Double
    } else {
        SqlType::Bigint
    }
}
