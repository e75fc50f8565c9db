//! `export-metadata` (`ExportMetadata`): a CSV file a table, once as it is (`_raw`: payloads in hexadecimal) and once for
//! importing, with the load specs of local segments rewritten for S3, HDFS or another folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use ovate_base::{DataSegment, DruidError, Result};
use ovate_store::MetadataStore;
use ovate_store::meta::{MetadataOptions, RawValue};
use serde_json::{Value, json};

use super::store::StoreArgs;

/// The tables that Druid's tool exports.
pub const TABLES: [&str; 5] = ["segments", "rules", "config", "dataSource", "supervisors"];
/// What else a cluster remembers.
pub const HISTORY: [&str; 3] = ["tasks", "audit", "indexingStates"];

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Folder that the files are written to.
    #[arg(short = 'o', long = "output-path")]
    output_path: PathBuf,
    /// Writes payloads in hexadecimal.
    #[arg(short = 'x', long = "use-hex-blobs")]
    use_hex_blobs: bool,
    /// Writes booleans as true and false instead of 1 and 0.
    #[arg(short = 't', long = "booleans-as-strings")]
    booleans_as_strings: bool,
    /// Bucket that segments were copied to.
    #[arg(short = 'b', long = "s3bucket", requires = "s3_base_key")]
    s3_bucket: Option<String>,
    /// Key in the bucket that segments were copied below.
    #[arg(short = 'k', long = "s3baseKey", requires = "s3_bucket")]
    s3_base_key: Option<String>,
    /// HDFS folder that segments were copied to.
    #[arg(long = "hadoopStorageDirectory", conflicts_with_all = ["s3_bucket", "new_local_path"])]
    hadoop_storage_directory: Option<String>,
    /// Local folder that segments were copied to.
    #[arg(short = 'n', long = "newLocalPath", conflicts_with = "s3_bucket")]
    new_local_path: Option<String>,
    /// Exports tasks, the audit log and indexing states as well.
    #[arg(long)]
    with_history: bool,
}

/// Writes the files.
pub async fn run(args: &ExportArgs) -> Result<()> {
    let (store, options) = args.store.open_existing().await?;
    std::fs::create_dir_all(&args.output_path).map_err(|e| failed("create", &args.output_path, &e))?;
    let history: &[&str] = if args.with_history { &HISTORY } else { &[] };
    for token in TABLES.iter().chain(history) {
        let count = export_table(args, &store, &options, token).await?;
        println!("exported {count} rows of {}", options.tables.name(token));
    }
    store.close().await;
    Ok(())
}

async fn export_table(args: &ExportArgs, store: &MetadataStore, options: &MetadataOptions, token: &str) -> Result<u64> {
    let table = options.tables.name(token);
    let create = |suffix: &str| -> Result<std::io::BufWriter<std::fs::File>> {
        let path = args.output_path.join(format!("{table}{suffix}.csv"));
        std::fs::File::create(&path).map(std::io::BufWriter::new).map_err(|e| failed("create", &path, &e))
    };
    let (mut raw, mut file) = (create("_raw")?, create("")?);
    let payload = MetadataStore::table_columns(token)?.iter().position(|(name, _)| *name == "payload");
    let written = |e: std::io::Error| failed("write", &args.output_path, &e);
    let mut after = None;
    let mut count = 0;
    loop {
        let rows = store.table_page(token, after.as_ref()).await?;
        let Some(last) = rows.last() else { break };
        after = Some(MetadataStore::table_key(token, last)?);
        for mut row in rows {
            writeln!(raw, "{}", line(&row, true, true)).map_err(written)?;
            if token == "segments"
                && let Some(RawValue::Bytes(bytes)) = payload.and_then(|at| row.get_mut(at))
            {
                *bytes = rewritten(args, bytes)?;
            }
            writeln!(file, "{}", line(&row, args.use_hex_blobs, args.booleans_as_strings)).map_err(written)?;
            count += 1;
        }
    }
    raw.flush().and_then(|()| file.flush()).map_err(written)?;
    Ok(count)
}

/// One line: texts in quotes, which are doubled inside; nothing for null.
fn line(row: &[RawValue], hex: bool, words: bool) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let cell = |value: &RawValue| match value {
        RawValue::Null => String::new(),
        RawValue::Text(text) => quoted(text),
        RawValue::Int(number) => number.to_string(),
        RawValue::Bool(flag) if words => flag.to_string(),
        RawValue::Bool(flag) => i32::from(*flag).to_string(),
        // Payloads of druid-basic-security are no text.
        RawValue::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !hex => quoted(text),
            _ => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        },
    };
    row.iter().map(cell).collect::<Vec<_>>().join(",")
}

/// A segment's payload with a load spec for where its files are going to be.
fn rewritten(args: &ExportArgs, payload: &[u8]) -> Result<Vec<u8>> {
    let damaged = |e: serde_json::Error| DruidError::runtime(format!("damaged segment payload: {e}"));
    let mut document: Value = serde_json::from_slice(payload).map_err(damaged)?;
    let segment: DataSegment = serde_json::from_value(document.clone()).map_err(damaged)?;
    if document["loadSpec"]["type"] != "local" {
        return Ok(payload.to_vec());
    }
    let Some(path) = document["loadSpec"]["path"].as_str() else { return Ok(payload.to_vec()) };
    let place = format!(
        "{}/{}_{}/",
        segment.data_source,
        ovate_base::time::format_iso(segment.interval.start),
        ovate_base::time::format_iso(segment.interval.end)
    );
    let Some(at) = path.rfind(&place) else {
        return Err(DruidError::invalid_input(format!("segment {} is not in Druid's layout: {path}", segment.id())));
    };
    let below = &path[at..];
    let join = |base: &str, below: &str| format!("{}/{below}", base.trim_end_matches('/'));
    document["loadSpec"] = if let (Some(bucket), Some(key)) = (&args.s3_bucket, &args.s3_base_key) {
        json!({"type": "s3_zip", "bucket": bucket, "key": join(key, below).trim_start_matches('/'), "S3Schema": "s3n"})
    } else if let Some(folder) = &args.hadoop_storage_directory {
        json!({"type": "hdfs", "path": join(folder, &below.replace(':', "_"))})
    } else if let Some(folder) = &args.new_local_path {
        json!({"type": "local", "path": join(folder, below)})
    } else {
        return Ok(payload.to_vec());
    };
    Ok(document.to_string().into_bytes())
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> DruidError {
    DruidError::runtime(format!("cannot {what} {}: {error}", path.display()))
}
