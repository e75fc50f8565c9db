//! The command line: `start`, `server`, `sql`, and what processes start among themselves (`internal peon`).

mod shell;
mod sql;
mod start;
mod start_druid;
mod statements;
mod supervise;
mod table;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ovate_base::{DruidError, Result};
use ovate_net::NodeRole;

use crate::config::{Settings, launch, load_conf};
use crate::wiring;

#[derive(Debug, Parser)]
#[command(name = "ovate", version, about = "Apache Druid's job in one program", propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts every role in this process on embedded defaults, with its state under ./var.
    Start(start::StartArgs),
    /// Starts the named roles: coordinator, overlord, broker, historical, middleManager or indexer, router; without names, the one
    /// that the configuration folder is for.
    Server(ServerArgs),
    /// Starts one machine's services in processes of their own, sized from its memory.
    StartDruid(start_druid::StartDruidArgs),
    /// Starts the services of a file, and starts them again when they end.
    Supervise(supervise::SuperviseArgs),
    /// Sends one SQL statement and prints the answer.
    Sql(sql::SqlArgs),
    /// What an operator runs beside the servers.
    #[command(subcommand)]
    Tools(tools::Tools),
    /// What processes of ours start; not for people.
    #[command(hide = true, subcommand)]
    Internal(Internal),
}

#[derive(Debug, Subcommand)]
enum Internal {
    /// Runs the task in a task directory.
    Peon {
        /// Directory with `task.json`.
        dir: PathBuf,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, Args)]
struct ServerArgs {
    /// Roles that this process takes; default is what main.config in the folder of --conf says.
    #[arg(required_unless_present = "conf")]
    roles: Vec<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Where properties come from.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Folder with runtime.properties (and common.runtime.properties in it, in _common, or beside it).
    #[arg(long)]
    conf: Option<PathBuf>,
    /// A property that wins over the files, as NAME=VALUE; may be repeated.
    #[arg(short = 'P', long = "property", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// Folder that relative paths such as var/druid are below.
    #[arg(long, default_value = ".")]
    base_dir: PathBuf,
}

impl ConfigArgs {
    /// The folder that relative paths are below.
    pub fn absolute_base_dir(&self) -> Result<PathBuf> {
        std::path::absolute(&self.base_dir)
            .map_err(|e| DruidError::runtime(format!("cannot resolve {}: {e}", self.base_dir.display())))
    }

    /// Reads and checks the configuration for these roles.
    pub fn settings(&self, roles: &[NodeRole]) -> Result<Settings> {
        self.settings_with(roles, Vec::new())
    }

    /// The same with properties of the parent process, which win over the files too.
    pub fn settings_with(&self, roles: &[NodeRole], handed_on: Vec<(String, String)>) -> Result<Settings> {
        let split = |text: &String| {
            let (name, value) =
                text.split_once('=').ok_or_else(|| DruidError::invalid_input(format!("-P {text}: expected NAME=VALUE")))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        let mut overrides = handed_on;
        overrides.extend(self.properties.iter().map(split).collect::<Result<Vec<_>>>()?);
        let conf = load_conf(self.conf.as_deref(), &overrides)?;
        std::fs::create_dir_all(&self.base_dir)
            .map_err(|e| DruidError::runtime(format!("cannot create {}: {e}", self.base_dir.display())))?;
        let base_dir = self.absolute_base_dir()?;
        let mut settings = Settings::new(roles, conf, &base_dir, self.conf.clone())?;
        settings.overrides = overrides;
        Ok(settings)
    }
}

/// Runs what the command line says; gives the exit status.
pub fn run() -> i32 {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Start(args) => start::run(args),
        Command::Server(args) => server(&args),
        Command::StartDruid(args) => start_druid::run(&args),
        Command::Tools(tool) => tools::run(&tool),
        Command::Supervise(args) => supervise::run(&args),
        Command::Sql(args) => wiring::runtime::small().and_then(|runtime| runtime.block_on(sql::run(args))).map(|()| 0),
        Command::Internal(Internal::Peon { dir, config }) => wiring::peon::run(&dir, &config),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("ovate: {error}");
        1
    })
}

fn server(args: &ServerArgs) -> Result<i32> {
    let roles = match &args.config.conf {
        Some(dir) if args.roles.is_empty() => launch::roles(dir)?,
        _ => args.roles.iter().map(|name| launch::service(name)).collect::<Result<Vec<_>>>()?.concat(),
    };
    let settings = args.config.settings(&roles)?;
    wiring::runtime::use_tmp_dir(settings.tmp_dir.as_deref())?;
    wiring::runtime::log_to_stderr();
    settings.log_notices()?;
    wiring::runtime::server()?.block_on(async {
        let process = wiring::Process::start(settings).await?;
        wiring::runtime::until_signal().await;
        process.stop().await;
        Ok(0)
    })
}
