//! The state of one phase's subtasks (`TaskMonitor`, `SubTaskSpecStatus`), without I/O: which may be submitted, which run,
//! which have reported. A spec is complete with the first report of its current attempt; no other report ever counts.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::spec::TaskStatus;

/// One unit of work; it has several attempts when some fail.
#[derive(Debug, Clone)]
struct Slot {
    spec_id: String,
    /// Ids of all attempts, and how those that ended did.
    attempts: Vec<(String, Option<TaskStatus>)>,
    /// The last attempt is under way.
    running: bool,
    report: Option<Value>,
}

/// What a report gets as answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// It completes this spec.
    Completes(usize),
    /// It was taken before; the answer must have been lost.
    Again,
    /// The attempt is not, or no longer, the one that is waited for.
    Unwanted,
}

/// The subtasks of one phase.
#[derive(Debug, Clone)]
pub struct Board {
    slots: Vec<Slot>,
    waiting: VecDeque<usize>,
    attempts_max: usize,
    failure: Option<String>,
}

impl Board {
    /// A board of specs with these ids; each may be retried so many times (`maxRetry`).
    pub fn new(spec_ids: Vec<String>, retries_max: u64) -> Board {
        let slot = |spec_id| Slot { spec_id, attempts: Vec::new(), running: false, report: None };
        let slots: Vec<Slot> = spec_ids.into_iter().map(slot).collect();
        let attempts_max = usize::try_from(retries_max).unwrap_or(usize::MAX).saturating_add(1);
        Board { waiting: (0..slots.len()).collect(), slots, attempts_max, failure: None }
    }

    /// The next spec to be submitted when fewer than `running_max` run, with the number of its attempt.
    pub fn next(&self, running_max: usize) -> Option<(usize, usize)> {
        let running = self.slots.iter().filter(|slot| slot.running).count();
        let next = *self.waiting.front().filter(|_| running < running_max && self.failure.is_none())?;
        Some((next, self.slots[next].attempts.len()))
    }

    /// The spec given by [`Board::next`] is about to be submitted under this id.
    pub fn submitting(&mut self, spec: usize, task_id: &str) {
        self.waiting.retain(|other| *other != spec);
        let slot = &mut self.slots[spec];
        slot.running = true;
        slot.attempts.push((task_id.to_owned(), None));
    }

    /// Ids of attempts that run and have not reported.
    pub fn running(&self) -> Vec<String> {
        let running = self.slots.iter().filter(|slot| slot.running);
        running.filter_map(|slot| slot.attempts.last()).map(|(id, _)| id.clone()).collect()
    }

    /// What a report of a task would mean; nothing changes yet.
    pub fn would_report(&self, task_id: &str) -> Reported {
        for (number, slot) in self.slots.iter().enumerate() {
            if slot.attempts.last().is_some_and(|(id, _)| id == task_id) {
                return match (&slot.report, slot.running) {
                    (Some(_), _) => Reported::Again,
                    (None, true) => Reported::Completes(number),
                    (None, false) => Reported::Unwanted,
                };
            }
        }
        Reported::Unwanted
    }

    /// A spec is complete.
    pub fn reported(&mut self, spec: usize, report: Value) {
        let slot = &mut self.slots[spec];
        slot.running = false;
        slot.report = Some(report);
    }

    /// An attempt has ended without a report: another one follows, or the phase has failed.
    pub fn ended(&mut self, task_id: &str, status: TaskStatus) {
        let found = self.slots.iter().position(|slot| slot.running && slot.attempts.last().is_some_and(|(id, _)| id == task_id));
        let Some(spec) = found else { return };
        let slot = &mut self.slots[spec];
        let why = status.error_message.clone().unwrap_or_else(|| "it ended without a report".to_owned());
        if let Some((_, end)) = slot.attempts.last_mut() {
            *end = Some(status);
        }
        slot.running = false;
        if slot.attempts.len() < self.attempts_max {
            self.waiting.push_back(spec);
        } else {
            let message =
                format!("subtask [{}] failed {} times (maxRetry), last as [{task_id}]: {why}", slot.spec_id, slot.attempts.len());
            self.failure.get_or_insert(message);
        }
    }

