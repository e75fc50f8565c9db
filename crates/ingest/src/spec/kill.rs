//! `kill` (ING-06, `KillUnusedSegmentsTask`): deletes unused segments for good, records and files.

use ovate_base::time::instant_from_json;
use ovate_base::{DruidError, Interval, Result};

use super::fields::Fields;

/// Checked `kill` task.
#[derive(Debug, Clone)]
pub struct KillSpec {
    pub data_source: String,
    pub interval: Interval,
    pub versions: Option<Vec<String>>,
    pub batch_size: u64,
    pub limit: Option<u64>,
    pub max_used_status_last_updated: Option<i64>,
}

impl KillSpec {
    /// Reads the properties of the task itself.
    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<KillSpec> {
        if fields.flag("markAsUnused", false)? {
            return Err(DruidError::unsupported(
                "[markAsUnused] of kill tasks was removed from Druid, mark segments as unused first",
            ));
        }
        let limit = fields.count("limit")?;
        let batch_size = fields.count("batchSize")?.unwrap_or(100);
        Ok(KillSpec {
            data_source: fields.need_text("dataSource")?.to_owned(),
            interval: Interval::parse(fields.need_text("interval")?)?,
            versions: fields.texts("versions")?,
            batch_size,
            limit,
            max_used_status_last_updated: fields.get("maxUsedStatusLastUpdatedTime").map(instant_from_json).transpose()?,
        })
    }
}
