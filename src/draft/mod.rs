//! Drafts a mapping from a source's columns and a sample of its rows.
//!
//! ```text
//!  rows ──► Sample ──► known export? ──yes──► the mapping that ships, with the plans that were found
//!                          └──no──► guess: names first, then content ──► written, a comment on each guess
//! ```
//!
//! A draft is text for a person: what can't be known is said with `TODO`, and nothing is guessed that could silently be
//! wrong, such as which of two numbers in a date is the day.

mod about;
mod abroad;
mod amount;
mod digits;
mod form;
mod guess;
mod ids;
mod json;
mod kind;
mod known;
mod lookup;
mod names;
mod question;
mod sample;
mod spelling;
mod times;
mod which;
mod write;

use std::collections::BTreeMap;

pub use json::JsonSample;
pub use kind::{Told, schemas_of};
pub use question::{About, Adviser, Choice, Nobody, Question};
pub use sample::{ColumnSample, Sample};
pub use write::quoted;

use crate::clock::Clock;
use crate::entity::Schema;

/// A mapping as text, and what a person has to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What a row is.
    pub schema: Schema,
    /// The mapping file's text. It parses, and fits the columns of the sample.
    pub mapping: String,
    /// The export that was recognised by its columns; none where the columns were guessed.
    pub recognised: Option<&'static str>,
    /// What a person has to decide, one clause each.
    pub to_do: Vec<String>,
}

/// Why there is no draft: something that every record needs could only be made up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CantDraft {
    /// A needed field has no column that looks like it.
    #[error("no column looks like the {field} of a {name}", name = .schema.name())]
    NoColumn {
        /// What a row is.
        schema: Schema,
        /// The field.
        field: &'static str,
    },
    /// A needed time could be read in two ways.
    #[error("in column {column}, either the day or the month may come first, and every record needs its {field}")]
    DayOrMonth {
        /// The field.
        field: &'static str,
        /// The column.
        column: String,
    },
}

/// Drafts a mapping of each of `schemas`, that are what a row of the sample is. `columns` says the column of some fields, which
/// is then not guessed; `adviser` is asked what can't be guessed well. Customers and subscriptions of the same rows have their
/// customer's id from the same column.
///
/// # Errors
///
/// [`CantDraft`]: a field that every record needs has no column (name it in `columns`), or one that can be read in two ways.
pub fn drafts(
    schemas: &[Schema],
    sample: &Sample,
    columns: &BTreeMap<String, String>,
    adviser: &mut dyn Adviser,
    clock: &dyn Clock,
) -> Result<Vec<Draft>, CantDraft> {
    let mut drafts = Vec::new();
    let mut same = None;
    // Subscriptions first: their columns tell better whose the other ids are.
    for schema in schemas.iter().rev().copied() {
        let of_this: BTreeMap<String, String> = columns
            .iter()
            .filter(|(field, _)| schema.fields().iter().any(|known| known.name == field.as_str()))
            .map(|(field, column)| (field.clone(), column.clone()))
            .collect();
        if of_this.is_empty()
            && let Some(draft) = known::draft(schema, sample, clock)
        {
            drafts.push(draft);
            continue;
        }
        let same_now = same.or_else(|| guess::customers_own(schema, sample, &of_this));
        let guesses = guess::guess(schema, sample, &of_this, same_now, adviser)?;
        let customer = guesses.fields.iter().find(|guess| guess.field.name == "customerId");
        same = customer.map(|guess| (guess.field.name, guess.column));
        drafts.push(write::draft(schema, sample, &guesses));
    }
    drafts.reverse();
    Ok(drafts)
}

#[cfg(test)]
mod tests;
