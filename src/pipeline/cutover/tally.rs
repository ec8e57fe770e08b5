//! The account of a cutover: every record in exactly one place, and every replacement at one stage.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::Phase;
use crate::ledger::{Replacement, StageCount};
use crate::pipeline::summary::Count;
use crate::record::RecordBatch;

/// Most parked or open replacements that are kept with their reasons.
const SAMPLES_MAX: usize = 100;

/// Running counts. Written by the cutover, read at any time by whoever shows progress.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bytes of the source that the records came out of.
    pub bytes_read: Count,
    /// Bytes of the source; 0 where that is not known (an API, a pipe).
    pub bytes_total: Count,
    /// Rows read, unreadable ones included.
    pub rows: Count,
    /// Records that the rows made, those filtered and rejected included.
    pub records: Count,
    /// Rows that `where` left out.
    pub filtered: Count,
    /// Rows and records that do not fit; never sent.
    pub rejected: Count,
    /// Records whose original is a replacement of this ledger: they are what Stigg made at the provider.
    pub replacements: Count,
    /// Records of customers that are not among those asked for.
    pub not_asked: Count,
    /// Records beyond the number that was asked for.
    pub later: Count,
    /// Records whose replacement was confirmed, or went further, in an earlier run.
    pub done_before: Count,
    /// Of those: with other content than now. Nothing is sent for them.
    pub changed_since: Count,
    /// Records whose replacement an earlier run parked.
    pub parked_before: Count,
    /// Records whose replacement was confirmed in this run.
    pub confirmed: Count,
    /// Records whose replacement was parked while it was provisioned or proved.
    pub parked: Count,
    /// Records whose replacement is open: the next run goes on.
    pub open: Count,
    /// Originals that are to be cancelled in this run; 0 until that begins.
    pub to_cancel: Count,
    /// Originals that ended in this run.
    pub cancelled: Count,
    /// Originals that people were asked to cancel.
    pub listed: Count,
    /// Replacements that were parked instead of their originals being cancelled.
    pub cancel_parked: Count,
    /// Originals that could not be ended yet.
    pub cancel_open: Count,
    /// Replacements of earlier runs that were parked before anybody could be asked about their originals.
    pub unproved_parked: Count,
    /// Replacements of earlier runs that could not be proved, or found in Stigg, yet.
    pub unproved_open: Count,
    /// Requests that provision, repeats included.
    pub requests: Count,
    /// Requests that cancel, repeats included.
    pub cancellations: Count,
    /// Requests that Stigg answered with "slow down".
    pub throttled: Count,
    /// Originals under a schedule at the provider when they were cancelled.
    pub with_schedule: Count,
    /// Originals with invoice items that waited when they were cancelled.
    pub with_pending_items: Count,
    samples: Mutex<Vec<Sample>>,
}

/// A replacement that went no further, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Its id.
    pub subscription_id: String,
    /// Its original's id.
    pub original_id: String,
    /// Its stage.
    pub stage: &'static str,
    /// The kind of reason, of a parked one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// In words.
    pub detail: String,
}

impl Tally {
    /// Counts what a mapping made of some rows, but for rejects, which are counted one by one.
    pub(super) fn took(&self, out: &RecordBatch) {
        self.rows.add(out.rows);
        self.filtered.add(out.filtered + out.unchanged);
        self.records.add(out.records.len() as u64 + out.filtered + out.unchanged + out.rejects.len() as u64);
    }

    /// Records of which nothing is left to be done in this run, but for their originals.
    pub fn settled(&self) -> u64 {
        let places = [
            &self.filtered,
            &self.rejected,
            &self.replacements,
            &self.not_asked,
            &self.later,
            &self.done_before,
            &self.parked_before,
            &self.confirmed,
            &self.parked,
            &self.open,
        ];
        places.map(Count::get).iter().sum()
    }

    /// Originals of which nothing is left to be done in this run.
    pub fn originals_settled(&self) -> u64 {
        [&self.cancelled, &self.listed, &self.cancel_parked, &self.cancel_open].map(Count::get).iter().sum()
    }

