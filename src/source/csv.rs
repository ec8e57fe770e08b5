//! CSV: rows out of records.

use std::io::Read;

use super::error::{BrokeProblem, OpenProblem, SourceError};
use super::feed::{self, Broken, Filling, Format, Opened};
use super::input::{self, Bytes, Input, Named, Origin};
use super::options::CsvOptions;
use super::sniff::Described;
use super::split::{Flaw, Split};
use super::table::{self, Table};
use super::{Rows, reasons};

/// Opens CSV inputs, reads all their headers, and starts to read their rows, in order.
///
/// Files are told by content: gzip and zstd are decompressed, encodings decoded. All inputs must
/// have the same columns; where their order differs, cells are put in the order of the first
/// input. Blank lines are skipped and are no records. Files are opened again when their turn
/// comes, so any number of them can be named.
///
/// # Errors
///
/// All that is wrong before the first row; [`SourceError::before_reading`] is true of it.
pub async fn open_csv(inputs: &[Input], options: &CsvOptions) -> Result<Rows, SourceError> {
    let inputs = inputs.to_vec();
    options.check()?;
    feed::start(move || input::resolve(&inputs), Csv { options: options.clone() }).await
}

/// As [`open_csv`], of one reader, for what is no file; `name` stands in messages.
///
/// # Errors
///
/// As [`open_csv`].
pub async fn open_csv_reader(
    name: &str,
    reader: impl Read + Send + 'static,
    options: &CsvOptions,
) -> Result<Rows, SourceError> {
    let input = Named { name: name.into(), origin: Origin::Reader(Some(Box::new(reader))) };
    options.check()?;
    feed::start(move || Ok(vec![input]), Csv { options: options.clone() }).await
}

struct Csv {
    options: CsvOptions,
}

impl Format for Csv {
    const THREAD: &'static str = "csv";

    type Table = Table;

    fn open(
        &self,
        input: &mut Named,
        _known: Option<&Described>,
        guard: &dyn Fn(Bytes) -> Bytes,
    ) -> Result<Opened<Table>, OpenProblem> {
        table::open(input, &self.options, guard)
    }

    #[inline]
    fn next(&self, table: &mut Table, order: Option<&[usize]>, filling: &mut Filling) -> Result<bool, Broken> {
        let split = table
            .splitter
            .next()
            .map_err(|error| Broken { problem: BrokeProblem::from_io(error), line: table.splitter.line_reached() })?;
        match split {
            Split::Record => {
                filling.record += 1;
                self.row(table, order, filling);
            }
            Split::Flawed(flaw) => {
                filling.record += 1;
                self.flawed(table, order, flaw, filling);
            }
            Split::End => return Ok(false),
        }
        Ok(true)
    }

    fn text_bytes(&self, table: &Table) -> u64 {
        table.splitter.text_bytes()
    }

    fn batch_max(&self) -> (usize, usize) {
        (self.options.batch_rows, self.options.batch_text_bytes)
    }
}

impl Csv {
    /// Takes the record that was just split off.
    #[inline]
    fn row(&self, table: &Table, order: Option<&[usize]>, filling: &mut Filling) {
        let splitter = &table.splitter;
        let (bytes, ends) = (splitter.text(), splitter.ends());
        if ends.len() != table.names.len() {
            return self.bad(table, order, reasons::of_width(ends.len(), &table.names), filling);
        }
        let field_bytes_max = self.options.limits.field_bytes_max;
        if bytes.len() > field_bytes_max
            && let Some((cell, bytes)) = widths(ends).enumerate().find(|(_, bytes)| *bytes > field_bytes_max)
        {
            let reason = reasons::of_length(cell, bytes, &table.names, &self.options.limits);
            return self.bad(table, order, reason, filling);
        }
        // Valid as a whole, and every cell whole characters: then each cell is valid.
        match std::str::from_utf8(bytes) {
            Ok(text) if ends.iter().all(|end| text.is_char_boundary(*end)) => match order {
                None => filling.batch.push_joined(filling.record, splitter.line(), text, ends),
                Some(order) => filling.batch.push(
                    filling.record,
                    splitter.line(),
                    order.iter().map(|cell| {
                        let start = if *cell == 0 { 0 } else { ends[*cell - 1] };
                        Some(&text[start..ends[*cell]])
                    }),
                ),
            },
            _ => {
                let encoding = table.encoding;
                let transcoded = encoding != encoding_rs::UTF_8.name();
                let reason = reasons::of_encoding(bytes, ends, &table.names, encoding, transcoded)
                    .expect("a text that is not valid has a cell that is not");
                self.bad(table, order, reason, filling);
            }
        }
    }

    #[cold]
    fn flawed(&self, table: &Table, order: Option<&[usize]>, flaw: Flaw, filling: &mut Filling) {
        self.bad(table, order, reasons::of_flaw(flaw, &table.names, &self.options.limits), filling);
    }

    #[cold]
    fn bad(&self, table: &Table, order: Option<&[usize]>, reason: String, filling: &mut Filling) {
        let splitter = &table.splitter;
        let cells = reasons::cells(splitter.text(), splitter.ends(), order, self.options.limits.bad_row_bytes_max);
        filling.bad(splitter.line(), reason, cells);
    }
}

/// Lengths of cells that end at `ends`.
fn widths(ends: &[usize]) -> impl Iterator<Item = usize> {
    ends.iter().scan(0, |start, end| Some(end - std::mem::replace(start, *end)))
}
