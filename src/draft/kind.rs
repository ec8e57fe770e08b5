//! What a row of an export is, where nobody said.

use super::names;
use super::question::{About, Adviser, Choice, Question};
use super::sample::Sample;
use super::{form, known};
use crate::clock::Clock;
use crate::entity::{Entity, Schema};

/// What a row is: told by the columns, or by `adviser` where they leave it open.
///
/// # Errors
///
/// What it may be, where nobody can be asked; nothing, where the columns tell nothing.
pub fn schema_of(sample: &Sample, adviser: &mut dyn Adviser, clock: &dyn Clock) -> Result<Schema, Vec<Schema>> {
    let known: Vec<Schema> = Entity::ALL
        .map(Schema::Import)
        .into_iter()
        .filter(|schema| known::draft(*schema, sample, clock).is_some())
        .collect();
    let likely = if known.is_empty() { likely(sample) } else { known };
    if let [only] = likely[..] {
        return Ok(only);
    }
    let others = Schema::ALL.into_iter().filter(|schema| !likely.contains(schema));
    let all: Vec<Schema> = likely.iter().copied().chain(others).collect();
    let choices =
        all.iter().map(|schema| Choice { name: schema.name().to_owned(), because: because(*schema).to_owned() });
    let question = Question { about: About::Schema, choices: choices.collect(), guess: 0 };
    adviser.choose(&question).and_then(|choice| all.get(choice).copied()).ok_or(likely)
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

/// What the columns' names allow, the likeliest first.
fn likely(sample: &Sample) -> Vec<Schema> {
    let has = |schema: Schema, field: &str| {
        let field = schema.fields().iter().find(|known| known.name == field);
        field.is_some_and(|field| {
            let names = names::of(schema, field.name);
            sample.columns.iter().any(|column| {
                let called = names.iter().any(|name| names::is_called(column, name).is_some());
                (called || names::is_id_of(column, field.name)) && form::of(field, column).is_some()
            })
        })
    };
    let [customer, subscription, usage, event] =
        [Entity::Customer, Entity::Subscription, Entity::Usage, Entity::Event].map(Schema::Import);
    if has(event, "eventName") && has(event, "timestamp") {
        return vec![event];
    }
    if has(usage, "featureId") && has(usage, "value") {
        return vec![usage];
    }
    let in_parts = names::FIRST_AND_LAST.iter().all(|part| {
        part.iter().any(|name| sample.columns.iter().any(|column| names::is_called(column, name).is_some()))
    });
    let has_person = has(customer, "email") || has(customer, "name") || in_parts;
    let has_plan = has(subscription, "planId");
    let has_own_id = sample.columns.iter().any(|column| names::is_id_of(column, "subscriptionId"));
    match (has_plan, has_own_id, has_person) {
        (true, true, _) | (true, false, false) => vec![subscription],
        (true, false, true) => vec![customer, subscription],
        (false, _, true) => vec![customer],
        (false, _, false) => Vec::new(),
    }
}
