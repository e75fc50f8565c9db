//! Kill -9 at random moments: what was acknowledged is there once after a restart, nothing is doubled, no time chunk
//! is visible in part.

use std::time::Duration;

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
async fn killed_at_random_moments_nothing_is_lost_doubled_or_half_visible() {
    let seed = std::env::var("OVATE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed} (OVATE_SEED)");
    let mut pauses = Pauses(seed);
    let mut sandbox = single().await;
    let mut accepted = Vec::new();
    for n in 0..LOADS {
        if let Ok(id) = sandbox.submit(&load(n)).await {
            accepted.push((n, id));
        }
        tokio::time::sleep(Duration::from_millis(pauses.next_ms(900))).await;
        sandbox.kill(0);
        sandbox.spawn(0);
        sandbox.wait_ready(LIMIT).await;
    }
    let mut done = Vec::new();
    for (n, id) in &accepted {
        let status = sandbox.wait_task(id, LIMIT).await;
        if status["statusCode"] == "SUCCESS" {
            done.push(*n);
        }
    }
    let wanted = (done.len() * ROWS_PER_LOAD) as i64;
    let seen = if wanted == 0 { Some(0) } else { sandbox.wait_count("t", wanted, LIMIT).await };
    assert_eq!(seen, Some(wanted), "accepted {} done {done:?}\n{}", accepted.len(), sandbox.log(0));
    let rows = sandbox.sql("SELECT page, COUNT(*) FROM t GROUP BY page").await.unwrap_or_default();
    let mut pages: Vec<String> = rows.iter().filter_map(|row| row[0].as_str().map(str::to_owned)).collect();
    assert!(rows.iter().all(|row| row[1] == json!(ROWS_PER_LOAD)), "{rows:?}");
    let mut expected: Vec<String> = done.iter().map(|n| format!("load{n}")).collect();
    pages.sort();
    expected.sort();
    assert_eq!(pages, expected);
    assert_eq!(accepted.len(), LOADS, "a server that is ready accepts tasks");
}
