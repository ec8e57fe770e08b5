//! Rows and records: what flows between the stages.
//!
//! A source hands out [`RowBatch`]es; a mapping turns each into a [`RecordBatch`]. Both keep their
//! text in one buffer, so that a row costs no allocation of its own.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Where a row was read: source, record number (from 1, header not counted), line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as the user named it, `-` for standard input, or a query's name.
    pub source: Arc<str>,
    /// Number of the record in its source, from 1.
    pub record: u64,
    /// Line on which the record starts, from 1; 0 where the source has no lines.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = if &*self.source == "-" { "standard input" } else { &self.source };
        match self.line {
            0 => write!(f, "{source}, record {}", self.record),
            line => write!(f, "{source}:{line}, record {}", self.record),
        }
    }
}

/// A row that could not be read as a row: ragged, badly encoded, or over a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Where it is.
    pub place: Place,
    /// What is wrong with it, one lower-case clause.
    pub reason: String,
    /// The cells as far as they could be read, lossily decoded and cut to a bounded length.
    pub cells: Vec<String>,
}

/// Some consecutive rows of one source, cells back to back in one buffer.
///
/// Every row has exactly [`RowBatch::columns`] cells; a row that has not is a [`BadRow`].
#[derive(Debug)]
pub struct RowBatch {
    source: Arc<str>,
    columns: Arc<[Box<str>]>,
    text: String,
    ends: Vec<u32>,
    nulls: Vec<u32>,
    positions: Vec<(u64, u64)>,
    bad: Vec<BadRow>,
    mark: Option<Box<str>>,
    mark_before: Option<Box<str>>,
    bytes_read: Option<u64>,
}

impl RowBatch {
    /// Most cell bytes in one batch: ends are kept in 32 bits.
    pub const TEXT_BYTES_MAX: usize = u32::MAX as usize;

    /// An empty batch of `source`, whose rows all have `columns`.
    pub fn new(source: Arc<str>, columns: Arc<[Box<str>]>) -> Self {
        Self {
            source,
            columns,
            text: String::new(),
            ends: Vec::new(),
            nulls: Vec::new(),
            positions: Vec::new(),
            bad: Vec::new(),
            mark: None,
            mark_before: None,
            bytes_read: None,
        }
    }

    /// Reserves room, to fill the batch without growing it.
    pub fn reserve(&mut self, rows: usize, text_bytes: usize) {
        self.text.reserve(text_bytes);
        self.ends.reserve(rows * self.columns.len());
        self.positions.reserve(rows);
    }

