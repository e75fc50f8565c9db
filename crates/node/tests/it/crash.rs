//! Kill -9 at random moments: what was acknowledged is there once after a restart, nothing is doubled, no time chunk
//! is visible in part.

use std::time::Duration;

use ovate_testkit::{Cluster, ClusterSettings, Sandbox, SandboxSettings};
use serde_json::{Value, json};

use crate::spread::{parallel_load, write_files};
use crate::tasks::{inline, single};

const LOADS: usize = 20;
const ROWS_PER_LOAD: usize = 40;
const LIMIT: Duration = Duration::from_secs(90);

/// A small generator of pauses, so that a failing run can be told by its seed.
struct Pauses(u64);

impl Pauses {
    fn next_ms(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Load `n` appends its rows to one day that all loads share.
fn load(n: usize) -> Value {
    let row = |i: usize| json!({"time": format!("2024-01-01T00:{:02}:{:02}Z", n % 60, i % 60), "page": format!("load{n}"), "lang": "en", "added": i});
    inline("t", &(0..ROWS_PER_LOAD).map(row).collect::<Vec<_>>(), true)
}

#[tokio::test]
async fn one_process_killed_at_random_moments_loses_doubles_and_half_shows_nothing() {
    let sandbox = single().await;
    killed_at_random(sandbox).await;
}

#[tokio::test]
async fn any_of_six_processes_killed_at_random_moments_loses_doubles_and_half_shows_nothing() {
    let sandbox = Sandbox::start(SandboxSettings::spread(crate::binary::ovate())).await;
    killed_at_random(sandbox).await;
}

/// Posts 20 loads, kills some process in the middle of each and starts it again, then counts.
async fn killed_at_random(mut sandbox: Sandbox) {
    let seed = std::env::var("OVATE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed} (OVATE_SEED)");
    let mut pauses = Pauses(seed);
    let mut accepted = Vec::new();
    for n in 0..LOADS {
        accepted.push((n, submit(&sandbox, n).await));
        tokio::time::sleep(Duration::from_millis(pauses.next_ms(900))).await;
        let process = pauses.next_ms(sandbox.process_count() as u64) as usize;
        sandbox.kill(process);
        sandbox.spawn(process);
        sandbox.wait_ready(LIMIT).await;
    }
    let mut done = Vec::new();
    for (n, id) in &accepted {
        let status = sandbox.wait_task(id, LIMIT).await;
        if status["statusCode"] == "SUCCESS" {
            done.push(*n);
        }
    }
    assert!(done.len() > LOADS / 2, "interrupted tasks are started over, so most must succeed: {done:?}");
    let wanted = (done.len() * ROWS_PER_LOAD) as i64;
    let seen = if wanted == 0 { Some(0) } else { sandbox.wait_count("t", wanted, LIMIT).await };
    let logs = || (0..sandbox.process_count()).map(|p| sandbox.log(p)).collect::<Vec<_>>().join("\n---\n");
    assert_eq!(seen, Some(wanted), "done {done:?}\n{}", logs());
    let rows = sandbox.sql("SELECT page, COUNT(*) FROM t GROUP BY page").await.unwrap_or_default();
    let mut pages: Vec<String> = rows.iter().filter_map(|row| row[0].as_str().map(str::to_owned)).collect();
    assert!(rows.iter().all(|row| row[1] == json!(ROWS_PER_LOAD)), "{rows:?}");
    let mut expected: Vec<String> = done.iter().map(|n| format!("load{n}")).collect();
    pages.sort();
    expected.sort();
    assert_eq!(pages, expected);
}

/// Posts one load, again while an overlord is away; a task has an id of its own, so asking again cannot load it twice.
async fn submit(sandbox: &Sandbox, n: usize) -> String {
    let mut task = load(n);
    task["id"] = json!(format!("load_{n}"));
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        match sandbox.submit(&task).await {
            Ok(id) => return id,
            // The answer to a post that was taken may have been lost with the process.
            Err(error) if error["errorMessage"].as_str().is_some_and(|m| m.contains("already exists")) => {
                return format!("load_{n}");
            }
            Err(error) => assert!(tokio::time::Instant::now() < end, "no overlord takes tasks: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Files and rows of one parallel load.
const FILES: usize = 3;
const ROWS_PER_FILE: usize = 200;

/// Two Overlords and two MiddleManagers; in every round a plain and a parallel load are posted and one of the four is killed
/// at a random moment. Five rounds, or as many as `OVATE_ROUNDS` says.
#[tokio::test(flavor = "multi_thread")]
async fn masters_and_workers_killed_in_the_middle_of_loads_lose_and_double_nothing() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default);
    let (seed, rounds) = (number("OVATE_SEED", 20_261_126), number("OVATE_ROUNDS", 5));
    println!("seed {seed} (OVATE_SEED), {rounds} rounds (OVATE_ROUNDS)");
    let mut pauses = Pauses(seed);
    let mut settings = ClusterSettings::page(crate::binary::ovate());
    settings.properties.push(("druid.worker.capacity".to_owned(), "4".to_owned()));
    // Supervising tasks that are started over must not take all slots, or none is left for what they supervise.
    settings.properties.push(("druid.indexer.runner.parallelIndexTaskSlotRatio".to_owned(), "0.5".to_owned()));
    let mut cluster = Cluster::start(settings).await;
    let killable: Vec<usize> =
        [("master1", "overlord"), ("master2", "overlord"), ("data1", "middleManager"), ("data2", "middleManager")]
            .iter()
            .map(|(host, role)| cluster.process(host, role))
            .collect();
    let mut loads: Vec<(String, String, usize)> = Vec::new();
    for round in 0..rounds {
        let (plain, spread) = (format!("plain{round}"), format!("spread{round}"));
        let mut task = load(round as usize);
        task["id"] = json!(plain);
        post(&cluster, &task).await;
        let dir = write_files(&cluster, &spread, FILES, ROWS_PER_FILE);
        post(&cluster, &parallel_load(&spread, &dir, true, json!({"maxRetry": 10}))).await;
        loads.push((plain, format!("load{round}"), ROWS_PER_LOAD));
        loads.push((spread.clone(), spread, FILES * ROWS_PER_FILE));
        tokio::time::sleep(Duration::from_millis(pauses.next_ms(2_500))).await;
        let victim = killable[pauses.next_ms(killable.len() as u64) as usize];
        cluster.kill(victim);
        tokio::time::sleep(Duration::from_millis(pauses.next_ms(1_500))).await;
        cluster.spawn(victim);
    }
    // What the rounds left behind is worked off after them, so more rounds take longer.
    let limit = LIMIT * u32::try_from(rounds.div_ceil(5)).unwrap_or(1).max(1);
    for (id, _, _) in &loads {
        let status = ended(&cluster, id, limit).await;
        assert_eq!(status["statusCode"], "SUCCESS", "acknowledged tasks are not lost: {status}\n{}", cluster.logs());
    }
    let wanted: usize = loads.iter().map(|(_, _, rows)| rows).sum();
    if let Err(seen) = cluster.wait_number("SELECT COUNT(*) FROM t", wanted as i64, LIMIT).await {
        let pages = cluster.sql("SELECT page, COUNT(*) FROM t GROUP BY page").await;
        panic!("{seen:?} rows, not {wanted}: {pages:?}\n{}", cluster.logs());
    }
    let mut expected: Vec<Value> = loads.iter().map(|(_, page, rows)| json!([page, rows])).collect();
    let rows = cluster.sql("SELECT page, COUNT(*) FROM t GROUP BY page ORDER BY page").await.expect("rows");
    expected.sort_by_key(|row| row[0].to_string());
    assert_eq!(json!(rows), json!(expected));
}

/// Posts a task until some overlord takes it; a task has an id of its own, so asking again cannot load it twice.
async fn post(cluster: &Cluster, task: &Value) {
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        match cluster.post("/druid/indexer/v1/task", task).await {
            Ok(_) => return,
            Err(error) if error["errorMessage"].as_str().is_some_and(|m| m.contains("already exists")) => return,
            Err(error) => assert!(tokio::time::Instant::now() < end, "no overlord takes tasks: {error}\n{}", cluster.logs()),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn ended(cluster: &Cluster, id: &str, limit: Duration) -> Value {
    let end = tokio::time::Instant::now() + limit;
    loop {
        if let Ok(answer) = cluster.get(&format!("/druid/indexer/v1/task/{id}/status")).await
            && matches!(answer["status"]["statusCode"].as_str(), Some("SUCCESS" | "FAILED"))
        {
            return answer["status"].clone();
        }
        assert!(tokio::time::Instant::now() < end, "task {id} does not end\n{}", cluster.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
