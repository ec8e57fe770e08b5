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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::FixedClock;
    use crate::mapping::{self, SpillSettings};
    use crate::record::Place;
    use crate::source::{BrokeProblem, CsvOptions, SourceError, open_csv_reader};

    const CUSTOMERS: &str = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n";

    /// Rows of so many customers, two in each batch, and what maps them.
    async fn customers(count: usize, broke: Option<SourceError>) -> (Rows, Mapper) {
        let csv: String =
            std::iter::once("id\n".to_owned()).chain((0..count).map(|number| format!("cus-{number}\n"))).collect();
        let options = CsvOptions { batch_rows: 2, delimiter: Some(b','), ..CsvOptions::default() };
        let mut rows = open_csv_reader("a.csv", std::io::Cursor::new(csv.into_bytes()), &options).await.expect("opens");
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await.expect("is read") {
            batches.push(batch);
        }
        let columns = Arc::clone(rows.columns());
        let mapping = mapping::parse("m.toml", CUSTOMERS, Path::new("")).expect("the mapping holds");
        let clock = FixedClock::at("2026-06-30T12:00:00Z".parse().expect("a time"));
        let plan = mapping::compile(&mapping, &columns, &clock).expect("fits");
        let spill = SpillSettings::in_dir(Path::new("."));
        (Rows::in_memory(columns, batches, broke), Mapper::new(Arc::new(plan), spill))
    }

    /// Lets others work until they wait.
    async fn until_all_wait() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn first_key(from_source: Option<FromSource>) -> (String, RecordBatch) {
        let Some(FromSource::Mapped(Mapped { out, .. })) = from_source else { panic!("records come") };
        assert_eq!(out.records.len(), 2, "and none of a batch before");
        (out.key_of(&out.records[0]).to_owned(), out)
    }

    #[tokio::test]
    async fn apart_it_is_three_batches_ahead_and_otherwise_in_turn() {
        for (apart, ahead) in [(Some(Handle::current()), 3), (None, 1)] {
            let (rows, mapper) = customers(20, None).await;
            let (mut mapping, source) = Mapping::of(rows, mapper, Arc::default(), apart.as_ref());
            let reading = tokio::spawn(source);
            let mut taken = Vec::new();
            for number in 0..ahead {
                until_all_wait().await;
                assert_eq!(mapping.from_source.len(), ahead - number);
                let (key, out) = first_key(mapping.next().await);
                assert_eq!(key, format!("cus-{}", 2 * number));
                taken.push(out);
            }
            // When: what one of them came in is given back, then it is filled again.
            until_all_wait().await;
            assert_eq!(mapping.from_source.len(), 0);
            mapping.give_back(taken.remove(0));
            assert_eq!(first_key(mapping.next().await).0, format!("cus-{}", 2 * ahead));
            // And when nobody takes them any more, reading ends.
            drop(mapping);
            reading.await.expect("ends");
        }
    }

    #[tokio::test]
    async fn all_that_was_read_comes_before_the_end_and_before_a_break() {
        let place = Place { source: "a.csv".into(), record: 8, line: 9 };
        let problem = BrokeProblem::Io(std::io::Error::other("the disk is gone"));
        let broke = SourceError::Broke { place, problem };
        for broke in [None, Some(broke)] {
            let is_broken = broke.is_some();
            let (rows, mapper) = customers(8, broke).await;
            let (mut mapping, source) = Mapping::of(rows, mapper, Arc::default(), None);
            let reading = tokio::spawn(source);
            let mut records = 0;
            let last = loop {
                match mapping.next().await.expect("it says how it ends") {
                    FromSource::Mapped(Mapped { out, .. }) => {
                        records += out.records.len();
                        mapping.give_back(out);
                    }
                    last => break last,
                }
            };
            assert_eq!(records, 8);
            match last {
                FromSource::End { .. } => assert!(!is_broken),
                FromSource::Broke(why) => assert!(is_broken && matches!(why, Stopped::SourceBroke(_))),
                FromSource::Mapped(_) => unreachable!("is none"),
            }
            reading.await.expect("ends");
        }
    }

    #[tokio::test]
    async fn a_run_that_stops_reads_no_further() {
        let (rows, mapper) = customers(20, None).await;
        let stop = Arc::new(Stop::default());
        let (mut mapping, source) = Mapping::of(rows, mapper, stop.clone(), None);
        let reading = tokio::spawn(source);
        let (_, out) = first_key(mapping.next().await);
        stop.raise(Stopped::Interrupted);
        mapping.give_back(out);
        let mut more = 0;
        while mapping.next().await.is_some() {
            more += 1;
        }
        assert!(more <= 1, "what was being mapped, and nothing about an end: {more}");
        reading.await.expect("ends");
    }
}
