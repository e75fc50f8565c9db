//! A service of the tests as a program, for `bin/cluster-demo`: starts it, writes the properties that lead to it and the
//! ports it listens on, and runs until it is told to stop. Services listen on loopback; so that the hosts of a demo reach
//! them from their own network namespaces, `forward` carries a port of one address to the same port of another.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ovate_testkit::services::{self, Database};

/// What keeps a service alive while it is held.
enum Running {
    Database(Database),
    Other(services::Service),
}

impl Running {
    async fn start(name: &str) -> Result<Running, String> {
        match name {
            "postgresql" => Database::postgres().map(Running::Database),
            "mariadb" => Database::mariadb().map(Running::Database),
            "s3" => services::s3().await.map(Running::Other),
            "hdfs" => services::hdfs().await.map(Running::Other),
            other => Err(format!("unknown service [{other}]; there are postgresql, mariadb, s3, hdfs")),
        }
    }

    fn properties(&self) -> Vec<(String, String)> {
        match self {
            Running::Database(database) => database.properties(),
            Running::Other(service) => service.properties.clone(),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["start", name, dir] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|e| e.to_string()).and_then(|runtime| runtime.block_on(start(name, Path::new(dir))))
        }
        ["forward", from, to, ports] => forward(from, to, ports),
        _ => Err("expected: start NAME DIR, or forward FROM_ADDRESS TO_ADDRESS PORT,PORT…".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ovate-test-service: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts a service; `DIR/ports` and, last, `DIR/properties` tell that it is there. Runs until a signal.
async fn start(name: &str, dir: &Path) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    std::fs::create_dir_all(dir).map_err(|e| e.to_string())?;
    let running = Running::start(name).await?;
    let ports: Vec<String> = listening().iter().map(u16::to_string).collect();
    let lines: Vec<String> = running.properties().iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    for (file, text) in [("ports", ports.join(",")), ("properties", lines.concat())] {
        let whole = dir.join(format!("{file}.part"));
        std::fs::write(&whole, text).and_then(|()| std::fs::rename(&whole, dir.join(file))).map_err(|e| e.to_string())?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    // The server ends with its handle.
    drop(running);
    Ok(())
}

/// Ports that descendants of this process listen on, by what `/proc` says: their sockets, and which of those listen.
fn listening() -> BTreeSet<u16> {
    let sockets: BTreeSet<String> = descendants(std::process::id()).into_iter().flat_map(sockets).collect();
    let mut ports = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let cells: Vec<&str> = line.split_whitespace().collect();
            // Local address, state (0A listens), inode.
            if let [_, local, _, "0A", _, _, _, _, _, inode, ..] = cells[..]
                && sockets.contains(inode)
                && let Some(port) = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok())
            {
                ports.insert(port);
            }
        }
    }
    ports
}

fn descendants(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

fn sockets(pid: u32) -> Vec<String> {
    let link = |path: PathBuf| std::fs::read_link(path).ok().map(|target| target.display().to_string());
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files
        .filter_map(|file| link(file.path()))
        .filter_map(|name| Some(name.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect()
}

/// Carries connections to `from:PORT` on to `to:PORT` until the process is killed.
fn forward(from: &str, to: &str, ports: &str) -> Result<(), String> {
    let mut threads = Vec::new();
    for port in ports.split(',').filter(|port| !port.is_empty()) {
        let port: u16 = port.parse().map_err(|_| format!("not a port: {port}"))?;
        let target: SocketAddr = format!("{to}:{port}").parse().map_err(|e| format!("{to}: {e}"))?;
        let listener = TcpListener::bind((from, port)).map_err(|e| format!("cannot listen on {from}:{port}: {e}"))?;
        threads.push(std::thread::spawn(move || {
            for inner in listener.incoming().flatten() {
                std::thread::spawn(move || carry(inner, target));
            }
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn carry(inner: TcpStream, target: SocketAddr) {
    let Ok(outer) = TcpStream::connect(target) else { return };
    let (Ok(from), Ok(to)) = (inner.try_clone(), outer.try_clone()) else { return };
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    };
    let back = std::thread::spawn(move || copy(to, from));
    copy(inner, outer);
    let _ = back.join();
}
