//! JDBC addresses, taken apart: `jdbc:postgresql://host:port/database?name=value&…` and the like.

use std::path::{Path, PathBuf};

use ovate_base::{DruidError, Result};

use super::{CONNECTOR, DEFAULT_FILE, MetadataOptions, TYPE};

/// An address of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub host: String,
    pub port: Option<u16>,
    pub database: Option<String>,
    pub parameters: Vec<(String, String)>,
}

/// The type of store that an address belongs to.
pub(super) fn kind_of(uri: &str) -> &str {
    let rest = uri.strip_prefix("jdbc:").unwrap_or(uri);
    match rest.split(':').next().unwrap_or_default() {
        "mariadb" => "mysql",
        "postgres" => "postgresql",
        scheme => scheme,
    }
}

/// The file of `jdbc:sqlite:PATH`.
pub(super) fn sqlite_path(uri: &str, base_dir: &Path) -> Result<PathBuf> {
    match uri.strip_prefix("jdbc:sqlite:").or_else(|| uri.strip_prefix("sqlite:")) {
        Some(path) if !path.is_empty() => Ok(base_dir.join(path)),
        _ => Err(bad(uri, "jdbc:sqlite:PATH")),
    }
}

/// Derby runs inside a JVM. The files that Druid ships name it for a single machine; there an empty SQLite file takes its
/// place. A Derby database that holds something is not passed over in silence.
pub(super) fn instead_of_derby(uri: Option<&str>, base_dir: &Path, notes: &mut Vec<String>) -> Result<PathBuf> {
    let Some(uri) = uri else {
        notes.push(format!("{TYPE}=derby: Derby needs a JVM, so metadata is in the SQLite file {DEFAULT_FILE}"));
        return Ok(base_dir.join(DEFAULT_FILE));
    };
    let rest = uri.strip_prefix("jdbc:derby:").ok_or_else(|| bad(uri, "jdbc:derby://localhost:1527/PATH;create=true"))?;
    let (address, _) = rest.split_once(';').unwrap_or((rest, ""));
    let path = match address.strip_prefix("//") {
        None => address,
        Some(server) => {
            let (host, path) = server.split_once('/').ok_or_else(|| bad(uri, "jdbc:derby://localhost:1527/PATH;create=true"))?;
            let host = host.split(':').next().unwrap_or_default();
            if !matches!(host, "localhost" | "127.0.0.1" | "") {
                return Err(DruidError::unsupported(format!(
                    "{TYPE}=derby on another machine [{host}]: Derby needs a JVM; a cluster needs postgresql or mysql"
                )));
            }
            path
        }
    };
    let derby = base_dir.join(path);
    if derby.join("service.properties").is_file() {
        return Err(DruidError::unsupported(format!(
            "{TYPE}=derby: {} holds a Derby database, which only a JVM can read. Export it with Druid's own `tools export-metadata`, \
             then load the files with `ovate tools import-metadata` and set {TYPE}=sqlite, postgresql or mysql",
            derby.display()
        )));
    }
    let file = PathBuf::from(format!("{}.sqlite", derby.display()));
    notes.push(format!(
        "{TYPE}=derby: Derby needs a JVM, so metadata is in the SQLite file {}, which only processes of this machine share",
        file.display()
    ));
    Ok(file)
}

/// Takes `jdbc:SCHEME://host:port/database?parameters` apart.
pub(super) fn server(uri: &str, schemes: &[&str], form: &str) -> Result<Address> {
    let rest = uri.strip_prefix("jdbc:").unwrap_or(uri);
    let rest = schemes.iter().find_map(|scheme| rest.strip_prefix(scheme)?.strip_prefix(':')).ok_or_else(|| bad(uri, form))?;
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let Some(place) = place.strip_prefix("//") else {
        // `jdbc:postgresql:database` is on this machine.
        if place.is_empty() || place.contains([':', '/']) {
            return Err(bad(uri, form));
        }
        let database = Some(decoded(place)?);
        return Ok(Address { host: "localhost".to_owned(), port: None, database, parameters: pairs(parameters)? });
    };
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
    if hosts.contains(',') || hosts.contains('@') || hosts.contains('(') {
        return Err(DruidError::unsupported(format!(
            "{CONNECTOR}connectURI: [{hosts}]: one host is expected; put user and password into properties of their own"
        )));
    }
    let (host, port) = match hosts.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse().map_err(|_| bad(uri, form))?;
            (host, Some(port))
        }
        _ => (hosts, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Address {
        host: if host.is_empty() { "localhost".to_owned() } else { host.to_owned() },
        port,
        database: Some(decoded(database)?).filter(|name| !name.is_empty()),
        parameters: pairs(parameters)?,
    })
}

fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Ok((decoded(name)?, decoded(value)?))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Result<String> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_err(|_| DruidError::invalid_input(format!("{CONNECTOR}connectURI: [{text}] is not UTF-8")))
}

pub(super) fn bad(uri: &str, form: &str) -> DruidError {
    // The parameters may hold a password.
    let shown = uri.split(['?', ';']).next().unwrap_or_default();
    DruidError::invalid_input(format!("{CONNECTOR}connectURI=[{shown}]; expected {form}"))
}

/// A parameter that we cannot honour.
pub(super) fn refused(name: &str, why: &str) -> DruidError {
    DruidError::unsupported(format!("{CONNECTOR}connectURI: parameter [{name}]: {why}"))
}

/// A parameter that bounds waits: `socketTimeout` for an answer, any other for a connection. `unit_ms`: what its number counts.
pub(super) fn bound_wait(options: &mut MetadataOptions, name: &str, value: &str, unit_ms: u64) -> Result<()> {
    let bound = if name == "socketTimeout" { &mut options.statement_max } else { &mut options.connect_max };
    *bound = wait(name, value, unit_ms)?.unwrap_or(*bound);
    Ok(())
}

/// A number of seconds or milliseconds; 0 means no limit, which we do not have.
fn wait(name: &str, value: &str, unit_ms: u64) -> Result<Option<std::time::Duration>> {
    let number: u64 = value
        .parse()
        .map_err(|_| DruidError::invalid_input(format!("{CONNECTOR}connectURI: parameter {name}=[{value}] is not a number")))?;
    Ok((number > 0).then(|| std::time::Duration::from_millis(number.saturating_mul(unit_ms))))
}

/// A truth value of a parameter.
pub(super) fn flag(name: &str, value: &str) -> Result<bool> {
    match value {
        "" | "true" | "TRUE" | "1" | "yes" => Ok(true),
        "false" | "FALSE" | "0" | "no" => Ok(false),
        _ => Err(DruidError::invalid_input(format!("{CONNECTOR}connectURI: parameter {name}=[{value}] is not true or false"))),
    }
}
