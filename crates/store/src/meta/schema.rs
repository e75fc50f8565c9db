//! Druid's tables (`SQLMetadataConnector`), created when absent, and our lease table.

use ovate_base::Result;

use super::{MetadataStore, commit, sql_error};

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS {segments} (id VARCHAR(255) NOT NULL, dataSource VARCHAR(255) NOT NULL, created_date VARCHAR(255) NOT NULL, \
     start VARCHAR(255) NOT NULL, {end} VARCHAR(255) NOT NULL, partitioned BOOLEAN NOT NULL, version VARCHAR(255) NOT NULL, \
     used BOOLEAN NOT NULL, payload {payload} NOT NULL, used_status_last_updated VARCHAR(255) NOT NULL, \
     indexing_state_fingerprint VARCHAR(255), upgraded_from_segment_id VARCHAR(255), PRIMARY KEY (id))",
    "CREATE INDEX IF NOT EXISTS idx_{segments}_used_updated ON {segments}(used, used_status_last_updated, dataSource, id)",
    "CREATE INDEX IF NOT EXISTS idx_{segments}_datasource_used_end_start ON {segments}(dataSource, used, {end}, start)",
    "CREATE INDEX IF NOT EXISTS idx_{segments}_datasource_upgraded ON {segments}(dataSource, upgraded_from_segment_id)",
    "CREATE INDEX IF NOT EXISTS idx_{segments}_updated ON {segments}(used_status_last_updated)",
    "CREATE TABLE IF NOT EXISTS {pendingSegments} (id VARCHAR(255) NOT NULL, dataSource VARCHAR(255) NOT NULL, \
     created_date VARCHAR(255) NOT NULL, start VARCHAR(255) NOT NULL, {end} VARCHAR(255) NOT NULL, sequence_name VARCHAR(255) NOT NULL, \
     sequence_prev_id VARCHAR(255) NOT NULL, sequence_name_prev_id_sha1 VARCHAR(255) NOT NULL, payload {payload} NOT NULL, \
     upgraded_from_segment_id VARCHAR(255), task_allocator_id VARCHAR(255), PRIMARY KEY (id), UNIQUE (sequence_name_prev_id_sha1))",
    "CREATE INDEX IF NOT EXISTS idx_{pendingSegments}_datasource_end ON {pendingSegments}(dataSource, {end})",
    "CREATE INDEX IF NOT EXISTS idx_{pendingSegments}_datasource_sequence ON {pendingSegments}(dataSource, sequence_name)",
    "CREATE INDEX IF NOT EXISTS idx_{pendingSegments}_datasource_task ON {pendingSegments}(dataSource, task_allocator_id)",
    "CREATE TABLE IF NOT EXISTS {upgradeSegments} (id {serial}, task_id VARCHAR(255) NOT NULL, segment_id VARCHAR(255) NOT NULL, \
     lock_version VARCHAR(255) NOT NULL)",
    "CREATE INDEX IF NOT EXISTS idx_{upgradeSegments}_task ON {upgradeSegments}(task_id)",
    "CREATE TABLE IF NOT EXISTS {dataSource} (dataSource VARCHAR(255) NOT NULL, created_date VARCHAR(255) NOT NULL, \
     commit_metadata_payload {payload} NOT NULL, commit_metadata_sha1 VARCHAR(255) NOT NULL, PRIMARY KEY (dataSource))",
    "CREATE TABLE IF NOT EXISTS {rules} (id VARCHAR(255) NOT NULL, dataSource VARCHAR(255) NOT NULL, version VARCHAR(255) NOT NULL, \
     payload {payload} NOT NULL, PRIMARY KEY (id))",
    "CREATE INDEX IF NOT EXISTS idx_{rules}_datasource ON {rules}(dataSource)",
    "CREATE TABLE IF NOT EXISTS {config} (name VARCHAR(255) NOT NULL, payload {payload} NOT NULL, PRIMARY KEY (name))",
    "CREATE TABLE IF NOT EXISTS {tasks} (id VARCHAR(255) NOT NULL, created_date VARCHAR(255) NOT NULL, datasource VARCHAR(255) NOT NULL, \
     payload {payload} NOT NULL, status_payload {payload} NOT NULL, active BOOLEAN NOT NULL DEFAULT FALSE, type VARCHAR(255), \
     group_id VARCHAR(255), PRIMARY KEY (id))",
    "CREATE INDEX IF NOT EXISTS idx_{tasks}_active_created ON {tasks}(active, created_date)",
    "CREATE INDEX IF NOT EXISTS idx_{tasks}_datasource_active ON {tasks}(datasource, active)",
    "CREATE TABLE IF NOT EXISTS {tasklocks} (id {serial}, task_id VARCHAR(255) DEFAULT NULL, lock_payload {payload})",
    "CREATE INDEX IF NOT EXISTS idx_{tasklocks}_task ON {tasklocks}(task_id)",
    "CREATE TABLE IF NOT EXISTS {supervisors} (id {serial}, spec_id VARCHAR(255) NOT NULL, created_date VARCHAR(255) NOT NULL, \
     payload {payload} NOT NULL)",
    "CREATE INDEX IF NOT EXISTS idx_{supervisors}_spec ON {supervisors}(spec_id)",
    "CREATE TABLE IF NOT EXISTS {audit} (id {serial}, audit_key VARCHAR(255) NOT NULL, type VARCHAR(255) NOT NULL, \
     author VARCHAR(255) NOT NULL, comment VARCHAR(2048) NOT NULL, created_date VARCHAR(255) NOT NULL, payload {payload} NOT NULL)",
    "CREATE INDEX IF NOT EXISTS idx_{audit}_key_created ON {audit}(audit_key, created_date)",
    "CREATE INDEX IF NOT EXISTS idx_{audit}_type_created ON {audit}(type, created_date)",
    "CREATE INDEX IF NOT EXISTS idx_{audit}_created ON {audit}(created_date)",
    "CREATE TABLE IF NOT EXISTS {indexingStates} (created_date VARCHAR(255) NOT NULL, datasource VARCHAR(255) NOT NULL, \
     fingerprint VARCHAR(255) NOT NULL, payload {payload} NOT NULL, used BOOLEAN NOT NULL, pending BOOLEAN NOT NULL, \
     used_status_last_updated VARCHAR(255) NOT NULL, PRIMARY KEY (fingerprint))",
    "CREATE INDEX IF NOT EXISTS idx_{indexingStates}_used ON {indexingStates}(used, used_status_last_updated)",
    "CREATE TABLE IF NOT EXISTS {ovate_lease} (role VARCHAR(255) NOT NULL, holder VARCHAR(255) NOT NULL, term BIGINT NOT NULL, \
     expires_ms BIGINT NOT NULL, PRIMARY KEY (role))",
    "CREATE TABLE IF NOT EXISTS {ovate_nodes} (role VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL, payload VARCHAR(4096) NOT NULL, \
     expires_ms BIGINT NOT NULL, PRIMARY KEY (role, name))",
];

impl MetadataStore {
    pub(super) async fn create_tables(&self) -> Result<()> {
        let mut tx = self.write().await?;
        for table in TABLES {
            sqlx::query(self.sql(table)).execute(&mut *tx).await.map_err(sql_error)?;
        }
        commit(tx).await
    }
}
