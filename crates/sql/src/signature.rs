//! What operands each function takes, as Druid's operand checkers have it, and the error texts that name them
//! (`DefaultOperandTypeChecker`, Calcite's `OperandTypes`). Called by the binder before a call is made.

use std::collections::HashMap;
use std::sync::OnceLock;

use ovate_base::Result;
use ovate_compute::Value;

use crate::bind::error_at;
use crate::parse::ast::Pos;
use crate::plan::Rex;
use crate::types::SqlType;

/// One function: its name, its operands and the forms that an error shows; none of those, and they are made of the
/// operands. An operand is a letter of `Family` with marks: `~` takes what converts to it, `?` may be NULL, `!` is a
/// literal, `-` refuses NULL as a wrong type. `[` begins those that may be left out, `*` at the end repeats the last.
struct Signature(&'static str, &'static str, &'static str);

const SIGNATURES: &[Signature] = &[
    Signature("ABS", "n~", "'ABS(<NUMERIC>)'\n'ABS(<DATETIME_INTERVAL>)'"),
    Signature("EXP", "N~", ""),
    Signature("LN", "N~", ""),
    Signature("LOG10", "N~", ""),
    Signature("SQRT", "N~", ""),
    Signature("SIN", "N~", ""),
    Signature("COS", "N~", ""),
    Signature("TAN", "N~", ""),
    Signature("COT", "N~", ""),
    Signature("ASIN", "N~", ""),
    Signature("ACOS", "N~", ""),
    Signature("ATAN", "N~", ""),
    Signature("DEGREES", "N~", ""),
    Signature("RADIANS", "N~", ""),
    Signature("POWER", "N~ N~", ""),
    Signature("ATAN2", "N~ N~", ""),
    Signature("MOD", "N~ N~", "'MOD(<EXACT_NUMERIC>, <EXACT_NUMERIC>)'"),
    Signature("DIV", "N~ N~", "'DIV(<NUMERIC>, <NUMERIC>)'\n'DIV(<DATETIME_INTERVAL>, <NUMERIC>)'"),
    Signature("SAFE_DIVIDE", "N N", ""),
    Signature("ROUND", "N~ [I~", "'ROUND(<NUMERIC>)'\nROUND(<NUMERIC>, <INTEGER>)"),
    Signature("TRUNCATE", "N [I", ""),
    Signature("BITWISE_AND", "N N", ""),
    Signature("BITWISE_OR", "N N", ""),
    Signature("BITWISE_XOR", "N N", ""),
    Signature("BITWISE_SHIFT_LEFT", "N N", ""),
    Signature("BITWISE_SHIFT_RIGHT", "N N", ""),
    Signature("BITWISE_COMPLEMENT", "N", ""),
    Signature("BITWISE_CONVERT_DOUBLE_TO_LONG_BITS", "N", ""),
    Signature("BITWISE_CONVERT_LONG_BITS_TO_DOUBLE", "N", ""),
    Signature("HUMAN_READABLE_BINARY_BYTE_FORMAT", "N- [I", "HUMAN_READABLE_BINARY_BYTE_FORMAT(Number, [Precision])"),
    Signature("HUMAN_READABLE_DECIMAL_BYTE_FORMAT", "N- [I", "HUMAN_READABLE_DECIMAL_BYTE_FORMAT(Number, [Precision])"),
    Signature("HUMAN_READABLE_DECIMAL_FORMAT", "N- [I", "HUMAN_READABLE_DECIMAL_FORMAT(Number, [Precision])"),
    Signature("TEXTCAT", "C C", ""),
    Signature("CONTAINS_STRING", "C C!", ""),
    Signature("ICONTAINS_STRING", "C C!", ""),
    Signature("DECODE_BASE64_UTF8", "C", ""),
    Signature("LEFT", "C I", ""),
    Signature("RIGHT", "C I", ""),
    Signature("LENGTH", "C~", ""),
    Signature("LOOKUP", "C C! [C!", "'LOOKUP(<expr>, <lookupName>, [<replaceMissingValueWith>])'"),
    Signature("LOWER", "C~", ""),
    Signature("UPPER", "C~", ""),
    Signature("LPAD", "C I [C", ""),
    Signature("RPAD", "C I [C", ""),
    Signature("PARSE_LONG", "C [I?", ""),
    Signature("STRPOS", "C C", ""),
    Signature("REGEXP_EXTRACT", "C C! [I!", ""),
    Signature("REGEXP_LIKE", "C C!", ""),
    Signature("REPEAT", "C I", ""),
    Signature("REVERSE", "C", ""),
    Signature("STRING_FORMAT", "C- [* *", "STRING_FORMAT(CHARACTER, [ANY, ...])"),
    Signature("SUBSTRING", "C I [I", ""),
    Signature("BTRIM", "C [C?", ""),
    Signature("LTRIM", "C [C?", ""),
    Signature("RTRIM", "C [C?", ""),
    Signature("DATE_TRUNC", "C! T", ""),
    Signature("TIME_FLOOR", "T C [T? [C?", "'TIME_FLOOR(<TIMESTAMP>, <CHARACTER>, [<TIMESTAMP>, [<CHARACTER>]])'"),
    Signature("TIME_CEIL", "T C [T? [C?", "'TIME_CEIL(<TIMESTAMP>, <CHARACTER>, [<TIMESTAMP>, [<CHARACTER>]])'"),
    Signature("TIME_SHIFT", "T C I [C", ""),
    Signature("TIME_EXTRACT", "T C [C?", ""),
    Signature("TIME_PARSE", "C [C? [C?", "'TIME_PARSE(<CHARACTER>, [<CHARACTER>, [<CHARACTER>]])'"),
    Signature("TIME_FORMAT", "T [C? [C?", "'TIME_FORMAT(<TIMESTAMP>, [<CHARACTER>, [<CHARACTER>]])'"),
    Signature("TIME_IN_INTERVAL", "T C!", "'TIME_IN_INTERVAL(<timestamp>, <interval>)'"),
    Signature("MILLIS_TO_TIMESTAMP", "X", ""),
    Signature("TIMESTAMP_TO_MILLIS", "T", ""),
    Signature("TIMESTAMPADD", "*? I~ D?", "'TIMESTAMPADD(<ANY>, <INTEGER>, <DATETIME>)'"),
    Signature("TIMESTAMPDIFF", "*? D? D?", "'TIMESTAMPDIFF(<ANY>, <DATETIME>, <DATETIME>)'"),
    Signature("IPV4_MATCH", "Q? C!", "'IPV4_MATCH(expr, string)'"),
    Signature("IPV4_PARSE", "M?", "'IPV4_PARSE(<STRING>)'\n'IPV4_PARSE(<INTEGER>)'"),
    Signature("IPV4_STRINGIFY", "M?", "'IPV4_STRINGIFY(<INTEGER>)'\n'IPV4_STRINGIFY(<STRING>)'"),
    Signature("IPV6_MATCH", "M? M?", "'IPV6_MATCH(expr, string)'"),
    Signature("PARSE_JSON", "C", "'PARSE_JSON(<STRING>)'"),
    Signature("TRY_PARSE_JSON", "C", "'TRY_PARSE_JSON(<STRING>)'"),
    Signature("JSON_KEYS", "*? C!", "'JSON_KEYS(<expr>, <path>)'"),
    Signature("JSON_QUERY", "*? C~", "'JSON_QUERY(<ANY>, <CHARACTER>, <ANY>, <ANY>, <ANY>)'"),
    Signature("JSON_QUERY_ARRAY", "*? C~", "'JSON_QUERY_ARRAY(<ANY>, <CHARACTER>)'"),
    Signature(
        "JSON_VALUE",
        "*? C~",
        "JSON_VALUE(json_doc, path [RETURNING type] [{NULL | ERROR | DEFAULT value} ON EMPTY] [{NULL | ERROR | DEFAULT value} ON ERROR])",
    ),
    Signature("ARRAY_APPEND", "S? K?", "'ARRAY_APPEND(array, expr)'"),
    Signature("ARRAY_CONCAT", "S? S? *", "'ARRAY_CONCAT(array, array)'"),
    Signature("ARRAY_CONTAINS", "S? V?", "'ARRAY_CONTAINS(array, array)'"),
    Signature("ARRAY_LENGTH", "P?", "'ARRAY_LENGTH(<ARRAY>)'\n'ARRAY_LENGTH(<STRING>)'"),
    Signature("ARRAY_OFFSET", "S? N?", "'ARRAY_OFFSET(array, expr)'"),
    Signature("ARRAY_OFFSET_OF", "S? *?", "'ARRAY_OFFSET_OF(array, expr)'"),
    Signature("ARRAY_ORDINAL", "S? N?", "'ARRAY_ORDINAL(array, expr)'"),
    Signature("ARRAY_ORDINAL_OF", "S? *?", "'ARRAY_ORDINAL_OF(array, expr)'"),
    Signature("ARRAY_OVERLAP", "S? S?", "'ARRAY_OVERLAP(array, array)'"),
    Signature("ARRAY_PREPEND", "K? S?", "'ARRAY_PREPEND(expr, array)'"),
    Signature("ARRAY_SLICE", "S? N? [N?", "'ARRAY_SLICE(expr, start)'\n'ARRAY_SLICE(expr, start, end)'"),
    Signature("ARRAY_TO_MV", "P?", "'ARRAY_TO_MV(<STRING>)'\n'ARRAY_TO_MV(<ARRAY>)'"),
    Signature("ARRAY_TO_STRING", "S? *?", "'ARRAY_TO_STRING(array, expr)'"),
    Signature("ARRAY_QUANTILE", "A N!", ""),
    Signature("SCALAR_IN_ARRAY", "K? A?", "'SCALAR_IN_ARRAY(expr, array)'"),
    Signature("STRING_TO_ARRAY", "M? M?", "'STRING_TO_ARRAY(string, expr)'"),
    Signature("MV_FILTER_ONLY", "M? A?", "'MV_FILTER_ONLY(string, array)'"),
    Signature("MV_FILTER_NONE", "M? A?", "'MV_FILTER_NONE(string, array)'"),
    Signature("MV_LENGTH", "P?", "'MV_LENGTH(<ARRAY>)'\n'MV_LENGTH(<STRING>)'"),
    Signature("MV_CONTAINS", "S? V?", "'MV_CONTAINS(array, array)'"),
    Signature("MV_OVERLAP", "S? V?", "'MV_OVERLAP(array, array)'"),
    Signature("MV_OFFSET", "S? N?", "'MV_OFFSET(array, expr)'"),
    Signature("MV_OFFSET_OF", "S? *?", "'ARRAY_OFFSET_OF(array, expr)'"),
    Signature("MV_ORDINAL", "S? N?", "'MV_ORDINAL(array, expr)'"),
    Signature("MV_ORDINAL_OF", "S? *?", "'ARRAY_ORDINAL_OF(array, expr)'"),
    Signature("MV_PREPEND", "C? S?", "'MV_PREPEND(expr, array)'"),
    Signature("MV_APPEND", "S? C?", "'MV_APPEND(array, expr)'"),
    Signature("MV_CONCAT", "S? S?", "'MV_CONCAT(array, array)'"),
    Signature("MV_SLICE", "S? N? [N?", "'MV_SLICE(expr, start)'\n'MV_SLICE(expr, start, end)'"),
    Signature("MV_TO_STRING", "S? *?", "'ARRAY_TO_STRING(array, expr)'"),
    Signature("MV_TO_ARRAY", "P?", "'MV_TO_ARRAY(<STRING>)'\n'MV_TO_ARRAY(<ARRAY>)'"),
    Signature("STRING_TO_MV", "M? M?", "'STRING_TO_MV(string, expr)'"),
    Signature("DECODE_BASE64_COMPLEX", "C! *?", "'DECODE_BASE64_COMPLEX(<typeName>, <base64>)'"),
    Signature("HLL_SKETCH_ESTIMATE", "*? [B", ""),
    // aggregates
    Signature("SUM", "N~", ""),
    Signature("AVG", "N~", ""),
    Signature("MIN", "O?", "'MIN(<COMPARABLE_TYPE>)'"),
    Signature("MAX", "O?", "'MAX(<COMPARABLE_TYPE>)'"),
    Signature("ARRAY_CONCAT_AGG", "A? [I!", "'ARRAY_CONCAT_AGG(<ARRAY>)'\n'ARRAY_CONCAT_AGG(expr, maxSizeBytes)'"),
    Signature("STRING_AGG", "*? *? [*?", ""),
    Signature("BIT_AND", "i~", "'BIT_AND(<INTEGER>)'\n'BIT_AND(<BINARY>)'"),
    Signature("BIT_OR", "i~", "'BIT_OR(<INTEGER>)'\n'BIT_OR(<BINARY>)'"),
    Signature("BIT_XOR", "i~", "'BIT_XOR(<INTEGER>)'\n'BIT_XOR(<BINARY>)'"),
    Signature("EARLIEST_BY", "*? T [N!", "'EARLIEST_BY(<expr>, <timeColumn>, [<maxBytesPerString>])'"),
    Signature("LATEST_BY", "*? T [N!", "'LATEST_BY(<expr>, <timeColumn>, [<maxBytesPerString>])'"),
];

/// One operand of a signature.
#[derive(Clone, Copy)]
struct Operand {
    family: char,
    converts: bool,
    nullable: bool,
    literal: bool,
    null_is_wrong: bool,
}

struct Checker {
    operands: Vec<Operand>,
    required: usize,
    repeats: bool,
    forms: &'static str,
}

fn checkers() -> &'static HashMap<&'static str, Checker> {
    static MAP: OnceLock<HashMap<&'static str, Checker>> = OnceLock::new();
    MAP.get_or_init(|| {
        let parse = |signature: &Signature| {
            let mut checker = Checker { operands: Vec::new(), required: 0, repeats: false, forms: signature.2 };
            let mut optional = false;
            for word in signature.1.split(' ') {
                if word == "*" && !checker.operands.is_empty() {
                    checker.repeats = true;
                    continue;
                }
                let marks = word.trim_start_matches('[');
                optional |= marks.len() != word.len();
                let has = |mark: char| marks.contains(mark);
                let family = marks.chars().next().unwrap_or('*');
                checker.operands.push(Operand {
                    family,
                    converts: has('~'),
                    nullable: has('?') || has('~') || family == '*',
                    literal: has('!'),
                    null_is_wrong: has('-'),
                });
                checker.required += usize::from(!optional);
            }
            (signature.0, checker)
        };
        SIGNATURES.iter().map(parse).collect()
    })
}

impl Operand {
    fn takes(self, t: &SqlType) -> bool {
        let atomic = t.is_text() || t.is_numeric() || t.is_time() || *t == SqlType::Boolean;
        if *t == SqlType::Any {
            return true;
        }
        match self.family {
            'N' | 'n' => t.is_numeric() || self.converts && t.is_text() || self.family == 'n' && t.is_interval(),
            'I' => t.is_integer() || self.converts && (t.is_text()),
            'i' => t.is_integer() || t.is_text(),
            'X' => t.is_integer() || *t == SqlType::Decimal,
            'C' => t.is_text() || self.converts && atomic,
            'T' => *t == SqlType::Timestamp,
            'D' => t.is_time(),
            'B' => *t == SqlType::Boolean,
            'A' => matches!(t, SqlType::Array(_)),
            'S' => matches!(t, SqlType::Array(_)) || t.is_text(),
            'K' => t.is_text() || t.is_numeric(),
            'V' => matches!(t, SqlType::Array(_)) || t.is_text() || t.is_numeric(),
            'P' => matches!(t, SqlType::Array(_)) || atomic,
            'M' => atomic,
            'Q' => t.is_text() || t.is_integer(),
            'O' => !matches!(t, SqlType::Complex(_)),
            _ => true,
        }
    }

    fn shown(self) -> &'static str {
        match self.family {
            'N' | 'n' => "<NUMERIC>",
            'I' | 'i' => "<INTEGER>",
            'X' => "<EXACT_NUMERIC>",
            'C' => "<CHARACTER>",
            'T' => "<TIMESTAMP>",
            'D' => "<DATETIME>",
            'B' => "<BOOLEAN>",
            'A' => "<ARRAY>",
            _ => "<ANY>",
        }
    }
}

