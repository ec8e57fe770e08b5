//! The page of a run.

use super::chart::{chart, percent};
use super::page::{Cell, Fact, Page, Section, Table, Tone, number, words};
use super::reasons::Reasons;
use super::recorder::Seen;
use super::{Destination, card, made_at, state, tone_of};
use crate::cli::exit::Exit;
use crate::cli::report::{counted, duration, grouped};
use crate::cli::{ending, setup};
use crate::ledger::LedgerPlace;
use crate::pipeline::{Finished, StepSummary, Stopped, Summary};

/// A step that used this much of its limit was as fast as it may be.
const AT_THE_LIMIT: f64 = 0.9;

/// The page of `run` or `bulk`.
pub(in crate::cli) fn run(
    command: &'static str,
    finished: &Finished,
    target: &str,
    seen: &Seen,
    ledger: &LedgerPlace,
    destination: &Destination,
) -> Page {
    let summary = &finished.summary;
    let exit = Exit::of(summary, finished.stopped.as_ref());
    let (tone, state) = state(exit, finished.stopped.is_some());
    let not_accepted = summary.total(|step| step.rejected + step.failed);
    let reasons = Reasons::of_files(finished.rejects.iter().map(AsRef::as_ref));
    let mut sections = vec![totals(summary), throughput(seen), time(summary), answers(summary, seen)];
    sections.splice(1..1, reasons.section(not_accepted, destination.with_samples));
    Page {
        command,
        tone,
        state,
        verdict: verdict(summary, finished.stopped.as_ref()),
        facts: vec![
            Fact { name: "Run", value: summary.run.to_string() },
            Fact { name: "Into", value: target.to_owned() },
            Fact { name: "Took", value: duration(summary.duration_s) },
            made_at(),
        ],
        cards: cards(summary),
        sections,
        next: next(exit, finished, ledger),
        has_samples: destination.with_samples && not_accepted > 0,
    }
}

/// The account in a sentence.
fn verdict(summary: &Summary, stopped: Option<&Stopped>) -> String {
    let records = summary.total(|step| step.records);
    let unbalanced = summary.unbalanced();
    if !unbalanced.is_empty() {
        return format!("Records are missing from the account of {}: a fault of the program.", unbalanced.join(", "));
    }
    let parts: Vec<String> = [
        ("rejected", summary.total(|step| step.rejected)),
        ("refused by the API", summary.total(|step| step.failed)),
        ("still open", summary.total(|step| step.open)),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(word, count)| format!("{} {word}", grouped(count)))
    .collect();
    let parts = if parts.is_empty() { "none rejected".to_owned() } else { parts.join(", ") };
    let account = match records {
        0 => "No record was read.".to_owned(),
        _ => format!("{}: all accounted for; {parts}.", counted(records, "record")),
    };
    match stopped {
        Some(stopped) => format!("The run stopped early: {}. {account}", why(stopped)),
        None => account,
    }
}

/// Why it stopped. What the API says of a request may quote a row.
pub(super) fn why(stopped: &Stopped) -> String {
    match stopped {
        Stopped::RequestMalformed(_) => "the API could not make sense of a request".to_owned(),
        other => other.to_string(),
    }
}

fn cards(summary: &Summary) -> Vec<super::page::Card> {
    let total = |count: fn(&StepSummary) -> u64| summary.total(count);
    let (accepted, unchanged) = (total(|step| step.accepted), total(|step| step.unchanged));
    let mut cards = vec![
        card("In Stigg", grouped(accepted + unchanged), format!("{} sent now", grouped(accepted)), Tone::Plain),
        card(
            "Rejected",
            grouped(total(|step| step.rejected)),
            "set aside, not sent",
            tone_of(total(|step| step.rejected)),
        ),
        card("Refused", grouped(total(|step| step.failed)), "by the API", tone_of(total(|step| step.failed))),
        card("Open", grouped(total(|step| step.open)), "for the next run", tone_of(total(|step| step.open))),
    ];
    for (name, count, note) in [
        ("Filtered", total(|step| step.filtered), "left out by the mapping"),
        ("Missing", total(|step| step.missing.unwrap_or(0)), "known, and gone from the source"),
        ("Kept", total(|step| step.kept.unwrap_or(0)), "newer in Stigg than in the source"),
    ] {
        if count > 0 {
            cards.push(card(name, grouped(count), note, Tone::Plain));
        }
    }
    let settled = (accepted + total(|step| step.failed)) as f64;
    cards.push(card("Took", duration(summary.duration_s), speed(settled, summary.duration_s), Tone::Plain));
    cards
}

fn speed(records: f64, seconds: f64) -> String {
    if records < 1.0 {
        "nothing was sent".to_owned()
    } else {
        format!("{} records/s", grouped((records / seconds.max(0.001)) as u64))
    }
}