    /// Appends one row. `cells` must yield one cell for each column; `None` is NULL.
    ///
    /// # Panics
    ///
    /// Where the number of cells is not the number of columns (a source's own bug: ragged rows
    /// are [`BadRow`]s), or the batch passes [`Self::TEXT_BYTES_MAX`].
    pub fn push<'a>(&mut self, record: u64, line: u64, cells: impl IntoIterator<Item = Option<&'a str>>) {
        let before = self.ends.len();
        for cell in cells {
            match cell {
                Some(text) => self.text.push_str(text),
                None => self.nulls.push(u32::try_from(self.ends.len()).expect("cells fit 32 bits")),
            }
            self.ends.push(u32::try_from(self.text.len()).expect("a batch's text fits 32 bits"));
        }
        assert_eq!(self.ends.len() - before, self.columns.len(), "a row has one cell for each column");
        self.positions.push((record, line));
    }

    /// Appends one row without NULLs, whose cells' text is back to back in `text`; `ends` says where
    /// each cell ends in it. The fast way for sources that have a row in this form.
    ///
    /// # Panics
    ///
    /// As [`Self::push`]; also where an end is not on a character's boundary, or the last isn't
    /// the end of `text`.
    pub fn push_joined(&mut self, record: u64, line: u64, text: &str, ends: &[usize]) {
        assert_eq!(ends.len(), self.columns.len(), "a row has one cell for each column");
        assert_eq!(ends.last().copied().unwrap_or(0), text.len(), "the cells are the whole text");
        let start = self.text.len();
        assert!(start + text.len() <= Self::TEXT_BYTES_MAX, "a batch's text fits 32 bits");
        self.text.push_str(text);
        self.ends.extend(ends.iter().map(|end| {
            assert!(text.is_char_boundary(*end), "a cell is whole characters");
            (start + end) as u32
        }));
        self.positions.push((record, line));
    }

    /// Appends a row that could not be read.
    pub fn push_bad(&mut self, bad: BadRow) {
        self.bad.push(bad);
    }

    /// Says how many bytes of all inputs this batch and those before it came out of.
    pub fn set_bytes_read(&mut self, bytes: u64) {
        self.bytes_read = Some(bytes);
    }

    /// Bytes of all inputs, as they are, that this batch and those before it came out of; `None` where nobody counts.
    pub fn bytes_read(&self) -> Option<u64> {
        self.bytes_read
    }

    /// Says how far the source has come with this batch; see [`Self::mark`].
    pub fn set_mark(&mut self, mark: &str) {
        self.mark = Some(mark.into());
    }

    /// Says how far the source had come before this batch; see [`Self::mark_before`].
    pub fn set_mark_before(&mut self, mark: &str) {
        self.mark_before = Some(mark.into());
    }

    /// The mark of the batch before this one: where a later run starts, so that it reads this batch
    /// again.
    pub fn mark_before(&self) -> Option<&str> {
        self.mark_before.as_deref()
    }

    /// Once this batch and all before it are settled, a later run may start at this mark: the
    /// largest value so far of the source's `changed` column. `None` where it has none, or none yet.
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// The source's name.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// Column names, in order.
    pub fn columns(&self) -> &Arc<[Box<str>]> {
        &self.columns
    }

    /// Rows that could not be read.
    pub fn bad(&self) -> &[BadRow] {
        &self.bad
    }

    /// Number of good rows.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there is neither a good nor a bad row.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.bad.is_empty()
    }

    /// Bytes of cell text held.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// The good row at `index`.
    ///
    /// # Panics
    ///
    /// Where there is no such row.
    pub fn row(&self, index: usize) -> Row<'_> {
        assert!(index < self.positions.len(), "row {index} of {}", self.positions.len());
        Row { batch: self, index }
    }

    /// The good rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }
}

/// One row of a [`RowBatch`].
#[derive(Clone, Copy)]
pub struct Row<'a> {
    batch: &'a RowBatch,
    index: usize,
}

impl<'a> Row<'a> {
    /// The cell of a column, by position; `None` is NULL (a CSV has none: its empty cells are `""`).
    #[inline(always)]
    pub fn cell(&self, column: usize) -> Option<&'a str> {
        let width = self.batch.columns.len();
        assert!(column < width, "column {column} of {width}");
        let at = self.index * width + column;
        if !self.batch.nulls.is_empty() && self.batch.nulls.binary_search(&(at as u32)).is_ok() {
            return None;
        }
        let start = if at == 0 { 0 } else { self.batch.ends[at - 1] as usize };
        Some(&self.batch.text[start..self.batch.ends[at] as usize])
    }

    /// The names of its columns, in order.
    pub fn columns(&self) -> &'a Arc<[Box<str>]> {
        &self.batch.columns
    }

    /// All cells, in column order.
    pub fn cells(&self) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
        let row = *self;
        (0..row.batch.columns.len()).map(move |column| row.cell(column))
    }

    /// Where the row was read.
    pub fn place(&self) -> Place {
        let (record, line) = self.batch.positions[self.index];
        Place { source: self.batch.source.clone(), record, line }
    }

    /// Its record number, from 1.
    pub fn record(&self) -> u64 {
        self.batch.positions[self.index].0
    }

    /// Its position in the batch.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cells are customers' data: a stray `{:?}` must not put them into a log.
        write!(f, "Row({})", self.place())
    }
}

/// Where a record came from, so that a later refusal can name its place and give its row back.
#[derive(Clone)]
pub enum Origin {
    /// One row.
    Row {
        /// The batch that holds it.
        rows: Arc<RowBatch>,
        /// Its position there.
        index: u32,
    },
    /// Several consecutive rows (`group`).
    Group(Vec<(Arc<RowBatch>, u32)>),
    /// A total over rows that are no longer held (`aggregate`).
    Total(Box<TotalOrigin>),
}

/// The rows that a total was made of.
#[derive(Clone)]
pub struct TotalOrigin {
    /// The first row that counted.
    pub first: Place,
    /// How many rows counted.
    pub rows: u64,
    /// Record numbers of the first few rows that counted, [`Origin::TOTAL_RECORDS_MAX`] at most.
    pub records: Vec<u64>,
}

impl Origin {
    /// Most record numbers kept for a total.
    pub const TOTAL_RECORDS_MAX: usize = 8;

