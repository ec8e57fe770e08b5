//! When a batch closes: at a number of records, or before it would pass a number of bytes.

use std::vec::Drain;

use super::{Batch, Buffers, Item, Spares};
use crate::entity::Entity;
use crate::record::{Fingerprint, KeyHash, Origin, Origins, Record, RecordBatch};

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most records.
    pub records_max: usize,
    /// Most bytes of the records' JSON with the commas between them, the envelope not counted.
    pub body_bytes_max: usize,
}

impl BatchLimits {
    /// Most bytes of a request's records. The API publishes no limit; 1 MB is what it takes for one
    /// event (`reportEvent`, GraphQL schema 6.25.0), and common gateways stop at a few MB.
    pub const BODY_BYTES_MAX: usize = 1_000_000;

    /// The API's limits for an entity.
    ///
    /// 1000 customers and 100 usage records: vendor's import guide and rate-limit page, 2026.
    /// 1000 events: GraphQL schema, client release 6.25.0, and REST reference, 2026; each of them, and so a whole request
    /// here, may have 1 MB.
    /// 1000 subscriptions: taken from the REST twin of the operation (1 to 1000), spec 7.99.2.
    pub fn of(entity: Entity) -> Self {
        let records_max = match entity {
            Entity::Customer | Entity::Subscription | Entity::Event => 1000,
            Entity::Usage => 100,
        };
        Self { records_max, body_bytes_max: Self::BODY_BYTES_MAX }
    }
}

/// A record that is larger than a whole request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is {bytes} bytes as JSON, a request takes {bytes_max}")]
pub struct Oversize {
    /// Its size.
    pub bytes: usize,
    /// The limit.
    pub bytes_max: usize,
}

/// Collects records into batches, in order.
#[derive(Debug)]
pub struct Builder {
    entity: Entity,
    limits: BatchLimits,
    open: Option<Buffers>,
    spares: Spares,
}

impl Builder {
    /// A builder of batches of `entity`.
    pub fn new(entity: Entity, limits: BatchLimits) -> Self {
        Self { entity, limits, open: None, spares: Spares::default() }
    }

    /// The same, which takes its buffers from `spares` where there are any.
    #[must_use]
    pub fn reusing(self, spares: Spares) -> Self {
        Self { spares, ..self }
    }

    /// What its batches hold.
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// Whether a record of so many bytes of JSON can go out at all.
    ///
    /// # Errors
    ///
    /// [`Oversize`]: it alone passes the byte limit.
    pub fn fits(&self, bytes: usize) -> Result<(), Oversize> {
        let bytes_max = self.limits.body_bytes_max;
        if bytes <= bytes_max { Ok(()) } else { Err(Oversize { bytes, bytes_max }) }
    }

    /// Adds a record; returns a batch when this one closed it.
    ///
    /// # Errors
    ///
    /// [`Oversize`]: the record alone passes the byte limit. It was not added, and its origin is given back.
    pub fn push(
        &mut self,
        json: &[u8],
        key: &str,
        hash: KeyHash,
        fingerprint: Fingerprint,
        origin: Origin,
    ) -> Result<Option<Batch>, (Oversize, Origin)> {
        if let Err(oversize) = self.fits(json.len()) {
            return Err((oversize, origin));
        }
        let mut closed = None;
        if let Some(open) = &self.open
            && open.json.len() + 1 + json.len() > self.limits.body_bytes_max
        {
            closed = self.finish();
        }
        let open = self.open(json.len(), key.len());
        let origin = open.origins.add(origin);
        open.push(json, key, hash, fingerprint, origin);
        if let Some(full) = self.take_full() {
            // Both can't close at once: after the byte rule the open batch holds one record, and with
            // a limit of one record no batch stays open for the byte rule to close.
            debug_assert!(closed.is_none());
            closed = Some(full);
        }
        Ok(closed)
    }

    /// Takes over the first `count` of some records of `made`, each of which [`Self::fits`], and puts the batches that they
    /// close into `closed`. The same as pushing one after the other, but records that lie side by side are copied together.
    ///
    /// # Panics
    ///
    /// Where there are fewer records.
    pub fn take(
        &mut self,
        made: &RecordBatch,
        records: &mut Drain<'_, Record>,
        mut count: usize,
        closed: &mut Vec<Batch>,
    ) {
        while count > 0 {
            let first = &records.as_slice()[0];
            let limits = self.limits;
            let open = self.open(first.json.len(), first.key.len());
            let together = together(open, &records.as_slice()[..count], limits);
            open.extend(made, records, together);
            count -= together;
            if together == 0 {
                closed.extend(self.finish());
            } else {
                closed.extend(self.take_full());
            }
        }
    }

