//! Input sources on other storages: `s3`, `google`, `azure`, `azureStorage` (`CloudObjectInputSource`) and `hdfs`.
//! Credentials and endpoints of a source's own become the properties that deep storage has for them.

use ovate_base::{DruidError, Properties, Result};
use ovate_store::deep::services::{ServiceKind, hdfs_split};
use serde_json::Value;

use super::fields::Fields;
use super::io::SystemField;

/// What to read from where.
#[derive(Debug, Clone)]
pub struct CloudSource {
    pub kind: ServiceKind,
    pub wanted: Wanted,
    /// `objectGlob`, over whole paths.
    pub glob: Option<String>,
    /// Laid over the process's properties, for this source only.
    pub properties: Properties,
    pub system_fields: Vec<SystemField>,
}

/// A bucket (for HDFS the file system's part of a URI) and a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub bucket: String,
    pub path: String,
}

/// How things are named; exactly one way a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `uris` or `objects`.
    Objects(Vec<Location>),
    /// `prefixes`: everything that begins so.
    Prefixes(Vec<Location>),
    /// `paths` of HDFS: files, folders and patterns.
    Paths(Vec<Location>),
}

impl CloudSource {
    /// Reads a source of type `kind`.
    pub(crate) fn from_fields(kind: &str, fields: &Fields<'_>, system_fields: Vec<SystemField>) -> Result<CloudSource> {
        let mut properties = Properties::default();
        if kind == "hdfs" {
            let wanted = Wanted::Paths(hdfs_paths(fields)?);
            return Ok(CloudSource { kind: ServiceKind::Hdfs, wanted, glob: None, properties, system_fields });
        }
        let (service, scheme) = match kind {
            "s3" => (ServiceKind::S3, "s3"),
            "google" => (ServiceKind::Google, "gs"),
            _ => (ServiceKind::Azure, kind),
        };
        match service {
            ServiceKind::S3 => s3_properties(fields, &mut properties)?,
            ServiceKind::Azure if kind == "azureStorage" => azure_properties(fields, &mut properties)?,
            _ => {}
        }
        // `azureStorage` names an account first; a source has one.
        let mut account = None;
        let mut place = |bucket: &str, path: &str| -> Result<Location> {
            let (bucket, path) = match kind {
                "azureStorage" => {
                    if account.replace(bucket.to_owned()).is_some_and(|other| other != bucket) {
                        return Err(DruidError::unsupported("several storage accounts in one [inputSource]"));
                    }
                    path.split_once('/').unwrap_or((path, ""))
                }
                _ => (bucket, path),
            };
            if bucket.is_empty() {
                return Err(DruidError::invalid_input(format!("[inputSource] of type [{kind}] names no bucket")));
            }
            Ok(Location { bucket: bucket.to_owned(), path: path.to_owned() })
        };
        let mut from_uris = |name: &str| -> Result<Vec<Location>> {
            let uris = fields.texts(name)?.unwrap_or_default();
            uris.iter().map(|uri| uri_parts(uri, scheme, name).and_then(|(bucket, path)| place(&bucket, &path))).collect()
        };
        let (uris, prefixes) = (from_uris("uris")?, from_uris("prefixes")?);
        let objects = fields.list("objects")?.iter().map(|object| {
            let fields = Fields::new(object, "objects")?;
            place(fields.need_text("bucket")?, fields.need_text("path")?.trim_start_matches('/'))
        });
        let objects = objects.collect::<Result<Vec<_>>>()?;
        let wanted = match (uris.is_empty(), prefixes.is_empty(), objects.is_empty()) {
            (false, true, true) => Wanted::Objects(uris),
            (true, false, true) => Wanted::Prefixes(prefixes),
            (true, true, false) => Wanted::Objects(objects),
            _ => {
                let message = format!("[inputSource] of type [{kind}] needs exactly one of [uris], [prefixes] and [objects]");
                return Err(DruidError::invalid_input(message));
            }
        };
        if let Some(account) = account {
            properties.set("druid.azure.account", account);
        }
        let glob = fields.text("objectGlob")?.map(str::to_owned);
        Ok(CloudSource { kind: service, wanted, glob, properties, system_fields })
    }

    /// What `objects` of a part of this source has as `bucket` and `path`.
    pub fn object_of(&self, location: &Location, source_type: &str) -> (String, String) {
        match self.properties.get("druid.azure.account").filter(|_| source_type == "azureStorage") {
            Some(account) => (account.to_owned(), format!("{}/{}", location.bucket, location.path)),
            None => (location.bucket.clone(), location.path.clone()),
        }
    }
}

/// `scheme://bucket/path`, the path without its percent signs.
fn uri_parts(uri: &str, scheme: &str, name: &str) -> Result<(String, String)> {
    let rest = uri.split_once("://").filter(|(found, _)| *found == scheme).map(|(_, rest)| rest);
    let rest = rest.ok_or_else(|| DruidError::invalid_input(format!("[{uri}] in [{name}] must begin with [{scheme}://]")))?;
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((bucket.to_owned(), decoded(path)))
}

/// Percent escapes undone; what is none stays.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| bytes[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let escaped = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| path.to_owned())
}

/// `paths`: a list, or texts separated by commas.
fn hdfs_paths(fields: &Fields<'_>) -> Result<Vec<Location>> {
    let texts: Vec<String> = match fields.need("paths")? {
        Value::String(text) => text.split(',').map(|path| path.trim().to_owned()).collect(),
        _ => fields.texts("paths")?.unwrap_or_default(),
    };
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(DruidError::invalid_input("[inputSource] of type [hdfs] needs [paths]"));
    }
    let location = |text: &String| {
        let (bucket, path) = hdfs_split(text)?;
        Ok(Location { bucket: bucket.to_owned(), path: path.to_owned() })
    };
    texts.iter().map(location).collect()
}

