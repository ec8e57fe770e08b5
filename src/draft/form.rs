//! How the text of a column becomes a field's value.

use std::collections::BTreeSet;

use serde_json::Value;

use super::amount::Amounts;
use super::digits::{self, Digits};
use super::sample::ColumnSample;
use super::spelling::plain;
use super::times::{self, Times};
use crate::entity::{self, Field, Kind};

/// How the column's text becomes the field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// As it stands.
    Plain,
    /// A time.
    Time(Times),
    /// A number that is not written as the mapping reads it without being told.
    Number(Digits),
    /// Through a table of words: those that were found, and what each becomes.
    Words {
        pairs: Vec<(String, &'static str)>,
        /// Words that were found and mean none of the field's.
        others: Vec<String>,
    },
    /// Through a lookup table of this name that a person fills: ids of a catalog.
    Lookup(&'static str),
    /// The cell's JSON is the whole field.
    Json,
    /// An id in which these characters, that no id in Stigg has, become hyphens.
    Spelled(Vec<char>),
    /// An amount of money, which is only proposed.
    Amounts(Amounts),
    /// With another column behind it.
    Joined(&'a ColumnSample),
    /// An id that is made of this column's and another's.
    Key(&'a ColumnSample),
}

/// The lookup table through which a field goes: its values are ids of the catalog, which other systems write in their
/// own way.
fn lookup(field: &str) -> Option<&'static str> {
    match field {
        "planId" => Some("plans"),
        "featureId" => Some("features"),
        _ => None,
    }
}

/// How the column's cells become the field's values; none where they don't.
pub(super) fn of(field: &Field, column: &ColumnSample) -> Option<Form<'static>> {
    if column.cells.is_empty() {
        // A column without a value in the sample: its name has to do, where no form has to be known.
        return matches!(field.kind, Kind::Text { .. } | Kind::Email).then_some(Form::Plain);
    }
    if column.is_json() {
        let is_map = match field.kind {
            Kind::TextMap => column.mostly(|cell| matches!(serde_json::from_str(cell), Ok(Value::Object(_)))),
            Kind::ScalarMap => column.mostly(|cell| match serde_json::from_str(cell) {
                Ok(Value::Object(inside)) => inside.values().all(|value| !value.is_object() && !value.is_array()),
                _ => false,
            }),
            _ => false,
        };
        return is_map.then_some(Form::Json);
    }
    if let Some(lookup) = lookup(field.name) {
        return Some(Form::Lookup(lookup));
    }
    match field.kind {
        Kind::Time => times::of(column).map(Form::Time),
        Kind::Enum(words) => words_of(words, column),
        Kind::Number { .. } if !column.mostly(|cell| fits(&field.kind, cell)) => {
            digits::of(column).filter(|digits| !digits.is_plain() && !digits.has_sign()).map(Form::Number)
        }
        Kind::Id { .. } | Kind::Text { .. } | Kind::Email | Kind::Number { .. } | Kind::Bool => {
            column.mostly(|cell| fits(&field.kind, cell)).then_some(Form::Plain)
        }
        Kind::Fixed(_) | Kind::TextMap | Kind::ScalarMap | Kind::TextList | Kind::Object(_) | Kind::List { .. } => None,
    }
}

/// The characters of a column's ids that have to become hyphens; none where that makes no ids of them.
pub(super) fn spelled(field: &Field, column: &ColumnSample) -> Option<Vec<char>> {
    const CHARS_MAX: usize = 4;
    let other = |c: &char| !c.is_ascii_alphanumeric() && !"_|.@-".contains(*c);
    let others: BTreeSet<char> = column.cells.iter().flat_map(|cell| cell.trim().chars().filter(other)).collect();
    let others: Vec<char> = others.into_iter().collect();
    let is_small = (1..=CHARS_MAX).contains(&others.len()) && others.iter().all(|c| c.is_ascii() && !c.is_control());
    let holds = || column.mostly(|cell| fits(&field.kind, &cell.replace(&others[..], "-")));
    (is_small && !column.is_json() && holds()).then_some(others)
}

/// Whether a cell is a value of a kind.
pub(super) fn fits(kind: &Kind, cell: &str) -> bool {
    matches!(entity::check(kind, cell), Ok(Some(_)))
}

/// Whether every cell means one of the field's words.
pub(super) fn all_words(field: &Field, column: &ColumnSample) -> bool {
    let Kind::Enum(words) = field.kind else { return false };
    let found = column.distinct().unwrap_or_default();
    !found.is_empty() && found.iter().all(|(cell, _)| meant(words, cell).is_some())
}

/// The words of a column that mean one of `words`.
fn words_of(words: &'static [&'static str], column: &ColumnSample) -> Option<Form<'static>> {
    let found = column.distinct()?;
    let pairs: Vec<_> = found.iter().filter_map(|(cell, _)| Some(((*cell).to_owned(), meant(words, cell)?))).collect();
    let others = found.iter().filter(|(cell, _)| meant(words, cell).is_none()).map(|(cell, _)| (*cell).to_owned());
    (!pairs.is_empty()).then(|| Form::Words { others: others.collect(), pairs })
}

/// The word that a cell means: `month`, `Monthly` or `1 month` is `MONTHLY`.
fn meant(words: &'static [&'static str], cell: &str) -> Option<&'static str> {
    let cell = plain(cell);
    let every = cell.trim_start_matches("every").trim_start_matches("per");
    words.iter().copied().find(|word| match *word {
        "MONTHLY" => {
            let one = every.trim_start_matches('1');
            ["month", "monat", "mensuel", "mensual", "mois"].iter().any(|begin| one.starts_with(begin))
        }
        "ANNUALLY" => {
            let one = every.trim_start_matches('1');
            ["12month", "12monat", "12mois"].iter().any(|begin| every.starts_with(begin))
                || ["annu", "anual", "year", "jahr", "jaehr"].iter().any(|begin| one.starts_with(begin))
        }
        other => plain(other) == cell,
    })
}
