//! JSON: records on lines, one after the other, or in an array; streamed, each in bounded memory.
//!
//! ```text
//!  window ──► document: which array, the way in and out        (any size, nothing kept)
//!         └─► records: one at a time ──► element over cursor   (whole in memory, bounded)
//! ```
//!
//! No crate reads it so: serde_json takes an array as a whole, turns numbers into doubles unless
//! the whole program's are changed, and lets the last of two equal keys win.

mod cursor;
mod document;
mod each;
mod element;
mod open;
mod options;
mod reasons;
mod records;
mod skipper;
mod text;
mod wanted;
mod window;

#[cfg(test)]
mod tests;

use std::io::Read;

pub use self::options::{JsonForm, JsonOptions};
use super::Rows;
use super::error::{OpenProblem, SourceError};
use super::feed::{self, Broken, Filling, Format, Opened};
use super::input::{self, Bytes, Input, Named, Origin};
use super::sniff::Described;

/// The column that takes the whole record, as JSON without blanks, unless a record has a key of
/// that name.
pub const WHOLE_ROW: &str = "_json";

/// The column that takes the key of an entry, with [`JsonOptions::each`].
pub const EACH_KEY: &str = "_key";

/// The column that takes the value of an entry, with [`JsonOptions::each`].
pub const EACH_VALUE: &str = "_value";

/// Opens JSON inputs, finds out where their records are, and starts to read them, in order.
///
/// `wanted` are the columns, in this order: of each record the value of the key of that very name;
/// where a record has no such key, the value at that path: `address.city`, `items[0].price`,
/// `data["a.b"].c`. [`WHOLE_ROW`] is the record itself. A missing value and `null` are NULL; a text
/// is its characters; a number its digits as they are written, an exponent written out where that
/// takes no more than 64 characters; `true` and `false` are those words; an object or array is its
/// JSON without blanks, numbers as they are written.
///
/// The form of each input is told by its content, unless the options say it:
///
/// - it starts with `[`: the items of that array;
/// - it starts with `{`, and that object is all there is, or there is too much of it to be a record
///   among others: the items of its only array of objects (arrays without any item count, too).
///   Several, or an array in an object that has wanted keys itself, need an option;
/// - it starts with `{`, otherwise: records one after the other; each line is one, unless the first
///   goes over several;
/// - there is nothing: no records.
///
/// A large file with an object has to be read twice to know its arrays, unless the options say
/// which one; from standard input the first 64 KiB decide, and another array of objects behind the
/// one that was read is an error then.
///
/// A [`BadRow`](crate::record::BadRow) is: a line that is not JSON; a record that is no object, over
/// a limit or more than 64 levels deep, or has a wanted key twice (or any, in an object that is
/// wanted as JSON), invalid UTF-8, half a surrogate pair in a wanted text, or a text with a control
/// character or a wrong escape. Its cells are those that were read, and one more: the record as it
/// is written, cut to [`Limits::bad_row_bytes_max`](super::Limits::bad_row_bytes_max). All else that
/// isn't JSON ends the reading, as it can't be known where the next record begins; what no column
/// wants is passed over and, outside of records, not looked at beyond its texts and brackets.
///
/// Files are opened again when their turn comes, compression and encodings are told by content, as
/// for CSV. Lines end with `\n`.
///
/// # Errors
///
/// All that is wrong before the first row; [`SourceError::before_reading`] is true of it.
pub async fn open_json(inputs: &[Input], options: &JsonOptions, wanted: &[String]) -> Result<Rows, SourceError> {
    let inputs = inputs.to_vec();
    let format = Json::new(options, wanted)?;
    feed::start(move || input::resolve(&inputs), format).await
}

/// As [`open_json`], of one reader, for what is no file; `name` stands in messages.
///
/// # Errors
///
/// As [`open_json`].
pub async fn open_json_reader(
    name: &str,
    reader: impl Read + Send + 'static,
    options: &JsonOptions,
    wanted: &[String],
) -> Result<Rows, SourceError> {
    let input = Named { name: name.into(), origin: Origin::Reader(Some(Box::new(reader))) };
    let format = Json::new(options, wanted)?;
    feed::start(move || Ok(vec![input]), format).await
}

struct Json {
    options: JsonOptions,
    wanted: Vec<String>,
}

impl Json {
    fn new(options: &JsonOptions, wanted: &[String]) -> Result<Self, SourceError> {
        options.check(wanted)?;
        wanted::Wanted::new(wanted, options.each.as_deref()).map_err(SourceError::Options)?;
        Ok(Self { options: options.clone(), wanted: wanted.to_vec() })
    }
}

impl Format for Json {
    const THREAD: &'static str = "json";

    type Table = records::Table;

    fn open(
        &self,
        input: &mut Named,
        known: Option<&Described>,
        guard: &dyn Fn(Bytes) -> Bytes,
    ) -> Result<Opened<Self::Table>, OpenProblem> {
        open::open(input, &self.options, &self.wanted, known, guard)
    }

    #[inline]
    fn next(&self, table: &mut Self::Table, _order: Option<&[usize]>, filling: &mut Filling) -> Result<bool, Broken> {
        table.next(&self.options, filling)
    }

    fn text_bytes(&self, table: &Self::Table) -> u64 {
        table.window.text_bytes()
    }

    fn batch_max(&self) -> (usize, usize) {
        (self.options.batch_rows, self.options.batch_text_bytes)
    }
}
