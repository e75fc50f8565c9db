//! A PostgreSQL or MariaDB server with an empty database `druid` for user `druid`, password `diurd` as on Druid's pages.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{free_port, mariadb, postgres};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    Postgres,
    Mariadb,
}

/// A running server.
pub struct Database {
    kind: DatabaseKind,
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(60);

impl Database {
    /// Starts a server; the reason when there is none.
    pub fn start(kind: DatabaseKind) -> Result<Database, String> {
        let dir = tempfile::Builder::new().prefix("ovate-db").tempdir().map_err(|e| e.to_string())?;
        super::give(dir.path())?;
        let mut database = Database { kind, dir, port: free_port(), child: None };
        match kind {
            DatabaseKind::Postgres => postgres::prepare(database.dir.path())?,
            DatabaseKind::Mariadb => mariadb::prepare(database.dir.path())?,
        }
        database.spawn()?;
        match kind {
            DatabaseKind::Postgres => postgres::create_database(database.dir.path(), database.port)?,
            DatabaseKind::Mariadb => mariadb::create_database(database.dir.path())?,
        }
        Ok(database)
    }

    /// PostgreSQL.
    pub fn postgres() -> Result<Database, String> {
        Database::start(DatabaseKind::Postgres)
    }

    /// MariaDB.
    pub fn mariadb() -> Result<Database, String> {
        Database::start(DatabaseKind::Mariadb)
    }

    /// Starts the server again after `kill` or `shutdown`, on the same port.
    pub fn spawn(&mut self) -> Result<(), String> {
        let mut command = match self.kind {
            DatabaseKind::Postgres => postgres::server(self.dir.path(), self.port)?,
            DatabaseKind::Mariadb => mariadb::server(self.dir.path(), self.port)?,
        };
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("server.log"));
        let log = log.map_err(|e| e.to_string())?;
        command.stdout(log.try_clone().map_err(|e| e.to_string())?).stderr(log);
        self.child = Some(command.spawn().map_err(|e| format!("cannot start the server: {e}"))?);
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + START;
        loop {
            let answer = match self.kind {
                DatabaseKind::Postgres => postgres::run(self.port, "postgres", "SELECT 1"),
                DatabaseKind::Mariadb => mariadb::run(self.dir.path(), "SELECT 1"),
            };
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => return Err(format!("{error}\n{}", self.log())),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                return Err(format!("the server ended: {status}\n{}", self.log()));
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    /// Kills the server with -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.kind == DatabaseKind::Postgres {
            // Its children notice by themselves; the next start waits for them.
            let _ = std::fs::remove_file(self.dir.path().join("data/postmaster.pid"));
        }
    }

    /// Stops (`true`) or continues the server process, as a machine that hangs does.
    pub fn pause(&self, stopped: bool) {
        if let Some(child) = &self.child {
            let signal = if stopped { "-STOP" } else { "-CONT" };
            let _ = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        }
    }

    pub fn kind(&self) -> DatabaseKind {
        self.kind
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The JDBC address that Druid's `connectURI` takes.
    pub fn uri(&self) -> String {
        self.uri_of("druid")
    }

    /// The same for another database of the server.
    pub fn uri_of(&self, database: &str) -> String {
        match self.kind {
            DatabaseKind::Postgres => format!("jdbc:postgresql://127.0.0.1:{}/{database}", self.port),
            DatabaseKind::Mariadb => format!("jdbc:mysql://127.0.0.1:{}/{database}", self.port),
        }
    }

    /// `druid.metadata.storage.*` for this server.
    pub fn properties(&self) -> Vec<(String, String)> {
        let kind = match self.kind {
            DatabaseKind::Postgres => "postgresql",
            DatabaseKind::Mariadb => "mysql",
        };
        [
            ("type", kind.to_owned()),
            ("connector.connectURI", self.uri()),
            ("connector.user", "druid".to_owned()),
            ("connector.password", "diurd".to_owned()),
        ]
        .map(|(name, value)| (format!("druid.metadata.storage.{name}"), value))
        .to_vec()
    }

    /// Makes one more database.
    pub fn create(&self, name: &str) -> Result<(), String> {
        match self.kind {
            DatabaseKind::Postgres => {
                postgres::run(self.port, "postgres", &format!("CREATE DATABASE {name} OWNER druid ENCODING 'UTF8'")).map(|_| ())
            }
            DatabaseKind::Mariadb => {
                mariadb::run(self.dir.path(), &format!("CREATE DATABASE {name} DEFAULT CHARACTER SET utf8mb4")).map(|_| ())
            }
        }
    }

    /// Runs statements in the database `druid` and gives what the client prints.
    pub fn run(&self, sql: &str) -> Result<String, String> {
        self.run_in("druid", sql)
    }

    /// The same in another database.
    pub fn run_in(&self, database: &str, sql: &str) -> Result<String, String> {
        match self.kind {
            DatabaseKind::Postgres => postgres::run(self.port, database, sql),
            DatabaseKind::Mariadb => mariadb::run(self.dir.path(), &format!("USE {database}; {sql}")),
        }
    }

    /// Loads a dump.
    pub fn load(&self, file: &Path) -> Result<(), String> {
        match self.kind {
            DatabaseKind::Postgres => postgres::load(self.port, file),
            DatabaseKind::Mariadb => mariadb::load(self.dir.path(), file),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.kill();
    }
}
