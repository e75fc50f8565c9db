//! `control`: the Overlord, which takes tasks, grants locks and publishes segments, and the Coordinator, which has
//! segments loaded where the rules want them. What they decide are pure functions; what they write carries their term.

pub mod compaction;
pub mod coordination;
pub mod coordinator;
mod http;
pub mod leader;
pub mod overlord;

pub use coordination::StoreCoordination;
pub use coordinator::{Coordinator, CoordinatorSettings};
pub use leader::{StoreElection, StoreTerms};
pub use overlord::{LocalRunner, Overlord, OverlordSettings, TaskRunner};

use tokio::sync::watch;

/// Rings when this process has changed the segments in the metadata store, so that a Coordinator beside an Overlord
/// polls at once instead of at its next period.
#[derive(Debug, Clone)]
pub struct SegmentBell {
    rings: watch::Sender<u64>,
}

impl Default for SegmentBell {
    fn default() -> Self {
        SegmentBell { rings: watch::channel(0).0 }
    }
}

impl SegmentBell {
    pub fn ring(&self) {
        self.rings.send_modify(|count| *count += 1);
    }

    pub fn listen(&self) -> watch::Receiver<u64> {
        self.rings.subscribe()
    }
}
