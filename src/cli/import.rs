//! `run`: imports what is new or changed.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::args::{self, Talk};
use super::canary::{self, Decided};
use super::exit::{Exit, Failure};
use super::plan::{Planning, Target};
use super::progress::Teller;
use super::report_html::{self, Destination, Recorder};
use super::setup::{self, Connection, Work};
use super::{ending, plan_file, to_files};
use crate::clock::SystemClock;
use crate::ledger::rejects::PruneError;
use crate::ledger::{Ledger, LedgerError, LedgerPlace, Part, rejects};
use crate::pipeline::{
    Finished, Job, Journal, Known, MaxRejects, Observer, OpenStep, RetryPolicy, Selection, StageThread, StepSpec, Stop,
    run,
};
use crate::sink::{Budgets, SharedRate};

/// Runs and reports.
pub(super) async fn main(args: args::Run, talk: &Talk) -> Result<Exit, Failure> {
    let destination = Destination::of(&args.report)?;
    if let Some(file) = &args.plan {
        return as_planned(file, args.max_rejects.as_deref(), destination, talk).await;
    }
    let work = setup::work(&args.input, "run")?;
    if let Some(folder) = &args.to_files {
        return to_files::main(work, args.max_rejects.as_deref(), folder, talk).await;
    }
    let mut how = How { part: args.shard.shard, ..How::of(args.full, args.resend) };
    if let Some(records) = args.canary {
        let stop = Arc::new(Stop::default());
        setup::watch_signals(stop.clone(), talk.quiet);
        match canary::go_first(&args, records, &stop, talk).await? {
            Decided::GoOn => how.stop = Some(stop),
            Decided::Stop(exit) => return Ok(exit),
        }
    }
    let wanted = Wanted {
        command: "run",
        max_rejects: args.max_rejects.as_deref(),
        how,
        target: &args.target,
        ledger: &args.ledger.ledger,
        destination,
    };
    deliver(work, wanted, talk).await
}

/// What the words of `run` and `bulk` ask for.
pub(super) struct Wanted<'a> {
    pub command: &'static str,
    pub max_rejects: Option<&'a str>,
    pub how: How,
    pub target: &'a args::Target,
    pub ledger: &'a LedgerPlace,
    pub destination: Option<Destination>,
}

/// Imports `work` as the words of a command say, and reports.
pub(super) async fn deliver(mut work: Work, wanted: Wanted<'_>, talk: &Talk) -> Result<Exit, Failure> {
    let Wanted { command, max_rejects, how, target, ledger, destination } = wanted;
    work.bound_rejects(max_rejects)?;
    let watched = Watched::new(command, destination, setup::address(target, &work)?, Teller::new(talk));
    let how = How { observer: Some(watched.recorder.clone()), ..how };
    let finished = import(work, how, target, ledger, talk).await?;
    watched.end(finished, ledger, talk)
}

/// The same for a run of a schedule: what happened is handed back, and shown only where it is `show`n as that of `run`.
pub(super) async fn delivered(
    work: Work,
    wanted: Wanted<'_>,
    talk: &Talk,
    is_shown: bool,
) -> Result<(Finished, Exit), Failure> {
    let Wanted { command, max_rejects: _, how, target, ledger, destination } = wanted;
    let observer = how.observer.clone().unwrap_or_else(|| Teller::new(talk));
    let watched = Watched::new(command, destination, setup::address(target, &work)?, observer);
    let how = How { observer: Some(watched.recorder.clone()), ..how };
    let mut finished = import(work, how, target, ledger, talk).await?;
    let (exit, report_failed) = watched.written(&mut finished, ledger);
    if is_shown {
        ending::show(&finished, ledger, talk)?;
    }
    Ok((finished, report_html::said(exit, report_failed)))
}

/// A run that is looked at for its report.
struct Watched {
    command: &'static str,
    destination: Option<Destination>,
    address: String,
    recorder: Arc<Recorder>,
}

impl Watched {
    fn new(
        command: &'static str,
        destination: Option<Destination>,
        address: String,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { command, destination, address, recorder: Recorder::new(observer) }
    }