    /// The open batch; where there is none, one for records like this.
    fn open(&mut self, json_bytes: usize, key_bytes: usize) -> &mut Buffers {
        let records_max = self.limits.records_max;
        // Records are about as long as their first, and an eighth more: a buffer that is a little too small is copied into one
        // of twice its size.
        let room = |bytes: usize| bytes * records_max.min(128) / 8 * 9;
        self.open.get_or_insert_with(|| {
            self.spares.take().unwrap_or_else(|| Buffers {
                json: Vec::with_capacity(room(json_bytes + 1).min(BatchLimits::BODY_BYTES_MAX)),
                keys: String::with_capacity(room(key_bytes)),
                items: Vec::with_capacity(records_max),
                origins: Origins::default(),
            })
        })
    }

    /// The open batch, if it takes no more records.
    fn take_full(&mut self) -> Option<Batch> {
        let full = self.open.as_ref().is_some_and(|open| open.items.len() >= self.limits.records_max);
        if full { self.finish() } else { None }
    }

    /// Hands out the last, partial batch.
    pub fn finish(&mut self) -> Option<Batch> {
        Some(self.open.take()?.close(self.entity))
    }

    /// Records waiting in the open batch.
    pub fn waiting(&self) -> &[Item] {
        self.open.as_ref().map_or(&[], |open| &open.items)
    }
}

