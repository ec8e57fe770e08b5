//! `verify`: what Stigg has, against what the source says now.

mod progress;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::report::{aligned, counted, grouped};
use super::report_html::{self, Destination};
use super::setup::{self, Work};
use super::{out, out_json, say};
use crate::clock::{Clock as _, SystemClock};
use crate::entity::Schema;
use crate::ledger::Ledger;
use crate::pipeline::{
    Extra, RetryPolicy, SampleSize, Stop, Stopped, ToVerify, Verified, VerifiedStep, VerifyJob, VerifyProgress,
    open_paid, target_name, verify,
};

/// Verifies and reports.
pub(super) async fn main(args: args::Verify, talk: &Talk) -> Result<Exit, Failure> {
    let work = setup::any_work(&args.input, "verify")?;
    let destination = Destination::of(&args.report)?;
    let ledger = match args.gone {
        true => match setup::ledger_to_read(&args.ledger).await? {
            Some(ledger) => Some(ledger),
            None => {
                let missing = format!("there is no ledger at {}", args.ledger);
                return Err(Failure::new(Exit::Config, missing)
                    .hint("--gone compares with what runs delivered: name their ledger with --ledger"));
            }
        },
        false => None,
    };
    let wanted = Wanted {
        ledger: ledger.as_deref(),
        sample: args.sample.map(|records| SampleSize { records: records as usize, seed: fastrand::u64(..) }),
        extra: args.extra,
    };
    let verified = verified(&work, &args.target, wanted, Path::new("."), talk).await?;
    let exit = exit_of(&verified);
    let (ends_with, report_failed) =
        report_html::write(destination.as_ref(), exit, |destination| report_html::verify(&verified, exit, destination));
    show(&verified, exit, ends_with, talk)?;
    Ok(report_html::said(ends_with, report_failed))
}

/// What is to be found out.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// What is gone from the source and known to this ledger.
    pub ledger: Option<&'a dyn Ledger>,
    /// Only a sample of each step.
    pub sample: Option<SampleSize>,
    /// What Stigg has and no step.
    pub extra: bool,
}

/// Opens each step for what it is.
async fn open(work: &Work) -> Result<Vec<ToVerify>, Failure> {
    let mut steps = Vec::with_capacity(work.steps.len());
    for step in &work.steps {
        steps.push(match step.mapping.schema() {
            Schema::PaidSubscription => {
                ToVerify::Paid(open_paid(step, &SystemClock).await.map_err(|error| setup::open_failure(&error))?)
            }
            Schema::Import(_) => {
                ToVerify::Imported(setup::open(std::slice::from_ref(step)).await?.pop().expect("a step for a step"))
            }
        });
    }
    Ok(steps)
}

/// Reads everything back.
pub(super) async fn verified(
    work: &Work,
    target: &args::Target,
    wanted: Wanted<'_>,
    spill: &Path,
    talk: &Talk,
) -> Result<Verified, Failure> {
    let connection = setup::connect(target, work)?;
    let steps = open(work).await?;
    let retry = RetryPolicy::default();
    let name = target_name(&connection.sink, &connection.budgets, retry, &connection.address)
        .await
        .map_err(|error| setup::start_failure(&error, &connection.address))?;
    let stop = Arc::new(Stop::default());
    setup::watch_signals(stop.clone(), talk.quiet);
    let progress = Arc::new(VerifyProgress::default());
    let job = VerifyJob {
        steps,
        sink: connection.sink,
        budgets: connection.budgets,
        retry,
        spill_dir: spill.to_owned(),
        stop,
        now: SystemClock.now(),
        known: wanted.ledger.map(|ledger| (ledger, name.as_str())),
        sample: wanted.sample,
        extra: wanted.extra,
        progress: progress.clone(),
    };
    let _shown = progress::Shown::start(progress, talk);
    verify(job).await.map_err(|error| setup::ledger_failure(&error))
}

/// A table of the steps.
pub(super) fn table(verified: &Verified) -> String {
    let header = ["step", "expected", "equal", "different", "missing", "unread"].map(str::to_owned).to_vec();
    let rows = verified.steps.iter().map(|step| {
        let counts = [step.expected, step.equal, step.different, step.missing, step.unread].map(grouped);
        std::iter::once(step.name.clone()).chain(counts).collect()
    });
    aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// What a sample says of the rest: where none of n differs, fewer than 3 of n do, with a confidence of 95 %.
fn sampled(step: &VerifiedStep, of: u64) -> String {
    let read = step.expected.saturating_sub(step.unread);
    let taken = format!("a sample of {} of {}", grouped(step.expected), counted(of, "record"));
    if step.equal != read || read == 0 || of <= step.expected {
        return taken;
    }
    let percent = (300.0 / read as f64).min(100.0);
    format!("{taken}, all equal: of all, with a confidence of 95 %, fewer than {percent:.2} % differ or are missing")
}

/// What Stigg has and no step.
fn others(text: &mut String, extra: &Extra) {
    let what = extra.what();
    let _ = match extra.records {
        None => writeln!(text, "{what} that no step has can't be told: {}", extra.note.as_deref().unwrap_or_default()),
        Some(0) => writeln!(text, "{what}: Stigg has none that no step has"),
        Some(records) => {
            let note = extra.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
            let first: Vec<&str> = extra.ids.iter().take(5).map(String::as_str).collect();
            let more = if records > first.len() as u64 { ", …" } else { "" };
            let count = grouped(records);
            writeln!(text, "{what}: Stigg has {count} that no step has{note}: {}{more}", first.join(", "))
        }
    };
}

fn exit_of(verified: &Verified) -> Exit {
    let holds = verified.steps.iter().all(VerifiedStep::holds);
    let unread: u64 = verified.steps.iter().filter(|step| step.unreadable.is_none()).map(|step| step.unread).sum();
    match &verified.stopped {
        Some(Stopped::CredentialsRefused(_) | Stopped::ProviderRefused(_)) => Exit::Credentials,
        Some(Stopped::SourceBroke(_) | Stopped::Moved(_)) => Exit::Source,
        Some(Stopped::LedgerCannotWrite(_) | Stopped::HoldLost(_) | Stopped::SpillFailed(_)) => Exit::Ledger,
        Some(Stopped::RequestMalformed(_)) => Exit::Bug,
        Some(Stopped::FilesCannotWrite(_)) => Exit::Config,
        Some(
            Stopped::Interrupted
            | Stopped::NotTheApi(_)
            | Stopped::NotTheProvider(_)
            | Stopped::TooManyRejects(_)
            | Stopped::Outage(_),
        ) => Exit::Open,
        None if unread > 0 => Exit::Open,
        None if !holds => Exit::Rejects,
        None => Exit::Settled,
    }
}

/// What to do where verifying stopped early.
fn stopped_hint(exit: Exit) -> &'static str {
    match exit {
        Exit::Source => "hint: mend the source and run the same command again",
        Exit::Credentials => "hint: check the key in STIGG_API_KEY and its rights, and run the same command again",
        Exit::Ledger => "hint: make room or mend the rights, and run the same command again; nothing was changed",
        Exit::Bug => "hint: please report this with the output of the same command and -vv",
        _ => "hint: run the same command again; nothing was changed",
    }
}