impl Checker {
    fn shown(&self, name: &str) -> String {
        if !self.forms.is_empty() {
            return self.forms.to_owned();
        }
        let word = |(i, operand): (usize, &Operand)| {
            if i < self.required { operand.shown().to_owned() } else { format!("[{}]", operand.shown()) }
        };
        let list: Vec<String> = self.operands.iter().enumerate().map(word).collect();
        format!("'{name}({})'", list.join(", "))
    }
}

/// Refuses a call whose operands do not fit; `name` is the function, `written` the name in the text.
pub fn check(name: &str, written: &str, args: &[Rex], places: &[Pos], pos: Pos) -> Result<()> {
    let Some(checker) = checkers().get(name) else { return Ok(()) };
    let most = if checker.repeats { usize::MAX } else { checker.operands.len() };
    if args.len() < checker.required || args.len() > most {
        return Err(wrong_count(written, checker.required, pos));
    }
    let last = checker.operands.len() - 1;
    for (i, arg) in args.iter().enumerate() {
        let operand = checker.operands[i.min(last)];
        let at = places.get(i).copied().unwrap_or(pos);
        let null = *arg.sql_type() == SqlType::Null;
        if operand.literal && !is_constant(arg) {
            return Err(error_at(format!("Argument to function '{written}' must be a literal"), at));
        }
        // A null of any type stands where NULL may.
        if operand.nullable && !operand.null_is_wrong && arg.literal().is_some_and(Value::is_null) {
            continue;
        }
        if null && !operand.null_is_wrong {
            if operand.nullable {
                continue;
            }
            return Err(error_at("Illegal use of 'NULL'", at));
        }
        if !operand.takes(arg.sql_type()) {
            return Err(refuse(written, args, &checker.shown(written), pos));
        }
    }
    Ok(())
}

