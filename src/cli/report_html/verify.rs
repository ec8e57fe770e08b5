//! The page of a verification.

use std::collections::BTreeMap;

use super::page::{Cell, Page, Section, Table, Tone, number, words};
use super::run::why;
use super::{Destination, card, made_at, tone_of};
use crate::cli::exit::Exit;
use crate::cli::report::{counted, grouped};
use crate::entity::Schema;
use crate::pipeline::{Extra, Verified, VerifiedStep};

/// Most records that are named.
const SAMPLES_MAX: usize = 50;

/// The page of `verify`.
pub(in crate::cli) fn verify(verified: &Verified, exit: Exit, destination: &Destination) -> Page {
    let total = |count: fn(&VerifiedStep) -> u64| verified.steps.iter().map(count).sum::<u64>();
    let (expected, equal) = (total(|step| step.expected), total(|step| step.equal));
    let (different, missing, unread) =
        (total(|step| step.different), total(|step| step.missing), total(|step| step.unread));
    let with_samples = destination.with_samples;
    let mut sections = vec![steps(verified)];
    sections.extend(fields(verified));
    if with_samples {
        sections.extend(samples(verified));
    }
    sections.extend(gone(verified, with_samples));
    sections.extend(extra(verified, with_samples));
    let (tone, state) = match exit {
        Exit::Settled => (Tone::Good, "As it should be"),
        Exit::Rejects => (Tone::Attention, "Something differs"),
        Exit::Open => (Tone::Attention, "Not finished"),
        _ => (Tone::Bad, "Stopped"),
    };
    let unreadable =
        verified.steps.iter().filter(|step| step.unreadable.is_some()).map(|step| step.unread).sum::<u64>();
    let account = match expected {
        0 if verified.stopped.is_some() => "no record was looked for.".to_owned(),
        0 => "The source has no record to look for.".to_owned(),
        _ if equal == expected => {
            format!("{}: all of them are in Stigg as the source has them.", counted(expected, "record"))
        }
        _ if equal + unreadable == expected => format!(
            "{} of {} are in Stigg as the source has them; the others can't be read back.",
            grouped(equal),
            counted(expected, "record")
        ),
        _ => format!("{} of {} are in Stigg as the source has them.", grouped(equal), counted(expected, "record")),
    };
    let account = match verified.steps.iter().any(|step| step.sampled_from.is_some()) {
        true => format!("Of a sample: {account}"),
        false => account,
    };
    let shows_gone = verified.steps.iter().any(|step| step.gone.iter().flatten().next().is_some());
    let shows_extra = verified.extra.iter().any(|extra| !extra.ids.is_empty());
    let shows_unequal = verified.steps.iter().any(|step| !step.samples.is_empty());
    Page {
        command: "verify",
        tone,
        state,
        verdict: match &verified.stopped {
            Some(stopped) => format!("Verifying stopped early: {}. Until then: {account}", why(stopped)),
            None => account,
        },
        facts: vec![made_at()],
        cards: vec![
            card("Expected", grouped(expected), "records of the source", Tone::Plain),
            card("Equal", grouped(equal), "as the source has them", Tone::Plain),
            card("Different", grouped(different), "in Stigg, with other content", tone_of(different)),
            card("Missing", grouped(missing), "not in Stigg", tone_of(missing)),
            card("Not read", grouped(unread), "nothing is known of them", tone_of(unread - unreadable)),
        ],
        sections,
        next: next(verified, exit),
        has_samples: with_samples && (shows_gone || shows_extra || shows_unequal),
    }
}

fn steps(verified: &Verified) -> Section {
    let mut columns = vec![words("Step"), number("Expected"), number("Equal"), number("Different"), number("Missing")];
    columns.extend([number("Not read"), number("Rejected")]);
    let row = |step: &VerifiedStep| -> Vec<Cell> {
        let counts = [step.expected, step.equal, step.different, step.missing, step.unread, step.rejected];
        std::iter::once(Cell::text(&step.name)).chain(counts.map(|count| grouped(count).into())).collect()
    };
    let mut after = Vec::new();
    for step in &verified.steps {
        if let Some(why) = step.unreadable {
            after.push(format!("{} can't be read back: {why}.", step.name));
        }
        if let Some(of) = step.sampled_from {
            let taken = format!("a sample of {} of {}", grouped(step.expected), counted(of, "record"));
            after.push(format!("{}: {taken} was read back.", step.name));
        }
    }
    Section {
        title: "What is there",
        intro:
            "Records of the source were read back from the API and compared, field by field. Rejected rows are not looked \
                for."
                .to_owned(),
        table: Some(Table { columns, rows: verified.steps.iter().map(row).collect() }),
        after: after.join(" "),
        ..Section::default()
    }
}

