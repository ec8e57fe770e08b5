//! Which delimiter and which quote a text uses, from a sample.

use std::fmt;

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::compression::Compression;
use super::encoding::EncodingFrom;
use super::error::cut;
use super::json::JsonForm;

/// Bytes of an input, decompressed, that are looked at before it is read.
///
/// Standard input is not read before as many have come, or its end.
pub const SAMPLE_BYTES: usize = 64 << 10;

/// Delimiters that are looked for; the first of equals is taken.
pub const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How the lines of a text end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// `\n`.
    Lf,
    /// `\r\n`.
    CrLf,
    /// `\r` alone.
    Cr,
    /// The text is one line without an end.
    None,
}

impl fmt::Display for LineEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lf => "LF",
            Self::CrLf => "CRLF",
            Self::Cr => "CR",
            Self::None => "no line end",
        })
    }
}

/// What an input was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The file as the user named it, `-` for standard input.
    pub name: String,
    /// How it is compressed.
    pub compression: Compression,
    /// Name of the encoding, as in the WHATWG Encoding Standard.
    pub encoding: &'static str,
    /// How the encoding is known.
    pub encoding_from: EncodingFrom,
    /// How its records are written.
    pub written: Written,
    /// How many columns it has, or how many of its values are read.
    pub columns: usize,
}

/// How the records of a text are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// As CSV.
    Csv {
        /// What stands between cells.
        delimiter: u8,
        /// What stands around a cell that holds delimiters; `None` if quotes have no meaning.
        quote: Option<u8>,
        /// How its first line ends.
        line_end: LineEnd,
    },
    /// As JSON.
    Json {
        /// Where its records are.
        form: JsonForm,
        /// The name or path of the array; `None` where the text is the array itself, or no array.
        array: Option<String>,
    },
}

impl fmt::Display for Described {
    /// One line: `a.csv: gzip, UTF-8 (assumed), delimiter comma, quote ", CRLF, 12 columns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name == "-" { "standard input" } else { &self.name };
        write!(f, "{name}: {}, {} ({}), ", self.compression, self.encoding, self.encoding_from)?;
        match &self.written {
            Written::Csv { delimiter, quote, line_end } => {
                match delimiter {
                    b',' => f.write_str("delimiter comma, ")?,
                    b';' => f.write_str("delimiter semicolon, ")?,
                    b'\t' => f.write_str("delimiter tab, ")?,
                    b'|' => f.write_str("delimiter pipe, ")?,
                    other => write!(f, "delimiter {}, ", char::from(*other).escape_default())?,
                }
                match quote {
                    Some(quote) => write!(f, "quote {}, ", char::from(*quote))?,
                    None => f.write_str("no quotes, ")?,
                }
                write!(f, "{line_end}, {} columns", self.columns)
            }
            Written::Json { form, array: Some(array) } => write!(f, "JSON, {form} `{}`", cut(array)),
            Written::Json { form, array: None } => write!(f, "JSON, {form}"),
        }
    }
}

/// The delimiter in a first line `sep=;`, as spreadsheet programs write and read it.
pub(super) fn declared(sample: &[u8]) -> Option<u8> {
    match sample {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', byte, b'\n' | b'\r', ..]
            if byte.is_ascii_punctuation() || *byte == b'\t' =>
        {
            Some(*byte)
        }
        _ => None,
    }
}

/// The quote of a text: `'` if at least two fields stand between single quotes, none has only the
/// opening one, and none starts with `"`; else `"`.
pub(super) fn quote(sample: &[u8], delimiter: Option<u8>) -> u8 {
    let is_edge =
        |byte: u8| matches!(byte, b'\n' | b'\r') || delimiter.map_or(DELIMITERS.contains(&byte), |said| said == byte);
    let starts = |at: usize| at == 0 || is_edge(sample[at - 1]);
    if memchr::memchr_iter(b'"', sample).any(starts) {
        return b'"';
    }
    let mut wrapped = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\'', &sample[at..]) {
        let open = at + found;
        at = open + 1;
        if !starts(open) {
            continue;
        }
        // The closing quote is the first that stands before an edge; a line end inside is rare
        // enough to count against it.
        let line = memchr::memchr2(b'\n', b'\r', &sample[at..]).map_or(sample.len(), |end| at + end);
        let close = memchr::memchr_iter(b'\'', &sample[at..line])
            .map(|close| at + close)
            .find(|close| close + 1 == sample.len() || is_edge(sample[close + 1]));
        match close {
            Some(close) => {
                wrapped += 1;
                at = close + 1;
            }
            // The sample may end inside a field.
            None if line == sample.len() => break,
            None => return b'"',
        }
    }
    if wrapped >= 2 { b'\'' } else { b'"' }
}

/// The delimiter of a text: the one that splits the header, and most of the other records into as
/// many cells as the header; of equals the one that makes more cells, of equals the first of
/// [`DELIMITERS`]. `whole`: the sample is the whole text, so its last record isn't cut.
pub(super) fn delimiter(sample: &[u8], whole: bool, quote: Option<u8>) -> u8 {
    let mut best = (b',', 0, 0);
    for candidate in DELIMITERS.into_iter().filter(|candidate| Some(*candidate) != quote) {
        let (header_cells, per_mille) = regularity(sample, whole, candidate, quote);
        if header_cells > 1 && (per_mille, header_cells) > (best.1, best.2) {
            best = (candidate, per_mille, header_cells);
        }
    }
    best.0
}

/// How many cells the header has, and how many of 1,000 records have as many.
fn regularity(sample: &[u8], whole: bool, delimiter: u8, quote: Option<u8>) -> (usize, usize) {
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).quote(quote.unwrap_or(b'"')).quoting(quote.is_some()).build();
    let (mut text, mut ends) = ([0; 1024], [0; 64]);
    let (mut at, mut cells, mut header_cells, mut records, mut regular) = (0, 0, 0, 0, 0);
    loop {
        let (result, read, _, ended) = reader.read_record(&sample[at..], &mut text, &mut ends);
        at += read;
        cells += ended;
        match result {
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => continue,
            // The end of the sample; what is read of the last record counts only if it is whole.
            ReadRecordResult::InputEmpty if whole || records == 0 => continue,
            ReadRecordResult::InputEmpty | ReadRecordResult::End => break,
            ReadRecordResult::Record if records > 0 && !whole && at == sample.len() => break,
            ReadRecordResult::Record => {
                records += 1;
                if records == 1 {
                    header_cells = cells;
                }
                regular += usize::from(cells == header_cells);
                cells = 0;
            }
        }
    }
    (header_cells, (regular * 1000).checked_div(records).unwrap_or(0))
}
