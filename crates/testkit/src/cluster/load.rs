//! Constant queries with known answers while something breaks: every answer is right, an error, or flagged as partial;
//! anything else is what these tests exist to find.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

/// One request with its answer.
#[derive(Debug, Clone)]
pub struct Question {
    pub path: &'static str,
    pub body: Value,
    pub answer: Value,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Right,
    /// An answer other than the known one that was not flagged.
    Wrong(String),
    /// Said to be partial by `X-Druid-Response-Context`.
    Flagged,
    /// An error, with its text.
    Failed(String),
}

/// Requests that go on until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Vec<(Instant, Fate)>>>,
}

/// What a load saw.
#[derive(Debug, Default)]
pub struct Outcome {
    pub right: usize,
    pub wrong: Vec<String>,
    pub flagged: usize,
    pub failed: usize,
    /// From the fault to the end of the last failed request.
    pub errors_last: Duration,
    /// A few of the errors.
    pub errors: Vec<String>,
    /// Longest request that was answered right, from its beginning.
    pub slowest: Duration,
}

impl Load {
    /// `workers` clients that ask all questions in turn.
    pub fn start(url: &str, questions: &[Question], workers: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |n: usize| {
            let (url, questions, stop) = (url.to_owned(), questions.to_vec(), stop.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::builder().no_proxy().build().expect("a client");
                let mut seen = Vec::new();
                for question in questions.iter().cycle().skip(n) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let fate = ask(&client, &url, question).await;
                    if matches!(fate, Fate::Failed(_)) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    seen.push((Instant::now(), fate));
                }
                seen
            })
        };
        Load { workers: (0..workers).map(work).collect(), stop: stop.clone() }
    }

    /// Ends the load; `fault` is when the fault happened.
    pub async fn finish(self, fault: Instant) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut outcome = Outcome::default();
        for worker in self.workers {
            let mut before: Option<Instant> = None;
            for (at, fate) in worker.await.expect("a client does not panic") {
                match fate {
                    Fate::Right => {
                        outcome.right += 1;
                        outcome.slowest = outcome.slowest.max(before.map_or(Duration::ZERO, |b| at.duration_since(b)));
                    }
                    Fate::Wrong(what) => outcome.wrong.push(what),
                    Fate::Flagged => outcome.flagged += 1,
                    Fate::Failed(what) => {
                        outcome.failed += 1;
                        outcome.errors_last = outcome.errors_last.max(at.saturating_duration_since(fault));
                        if outcome.errors.len() < 3 && !outcome.errors.contains(&what) {
                            outcome.errors.push(what);
                        }
                    }
                }
                before = Some(at);
            }
        }
        outcome
    }
}

/// Asks one question.
pub async fn ask(client: &reqwest::Client, url: &str, question: &Question) -> Fate {
    let sent = client.post(format!("{url}{}", question.path)).json(&question.body).timeout(Duration::from_secs(30)).send().await;
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => return Fate::Failed(format!("no answer: {error}")),
    };
    let (status, flagged) = (answer.status(), is_flagged(answer.headers()));
    let text = match answer.text().await {
        Ok(text) => text,
        Err(error) => return Fate::Failed(format!("broken off: {error}")),
    };
    if !status.is_success() {
        return Fate::Failed(format!("{status}: {}", text.chars().take(300).collect::<String>()));
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if value == question.answer => Fate::Right,
        Ok(_) if flagged => Fate::Flagged,
        Ok(value) => Fate::Wrong(format!("{} gave {}", question.body, value.to_string().chars().take(300).collect::<String>())),
        Err(error) => Fate::Failed(format!("not JSON ({error}): {}", text.chars().take(100).collect::<String>())),
    }
}

fn is_flagged(headers: &reqwest::header::HeaderMap) -> bool {
    let context = headers.get("X-Druid-Response-Context").and_then(|value| value.to_str().ok());
    let context: Option<Value> = context.and_then(|text| serde_json::from_str(text).ok());
    context.is_some_and(|c| c["missingSegments"].as_array().is_some_and(|list| !list.is_empty()))
}
