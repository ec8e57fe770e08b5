//! Which columns hold the ids: of customers, and of subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use super::about;
use super::form::{self, Form};
use super::guess::{Guess, Guesser, Why};
use super::names::{self, Called};
use super::question::{About, Question, ask, choice};
use super::sample::ColumnSample;
use super::spelling::plain;
use super::times;
use crate::entity::{Field, Schema};

impl<'a> Guesser<'a, '_> {
    /// Finds the ids that weren't said: those that are called so first, so that none is taken for another.
    pub(super) fn ids(&mut self, found: &mut BTreeMap<&str, Guess<'a>>) {
        let fields: Vec<&'static Field> =
            self.schema.fields().iter().filter(|field| names::is_id_field(field.name)).collect();
        for field in &fields {
            if !found.contains_key(field.name) {
                let candidates = self.called(field);
                self.take(field, candidates, Why::Name, found);
            }
        }
        // Whose a record is first: a record without an id of its own can be given one.
        for field in fields.iter().rev() {
            if !found.contains_key(field.name) {
                let candidates = self.shaped(field);
                self.take(field, candidates, Why::Content, found);
            }
        }
    }

    fn is_key(&self, field: &Field) -> bool {
        self.schema.key_fields() == [field.name]
    }

    /// Columns whose name says it, the likeliest first. Of those of a key only the ones that tell records apart, if any does.
    fn called(&self, field: &Field) -> Vec<&'a ColumnSample> {
        let mut candidates: Vec<&ColumnSample> = Vec::new();
        for wanted in [Called::So, Called::Inside] {
            for name in names::of(self.schema, field.name) {
                candidates.extend(self.free().filter(|column| names::is_called(column, name) == Some(wanted)));
            }
        }
        candidates.extend(self.free().filter(|column| names::is_id_of(column, field.name)));
        let alone = |column: &&ColumnSample| names::is_owner_of(column, field.name);
        candidates.extend(self.free().filter(alone).filter(|column| id_form(field, column) == Some(Form::Plain)));
        let mut seen = BTreeSet::new();
        candidates.retain(|column| seen.insert(&column.name) && id_form(field, column).is_some());
        // Those that are ids as they stand come first.
        candidates.sort_by_key(|column| id_form(field, column) != Some(Form::Plain));
        if self.is_key(field) && candidates.iter().any(|column| tells_apart(column)) {
            candidates.retain(|column| tells_apart(column));
        }
        candidates
    }

    /// Columns that could be it by what stands in them.
    fn shaped(&self, field: &Field) -> Vec<&'a ColumnSample> {
        let fits = |column: &&ColumnSample| {
            column.cells.len() as u64 == self.sample.rows
                && !column.is_json()
                && column.cells.iter().all(|cell| form::fits(&field.kind, cell.trim()))
                && !column
                    .cells
                    .iter()
                    .any(|cell| cell.contains(['@', ' ']) || cell.parse::<f64>().is_ok_and(|n| n.fract() != 0.0))
                && times::of(column).is_none()
                && !about::is_no_id(column)
                && (!self.is_key(field) || tells_apart(column))
        };
        let fitting: Vec<&ColumnSample> = self.free().filter(fits).collect();
        let named: Vec<&ColumnSample> = fitting.iter().copied().filter(|column| names::is_id(column)).collect();
        match (named.is_empty(), self.schema.key_fields() == ["customerId"]) {
            (false, _) => named,
            // What tells customers apart is an id, whatever it is called. Subscriptions can do without; else it may be anything.
            (true, true) => {
                fitting.into_iter().filter(|column| !column.mostly(|cell| cell.parse::<f64>().is_ok())).collect()
            }
            (true, false) => Vec::new(),
        }
    }

    fn take(
        &mut self,
        field: &'static Field,
        candidates: Vec<&'a ColumnSample>,
        why: Why,
        found: &mut BTreeMap<&str, Guess<'a>>,
    ) {
        let Some(first) = candidates.first() else { return };
        // Nothing is nearer than the field's own name.
        let is_clear = why == Why::Name && names::is_called(first, &plain(field.name)) == Some(Called::So);
        let (column, is_said) = match &candidates[..] {
            [_, _, ..] if !is_clear => {
                let choices = candidates.iter().map(|column| choice(column)).collect();
                let about = About::Column { schema: self.schema, field: field.name };
                let taken = ask(self.adviser, &Question { about, choices, guess: 0 });
                (candidates[taken.choice], taken.is_said)
            }
            _ => (*first, false),
        };
        let others: Vec<String> = candidates
            .iter()
            .filter(|other| other.name != column.name)
            .map(|other| format!("{:?}", other.name))
            .collect();
        let doubt = match (is_said || is_clear, why, others.is_empty()) {
            (true, ..) | (false, Why::Name | Why::Said | Why::Same, true) => None,
            (false, Why::Content, true) => Some(format!("is it column {:?}?", column.name)),
            (false, _, false) => Some(format!("is it column {:?}, and not {}?", column.name, others.join(" or "))),
        };
        let why = if is_said { Why::Said } else { why };
        let form = id_form(field, column).unwrap_or(Form::Plain);
        let doubt = match &form {
            Form::Spelled(chars) => {
                let chars: Vec<String> = chars.iter().map(|c| format!("{c:?}")).collect();
                let spelling = format!("no id may have {}; is a hyphen right, in every mapping?", chars.join(" or "));
                Some(doubt.map_or(spelling.clone(), |doubt| format!("{doubt} And {spelling}")))
            }
            _ => doubt,
        };
        self.taken.insert(&column.name);
        found.insert(field.name, Guess { field, column, why, form, doubt });
    }
}

/// A key for subscriptions that have none: their customer's where each has one, or that with the plan's. The original of a
/// paid one has an id.
pub(super) fn made_key<'a>(schema: Schema, guesses: &[Guess<'a>]) -> Option<Guess<'a>> {
    let field = schema.fields().iter().find(|field| field.name == "subscriptionId")?;
    let of = |name| guesses.iter().find(|guess| guess.field.name == name).map(|guess| guess.column);
    let (customer, plan) = (of("customerId")?, of("planId")?);
    if schema == Schema::PaidSubscription {
        return None;
    }
    let (form, doubt) = if tells_apart(customer) {
        (Form::Plain, "there is none; has each customer one subscription, so that its id can be the customer's?")
    } else {
        (Form::Key(plan), "there is none; has a customer each plan once, so that customer and plan can be its id?")
    };
    Some(Guess { field, column: customer, why: Why::Content, form, doubt: Some(doubt.to_owned()) })
}

/// How a column's cells become ids.
fn id_form(field: &Field, column: &ColumnSample) -> Option<Form<'static>> {
    match form::of(field, column) {
        Some(Form::Plain) => Some(Form::Plain),
        _ => form::spelled(field, column).map(Form::Spelled),
    }
}

/// Whether nearly all of its values are different. Exports have some rows twice.
fn tells_apart(column: &ColumnSample) -> bool {
    let different: BTreeSet<&str> = column.cells.iter().map(|cell| cell.trim()).collect();
    !different.is_empty() && different.len() * 100 >= column.cells.len() * 98
}
