//! `cutover`: paid plans, provisioned backdated and proved; then the originals are cancelled.

mod by_hand;
mod progress;
mod provider;
pub(super) mod report;
mod words;

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use self::by_hand::List;
pub use self::words::Cutover;
pub(super) use self::words::{EXAMPLES, LONG_ABOUT};
use super::args::Talk;
use super::exit::{Exit, Failure};
use super::report::counted;
use super::report_html::{self, Around, Destination, Recorder};
use super::setup::{self, Work};
use super::{out, out_json, say};
use crate::clock::SystemClock;
use crate::ledger::{Ledger, LedgerPlace};
use crate::pipeline::{
    AtStage, AuditFile, Cohort, Consent, CutoverFinished, CutoverJob, CutoverSummary, Journal, OpenPaid, Phase,
    RetryParked, RetryPolicy, Stop, Tally, cutover, open_paid, plan_cutover, target_name,
};
use crate::sink::{Operation, Sink};

/// Runs and reports.
pub(super) async fn main(args: Cutover, talk: &Talk) -> Result<Exit, Failure> {
    if let Some(list) = &args.cancelled {
        return by_hand::returned(&args, list, talk).await;
    }
    let phase = args.check()?;
    let destination = Destination::of(&args.report)?;
    let (work, step) = opened(&args).await?;
    if args.plan {
        return plan(args, phase, &work, step, destination.as_ref(), talk).await;
    }
    let consent = consent(args.mapped.reads_stdin(), args.live);
    let recorder = Recorder::alone();
    let mut finished = run(&args, phase, work, step, consent, &recorder, talk).await?;
    let exit = Exit::of_finished_cutover(&finished);
    let (ends_with, report_failed) = report_html::write(destination.as_ref(), exit, |destination| {
        let (seen, audit) = (recorder.seen(), args.audit_path());
        let (hint, by_hand) = (hint(exit, &finished, &args), by_hand(&finished.summary, &args));
        let around = Around { seen: &seen, hint, by_hand, audit: &audit };
        report_html::cutover(&finished, &around, destination)
    });
    // What the process ends with; the ledger has what the run did.
    finished.summary.exit = ends_with as i32;
    finished.summary.ok = ends_with == Exit::Settled;
    show(&finished, &args, talk)?;
    Ok(report_html::said(ends_with, report_failed))
}

/// The source, where there is one.
pub(super) async fn opened(args: &Cutover) -> Result<(Work, Option<OpenPaid>), Failure> {
    let (steps, identity, arguments, step) = match args.mapped.step("cutover")? {
        Some((spec, arguments)) => {
            let opened = open_paid(&spec, &SystemClock).await.map_err(|error| setup::open_failure(&error))?;
            (vec![], format!("cutover of {}", spec.mapping.name()), arguments, Some(opened))
        }
        None => (vec![], "cutover".to_owned(), json!({}), None),
    };
    let mut work = Work { steps, identity, arguments, ..Work::default() };
    work.bound_rejects(args.max_rejects.as_deref())?;
    Ok((work, step))
}

fn cohort(args: &Cutover) -> Result<Cohort, Failure> {
    let customers = match &args.only_customers {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::because(Exit::Config, format!("can't read {}", path.display()), &error)
                    .hint("name a file with an id of a customer on each line; nothing was sent")
            })?;
            let ids: BTreeSet<String> = text
                .trim_start_matches('\u{feff}')
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect();
            if ids.is_empty() {
                return Err(Failure::new(Exit::Config, format!("{} names no customer", path.display()))
                    .hint("write an id of a customer on each line; nothing was sent"));
            }
            Some(ids)
        }
    };
    Ok(Cohort { customers, limit: args.limit })
}

fn providers_of(args: &Cutover) -> Result<CutoverProviders, Failure> {
    let url = args.provider_url.as_deref().or(args.mapped.stripe_url.as_deref());
    provider::providers(url, args.live)
}

type CutoverProviders = std::collections::BTreeMap<crate::provider::ProviderName, Arc<dyn crate::provider::Provider>>;

