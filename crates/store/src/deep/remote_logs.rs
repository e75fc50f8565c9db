//! Task logs and reports on S3, Google, Azure and HDFS, under the names that Druid gives them (`S3TaskLogs`,
//! `HdfsTaskLogs` and so on), and the logs that are thrown away (`NoopTaskLogs`).

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::{DruidError, Properties, Result};

use super::TaskLogs;
use super::blobs::{Blobs, read_chunk};
use super::names::{below, checked_task_id};
use super::remote::upload;
use super::services::{ServiceKind, Services, hdfs_split};

/// Logs in a bucket or file system.
#[derive(Debug)]
pub struct RemoteTaskLogs {
    blobs: Arc<dyn Blobs>,
    kind: ServiceKind,
    prefix: String,
}

/// Most bytes of a log or report given at once.
const READ_BYTES_MAX: u64 = 256 << 20;
/// Bytes of one request.
const RANGE_BYTES: u64 = 8 << 20;

impl RemoteTaskLogs {
    /// `druid.indexer.logs.*` of one kind of storage.
    pub fn from_properties(kind: ServiceKind, services: &Services, properties: &Properties) -> Result<RemoteTaskLogs> {
        let text = |name: &str| properties.text(&format!("druid.indexer.logs.{name}"), "").trim().to_owned();
        let need = |name: &str| match text(name) {
            value if value.is_empty() => Err(DruidError::invalid_input(format!("druid.indexer.logs.{name} must be set"))),
            value => Ok(value),
        };
        let (bucket, prefix) = match kind {
            ServiceKind::S3 => (need("s3Bucket")?, need("s3Prefix")?),
            ServiceKind::Google => (need("bucket")?, need("prefix")?),
            ServiceKind::Azure => (need("container")?, need("prefix")?),
            ServiceKind::Hdfs => {
                let directory = need("directory")?;
                let (name, path) = hdfs_split(&directory)?;
                (name.to_owned(), path.to_owned())
            }
        };
        Ok(RemoteTaskLogs { blobs: services.bucket(kind, &bucket)?, kind, prefix })
    }

    fn log_key(&self, task_id: &str) -> Result<String> {
        self.key(task_id, "/log", "", "")
    }

    fn report_key(&self, task_id: &str) -> Result<String> {
        self.key(task_id, "/report.json", ".report.json", ".reports.json")
    }

    /// S3 and Azure have a folder a task, the others a file without colons.
    fn key(&self, task_id: &str, in_folder: &str, google: &str, hdfs: &str) -> Result<String> {
        let id = checked_task_id(task_id)?;
        let name = match self.kind {
            ServiceKind::S3 | ServiceKind::Azure => format!("{id}{in_folder}"),
            ServiceKind::Google => format!("{}{google}", id.replace(':', "_")),
            ServiceKind::Hdfs => format!("{}{hdfs}", id.replace(':', "_")),
        };
        Ok(below(&self.prefix, &name))
    }

    async fn read_from(&self, key: &str, offset: i64) -> Result<Option<Vec<u8>>> {
        let Some(blob) = self.blobs.stat(key).await? else { return Ok(None) };
        let start =
            if offset < 0 { blob.size.saturating_sub(offset.unsigned_abs()) } else { offset.unsigned_abs().min(blob.size) };
        let end = blob.size.min(start + READ_BYTES_MAX);
        let mut bytes = Vec::new();
        let mut at = start;
        while at < end {
            let next = end.min(at + RANGE_BYTES);
            bytes.extend_from_slice(&read_chunk(&*self.blobs, &blob, at..next).await?);
            at = next;
        }
        Ok(Some(bytes))
    }
}

#[async_trait]
impl TaskLogs for RemoteTaskLogs {
    async fn push_log(&self, task_id: &str, file: &Path) -> Result<()> {
        Ok(upload(&*self.blobs, &self.log_key(task_id)?, file).await?)
    }

    async fn push_report(&self, task_id: &str, report: &[u8]) -> Result<()> {
        Ok(self.blobs.put(&self.report_key(task_id)?, report.to_vec().into()).await?)
    }

    async fn log(&self, task_id: &str, offset: i64) -> Result<Option<Vec<u8>>> {
        self.read_from(&self.log_key(task_id)?, offset).await
    }

    async fn report(&self, task_id: &str) -> Result<Option<Vec<u8>>> {
        self.read_from(&self.report_key(task_id)?, 0).await
    }

    async fn kill(&self, task_id: &str) -> Result<()> {
        self.blobs.delete(&self.log_key(task_id)?).await?;
        Ok(self.blobs.delete(&self.report_key(task_id)?).await?)
    }
}

/// `druid.indexer.logs.type=noop`: nothing is kept.
#[derive(Debug)]
pub struct NoopTaskLogs;

#[async_trait]
impl TaskLogs for NoopTaskLogs {
    async fn push_log(&self, _: &str, _: &Path) -> Result<()> {
        Ok(())
    }

    async fn push_report(&self, _: &str, _: &[u8]) -> Result<()> {
        Ok(())
    }

    async fn log(&self, _: &str, _: i64) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn report(&self, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn kill(&self, _: &str) -> Result<()> {
        Ok(())
    }
}
