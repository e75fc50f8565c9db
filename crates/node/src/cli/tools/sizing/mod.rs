//! `ovate tools sizing`: the numbers of docs/cluster.md for given hardware, and a check of a conf tree against it.

mod check;
mod rules;

use std::path::PathBuf;

use clap::Args;
use ovate_base::Result;
use ovate_base::properties::{format_bytes, parse_bytes};

use crate::config::machine;
use rules::{Hardware, Server};

#[derive(Debug, Args)]
pub struct SizingArgs {
    /// Cores of the server; this machine's by default.
    #[arg(long)]
    cores: Option<u64>,
    /// Memory of the server, such as 122GiB; this machine's by default.
    #[arg(long)]
    memory: Option<String>,
    /// Disk for the segment cache; 300 GB by default.
    #[arg(long, default_value = "300g")]
    disk: String,
    /// What the server is for; all kinds by default.
    #[arg(long, value_enum)]
    server: Option<Server>,
    /// Checks this conf tree instead of printing numbers; a cluster's tree is checked server by server.
    #[arg(long)]
    conf: Option<PathBuf>,
}

/// Prints; the status is 1 when a tree does not fit.
pub fn run(args: &SizingArgs) -> Result<i32> {
    let hardware = Hardware {
        cores: args.cores.unwrap_or(machine::cores() as u64).max(1),
        memory_bytes: args.memory.as_deref().map_or_else(|| Ok(machine::memory_bytes()), parse_bytes)?,
        disk_bytes: parse_bytes(&args.disk)?,
    };
    let (memory, disk) = (format_bytes(hardware.memory_bytes), format_bytes(hardware.disk_bytes));
    println!("For {} cores, {memory} of memory, {disk} of disk:", hardware.cores);
    if let Some(tree) = &args.conf {
        let findings = check::check(tree, hardware, &std::env::current_dir().unwrap_or_default())?;
        findings.facts.iter().for_each(|fact| println!("  {fact}"));
        findings.faults.iter().for_each(|fault| println!("DOES NOT FIT  {fault}"));
        println!("{}", if findings.faults.is_empty() { "It fits." } else { "It does not fit." });
        return Ok(i32::from(!findings.faults.is_empty()));
    }
    let all = [Server::Master, Server::Data, Server::Query, Server::Single];
    for server in all.into_iter().filter(|server| args.server.is_none_or(|wanted| wanted == *server)) {
        print_server(server, hardware);
    }
    Ok(0)
}

fn print_server(server: Server, hardware: Hardware) {
    println!("\n{server:?} server");
    for service in rules::plan(server, hardware) {
        let folder = if server == Server::Single { service.name } else { service.folder };
        println!("  {folder}/jvm.config: -Xmx{}m", service.memory_bytes >> 20);
        for (name, value) in service.properties {
            println!("  {folder}/runtime.properties: {name}={value}");
        }
    }
}
