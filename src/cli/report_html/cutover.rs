//! The pages of a cutover and of its plan.

use std::path::Path;

use super::page::{Card, Cell, Fact, Page, Section, Table, Tone, number, words};
use super::reasons::Reasons;
use super::recorder::Seen;
use super::run::{sentence, throughput, why};
use super::{Destination, card, made_at, state, tone_of};
use crate::cli::exit::Exit;
use crate::cli::report::{counted, duration, grouped};
use crate::pipeline::{CutoverFinished, CutoverPlan, CutoverSummary};

/// Most replacements that are named.
const SAMPLES_MAX: usize = 50;

/// What is known of a cutover besides its account.
pub(in crate::cli) struct Around<'a> {
    pub seen: &'a Seen,
    /// What to do next, as the terminal says it.
    pub hint: Option<String>,
    pub audit: &'a Path,
}

/// The page of `cutover`.
pub(in crate::cli) fn cutover(finished: &CutoverFinished, around: &Around<'_>, destination: &Destination) -> Page {
    let summary = &finished.summary;
    let exit = Exit::of_finished_cutover(finished);
    let (tone, state) = match state(exit, finished.stopped.is_some()) {
        (tone, "Done, with rejects") => (tone, "Done, with some parked"),
        other => other,
    };
    let mut next: Vec<String> = around.hint.iter().map(|hint| sentence(hint)).collect();
    next.push(format!("Every step that was taken is in the audit file, {}.", around.audit.display()));
    let rejects = Reasons::of_files(finished.rejects.iter().map(AsRef::as_ref));
    let mut sections = accounts(summary, "confirmed now", "open");
    sections.extend(stages(summary));
    sections.extend(parked(summary, destination.with_samples));
    sections.extend(rejects.section(summary.rejected, destination.with_samples));
    sections.push(throughput(around.seen));
    sections.push(answers(summary));
    Page {
        command: "cutover",
        tone,
        state,
        verdict: match &finished.stopped {
            Some(stopped) => format!("The cutover stopped early: {}. {}", why(stopped), verdict(summary)),
            None if finished.declined => format!("Nothing was cancelled: it was declined. {}", verdict(summary)),
            None => verdict(summary),
        },
        facts: vec![
            Fact { name: "Run", value: summary.run.to_string() },
            Fact { name: "Took", value: duration(summary.duration_s) },
            made_at(),
        ],
        cards: cards(summary, "Confirmed", summary.confirmed + summary.done_before, summary.open + summary.cancel_open),
        sections,
        next,
        has_samples: destination.with_samples && (summary.rejected > 0 || !summary.samples.is_empty()),
    }
}

/// The page of `cutover --plan`.
pub(in crate::cli) fn cutover_plan(plan: &CutoverPlan, destination: &Destination) -> Page {
    let summary = &plan.summary;
    let rejects = Reasons::of_first("paid subscriptions", &plan.rejects);
    let mut sections = accounts(summary, "confirmed now", "to provision and prove");
    sections.extend(stages(summary));
    sections.extend(parked(summary, destination.with_samples));
    sections.extend(rejects.section(summary.rejected, destination.with_samples));
    let time = plan.provision_seconds.filter(|seconds| *seconds >= 1.0).map(duration);
    let account = format!(
        "{} would be provisioned and proved{}; {} can be cancelled now.",
        counted(summary.open, "subscription"),
        time.map(|time| format!(", in about {time}")).unwrap_or_default(),
        counted(plan.to_cancel, "original")
    );
    let (tone, state) = match (&plan.stopped, summary.rejected + summary.parked_before) {
        (Some(_), _) => (Tone::Bad, "Stopped"),
        (None, 0) => (Tone::Good, "Ready"),
        (None, _) => (Tone::Attention, "Ready, with some set aside"),
    };
    Page {
        command: "cutover --plan",
        tone,
        state,
        verdict: match &plan.stopped {
            Some(stopped) => format!("Planning stopped early: {}. Until then: {account}", why(stopped)),
            None => account,
        },
        facts: vec![made_at()],
        cards: cards(summary, "To provision", summary.open, 0),
        sections,
        next: vec![
            "stigg-import cutover with the same words and without --plan provisions and proves; it cancels nothing."
                .to_owned(),
        ],
        has_samples: destination.with_samples && summary.rejected + summary.parked_before > 0,
    }
}

