//! What a schedule says: a log line for each thing that happens.

use std::net::SocketAddr;
use std::sync::Arc;

use super::once::{Round, Run};
use crate::cli::args::Talk;
use crate::cli::ending::hint;
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::{counted, duration, grouped};
use crate::cli::{out, say};
use crate::pipeline::Summary;
use crate::schedule::{Happened, Metrics, Outcome, Watcher, When};

/// Tells of a schedule, and counts.
pub(super) struct Teller {
    when: When,
    metrics: Arc<Metrics>,
    json: bool,
}

impl Teller {
    pub(super) fn new(when: &When, metrics: Arc<Metrics>, talk: &Talk) -> Self {
        Self { when: when.clone(), metrics, json: talk.json() }
    }

    /// Says what is about to happen again and again.
    pub(super) fn begins(&self, run: &Run<'_>, metrics: Option<SocketAddr>) {
        let what = run.args.input.pipeline.as_ref().or(run.args.input.mapped.mapping.as_ref());
        let what = what.map(|path| path.display().to_string()).unwrap_or_default();
        match metrics {
            Some(address) => tracing::info!("syncs {what} {}; metrics are at http://{address}/metrics", self.when),
            None => tracing::info!("syncs {what} {}", self.when),
        }
    }

    /// Says how a run went, and prints its account.
    pub(super) fn round(&self, round: &Round) {
        match &round.ended {
            Ok(done) => {
                let summary = &done.finished.summary;
                let (run, exit) = (summary.run, done.exit as u8);
                let took = duration(round.took.as_secs_f64());
                let text = format!("run {run} {} in {took}: {}", state(round), account(summary));
                match round.outcome {
                    Outcome::Failed => tracing::error!(run, exit, failures = round.failures, "{text}"),
                    Outcome::Done | Outcome::Held => tracing::info!(run, exit, "{text}"),
                }
                if let Some(stopped) = &done.finished.stopped {
                    tracing::error!(run, "the run stopped early: {stopped}");
                }
                // What to do about other endings a schedule does by itself.
                if done.exit == Exit::Rejects
                    && let Some(hint) = hint(done.exit, &done.finished, &done.ledger)
                {
                    tracing::info!(run, "{hint}");
                }
                if self.json {
                    out(&format!("{}\n", serde_json::to_string(summary).unwrap_or_default()));
                }
            }
            Err(failure) => self.failed(failure, round),
        }
    }

    fn failed(&self, failure: &Failure, round: &Round) {
        match round.outcome {
            // Somebody else does the work.
            Outcome::Held => tracing::warn!("no run: {}", failure.message),
            Outcome::Done | Outcome::Failed => say(&failure.to_string()),
        }
        if self.json {
            out(&format!("{}\n", failure.to_json()));
        }
    }
}

impl Watcher for Teller {
    fn happened(&self, what: Happened) {
        self.metrics.happened(what);
        let Some(text) = told(what, &self.when) else { return };
        match what {
            Happened::Waits { .. } => tracing::info!("{text}"),
            Happened::Begins | Happened::Ended { .. } => tracing::debug!("{text}"),
            Happened::Missed { .. } | Happened::HeldBack { .. } | Happened::ClockWentBack { .. } => {
                tracing::warn!("{text}");
            }
        }
    }
}

/// What is said of it; nothing of the end of a run, which has an account.
fn told(what: Happened, when: &When) -> Option<String> {
    Some(match what {
        Happened::Waits { until, is_retry: false } => format!("next run at {}", when.shown(until)),
        Happened::Waits { until, is_retry: true } => format!("next try at {}", when.shown(until)),
        Happened::Begins => "a run begins".to_owned(),
        Happened::Ended { .. } => return None,
        Happened::Missed { times, run_took: Some(took) } => format!(
            "the run took {}, longer than the time between two starts: {} left out",
            duration(took.as_secs_f64()),
            counted(times.into(), "start")
        ),
        Happened::Missed { times, run_took: None } => {
            format!("{} passed while this machine slept; one run stands for all", counted(times.into(), "start"))
        }
        Happened::HeldBack { times } => {
            format!("{} left out, to wait longer after failures", counted(times.into(), "start"))
        }
        Happened::ClockWentBack { by } => format!("the clock was set back by {by:#}"),
    })
}

fn state(round: &Round) -> &'static str {
    match round.outcome {
        Outcome::Done => "is done",
        Outcome::Failed => "failed",
        Outcome::Held => "did nothing",
    }
}

/// The account in a line.
fn account(summary: &Summary) -> String {
    let mut text = counted(summary.total(|step| step.records), "record");
    for (word, count) in [
        ("accepted", summary.total(|step| step.accepted)),
        ("unchanged", summary.total(|step| step.unchanged)),
        ("filtered", summary.total(|step| step.filtered)),
        ("rejected", summary.total(|step| step.rejected)),
        ("refused", summary.total(|step| step.failed)),
        ("open", summary.total(|step| step.open)),
    ] {
        if count > 0 {
            text.push_str(&format!(", {} {word}", grouped(count)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn what_happens_between_runs_is_told_in_a_line_each() {
        let when = When::cron("30 2 * * *", jiff::tz::TimeZone::UTC).unwrap();
        let until = "2026-03-01T02:30:00Z".parse().unwrap();
        let took = Duration::from_secs(7500);
        let all = [
            Happened::Waits { until, is_retry: false },
            Happened::Waits { until, is_retry: true },
            Happened::Begins,
            Happened::Missed { times: 2, run_took: Some(took) },
            Happened::Missed { times: 1, run_took: None },
            Happened::HeldBack { times: 3 },
            Happened::ClockWentBack { by: SignedDuration::from_secs(3600) },
        ];
        let told: Vec<String> = all.into_iter().filter_map(|what| told(what, &when)).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        next run at 2026-03-01 02:30:00 UTC
        next try at 2026-03-01 02:30:00 UTC
        a run begins
        the run took 2 h 5 min, longer than the time between two starts: 2 starts left out
        1 start passed while this machine slept; one run stands for all
        3 starts left out, to wait longer after failures
        the clock was set back by 1h
        ");
    }
}
