//! Handles of Flight SQL come back from clients as any bytes.

use ovate_sql::SqlParameter;
use serde_json::json;

use super::service::Handle;

#[test]
fn a_handle_carries_its_statement_and_parameters() {
    let parameters = vec![SqlParameter { sql_type: "BIGINT".to_owned(), value: json!(i64::MAX) }];
    let handle = Handle { sql: "SELECT '\u{0}é' WHERE a = ?".to_owned(), parameters };
    assert_eq!(Handle::from_bytes(&handle.to_bytes()).expect("a handle"), handle);
}

#[test]
fn other_bytes_are_refused() {
    for bytes in [&b""[..], b"\xff\xfe", b"{}", b"[1]", b"{\"sql\":1}", b"{\"sql\":\"a\",\"parameters\":[{}]}"] {
        assert!(Handle::from_bytes(bytes).is_err(), "{bytes:?}");
    }
}
