//! The page of a plan.

use std::collections::BTreeMap;

use super::page::{Cell, Page, Section, Table, Tone, number, words};
use super::reasons::Reasons;
use super::run::{sentence, why};
use super::{Destination, card, made_at, tone_of};
use crate::cli::report::{counted, duration, grouped, quoted};
use crate::pipeline::{ChangedFields, Finding, FindingSample, Live, Planned, PlannedStep};

/// Most things to refuse that are shown.
const FINDINGS_MAX: usize = 50;

/// Stands where there is no number.
const NOT_KNOWN: &str = "–";

/// The page of `plan`. `unasked`: why the target was not asked about its catalog.
pub(in crate::cli) fn plan(planned: &Planned, unasked: Option<&str>, destination: &Destination) -> Page {
    let total = |count: fn(&PlannedStep) -> u64| planned.steps.iter().map(count).sum::<u64>();
    let (create, change) = (total(|step| step.summary.created), total(|step| step.summary.changed));
    let (unchanged, rejected) = (total(|step| step.summary.unchanged), total(|step| step.summary.rejected));
    let refused = total(|step| step.findings.iter().map(|finding| finding.records).sum());
    let seconds: f64 = planned.steps.iter().filter_map(|step| step.seconds).sum();
    let groups =
        planned.steps.iter().flat_map(|step| step.reasons.iter().map(|group| (step.summary.name.as_str(), group)));
    let reasons = Reasons::of_groups(groups);
    let is_sound = planned.steps.iter().all(|step| step.summary.balances());
    let (tone, state) = match (&planned.stopped, is_sound, rejected + refused) {
        (Some(_), ..) => (Tone::Bad, "Stopped"),
        (None, false, _) => (Tone::Bad, "A fault of the program"),
        (None, true, 0) => (Tone::Good, "Ready"),
        (None, true, _) => (Tone::Attention, "Ready, with rejects"),
    };
    let mut sections = vec![steps(planned)];
    sections.extend(reasons.section(rejected, destination.with_samples));
    sections.push(findings(planned, unasked, destination.with_samples));
    sections.extend(changed_fields(planned));
    sections.extend(live(planned));
    sections.push(slowest(planned));
    Page {
        command: "plan",
        tone,
        state,
        verdict: verdict(planned, create, change, rejected, refused, seconds),
        facts: vec![made_at()],
        cards: vec![
            card("New", grouped(create), "records to create", Tone::Plain),
            card("Changed", grouped(change), "records to update", Tone::Plain),
            card("Unchanged", grouped(unchanged), "nothing is sent for them", Tone::Plain),
            card("Rejected", grouped(rejected), "would be set aside", tone_of(rejected)),
            match unasked {
                Some(_) => card("Refused", NOT_KNOWN.to_owned(), "was not checked", Tone::Plain),
                None => card("Refused", grouped(refused), "the API would refuse them", tone_of(refused)),
            },
            match create + change {
                0 => card("Would take", NOT_KNOWN.to_owned(), "nothing is to be sent", Tone::Plain),
                _ => card("Would take", time(seconds), "at the API's rate limit", Tone::Plain),
            },
        ],
        sections,
        next: next(planned, create + change, rejected, refused),
        has_samples: destination.with_samples && rejected + refused > 0,
    }
}

fn verdict(planned: &Planned, create: u64, change: u64, rejected: u64, refused: u64, seconds: f64) -> String {
    let rejects = match (rejected, refused) {
        (0, 0) => "none would be rejected".to_owned(),
        (rejected, 0) => format!("{} would be rejected", grouped(rejected)),
        (0, refused) => format!("{} would be refused by the API", grouped(refused)),
        _ => format!("{} would be rejected, and {} refused by the API", grouped(rejected), grouped(refused)),
    };
    let account = match create + change {
        0 => format!("a run would send nothing; {rejects}."),
        records => format!(
            "a run would send {} ({} new, {} changed) in about {}; {rejects}.",
            counted(records, "record"),
            grouped(create),
            grouped(change),
            time(seconds)
        ),
    };
    match &planned.stopped {
        Some(stopped) => format!("Planning stopped early: {}. Until then: {account}", why(stopped)),
        None => sentence(&account),
    }
}

/// Shorter than a second is not worth a number.
fn time(seconds: f64) -> String {
    if seconds < 1.0 { "a second".to_owned() } else { duration(seconds) }
}

fn steps(planned: &Planned) -> Section {
    let mut columns = vec![words("Step"), number("Rows"), number("Records"), number("New"), number("Changed")];
    columns.extend([number("Unchanged"), number("Rejected"), number("Filtered")]);
    let row = |step: &PlannedStep| -> Vec<Cell> {
        let summary = &step.summary;
        let counts = [
            summary.rows,
            summary.records,
            summary.created,
            summary.changed,
            summary.unchanged,
            summary.rejected,
            summary.filtered,
        ];
        std::iter::once(Cell::text(&summary.name)).chain(counts.map(|count| grouped(count).into())).collect()
    };
    Section {
        title: "What would happen to every record",
        intro: "Compared with what earlier runs delivered. A plan sends nothing.".to_owned(),
        table: Some(Table { columns, rows: planned.steps.iter().map(row).collect() }),
        ..Section::default()
    }
}