/// How many of the first of these records lie side by side and fit into a batch. None: the batch is full, and is not empty.
fn together(open: &Buffers, records: &[Record], limits: BatchLimits) -> usize {
    let before = if open.json.is_empty() { 0 } else { open.json.len() + 1 };
    let begin = records[0].json.start;
    let (mut json_end, mut key_end) = (begin, records[0].key.start);
    let fits = |record: &&Record| {
        // A comma is between them, and nothing else.
        let beside = record.json.start == json_end + u32::from(json_end != begin) && record.key.start == key_end;
        (json_end, key_end) = (record.json.end, record.key.end);
        beside && before + (json_end - begin) as usize <= limits.body_bytes_max
    };
    records.iter().take(limits.records_max - open.items.len()).take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Place;

    fn push(builder: &mut Builder, key: &str, json: &str) -> Result<Option<Batch>, Oversize> {
        let origin = Origin::total(Place { source: "a".into(), record: 1, line: 0 }, 1, vec![1]);
        let pushed = builder.push(json.as_bytes(), key, KeyHash::of(key), Fingerprint::of(json.as_bytes()), origin);
        pushed.map_err(|(oversize, _)| oversize)
    }

    fn keys(batch: &Batch) -> Vec<&str> {
        batch.items.iter().map(|item| batch.key_of(item)).collect()
    }

    #[test]
    fn a_batch_closes_at_its_number_of_records() {
        let mut builder = Builder::new(Entity::Usage, BatchLimits { records_max: 2, body_bytes_max: 100 });
        assert!(push(&mut builder, "a", "{}").unwrap().is_none());
        let batch = push(&mut builder, "b", "{\"x\":1}").unwrap().expect("full");
        assert_eq!(keys(&batch), ["a", "b"]);
        assert_eq!(batch.json, &b"{},{\"x\":1}"[..]);
        assert!(builder.finish().is_none());
    }

    #[test]
    fn a_batch_closes_before_it_would_pass_the_bytes() {
        let mut builder = Builder::new(Entity::Usage, BatchLimits { records_max: 10, body_bytes_max: 9 });
        assert!(push(&mut builder, "a", "[1,2]").unwrap().is_none());
        let closed = push(&mut builder, "b", "[3]").unwrap();
        assert!(closed.is_none(), "five, a comma and three are nine");
        let closed = push(&mut builder, "c", "4").unwrap().expect("the comma is the tenth");
        assert_eq!(keys(&closed), ["a", "b"]);
        assert_eq!(keys(&builder.finish().expect("c waits")), ["c"]);
    }

    #[test]
    fn a_record_larger_than_a_request_is_named_and_not_added() {
        let mut builder = Builder::new(Entity::Usage, BatchLimits { records_max: 10, body_bytes_max: 4 });
        assert_eq!(push(&mut builder, "a", "[1,2]").unwrap_err(), Oversize { bytes: 5, bytes_max: 4 });
        assert!(builder.finish().is_none());
    }

    proptest! {
        /// Given records of all sizes, some of which were taken out in between, when they are taken over at once, in two goes,
        /// then the batches are those that pushing one by one makes.
        #[test]
        fn records_that_are_taken_over_make_the_batches_that_pushing_makes(
            records in prop::collection::vec((0usize..12, 0usize..4, prop::bool::weighted(0.8)), 1..60),
            records_max in 1usize..8,
            body_bytes_max in 12usize..40,
            at_once in any::<prop::sample::Index>(),
        ) {
            let mut made = RecordBatch::default();
            for (number, (json_bytes, key_bytes, stays)) in records.iter().enumerate() {
                let (json, key) = ((made.json.len(), *json_bytes), (made.keys.len(), *key_bytes));
                made.json.extend((0..json.1).map(|at| b'a' + ((number + at) % 26) as u8));
                made.json.push(b',');
                made.keys.extend((0..key.1).map(|at| char::from(b'A' + ((number + at) % 26) as u8)));
                let range = |(start, len): (usize, usize)| start as u32..(start + len) as u32;
                if *stays {
                    let origin = Origin::total(Place { source: "a".into(), record: 1, line: 0 }, number as u64, vec![1]);
                    let origin = made.origins.add(origin);
                    let (hash, fingerprint) = (KeyHash([number as u32; 3]), Fingerprint(number as u64));
                    made.records.push(Record { json: range(json), key: range(key), hash, fingerprint, origin });
                }
            }
            let limits = BatchLimits { records_max, body_bytes_max };
            let mut pushing = Builder::new(Entity::Usage, limits);
            let mut pushed = Vec::new();
            for record in made.records.clone() {
                let (json, key) = (made.json_of(&record), made.key_of(&record));
                let closed = pushing.push(json, key, record.hash, record.fingerprint, made.origin_of(&record));
                pushed.extend(closed.expect("each fits"));
            }
            pushed.extend(pushing.finish());

            let mut taking = Builder::new(Entity::Usage, limits);
            let (mut taken, mut coming) = (Vec::new(), std::mem::take(&mut made.records));
            let (first, mut coming) = (at_once.index(coming.len() + 1), coming.drain(..));
            let rest = coming.as_slice().len() - first;
            taking.take(&made, &mut coming, first, &mut taken);
            taking.take(&made, &mut coming, rest, &mut taken);
            taken.extend(taking.finish());

            let told = |batches: &[Batch]| -> Vec<_> {
                let items = |batch: &Batch| batch.items.iter().map(|item| {
                    let (json, key) = (batch.json_of(item).to_vec(), batch.key_of(item).to_owned());
                    (json, key, item.hash, item.fingerprint, batch.origin_of(item).row_count())
                }).collect::<Vec<_>>();
                batches.iter().map(|batch| (batch.json.to_vec(), batch.keys.clone(), items(batch))).collect()
            };
            prop_assert_eq!(told(&taken), told(&pushed));
        }
    }

    #[test]
    fn buffers_of_another_batch_are_used_and_nothing_of_it() {
        let spares = Spares::default();
        let limits = BatchLimits { records_max: 2, body_bytes_max: 100 };
        let mut builder = Builder::new(Entity::Usage, limits).reusing(spares.clone());
        push(&mut builder, "a", "1").unwrap();
        let first = push(&mut builder, "b", "22").unwrap().expect("full");
        let buffer = first.json.as_ptr();
        spares.give(Batch { entity: Entity::Customer, ..first });

        push(&mut builder, "c", "333").unwrap();
        let second = builder.finish().expect("c waits");

        assert_eq!((second.entity, &second.json[..], keys(&second)), (Entity::Usage, &b"333"[..], vec!["c"]));
        assert_eq!(second.json.as_ptr(), buffer);
    }

    #[test]
    fn a_buffer_that_was_shared_comes_back_when_the_others_are_gone() {
        let spares = Spares::default();
        let limits = BatchLimits { records_max: 1, body_bytes_max: 100 };
        let mut builder = Builder::new(Entity::Usage, limits).reusing(spares.clone());
        for is_still_sent in [false, true] {
            // Given a batch whose JSON was given to a request as well.
            let batch = push(&mut builder, "a", "1").unwrap().expect("full");
            let (buffer, request) = (batch.json.as_ptr(), batch.json.clone());
            let held = is_still_sent.then(|| request.clone());
            drop(request);

            // When the batch is done with.
            spares.give(batch);

            // Then its buffer is used again, and never one that a request still reads.
            let next = push(&mut builder, "b", "2").unwrap().expect("full");
            assert_eq!(next.json.as_ptr() == buffer, !is_still_sent);
            assert!(held.is_none_or(|held| held == b"1"[..]));
        }
    }

    #[test]
    fn a_subset_keeps_each_record_whole() {
        let mut builder = Builder::new(Entity::Usage, BatchLimits { records_max: 3, body_bytes_max: 100 });
        push(&mut builder, "a", "1").unwrap();
        push(&mut builder, "b", "22").unwrap();
        let batch = push(&mut builder, "c", "333").unwrap().expect("full");
        let part = batch.subset(&[2, 0]);
        assert_eq!(keys(&part), ["c", "a"]);
        assert_eq!(part.json, &b"333,1"[..]);
    }
}
