//! Which column is which field: by its name first, then by what stands in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::CantDraft;
use super::names::{self, plain};
use super::sample::{ColumnSample, Sample};
use super::times::{self, Times};
use crate::entity::{self, Entity, Field, Kind};

/// A field and the column that it is taken from.
#[derive(Debug)]
pub(super) struct Guess<'a> {
    pub(super) field: &'static Field,
    pub(super) column: &'a ColumnSample,
    pub(super) why: Why,
    pub(super) form: Form,
}

/// Why this column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody said so.
    Said,
    /// It is called so.
    Name,
    /// What stands in it.
    Content,
}

/// How the column's text becomes the field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// As it stands.
    Plain,
    /// A time.
    Time(Times),
    /// Through a table of words: those that were found, and what each becomes.
    Words(Vec<(String, &'static str)>),
    /// Through a lookup table of this name that a person fills: ids of a catalog.
    Lookup(&'static str),
    /// The cell's JSON is the whole field.
    Json,
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

/// Guesses a column for each field that takes one value.
pub(super) fn guess<'a>(
    entity: Entity,
    sample: &'a Sample,
    said: &BTreeMap<String, String>,
) -> Result<Vec<Guess<'a>>, CantDraft> {
    let mut taken: BTreeSet<&str> = said.values().map(String::as_str).collect();
    let mut guesses = Vec::new();
    for field in entity.fields() {
        let named = said.get(field.name).and_then(|name| sample.column(name));
        let found = match named {
            Some(column) => {
                Some(Guess { field, column, why: Why::Said, form: form(field, column).unwrap_or(Form::Plain) })
            }
            None => by_name(entity, field, sample, &taken).or_else(|| by_content(field, sample, &taken)),
        };
        match found {
            Some(Guess { column, form: Form::Time(Times::DayOrMonthFirst { .. }), .. }) if field.required => {
                return Err(CantDraft::DayOrMonth { field: field.name, column: column.name.clone() });
            }
            Some(guess) => {
                taken.insert(&guess.column.name);
                guesses.push(guess);
            }
            None if field.required && !matches!(field.kind, Kind::Fixed(_)) => {
                return Err(CantDraft::NoColumn { entity, field: field.name });
            }
            None => {}
        }
    }
    Ok(guesses)
}

fn by_name<'a>(entity: Entity, field: &'static Field, sample: &'a Sample, taken: &BTreeSet<&str>) -> Option<Guess<'a>> {
    let free = || sample.columns.iter().filter(|column| !taken.contains(column.name.as_str()));
    let mut found: Option<(names::Called, Guess<'a>)> = None;
    for name in names::of(entity, field.name) {
        for column in free() {
            if let Some(called) = names::is_called(column, name)
                && found.as_ref().is_none_or(|(best, _)| called < *best)
                && let Some(form) = form(field, column)
            {
                found = Some((called, Guess { field, column, why: Why::Name, form }));
            }
        }
    }
    found.map(|(_, guess)| guess)
}

/// Only what can't be anything else.
fn by_content<'a>(field: &'static Field, sample: &'a Sample, taken: &BTreeSet<&str>) -> Option<Guess<'a>> {
    let fits = |column: &ColumnSample| match field.name {
        "email" => column.mostly(|cell| cell.contains('@') && fits_kind(&field.kind, cell)),
        "billingId" => column.mostly(|cell| cell.starts_with("cus_") || cell.starts_with("sub_")),
        "paymentMethodId" => column.mostly(|cell| cell.starts_with("pm_")),
        _ => false,
    };
    let found: Vec<_> =
        sample.columns.iter().filter(|column| !taken.contains(column.name.as_str()) && fits(column)).collect();
    // Of several the one that is nearest to the record itself.
    let depth = found.iter().map(|column| names::depth(column)).min()?;
    let mut nearest = found.into_iter().filter(|column| names::depth(column) == depth);
    match (nearest.next(), nearest.next()) {
        (Some(column), None) => Some(Guess { field, column, why: Why::Content, form: Form::Plain }),
        (Some(_) | None, _) => None,
    }
}

/// How the column's cells become the field's values; none where they don't.
fn form(field: &Field, column: &ColumnSample) -> Option<Form> {
    if column.cells.is_empty() {
        // A column without a value in the sample: its name has to do, where no form has to be known.
        return matches!(field.kind, Kind::Text { .. } | Kind::Email).then_some(Form::Plain);
    }
    if column.is_json() {
        let fits = match field.kind {
            Kind::TextMap => column.mostly(|cell| matches!(serde_json::from_str(cell), Ok(Value::Object(_)))),
            Kind::ScalarMap => column.mostly(|cell| match serde_json::from_str(cell) {
                Ok(Value::Object(inside)) => inside.values().all(|value| !value.is_object() && !value.is_array()),
                _ => false,
            }),
            _ => false,
        };
        return fits.then_some(Form::Json);
    }
    if let Some(lookup) = lookup(field.name) {
        return Some(Form::Lookup(lookup));
    }
    match field.kind {
        Kind::Time => times::of(column).map(Form::Time),
        Kind::Enum(words) => words_of(words, column),
        Kind::Id { .. } | Kind::Text { .. } | Kind::Email | Kind::Number { .. } | Kind::Bool => {
            column.mostly(|cell| fits_kind(&field.kind, cell)).then_some(Form::Plain)
        }
        Kind::Fixed(_) | Kind::TextMap | Kind::ScalarMap | Kind::TextList | Kind::Object(_) | Kind::List { .. } => None,
    }
}

fn fits_kind(kind: &Kind, cell: &str) -> bool {
    matches!(entity::check(kind, cell), Ok(Some(_)))
}

/// The words of a column that mean one of `words`: `month`, `Monthly` or `1 month` is `MONTHLY`.
fn words_of(words: &'static [&'static str], column: &ColumnSample) -> Option<Form> {
    let meant = |cell: &str| {
        let cell = plain(cell);
        words.iter().copied().find(|word| {
            let stem = match *word {
                "MONTHLY" => "month",
                "ANNUALLY" => "annual",
                other => return plain(other) == cell,
            };
            cell.trim_start_matches('1').starts_with(stem) || (*word == "ANNUALLY" && cell.contains("year"))
        })
    };
    let found = column.distinct()?;
    let pairs: Vec<_> = found.iter().filter_map(|(cell, _)| Some(((*cell).to_owned(), meant(cell)?))).collect();
    (!pairs.is_empty()).then_some(Form::Words(pairs))
}
