//! Which events are repeats of an event that was counted.
//!
//! While the identifiers fit into memory, each event is decided at once. When they don't, they go
//! to disk as counted, every later event waits there with what it adds, and all are decided when
//! they are merged by identifier: the first one counts, whatever the budget.

use std::collections::HashMap;
use std::path::Path;

use super::hash::SeededHash;
use super::runs::{Merge, Runs, SpillError};
use super::total::{Spot, take};

/// Bytes that one known identifier takes in memory, about, with the map's spare room.
const SEEN_BYTES: usize = 112;

/// Most characters of an identifier that are kept for a reject.
const ID_CHARS_MAX: usize = 200;

/// An event's identity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub id: &'a str,
    pub hash: u128,
    /// Over everything that the mapping reads of the row.
    pub content: u64,
}

impl<'a> Identity<'a> {
    pub fn of(id: &'a str, content: u64) -> Self {
        Self { id, hash: xxhash_rust::xxh3::xxh3_128(id.as_bytes()), content }
    }
}

/// What is known of an event at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It counts.
    New,
    /// It repeats an event.
    Repeat,
    /// An event of the same identifier, but other content, was counted.
    Conflict(Spot),
    /// It is decided later, and what it adds has to be handed over.
    Later,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    content: u64,
    spot: Spot,
}

/// Identifiers seen so far.
#[derive(Debug)]
pub(super) struct Distinct {
    budget_bytes: usize,
    seen: HashMap<u128, Seen, SeededHash>,
    runs: Runs,
    deferred: bool,
    waiting: Vec<(Key, std::ops::Range<usize>)>,
    payloads: Vec<u8>,
}

type Key = [u8; 24];

/// A decision that came later.
#[derive(Debug)]
pub(super) enum Late<'a> {
    /// It counts: what it adds.
    New(&'a [u8]),
    Repeat,
    Conflict {
        id: String,
        at: Spot,
        first: Spot,
    },
}

impl Distinct {
    pub fn new(dir: &Path, budget_bytes: usize) -> Self {
        Self {
            budget_bytes,
            seen: HashMap::default(),
            runs: Runs::new(dir),
            deferred: false,
            waiting: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// Looks at an event.
    pub fn sight(&mut self, identity: Identity<'_>, spot: Spot) -> Result<Sight, SpillError> {
        if self.deferred {
            return Ok(Sight::Later);
        }
        if let Some(seen) = self.seen.get(&identity.hash) {
            let same = seen.content == identity.content;
            return Ok(if same { Sight::Repeat } else { Sight::Conflict(seen.spot) });
        }
        if (self.seen.len() + 1) * SEEN_BYTES > self.budget_bytes {
            self.defer()?;
            return Ok(Sight::Later);
        }
        self.seen.insert(identity.hash, Seen { content: identity.content, spot });
        Ok(Sight::New)
    }

    /// Puts what was decided on disk, as counted.
    fn defer(&mut self) -> Result<(), SpillError> {
        self.deferred = true;
        let seen = std::mem::take(&mut self.seen);
        for (hash, Seen { content, spot }) in seen {
            // It was counted: it adds nothing any more.
            self.wait(Identity { id: "", hash, content }, spot, &[]);
        }
        self.write()
    }

    /// Keeps an undecided event with what it adds.
    pub fn later(&mut self, identity: Identity<'_>, spot: Spot, adds: &[u8]) -> Result<(), SpillError> {
        self.wait(identity, spot, adds);
        if self.payloads.len() + self.waiting.len() * size_of::<(Key, std::ops::Range<usize>)>() > self.budget_bytes {
            self.write()?;
        }
        Ok(())
    }

    fn wait(&mut self, identity: Identity<'_>, spot: Spot, adds: &[u8]) {
        let mut key = [0; 24];
        key[..16].copy_from_slice(&identity.hash.to_be_bytes());
        key[16..].copy_from_slice(&spot.seq.to_be_bytes());
        let id: String = identity.id.chars().take(ID_CHARS_MAX).collect();
        let start = self.payloads.len();
        self.payloads.extend_from_slice(&identity.content.to_le_bytes());
        spot.pack(&mut self.payloads);
        self.payloads.extend_from_slice(&(id.len() as u16).to_le_bytes());
        self.payloads.extend_from_slice(id.as_bytes());
        self.payloads.extend_from_slice(adds);
        self.waiting.push((key, start..self.payloads.len()));
    }

    fn write(&mut self) -> Result<(), SpillError> {
        self.waiting.sort_unstable_by_key(|(key, _)| *key);
        let entries = self.waiting.iter().map(|(key, range)| (&key[..], &self.payloads[range.clone()]));
        self.runs.write(entries)?;
        self.waiting.clear();
        self.payloads.clear();
        Ok(())
    }

    /// All that is still undecided. `None`: nothing is.
    pub fn resolve(mut self) -> Result<Option<Resolve>, SpillError> {
        if !self.waiting.is_empty() {
            self.write()?;
        }
        if self.runs.is_empty() {
            return Ok(None);
        }
        Ok(Some(Resolve { merge: self.runs.merge()?, key: Vec::new(), payload: Vec::new(), first: None }))
    }
}

/// Decides the events that had to wait.
#[derive(Debug)]
pub(super) struct Resolve {
    merge: Merge,
    key: Vec<u8>,
    payload: Vec<u8>,
    /// The hash of the identifier at hand, and its first event.
    first: Option<([u8; 16], Seen)>,
}

impl Resolve {
    /// The next decision. `None`: there is no more. What was counted before is new and adds nothing.
    pub fn next(&mut self) -> Result<Option<Late<'_>>, SpillError> {
        loop {
            if !self.merge.next(&mut self.key, &mut self.payload)? {
                return Ok(None);
            }
            let (hash, event) = (Self::hash(&self.key), Entry::read(&self.payload));
            let Some((hash, event)) = hash.zip(event) else { continue };
            match &self.first {
                Some((known, first)) if *known == hash => {
                    if first.content == event.content {
                        return Ok(Some(Late::Repeat));
                    }
                    let id = String::from_utf8_lossy(event.id).into_owned();
                    return Ok(Some(Late::Conflict { id, at: event.spot, first: first.spot }));
                }
                _ => {
                    self.first = Some((hash, Seen { content: event.content, spot: event.spot }));
                    let adds = self.payload.len() - event.adds.len();
                    return Ok(Some(Late::New(&self.payload[adds..])));
                }
            }
        }
    }

    fn hash(key: &[u8]) -> Option<[u8; 16]> {
        key.first_chunk().copied()
    }
}

struct Entry<'a> {
    content: u64,
    spot: Spot,
    id: &'a [u8],
    adds: &'a [u8],
}

impl<'a> Entry<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let content = u64::from_le_bytes(take(&mut bytes)?);
        let spot = Spot::unpack(&mut bytes)?;
        let (id, adds) = bytes.get(2..)?.split_at_checked(u16::from_le_bytes([bytes[0], bytes[1]]).into())?;
        Some(Self { content, spot, id, adds })
    }
}
