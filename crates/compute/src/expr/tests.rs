//! Facts about expressions: each family with Druid's answers; batches against rows on random expressions.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Expr;
use crate::column::{ColumnSource, MemoryTable, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

fn row(name: &str) -> Value {
    match name {
        "x" => Value::Long(4),
        "y" => Value::Double(2.5),
        "z" => Value::Long(-1),
        "s" => Value::from("hello"),
        "a" => Value::Array(Arc::from([Value::Long(1), Value::Long(2), Value::Long(3)])),
        "b" => Value::Array(Arc::from([Value::from("foo"), Value::from("bar")])),
        "t" => Value::Long(949_363_199_123),
        "j" => Value::Json(Arc::new(serde_json::json!({"x": 100, "y": 200.5, "z": {"a": ["p", "q"]}, "b": true, "n": null}))),
        _ => Value::Null,
    }
}

/// Text of the answer: strings in quotes, nulls as `null`, arrays in brackets.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("'{text}'"),
        Value::Array(elements) => format!("[{}]", elements.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => other.as_text().unwrap().to_string(),
    }
}

fn check(cases: &[(&str, &str)]) {
    let mut lookup = std::collections::HashMap::new();
    lookup.insert("hello".to_owned(), "world".to_owned());
    let mut context = EvalContext::at(1_000);
    context.lookups = Arc::new([("l".to_owned(), Arc::new(lookup))].into_iter().collect());
    for (text, expected) in cases {
        let answer = Expr::parse(text).and_then(|expression| expression.eval_row(&row, &context));
        let shown = answer.map_or_else(|error| format!("error: {error}"), |value| show(&value));
        assert_eq!(shown, *expected, "{text}");
        // What is printed parses to the same answer.
        if let Ok(expression) = Expr::parse(text) {
            let again = Expr::parse(&expression.to_string()).unwrap().eval_row(&row, &context);
            assert_eq!(again.map_or_else(|error| format!("error: {error}"), |value| show(&value)), *expected, "{expression}");
        }
    }
}