/// That the API gave no answer about some, and what to do.
fn unread(verified: &Verified) -> String {
    let unread = verified.steps.iter().filter(|step| step.unreadable.is_none()).map(|step| step.unread).sum();
    format!(
        "{} could not be read back: the API gave no answer that says what it has\nhint: run the same command again; nothing was \
         changed",
        counted(unread, "record")
    )
}

/// `exit` is that of what was found, `ends_with` that of the process.
fn show(verified: &Verified, exit: Exit, ends_with: Exit, talk: &Talk) -> Result<(), Failure> {
    if talk.json() {
        let stopped = verified.stopped.as_ref().map(ToString::to_string);
        out_json(&serde_json::json!({ "ok": ends_with == Exit::Settled, "exit": ends_with as i32, "stopped": stopped,
                "steps": verified.steps, "extra": verified.extra }))?;
        return Ok(());
    }
    let mut text = table(verified);
    for step in &verified.steps {
        if let Some(why) = step.unreadable {
            let _ = writeln!(text, "{}: can't be read back: {why}", step.name);
        }
        if let Some(why) = &step.gone_untold {
            let _ = writeln!(text, "{}: what is gone from the source can't be told: {why}", step.name);
        }
        for id in step.gone.iter().flatten() {
            let _ = writeln!(text, "{id}: is gone from the source, and is in Stigg");
        }
        if let Some(of) = step.sampled_from {
            let _ = writeln!(text, "{}: {}", step.name, sampled(step, of));
        }
        for sample in step.samples.iter().take(10) {
            let what = match sample.differences.first() {
                None => "is not in Stigg".to_owned(),
                Some(first) if sample.differences.len() == 1 => first.to_string(),
                Some(first) => format!("{first}, and {} more", sample.differences.len() - 1),
            };
            let _ = writeln!(text, "{} ({}): {what}", sample.key, sample.place);
        }
        if step.samples.len() > 10 {
            let _ = writeln!(text, "… see --json for more");
        }
    }
    verified.extra.iter().for_each(|extra| others(&mut text, extra));
    out(&text);
    if let Some(stopped) = &verified.stopped {
        say(&format!("error: verifying stopped early: {stopped}"));
        if !talk.quiet {
            say(stopped_hint(exit));
        }
    } else if exit == Exit::Open && !talk.quiet {
        say(&unread(verified));
    } else if exit == Exit::Settled && !talk.quiet {
        say(if verified.steps.iter().any(|step| step.unreadable.is_some()) {
            "everything that can be read back is in Stigg, as the source has it"
        } else {
            "everything that should be in Stigg is there, as the source has it"
        });
    } else if exit == Exit::Rejects && !talk.quiet {
        let paid = |step: &&VerifiedStep| step.entity == Schema::PaidSubscription.name();
        let unequal = || verified.steps.iter().filter(|step| !step.holds());
        if unequal().any(|step| !paid(&step)) {
            say(
                "hint: the same words with `run` send what has changed in the source; with `run` and --resend, all of it again, \
                 also over what was changed in Stigg itself",
            );
        }
        if unequal().any(|step| paid(&step)) {
            say(
                "hint: `cutover` with the same words provisions paid subscriptions that are missing; it changes none that are there",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stops_a_verification_there_is_a_next_command() {
        insta::assert_snapshot!(stopped_hint(Exit::Source), @"hint: mend the source and run the same command again");
        insta::assert_snapshot!(stopped_hint(Exit::Open), @"hint: run the same command again; nothing was changed");
        insta::assert_snapshot!(
            stopped_hint(Exit::Ledger),
            @"hint: make room or mend the rights, and run the same command again; nothing was changed"
        );
        insta::assert_snapshot!(
            stopped_hint(Exit::Bug),
            @"hint: please report this with the output of the same command and -vv"
        );
        insta::assert_snapshot!(
            stopped_hint(Exit::Credentials),
            @"hint: check the key in STIGG_API_KEY and its rights, and run the same command again"
        );
    }
}
