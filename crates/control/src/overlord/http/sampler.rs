//! `POST /druid/indexer/v1/sampler` (`SamplerResource`): reads in this process, for a bounded time, a bounded number at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ovate_base::DruidError;
use ovate_ingest::StopFlag;
use ovate_ingest::sampler::SampleSpec;
use ovate_net::{ApiResult, JsonBody};
use serde_json::Value;

use super::super::Overlord;

/// Samplings at a time.
const SAMPLINGS_MAX: usize = 4;
/// How long a reading that was stopped may take to end, in a slow source say.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) async fn sample(State(overlord): State<Arc<Overlord>>, JsonBody(request): JsonBody<Value>) -> ApiResult<Json<Value>> {
    overlord.term()?;
    let spec = SampleSpec::from_json(&request)?;
    let _turn = overlord.samplings.try_acquire().map_err(|_| DruidError::capacity("too many samplings at a time"))?;
    let (stop, handle) = (StopFlag::default(), tokio::runtime::Handle::current());
    let timeout = spec.timeout;
    let reading = {
        let (stop, storage) = (stop.clone(), overlord.storage.clone());
        let dir = std::env::temp_dir().join(format!("ovate-sample-{}", uuid::Uuid::new_v4()));
        tokio::task::spawn_blocking(move || {
            let answer = ovate_ingest::sampler::sample(&spec, &dir, &*storage, &handle, &stop, ovate_store::now_ms());
            let _ = std::fs::remove_dir_all(&dir);
            answer
        })
    };
    let watch = async {
        tokio::time::sleep(timeout).await;
        // What was read by then is the answer.
        stop.stop();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        answer = reading => Ok(Json(answer.map_err(|e| DruidError::runtime(format!("the sampler ended early: {e}")))??)),
        () = watch => Err(DruidError::timeout("the sampler did not end").into()),
    }
}

/// The bound of samplings at a time.
pub(in super::super) fn turns() -> tokio::sync::Semaphore {
    tokio::sync::Semaphore::new(SAMPLINGS_MAX)
}
