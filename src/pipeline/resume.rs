//! Batches that an earlier run left open: nobody knows whether the API has them.
//!
//! The ledger marks their records as doubtful, so that those which the source still has are sent
//! again whatever their content. What is left afterwards is no longer in the source.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::deliver::Delivery;
use super::events::Event;
use super::follow::Look;
use super::held::is_held;
use crate::entity::Entity;
use crate::ledger::{LedgerError, OpenBatch};
use crate::record::KeyHash;
use crate::sink::{Operation, READ_IDS_MAX};

/// Wait between two looks at an import of an earlier run.
const LOOK_AT_EARLIER: Duration = Duration::from_secs(2);

impl Delivery {
    /// Says that there are open batches, and outlasts what the API still does for them.
    pub(super) async fn announce_open(&self, now: Timestamp) -> Result<(), LedgerError> {
        let open = self.ledger.open_batches(&self.scope).await?;
        let (held, open): (Vec<_>, Vec<_>) = open.into_iter().partition(|batch| is_held(self.scope.entity, batch, now));
        if !held.is_empty() {
            // Each run that had no answer left a batch, of the same events.
            let events: HashSet<KeyHash> = held.iter().flat_map(|batch| &batch.items).map(|item| item.hash).collect();
            let records = events.len();
            self.observer.event(&Event::Held { records });
        }
        if !open.is_empty() {
            let records = open.iter().map(|batch| batch.items.len()).sum();
            self.observer.event(&Event::Resuming { batches: open.len(), records });
        }
        for task in open.iter().filter_map(|batch| batch.task.as_deref()) {
            self.outlast(task).await;
        }
        let nameless: Vec<&OpenBatch> = open.iter().filter(|batch| batch.task.is_none()).collect();
        match self.scope.entity {
            Entity::Subscription if !nameless.is_empty() => self.outlast_nameless(&nameless).await,
            // All but subscriptions are imported before the API answers.
            Entity::Subscription | Entity::Customer | Entity::Usage | Entity::Event => {}
        }
        Ok(())
    }

    /// Waits for imports whose task nobody wrote down: the process ended between the API's answer and the note.
    ///
    /// Whatever import is under way may be one of them. Where the API does not say which are, what it has is read
    /// back until it is at rest. Both are bounded; afterwards the records are sent again, which replaces what is there.
    async fn outlast_nameless(&self, batches: &[&OpenBatch]) {
        let ask = |permit| self.reading.sink.running_imports(permit);
        match self.reading.again(Operation::ImportTasks, ask).await {
            Ok(Some(tasks)) => {
                for task in tasks {
                    self.outlast(&task).await;
                }
            }
            Ok(None) | Err(_) => self.outlast_unseen(batches).await,
        }
    }

    /// Reads a sample of their records back until it stays as it is for as long as an import's records
    /// may be invisible, or for as long as an import may show no progress in all.
    async fn outlast_unseen(&self, batches: &[&OpenBatch]) {
        let records: usize = batches.iter().map(|batch| batch.items.len()).sum();
        let items = batches.iter().rev().flat_map(|batch| batch.items.iter().rev());
        let sample: Vec<&str> =
            items.step_by(records.div_ceil(READ_IDS_MAX).max(1)).map(|item| item.key.as_str()).collect();
        let (began, mut moved, mut last) = (Instant::now(), Instant::now(), None);
        let (at_rest, longest) = (self.reading.retry.visible_ms, self.reading.retry.stalled_ms);
        loop {
            // What can't be read can't be waited for.
            let Ok(found) = self.reading.subscriptions(&sample).await else { return };
            if last.as_ref() != Some(&found) {
                (moved, last) = (Instant::now(), Some(found));
            }
            let rests = moved.elapsed() >= Duration::from_millis(at_rest);
            let too_long = began.elapsed() >= Duration::from_millis(longest);
            if rests || too_long || !self.reading.stop.wait(LOOK_AT_EARLIER).await {
                return;
            }
        }
    }

    /// Waits while an import of an earlier run is at work: what it has yet to write would come over newer content that
    /// is sent now. One that does not move is not waited for.
    async fn outlast(&self, task: &str) {
        let (mut moved, mut last) = (Instant::now(), None);
        while let Look::Running { progress } = self.look_at_task(task).await {
            if last.replace(progress) != Some(progress) {
                moved = Instant::now();
            }
            let stalled = moved.elapsed() >= Duration::from_millis(self.reading.retry.stalled_ms);
            if stalled || !self.reading.stop.wait(LOOK_AT_EARLIER).await {
                return;
            }
        }
    }

    /// Closes them, after a run that read the whole source and settled everything: each of their
    /// records was sent again, or is gone from the source. Those are looked up, so that a person
    /// hears whether they are in Stigg.
    pub(super) async fn close_open(&self) -> Result<(), LedgerError> {
        self.ledger.close_superseded(&self.scope).await?;
        if self.scope.entity == Entity::Event {
            return self.keep_open().await;
        }
        for batch in self.ledger.open_batches(&self.scope).await? {
            let present = self.present(&batch).await;
            self.observer.event(&Event::GoneFromSource { run: batch.run.0, records: batch.items.len(), present });
            self.ledger.forget(batch.id).await?;
        }
        Ok(())
    }

    /// The same after a run that read only changes: what did not come may still be in the source, and
    /// stays open. Whether nothing did.
    pub(super) async fn close_superseded(&self) -> Result<bool, LedgerError> {
        self.ledger.close_superseded(&self.scope).await?;
        let batches = self.ledger.open_batches(&self.scope).await?.len();
        if batches > 0 {
            self.observer.event(&Event::NotAmongChanges { batches });
        }
        Ok(batches == 0)
    }

    /// Events that are gone from the source stay open: forgotten, they would be sent as new ones should the source bring
    /// them back, and might count twice.
    async fn keep_open(&self) -> Result<(), LedgerError> {
        for batch in self.ledger.open_batches(&self.scope).await? {
            self.observer.event(&Event::GoneFromSource {
                run: batch.run.0,
                records: batch.items.len(),
                present: self.present(&batch).await,
            });
        }
        Ok(())
    }

    /// How many of the records are in Stigg; none where that can't be read.
    async fn present(&self, batch: &OpenBatch) -> Option<usize> {
        let keys: Vec<&str> = batch.items.iter().map(|item| item.key.as_str()).collect();
        let present: HashSet<String> = match self.scope.entity {
            Entity::Customer => {
                let found = self.reading.customers(&keys).await.ok()?;
                found.into_iter().map(|customer| customer.customer_id).collect()
            }
            Entity::Subscription => {
                let found = self.reading.subscriptions(&keys).await.ok()?;
                found.into_iter().map(|subscription| subscription.subscription_id).collect()
            }
            // A usage value can be there without being the one that was sent.
            Entity::Usage => return None,
            // The API answers no single events.
            Entity::Event => return None,
        };
        Some(keys.iter().filter(|key| present.contains(**key)).count())
    }
}
