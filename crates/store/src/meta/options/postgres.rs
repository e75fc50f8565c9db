//! PostgreSQL's addresses and the properties of `postgresql-metadata-storage`.

use ovate_base::{DruidError, Properties, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Login, MetadataOptions, jdbc};

const FORM: &str = "jdbc:postgresql://HOST:PORT/DATABASE";
const SSL: &str = "druid.metadata.postgres.ssl.";

pub(super) fn connector(
    uri: &str,
    login: Login,
    properties: &Properties,
    options: &mut MetadataOptions,
) -> Result<PgConnectOptions> {
    let address = jdbc::server(uri, &["postgresql", "postgres"], FORM)?;
    let mut connect = PgConnectOptions::new_without_pgpass().host(&address.host).port(address.port.unwrap_or(5432));
    connect = connect.application_name("ovate").ssl_mode(PgSslMode::Disable);
    let (mut user, mut password) = (login.user, login.password);
    for (name, value) in &address.parameters {
        match name.as_str() {
            "user" => user = Some(value.clone()),
            "password" => password = Some(value.clone()),
            _ => connect = parameter(connect, name, value, options)?,
        }
    }
    connect = secured(connect, properties)?;
    if let Some(schema) = properties.get("druid.metadata.postgres.dbTableSchema") {
        connect = connect.options([("search_path", schema)]);
    }
    let user = user.unwrap_or_else(|| "druid".to_owned());
    connect = connect.database(address.database.as_deref().unwrap_or(&user)).username(&user);
    Ok(match password {
        Some(password) => connect.password(&password),
        None => connect,
    })
}

fn parameter(connect: PgConnectOptions, name: &str, value: &str, options: &mut MetadataOptions) -> Result<PgConnectOptions> {
    Ok(match name {
        "ssl" => connect.ssl_mode(if jdbc::flag(name, value)? { PgSslMode::VerifyFull } else { PgSslMode::Disable }),
        "sslmode" => connect.ssl_mode(ssl_mode(value)?),
        "sslrootcert" => connect.ssl_root_cert(value),
        "sslcert" => connect.ssl_client_cert(value),
        "sslkey" => connect.ssl_client_key(value),
        "ApplicationName" => connect.application_name(value),
        "currentSchema" => connect.options([("search_path", value)]),
        "connectTimeout" | "loginTimeout" | "socketTimeout" => {
            jdbc::bound_wait(options, name, value, 1000)?;
            connect
        }
        "tcpKeepAlive"
        | "reWriteBatchedInserts"
        | "prepareThreshold"
        | "preparedStatementCacheQueries"
        | "defaultRowFetchSize"
        | "binaryTransfer"
        | "stringtype"
        | "loggerLevel" => {
            options.notes.push(format!("connectURI parameter {name} has no effect: it tunes the JDBC driver"));
            connect
        }
        _ => return Err(jdbc::refused(name, "this build cannot honour it")),
    })
}

fn ssl_mode(value: &str) -> Result<PgSslMode> {
    value.parse().map_err(|_| DruidError::invalid_input(format!("sslmode=[{value}] is not a mode of PostgreSQL")))
}

/// `PostgreSQLConnectorConfig`.
fn secured(mut connect: PgConnectOptions, properties: &Properties) -> Result<PgConnectOptions> {
    if !properties.flag(&format!("{SSL}useSSL"), false)? {
        return Ok(connect);
    }
    connect = connect.ssl_mode(PgSslMode::VerifyFull);
    for (name, value) in properties.iter() {
        let Some(field) = name.strip_prefix(SSL) else { continue };
        connect = match field {
            "useSSL" => connect,
            "sslMode" => connect.ssl_mode(ssl_mode(value)?),
            "sslRootCert" => connect.ssl_root_cert(value),
            "sslCert" => connect.ssl_client_cert(value),
            "sslKey" => connect.ssl_client_key(value),
            _ => {
                return Err(DruidError::unsupported(format!(
                    "{name}: it belongs to the JDBC driver; certificates are PEM files"
                )));
            }
        };
    }
    Ok(connect)
}
