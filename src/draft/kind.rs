//! What a row of an export is, where nobody said.

use std::collections::BTreeMap;

use super::guess::{self, Guesses, Why};
use super::names;
use super::question::{About, Adviser, Choice, Nobody, Question};
use super::sample::Sample;
use super::{form, known};
use crate::clock::Clock;
use crate::entity::{Entity, Schema};

/// What the rows of an export are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What each row is: one, or a customer and a subscription.
    pub schemas: Vec<Schema>,
    /// What each may be besides, and the column that speaks for it, though not by its name.
    pub maybe: Option<(Schema, String)>,
}

const CUSTOMER: Schema = Schema::Import(Entity::Customer);
const SUBSCRIPTION: Schema = Schema::Import(Entity::Subscription);

/// What a row is: told by the columns, or by `adviser` where they leave it open.
///
/// # Errors
///
/// What it may be, where nobody can be asked; nothing, where the columns tell nothing.
pub fn schemas_of(sample: &Sample, adviser: &mut dyn Adviser, clock: &dyn Clock) -> Result<Told, Vec<Schema>> {
    let only = |schema| Told { schemas: vec![schema], maybe: None };
    let known: Vec<Schema> = Entity::ALL
        .map(Schema::Import)
        .into_iter()
        .filter(|schema| known::draft(*schema, sample, clock).is_some())
        .collect();
    let (likely, maybe) = if known.is_empty() { likely(sample) } else { (known, None) };
    if let [one] = likely[..] {
        return Ok(Told { maybe, ..only(one) });
    }
    let both = (likely == [CUSTOMER, SUBSCRIPTION]).then(|| Choice {
        name: "both".to_owned(),
        because: "a customer, and the plan that it has: a mapping of each".to_owned(),
    });
    let others = Schema::ALL.into_iter().filter(|schema| !likely.contains(schema));
    let all: Vec<Schema> = likely.iter().copied().chain(others).collect();
    let each = all.iter().map(|schema| Choice { name: schema.name().to_owned(), because: because(*schema).to_owned() });
    let first = usize::from(both.is_some());
    let question = Question { about: About::Schema, choices: both.into_iter().chain(each).collect(), guess: 0 };
    match adviser.choose(&question) {
        Some(choice) if choice >= first => all.get(choice - first).copied().map(only).ok_or(likely),
        _ if first == 1 => Ok(Told { schemas: likely, maybe: None }),
        _ => Err(likely),
    }
}

fn because(schema: Schema) -> &'static str {
    match schema {
        Schema::Import(Entity::Customer) => "who is billed",
        Schema::Import(Entity::Subscription) => "a customer has a free or custom plan",
        Schema::Import(Entity::Usage) => "how much of a feature a customer has used, in all",
        Schema::Import(Entity::Event) => "something that a customer did once",
        Schema::PaidSubscription => "a customer has a paid plan, which is moved by `cutover`",
    }
}

/// What the columns allow, the likeliest first, and what they may allow besides.
fn likely(sample: &Sample) -> (Vec<Schema>, Option<(Schema, String)>) {
    let has = |schema: Schema, field: &str| {
        let field = schema.fields().iter().find(|known| known.name == field);
        field.is_some_and(|field| {
            let called = |column: &&super::ColumnSample| {
                names::of(schema, field.name).any(|name| names::is_called(column, name).is_some())
            };
            sample.columns.iter().filter(called).any(|column| form::of(field, column).is_some())
        })
    };
    let [usage, event] = [Entity::Usage, Entity::Event].map(Schema::Import);
    if has(event, "eventName") && has(event, "timestamp") {
        return (vec![event], None);
    }
    if has(usage, "featureId") && has(usage, "value") {
        return (vec![usage], None);
    }
    let customer = guessed(CUSTOMER, sample)
        .filter(|guesses| guesses.fields.iter().any(|guess| ["email", "name"].contains(&guess.field.name)));
    let subscription = guessed(SUBSCRIPTION, sample);
    let of = |guesses: &Option<Guesses<'_>>, field: &str| {
        let guess = guesses.as_ref()?.fields.iter().find(|guess| guess.field.name == field)?;
        Some((guess.column.name.clone(), guess.why))
    };
    match (customer.is_some(), of(&subscription, "planId")) {
        // A contract that has its customer's id only as its own is none's.
        (true, Some((_, Why::Name))) => (vec![CUSTOMER, SUBSCRIPTION], None),
        (false, Some((_, Why::Name))) => (vec![SUBSCRIPTION], None),
        (true, Some((_, Why::Content))) if of(&subscription, "billingPeriod").is_some() => {
            (vec![CUSTOMER, SUBSCRIPTION], None)
        }
        (true, Some((column, _))) => (vec![CUSTOMER], Some((SUBSCRIPTION, column))),
        (true, None) => (vec![CUSTOMER], None),
        (false, _) => {
            // Somebody, and numbers: a column for each feature.
            let totals = guessed(usage, sample).filter(|guesses| !guesses.features.is_empty());
            let all = |guesses: &Guesses<'_>| guesses.fields.len() + guesses.features.len() == sample.columns.len();
            (totals.filter(all).map(|_| usage).into_iter().collect(), None)
        }
    }
}

fn guessed(schema: Schema, sample: &Sample) -> Option<Guesses<'_>> {
    let said = BTreeMap::new();
    let same = guess::customers_own(schema, sample, &said);
    guess::guess(schema, sample, &said, same, &mut Nobody).ok()
}