#[test]
fn operators_follow_druids_precedence_and_types() {
    check(&[
        ("1 + 2 * 3", "7"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ^ 2", "4"),
        ("7 / 2", "3"),
        ("7 / 2.0", "3.5"),
        ("-7 % 3", "-1"),
        ("x / 0", "error: / by zero"),
        ("x / 0.0", "Infinity"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        ("'a' + 'b'", "'ab'"),
        ("'3' + 4", "7.0"),
        ("'q' + 4", "null"),
        ("x + missing", "null"),
        ("x > 3 && y < 2", "0"),
        ("x > 3 || missing", "1"),
        ("missing && x < 3", "0"),
        ("missing || x < 3", "null"),
        ("!missing", "null"),
        ("!(x == 4)", "0"),
        ("z && 1", "0"),
        ("1 || 0 && 0", "0"),
        ("'10' < '9'", "1"),
        ("'10' < 9", "0"),
        ("s == 'hello'", "1"),
        ("\"x\" + 1", "5"),
        ("[1, 2] == [1, 2]", "1"),
        ("ARRAY<LONG>[1, null]", "[1, null]"),
        ("<DOUBLE>[1]", "[1.0]"),
        ("['a', null]", "['a', null]"),
        ("'it\\'s \\u0041'", "'it's A'"),
        ("1 + ", "error: Expression [1 + ] ends too early"),
        ("nope(1)", "error: function 'nope' is not defined."),
    ]);
}

#[test]
fn general_functions_answer_as_druids() {
    check(&[
        ("if(x > 3, 'big', 'small')", "'big'"),
        ("case_searched(missing, 1, x == 4, 2, 3)", "2"),
        ("case_simple(x, 1, 'a', 4, 'b', 'c')", "'b'"),
        ("case_simple(x, 1, 'a')", "null"),
        ("nvl(missing, 'd')", "'d'"),
        ("coalesce(missing, null, x)", "4"),
        ("cast('12.7', 'LONG')", "12"),
        ("cast('abc', 'DOUBLE')", "null"),
        ("cast(3.0, 'STRING')", "'3.0'"),
        ("cast(x, 'ARRAY<STRING>')", "['4']"),
        ("isnull(missing) + notnull(x)", "2"),
        ("isdistinctfrom(missing, null)", "0"),
        ("notdistinctfrom(x, 4)", "1"),
        ("istrue(missing)", "0"),
        ("notfalse(missing)", "1"),
        ("like(s, 'h%o')", "1"),
        ("lookup(s, 'l')", "'world'"),
        ("lookup('q', 'l', 'none')", "'none'"),
        ("greatest(1, 2.5, missing)", "2.5"),
        ("least('b', 3)", "'3'"),
        ("greatest()", "null"),
    ]);
}

#[test]
fn text_functions_answer_as_druids() {
    check(&[
        ("concat(s, ' ', x)", "'hello 4'"),
        ("concat(s, missing)", "null"),
        ("format('%s:%d', s, x)", "'hello:4'"),
        ("strlen('Ünï😀')", "5"),
        ("strpos(s, 'l')", "2"),
        ("strpos(s, 'l', 3)", "3"),
        ("strpos(s, 'q')", "-1"),
        ("substring(s, 1, 2)", "'el'"),
        ("substring(s, 1, -1)", "'ello'"),
        ("substring(s, 5, 2)", "null"),
        ("left(s, 2) + right(s, 2)", "'helo'"),
        ("lpad(s, 7, 'ab')", "'abhello'"),
        ("rpad(s, 3, 'ab')", "'hel'"),
        ("trim('  x ') + ltrim('aab', 'a')", "'xb'"),
        ("upper(s) + reverse('abc')", "'HELLOcba'"),
        ("repeat('ab', 2)", "'abab'"),
        ("repeat('ab', 0)", "null"),
        ("replace(s, 'l', 'L')", "'heLLo'"),
        ("regexp_extract(s, '(.)l', 1)", "'e'"),
        ("regexp_like(s, '^h')", "1"),
        ("regexp_replace(s, '(l+)', '<$1>')", "'he<ll>o'"),
        ("contains_string(s, 'ell') + icontains_string(s, 'ELL')", "2"),
        ("parse_long('0xff', 16)", "255"),
        ("parse_long('zz')", "null"),
        ("decode_base64_utf8('aGVsbG8=')", "'hello'"),
    ]);
}

#[test]
fn time_functions_answer_as_druids() {
    check(&[
        ("timestamp_floor(t, 'P1D')", "949276800000"),
        ("timestamp_ceil(t, 'P1D')", "949363200000"),
        ("timestamp_floor(t, 'P1D', null, 'America/Los_Angeles')", "949305600000"),
        ("timestamp_shift(t, 'P1M', 1)", "951868799123"),
        ("timestamp_extract(t, 'YEAR') * 100 + timestamp_extract(t, 'MONTH')", "200001"),
        ("timestamp_extract(t, 'DOW')", "1"),
        ("timestamp_extract(t, 'CENTURY')", "20"),
        ("timestamp_format(t, 'yyyy-MM-dd', 'UTC')", "'2000-01-31'"),
        ("timestamp_format(t)", "'2000-01-31T23:59:59.123Z'"),
        ("timestamp_parse('2000-02-01 02:03:04')", "949370584000"),
        ("timestamp_parse('nope')", "null"),
        ("timestamp('2000-02-01')", "949363200000"),
        ("unix_timestamp('2000-02-01')", "949363200"),
        ("subtract_months(timestamp('2000-05-01'), timestamp('2000-01-01'), 'UTC')", "4"),
        ("now()", "1000"),
    ]);
}

#[test]
fn mathematical_functions_answer_as_javas() {
    check(&[
        ("abs(z)", "1"),
        ("ceil(y) + floor(y)", "5.0"),
        ("round(2.5)", "3.0"),
        ("round(-1.005, 2)", "-1.01"),
        ("round(1250, -2)", "1300"),
        ("max(1, 2.0)", "2.0"),
        ("div(7, 2)", "3"),
        ("safe_divide(7, 0)", "null"),
        ("safe_divide(0.0, 0)", "0.0"),
        ("safe_divide(7.0, 2)", "3.5"),
        ("remainder(5, 3)", "-1.0"),
        ("pow(2, 10)", "1024.0"),
        ("sqrt('16')", "4.0"),
        ("sqrt('x')", "null"),
        ("bitwiseAnd(6, 3) + bitwiseOr(6, 3) + bitwiseXor(6, 3)", "14"),
        ("bitwiseShiftLeft(1, 4) + bitwiseComplement(0)", "15"),
        ("bitwiseConvertLongBitsToDouble(bitwiseConvertDoubleToLongBits(1.5))", "1.5"),
        ("pi()", "3.141592653589793"),
        ("getExponent(8.0)", "3"),
        ("scalb(3, 2)", "12.0"),
        ("rint(2.5) + signum(-3.0)", "1.0"),
    ]);
}

#[test]
fn array_functions_answer_as_druids() {
    check(&[
        ("array(1, 2.0)", "[1.0, 2.0]"),
        ("array_length(a)", "3"),
        ("array_offset(a, 2) + array_ordinal(a, 1)", "4"),
        ("array_offset(a, 3)", "null"),
        ("array_contains(a, 2) + array_contains(a, [1, 3])", "2"),
        ("array_overlap(b, ['bar', 'q'])", "1"),
        ("scalar_in_array(x, [4, 5])", "1"),
        ("array_offset_of(b, 'bar')", "1"),
        ("array_ordinal_of(b, 'q')", "null"),
        ("array_prepend(0, a)", "[0, 1, 2, 3]"),
        ("array_append(b, 'c')", "['foo', 'bar', 'c']"),
        ("array_concat(a, [9])", "[1, 2, 3, 9]"),
        ("array_concat(missing, [9])", "null"),
        ("mv_contains(missing, 'a') + mv_contains(missing, null)", "1"),
        ("mv_overlap(missing, ['a'])", "null"),
        ("array_set_add([3, 1], 2)", "[1, 2, 3]"),
        ("array_slice(a, 1, 3)", "[2, 3]"),
        ("array_slice(a, 2, 5)", "[3, null, null]"),
        ("array_to_string(b, ',')", "'foo,bar'"),
        ("string_to_array('a,b,,', ',')", "['a', 'b']"),
        ("map((v) -> v * 2, a)", "[2, 4, 6]"),
        ("map(v -> v + x, a)", "[5, 6, 7]"),
        ("cartesian_map((v, w) -> concat(v, w), b, ['1', '2'])", "['foo1', 'foo2', 'bar1', 'bar2']"),
        ("filter((v) -> v > 1, a)", "[2, 3]"),
        ("fold((v, acc) -> v + acc, a, 10)", "16"),
        ("cartesian_fold((v, w, acc) -> v * w + acc, a, a, 0)", "36"),
        ("any((v) -> v > 2, a) + all((v) -> v > 2, a)", "1"),
    ]);
}

#[test]
fn json_functions_answer_as_druids() {
    check(&[
        ("json_value(j, '$.x')", "100"),
        ("json_value(j, '$.y', 'LONG')", "200"),
        ("json_value(j, '$.z.a[1]')", "'q'"),
        ("json_value(j, '$.z')", "null"),
        ("json_value(j, '$.n')", "null"),
        ("to_json_string(json_query(j, '$.z'))", "'{\"a\":[\"p\",\"q\"]}'"),
        ("json_keys(j, '$.')", "['x', 'y', 'z', 'b', 'n']"),
        ("to_json_string(missing)", "null"),
        ("cast(json_query(j, '$.z'), 'LONG')", "null"),
        ("json_query(j, '$.z') + 1", "null"),
        ("if(json_query(j, '$.z.a'), 1, 2)", "2"),
        ("json_value(parse_json('[true, \"a\", 1]'), '$')", "['true', 'a', '1']"),
        ("json_paths(j)", "['$.b', '$.x', '$.y', '$.z.a', '$.n']"),
        ("to_json_string(json_object('a', x, 'b', array(1, 2)))", "'{\"a\":4,\"b\":[1,2]}'"),
        ("to_json_string(json_merge('{\"a\":1}', '{\"b\":2}'))", "'{\"a\":1,\"b\":2}'"),
        ("try_parse_json('{')", "null"),
        ("parse_json('{')", "error: Function[parse_json] bad string input [{]"),
        ("ipv4_match('192.168.1.1', '192.168.0.0/16') + ipv4_match(3232235777, '10.0.0.0/8')", "1"),
        ("ipv4_stringify(ipv4_parse('1.2.3.4'))", "'1.2.3.4'"),
        ("ipv6_match('2001:db8::1', '2001:db8::/32')", "1"),
        ("human_readable_binary_byte_format(1048576)", "'1.00 MiB'"),
        ("human_readable_decimal_format(-1500000, 1)", "'-1.5 M'"),
    ]);
}

/// Random columns: long, double and string with nulls.
fn columns(rng: &mut StdRng, rows: usize) -> Vec<(String, ColumnType, Vec<Value>)> {
    let null = |rng: &mut StdRng, value: Value| if rng.random_bool(0.15) { Value::Null } else { value };
    let words = ["", "1", "2.5", "ab", "abc", "Zz"];
    let mut make = |name: &str, column_type: ColumnType, one: &dyn Fn(&mut StdRng) -> Value| {
        let values = (0..rows)
            .map(|_| {
                let value = one(rng);
                null(rng, value)
            })
            .collect();
        (name.to_owned(), column_type, values)
    };
    vec![
        make("l", ColumnType::Long, &|rng| Value::Long(rng.random_range(-5..6))),
        make("d", ColumnType::Double, &|rng| Value::Double(f64::from(rng.random_range(-10..11)) / 4.0)),
        make("s", ColumnType::String, &|rng| Value::from(words[rng.random_range(0..words.len())])),
        make("u", ColumnType::String, &|rng| Value::from(words[rng.random_range(0..words.len())])),
    ]
}

fn random_expression(rng: &mut StdRng, depth: u32) -> String {
    if depth == 0 {
        return ["l", "d", "s", "3", "1.5", "'ab'", "null", "-2", "''", "u"][rng.random_range(0..10)].to_owned();
    }
    let mut e = || random_expression(rng, depth - 1);
    let parts = [e(), e(), e()];
    let [a, b, c] = parts;
    // Branches of one type: where they differ, a batch has the common type and a row that of its branch, as in Druid.
    let kind = ["LONG", "DOUBLE", "STRING"][rng.random_range(0..3)];
    let cast = |text: &str| format!("cast({text}, '{kind}')");
    let (p, q) = (cast(&b), cast(&c));
    match rng.random_range(0..20) {
        0 => format!("({a} + {b})"),
        1 => format!("({a} - {b})"),
        2 => format!("({a} * {b})"),
        3 => format!("({a} < {b})"),
        4 => format!("({a} == {b})"),
        5 => format!("({a} && {b})"),
        6 => format!("({a} || {b})"),
        7 => format!("!{a}"),
        8 => format!("if({a}, {p}, {q})"),
        9 => format!("nvl({p}, {q})"),
        10 => format!("case_searched({a}, {p}, {q})"),
        11 => format!("concat({a}, {b})"),
        12 => format!("strlen({a})"),
        13 => format!("cast({a}, 'LONG')"),
        14 => format!("cast({a}, 'DOUBLE')"),
        15 => format!("floor({a})"),
        16 => format!("isnull({a})"),
        17 => format!("upper({a})"),
        18 => format!("case_simple({a}, {b}, {q})"),
        _ => format!("if(cast({a}, 'LONG') != 0, 6 / cast({a}, 'LONG'), cast({b}, 'LONG'))"),
    }
}

#[test]
fn batches_agree_with_rows() {
    let context = EvalContext::at(0);
    for seed in 0..3000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let rows = rng.random_range(1..40);
        let columns = columns(&mut rng, rows);
        let vectors = columns.iter().map(|(name, t, values)| (name.clone(), Vector::from_values(t, values.clone()))).collect();
        let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(vectors).unwrap());
        let depth = rng.random_range(1..4);
        let text = random_expression(&mut rng, depth);
        let expression = Expr::parse(&text).unwrap();
        let by_row: Result<Vec<Value>, _> = (0..rows)
            .map(|row| {
                let get = |name: &str| {
                    let column = columns.iter().find(|(own, ..)| own == name);
                    column.map_or(Value::Null, |(_, _, values)| values[row].clone())
                };
                expression.eval_row(&get, &context)
            })
            .collect();
        let mut bound = expression.bind(&source, &context).unwrap();
        let batch = bound.eval(Rows::Range(0..rows as u32));
        let (by_row, batch) = match (by_row, batch) {
            (Ok(by_row), Ok(batch)) => (by_row, batch),
            (Err(_), _) | (_, Err(_)) => continue,
        };
        let target = bound.output_type();
        for (index, value) in by_row.iter().enumerate() {
            let expected = target.as_ref().map_or(value.clone(), |target| value.cast(target));
            assert_eq!(show(&batch.value(index)), show(&expected), "seed {seed} row {index}: {text}");
        }
    }
}

