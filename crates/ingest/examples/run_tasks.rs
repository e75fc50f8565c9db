//! Runs batch tasks without an overlord: for measuring, and for trying specs.
//!
//!   run_tasks [--threads N] [--keep DIR] TASK.json …      each a task as it is posted
//!   run_tasks --corpus DIR [NAME …]                       the data sets of the conformance corpus (`*.spec.json`)
//!
//! Prints rows, segments and rows a second. Exit status 1 when some task failed or gave another number of rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ovate_ingest::task::memory::MemoryActions;
use ovate_ingest::{StopFlag, TaskEnv, TaskSpec, TaskState, run_task};
use ovate_store::deep::LocalDeepStorage;
use serde_json::{Value, json};

struct Outcome {
    error: Option<String>,
    seconds: f64,
    rows: i64,
    segments: usize,
    report: Value,
}

async fn run(tasks: &[Value], dir: &Path, threads: usize) -> Outcome {
    let actions = Arc::new(MemoryActions::default());
    let started = Instant::now();
    let mut error = None;
    let mut report = Value::Null;
    for (number, task) in tasks.iter().enumerate() {
        let spec = match TaskSpec::from_json(task, 0, number as u64) {
            Ok(spec) => spec,
            Err(refused) => {
                error = Some(refused.message);
                break;
            }
        };
        let env = TaskEnv {
            lookups: Default::default(),
            work_dir: dir.join("work"),
            actions: actions.clone(),
            storage: Arc::new(LocalDeepStorage::new(dir.join("deep"), false)),
            threads,
            memory_bytes: 1 << 30,
            stop: StopFlag::default(),
            report_file: None,
            chat: Default::default(),
        };
        let outcome = run_task(&spec, &env).await;
        report = outcome.report["ingestionStatsAndErrors"]["payload"].clone();
        if outcome.status.state != TaskState::Success {
            error = outcome.status.error_message;
            break;
        }
    }
    let visible = actions.visible();
    let rows = visible.iter().filter_map(|segment| segment.total_rows).sum();
    Outcome { error, seconds: started.elapsed().as_secs_f64(), rows, segments: visible.len(), report }
}

fn corpus_tasks(dir: &Path, spec: &Value) -> Vec<Value> {
    let parts = spec["parts"].as_array().cloned().unwrap_or_default();
    let task = |(number, part): (usize, &Value)| {
        let mut schema = json!({"dataSource": spec["dataSource"], "timestampSpec": part["timestampSpec"], "dimensionsSpec": part["dimensionsSpec"],
            "metricsSpec": part.get("metricsSpec").cloned().unwrap_or(json!([])), "granularitySpec": part["granularitySpec"]});
        if !part["transformSpec"].is_null() {
            schema["transformSpec"] = part["transformSpec"].clone();
        }
        let partitions = if number == 0 { part["partitionsSpec"].clone() } else { Value::Null };
        let mut tuning = json!({"type": "index_parallel", "partitionsSpec": {"type": "dynamic"}});
        if !partitions.is_null() {
            tuning["partitionsSpec"] = partitions;
            tuning["forceGuaranteedRollup"] = json!(true);
        }
        let file = dir.join(part["file"].as_str().unwrap_or_default());
        json!({"type": "index_parallel", "spec": {"dataSchema": schema, "tuningConfig": tuning, "ioConfig": {"type": "index_parallel",
            "inputSource": {"type": "local", "files": [file]}, "inputFormat": part["inputFormat"], "appendToExisting": number > 0}}})
    };
    parts.iter().enumerate().map(task).collect()
}

async fn corpus(dir: &Path, names: &[String], keep: &Path, threads: usize) -> bool {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).expect("corpus").map(|e| e.expect("entry").path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".spec.json"));
    files.sort();
    let mut good = true;
    for file in files {
        let spec: Value = serde_json::from_slice(&std::fs::read(&file).expect("spec")).expect("JSON");
        let name = spec["dataSource"].as_str().unwrap_or_default();
        if !names.is_empty() && !names.iter().any(|own| own == name) {
            continue;
        }
        let outcome = run(&corpus_tasks(dir, &spec), &keep.join(name), threads).await;
        let rollup = spec["parts"][0]["granularitySpec"]["rollup"].as_bool().unwrap_or(true)
            || !spec["parts"][0]["transformSpec"]["filter"].is_null();
        let wanted = spec["rows"].as_i64().unwrap_or(-1);
        let stats = &outcome.report["rowStats"]["buildSegments"];
        let bad = stats["unparseable"].as_u64().unwrap_or(0) + stats["processedWithError"].as_u64().unwrap_or(0);
        let ok = outcome.error.is_none() && (rollup || outcome.rows == wanted) && outcome.rows > 0;
        good &= ok;
        if !ok || bad > 0 {
            println!(
                "{} {name}: {} rows of {wanted}, {bad} bad, {:?}",
                if ok { "note" } else { "FAIL" },
                outcome.rows,
                outcome.error
            );
        }
    }
    good
}

#[tokio::main]
async fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut option = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.remove(at);
        Some(args.remove(at))
    };
    let threads = option("--threads").and_then(|n| n.parse().ok()).unwrap_or(2);
    let temporary = std::env::temp_dir().join(format!("ovate-run-tasks-{}", std::process::id()));
    let kept = option("--keep").map(PathBuf::from);
    let dir = kept.clone().unwrap_or_else(|| temporary.clone());
    let corpus_dir = option("--corpus");
    let good = match corpus_dir {
        Some(corpus_dir) => corpus(Path::new(&corpus_dir), &args, &dir, threads).await,
        None => {
            let mut good = true;
            for file in &args {
                let task: Value = serde_json::from_slice(&std::fs::read(file).expect("task file")).expect("JSON");
                let outcome = run(std::slice::from_ref(&task), &dir, threads).await;
                let stats = &outcome.report["rowStats"]["buildSegments"];
                let input = stats["processed"].as_f64().unwrap_or(0.0);
                println!(
                    "{file}: {} rows in {} segments, {:.2} s, {:.0}k rows/s {stats}",
                    outcome.rows,
                    outcome.segments,
                    outcome.seconds,
                    input / outcome.seconds / 1000.0
                );
                if let Some(error) = outcome.error {
                    println!("FAILED: {error}");
                    good = false;
                }
            }
            good
        }
    };
    if kept.is_none() {
        let _ = std::fs::remove_dir_all(&temporary);
    }
    std::process::exit(i32::from(!good));
}
