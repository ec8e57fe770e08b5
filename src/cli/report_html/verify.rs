//! The page of a verification.

use std::collections::BTreeMap;

use super::page::{Cell, Page, Section, Table, Tone, number, words};
use super::run::why;
use super::{Destination, card, made_at, tone_of};
use crate::cli::exit::Exit;
use crate::cli::report::{counted, grouped};
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
    let account = match expected {
        0 => "The source has no record to look for.".to_owned(),
        _ if equal == expected => {
            format!("{}: all of them are in Stigg as the source has them.", counted(expected, "record"))
        }
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
            Some(stopped) => format!("Verifying stopped early: {}. {account}", why(stopped)),
            None => account,
        },
        facts: vec![made_at()],
        cards: vec![
            card("Expected", grouped(expected), "records of the source", Tone::Plain),
            card("Equal", grouped(equal), "as the source has them", Tone::Plain),
            card("Different", grouped(different), "in Stigg, with other content", tone_of(different)),
            card("Missing", grouped(missing), "not in Stigg", tone_of(missing)),
            card("Not read", grouped(unread), "nothing is known of them", tone_of(unread)),
        ],
        sections,
        next: next(exit),
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

fn next(exit: Exit) -> Vec<String> {
    let text = match exit {
        Exit::Settled => "Nothing has to be done.",
        Exit::Rejects => {
            "The same words with stigg-import run send what has changed in the source; with run --resend, all of it again, \
             also over what was changed in Stigg itself."
        }
        Exit::Credentials => "Check the key in STIGG_API_KEY, then run the same command again.",
        Exit::Source => "Mend the source and run the same command again.",
        Exit::Bug => "Please report this with the output of the same command and -vv.",
        Exit::Open | Exit::Arguments | Exit::Config | Exit::Ledger | Exit::Held => "Run the same command again.",
    };
    vec![text.to_owned()]
}