async fn plan(
    args: Cutover,
    phase: Phase,
    work: &Work,
    step: Option<OpenPaid>,
    destination: Option<&Destination>,
    talk: &Talk,
) -> Result<Exit, Failure> {
    let cohort = cohort(&args)?;
    let ledger = setup::whole_ledger_to_read(&args.ledger.ledger).await?;
    let (target, budgets) = match &ledger {
        Some(_) => {
            let connection = setup::connect(&args.target, work)?;
            (named(&connection.sink, &connection.budgets, &connection.address).await?, connection.budgets)
        }
        None => (String::new(), Arc::new(setup::budgets(&args.target, work))),
    };
    let stop = Arc::new(Stop::default());
    setup::watch_signals(stop.clone(), talk.quiet);
    let known = ledger.as_deref().map(|ledger| (ledger as &dyn crate::ledger::Replacements, target.as_str()));
    let spill = setup::spill_dir(&args.ledger.ledger);
    let retry = args.retry_parked.clone().unwrap_or(RetryParked::No);
    let planned = plan_cutover(phase, step, cohort, retry, known, &budgets, spill, stop)
        .await
        .map_err(|error| setup::ledger_failure(&error))?;
    let exit = match &planned.stopped {
        Some(stopped) => Exit::of_cutover(&planned.summary, Some(stopped)),
        None => Exit::Settled,
    };
    let (exit, report_failed) =
        report_html::write(destination, exit, |destination| report_html::cutover_plan(&planned, destination));
    if talk.json() {
        let summary = &planned.summary;
        out_json(&json!({
            "records": summary.records,
            "to_provision": summary.open,
            "done_before": summary.done_before,
            "parked_before": summary.parked_before,
            "rejected": summary.rejected,
            "filtered": summary.filtered,
            "replacements": summary.replacements,
            "not_asked": summary.not_asked,
            "later": summary.later,
            "provision_seconds": planned.provision_seconds,
            "to_cancel": planned.to_cancel,
            "stages": summary.stages,
            "samples": summary.samples,
        }))?;
    } else {
        out(&report::plan(&planned));
    }
    if let Some(stopped) = &planned.stopped {
        say(&format!("error: planning stopped early: {stopped}"));
    }
    Ok(report_html::said(exit, report_failed))
}

async fn named(sink: &Arc<dyn Sink>, budgets: &Arc<crate::sink::Budgets>, address: &str) -> Result<String, Failure> {
    target_name(sink, budgets, RetryPolicy::default(), address)
        .await
        .map_err(|error| setup::start_failure(&error, address))
}

/// Runs it and writes its end into the ledger.
pub(super) async fn run(
    args: &Cutover,
    phase: Phase,
    work: Work,
    step: Option<OpenPaid>,
    consent: Consent,
    recorder: &Recorder,
    talk: &Talk,
) -> Result<CutoverFinished, Failure> {
    let cohort = cohort(args)?;
    let providers = providers_of(args)?;
    let (sink, budgets, address) = setup::stigg(&args.target, &work)?;
    let audit_path = args.audit_path();
    let (lock, ledger) = setup::ledger_to_write(&args.ledger.ledger).await?;
    let audit = audit(&audit_path)?;
    let stop = Arc::new(Stop::default());
    let watching = setup::watch_lock(&lock, &stop);
    setup::watch_signals(stop.clone(), talk.quiet);
    let tally = Arc::new(Tally::default());
    let shown = progress::Shown::start(tally.clone(), talk);
    let counted = tally.clone();
    let per_minute = budgets.per_minute(Operation::ProvisionSubscription);
    recorder.begin("provisioning", per_minute, move || counted.requests.get());
    let mut arguments = work.arguments;
    arguments["target"] = json!(address);
    arguments["phase"] = json!(phase);
    let finished = cutover(CutoverJob {
        phase,
        step,
        cohort,
        retry_parked: args.retry_parked.clone().unwrap_or(RetryParked::No),
        sink,
        target: address.clone(),
        budgets,
        providers,
        compare_amounts: !args.without_amounts,
        settles_within: Duration::from_secs(args.settle_seconds),
        ledger: ledger.clone(),
        audit: Box::new(audit),
        journal: Journal {
            ledger_path: args.ledger.ledger.local().to_owned(),
            spill_dir: setup::spill_dir(&args.ledger.ledger),
            identity: work.identity,
            arguments_json: arguments.to_string(),
        },
        tally,
        clock: Arc::new(SystemClock),
        stop,
        retry: RetryPolicy::default(),
        max_rejects: work.max_rejects,
        consent,
        by_hand: Box::new(List::new(args.originals_path(), jiff::Zoned::now().date())),
    })
    .await;
    recorder.end();
    drop(shown);
    let finished = match finished {
        Ok(finished) => settle(finished, &*ledger).await,
        Err(error) => Err(setup::start_failure(&error, &address)),
    };
    let closed = ledger.close().await.map_err(|error| setup::ledger_failure(&error));
    drop(watching);
    lock.release().await;
    let finished = finished?;
    closed?;
    Ok(finished)
}

