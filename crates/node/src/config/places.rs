//! Where things stand: the metadata store, task folders, segment caches.

use std::path::{Path, PathBuf};

use ovate_base::{DruidError, Properties, Result};
use ovate_store::meta::MetadataOptions;
use serde_json::Value;

use super::registry::Notices;

/// Where the metadata store is (`druid.metadata.storage.*`).
pub fn metadata(properties: &Properties, base_dir: &Path, notices: &mut Notices) -> Result<MetadataOptions> {
    let environment = |name: &str| std::env::var(name).ok();
    let mut options = MetadataOptions::from_properties(properties, base_dir, &environment)?;
    notices.warnings.append(&mut options.notes);
    Ok(options)
}

/// Where tasks have their folders: `druid.worker.baseTaskDirs`, else `druid.indexer.task.baseTaskDir`, else
/// `druid.indexer.task.baseDir`.
pub fn task_dirs(properties: &Properties, base_dir: &Path) -> Result<Vec<PathBuf>> {
    let dirs = properties.list("druid.worker.baseTaskDirs")?;
    if !dirs.is_empty() {
        return Ok(dirs.iter().map(|dir| base_dir.join(dir)).collect());
    }
    let base = properties.text("druid.indexer.task.baseDir", "var/druid/task");
    Ok(vec![base_dir.join(properties.text("druid.indexer.task.baseTaskDir", base))])
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

    #[test]
    fn task_folders_are_where_druids_files_put_them() {
        let dirs = |text: &str| task_dirs(&Properties::parse(text).unwrap(), Path::new("/base")).unwrap();
        assert_eq!(dirs(r#"druid.worker.baseTaskDirs=[\"var/druid/task\"]"#), [Path::new("/base/var/druid/task")]);
        let two = dirs(r#"druid.worker.baseTaskDirs=[\"/disk1/task\", \"/disk2/task\"]"#);
        assert_eq!(two, [Path::new("/disk1/task"), Path::new("/disk2/task")]);
        assert_eq!(dirs("druid.indexer.task.baseDir=a\ndruid.indexer.task.baseTaskDir=b"), [Path::new("/base/b")]);
    }
}