    /// A total.
    pub fn total(first: Place, rows: u64, records: Vec<u64>) -> Self {
        Self::Total(Box::new(TotalOrigin { first, rows, records }))
    }

    /// The place of the (first) row.
    pub fn place(&self) -> Place {
        match self {
            Self::Row { rows, index } => rows.row(*index as usize).place(),
            Self::Group(members) => {
                let (rows, index) = members.first().expect("a group has a row");
                rows.row(*index as usize).place()
            }
            Self::Total(total) => total.first.clone(),
        }
    }

    /// How many rows made this record.
    pub fn row_count(&self) -> u64 {
        match self {
            Self::Row { .. } => 1,
            Self::Group(members) => members.len() as u64,
            Self::Total(total) => total.rows,
        }
    }

    /// The rows themselves, where they are still held.
    pub fn rows(&self) -> Vec<Row<'_>> {
        match self {
            Self::Row { rows, index } => vec![rows.row(*index as usize)],
            Self::Group(members) => members.iter().map(|(rows, index)| rows.row(*index as usize)).collect(),
            Self::Total(_) => Vec::new(),
        }
    }
}

/// Names an [`Origin`] among [`Origins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginId {
    of: u32,
    index: u32,
}

/// The origins of some records. Each of many rows is named by its position in their batch, which is kept once for all of them:
/// a count of the batch's users for each record would be written by the thread that maps rows and by the one that sends them.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<KnownOrigin>);

#[derive(Debug, Clone)]
enum KnownOrigin {
    Rows(Arc<RowBatch>),
    Other(Arc<Origin>),
}

impl Origins {
    /// Takes in one.
    pub fn add(&mut self, origin: Origin) -> OriginId {
        match origin {
            Origin::Row { rows, index } => self.add_row(&rows, index),
            origin @ (Origin::Group(_) | Origin::Total(_)) => self.push(KnownOrigin::Other(Arc::new(origin)), 0),
        }
    }

    /// Takes in a row.
    #[inline]
    pub fn add_row(&mut self, rows: &Arc<RowBatch>, index: u32) -> OriginId {
        match self.0.last() {
            Some(KnownOrigin::Rows(last)) if Arc::ptr_eq(last, rows) => OriginId { of: self.last(), index },
            _ => self.push(KnownOrigin::Rows(rows.clone()), index),
        }
    }

    /// Takes in one of `others`.
    pub fn add_of(&mut self, others: &Self, id: OriginId) -> OriginId {
        match &others.0[id.of as usize] {
            KnownOrigin::Rows(rows) => self.add_row(rows, id.index),
            other @ KnownOrigin::Other(_) => self.push(other.clone(), id.index),
        }
    }

    fn push(&mut self, known: KnownOrigin, index: u32) -> OriginId {
        self.0.push(known);
        OriginId { of: self.last(), index }
    }

    fn last(&self) -> u32 {
        u32::try_from(self.0.len() - 1).expect("fewer than 2^32 records")
    }

    /// The origin of a name that these gave.
    ///
    /// # Panics
    ///
    /// May, where others gave it.
    pub fn get(&self, id: OriginId) -> Origin {
        match &self.0[id.of as usize] {
            KnownOrigin::Rows(rows) => Origin::Row { rows: rows.clone(), index: id.index },
            KnownOrigin::Other(origin) => (**origin).clone(),
        }
    }

    /// Source and number of the (first) row's record.
    #[inline]
    pub fn first_record(&self, id: OriginId) -> (&Arc<str>, u64) {
        let of_row = |rows: &'_ Arc<RowBatch>, index: u32| rows.row(index as usize).record();
        match &self.0[id.of as usize] {
            KnownOrigin::Rows(rows) => (rows.source(), of_row(rows, id.index)),
            KnownOrigin::Other(origin) => match &**origin {
                Origin::Row { rows, index } => (rows.source(), of_row(rows, *index)),
                Origin::Group(members) => {
                    let (rows, index) = members.first().expect("a group has a row");
                    (rows.source(), of_row(rows, *index))
                }
                Origin::Total(total) => (&total.first.source, total.first.record),
            },
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({}, {} rows)", self.place(), self.row_count())
    }
}

/// Names a record of one entity and target: 96 bits of XXH3-128 over its key's text.
///
/// Two keys of a million share a hash with a chance of 6e-18; the key itself is personal data
/// in some businesses and is not kept once a batch is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u32; 3]);

impl KeyHash {
    /// Size of the packed form, in bytes.
    pub const BYTES: usize = 12;

