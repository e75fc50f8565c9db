//! `ovate supervise`: starts the services of a file, each with a log of its own, starts them again when they end, and stops
//! all of them in order. What Druid's Perl script `bin/supervise` does.

mod plan;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Args;
use ovate_base::{DruidError, Result};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

pub use plan::{Plan, Service};

use crate::wiring::runtime;

/// First and longest wait before a service is started again; it doubles while the service keeps ending at once.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A service that ran this long is sound: its next restart waits the first wait again.
const SOUND: Duration = Duration::from_secs(60);
/// A log that has grown larger is set aside, over the one set aside before; looked at this often.
const LOG_BYTES_MAX: u64 = 256 << 20;
const LOG_LOOK: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct SuperviseArgs {
    /// The file: one service a line, `[!pPRIORITY] NAME COMMAND`.
    #[arg(short, long)]
    conf: PathBuf,
    /// Folder for logs; DRUID_LOG_DIR when that is set, else log.
    #[arg(short, long)]
    log_dir: Option<PathBuf>,
    /// Folder for process ids.
    #[arg(short, long, default_value = "var/sv")]
    sv_dir: PathBuf,
    /// Seconds a service may take to stop; wins over the file.
    #[arg(short = 't', long)]
    kill_timeout: Option<u64>,
}

/// Runs until a signal, or until a check before the start fails.
pub fn run(args: &SuperviseArgs) -> Result<i32> {
    let text = std::fs::read_to_string(&args.conf)
        .map_err(|e| DruidError::invalid_input(format!("cannot read {}: {e}", args.conf.display())))?;
    let mut plan = Plan::parse(&text).map_err(|e| e.prefixed(args.conf.display()))?;
    if let Some(seconds) = args.kill_timeout {
        plan.kill_timeout = Duration::from_secs(seconds);
    }
    supervise(plan, &log_dir(args.log_dir.as_deref()), &args.sv_dir)
}

/// Where logs go: as the command line says, as the environment says as in Druid's `log4j2.xml`, or to `log`.
pub fn log_dir(named: Option<&Path>) -> PathBuf {
    let named = named.map(Path::to_owned);
    named.or_else(|| std::env::var_os("DRUID_LOG_DIR").map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("log"))
}

/// Runs a plan until a signal.
pub fn supervise(plan: Plan, log_dir: &Path, sv_dir: &Path) -> Result<i32> {
    runtime::log_to_stderr();
    for folder in [log_dir, sv_dir] {
        std::fs::create_dir_all(folder).map_err(|e| DruidError::runtime(format!("cannot create {}: {e}", folder.display())))?;
    }
    let _mine = claim(sv_dir)?;
    runtime::small()?.block_on(async {
        for command in &plan.verify {
            verify(command).await?;
        }
        let mut running: HashMap<String, (watch::Sender<bool>, JoinHandle<()>)> = HashMap::new();
        for service in &plan.services {
            let (stop, stopped) = watch::channel(false);
            let keeper = Keeper {
                service: service.clone(),
                log: log_dir.join(format!("{}.log", service.name)),
                pid: sv_dir.join(format!("{}.pid", service.name)),
                kill_timeout: plan.kill_timeout,
            };
            running.insert(service.name.clone(), (stop, tokio::spawn(keeper.keep(stopped))));
        }
        runtime::until_signal().await;
        info!("stopping all services");
        for group in plan.stop_order() {
            let group: Vec<_> = group.iter().filter_map(|name| running.remove(name)).collect();
            group.iter().for_each(|(stop, _)| {
                stop.send_replace(true);
            });
            for (_, keeper) in group {
                let _ = keeper.await;
            }
        }
        Ok(0)
    })
}

/// Writes our process id, unless a living supervisor's is there; removed when dropped.
fn claim(sv_dir: &Path) -> Result<PidFile> {
    let file = sv_dir.join("supervise.pid");
    let other = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(pid) = other.filter(|pid| *pid != std::process::id() && is_supervisor(*pid)) {
        return Err(DruidError::runtime(format!("another supervisor runs over {}: process {pid}", sv_dir.display())));
    }
    PidFile::write(&file, std::process::id())
}

/// Whether a living process is a supervisor of ours; ids are given again to others.
fn is_supervisor(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command);
    command.contains("supervise") || command.contains("start-druid")
}

/// A file with a process id, while the process lives.
struct PidFile(PathBuf);

