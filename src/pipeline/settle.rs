//! Settles a batch: the last step of its delivery, after each of its records has an outcome.

use super::deliver::Delivery;
use super::events::Event;
use super::stop::Stopped;
use crate::batch::{Batch, BatchId, Outcome, Outcomes};
use crate::entity::Entity;

/// A batch whose records have an outcome each.
pub(super) struct Answered {
    pub id: BatchId,
    pub batch: Batch,
    pub outcomes: Outcomes,
}

/// What is needed of it until it is settled.
pub(super) struct Settling {
    id: BatchId,
    /// None where nothing is to be told of a record: waiting for the ledger takes no memory then.
    batch: Option<Batch>,
    outcomes: Outcomes,
}

impl Delivery {
    /// Lets go what of a batch is not needed any more; returns how many of its bytes that were.
    pub(super) fn let_go(&self, Answered { id, batch, outcomes }: Answered) -> (usize, Settling) {
        let told =
            self.scope.entity == Entity::Customer || outcomes.iter().any(|outcome| *outcome != Outcome::Accepted);
        if told {
            return (0, Settling { id, batch: Some(batch), outcomes });
        }
        let bytes = batch.bytes();
        self.spares.give(batch);
        (bytes, Settling { id, batch: None, outcomes })
    }

    /// Settles a batch, and counts what became of its records; returns how many bytes were needed until then.
    pub(super) async fn settle(&self, Settling { id, batch, mut outcomes }: Settling) -> usize {
        if let Err(why) = self.write_settlement(batch.as_ref(), id, &outcomes).await {
            // To the ledger they are open, and it is what the next run goes by.
            outcomes.to_mut().fill(Outcome::Open { reason: why.to_string() });
            self.reading.stop.raise(why);
        }
        if let Some(batch) = &batch {
            // After it is settled: what is only told must not be in the way of what counts.
            self.look_for_kept(batch, &outcomes).await;
        }
        let (mut accepted, mut failed, mut open) = (0, 0, 0);
        for outcome in &*outcomes {
            match outcome {
                Outcome::Accepted => accepted += 1,
                Outcome::Failed { .. } => failed += 1,
                Outcome::Open { .. } => open += 1,
            }
        }
        tracing::debug!(batch = id.0, accepted, failed, open, "a batch has its answer");
        self.reading.progress.accepted.add(accepted);
        self.reading.progress.failed.add(failed);
        self.reading.progress.open.add(open);
        let Some(batch) = batch else { return 0 };
        let bytes = batch.bytes();
        self.spares.give(batch);
        bytes
    }

    async fn write_settlement(&self, batch: Option<&Batch>, id: BatchId, outcomes: &[Outcome]) -> Result<(), Stopped> {
        if let Some(batch) = batch {
            self.write_refused(batch, outcomes)?;
        }
        self.ledger.settle(id, outcomes).await.map_err(|error| Stopped::of_ledger(&error))?;
        if let Some(Outcome::Open { reason }) = outcomes.iter().find(|outcome| matches!(outcome, Outcome::Open { .. }))
        {
            let records = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Open { .. })).count();
            self.observer.event(&Event::LeftOpen { records, why: reason.clone() });
        }
        Ok(())
    }

    /// Writes refused records to the rejects file, before the batch is settled: afterwards nothing else remembers them.
    fn write_refused(&self, batch: &Batch, outcomes: &[Outcome]) -> Result<(), Stopped> {
        let cannot_write = |error| Stopped::LedgerCannotWrite(super::with_causes(&error));
        let mut rejects = self.rejects.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut refused = false;
        for (item, outcome) in batch.items.iter().zip(outcomes) {
            if let Outcome::Failed { code, message } = outcome {
                let (key, origin) = (batch.key_of(item), batch.origin_of(item));
                rejects.failed(&origin, key, code, message, batch.json_of(item)).map_err(cannot_write)?;
                self.held_back.refused(&origin);
                refused = true;
            }
        }
        if refused {
            rejects.flush().map_err(cannot_write)?;
        }
        Ok(())
    }
}