fn audit(path: &Path) -> Result<AuditFile, Failure> {
    AuditFile::open(path).map_err(|error| {
        Failure::because(Exit::Ledger, format!("can't write the audit file {}", path.display()), &error)
            .hint("name another place with --audit; nothing was sent")
    })
}

/// On a terminal the number has to be typed. Elsewhere --cancel-originals was the consent.
fn consent(stdin_is_data: bool, live: bool) -> Consent {
    Box::new(move |count| {
        if stdin_is_data || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return true;
        }
        say(&asked(count, live));
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).is_ok() && line.trim() == count.to_string()
    })
}

/// What is asked before originals are cancelled.
fn asked(count: u64, live: bool) -> String {
    format!(
        "{} will be cancelled at once, without proration. That can't be undone.{}\ntype {count} to go on, anything else to \
         stop:",
        counted(count, "original"),
        if live { " The key is allowed to be a live one." } else { "" }
    )
}

/// Fills in the exit code and writes the run's end down.
async fn settle(mut finished: CutoverFinished, ledger: &dyn Ledger) -> Result<CutoverFinished, Failure> {
    let exit = Exit::of_finished_cutover(&finished);
    finished.summary.exit = exit as i32;
    finished.summary.ok = exit == Exit::Settled;
    setup::finish(ledger, finished.summary.run, exit, &finished.summary).await?;
    Ok(finished)
}

fn show(finished: &CutoverFinished, args: &Cutover, talk: &Talk) -> Result<Exit, Failure> {
    let summary = &finished.summary;
    let exit = Exit::of_finished_cutover(finished);
    if talk.json() {
        out_json(summary)?;
    } else {
        out(&report::summary(summary));
    }
    if let Some(stopped) = &finished.stopped {
        say(&format!("error: the cutover stopped early: {stopped}"));
    }
    if finished.declined {
        say("nothing was cancelled: the number was not typed");
    }
    if talk.quiet {
        return Ok(exit);
    }
    if let Some(path) = &finished.rejects {
        say(&format!("rejected rows are in {}", path.display()));
    }
    if let Some(text) = by_hand(summary, args) {
        say(&text);
    }
    say(&format!("every step is in {}", args.audit_path().display()));
    if let Some(hint) = hint(exit, finished, args) {
        say(&format!("hint: {hint}"));
    }
    Ok(exit)
}

/// Where the originals are that people have to cancel.
fn by_hand(summary: &CutoverSummary, args: &Cutover) -> Option<String> {
    let path = args.originals_path();
    let (path, ledger) = (path.display(), setup::ledger_option(&args.ledger.ledger));
    (summary.listed > 0).then(|| {
        format!(
            "originals to cancel by hand are in {path}; fill in cancelled_at, then stigg-import cutover --cancelled {path}{ledger}"
        )
    })
}

/// What to do next.
fn hint(exit: Exit, finished: &CutoverFinished, args: &Cutover) -> Option<String> {
    let summary = &finished.summary;
    let ledger = setup::ledger_option(&args.ledger.ledger);
    match exit {
        Exit::Bug => Some("please report this with the output of the same command and -vv".to_owned()),
        Exit::Credentials => {
            Some("check the keys in STIGG_API_KEY and STRIPE_API_KEY, then run the same command again".to_owned())
        }
        Exit::Ledger => Some("make room or mend the rights, then run the same command again".to_owned()),
        Exit::Source => Some("mend the source and run the same command again; it goes on from here".to_owned()),
        Exit::Open if finished.declined => Some("run the same command again, and type the number".to_owned()),
        Exit::Open => Some("run the same command again; it goes on where this one stopped".to_owned()),
        Exit::Rejects if summary.parked_in_all() > 0 => Some(
            "docs/cutover.md says what to do about each reason; then run the same command with --retry-parked"
                .to_owned(),
        ),
        Exit::Rejects => Some(format!("stigg-import rejects list --run {}{ledger} shows why", summary.run)),
        Exit::Settled if summary.phase == Phase::Provision && summary.confirmed + summary.done_before > 0 => {
            Some(format!(
                "nothing was cancelled. When you have looked at them: stigg-import cutover --phase cancel --cancel-originals{ledger}"
            ))
        }
        Exit::Settled | Exit::Arguments | Exit::Config | Exit::Held => None,
    }
}

