//! MySQL's and MariaDB's addresses and the properties of `mysql-metadata-storage`.

use ovate_base::{DruidError, Properties, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::{Login, MetadataOptions, jdbc};

const FORM: &str = "jdbc:mysql://HOST:PORT/DATABASE";
const SSL: &str = "druid.metadata.mysql.ssl.";

pub(super) fn connector(
    uri: &str,
    login: Login,
    properties: &Properties,
    options: &mut MetadataOptions,
) -> Result<MySqlConnectOptions> {
    let address = jdbc::server(uri, &["mysql", "mariadb"], FORM)?;
    let database = address.database.as_deref().ok_or_else(|| jdbc::bad(uri, FORM))?;
    let mut connect = MySqlConnectOptions::new()
        .host(&address.host)
        .port(address.port.unwrap_or(3306))
        .database(database)
        .charset("utf8mb4")
        .ssl_mode(MySqlSslMode::Preferred);
    let (mut user, mut password) = (login.user, login.password);
    for (name, value) in &address.parameters {
        match name.as_str() {
            "user" => user = Some(value.clone()),
            "password" => password = Some(value.clone()),
            _ => connect = parameter(connect, name, value, options)?,
        }
    }
    connect = secured(connect, properties)?.username(user.as_deref().unwrap_or("druid"));
    Ok(match password {
        Some(password) => connect.password(&password),
        None => connect,
    })
}

fn parameter(
    connect: MySqlConnectOptions,
    name: &str,
    value: &str,
    options: &mut MetadataOptions,
) -> Result<MySqlConnectOptions> {
    Ok(match name {
        "useSSL" | "useSsl" => {
            connect.ssl_mode(if jdbc::flag(name, value)? { MySqlSslMode::Preferred } else { MySqlSslMode::Disabled })
        }
        "requireSSL" if jdbc::flag(name, value)? => connect.ssl_mode(MySqlSslMode::Required),
        "verifyServerCertificate" if jdbc::flag(name, value)? => connect.ssl_mode(MySqlSslMode::VerifyCa),
        "requireSSL" | "verifyServerCertificate" => connect,
        "sslMode" => connect.ssl_mode(ssl_mode(value)?),
        "serverSslCert" => connect.ssl_ca(value),
        "connectTimeout" | "socketTimeout" => {
            jdbc::bound_wait(options, name, value, 1)?;
            connect
        }
        "characterEncoding" if !value.to_lowercase().starts_with("utf") => {
            return Err(jdbc::refused(name, "metadata is UTF-8"));
        }
        "useUnicode"
        | "characterEncoding"
        | "allowPublicKeyRetrieval"
        | "autoReconnect"
        | "rewriteBatchedStatements"
        | "useServerPrepStmts"
        | "cachePrepStmts"
        | "serverTimezone"
        | "connectionTimeZone"
        | "useMysqlMetadata"
        | "permitMysqlScheme"
        | "useLegacyDatetimeCode"
        | "tcpKeepAlive" => {
            options.notes.push(format!("connectURI parameter {name} has no effect: it tunes the JDBC driver"));
            connect
        }
        _ => return Err(jdbc::refused(name, "this build cannot honour it")),
    })
}

/// Connector/J's and MariaDB's names of one thing.
fn ssl_mode(value: &str) -> Result<MySqlSslMode> {
    match value.to_uppercase().replace('-', "_").as_str() {
        "DISABLED" | "DISABLE" => Ok(MySqlSslMode::Disabled),
        "PREFERRED" => Ok(MySqlSslMode::Preferred),
        "REQUIRED" | "TRUST" => Ok(MySqlSslMode::Required),
        "VERIFY_CA" => Ok(MySqlSslMode::VerifyCa),
        "VERIFY_IDENTITY" | "VERIFY_FULL" => Ok(MySqlSslMode::VerifyIdentity),
        _ => Err(DruidError::invalid_input(format!("sslMode=[{value}] is not a mode of MySQL or MariaDB"))),
    }
}

/// `MySQLConnectorSslConfig`. Java's key stores cannot be read; the authority's certificate comes with `serverSslCert`.
fn secured(mut connect: MySqlConnectOptions, properties: &Properties) -> Result<MySqlConnectOptions> {
    if !properties.flag(&format!("{SSL}useSSL"), false)? {
        return Ok(connect);
    }
    connect = connect.ssl_mode(MySqlSslMode::Required);
    for (name, value) in properties.iter() {
        let Some(field) = name.strip_prefix(SSL) else { continue };
        match field {
            "useSSL" => {}
            "verifyServerCertificate" if value.trim() == "true" => connect = connect.ssl_mode(MySqlSslMode::VerifyCa),
            "verifyServerCertificate" => {}
            _ => {
                return Err(DruidError::unsupported(format!(
                    "{name}: Java's key stores cannot be read; name the authority's PEM file in the connectURI as serverSslCert"
                )));
            }
        }
    }
    Ok(connect)
}
