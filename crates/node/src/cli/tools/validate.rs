//! `validate-segments` (`ValidateSegments`): two segments hold the same rows in the same order, column by column.

use std::path::PathBuf;

use clap::Args;
use ovate_base::{DruidError, Result};
use ovate_compute::ColumnSource;

use super::{dump, files};

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Folder of the first segment.
    #[arg(short = '1', long)]
    directory1: PathBuf,
    /// Folder of the second segment.
    #[arg(short = '2', long)]
    directory2: PathBuf,
}

/// Says that they are equal, or fails with the first difference.
pub fn run(args: &ValidateArgs) -> Result<i32> {
    let (one, other) = (files::open(&args.directory1)?, files::open(&args.directory2)?);
    let different = |what: String| DruidError::runtime(format!("the segments differ: {what}"));
    let (mut columns, mut others) = (one.segment.column_names(), other.segment.column_names());
    columns.sort();
    others.sort();
    if columns != others {
        return Err(different(format!("columns [{}] and [{}]", columns.join(", "), others.join(", "))));
    }
    let (count, other_count) = (one.segment.row_count(), other.segment.row_count());
    if count != other_count {
        return Err(different(format!("{count} and {other_count} rows")));
    }
    let (rows, other_rows) = (dump::rows(&one.segment, &columns, None)?, dump::rows(&other.segment, &columns, None)?);
    for (number, (row, other)) in rows.iter().zip(&other_rows).enumerate() {
        if let Some(column) = columns.iter().find(|column| row.get(*column) != other.get(*column)) {
            let show = |value: Option<&serde_json::Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            return Err(different(format!(
                "row {number}, column {column}: {} and {}",
                show(row.get(column)),
                show(other.get(column))
            )));
        }
    }
    println!("equal: {count} rows, {} columns", columns.len());
    Ok(0)
}
