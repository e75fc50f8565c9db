//! Tasks and their locks. A task's end, the release of its locks and the removal of what it had pending are one
//! transaction, so that a crash leaves either all or nothing of it.

use ovate_base::time::format_iso;
use ovate_base::{DruidError, Result};
use sqlx::Row as _;

use super::dialect::{Row, Tx};
use super::{LockRow, MetadataStore, TaskLock, TaskRow, TaskStatus, commit, parse_json, sql_error, to_bytes};

const COLUMNS: &str = "id, created_date, datasource, payload, status_payload, active, type, group_id";

impl MetadataStore {
    /// Adds a task; a conflict when the id is taken.
    pub async fn insert_task(&self, task: &TaskRow) -> Result<()> {
        let mut tx = self.write().await?;
        let sql = "INSERT INTO {tasks} (id, created_date, datasource, payload, status_payload, active, type, group_id) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
        let query = sqlx::query(self.sql(sql))
            .bind(&task.id)
            .bind(&task.created_date)
            .bind(&task.data_source)
            .bind(to_bytes(&task.payload))
            .bind(to_bytes(&task.status))
            .bind(task.active)
            .bind(task.task_type.as_deref())
            .bind(task.group_id.as_deref());
        if query.execute(&mut *tx).await.map_err(sql_error)?.rows_affected() == 0 {
            return Err(DruidError::invalid_input(format!("Task [{}] already exists", task.id)));
        }
        commit(tx).await
    }

    /// Replaces the status of a task that is still active.
    pub async fn set_task_status(&self, status: &TaskStatus) -> Result<bool> {
        let mut tx = self.write().await?;
        let sql = self.sql("UPDATE {tasks} SET status_payload = ?, active = ? WHERE id = ? AND active = ?");
        let query = sqlx::query(sql).bind(to_bytes(status)).bind(!status.is_complete()).bind(&status.id).bind(true);
        let changed = query.execute(&mut *tx).await.map_err(sql_error)?.rows_affected() > 0;
        commit(tx).await?;
        Ok(changed)
    }

    /// Ends a task: its final status, its locks gone, its pending segments and recorded upgrades gone. False when it had
    /// ended already; the first end stays.
    pub async fn finish_task(&self, status: &TaskStatus, data_source: &str, task_allocator_id: Option<&str>) -> Result<bool> {
        let mut tx = self.write().await?;
        let sql = self.sql("UPDATE {tasks} SET status_payload = ?, active = ? WHERE id = ? AND active = ?");
        let query = sqlx::query(sql).bind(to_bytes(status)).bind(false).bind(&status.id).bind(true);
        let changed = query.execute(&mut *tx).await.map_err(sql_error)?.rows_affected() > 0;
        for table in ["DELETE FROM {tasklocks} WHERE task_id = ?", "DELETE FROM {upgradeSegments} WHERE task_id = ?"] {
            sqlx::query(self.sql(table)).bind(&status.id).execute(&mut *tx).await.map_err(sql_error)?;
        }
        if let Some(allocator) = task_allocator_id {
            let sql = self.sql("DELETE FROM {pendingSegments} WHERE dataSource = ? AND task_allocator_id = ?");
            sqlx::query(sql).bind(data_source).bind(allocator).execute(&mut *tx).await.map_err(sql_error)?;
        }
        commit(tx).await?;
        Ok(changed)
    }

    /// Makes an active task as it was before it started: no locks, nothing pending; counts the restart.
    pub async fn restart_task(&self, id: &str, data_source: &str, task_allocator_id: Option<&str>) -> Result<Option<TaskStatus>> {
        let mut tx = self.write().await?;
        let Some(mut status) = self.active_status(&mut tx, id).await? else { return Ok(None) };
        status.restarts += 1;
        status.location = super::TaskLocation::unknown();
        self.put_status(&mut tx, &status).await?;
        for table in ["DELETE FROM {tasklocks} WHERE task_id = ?", "DELETE FROM {upgradeSegments} WHERE task_id = ?"] {
            sqlx::query(self.sql(table)).bind(id).execute(&mut *tx).await.map_err(sql_error)?;
        }
        if let Some(allocator) = task_allocator_id {
            let sql = self.sql("DELETE FROM {pendingSegments} WHERE dataSource = ? AND task_allocator_id = ?");
            sqlx::query(sql).bind(data_source).bind(allocator).execute(&mut *tx).await.map_err(sql_error)?;
        }
        commit(tx).await?;
        Ok(Some(status))
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
        let sql = self.sql("SELECT status_payload FROM {tasks} WHERE id = ? AND active = ?");
        let row = sqlx::query(sql).bind(id).bind(true).fetch_optional(&mut **tx).await.map_err(sql_error)?;
        row.map(|row| parse_json(row.try_get::<&[u8], _>(0).map_err(sql_error)?, "task status")).transpose()
    }

    async fn put_status(&self, tx: &mut Tx, status: &TaskStatus) -> Result<()> {
        let sql = self.sql("UPDATE {tasks} SET status_payload = ? WHERE id = ?");
        sqlx::query(sql).bind(to_bytes(status)).bind(&status.id).execute(&mut **tx).await.map_err(sql_error)?;
        Ok(())
    }

