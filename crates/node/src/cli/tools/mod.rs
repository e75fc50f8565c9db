//! `ovate tools …`: what an operator runs beside the servers.

mod sizing;

use clap::Subcommand;
use ovate_base::Result;

#[derive(Debug, Subcommand)]
pub enum Tools {
    /// Prints the numbers for a server of given hardware, or checks a conf tree against it.
    Sizing(sizing::SizingArgs),
}

/// Runs one tool; gives the exit status.
pub fn run(tool: &Tools) -> Result<i32> {
    match tool {
        Tools::Sizing(args) => sizing::run(args),
    }
}