/// A text, or the JSON of a `PasswordProvider`, which the property takes as it is.
fn secret(fields: &Fields<'_>, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        provider => Some(provider.to_string()),
    }
}

fn s3_properties(fields: &Fields<'_>, properties: &mut Properties) -> Result<()> {
    let nothing = Value::Object(serde_json::Map::new());
    let own = Fields::new(fields.get("properties").unwrap_or(&nothing), "properties")?;
    own.refuse(&["assumeRoleArn", "assumeRoleExternalId"])?;
    for (name, property) in [("accessKeyId", "druid.s3.accessKey"), ("secretAccessKey", "druid.s3.secretKey")] {
        if let Some(value) = secret(&own, name) {
            properties.set(property, value);
        }
    }
    own.finish()?;
    let endpoint = Fields::new(fields.get("endpointConfig").unwrap_or(&nothing), "endpointConfig")?;
    for (name, property) in [("url", "druid.s3.endpoint.url"), ("signingRegion", "druid.s3.endpoint.signingRegion")] {
        if let Some(value) = endpoint.text(name)? {
            properties.set(property, value);
        }
    }
    endpoint.finish()?;
    let client = Fields::new(fields.get("clientConfig").unwrap_or(&nothing), "clientConfig")?;
    if let Some(protocol) = client.text("protocol")? {
        properties.set("druid.s3.protocol", protocol);
    }
    if client.get("enablePathStyleAccess").is_some() {
        let on = client.flag("enablePathStyleAccess", false)?;
        properties.set("druid.s3.enablePathStyleAccess", on.to_string());
    }
    // How a Java client talks; see the same properties of deep storage.
    client.flag("disableChunkedEncoding", false)?;
    client.flag("forceGlobalBucketAccessEnabled", false)?;
    client.finish()?;
    let proxy = Fields::new(fields.get("proxyConfig").unwrap_or(&nothing), "proxyConfig")?;
    for name in ["host", "username", "password"] {
        if let Some(value) = secret(&proxy, name) {
            properties.set(format!("druid.s3.proxy.{name}"), value);
        }
    }
    if let Some(port) = proxy.whole("port")?.filter(|port| *port > 0) {
        properties.set("druid.s3.proxy.port", port.to_string());
    }
    proxy.finish()
}

fn azure_properties(fields: &Fields<'_>, properties: &mut Properties) -> Result<()> {
    let nothing = Value::Object(serde_json::Map::new());
    let own = Fields::new(fields.get("properties").unwrap_or(&nothing), "properties")?;
    own.refuse(&["appRegistrationClientId", "appRegistrationClientSecret", "tenantId"])?;
    let (key, token) = (secret(&own, "key"), secret(&own, "sharedAccessStorageToken"));
    if key.is_some() || token.is_some() {
        // Those of the process belong to another account.
        properties.set("druid.azure.key", key.unwrap_or_default());
        properties.set("druid.azure.sharedAccessStorageToken", token.unwrap_or_default());
    }
    own.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Result<CloudSource> {
        let fields = Fields::new(&json, "inputSource")?;
        let kind = fields.need_text("type")?;
        let source = CloudSource::from_fields(kind, &fields, Vec::new())?;
        fields.finish()?;
        Ok(source)
    }

    fn location(bucket: &str, path: &str) -> Location {
        Location { bucket: bucket.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn every_way_of_naming_things() {
        let source = read(json!({"type": "s3", "uris": ["s3://b/a%20b.json", "s3://b/%zz"], "objectGlob": "**.json",
            "properties": {"accessKeyId": "k", "secretAccessKey": {"type": "default", "password": "s"}},
            "endpointConfig": {"url": "http://x"}, "clientConfig": {"enablePathStyleAccess": true}}))
        .unwrap();
        assert_eq!(source.wanted, Wanted::Objects(vec![location("b", "a b.json"), location("b", "%zz")]));
        assert_eq!(source.properties.get("druid.s3.enablePathStyleAccess"), Some("true"));
        let source = read(json!({"type": "google", "objects": [{"bucket": "b", "path": "/a/c"}]})).unwrap();
        assert_eq!(source.wanted, Wanted::Objects(vec![location("b", "a/c")]));
        let source = read(json!({"type": "azureStorage", "prefixes": ["azureStorage://acc/cont/a/"]})).unwrap();
        assert_eq!(source.wanted, Wanted::Prefixes(vec![location("cont", "a/")]));
        assert_eq!(source.object_of(&location("cont", "a/x"), "azureStorage"), ("acc".to_owned(), "cont/a/x".to_owned()));
        let source = read(json!({"type": "hdfs", "paths": "hdfs://nn:1/a/*.json, /b"})).unwrap();
        assert_eq!(source.wanted, Wanted::Paths(vec![location("hdfs://nn:1", "/a/*.json"), location("", "/b")]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, name) in [
            (json!({"type": "s3"}), "uris"),
            (json!({"type": "s3", "uris": ["gs://b/a"]}), "s3://"),
            (json!({"type": "s3", "uris": ["s3://b/a"], "prefixes": ["s3://b/"]}), "exactly one"),
            (json!({"type": "s3", "uris": ["s3://b/a"], "properties": {"assumeRoleArn": "x"}}), "assumeRoleArn"),
            (json!({"type": "hdfs", "paths": "a/b"}), "a/b"),
            (json!({"type": "azureStorage", "uris": ["azureStorage://a/c/x", "azureStorage://b/c/x"]}), "accounts"),
        ] {
            let message = read(json.clone()).unwrap_err().message;
            assert!(message.contains(name), "{json}: {message}");
        }
    }
}