    /// Why the phase has failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Every spec has reported.
    pub fn is_complete(&self) -> bool {
        self.slots.iter().all(|slot| slot.report.is_some())
    }

    /// All reports, in the order of the specs.
    pub fn reports(&self) -> Vec<Value> {
        self.slots.iter().filter_map(|slot| slot.report.clone()).collect()
    }

    /// Ids of the attempts whose report was taken.
    pub fn reporters(&self) -> Vec<String> {
        let reporters = self.slots.iter().filter(|slot| slot.report.is_some());
        reporters.filter_map(|slot| slot.attempts.last()).map(|(id, _)| id.clone()).collect()
    }

    /// `ParallelIndexingPhaseProgress`.
    pub fn progress(&self) -> Value {
        let count = |wanted: fn(&Slot) -> bool| self.slots.iter().filter(|slot| wanted(slot)).count();
        let succeeded = count(|slot| slot.report.is_some());
        let failed = usize::from(self.failure.is_some());
        json!({"running": count(|slot| slot.running), "succeeded": succeeded, "failed": failed, "complete": succeeded + failed,
               "total": self.slots.len(), "estimatedExpectedSucceeded": self.slots.len()})
    }

    /// The specs of a state: `None` all, true those that run, false those that are complete.
    pub fn specs(&self, running: Option<bool>) -> Vec<Value> {
        let wanted = |slot: &&Slot| match running {
            None => true,
            Some(true) => slot.running,
            Some(false) => slot.report.is_some(),
        };
        self.slots.iter().filter(wanted).map(|slot| json!({"id": slot.spec_id})).collect()
    }

    /// One spec with its current attempt and the ends of earlier ones.
    pub fn spec(&self, spec_id: &str) -> Option<Value> {
        let slot = self.slots.iter().find(|slot| slot.spec_id == spec_id)?;
        let current = slot.attempts.last().map(|(id, end)| {
            let code = match (&slot.report, end) {
                (Some(_), _) => "SUCCESS",
                (None, Some(_)) => "FAILED",
                (None, None) => "RUNNING",
            };
            json!({"id": id, "statusCode": code})
        });
        let history: Vec<Value> = slot.attempts.iter().filter_map(|(_, end)| end.as_ref()).map(TaskStatus::to_json).collect();
        Some(json!({"spec": {"id": slot.spec_id}, "currentStatus": current, "taskHistory": history}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(id: &str) -> TaskStatus {
        TaskStatus::failed(id, 1, "worker away")
    }

    #[test]
    fn no_more_run_than_allowed_and_failed_ones_go_again() {
        let mut board = Board::new(vec!["a".into(), "b".into(), "c".into()], 1);
        assert_eq!(board.next(2), Some((0, 0)));
        board.submitting(0, "a0");
        board.submitting(1, "b0");
        assert_eq!(board.next(2), None);
        board.ended("a0", failed("a0"));
        assert_eq!(board.next(2), Some((2, 0)));
        board.submitting(2, "c0");
        board.reported(1, json!(1));
        assert_eq!(board.next(2), Some((0, 1)));
        board.submitting(0, "a1");
        board.ended("a1", failed("a1"));
        assert!(board.failure().unwrap().contains("worker away"));
        assert_eq!(board.next(9), None);
    }

    #[test]
    fn only_the_first_report_of_the_current_attempt_counts() {
        let mut board = Board::new(vec!["a".into()], 3);
        board.submitting(0, "a0");
        board.ended("a0", failed("a0"));
        assert_eq!(board.would_report("a0"), Reported::Unwanted);
        board.submitting(0, "a1");
        assert_eq!(board.would_report("a0"), Reported::Unwanted);
        assert_eq!(board.would_report("a1"), Reported::Completes(0));
        board.reported(0, json!({"rows": 1}));
        board.ended("a1", failed("a1"));
        assert_eq!(board.would_report("a1"), Reported::Again);
        assert!(board.is_complete() && board.next(1).is_none());
    }
}
