//! Subscription imports work in the background of virtual time (contract 3.3).
//!
//! There is no spawned task: whoever looks first catches up with what is due. So a test with paused time sees the same
//! states every time, and a sandbox that nobody looks at does nothing.

use std::time::Duration;

use super::Store;
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::unknowns::{ConcurrentImports, SubscriptionShape, TaskErrorId, TaskId};
use crate::sandbox::wire::enums::TaskStatus;
use crate::sandbox::wire::inputs::ImportSubscriptionInput;
use crate::sandbox::wire::scalars::Uuid;

/// How fast a task works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long it stays `PENDING`. Default: 20 ms.
    pub start_delay: Duration,
    /// Time of one step; at least 1 ms. Default: 10 ms.
    pub step: Duration,
    /// Rows per step; at least 1. Default: 100.
    pub rows_per_step: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { start_delay: Duration::from_millis(20), step: Duration::from_millis(10), rows_per_step: 100 }
    }
}

/// A row that was skipped, and why.
#[derive(Debug, Clone)]
pub(crate) struct TaskError {
    pub id: String,
    pub error: String,
}

/// One import.
#[derive(Debug)]
pub(crate) struct Task {
    /// The id under which it is listed.
    pub id: Uuid,
    pub created_ms: i64,
    started_ms: i64,
    /// When the last step was done; the next is one step later.
    worked_ms: i64,
    /// Rows still to do, last first.
    rows_left: Vec<ImportSubscriptionInput>,
    pub total: usize,
    pub errors: Vec<TaskError>,
    pub ended_ms: Option<i64>,
}

impl Task {
    /// Its state at `now_ms`, once the store has caught up.
    pub fn status(&self, now_ms: i64) -> TaskStatus {
        match self.ended_ms {
            None if now_ms < self.started_ms => TaskStatus::Pending,
            None => TaskStatus::InProgress,
            Some(_) if self.errors.is_empty() => TaskStatus::Completed,
            Some(_) if self.errors.len() == self.total => TaskStatus::Failed,
            Some(_) => TaskStatus::PartiallyFailed,
        }
    }

    /// Percent of its rows that are done.
    pub fn progress(&self) -> i32 {
        let done = self.total - self.rows_left.len();
        i32::try_from(done * 100 / self.total.max(1)).unwrap_or(100)
    }

    /// When it began to work, if it has.
    pub fn started(&self, now_ms: i64) -> Option<i64> {
        (now_ms >= self.started_ms).then_some(self.started_ms)
    }
}

fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Store {
    /// Takes an import in, and answers its id.
    pub fn start_import(&mut self, rows: Vec<ImportSubscriptionInput>, now_ms: i64) -> Result<Uuid, Refusal> {
        rules::row_count(rows.len(), rules::SUBSCRIPTIONS_MAX, "subscriptions")?;
        rules::distinct("subscriptionId", rows.iter().filter_map(|row| row.subscription_id.as_deref()))?;
        if self.unknowns.subscription_shape == SubscriptionShape::Request {
            rows.iter().try_for_each(super::subscriptions::shape)?;
        }
        if !self.tasks_open.is_empty() && self.unknowns.concurrent_imports == ConcurrentImports::Refused {
            let message = "an import of subscriptions is in progress";
            return Err(Refusal::new(Code::ImportAlreadyInProgress, message));
        }
        let number = self.tasks.len();
        let id = Uuid::of("task", &format!("{number} {now_ms}"));
        let answered = match self.unknowns.task_id {
            TaskId::Listed => id.clone(),
            TaskId::Unlisted => Uuid::of("job", &format!("{number} {now_ms}")),
        };
        let started_ms = now_ms + whole_ms(self.pace.start_delay);
        let total = rows.len();
        let rows_left = rows.into_iter().rev().collect();
        self.tasks.push(Task {
            id,
            created_ms: now_ms,
            started_ms,
            worked_ms: started_ms,
            rows_left,
            total,
            errors: Vec::new(),
            ended_ms: None,
        });
        self.tasks_open.push(number);
        Ok(answered)
    }

    /// Does every step that is due at `now_ms`, in the order of time, whichever task it belongs to.
    pub fn catch_up(&mut self, now_ms: i64) {
        let step_ms = whole_ms(self.pace.step).max(1);
        while let Some((due_ms, number)) =
            self.tasks_open.iter().map(|number| (self.tasks[*number].worked_ms + step_ms, *number)).min()
        {
            if due_ms > now_ms {
                return;
            }
            self.step(number, due_ms);
        }
    }

    fn step(&mut self, number: usize, due_ms: i64) {
        for _ in 0..self.pace.rows_per_step.max(1) {
            let Some(row) = self.tasks[number].rows_left.pop() else { break };
            let label = row.subscription_id.clone().unwrap_or_else(|| row.customer_id.clone());
            match self.import_subscription(row, due_ms) {
                Ok(Some(written)) => self.imported.add(written),
                Ok(None) => self.imported.skipped += 1,
                Err(refusal) => {
                    self.imported.failed += 1;
                    let id = match self.unknowns.task_error_id {
                        TaskErrorId::Subscription => label,
                        TaskErrorId::Opaque => Uuid::of("subtask", &format!("{number} {label}")).0,
                    };
                    let error = format!("{}: {}", refusal.code.as_str(), refusal.message);
                    self.tasks[number].errors.push(TaskError { id, error });
                }
            }
        }
        let task = &mut self.tasks[number];
        task.worked_ms = due_ms;
        if task.rows_left.is_empty() {
            task.ended_ms = Some(due_ms);
            task.rows_left.shrink_to_fit();
            self.tasks_open.retain(|open| *open != number);
        }
    }
}
