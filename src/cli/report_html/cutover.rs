//! The pages of a cutover and of its plan.

use std::path::Path;

use super::page::{Card, Cell, Fact, Page, Section, Table, Tone, number, words};
use super::reasons::Reasons;
use super::recorder::Seen;
use super::run::{sentence, throughput, why};
use super::{Destination, card, made_at, state, tone_of};
use crate::cli::exit::Exit;
use crate::cli::report::{counted, duration, grouped};
use crate::pipeline::{CutoverFinished, CutoverPlan, CutoverSummary, Phase};

/// Most replacements that are named.
const SAMPLES_MAX: usize = 50;

/// What is known of a cutover besides its account.
pub(in crate::cli) struct Around<'a> {
    pub seen: &'a Seen,
    /// What to do next, as the terminal says it.
    pub hint: Option<String>,
    /// Where the originals are that people have to cancel, as the terminal says it.
    pub by_hand: Option<String>,
    pub audit: &'a Path,
}

/// The page of `cutover`.
pub(in crate::cli) fn cutover(finished: &CutoverFinished, around: &Around<'_>, destination: &Destination) -> Page {
    let summary = &finished.summary;
    let exit = Exit::of_finished_cutover(finished);
    let (tone, state) = match state(exit, finished.stopped.is_some()) {
        (tone, "Done, with rejects") if summary.parked_in_all() > 0 => (tone, "Done, with some parked"),
        other => other,
    };
    let mut next: Vec<String> = around.hint.iter().chain(&around.by_hand).map(|hint| sentence(hint)).collect();
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
        cards: cards(summary, "Confirmed", summary.confirmed + summary.done_before, open_in_all(summary)),
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
        cards: plan_cards(plan),
        sections,
        next: vec![plan_next(plan).to_owned()],
        has_samples: destination.with_samples && summary.rejected + summary.parked_before > 0,
    }
}

fn plan_cards(plan: &CutoverPlan) -> Vec<Card> {
    let mut cards = cards(&plan.summary, "To provision", plan.summary.open, 0);
    let to_cancel = card("To cancel", grouped(plan.to_cancel), "originals of what is confirmed", Tone::Plain);
    for card in cards.iter_mut().filter(|card| card.name == "Cancelled") {
        *card = to_cancel.clone();
    }
    cards
}

