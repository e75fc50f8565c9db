//! S3 and what speaks its protocol (`druid-s3-extensions`, DEEP-02): `druid.s3.*` and `druid.storage.sse.*` become a
//! client for one bucket.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use ovate_base::{DruidError, Properties, Result};

use super::{client_options, credentials, retries, unusable};
use crate::deep::blobs::{Blobs, ObjectBlobs};

/// How S3 is reached.
#[derive(Clone, Default)]
pub struct S3Options {
    /// `druid.s3.accessKey` and `druid.s3.secretKey`.
    pub keys: Option<(String, String)>,
    /// `druid.s3.fileSessionCredentials`: a properties file with `accessKey`, `secretKey` and `sessionToken`.
    pub session_file: Option<PathBuf>,
    /// `druid.s3.endpoint.url`, with its scheme.
    pub endpoint: Option<String>,
    /// `druid.s3.endpoint.signingRegion`.
    pub region: Option<String>,
    /// `druid.s3.enablePathStyleAccess`.
    pub path_style: bool,
    /// `http://[user:password@]host:port` from `druid.s3.proxy.*`.
    pub proxy: Option<String>,
    /// `druid.storage.sse.*`.
    pub encryption: Option<Encryption>,
}

/// `druid.storage.sse.type`.
#[derive(Clone)]
pub enum Encryption {
    /// `s3`: keys of the store.
    S3,
    /// `kms`, with the key's id or the account's default key.
    Kms(Option<String>),
    /// `custom`: a key that is sent with every request, in base64.
    Custom(String),
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Options(endpoint {:?}, region {:?})", self.endpoint, self.region)
    }
}

impl S3Options {
    /// Reads Druid's properties; what cannot be done is refused by name.
    pub fn from_properties(properties: &Properties) -> Result<S3Options> {
        let text = |name: &str| properties.get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        let protocol = text("druid.s3.protocol").unwrap_or_else(|| "https".to_owned()).to_lowercase();
        if protocol != "http" && protocol != "https" {
            return Err(DruidError::invalid_input(format!("druid.s3.protocol must be http or https, not [{protocol}]")));
        }
        let password = |name: &str| -> Result<Option<String>> { text(name).map(|value| plain_password(name, value)).transpose() };
        let keys = match (password("druid.s3.accessKey")?, password("druid.s3.secretKey")?) {
            (Some(access), Some(secret)) => Some((access, secret)),
            (None, None) => None,
            _ => return Err(DruidError::invalid_input("druid.s3.accessKey and druid.s3.secretKey must be set together")),
        };
        if text("druid.s3.sessionCredentials").is_some() {
            return Err(DruidError::unsupported("druid.s3.sessionCredentials; use druid.s3.fileSessionCredentials"));
        }
        Ok(S3Options {
            keys,
            session_file: text("druid.s3.fileSessionCredentials").map(PathBuf::from),
            endpoint: text("druid.s3.endpoint.url")
                .map(|url| if url.contains("://") { url } else { format!("{protocol}://{url}") })
                .map(|url| url.trim_end_matches('/').to_owned()),
            region: text("druid.s3.endpoint.signingRegion"),
            path_style: properties.flag("druid.s3.enablePathStyleAccess", false)?,
            proxy: proxy(properties)?,
            encryption: encryption(properties)?,
        })
    }
}

/// A password written plainly or as `{"type":"default","password":…}` or `{"type":"environment","variable":…}`
/// (`PasswordProvider`).
fn plain_password(name: &str, value: String) -> Result<String> {
    if !value.starts_with('{') {
        return Ok(value);
    }
    let bad = |what: &str| DruidError::invalid_input(format!("property {name}: {what}"));
    let document: serde_json::Value = serde_json::from_str(&value).map_err(|_| bad("not a password provider's JSON"))?;
    match (document["type"].as_str(), document["password"].as_str(), document["variable"].as_str()) {
        (Some("default"), Some(password), _) => Ok(password.to_owned()),
        (Some("environment"), _, Some(variable)) => {
            std::env::var(variable).map_err(|_| bad(&format!("environment variable {variable} is not set")))
        }
        (kind, ..) => Err(bad(&format!("password provider of type [{}]", kind.unwrap_or("none")))),
    }
}

fn proxy(properties: &Properties) -> Result<Option<String>> {
    let host = properties.text("druid.s3.proxy.host", "");
    if host.is_empty() {
        return Ok(None);
    }
    let port = properties.int("druid.s3.proxy.port", 80)?;
    let user = properties.text("druid.s3.proxy.username", "");
    let password = properties.text("druid.s3.proxy.password", "");
    let login = if user.is_empty() { String::new() } else { format!("{user}:{password}@") };
    Ok(Some(format!("http://{login}{host}:{port}")))
}

