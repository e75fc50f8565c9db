//! `ovate sql "SELECT …"`: sends one statement and prints the answer as a table, CSV or JSON; without one, `shell` takes over.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use ovate_base::{DruidError, Result};
use ovate_net::HttpClient;
use serde_json::{Value, json};

use super::table::Table;

/// Longest wait for an answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(310);

#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The statement; `-` reads it from standard input; none begins an interactive session.
    statement: Option<String>,
    /// Where a router or broker listens.
    #[arg(long, default_value = "http://127.0.0.1:8888")]
    url: String,
    /// How to print the rows.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    format: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Output {
    Table,
    Csv,
    Json,
}

/// Runs the command; prints to standard output.
pub async fn run(args: SqlArgs) -> Result<()> {
    let client = HttpClient::new()?;
    let statement = match args.statement.as_deref() {
        Some("-") => std::io::read_to_string(std::io::stdin())
            .map_err(|e| DruidError::invalid_input(format!("cannot read standard input: {e}")))?,
        Some(statement) => statement.to_owned(),
        None => return super::shell::run(client, &args.url, args.format).await,
    };
    match args.format {
        Output::Table => {
            let began = Instant::now();
            let table = fetch(&client, &args.url, &statement).await?;
            print!("{table}");
            println!("{} rows in {:.3} s", table.row_count(), began.elapsed().as_secs_f64());
        }
        Output::Csv | Output::Json => {
            let format = if matches!(args.format, Output::Csv) { "csv" } else { "object" };
            let body = json!({"query": statement, "resultFormat": format, "header": matches!(args.format, Output::Csv)});
            let url = format!("{}/druid/v2/sql", args.url.trim_end_matches('/'));
            let bytes = client.send(client.raw().post(&url).json(&body), &url, ANSWER_DEADLINE).await?;
            print!("{}", String::from_utf8_lossy(&bytes));
        }
    }
    Ok(())
}

/// Sends a statement and reads the answer as a table.
pub async fn fetch(client: &HttpClient, url: &str, statement: &str) -> Result<Table> {
    let body = json!({"query": statement, "resultFormat": "array", "header": true});
    let url = format!("{}/druid/v2/sql", url.trim_end_matches('/'));
    let answer: Vec<Vec<Value>> = client.post_json(&url, &body, ANSWER_DEADLINE).await?;
    Ok(Table::new(answer))
}
