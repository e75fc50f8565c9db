//! How much of a server each service gets: the rules of docs/cluster.md as functions of hardware.

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware {
    pub cores: u64,
    pub memory_bytes: u64,
    /// For the segment cache.
    pub disk_bytes: u64,
}

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Server {
    Master,
    Data,
    Query,
    /// Everything on one machine.
    Single,
}

/// Settings of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePlan {
    pub name: &'static str,
    /// Folder in the conf tree of the cluster.
    pub folder: &'static str,
    pub memory_bytes: u64,
    /// Properties to set.
    pub properties: Vec<(&'static str, String)>,
}

/// What the system keeps: a sixteenth, at least 512 MiB.
pub fn system_bytes(memory: u64) -> u64 {
    (memory / 16).max(512 * MIB)
}

/// Tasks at a time and the memory of each: half of the cores, as long as each has 2 GiB from 40 % of what a Data server has.
pub fn tasks(cores: u64, memory: u64) -> (u64, u64) {
    let for_tasks = memory / 10 * 4;
    let count = (cores / 2).clamp(1, (for_tasks / (2 * GIB)).max(1));
    (count, (for_tasks / count).clamp(256 * MIB, 4 * GIB))
}

/// The services of a server and their share of it.
pub fn plan(server: Server, hardware: Hardware) -> Vec<ServicePlan> {
    let rest = hardware.memory_bytes.saturating_sub(system_bytes(hardware.memory_bytes));
    match server {
        // The metadata of a million segments needs about 1.5 GiB; the rest of a Master is room for ZooKeeper and a database.
        Server::Master => vec![master(rest / 10 * 6)],
        Server::Data => data(hardware, rest),
        Server::Query => query(rest),
        Server::Single => {
            let mut all = vec![master(rest / 10)];
            all.extend(data(hardware, rest / 10 * 6));
            all.extend(query(rest / 10 * 3));
            all
        }
    }
}

fn master(bytes: u64) -> ServicePlan {
    ServicePlan {
        name: "coordinator-overlord",
        folder: "master/coordinator-overlord",
        memory_bytes: bytes,
        properties: Vec::new(),
    }
}

/// 40 % to tasks, 30 % to the Historical, and 30 % stays free: mapped segments live in the page cache.
fn data(hardware: Hardware, rest: u64) -> Vec<ServicePlan> {
    let (count, bytes) = tasks(hardware.cores, rest);
    let cache = hardware.disk_bytes / 10 * 9;
    vec![
        ServicePlan {
            name: "historical",
            folder: "data/historical",
            memory_bytes: rest / 10 * 3,
            properties: vec![
                ("druid.processing.numThreads", hardware.cores.saturating_sub(1).max(1).to_string()),
                ("druid.segmentCache.locations", format!(r#"[{{"path":"var/druid/segment-cache","maxSize":"{cache}"}}]"#)),
            ],
        },
        ServicePlan {
            name: "middleManager",
            folder: "data/middleManager",
            memory_bytes: 128 * MIB,
            properties: vec![
                ("druid.worker.capacity", count.to_string()),
                (
                    "druid.indexer.runner.javaOptsArray",
                    format!(r#"["-Xmx{0}m","-XX:MaxDirectMemorySize={0}m"]"#, bytes / 2 / MIB),
                ),
                ("druid.indexer.fork.property.druid.processing.numThreads", (hardware.cores / count / 2).max(1).to_string()),
            ],
        },
    ]
}

/// The Broker merges and holds results; the Router only passes them on.
fn query(rest: u64) -> Vec<ServicePlan> {
    let router = (rest / 16).clamp(128 * MIB, GIB);
    let broker = rest / 10 * 7;
    let service = |name, folder, memory_bytes| ServicePlan { name, folder, memory_bytes, properties: Vec::new() };
    vec![service("broker", "query/broker", broker), service("router", "query/router", router)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_never_given_more_than_it_has() {
        for (cores, gib) in [(2, 4), (4, 16), (8, 32), (16, 122), (64, 512)] {
            let hardware = Hardware { cores, memory_bytes: gib * GIB, disk_bytes: 100 * GIB };
            for server in [Server::Master, Server::Data, Server::Query, Server::Single] {
                let services: u64 = plan(server, hardware).iter().map(|service| service.memory_bytes).sum();
                let (count, bytes) = tasks(cores, hardware.memory_bytes / 10 * 9);
                let tasks = if matches!(server, Server::Data) { count * bytes } else { 0 };
                assert!(
                    services + tasks < hardware.memory_bytes / 100 * 95,
                    "{server:?} of {hardware:?}: {services} and {tasks}"
                );
            }
        }
    }

    #[test]
    fn the_pages_data_server_gets_the_pages_order_of_numbers() {
        let (count, bytes) = tasks(16, 122 * GIB);
        assert_eq!((count, bytes), (8, 4 * GIB));
    }
}
