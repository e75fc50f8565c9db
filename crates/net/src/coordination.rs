//! Everything processes need to meet, under one trait with three implementations: [`crate::EmbeddedCoordination`] within a
//! process, a lease in the metadata store (`control`), and ZooKeeper in Druid's own layout ([`crate::zk`]). One contract
//! suite, in `testkit`, holds all three.

use std::sync::Arc;

use async_trait::async_trait;
use ovate_base::Result;

use crate::discovery::{Discovery, NodeRole};
use crate::election::LeaderSelector;

/// Announce, watch, elect, small keys.
#[async_trait]
pub trait Coordination: Discovery {
    /// Takes part in the election of a role under this process's `http://host:port`, until [`Coordination::close`].
    fn elect(&self, role: NodeRole, url: &str) -> Result<Arc<dyn LeaderSelector>>;
    /// `http://host:port` of the leader of a role; the last known one while the service is away.
    async fn leader(&self, role: NodeRole) -> Result<Option<String>>;
    /// Keeps a small value under a key for all processes; `None` removes it.
    async fn put_key(&self, key: &str, value: Option<&str>) -> Result<()>;
    /// A value kept by any process.
    async fn key(&self, key: &str) -> Result<Option<String>>;
    /// Resigns, takes announcements back, and ends the session, so that others need not wait for it to run out.
    async fn close(&self);
}

/// Where terms of office come from. Whoever was elected takes the next one; from then on what earlier terms write is refused.
#[async_trait]
pub trait TermSource: Send + Sync {
    /// Takes the next term, whoever held the last.
    async fn take(&self, role: NodeRole, holder: &str) -> Result<i64>;
    /// False when a later term has been taken.
    async fn holds(&self, role: NodeRole, holder: &str, term: i64) -> Result<bool>;
    /// Says that the term is given up.
    async fn release(&self, role: NodeRole, holder: &str, term: i64);
}

/// Largest value of a small key.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// A key is a name, not a path, and its value is small.
pub fn check_key(key: &str, value: Option<&str>) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let good_name = !key.is_empty() && key.len() <= 200 && key.chars().all(plain) && !key.chars().all(|c| c == '.');
    if !good_name {
        return Err(ovate_base::DruidError::invalid_input(format!("[{key}] is no name of a key")));
    }
    match value {
        Some(value) if value.len() > KEY_BYTES_MAX => {
            Err(ovate_base::DruidError::invalid_input(format!("the value of key [{key}] has more than {KEY_BYTES_MAX} bytes")))
        }
        _ => Ok(()),
    }
}
