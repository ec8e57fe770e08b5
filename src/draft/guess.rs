//! Which column is which field: by its name first, then by what stands in it; and who is asked where that doesn't tell.

use std::collections::{BTreeMap, BTreeSet};

use super::CantDraft;
use super::about;
use super::amount::{self, Amounts, Unit};
use super::digits;
use super::form::{self, Form};
use super::ids;
use super::names::{self, Called, Part};
use super::question::{About, Adviser, Choice, Nobody, Question, ask};
use super::sample::{ColumnSample, Sample};
use super::times::{self, Times};
use crate::entity::{Entity, Field, Kind, Schema};

/// A field and the column that it is taken from.
#[derive(Debug)]
pub(super) struct Guess<'a> {
    pub(super) field: &'static Field,
    pub(super) column: &'a ColumnSample,
    pub(super) why: Why,
    pub(super) form: Form<'a>,
    /// What a person should look at, as a question.
    pub(super) doubt: Option<String>,
}

/// Why this column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody said so.
    Said,
    /// The subscriptions of the same rows have it.
    Same,
    /// It is called so.
    Name,
    /// What stands in it.
    Content,
}

/// What is guessed of an export.
#[derive(Debug)]
pub(super) struct Guesses<'a> {
    pub(super) fields: Vec<Guess<'a>>,
    /// Columns that are the total of a feature each, where no column says the feature.
    pub(super) features: Vec<&'a ColumnSample>,
    /// Where the originals of paid subscriptions are, and whether that is sure.
    pub(super) provider: Option<(&'static str, bool)>,
}

/// The state of guessing: which columns are taken, and what was answered.
pub(super) struct Guesser<'a, 'b> {
    pub(super) schema: Schema,
    pub(super) sample: &'a Sample,
    pub(super) taken: BTreeSet<&'a str>,
    pub(super) adviser: &'b mut dyn Adviser,
    /// Whether the day comes first, as another column or a person told.
    day_first: Option<bool>,
}

/// The column that has the customers' ids in a list of customers that says their plans, too, where no column is called like one
/// of another's ids: its own `id` is a customer's, and not a subscription's.
pub(super) fn customers_own<'a>(
    schema: Schema,
    sample: &'a Sample,
    said: &BTreeMap<String, String>,
) -> Option<(&'static str, &'a ColumnSample)> {
    let is_of_plans = schema == Schema::Import(Entity::Subscription);
    let missing = CantDraft::NoColumn { schema, field: "customerId" };
    if !is_of_plans || guess(schema, sample, said, None, &mut Nobody).err() != Some(missing) {
        return None;
    }
    let customers = guess(Schema::Import(Entity::Customer), sample, &BTreeMap::new(), None, &mut Nobody).ok()?;
    let of = |field: &str| customers.fields.iter().find(|guess| guess.field.name == field);
    of("email").or(of("name"))?;
    of("customerId").map(|guess| (guess.field.name, guess.column))
}

