//! Totals over event rows (`aggregate`), in bounded memory.
//!
//! Totals are kept in a map until it is full, then written to disk as a sorted run; runs are
//! merged at the end. Numbers are added exactly, so neither the budget nor the order of merging
//! changes a total.

mod distinct;
mod hash;
mod runs;
mod total;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::entity::{self, Entity, KEY_SEPARATOR, Kind};
use crate::record::{Fingerprint, KeyHash, Origin, OriginId, Place, Record, RecordBatch, Reject, Row};

use super::json;
use super::number::Decimal;
use super::spec::How;
use super::time::Civil;

use distinct::{Distinct, Identity, Late, Resolve, Sight};
use hash::SeededHash;
pub use runs::SpillError;
use runs::{Merge, Runs};
use total::{Spot, Total, take};

/// Totals or decisions that one call of `finish` makes at most.
const STEP: usize = 4096;

/// Bytes that an entry of the map takes beside its key and total, about.
const ENTRY_BYTES: usize = 48;

/// Where totals go that do not fit into memory.
#[derive(Debug, Clone)]
pub struct SpillSettings {
    /// The folder of the temporary files; it exists. They are readable by their owner only and
    /// vanish with the mapper.
    pub dir: PathBuf,
    /// Most bytes of memory for open totals and known identifiers, about.
    pub memory_bytes_max: usize,
}

impl SpillSettings {
    /// Default of `memory_bytes_max`: 16 MiB.
    pub const MEMORY_BYTES_MAX: usize = 16 << 20;

    /// Temporary files in `dir`, and the default budget.
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), memory_bytes_max: Self::MEMORY_BYTES_MAX }
    }
}

/// What one row adds: values for keys.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub keys: String,
    pub values: Vec<EventValue>,
}

/// One event of a row.
#[derive(Debug, Clone)]
pub(super) struct EventValue {
    /// Its key's text in [`Events::keys`].
    pub key: std::ops::Range<usize>,
    pub value: Decimal,
    pub created_ms: Option<i64>,
    pub order: i64,
}

/// All totals of a mapping.
#[derive(Debug)]
pub(super) struct Totals {
    how: How,
    budget_bytes: usize,
    open: HashMap<Box<[u8]>, Total, SeededHash>,
    open_bytes: usize,
    runs: Runs,
    distinct: Option<Distinct>,
    /// The column of identifiers.
    id_column: Box<str>,
    sources: Vec<Arc<str>>,
    seq: u64,
    stage: Stage,
    packed: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    Collecting,
    Resolving(Resolve),
    /// From memory, last first.
    Draining(Vec<(Box<[u8]>, Total)>),
    Merging {
        merge: Merge,
        next: Option<(Vec<u8>, Total)>,
    },
    Done,
}

impl Totals {
    pub fn new(how: How, id_column: Option<&str>, settings: &SpillSettings) -> Self {
        let budget = settings.memory_bytes_max;
        let budget_bytes = if id_column.is_some() { budget / 2 } else { budget };
        Self {
            how,
            budget_bytes,
            open: HashMap::default(),
            open_bytes: 0,
            runs: Runs::new(&settings.dir),
            distinct: id_column.map(|_| Distinct::new(&settings.dir, budget_bytes)),
            id_column: id_column.unwrap_or("").into(),
            sources: Vec::new(),
            seq: 0,
            stage: Stage::Collecting,
            packed: Vec::new(),
        }
    }

    /// Counts what a row adds, unless it repeats an event. `content` is the hash of the row.
    pub fn add(
        &mut self,
        row: Row<'_>,
        identity: Option<(&str, u64)>,
        events: &Events,
        out: &mut RecordBatch,
    ) -> Result<(), SpillError> {
        let spot = self.spot(row);
        if let (Some(distinct), Some((id, content))) = (&mut self.distinct, identity) {
            let identity = Identity::of(id, content);
            match distinct.sight(identity, spot)? {
                Sight::New => {}
                Sight::Repeat => {
                    out.unchanged += 1;
                    return Ok(());
                }
                Sight::Conflict(first) => {
                    let reason = conflict(&self.place(first));
                    out.rejects.push(Reject::of_row(row, Some(&self.id_column), Some(id), reason));
                    return Ok(());
                }
                Sight::Later => {
                    self.packed.clear();
                    for event in &events.values {
                        let key = &events.keys[event.key.clone()];
                        self.packed.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
                        self.packed.extend_from_slice(key.as_bytes());
                        Total::of(event.value, event.order, event.created_ms, spot).pack(&mut self.packed);
                    }
                    return distinct.later(identity, spot, &self.packed);
                }
            }
        }
        for event in &events.values {
            let key = events.keys[event.key.clone()].as_bytes();
            match self.open.get_mut(key) {
                Some(total) => {
                    let before = total.memory_bytes();
                    total.add(self.how, event.value, event.order, event.created_ms, spot);
                    self.open_bytes += total.memory_bytes() - before;
                }
                None => self.open(key, Total::of(event.value, event.order, event.created_ms, spot))?,
            }
        }
        Ok(())
    }