fn totals(summary: &Summary) -> Section {
    let mut columns = vec![words("Step"), number("Rows"), number("Records"), number("Accepted"), number("Unchanged")];
    columns.extend([number("Rejected"), number("Refused"), number("Filtered"), number("Open")]);
    let counts = |step: &StepSummary| {
        [step.rows, step.records, step.accepted, step.unchanged, step.rejected, step.failed, step.filtered, step.open]
    };
    let row = |step: &StepSummary| -> Vec<Cell> {
        std::iter::once(Cell::text(&step.name)).chain(counts(step).map(|count| grouped(count).into())).collect()
    };
    Section {
        title: "Where every record went",
        intro:
            "Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. \
                One row may make several records, several rows one."
                .to_owned(),
        table: Some(Table { columns, rows: summary.steps.iter().map(row).collect() }),
        ..Section::default()
    }
}

pub(super) fn throughput(seen: &Seen) -> Section {
    let (chart, intro) = match chart(seen) {
        Ok(chart) => (Some(chart), "Requests sent, as a share of those that the API's rate limit allows.".to_owned()),
        Err(why) => (None, why),
    };
    Section { title: "Speed against the rate limit", intro, chart, ..Section::default() }
}

/// The steps, the slowest first.
fn time(summary: &Summary) -> Section {
    let mut steps: Vec<&StepSummary> = summary.steps.iter().collect();
    steps.sort_by(|a, b| b.duration_s.total_cmp(&a.duration_s));
    let row = |step: &&StepSummary| -> Vec<Cell> {
        let share = step.duration_s / summary.duration_s.max(0.001);
        vec![
            Cell::text(&step.name),
            duration(step.duration_s).into(),
            percent(share.min(1.0)).into(),
            grouped(((step.accepted + step.failed) as f64 / step.duration_s.max(0.001)) as u64).into(),
            step.budget_share.map_or_else(|| "–".to_owned(), percent).into(),
            Cell::text(held_back_by(step)),
        ]
    };
    let columns = vec![
        words("Step"),
        number("Took"),
        number("Of the time"),
        number("Records a second"),
        number("Of the rate limit"),
        words("What held it back"),
    ];
    Section {
        title: "Slowest steps",
        table: Some(Table { columns, rows: steps.iter().map(row).collect() }),
        ..Section::default()
    }
}

fn held_back_by(step: &StepSummary) -> &'static str {
    if step.batches == 0 {
        "nothing was to be sent"
    } else if step.throttled > 0 {
        "the API asked to slow down"
    } else if step.budget_share.is_some_and(|share| share >= AT_THE_LIMIT) {
        "the rate limit"
    } else if step.budget_share.is_none() {
        "too short to say"
    } else {
        "reading the source, or waiting for answers"
    }
}

fn answers(summary: &Summary, seen: &Seen) -> Section {
    let row = |step: &StepSummary| -> Vec<Cell> {
        let counts = [step.batches, step.requests, step.retries, step.throttled, step.reads];
        std::iter::once(Cell::text(&step.name)).chain(counts.map(|count| grouped(count).into())).collect()
    };
    let (retries, throttled) = (summary.total(|step| step.retries), summary.total(|step| step.throttled));
    let intro = match (retries, throttled) {
        (0, 0) => "Every request was answered the first time, and none too fast for the API.".to_owned(),
        _ => format!(
            "{} sent again after a fault or without an answer; {} answered with \u{201c}slow down\u{201d}. Each was settled, or \
             is counted as open above.",
            was(retries),
            was(throttled)
        ),
    };
    let after = match seen.pauses {
        0 => String::new(),
        pauses => {
            format!("The API asked for {}, {} in all.", counted(pauses, "pause"), duration(seen.paused.as_secs_f64()))
        }
    };
    let columns = vec![
        words("Step"),
        number("Batches"),
        number("Requests"),
        number("Sent again"),
        number("\u{201c}Slow down\u{201d}"),
        number("Reads"),
    ];
    Section {
        title: "Retries and pauses",
        intro,
        table: Some(Table { columns, rows: summary.steps.iter().map(row).collect() }),
        after,
        ..Section::default()
    }
}

fn was(requests: u64) -> String {
    format!("{} {}", counted(requests, "request"), if requests == 1 { "was" } else { "were" })
}

fn next(exit: Exit, finished: &Finished, ledger: &LedgerPlace) -> Vec<String> {
    match ending::hint(exit, finished, ledger) {
        Some(hint) if exit == Exit::Rejects => {
            let ledger = setup::ledger_option(ledger);
            vec![
                sentence(&hint),
                format!(
                    "Correct them in a CSV and send that: stigg-import rejects export --out fix.csv{ledger}, then stigg-import \
                     rejects retry --csv fix.csv{ledger}."
                ),
            ]
        }
        Some(hint) => vec![sentence(&hint)],
        None => vec![
            "Nothing has to be done. The same command sends what will have changed.".to_owned(),
            "stigg-import verify with the same source compares with what Stigg has.".to_owned(),
        ],
    }
}

/// A hint of the terminal as a sentence.
pub(super) fn sentence(hint: &str) -> String {
    let mut letters = hint.chars();
    let text: String = match letters.next() {
        // A command keeps its name.
        Some(first) if !hint.starts_with("stigg-import") => first.to_uppercase().chain(letters).collect(),
        Some(_) | None => hint.to_owned(),
    };
    if text.ends_with('.') { text } else { format!("{text}.") }
}
