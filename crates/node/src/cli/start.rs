//! `ovate start`: every role in this process, and with `--sample` a data set made on the spot, loaded by an ordinary task, and
//! three example queries with their answers.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use ovate_base::{DruidError, Result};
use ovate_net::{HttpClient, NodeRole};
use serde_json::{Value, json};

use super::ConfigArgs;
use super::sql::fetch;
use crate::config::Settings;
use crate::wiring::{self, runtime};

/// Roles of a single server, in the order they start: who is asked starts before who asks.
const ROLES: [NodeRole; 6] = [
    NodeRole::Coordinator,
    NodeRole::Overlord,
    NodeRole::Historical,
    NodeRole::MiddleManager,
    NodeRole::Broker,
    NodeRole::Router,
];
/// Longest wait for one step of the sample.
const STEP: Duration = Duration::from_secs(300);
const TABLE: &str = "site_edits";

const EXAMPLES: [(&str, &str); 3] = [
    (
        "Edits by hour",
        "SELECT TIME_FLOOR(__time, 'PT1H') AS \"hour\", COUNT(*) AS edits, SUM(added) AS added FROM site_edits GROUP BY 1 ORDER BY 1 LIMIT 6",
    ),
    (
        "Busiest channels",
        "SELECT channel, COUNT(*) AS edits, SUM(delta) AS delta FROM site_edits GROUP BY channel ORDER BY edits DESC LIMIT 5",
    ),
    (
        "People and robots",
        "SELECT isRobot, COUNT(*) AS edits, APPROX_COUNT_DISTINCT(\"user\") AS users, AVG(CAST(added AS DOUBLE)) AS added_mean FROM site_edits GROUP BY isRobot ORDER BY edits DESC",
    ),
];

