//! Hosts of a test on one machine: each a network namespace of its own on a bridge, with links that can be cut. Needs root and
//! iproute2; where that is not to be had, all hosts share the loopback address and ports are offset.

use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where the hosts of one cluster live.
pub enum Network {
    /// One namespace a host.
    Namespaces(Namespaces),
    /// All on 127.0.0.1, with the reason why.
    Loopback(String),
}

/// Namespaces on one bridge, removed when dropped.
pub struct Namespaces {
    /// Begins every name; interface names have 15 characters at most.
    prefix: String,
    /// First three bytes of the addresses.
    subnet: String,
    hosts: Vec<String>,
}

static NEXT: AtomicU16 = AtomicU16::new(0);

impl Network {
    /// Namespaces when possible.
    pub fn for_hosts(names: &[&str]) -> Network {
        match Namespaces::create(names) {
            Ok(namespaces) => Network::Namespaces(namespaces),
            Err(reason) => Network::Loopback(reason),
        }
    }

    /// The address of the n-th host.
    pub fn address(&self, host: usize) -> String {
        match self {
            Network::Namespaces(namespaces) => namespaces.address(host),
            Network::Loopback(_) => "127.0.0.1".to_owned(),
        }
    }

    /// The address of this machine as the hosts see it: where services that the test starts itself listen.
    pub fn outside(&self) -> String {
        match self {
            Network::Namespaces(namespaces) => format!("{}.1", namespaces.subnet),
            Network::Loopback(_) => "127.0.0.1".to_owned(),
        }
    }

    /// A command that runs a program on a host.
    pub fn command(&self, host: usize, program: &std::path::Path) -> Command {
        match self {
            Network::Namespaces(namespaces) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &namespaces.namespace(host)]).arg(program);
                command
            }
            Network::Loopback(_) => Command::new(program),
        }
    }

    /// Whether every host has the standard ports to itself.
    pub fn has_own_ports(&self) -> bool {
        matches!(self, Network::Namespaces(_))
    }

    /// Lets nothing pass between two hosts. False where hosts share an address.
    pub fn cut(&self, a: usize, b: usize) -> bool {
        self.route("add", a, b)
    }

    /// Undoes [`Network::cut`].
    pub fn mend(&self, a: usize, b: usize) -> bool {
        self.route("del", a, b)
    }

    fn route(&self, verb: &str, a: usize, b: usize) -> bool {
        let Network::Namespaces(namespaces) = self else { return false };
        [(a, b), (b, a)].into_iter().all(|(from, to)| {
            let target = format!("{}/32", namespaces.address(to));
            ip(&["-n", &namespaces.namespace(from), "route", verb, "blackhole", &target]).is_ok()
        })
    }
}

impl Namespaces {
    fn create(names: &[&str]) -> Result<Namespaces, String> {
        let unique = (std::process::id() as u16).wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let subnet = format!("10.{}.{}", 128 + unique / 256 % 120, unique % 256);
        let mut made = Namespaces { prefix: format!("ov{unique:x}"), subnet, hosts: Vec::new() };
        let bridge = made.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}.1/24", made.subnet), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for (n, name) in names.iter().enumerate() {
            made.hosts.push((*name).to_owned());
            made.join(n)?;
        }
        Ok(made)
    }

    fn join(&self, host: usize) -> Result<(), String> {
        let (namespace, outer, inner) =
            (self.namespace(host), format!("{}h{host}", self.prefix), format!("{}n{host}", self.prefix));
        ip(&["netns", "add", &namespace])?;
        ip(&["link", "add", &outer, "type", "veth", "peer", "name", &inner])?;
        ip(&["link", "set", &inner, "netns", &namespace])?;
        ip(&["link", "set", &outer, "master", &self.bridge(), "up"])?;
        ip(&["-n", &namespace, "addr", "add", &format!("{}/24", self.address(host)), "dev", &inner])?;
        ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        ip(&["-n", &namespace, "link", "set", &inner, "up"])
    }

    fn bridge(&self) -> String {
        format!("{}br", self.prefix)
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}-{}", self.prefix, self.hosts[host])
    }

    fn address(&self, host: usize) -> String {
        format!("{}.{}", self.subnet, 10 + host)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for host in 0..self.hosts.len() {
            let _ = ip(&["netns", "del", &self.namespace(host)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|e| format!("no ip command (Debian's iproute2): {e}"))?;
    let reason = || format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    if output.status.success() { Ok(()) } else { Err(reason()) }
}
