//! Segments as a tool is given them: a folder, or an `index.zip` that is unpacked for the time being.

use std::path::Path;
use std::sync::Arc;

use ovate_base::{DataSegment, DruidError, Interval, Result, SegmentId, ShardSpec};
use ovate_segment::Segment;
use ovate_store::{DeepStorage, LocalDeepStorage};
use serde_json::json;

use crate::wiring::runtime;

/// An open segment; an unpacked one lives as long as this.
pub struct OpenSegment {
    pub segment: Arc<Segment>,
    _unpacked: Option<tempfile::TempDir>,
}

/// Opens the segment at a path.
pub fn open(path: &Path) -> Result<OpenSegment> {
    if path.is_dir() && !path.join("index.zip").is_file() {
        // Deep storage keeps the files one level down.
        let inner = path.join("index");
        let dir = if inner.is_dir() { inner.as_path() } else { path };
        return Ok(OpenSegment { segment: Arc::new(Segment::open(dir)?), _unpacked: None });
    }
    let zip = if path.is_dir() { path.join("index.zip") } else { path.to_owned() };
    let dir = tempfile::tempdir().map_err(|e| DruidError::runtime(format!("cannot make a temporary folder: {e}")))?;
    let mut wanted = DataSegment::new(
        SegmentId::new("tool", Interval::ETERNITY, "", 0),
        ShardSpec::Numbered { partition_num: 0, partitions: 0 },
    );
    let path = std::path::absolute(&zip).map_err(|e| DruidError::runtime(format!("cannot resolve {}: {e}", zip.display())))?;
    wanted.load_spec = Some(json!({"type": "local", "path": path}));
    runtime::small()?.block_on(LocalDeepStorage::new(dir.path().join("none"), true).pull(&wanted, dir.path()))?;
    Ok(OpenSegment { segment: Arc::new(Segment::open(dir.path())?), _unpacked: Some(dir) })
}