    /// The hash of a key's text.
    pub fn of(key: &str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
        Self([(hash >> 96) as u32, (hash >> 64) as u32, (hash >> 32) as u32])
    }

    /// Packed, most significant byte first.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The inverse of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let mut words = [0; 3];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_be_bytes(chunk.try_into().expect("four bytes"));
        }
        Self(words)
    }
}

/// Names a record's content: 64 bits of XXH3 over the JSON that would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of a record's JSON.
    pub fn of(json: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(json))
    }
}

/// A record that the mapping made: one JSON object in the form that the API takes.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its JSON in [`RecordBatch::json`].
    pub json: Range<u32>,
    /// Its key's text in [`RecordBatch::keys`].
    pub key: Range<u32>,
    /// Hash of the key.
    pub hash: KeyHash,
    /// Fingerprint of the JSON.
    pub fingerprint: Fingerprint,
    /// The rows it came from, in [`RecordBatch::origins`].
    pub origin: OriginId,
}

/// Why a row or a record goes no further. Ours: nothing was sent.
#[derive(Debug, Clone)]
pub struct Reject {
    /// Where the row is.
    pub place: Place,
    /// The target field (`planId`), or for an unreadable row none.
    pub field: Option<String>,
    /// The offending value as it was, cut to [`Reject::VALUE_CHARS_MAX`] characters.
    pub value: Option<String>,
    /// What is wrong, one lower-case clause.
    pub reason: String,
    /// The columns of the row; empty where the rows are no longer held.
    pub columns: Arc<[Box<str>]>,
    /// The row or rows as they were.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Reject {
    /// Most characters of a value that are kept.
    pub const VALUE_CHARS_MAX: usize = 200;

    /// A reject of one row.
    pub fn of_row(row: Row<'_>, field: Option<&str>, value: Option<&str>, reason: impl Into<String>) -> Self {
        Self {
            place: row.place(),
            field: field.map(str::to_owned),
            value: value.map(|value| value.chars().take(Self::VALUE_CHARS_MAX).collect()),
            reason: reason.into(),
            columns: row.batch.columns.clone(),
            rows: vec![row.cells().map(|cell| cell.map(str::to_owned)).collect()],
        }
    }

    /// A reject of a row that could not be read.
    pub fn of_bad(bad: &BadRow, columns: &Arc<[Box<str>]>) -> Self {
        Self {
            place: bad.place.clone(),
            field: None,
            value: None,
            reason: bad.reason.clone(),
            columns: columns.clone(),
            rows: vec![bad.cells.iter().cloned().map(Some).collect()],
        }
    }

    /// A reject of a whole record, wherever it came from.
    pub fn of_origin(origin: &Origin, field: Option<&str>, value: Option<&str>, reason: impl Into<String>) -> Self {
        let rows = origin.rows();
        Self {
            place: origin.place(),
            field: field.map(str::to_owned),
            value: value.map(|value| value.chars().take(Self::VALUE_CHARS_MAX).collect()),
            reason: reason.into(),
            columns: rows.first().map_or_else(|| Arc::from([]), |row| row.batch.columns.clone()),
            rows: rows.iter().map(|row| row.cells().map(|cell| cell.map(str::to_owned)).collect()).collect(),
        }
    }
}

/// What a mapping made of some rows.
///
/// `rows` are accounted for as: each becomes part of one or more `records`, a reject, is
/// `filtered`, is `unchanged` (an exact duplicate of an event that was already counted), or is
/// still held by the mapper (an open group, a total) and comes out later.
#[derive(Debug, Default)]
pub struct RecordBatch {
    /// JSON objects, each followed by a comma.
    pub json: Vec<u8>,
    /// Key texts, back to back.
    pub keys: String,
    /// The records.
    pub records: Vec<Record>,
    /// Where they came from.
    pub origins: Origins,
    /// Rows and records that do not fit.
    pub rejects: Vec<Reject>,
    /// Rows read (good and bad).
    pub rows: u64,
    /// Rows that `where` left out.
    pub filtered: u64,
    /// Rows that repeat an event that was already counted (`distinct`).
    pub unchanged: u64,
}

