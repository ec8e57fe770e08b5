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

/// What is said of rejects where there are more than may be.
const TOO_MANY: &str =
    "Rows that do not fit are set aside. There are more of them than --max-rejects allows: the run stopped.";

/// The page of `run`, `bulk` or `sync`.
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
    let rejected = reasons.section(not_accepted, destination.with_samples).map(|section| match finished.stopped {
        Some(Stopped::TooManyRejects(_)) => Section { intro: TOO_MANY.to_owned(), ..section },
        Some(_) | None => section,
    });
    sections.splice(1..1, rejected);
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
    // A command and a file keep their names.
    let is_name = |word: &str| word == "stigg-import" || word.contains('/');
    let text: String = match letters.next() {
        Some(first) if !hint.split(' ').next().is_some_and(is_name) => first.to_uppercase().chain(letters).collect(),
        Some(_) | None => hint.to_owned(),
    };
    if text.ends_with('.') { text } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::entity::Entity;
    use crate::pipeline::Progress;

    fn step(name: &str, entity: Entity, count: impl FnOnce(&mut StepSummary)) -> StepSummary {
        let mut step = StepSummary::new(name, entity, 0, &Progress::default(), 2.0);
        count(&mut step);
        step.records = step.filtered + step.rejected + step.unchanged + step.accepted + step.failed + step.open;
        step.rows = step.records;
        step
    }

    fn finished(steps: Vec<StepSummary>, stopped: Option<Stopped>) -> Finished {
        let summary = Summary { run: 7, ok: false, exit: 0, duration_s: 8.0, stopped: None, steps };
        Finished { summary, stopped, open_batches: 0, rejects: Vec::new() }
    }

    fn page(finished: &Finished, seen: &Seen) -> Page {
        let ledger = LedgerPlace::File("billing/ledger.db".into());
        run("run", finished, "https://api.stigg.io/graphql", seen, &ledger, &Destination::unwritten(false))
    }

    /// Every card, every reason for a step's speed, repeats and pauses, and rejects of which the file can't be read.
    #[test]
    fn a_run_in_which_everything_happened_is_told_whole() {
        let steps = vec![
            step("customers", Entity::Customer, |step| {
                (step.filtered, step.rejected, step.failed, step.accepted) = (3, 2, 1, 1200);
                (step.batches, step.requests, step.retries, step.throttled, step.reads) = (12, 15, 1, 2, 1);
                (step.missing, step.kept, step.budget_share) = (Some(4), Some(5), Some(0.95));
            }),
            step("subscriptions", Entity::Subscription, |step| {
                (step.accepted, step.batches, step.requests, step.budget_share) = (100, 1, 1, Some(0.9));
            }),
            step("usage", Entity::Usage, |step| {
                (step.accepted, step.batches, step.requests, step.budget_share) = (100, 1, 1, Some(0.004));
            }),
            step("reports", Entity::Usage, |step| (step.accepted, step.batches, step.requests) = (1, 1, 1)),
            step("events", Entity::Event, |step| step.unchanged = 9),
        ];
        let seen = Seen { pauses: 1, paused: Duration::from_secs(7), ..Seen::default() };
        let mut finished = finished(steps, None);
        finished.rejects = vec!["no/such/rejects.jsonl".into()];
        insta::assert_snapshot!(page(&finished, &seen).text(), @"
        Done, with rejects: stigg-import run
        1,416 records: all accounted for; 2 rejected, 1 refused by the API.
        Run 7
        Into https://api.stigg.io/graphql
        Took 8.0 s
        In Stigg 1,410 1,401 sent now (Plain)
        Rejected 2 set aside, not sent (Attention)
        Refused 1 by the API (Attention)
        Open 0 for the next run (Good)
        Filtered 3 left out by the mapping (Plain)
        Missing 4 known, and gone from the source (Plain)
        Kept 5 newer in Stigg than in the source (Plain)
        Took 8.0 s 175 records/s (Plain)
        next: stigg-import rejects list --run 7 --ledger billing/ledger.db shows why.
        next: Correct them in a CSV and send that: stigg-import rejects export --out fix.csv --ledger billing/ledger.db, then stigg-import rejects retry --csv fix.csv --ledger billing/ledger.db.
        # Where every record went
        Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. One row may make several records, several rows one.
        Step | Rows | Records | Accepted | Unchanged | Rejected | Refused | Filtered | Open
        customers | 1,206 | 1,206 | 1,200 | 0 | 2 | 1 | 3 | 0
        subscriptions | 100 | 100 | 100 | 0 | 0 | 0 | 0 | 0
        usage | 100 | 100 | 100 | 0 | 0 | 0 | 0 | 0
        reports | 1 | 1 | 1 | 0 | 0 | 0 | 0 | 0
        events | 9 | 9 | 0 | 9 | 0 | 0 | 0 | 0
        # What was rejected, and why
        Rows that do not fit stop nothing: they are set aside, and everything else goes through.
        Not all of no/such/rejects.jsonl can be read. Values are left out; with --report-samples some are shown.
        # Speed against the rate limit
        Sending took 0.0 s: too short for a chart.
        # Slowest steps
        Step | Took | Of the time | Records a second | Of the rate limit | What held it back
        customers | 2.0 s | 25 % | 600 | 95 % | the API asked to slow down
        subscriptions | 2.0 s | 25 % | 50 | 90 % | the rate limit
        usage | 2.0 s | 25 % | 50 | under 1 % | reading the source, or waiting for answers
        reports | 2.0 s | 25 % | 0 | – | too short to say
        events | 2.0 s | 25 % | 0 | – | nothing was to be sent
        # Retries and pauses
        1 request was sent again after a fault or without an answer; 2 requests were answered with “slow down”. Each was settled, or is counted as open above.
        Step | Batches | Requests | Sent again | “Slow down” | Reads
        customers | 12 | 15 | 1 | 2 | 1
        subscriptions | 1 | 1 | 0 | 0 | 0
        usage | 1 | 1 | 0 | 0 | 0
        reports | 1 | 1 | 0 | 0 | 0
        events | 0 | 0 | 0 | 0 | 0
        The API asked for 1 pause, 7.0 s in all.
        ");
    }

    #[test]
    fn a_run_that_found_nothing_to_do_is_told_whole() {
        let finished = finished(vec![step("customers", Entity::Customer, |_| {})], None);
        insta::assert_snapshot!(page(&finished, &Seen::default()).text(), @"
        Done: stigg-import run
        No record was read.
        Run 7
        Into https://api.stigg.io/graphql
        Took 8.0 s
        In Stigg 0 0 sent now (Plain)
        Rejected 0 set aside, not sent (Good)
        Refused 0 by the API (Good)
        Open 0 for the next run (Good)
        Took 8.0 s nothing was sent (Plain)
        next: Nothing has to be done. The same command sends what will have changed.
        next: stigg-import verify with the same source compares with what Stigg has.
        # Where every record went
        Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. One row may make several records, several rows one.
        Step | Rows | Records | Accepted | Unchanged | Rejected | Refused | Filtered | Open
        customers | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0
        # Speed against the rate limit
        Sending took 0.0 s: too short for a chart.
        # Slowest steps
        Step | Took | Of the time | Records a second | Of the rate limit | What held it back
        customers | 2.0 s | 25 % | 0 | – | nothing was to be sent
        # Retries and pauses
        Every request was answered the first time, and none too fast for the API.
        Step | Batches | Requests | Sent again | “Slow down” | Reads
        customers | 0 | 0 | 0 | 0 | 0
        ");
    }

    #[test]
    fn every_ending_of_a_run_has_its_words() {
        let why = || "why".to_owned();
        let one = |count: fn(&mut StepSummary)| vec![step("customers", Entity::Customer, count)];
        let open = || one(|step| (step.accepted, step.open) = (2, 1));
        let mut ends = vec![
            finished(one(|step| step.accepted = 1), None),
            finished(one(|step| (step.accepted, step.rejected) = (1, 1)), None),
            finished(one(|step| step.failed = 1), None),
            finished(open(), None),
            finished(vec![step("events", Entity::Event, |step| step.open = 1)], None),
        ];
        ends.extend(
            [
                Stopped::Interrupted,
                Stopped::CredentialsRefused("the API does not accept the key: Unauthenticated".to_owned()),
                Stopped::SourceBroke(why()),
                Stopped::LedgerCannotWrite(why()),
                Stopped::HoldLost(why()),
                Stopped::RequestMalformed("ada@example.com is no name".to_owned()),
                Stopped::NotTheApi(why()),
                Stopped::TooManyRejects("5, and 4 are allowed".to_owned()),
                Stopped::SpillFailed(why()),
                Stopped::Outage(why()),
                Stopped::Moved("customers.csv:7".to_owned()),
            ]
            .map(|stopped| finished(open(), Some(stopped))),
        );
        let mut lost = finished(open(), None);
        lost.summary.steps[0].records += 1;
        ends.push(lost);
        let told = ends.iter().map(|finished| {
            let Page { tone, state, verdict, next, .. } = page(finished, &Seen::default());
            format!("{state} ({tone:?}): {verdict}\n  {}", next.join("\n  "))
        });
        insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @"
        Done (Good): 1 record: all accounted for; none rejected.
          Nothing has to be done. The same command sends what will have changed.
          stigg-import verify with the same source compares with what Stigg has.
        Done, with rejects (Attention): 2 records: all accounted for; 1 rejected.
          stigg-import rejects list --run 7 --ledger billing/ledger.db shows why.
          Correct them in a CSV and send that: stigg-import rejects export --out fix.csv --ledger billing/ledger.db, then stigg-import rejects retry --csv fix.csv --ledger billing/ledger.db.
        Done, with rejects (Attention): 1 record: all accounted for; 1 refused by the API.
          stigg-import rejects list --run 7 --ledger billing/ledger.db shows why.
          Correct them in a CSV and send that: stigg-import rejects export --out fix.csv --ledger billing/ledger.db, then stigg-import rejects retry --csv fix.csv --ledger billing/ledger.db.
        Not finished (Attention): 3 records: all accounted for; 1 still open.
          Run the same command again; it goes on where this one stopped.
        Not finished (Attention): 1 record: all accounted for; 1 still open.
          Run the same command again; it goes on where this one stopped. Events of more than 12 hours ago are not sent again: stigg-import settle --ledger billing/ledger.db lists them.
        Not finished (Attention): The run stopped early: interrupted. 3 records: all accounted for; 1 still open.
          Run the same command again; it goes on where this one stopped.
        Stopped (Bad): The run stopped early: the API does not accept the key: Unauthenticated. 3 records: all accounted for; 1 still open.
          Check the key in STIGG_API_KEY, then run the same command again; it goes on from here.
        Stopped (Bad): The run stopped early: the source broke part-way: why. 3 records: all accounted for; 1 still open.
          Mend the source and run the same command again; it goes on from here.
        Stopped (Bad): The run stopped early: the ledger can't be written: why. 3 records: all accounted for; 1 still open.
          Make room or mend the rights, then run the same command again; nothing is lost.
        Stopped (Bad): The run stopped early: the hold on the ledger is lost: why. 3 records: all accounted for; 1 still open.
          Another run goes on where this one stopped, and stigg-import status --ledger billing/ledger.db shows it; when it is over, run the same command again; nothing is lost.
        A fault of the program (Bad): The run stopped early: the API could not make sense of a request. 3 records: all accounted for; 1 still open.
          Please report this with the output of the same command and -vv.
        Not finished (Attention): The run stopped early: the target is not the API: why. 3 records: all accounted for; 1 still open.
          Run the same command again; it goes on where this one stopped.
        Stopped (Bad): The run stopped early: too many rejects: 5, and 4 are allowed. 3 records: all accounted for; 1 still open.
          stigg-import rejects list --run 7 --ledger billing/ledger.db shows why; mend the mapping or the rows, or allow more with --max-rejects.
          Correct them in a CSV and send that: stigg-import rejects export --out fix.csv --ledger billing/ledger.db, then stigg-import rejects retry --csv fix.csv --ledger billing/ledger.db.
        Stopped (Bad): The run stopped early: temporary files can't be written: why. 3 records: all accounted for; 1 still open.
          Make room or mend the rights, then run the same command again; nothing is lost.
        Not finished (Attention): The run stopped early: the API does not answer: why. 3 records: all accounted for; 1 still open.
          Run the same command again; it goes on where this one stopped.
        Stopped (Bad): The run stopped early: the source moved since the plan was made: customers.csv:7 has a record that the plan does not send. 3 records: all accounted for; 1 still open.
          Look at a new plan: the same words with plan --out; what was sent stands.
        A fault of the program (Bad): Records are missing from the account of customers: a fault of the program.
          Please report this with the output of the same command and -vv.
        ");
    }

    #[test]
    fn one_request_was_and_several_were() {
        assert_eq!([was(0), was(1), was(2)], ["0 requests were", "1 request was", "2 requests were"]);
    }
}
