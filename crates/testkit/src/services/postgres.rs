//! PostgreSQL: `initdb` and `postgres` of Debian's package, or of another one on the PATH.

use std::path::Path;
use std::process::Command;

use super::{finish, program, unprivileged};

const PLACES: [&str; 4] =
    ["/usr/lib/postgresql/17/bin/", "/usr/lib/postgresql/16/bin/", "/usr/lib/postgresql/15/bin/", "/usr/local/bin/"];

fn tool(name: &str) -> Result<std::path::PathBuf, String> {
    let mut candidates = vec![name.to_owned()];
    candidates.extend(PLACES.iter().map(|place| format!("{place}{name}")));
    program(&candidates.iter().map(String::as_str).collect::<Vec<_>>())
}

pub(super) fn prepare(dir: &Path) -> Result<(), String> {
    let mut initdb = unprivileged(&tool("initdb")?);
    initdb.arg("-D").arg(dir.join("data")).args(["-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    finish(initdb.current_dir(dir)).map(|_| ())
}

pub(super) fn server(dir: &Path, port: u16) -> Result<Command, String> {
    let mut command = unprivileged(&tool("postgres")?);
    command.arg("-D").arg(dir.join("data")).arg("-p").arg(port.to_string()).current_dir(dir);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=100"] {
        command.arg("-c").arg(setting);
    }
    Ok(command)
}

pub(super) fn create_database(_dir: &Path, port: u16) -> Result<(), String> {
    run(port, "postgres", "CREATE USER druid WITH PASSWORD 'diurd'")?;
    run(port, "postgres", "CREATE DATABASE druid OWNER druid ENCODING 'UTF8'").map(|_| ())
}

fn client(port: u16, database: &str) -> Result<Command, String> {
    let mut psql = Command::new(tool("psql")?);
    let user = if database == "postgres" { "postgres" } else { "druid" };
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", user, "-d", database, "-p"]);
    psql.arg(port.to_string());
    Ok(psql)
}

pub(super) fn run(port: u16, database: &str, sql: &str) -> Result<String, String> {
    finish(client(port, database)?.args(["-c", sql]))
}

pub(super) fn load(port: u16, file: &Path) -> Result<(), String> {
    finish(client(port, "druid")?.arg("-f").arg(file)).map(|_| ())
}
