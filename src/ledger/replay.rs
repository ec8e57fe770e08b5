//! From segments and batches, in the order in which they were opened, to what the API is known to have.
//!
//! Taking records into an index costs as much as reading and checking what they are stored in, so that a large ledger's are taken in
//! by a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::Index;
use super::segment::{State, Stored, unpack, unpack_segment};
use crate::record::{Fingerprint, KeyHash};

/// Of so many records that are known, one is collected before the index takes them in: the more there are, the more of them are
/// near to each other in it. Three times 20 bytes for each: what is collected, what is taken in meanwhile, and a copy that is sorted.
const LEARNED_SHARE: usize = 32;

/// Where the index is small it is in the processor's cache anyway, and no fewer are collected, 80 KB at a time: a schedule's ledger
/// takes no more memory when the records of later runs lie over those of the first.
const LEARNED_MIN: usize = 1 << 12;

/// Builds an index: first takes all segments, then all batches that are in none.
pub(super) struct Replay {
    index: Place,
    learned: Vec<(KeyHash, Fingerprint)>,
    /// Number of collected records from which the index takes them in.
    learned_max: usize,
}

/// Where the index is.
enum Place {
    Here(Index),
    /// On a thread that takes in what it is sent, and gives the index back when there is no more.
    There {
        lessons: SyncSender<Lesson>,
        learner: JoinHandle<Index>,
    },
}

/// What the index takes in.
enum Lesson {
    /// These were accepted.
    Accepted(Vec<(KeyHash, Fingerprint)>),
    /// What became of each of these.
    Each(Vec<(KeyHash, Fingerprint, State)>),
}

impl Lesson {
    fn teach(self, index: &mut Index) {
        match self {
            Self::Accepted(records) => index.learn_all(&records),
            Self::Each(records) => records.into_iter().for_each(|(hash, fingerprint, state)| match state {
                State::Accepted => index.learn(hash, fingerprint),
                State::Open | State::NeverKnown => index.doubt(hash),
                State::Failed => {}
            }),
        }
    }
}

impl Replay {
    pub(super) fn with_room(records: usize) -> Self {
        let learned_max = (records / LEARNED_SHARE).max(LEARNED_MIN);
        Self { index: Place::Here(Index::with_room(records)), learned: Vec::new(), learned_max }
    }

    /// Takes a segment's batches that are `wanted`; `false` where its bytes are damaged.
    pub(super) fn segment(&mut self, items: &[u8], wanted: impl Fn(u64) -> bool) -> bool {
        unpack_segment(items, |batch, items| {
            if wanted(batch) {
                self.collect(items);
            }
        })
    }

    pub(super) fn batch(&mut self, stored: &Stored<'_>) {
        if stored.states.is_none() {
            self.collect(stored.items);
        } else {
            self.flush(); // what came before has to be known before it is doubted
            self.index.teach(Lesson::Each(stored.records().collect()));
        }
    }

    pub(super) fn index(mut self) -> Index {
        self.flush();
        match self.index {
            Place::Here(index) => index,
            Place::There { lessons, learner } => {
                drop(lessons);
                learner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        }
    }

    fn collect(&mut self, items: &[u8]) {
        self.learned.extend(unpack(items));
        if self.learned.len() >= self.learned_max {
            self.index.move_there();
            self.flush();
        }
    }

    fn flush(&mut self) {
        match &mut self.index {
            _ if self.learned.is_empty() => {}
            Place::Here(index) => {
                index.learn_all(&self.learned);
                self.learned.clear();
            }
            Place::There { .. } => {
                let next = Vec::with_capacity(self.learned.len());
                let learned = std::mem::replace(&mut self.learned, next);
                self.index.teach(Lesson::Accepted(learned));
            }
        }
    }
}

impl Place {
    /// Moves the index to a thread of its own, where it is not there yet; it stays where the system gives none.
    fn move_there(&mut self) {
        let Self::Here(index) = self else { return };
        // Handed over only to a thread that there is.
        let (handed, to_hand): (_, Receiver<Index>) = sync_channel(1);
        // None waits: while one lesson is learned, the next is collected.
        let (lessons, learned) = sync_channel::<Lesson>(0);
        let learn = move || {
            let mut index = to_hand.recv().unwrap_or_default();
            learned.into_iter().for_each(|lesson| lesson.teach(&mut index));
            index
        };
        if let Ok(learner) = thread::Builder::new().name("index".to_owned()).spawn(learn) {
            let _ = handed.send(std::mem::take(index));
            *self = Self::There { lessons, learner };
        }
    }