/// The most that a function of this name takes by its signature; `None` when it has none.
pub fn forms(name: &str) -> Option<String> {
    checkers().get(name).map(|checker| checker.shown(name))
}

fn is_constant(rex: &Rex) -> bool {
    match rex {
        Rex::Literal(..) => true,
        Rex::Call { op: "ARRAY" | "CAST" | "NEGATE", args, .. } => args.iter().all(is_constant),
        _ => false,
    }
}

/// `Invalid number of arguments to function 'F'. Was expecting N arguments`.
pub fn wrong_count(name: &str, least: usize, pos: Pos) -> ovate_base::DruidError {
    error_at(format!("Invalid number of arguments to function '{name}'. Was expecting {least} arguments"), pos)
}

/// `Cannot apply 'F' to arguments of type 'F(<A>, <B>)'. Supported form(s): …`.
pub fn refuse(name: &str, args: &[Rex], forms: &str, pos: Pos) -> ovate_base::DruidError {
    let list: Vec<String> = args.iter().enumerate().map(|(i, arg)| format!("<{}>", operand_type(name, i, arg))).collect();
    let shape = format!("{name}({})", list.join(", "));
    refuse_shape(name, &shape, forms, pos)
}

/// The same with the call's shape given, as for infix operators.
pub fn refuse_shape(name: &str, shape: &str, forms: &str, pos: Pos) -> ovate_base::DruidError {
    let supported = if forms.is_empty() { String::new() } else { format!(". Supported form(s): {forms}") };
    error_at(format!("Cannot apply '{name}' to arguments of type '{shape}'{supported}"), pos)
}

