//! Decoded blocks of columns, shared by all readers of the process and bounded in bytes. Decompressing costs far more than
//! reading, so hot columns keep their blocks, in as few bytes a row as will do; cold ones lose them, oldest first, those
//! read since getting a second chance. Nothing here is about query results.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use ovate_base::Result;
use ovate_compute::column::Derived;
use parking_lot::{Mutex, RwLock};

/// Bytes that decoded blocks may take, until [`set_decoded_cache_bytes`] says otherwise.
const BYTES_DEFAULT: usize = 1 << 30;

static CACHE: Cache = Cache {
    bytes_max: AtomicUsize::new(BYTES_DEFAULT),
    bytes: AtomicUsize::new(0),
    queue: Mutex::new(Queue { entries: VecDeque::new(), prune_at: 4096 }),
};

/// Sets how many bytes decoded column blocks may take in this process; 0 keeps none.
pub fn set_decoded_cache_bytes(bytes_max: usize) {
    CACHE.bytes_max.store(bytes_max, Ordering::Relaxed);
    CACHE.shrink();
}

/// Bytes that decoded column blocks take now.
pub fn decoded_cache_bytes() -> usize {
    CACHE.bytes.load(Ordering::Relaxed)
}

struct Cache {
    bytes_max: AtomicUsize,
    bytes: AtomicUsize,
    queue: Mutex<Queue>,
}

/// Blocks in the order in which they came.
struct Queue {
    entries: VecDeque<(Weak<dyn Evict>, u32)>,
    /// At this length, entries of columns that are gone are dropped.
    prune_at: usize,
}

trait Evict: Send + Sync {
    /// Drops a block, unless it was read since the last call; gives the bytes that became free.
    fn evict(&self, index: u32) -> Option<usize>;
}

impl Cache {
    fn shrink(&self) {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        if self.bytes.load(Ordering::Relaxed) <= bytes_max {
            return;
        }
        let mut queue = self.queue.lock();
        // Every entry is looked at twice at most: once to lose its second chance, once to go.
        for _ in 0..2 * queue.entries.len() {
            if self.bytes.load(Ordering::Relaxed) <= bytes_max {
                break;
            }
            let Some((column, index)) = queue.entries.pop_front() else { break };
            let Some(slots) = column.upgrade() else { continue };
            match slots.evict(index) {
                Some(freed) => {
                    self.bytes.fetch_sub(freed, Ordering::Relaxed);
                }
                None => queue.entries.push_back((column, index)),
            }
        }
    }

    fn enter(&self, column: Weak<dyn Evict>, index: u32, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut queue = self.queue.lock();
        queue.entries.push_back((column, index));
        if queue.entries.len() >= queue.prune_at {
            queue.entries.retain(|(column, _)| column.strong_count() > 0);
            queue.prune_at = (2 * queue.entries.len()).max(4096);
        }
        drop(queue);
        self.shrink();
    }
}

/// A block that can be kept.
pub(crate) trait CachedBlock: Send + Sync + 'static {
    /// Bytes it takes.
    fn bytes(&self) -> usize;
}

struct Slot<B> {
    block: RwLock<Option<Arc<B>>>,
    touched: AtomicBool,
}

/// The kept blocks of one column.
pub(crate) struct BlockSlots<B: CachedBlock> {
    slots: Box<[Slot<B>]>,
}

impl<B: CachedBlock> BlockSlots<B> {
    /// Room for `count` blocks.
    pub(crate) fn new(count: u32) -> Arc<Self> {
        let slot = |_| Slot { block: RwLock::new(None), touched: AtomicBool::new(false) };
        Arc::new(BlockSlots { slots: (0..count).map(slot).collect() })
    }

    /// A block, decoded if it is not kept. `index` is below the count.
    pub(crate) fn get(self: &Arc<Self>, index: u32, decode: impl FnOnce() -> Result<B>) -> Result<Arc<B>> {
        let slot = &self.slots[index as usize];
        if let Some(block) = &*slot.block.read() {
            slot.touched.store(true, Ordering::Relaxed);
            return Ok(block.clone());
        }
        let block = Arc::new(decode()?);
        let bytes = block.bytes();
        if bytes > CACHE.bytes_max.load(Ordering::Relaxed) {
            return Ok(block);
        }
        let mut kept = slot.block.write();
        if let Some(block) = &*kept {
            return Ok(block.clone());
        }
        *kept = Some(block.clone());
        drop(kept);
        let column: Weak<Self> = Arc::downgrade(self);
        CACHE.enter(column, index, bytes);
        Ok(block)
    }
}

/// Things of any kind that are kept beside a column as its blocks are, and given up like these.
pub(crate) struct Kept {
    pub(crate) value: Derived,
    pub(crate) bytes: usize,
}

impl CachedBlock for Kept {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl BlockSlots<Kept> {
    /// What is kept in a place, if anything.
    pub(crate) fn kept(&self, index: usize) -> Option<Derived> {
        let slot = self.slots.get(index)?;
        let kept = slot.block.read().as_ref().map(|kept| kept.value.clone());
        slot.touched.store(kept.is_some(), Ordering::Relaxed);
        kept
    }
}

impl<B: CachedBlock> Evict for BlockSlots<B> {
    fn evict(&self, index: u32) -> Option<usize> {
        let slot = &self.slots[index as usize];
        if slot.touched.swap(false, Ordering::Relaxed) {
            return None;
        }
        Some(slot.block.write().take().map_or(0, |block| block.bytes()))
    }
}

impl<B: CachedBlock> Drop for BlockSlots<B> {
    fn drop(&mut self) {
        let bytes: usize = self.slots.iter_mut().filter_map(|slot| slot.block.get_mut().as_ref().map(|b| b.bytes())).sum();
        CACHE.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sized(usize);

    impl CachedBlock for Sized {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn blocks_are_decoded_once_and_given_back_with_their_column() {
        let slots = BlockSlots::<Sized>::new(2);
        slots.get(1, || Ok(Sized(100))).unwrap();
        slots.get(1, || panic!("it is kept")).unwrap();
        assert!(decoded_cache_bytes() >= 100);
        assert_eq!(Evict::evict(&*slots, 1), None, "it was read since");
        assert_eq!(Evict::evict(&*slots, 1), Some(100));
        CACHE.bytes.fetch_sub(100, Ordering::Relaxed);
        assert_eq!(Evict::evict(&*slots, 0), Some(0));
    }
}
