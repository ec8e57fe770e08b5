//! `plan`: what a run would do.

use std::sync::Arc;

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::import::open_until;
use super::report_html::{self, Destination};
use super::setup::{self, Connection, Work};
use super::{out, out_json, plan_file, plan_report, say};
use crate::clock::SystemClock;
use crate::ledger::Ledger;
use crate::pipeline::{OpenStep, PlanError, PlanJob, Planned, RetryPolicy, Stop, Stopped, plan, target_name};
use crate::sink::Budgets;

/// Plans and reports.
pub(super) async fn main(args: args::Plan, talk: &Talk) -> Result<Exit, Failure> {
    let work = setup::work(&args.input, "plan")?;
    let destination = Destination::of(&args.report)?;
    if args.out.is_some() {
        plan_file::can_be_kept(&args, &work)?;
    }
    let stop = Arc::new(Stop::default());
    setup::watch_signals(stop.clone(), talk.quiet);
    let steps = open_until(&stop, &work.steps).await?;
    let ledger = setup::ledger_to_read(&args.ledger.ledger).await?;
    let target = Target::found(&args, &work, ledger.as_deref(), &stop).await?;
    let planned = Planning { args: &args, target: &target, choose: false }.plan(steps, ledger.as_deref(), stop).await?;
    let (exit, report_failed) = report_html::write(destination.as_ref(), exit_of(&planned), |destination| {
        report_html::plan(&planned, target.unasked, destination)
    });
    if talk.json() {
        out_json(&plan_report::json(&planned, exit))?;
    } else {
        out(&plan_report::text(&planned));
    }
    if let Some(stopped) = &planned.stopped {
        say(&format!("error: planning stopped early: {stopped}"));
        return Ok(report_html::said(exit, report_failed));
    }
    if let (Some(why), false) = (target.unasked, talk.quiet) {
        say(&format!("the catalog of the target, and what records refer to, was not checked: {why}"));
    }
    if let Some(file) = &args.out {
        let name = target.name.as_deref().unwrap_or_default();
        plan_file::write(file, &args, name, &planned)?;
        if !talk.quiet {
            say(&format!("wrote {}", file.display()));
            say(&format!("hint: stigg-import run --plan {} sends just that", file.display()));
        }
    }
    Ok(report_html::said(exit, report_failed))
}

/// What is to be done decides how a plan ends, so that a script can tell.
pub(super) fn exit_of(planned: &Planned) -> Exit {
    let count = |of: fn(&crate::pipeline::StepSummary) -> u64| -> u64 {
        planned.steps.iter().map(|step| of(&step.summary)).sum()
    };
    if let Some(stopped) = &planned.stopped {
        return Exit::of_stopped(stopped);
    }
    if planned.steps.iter().any(|step| !step.summary.balances()) {
        Exit::Bug
    } else if count(|step| step.created + step.changed) > 0 {
        Exit::Open
    } else if count(|step| step.rejected) > 0 {
        Exit::Rejects
    } else {
        Exit::Settled
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Open, "interrupted before the plan was made; nothing was sent")
        .hint("run the same command again")
}

/// A target as far as a plan needs it.
pub(super) struct Target {
    /// How it is reached; none where nobody is asked.
    pub connection: Option<Connection>,
    /// Its name in the ledger.
    pub name: Option<String>,
    budgets: Arc<Budgets>,
    /// Why nobody is asked.
    unasked: Option<&'static str>,
}

impl Target {
    /// Finds out what names the target, unless it is interrupted while that lets wait. Without a ledger a key is not needed, and
    /// without one nobody is asked.
    pub(super) async fn found(
        args: &args::Plan,
        work: &Work,
        ledger: Option<&dyn Ledger>,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        tokio::select! {
            biased;
            () = stop.raised() => Err(interrupted()),
            target = Self::named(args, work, ledger) => target,
        }
    }

    async fn named(args: &args::Plan, work: &Work, ledger: Option<&dyn Ledger>) -> Result<Self, Failure> {
        let budgets = || Arc::new(setup::budgets(&args.target, work));
        if args.offline {
            let name = match ledger {
                Some(ledger) => Some(known_name(ledger, &setup::address(&args.target, work)?).await?),
                None => None,
            };
            return Ok(Self { connection: None, name, budgets: budgets(), unasked: Some("--offline") });
        }
        let needed = ledger.is_some() || args.live || args.out.is_some();
        let connection = match setup::connect(&args.target, work) {
            Ok(connection) => connection,
            Err(failure) if failure.exit == Exit::Credentials && !needed => {
                let unasked = Some("there is no key in STIGG_API_KEY");
                return Ok(Self { connection: None, name: None, budgets: budgets(), unasked });
            }
            Err(failure) => return Err(failure),
        };
        let name = target_name(&connection.sink, &connection.budgets, RetryPolicy::default(), &connection.address)
            .await
            .map_err(|error| {
                let failure = setup::start_failure(&error, &connection.address);
                match ledger {
                    None if failure.exit == Exit::Config => {
                        failure.hint("check --target and the network, or plan with --offline; nothing was sent")
                    }
                    Some(_) | None => failure,
                }
            })?;
        Ok(Self { budgets: connection.budgets.clone(), connection: Some(connection), name: Some(name), unasked: None })
    }
}

/// The one name under which the ledger knows an address.
async fn known_name(ledger: &dyn Ledger, address: &str) -> Result<String, Failure> {
    let scopes = ledger.scopes().await.map_err(|error| setup::ledger_failure(&error))?;
    let mut names: Vec<String> = scopes
        .into_iter()
        .map(|scope| scope.target)
        .filter(|name| name == address || name.strip_prefix(address).is_some_and(|rest| rest.starts_with(' ')))
        .collect();
    names.dedup();
    match names.len() {
        0 => Ok(address.to_owned()),
        1 => Ok(names.remove(0)),
        _ => Err(Failure::new(Exit::Config, format!("the ledger knows several environments at {address}"))
            .hint("plan without --offline: the key says which one is meant")),
    }
}

/// Plans once, for `plan` and for `run --plan`.
pub(super) struct Planning<'a> {
    pub args: &'a args::Plan,
    pub target: &'a Target,
    /// Whether to keep which records would be sent.
    pub choose: bool,
}

impl Planning<'_> {
    pub(super) async fn plan(
        &self,
        steps: Vec<OpenStep>,
        ledger: Option<&dyn Ledger>,
        stop: Arc<Stop>,
    ) -> Result<Planned, Failure> {
        let address = self.target.connection.as_ref().map(|connection| connection.address.clone()).unwrap_or_default();
        let job = PlanJob {
            steps,
            ledger: ledger.zip(self.target.name.as_deref()),
            asks: self.target.connection.as_ref().map(|one| (one.sink.clone(), RetryPolicy::default())),
            live: self.args.live,
            choose: self.choose,
            budgets: &self.target.budgets,
            spill_dir: setup::spill_dir(&self.args.ledger.ledger),
            full: self.args.full,
            clock: &SystemClock,
            stop: stop.clone(),
        };
        match plan(job).await {
            Ok(planned) => Ok(planned),
            Err(PlanError::Ledger(error)) => Err(setup::ledger_failure(&error)),
            // A read that was given up since somebody interrupted it says nothing of the target.
            Err(PlanError::Target(_)) if matches!(stop.why(), Some(Stopped::Interrupted)) => Err(interrupted()),
            Err(PlanError::Target(cause)) => Err(setup::target_failure(&cause, &address)),
        }
    }
}
