//! Deleting the logs and records of tasks that ended long ago (`TaskLogAutoCleaner`, COV-09).

use ovate_base::Result;
use ovate_store::now_ms;
use tracing::warn;

use super::{Overlord, Term};

impl Overlord {
    /// Cleans by period until dropped; for ever idle when it is off.
    pub(super) async fn kill_logs_forever(&self, term: &Term) {
        let Some(settings) = &self.settings.log_kill else { return std::future::pending().await };
        tokio::time::sleep(settings.initial_delay).await;
        loop {
            if let Err(error) = self.kill_logs(term, now_ms().saturating_sub(settings.retain_ms)).await {
                warn!("cannot delete old task logs: {error}");
            }
            tokio::time::sleep(settings.delay).await;
        }
    }

    async fn kill_logs(&self, term: &Term, created_before: i64) -> Result<()> {
        for id in term.store.delete_tasks_created_before(created_before).await? {
            self.logs.kill(&id).await?;
        }
        Ok(())
    }
}
