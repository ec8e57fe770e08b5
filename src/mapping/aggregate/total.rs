//! One total, and how it grows. Every step is commutative: the order of merging changes nothing.

use crate::mapping::number::Decimal;
use crate::mapping::spec::How;
use crate::record::Origin;

/// Where an event was read, among all sources of a mapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which row it is among all that the mapper has seen.
    pub seq: u64,
    /// Which source.
    pub source: u32,
    pub record: u64,
    pub line: u64,
}

/// What is known of a total so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Total {
    pub value: Decimal,
    /// For `last`: the order of the event that `value` is from.
    order: (i64, u64),
    /// The latest of the events' times.
    pub created_ms: Option<i64>,
    pub rows: u64,
    pub first: Spot,
    /// Sequence and record numbers of the first rows.
    records: Vec<(u64, u64)>,
}

impl Total {
    /// The total of one event.
    pub fn of(value: Decimal, order: i64, created_ms: Option<i64>, at: Spot) -> Self {
        Self { value, order: (order, at.seq), created_ms, rows: 1, first: at, records: vec![(at.seq, at.record)] }
    }

    /// Bytes that it takes in memory, about.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.records.capacity() * size_of::<(u64, u64)>()
    }

    /// Takes one event in. Events come in the order of their rows, so nothing has to be sorted.
    /// [`Self::memory_bytes`] may grow.
    pub fn add(&mut self, how: How, value: Decimal, order: i64, created_ms: Option<i64>, at: Spot) {
        self.combine(how, value, (order, at.seq), created_ms);
        self.rows += 1;
        if self.records.len() < Origin::TOTAL_RECORDS_MAX {
            self.records.push((at.seq, at.record));
        }
        if at.seq < self.first.seq {
            self.first = at;
        }
    }

    /// Takes another total of the same key in.
    pub fn absorb(&mut self, how: How, other: &Self) {
        self.combine(how, other.value, other.order, other.created_ms);
        self.rows += other.rows;
        self.records.extend_from_slice(&other.records);
        self.records.sort_unstable();
        self.records.truncate(Origin::TOTAL_RECORDS_MAX);
        if other.first.seq < self.first.seq {
            self.first = other.first;
        }
    }

    fn combine(&mut self, how: How, value: Decimal, order: (i64, u64), created_ms: Option<i64>) {
        match how {
            How::Sum | How::Count => self.value.add(value),
            How::Max => {
                if value.cmp(self.value).is_gt() {
                    self.value = value;
                }
            }
            How::Last => {
                if order > self.order {
                    (self.value, self.order) = (value, order);
                }
            }
        }
        self.created_ms = self.created_ms.max(created_ms);
    }

    /// Record numbers of the first rows that counted. A row that made two events is there once.
    pub fn records(&self) -> Vec<u64> {
        let mut records = self.records.clone();
        records.dedup();
        records.into_iter().map(|(_, record)| record).collect()
    }

    /// Appends the packed form.
    pub fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value.to_bytes());
        out.extend_from_slice(&self.order.0.to_le_bytes());
        out.extend_from_slice(&self.order.1.to_le_bytes());
        out.push(u8::from(self.created_ms.is_some()));
        out.extend_from_slice(&self.created_ms.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        self.first.pack(out);
        out.push(u8::try_from(self.records.len()).expect("a total keeps few record numbers"));
        for (seq, record) in &self.records {
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(&record.to_le_bytes());
        }
    }

    /// The inverse of [`Self::pack`], from the front of `bytes`. `None`: the bytes are not whole.
    pub fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        let value = Decimal::from_bytes(take(bytes)?);
        let order = (i64::from_le_bytes(take(bytes)?), u64::from_le_bytes(take(bytes)?));
        let [has_created] = take(bytes)?;
        let created = i64::from_le_bytes(take(bytes)?);
        let rows = u64::from_le_bytes(take(bytes)?);
        let first = Spot::unpack(bytes)?;
        let [count] = take(bytes)?;
        let mut records = Vec::with_capacity(count.into());
        for _ in 0..count {
            records.push((u64::from_le_bytes(take(bytes)?), u64::from_le_bytes(take(bytes)?)));
        }
        Some(Self { value, order, created_ms: (has_created == 1).then_some(created), rows, first, records })
    }
}

impl Spot {
    pub fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.source.to_le_bytes());
        out.extend_from_slice(&self.record.to_le_bytes());
        out.extend_from_slice(&self.line.to_le_bytes());
    }

    pub fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            seq: u64::from_le_bytes(take(bytes)?),
            source: u32::from_le_bytes(take(bytes)?),
            record: u64::from_le_bytes(take(bytes)?),
            line: u64::from_le_bytes(take(bytes)?),
        })
    }
}

/// Takes the first `N` bytes off.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}