/// Guesses a column for each field that takes one value.
pub(super) fn guess<'a>(
    schema: Schema,
    sample: &'a Sample,
    said: &BTreeMap<String, String>,
    same: Option<(&'static str, &'a ColumnSample)>,
    adviser: &mut dyn Adviser,
) -> Result<Guesses<'a>, CantDraft> {
    let mut known: BTreeMap<&str, (&ColumnSample, Why)> =
        same.into_iter().map(|(field, column)| (field, (column, Why::Same))).collect();
    known.extend(said.iter().filter_map(|(field, name)| Some((field.as_str(), (sample.column(name)?, Why::Said)))));
    let taken = known.values().map(|(column, _)| column.name.as_str()).collect();
    let day_first = times::day_is_first(&sample.columns);
    let mut guesser = Guesser { schema, sample, taken, adviser, day_first };
    let mut found: BTreeMap<&str, Guess<'a>> = BTreeMap::new();
    for field in schema.fields() {
        if let Some((column, why)) = known.get(field.name).copied() {
            let form = form::of(field, column)
                .or_else(|| form::spelled(field, column).filter(|_| names::is_id_field(field.name)).map(Form::Spelled))
                .unwrap_or(Form::Plain);
            found.insert(field.name, Guess { field, column, why, form, doubt: None });
        }
    }
    guesser.ids(&mut found);
    let (mut guesses, mut missing) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        let guess = match found.remove(field.name) {
            Some(guess) => Some(guess),
            None if names::is_id_field(field.name) => None,
            None => guesser.by_name(field).or_else(|| guesser.by_content(field)),
        };
        let guess = guess.map(|guess| guesser.decided(guess));
        match guess {
            Some(Guess { column, form: Form::Time(Times::DayOrMonthFirst { .. }), .. }) if field.required => {
                return Err(CantDraft::DayOrMonth { field: field.name, column: column.name.clone() });
            }
            Some(guess) => {
                guesser.taken.insert(&guess.column.name);
                guesses.push(guess);
            }
            None if field.required && !matches!(field.kind, Kind::Fixed(_) | Kind::Object(_)) => {
                missing.push(field.name);
            }
            None => {}
        }
    }
    if missing == ["subscriptionId"]
        && let Some(key) = ids::made_key(schema, &guesses)
    {
        missing.clear();
        guesses.insert(0, key);
    }
    let mut features = Vec::new();
    if schema == Schema::Import(Entity::Usage) && missing.contains(&"featureId") {
        guesses.retain(|guess| guess.field.name != "value");
        guesser.taken = guesses.iter().map(|guess| guess.column.name.as_str()).collect();
        features = guesser.totals();
        missing.retain(|field| features.is_empty() || !["featureId", "value"].contains(field));
    }
    // An id could be made of the others, so that those say more.
    if let Some(field) = missing.iter().find(|field| **field != "subscriptionId").or(missing.first()) {
        return Err(CantDraft::NoColumn { schema, field });
    }
    let provider = (schema == Schema::PaidSubscription).then(|| guesser.provider(&guesses));
    Ok(Guesses { fields: guesses, features, provider })
}

/// Whether what stands in a column speaks against the field that its name speaks for.
fn is_possible(field: &Field, column: &ColumnSample, form: &Form<'_>) -> bool {
    match (field.name, form) {
        // A `Price` may be one's id, and a `Product` its name; an amount is neither.
        (_, Form::Lookup(_)) => !amount::is_money(column) && times::of(column).is_none(),
        // A `Contact` may be a number or an address to call.
        ("name", _) => !column.mostly(|cell| cell.contains('@') || cell.parse::<f64>().is_ok()),
        _ => true,
    }
}

/// Times of which the name does not say that they are something else than a start.
fn may_be_start(column: &ColumnSample) -> bool {
    times::of(column).is_some()
        && !about::is_no_start(column)
        && !["endDate", "updatedAt"].iter().any(|field| about::is_about(column, field))
}

