//! A draft as text.

use std::fmt::Write as _;

use super::guess::{Form, Guess, Why};
use super::sample::{ColumnSample, Sample};
use super::times::Times;
use super::{Draft, lookup};
use crate::entity::{Entity, Kind};

/// The mapping, with a comment on each guess.
pub(super) fn draft(entity: Entity, sample: &Sample, guesses: &[Guess<'_>]) -> Draft {
    let (mut fields, mut lookups, mut to_do) = (String::new(), String::new(), Vec::new());
    for guess in guesses {
        let (field, column) = (guess.field.name, quoted(&guess.column.name));
        let _ = writeln!(fields, "# {}: {}", because(guess), shown(guess.column));
        let _ = match &guess.form {
            Form::Plain => writeln!(fields, "{field} = {column}"),
            Form::Time(Times::Form { form: "iso", .. }) => writeln!(fields, "{field} = {column}"),
            Form::Time(Times::Form { form, zoned: true }) => {
                writeln!(fields, "{field} = {{ column = {column}, time = \"{form}\" }}")
            }
            Form::Time(Times::Form { form, zoned: false }) => {
                to_do.push(format!("{field}: is the zone of column {column} UTC?"));
                writeln!(fields, "# TODO: these times don't say their zone; is it UTC?").and_then(|()| {
                    writeln!(fields, "{field} = {{ column = {column}, time = \"{form}\", zone = \"UTC\" }}")
                })
            }
            Form::Time(Times::DayOrMonthFirst { day_first, month_first }) => {
                to_do.push(format!("{field}: does the day or the month come first in column {column}?"));
                writeln!(fields, "# TODO: 3 April or 4 March? Every time fits both; take one of the two:").and_then(
                    |()| {
                        writeln!(fields, "# {field} = {{ column = {column}, time = \"{day_first}\", zone = \"UTC\" }}")
                            .and_then(|()| {
                                writeln!(
                                    fields,
                                    "# {field} = {{ column = {column}, time = \"{month_first}\", zone = \"UTC\" }}"
                                )
                            })
                    },
                )
            }
            Form::Json => writeln!(fields, "{field} = {{ column = {column}, json = true }}"),
            Form::Words(pairs) => {
                let pairs: Vec<String> =
                    pairs.iter().map(|(from, to)| format!("{} = \"{to}\"", quoted(from))).collect();
                writeln!(fields, "{field} = {{ column = {column}, map = {{ {} }} }}", pairs.join(", "))
            }
            Form::Lookup(name) => {
                let of = name.trim_end_matches('s');
                to_do.push(format!("lookups.{name}: what each {of} becomes in Stigg"));
                let _ = write!(lookups, "\n{}", lookup::table(name, of, guess.column));
                writeln!(fields, "{field} = {{ column = {column}, lookup = \"{name}\" }}")
            }
        };
    }
    let unused: Vec<&ColumnSample> = sample.columns.iter().filter(|column| is_left(column, sample, guesses)).collect();
    let mut text = format!(
        "# A draft from {} columns and {} rows. Each guess says why; look at those, and at every TODO.\n\
         # Then: stigg-import check with the pipeline file beside it.\n\nentity = \"{}\"\n\n[fields]\n{fields}",
        sample.columns.len(),
        sample.rows,
        entity.name()
    );
    if !unused.is_empty() {
        text.push_str(&rest(entity, &unused, guesses));
    }
    text.push_str(&lookups);
    Draft { mapping: text, recognised: None, to_do }
}

/// Whether a column became no field, alone or with what it is in. Objects that were looked into are there in their parts.
fn is_left(column: &ColumnSample, sample: &Sample, guesses: &[Guess<'_>]) -> bool {
    let is_part = |whole: &ColumnSample| {
        column.name.strip_prefix(whole.name.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let is_whole = || {
        sample.is_json
            && sample.columns.iter().any(|part| {
                part.name.strip_prefix(column.name.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
            })
    };
    !guesses.iter().any(|guess| {
        guess.column.name == column.name || (sample.is_json && guess.form == Form::Json && is_part(guess.column))
    }) && !is_whole()
}

/// The columns that became no field: ready to be metadata, where the entity has such and it is not one cell of JSON.
fn rest(entity: Entity, unused: &[&ColumnSample], guesses: &[Guess<'_>]) -> String {
    let taken = |name| guesses.iter().any(|guess| guess.field.name == name);
    let free = |kind| matches!(kind, Kind::TextMap | Kind::ScalarMap);
    let map = entity.fields().iter().find(|field| free(field.kind) && !taken(field.name));
    let mut text = String::from("\n# Columns that are not read.");
    if let Some(map) = map {
        let _ = write!(
            text,
            " To keep one as metadata, take away its # and the one of the next line.\n# [fields.{}]",
            map.name
        );
    }
    text.push('\n');
    for column in unused {
        let name = quoted(&column.name);
        let _ = match map {
            Some(_) => writeln!(text, "# {name} = {name}  # {}", shown(column)),
            None => writeln!(text, "# {name}: {}", shown(column)),
        };
    }
    text
}

fn because(guess: &Guess<'_>) -> &'static str {
    match guess.why {
        Why::Said => "as you said",
        Why::Name => "by its name",
        Why::Content => "by what stands in it",
    }
}

fn shown(column: &ColumnSample) -> String {
    match &column.shown()[..] {
        [] => "no value in the sample".to_owned(),
        shown => shown.join(" | "),
    }
}

/// A TOML text on one line: JSON's form, but for the one character that only TOML wants escaped.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