/// Which fields differ, of the first records that are not equal. A field inside another may be named by a row.
fn fields(verified: &Verified) -> Option<Section> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut seen: u64 = 0;
    for step in &verified.steps {
        for sample in &step.samples {
            seen += 1;
            let mut names: Vec<&str> = sample
                .differences
                .iter()
                .map(|difference| difference.field.split(['.', '[']).next().unwrap_or_default())
                .collect();
            names.dedup();
            if names.is_empty() {
                names.push("the record is missing");
            }
            for name in names {
                *counts.entry((&step.name, name)).or_default() += 1;
            }
        }
    }
    if seen == 0 {
        return None;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let rows = counts
        .into_iter()
        .map(|((step, field), count)| vec![grouped(count).into(), Cell::text(step), Cell::text(field)])
        .collect();
    Some(Section {
        title: "What differs",
        intro: format!("Of the first {} that are not equal.", counted(seen, "record")),
        table: Some(Table { columns: vec![number("Records"), words("Step"), words("Field")], rows }),
        ..Section::default()
    })
}

/// The first records that are not equal, with their values.
fn samples(verified: &Verified) -> Option<Section> {
    let rows: Vec<Vec<Cell>> = verified
        .steps
        .iter()
        .flat_map(|step| step.samples.iter().map(move |sample| (step, sample)))
        .take(SAMPLES_MAX)
        .map(|(step, sample)| {
            let what = match sample.differences.is_empty() {
                true => Cell::text("is not in Stigg"),
                false => Cell::lines(sample.differences.iter().map(ToString::to_string)),
            };
            vec![Cell::text(&step.name), Cell::text(&sample.key), Cell::text(&sample.place), what]
        })
        .collect();
    (!rows.is_empty()).then(|| Section {
        title: "Records that are not equal",
        intro: "With their values, which are personal data.".to_owned(),
        table: Some(Table {
            columns: vec![words("Step"), words("Record"), words("In the source at"), words("What differs")],
            rows,
        }),
        ..Section::default()
    })
}

fn gone(verified: &Verified, with_samples: bool) -> Option<Section> {
    let asked: Vec<&VerifiedStep> =
        verified.steps.iter().filter(|step| step.gone.is_some() || step.gone_untold.is_some()).collect();
    let row = |step: &&VerifiedStep| -> Vec<Cell> {
        let ids = step.gone.iter().flatten();
        let count = match (&step.gone, &step.gone_untold) {
            (Some(gone), _) => grouped(gone.len() as u64),
            (None, why) => format!("can't be told: {}", why.as_deref().unwrap_or_default()),
        };
        let mut row = vec![Cell::text(&step.name), Cell::text(&count)];
        if with_samples {
            row.push(Cell::lines(ids.take(SAMPLES_MAX).cloned()));
        }
        row
    };
    let mut columns = vec![words("Step"), words("Records")];
    if with_samples {
        columns.push(words("The first of them"));
    }
    (!asked.is_empty()).then(|| Section {
        title: "In Stigg, and gone from the source",
        table: Some(Table { columns, rows: asked.iter().map(row).collect() }),
        ..Section::default()
    })
}

/// What Stigg has and no step, where that was asked.
fn extra(verified: &Verified, with_samples: bool) -> Option<Section> {
    let mut columns = vec![words("What"), words("Records")];
    if with_samples {
        columns.push(words("The first of them"));
    }
    let row = |extra: &Extra| -> Vec<Cell> {
        let note = extra.note.as_deref().unwrap_or_default();
        let count = match (extra.records, note) {
            (Some(records), "") => grouped(records),
            (Some(records), note) => format!("{} ({note})", grouped(records)),
            (None, note) => format!("can't be told: {note}"),
        };
        let mut row = vec![Cell::text(&extra.what()), Cell::text(&count)];
        if with_samples {
            row.push(Cell::lines(extra.ids.iter().take(SAMPLES_MAX).cloned()));
        }
        row
    };
    (!verified.extra.is_empty()).then(|| Section {
        title: "In Stigg, and in no step",
        table: Some(Table { columns, rows: verified.extra.iter().map(row).collect() }),
        ..Section::default()
    })
}

fn next(verified: &Verified, exit: Exit) -> Vec<String> {
    let text = match exit {
        Exit::Settled => "Nothing has to be done.",
        Exit::Rejects => return remedies(verified),
        Exit::Credentials => "Check the key in STIGG_API_KEY, then run the same command again.",
        Exit::Source => "Mend the source and run the same command again.",
        Exit::Bug => "Please report this with the output of the same command and -vv.",
        Exit::Ledger => "Make room or mend the rights, then run the same command again.",
        Exit::Open | Exit::Arguments | Exit::Config | Exit::Held => "Run the same command again.",
    };
    vec![text.to_owned()]
}

