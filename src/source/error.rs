//! Why a source gives no (more) rows.

use std::io;

use super::compression::Compression;
use crate::record::Place;

/// Why there are no rows, or no more of them.
///
/// The variant says what is true of the data: after [`Self::Options`] and [`Self::Open`] no row
/// was handed out; after [`Self::Broke`] the rows up to its place were.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The options contradict themselves. No input was opened.
    #[error("{0}")]
    Options(String),
    /// An input can't be opened, or isn't what it has to be. No row was handed out.
    #[error("{}: {problem}", shown(name))]
    Open {
        /// The input as the user named it, `-` for standard input.
        name: String,
        /// What is wrong with it.
        problem: OpenProblem,
    },
    /// Reading stopped part-way. All rows before the place were handed out.
    #[error("{place}: {problem}")]
    Broke {
        /// The last record that was read (0: none), and the line that was reached.
        place: Place,
        /// What happened.
        problem: BrokeProblem,
    },
}

impl SourceError {
    /// Whether it happened before the first row was handed out, so that nothing can have been sent.
    pub fn before_reading(&self) -> bool {
        match self {
            Self::Options(_) | Self::Open { .. } => true,
            Self::Broke { .. } => false,
        }
    }

    /// Whether a key was refused.
    pub fn is_credentials(&self) -> bool {
        matches!(self, Self::Open { problem: OpenProblem::StripeKey(_), .. })
    }

    pub(super) fn open(name: &str, problem: OpenProblem) -> Self {
        Self::Open { name: name.to_owned(), problem }
    }
}

fn shown(name: &str) -> &str {
    if name == "-" { "standard input" } else { name }
}

/// What is wrong with an input before its first row.
#[derive(Debug, thiserror::Error)]
pub enum OpenProblem {
    /// Nothing has that name.
    #[error("no such file")]
    NotFound,
    /// The pattern is none.
    #[error("not a file pattern: {0}")]
    Pattern(String),
    /// The pattern matches no file.
    #[error("no file matches this pattern")]
    NoMatch,
    /// It is a directory.
    #[error("is a directory; name its files, or a pattern like `{0}/*`")]
    Directory(String),
    /// The same input is named twice, so that its rows would be counted twice.
    #[error("is the same input as {0}; its rows would be counted twice")]
    Twice(String),
    /// The system refuses it.
    #[error("can't be read: {0}")]
    Io(io::Error),
    /// There is no header, as there is no text at all.
    #[error("is empty: there is no header line")]
    Empty,
    /// It is in a format of its own.
    #[error("is {what}, not {format} text; {hint}")]
    NotText {
        /// Its format.
        what: &'static str,
        /// The format that it should have.
        format: &'static str,
        /// What to do.
        hint: String,
    },
    /// No encoding has that label.
    #[error("unknown encoding `{0}`; known are the labels of the web, such as utf-8, utf-16le, windows-1252, latin1")]
    Encoding(String),
    /// The byte order mark contradicts the encoding that was said.
    #[error("is said to be {said}, but starts with the byte order mark of {found}")]
    ByteOrderMark {
        /// The encoding in the options.
        said: &'static str,
        /// The encoding in the file.
        found: &'static str,
    },
    /// It is no JSON, or none that holds records.
    #[error("can't be read as JSON: {0}")]
    NotJson(String),
    /// An object with several arrays that may hold the records.
    #[error("has more than one array{}; say which one holds the records", part("", .0))]
    Arrays(Vec<String>),
    /// An object that has wanted values itself, and an array that may hold the records.
    #[error("is one object, which may be a record itself or hold the records in `{}`; say which", cut(.0))]
    RecordOrArray(String),
    /// There is no such array.
    #[error("has no array `{}`{}", cut(said), if found.is_empty() { String::new() } else { part("; it has", found) })]
    NoArray {
        /// The array in the options.
        said: String,
        /// Those that are there.
        found: Vec<String>,
    },
    /// What is said to be the array is something else.
    #[error("has something else than an array in `{}`", cut(.0))]
    NotAnArray(String),
    /// The header line can't be read.
    #[error("the header can't be read: {0}")]
    Header(String),
    /// Columns without a name.
    #[error("the header has no name for column {}", listed(.0))]
    NoName(Vec<usize>),
    /// One name for several columns.
    #[error("the header has the name `{}` more than once: columns {}", cut(name), listed(positions))]
    Duplicate {
        /// The name.
        name: String,
        /// Where it stands, from 1.
        positions: Vec<usize>,
    },
    /// Another set of columns than in the first input.
    #[error("has other columns than {first}{}{}", part("; missing", missing), part("; not there", extra))]
    Columns {
        /// The input that it's compared with.
        first: String,
        /// Columns of the first input that this one lacks.
        missing: Vec<String>,
        /// Columns that the first input lacks.
        extra: Vec<String>,
    },
    /// The database's address is none. Words without the address: it holds a password.
    #[error("the database's address is wrong: {0}")]
    Url(String),
    /// No connection to the database comes about.
    #[error("the database can't be reached: {0}")]
    Unreachable(String),
    /// The database refuses user, password or the right to connect.
    #[error("the database refuses the login: {0}")]
    Login(String),
    /// The database refuses the query.
    #[error("the query can't be run: {0}")]
    Query(String),
    /// Stripe's list can't be read.
    #[error("the list can't be read: {0}")]
    Stripe(String),
    /// Stripe refuses the key, or the key has no right to the list.
    #[error("Stripe refuses the key: {0}")]
    StripeKey(String),
    /// The query's columns aren't what they have to be.
    #[error("column `{}` {problem}", cut(name))]
    Column {
        /// The column.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl OpenProblem {
    pub(super) fn io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Io(error),
        }
    }
}

