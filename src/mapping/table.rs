//! Tables of words: a mapping's `map`s and lookups.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most entries of a lookup.
pub(super) const ENTRIES_MAX: usize = 1_000_000;

/// Most bytes of a lookup's file: 64 MiB.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// Words and what they become.
#[derive(Debug)]
pub(super) struct Table {
    /// For rejects: "lookup `plans`", or "its `map`".
    pub title: String,
    words: HashMap<Box<str>, Box<str>>,
    /// The entry that was read first, for messages in a stable order.
    order: Vec<Box<str>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: String) -> Self {
        Self { title, words: HashMap::new(), order: Vec::new() }
    }

    /// Adds an entry; gives the older value where there is another one.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), Box<str>> {
        match self.words.get(key) {
            Some(known) if **known == *value => Ok(()),
            Some(known) => Err(known.clone()),
            None => {
                self.words.insert(key.into(), value.into());
                self.order.push(key.into());
                Ok(())
            }
        }
    }

    /// What a word becomes.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.words.get(key).map(|value| &**value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// All entries in the order in which they were written.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.order.iter().map(|key| (&**key, &*self.words[key]))
    }

    /// Reads a CSV file: a header, then one entry a record. `key` and `value` name the columns;
    /// without them the first and the second.
    ///
    /// # Errors
    ///
    /// One lower-case clause.
    pub fn read_csv(&mut self, path: &Path, key: Option<&str>, value: Option<&str>) -> Result<(), String> {
        let file = File::open(path).map_err(|error| format!("can't be read: {error}"))?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| format!("can't be read: {error}"))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("is larger than {} MiB", FILE_BYTES_MAX >> 20));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
        let header = reader.headers().map_err(|error| format!("has no readable header: {error}"))?.clone();
        let column = |name: Option<&str>, fallback: usize| match name {
            Some(name) => {
                header.iter().position(|known| known == name).ok_or_else(|| format!("has no column `{name}`"))
            }
            None if fallback < header.len() => Ok(fallback),
            None => Err("needs two columns: a key and a value".to_owned()),
        };
        let (key, value) = (column(key, 0)?, column(value, 1)?);
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| format!("can't be read: {error}"))? {
            let line = record.position().map_or(0, csv::Position::line);
            let (key, value) = (record.get(key).unwrap_or("").trim(), record.get(value).unwrap_or("").trim());
            if key.is_empty() && value.is_empty() {
                continue;
            }
            if key.is_empty() || value.is_empty() {
                return Err(format!("has an empty {} in line {line}", if key.is_empty() { "key" } else { "value" }));
            }
            if let Err(known) = self.insert(key, value) {
                return Err(format!("says in line {line} that `{key}` is `{value}`, and before that it is `{known}`"));
            }
            if self.len() > ENTRIES_MAX {
                return Err(format!("has more than {ENTRIES_MAX} entries"));
            }
        }
        Ok(())
    }
}
