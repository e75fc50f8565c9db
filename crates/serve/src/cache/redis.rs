//! The cache in Redis (`RedisCache` of Druid's contributed extension): one connection for all calls, made again after a failure.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, Cmd, FromRedisValue};
use async_trait::async_trait;
use bytes::Bytes;
use ovate_base::{DruidError, Properties, Result};
use tokio::sync::Mutex;
use tracing::warn;

use super::{Cache, CacheKey};

/// `druid.cache.*` of type redis.
pub struct RedisCache {
    client: Client,
    prefix: String,
    expire_ms: u64,
    timeout: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RedisCache {
    /// Reads `{prefix}.host` and so on. A Redis cluster (`cluster.nodes`) is refused.
    pub fn from_properties(properties: &Properties, prefix: &str) -> Result<Self> {
        let name = |key: &str| format!("{prefix}.{key}");
        if properties.get(&name("cluster.nodes")).is_some() {
            return Err(DruidError::unsupported(format!("{}: Redis in cluster mode; set host and port", name("cluster.nodes"))));
        }
        let host = properties.text(&name("host"), "");
        if host.is_empty() {
            return Err(DruidError::invalid_input(format!("{} must be given", name("host"))));
        }
        let (port, database) = (properties.int(&name("port"), 6379)?, properties.int(&name("database"), 0)?);
        let password = properties.text(&name("password"), "");
        let user = if password.is_empty() { String::new() } else { format!(":{password}@") };
        let client = Client::open(format!("redis://{user}{host}:{port}/{database}"))
            .map_err(|e| DruidError::invalid_input(format!("{prefix}: not an address of Redis: {e}")))?;
        Ok(RedisCache {
            client,
            prefix: properties.text(&name("prefix"), "druid").to_owned(),
            expire_ms: properties.millis(&name("expiration"), 86_400_000)?.max(1).unsigned_abs(),
            timeout: Duration::from_millis(properties.millis(&name("timeout"), 2000)?.clamp(1, 60_000).unsigned_abs()),
            connection: Mutex::default(),
        })
    }

    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let work = async {
            let mut slot = self.connection.lock().await;
            let mut connection = match slot.as_ref() {
                Some(connection) => connection.clone(),
                None => slot.insert(self.client.get_multiplexed_async_connection().await?).clone(),
            };
            drop(slot);
            command.query_async::<T>(&mut connection).await
        };
        match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => warn!("Redis does not answer, going on without it. error={error}"),
            Err(_) => warn!("Redis does not answer in time, going on without it"),
        }
        if let Ok(mut slot) = self.connection.try_lock() {
            *slot = None;
        }
        None
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let mut command = Cmd::new();
        command.arg("GET").arg(key.to_text(&self.prefix));
        self.call::<Option<Vec<u8>>>(&command).await.flatten().map(Bytes::from)
    }
    async fn put(&self, key: &CacheKey, value: Bytes) {
        let mut command = Cmd::new();
        command.arg("SET").arg(key.to_text(&self.prefix)).arg(&value[..]).arg("PX").arg(self.expire_ms);
        self.call::<()>(&command).await;
    }
    fn kind(&self) -> &'static str {
        "redis"
    }
}
