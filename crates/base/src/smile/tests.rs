use serde_json::json;

use super::*;

fn read(bytes: &[u8]) -> SmileValue {
    let mut reader = SmileReader::new(bytes).unwrap();
    let value = reader.value().unwrap();
    reader.end().unwrap();
    value
}

#[test]
fn documents_come_back_as_they_were() {
    let document = json!({"a": [0, -16, 15, 16, -17, 1 << 31, -(1i64 << 31), i64::MAX, i64::MIN, 0.5, -1e300, true, false, null],
        "": "", "short": "äöü", "long": "x".repeat(65), "länge": "ü".repeat(40), "b": {"a": 1, "short": [[], {}]}, "u": u64::MAX});
    let again = to_json(&from_json(&document)).unwrap();
    let mut expected = document.clone();
    expected["u"] = json!(u64::MAX as f64);
    assert_eq!(again, expected);
}

#[test]
fn names_beyond_the_table_and_long_names_survive() {
    let many: Map<String, Value> = (0..3000).map(|i| (format!("name{}", i % 1500), json!(i))).collect();
    let list = json!([many, many, {"n".repeat(57): 1, "n".repeat(200): 2}, {"n".repeat(57): 3}]);
    assert_eq!(to_json(&from_json(&list)).unwrap(), list);
    let names: Vec<Value> = (0..1200).map(|i| json!({format!("n{i}"): 1, "first": 2})).collect();
    assert_eq!(to_json(&from_json(&json!(names))).unwrap(), json!(names));
}

#[test]
fn binary_is_read_raw_and_packed() {
    let mut writer = SmileWriter::new(true);
    writer.bytes(&[1, 2, 255]);
    assert_eq!(read(&writer.into_bytes()), SmileValue::Bytes(vec![1, 2, 255]));
    // 0xFF 0x00 0x81: 1111111 1000000 0010000 001
    let packed = [b':', b')', b'\n', 0, 0xE8, 0x83, 0x7F, 0x40, 0x10, 0x01];
    assert_eq!(read(&packed), SmileValue::Bytes(vec![0xFF, 0x00, 0x81]));
}

#[test]
fn floats_keep_their_bits() {
    let mut writer = SmileWriter::new(true);
    writer.begin_array();
    writer.float(1.1);
    writer.double(f64::NEG_INFINITY);
    writer.double(f64::MIN_POSITIVE);
    writer.end_array();
    let expected = [SmileValue::Float(1.1), SmileValue::Double(f64::NEG_INFINITY), SmileValue::Double(f64::MIN_POSITIVE)];
    assert_eq!(read(&writer.into_bytes()), SmileValue::Array(expected.to_vec()));
}

#[test]
fn shared_texts_are_looked_up() {
    // Flags: shared values. ["ab", "ab", "c", "c"]
    let bytes = [b':', b')', b'\n', 2, 0xF8, 0x41, b'a', b'b', 0x01, 0x40, b'c', 0x02, 0xF9];
    assert_eq!(read(&bytes).to_json(), json!(["ab", "ab", "c", "c"]));
}

#[test]
fn arrays_are_read_element_by_element() {
    let bytes = from_json(&json!([[1, "a"], [2, "b"]]));
    let mut reader = SmileReader::new(&bytes).unwrap();
    assert!(reader.begin_array().unwrap());
    assert_eq!(reader.element().unwrap().map(|v| v.to_json()), Some(json!([1, "a"])));
    assert_eq!(reader.element().unwrap().map(|v| v.to_json()), Some(json!([2, "b"])));
    assert_eq!(reader.element().unwrap(), None);
    reader.end().unwrap();
}

#[test]
fn damage_is_an_error_at_every_place() {
    let whole = from_json(&json!({"a": [1, 2.5, "text", null, {"b": i64::MAX}], "c": u64::MAX}));
    for end in 0..whole.len() {
        assert!(to_json(&whole[..end]).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _ = to_json(&bytes);
        }
    }
    let deep = [b":)\n\x05".to_vec(), vec![0xF8; 100_000]].concat();
    assert!(to_json(&deep).is_err());
    assert!(to_json(&[b':', b')', b'\n', 5, 0xE8, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0xBF]).is_err());
}
