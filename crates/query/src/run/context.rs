//! What a running query may use and when it must stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ovate_base::{Budget, DruidError, Result};
use ovate_compute::EvalContext;

use super::profile::{Profile, Stage, Timer};
use crate::group::SharedDictionaries;
use crate::partial::{GroupsPartial, Held};
use crate::spill::{SPILL_SETTING, Spill};

/// Shared by all threads of one query; cheap to clone.
#[derive(Clone)]
pub struct QueryContext {
    pub eval: EvalContext,
    /// Set by a cancellation.
    pub stop: Arc<AtomicBool>,
    /// When the query's timeout ends.
    pub deadline: Option<Instant>,
    /// Bytes that grouping may hold: all threads of this query together, and with the process's other queries where the budget
    /// is a child of theirs.
    budget: Budget,
    /// What the server's segments share; empty for a context of its own.
    pub dictionaries: Arc<SharedDictionaries>,
    /// Where the query's doings are counted, if its context asks for that.
    pub profile: Option<Arc<Profile>>,
    spill: Option<Spill>,
    /// Nothing else is done for the query meanwhile by the thread that asks, so it may as well do the work itself.
    pub alone: bool,
    /// Segments are cut for several threads into pieces of no fewer rows.
    pub(crate) piece_rows: u64,
}

/// Below this, starting on a piece costs more than another thread saves.
const PIECE_ROWS: u64 = 1 << 17;

impl QueryContext {
    /// No deadline, and 1 GiB for grouping.
    pub fn new(eval: EvalContext) -> Self {
        let (stop, dictionaries) = (Arc::default(), Arc::default());
        QueryContext {
            eval,
            stop,
            deadline: None,
            budget: query_budget(1 << 30),
            dictionaries,
            profile: None,
            alone: false,
            piece_rows: PIECE_ROWS,
            spill: None,
        }
    }

    /// With this deadline.
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// What is left until the deadline, if there is one.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The same in milliseconds as other servers are told it: at least 1, and 0 without a deadline.
    pub fn timeout_ms_left(&self) -> u64 {
        self.time_left().map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// Counting what the query does.
    pub fn with_profile(mut self, profile: Option<Arc<Profile>>) -> Self {
        self.profile = profile;
        self
    }

    /// Telling whether the thread that asks has nothing else to do for the query.
    pub fn with_alone(mut self, alone: bool) -> Self {
        self.alone = alone;
        self
    }

    /// Cutting segments into smaller pieces than pays, for tests.
    pub fn with_piece_rows(mut self, rows: u64) -> Self {
        self.piece_rows = rows;
        self
    }

    pub(crate) fn timer(&self, stage: Stage) -> Timer<'_> {
        Timer::new(self.profile.as_deref(), stage)
    }

    /// With the dictionaries that this server's segments share.
    pub fn with_dictionaries(mut self, dictionaries: Arc<SharedDictionaries>) -> Self {
        self.dictionaries = dictionaries;
        self
    }

    /// With this much memory for grouping.
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.budget = query_budget(bytes);
        self
    }

    /// With a budget that is shared with others.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Allowed to put groups on disk.
    pub fn with_spill(mut self, spill: Option<Spill>) -> Self {
        self.spill = spill;
        self
    }

    pub fn spill(&self) -> Option<&Spill> {
        self.spill.as_ref()
    }

    /// Counts finished groups against the budget.
    pub(crate) fn hold(&self, groups: &GroupsPartial) -> Result<Held> {
        Held::reserve(&self.budget, groups.memory_bytes() as u64).map_err(|error| self.grouping_refused(error))
    }

    /// The error of grouping that does not fit, with what to do about it.
    pub(crate) fn grouping_refused(&self, error: DruidError) -> DruidError {
        let spilling = match self.spill {
            None => format!("allow spilling by {SPILL_SETTING}, "),
            Some(_) => String::new(),
        };
        DruidError::resource_limit(format!("Not enough memory for grouping, {spilling}or narrow the query: {}", error.message))
    }

    /// What this query may hold.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// An error when the query was cancelled or is out of time. Called once a batch.
    pub fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(DruidError::cancelled("query was cancelled"));
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(DruidError::timeout("query ran past its timeout")),
            _ => Ok(()),
        }
    }

    /// A reservation that grows and gives everything back when dropped.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation { taken: self.budget.empty(), may_spill: self.spill.is_some() }
    }
}

fn query_budget(bytes: u64) -> Budget {
    Budget::new("druid.ovate.memory", bytes)
}

/// Bytes that one grouping holds.
pub(crate) struct Reservation {
    taken: ovate_base::Reservation,
    may_spill: bool,
}

impl Reservation {
    /// Sets the size; over the budget it is Druid's resource limit error.
    pub fn set(&mut self, bytes: usize) -> Result<()> {
        self.taken.resize(bytes as u64).map_err(|e| {
            let spilling = if self.may_spill { String::new() } else { format!("allow spilling by {SPILL_SETTING}, ") };
            DruidError::resource_limit(format!("Not enough memory for grouping, {spilling}or narrow the query: {}", e.message))
        })
    }
}