/// What the API would refuse, and what to do about each.
fn findings(planned: &Planned, unasked: Option<&str>, with_samples: bool) -> Section {
    let mut columns = vec![number("Records"), words("Step"), words("Field"), words("Refers to"), words("What to do")];
    if with_samples {
        columns.push(words("Examples"));
    }
    let row = |step: &PlannedStep, finding: &Finding| -> Vec<Cell> {
        let mut row = vec![
            grouped(finding.records).into(),
            Cell::text(&step.summary.name),
            Cell::text(finding.field),
            Cell::text(finding.kind.says()),
            Cell::text(finding.remedy),
        ];
        if with_samples {
            let sample = |sample: &FindingSample| format!("{} {}", sample.place, quoted(&sample.value));
            row.push(Cell::lines(finding.samples.iter().map(sample)));
        }
        row
    };
    let found = planned.steps.iter().flat_map(|step| step.findings.iter().map(move |finding| (step, finding)));
    let rows: Vec<Vec<Cell>> = found.take(FINDINGS_MAX).map(|(step, finding)| row(step, finding)).collect();
    let many: u64 = planned.steps.iter().map(|step| step.unasked).sum();
    let intro = match (unasked, rows.is_empty()) {
        (Some(why), _) => format!("The catalog of the target, and what records refer to, was not checked: {why}."),
        (None, true) => "Nothing: all that the records refer to is there.".to_owned(),
        (None, false) => "What these records refer to is not at the target, or does not take them.".to_owned(),
    };
    let after = match many {
        0 => String::new(),
        _ => {
            format!("{} refer to customers that Stigg was not asked for: there are too many.", counted(many, "record"))
        }
    };
    let table = (!rows.is_empty()).then_some(Table { columns, rows });
    Section { title: "What the API would refuse", intro, table, after, ..Section::default() }
}

/// Which fields of the changed records differ from what was delivered, where there are such records.
fn changed_fields(planned: &Planned) -> Option<Section> {
    let row = |(step, changed): (&PlannedStep, &ChangedFields)| -> Vec<Cell> {
        std::iter::once(Cell::text(&step.summary.name))
            .chain([changed.known, changed.unknown + changed.unasked].map(|count| grouped(count).into()))
            .chain([Cell::lines(by_outer_field(&changed.fields))])
            .collect()
    };
    let steps = planned.steps.iter().filter_map(|step| Some((step, step.changed_fields.as_ref()?)));
    let with_changes = steps.filter(|(_, changed)| changed.known + changed.unknown + changed.unasked > 0);
    let rows: Vec<Vec<Cell>> = with_changes.map(row).collect();
    let columns = vec![words("Step"), number("Known"), number("Not known"), words("Fields that changed")];
    (!rows.is_empty()).then(|| Section {
        title: "What changed since it was delivered",
        intro: "Compared with what the ledger knows. With --live, Stigg is asked, and both values are told.".to_owned(),
        table: Some(Table { columns, rows }),
        ..Section::default()
    })
}

/// A field inside another may be named by a row.
fn by_outer_field(fields: &BTreeMap<String, u64>) -> Vec<String> {
    let mut outer: BTreeMap<&str, u64> = BTreeMap::new();
    for (field, count) in fields {
        *outer.entry(field.split(['.', '[']).next().unwrap_or_default()).or_default() += count;
    }
    outer.iter().map(|(field, count)| format!("{field}: {}", grouped(*count))).collect()
}

/// What Stigg has now, where that was asked.
fn live(planned: &Planned) -> Option<Section> {
    let row = |(step, live): (&PlannedStep, &Live)| -> Vec<Cell> {
        let counts = [live.absent, live.different, live.equal, live.unread];
        std::iter::once(Cell::text(&step.summary.name))
            .chain(counts.map(|count| grouped(count).into()))
            .chain([Cell::lines(by_outer_field(&live.fields))])
            .collect()
    };
    let rows: Vec<Vec<Cell>> =
        planned.steps.iter().filter_map(|step| step.live.as_ref().map(|live| (step, live))).map(row).collect();
    let mut columns =
        vec![words("Step"), number("Not there"), number("Different"), number("Equal"), number("Not read")];
    columns.push(words("Fields that differ"));
    (!rows.is_empty()).then(|| Section {
        title: "What Stigg has now of the records that would be sent",
        table: Some(Table { columns, rows }),
        ..Section::default()
    })
}

/// How long each step would take, the longest first.
fn slowest(planned: &Planned) -> Section {
    let mut steps: Vec<&PlannedStep> = planned.steps.iter().collect();
    steps.sort_by(|a, b| b.seconds.unwrap_or(0.0).total_cmp(&a.seconds.unwrap_or(0.0)));
    let row = |step: &&PlannedStep| -> Vec<Cell> {
        vec![
            Cell::text(&step.summary.name),
            grouped(step.requests).into(),
            match step.requests {
                0 => NOT_KNOWN.to_owned(),
                _ => step.seconds.map_or_else(|| "not limited".to_owned(), time),
            }
            .into(),
        ]
    };
    Section {
        title: "Slowest steps",
        intro: "Requests, and the time that the API's rate limit gives them.".to_owned(),
        table: Some(Table {
            columns: vec![words("Step"), number("Requests"), number("Would take")],
            rows: steps.iter().map(row).collect(),
        }),
        ..Section::default()
    }
}

fn next(planned: &Planned, sent: u64, rejected: u64, refused: u64) -> Vec<String> {
    if planned.stopped.is_some() {
        return vec!["Mend what stopped it, and plan again. Nothing was sent.".to_owned()];
    }
    if !planned.steps.iter().all(|step| step.summary.balances()) {
        return vec!["Please report this with the output of the same command and -vv.".to_owned()];
    }
    let mut next = Vec::new();
    if rejected > 0 {
        next.push(
            "Look at what would be rejected: mend the mapping or the rows, or let the run set them aside; everything else \
             goes through."
                .to_owned(),
        );
    }
    if refused > 0 {
        next.push("Do what stands beside each thing that the API would refuse, and plan again.".to_owned());
    }
    next.push(match sent {
        0 => "There is nothing to send.".to_owned(),
        _ => "stigg-import run with the same words sends it.".to_owned(),
    });
    next
}
