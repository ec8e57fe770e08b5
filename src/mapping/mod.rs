//! The declarative file that turns rows into records.
//!
//! ```text
//!  load/parse            compile                 apply, finish
//!  file ──► MappingFile ──(the source's columns)──► Plan ──► Mapper ──► RecordBatch
//!            all problems     do the columns exist?           rows in, records and rejects out
//! ```
//!
//! [`parse`] finds everything that is wrong with the file itself, [`compile`] what is wrong with it
//! for one source. A [`Mapper`] is pure but for `aggregate`, whose totals may overflow to disk.
//! The format is described in `docs/mapping.md`.

mod aggregate;
mod compile;
mod example;
mod expr;
mod fault;
mod file;
mod group;
mod json;
mod json_text;
mod json_value;
mod mapper;
mod number;
mod plan;
mod read;
mod read_fields;
mod read_json;
mod read_sections;
mod read_value;
mod rule;
mod schema;
mod spec;
mod table;
mod time;
mod write;
mod written;

#[cfg(test)]
mod tests;

pub use aggregate::{SpillError, SpillSettings};
pub use compile::compile;
pub use example::{ExampleOutcome, run_examples};
pub use file::{ColumnUse, CsvHints, LoadError, MappingFile, load, parse};
pub use mapper::Mapper;
pub use plan::Plan;
pub use schema::json_schema;