    /// Writes the report, and says what happened.
    fn end(&self, mut finished: Finished, ledger: &LedgerPlace, talk: &Talk) -> Result<Exit, Failure> {
        let (ends_with, report_failed) = self.written(&mut finished, ledger);
        ending::show(&finished, ledger, talk)?;
        Ok(report_html::said(ends_with, report_failed))
    }

    /// Writes the report. Returns how the process ends, and why there is none.
    fn written(&self, finished: &mut Finished, ledger: &LedgerPlace) -> (Exit, Option<Failure>) {
        let exit = Exit::of(&finished.summary, finished.stopped.as_ref());
        let (ends_with, report_failed) = report_html::write(self.destination.as_ref(), exit, |destination| {
            report_html::run(self.command, finished, &self.address, &self.recorder.seen(), ledger, destination)
        });
        // What the process ends with; the ledger has what the run did.
        finished.summary.exit = ends_with as i32;
        finished.summary.ok = ends_with == Exit::Settled;
        (ends_with, report_failed)
    }
}

/// Imports just what a plan says, and nothing where it would be another plan now.
async fn as_planned(
    file: &Path,
    max_rejects: Option<&str>,
    destination: Option<Destination>,
    talk: &Talk,
) -> Result<Exit, Failure> {
    let (kept, plan) = plan_file::read(file)?;
    let mut work = setup::work(&plan.input, "run")?;
    work.bound_rejects(max_rejects)?;
    let ledger = &plan.ledger.ledger;
    let stop = Arc::new(Stop::default());
    setup::watch_signals(stop.clone(), talk.quiet);
    let selections = {
        let steps = open_until(&stop, &work.steps).await?;
        let known = setup::ledger_to_read(ledger).await?;
        let target = Target::found(&plan, &work, known.as_deref(), &stop).await?;
        let planning = Planning { args: &plan, target: &target, choose: true };
        let planned = planning.plan(steps, known.as_deref(), stop.clone()).await?;
        if let Some(stopped) = &planned.stopped {
            let message = format!("the plan could not be made again: {stopped}");
            let exit = Exit::of_stopped(stopped);
            let first = if exit == Exit::Source { "mend the source and " } else { "" };
            return Err(
                Failure::new(exit, message).hint(format!("{first}run the same command again; nothing was sent"))
            );
        }
        kept.still_holds(target.name.as_deref().unwrap_or_default(), &planned)?;
        planned.steps.into_iter().map(|step| step.chosen.map_or(Selection::All, Selection::Just)).collect()
    };
    let watched = Watched::new("run --plan", destination, setup::address(&plan.target, &work)?, Teller::new(talk));
    let observer: Option<Arc<dyn Observer>> = Some(watched.recorder.clone());
    let how = How { full: plan.full, selections, stop: Some(stop), observer, ..How::default() };
    let finished = import(work, how, &plan.target, ledger, talk).await?;
    watched.end(finished, ledger, talk)
}

/// How a run goes about it.
#[derive(Default)]
pub(super) struct How {
    /// What becomes of records that were delivered before.
    pub known: Known,
    /// Reads everything.
    pub full: bool,
    /// Of the steps only this is sent, in their order; steps without one are sent whole.
    pub selections: Vec<Selection>,
    /// The flag that ends it early, where somebody listens for an interrupt already.
    pub stop: Option<Arc<Stop>>,
    /// Who watches instead of the terminal.
    pub observer: Option<Arc<dyn Observer>>,
    /// Runs that ended before this are forgotten afterwards, and their rejects files deleted; none: never.
    pub keep_since: Option<Timestamp>,
    /// Which part of the records; none: all of them.
    pub part: Option<Part>,
}

impl How {
    /// As the words of a command say.
    pub(super) fn of(full: bool, resend: bool) -> Self {
        match resend {
            // What is sent again has to be read.
            true => Self { known: Known::SendAll, full: true, ..Self::default() },
            false => Self { full, ..Self::default() },
        }
    }
}

