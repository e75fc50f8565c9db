//! Tasks and their locks. A task's end, the release of its locks and the removal of what it had pending are one
//! transaction, so that a crash leaves either all or nothing of it.

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};

use super::db::{Row, Tx};
use super::{LockRow, MetadataStore, TaskLock, TaskRow, TaskStatus, TaskSummary, parse_json, to_bytes};

const COLUMNS: &str = "id, created_date, datasource, payload, status_payload, active, type, group_id";
/// The payload only of rows that Druid wrote before it had columns for type and group.
const SUMMARY: &str = "id, created_date, datasource, status_payload, type, group_id, \
                       CASE WHEN type IS NULL OR group_id IS NULL THEN payload END";

impl MetadataStore {
    /// Adds a task; a conflict when the id is taken.
    pub async fn insert_task(&self, task: &TaskRow) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "INSERT INTO {tasks} (id, created_date, datasource, payload, status_payload, active, type, group_id) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
            let known = self.q("SELECT created_date, payload FROM {tasks} WHERE id = ?").bind(&task.id).one_in(&mut tx).await?;
            if let Some(row) = known {
                // Ours, from a try whose answer was lost.
                let same = row.get::<String>(0)? == task.created_date && row.bytes(1)? == to_bytes(&task.payload);
                let taken = || DruidError::invalid_input(format!("Task [{}] already exists", task.id));
                return if same { Ok(()) } else { Err(taken()) };
            }
            let query = self
                .q(sql)
                .bind(&task.id)
                .bind(&task.created_date)
                .bind(&task.data_source)
                .bind(to_bytes(&task.payload))
                .bind(to_bytes(&task.status))
                .bind(task.active)
                .bind(task.task_type.as_deref())
                .bind(task.group_id.as_deref());
            query.run_in(&mut tx).await?;
            tx.commit().await
        })
        .await
    }

    /// Replaces the status of a task that is still active.
    pub async fn set_task_status(&self, status: &TaskStatus) -> Result<bool> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "UPDATE {tasks} SET status_payload = ?, active = ? WHERE id = ? AND active = ?";
            let query = self.q(sql).bind(to_bytes(status)).bind(!status.is_complete()).bind(&status.id).bind(true);
            let changed = query.run_in(&mut tx).await? > 0;
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Ends a task: its final status, its locks gone, its pending segments and recorded upgrades gone. False when it had
    /// ended already; the first end stays.
    pub async fn finish_task(&self, status: &TaskStatus, data_source: &str, task_allocator_id: Option<&str>) -> Result<bool> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "UPDATE {tasks} SET status_payload = ?, active = ? WHERE id = ? AND active = ?";
            let query = self.q(sql).bind(to_bytes(status)).bind(false).bind(&status.id).bind(true);
            let mut changed = query.run_in(&mut tx).await? > 0;
            if !changed {
                // Ended by a try of ours whose answer was lost.
                let stored = self.q("SELECT status_payload FROM {tasks} WHERE id = ?").bind(&status.id).one_in(&mut tx).await?;
                changed = stored.is_some_and(|row| row.bytes(0).is_ok_and(|stored| stored == to_bytes(status)));
            }
            for table in ["DELETE FROM {tasklocks} WHERE task_id = ?", "DELETE FROM {upgradeSegments} WHERE task_id = ?"] {
                self.q(table).bind(&status.id).run_in(&mut tx).await?;
            }
            if let Some(allocator) = task_allocator_id {
                let sql = "DELETE FROM {pendingSegments} WHERE dataSource = ? AND task_allocator_id = ?";
                self.q(sql).bind(data_source).bind(allocator).run_in(&mut tx).await?;
            }
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Makes an active task as it was before it started: no locks, nothing pending; counts the restart.
    pub async fn restart_task(&self, id: &str, data_source: &str, task_allocator_id: Option<&str>) -> Result<Option<TaskStatus>> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let Some(mut status) = self.active_status(&mut tx, id).await? else { return Ok(None) };
            status.restarts += 1;
            status.location = super::TaskLocation::unknown();
            self.put_status(&mut tx, &status).await?;
            for table in ["DELETE FROM {tasklocks} WHERE task_id = ?", "DELETE FROM {upgradeSegments} WHERE task_id = ?"] {
                self.q(table).bind(id).run_in(&mut tx).await?;
            }
            if let Some(allocator) = task_allocator_id {
                let sql = "DELETE FROM {pendingSegments} WHERE dataSource = ? AND task_allocator_id = ?";
                self.q(sql).bind(data_source).bind(allocator).run_in(&mut tx).await?;
            }
            tx.commit().await?;
            Ok(Some(status))
        })
        .await
    }

    /// Remembers, inside a publication, that an active task has published.
    pub(super) async fn note_published(&self, tx: &mut Tx, id: &str) -> Result<()> {
        if let Some(mut status) = self.active_status(tx, id).await? {
            status.published = true;
            self.put_status(tx, &status).await?;
        }
        Ok(())
    }

    async fn active_status(&self, tx: &mut Tx, id: &str) -> Result<Option<TaskStatus>> {
        let sql = "SELECT status_payload FROM {tasks} WHERE id = ? AND active = ?";
        let row = self.q(sql).bind(id).bind(true).one_in(tx).await?;
        row.map(|row| parse_json(row.bytes(0)?, "task status")).transpose()
    }

    async fn put_status(&self, tx: &mut Tx, status: &TaskStatus) -> Result<()> {
        let sql = "UPDATE {tasks} SET status_payload = ? WHERE id = ?";
        self.q(sql).bind(to_bytes(status)).bind(&status.id).run_in(tx).await?;
        Ok(())
    }

    pub async fn task(&self, id: &str) -> Result<Option<TaskRow>> {
        let sql = format!("SELECT {COLUMNS} FROM {{tasks}} WHERE id = ?");
        let row = self.q(&sql).bind(id).one().await?;
        row.as_ref().map(task_of).transpose()
    }

    /// A task without its payload.
    pub async fn task_summary(&self, id: &str) -> Result<Option<TaskSummary>> {
        let sql = format!("SELECT {SUMMARY} FROM {{tasks}} WHERE id = ?");
        let row = self.q(&sql).bind(id).one().await?;
        row.as_ref().map(summary_of).transpose()
    }

    /// Tasks that have not ended, oldest first.
    pub async fn active_tasks(&self) -> Result<Vec<TaskRow>> {
        let sql = format!("SELECT {COLUMNS} FROM {{tasks}} WHERE active = ? ORDER BY created_date, id");
        let rows = self.q(&sql).bind(true).all().await?;
        rows.iter().map(task_of).collect()
    }

    /// Tasks that have ended and were created at `created_since` or later, newest first.
    pub async fn complete_tasks(
        &self,
        created_since: i64,
        limit: Option<usize>,
        data_source: Option<&str>,
    ) -> Result<Vec<TaskSummary>> {
        let sql = format!(
            "SELECT {SUMMARY} FROM {{tasks}} WHERE active = ? AND created_date >= ? AND (? IS NULL OR datasource = ?) \
             ORDER BY created_date DESC, id LIMIT ?"
        );
        let limit = limit.map_or(i64::MAX, |limit| limit as i64);
        let query = self.q(&sql).bind(false).bind(format_iso(created_since)).bind(data_source).bind(data_source).bind(limit);
        let rows = query.all().await?;
        rows.iter().map(summary_of).collect()
    }

    /// Deletes ended tasks created before a time; gives their ids.
    pub async fn delete_tasks_created_before(&self, created: i64) -> Result<Vec<String>> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let rows = self
                .q("SELECT id FROM {tasks} WHERE active = ? AND created_date < ?")
                .bind(false)
                .bind(format_iso(created))
                .all_in(&mut tx)
                .await?;
            let ids = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<String>>>()?;
            let sql = "DELETE FROM {tasks} WHERE active = ? AND created_date < ?";
            self.q(sql).bind(false).bind(format_iso(created)).run_in(&mut tx).await?;
            tx.commit().await?;
            Ok(ids)
        })
        .await
    }

    /// Stores a lock and marks the locks revoked that it pre-empts, at once; gives the new row's id.
    pub async fn add_lock(&self, task_id: &str, lock: &TaskLock, revoke_row_ids: &[i64]) -> Result<i64> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            for row_id in revoke_row_ids {
                let sql = "SELECT lock_payload FROM {tasklocks} WHERE id = ?";
                let row = self.q(sql).bind(row_id).one_in(&mut tx).await?;
                let Some(row) = row else { continue };
                let mut revoked = TaskLock::from_stored(row.bytes(0)?)?;
                revoked.revoked = true;
                let sql = "UPDATE {tasklocks} SET lock_payload = ? WHERE id = ?";
                let query = self.q(sql).bind(to_bytes(&revoked.to_stored_json())).bind(row_id);
                query.run_in(&mut tx).await?;
            }
            // The same lock twice would be one that a try before this one stored.
            let payload = to_bytes(&lock.to_stored_json());
            let known = self.q("SELECT id FROM {tasklocks} WHERE task_id = ? AND lock_payload = ?").bind(task_id).bind(&payload);
            let row_id = match known.one_in(&mut tx).await? {
                Some(row) => row.get(0)?,
                None => {
                    let insert = self.q("INSERT INTO {tasklocks} (task_id, lock_payload) VALUES (?, ?)");
                    insert.bind(task_id).bind(&payload).insert_in(&mut tx).await?
                }
            };
            tx.commit().await?;
            Ok(row_id)
        })
        .await
    }

    pub async fn remove_lock(&self, row_id: i64) -> Result<()> {
        self.retry(|| async {
            let mut tx = self.write().await?;
            let sql = "DELETE FROM {tasklocks} WHERE id = ?";
            self.q(sql).bind(row_id).run_in(&mut tx).await?;
            tx.commit().await
        })
        .await
    }

    /// All locks, in the order in which they were granted.
    pub async fn locks(&self) -> Result<Vec<LockRow>> {
        let sql = "SELECT id, task_id, lock_payload FROM {tasklocks} ORDER BY id";
        let rows = self.q(sql).all().await?;
        let lock = |row: &Row| -> Result<LockRow> {
            Ok(LockRow { row_id: row.get(0)?, task_id: row.get(1)?, lock: TaskLock::from_stored(row.bytes(2)?)? })
        };
        rows.iter().map(lock).collect()
    }
}

fn summary_of(row: &Row) -> Result<TaskSummary> {
    let (id, mut task_type, mut group_id): (String, Option<String>, Option<String>) = (row.get(0)?, row.get(4)?, row.get(5)?);
    if task_type.is_none() || group_id.is_none() {
        let payload: serde_json::Value = parse_json(row.bytes(6)?, "task payload")?;
        let text = |name: &str| payload[name].as_str().map(str::to_owned);
        task_type = task_type.or_else(|| text("type"));
        group_id = group_id.or_else(|| text("groupId")).or_else(|| Some(id.clone()));
    }
    Ok(TaskSummary {
        id,
        created_date: row.get(1)?,
        data_source: row.get(2)?,
        status: parse_json(row.bytes(3)?, "task status")?,
        task_type,
        group_id,
    })
}

fn task_of(row: &Row) -> Result<TaskRow> {
    Ok(TaskRow {
        id: row.get(0)?,
        created_date: row.get(1)?,
        data_source: row.get(2)?,
        payload: parse_json(row.bytes(3)?, "task payload")?,
        status: parse_json(row.bytes(4)?, "task status")?,
        active: row.get(5)?,
        task_type: row.get(6)?,
        group_id: row.get(7)?,
    })
}
