//! `ovate tools …`: what an operator runs beside the servers. Names and options are those of Druid's `tools` commands.

mod dump;
mod export;
mod files;
mod import;
mod init;
mod insert;
mod reset;
mod sizing;
mod store;
mod validate;

use clap::Subcommand;
use ovate_base::Result;

use crate::wiring::runtime;

#[derive(Debug, Subcommand)]
pub enum Tools {
    /// Prints the numbers for a server of given hardware, or checks a conf tree against it.
    Sizing(sizing::SizingArgs),
    /// Writes the metadata tables as CSV files, with load specs rewritten for another deep storage when asked.
    ExportMetadata(export::ExportArgs),
    /// Reads the CSV files of export-metadata, ours or Druid's, into a metadata store.
    ImportMetadata(import::ImportArgs),
    /// Makes the tables of the metadata store.
    MetadataInit(init::InitArgs),
    /// Brings the tables of an older release up to date.
    MetadataUpdate(init::UpdateArgs),
    /// Prints what a segment holds: rows, metadata, bitmaps or nested columns.
    DumpSegment(dump::DumpArgs),
    /// Compares two segments row by row.
    ValidateSegments(validate::ValidateArgs),
    /// Puts segments of a local deep storage into the metadata store that it does not know.
    InsertSegmentToDb(insert::InsertArgs),
    /// Deletes what a cluster keeps: metadata, segments, task logs.
    ResetCluster(reset::ResetArgs),
}

/// Runs one tool; gives the exit status.
pub fn run(tool: &Tools) -> Result<i32> {
    let wait = |tool: std::pin::Pin<Box<dyn Future<Output = Result<()>> + '_>>| -> Result<i32> {
        runtime::small()?.block_on(tool)?;
        Ok(0)
    };
    match tool {
        Tools::Sizing(args) => sizing::run(args),
        Tools::ExportMetadata(args) => wait(Box::pin(export::run(args))),
        Tools::ImportMetadata(args) => wait(Box::pin(import::run(args))),
        Tools::MetadataInit(args) => wait(Box::pin(init::init(args))),
        Tools::MetadataUpdate(args) => wait(Box::pin(init::update(args))),
        Tools::DumpSegment(args) => dump::run(args),
        Tools::ValidateSegments(args) => validate::run(args),
        Tools::InsertSegmentToDb(args) => wait(Box::pin(insert::run(args))),
        Tools::ResetCluster(args) => wait(Box::pin(reset::run(args))),
    }
}
