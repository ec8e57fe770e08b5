//! One run of a schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Sync;
use super::news;
use crate::cli::args::Talk;
use crate::cli::exit::{Exit, Failure};
use crate::cli::import::{self, How, Wanted};
use crate::cli::progress;
use crate::cli::report_html::Destination;
use crate::cli::setup;
use crate::ledger::LedgerPlace;
use crate::pipeline::{Event, Finished, Observer, Stop, Stopped};
use crate::schedule::{Metrics, Outcome};

/// What each run needs.
pub(super) struct Run<'a> {
    pub args: &'a Sync,
    pub talk: &'a Talk,
    pub metrics: Arc<Metrics>,
    /// Ends the schedule, and with it a run that is going on. What ends one run is a flag of its own.
    pub stop: Arc<Stop>,
    /// Whether the file named somebody to tell when the schedule began.
    pub has_webhook: bool,
}

/// A run that is over.
pub(super) struct Round {
    /// How it ended.
    pub ended: Result<Done, Failure>,
    /// What that means for the schedule.
    pub outcome: Outcome,
    /// Failures in a row, this one included.
    pub failures: u32,
    /// How long it took.
    pub took: Duration,
}

/// A run that has an account.
pub(super) struct Done {
    pub finished: Finished,
    pub exit: Exit,
    /// Where its ledger is, for hints.
    pub ledger: LedgerPlace,
}

impl Round {
    /// What a process that had run only this would end with.
    pub(super) fn exit(&self) -> Exit {
        match &self.ended {
            Ok(done) => done.exit,
            Err(failure) => failure.exit,
        }
    }

    /// What the process ends with.
    pub(super) fn ends_with(self) -> Result<Exit, Failure> {
        self.ended.map(|done| done.exit)
    }
}

impl Run<'_> {
    /// Looks whether files, address, key and report hold; sends nothing. Returns whether there is a webhook to tell.
    pub(super) fn holds(&self) -> Result<bool, Failure> {
        let mut work = setup::work(&self.args.input, "sync")?;
        if self.args.settings()?.is_some() {
            setup::is_readable_again(&work, "standard input can't be read on a schedule")?;
        }
        work.bound_rejects(self.args.max_rejects.as_deref())?;
        let has_webhook = news::notifier(&work)?.is_some();
        setup::connect(&self.args.target, &work)?;
        Destination::of(&self.args.report)?;
        Ok(has_webhook)
    }

    /// Runs once, and tells whom it concerns. `failures` came before it in a row.
    pub(super) async fn round(&self, failures: u32) -> Round {
        let began = Instant::now();
        let ended = self.import().await;
        let exit = ended.as_ref().map_or_else(|failure| failure.exit, |done| done.exit);
        let stopped = ended.as_ref().ok().and_then(|done| done.finished.stopped.as_ref());
        let outcome = outcome_of(exit, stopped);
        let failures = match outcome {
            Outcome::Done => 0,
            Outcome::Failed => failures + 1,
            Outcome::Held => failures,
        };
        self.metrics.exit(exit as i32);
        if let Ok(done) = &ended {
            self.metrics.finished(&done.finished);
        }
        let round = Round { ended, outcome, failures, took: began.elapsed() };
        // An interrupt is somebody's wish, and no news.
        if !self.stop.is_raised() {
            news::tell(self, &round).await;
        }
        round
    }

    async fn import(&self) -> Result<Done, Failure> {
        let args = self.args;
        let mut work = setup::work(&args.input, "sync")?;
        work.bound_rejects(args.max_rejects.as_deref())?;
        let destination = Destination::of(&args.report)?;
        let stop = Arc::new(Stop::default());
        // In a set, which ends it when the run is over.
        let mut passing_on = JoinSet::new();
        let (whole, own) = (self.stop.clone(), stop.clone());
        passing_on.spawn(async move {
            whole.raised().await;
            own.raise(Stopped::Interrupted);
        });
        let observer = Arc::new(Both { metrics: self.metrics.clone(), teller: progress::Teller::new(self.talk) });
        let how = How {
            full: args.full,
            stop: Some(stop),
            observer: Some(observer),
            part: args.shard.shard,
            keep_since: Some(args.keeps_since(jiff::Timestamp::now())),
            ..How::default()
        };
        let wanted = Wanted {
            command: "sync",
            max_rejects: None,
            how,
            target: &args.target,
            ledger: &args.ledger.ledger,
            destination,
        };
        let (finished, exit) = import::delivered(work, wanted, self.talk, args.once).await?;
        Ok(Done { finished, exit, ledger: args.ledger.ledger.clone() })
    }
}

/// What an exit code means for the schedule.
fn outcome_of(exit: Exit, stopped: Option<&Stopped>) -> Outcome {
    match exit {
        Exit::Settled => Outcome::Done,
        // Rows that do not fit are a matter for people; that they stopped the run is one for the schedule, too.
        Exit::Rejects if stopped.is_none() => Outcome::Done,
        Exit::Held => Outcome::Held,
        Exit::Rejects
        | Exit::Bug
        | Exit::Arguments
        | Exit::Open
        | Exit::Config
        | Exit::Source
        | Exit::Credentials
        | Exit::Ledger => Outcome::Failed,
    }
}

/// Counts, and shows.
struct Both {
    metrics: Arc<Metrics>,
    teller: Arc<progress::Teller>,
}

impl Observer for Both {
    fn event(&self, event: &Event) {
        self.metrics.event(event);
        self.teller.event(event);
    }
}
