//! `verify`: what Stigg has, against what the source says now.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::report::{aligned, grouped};
use super::setup::{self, Work};
use super::{out, out_json, say};
use crate::ledger::Ledger;
use crate::pipeline::{RetryPolicy, Stop, Stopped, Verified, target_name, verify};

/// Verifies and reports.
pub(super) async fn main(args: args::Verify, talk: &Talk) -> Result<Exit, Failure> {
    let work = setup::work(&args.input, "verify")?;
    let ledger = match args.gone {
        true => match setup::ledger_to_read(&args.ledger).await? {
            Some(ledger) => Some(ledger),
            None => {
                let missing = format!("there is no ledger at {}", args.ledger.display());
                return Err(Failure::new(Exit::Config, missing)
                    .hint("--gone compares with what runs delivered: name their ledger with --ledger"));
            }
        },
        false => None,
    };
    let verified = verified(&work, &args.target, ledger.as_deref(), Path::new("."), talk).await?;
    show(&verified, talk)
}

/// Reads everything back.
pub(super) async fn verified(
    work: &Work,
    target: &args::Target,
    ledger: Option<&dyn Ledger>,
    spill: &Path,
    talk: &Talk,
) -> Result<Verified, Failure> {
    let connection = setup::connect(target, work)?;
    let steps = setup::open(&work.steps).await?;
    let retry = RetryPolicy::default();
    let name = target_name(&connection.sink, &connection.budgets, retry, &connection.address)
        .await
        .map_err(|error| setup::start_failure(&error, &connection.address))?;
    let stop = Arc::new(Stop::default());
    setup::watch_signals(stop.clone(), talk.quiet);
    let known = ledger.map(|ledger| (ledger, name.as_str()));
    verify(steps, connection.sink, connection.budgets, retry, spill.to_owned(), stop, known)
        .await
        .map_err(|error| setup::ledger_failure(&error))
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

fn show(verified: &Verified, talk: &Talk) -> Result<Exit, Failure> {
    let holds = verified.steps.iter().all(crate::pipeline::VerifiedStep::holds);
    let unread: u64 = verified.steps.iter().filter(|step| step.unreadable.is_none()).map(|step| step.unread).sum();
    let exit = match &verified.stopped {
        Some(Stopped::CredentialsRefused(_) | Stopped::ProviderRefused(_)) => Exit::Credentials,
        Some(Stopped::SourceBroke(_) | Stopped::Moved(_)) => Exit::Source,
        Some(Stopped::LedgerCannotWrite(_) | Stopped::SpillFailed(_)) => Exit::Ledger,
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
    };
    if talk.json() {
        let stopped = verified.stopped.as_ref().map(ToString::to_string);
        out_json(
            &serde_json::json!({ "ok": exit == Exit::Settled, "exit": exit as i32, "stopped": stopped, "steps": verified.steps }),
        )?;
        return Ok(exit);
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
    out(&text);
    if let Some(stopped) = &verified.stopped {
        say(&format!("error: verifying stopped early: {stopped}"));
    } else if exit == Exit::Settled && !talk.quiet {
        say(if verified.steps.iter().any(|step| step.unreadable.is_some()) {
            "everything that can be read back is in Stigg, as the source has it"
        } else {
            "everything that should be in Stigg is there, as the source has it"
        });
    } else if exit == Exit::Rejects && !talk.quiet {
        say(
            "hint: the same words with `run` send what has changed in the source; with `run` and --resend, all of it again, \
             also over what was changed in Stigg itself",
        );
    }
    Ok(exit)
}