impl PidFile {
    fn write(file: &Path, pid: u32) -> Result<PidFile> {
        std::fs::write(file, format!("{pid}\n"))
            .map_err(|e| DruidError::runtime(format!("cannot write {}: {e}", file.display())))?;
        Ok(PidFile(file.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn verify(command: &[String]) -> Result<()> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| DruidError::invalid_input("a check before the start without a command"))?;
    let status = Command::new(program).args(arguments).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(DruidError::runtime(format!("check before the start failed with {status}: {}", command.join(" ")))),
        Err(e) => Err(DruidError::runtime(format!("cannot run the check {}: {e}", command.join(" ")))),
    }
}

/// Keeps one service running.
struct Keeper {
    service: Service,
    log: PathBuf,
    pid: PathBuf,
    kill_timeout: Duration,
}

impl Keeper {
    async fn keep(self, mut stopped: watch::Receiver<bool>) {
        let name = &self.service.name;
        let mut wait = BACKOFF.0;
        loop {
            let began = Instant::now();
            match self.start() {
                Ok(child) => {
                    if self.watch(child, &mut stopped).await {
                        return;
                    }
                }
                Err(failure) => error!("cannot start a service. service={name} error={failure}"),
            }
            wait = if began.elapsed() > SOUND { BACKOFF.0 } else { wait };
            warn!("service starts again. service={name} wait_ms={} log={}", wait.as_millis(), self.log.display());
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(BACKOFF.1),
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn start(&self) -> Result<Child> {
        let failed = |what: &str, e: std::io::Error| DruidError::runtime(format!("cannot {what}: {e}"));
        let log = File::options().create(true).append(true).open(&self.log).map_err(|e| failed("open the log", e))?;
        let errors = log.try_clone().map_err(|e| failed("open the log", e))?;
        let (program, arguments) = self.service.command.split_first().expect("a plan's commands are not empty");
        let mut command = Command::new(program);
        // A group of its own, so that Ctrl-C reaches us alone and services stop in order.
        command.args(arguments).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0).kill_on_drop(true);
        command.spawn().map_err(|e| failed(&format!("run {program}"), e))
    }

    /// Waits for the end; true when the end was asked for.
    async fn watch(&self, mut child: Child, stopped: &mut watch::Receiver<bool>) -> bool {
        let name = &self.service.name;
        let pid = child.id().unwrap_or_default();
        let _file = PidFile::write(&self.pid, pid).map_err(|failure| warn!("{failure}"));
        info!("service runs. service={name} pid={pid} log={}", self.log.display());
        loop {
            tokio::select! {
                ended = child.wait() => {
                    warn!("service ended. service={name} status={}", ended.map_or_else(|e| e.to_string(), |s| s.to_string()));
                    return false;
                }
                _ = stopped.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(LOG_LOOK) => {
                    if let Err(failure) = set_aside(&self.log, LOG_BYTES_MAX) {
                        warn!("cannot set a log aside. log={} error={failure}", self.log.display());
                    }
                }
            }
        }
        terminate(pid).await;
        match tokio::time::timeout(self.kill_timeout, child.wait()).await {
            Ok(_) => info!("service stopped. service={name}"),
            Err(_) => {
                warn!("service does not stop, it is killed. service={name} waited={:?}", self.kill_timeout);
                let _ = child.kill().await;
            }
        }
        true
    }
}

/// Copies a log that is larger than `max` to `NAME.log.1` and empties it: its writer appends, and goes on at the new end.
fn set_aside(log: &Path, max: u64) -> std::io::Result<()> {
    if std::fs::metadata(log)?.len() > max {
        std::fs::copy(log, log.with_extension("log.1"))?;
        File::options().write(true).open(log)?.set_len(0)?;
    }
    Ok(())
}

/// Asks a process to end. The standard library can only kill outright, so `kill` of the system does it.
async fn terminate(pid: u32) {
    let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
    if let Err(failure) = sent {
        error!("cannot ask a process to end. pid={pid} error={failure}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_that_has_grown_is_set_aside_and_its_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("broker.log");
        let mut writer = File::options().create(true).append(true).open(&log).unwrap();
        writer.write_all(b"first").unwrap();
        set_aside(&log, 10).unwrap();
        assert_eq!(std::fs::read(&log).unwrap(), b"first");
        set_aside(&log, 4).unwrap();
        writer.write_all(b"second").unwrap();
        assert_eq!(std::fs::read(&log).unwrap(), b"second");
        assert_eq!(std::fs::read(log.with_extension("log.1")).unwrap(), b"first");
    }
}
