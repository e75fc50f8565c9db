//! `ingest`: rows become segments - task specs, input sources and formats, transforms, the index task, the peon that runs
//! one task in a process of its own, and the worker (middle manager) that starts and watches peons.
//! Never knows where a segment is served.

pub mod append;
pub mod external;
pub mod format;
pub mod sample;
pub mod sampler;
pub mod source;
pub mod spec;
pub mod task;
pub mod transform;
pub mod worker;

pub use spec::{TaskKind, TaskSpec, TaskState, TaskStatus};
pub use task::{LockType, SegmentAllocate, StopFlag, TaskAction, TaskActions, TaskEnv, TaskLock, TaskOutcome, run_task};
pub use worker::{PeonFiles, PeonPorts, PeonServices, Worker, WorkerConfig, WorkerTask, run_peon};