    fn spot(&mut self, row: Row<'_>) -> Spot {
        let place = row.place();
        // Sources come one after the other.
        if self.sources.last().is_none_or(|source| *source != place.source) {
            self.sources.push(place.source);
        }
        self.seq += 1;
        let source = u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX);
        Spot { seq: self.seq, source, record: place.record, line: place.line }
    }

    fn place(&self, spot: Spot) -> Place {
        let source = self.sources.get(spot.source as usize).cloned().unwrap_or_else(|| "".into());
        Place { source, record: spot.record, line: spot.line }
    }

    /// Opens a total; the map is written out first where it is full.
    fn open(&mut self, key: &[u8], total: Total) -> Result<(), SpillError> {
        let bytes = key.len() + total.memory_bytes() + ENTRY_BYTES;
        if self.open_bytes + bytes > self.budget_bytes && !self.open.is_empty() {
            self.spill()?;
        }
        self.open_bytes += bytes;
        self.open.insert(key.into(), total);
        Ok(())
    }

    fn spill(&mut self) -> Result<(), SpillError> {
        let open = std::mem::take(&mut self.open);
        self.open_bytes = 0;
        let mut sorted: Vec<(Box<[u8]>, Total)> = open.into_iter().collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut packed = Vec::new();
        let mut ranges = Vec::with_capacity(sorted.len());
        for (_, total) in &sorted {
            let start = packed.len();
            total.pack(&mut packed);
            ranges.push(start..packed.len());
        }
        self.runs.write(sorted.iter().zip(ranges).map(|((key, _), range)| (&**key, &packed[range])))
    }

    /// Gives out some totals. `true`: there is more to come.
    pub fn finish(&mut self, out: &mut RecordBatch) -> Result<bool, SpillError> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Collecting => {
                self.stage = match self.distinct.take().map(Distinct::resolve).transpose()?.flatten() {
                    Some(resolve) => Stage::Resolving(resolve),
                    None => self.drain()?,
                };
                Ok(true)
            }
            Stage::Resolving(mut resolve) => {
                self.stage = if self.resolve(&mut resolve, out)? { Stage::Resolving(resolve) } else { self.drain()? };
                Ok(true)
            }
            Stage::Draining(mut totals) => {
                let rest = totals.len().saturating_sub(STEP);
                for (key, total) in totals.drain(rest..).rev() {
                    self.give(&key, &total, out);
                }
                self.stage = if rest > 0 { Stage::Draining(totals) } else { Stage::Done };
                Ok(rest > 0)
            }
            Stage::Merging { mut merge, mut next } => {
                let more = self.merge(&mut merge, &mut next, out)?;
                if more {
                    self.stage = Stage::Merging { merge, next };
                }
                Ok(more)
            }
            Stage::Done => Ok(false),
        }
    }

    fn resolve(&mut self, resolve: &mut Resolve, out: &mut RecordBatch) -> Result<bool, SpillError> {
        for _ in 0..STEP {
            match resolve.next()? {
                None => return Ok(false),
                Some(Late::Repeat) => out.unchanged += 1,
                Some(Late::Conflict { id, at, first }) => out.rejects.push(Reject {
                    place: self.place(at),
                    field: Some(self.id_column.to_string()),
                    value: Some(id),
                    reason: conflict(&self.place(first)),
                    columns: Arc::from([]),
                    rows: Vec::new(),
                }),
                Some(Late::New(mut adds)) => {
                    while let Some(length) = take(&mut adds) {
                        let length = u32::from_le_bytes(length) as usize;
                        let Some((key, rest)) = adds.split_at_checked(length) else { break };
                        adds = rest;
                        let Some(total) = Total::unpack(&mut adds) else { break };
                        match self.open.get_mut(key) {
                            Some(known) => {
                                let before = known.memory_bytes();
                                known.absorb(self.how, &total);
                                self.open_bytes += known.memory_bytes() - before;
                            }
                            None => self.open(key, total)?,
                        }
                    }
                }
            }
        }
        Ok(true)
    }

    fn drain(&mut self) -> Result<Stage, SpillError> {
        if self.runs.is_empty() {
            let mut totals: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
            totals.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
            return Ok(Stage::Draining(totals));
        }
        self.spill()?;
        let dir = Runs::new(Path::new(""));
        let merge = std::mem::replace(&mut self.runs, dir).merge()?;
        Ok(Stage::Merging { merge, next: None })
    }

    fn merge(
        &mut self,
        merge: &mut Merge,
        next: &mut Option<(Vec<u8>, Total)>,
        out: &mut RecordBatch,
    ) -> Result<bool, SpillError> {
        let (mut key, mut payload) = (Vec::new(), Vec::new());
        let mut given = 0;
        while given < STEP {
            if !merge.next(&mut key, &mut payload)? {
                if let Some((key, total)) = next.take() {
                    self.give(&key, &total, out);
                }
                return Ok(false);
            }
            let Some(total) = Total::unpack(&mut &payload[..]) else { continue };
            match next {
                Some((known, sum)) if *known == key => sum.absorb(self.how, &total),
                _ => {
                    if let Some((key, total)) = next.replace((key.clone(), total)) {
                        self.give(&key, &total, out);
                        given += 1;
                    }
                }
            }
        }
        Ok(true)
    }

    /// One total: a record, or a reject where the API would not take it.
    fn give(&self, key: &[u8], total: &Total, out: &mut RecordBatch) {
        let Ok(key) = std::str::from_utf8(key) else { return };
        let records = total.records();
        let origin = Origin::total(self.place(total.first), total.rows, records.clone());
        let value = total.value.to_string();
        let fields = Entity::Usage.fields();
        let kind = fields
            .iter()
            .find(|field| field.name == "value")
            .map_or(Kind::Number { min: None, max: None, whole: false }, |field| field.kind);
        if let Err(misfit) = entity::check(&kind, &value) {
            let numbers: Vec<String> = records.iter().map(u64::to_string).collect();
            let more = if total.rows > records.len() as u64 { ", …" } else { "" };
            let reason =
                format!("the total of {} rows {misfit}; it is of records {}{more}", total.rows, numbers.join(", "));
            out.rejects.push(Reject::of_origin(&origin, Some("value"), Some(&value), reason));
            return;
        }
        let start = out.json.len();
        let mut parts = key.split(KEY_SEPARATOR);
        out.json.push(b'{');
        for field in fields {
            let name = field.name;
            let lead = |out: &mut Vec<u8>| {
                json::comma(out);
                json::string(out, name);
                out.push(b':');
            };
            if Entity::Usage.key_fields().contains(&name) {
                if let Some(part) = parts.next().filter(|part| !part.is_empty()) {
                    lead(&mut out.json);
                    json::string(&mut out.json, part);
                }
            } else if name == "value" {
                lead(&mut out.json);
                out.json.extend_from_slice(value.as_bytes());
            } else if let Kind::Fixed(constant) = field.kind {
                lead(&mut out.json);
                json::constant(&mut out.json, constant);
            } else if name == "createdAt"
                && let Some(iso) = total.created_ms.and_then(Civil::of_unix_ms).and_then(|civil| civil.iso())
            {
                lead(&mut out.json);
                json::string(&mut out.json, std::str::from_utf8(iso.as_bytes()).unwrap_or(""));
            }
        }
        out.json.push(b'}');
        let key_start = out.keys.len();
        out.keys.push_str(key);
        let origin = out.origins.add(origin);
        push(out, start, key_start, origin);
    }
}

fn conflict(first: &Place) -> String {
    format!("is the identifier of another event too, with other content: {first}")
}

/// Appends the record whose JSON and key were written from these places on.
pub(super) fn push(out: &mut RecordBatch, json_start: usize, key_start: usize, origin: OriginId) {
    let end = |at: usize| u32::try_from(at).expect("a batch's records stay under 4 GiB");
    let (json, key) = (json_start..out.json.len(), key_start..out.keys.len());
    out.records.push(Record {
        hash: KeyHash::of(&out.keys[key.clone()]),
        fingerprint: Fingerprint::of(&out.json[json.clone()]),
        json: end(json.start)..end(json.end),
        key: end(key.start)..end(key.end),
        origin,
    });
    // As a request's list has it, so that many records are copied into one together.
    out.json.push(b',');
}
