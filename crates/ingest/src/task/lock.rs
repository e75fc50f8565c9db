//! `TaskLock` (`TimeChunkLock`): the right to write a time chunk under a version.

use ovate_base::{DruidError, Interval, Result};
use serde_json::{Value, json};

use crate::spec::iso;

/// `TaskLockType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockType {
    Exclusive,
    Shared,
    Replace,
    Append,
}

impl LockType {
    /// `EXCLUSIVE` and so on.
    pub fn name(self) -> &'static str {
        match self {
            LockType::Exclusive => "EXCLUSIVE",
            LockType::Shared => "SHARED",
            LockType::Replace => "REPLACE",
            LockType::Append => "APPEND",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Result<LockType> {
        match name {
            "EXCLUSIVE" => Ok(LockType::Exclusive),
            "SHARED" => Ok(LockType::Shared),
            "REPLACE" => Ok(LockType::Replace),
            "APPEND" => Ok(LockType::Append),
            _ => Err(DruidError::invalid_input(format!("unknown lock type [{name}]"))),
        }
    }
}

/// A lock as the overlord grants it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLock {
    pub lock_type: LockType,
    pub group_id: String,
    pub data_source: String,
    pub interval: Interval,
    pub version: String,
    pub priority: i64,
    pub revoked: bool,
}

impl TaskLock {
    /// The form of task-action results; the stored form has `"granularity":"timeChunk"` in front.
    pub fn to_json(&self) -> Value {
        json!({"type": self.lock_type.name(), "groupId": self.group_id, "dataSource": self.data_source,
               "interval": iso::interval(&self.interval), "version": self.version, "priority": self.priority, "revoked": self.revoked})
    }

    /// Reads either form.
    pub fn from_json(json: &Value) -> Result<TaskLock> {
        let text = |name: &str| {
            json[name].as_str().map(str::to_owned).ok_or_else(|| DruidError::invalid_input(format!("task lock has no [{name}]")))
        };
        if let Some(other) = json["granularity"].as_str().filter(|g| *g != "timeChunk") {
            return Err(DruidError::unsupported(format!("task locks of granularity [{other}] are not supported")));
        }
        Ok(TaskLock {
            lock_type: LockType::parse(&text("type")?)?,
            group_id: text("groupId")?,
            data_source: text("dataSource")?,
            interval: iso::parse_interval(&text("interval")?)?,
            version: text("version")?,
            priority: json["priority"].as_i64().unwrap_or(0),
            revoked: json["revoked"].as_bool().unwrap_or(false),
        })
    }
}
