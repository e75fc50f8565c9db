//! Where things stand: the metadata store's file, task folders, segment caches.

use std::path::{Path, PathBuf};

use ovate_base::{DruidError, Properties, Result};
use serde_json::Value;

use super::registry::Notices;

const CONNECT_URI: &str = "druid.metadata.storage.connector.connectURI";
/// Where an embedded metadata store is kept.
const EMBEDDED: &str = "var/druid/metadata/ovate.db";

/// `druid.metadata.storage.connector.connectURI`, such as `jdbc:sqlite:var/druid/metadata.db`. Derby, which Druid's own
/// files name, stands for "the store that comes with it": here a SQLite file beside where Derby's folder would be.
pub fn metadata_file(properties: &Properties, base_dir: &Path, notices: &mut Notices) -> Result<PathBuf> {
    let derby = properties.text("druid.metadata.storage.type", "sqlite") == "derby";
    let uri = properties.text(CONNECT_URI, "");
    if derby {
        let path = derby_path(uri).map_or_else(|| EMBEDDED.to_owned(), |path| format!("{path}.sqlite"));
        let file = base_dir.join(path);
        notices.warnings.push(format!(
            "there is no Derby here; the metadata store is a SQLite file, which only processes of this machine share. \
             property=druid.metadata.storage.type=derby file={}",
            file.display()
        ));
        return Ok(file);
    }
    match uri.strip_prefix("jdbc:sqlite:").or_else(|| uri.strip_prefix("sqlite:")) {
        Some(path) => Ok(base_dir.join(path)),
        None if uri.is_empty() => Ok(base_dir.join(EMBEDDED)),
        None => Err(DruidError::unsupported(format!("{CONNECT_URI}={uri}; this build has jdbc:sqlite:PATH"))),
    }
}

/// The folder in `jdbc:derby://host:1527/var/druid/metadata.db;create=true` or `jdbc:derby:/var/…`.
fn derby_path(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("jdbc:derby:")?;
    let path = match rest.strip_prefix("//") {
        Some(network) => network.split_once('/')?.1,
        None => rest,
    };
    let path = path.split(';').next().unwrap_or(path);
    (!path.is_empty() && !path.contains("..")).then_some(path)
}

/// Where tasks have their folders: `druid.worker.baseTaskDirs`, else `druid.indexer.task.baseTaskDir`, else
/// `druid.indexer.task.baseDir`.
pub fn task_dir(properties: &Properties, base_dir: &Path, notices: &mut Notices) -> Result<PathBuf> {
    const DIRS: &str = "druid.worker.baseTaskDirs";
    let dirs = properties.list(DIRS)?;
    if dirs.len() > 1 {
        notices.warnings.push(format!("tasks have their folders in the first of them. property={DIRS} folder={}", dirs[0]));
    }
    let named =
        properties.text("druid.indexer.task.baseTaskDir", properties.text("druid.indexer.task.baseDir", "var/druid/task"));
    Ok(base_dir.join(dirs.first().map_or(named, String::as_str)))
}

/// A JSON list of `{"path","maxSize"}`; sizes may be numbers or texts such as `300g`.
pub fn cache_locations(properties: &Properties, base_dir: &Path) -> Result<Vec<(PathBuf, u64)>> {
    const NAME: &str = "druid.segmentCache.locations";
    let text = properties.text(NAME, r#"[{"path":"var/druid/segment-cache","maxSize":"300g"}]"#);
    let bad = |what: &str| DruidError::invalid_input(format!("{what}. property={NAME} value={text}"));
    let list: Value = serde_json::from_str(text).map_err(|e| bad(&format!("not JSON: {e}")))?;
    let list = list.as_array().filter(|l| !l.is_empty()).ok_or_else(|| bad("expected a list of locations"))?;
    let location = |entry: &Value| {
        let path = entry["path"].as_str().ok_or_else(|| bad("a location without path"))?;
        let size = match &entry["maxSize"] {
            Value::Number(number) => number.as_u64().ok_or_else(|| bad("maxSize is not a size"))?,
            Value::String(size) => ovate_base::properties::parse_bytes(size)?,
            _ => return Err(bad("a location without maxSize")),
        };
        Ok((base_dir.join(path), size))
    };
    list.iter().map(location).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (PathBuf, Notices) {
        let mut notices = Notices::default();
        let file = metadata_file(&Properties::parse(text).unwrap(), Path::new("/base"), &mut notices).unwrap();
        (file, notices)
    }

    #[test]
    fn derby_is_a_sqlite_file_beside_it_and_that_is_told() {
        let uri = "jdbc:derby://localhost:1527/var/druid/metadata.db;create=true";
        let (path, notices) =
            file(&format!("druid.metadata.storage.type=derby\ndruid.metadata.storage.connector.connectURI={uri}"));
        assert_eq!(path, Path::new("/base/var/druid/metadata.db.sqlite"));
        assert!(notices.warnings[0].contains("derby"), "{notices:?}");
        assert_eq!(file("druid.metadata.storage.type=derby").0, Path::new("/base/var/druid/metadata/ovate.db"));
    }

    #[test]
    fn task_folders_are_where_druids_files_put_them() {
        let properties = Properties::parse(r#"druid.worker.baseTaskDirs=[\"var/druid/task\"]"#).unwrap();
        let dir = task_dir(&properties, Path::new("/base"), &mut Notices::default()).unwrap();
        assert_eq!(dir, Path::new("/base/var/druid/task"));
    }
}
