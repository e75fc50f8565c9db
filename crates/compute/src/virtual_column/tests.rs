//! Facts about virtual columns.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{PathPart, VirtualColumnSpec, with_virtual_columns};
use crate::column::{ColumnSource, MemoryTable, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::{Value, from_json, to_json};
use crate::vector::Vector;

fn source() -> Arc<dyn ColumnSource> {
    let column = |name: &str, column_type: ColumnType, values: Json| {
        let Json::Array(values) = values else { panic!("values are a list") };
        let wrap = |value: &Json| match (&column_type, value) {
            (ColumnType::Complex(_), Json::Null) => Value::Null,
            (ColumnType::Complex(_), json) => Value::Json(Arc::new(json.clone())),
            (_, json) => from_json(json),
        };
        (name.to_owned(), Vector::from_values(&column_type, values.iter().map(wrap).collect()))
    };
    let table = MemoryTable::new(vec![
        column("s", ColumnType::String, json!(["a", "b", null, "a"])),
        column("m", ColumnType::String, json!([["x", "y"], "y", null, ["z", "x"]])),
        column("l", ColumnType::Long, json!([1, null, 3, 4])),
        column("j", ColumnType::complex("json"), json!([{"p": 1, "q": ["k"]}, {"p": "2"}, null, {"p": [1, 2]}])),
    ]);
    Arc::new(table.unwrap().with_bitmaps().unwrap())
}

/// The values of a virtual column, and whether it has a dictionary.
fn check(document: Json, expected: Json, dictionary: bool) {
    let spec = VirtualColumnSpec::from_json(&document).unwrap();
    assert_eq!(VirtualColumnSpec::from_json(&spec.to_json()).unwrap(), spec);
    let source = with_virtual_columns(source(), std::slice::from_ref(&spec), &EvalContext::at(0)).unwrap();
    let column = source.column(spec.name()).unwrap().unwrap();
    assert_eq!(column.capabilities().dictionary, dictionary, "{document}");
    let mut reader = column.reader().unwrap();
    let values: Vec<Json> = reader.values(Rows::Range(0..4)).unwrap().iter().map(to_json).collect();
    assert_eq!(Json::Array(values), expected, "{document}");
    let some: Vec<Json> = reader.values(Rows::Ids(&[1, 3])).unwrap().iter().map(to_json).collect();
    assert_eq!(json!(some), json!([expected[1], expected[3]]), "{document}");
}

#[test]
fn expressions_keep_dictionaries_where_they_can() {
    let spec = |expression: &str, output_type: &str| json!({"type": "expression", "name": "v", "expression": expression, "outputType": output_type});
    check(spec("concat(s, '!')", "STRING"), json!(["a!", "b!", null, "a!"]), true);
    check(spec("upper(m)", "STRING"), json!([["X", "Y"], "Y", null, ["Z", "X"]]), true);
    check(spec("nvl(m, 'n')", "STRING"), json!([["x", "y"], "y", "n", ["z", "x"]]), false);
    check(spec("concat(s, l)", "STRING"), json!(["a1", null, null, "a4"]), false);
    check(spec("l * 2", "LONG"), json!([2, null, 6, 8]), false);
    check(spec("strlen(s)", "LONG"), json!([1, 1, null, 1]), false);
    check(spec("mv_to_array(m)", "ARRAY<STRING>"), json!([["x", "y"], ["y"], null, ["z", "x"]]), false);
    check(spec("s", "STRING"), json!(["a", "b", null, "a"]), true);
    check(spec("7", "LONG"), json!([7, 7, 7, 7]), false);
}

#[test]
fn nested_fields_are_cast_to_the_expected_type() {
    let spec = |path: &str, expected: &str| json!({"type": "nested-field", "columnName": "j", "outputName": "v", "path": path, "expectedType": expected});
    check(spec("$.p", "LONG"), json!([1, 2, null, null]), false);
    check(spec("$.p", "STRING"), json!(["1", "2", null, null]), false);
    check(spec("$.q[0]", "STRING"), json!(["k", null, null, null]), false);
}

#[test]
fn filtered_multi_values_lose_the_others() {
    let spec = |more: Json| {
        let mut json = json!({"name": "v", "delegate": "m"});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json
    };
    check(spec(json!({"type": "mv-filtered", "values": ["x"], "isAllowList": true})), json!(["x", null, null, "x"]), true);
    check(spec(json!({"type": "mv-filtered", "values": ["x"], "isAllowList": false})), json!(["y", "y", null, "z"]), true);
    check(spec(json!({"type": "mv-regex-filtered", "pattern": "[yz]"})), json!(["y", "y", null, "z"]), true);
    check(spec(json!({"type": "mv-prefix-filtered", "prefix": "x"})), json!(["x", null, null, "x"]), true);
}

#[test]
fn virtual_columns_read_each_other() {
    let specs: Vec<VirtualColumnSpec> = [
        json!({"type": "expression", "name": "w", "expression": "concat(v, '?')", "outputType": "STRING"}),
        json!({"type": "expression", "name": "v", "expression": "concat(s, '!')", "outputType": "STRING"}),
        json!({"type": "expression", "name": "s", "expression": "upper(s)", "outputType": "STRING"}),
    ]
    .iter()
    .map(|json| VirtualColumnSpec::from_json(json).unwrap())
    .collect();
    let source = with_virtual_columns(source(), &specs, &EvalContext::at(0)).unwrap();
    let column = source.column("w").unwrap().unwrap();
    assert!(column.capabilities().bitmaps);
    assert_eq!(column.reader().unwrap().values(Rows::Range(0..1)).unwrap(), [Value::from("A!?")]);
}

#[test]
fn jq_paths_name_fields_and_elements() {
    let field = |name: &str| PathPart::Field(name.to_owned());
    let parse = |path: &str| PathPart::parse_jq_path(path).map_err(|e| e.message);
    assert_eq!(parse("."), Ok(vec![]));
    assert_eq!(parse(".x.y[1]"), Ok(vec![field("x"), field("y"), PathPart::Element(1)]));
    assert_eq!(parse(".\"a b\".c?[-1]?"), Ok(vec![field("a b"), field("c"), PathPart::Element(-1)]));
    assert_eq!(parse(".[\"a.b\"].[0]"), Ok(vec![field("a.b"), PathPart::Element(0)]));
    for bad in ["", "x", ".x..y", ".x[", ".x[y]", ".\"x", "?", ".x y["] {
        assert!(parse(bad).is_err() || bad == ".x y", "{bad}");
    }
    let document = json!({"type": "nested-field", "columnName": "j", "outputName": "v", "expectedType": "STRING",
        "path": ".p", "useJqSyntax": true});
    check(document, json!(["1", "2", null, null]), false);
}