impl<'a> Guesser<'a, '_> {
    /// Columns that are no field yet.
    pub(super) fn free(&self) -> impl Iterator<Item = &'a ColumnSample> {
        self.sample.columns.iter().filter(|column| !self.taken.contains(column.name.as_str()))
    }

    /// Columns that may be totals: numbers that are nothing else.
    fn totals(&self) -> Vec<&'a ColumnSample> {
        let value = self.schema.fields().iter().find(|field| field.name == "value");
        let is_total = |column: &ColumnSample| {
            value.is_some_and(|value| matches!(form::of(value, column), Some(Form::Plain | Form::Number(_))))
                && !column.cells.is_empty()
                && times::of(column).is_none()
                && !names::is_id(column)
                && !about::is_no_id(column)
        };
        self.free().filter(|column| is_total(column)).collect()
    }

    fn by_name(&self, field: &'static Field) -> Option<Guess<'a>> {
        let mut found: Option<(Called, Guess<'a>)> = None;
        let is_late = |name: &&str| names::says_little(field.name, name);
        for name in names::of(self.schema, field.name).filter(|name| !is_late(name)) {
            for column in self.free() {
                if let Some(called) = names::is_called(column, name)
                    && found.as_ref().is_none_or(|(best, _)| called < *best)
                    && let Some(form) = self.form(field, column)
                {
                    found = Some((called, Guess { field, column, why: Why::Name, form, doubt: None }));
                }
            }
        }
        let found = found.map(|(_, guess)| self.with_other_part(guess));
        let late = || {
            names::of(self.schema, field.name).filter(is_late).find_map(|name| {
                let column = self.free().find(|column| names::is_called(column, name).is_some())?;
                Some(Guess { field, column, why: Why::Name, form: self.form(field, column)?, doubt: None })
            })
        };
        found.or_else(|| self.first_and_last(field)).or_else(|| self.about(field)).or_else(late)
    }

    fn form(&self, field: &'static Field, column: &'a ColumnSample) -> Option<Form<'a>> {
        if field.name != "priceUnitAmount" {
            return form::of(field, column).filter(|form| is_possible(field, column, form));
        }
        let currencies = names::CURRENCY
            .iter()
            .find_map(|name| self.sample.columns.iter().find(|column| names::is_called(column, name).is_some()));
        amount::of(column, currencies).map(Form::Amounts)
    }

    /// A column whose name says in one of its words what it is.
    fn about(&self, field: &'static Field) -> Option<Guess<'a>> {
        let column =
            self.free().find(|column| about::is_about(column, field.name) && self.form(field, column).is_some())?;
        Some(Guess { field, column, why: Why::Name, form: self.form(field, column)?, doubt: None })
    }

    /// A name in two columns.
    fn first_and_last(&self, field: &'static Field) -> Option<Guess<'a>> {
        if field.name != "name" {
            return None;
        }
        let [first, last] = [Part::First, Part::Last].map(|part| self.part_of_name(part));
        Some(Guess { field, column: first?, why: Why::Name, form: Form::Joined(last?), doubt: None })
    }

    fn part_of_name(&self, part: Part) -> Option<&'a ColumnSample> {
        self.free().find(|column| names::is_part_of_name(column, part))
    }

    /// A `Name` beside a `First name` is only the last one.
    fn with_other_part(&self, guess: Guess<'a>) -> Guess<'a> {
        if guess.field.name != "name" || !names::may_be_part(guess.column) {
            return guess;
        }
        let [first, last] = [Part::First, Part::Last].map(|part| self.part_of_name(part));
        let (first, last) = match (first, last) {
            (Some(first), _) if first.name != guess.column.name => (first, guess.column),
            (Some(_), Some(last)) if last.name != guess.column.name => (guess.column, last),
            _ => return guess,
        };
        Guess { column: first, form: Form::Joined(last), ..guess }
    }

    /// Only what can't be anything else, or has to be something.
    fn by_content(&self, field: &'static Field) -> Option<Guess<'a>> {
        let fits = |column: &ColumnSample| match field.name {
            "email" => column.mostly(|cell| cell.contains('@') && form::fits(&field.kind, cell)),
            "billingId" => column.mostly(|cell| cell.starts_with("cus_") || cell.starts_with("sub_")),
            "paymentMethodId" => column.mostly(|cell| cell.starts_with("pm_")),
            "billingPeriod" => form::all_words(field, column),
            "planId" => self.is_like_plans(column),
            "startDate" => may_be_start(column),
            _ => false,
        };
        let found: Vec<_> = self.free().filter(|column| fits(column)).collect();
        // Of several the one that is nearest to the record itself.
        let depth = found.iter().map(|column| names::depth(column)).min()?;
        let mut nearest = found.into_iter().filter(|column| names::depth(column) == depth);
        let (column, None) = (nearest.next()?, nearest.next()) else { return None };
        let doubt = match field.name {
            "planId" => Some(format!("does column {:?} say the plan?", column.name)),
            "startDate" => Some(format!("does column {:?} say when it began?", column.name)),
            _ => None,
        };
        Some(Guess { field, column, why: Why::Content, form: form::of(field, column)?, doubt })
    }

    /// Few words that come again and again, and are nothing else.
    fn is_like_plans(&self, column: &ColumnSample) -> bool {
        const WORDS_MAX: usize = 50;
        let words = column.distinct().filter(|words| words.len() <= WORDS_MAX && words.len() * 2 <= column.cells.len());
        words.is_some()
            && column.cells.len() as u64 == self.sample.rows
            && !about::is_no_plan(column)
            && !column.is_json()
            && times::of(column).is_none()
            && !amount::is_money(column)
            && !self.schema.fields().iter().any(|field| form::all_words(field, column))
            && !column.mostly(|cell| cell.contains('@') || cell.parse::<f64>().is_ok() || form::fits(&Kind::Bool, cell))
    }

    /// With what is ambiguous in its form asked for.
    fn decided(&mut self, mut guess: Guess<'a>) -> Guess<'a> {
        let column = &guess.column.name;
        if matches!(guess.field.kind, Kind::Number { .. })
            && let Some(cell) = digits::two_ways(guess.column)
        {
            guess.doubt =
                Some(format!("column {column:?}: is {cell} more than a thousand? Then say thousands = \".\""));
        }
        match &mut guess.form {
            Form::Time(times) => {
                if let Times::DayOrMonthFirst { day_first, month_first } = *times {
                    let question = Question {
                        about: About::DayOrMonth { column: column.clone() },
                        choices: [("day first", day_first), ("month first", month_first)]
                            .map(|(name, form)| Choice { name: name.to_owned(), because: form.to_owned() })
                            .to_vec(),
                        guess: usize::from(self.day_first == Some(false)),
                    };
                    let taken = ask(self.adviser, &question);
                    if taken.is_said {
                        self.day_first = Some(taken.choice == 0);
                        let form = if taken.choice == 0 { day_first } else { month_first };
                        *times = Times::Form { form, zoned: false };
                    }
                }
            }
            Form::Amounts(Amounts { unit, is_sure: is_sure @ false, .. }) => {
                let units = [Unit::Whole, Unit::Cents];
                let question = Question {
                    about: About::Unit { column: column.clone() },
                    choices: [("whole units", "4900 is 4900.00"), ("cents", "4900 is 49.00")]
                        .map(|(name, because)| Choice { name: name.to_owned(), because: because.to_owned() })
                        .to_vec(),
                    guess: usize::from(*unit == Unit::Cents),
                };
                let taken = ask(self.adviser, &question);
                (*unit, *is_sure) = (units[taken.choice], taken.is_said);
            }
            Form::Amounts(_)
            | Form::Plain
            | Form::Number(_)
            | Form::Words { .. }
            | Form::Lookup(_)
            | Form::Json
            | Form::Joined(_)
            | Form::Spelled(_)
            | Form::Key(_) => {}
        }
        guess
    }

    fn provider(&mut self, guesses: &[Guess<'a>]) -> (&'static str, bool) {
        const PROVIDERS: [&str; 5] = ["stripe", "zuora", "chargebee", "recurly", "paddle"];
        let ids = guesses.iter().find(|guess| guess.field.name == "subscriptionId").map(|guess| guess.column);
        if ids.is_some_and(|column| column.mostly(|cell| cell.starts_with("sub_"))) {
            return (PROVIDERS[0], true);
        }
        let choices = PROVIDERS.map(|name| Choice { name: name.to_owned(), because: String::new() }).to_vec();
        let taken = ask(self.adviser, &Question { about: About::Provider, choices, guess: 0 });
        (PROVIDERS[taken.choice], taken.is_said)
    }
}