    pub(super) fn sample(&self, replacement: &Replacement, open_because: Option<&str>) {
        let parked = replacement.stage.parked();
        let sample = Sample {
            subscription_id: replacement.subscription_id.clone(),
            original_id: replacement.original.id.clone(),
            stage: replacement.stage.name(),
            reason: parked.map(|parked| parked.reason.name()),
            detail: open_because.or(parked.map(|parked| parked.detail.as_str())).unwrap_or_default().to_owned(),
        };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() < SAMPLES_MAX {
            samples.push(sample);
        }
    }

    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How many replacements are at a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AtStage {
    /// The stage.
    pub stage: &'static str,
    /// Why, of parked ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// How many.
    pub count: u64,
}

impl From<StageCount> for AtStage {
    fn from(count: StageCount) -> Self {
        Self { stage: count.stage, reason: count.reason.map(crate::ledger::ParkReason::name), count: count.count }
    }
}

/// What a cutover did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CutoverSummary {
    /// The run in the ledger; 0 for a plan, which is none.
    pub run: u64,
    /// Whether everything asked for is settled.
    pub ok: bool,
    /// The exit code; the caller's to fill.
    pub exit: i32,
    /// What was asked for.
    pub phase: Phase,
    /// Why it ended early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// See [`Tally`].
    pub rows: u64,
    /// See [`Tally`].
    pub records: u64,
    /// See [`Tally`].
    pub filtered: u64,
    /// See [`Tally`].
    pub rejected: u64,
    /// See [`Tally`].
    pub replacements: u64,
    /// See [`Tally`].
    pub not_asked: u64,
    /// See [`Tally`].
    pub later: u64,
    /// See [`Tally`].
    pub done_before: u64,
    /// See [`Tally`].
    pub changed_since: u64,
    /// See [`Tally`].
    pub parked_before: u64,
    /// See [`Tally`].
    pub confirmed: u64,
    /// See [`Tally`].
    pub parked: u64,
    /// See [`Tally`].
    pub open: u64,
    /// Originals that were to be cancelled in this run.
    pub to_cancel: u64,
    /// See [`Tally`].
    pub cancelled: u64,
    /// See [`Tally`].
    pub listed: u64,
    /// See [`Tally`].
    pub cancel_parked: u64,
    /// See [`Tally`].
    pub cancel_open: u64,
    /// See [`Tally`].
    pub unproved_parked: u64,
    /// See [`Tally`].
    pub unproved_open: u64,
    /// See [`Tally`].
    pub provision_requests: u64,
    /// See [`Tally`].
    pub cancel_requests: u64,
    /// See [`Tally`].
    pub with_schedule: u64,
    /// See [`Tally`].
    pub with_pending_items: u64,
    /// See [`Tally`].
    pub throttled: u64,
    /// How long it took, in seconds.
    pub duration_s: f64,
    /// Where all replacements of the target are now, those of earlier runs included.
    pub stages: Vec<AtStage>,
    /// The first that went no further.
    pub samples: Vec<Sample>,
}

impl CutoverSummary {
    pub(crate) fn new(run: u64, phase: Phase, tally: &Tally, to_cancel: u64, duration_s: f64) -> Self {
        Self {
            run,
            ok: false,
            exit: 0,
            phase,
            stopped: None,
            rows: tally.rows.get(),
            records: tally.records.get(),
            filtered: tally.filtered.get(),
            rejected: tally.rejected.get(),
            replacements: tally.replacements.get(),
            not_asked: tally.not_asked.get(),
            later: tally.later.get(),
            done_before: tally.done_before.get(),
            changed_since: tally.changed_since.get(),
            parked_before: tally.parked_before.get(),
            confirmed: tally.confirmed.get(),
            parked: tally.parked.get(),
            open: tally.open.get(),
            to_cancel,
            cancelled: tally.cancelled.get(),
            listed: tally.listed.get(),
            cancel_parked: tally.cancel_parked.get(),
            cancel_open: tally.cancel_open.get(),
            unproved_parked: tally.unproved_parked.get(),
            unproved_open: tally.unproved_open.get(),
            provision_requests: tally.requests.get(),
            cancel_requests: tally.cancellations.get(),
            with_schedule: tally.with_schedule.get(),
            with_pending_items: tally.with_pending_items.get(),
            throttled: tally.throttled.get(),
            duration_s,
            stages: Vec::new(),
            samples: tally.samples(),
        }
    }

    /// How many were found or left parked, whenever it was.
    pub fn parked_in_all(&self) -> u64 {
        self.parked + self.parked_before + self.cancel_parked + self.unproved_parked
    }

    /// Whether every record is in exactly one place.
    pub fn balances(&self) -> bool {
        let places = self.filtered
            + self.rejected
            + self.replacements
            + self.not_asked
            + self.later
            + self.done_before
            + self.parked_before
            + self.confirmed
            + self.parked
            + self.open;
        places == self.records && self.cancelled + self.listed + self.cancel_parked + self.cancel_open <= self.to_cancel
    }
}
