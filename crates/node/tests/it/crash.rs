//! Kill -9 at random moments: what was acknowledged is there once after a restart, nothing is doubled, no time chunk
//! is visible in part.

use std::time::Duration;

use ovate_testkit::{Sandbox, SandboxSettings};
use serde_json::{Value, json};

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
    let sandbox = Sandbox::start(SandboxSettings::spread(env!("CARGO_BIN_EXE_ovate"))).await;
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
