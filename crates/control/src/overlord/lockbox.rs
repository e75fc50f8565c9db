//! The lockbox (`TaskLockbox`): who may write which time chunk. A request joins a lock its group holds, is granted when
//! nothing conflicts, pre-empts conflicting locks of lower priority, or is refused. Deciding is pure; the caller stores.

use ovate_base::Interval;
use ovate_base::time::format_iso;
use ovate_store::meta::{LockRow, LockType, TaskLock};

/// A request for a lock.
#[derive(Debug, Clone)]
pub struct LockRequest {
    pub task_id: String,
    pub group_id: String,
    pub data_source: String,
    pub interval: Interval,
    pub lock_type: LockType,
    pub priority: i32,
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The task holds such a lock already.
    Held(TaskLock),
    /// Store this lock for the task, after revoking these rows.
    Grant { lock: TaskLock, revoke: Vec<i64> },
    /// Others hold what conflicts; their tasks' ids.
    Conflict(Vec<String>),
    /// The group's lock was revoked: the task has to end.
    Revoked,
}

/// All locks, in memory. Holds the rows of the tasklocks table.
#[derive(Debug, Default)]
pub struct Lockbox {
    rows: Vec<LockRow>,
    /// The last version given; versions only grow.
    last_version_ms: i64,
}

/// The version of append locks (`TaskLocks`).
pub const APPEND_VERSION: &str = "1970-01-01T00:00:00.000Z";

impl Lockbox {
    /// Takes over the rows of the store.
    pub fn new(rows: Vec<LockRow>) -> Lockbox {
        Lockbox { rows, last_version_ms: 0 }
    }

    /// Decides a request at a time.
    pub fn decide(&mut self, request: &LockRequest, now_ms: i64) -> Decision {
        let overlapping: Vec<&LockRow> = self.rows.iter().filter(|row| overlaps(&row.lock, request)).collect();
        let ours =
            overlapping.iter().filter(|row| row.lock.group_id == request.group_id && row.lock.lock_type == request.lock_type);
        let mut joined = None;
        for row in ours.filter(|row| row.lock.interval.encloses(&request.interval)) {
            if row.lock.revoked {
                return Decision::Revoked;
            }
            if row.task_id == request.task_id {
                return Decision::Held(row.lock.clone());
            }
            joined = Some(row.lock.clone());
        }
        if let Some(lock) = joined {
            return Decision::Grant { lock, revoke: Vec::new() };
        }
        let conflicts: Vec<&&LockRow> = overlapping
            .iter()
            .filter(|row| !row.lock.revoked && row.lock.group_id != request.group_id && conflicts(&row.lock, request))
            .collect();
        if conflicts.iter().any(|row| row.lock.priority >= request.priority) {
            return Decision::Conflict(conflicts.iter().map(|row| row.task_id.clone()).collect());
        }
        let revoke = conflicts.iter().map(|row| row.row_id).collect();
        let lock = TaskLock {
            lock_type: request.lock_type,
            group_id: request.group_id.clone(),
            data_source: request.data_source.clone(),
            interval: request.interval,
            version: self.new_version(request.lock_type, now_ms),
            priority: request.priority,
            revoked: false,
        };
        Decision::Grant { lock, revoke }
    }

    /// Notes a lock that was stored, and what it revoked.
    pub fn granted(&mut self, row: LockRow, revoked: &[i64]) {
        for other in self.rows.iter_mut().filter(|other| revoked.contains(&other.row_id)) {
            other.lock.revoked = true;
        }
        self.rows.push(row);
    }

    /// The locks of a task.
    pub fn of_task(&self, task_id: &str) -> Vec<&LockRow> {
        self.rows.iter().filter(|row| row.task_id == task_id).collect()
    }

    /// All locks.
    pub fn rows(&self) -> &[LockRow] {
        &self.rows
    }

    /// Rows of a task's locks on exactly this interval, to release them.
    pub fn on_interval(&self, task_id: &str, interval: Interval) -> Vec<i64> {
        let found = self.rows.iter().filter(|row| row.task_id == task_id && row.lock.interval == interval);
        found.map(|row| row.row_id).collect()
    }

    pub fn remove_rows(&mut self, row_ids: &[i64]) {
        self.rows.retain(|row| !row_ids.contains(&row.row_id));
    }

    pub fn remove_task(&mut self, task_id: &str) {
        self.rows.retain(|row| row.task_id != task_id);
    }

    /// The replace locks of other groups that an appended chunk lies under: task id and version.
    pub fn replacing(&self, data_source: &str, interval: Interval, group_id: &str) -> Vec<(String, String)> {
        let found = self.rows.iter().filter(|row| {
            let lock = &row.lock;
            lock.lock_type == LockType::Replace
                && !lock.revoked
                && lock.data_source == data_source
                && lock.group_id != group_id
                && lock.interval.encloses(&interval)
        });
        found.map(|row| (row.task_id.clone(), row.lock.version.clone())).collect()
    }

