//! Workers with shell scripts as peons.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::spec::TaskState;

fn config(dir: &Path, script: &str, capacity: usize) -> WorkerConfig {
    let program = dir.join("peon.sh");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    WorkerConfig {
        capacity,
        base_task_dirs: vec![dir.join("tasks")],
        peon_command: vec!["/bin/sh".into(), program.display().to_string()],
        threads: None,
        peon_env: vec![("GREETING".into(), "hello".into())],
        host: "localhost".into(),
        bind: "127.0.0.1".into(),
        ports: PeonPorts { start: 0, end: 0, list: Vec::new() },
    }
}

fn task(id: &str) -> Value {
    json!({"type": "noop", "id": id, "groupId": id, "dataSource": "none"})
}

async fn end_of(worker: &Worker, id: &str) -> TaskStatus {
    let mut changes = worker.changes();
    loop {
        let status = worker.tasks().into_iter().find(|t| t.id == id).expect("assigned").status;
        if status.state.is_complete() {
            return status;
        }
        tokio::time::timeout(Duration::from_secs(20), changes.changed()).await.unwrap().unwrap();
    }
}

const SUCCEED: &str = r#"echo "$GREETING $1" >&2
id=$(basename "$1")
printf '{"id":"%s","status":"SUCCESS","duration":5,"errorMsg":null,"location":{}}' "$id" > "$1/status.json""#;

#[tokio::test]
async fn peon_succeeds_and_leaves_log_and_status() {
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(dir.path(), SUCCEED, 1)).await.unwrap();
    worker.assign(&task("a")).await.unwrap();
    let status = end_of(&worker, "a").await;
    assert!(status.state == TaskState::Success && status.location.port > 1023, "{status:?}");
    assert!(std::fs::read_to_string(worker.log_file("a")).unwrap().starts_with("hello "));
    let again = Worker::start(config(dir.path(), SUCCEED, 1)).await.unwrap();
    assert_eq!(again.tasks()[0].status.state, TaskState::Success);
    again.forget("a");
    assert!(again.tasks().is_empty() && !again.log_file("a").exists());
}

#[tokio::test]
async fn slots_are_bounded_and_shutdown_kills() {
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(dir.path(), "sleep 60", 1)).await.unwrap();
    worker.assign(&task("a")).await.unwrap();
    worker.assign(&task("a")).await.unwrap();
    assert!(worker.assign(&task("b")).await.unwrap_err().message.contains("druid.worker.capacity"));
    worker.shutdown("a", "Shutdown request from user").await;
    let status = end_of(&worker, "a").await;
    assert_eq!((status.state, status.error_message.as_deref()), (TaskState::Failed, Some("Shutdown request from user")));
}

#[tokio::test]
async fn crashed_peon_and_crashed_worker_fail_the_task() {
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(dir.path(), "exit 7", 2)).await.unwrap();
    worker.assign(&task("a")).await.unwrap();
    assert!(end_of(&worker, "a").await.error_message.unwrap().contains('7'));
    std::fs::create_dir_all(dir.path().join("tasks/b")).unwrap();
    std::fs::write(dir.path().join("tasks/b/task.json"), task("b").to_string()).unwrap();
    let again = Worker::start(config(dir.path(), "exit 7", 2)).await.unwrap();
    let b = again.tasks().into_iter().find(|t| t.id == "b").unwrap();
    assert_eq!(b.status.state, TaskState::Failed);
    assert!(again.assign(&json!({"id": "../x"})).await.is_err());
}

#[tokio::test]
async fn tasks_go_below_the_directory_that_has_the_fewest_and_are_found_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = vec![dir.path().join("disk1"), dir.path().join("disk2")];
    let config = || WorkerConfig { base_task_dirs: dirs.clone(), ..config(dir.path(), "sleep 60", 4) };
    let worker = Worker::start(config()).await.unwrap();
    for id in ["a", "b", "c", "d"] {
        worker.assign(&task(id)).await.unwrap();
    }
    let count = |dir: &PathBuf| std::fs::read_dir(dir).unwrap().count();
    assert_eq!(dirs.iter().map(count).collect::<Vec<_>>(), [2, 2]);
    worker.stop().await;
    let again = Worker::start(config()).await.unwrap();
    assert_eq!(again.tasks().len(), 4);
    for id in ["a", "b", "c", "d"] {
        assert!(again.log_file(id).exists());
        again.forget(id);
    }
    assert_eq!(dirs.iter().map(count).collect::<Vec<_>>(), [0, 0]);
}
