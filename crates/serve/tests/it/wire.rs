//! What Druid's servers said to each other, said again to us.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use ovate_base::smile;
use ovate_compute::EvalContext;
use ovate_query::{NativeQuery, Partial, QueryContext};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{exchanges, historical, served, takeover};

const QUERIES: [&str; 5] =
    ["query-timeseries.jsonl", "query-topn.jsonl", "query-groupby.jsonl", "query-scan.jsonl", "query-other.jsonl"];

fn decoded(body: &Value) -> Vec<u8> {
    match body["smile_base64"].as_str() {
        Some(text) => base64::engine::general_purpose::STANDARD.decode(text).expect("base64"),
        None => body["json_text"].as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

fn parsed(bytes: &[u8]) -> Value {
    if smile::is_smile(bytes) { smile::to_json(bytes).expect("Smile") } else { serde_json::from_slice(bytes).expect("JSON") }
}

/// Plays a recorded request; gives status, response context and body.
async fn play(router: &Router, exchange: &Value) -> (u16, Value, Vec<u8>) {
    let request = &exchange["request"];
    let mut builder = Request::builder().method(request["method"].as_str().unwrap()).uri(request["target"].as_str().unwrap());
    for header in request["headers"].as_array().unwrap() {
        let name = header[0].as_str().unwrap();
        if name != "Content-Length" {
            builder = builder.header(name, header[1].as_str().unwrap());
        }
    }
    let answer = router.clone().oneshot(builder.body(Body::from(decoded(&request["body"]))).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let context =
        answer.headers().get("X-Druid-Response-Context").map_or(Value::Null, |v| serde_json::from_slice(v.as_bytes()).unwrap());
    let kind = answer.headers().get("Content-Type").map(|v| v.to_str().unwrap().to_owned());
    let recorded = exchange["response"]["headers"].as_array().unwrap().iter().find(|h| h[0] == "Content-Type").unwrap();
    assert_eq!(kind.as_deref(), recorded[1].as_str());
    let body = axum::body::to_bytes(answer.into_body(), 1 << 28).await.unwrap().to_vec();
    (status, context, body)
}

/// Of rows with one time in several segments, either is the first or the last: times are compared, values are not.
fn without_ties(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_ties),
        Value::Object(fields) if fields.contains_key("lhs") => drop(fields.insert("rhs".to_owned(), Value::Null)),
        Value::Object(fields) => fields.values_mut().for_each(without_ties),
        _ => {}
    }
}

/// Answers in a form that does not depend on ties, on which of several servers' rows came first, or on sizes of files.
fn comparable(kind: &str, mut answer: Value) -> Value {
    without_ties(&mut answer);
    let sort = |list: &mut Value| list.as_array_mut().unwrap().sort_by_key(|item| item.to_string());
    match kind {
        "topN" => {
            for bucket in answer.as_array_mut().unwrap() {
                bucket["result"].as_array_mut().unwrap().iter_mut().for_each(Value::sort_all_objects);
                // Far behind the threshold Druid counts approximately.
                bucket["result"].as_array_mut().unwrap().truncate(50);
                sort(&mut bucket["result"]);
            }
        }
        "scan" => {
            for element in answer.as_array_mut().unwrap() {
                let ordered = element["events"].as_array().unwrap().len() == 1;
                if ordered {
                    element["segmentId"] = Value::Null;
                }
            }
            answer.sort_all_objects();
            sort(&mut answer);
        }
        "segmentMetadata" => {
            for analysis in answer.as_array_mut().unwrap() {
                analysis["size"] = json!(0);
                for column in analysis["columns"].as_object_mut().unwrap().values_mut() {
                    column["size"] = json!(0);
                }
            }
            answer.sort_all_objects();
            sort(&mut answer);
        }
        _ => answer.sort_all_objects(),
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_broker_gets_the_answers_that_a_jvm_historical_gave() {
    let Some(folder) = takeover("a_jvm_broker_gets_the_answers_that_a_jvm_historical_gave") else { return };
    let (segments, dir) = served(&folder);
    let router = historical(segments, dir.path());
    let (mut played, mut wrong) = (0, Vec::new());
    for file in QUERIES.iter().chain(&["historical-missing-segments.jsonl"]) {
        for exchange in exchanges(&folder, file).iter().filter(|exchange| exchange["server"] == "historical") {
            let query = parsed(&decoded(&exchange["request"]["body"]));
            let kind = query["queryType"].as_str().unwrap().to_owned();
            let (status, context, body) = play(&router, exchange).await;
            played += 1;
            let told = exchange["response"]["headers"].as_array().unwrap().iter().find(|h| h[0] == "X-Druid-Response-Context");
            let expected_context: Value = serde_json::from_str(told.unwrap()[1].as_str().unwrap()).unwrap();
            let (ours, theirs) = (parsed(&body), parsed(&decoded(&exchange["response"]["body"])));
            if status != 200
                || context != expected_context
                || comparable(&kind, ours.clone()) != comparable(&kind, theirs.clone())
            {
                let shown = |v: &Value| v.to_string().chars().take(400).collect::<String>();
                wrong.push(format!(
                    "{file} {}\n  ours   {} {}\n  theirs {} {}",
                    shown(&query),
                    context,
                    shown(&ours),
                    expected_context,
                    shown(&theirs)
                ));
            }
        }
    }
    assert!(played > 30, "{played} exchanges");
    assert!(wrong.is_empty(), "{} of {played} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_jvm_historical_are_read_as_partials() {
    let Some(folder) = takeover("answers_of_a_jvm_historical_are_read_as_partials") else { return };
    let context = QueryContext::new(EvalContext::at(0));
    let mut read = 0;
    for file in QUERIES {
        for exchange in exchanges(&folder, file).iter().filter(|exchange| exchange["server"] == "historical") {
            let document = parsed(&decoded(&exchange["request"]["body"]));
            let query = NativeQuery::from_json(&document).unwrap();
            let bytes = decoded(&exchange["response"]["body"]);
            let Some(partial) = Partial::from_druid(&query, &bytes, &context).unwrap() else {
                assert_eq!(parsed(&bytes), json!([]));
                continue;
            };
            // Written again in Druid's form it says the same.
            let rows = ovate_query::finalize(&query, partial.clone(), &context).unwrap();
            let mut again = Vec::new();
            ovate_query::write_json(&query, &rows, &mut again).unwrap();
            let kind = query.query_type();
            assert_eq!(comparable(kind, parsed(&again)), comparable(kind, parsed(&bytes)), "{document}");
            // And our own form keeps it.
            let copy = Partial::decode(&partial.encode().unwrap()).unwrap();
            let rows = ovate_query::finalize(&query, copy, &context).unwrap();
            let mut copied = Vec::new();
            ovate_query::write_json(&query, &rows, &mut copied).unwrap();
            assert_eq!(parsed(&copied), parsed(&again));
            read += 1;
        }
    }
    assert!(read > 25, "{read} answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_requests_and_unknown_queries_are_errors_in_the_form_of_the_request() {
    let Some(folder) = takeover("damaged_requests_and_unknown_queries_are_errors_in_the_form_of_the_request") else { return };
    let dir = tempfile::tempdir().unwrap();
    let router = historical(std::sync::Arc::new(ovate_serve::historical::ServedSegments::new(1)), dir.path());
    let whole = decoded(&exchanges(&folder, "query-groupby.jsonl")[0]["request"]["body"]);
    let send = |body: Vec<u8>| {
        let request = Request::post("/druid/v2/").header("Content-Type", "application/x-jackson-smile").body(Body::from(body));
        let router = router.clone();
        async move {
            let answer = router.oneshot(request.unwrap()).await.unwrap();
            let status = answer.status().as_u16();
            (status, parsed(&axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap()))
        }
    };
    for end in (0..whole.len()).step_by(37) {
        let (status, error) = send(whole[..end].to_vec()).await;
        assert_eq!((status, &error["errorCode"]), (400, &json!("invalidInput")), "cut at {end}: {error}");
    }
    for at in (0..whole.len()).step_by(11) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5A;
        send(bytes).await;
    }
    let (status, error) = send(smile::from_json(&json!({"queryType": "nonsense"}))).await;
    assert_eq!(status, 400, "{error}");
}
