//! `TaskStatus` and `TaskLocation`: what the overlord stores of a task's fate and shows to clients.

use ovate_base::{DruidError, Result};
use serde_json::{Value, json};

/// `TaskState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    Running,
    Success,
    Failed,
}

impl TaskState {
    /// `RUNNING`, `SUCCESS` or `FAILED`.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::Running => "RUNNING",
            TaskState::Success => "SUCCESS",
            TaskState::Failed => "FAILED",
        }
    }

    /// True when the task will never run again.
    pub fn is_complete(self) -> bool {
        self != TaskState::Running
    }
}

/// Where a task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLocation {
    pub host: Option<String>,
    pub port: i32,
    pub tls_port: i32,
}

impl TaskLocation {
    /// `TaskLocation.unknown()`.
    pub const UNKNOWN: TaskLocation = TaskLocation { host: None, port: -1, tls_port: -1 };

    /// `{"host","port","tlsPort"}`.
    pub fn to_json(&self) -> Value {
        json!({"host": self.host, "port": self.port, "tlsPort": self.tls_port})
    }

    fn from_json(json: &Value) -> TaskLocation {
        let port = |name: &str| json[name].as_i64().unwrap_or(-1) as i32;
        TaskLocation { host: json["host"].as_str().map(str::to_owned), port: port("port"), tls_port: port("tlsPort") }
    }
}

/// `TaskStatus`.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskStatus {
    pub id: String,
    pub state: TaskState,
    pub duration_ms: i64,
    pub error_message: Option<String>,
    pub location: TaskLocation,
}

/// Druid cuts error messages of a status at 100 characters; we keep more, because ours carry no stack trace.
const ERROR_MESSAGE_BYTES_MAX: usize = 4096;

impl TaskStatus {
    /// A running task.
    pub fn running(id: &str) -> TaskStatus {
        TaskStatus {
            id: id.to_owned(),
            state: TaskState::Running,
            duration_ms: -1,
            error_message: None,
            location: TaskLocation::UNKNOWN,
        }
    }

    /// A task that succeeded.
    pub fn success(id: &str, duration_ms: i64) -> TaskStatus {
        TaskStatus { state: TaskState::Success, duration_ms, ..Self::running(id) }
    }

    /// A task that failed, and why.
    pub fn failed(id: &str, duration_ms: i64, message: &str) -> TaskStatus {
        let mut message = message.to_owned();
        if message.len() > ERROR_MESSAGE_BYTES_MAX {
            let cut = (0..=ERROR_MESSAGE_BYTES_MAX).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
            message.truncate(cut);
            message.push_str("...");
        }
        TaskStatus { state: TaskState::Failed, duration_ms, error_message: Some(message), ..Self::running(id) }
    }

    /// The stored form; the key of the state is `status`.
    pub fn to_json(&self) -> Value {
        json!({"id": self.id, "status": self.state.name(), "duration": self.duration_ms, "errorMsg": self.error_message,
               "location": self.location.to_json()})
    }

    /// Reads the stored form.
    pub fn from_json(json: &Value) -> Result<TaskStatus> {
        let state = match json["status"].as_str() {
            Some("RUNNING") => TaskState::Running,
            Some("SUCCESS") => TaskState::Success,
            Some("FAILED") => TaskState::Failed,
            other => return Err(DruidError::invalid_input(format!("task status has unknown state {other:?}"))),
        };
        let id = json["id"].as_str().ok_or_else(|| DruidError::invalid_input("task status has no id"))?;
        Ok(TaskStatus {
            id: id.to_owned(),
            state,
            duration_ms: json["duration"].as_i64().unwrap_or(-1),
            error_message: json["errorMsg"].as_str().map(str::to_owned),
            location: TaskLocation::from_json(&json["location"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_keeps_its_json_form() {
        let text =
            r#"{"id":"a","status":"FAILED","duration":12,"errorMsg":"no","location":{"host":"h","port":8100,"tlsPort":-1}}"#;
        let status = TaskStatus::from_json(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(status.to_json().to_string(), text);
        assert!(status.state.is_complete());
    }
}