/// Most column names that a message lists.
const LISTED_MAX: usize = 10;

/// Most characters of a column's name in a message: what is taken for a header may be data.
const NAME_CHARS_MAX: usize = 80;

pub(super) fn cut(name: &str) -> &str {
    name.char_indices().nth(NAME_CHARS_MAX).map_or(name, |(at, _)| &name[..at])
}

fn listed(positions: &[usize]) -> String {
    let mut list = positions.iter().take(LISTED_MAX).map(usize::to_string).collect::<Vec<_>>().join(", ");
    if positions.len() > LISTED_MAX {
        list += &format!(" and {} more", positions.len() - LISTED_MAX);
    }
    list
}

fn part(label: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let mut list = names.iter().take(LISTED_MAX).map(|name| format!("`{}`", cut(name))).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED_MAX {
        list += &format!(" and {} more", names.len() - LISTED_MAX);
    }
    format!("{label}: {list}")
}

/// What stopped a source part-way.
#[derive(Debug, thiserror::Error)]
pub enum BrokeProblem {
    /// The system refuses to read on.
    #[error("can't be read on: {0}")]
    Io(io::Error),
    /// The compressed data is damaged or cut off.
    #[error("the {compression} data is damaged or cut off: {error}")]
    Corrupt {
        /// How it is compressed.
        compression: Compression,
        /// The decompressor's own words.
        error: io::Error,
    },
    /// A zstd frame asks for a larger window than is held in memory.
    #[error(
        "the zstd data needs a window of more than {mib_max} MiB in memory; decompress it outside: zstdcat FILE | stigg-import run … --csv -"
    )]
    ZstdWindow {
        /// The largest window, in MiB.
        mib_max: u32,
    },
    /// Far more comes out than went in.
    #[error(
        "decompresses to more than {ratio_max} times its size: {raw_bytes} bytes became {text_bytes}; decompress it yourself if it's meant to"
    )]
    Bomb {
        /// The limit.
        ratio_max: u64,
        /// Compressed bytes read.
        raw_bytes: u64,
        /// Bytes that they became.
        text_bytes: u64,
    },
    /// It stops being JSON, and what comes after can't be told.
    #[error("the JSON is wrong at column {column}: {what}")]
    Json {
        /// Column of that line, in characters, from 1.
        column: u64,
        /// What is wrong.
        what: String,
    },
    /// The text ends before its JSON does.
    #[error("the JSON is cut off: the text ends in the middle of it")]
    CutOff,
    /// When its turn came, the file was no longer what it was when its header was checked.
    #[error("was changed after the run had started: its header or format is another one now")]
    Changed,
    /// A file is another at its end than when it was opened: of what is there now, a part may be missing, and the last row may
    /// be half of one.
    #[error("was changed while it was read")]
    ChangedMeanwhile,
    /// When its turn came, the file could not be opened any more.
    #[error("can't be opened any more: {0}")]
    Gone(OpenProblem),
    /// The database stopped giving rows, in its own words or the driver's.
    #[error("{0}")]
    Database(String),
    /// Stripe stopped giving objects.
    #[error("the list breaks off: {0}")]
    Stripe(String),
    /// The reading thread ended without a word: a bug.
    #[error("the reader stopped unexpectedly (a bug)")]
    Stopped,
}

impl BrokeProblem {
    /// Readers wrap what they know into an `io::Error`; this takes it out again.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(problem) => problem,
            Err(error) => Self::Io(error),
        }
    }
}
