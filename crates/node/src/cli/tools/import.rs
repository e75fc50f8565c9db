//! `import-metadata`: the CSV files of `export-metadata`, ours or a JVM Druid's, into SQLite, PostgreSQL or MySQL. Rows that
//! are there already are left alone, so an import that broke off is simply run again.

use std::path::{Path, PathBuf};

use clap::Args;
use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use ovate_store::meta::{ColumnKind, RawValue};
use ovate_store::{MetadataStore, now_ms};

use super::export::{HISTORY, TABLES};
use super::store::StoreArgs;

#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Folder with the files.
    #[arg(short = 'i', long = "input-path")]
    input_path: PathBuf,
    /// Takes the `_raw` files, whose load specs are as they were.
    #[arg(long)]
    raw: bool,
    /// Beginning of the files' names: tables.base of the store that was exported.
    #[arg(long, default_value = "druid")]
    source_base: String,
}

/// Rows read before they are inserted.
const ROWS: usize = 1000;
/// Columns that may be null, or may be absent in files of older releases.
const NULLABLE: [&str; 5] =
    ["used_status_last_updated", "indexing_state_fingerprint", "upgraded_from_segment_id", "type", "group_id"];

/// Reads the files.
pub async fn run(args: &ImportArgs) -> Result<()> {
    let (store, options) = args.store.open().await?;
    let mut found = 0;
    for token in TABLES.iter().chain(&HISTORY) {
        let Some(file) = file_of(args, token) else { continue };
        found += 1;
        let (new, known) = import_file(&store, token, &file).await?;
        println!("imported {new} rows into {}, {known} were there", options.tables.name(token));
    }
    store.close().await;
    if found == 0 {
        return Err(DruidError::invalid_input(format!("no file {}_….csv in {}", args.source_base, args.input_path.display())));
    }
    Ok(())
}

/// Derby's export has names in lower or upper case.
fn file_of(args: &ImportArgs, token: &str) -> Option<PathBuf> {
    let suffix = if args.raw { "_raw" } else { "" };
    let wanted = format!("{}_{token}{suffix}.csv", args.source_base).to_lowercase();
    let entries = std::fs::read_dir(&args.input_path).ok()?;
    entries.flatten().find(|entry| entry.file_name().to_string_lossy().to_lowercase() == wanted).map(|entry| entry.path())
}

async fn import_file(store: &MetadataStore, token: &str, file: &Path) -> Result<(u64, u64)> {
    let bad = |e: csv::Error| DruidError::invalid_input(format!("{}: {e}", file.display()));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_path(file).map_err(bad)?;
    let columns = MetadataStore::table_columns(token)?;
    let (mut new, mut count) = (0, 0);
    let mut rows = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let at = || format!("{}: record {}", file.display(), count + 1);
        let (fields, values) = values_of(&record, &columns).map_err(|e| e.prefixed(at()))?;
        if fields != names && !rows.is_empty() {
            new += store.import_rows(token, &names, &std::mem::take(&mut rows)).await?;
        }
        names = fields;
        rows.push(values);
        count += 1;
        if rows.len() == ROWS {
            new += store.import_rows(token, &names, &std::mem::take(&mut rows)).await?;
        }
    }
    if !rows.is_empty() {
        new += store.import_rows(token, &names, &rows).await?;
    }
    Ok((new, count - new))
}

type Named<'c> = (Vec<&'c str>, Vec<RawValue>);

/// Columns stand in Druid's order; files of older releases have fewer, those with centralized schemas have more.
fn values_of<'c>(record: &csv::StringRecord, columns: &[(&'c str, ColumnKind)]) -> Result<Named<'c>> {
    let needed = columns.iter().filter(|(name, _)| !NULLABLE.contains(name)).count();
    if record.len() < needed {
        return Err(DruidError::invalid_input(format!("{} columns, expected {needed} or more", record.len())));
    }
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (at, (name, kind)) in columns.iter().enumerate() {
        names.push(*name);
        values.push(match record.get(at) {
            None if *name == "used_status_last_updated" => RawValue::Text(format_iso(now_ms())),
            Some("") if *name == "used_status_last_updated" => RawValue::Text(format_iso(now_ms())),
            None => RawValue::Null,
            Some("") if NULLABLE.contains(name) => RawValue::Null,
            Some(text) => value_of(text, *kind).map_err(|e| e.prefixed(name))?,
        });
    }
    Ok((names, values))
}

fn value_of(text: &str, kind: ColumnKind) -> Result<RawValue> {
    let bad = |what: &str| DruidError::invalid_input(format!("[{}] is not {what}", text.chars().take(60).collect::<String>()));
    Ok(match kind {
        ColumnKind::Text => RawValue::Text(text.to_owned()),
        ColumnKind::Serial => RawValue::Int(text.parse().map_err(|_| bad("a number"))?),
        ColumnKind::Flag => RawValue::Bool(match text {
            "1" | "true" | "t" => true,
            "0" | "false" | "f" => false,
            _ => return Err(bad("a boolean")),
        }),
        ColumnKind::Payload => RawValue::Bytes(match unhex(text) {
            Some(bytes) => bytes,
            None => text.as_bytes().to_vec(),
        }),
    })
}

/// JSON never looks like this: an even number of hexadecimal digits that give `{`, `[`, a quote or Smile's `:)`.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x").unwrap_or(text);
    if digits.len() < 4 || !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.filter(|bytes| matches!(bytes[0], b'{' | b'[' | b'"' | b':'))
}
