//! MariaDB: `mariadb-install-db`, `mariadbd` and `mariadb` of Debian's package.

use std::path::Path;
use std::process::Command;

use super::{finish, program, unprivileged};

pub(super) fn prepare(dir: &Path) -> Result<(), String> {
    program(&["mariadbd", "/usr/sbin/mariadbd"])?;
    let mut install = unprivileged(&program(&["mariadb-install-db"])?);
    install.arg("--no-defaults").arg(format!("--datadir={}", dir.join("data").display()));
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    finish(install.current_dir(dir)).map(|_| ())
}

pub(super) fn server(dir: &Path, port: u16) -> Result<Command, String> {
    let mut command = unprivileged(&program(&["mariadbd", "/usr/sbin/mariadbd"])?);
    command.current_dir(dir).arg("--no-defaults").arg(format!("--datadir={}", dir.join("data").display()));
    command.arg(format!("--port={port}")).arg(format!("--socket={}", socket(dir)));
    command.arg(format!("--pid-file={}", dir.join("mariadb.pid").display()));
    command.args(["--bind-address=127.0.0.1", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=2"]);
    command.args(["--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci", "--innodb-buffer-pool-size=64M"]);
    Ok(command)
}

pub(super) fn create_database(dir: &Path) -> Result<(), String> {
    run(dir, "CREATE DATABASE druid DEFAULT CHARACTER SET utf8mb4")?;
    run(dir, "CREATE USER 'druid'@'%' IDENTIFIED BY 'diurd'; GRANT ALL PRIVILEGES ON *.* TO 'druid'@'%'; FLUSH PRIVILEGES")
        .map(|_| ())
}

fn socket(dir: &Path) -> String {
    dir.join("s").display().to_string()
}

fn client(dir: &Path) -> Result<Command, String> {
    let mut client = Command::new(program(&["mariadb"])?);
    client.args(["--no-defaults", "-u", "root", "-N", "-B", "-r", "-S", &socket(dir)]);
    Ok(client)
}

pub(super) fn run(dir: &Path, sql: &str) -> Result<String, String> {
    finish(client(dir)?.args(["-e", sql]))
}

pub(super) fn load(dir: &Path, file: &Path) -> Result<(), String> {
    let file = std::fs::File::open(file).map_err(|e| format!("cannot open {}: {e}", file.display()))?;
    finish(client(dir)?.arg("druid").stdin(file)).map(|_| ())
}
