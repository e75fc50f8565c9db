//! Facts about post-aggregators.

use serde_json::{Value as Json, json};

use super::*;
use crate::aggregate::AggregatorSpec;
use crate::context::EvalContext;
use crate::value::Value;
use crate::vector::Vector;

fn compute(json: Json) -> Vec<Value> {
    let spec = PostAggregatorSpec::from_json(&json).unwrap();
    assert_eq!(PostAggregatorSpec::from_json(&spec.to_json()).unwrap(), spec);
    let columns = |name: &str| match name {
        "a" => Some(Vector::Long { values: vec![10, 0, 3], nulls: Some(vec![false, true, false]) }),
        "b" => Some(Vector::Double { values: vec![4.0, 2.0, 0.0], nulls: None }),
        _ => None,
    };
    spec.compute(&columns, &[], 3, &EvalContext::at(0)).unwrap().to_values()
}

fn arithmetic(function: &str) -> Vec<Value> {
    let field = |name: &str| json!({"type": "fieldAccess", "fieldName": name});
    compute(json!({"type": "arithmetic", "name": "x", "fn": function, "fields": [field("a"), field("b")]}))
}

#[test]
fn arithmetic_knows_nulls_and_zero() {
    let double = Value::Double;
    assert_eq!(arithmetic("+"), [double(14.0), Value::Null, double(3.0)]);
    assert_eq!(arithmetic("/"), [double(2.5), Value::Null, double(0.0)]);
    assert_eq!(arithmetic("quotient"), [double(2.5), Value::Null, double(f64::INFINITY)]);
    assert_eq!(arithmetic("pow"), [double(10000.0), Value::Null, double(1.0)]);
}

#[test]
fn greatest_and_least_leave_nulls_out() {
    let fields = json!([{"type": "fieldAccess", "fieldName": "a"}, {"type": "fieldAccess", "fieldName": "b"}]);
    let greatest = compute(json!({"type": "doubleGreatest", "name": "x", "fields": fields}));
    assert_eq!(greatest, [10.0, 2.0, 3.0].map(Value::Double));
    assert_eq!(compute(json!({"type": "longLeast", "name": "x", "fields": fields})), [4, 2, 0].map(Value::Long));
}

#[test]
fn finalizing_access_finalizes_aggregators() {
    let aggregator = AggregatorSpec::from_json(&json!({"type": "hyperUnique", "name": "hu", "fieldName": "v"})).unwrap();
    let bytes = bytes::Bytes::from_static(&[1, 0, 0, 1, 0, 0, 0, 2, 0xfa, 0x10]);
    let value = Value::Complex("hyperUnique".into(), bytes);
    let column = Vector::Any { column_type: crate::ColumnType::complex("hyperUnique"), values: vec![value.clone()] };
    let run = |kind: &str| {
        let spec = PostAggregatorSpec::from_json(&json!({"type": kind, "name": "x", "fieldName": "hu"})).unwrap();
        spec.compute(&|_| Some(column.clone()), std::slice::from_ref(&aggregator), 1, &EvalContext::at(0)).unwrap().value(0)
    };
    assert_eq!(run("fieldAccess"), value);
    assert_eq!(run("finalizingFieldAccess"), Value::Double(1.0002442201269182));
    assert_eq!(run("hyperUniqueCardinality"), Value::Double(1.0002442201269182));
}

#[test]
fn theta_set_operations_give_druids_bytes() {
    // `AQMDAAA6zJOQxkPsNomrZQ==` is the sketch of "a" in Druid's documents of set operations.
    let constant = |text: &str| json!({"type": "thetaSketchConstant", "name": "c", "value": text});
    let both = "AgMDAAAazJMCAAAAAACAP5DGQ+w2iatlR5Zsm3ef5Wk=";
    let set_op = |function: &str| {
        let fields = json!([constant(both), constant("AQMDAAA6zJOQxkPsNomrZQ==")]);
        compute(json!({"type": "thetaSketchSetOp", "name": "x", "func": function, "fields": fields}))[0].as_text().unwrap()
    };
    assert_eq!(&*set_op("INTERSECT"), "AQMDAAA6zJOQxkPsNomrZQ==");
    assert_eq!(&*set_op("UNION"), both);
    assert_eq!(&*set_op("NOT"), "AQMDAAA6zJNHlmybd5/laQ==");
    let estimate = compute(json!({"type": "thetaSketchEstimate", "name": "x", "field": constant(both)}));
    assert_eq!(estimate[0], Value::Double(2.0));
    let bounded = compute(json!({"type": "thetaSketchEstimate", "name": "x", "errorBoundsStdDev": 10, "field": constant(both)}));
    let wanted = json!({"estimate": 2.0, "highBound": 2.0, "lowBound": 2.0, "numStdDev": 10});
    assert_eq!(bounded[0], Value::Json(wanted.into()));
}

#[test]
fn expressions_read_columns() {
    let sum = compute(json!({"type": "expression", "name": "x", "expression": "a + b * 2"}));
    assert_eq!(sum, [Value::Double(18.0), Value::Null, Value::Double(3.0)]);
    let text = compute(json!({"type": "expression", "name": "x", "expression": "concat('v', a)", "outputType": "STRING"}));
    assert_eq!(text[0], Value::from("v10"));
}
