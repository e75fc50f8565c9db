//! The cache in memcached (`MemcachedCache`): several hosts share the keys, every call has a deadline.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ovate_base::{DruidError, Properties, Result};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracing::warn;

use super::{Cache, CacheKey};

/// Calls under way at a time.
const CALLS_MAX: usize = 32;

/// `druid.cache.*` of type memcached.
pub struct MemcachedCache {
    urls: Vec<String>,
    prefix: String,
    expire_seconds: u32,
    value_bytes_max: usize,
    timeout: Duration,
    /// Made with the first call, and again after a failure.
    client: Arc<Mutex<Option<Arc<memcache::Client>>>>,
    calls: Arc<Semaphore>,
}

impl MemcachedCache {
    /// Reads `{prefix}.hosts` and so on.
    pub fn from_properties(properties: &Properties, prefix: &str) -> Result<Self> {
        let name = |key: &str| format!("{prefix}.{key}");
        let hosts = properties.list(&name("hosts"))?;
        if hosts.is_empty() {
            return Err(DruidError::invalid_input(format!("{} must be given", name("hosts"))));
        }
        let timeout = Duration::from_millis(properties.millis(&name("timeout"), 500)?.clamp(1, 60_000).unsigned_abs());
        let seconds = timeout.as_secs_f64();
        let url = |host: &String| {
            format!("memcache://{host}?timeout={seconds}&connect_timeout={seconds}&tcp_nodelay=true&protocol=ascii")
        };
        Ok(MemcachedCache {
            urls: hosts.iter().map(url).collect(),
            prefix: properties.text(&name("memcachedPrefix"), "druid").to_owned(),
            expire_seconds: properties.int(&name("expiration"), 2_592_000)?.clamp(0, i64::from(u32::MAX)) as u32,
            value_bytes_max: usize::try_from(properties.bytes(&name("maxObjectSize"), 50 << 20)?).unwrap_or(usize::MAX),
            timeout,
            client: Arc::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
        })
    }

    /// Does one call on a thread that may wait; a failure counts as nothing found.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&memcache::Client) -> std::result::Result<T, memcache::MemcacheError> + Send + 'static,
    ) -> Option<T> {
        let permit = self.calls.clone().try_acquire_owned().ok()?;
        let (slot, urls, timeout) = (self.client.clone(), self.urls.clone(), self.timeout);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let known = slot.lock().clone();
            let client = match known {
                Some(client) => client,
                None => {
                    let timeout = timeout.max(Duration::from_millis(1));
                    let builder = memcache::ClientBuilder::new()
                        .with_connection_timeout(timeout)
                        .with_read_timeout(timeout)
                        .with_write_timeout(timeout);
                    let made = urls.iter().try_fold(builder, |builder, url| builder.add_server(url.as_str()));
                    let made = made.and_then(memcache::ClientBuilder::build).map(Arc::new);
                    let made = made.inspect_err(|error| warn!("cannot connect to memcached. error={error}")).ok()?;
                    *slot.lock() = Some(made.clone());
                    made
                }
            };
            match work(&client) {
                Ok(value) => Some(value),
                Err(error) => {
                    warn!("memcached does not answer, going on without it. error={error}");
                    *slot.lock() = None;
                    None
                }
            }
        });
        tokio::time::timeout(self.timeout * 2, done).await.ok()?.ok()?
    }
}

#[async_trait]
impl Cache for MemcachedCache {
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let key = key.to_text(&self.prefix);
        self.call(move |client| client.get::<Vec<u8>>(&key)).await.flatten().map(Bytes::from)
    }
    async fn put(&self, key: &CacheKey, value: Bytes) {
        if value.len() > self.value_bytes_max {
            return;
        }
        let (key, expire) = (key.to_text(&self.prefix), self.expire_seconds);
        self.call(move |client| client.set(&key, &value[..], expire)).await;
    }
    fn kind(&self) -> &'static str {
        "memcached"
    }
}
