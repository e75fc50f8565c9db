//! A memory budget: work reserves bytes before it takes them and is refused, with an error that names the setting,
//! when there are none left. Reservations give their bytes back when dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{DruidError, Result};

/// A shared limit of bytes. Clones share it; a child also counts against its parent.
#[derive(Debug, Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The setting that sets the limit, for messages.
    setting: String,
    limit_bytes: u64,
    used_bytes: AtomicU64,
    parent: Option<Budget>,
}

/// Reserved bytes; they return when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of `limit_bytes` that the setting named `setting` decides.
    pub fn new(setting: impl Into<String>, limit_bytes: u64) -> Budget {
        Budget { inner: Arc::new(Inner { setting: setting.into(), limit_bytes, used_bytes: AtomicU64::new(0), parent: None }) }
    }

    /// No limit; still counts.
    pub fn unlimited() -> Budget {
        Budget::new("unlimited", u64::MAX)
    }

    /// A smaller budget inside this one, for one query for example.
    pub fn child(&self, setting: impl Into<String>, limit_bytes: u64) -> Budget {
        let parent = Some(self.clone());
        Budget { inner: Arc::new(Inner { setting: setting.into(), limit_bytes, used_bytes: AtomicU64::new(0), parent }) }
    }

    /// Takes `bytes`, or an error that names the setting to raise.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation> {
        self.take(bytes)?;
        Ok(Reservation { budget: self.clone(), bytes })
    }

    /// An empty reservation that can grow.
    pub fn empty(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    pub fn used_bytes(&self) -> u64 {
        self.inner.used_bytes.load(Ordering::Relaxed)
    }

    pub fn limit_bytes(&self) -> u64 {
        self.inner.limit_bytes
    }

    fn take(&self, bytes: u64) -> Result<()> {
        if let Some(parent) = &self.inner.parent {
            parent.take(bytes)?;
        }
        let limit = self.inner.limit_bytes;
        let fits = |used: u64| used.checked_add(bytes).filter(|total| *total <= limit);
        match self.inner.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(used) => {
                if let Some(parent) = &self.inner.parent {
                    parent.give_back(bytes);
                }
                Err(DruidError::resource_limit(format!(
                    "Not enough memory: {bytes} bytes wanted, {used} of {limit} in use. Raise {}",
                    self.inner.setting
                )))
            }
        }
    }

    fn give_back(&self, bytes: u64) {
        self.inner.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.inner.parent {
            parent.give_back(bytes);
        }
    }
}

impl Reservation {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more.
    pub fn grow(&mut self, bytes: u64) -> Result<()> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Sets the whole size, growing or shrinking.
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes);
        }
        self.budget.give_back(self.bytes - bytes);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_return_when_dropped() {
        let budget = Budget::new("druid.processing.buffer.sizeBytes", 100);
        let mut first = budget.reserve(60).unwrap();
        let error = budget.reserve(50).unwrap_err();
        assert!(error.message.contains("druid.processing.buffer.sizeBytes"), "{error}");
        first.resize(10).unwrap();
        drop(budget.reserve(90).unwrap());
        drop(first);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_child_counts_against_its_parent() {
        let parent = Budget::new("total", 100);
        let child = parent.child("query", 80);
        let held = child.reserve(70).unwrap();
        assert!(parent.reserve(40).is_err());
        assert!(child.reserve(20).is_err());
        assert_eq!(parent.used_bytes(), 70);
        drop(held);
        assert_eq!((parent.used_bytes(), child.used_bytes()), (0, 0));
    }
}
