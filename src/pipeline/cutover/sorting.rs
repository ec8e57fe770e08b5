//! Decides what is to be done about a record, by what the ledger knows. A plan decides as a run does.

use std::collections::HashSet;

use super::paid::Paid;
use super::{Cohort, RetryParked, Tally};
use crate::ledger::{LedgerError, Replacement, Replacements, Stage};
use crate::record::{KeyHash, Record, RecordBatch, Reject};

/// What is to be done about a record.
pub(super) enum Next {
    /// Nothing: it is counted.
    Counted,
    /// It is rejected.
    Rejected(Box<Reject>),
    /// It begins; also one that begins anew.
    Begin(Box<Paid>),
    /// It goes on from where an earlier run left it.
    GoOn(Box<Paid>, Box<Replacement>),
}

/// Which records are meant, and which came.
pub(super) struct Sorting {
    cohort: Cohort,
    retry_parked: RetryParked,
    /// Ids that came already.
    seen: HashSet<KeyHash>,
    /// Replacements on which work was begun.
    begun: u64,
}

impl Sorting {
    pub(super) fn new(cohort: Cohort, retry_parked: RetryParked) -> Self {
        Self { cohort, retry_parked, seen: HashSet::new(), begun: 0 }
    }

    /// Decides, and counts what needs nothing more. The next record is for when this one was written down.
    pub(super) async fn next(
        &mut self,
        ledger: &dyn Replacements,
        target: &str,
        tally: &Tally,
        out: &RecordBatch,
        record: &Record,
    ) -> Result<Next, LedgerError> {
        let reject = |field: Option<&str>, value: Option<&str>, why: &str| {
            Ok(Next::Rejected(Box::new(Reject::of_origin(&out.origin_of(record), field, value, why))))
        };
        let paid = match Paid::read(out, record) {
            Ok(paid) => paid,
            Err(why) => return reject(None, None, &why),
        };
        let id = paid.request.subscription_id.as_str();
        if !self.seen.insert(record.hash) {
            return reject(Some("subscriptionId"), Some(id), "another record before it has the same subscriptionId");
        }
        let original = paid.original();
        // A list of the provider's has the replacements, too, and some day somebody reads it again.
        if ledger.replacement_billed_as(target, &original.id).await?.is_some() {
            tally.replacements.add(1);
            return Ok(Next::Counted);
        }
        if !self.cohort.has(&paid.request.customer_id) {
            tally.not_asked.add(1);
            return Ok(Next::Counted);
        }
        let known = ledger.replacement(target, id).await?;
        if let Some(known) = &known {
            match &known.stage {
                Stage::Parked(parked) if !self.retry_parked.takes(parked.reason) => {
                    tally.parked_before.add(1);
                    tally.sample(known, None);
                    return Ok(Next::Counted);
                }
                Stage::Confirmed | Stage::Cancelling | Stage::Cancelled => {
                    tally.done_before.add(1);
                    tally.changed_since.add(u64::from(known.content != paid.content));
                    return Ok(Next::Counted);
                }
                Stage::Planned | Stage::Provisioning | Stage::Provisioned | Stage::Parked(_) => {}
            }
        }
        if self.cohort.limit.is_some_and(|limit| self.begun >= limit) {
            tally.later.add(1);
            return Ok(Next::Counted);
        }
        if let Some(taken) = ledger.replacement_of(target, &original).await?
            && taken.subscription_id != id
        {
            let why = format!("{} replaces that original already", taken.subscription_id);
            return reject(Some("original"), Some(&original.id), &why);
        }
        self.begun += 1;
        Ok(match known {
            Some(known) if matches!(known.stage, Stage::Provisioning | Stage::Provisioned) => {
                tally.changed_since.add(u64::from(known.content != paid.content));
                Next::GoOn(Box::new(paid), Box::new(known))
            }
            Some(_) | None => Next::Begin(Box::new(paid)),
        })
    }
}
