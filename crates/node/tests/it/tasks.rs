//! Task documents that the tests post.

use ovate_testkit::{Sandbox, SandboxSettings};
use serde_json::{Value, json};

/// All roles in one process.
pub async fn single() -> Sandbox {
    Sandbox::start(SandboxSettings::single(crate::binary::ovate())).await
}

/// An `index_parallel` task over inline JSON rows with a string `page`, a string `lang` and a long `added`.
pub fn inline(table: &str, rows: &[Value], append: bool) -> Value {
    let data: Vec<String> = rows.iter().map(Value::to_string).collect();
    with_data(table, &data.join("\n"), append)
}

/// The same over text that need not be JSON.
pub fn with_data(table: &str, data: &str, append: bool) -> Value {
    json!({"type": "index_parallel", "spec": {
        "dataSchema": {
            "dataSource": table,
            "timestampSpec": {"column": "time", "format": "auto"},
            "dimensionsSpec": {"dimensions": ["page", "lang", {"type": "long", "name": "added"}]},
            "granularitySpec": {"segmentGranularity": "DAY", "queryGranularity": "NONE", "rollup": false}
        },
        "ioConfig": {
            "type": "index_parallel",
            "inputSource": {"type": "inline", "data": data},
            "inputFormat": {"type": "json"},
            "appendToExisting": append
        },
        "tuningConfig": {"type": "index_parallel", "partitionsSpec": {"type": "dynamic"}}
    }})
}

/// `count` rows over `days` days from 2024-01-01; `added` counts from 0.
pub fn rows(count: usize, days: usize) -> Vec<Value> {
    let lang = |i: usize| ["en", "de", "fr"][i % 3];
    let day = |i: usize| format!("2024-01-{:02}T{:02}:{:02}:{:02}Z", 1 + i % days, i / 3600 % 24, i / 60 % 60, i % 60);
    (0..count).map(|i| json!({"time": day(i), "page": format!("page{}", i % 17), "lang": lang(i), "added": i})).collect()
}
