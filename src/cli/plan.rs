//! `plan`: what a run would do.

use std::fmt::Write as _;
use std::sync::Arc;

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::report::{self, Tense};
use super::{out, out_json, setup};
use crate::clock::SystemClock;
use crate::pipeline::{Planned, RetryPolicy, StepSummary, Stop, Summary, plan, target_name};

/// Plans and reports.
pub(super) async fn main(args: args::Plan, talk: &Talk) -> Result<Exit, Failure> {
    let work = setup::work(&args.input, "plan")?;
    let steps = setup::open(&work.steps).await?;
    let ledger = setup::ledger_to_read(&args.ledger.ledger).await?;
    let (target, budgets) = match &ledger {
        // Only a ledger needs the target's name; without one everything is new, and nobody is asked.
        Some(_) => {
            let connection = setup::connect(&args.target, &work)?;
            let target =
                target_name(&connection.sink, &connection.budgets, RetryPolicy::default(), &connection.address)
                    .await
                    .map_err(|error| setup::start_failure(&error, &connection.address))?;
            (target, connection.budgets)
        }
        None => (String::new(), Arc::new(setup::budgets(&args.target, &work))),
    };
    let stop = Arc::new(Stop::default());
    setup::watch_signals(stop.clone(), talk.quiet);
    let known = ledger.as_deref().map(|ledger| (ledger, target.as_str()));
    let planned = plan(steps, known, &budgets, setup::spill_dir(&args.ledger.ledger), args.full, &SystemClock, stop)
        .await
        .map_err(|error| setup::ledger_failure(&error))?;
    show(&planned, talk)
}

/// Shorter than a second is not worth a number.
fn time_to_send(seconds: f64) -> String {
    if seconds < 1.0 { "a second".to_owned() } else { report::duration(seconds) }
}

fn show(planned: &Planned, talk: &Talk) -> Result<Exit, Failure> {
    let steps: Vec<StepSummary> = planned.steps.iter().map(|step| step.summary.clone()).collect();
    let duration_s = steps.iter().map(|step| step.duration_s).sum();
    let stopped = planned.stopped.as_ref().map(ToString::to_string);
    let summary = Summary { run: 0, ok: true, exit: 0, duration_s, stopped, steps };
    let exit = match Exit::of(&summary, planned.stopped.as_ref()) {
        // What would be sent is no fault of a plan, nor is a row that would be rejected.
        Exit::Open if planned.stopped.is_none() => Exit::Settled,
        Exit::Rejects => Exit::Settled,
        exit => exit,
    };
    if talk.json() {
        let steps: Vec<serde_json::Value> = planned
            .steps
            .iter()
            .map(|step| {
                serde_json::json!({
                    "name": step.summary.name,
                    "entity": step.summary.entity,
                    "rows": step.summary.rows,
                    "records": step.summary.records,
                    "create": step.summary.created,
                    "change": step.summary.changed,
                    "unchanged": step.summary.unchanged,
                    "rejected": step.summary.rejected,
                    "filtered": step.summary.filtered,
                    "since": step.summary.since,
                    "requests": step.requests,
                    "seconds": step.seconds,
                    "rejects": step.samples.iter().map(|reject| serde_json::json!({
                        "place": reject.place.to_string(),
                        "field": reject.field,
                        "value": reject.value,
                        "reason": reject.reason,
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        out_json(
            &serde_json::json!({ "ok": exit == Exit::Settled, "exit": exit as i32, "stopped": summary.stopped, "steps": steps }),
        )?;
        return Ok(exit);
    }
    let mut text = report::summary(&summary, Tense::Planned);
    text.push('\n');
    for step in &planned.steps {
        let records = step.summary.created + step.summary.changed;
        let _ = match (records, step.seconds) {
            (0, _) => writeln!(text, "{}: nothing to send", step.summary.name),
            (_, Some(seconds)) => writeln!(
                text,
                "{}: {}, {}, about {} at the rate limit",
                step.summary.name,
                report::counted(records, "record"),
                report::counted(step.requests, "request"),
                time_to_send(seconds)
            ),
            (_, None) => writeln!(
                text,
                "{}: {}, {}",
                step.summary.name,
                report::counted(records, "record"),
                report::counted(step.requests, "request")
            ),
        };
        for reject in step.samples.iter().take(5) {
            let _ = writeln!(text, "  would reject {}: {}", reject.place, report::what_is_wrong(reject));
        }
        if step.summary.rejected > 5 {
            let _ = writeln!(text, "  … and {} more", report::grouped(step.summary.rejected - 5));
        }
    }
    out(&text);
    Ok(exit)
}
