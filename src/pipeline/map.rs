//! Reads and maps. On a thread of its own it is some batches of rows ahead of whoever compares what comes out of it; on the same one
//! they take turns, and what one has written is in the processor's cache for the other.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::stop::{Stop, Stopped};
use crate::mapping::Mapper;
use crate::record::RecordBatch;
use crate::source::Rows;

/// Batches of records that there are where another thread maps: one is written, one waits, one is compared.
const BATCHES_APART: usize = 3;

/// What the mapping made of a batch of rows, or of what it had kept until the end.
pub(super) struct Mapped {
    pub out: RecordBatch,
    /// How much of the source was read with it, where that is known.
    pub bytes_read: Option<u64>,
    /// How far the source has come with it, where it says so.
    pub mark: Option<String>,
}

/// In the order of the source. No more of them, before the end: the run stops.
pub(super) enum FromSource {
    Mapped(Mapped),
    /// Nothing comes any more, and this is why. What the mapping still held is incomplete, and is not sent.
    Broke(Stopped),
    /// All has come.
    End {
        /// Size of the source, where it is known: what comes after the last row belongs to no batch of them.
        bytes_total: Option<u64>,
    },
}

/// What comes, and what it came in.
pub(super) struct Mapping {
    from_source: mpsc::Receiver<FromSource>,
    empty: mpsc::Sender<RecordBatch>,
}

impl Mapping {
    /// Returns what comes, and what makes it come; the latter is to be spawned on `apart`, or on the thread that takes it.
    pub(super) fn of(
        rows: Rows,
        mapper: Mapper,
        stop: Arc<Stop>,
        apart: Option<&Handle>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let batches = if apart.is_some() { BATCHES_APART } else { 1 };
        let (sender, from_source) = mpsc::channel(batches);
        let (empty, empties) = mpsc::channel(batches);
        for _ in 0..batches {
            empty.try_send(RecordBatch::default()).expect("there is room for each");
        }
        (Self { from_source, empty }, Source { rows, mapper, stop, sender, empties }.run())
    }

    /// The next; none where the run stops.
    pub(super) async fn next(&mut self) -> Option<FromSource> {
        self.from_source.recv().await
    }

    /// Gives back what a batch came in: it is filled again.
    pub(super) fn give_back(&self, mut out: RecordBatch) {
        out.clear();
        // Where the source has come to its end, nobody needs it.
        let _ = self.empty.try_send(out);
    }
}

struct Source {
    rows: Rows,
    mapper: Mapper,
    stop: Arc<Stop>,
    sender: mpsc::Sender<FromSource>,
    empties: mpsc::Receiver<RecordBatch>,
}

impl Source {
    async fn run(mut self) {
        let last = match self.read().await {
            Ok(true) => FromSource::End { bytes_total: self.rows.bytes_total() },
            Ok(false) => return,
            Err(why) => FromSource::Broke(why),
        };
        // Where nobody listens any more, the run is gone.
        let _ = self.sender.send(last).await;
    }

    /// Whether all has come, and not the run stopped.
    async fn read(&mut self) -> Result<bool, Stopped> {
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.raised() => return Ok(false),
                next = self.rows.next() => next,
            };
            let Some(rows) = next.map_err(|error| Stopped::SourceBroke(super::with_causes(&error)))? else { break };
            let Some(mut out) = self.empties.recv().await else { return Ok(false) };
            self.mapper.apply(&rows, &mut out).map_err(spill_failed)?;
            let (bytes_read, mark) = (rows.bytes_read(), rows.mark().map(str::to_owned));
            if !self.send(Mapped { out, bytes_read, mark }).await {
                return Ok(false);
            }
        }
        let mut more = true;
        while more {
            let Some(mut out) = self.empties.recv().await else { return Ok(false) };
            if self.stop.is_raised() {
                return Ok(false);
            }
            more = self.mapper.finish(&mut out).map_err(spill_failed)?;
            if !self.send(Mapped { out, bytes_read: None, mark: None }).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn send(&self, mapped: Mapped) -> bool {
        self.sender.send(FromSource::Mapped(mapped)).await.is_ok()
    }
}

fn spill_failed(error: impl std::error::Error) -> Stopped {
    Stopped::SpillFailed(super::with_causes(&error))
}