    fn teach(&mut self, lesson: Lesson) {
        match self {
            Self::Here(index) => lesson.teach(index),
            // It ends only when there is no more, or by a panic, which `index` goes on with.
            Self::There { lessons, .. } => drop(lessons.send(lesson)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a schedule's ledger, a thousand records of which later runs change a part, then the index is right and room for
    /// what is collected stays that of the first run.
    #[test]
    fn what_lies_over_the_first_run_takes_no_more_memory() {
        let record = |key: u64, content: u64| {
            let mut packed = KeyHash::of(&key.to_string()).to_bytes().to_vec();
            packed.extend_from_slice(&content.to_le_bytes());
            packed
        };
        let mut replay = Replay::with_room(10_000);
        let mut collect = |keys: std::ops::Range<u64>, content: u64| {
            let items: Vec<u8> = keys.flat_map(|key| record(key, content)).collect();
            replay.batch(&Stored { id: content, items: &items, states: None });
            replay.learned.capacity()
        };
        for part in 0..10 {
            collect(part * 1_000..(part + 1) * 1_000, 1);
        }
        let first = collect(0..100, 2);
        let last = (3..1_000).map(|run| collect(run * 10..run * 10 + 10, run)).max();
        assert!(first <= 2 * (LEARNED_MIN + 1_000), "{first} records");
        assert_eq!(last, Some(first));

        let known = replay.index().known_fingerprints();
        assert_eq!(known.len(), 10_000);
        let content = |key: u64| known[&KeyHash::of(&key.to_string())].0;
        assert_eq!([0, 29, 30, 9_999].map(content), [2, 2, 3, 999]);
    }

    /// Given more records than one lesson has, of which some come again with other content, in doubt, or refused, then the index that
    /// a thread of its own has made knows what one that took them one by one does.
    #[test]
    fn what_is_taken_in_on_a_thread_of_its_own_keeps_its_order() {
        let items = |keys: &[u64], content: u64| -> Vec<u8> {
            let pack = |key: &u64| [&KeyHash::of(&key.to_string()).to_bytes()[..], &content.to_le_bytes()].concat();
            keys.iter().flat_map(pack).collect()
        };
        let (mut replay, mut index) = (Replay::with_room(20_000), Index::new());
        for batch in 0..400u64 {
            // Every third again from the batch before; every seventieth batch says what became of each.
            let keys: Vec<u64> = (0..100)
                .map(|number| batch * 100 + number - if number % 3 == 0 { 50 } else { 0 }.min(batch * 100))
                .collect();
            let states = [State::Accepted, State::Open, State::NeverKnown, State::Failed];
            let states =
                (batch % 70 == 69).then(|| keys.iter().map(|key| states[*key as usize % 4]).collect::<Vec<_>>());
            let items = items(&keys, batch);
            for (at, key) in keys.iter().enumerate() {
                let hash = KeyHash::of(&key.to_string());
                match states.as_ref().map_or(State::Accepted, |states| states[at]) {
                    State::Accepted => index.learn(hash, Fingerprint(batch)),
                    State::Open | State::NeverKnown => index.doubt(hash),
                    State::Failed => {}
                }
            }
            replay.batch(&Stored { id: batch, items: &items, states });
        }
        assert!(matches!(replay.index, Place::There { .. }));
        let replayed = replay.index();
        assert_eq!((replayed.len(), replayed.known_fingerprints()), (index.len(), index.known_fingerprints()));
        assert!(index.known_fingerprints().len() < index.len(), "some are in doubt");
    }
}
