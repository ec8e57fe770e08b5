//! Reads a source and maps it, some records at a time: for a run and for its plan.

use std::path::Path;

use crate::mapping::{Mapper, SpillSettings};
use crate::pipeline::step::OpenPaid;
use crate::pipeline::stop::{Stop, Stopped};
use crate::pipeline::with_causes;
use crate::record::RecordBatch;
use crate::source::Rows;

/// The records of a source of paid subscriptions.
pub(in crate::pipeline) struct Records {
    rows: Rows,
    mapper: Mapper,
    has_rows: bool,
    has_more: bool,
    bytes_read: u64,
}

impl Records {
    pub(in crate::pipeline) fn new(step: OpenPaid, spill_dir: &Path) -> Self {
        let mapper = Mapper::new(step.plan, SpillSettings::in_dir(spill_dir));
        Self { rows: step.rows, mapper, has_rows: true, has_more: true, bytes_read: 0 }
    }

    /// Bytes of the source that the records until now came out of, and all of its bytes; `None` where it has no length.
    pub(in crate::pipeline) fn bytes(&self) -> Option<(u64, u64)> {
        self.rows.bytes_total().map(|total| (self.bytes_read, total))
    }

    /// Fills `out` with what comes next; whether there was something. Ends early when the run stops, and stops the run
    /// where the source breaks or the mapping can't go on. Cancel safe: rows are taken only to be mapped at once.
    pub(in crate::pipeline) async fn next(&mut self, out: &mut RecordBatch, stop: &Stop) -> bool {
        out.clear();
        if stop.is_raised() {
            return false;
        }
        let mut mapped = Ok(());
        if self.has_rows {
            let next = tokio::select! {
                biased;
                () = stop.raised() => return false,
                next = self.rows.next() => next,
            };
            match next {
                Ok(Some(rows)) => {
                    self.bytes_read = rows.bytes_read().unwrap_or(self.bytes_read);
                    mapped = self.mapper.apply(&rows, out);
                }
                Ok(None) => {
                    self.has_rows = false;
                    // What comes after the last row belongs to no batch.
                    self.bytes_read = self.rows.bytes_total().unwrap_or(self.bytes_read);
                }
                Err(error) => {
                    // What the mapper still holds (an open group, totals) is incomplete and is not sent.
                    stop.raise(Stopped::SourceBroke(with_causes(&error)));
                    return false;
                }
            }
        } else if self.has_more {
            mapped = self.mapper.finish(out).map(|again| self.has_more = again);
        } else {
            return false;
        }
        if let Err(error) = mapped {
            stop.raise(Stopped::SpillFailed(with_causes(&error)));
            return false;
        }
        true
    }
}