impl RecordBatch {
    /// Empties it for reuse; keeps its buffers.
    pub fn clear(&mut self) {
        self.json.clear();
        self.keys.clear();
        self.records.clear();
        self.origins.clear();
        self.rejects.clear();
        (self.rows, self.filtered, self.unchanged) = (0, 0, 0);
    }

    /// A record's JSON.
    pub fn json_of(&self, record: &Record) -> &[u8] {
        &self.json[record.json.start as usize..record.json.end as usize]
    }

    /// Where a record came from.
    pub fn origin_of(&self, record: &Record) -> Origin {
        self.origins.get(record.origin)
    }

    /// A record's key.
    pub fn key_of(&self, record: &Record) -> &str {
        &self.keys[record.key.start as usize..record.key.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Arc<[Box<str>]> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    #[test]
    fn cells_come_back_as_they_went_in_and_null_is_not_empty() {
        let mut batch = RowBatch::new("a.csv".into(), columns(&["x", "y"]));
        batch.push(1, 2, [Some("1"), Some("")]);
        batch.push(2, 3, [None, Some("zwei")]);

        let rows: Vec<Vec<_>> = batch.rows().map(|row| row.cells().collect()).collect();
        assert_eq!(rows, [vec![Some("1"), Some("")], vec![None, Some("zwei")]]);
        assert_eq!(batch.row(1).place().to_string(), "a.csv:3, record 2");
    }

    /// Given records of two batches of rows and a total, taken in by turns and then taken over by others, then each has the place
    /// that it came from.
    #[test]
    fn an_origin_is_that_of_its_record_whoever_keeps_it() {
        let rows = |first: u64| {
            let mut rows = RowBatch::new("a.csv".into(), columns(&["x"]));
            (first..first + 2).for_each(|record| rows.push(record, record + 1, [Some("1")]));
            Arc::new(rows)
        };
        let (ones, tens) = (rows(1), rows(10));
        let total = Origin::total(Place { source: "b.csv".into(), record: 7, line: 8 }, 3, vec![7]);
        let (mut origins, mut others) = (Origins::default(), Origins::default());
        let ids = [
            origins.add_row(&ones, 1),
            origins.add_row(&tens, 0),
            origins.add(total),
            origins.add(Origin::Row { rows: tens.clone(), index: 1 }),
            origins.add_row(&ones, 0),
        ];
        let taken_over = ids.map(|id| others.add_of(&origins, id));
        let places = |origins: &Origins, ids: [OriginId; 5]| ids.map(|id| origins.get(id).place().to_string());
        let records = |origins: &Origins, ids: [OriginId; 5]| ids.map(|id| origins.first_record(id).1);
        let expected = [
            "a.csv:3, record 2",
            "a.csv:11, record 10",
            "b.csv:8, record 7",
            "a.csv:12, record 11",
            "a.csv:2, record 1",
        ];
        assert_eq!(places(&origins, ids), expected);
        assert_eq!(places(&others, taken_over), expected);
        assert_eq!((records(&origins, ids), records(&others, taken_over)), ([2, 10, 7, 11, 1], [2, 10, 7, 11, 1]));
    }

    #[test]
    fn a_joined_row_is_the_same_as_one_of_cells() {
        let mut batch = RowBatch::new("a.csv".into(), columns(&["x", "y", "z"]));
        batch.push_joined(1, 2, "1zwei", &[1, 1, 5]);
        batch.push_joined(2, 3, "", &[0, 0, 0]);
        batch.push(3, 4, [None, Some("é"), Some("")]);

        let rows: Vec<Vec<_>> = batch.rows().map(|row| row.cells().collect()).collect();
        assert_eq!(rows, [vec![Some("1"), Some(""), Some("zwei")], vec![Some(""); 3], vec![None, Some("é"), Some("")]]);
    }

    #[test]
    fn a_record_takes_one_line_of_the_processors_cache() {
        assert!(size_of::<Record>() <= 64, "{} bytes", size_of::<Record>());
    }

    #[test]
    fn a_row_does_not_print_its_cells() {
        let mut batch = RowBatch::new("a.csv".into(), columns(&["email"]));
        batch.push(1, 2, [Some("ada@example.com")]);
        assert!(!format!("{:?}", batch.row(0)).contains("ada"));
    }

    #[test]
    fn key_hash_survives_packing() {
        let hash = KeyHash::of("cus_1");
        assert_eq!(KeyHash::from_bytes(hash.to_bytes()), hash);
        assert_ne!(hash, KeyHash::of("cus_2"));
    }
}