#[test]
fn functions_map_over_multi_value_rows() {
    let multi = |items: &[&str]| Value::Array(items.iter().map(|item| Value::from(*item)).collect());
    let values = vec![multi(&["a", "b"]), Value::from("c"), Value::Null];
    let table = MemoryTable::new(vec![
        ("m".to_owned(), Vector::from_values(&ColumnType::String, values)),
        ("n".to_owned(), Vector::from_values(&ColumnType::String, vec![multi(&["x", "y"]), Value::Null, Value::from("z")])),
    ]);
    let source: Arc<dyn ColumnSource> = Arc::new(table.unwrap());
    let answers = |text: &str| {
        let mut bound = Expr::parse(text).unwrap().bind(&source, &EvalContext::at(0)).unwrap();
        let vector = bound.eval(Rows::Range(0..3)).unwrap();
        (0..3).map(|row| show(&vector.value(row))).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(answers("concat(m, '1')"), "['a1', 'b1'] ['c1'] [null]");
    assert_eq!(answers("concat(m, n)"), "['ax', 'ay', 'bx', 'by'] [null] [null]");
    assert_eq!(answers("array_length(m)"), "2 1 null");
    assert_eq!(answers("array_to_string(concat(m, '1'), ';')"), "'a1;b1' 'c1' null");
    assert_eq!(answers("array_contains(m, 'b')"), "1 0 null");
}

#[test]
fn deep_texts_are_refused_or_evaluated_but_never_exhaust_the_stack() {
    let context = EvalContext::at(0);
    let long = |count: usize| vec!["x"; count].join(" + ");
    let or = (0..5_000).map(|i| format!("x == {i}")).collect::<Vec<_>>().join(" || ");
    let nested = |count: usize| format!("{}x{}", "abs(".repeat(count), ")".repeat(count));
    for text in [long(100), nested(90), format!("{}x", "-".repeat(90)), format!("{}x{}", "(".repeat(90), ")".repeat(90)), or] {
        let expression = Expr::parse(&text).unwrap();
        assert!(expression.eval_row(&row, &context).is_ok());
        let input = Vector::Long { values: vec![1, 2], nulls: None };
        assert_eq!(expression.eval_vectors(&[("x", &input)], 2, &context).unwrap().len(), 2);
        assert!(!expression.to_string().is_empty());
    }
    for text in
        [long(100_000), nested(100_000), "-".repeat(100_000), "(".repeat(100_000), "[".repeat(100_000), "!(".repeat(100_000)]
    {
        assert!(Expr::parse(&text).is_err());
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = [
        "x", "'a'", "1", "2.5e", "(", ")", "[", "]", ",", "->", "map(", "cast(", "&&", "-", "!", "\"q", "\\u12", "<LONG>",
        "ARRAY<", "é", " ",
    ];
    let mut rng = StdRng::seed_from_u64(11);
    for _ in 0..20_000 {
        let text: String = (0..rng.random_range(1..12)).map(|_| pieces[rng.random_range(0..pieces.len())]).collect();
        if let Ok(expression) = Expr::parse(&text) {
            let _ = expression.eval_row(&row, &EvalContext::at(0));
        }
    }
}

/// Every function of Druid's expression manual, and those that it leaves out.
const FUNCTIONS: &str = "cast coalesce if nvl like case_searched case_simple isnull notnull isdistinctfrom notdistinctfrom istrue
    isfalse nottrue notfalse bloom_filter_test concat format lookup parse_long regexp_extract regexp_like regexp_replace
    contains_string icontains_string replace substring left right strlen strpos trim ltrim rtrim lower upper reverse repeat lpad
    rpad decode_base64_utf8 complex_decode_base64 decode_base64_complex timestamp unix_timestamp timestamp_ceil timestamp_floor
    timestamp_shift timestamp_extract timestamp_parse timestamp_format now subtract_months abs acos asin atan atan2 bitwiseAnd
    bitwiseComplement bitwiseConvertDoubleToLongBits bitwiseConvertLongBitsToDouble bitwiseOr bitwiseShiftLeft bitwiseShiftRight
    bitwiseXor cbrt ceil copysign cos cosh cot div exp expm1 floor getExponent hypot log log10 log1p max min nextafter nextUp pi
    pow remainder rint round safe_divide scalb signum sin sinh sqrt tan tanh todegrees toradians ulp array array_length
    array_offset array_ordinal array_contains array_overlap scalar_in_array array_offset_of array_ordinal_of array_prepend
    array_append array_concat array_set_add array_set_add_all array_slice array_to_string string_to_array array_to_mv mv_to_array
    mv_contains mv_overlap mv_harmonize_nulls array_quantile map cartesian_map filter fold cartesian_fold any all json_value
    json_query json_query_array json_object parse_json try_parse_json to_json_string json_keys json_paths json_merge greatest least
    ipv4_match ipv4_parse ipv4_stringify ipv6_match human_readable_binary_byte_format human_readable_decimal_byte_format
    human_readable_decimal_format hyper_unique hyper_unique_add hyper_unique_estimate hyper_unique_round_estimate
    hll_sketch_estimate hll_sketch_estimate_with_error_bounds theta_sketch_estimate theta_sketch_estimate_with_error_bounds";

#[test]
fn every_function_of_druids_manual_is_known() {
    let undefined = |text: String| Expr::parse(&text).is_err_and(|error| error.message.contains("is not defined"));
    // With wrong arguments the error is another one; some functions want a lambda.
    let forms = |name: &&str| [format!("{name}(1, 2, 3, 4, 5, 6, 7, 8, 9)"), format!("{name}((x, y) -> x, [1], [2])")];
    let unknown = |name: &&str| forms(name).into_iter().all(undefined);
    let missing: Vec<&str> = FUNCTIONS.split_whitespace().filter(unknown).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(Expr::parse("no_such_function(1)").unwrap_err().message.contains("is not defined"));
}