fn encryption(properties: &Properties) -> Result<Option<Encryption>> {
    let own = |name: &str| properties.get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
    Ok(match own("druid.storage.sse.type").as_deref() {
        None => None,
        Some("s3") => Some(Encryption::S3),
        Some("kms") => Some(Encryption::Kms(own("druid.storage.sse.kms.keyId"))),
        Some("custom") => {
            let name = "druid.storage.sse.custom.base64EncodedKey";
            let key = own(name).ok_or_else(|| DruidError::invalid_input(format!("{name} must be set")))?;
            Some(Encryption::Custom(plain_password(name, key)?))
        }
        Some(other) => {
            return Err(DruidError::invalid_input(format!("druid.storage.sse.type must be s3, kms or custom, not [{other}]")));
        }
    })
}

/// A client for one bucket.
pub fn open(options: &S3Options, bucket: &str) -> Result<Arc<dyn Blobs>> {
    if bucket.is_empty() {
        return Err(DruidError::invalid_input("an S3 bucket has no name; is druid.storage.bucket set?"));
    }
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_region(region(options))
        .with_retry(retries())
        .with_client_options(client_options())
        .with_allow_http(options.endpoint.as_deref().is_some_and(|url| url.starts_with("http://")));
    // Druid asks for virtual hosts unless told otherwise; names that cannot be part of a host are paths, as in Amazon's SDK.
    let virtual_host = !options.path_style && !bucket.contains('.');
    match &options.endpoint {
        Some(url) => {
            let (scheme, host) = url.split_once("://").unwrap_or(("https", url));
            if virtual_host && !is_address(host) {
                builder = builder.with_endpoint(format!("{scheme}://{bucket}.{host}")).with_virtual_hosted_style_request(true);
            } else {
                builder = builder.with_endpoint(url).with_virtual_hosted_style_request(false);
            }
        }
        None => builder = builder.with_virtual_hosted_style_request(virtual_host),
    }
    if let Some(provider) = credentials::provider(options)? {
        builder = builder.with_credentials(provider);
    }
    if let Some(proxy) = &options.proxy {
        builder = builder.with_proxy_url(proxy);
    }
    let encryption: AmazonS3ConfigKey = "aws_server_side_encryption".parse().expect("the crate's own name of the setting");
    builder = match &options.encryption {
        None => builder,
        Some(Encryption::S3) => builder.with_config(encryption, "AES256"),
        Some(Encryption::Kms(Some(key))) => builder.with_sse_kms_encryption(key),
        Some(Encryption::Kms(None)) => builder.with_config(encryption, "aws:kms"),
        Some(Encryption::Custom(key)) => builder.with_ssec_encryption(key),
    };
    let name = format!("s3://{bucket}");
    let store = builder.build().map_err(|error| unusable(&name, error))?;
    Ok(Arc::new(ObjectBlobs::new(Arc::new(store), name)))
}

/// The signing region: as set, as the environment says, or as an Amazon host's name says.
fn region(options: &S3Options) -> String {
    let environment = || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| std::env::var(name).ok());
    let from_host = || {
        let host = options.endpoint.as_deref()?.split_once("://")?.1.strip_suffix(".amazonaws.com")?;
        host.strip_prefix("s3.").or_else(|| host.strip_prefix("s3-")).map(str::to_owned)
    };
    options.region.clone().or_else(from_host).or_else(environment).unwrap_or_else(|| "us-east-1".to_owned())
}

/// True for hosts that cannot have a bucket's name before them.
fn is_address(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<S3Options> {
        S3Options::from_properties(&Properties::parse(text).unwrap())
    }

    #[test]
    fn endpoints_get_their_scheme_and_region() {
        let made = options("druid.s3.endpoint.url=minio:9000\ndruid.s3.protocol=http").unwrap();
        assert_eq!(made.endpoint.as_deref(), Some("http://minio:9000"));
        let made = options("druid.s3.endpoint.url=s3.eu-central-1.amazonaws.com").unwrap();
        assert_eq!(region(&made), "eu-central-1");
    }

    #[test]
    fn halves_and_unknown_values_are_refused_by_name() {
        for text in
            ["druid.s3.accessKey=a", "druid.storage.sse.type=own", "druid.storage.sse.type=custom", "druid.s3.protocol=ftp"]
        {
            let name = text.split('=').next().unwrap();
            assert!(
                options(text).unwrap_err().message.contains(name.rsplit('.').next().unwrap()) || text.contains("custom"),
                "{text}"
            );
        }
        let keys = "druid.s3.accessKey={\"type\":\"default\",\"password\":\"a\"}\ndruid.s3.secretKey=b";
        assert_eq!(options(keys).unwrap().keys, Some(("a".to_owned(), "b".to_owned())));
        assert!(!format!("{:?}", options(keys).unwrap()).contains("\"b\""));
    }
}
