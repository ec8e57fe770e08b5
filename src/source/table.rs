//! One CSV input, opened: found out what it is, its header read and checked.

use super::error::OpenProblem;
use super::feed::Opened;
use super::input::{Bytes, Named};
use super::options::{CsvOptions, Quote};
use super::sniff::{self, Described, Written};
use super::split::{Flaw, Split, Splitter};
use super::{header, reasons, text};

/// An opened input, its reader right behind the header.
pub(super) struct Table {
    pub(super) splitter: Splitter<Bytes>,
    pub(super) names: Vec<Box<str>>,
    pub(super) encoding: &'static str,
}

/// Opens `input`. `guard` wraps the bytes as they are, to let reading be stopped.
pub(super) fn open(
    input: &mut Named,
    options: &CsvOptions,
    guard: &dyn Fn(Bytes) -> Bytes,
) -> Result<Opened<Table>, OpenProblem> {
    let text = text::open(input, options.encoding.as_deref(), &options.limits, "CSV", guard)?;
    let sample = &text.sample;
    let quote = match options.quote {
        Quote::Detect => Some(sniff::quote(sample, options.delimiter)),
        Quote::Byte(byte) => Some(byte),
        Quote::None => None,
    };
    let declared = sniff::declared(sample).filter(|byte| Some(*byte) != quote);
    let delimiter = options.delimiter.or(declared).unwrap_or_else(|| sniff::delimiter(sample, text.whole, quote));
    let mut splitter = Splitter::new(text.bytes, delimiter, quote, &options.limits);
    if declared.is_some() {
        splitter.next().map_err(OpenProblem::io)?;
    }
    let names = match splitter.next().map_err(OpenProblem::io)? {
        Split::End => return Err(OpenProblem::Empty),
        Split::Flawed(Flaw::TooWide) => return Err(header::too_wide(&options.limits)),
        Split::Flawed(flaw) => return Err(OpenProblem::Header(reasons::of_flaw(flaw, &[], &options.limits))),
        Split::Record => header::names(splitter.text(), splitter.ends(), &options.limits)?,
    };
    let described = Described {
        name: input.name.to_string(),
        compression: text.compression,
        encoding: text.encoding.encoding.name(),
        encoding_from: text.encoding.from,
        written: Written::Csv { delimiter, quote, line_end: splitter.line_end().map_err(OpenProblem::io)? },
        columns: names.len(),
    };
    Ok(Opened {
        columns: names.clone(),
        table: Table { splitter, names, encoding: described.encoding },
        described,
        raw_bytes: text.raw_bytes,
        again: text.again,
        bytes_total: text.bytes_total,
    })
}