fn operand_type(name: &str, i: usize, arg: &Rex) -> String {
    match arg {
        Rex::Literal(Value::String(unit), _) if name.starts_with("TIMESTAMP") && i == 0 => format!("INTERVAL {unit}"),
        _ => type_text(arg),
    }
}

/// The type of an operand as Calcite prints it: literals of text with their length, complex types in upper case.
pub fn type_text(rex: &Rex) -> String {
    match (rex, rex.sql_type()) {
        (Rex::Literal(Value::String(text), _), SqlType::Char) => format!("CHAR({})", text.chars().count().max(1)),
        (Rex::Call { op: "ARRAY", args, .. }, SqlType::Array(element)) if **element == SqlType::Char => {
            let length = args.iter().filter_map(Rex::literal_text).map(|t| t.chars().count()).max().unwrap_or(1);
            format!("CHAR({length}) ARRAY")
        }
        (Rex::Literal(Value::Double(v), _), SqlType::Decimal) => {
            let text = format!("{}", v.abs());
            let scale = text.split_once('.').map_or(0, |(_, digits)| digits.len());
            let precision = text.trim_start_matches('0').chars().filter(char::is_ascii_digit).count().max(1);
            format!("DECIMAL({precision}, {scale})")
        }
        (Rex::Literal(..), SqlType::Timestamp) => "TIMESTAMP(0)".to_owned(),
        (_, SqlType::IntervalDay) => "INTERVAL DAY".to_owned(),
        (_, SqlType::IntervalMonth) => "INTERVAL MONTH".to_owned(),
        (_, t @ SqlType::Complex(_)) => t.to_string().to_uppercase(),
        (_, t) => t.to_string(),
    }
}

/// `<CHARACTER>`, for functions that nobody knows.
pub fn family_of(rex: &Rex) -> String {
    match rex.sql_type() {
        SqlType::Array(_) => format!("<{}>", type_text(rex)),
        t => format!("<{}>", family_text(t)),
    }
}

/// The family of a type as in `No match found for function signature F(<CHARACTER>)`.
fn family_text(t: &SqlType) -> String {
    match t {
        t if t.is_text() => "CHARACTER".to_owned(),
        t if t.is_numeric() => "NUMERIC".to_owned(),
        SqlType::Timestamp => "TIMESTAMP".to_owned(),
        SqlType::IntervalDay | SqlType::IntervalMonth => "INTERVAL_DAY_TIME".to_owned(),
        other => other.to_string(),
    }
}
