//! The protocol without a driver: what a message says survives both forms.

use serde_json::json;

use super::metadata::statement;
use super::proto;

/// `CreateStatementRequest` of connection `c1`, as the driver writes it.
const CREATE: &[u8] = b"\n\x40org.apache.calcite.avatica.proto.Requests$CreateStatementRequest\x12\x04\n\x02c1";

#[test]
fn a_protobuf_request_is_the_json_one() {
    let request = proto::request_json(CREATE).expect("a request");
    assert_eq!(request, json!({"request": "createStatement", "connectionId": "c1"}));
    assert!(proto::request_json(b"\xff\xff").is_err());
}

#[test]
fn a_response_names_its_message() {
    let response = json!({"response": "createStatement", "connectionId": "c1", "statementId": 7});
    let bytes = proto::response_bytes(&response);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("Responses$CreateStatementResponse"), "{text}");
}

#[test]
fn patterns_of_catalogue_calls_cannot_leave_their_quotes() {
    let sql =
        statement(&json!({"request": "getTables", "schemaPattern": "a' OR '1'='1", "typeList": ["TABLE"]})).expect("a statement");
    assert!(sql.contains("LIKE 'a'' OR ''1''=''1' ESCAPE"), "{sql}");
    assert!(sql.contains("TABLE_TYPE IN ('TABLE')"), "{sql}");
}
