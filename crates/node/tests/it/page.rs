//! Druid's clustering page as an operator does it: the scripts, the conf tree, a task and queries (`bin/cluster-demo`); and
//! the files that Druid ships, unchanged.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ovate_testkit::cluster::Network;
use ovate_testkit::{shared_dir, skip};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program that starts the services beside a cluster, where cargo builds it: beside `ovate`.
fn test_service() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ovate")).with_file_name("ovate-test-service")
}

/// Runs the demo with options; its rows must be answered as they are computed beside it.
fn demo(options: &[&str]) {
    let demo = Command::new(root().join("bin/cluster-demo"))
        .args(["--rows", "60000"])
        .args(options)
        .env("OVATE_BIN", crate::binary::ovate())
        .env("OVATE_TEST_SERVICE", test_service()) // the binary under test is a link in a folder of its own
        .stdin(Stdio::null())
        .output()
        .expect("the script runs");
    let (out, err) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    assert!(demo.status.success(), "{out}\n{err}");
    assert!(out.contains("as computed beside it: 60000 rows"), "{out}");
}

#[test]
fn the_demo_does_the_page_by_the_scripts_from_the_conf_tree() {
    demo(&["--zk", "none"]);
}

/// Whether the servers beside a cluster can be had: the program that starts them, and what `bin/test` installs.
fn servers_beside(test: &str, files: &[&str]) -> bool {
    let services = ovate_testkit::services::services_dir();
    let missing = files.iter().map(|file| services.join(file)).chain([test_service()]).find(|file| !file.exists());
    match missing {
        Some(file) => skip(test, &format!("no {}", file.display())),
        None => return true,
    }
    false
}

#[test]
fn the_demo_does_the_page_with_zookeeper_on_the_master_postgresql_and_s3() {
    const TEST: &str = "the_demo_does_the_page_with_zookeeper_on_the_master_postgresql_and_s3";
    if servers_beside(TEST, &["/usr/share/java/zookeeper.jar", "/usr/lib/postgresql", "moto/bin/moto_server"]) {
        demo(&["--zk", "on-master", "--metadata", "postgresql", "--deep", "s3"]);
    }
}

#[test]
fn the_demo_does_the_page_with_zookeeper_outside_mariadb_and_hdfs() {
    const TEST: &str = "the_demo_does_the_page_with_zookeeper_outside_mariadb_and_hdfs";
    if servers_beside(TEST, &["/usr/share/java/zookeeper.jar", "/usr/sbin/mariadbd", "mini/lib"]) {
        demo(&["--zk", "outside", "--metadata", "mariadb", "--deep", "hdfs"]);
    }
}

#[test]
fn the_packed_tree_runs_where_it_is_unpacked() {
    let dir = tempfile::tempdir().expect("a folder");
    let packed = Command::new(root().join("bin/dist"))
        .args(["--level", "1", "--out"])
        .arg(dir.path())
        .env("OVATE_BIN", crate::binary::ovate())
        .output()
        .expect("the script runs");
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let file = String::from_utf8_lossy(&packed.stdout).trim().to_owned();
    let unpacked = Command::new("tar").args(["-xzf", &file, "-C"]).arg(dir.path()).status().expect("tar runs");
    assert!(unpacked.success());
    let tree = PathBuf::from(file.trim_end_matches(".tar.gz"));
    let computed = Command::new(tree.join("bin/start-druid"))
        .args(["-m", "16g", "--compute"])
        .env_remove("OVATE_BIN")
        .output()
        .expect("the script runs");
    let out = String::from_utf8_lossy(&computed.stdout);
    assert!(computed.status.success() && out.contains("historical") && out.contains("tasks of"), "{out}");
    for unit in ["master", "master-with-zk", "data", "query"] {
        let text = std::fs::read_to_string(tree.join(format!("systemd/ovate-{unit}.service"))).expect("a unit");
        let program = text.lines().find_map(|line| line.strip_prefix("ExecStart=/opt/ovate/")).expect("a program");
        assert!(tree.join(program).exists(), "{program}");
    }
}

/// Kills what it holds.
struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn every_server_of_the_cluster_tree_that_druid_ships_starts_from_its_files() {
    const TEST: &str = "every_server_of_the_cluster_tree_that_druid_ships_starts_from_its_files";
    let Some(shared) = shared_dir() else { return skip(TEST, "no ../shared") };
    let network = Network::for_hosts(&["all"]);
    if !network.has_own_ports() {
        return skip(TEST, "the files name ports that others may hold, and there are no network namespaces here");
    }
    let base = tempfile::tempdir().expect("a folder");
    let tree = shared.join("fixtures/druid/shipped/conf/druid/cluster");
    let mut servers = Servers(Vec::new());
    if !Path::new("/usr/share/java/zookeeper.jar").exists() {
        return skip(TEST, "the files name a ZooKeeper, and there is none here (Debian package zookeeper)");
    }
    let mut command = network.command(0, &root().join("bin/run-zk"));
    let log = std::fs::File::create(base.path().join("zk.log")).expect("a log");
    std::fs::create_dir_all(base.path().join("conf/zk")).expect("a folder");
    let zoo =
        format!("tickTime=2000\ndataDir={}\nclientPort=2181\nadmin.enableServer=false\n", base.path().join("zk-data").display());
    std::fs::write(base.path().join("conf/zk/zoo.cfg"), zoo).expect("written");
    command.arg(base.path().join("conf"));
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
    servers.0.push(command.spawn().expect("starts"));
    let services = ["master/coordinator-overlord", "data/historical", "data/middleManager", "query/broker", "query/router"];
    for service in services {
        let log = std::fs::File::create(base.path().join(service.replace('/', "-"))).expect("a log");
        let mut command = network.command(0, Path::new(crate::binary::ovate()));
        command.args(["server", "--conf"]).arg(tree.join(service)).arg("--base-dir").arg(base.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        servers.0.push(command.spawn().expect("starts"));
    }
    let get = |url: &str| {
        let mut command = network.command(0, Path::new("curl"));
        let output = command.args(["-sf", "--noproxy", "*", "-m", "5", url]).output().expect("curl runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let end = Instant::now() + Duration::from_secs(60);
    for url in [
        "http://localhost:8081/druid/coordinator/v1/leader",
        "http://localhost:8081/druid/indexer/v1/leader",
        "http://localhost:8083/status/health",
        "http://localhost:8091/druid/worker/v1/enabled",
        "http://localhost:8082/status/health",
        "http://localhost:8888/druid/indexer/v1/workers",
    ] {
        while get(url).is_none_or(|answer| answer.is_empty() || answer == "[]") {
            let logs = services.map(|s| std::fs::read_to_string(base.path().join(s.replace('/', "-"))).unwrap_or_default());
            assert!(Instant::now() < end, "{url} does not answer; logs:\n{}", logs.join("\n---\n"));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
