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

#[tokio::test]
async fn a_peons_command_line_shows_no_property_of_its_parents() {
    const SECRET: &str = "not-for-every-eye";
    let mut settings = SandboxSettings::single(crate::binary::ovate());
    settings.properties.push(("druid.metadata.storage.connector.password".to_owned(), SECRET.to_owned()));
    settings.properties.push(("druid.indexer.fork.property.druid.processing.numThreads".to_owned(), "1".to_owned()));
    let sandbox = Sandbox::start(settings).await;
    let id = sandbox.submit(&json!({"type": "noop", "runTime": 3000})).await.expect("a task id");
    let ours = format!("{}/", sandbox.dir().display());
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let (line, environment) = loop {
        let processes = std::fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
        let read = |path: std::path::PathBuf| {
            let text = |name: &str| std::fs::read(path.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let line = text("cmdline").ok().filter(|line| line.contains("\0peon\0") && line.contains(&ours))?;
            Some((line, text("environ").ok().filter(|environment| !environment.is_empty())?))
        };
        if let Some(found) = processes.filter_map(read).next() {
            break found;
        }
        assert!(std::time::Instant::now() < end, "no peon runs\n{}", sandbox.log(0));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(!line.contains(SECRET), "{line}");
    assert!(environment.contains(SECRET), "its environment, which only its user can read, has it");
    assert_eq!(sandbox.wait_task(&id, std::time::Duration::from_secs(60)).await["statusCode"], "SUCCESS");
}
