//! The account of a run: every record in exactly one place.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::entity::Entity;

/// Running counts of a step. Written by the step, read at any time by whoever shows progress.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the source, as they are on disk, that the rows counted here came out of.
    pub bytes_read: Count,
    /// Bytes of the source; 0 where that is not known (a pipe).
    pub bytes_total: Count,
    /// Rows read, unreadable ones included.
    pub rows: Count,
    /// Rows that `where` left out.
    pub filtered: Count,
    /// Rows and records that do not fit; never sent.
    pub rejected: Count,
    /// Records that the API has already, and repeats of a record of this run.
    pub unchanged: Count,
    /// Records that go out and that the ledger has never seen.
    pub created: Count,
    /// Records that go out and differ from what was delivered before.
    pub changed: Count,
    /// Records that the API has.
    pub accepted: Count,
    /// Records that the API refused.
    pub failed: Count,
    /// Records whose outcome nobody knows yet.
    pub open: Count,
    /// Records that say when the source changed them, and that were looked for afterwards.
    pub dated: Count,
    /// Of those: that the API kept as it has them, because it has newer ones. They are among the accepted.
    pub kept: Count,
    /// Records that say when the source changed them, and that were not looked for: too many in one request.
    pub kept_untold: Count,
    /// Batches that were written to the ledger.
    pub batches: Count,
    /// Write requests sent, retries included.
    pub requests: Count,
    /// Read requests sent (tasks, reading back).
    pub reads: Count,
    /// Write requests that were sent again after a fault.
    pub retries: Count,
    /// Requests that the API answered with "slow down".
    pub throttled: Count,
}

impl Progress {
    /// How much of the source was read, 0 to 1; none where its size is not known.
    pub fn share_read(&self) -> Option<f64> {
        let total = self.bytes_total.get();
        (total > 0).then(|| (self.bytes_read.get() as f64 / total as f64).min(1.0))
    }
}

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of one step's records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepSummary {
    /// The step's name.
    pub name: String,
    /// What it imports.
    pub entity: &'static str,
    /// Rows read.
    pub rows: u64,
    /// Records that the rows made: one row may make several, several rows one.
    pub records: u64,
    /// See [`Progress`].
    pub filtered: u64,
    /// See [`Progress`].
    pub rejected: u64,
    /// See [`Progress`].
    pub unchanged: u64,
    /// See [`Progress`].
    pub accepted: u64,
    /// See [`Progress`].
    pub failed: u64,
    /// See [`Progress`].
    pub open: u64,
    /// Of the records that went out (or would, in a plan): never delivered before.
    pub created: u64,
    /// Of the records that went out (or would, in a plan): delivered before with other content.
    pub changed: u64,
    /// See [`Progress`].
    pub batches: u64,
    /// See [`Progress`].
    pub requests: u64,
    /// See [`Progress`].
    pub reads: u64,
    /// See [`Progress`].
    pub retries: u64,
    /// See [`Progress`].
    pub throttled: u64,
    /// Only rows that were changed at this mark or later were read; none: all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Everything before this mark was read and is settled: where the next run begins to read. None where rows are not
    /// read by their changes, or where the step did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Records that the ledger knows and that no row makes any more: deleted, or left out by `where` now.
    /// Nothing is sent for them. None where it can't be told: see `docs/sources.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
    /// Of the accepted records: that Stigg kept as it has them, because it has newer ones (`updatedAt`). None where no record
    /// says when it was changed, and where so many were sent at once that they were not read back; `verify` tells then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// How long the step took, in seconds.
    pub duration_s: f64,
    /// Write requests sent as a share of those that the published rate allows in that time, 0 to 1;
    /// none where the rate is not limited.
    pub budget_share: Option<f64>,
}

impl StepSummary {
    /// The account of `progress`, in which `mapped` records (rows filtered and rejected included)
    /// came out of the mapping.
    pub fn new(name: &str, entity: Entity, records: u64, progress: &Progress, duration_s: f64) -> Self {
        Self {
            name: name.to_owned(),
            entity: entity.name(),
            rows: progress.rows.get(),
            records,
            filtered: progress.filtered.get(),
            rejected: progress.rejected.get(),
            unchanged: progress.unchanged.get(),
            accepted: progress.accepted.get(),
            failed: progress.failed.get(),
            open: progress.open.get(),
            created: progress.created.get(),
            changed: progress.changed.get(),
            batches: progress.batches.get(),
            requests: progress.requests.get(),
            reads: progress.reads.get(),
            retries: progress.retries.get(),
            throttled: progress.throttled.get(),
            since: None,
            mark: None,
            missing: None,
            kept: (progress.dated.get() > 0 && progress.kept_untold.get() == 0).then(|| progress.kept.get()),
            duration_s,
            budget_share: None,
        }
    }

    /// Whether every record is in exactly one place.
    pub fn balances(&self) -> bool {
        self.records == self.filtered + self.rejected + self.unchanged + self.accepted + self.failed + self.open
    }
}

/// The account of a run. `--json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The run's number in its ledger.
    pub run: u64,
    /// Whether everything is settled and nothing was refused.
    pub ok: bool,
    /// The process's exit code.
    pub exit: i32,
    /// How long the run took, in seconds.
    pub duration_s: f64,
    /// Why the run ended early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The steps that ran, in order.
    pub steps: Vec<StepSummary>,
}

impl Summary {
    /// The sum of one count over the steps.
    pub fn total(&self, count: impl Fn(&StepSummary) -> u64) -> u64 {
        self.steps.iter().map(count).sum()
    }

    /// The names of steps whose records don't add up: a bug of ours.
    pub fn unbalanced(&self) -> Vec<&str> {
        self.steps.iter().filter(|step| !step.balances()).map(|step| step.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_record_is_noticed() {
        let progress = Progress::default();
        progress.accepted.add(2);
        progress.rejected.add(1);
        assert!(StepSummary::new("a", Entity::Customer, 3, &progress, 0.0).balances());
        assert!(!StepSummary::new("a", Entity::Customer, 4, &progress, 0.0).balances());
    }
}
