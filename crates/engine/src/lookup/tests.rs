//! Lookups over files, a web address and pushes.

use std::time::Duration;

use serde_json::json;

use super::*;

fn entry(version: &str, factory: &Value) -> Value {
    json!({"version": version, "lookupExtractorFactory": factory})
}

fn value(store: &LookupStore, lookup: &str, key: &str) -> Option<String> {
    store.snapshot().get(lookup).and_then(|map| map.get(key).cloned())
}

fn uri(uri: &str, poll: &str) -> Value {
    json!({"type": "cachedNamespace", "extractionNamespace": {"type": "uri", "uri": uri, "pollPeriod": poll,
        "namespaceParseSpec": {"format": "csv", "columns": ["k", "v"]}}})
}

#[tokio::test]
async fn a_file_is_read_and_read_again_when_it_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("codes.csv");
    std::fs::write(&file, "1,one\n").expect("written");
    let (store, client) = (LookupStore::default(), HttpClient::new().expect("a client"));
    let config = json!({"codes": entry("v1", &uri(&format!("file:{}", file.display()), "PT0.01S")), "gone": entry("v1", &json!({"type": "map", "map": {"a": "b"}}))});
    assert!(store.replace(&config).is_empty());
    assert_eq!((value(&store, "codes", "1"), value(&store, "gone", "a")), (None, Some("b".to_owned())));
    store.read_due(&client).await;
    assert_eq!(value(&store, "codes", "1").as_deref(), Some("one"));
    let first = store.versions_of(&store.snapshot()).expect("versions")["codes"].clone();
    std::fs::write(&file, "1,uno\n2,due\n").expect("written");
    tokio::time::sleep(REFRESH + Duration::from_millis(50)).await;
    store.read_due(&client).await;
    assert_eq!(value(&store, "codes", "2").as_deref(), Some("due"));
    assert_ne!(store.versions_of(&store.snapshot()).expect("versions")["codes"], first);
    // A damaged file leaves the map as it was, and says why.
    std::fs::write(&file, "1\n").expect("written");
    tokio::time::sleep(REFRESH + Duration::from_millis(50)).await;
    store.read_due(&client).await;
    assert_eq!(value(&store, "codes", "2").as_deref(), Some("due"));
    assert!(store.states()["codes"].error.as_ref().is_some_and(|error| error.contains("line 1")));
    assert!(store.replace(&json!({})).is_empty());
    assert!(store.snapshot().is_empty());
}

#[tokio::test]
async fn the_newest_fitting_file_of_a_folder_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [("a-1.json", "{\"k\":\"old\"}"), ("a-2.json", "{\"k\":\"new\"}"), ("b-3.json", "{\"k\":\"other\"}")] {
        std::fs::write(dir.path().join(name), text).expect("written");
        std::thread::sleep(Duration::from_millis(20));
    }
    let spec = json!({"type": "cachedNamespace", "extractionNamespace": {"type": "uri", "uriPrefix": dir.path(), "fileRegex": "a-.*\\.json",
        "namespaceParseSpec": {"format": "simpleJson"}}});
    let store = LookupStore::default();
    store.replace(&json!({"n": entry("1", &spec)}));
    store.read_due(&HttpClient::new().expect("a client")).await;
    assert_eq!(value(&store, "n", "k").as_deref(), Some("new"));
}

#[test]
fn pushes_add_replace_by_newer_versions_and_drop() {
    let store = LookupStore::default();
    let map = |text: &str| json!({"type": "map", "map": {"k": text}});
    let push = |version: &str, text: &str| {
        let updates = json!({"m": entry(version, &map(text))});
        store.apply(updates.as_object().expect("an object"), &[])
    };
    assert!(push("v2", "two").is_empty());
    assert!(push("v1", "one").is_empty());
    assert_eq!(value(&store, "m", "k").as_deref(), Some("two"));
    push("v3", "three");
    assert_eq!(value(&store, "m", "k").as_deref(), Some("three"));
    let bad = json!({"x": entry("v1", &json!({"type": "nothing"}))});
    assert_eq!(store.apply(bad.as_object().expect("an object"), &["m".to_owned()]).len(), 1);
    assert!(store.snapshot().is_empty() && store.states().contains_key("x"));
    assert!(store.remove("x") && !store.remove("x"));
}