/// Runs `work` and writes its end into the ledger.
pub(super) async fn import(
    work: Work,
    how: How,
    target: &args::Target,
    ledger: &LedgerPlace,
    talk: &Talk,
) -> Result<Finished, Failure> {
    let How { known, full, selections, stop, observer, keep_since, part } = how;
    let connection = setup::connect(target, &work)?;
    let (stop, steps) = match stop {
        Some(stop) => {
            let steps = open_until(&stop, &work.steps).await?;
            (stop, steps)
        }
        None => open(&work.steps, talk).await?,
    };
    let mut selections = selections.into_iter();
    let steps = steps.into_iter().map(|step| step.choosing(selections.next().unwrap_or_default())).collect();
    let mut arguments = work.arguments;
    arguments["target"] = serde_json::json!(connection.address);
    let limits = work.limits.iter().map(|(operation, per_minute)| (operation.name().to_owned(), (*per_minute).into()));
    arguments["limits"] = serde_json::Value::Object(limits.collect());
    arguments["rate_scale"] = serde_json::json!(target.rate_scale);
    let import = Import {
        steps,
        connection,
        ledger,
        identity: work.identity,
        arguments_json: arguments.to_string(),
        max_rejects: work.max_rejects,
        full,
        known,
        stop,
        keep_since,
        part,
    };
    import.run(observer.unwrap_or_else(|| Teller::new(talk))).await
}

/// Opens the sources, and listens for an interrupt from then on.
pub(super) async fn open(steps: &[StepSpec], talk: &Talk) -> Result<(Arc<Stop>, Vec<OpenStep>), Failure> {
    let stop = Arc::new(Stop::default());
    setup::watch_signals(stop.clone(), talk.quiet);
    let steps = open_until(&stop, steps).await?;
    Ok((stop, steps))
}

/// Opens the sources, until somebody interrupts.
pub(super) async fn open_until(stop: &Stop, steps: &[StepSpec]) -> Result<Vec<OpenStep>, Failure> {
    tokio::select! {
        biased;
        // A source may let wait for its header: a pipe, a database.
        () = stop.raised() => Err(setup::interrupted_before_reading()),
        steps = setup::open(steps) => steps,
    }
}

/// A run whose sources are open.
pub(super) struct Import<'a> {
    pub steps: Vec<OpenStep>,
    pub connection: Connection,
    pub ledger: &'a LedgerPlace,
    pub identity: String,
    pub arguments_json: String,
    pub max_rejects: Option<MaxRejects>,
    pub full: bool,
    pub known: Known,
    pub stop: Arc<Stop>,
    pub keep_since: Option<Timestamp>,
    pub part: Option<Part>,
}

impl Import<'_> {
    /// Runs it and writes its end into the ledger.
    pub(super) async fn run(self, observer: Arc<dyn Observer>) -> Result<Finished, Failure> {
        let (lock, store, budgets) = match self.part {
            Some(part) => {
                let share = setup::share_to_write(self.ledger, part, &self.stop).await?;
                let rate = SharedRate { from: Arc::new(share.pace), name: self.connection.address.clone() };
                let budgets = Budgets::new(&self.connection.rates.clone().shared(rate));
                (share.lock, share.ledger, Arc::new(budgets))
            }
            None => {
                let (lock, store) = setup::ledger_to_write(self.ledger).await?;
                (lock, store, self.connection.budgets)
            }
        };
        let watching = setup::watch_lock(&lock, &self.stop);
        let address = self.connection.address.clone();
        let thread = |name| StageThread::start(name).map_err(|error| Failure::of(Exit::Bug, &error));
        let (map, prepare) = (thread("map")?, thread("prepare")?);
        let finished = run(Job {
            steps: self.steps,
            sink: self.connection.sink,
            target: self.connection.address,
            budgets,
            ledger: store.clone(),
            journal: Journal {
                ledger_path: self.ledger.local().to_owned(),
                spill_dir: setup::spill_dir(self.ledger),
                identity: self.identity,
                arguments_json: self.arguments_json,
            },
            observer,
            clock: Arc::new(SystemClock),
            stop: self.stop,
            retry: RetryPolicy::default(),
            max_rejects: self.max_rejects,
            full: self.full,
            batch_records_max: None,
            map_on: map.handle(),
            prepare_on: prepare.handle(),
            known: self.known,
            part: self.part.unwrap_or(Part::ALL),
        })
        .await;
        let finished = match finished {
            Ok(finished) => settle(finished, &*store).await,
            Err(error) => Err(setup::start_failure(&error, &address)),
        };
        if let (Ok(_), Some(before)) = (&finished, self.keep_since) {
            forget(self.ledger.local(), &*store, before).await;
        }
        // Whatever came before: what was written must be on disk, and the next run may begin.
        let closed = store.close().await.map_err(|error| setup::ledger_failure(&error));
        drop(watching);
        lock.release().await;
        let finished = finished?;
        closed?;
        Ok(finished)
    }
}

