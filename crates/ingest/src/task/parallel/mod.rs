//! The supervising side of `index_parallel` and `compact` (ING-09, `ParallelIndexSupervisorTask`): cuts the input into
//! splits, has subtasks work on them through the Overlord, takes their reports, and publishes once. A lost subtask is
//! submitted again under another id; what the lost one pushed is never published.

mod board;
mod chat;
mod dynamic;
mod phase;
mod rollup;
pub mod subtask;
#[cfg(test)]
mod tests;

pub use board::{Board, Reported};
pub use chat::{Chat, Supervision, Told};
pub use dynamic::{index_spec_json, supervise};
pub use phase::{Phases, await_ends};
pub use rollup::{Rollup, supervise_rollup};

use crate::spec::IndexSpecs;

/// Whether a task of these specs spreads its work (`ParallelIndexSupervisorTask.isParallelMode`); range partitions of a
/// single subtask at a time stay in this process, which Druid cannot do.
pub fn is_parallel(specs: &IndexSpecs) -> bool {
    specs.tuning.max_concurrent_sub_tasks > 1
}
