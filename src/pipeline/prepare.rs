//! Reads, maps, compares and batches: everything that happens to a row before it is sent.

use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::diff::{Diff, Sorted};
use super::handover::Outgoing;
use super::map::{FromSource, Mapped, Mapping};
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
    /// Where rows are read and mapped; none: where the rest is done, in turn with it.
    pub map_on: Option<Handle>,
    pub compared: Comparison,
}

/// What is done with records once they are mapped.
pub(super) struct Comparison {
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
    /// Records that came out of the mapping.
    pub records: u64,
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
    pub(super) async fn prepare(self, batches: Outgoing) -> Prepared {
        let Self { rows, mapper, map_on, mut compared } = self;
        compared.progress.bytes_total.set(rows.bytes_total().unwrap_or(0));
        let (mapping, source) = Mapping::of(rows, mapper, compared.stop.clone(), map_on.as_ref());
        // In a set, which ends it when this future is dropped.
        let mut reading = JoinSet::new();
        reading.spawn_on(source.in_current_span(), &map_on.unwrap_or_else(Handle::current));
        let complete = compared.read(mapping, &batches).await;
        if let Err(panic) = reading.join_next().await.expect("the set holds a task") {
            std::panic::resume_unwind(panic.into_panic());
        }
        compared.finish(complete, batches).await
    }
}

impl Comparison {
    /// Whether the source was read to its end.
    async fn read(&mut self, mut mapping: Mapping, batches: &Outgoing) -> bool {
        let mut batches_read = 0;
        while let Some(from_source) = mapping.next().await {
            // What was mapped ahead of the reason to stop is the next run's.
            if self.stop.is_raised() {
                return false;
            }
            match from_source {
                FromSource::Mapped(Mapped { mut out, bytes_read, mark }) => {
                    if let Some(bytes) = bytes_read {
                        self.progress.bytes_read.set(bytes);
                    }
                    if mark.is_some() {
                        self.mark = mark;
                    }
                    self.absorb(&mut out, batches).await;
                    mapping.give_back(out);
                    batches_read += 1;
                    if batches_read >= BATCHES_BEFORE_GUESS {
                        self.diff.expect(self.new_records_to_come());
                    }
                }
                FromSource::Broke(why) => {
                    self.stop.raise(why);
                    return false;
                }
                FromSource::End { bytes_total } => {
                    if let Some(bytes) = bytes_total {
                        self.progress.bytes_read.set(bytes);
                    }
                    return true;
                }
            }
        }
        false
    }

    async fn finish(mut self, complete: bool, batches: Outgoing) -> Prepared {
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
            records: self.records,
            complete: complete && !self.stop.is_raised(),
            reasons: self.reasons.map(|groups| groups.into_sorted().0).unwrap_or_default(),
            mark: self.mark,
            unseen: self.diff.unseen(),
            index: self.diff.into_index(),
        }
    }

    /// How many records the ledger will not know, if the rest of the source is like what was read of it; none where its size is not
    /// known.
    fn new_records_to_come(&self) -> usize {
        let (read, total) = (self.progress.bytes_read.get(), self.progress.bytes_total.get());
        let more = u128::from(self.progress.created.get()) * u128::from(total.saturating_sub(read));
        usize::try_from(more / u128::from(read.max(1))).unwrap_or(usize::MAX)
    }

    async fn absorb(&mut self, out: &mut RecordBatch, batches: &Outgoing) {
        self.records += out.records.len() as u64 + out.rejects.len() as u64 + out.filtered + out.unchanged;
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
