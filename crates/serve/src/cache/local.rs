//! The cache in this process's memory (`CaffeineCache`, `MapCache`): bounded by bytes, entries expire when told to.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ovate_base::{Budget, Reservation, Result};
use tracing::warn;

use super::{Cache, CacheKey};

/// What an entry takes beside its value.
const ENTRY_BYTES: usize = 128;

/// Bounded and shared by all queries.
pub struct LocalCache {
    entries: moka::sync::Cache<CacheKey, Bytes>,
    /// Its whole size, taken from the process's budget for as long as it lives.
    _reservation: Reservation,
}

impl LocalCache {
    /// Of at most `bytes`, and of no more than half of `budget`; they come out of it.
    pub fn new(bytes: u64, expire_ms: Option<u64>, budget: &Budget) -> Result<Self> {
        let most = budget.limit_bytes() / 2;
        if bytes > most {
            warn!("the cache gets half of the memory for queries, which is less than was asked for. bytes={most} asked={bytes}");
        }
        let bytes = bytes.min(most);
        let reservation = budget.reserve(bytes).map_err(|e| e.prefixed("druid.cache.sizeInBytes"))?;
        let weigh = |_: &CacheKey, value: &Bytes| u32::try_from(value.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let mut builder = moka::sync::Cache::builder().max_capacity(bytes).weigher(weigh);
        if let Some(ms) = expire_ms {
            builder = builder.time_to_live(Duration::from_millis(ms));
        }
        Ok(LocalCache { entries: builder.build(), _reservation: reservation })
    }
}

#[async_trait]
impl Cache for LocalCache {
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        self.entries.get(key)
    }
    async fn put(&self, key: &CacheKey, value: Bytes) {
        self.entries.insert(*key, value);
    }
    fn kind(&self) -> &'static str {
        "caffeine"
    }
}