    pub async fn task(&self, id: &str) -> Result<Option<TaskRow>> {
        let sql = format!("SELECT {COLUMNS} FROM {{tasks}} WHERE id = ?");
        let row = sqlx::query(self.sql(&sql)).bind(id).fetch_optional(&self.pool).await.map_err(sql_error)?;
        row.as_ref().map(task_of).transpose()
    }

    /// Tasks that have not ended, oldest first.
    pub async fn active_tasks(&self) -> Result<Vec<TaskRow>> {
        let sql = format!("SELECT {COLUMNS} FROM {{tasks}} WHERE active = ? ORDER BY created_date, id");
        let rows = sqlx::query(self.sql(&sql)).bind(true).fetch_all(&self.pool).await.map_err(sql_error)?;
        rows.iter().map(task_of).collect()
    }

    /// Tasks that have ended and were created at `created_since` or later, newest first.
    pub async fn complete_tasks(
        &self,
        created_since: i64,
        limit: Option<usize>,
        data_source: Option<&str>,
    ) -> Result<Vec<TaskRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {{tasks}} WHERE active = ? AND created_date >= ? AND (? IS NULL OR datasource = ?) \
             ORDER BY created_date DESC, id LIMIT ?"
        );
        let limit = limit.map_or(i64::MAX, |limit| limit as i64);
        let query = sqlx::query(self.sql(&sql))
            .bind(false)
            .bind(format_iso(created_since))
            .bind(data_source)
            .bind(data_source)
            .bind(limit);
        let rows = query.fetch_all(&self.pool).await.map_err(sql_error)?;
        rows.iter().map(task_of).collect()
    }

    /// Deletes ended tasks created before a time; gives their ids.
    pub async fn delete_tasks_created_before(&self, created: i64) -> Result<Vec<String>> {
        let mut tx = self.write().await?;
        let ids = self.sql("SELECT id FROM {tasks} WHERE active = ? AND created_date < ?");
        let ids: Vec<String> =
            sqlx::query_scalar(ids).bind(false).bind(format_iso(created)).fetch_all(&mut *tx).await.map_err(sql_error)?;
        let sql = self.sql("DELETE FROM {tasks} WHERE active = ? AND created_date < ?");
        sqlx::query(sql).bind(false).bind(format_iso(created)).execute(&mut *tx).await.map_err(sql_error)?;
        commit(tx).await?;
        Ok(ids)
    }

    /// Stores a lock and marks the locks revoked that it pre-empts, at once; gives the new row's id.
    pub async fn add_lock(&self, task_id: &str, lock: &TaskLock, revoke_row_ids: &[i64]) -> Result<i64> {
        let mut tx = self.write().await?;
        for row_id in revoke_row_ids {
            let sql = self.sql("SELECT lock_payload FROM {tasklocks} WHERE id = ?");
            let row = sqlx::query(sql).bind(row_id).fetch_optional(&mut *tx).await.map_err(sql_error)?;
            let Some(row) = row else { continue };
            let mut revoked = TaskLock::from_stored(row.try_get::<&[u8], _>(0).map_err(sql_error)?)?;
            revoked.revoked = true;
            let sql = self.sql("UPDATE {tasklocks} SET lock_payload = ? WHERE id = ?");
            let query = sqlx::query(sql).bind(to_bytes(&revoked.to_stored_json())).bind(row_id);
            query.execute(&mut *tx).await.map_err(sql_error)?;
        }
        let sql = self.sql("INSERT INTO {tasklocks} (task_id, lock_payload) VALUES (?, ?) RETURNING id");
        let query = sqlx::query(sql).bind(task_id).bind(to_bytes(&lock.to_stored_json()));
        let row = query.fetch_one(&mut *tx).await.map_err(sql_error)?;
        let row_id = row.try_get(0).map_err(sql_error)?;
        commit(tx).await?;
        Ok(row_id)
    }

    pub async fn remove_lock(&self, row_id: i64) -> Result<()> {
        let mut tx = self.write().await?;
        let sql = self.sql("DELETE FROM {tasklocks} WHERE id = ?");
        sqlx::query(sql).bind(row_id).execute(&mut *tx).await.map_err(sql_error)?;
        commit(tx).await
    }

    /// All locks, in the order in which they were granted.
    pub async fn locks(&self) -> Result<Vec<LockRow>> {
        let sql = self.sql("SELECT id, task_id, lock_payload FROM {tasklocks} ORDER BY id");
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(sql_error)?;
        let lock = |row: &Row| -> Result<LockRow> {
            Ok(LockRow {
                row_id: row.try_get(0).map_err(sql_error)?,
                task_id: row.try_get(1).map_err(sql_error)?,
                lock: TaskLock::from_stored(row.try_get::<&[u8], _>(2).map_err(sql_error)?)?,
            })
        };
        rows.iter().map(lock).collect()
    }
}

fn task_of(row: &Row) -> Result<TaskRow> {
    Ok(TaskRow {
        id: row.try_get(0).map_err(sql_error)?,
        created_date: row.try_get(1).map_err(sql_error)?,
        data_source: row.try_get(2).map_err(sql_error)?,
        payload: parse_json(row.try_get::<&[u8], _>(3).map_err(sql_error)?, "task payload")?,
        status: parse_json(row.try_get::<&[u8], _>(4).map_err(sql_error)?, "task status")?,
        active: row.try_get(5).map_err(sql_error)?,
        task_type: row.try_get(6).map_err(sql_error)?,
        group_id: row.try_get(7).map_err(sql_error)?,
    })
}
