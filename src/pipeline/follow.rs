//! Follows an asynchronous subscription import until each of its records is known to be there.
//!
//! The task says when to look; only reading a subscription back proves that it was imported. A row
//! that fails validation is skipped silently, and whether the task can be read at all, or names its
//! rows, is not documented: each of these ends in an outcome all the same.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::deliver::Delivery;
use super::refused::holds_word;
use crate::batch::{Batch, BatchId, Outcome, Outcomes};
use crate::sink::{Operation, ReadSubscription, TaskState, TaskStatus};

/// First and longest wait between two looks at a task.
const LOOK_MS: (u64, u64) = (250, 5_000);

impl Delivery {
    /// Finds the outcome of every record of an import that was started.
    pub(super) async fn follow(&self, batch: &Batch, id: BatchId, task: Option<&str>) -> Outcomes {
        if let Some(task) = task
            && let Err(error) = self.ledger.note_task(id, task).await
        {
            self.ledger_failed(&error);
        }
        let mut waiting = Waiting::new(batch);
        let mut ended: Option<(Instant, TaskEnd)> = None;
        let mut task_readable = task.is_some();
        let mut moved = Instant::now();
        let mut look_ms = LOOK_MS.0;
        loop {
            if !self.reading.stop.wait(Duration::from_millis(look_ms)).await && ended.is_none() {
                // Interrupted: one last look below, then the rest is the next run's.
                task_readable = false;
            }
            look_ms = (look_ms * 2).min(LOOK_MS.1);
            let mut task_runs = false;
            if task_readable && ended.is_none() {
                match self.look_at_task(task.unwrap_or_default()).await {
                    Look::Running { progress } => {
                        task_runs = true;
                        if waiting.progressed(progress) {
                            moved = Instant::now();
                        }
                        if moved.elapsed() < Duration::from_millis(self.reading.retry.stalled_ms)
                            && !self.reading.stop.ends_sending()
                        {
                            continue;
                        }
                    }
                    Look::Ended(end) => {
                        ended = Some((Instant::now(), end));
                        look_ms = LOOK_MS.0;
                    }
                    Look::Unreadable => task_readable = false,
                    // It may be too new to be listed; reading back goes on meanwhile.
                    Look::NotListed => {}
                }
            }
            let before = waiting.missing();
            let read = self.read_back(batch, &mut waiting).await;
            if waiting.missing() < before {
                moved = Instant::now();
            }
            if waiting.missing() == 0 {
                return self.outcomes(waiting, |_| unreachable_missing());
            }
            let stalled = moved.elapsed() >= Duration::from_millis(self.reading.retry.stalled_ms);
            let left_open = match read {
                _ if self.reading.stop.ends_sending() => Some("stopped before the import's end was seen".to_owned()),
                // What could not be looked up is not missing.
                Err(why) if stalled => Some(format!("the API took the import, and can't be asked about it: {why}")),
                // It may still come.
                Ok(()) if stalled && task_runs => Some("the import is under way, and nothing moves".to_owned()),
                Err(_) => continue,
                Ok(()) => None,
            };
            if let Some(reason) = left_open {
                return self.outcomes(waiting, |_| Outcome::Open { reason: reason.clone() });
            }
            match &ended {
                // The task itself names each missing record as not taken: waiting is no use.
                Some((_, end)) if waiting.keys_missing().all(|key| end.names(key)) => {
                    return self.outcomes(waiting, |missing| end.reason(missing));
                }
                Some((at, end)) if at.elapsed() >= Duration::from_millis(self.reading.retry.visible_ms) => {
                    return self.outcomes(waiting, |missing| end.reason(missing));
                }
                None if stalled => {
                    return self.outcomes(waiting, |missing| missing.never_seen(self.reading.retry.stalled_ms));
                }
                Some(_) | None => {}
            }
        }
    }

    /// What became of each record: seen as it was sent, or what `missing` says. One that is not, and that the API has taken all
    /// the same, it has newer.
    fn outcomes(&self, waiting: Waiting, missing: impl Fn(&Missing) -> Outcome) -> Outcomes {
        let (dated, unseen) = (waiting.dated, waiting.open.clone());
        let outcomes = waiting.into_outcomes(missing);
        let kept = unseen.iter().filter(|index| outcomes[**index] == Outcome::Accepted).count();
        self.reading.progress.kept.add(kept as u64);
        self.reading.progress.dated.add(dated as u64);
        outcomes
    }

    pub(super) async fn look_at_task(&self, task: &str) -> Look {
        match self.reading.again(Operation::ImportTasks, |permit| self.reading.sink.task(task, permit)).await {
            Ok(TaskState::Running { progress }) => Look::Running { progress },
            Ok(TaskState::Finished { status, errors }) => Look::Ended(TaskEnd { status, errors }),
            Ok(TaskState::NotListed) => Look::NotListed,
            // A key without the right to read tasks is no reason to stop: reading back decides.
            Ok(TaskState::Unreadable { .. }) | Err(_) => Look::Unreadable,
        }
    }

