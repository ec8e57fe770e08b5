//! `sync`: runs a pipeline again and again, one run at a time.

mod news;
mod once;
pub(super) mod one_arena;
mod teller;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(super) use self::words::{EXAMPLES, LONG_ABOUT, Sync};

use self::once::{Round, Run};
use self::teller::Teller;
use super::args::Talk;
use super::exit::{Exit, Failure};
use super::setup;
use crate::clock::{Clock, SystemClock};
use crate::pipeline::Stop;
use crate::schedule::{self, End, Metrics, Watcher};

/// Runs until it is told to stop, fails too often, or has run once.
pub(super) async fn main(args: Sync, talk: &Talk) -> Result<Exit, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Metrics::new(clock.clone());
    let stop = Arc::new(Stop::default());
    let mut run = Run { args: &args, talk, metrics: metrics.clone(), stop: stop.clone(), has_webhook: false };
    // Somebody who has just typed the command is told at once of what does not hold.
    run.has_webhook = run.holds()?;
    setup::watch_signals(stop.clone(), talk.quiet);
    let served = CancellationToken::new();
    let metrics_at = match args.metrics {
        Some(address) => Some(serve(address, metrics.clone(), served.clone()).await?),
        None => None,
    };
    let _ends_with_us = served.drop_guard();
    let Some(settings) = args.settings()? else {
        let round = run.round(0).await;
        metrics.happened(schedule::Happened::Ended {
            outcome: round.outcome,
            took: round.took,
            failures: u32::from(round.outcome == schedule::Outcome::Failed),
        });
        return round.ends_with();
    };
    let teller = Teller::new(&settings.when, metrics.clone(), talk);
    teller.begins(&run, metrics_at);
    let mut last: Option<Round> = None;
    let mut failures = 0;
    let mut random = fastrand::Rng::new();
    let work = async || {
        let round = run.round(failures).await;
        failures = round.failures;
        teller.round(&round);
        let outcome = round.outcome;
        last = Some(round);
        outcome
    };
    let end = schedule::run(&settings, &*clock, &stop, &teller, &mut random, work).await;
    let last_exit = last.map_or(Exit::Settled, |round| round.exit());
    match end {
        End::Stopped => Ok(match last_exit {
            // Rows that do not fit are told by each run, and what another does is its own matter: no reason why this one did
            // not stop well.
            Exit::Rejects | Exit::Held => Exit::Settled,
            exit => exit,
        }),
        End::Failures(number) => {
            let (what, who) = match number.get() {
                1 => ("the run failed".to_owned(), "it"),
                number => (format!("{number} runs in a row failed"), "each of them"),
            };
            Err(Failure::new(last_exit, what).hint(format!(
                "what {who} said is above; start it again when that is mended: it goes on where it stopped"
            )))
        }
        End::NeverAgain => Ok(last_exit),
    }
}

/// Begins to answer on `address`, until `over`. Returns the address with its port, which may be asked for as 0: any.
async fn serve(address: SocketAddr, metrics: Arc<Metrics>, over: CancellationToken) -> Result<SocketAddr, Failure> {
    let failed = |error: std::io::Error| {
        Failure::because(Exit::Config, format!("can't serve metrics on {address}"), &error)
            .hint("give --metrics an address of this machine whose port is free; nothing was sent")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tokio::spawn(async move {
        if let Err(error) = schedule::serve(listener, metrics, over.cancelled_owned()).await {
            tracing::warn!("{}", no_longer_served(&error));
        }
    });
    Ok(bound)
}

fn no_longer_served(error: &std::io::Error) -> String {
    format!(
        "metrics are no longer served: {error}; the runs go on: stop this command and start it again to have metrics back"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_end_are_told_with_what_goes_on_and_what_to_do() {
        let error = std::io::Error::other("Too many open files (os error 24)");
        insta::assert_snapshot!(no_longer_served(&error), @"
        metrics are no longer served: Too many open files (os error 24); the runs go on: stop this command and start it again to have metrics back
        ");
    }
}
