//! What is said at the end of a run: its account, why it stopped early, and what to do next.

use super::args::Talk;
use super::exit::{Exit, Failure};
use super::report::{self, Tense};
use super::{out, out_json, say, setup};
use crate::entity::Entity;
use crate::ledger::LedgerPlace;
use crate::pipeline::{Finished, Stopped};

/// Prints what happened; returns the exit code.
pub(super) fn show(finished: &Finished, ledger: &LedgerPlace, talk: &Talk) -> Result<Exit, Failure> {
    let exit = Exit::of(&finished.summary, finished.stopped.as_ref());
    if talk.json() {
        out_json(&finished.summary)?;
    } else {
        out(&report::summary(&finished.summary, Tense::Done));
    }
    say_how_it_ended(finished, talk);
    if let Some(hint) = hint(exit, finished, ledger).filter(|_| !(talk.quiet && exit == Exit::Rejects)) {
        say(&format!("hint: {hint}"));
    }
    Ok(exit)
}

/// Why it stopped early, and where the rejects are.
pub(super) fn say_how_it_ended(finished: &Finished, talk: &Talk) {
    if let Some(stopped) = &finished.stopped {
        say(&format!("error: the run stopped early: {stopped}"));
    }
    if !finished.rejects.is_empty() && !talk.quiet {
        let files: Vec<String> = finished.rejects.iter().map(|path| path.display().to_string()).collect();
        say(&format!("rejected rows are in {}", files.join(", ")));
    }
}

/// What to do next.
pub(super) fn hint(exit: Exit, finished: &Finished, ledger: &LedgerPlace) -> Option<String> {
    let why = || {
        format!("stigg-import rejects list --run {}{} shows why", finished.summary.run, setup::ledger_option(ledger))
    };
    match exit {
        Exit::Settled | Exit::Arguments | Exit::Config | Exit::Held => None,
        Exit::Rejects if finished.stopped.is_some() => {
            Some(format!("{}; mend the mapping or the rows, or allow more with --max-rejects", why()))
        }
        Exit::Rejects => Some(why()),
        Exit::Open
            if finished.summary.steps.iter().any(|step| step.entity == Entity::Event.name() && step.open > 0) =>
        {
            Some(format!(
                "run the same command again; it goes on where this one stopped. Events of more than 12 hours ago are not \
                 sent again: stigg-import settle{} lists them",
                setup::ledger_option(ledger)
            ))
        }
        Exit::Open => Some("run the same command again; it goes on where this one stopped".to_owned()),
        Exit::Bug => Some("please report this with the output of the same command and -vv".to_owned()),
        Exit::Source if matches!(finished.stopped, Some(Stopped::Moved(_))) => {
            Some("look at a new plan: the same words with plan --out; what was sent stands".to_owned())
        }
        Exit::Source => Some("mend the source and run the same command again; it goes on from here".to_owned()),
        Exit::Credentials => {
            Some("check the key in STIGG_API_KEY, then run the same command again; it goes on from here".to_owned())
        }
        Exit::Ledger if matches!(finished.stopped, Some(Stopped::HoldLost(_))) => Some(format!(
            "another run goes on where this one stopped, and stigg-import status{} shows it; when it is over, run the same command \
             again; nothing is lost",
            setup::ledger_option(ledger)
        )),
        Exit::Ledger => {
            Some("make room or mend the rights, then run the same command again; nothing is lost".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Progress, StepSummary, Summary};

    #[test]
    fn every_end_says_what_to_do_next() {
        let finished = |entity: Entity, open: u64, stopped: Option<Stopped>| {
            let progress = Progress::default();
            progress.open.add(open);
            let steps = vec![StepSummary::new("step", entity, open, &progress, 1.0)];
            let summary = Summary { run: 7, ok: false, exit: 0, duration_s: 1.0, stopped: None, steps };
            Finished { summary, stopped, open_batches: 0, rejects: Vec::new() }
        };
        let ledger = LedgerPlace::File("billing/ledger.db".into());
        let (customers, events) = (finished(Entity::Customer, 1, None), finished(Entity::Event, 1, None));
        let lost = finished(Entity::Customer, 1, Some(Stopped::HoldLost("it is another's".to_owned())));
        let too_many = finished(Entity::Customer, 1, Some(Stopped::TooManyRejects("5 of 20".to_owned())));
        let moved = finished(Entity::Customer, 1, Some(Stopped::Moved("customers.csv:7".to_owned())));
        let told = [
            (Exit::Settled, &customers),
            (Exit::Rejects, &customers),
            (Exit::Rejects, &too_many),
            (Exit::Open, &customers),
            (Exit::Open, &events),
            (Exit::Source, &customers),
            (Exit::Source, &moved),
            (Exit::Credentials, &customers),
            (Exit::Ledger, &customers),
            (Exit::Ledger, &lost),
            (Exit::Bug, &customers),
        ]
        .map(|(exit, finished)| format!("{}: {}", exit as u8, hint(exit, finished, &ledger).unwrap_or_default()));
        insta::assert_snapshot!(told.join("\n"), @"
        0: 
        3: stigg-import rejects list --run 7 --ledger billing/ledger.db shows why
        3: stigg-import rejects list --run 7 --ledger billing/ledger.db shows why; mend the mapping or the rows, or allow more with --max-rejects
        4: run the same command again; it goes on where this one stopped
        4: run the same command again; it goes on where this one stopped. Events of more than 12 hours ago are not sent again: stigg-import settle --ledger billing/ledger.db lists them
        6: mend the source and run the same command again; it goes on from here
        6: look at a new plan: the same words with plan --out; what was sent stands
        7: check the key in STIGG_API_KEY, then run the same command again; it goes on from here
        8: make room or mend the rights, then run the same command again; nothing is lost
        8: another run goes on where this one stopped, and stigg-import status --ledger billing/ledger.db shows it; when it is over, run the same command again; nothing is lost
        1: please report this with the output of the same command and -vv
        ");
    }
}
