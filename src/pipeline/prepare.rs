//! Reads, maps, compares and batches: everything that happens to a row before it is sent.

use std::sync::{Arc, Mutex};

use super::diff::{Diff, Sorted};
use super::handover::Outgoing;
use super::max_rejects::MaxRejects;
use super::part;
use super::stop::{Stop, Stopped};
use super::summary::Progress;
use crate::ledger::rejects::{Group, Groups, Writer as RejectsWriter};
use crate::ledger::{Index, Part};
use crate::mapping::Mapper;
use crate::record::{RecordBatch, Reject};
use crate::source::Rows;

/// Batches of rows after which is guessed how many records come: some thousand rows.
const BATCHES_BEFORE_GUESS: usize = 4;

/// What preparing needs.
pub(super) struct Preparation {
    pub rows: Rows,
    pub mapper: Mapper,
    pub diff: Diff,
    pub progress: Arc<Progress>,
    /// None in a plan, which writes nothing.
    pub rejects: Option<Arc<Mutex<RejectsWriter>>>,
    pub max_rejects: Option<MaxRejects>,
    pub stop: Arc<Stop>,
    /// Rejects by reason, for whoever shows them.
    pub reasons: Option<Groups>,
    /// How far the source has come; none at the start.
    pub mark: Option<String>,
    /// Which of the records: those of other parts count as filtered.
    pub part: Part,
    /// Is shown what the mapping made, before any of it is left out.
    pub watch: Option<Watch>,
}

/// Looks at what the mapping made of some rows.
pub(super) type Watch = Box<dyn FnMut(&RecordBatch) + Send>;

/// What was prepared.
pub(super) struct Prepared {
    /// Records that came out of the mapping, those filtered and rejected included.
    pub records: u64,
    /// Whether the source was read to its end.
    pub complete: bool,
    /// Rejects by reason, the most frequent first; where it was asked for.
    pub reasons: Vec<Group>,
    /// The last mark that the source gave.
    pub mark: Option<String>,
    /// Records that the ledger knows and that did not come.
    pub unseen: u64,
    /// The index that the records were compared with.
    pub index: Index,
}

impl Preparation {
    /// Runs to the source's end, or until the run stops. Closing `batches` is the sign of the end.
    pub(super) async fn prepare(mut self, batches: Outgoing) -> Prepared {
        let mut records = 0;
        let mut out = RecordBatch::default();
        let complete = self.read(&mut out, &mut records, &batches).await;
        if complete {
            self.finish(&mut out, &mut records, &batches).await;
        }
        if let Some(last) = self.diff.finish() {
            // The receiver outlives us: it takes what we have even when the run stops.
            let _ = batches.send(vec![last]).await;
        }
        if let Some(rejects) = &self.rejects
            && let Err(error) = rejects.lock().unwrap_or_else(std::sync::PoisonError::into_inner).flush()
        {
            self.stop.raise(Stopped::LedgerCannotWrite(super::with_causes(&error)));
        }
        Prepared {
            records,
            complete: complete && !self.stop.is_raised(),
            reasons: self.reasons.map(|groups| groups.into_sorted().0).unwrap_or_default(),
            mark: self.mark,
            unseen: self.diff.unseen(),
            index: self.diff.into_index(),
        }
    }

    /// Whether the source was read to its end.
    async fn read(&mut self, out: &mut RecordBatch, records: &mut u64, batches: &Outgoing) -> bool {
        self.progress.bytes_total.set(self.rows.bytes_total().unwrap_or(0));
        let mut batches_read = 0;
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.raised() => return false,
                next = self.rows.next() => next,
            };
            match next {
                Ok(Some(rows)) => {
                    if let Some(bytes) = rows.bytes_read() {
                        self.progress.bytes_read.set(bytes);
                    }
                    if let Some(mark) = rows.mark() {
                        self.mark = Some(mark.to_owned());
                    }
                    out.clear();
                    if let Err(error) = self.mapper.apply(&rows, out) {
                        self.stop.raise(Stopped::SpillFailed(super::with_causes(&error)));
                        return false;
                    }
                    self.absorb(out, records, batches).await;
                    batches_read += 1;
                    if (BATCHES_BEFORE_GUESS..BATCHES_BEFORE_GUESS + Index::EXPECTATIONS).contains(&batches_read) {
                        self.diff.expect(self.new_records_to_come());
                    }
                }
                Ok(None) => {
                    if let Some(bytes) = self.rows.bytes_total() {
                        // What comes after the last row belongs to no batch.
                        self.progress.bytes_read.set(bytes);
                    }
                    return true;
                }
                Err(error) => {
                    // What the mapper still holds (an open group, totals) is incomplete and is not sent.
                    self.stop.raise(Stopped::SourceBroke(super::with_causes(&error)));
                    return false;
                }
            }
        }
    }

    /// How many records the ledger will not know, if the rest of the source is like what was read of it; none where its size is not
    /// known.
    fn new_records_to_come(&self) -> usize {
        let (read, total) = (self.progress.bytes_read.get(), self.progress.bytes_total.get());
        let more = u128::from(self.progress.created.get()) * u128::from(total.saturating_sub(read));
        usize::try_from(more / u128::from(read.max(1))).unwrap_or(usize::MAX)
    }

    async fn finish(&mut self, out: &mut RecordBatch, records: &mut u64, batches: &Outgoing) {
        let mut more = true;
        while more && !self.stop.is_raised() {
            out.clear();
            match self.mapper.finish(out) {
                Ok(again) => more = again,
                Err(error) => return self.stop.raise(Stopped::SpillFailed(super::with_causes(&error))),
            }
            self.absorb(out, records, batches).await;
        }
    }

    async fn absorb(&mut self, out: &mut RecordBatch, records: &mut u64, batches: &Outgoing) {
        *records += out.records.len() as u64 + out.rejects.len() as u64 + out.filtered + out.unchanged;
        self.progress.rows.add(out.rows);
        self.progress.filtered.add(out.filtered + part::keep(self.part, out));
        self.progress.unchanged.add(out.unchanged);
        if self.diff.is_canary() {
            // The run that goes on from here writes them down.
            self.progress.filtered.add(out.rejects.len() as u64);
            out.rejects.clear();
        }
        self.progress.rejected.add(out.rejects.len() as u64);
        if let Some(watch) = &mut self.watch {
            watch(out);
        }
        let mut sorted = Sorted::default();
        self.diff.sort(out, &self.progress, &mut sorted);
        self.reject(out.rejects.iter().chain(&sorted.rejects));
        if !sorted.batches.is_empty() {
            let _ = batches.send(sorted.batches).await;
        }
        if let Some(place) = sorted.moved {
            self.stop.raise(Stopped::Moved(place.to_string()));
        }
        if let Some(max) = &self.max_rejects
            && let Some(why) =
                max.passed(self.progress.rejected.get() + self.progress.failed.get(), self.progress.rows.get())
        {
            self.stop.raise(Stopped::TooManyRejects(why));
        }
    }

    fn reject<'a>(&mut self, rejects: impl Iterator<Item = &'a Reject>) {
        let mut writer =
            self.rejects.as_ref().map(|rejects| rejects.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for reject in rejects {
            if let Some(reasons) = &mut self.reasons {
                reasons.add_reject(reject);
            }
            if let Some(writer) = &mut writer
                && let Err(error) = writer.rejected(reject)
            {
                self.stop.raise(Stopped::LedgerCannotWrite(super::with_causes(&error)));
                return;
            }
        }
    }
}
