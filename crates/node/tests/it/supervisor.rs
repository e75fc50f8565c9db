//! `ovate supervise` over small shell scripts: what ends is started again, and a signal stops all of them in order.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn supervise(dir: &Path, conf: &str) -> Child {
    std::fs::write(dir.join("services.conf"), conf).expect("written");
    // Says when it begins and when it was asked to end.
    let service =
        "#!/bin/sh\ntrap 'echo \"$1 ends\" >> order; exit 0' TERM\necho \"$1 begins\" >> order\nwhile :; do sleep 0.05; done\n";
    std::fs::write(dir.join("service.sh"), service).expect("written");
    Command::new(crate::binary::ovate())
        .args(["supervise", "-c", "services.conf"])
        .current_dir(dir)
        .env_remove("DRUID_LOG_DIR")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

fn order(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("order")).unwrap_or_default()
}

fn pid(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(format!("var/sv/{name}.pid"))).unwrap_or_default().trim().to_owned()
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().expect("kill runs").success());
}

#[test]
fn a_service_that_ends_is_started_again_and_the_lowest_priority_stops_last() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let conf = "!p10 zk sh service.sh zk\nbroker sh service.sh broker\n!p90 middleManager sh service.sh middleManager\n";
    let mut supervisor = supervise(dir, conf);
    wait_for("all begin", || order(dir).lines().count() == 3);
    wait_for("ids are written", || !pid(dir, "broker").is_empty());
    let first = pid(dir, "broker");
    signal("-KILL", &first);
    wait_for("the broker begins again", || order(dir).matches("broker begins").count() == 2);
    wait_for("its new id is written", || !pid(dir, "broker").is_empty() && pid(dir, "broker") != first);
    assert!(std::fs::metadata(dir.join("log/broker.log")).is_ok());
    // A second supervisor over the same folder would start everything twice.
    let second = supervise(dir, conf).wait().expect("waited");
    assert!(!second.success());
    signal("-TERM", &supervisor.id().to_string());
    assert!(supervisor.wait().expect("waited").success());
    let ends: Vec<String> = order(dir).lines().filter(|line| line.ends_with("ends")).map(str::to_owned).collect();
    assert_eq!(ends, ["middleManager ends", "broker ends", "zk ends"]);
    assert_eq!(pid(dir, "broker"), "", "the file is gone with the process");
}

#[test]
fn a_service_that_does_not_stop_is_killed_and_a_failed_check_starts_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    std::fs::write(dir.join("deaf.sh"), "trap '' TERM\necho begins >> order\nwhile :; do sleep 0.05; done\n").expect("written");
    let began = Instant::now();
    let mut supervisor = supervise(dir, ":kill-timeout 1\ndeaf sh deaf.sh\n");
    wait_for("it begins", || order(dir).contains("begins"));
    signal("-TERM", &supervisor.id().to_string());
    assert!(supervisor.wait().expect("waited").success());
    assert!(began.elapsed() < Duration::from_secs(20));
    let failed = supervise(dir, ":verify false\nbroker sh service.sh broker\n").wait().expect("waited");
    assert!(!failed.success() && !order(dir).contains("broker"));
}
