//! Holds a conf tree against hardware: what its services may use together must fit the server they share.

use std::path::{Path, PathBuf};

use ovate_base::Result;
use ovate_base::properties::format_bytes;
use ovate_net::NodeRole;

use super::rules::{Hardware, Server, system_bytes};
use crate::config::{Settings, budget, launch, load_conf};

/// One service's folder, what it says, and what it asks for whatever this machine has.
struct Configured {
    folder: PathBuf,
    settings: Settings,
    memory_bytes: u64,
    task_bytes: u64,
}

/// What a tree gets wrong, and what it comes to.
#[derive(Debug, Default)]
pub struct Findings {
    pub facts: Vec<String>,
    pub faults: Vec<String>,
}

/// Which server of the page a service belongs to.
fn server_of(role: NodeRole) -> Server {
    match role {
        NodeRole::Coordinator | NodeRole::Overlord => Server::Master,
        NodeRole::Broker | NodeRole::Router => Server::Query,
        NodeRole::Historical | NodeRole::MiddleManager | NodeRole::Indexer | NodeRole::Peon => Server::Data,
    }
}

/// Checks every service below `tree` as one server, or each server of a cluster's tree by itself.
pub fn check(tree: &Path, hardware: Hardware, base_dir: &Path) -> Result<Findings> {
    let mut findings = Findings::default();
    let services = services(tree, base_dir)?;
    if services.is_empty() {
        findings.faults.push(format!("no service is configured below {}", tree.display()));
    }
    let apart = tree.join("master").is_dir() && tree.join("data").is_dir();
    let groups: &[Server] = if apart { &[Server::Master, Server::Data, Server::Query] } else { &[Server::Single] };
    for group in groups {
        let belongs = |service: &&Configured| {
            *group == Server::Single || service.settings.roles.iter().any(|(role, _)| server_of(*role) == *group)
        };
        let mut here: Vec<&Configured> = services.iter().filter(belongs).collect();
        // A server has one of them; a tree may hold the files of both.
        if here.iter().any(|service| service.settings.port(NodeRole::MiddleManager).is_some()) {
            here.retain(|service| service.settings.port(NodeRole::Indexer).is_none());
        }
        check_server(*group, &here, hardware, &mut findings);
    }
    Ok(findings)
}

fn check_server(group: Server, services: &[&Configured], hardware: Hardware, findings: &mut Findings) {
    let name = format!("{group:?}").to_lowercase();
    let mut used = 0;
    for Configured { folder, settings, memory_bytes, task_bytes } in services {
        let memory = *memory_bytes;
        used += memory;
        findings.facts.push(format!("{name}: {} may use {}", folder.display(), format_bytes(memory)));
        if settings.port(NodeRole::MiddleManager).is_some() {
            let (count, bytes) = (settings.worker_capacity as u64, *task_bytes);
            used += count * bytes;
            findings.facts.push(format!("{name}: {count} tasks may use {} each", format_bytes(bytes)));
            if count > hardware.cores {
                findings.faults.push(format!("{name}: druid.worker.capacity is {count}, but there are {} cores", hardware.cores));
            }
        }
        if settings.port(NodeRole::Historical).is_some() {
            if settings.processing_threads as u64 > hardware.cores {
                let (threads, cores) = (settings.processing_threads, hardware.cores);
                findings.faults.push(format!("{name}: druid.processing.numThreads is {threads}, but there are {cores} cores"));
            }
            let cache: u64 = settings.cache_locations.iter().map(|(_, bytes)| bytes).sum();
            if cache > hardware.disk_bytes {
                let (cache, disk) = (format_bytes(cache), format_bytes(hardware.disk_bytes));
                findings.faults.push(format!("{name}: druid.segmentCache.locations come to {cache}, but the disk has {disk}"));
            }
        }
    }
    let usable = hardware.memory_bytes.saturating_sub(system_bytes(hardware.memory_bytes));
    let (used_text, usable_text) = (format_bytes(used), format_bytes(usable));
    findings.facts.push(format!("{name}: {used_text} of {usable_text} that the system leaves"));
    if used > usable {
        findings.faults.push(format!("{name}: services may use {used_text}, but the server has {usable_text} for them"));
    }
}

/// Settings of every folder with a service's `runtime.properties`.
fn services(tree: &Path, base_dir: &Path) -> Result<Vec<Configured>> {
    let mut folders = vec![tree.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        if folder.join("runtime.properties").is_file() {
            let roles = launch::roles(&folder)?;
            let conf = load_conf(Some(&folder), &[])?;
            let asked = conf.jvm.budget_bytes();
            let asked_by_task = budget::peon_options(&conf.properties)?.budget_bytes();
            let settings = Settings::new(&roles, conf, base_dir, None).map_err(|e| e.prefixed(folder.display()))?;
            found.push(Configured {
                folder: folder.clone(),
                memory_bytes: asked.unwrap_or(settings.query_memory_bytes * 2),
                task_bytes: asked_by_task.unwrap_or(settings.task_memory_bytes),
                settings,
            });
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
    found.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_clusters_tree_fits_the_pages_servers_and_not_a_small_one() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/druid/cluster");
        // What the page has: a Data server of 16 cores and 122 GiB.
        let large = Hardware { cores: 16, memory_bytes: 122 * GIB, disk_bytes: 3800 * GIB };
        let findings = check(&tree, large, Path::new("/base")).unwrap();
        assert!(findings.faults.is_empty(), "{findings:?}");
        let small = Hardware { cores: 2, memory_bytes: 4 * GIB, disk_bytes: 20 * GIB };
        let faults = check(&tree, small, Path::new("/base")).unwrap().faults.join("\n");
        for named in ["druid.worker.capacity", "druid.processing.numThreads", "druid.segmentCache.locations", "data: services"] {
            assert!(faults.contains(named), "{named} is not in:\n{faults}");
        }
    }
}
