//! What specs are taken and what is refused, by name.

use serde_json::{Value, json};

use super::*;

fn task(change: impl FnOnce(&mut Value)) -> Result<TaskSpec> {
    let mut json = json!({"type": "index_parallel", "spec": {
        "dataSchema": {"dataSource": "wiki", "timestampSpec": {"column": "time", "format": "auto"},
                       "dimensionsSpec": {"dimensions": ["page", {"type": "long", "name": "added"}]}, "metricsSpec": [],
                       "granularitySpec": {"type": "uniform", "segmentGranularity": "day", "queryGranularity": "none", "rollup": false}},
        "ioConfig": {"type": "index_parallel", "inputSource": {"type": "inline", "data": "{}"}, "inputFormat": {"type": "json"}},
        "tuningConfig": {"type": "index_parallel", "partitionsSpec": {"type": "dynamic"}}}});
    change(&mut json);
    TaskSpec::from_json(&json, 0, 0x0123_4567)
}

fn refused(change: impl FnOnce(&mut Value), word: &str) {
    let error = task(change).expect_err(word);
    assert!(error.message.contains(word), "{error} should name {word}");
}

#[test]
fn envelope_is_filled_in() {
    let spec = task(|_| ()).unwrap();
    assert_eq!(spec.id, "index_parallel_wiki_hgfedcba_1970-01-01T00:00:00.000Z");
    assert_eq!(spec.priority(), 50);
    let json = spec.to_json();
    assert_eq!(json["resource"]["availabilityGroup"], json!(spec.id));
    assert_eq!(json["dataSource"], "wiki");
    assert_eq!(json["context"]["forceTimeChunkLock"], json!(true));
    let again = TaskSpec::from_json(json, 5, 5).unwrap();
    assert_eq!(again.to_json(), json);
}

#[test]
fn contradictions_are_refused_by_name() {
    refused(|j| j["spec"]["ioConfig"]["dropExisting"] = json!(true), "dropExisting");
    refused(|j| j["spec"]["tuningConfig"]["forceGuaranteedRollup"] = json!(true), "forceGuaranteedRollup");
    refused(|j| j["spec"]["tuningConfig"]["partitionsSpec"] = json!({"type": "hashed"}), "forceGuaranteedRollup");
    refused(
        |j| j["spec"]["tuningConfig"]["partitionsSpec"] = json!({"type": "range", "partitionDimensions": ["a"]}),
        "targetRowsPerSegment",
    );
    refused(|j| j["spec"]["dataSchema"]["metricsSpec"] = json!([{"type": "count", "name": "page"}]), "page");
    refused(|j| j["spec"]["ioConfig"]["inputFormat"] = json!({"type": "csv", "findColumnsFromHeader": false}), "columns");
    refused(|j| j["spec"]["dataSchema"]["granularitySpec"] = json!({"type": "arbitrary"}), "intervals");
    refused(|j| j["context"] = json!({"taskLockType": "APPEND"}), "taskLockType");
    refused(|j| j["context"] = json!({"taskLockType": "MINE"}), "MINE");
    let both = json!({"type": "json", "assumeNewlineDelimited": true, "useJsonNodeReader": true});
    refused(|j| j["spec"]["ioConfig"]["inputFormat"] = both, "useJsonNodeReader");
}

#[test]
fn unknown_and_unsupported_things_are_refused_by_name() {
    refused(|j| j["spec"]["ioConfig"]["flavour"] = json!(1), "flavour");
    refused(|j| j["spec"]["ioConfig"]["inputFormat"] = json!({"type": "orc"}), "orc");
    refused(|j| j["spec"]["ioConfig"]["inputSource"] = json!({"type": "s3"}), "s3");
    refused(|j| j["spec"]["ioConfig"]["firehose"] = json!({"type": "local"}), "firehose");
    refused(|j| j["spec"]["dataSchema"]["parser"] = json!({"type": "string"}), "parser");
    refused(|j| j["spec"]["dataSchema"]["dimensionsSpec"]["spatialDimensions"] = json!([{"dimName": "x"}]), "spatialDimensions");
    refused(|j| j["spec"]["dataSchema"]["dimensionsSpec"]["dimensions"] = json!([{"type": "geo", "name": "x"}]), "geo");
    refused(|j| j["type"] = json!("index_hadoop"), "index_hadoop");
    refused(|j| j["surprise"] = json!(1), "surprise");
    refused(|j| j["spec"]["ioConfig"]["inputSource"] = json!({"type": "http", "uris": ["file:///etc/passwd"]}), "protocols");
}

#[test]
fn shipped_and_corpus_specs_are_taken() {
    let shipped = std::path::Path::new("/work/shared/fixtures/druid/shipped/tutorial");
    for name in [
        "wikipedia-index",
        "transform-index",
        "compaction-init-index",
        "deletion-kill",
        "rollup-index",
        "updates-append-index",
        "compaction-keep-granularity",
        "compaction-day-granularity",
    ] {
        let Ok(text) = std::fs::read_to_string(shipped.join(format!("{name}.json"))) else { return };
        TaskSpec::from_json(&serde_json::from_str(&text).unwrap(), 0, 1).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