fn verdict(summary: &CutoverSummary) -> String {
    if !summary.balances() {
        return "Records are missing from the account: a fault of the program.".to_owned();
    }
    let mut parts = Vec::new();
    if summary.records > 0 {
        parts.push(format!(
            "{}: all accounted for; {} confirmed",
            counted(summary.records, "subscription"),
            grouped(summary.confirmed + summary.done_before)
        ));
    }
    for (count, words) in [
        (summary.parked_in_all(), "parked"),
        (summary.rejected, "rejected"),
        (summary.open + summary.unproved_open, "open"),
    ] {
        if count > 0 {
            parts.push(format!("{} {words}", grouped(count)));
        }
    }
    if summary.to_cancel > 0 {
        parts.push(format!("{} of {} cancelled", grouped(summary.cancelled), counted(summary.to_cancel, "original")));
    }
    match parts.is_empty() {
        true => "There was nothing to do.".to_owned(),
        false => format!("{}.", parts.join(", ")),
    }
}

fn cards(summary: &CutoverSummary, first: &'static str, count: u64, open: u64) -> Vec<Card> {
    let parked = summary.parked_in_all();
    let mut cards = vec![
        card(first, grouped(count), "subscriptions", Tone::Plain),
        card("Cancelled", grouped(summary.cancelled), "originals, at the provider", Tone::Plain),
        card("Parked", grouped(parked), "somebody has to decide", tone_of(parked)),
        card("Rejected", grouped(summary.rejected), "rows that do not fit", tone_of(summary.rejected)),
    ];
    if open > 0 {
        cards.push(card("Open", grouped(open), "for the next run", Tone::Attention));
    }
    if summary.listed > 0 {
        cards.push(card("By hand", grouped(summary.listed), "originals for people to cancel", Tone::Attention));
    }
    cards
}

fn counts_section(title: &'static str, counts: &[(&str, u64)]) -> Option<Section> {
    let rows: Vec<Vec<Cell>> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(words, count)| vec![Cell::text(words), grouped(*count).into()])
        .collect();
    (!rows.is_empty()).then(|| Section {
        title,
        table: Some(Table { columns: vec![words("What became of them"), number("How many")], rows }),
        ..Section::default()
    })
}

fn accounts(summary: &CutoverSummary, confirmed: &str, open: &str) -> Vec<Section> {
    let records = counts_section(
        "Where every record went",
        &[
            (confirmed, summary.confirmed),
            ("confirmed before", summary.done_before),
            ("parked now", summary.parked),
            ("parked before", summary.parked_before),
            (open, summary.open),
            ("rejected", summary.rejected),
            ("filtered", summary.filtered),
            ("replacements themselves", summary.replacements),
            ("of other customers", summary.not_asked),
            ("left for later", summary.later),
        ],
    );
    let originals = counts_section(
        "Originals to cancel",
        &[
            ("cancelled", summary.cancelled),
            ("listed for people", summary.listed),
            ("parked instead", summary.cancel_parked),
            ("open", summary.cancel_open),
            ("had a schedule at the provider", summary.with_schedule),
            ("had invoice items that wait: look at them at the provider", summary.with_pending_items),
        ],
    );
    records.into_iter().chain(originals).collect()
}

/// Where all replacements of the target are.
fn stages(summary: &CutoverSummary) -> Option<Section> {
    let rows: Vec<Vec<Cell>> = summary
        .stages
        .iter()
        .map(|at| vec![Cell::text(at.stage), Cell::text(at.reason.unwrap_or("–")), grouped(at.count).into()])
        .collect();
    (!rows.is_empty()).then(|| Section {
        title: "How far the whole move is",
        intro:
            "All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each \
                reason."
                .to_owned(),
        table: Some(Table { columns: vec![words("Stage"), words("Reason"), number("How many")], rows }),
        ..Section::default()
    })
}

/// Those that went no further, by name; only where values were asked for.
fn parked(summary: &CutoverSummary, with_samples: bool) -> Option<Section> {
    let rows: Vec<Vec<Cell>> = summary
        .samples
        .iter()
        .take(SAMPLES_MAX)
        .map(|sample| {
            vec![
                Cell::text(&sample.subscription_id),
                Cell::text(&sample.original_id),
                Cell::text(sample.stage),
                Cell::text(sample.reason.unwrap_or("–")),
                Cell::text(&sample.detail),
            ]
        })
        .collect();
    (with_samples && !rows.is_empty()).then(|| Section {
        title: "Those that went no further",
        table: Some(Table {
            columns: ["Subscription", "Original", "Stage", "Reason", "In words"].map(words).into(),
            rows,
        }),
        ..Section::default()
    })
}

fn answers(summary: &CutoverSummary) -> Section {
    let rows = [
        ("Requests that provision, repeats included", summary.provision_requests),
        ("Requests that cancel, repeats included", summary.cancel_requests),
        ("Answered with \u{201c}slow down\u{201d}", summary.throttled),
    ]
    .map(|(words, count)| vec![Cell::text(words), grouped(count).into()]);
    Section {
        title: "Requests",
        table: Some(Table { columns: vec![words("What"), number("How many")], rows: rows.into() }),
        ..Section::default()
    }
}