#[derive(Debug, Args)]
pub struct StartArgs {
    /// Makes and loads a sample data set, unless it is there, and shows three queries.
    #[arg(long)]
    sample: bool,
    /// Stops after the sample was shown.
    #[arg(long, requires = "sample")]
    once: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs until Ctrl-C.
pub fn run(args: StartArgs) -> Result<i32> {
    let began = Instant::now();
    let settings = args.config.settings(&ROLES)?;
    runtime::server()?.block_on(async {
        let url = router_url(&settings);
        let sample_file = settings.storage_dir.join("../sample/site_edits.json.gz");
        let process = wiring::Process::start(settings).await?;
        let client = HttpClient::new()?;
        wait_until_ready(&client, &url).await?;
        println!("Ovate is ready after {:.2} s: {url}", began.elapsed().as_secs_f64());
        let shown = if args.sample { show_sample(&client, &url, &sample_file).await } else { Ok(()) };
        if let Err(error) = &shown {
            eprintln!("the sample could not be shown: {error}");
        }
        if !args.once {
            println!("Go on with:  ovate sql \"SELECT …\" --url {url}   (Ctrl-C stops the server)");
            runtime::until_signal().await;
        }
        process.stop().await;
        shown.map(|()| 0)
    })
}

fn router_url(settings: &Settings) -> String {
    format!("http://{}:{}", settings.host, settings.port(NodeRole::Router).unwrap_or_else(|| NodeRole::Router.default_port()))
}

async fn wait_until_ready(client: &HttpClient, url: &str) -> Result<()> {
    let end = Instant::now() + STEP;
    loop {
        let tasks = client.get_json::<Value>(&format!("{url}/druid/indexer/v1/runningTasks"), STEP).await;
        let answered = match tasks {
            Ok(_) => fetch(client, url, "SELECT 1").await.map(|_| ()),
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error.prefixed("the server does not answer")),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn show_sample(client: &HttpClient, url: &str, file: &Path) -> Result<()> {
    if count(client, url).await.unwrap_or(0) == 0 {
        load_sample(client, url, file).await?;
    }
    for (title, statement) in EXAMPLES {
        let began = Instant::now();
        let table = fetch(client, url, statement).await?;
        println!("\n{title}: {statement}\n\n{table}({:.1} ms)", began.elapsed().as_secs_f64() * 1000.0);
    }
    println!();
    Ok(())
}

async fn load_sample(client: &HttpClient, url: &str, file: &Path) -> Result<()> {
    let wanted = file.to_owned();
    let rows = tokio::task::spawn_blocking(move || ovate_ingest::sample::write_file(&wanted))
        .await
        .map_err(|e| DruidError::runtime(format!("making the sample failed: {e}")))??;
    println!("Made {rows} sample rows: {}", file.display());
    let began = Instant::now();
    let answer: Value = client.post_json(&format!("{url}/druid/indexer/v1/task"), &task(file), STEP).await?;
    let id = answer["task"].as_str().ok_or_else(|| DruidError::runtime(format!("no task id in {answer}")))?.to_owned();
    println!("Loading it by task {id}");
    wait_for_task(client, url, &id, rows).await?;
    let end = Instant::now() + STEP;
    while count(client, url).await.unwrap_or(0) < rows as i64 {
        if Instant::now() > end {
            return Err(DruidError::timeout("the sample's rows did not become queryable"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{rows} rows queryable after {seconds:.1} s ({:.0}k rows/s)", rows as f64 / seconds / 1000.0);
    Ok(())
}

/// Waits for the task's end with a progress line from its live report.
async fn wait_for_task(client: &HttpClient, url: &str, id: &str, rows: u64) -> Result<()> {
    let end = Instant::now() + STEP;
    loop {
        let status: Value = client.get_json(&format!("{url}/druid/indexer/v1/task/{id}/status"), STEP).await?;
        let processed = processed_rows(client, url, id).await.unwrap_or(0);
        print!("\r  {processed} of {rows} rows, {}   ", status["status"]["statusCode"].as_str().unwrap_or("?"));
        let _ = std::io::Write::flush(&mut std::io::stdout());
        match status["status"]["statusCode"].as_str() {
            Some("SUCCESS") => {
                println!();
                return Ok(());
            }
            Some("FAILED") => return Err(DruidError::runtime(format!("task {id} failed: {}", status["status"]["errorMsg"]))),
            _ if Instant::now() > end => return Err(DruidError::timeout(format!("task {id} did not end in time"))),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn processed_rows(client: &HttpClient, url: &str, id: &str) -> Option<u64> {
    let report: Value = client.get_json(&format!("{url}/druid/indexer/v1/task/{id}/reports"), STEP).await.ok()?;
    report["ingestionStatsAndErrors"]["payload"]["rowStats"]["buildSegments"]["processed"].as_u64()
}

async fn count(client: &HttpClient, url: &str) -> Option<i64> {
    let body = json!({"query": format!("SELECT COUNT(*) FROM {TABLE}"), "resultFormat": "array"});
    let rows: Vec<Vec<i64>> = client.post_json(&format!("{url}/druid/v2/sql"), &body, STEP).await.ok()?;
    rows.first()?.first().copied()
}

/// An ordinary task over the file.
fn task(file: &Path) -> Value {
    let text = [
        "channel",
        "page",
        "user",
        "countryName",
        "regionName",
        "cityName",
        "comment",
        "namespace",
        "isRobot",
        "isNew",
        "isAnonymous",
    ];
    let long = |name: &str| json!({"type": "long", "name": name});
    let mut dimensions: Vec<Value> = text.iter().map(|name| json!(name)).collect();
    dimensions.extend(["added", "deleted", "delta"].map(long));
    json!({"type": "index_parallel", "spec": {
        "dataSchema": {
            "dataSource": TABLE,
            "timestampSpec": {"column": "time", "format": "iso"},
            "dimensionsSpec": {"dimensions": dimensions},
            "granularitySpec": {"type": "uniform", "segmentGranularity": "DAY", "queryGranularity": "NONE", "rollup": false}
        },
        "ioConfig": {
            "type": "index_parallel",
            "inputSource": {"type": "local", "files": [file]},
            "inputFormat": {"type": "json"}
        },
        "tuningConfig": {"type": "index_parallel", "partitionsSpec": {"type": "dynamic"}}
    }})
}