    /// Reads what is still missing.
    async fn read_back(&self, batch: &Batch, waiting: &mut Waiting) -> Result<(), String> {
        let open: Vec<usize> = waiting.open.iter().copied().collect();
        let ids: Vec<&str> = open.iter().map(|index| batch.key_of(&batch.items[*index])).collect();
        let found = self.reading.subscriptions(&ids).await.map_err(|error| error.with_causes())?;
        let found: HashMap<&str, &ReadSubscription> =
            found.iter().map(|subscription| (subscription.subscription_id.as_str(), subscription)).collect();
        for (index, id) in open.iter().zip(ids) {
            if let Some(subscription) = found.get(id) {
                let differences = super::compare::subscription(batch.json_of(&batch.items[*index]), subscription);
                let json = batch.json_of(&batch.items[*index]);
                let differs = differences.first().map(|first| Differs {
                    how: first.to_string(),
                    newer_wins: super::compare::updated_at(json).is_some(),
                });
                waiting.saw(*index, differs);
            }
        }
        Ok(())
    }
}

/// What a look at a task showed.
pub(super) enum Look {
    Running { progress: u8 },
    Ended(TaskEnd),
    NotListed,
    Unreadable,
}

pub(super) struct TaskEnd {
    status: TaskStatus,
    errors: Vec<(String, String)>,
}

impl TaskEnd {
    /// Whether it names a record as not taken. An id in its words proves nothing: a customer may have the same.
    fn names(&self, key: &str) -> bool {
        self.errors.iter().any(|(id, _)| id == key)
    }

    /// The task's own words for a record, or those that hold its id.
    fn own_words(&self, key: &str) -> Option<&str> {
        let named = self.errors.iter().find(|(id, _)| id == key);
        let own = named.or_else(|| self.errors.iter().find(|(_, error)| holds_word(error, key)));
        own.map(|(_, error)| error.as_str())
    }

    /// Why a record is not there: the task's own word for it, where it has one.
    fn reason(&self, missing: &Missing) -> Outcome {
        if !self.names(&missing.key) && missing.has_newer() {
            return Outcome::Accepted;
        }
        let message = match (self.own_words(&missing.key), &missing.differs, &self.errors[..]) {
            (Some(error), _, _) => error.to_owned(),
            (None, Some(Differs { how, .. }), _) => format!("the API has the subscription with other content: {how}"),
            (None, None, []) => format!("the import ended ({:?}) without it, and gave no reason", self.status),
            (None, None, errors) => {
                let mut words: Vec<&str> = errors.iter().map(|(_, error)| error.as_str()).collect();
                words.sort_unstable();
                words.dedup();
                format!(
                    "the import ended ({:?}) without it; it gave these reasons, for rows that it does not name: {}",
                    self.status,
                    words.join("; ")
                )
            }
        };
        Outcome::Failed { code: "NotImported".to_owned(), message: message.chars().take(500).collect() }
    }
}

/// How a record that was read back is not as it was sent.
#[derive(Clone)]
struct Differs {
    how: String,
    /// Whether it was sent with `updatedAt`: the API skips it, silently, where it has a newer one.
    newer_wins: bool,
}

/// A record that could not be read back as it was sent.
struct Missing {
    key: String,
    differs: Option<Differs>,
}

impl Missing {
    /// Whether the API may have kept a newer one, which is what the mapping asked for.
    fn has_newer(&self) -> bool {
        self.differs.as_ref().is_some_and(|differs| differs.newer_wins)
    }

    fn never_seen(&self, stalled_ms: u64) -> Outcome {
        if self.has_newer() {
            return Outcome::Accepted;
        }
        let what = match &self.differs {
            Some(Differs { how, .. }) => format!("the API has the subscription with other content: {how}"),
            None => "the API took the import and the subscription is not there".to_owned(),
        };
        Outcome::Failed {
            code: "NotImported".to_owned(),
            message: format!("{what}; nothing moved for {} s and the task can't be read", stalled_ms / 1000),
        }
    }
}

/// What is still to be seen of a batch.
struct Waiting {
    keys: Vec<String>,
    /// Positions that were not read back as sent yet.
    open: BTreeSet<usize>,
    differs: HashMap<usize, Differs>,
    progress: Option<u8>,
    /// How many say when the source changed them.
    dated: usize,
}

impl Waiting {
    fn new(batch: &Batch) -> Self {
        Self {
            keys: batch.items.iter().map(|item| batch.key_of(item).to_owned()).collect(),
            open: (0..batch.items.len()).collect(),
            differs: HashMap::new(),
            progress: None,
            dated: batch.items.iter().filter(|item| super::compare::updated_at(batch.json_of(item)).is_some()).count(),
        }
    }

    fn missing(&self) -> usize {
        self.open.len()
    }

    fn keys_missing(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(|index| self.keys[*index].as_str())
    }

    fn progressed(&mut self, progress: u8) -> bool {
        self.progress.replace(progress) != Some(progress)
    }

    fn saw(&mut self, index: usize, differs: Option<Differs>) {
        match differs {
            None => {
                self.differs.remove(&index);
                self.open.remove(&index);
            }
            Some(differs) => {
                self.differs.insert(index, differs);
            }
        }
    }

    fn into_outcomes(self, missing: impl Fn(&Missing) -> Outcome) -> Outcomes {
        let mut outcomes = Outcome::all_accepted(self.keys.len());
        for index in self.open {
            outcomes.to_mut()[index] =
                missing(&Missing { key: self.keys[index].clone(), differs: self.differs.get(&index).cloned() });
        }
        outcomes
    }
}

fn unreachable_missing() -> Outcome {
    Outcome::Open { reason: "not read back".to_owned() }
}