/// Forgets runs of long ago. What the run did stands, whatever becomes of this.
async fn forget(ledger_path: &Path, ledger: &dyn Ledger, before: Timestamp) {
    let files = rejects::prune(ledger_path, ledger, before).await;
    let runs = ledger.prune(before).await;
    if let (Ok(files), Ok(runs)) = (&files, &runs)
        && files + runs > 0
    {
        tracing::info!(runs, files, "old runs and rejects files are deleted");
    }
    for text in kept_too_long(files.err(), runs.err()) {
        tracing::warn!("{text}");
    }
}

/// What is said of old files and runs that are still there. The next run tries again: that helps once nothing is in the way.
fn kept_too_long(files: Option<PruneError>, runs: Option<LedgerError>) -> Vec<String> {
    let files = files.map(|error| {
        format!(
            "old rejects files, which hold customers' data, could not be deleted: {error}; see that they can be, or delete \
             them by hand: the next run tries again"
        )
    });
    let runs = runs.map(|error| {
        format!("old runs could not be forgotten: {error}; nothing is lost, and the next run tries again")
    });
    files.into_iter().chain(runs).collect()
}

/// Fills in the exit code and writes the run's end down.
async fn settle(mut finished: Finished, ledger: &dyn Ledger) -> Result<Finished, Failure> {
    let exit = Exit::of(&finished.summary, finished.stopped.as_ref());
    finished.summary.exit = exit as i32;
    finished.summary.ok = exit == Exit::Settled;
    setup::finish(ledger, finished.summary.run, exit, &finished.summary).await?;
    Ok(finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::WriteFailure;
    use crate::ledger::rejects::RejectsError;

    #[test]
    fn what_is_kept_too_long_is_told_with_its_cause_and_what_follows() {
        let file = || RejectsError::CannotWrite {
            path: ".stigg-import/rejects/1-customers.jsonl".into(),
            failure: WriteFailure::ReadOnly,
            detail: "Read-only file system (os error 30)".to_owned(),
        };
        let ledger = || LedgerError::CannotWrite {
            ledger: LedgerPlace::File("ledger.db".into()),
            failure: WriteFailure::Full,
            detail: "database or disk is full".to_owned(),
        };
        assert_eq!(kept_too_long(None, None), Vec::<String>::new());
        let told = [
            kept_too_long(Some(file().into()), None),
            kept_too_long(None, Some(ledger())),
            kept_too_long(Some(ledger().into()), Some(ledger())),
        ];
        insta::assert_snapshot!(told.map(|lines| lines.join("\n")).join("\n\n"), @"
        old rejects files, which hold customers' data, could not be deleted: can't write the rejects file .stigg-import/rejects/1-customers.jsonl: it is read-only (Read-only file system (os error 30)); see that they can be, or delete them by hand: the next run tries again

        old runs could not be forgotten: can't write the ledger ledger.db: no space is left (database or disk is full); nothing is lost, and the next run tries again

        old rejects files, which hold customers' data, could not be deleted: can't write the ledger ledger.db: no space is left (database or disk is full); see that they can be, or delete them by hand: the next run tries again
        old runs could not be forgotten: can't write the ledger ledger.db: no space is left (database or disk is full); nothing is lost, and the next run tries again
        ");
    }
}
