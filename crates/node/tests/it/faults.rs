//! The cluster of Druid's clustering page under a constant load of queries with known answers, while its parts break one after
//! the other. Every answer is right, or an error, or says that it is partial; with two replicas the errors that follow a
//! killed Data server end within two seconds.

use std::io::Write as _;
use std::time::{Duration, Instant};

use ovate_testkit::cluster::{Load, Outcome, Question, corrupt_files};
use ovate_testkit::proxy::Proxy;
use ovate_testkit::services::Database;
use ovate_testkit::services::zookeeper::ZooKeeper;
use ovate_testkit::{Cluster, ClusterSettings, skip};
use serde_json::{Value, json};

const DAYS: usize = 8;
const ROWS_PER_DAY: usize = 2_000;
const LIMIT: Duration = Duration::from_secs(60);
/// Quiet time before a fault, and after it is mended.
const STEADY: Duration = Duration::from_millis(1000);
const CLIENTS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_under_faults_is_right_or_an_error_or_flagged() {
    let mut settings = ClusterSettings::page(crate::binary::ovate());
    settings.hosts.iter_mut().filter(|host| host.name == "data2").for_each(|host| host.cache_disk_bytes = Some(48 << 20));
    // Zipped, so that the caches share no files with deep storage on the same disk.
    settings.properties.push(("druid.storage.zip".to_owned(), "true".to_owned()));
    let mut faults = Faults::begin(Cluster::start(settings).await).await;
    faults.data_server_killed().await;
    faults.historical_paused().await;
    faults.broker_cut_off().await;
    faults.cached_segments_corrupted().await;
    faults.cache_disk_full().await;
    faults.leading_master_killed().await;
    faults.broker_restarted().await;
    faults.everything_restarted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_go_on_while_zookeeper_postgresql_and_masters_are_away() {
    const NAME: &str = "queries_go_on_while_zookeeper_postgresql_and_masters_are_away";
    let (mut zookeeper, mut database) = match (ZooKeeper::start(), Database::postgres()) {
        (Ok(zookeeper), Ok(database)) => (zookeeper, database),
        (Err(reason), _) | (_, Err(reason)) => return skip(NAME, &reason),
    };
    let mut cluster = Cluster::prepare(ClusterSettings::page(crate::binary::ovate()));
    let outside = cluster.network.outside();
    let to_zookeeper = Proxy::start_on(&outside, zookeeper.hosts()).await;
    let to_database = Proxy::start_on(&outside, format!("127.0.0.1:{}", database.port())).await;
    cluster.set("druid.zk.service.host", &to_zookeeper.address());
    cluster.set("druid.zk.service.sessionTimeoutMs", "3000");
    for (name, value) in database.properties() {
        cluster.set(&name, &value.replace(&format!("127.0.0.1:{}", database.port()), &to_database.address()));
    }
    cluster.spawn_all().await;
    let mut faults = Faults::begin(cluster).await;
    faults.service_away(&format!("ZooKeeper killed for {:?}", away_for()), || zookeeper.kill()).await;
    zookeeper.up().expect("ZooKeeper starts again");
    faults.works_again().await;
    faults.service_away(&format!("PostgreSQL killed for {:?}", away_for()), || database.kill()).await;
    database.spawn().expect("PostgreSQL starts again");
    faults.works_again().await;
    faults.leading_master_killed().await;
    faults.data_server_killed().await;
}

/// How long ZooKeeper or the metadata store is away: longer than its session timeout, or as many seconds as `OVATE_AWAY_S` says.
fn away_for() -> Duration {
    Duration::from_secs(std::env::var("OVATE_AWAY_S").ok().and_then(|s| s.parse().ok()).unwrap_or(8))
}

struct Faults {
    cluster: Cluster,
    questions: Vec<Question>,
}

impl Faults {
    /// Loads the table with two replicas and notes the answers.
    async fn begin(cluster: Cluster) -> Faults {
        if let ovate_testkit::cluster::Network::Loopback(reason) = &cluster.network {
            skip("network namespaces", reason);
        }
        let rule = json!([{"type": "loadForever", "tieredReplicants": {"_default_tier": 2}}]);
        cluster.post("/druid/coordinator/v1/rules/_default", &rule).await.expect("rules are taken");
        let status = cluster.run_task(&load_task(&write_rows(&cluster)), LIMIT).await;
        assert_eq!(status["statusCode"], "SUCCESS", "{status}\n{}", cluster.logs());
        let mut faults = Faults { cluster, questions: Vec::new() };
        faults.wait_replicated().await;
        faults.questions = faults.answers().await;
        faults
    }

    /// Both Data servers have every segment.
    async fn wait_replicated(&self) {
        let (rows, replicas) = ("SELECT COUNT(*) FROM t", "SELECT COUNT(*) FROM sys.server_segments");
        for (statement, wanted) in [(rows, DAYS * ROWS_PER_DAY), (replicas, DAYS * 2)] {
            if let Err(seen) = self.cluster.wait_number(statement, wanted as i64, LIMIT).await {
                panic!("{statement} gives {seen:?}, not {wanted}\n{}", self.cluster.logs());
            }
        }
    }

    /// Questions with the answers of the healthy cluster; two of them are checked by arithmetic.
    async fn answers(&self) -> Vec<Question> {
        let sql = |text: &str| ("/druid/v2/sql", json!({"query": text, "resultFormat": "array"}));
        let mut questions = Vec::new();
        for (path, body) in [
            sql("SELECT COUNT(*), SUM(added) FROM t"),
            sql("SELECT page, COUNT(*), SUM(added) FROM t GROUP BY page ORDER BY page"),
            sql("SELECT FLOOR(__time TO DAY), COUNT(*) FROM t GROUP BY 1 ORDER BY 1"),
            sql("SELECT lang, SUM(added) FROM t WHERE page <> 'page3' GROUP BY 1 ORDER BY 2 DESC LIMIT 3"),
            (
                "/druid/v2",
                json!({"queryType": "timeseries", "dataSource": "t", "granularity": "day", "intervals": ["2024-01-01/2024-02-01"],
                "context": {"skipEmptyBuckets": true}, "aggregations": [{"type": "longSum", "name": "added", "fieldName": "added"}]}),
            ),
        ] {
            let answer = self.cluster.post(path, &body).await.expect("a healthy cluster answers");
            questions.push(Question { path, body, answer });
        }
        let n = DAYS * ROWS_PER_DAY;
        assert_eq!(questions[0].answer, json!([[n, n * (n - 1) / 2]]));
        assert_eq!(questions[2].answer.as_array().map(Vec::len), Some(DAYS));
        questions
    }

    fn load(&self) -> Load {
        Load::start(&self.cluster.router(), &self.questions, CLIENTS)
    }

    /// Ends a load, prints what it saw and holds it to the rule.
    async fn judge(&self, fault: &str, load: Load, at: Instant) -> Outcome {
        tokio::time::sleep(STEADY).await;
        let outcome = load.finish(at).await;
        println!(
            "{fault}: right {}, wrong {}, flagged {}, failed {}, errors last {} ms, slowest {} ms {:?}",
            outcome.right,
            outcome.wrong.len(),
            outcome.flagged,
            outcome.failed,
            outcome.errors_last.as_millis(),
            outcome.slowest.as_millis(),
            outcome.errors
        );
        assert!(outcome.wrong.is_empty(), "{fault}: {:?}\n{}", &outcome.wrong[..outcome.wrong.len().min(3)], self.cluster.logs());
        assert!(outcome.right > 0, "{fault}: nothing was answered\n{}", self.cluster.logs());
        outcome
    }

    /// Nothing that only Masters and newcomers need stops a query.
    async fn service_away(&self, fault: &str, away: impl FnOnce()) {
        let load = self.load();
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        away();
        tokio::time::sleep(away_for()).await;
        let outcome = self.judge(fault, load, at).await;
        assert_eq!(outcome.failed, 0, "{outcome:?}\n{}", self.cluster.logs());
    }

    /// One Master leads again, all replicas are announced, and a task runs.
    async fn works_again(&self) {
        self.cluster.wait_ready(LIMIT).await;
        self.wait_replicated().await;
        let task = json!({"type": "noop", "runTime": 1});
        let end = Instant::now() + LIMIT;
        loop {
            if self.cluster.post("/druid/indexer/v1/task", &task).await.is_ok() {
                return;
            }
            assert!(Instant::now() < end, "no Overlord takes tasks\n{}", self.cluster.logs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn data_server_killed(&mut self) {
        let load = self.load();
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        let processes = self.cluster.processes_of(self.cluster.host("data1"));
        processes.iter().for_each(|process| self.cluster.kill(*process));
        tokio::time::sleep(Duration::from_secs(4)).await;
        let outcome = self.judge("Data server killed", load, at).await;
        assert!(outcome.errors_last < Duration::from_secs(2), "{outcome:?}\n{}", self.cluster.logs());
        let load = self.load();
        let at = Instant::now();
        processes.iter().for_each(|process| self.cluster.spawn(*process));
        self.wait_replicated().await;
        self.judge("Data server back", load, at).await;
    }

    async fn historical_paused(&mut self) {
        let load = self.load();
        tokio::time::sleep(STEADY).await;
        let (at, process) = (Instant::now(), self.cluster.process("data2", "historical"));
        self.cluster.pause(process);
        tokio::time::sleep(Duration::from_secs(6)).await;
        self.cluster.resume(process);
        self.judge("Historical paused for 6 s", load, at).await;
        self.wait_replicated().await;
    }

    async fn broker_cut_off(&mut self) {
        let (query, data) = (self.cluster.host("query"), self.cluster.host("data1"));
        let load = self.load();
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        if !self.cluster.network.cut(query, data) {
            load.finish(at).await;
            return skip("Broker cut off from one Historical", "hosts share one address here");
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(self.cluster.network.mend(query, data), "the link can be mended");
        self.judge("Broker cut from one Historical for 6 s", load, at).await;
        self.wait_replicated().await;
    }

    /// Files of the cache are overwritten under the running server, which is then restarted over them.
    async fn cached_segments_corrupted(&mut self) {
        let (load, process) = (self.load(), self.cluster.process("data1", "historical"));
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        self.cluster.kill(process);
        let count = corrupt_files(&self.cluster.cache_dir("data1"), 1024);
        assert!(count >= DAYS, "only {count} files to corrupt");
        self.cluster.spawn(process);
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.judge("cached segments corrupted", load, at).await;
        self.wait_replicated().await;
    }

    /// The disk below a cache is full when segments come back to it.
    async fn cache_disk_full(&mut self) {
        if !self.cluster.has_cache_disk("data2") {
            return skip("cache disk full", "no file system can be mounted here");
        }
        let (load, process) = (self.load(), self.cluster.process("data2", "historical"));
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        self.cluster.kill(process);
        let cache = self.cluster.cache_dir("data2");
        for entry in std::fs::read_dir(&cache).expect("a cache").flatten() {
            let _ =
                if entry.path().is_dir() { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
        }
        let filler = cache.join("filler");
        let mut file = std::fs::File::create(&filler).expect("a file");
        while file.write_all(&[7; 1 << 16]).is_ok() {}
        drop(file);
        self.cluster.spawn(process);
        tokio::time::sleep(Duration::from_secs(4)).await;
        self.judge("cache disk full", load, at).await;
        std::fs::remove_file(filler).expect("the filler goes");
        self.wait_replicated().await;
    }

    /// The leading Coordinator's address; a moment after a fault there may be none yet.
    async fn leader(&self) -> Value {
        let end = Instant::now() + LIMIT;
        loop {
            match self.cluster.get("/druid/coordinator/v1/leader").await {
                Ok(leader) => return leader,
                Err(error) => assert!(Instant::now() < end, "no Coordinator leads: {error}\n{}", self.cluster.logs()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn leading_master_killed(&mut self) {
        let leader = self.leader().await;
        let host = if leader.as_str() == Some(&self.cluster.url("master1", "coordinator")) { "master1" } else { "master2" };
        let (load, process) = (self.load(), self.cluster.process(host, "coordinator"));
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        self.cluster.kill(process);
        let moved = async {
            loop {
                let now = self.cluster.get("/druid/coordinator/v1/leader").await;
                if now.is_ok_and(|now| now != leader) {
                    return at.elapsed();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let moved = tokio::time::timeout(LIMIT, moved).await;
        println!("another Master leads after {moved:?}");
        assert!(moved.is_ok(), "nobody leads\n{}", self.cluster.logs());
        self.cluster.spawn(process);
        let outcome = self.judge("leading Master killed", load, at).await;
        assert_eq!(outcome.failed, 0, "queries do not need a Master: {outcome:?}\n{}", self.cluster.logs());
    }

    async fn broker_restarted(&mut self) {
        let (load, process) = (self.load(), self.cluster.process("query", "broker"));
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        self.cluster.kill(process);
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.cluster.spawn(process);
        self.cluster.wait_ready(LIMIT).await;
        self.judge("Broker killed and restarted", load, at).await;
    }

    /// In Druid's order: Data servers, Masters, Query servers; each answers again before the next one goes.
    async fn everything_restarted(&mut self) {
        let (load, at) = (self.load(), Instant::now());
        for host in ["data1", "data2", "master1", "master2"] {
            for process in self.cluster.processes_of(self.cluster.host(host)) {
                assert!(self.cluster.stop(process, LIMIT).await, "{host} does not end\n{}", self.cluster.log(process));
                self.cluster.spawn(process);
            }
            self.cluster.wait_ready(LIMIT).await;
            self.wait_replicated().await;
        }
        let outcome = self.judge("Data servers and Masters restarted one after the other", load, at).await;
        assert_eq!(outcome.failed, 0, "a rolling restart fails no query: {outcome:?}\n{}", self.cluster.logs());
    }
}

/// `DAYS` days with `ROWS_PER_DAY` rows each; `added` counts up over all rows.
fn write_rows(cluster: &Cluster) -> std::path::PathBuf {
    let dir = cluster.shared_dir().join("rows");
    std::fs::create_dir_all(&dir).expect("a folder");
    for day in 0..DAYS {
        let row = |n: usize| {
            let added = day * ROWS_PER_DAY + n;
            let time = format!("2024-01-{:02}T{:02}:{:02}:00Z", day + 1, n / 60 % 24, n % 60);
            let lang = ["de", "en", "fr", "it"][added % 4];
            json!({"time": time, "page": format!("page{}", added % 17), "lang": lang, "added": added})
        };
        let text: String = (0..ROWS_PER_DAY).map(|n| format!("{}\n", row(n))).collect();
        std::fs::write(dir.join(format!("day{day}.json")), text).expect("rows are written");
    }
    dir
}

fn load_task(dir: &std::path::Path) -> Value {
    let dimensions = json!(["page", "lang", {"type": "long", "name": "added"}]);
    json!({"type": "index_parallel", "spec": {
        "dataSchema": {"dataSource": "t", "timestampSpec": {"column": "time", "format": "iso"}, "dimensionsSpec": {"dimensions": dimensions},
            "granularitySpec": {"segmentGranularity": "day", "queryGranularity": "none", "rollup": false}},
        "ioConfig": {"type": "index_parallel", "inputSource": {"type": "local", "baseDir": dir, "filter": "*.json"}, "inputFormat": {"type": "json"}},
        "tuningConfig": {"type": "index_parallel"}}})
}
