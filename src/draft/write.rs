//! A draft as text.

use std::fmt::Write as _;

use super::amount::{Amounts, Unit};
use super::digits::{self, Digits};
use super::form::Form;
use super::guess::{Guess, Guesses, Why};
use super::sample::{ColumnSample, Sample};
use super::times::Times;
use super::{Draft, lookup, which};
use crate::entity::{Entity, Kind, Schema};

/// Most words that a person is asked about one by one; more are rejects, which say so.
const OTHERS_MAX: usize = 5;

/// The mapping, with a comment on each guess.
pub(super) fn draft(schema: Schema, sample: &Sample, guesses: &Guesses<'_>) -> Draft {
    let mut draft = Written::default();
    guesses.fields.iter().for_each(|guess| draft.field(guess));
    if let Some((provider, is_sure)) = guesses.provider {
        draft.original(provider, is_sure, &guesses.fields);
    }
    let features = &guesses.features;
    let guesses = &guesses.fields[..];
    let is_total = |column: &ColumnSample| features.iter().any(|total| total.name == column.name);
    let unused: Vec<&ColumnSample> =
        sample.columns.iter().filter(|column| is_left(column, sample, guesses) && !is_total(column)).collect();
    let which = if is_of_plans(schema) { which::rows(sample, guesses, &mut draft.to_do) } else { String::new() };
    let mut text = format!(
        "# A draft from {} columns and {} {}. Each guess says why; look at those, and at every TODO.\n\nentity = \"{}\"\n{which}\n[fields]\n{}",
        sample.columns.len(),
        sample.rows,
        if sample.rows == 1 { "row" } else { "rows" },
        schema.name(),
        draft.fields
    );
    if !unused.is_empty() {
        text.push_str(&rest(schema, &unused, guesses));
    }
    text.push_str(&draft.lookups);
    let names: Vec<&str> = features.iter().map(|column| column.name.as_str()).collect();
    for (column, id) in features.iter().zip(lookup::ids_of(&names, "feature")) {
        text.push_str(&draft.total(column, &id));
    }
    Draft { schema, mapping: text, recognised: None, to_do: draft.to_do }
}

fn is_of_plans(schema: Schema) -> bool {
    matches!(schema, Schema::Import(Entity::Subscription) | Schema::PaidSubscription)
}

/// The parts of a draft.
#[derive(Default)]
struct Written {
    fields: String,
    lookups: String,
    to_do: Vec<String>,
}

impl Written {
    fn line(&mut self, line: &str) {
        self.fields.push_str(line);
        self.fields.push('\n');
    }

    /// Something to decide, right before what it is about.
    fn ask(&mut self, field: &str, what: &str) {
        self.to_do.push(format!("{field}: {what}"));
        self.line(&format!("# TODO: {what}"));
    }

    fn field(&mut self, guess: &Guess<'_>) {
        let (field, column) = (guess.field.name, quoted(&guess.column.name));
        let nothings = null(&guess.column.nothings);
        self.line(&format!("# {}: {}", because(guess), shown(guess.column)));
        if let Some(doubt) = &guess.doubt {
            self.ask(field, doubt);
        }
        match &guess.form {
            Form::Plain | Form::Time(Times::Form { form: "iso", .. }) if nothings.is_empty() => {
                self.line(&format!("{field} = {column}"));
            }
            Form::Plain | Form::Time(Times::Form { form: "iso", .. }) => {
                self.line(&format!("{field} = {{ column = {column}{nothings} }}"));
            }
            Form::Json => self.line(&format!("{field} = {{ column = {column}{nothings}, json = true }}")),
            Form::Time(Times::Form { form, zoned: true }) => {
                self.line(&format!("{field} = {{ column = {column}{nothings}, time = \"{form}\" }}"));
            }
            Form::Time(Times::Form { form, zoned: false }) if form.ends_with(" UTC") => {
                self.line(&format!("{field} = {{ column = {column}{nothings}, time = \"{form}\", zone = \"UTC\" }}"));
            }
            Form::Time(Times::Form { form, zoned: false }) => {
                self.to_do.push(format!("{field}: is the zone of column {column} UTC?"));
                self.line("# TODO: these times don't say their zone; is it UTC?");
                self.line(&format!("{field} = {{ column = {column}{nothings}, time = \"{form}\", zone = \"UTC\" }}"));
            }
            Form::Time(Times::DayOrMonthFirst { day_first, month_first }) => {
                self.to_do.push(format!("{field}: does the day or the month come first in column {column}?"));
                self.line("# TODO: 3 April or 4 March? Every time fits both; take one of the two:");
                for form in [day_first, month_first] {
                    self.line(&format!(
                        "# {field} = {{ column = {column}{nothings}, time = \"{form}\", zone = \"UTC\" }}"
                    ));
                }
            }
            Form::Number(digits) => {
                self.line(&format!("{field} = {{ {}{nothings} }}", number(&guess.column.name, digits)))
            }
            Form::Words { pairs, others } => {
                let pairs: Vec<String> =
                    pairs.iter().map(|(from, to)| format!("{} = \"{to}\"", quoted(from))).collect();
                let mut nothings = nothings;
                if !guess.field.required && (1..=OTHERS_MAX).contains(&others.len()) {
                    let words: Vec<String> = others.iter().map(|word| quoted(word)).collect();
                    self.ask(field, &format!("Stigg has no word for {}; is none right?", words.join(" or ")));
                    nothings = null(guess.column.nothings.iter().chain(others));
                }
                self.line(&format!("{field} = {{ column = {column}{nothings}, map = {{ {} }} }}", pairs.join(", ")));
            }
            Form::Lookup(name) => {
                let of = name.trim_end_matches('s');
                self.to_do.push(format!("lookups.{name}: what each {of} becomes in Stigg"));
                let _ = write!(self.lookups, "\n{}", lookup::table(name, of, guess.column));
                self.line(&format!("{field} = {{ column = {column}{nothings}, lookup = \"{name}\" }}"));
            }
            Form::Joined(last) => {
                self.line(&format!("{field} = {{ columns = [{column}, {}] }}", quoted(&last.name)));
            }
            Form::Spelled(chars) => {
                let replaced: String =
                    chars.iter().map(|c| format!(" | replace({}, \"-\")", quoted(&c.to_string()))).collect();
                self.line(&format!("{field} = {{ expr = {} }}", literal(&format!("row[{column}]{replaced}"))));
            }
            Form::Key(other) => {
                let expression = format!("row[{column}] ~ \":\" ~ row[{}]", quoted(&other.name));
                self.line(&format!("{field} = {{ expr = {} }}", literal(&expression)));
            }
            Form::Amounts(amounts) => self.amounts(field, &guess.column.name, amounts),
        }
    }

