use serde_json::json;

use super::*;

fn query(document: serde_json::Value) -> NativeQuery {
    NativeQuery::from_json(&document).expect("a query")
}

fn count(context: serde_json::Value) -> NativeQuery {
    query(json!({"queryType": "timeseries", "dataSource": "t", "intervals": "2020/2021", "granularity": "all",
        "aggregations": [{"type": "count", "name": "c"}], "context": context}))
}

fn key_of(query: &NativeQuery, lookups: &[(&str, &str)]) -> Option<CacheKey> {
    let lookups = lookups.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
    query_key(query, &lookups).map(|key| key.over(["segment", "2020/2021"].into_iter()))
}

#[test]
fn keys_tell_everything_apart_that_changes_an_answer() {
    let plain = key_of(&count(json!({})), &[]);
    assert_eq!(key_of(&count(json!({"queryId": "a", "timeout": 5, "priority": 3, "useCache": false})), &[]), plain);
    assert_ne!(key_of(&count(json!({"skipEmptyBuckets": true})), &[]), plain);
    assert_ne!(key_of(&count(json!({"someNewParameter": 1})), &[]), plain);
    assert_ne!(key_of(&count(json!({})), &[("l", "v1")]), plain);
    assert_ne!(key_of(&count(json!({})), &[("l", "v1")]), key_of(&count(json!({})), &[("l", "v2")]));
    let with = |extra: serde_json::Value| {
        let mut document = count(json!({})).to_json();
        document.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        query(document)
    };
    assert_ne!(key_of(&with(json!({"filter": {"type": "selector", "dimension": "a", "value": "b"}})), &[]), plain);
    let changing =
        json!({"virtualColumns": [{"type": "expression", "name": "v", "expression": "now() - __time", "outputType": "LONG"}]});
    assert_eq!(key_of(&with(changing), &[]), None);
    let key = query_key(&count(json!({})), &BTreeMapOf::new()).expect("a key");
    assert_ne!(key.over(["a", "b"].into_iter()), key.over(["ab"].into_iter()));
}

type BTreeMapOf = std::collections::BTreeMap<String, String>;

fn settings(pairs: &[(&str, &str)]) -> Properties {
    let mut properties = Properties::default();
    pairs.iter().for_each(|(name, value)| properties.set(*name, *value));
    properties
}

#[test]
fn the_context_can_keep_a_query_out_but_not_let_it_in() {
    let on = settings(&[("druid.broker.cache.useCache", "true"), ("druid.broker.cache.populateCache", "true")]);
    let budget = Budget::new("druid.ovate.memory", 1 << 20);
    let cache = from_properties(&on, &budget).expect("a cache");
    let cache = QueryCache::new(cache, CacheSettings::from_properties(&on, "druid.broker.cache").expect("settings"));
    let segment = |context| cache.segment_use(&count(context)).expect("a context");
    assert_eq!(segment(json!({})), CacheUse { reads: true, writes: true });
    assert_eq!(segment(json!({"useCache": false})), CacheUse { reads: false, writes: true });
    assert_eq!(segment(json!({"populateCache": "false"})), CacheUse { reads: true, writes: false });
    assert_eq!(segment(json!({"bySegment": true})), CacheUse { reads: false, writes: false });
    let result = cache.result_use(&count(json!({"useResultLevelCache": true}))).expect("a context");
    assert_eq!(result, CacheUse { reads: false, writes: false });
    let scan = query(json!({"queryType": "scan", "dataSource": "t", "intervals": "2020/2021"}));
    assert_eq!(cache.segment_use(&scan).expect("a context"), CacheUse { reads: false, writes: false });
}

#[tokio::test]
async fn the_local_cache_keeps_within_its_bytes_and_forgets_in_time() {
    let budget = Budget::new("druid.ovate.memory", 100_000);
    let properties = settings(&[("druid.cache.sizeInBytes", "50000"), ("druid.cache.expireAfter", "150")]);
    let cache = from_properties(&properties, &budget).expect("a cache");
    assert_eq!(budget.used_bytes(), 50_000);
    let key =
        |n: usize| query_key(&count(json!({})), &BTreeMapOf::new()).expect("a key").over([n.to_string().as_str()].into_iter());
    cache.put(&key(1), Bytes::from_static(b"one")).await;
    assert_eq!(cache.get(&key(1)).await.as_deref(), Some(&b"one"[..]));
    assert_eq!(cache.get(&key(2)).await, None);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(cache.get(&key(1)).await, None);
    let large = from_properties(&settings(&[("druid.cache.sizeInBytes", "60000")]), &budget).expect("a smaller cache");
    assert_eq!(budget.used_bytes(), 100_000);
    drop(large);
    let _query = budget.reserve(1).expect("memory");
    assert!(from_properties(&settings(&[("druid.cache.sizeInBytes", "60000")]), &budget).is_err());
    assert!(from_properties(&settings(&[("druid.cache.type", "ehcache")]), &budget).is_err());
}

#[tokio::test]
async fn a_cache_that_does_not_answer_is_a_miss() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let budget = Budget::new("druid.ovate.memory", 1 << 20);
    let hosts = format!("127.0.0.1:{port}");
    let memcached = [("druid.cache.type", "memcached"), ("druid.cache.hosts", hosts.as_str())];
    let port = port.to_string();
    let redis = [("druid.cache.type", "redis"), ("druid.cache.host", "127.0.0.1"), ("druid.cache.port", port.as_str())];
    for properties in [settings(&memcached), settings(&redis)] {
        let cache = from_properties(&properties, &budget).expect("a cache");
        let key = query_key(&count(json!({})), &BTreeMapOf::new()).expect("a key").over(["s"].into_iter());
        cache.put(&key, Bytes::from_static(b"x")).await;
        assert_eq!(cache.get(&key).await, None, "{}", cache.kind());
    }
}