    fn new_version(&mut self, lock_type: LockType, now_ms: i64) -> String {
        if lock_type == LockType::Append {
            return APPEND_VERSION.to_owned();
        }
        self.last_version_ms = now_ms.max(self.last_version_ms + 1);
        format_iso(self.last_version_ms)
    }
}

fn overlaps(lock: &TaskLock, request: &LockRequest) -> bool {
    lock.data_source == request.data_source && lock.interval.overlaps(&request.interval)
}

/// Concurrent locks: shared with shared, append with append, and append inside replace.
fn conflicts(lock: &TaskLock, request: &LockRequest) -> bool {
    match (lock.lock_type, request.lock_type) {
        (LockType::Shared, LockType::Shared) | (LockType::Append, LockType::Append) => false,
        (LockType::Replace, LockType::Append) => !lock.interval.encloses(&request.interval),
        (LockType::Append, LockType::Replace) => !request.interval.encloses(&lock.interval),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(task: &str, lock_type: LockType, start: i64, end: i64, priority: i32) -> LockRequest {
        LockRequest {
            task_id: task.to_owned(),
            group_id: task.to_owned(),
            data_source: "wiki".to_owned(),
            interval: Interval { start, end },
            lock_type,
            priority,
        }
    }

    fn take(lockbox: &mut Lockbox, request: &LockRequest) -> Decision {
        let decision = lockbox.decide(request, 1_000);
        if let Decision::Grant { lock, revoke } = &decision {
            let row_id = lockbox.rows.len() as i64 + 1;
            lockbox.granted(LockRow { row_id, task_id: request.task_id.clone(), lock: lock.clone() }, revoke);
        }
        decision
    }

    fn granted(decision: Decision) -> bool {
        matches!(decision, Decision::Grant { .. })
    }

    #[test]
    fn exclusive_locks_exclude_on_overlap_only() {
        let mut lockbox = Lockbox::default();
        assert!(granted(take(&mut lockbox, &request("a", LockType::Exclusive, 0, 10, 50))));
        assert_eq!(take(&mut lockbox, &request("b", LockType::Exclusive, 5, 15, 50)), Decision::Conflict(vec!["a".to_owned()]));
        assert!(granted(take(&mut lockbox, &request("b", LockType::Exclusive, 10, 20, 50))));
        assert!(matches!(take(&mut lockbox, &request("a", LockType::Exclusive, 2, 4, 50)), Decision::Held(_)));
        lockbox.remove_task("a");
        assert!(granted(take(&mut lockbox, &request("c", LockType::Exclusive, 0, 10, 50))));
    }

    #[test]
    fn higher_priority_pre_empts_and_the_loser_learns_it() {
        let mut lockbox = Lockbox::default();
        take(&mut lockbox, &request("low", LockType::Exclusive, 0, 10, 25));
        assert!(granted(take(&mut lockbox, &request("high", LockType::Exclusive, 0, 10, 75))));
        assert!(lockbox.of_task("low")[0].lock.revoked);
        assert_eq!(take(&mut lockbox, &request("low", LockType::Exclusive, 0, 10, 25)), Decision::Revoked);
    }

    #[test]
    fn append_and_replace_live_together_when_enclosed() {
        let mut lockbox = Lockbox::default();
        assert!(granted(take(&mut lockbox, &request("r", LockType::Replace, 0, 10, 50))));
        assert!(granted(take(&mut lockbox, &request("a1", LockType::Append, 0, 5, 50))));
        assert!(granted(take(&mut lockbox, &request("a2", LockType::Append, 0, 5, 50))));
        assert!(!granted(take(&mut lockbox, &request("a3", LockType::Append, 5, 15, 50))));
        assert!(!granted(take(&mut lockbox, &request("r2", LockType::Replace, 0, 10, 50))));
        assert_eq!(lockbox.of_task("a1")[0].lock.version, APPEND_VERSION);
        assert_eq!(lockbox.replacing("wiki", Interval { start: 0, end: 5 }, "a1").len(), 1);
    }

    #[test]
    fn versions_grow_within_one_millisecond() {
        let mut lockbox = Lockbox::default();
        let version = |decision| match decision {
            Decision::Grant { lock, .. } => lock.version,
            other => panic!("{other:?}"),
        };
        let first = version(take(&mut lockbox, &request("a", LockType::Exclusive, 0, 10, 50)));
        lockbox.remove_task("a");
        let second = version(take(&mut lockbox, &request("b", LockType::Exclusive, 0, 10, 50)));
        assert!(second > first);
    }

    #[test]
    fn tasks_of_a_group_share_their_lock() {
        let mut lockbox = Lockbox::default();
        let parent = request("parent", LockType::Exclusive, 0, 10, 50);
        take(&mut lockbox, &parent);
        let child = LockRequest { task_id: "child".to_owned(), ..parent };
        assert!(granted(take(&mut lockbox, &child)));
        assert_eq!(lockbox.of_task("child")[0].lock, lockbox.of_task("parent")[0].lock);
    }
}