/// `status --cutover`: how many are where, for each target.
pub(super) async fn status(ledger: &LedgerPlace, talk: &Talk) -> Result<Exit, Failure> {
    let fail = |error| setup::ledger_failure(&error);
    let mut targets = Vec::new();
    if let Some(ledger) = setup::whole_ledger_to_read(ledger).await? {
        for target in ledger.replacement_targets().await.map_err(fail)? {
            let counts = ledger.stage_counts(&target).await.map_err(fail)?;
            targets.push((target, counts.into_iter().map(AtStage::from).collect::<Vec<_>>()));
        }
    }
    if talk.json() {
        let targets: Vec<_> =
            targets.iter().map(|(target, stages)| json!({ "target": target, "stages": stages })).collect();
        out_json(&json!({ "cutover": targets }))?;
        return Ok(Exit::Settled);
    }
    if targets.is_empty() {
        out("no paid subscription was moved yet\n");
    }
    for (target, stages) in &targets {
        out(&format!("{target}\n{}", report::stages(stages)));
    }
    Ok(Exit::Settled)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    #[test]
    fn what_is_asked_before_originals_are_cancelled_names_the_number() {
        insta::assert_snapshot!(format!("{}\n{}", asked(1, false), asked(1200, true)), @"
        1 original will be cancelled at once, without proration. That can't be undone.
        type 1 to go on, anything else to stop:
        1,200 originals will be cancelled at once, without proration. That can't be undone. The key is allowed to be a live one.
        type 1200 to go on, anything else to stop:
        ");
    }

    #[test]
    fn every_end_says_what_to_do_next() {
        let Ok(Command::Cutover(args)) =
            Cli::try_parse_from(["stigg-import", "cutover", "--ledger", "billing/ledger.db"]).map(|cli| cli.command)
        else {
            panic!("these are words of a cutover")
        };
        let finished = |parked: u64, confirmed: u64, declined: bool| {
            let tally = Tally::default();
            tally.parked.add(parked);
            tally.confirmed.add(confirmed);
            let summary = CutoverSummary::new(7, Phase::Provision, &tally, 0, 1.0);
            CutoverFinished { summary, stopped: None, rejects: None, declined }
        };
        let told = [
            (Exit::Settled, finished(0, 1, false)),
            (Exit::Settled, finished(0, 0, false)),
            (Exit::Rejects, finished(1, 0, false)),
            (Exit::Rejects, finished(0, 0, false)),
            (Exit::Open, finished(0, 0, false)),
            (Exit::Open, finished(0, 0, true)),
            (Exit::Source, finished(0, 0, false)),
            (Exit::Credentials, finished(0, 0, false)),
            (Exit::Ledger, finished(0, 0, false)),
            (Exit::Bug, finished(0, 0, false)),
        ]
        .map(|(exit, finished)| format!("{}: {}", exit as u8, hint(exit, &finished, &args).unwrap_or_default()));
        insta::assert_snapshot!(told.join("\n"), @"
        0: nothing was cancelled. When you have looked at them: stigg-import cutover --phase cancel --cancel-originals --ledger billing/ledger.db
        0: 
        3: docs/cutover.md says what to do about each reason; then run the same command with --retry-parked
        3: stigg-import rejects list --run 7 --ledger billing/ledger.db shows why
        4: run the same command again; it goes on where this one stopped
        4: run the same command again, and type the number
        6: mend the source and run the same command again; it goes on from here
        7: check the keys in STIGG_API_KEY and STRIPE_API_KEY, then run the same command again
        8: make room or mend the rights, then run the same command again
        1: please report this with the output of the same command and -vv
        ");
    }
}