/// What brings records to what they should be: `run` takes no paid subscriptions.
fn remedies(verified: &Verified) -> Vec<String> {
    let is_paid = |step: &VerifiedStep| step.entity == Schema::PaidSubscription.name();
    let unequal = || verified.steps.iter().filter(|step| !step.holds());
    let imported = unequal().any(|step| !is_paid(step)).then_some(
        "The same words with stigg-import run send what has changed in the source; with run --resend, all of it again, \
         also over what was changed in Stigg itself.",
    );
    let paid = unequal().any(is_paid).then_some(
        "stigg-import cutover with the same words provisions paid subscriptions that are missing; it changes none that are \
         there.",
    );
    imported.into_iter().chain(paid).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::pipeline::{Difference, Stopped, Unequal};

    fn step(name: &str, entity: Schema, counts: [u64; 4]) -> VerifiedStep {
        let [equal, different, missing, unread] = counts;
        VerifiedStep {
            name: name.to_owned(),
            entity: entity.name(),
            expected: equal + different + missing + unread,
            sampled_from: None,
            equal,
            different,
            missing,
            unread,
            unreadable: None,
            rejected: 0,
            gone: None,
            gone_untold: None,
            samples: Vec::new(),
        }
    }

    fn page(steps: Vec<VerifiedStep>, extra: Vec<Extra>, stopped: Option<Stopped>, exit: Exit, values: bool) -> Page {
        verify(&Verified { steps, extra, stopped }, exit, &Destination::unwritten(values))
    }

    const CUSTOMER: Schema = Schema::Import(Entity::Customer);

    /// All that a verification may find out, with values.
    #[test]
    fn everything_that_can_be_found_out_is_told_whole() {
        let differences = vec![Difference { field: "name".to_owned(), expected: "Bob".to_owned(), found: None }];
        let unequal = |key: &str, differences| Unequal {
            key: key.to_owned(),
            place: "c.csv:2, record 1".to_owned(),
            differences,
        };
        let customers = VerifiedStep {
            sampled_from: Some(2000),
            rejected: 1,
            gone: Some(vec!["cus_7".to_owned()]),
            samples: vec![unequal("cus_1", differences), unequal("cus_2", Vec::new())],
            ..step("customers", CUSTOMER, [297, 1, 1, 1])
        };
        let subscriptions = VerifiedStep {
            gone_untold: Some("a file may be a part of the data".to_owned()),
            ..step("subscriptions", Schema::Import(Entity::Subscription), [1, 0, 0, 0])
        };
        let events = VerifiedStep {
            unreadable: Some("the API does not list them"),
            ..step("events", Schema::Import(Entity::Event), [0, 0, 0, 2])
        };
        let extra = |entity: Entity, records, ids: &[&str], note: Option<&str>| Extra {
            entity: entity.name(),
            records,
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            note: note.map(str::to_owned),
        };
        let extras = vec![
            extra(Entity::Customer, Some(1), &["cus_9"], None),
            extra(Entity::Subscription, Some(0), &[], Some("rows were rejected")),
            extra(Entity::Usage, None, &[], Some("the API does not list it")),
        ];
        let page = page(vec![customers, subscriptions, events], extras, None, Exit::Open, true);
        assert!(page.has_samples);
        insta::assert_snapshot!(page.text(), @"
        Not finished: stigg-import verify
        Of a sample: 298 of 303 records are in Stigg as the source has them.
        Expected 303 records of the source (Plain)
        Equal 298 as the source has them (Plain)
        Different 1 in Stigg, with other content (Attention)
        Missing 1 not in Stigg (Attention)
        Not read 3 nothing is known of them (Attention)
        next: Run the same command again.
        # What is there
        Records of the source were read back from the API and compared, field by field. Rejected rows are not looked for.
        Step | Expected | Equal | Different | Missing | Not read | Rejected
        customers | 300 | 297 | 1 | 1 | 1 | 1
        subscriptions | 1 | 1 | 0 | 0 | 0 | 0
        events | 2 | 0 | 0 | 0 | 2 | 0
        customers: a sample of 300 of 2,000 records was read back. events can't be read back: the API does not list them.
        # What differs
        Of the first 2 records that are not equal.
        Records | Step | Field
        1 | customers | name
        1 | customers | the record is missing
        # Records that are not equal
        With their values, which are personal data.
        Step | Record | In the source at | What differs
        customers | cus_1 | c.csv:2, record 1 | name is missing, and should be Bob
        customers | cus_2 | c.csv:2, record 1 | is not in Stigg
        # In Stigg, and gone from the source
        Step | Records | The first of them
        customers | 1 | cus_7
        subscriptions | can't be told: a file may be a part of the data |
        # In Stigg, and in no step
        What | Records | The first of them
        customers | 1 | cus_9
        subscriptions | 0 (rows were rejected) |
        usage | can't be told: the API does not list it |
        ");
    }

    #[test]
    fn every_ending_of_a_verification_has_its_words() {
        let paid = || step("paid-subscriptions", Schema::PaidSubscription, [3, 0, 2, 0]);
        let (equal, missing) =
            (|| step("customers", CUSTOMER, [1, 0, 0, 0]), || step("customers", CUSTOMER, [1, 0, 1, 0]));
        let events = || VerifiedStep {
            unreadable: Some("the API does not list them"),
            ..step("events", Schema::Import(Entity::Event), [0, 0, 0, 2])
        };
        let why = || "why".to_owned();
        let told = [
            page(vec![equal()], vec![], None, Exit::Settled, false),
            page(vec![step("customers", CUSTOMER, [0; 4])], vec![], None, Exit::Settled, false),
            page(vec![missing()], vec![], None, Exit::Rejects, false),
            page(vec![equal(), paid()], vec![], None, Exit::Rejects, false),
            page(vec![missing(), paid()], vec![], None, Exit::Rejects, false),
            page(vec![step("customers", CUSTOMER, [1, 0, 0, 1])], vec![], None, Exit::Open, false),
            page(vec![equal(), events()], vec![], None, Exit::Settled, false),
            page(vec![], vec![], Some(Stopped::Interrupted), Exit::Open, false),
            page(vec![equal()], vec![], Some(Stopped::Interrupted), Exit::Open, false),
            page(vec![equal()], vec![], Some(Stopped::CredentialsRefused(why())), Exit::Credentials, false),
            page(vec![equal()], vec![], Some(Stopped::SourceBroke(why())), Exit::Source, false),
            page(vec![equal()], vec![], Some(Stopped::SpillFailed(why())), Exit::Ledger, false),
            page(
                vec![equal()],
                vec![],
                Some(Stopped::RequestMalformed("ada@example.com".to_owned())),
                Exit::Bug,
                false,
            ),
        ]
        .map(|Page { tone, state, verdict, next, .. }| {
            format!("{state} ({tone:?}): {verdict}\n  {}", next.join("\n  "))
        });
        insta::assert_snapshot!(told.join("\n"), @"
        As it should be (Good): 1 record: all of them are in Stigg as the source has them.
          Nothing has to be done.
        As it should be (Good): The source has no record to look for.
          Nothing has to be done.
        Something differs (Attention): 1 of 2 records are in Stigg as the source has them.
          The same words with stigg-import run send what has changed in the source; with run --resend, all of it again, also over what was changed in Stigg itself.
        Something differs (Attention): 4 of 6 records are in Stigg as the source has them.
          stigg-import cutover with the same words provisions paid subscriptions that are missing; it changes none that are there.
        Something differs (Attention): 4 of 7 records are in Stigg as the source has them.
          The same words with stigg-import run send what has changed in the source; with run --resend, all of it again, also over what was changed in Stigg itself.
          stigg-import cutover with the same words provisions paid subscriptions that are missing; it changes none that are there.
        Not finished (Attention): 1 of 2 records are in Stigg as the source has them.
          Run the same command again.
        As it should be (Good): 1 of 3 records are in Stigg as the source has them; the others can't be read back.
          Nothing has to be done.
        Not finished (Attention): Verifying stopped early: interrupted. Until then: no record was looked for.
          Run the same command again.
        Not finished (Attention): Verifying stopped early: interrupted. Until then: 1 record: all of them are in Stigg as the source has them.
          Run the same command again.
        Stopped (Bad): Verifying stopped early: why. Until then: 1 record: all of them are in Stigg as the source has them.
          Check the key in STIGG_API_KEY, then run the same command again.
        Stopped (Bad): Verifying stopped early: the source broke part-way: why. Until then: 1 record: all of them are in Stigg as the source has them.
          Mend the source and run the same command again.
        Stopped (Bad): Verifying stopped early: temporary files can't be written: why. Until then: 1 record: all of them are in Stigg as the source has them.
          Make room or mend the rights, then run the same command again.
        Stopped (Bad): Verifying stopped early: the API could not make sense of a request. Until then: 1 record: all of them are in Stigg as the source has them.
          Please report this with the output of the same command and -vv.
        ");
    }
}
