//! HDFS (`druid-hdfs-storage`, DEEP-05): the settings of `core-site.xml` and `hdfs-site.xml`, name services with several
//! name nodes among them, become a client. The user is `HADOOP_USER_NAME` or the process's.

use std::path::Path;
use std::sync::Arc;

use hdfs_native::client::ClientBuilder;
use ovate_base::{DruidError, Properties, Result};

use super::unusable;
use crate::deep::blobs::{Blobs, HdfsBlobs};

/// A client for `hdfs://host[:port]`, or with an empty name for `fs.defaultFS`.
pub fn open(properties: &Properties, conf_dir: Option<&Path>, name: &str) -> Result<Arc<dyn Blobs>> {
    for refused in ["druid.hadoop.security.kerberos.principal", "druid.hadoop.security.kerberos.keytab"] {
        if properties.get(refused).is_some_and(|value| !value.trim().is_empty()) {
            let message = format!("{refused}: tickets are not got from keytabs; keep a ticket cache fresh and leave it unset");
            return Err(DruidError::unsupported(message));
        }
    }
    let mut builder = ClientBuilder::new();
    if let Some(dir) = conf_dir {
        builder = builder.with_config_dir(dir.display().to_string());
    }
    if !name.is_empty() {
        builder = builder.with_url(name);
    }
    let shown = if name.is_empty() { "hdfs:" } else { name };
    let client = builder.build().map_err(|error| unusable(shown, error))?;
    Ok(Arc::new(HdfsBlobs::new(client, shown)))
}

/// The part of a path's URI that names the file system, and the path: `hdfs://host:8020/a` is `hdfs://host:8020` and `/a`.
pub fn split(path: &str) -> Result<(&str, &str)> {
    let bad = || DruidError::invalid_input(format!("[{path}] is not an absolute path of HDFS"));
    match path.split_once("://") {
        Some((scheme @ ("hdfs" | "viewfs"), rest)) => {
            let at = rest.find('/').ok_or_else(bad)?;
            // `hdfs:///a` is a path of the default file system.
            let name = if at == 0 { "" } else { &path[..scheme.len() + 3 + at] };
            Ok((name, &rest[at..]))
        }
        Some((scheme, _)) => Err(DruidError::unsupported(format!("file system [{scheme}] of [{path}]"))),
        None if path.starts_with('/') => Ok(("", path)),
        None => match path.strip_prefix("hdfs:").filter(|path| path.starts_with('/')) {
            Some(path) => Ok(("", path)),
            None => Err(bad()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_split_at_the_path() {
        assert_eq!(split("hdfs://nn:8020/a/b").unwrap(), ("hdfs://nn:8020", "/a/b"));
        assert_eq!(split("hdfs:///a").unwrap(), ("", "/a"));
        assert_eq!(split("hdfs:/a").unwrap(), ("", "/a"));
        assert_eq!(split("/a").unwrap(), ("", "/a"));
        assert!(split("s3://b/a").is_err() && split("a/b").is_err() && split("hdfs://nn").is_err());
    }
}
