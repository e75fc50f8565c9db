//! Caches of partial results (SEM-07..09, https://druid.apache.org/docs/latest/querying/caching): in memory, in memcached, in
//! Redis, or one before the other. A cache that fails is a cache that misses: it never fails a query, and never makes it
//! wait longer than its timeout.

mod key;
mod local;
mod memcached;
mod redis;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use ovate_base::{Budget, DruidError, Properties, Result};
use ovate_query::NativeQuery;
use tokio::sync::Semaphore;

pub use key::{CacheKey, QueryKey, query_key};
pub use local::LocalCache;
pub use memcached::MemcachedCache;
pub use redis::RedisCache;

/// Queries whose entries are being written behind their backs; beyond that they are dropped.
const WRITES_MAX: usize = 64;

/// Values by key.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value, or `None` when it is not there, or the cache does not answer.
    async fn get(&self, key: &CacheKey) -> Option<Bytes>;
    /// Keeps a value, or not.
    async fn put(&self, key: &CacheKey, value: Bytes);
    /// `caffeine`, `memcached`, …
    fn kind(&self) -> &'static str;
}

/// `druid.historical.cache.*` or `druid.broker.cache.*` (`CacheConfig`).
#[derive(Debug, Clone)]
pub struct CacheSettings {
    pub use_cache: bool,
    pub populate_cache: bool,
    pub use_result_level_cache: bool,
    pub populate_result_level_cache: bool,
    /// Query types that are never cached.
    pub uncacheable: Vec<String>,
    /// Larger entries of segments are not kept.
    pub entry_bytes_max: usize,
    /// Larger results are not kept.
    pub result_bytes_max: usize,
}

impl CacheSettings {
    /// Reads `{prefix}.useCache` and so on; `prefix` is `druid.historical.cache` or `druid.broker.cache`.
    pub fn from_properties(properties: &Properties, prefix: &str) -> Result<Self> {
        let flag = |name: &str| properties.flag(&format!("{prefix}.{name}"), false);
        let size = |name: &str, default: u64| -> Result<usize> {
            Ok(usize::try_from(properties.bytes(&format!("{prefix}.{name}"), default)?).unwrap_or(usize::MAX))
        };
        let uncacheable = format!("{prefix}.unCacheable");
        Ok(CacheSettings {
            use_cache: flag("useCache")?,
            populate_cache: flag("populateCache")?,
            use_result_level_cache: flag("useResultLevelCache")?,
            populate_result_level_cache: flag("populateResultLevelCache")?,
            uncacheable: match properties.get(&uncacheable) {
                Some(_) => properties.list(&uncacheable)?,
                None => vec!["scan".to_owned()],
            },
            entry_bytes_max: size("maxEntrySize", 1_000_000)?,
            result_bytes_max: size("resultLevelCacheLimit", i32::MAX as u64)?,
        })
    }

    /// True when any part of the cache is on.
    pub fn is_on(&self) -> bool {
        self.use_cache || self.populate_cache || self.use_result_level_cache || self.populate_result_level_cache
    }
}

/// A cache with the settings of the role that uses it.
pub struct QueryCache {
    cache: Arc<dyn Cache>,
    pub settings: CacheSettings,
    writes: Arc<Semaphore>,
    pub counters: CacheCounters,
}

/// How often it helped.
#[derive(Default)]
pub struct CacheCounters {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub dropped_writes: AtomicU64,
}

/// What one query may do with the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    pub reads: bool,
    pub writes: bool,
}

impl QueryCache {
    pub fn new(cache: Arc<dyn Cache>, settings: CacheSettings) -> Self {
        QueryCache { cache, settings, writes: Arc::new(Semaphore::new(WRITES_MAX)), counters: CacheCounters::default() }
    }

    fn may(&self, query: &NativeQuery) -> Result<bool> {
        let excluded = self.settings.uncacheable.iter().any(|kind| kind == query.query_type());
        Ok(!excluded && !query.context().by_segment()?)
    }

    /// Use of the segment-level cache, by settings and the query's context.
    pub fn segment_use(&self, query: &NativeQuery) -> Result<CacheUse> {
        let may = self.may(query)?;
        Ok(CacheUse {
            reads: may && self.settings.use_cache && query.context().bool("useCache", true)?,
            writes: may && self.settings.populate_cache && query.context().bool("populateCache", true)?,
        })
    }