    /// The record of a column that is a feature's total; `feature`: its id, as proposed.
    fn total(&mut self, column: &ColumnSample, feature: &str) -> String {
        let name = quoted(&column.name);
        self.to_do.push(format!("record: which feature in Stigg is column {name}?"));
        let nothings = null(&column.nothings);
        let value = match digits::of(column).filter(|digits| !digits.is_plain()) {
            Some(digits) => format!("{{ {}{nothings} }}", number(&column.name, &digits)),
            None if nothings.is_empty() => name.clone(),
            None => format!("{{ column = {name}{nothings} }}"),
        };
        let empty = std::iter::once("").chain(column.nothings.iter().map(String::as_str));
        format!(
            "\n# {}\n# TODO: which feature in Stigg is it? For none take the block away.\n[[record]]\nwhen      = {}\n\
             featureId = {{ const = {} }}\nvalue     = {value}\n",
            shown(column),
            literal(&which::is_none_of(column, empty)),
            quoted(feature)
        )
    }

    /// Only proposed: what is paid is what the catalog says, unless somebody negotiated it.
    fn amounts(&mut self, field: &str, column: &str, Amounts { unit, is_sure, digits }: &Amounts) {
        let unit_is = match unit {
            Unit::Whole => "in whole units",
            Unit::Cents => "in cents",
        };
        let question = if *is_sure { String::new() } else { format!("; are these amounts {unit_is}?") };
        self.ask(
            field,
            &format!("prices are the catalog's; if this is negotiated instead, take away the next #{question}"),
        );
        let scale = if *unit == Unit::Cents { ", scale = -2" } else { "" };
        self.line(&format!("# {field} = {{ {}{scale} }}", number(column, digits)));
    }

    /// What a paid subscription replaces, under the id that it has there.
    fn original(&mut self, provider: &str, is_sure: bool, guesses: &[Guess<'_>]) {
        let Some(id) = guesses.iter().find(|guess| guess.field.name == "subscriptionId") else { return };
        let id = quoted(&id.column.name);
        self.line("# The one that `cutover` cancels once its replacement is proved.");
        if !is_sure {
            self.ask(
                "original",
                &format!("are the originals at {provider}? Or zuora, chargebee, recurly, paddle, stripe"),
            );
        }
        self.line(&format!("original = {{ provider = {{ const = \"{provider}\" }}, id = {id} }}"));
        self.line("# Goes to the provider with the new one, which so says where it comes from.");
        self.line(&format!("billingInformation.metadata.migratedFrom = {id}"));
    }
}

/// A column of numbers as a value: without what stands around them, and with its own marks.
fn number(column: &str, digits: &Digits) -> String {
    let column = quoted(column);
    let mut text = if digits.around.is_empty() {
        format!("column = {column}")
    } else {
        let replaced = digits.around.iter().map(|part| format!(" | replace({}, \"\")", quoted(part)));
        format!("expr = {}", literal(&format!("row[{column}]{}", replaced.collect::<String>())))
    };
    if digits.decimal != '.' {
        let _ = write!(text, ", decimal = \"{}\"", digits.decimal);
    }
    if let Some(thousands) = digits.thousands {
        let _ = write!(text, ", thousands = \"{thousands}\"");
    }
    text
}

/// The words that count as empty, as a value's key.
fn null<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quoted(word)).collect();
    if words.is_empty() { String::new() } else { format!(", null = [{}]", words.join(", ")) }
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
        let also = match guess.form {
            Form::Joined(also) | Form::Key(also) => also.name == column.name,
            _ => false,
        };
        guess.column.name == column.name
            || also
            || (sample.is_json && guess.form == Form::Json && is_part(guess.column))
    }) && !is_whole()
}

/// The columns that became no field: ready to be metadata, where the entity has such and it is not one cell of JSON.
fn rest(schema: Schema, unused: &[&ColumnSample], guesses: &[Guess<'_>]) -> String {
    let taken = |name| guesses.iter().any(|guess| guess.field.name == name);
    let free = |kind| matches!(kind, Kind::TextMap | Kind::ScalarMap);
    let map = schema.fields().iter().find(|field| free(field.kind) && !taken(field.name));
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
        Why::Same => "the same for customers and subscriptions",
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

/// A TOML text of an expression: in single quotes where that says it, since it has double ones.
pub(super) fn literal(text: &str) -> String {
    if text.chars().any(|c| c == '\'' || c.is_control()) { quoted(text) } else { format!("'{text}'") }
}

/// A TOML text on one line: JSON's form, but for the one character that only TOML wants escaped.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