fn plan_next(plan: &CutoverPlan) -> &'static str {
    match (&plan.stopped, plan.summary.phase) {
        (Some(_), _) => "Mend what stopped it, and plan again. Nothing was sent.",
        (None, Phase::Provision) => {
            "stigg-import cutover with the same words and without --plan provisions and proves; it cancels nothing."
        }
        (None, Phase::Cancel) => {
            "stigg-import cutover with the same words, without --plan and with --cancel-originals cancels them."
        }
        (None, Phase::All) => {
            "stigg-import cutover with the same words, without --plan and with --cancel-originals provisions and proves, and \
             then cancels the originals."
        }
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

/// What the next run goes on with.
fn open_in_all(summary: &CutoverSummary) -> u64 {
    summary.open + summary.unproved_open + summary.cancel_open
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
    let earlier = counts_section(
        "Of earlier runs",
        &[
            ("replacements parked now", summary.unproved_parked),
            ("replacements not proved yet", summary.unproved_open),
            ("changed in the source after they were sent; nothing was sent for that", summary.changed_since),
        ],
    );
    records.into_iter().chain(originals).chain(earlier).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{AtStage, Sample, Stopped, Tally};

    fn summary(phase: Phase, to_cancel: u64, count: impl FnOnce(&Tally)) -> CutoverSummary {
        let tally = Tally::default();
        count(&tally);
        CutoverSummary::new(7, phase, &tally, to_cancel, 8.0)
    }

    fn page(summary: CutoverSummary, stopped: Option<Stopped>, declined: bool) -> Page {
        let finished = CutoverFinished { summary, stopped, rejects: None, declined };
        let (seen, audit) = (Seen::default(), Path::new("audit.jsonl"));
        let around = Around { seen: &seen, hint: Some("the terminal's hint".to_owned()), by_hand: None, audit };
        cutover(&finished, &around, &Destination::unwritten(true))
    }

    /// Every count, every card, and those that went no further by name.
    #[test]
    fn a_cutover_in_which_everything_happened_is_told_whole() {
        let mut summary = summary(Phase::All, 5, |tally| {
            for (count, by) in [
                (&tally.confirmed, 1200),
                (&tally.done_before, 2),
                (&tally.parked, 1),
                (&tally.parked_before, 1),
                (&tally.open, 1),
                (&tally.rejected, 1),
                (&tally.filtered, 1),
                (&tally.replacements, 1),
                (&tally.not_asked, 1),
                (&tally.later, 1),
                (&tally.records, 1210),
                (&tally.cancelled, 1),
                (&tally.listed, 2),
                (&tally.cancel_parked, 1),
                (&tally.cancel_open, 1),
                (&tally.unproved_parked, 1),
                (&tally.unproved_open, 1),
                (&tally.changed_since, 1),
                (&tally.with_schedule, 1),
                (&tally.with_pending_items, 1),
                (&tally.requests, 1300),
                (&tally.cancellations, 2),
                (&tally.throttled, 3),
            ] {
                count.add(by);
            }
        });
        assert!(summary.balances(), "{summary:?}");
        summary.stages = vec![
            AtStage { stage: "confirmed", reason: None, count: 1202 },
            AtStage { stage: "parked", reason: Some("payment-required"), count: 2 },
        ];
        summary.samples = vec![Sample {
            subscription_id: "b".to_owned(),
            original_id: "old-b".to_owned(),
            stage: "parked",
            reason: Some("payment-required"),
            detail: "Stigg asks for a payment".to_owned(),
        }];
        insta::assert_snapshot!(page(summary, None, false).text(), @"
        Not finished: stigg-import cutover
        1,210 subscriptions: all accounted for; 1,202 confirmed, 4 parked, 1 rejected, 2 open, 1 of 5 originals cancelled.
        Run 7
        Took 8.0 s
        Confirmed 1,202 subscriptions (Plain)
        Cancelled 1 originals, at the provider (Plain)
        Parked 4 somebody has to decide (Attention)
        Rejected 1 rows that do not fit (Attention)
        Open 3 for the next run (Attention)
        By hand 2 originals for people to cancel (Attention)
        next: The terminal's hint.
        next: Every step that was taken is in the audit file, audit.jsonl.
        # Where every record went
        What became of them | How many
        confirmed now | 1,200
        confirmed before | 2
        parked now | 1
        parked before | 1
        open | 1
        rejected | 1
        filtered | 1
        replacements themselves | 1
        of other customers | 1
        left for later | 1
        # Originals to cancel
        What became of them | How many
        cancelled | 1
        listed for people | 2
        parked instead | 1
        open | 1
        had a schedule at the provider | 1
        had invoice items that wait: look at them at the provider | 1
        # Of earlier runs
        What became of them | How many
        replacements parked now | 1
        replacements not proved yet | 1
        changed in the source after they were sent; nothing was sent for that | 1
        # How far the whole move is
        All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each reason.
        Stage | Reason | How many
        confirmed | – | 1,202
        parked | payment-required | 2
        # Those that went no further
        Subscription | Original | Stage | Reason | In words
        b | old-b | parked | payment-required | Stigg asks for a payment
        # What was rejected, and why
        Rows that do not fit stop nothing: they are set aside, and everything else goes through.
        The examples hold personal data: pass this page on with care.
        # Speed against the rate limit
        Sending took 0.0 s: too short for a chart.
        # Requests
        What | How many
        Requests that provision, repeats included | 1,300
        Requests that cancel, repeats included | 2
        Answered with “slow down” | 3
        ");
    }

    #[test]
    fn every_ending_of_a_cutover_has_its_words() {
        let one = |count: fn(&Tally)| {
            summary(Phase::Provision, 0, |tally| {
                tally.records.add(1);
                count(tally);
            })
        };
        let why = || "why".to_owned();
        let told = [
            page(one(|tally| tally.confirmed.add(1)), None, false),
            page(one(|tally| tally.parked.add(1)), None, false),
            page(one(|tally| tally.rejected.add(1)), None, false),
            page(one(|tally| tally.open.add(1)), None, false),
            page(one(|tally| tally.open.add(1)), Some(Stopped::Interrupted), false),
            page(
                one(|tally| tally.open.add(1)),
                Some(Stopped::ProviderRefused("the key is refused".to_owned())),
                false,
            ),
            page(one(|tally| tally.open.add(1)), Some(Stopped::LedgerCannotWrite(why())), false),
            page(one(|tally| tally.open.add(1)), Some(Stopped::RequestMalformed("ada@example.com".to_owned())), false),
            page(summary(Phase::Provision, 0, |tally| tally.unproved_open.add(1)), None, false),
            page(one(|_| {}), None, false),
            page(summary(Phase::Cancel, 2, |tally| tally.cancelled.add(2)), None, false),
            page(summary(Phase::Cancel, 0, |_| {}), None, true),
            page(summary(Phase::Cancel, 0, |_| {}), None, false),
        ]
        .map(|Page { tone, state, verdict, .. }| format!("{state} ({tone:?}): {verdict}"));
        insta::assert_snapshot!(told.join("\n"), @"
        Done (Good): 1 subscription: all accounted for; 1 confirmed.
        Done, with some parked (Attention): 1 subscription: all accounted for; 0 confirmed, 1 parked.
        Done, with rejects (Attention): 1 subscription: all accounted for; 0 confirmed, 1 rejected.
        Not finished (Attention): 1 subscription: all accounted for; 0 confirmed, 1 open.
        Not finished (Attention): The cutover stopped early: interrupted. 1 subscription: all accounted for; 0 confirmed, 1 open.
        Stopped (Bad): The cutover stopped early: the key is refused. 1 subscription: all accounted for; 0 confirmed, 1 open.
        Stopped (Bad): The cutover stopped early: the ledger can't be written: why. 1 subscription: all accounted for; 0 confirmed, 1 open.
        A fault of the program (Bad): The cutover stopped early: the API could not make sense of a request. 1 subscription: all accounted for; 0 confirmed, 1 open.
        Not finished (Attention): 1 open.
        A fault of the program (Bad): Records are missing from the account: a fault of the program.
        Done (Good): 2 of 2 originals cancelled.
        Not finished (Attention): Nothing was cancelled: it was declined. There was nothing to do.
        Done (Good): There was nothing to do.
        ");
    }

    #[test]
    fn every_plan_of_a_cutover_says_what_carries_it_out() {
        let plan = |phase, parked: u64, seconds, stopped| {
            let summary = summary(phase, 0, |tally| {
                tally.records.add(1 + parked);
                tally.open.add(1);
                tally.parked_before.add(parked);
            });
            let plan = CutoverPlan { summary, provision_seconds: seconds, to_cancel: 1, rejects: Vec::new(), stopped };
            cutover_plan(&plan, &Destination::unwritten(false))
        };
        let told = [
            plan(Phase::Provision, 0, None, None),
            plan(Phase::Provision, 1, Some(90.0), None),
            plan(Phase::Cancel, 0, None, None),
            plan(Phase::All, 0, None, None),
            plan(Phase::All, 0, None, Some(Stopped::SourceBroke("why".to_owned()))),
        ]
        .map(|Page { tone, state, verdict, next, .. }| {
            format!("{state} ({tone:?}): {verdict}\n  {}", next.join("\n  "))
        });
        insta::assert_snapshot!(told.join("\n"), @"
        Ready (Good): 1 subscription would be provisioned and proved; 1 original can be cancelled now.
          stigg-import cutover with the same words and without --plan provisions and proves; it cancels nothing.
        Ready, with some set aside (Attention): 1 subscription would be provisioned and proved, in about 90 s; 1 original can be cancelled now.
          stigg-import cutover with the same words and without --plan provisions and proves; it cancels nothing.
        Ready (Good): 1 subscription would be provisioned and proved; 1 original can be cancelled now.
          stigg-import cutover with the same words, without --plan and with --cancel-originals cancels them.
        Ready (Good): 1 subscription would be provisioned and proved; 1 original can be cancelled now.
          stigg-import cutover with the same words, without --plan and with --cancel-originals provisions and proves, and then cancels the originals.
        Stopped (Bad): Planning stopped early: the source broke part-way: why. Until then: 1 subscription would be provisioned and proved; 1 original can be cancelled now.
          Mend what stopped it, and plan again. Nothing was sent.
        ");
    }
}