    /// Use of the result-level cache.
    pub fn result_use(&self, query: &NativeQuery) -> Result<CacheUse> {
        let may = self.may(query)?;
        Ok(CacheUse {
            reads: may && self.settings.use_result_level_cache && query.context().bool("useResultLevelCache", true)?,
            writes: may && self.settings.populate_result_level_cache && query.context().bool("populateResultLevelCache", true)?,
        })
    }

    /// The value of a key.
    pub async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let found = self.cache.get(key).await;
        let counter = if found.is_some() { &self.counters.hits } else { &self.counters.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps a value of at most `bytes_max`, without anybody waiting for it.
    pub fn put_later(&self, key: CacheKey, value: Vec<u8>, bytes_max: usize) {
        self.put_all_later(vec![(key, value)], bytes_max);
    }

    /// The same with many values, which take one place among the writes.
    pub fn put_all_later(&self, mut entries: Vec<(CacheKey, Vec<u8>)>, bytes_max: usize) {
        entries.retain(|(_, value)| value.len() <= bytes_max);
        if entries.is_empty() {
            return;
        }
        let Ok(permit) = self.writes.clone().try_acquire_owned() else {
            self.counters.dropped_writes.fetch_add(entries.len() as u64, Ordering::Relaxed);
            return;
        };
        let cache = self.cache.clone();
        tokio::spawn(async move {
            for (key, value) in entries {
                cache.put(&key, Bytes::from(value)).await;
            }
            drop(permit);
        });
    }
}

/// The cache that `druid.cache.type` names. What it holds in this process counts against `budget`.
pub fn from_properties(properties: &Properties, budget: &Budget) -> Result<Arc<dyn Cache>> {
    of_kind(properties, "druid.cache", properties.text("druid.cache.type", "caffeine"), budget)
}

fn of_kind(properties: &Properties, prefix: &str, kind: &str, budget: &Budget) -> Result<Arc<dyn Cache>> {
    Ok(match kind {
        "caffeine" | "local" => {
            let default = (budget.limit_bytes() / 5).min(1 << 30);
            let asked = properties.int(&format!("{prefix}.sizeInBytes"), -1);
            let bytes = match asked {
                Ok(..=0) => default,
                _ => properties.bytes(&format!("{prefix}.sizeInBytes"), default)?,
            };
            let expire_ms = properties.millis(&format!("{prefix}.expireAfter"), -1)?;
            Arc::new(LocalCache::new(bytes, u64::try_from(expire_ms).ok(), budget)?)
        }
        "memcached" => Arc::new(MemcachedCache::from_properties(properties, prefix)?),
        "redis" => Arc::new(RedisCache::from_properties(properties, prefix)?),
        "hybrid" => {
            let level = |name: &str| {
                let inner = format!("{prefix}.{name}");
                let kind = properties.text(&format!("{inner}.type"), "caffeine").to_owned();
                if kind == "hybrid" {
                    return Err(DruidError::invalid_input(format!("{inner}.type must not be hybrid again")));
                }
                of_kind(properties, &inner, &kind, budget)
            };
            Arc::new(HybridCache {
                first: level("l1")?,
                second: level("l2")?,
                reads_second: properties.flag(&format!("{prefix}.useL2"), true)?,
                writes_second: properties.flag(&format!("{prefix}.populateL2"), true)?,
            })
        }
        other => {
            let known = "caffeine, local, memcached, redis, hybrid";
            return Err(DruidError::invalid_input(format!("{prefix}.type is [{other}]; known: {known}")));
        }
    })
}

/// A near cache before a far one (`HybridCache`).
struct HybridCache {
    first: Arc<dyn Cache>,
    second: Arc<dyn Cache>,
    reads_second: bool,
    writes_second: bool,
}

#[async_trait]
impl Cache for HybridCache {
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        if let Some(value) = self.first.get(key).await {
            return Some(value);
        }
        if !self.reads_second {
            return None;
        }
        let value = self.second.get(key).await?;
        self.first.put(key, value.clone()).await;
        Some(value)
    }
    async fn put(&self, key: &CacheKey, value: Bytes) {
        self.first.put(key, value.clone()).await;
        if self.writes_second {
            self.second.put(key, value).await;
        }
    }
    fn kind(&self) -> &'static str {
        "hybrid"
    }
}

#[cfg(test)]
mod tests;
