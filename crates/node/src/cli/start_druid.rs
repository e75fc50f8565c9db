//! `ovate start-druid` (`bin/start-druid`): one machine's services in processes of their own, sized from its memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ovate_base::properties::{format_bytes, parse_bytes};
use ovate_base::{DruidError, Result};

use super::supervise::{Plan, Service, log_dir, supervise};
use crate::config::machine;

/// Services in the order they start, with their weight in the machine's memory. A MiddleManager's share is its tasks'.
const SERVICES: [(&str, u64); 5] =
    [("coordinator-overlord", 10), ("historical", 35), ("broker", 20), ("router", 5), ("middleManager", 30)];
/// The service whose share is its tasks'.
const TASKS: &str = "middleManager";
/// Least memory of a service, and what one task should have.
const SERVICE_BYTES_MIN: u64 = 64 << 20;
const TASK_BYTES: u64 = 2 << 30;
const TASK_BYTES_MIN: u64 = 256 << 20;

#[derive(Debug, Args)]
pub struct StartDruidArgs {
    /// Memory for all services together, such as 16g; 80 % of the machine's by default.
    #[arg(short, long)]
    memory: Option<String>,
    /// Services to start, by commas; all by default.
    #[arg(short, long, value_delimiter = ',')]
    services: Vec<String>,
    /// Folder with `_common` and a folder for each service.
    #[arg(short, long, default_value = "conf/druid/auto")]
    config: PathBuf,
    /// Starts a ZooKeeper too, and uses it.
    #[arg(short, long)]
    zk: bool,
    /// Prints what would be started, and starts nothing.
    #[arg(long)]
    compute: bool,
}

/// Memory of one service, and of its tasks if it has any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Share {
    service: String,
    bytes: u64,
    /// Number and memory of tasks.
    tasks: Option<(u64, u64)>,
}

/// Runs until a signal.
pub fn run(args: &StartDruidArgs) -> Result<i32> {
    let total = match &args.memory {
        Some(text) => parse_bytes(text)?,
        None => machine::memory_bytes() / 10 * 8,
    };
    let shares = shares(&args.services, total, machine::cores() as u64)?;
    for share in &shares {
        let tasks = share.tasks.map_or_else(String::new, |(n, bytes)| format!(", and {n} tasks of {}", format_bytes(bytes)));
        println!("{:<22}{}{tasks}", share.service, format_bytes(share.bytes));
    }
    if args.compute {
        return Ok(0);
    }
    if !args.config.is_dir() {
        return Err(DruidError::invalid_input(format!("no such configuration folder: {}", args.config.display())));
    }
    supervise(plan(args, &shares), &log_dir(None), Path::new("var/sv"))
}

/// Splits memory by weight among the services that were asked for.
fn shares(wanted: &[String], total: u64, cores: u64) -> Result<Vec<Share>> {
    if let Some(unknown) = wanted.iter().find(|name| !SERVICES.iter().any(|(known, _)| known == name)) {
        let known = SERVICES.map(|(name, _)| name).join(", ");
        return Err(DruidError::invalid_input(format!("unknown service [{unknown}]; there are {known}")));
    }
    let chosen: Vec<(&str, u64)> =
        SERVICES.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)).collect();
    let weights: u64 = chosen.iter().map(|(_, weight)| weight).sum();
    let least = SERVICE_BYTES_MIN * chosen.len() as u64;
    let part = total.saturating_sub(least) / weights;
    if chosen.iter().any(|(name, weight)| part * weight < if *name == TASKS { TASK_BYTES_MIN } else { 1 }) {
        return Err(DruidError::invalid_input(format!("{} is too little for {} services", format_bytes(total), chosen.len())));
    }
    let share = |(name, weight): (&str, u64)| {
        let more = part * weight;
        let service = name.to_owned();
        if name != TASKS {
            return Share { service, bytes: SERVICE_BYTES_MIN + more, tasks: None };
        }
        let two = (more / TASK_BYTES_MIN).min(2);
        let count = (more / TASK_BYTES).clamp(two, cores.max(2));
        Share { service, bytes: SERVICE_BYTES_MIN, tasks: Some((count, more / count)) }
    };
    Ok(chosen.into_iter().map(share).collect())
}

fn plan(args: &StartDruidArgs, shares: &[Share]) -> Plan {
    let mut services = Vec::new();
    if args.zk {
        services.push(Service { name: "zk".to_owned(), priority: 10, command: vec!["bin/run-zk".to_owned(), "conf".to_owned()] });
    }
    for share in shares {
        let mut command = vec!["bin/run-druid".to_owned(), share.service.clone(), args.config.display().to_string()];
        let mut set = |name: &str, value: String| command.extend(["-P".to_owned(), format!("{name}={value}")]);
        set("druid.ovate.memory", share.bytes.to_string());
        if let Some((count, bytes)) = share.tasks {
            set("druid.worker.capacity", count.to_string());
            set("druid.ovate.taskMemory", bytes.to_string());
        }
        if args.zk {
            set("druid.zk.service.host", "localhost".to_owned());
        }
        let priority = if share.service == "middleManager" { 90 } else { 50 };
        services.push(Service { name: share.service.clone(), priority, command });
    }
    Plan { verify: Vec::new(), kill_timeout: Duration::from_secs(30), services }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_memory_that_is_there() {
        for gib in [2, 4, 16, 64, 256] {
            let total = gib << 30;
            let shares = shares(&[], total, 8).unwrap();
            let used: u64 = shares.iter().map(|s| s.bytes + s.tasks.map_or(0, |(n, bytes)| n * bytes)).sum();
            assert!(used <= total && used > total / 100 * 99, "{gib} GiB: {used} {shares:?}");
            assert!(shares[4].tasks.is_some_and(|(count, bytes)| count <= 8 && bytes >= TASK_BYTES_MIN), "{shares:?}");
        }
    }

    #[test]
    fn one_service_gets_everything_and_too_little_is_refused() {
        let historical = shares(&["historical".to_owned()], 10 << 30, 4).unwrap();
        assert!(historical.len() == 1 && historical[0].bytes > 9 << 30, "{historical:?}");
        assert!(shares(&[], 600 << 20, 4).is_err());
        assert!(shares(&["peon".to_owned()], 4 << 30, 4).unwrap_err().message.contains("peon"));
    }
}
