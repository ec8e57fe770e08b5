//! The loop: wait until a run is due, run, decide when the next one is.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::When;
use crate::clock::Clock;
use crate::pipeline::Stop;

/// Longest sleep before the clock is looked at again: a machine that was suspended, or whose clock was set, is noticed
/// within this.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long after a run that another one kept from its work the next try comes, if none is due before.
const HELD_RETRY: Duration = Duration::from_secs(60);

/// Most missed times that are counted.
const MISSED_MAX: u32 = 10_000;

/// How soon a failed run is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first failure. It doubles with each further one in a row.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    /// A minute, up to an hour.
    fn default() -> Self {
        Self { first: Duration::from_secs(60), longest: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row, from 1.
    fn after(&self, failures: u32) -> Duration {
        let doubled = self.first.checked_mul(1 << failures.saturating_sub(1).min(30));
        doubled.map_or(self.longest, |wait| wait.min(self.longest))
    }
}

/// How runs follow one another.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When they are due.
    pub when: When,
    /// Each begins up to so much later, at random: many machines shall not knock at the API in one moment.
    pub jitter: Duration,
    /// Patience after failures.
    pub backoff: Backoff,
    /// Failures in a row after which it ends; none: never.
    pub failures_max: Option<NonZeroU32>,
    /// The first run begins at once, whatever the schedule says.
    pub at_once: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It came to its end, and what could be sent is settled. Rows may have been rejected.
    Done,
    /// It did not.
    Failed,
    /// Another run holds the ledger, and nothing was done.
    Held,
}

/// Something that happened, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The next run is due then, counted with its jitter.
    Waits {
        /// When it begins.
        until: Timestamp,
        /// Whether that is because of a failure and not by the schedule.
        is_retry: bool,
    },
    /// A run begins.
    Begins,
    /// A run is over.
    Ended {
        /// What it came to.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
        /// Failures in a row, this one included.
        failures: u32,
    },
    /// Times of the schedule passed without a run: the last one took longer, or the machine slept.
    Missed {
        /// How many.
        times: u32,
        /// How long the last run took; none where no run was going on.
        run_took: Option<Duration>,
    },
    /// Times of the schedule are left out, to wait longer after failures.
    HeldBack {
        /// How many.
        times: u32,
    },
    /// The clock was set back.
    ClockWentBack {
        /// By about so much.
        by: SignedDuration,
    },
}

/// Watches a schedule.
pub trait Watcher: Send + Sync {
    /// Hears of it. Must not block.
    fn happened(&self, what: Happened);
}

/// Why a schedule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Somebody asked for it.
    Stopped,
    /// Too many runs in a row failed.
    Failures(NonZeroU32),
    /// The calendar ends.
    NeverAgain,
}

/// Runs `work` by the schedule until it is stopped or fails too often. One run is over before the next begins.
pub async fn run<W>(
    settings: &Settings,
    clock: &dyn Clock,
    stop: &Stop,
    watcher: &dyn Watcher,
    random: &mut fastrand::Rng,
    mut work: W,
) -> End
where
    W: AsyncFnMut() -> Outcome,
{
    let began = clock.now();
    let mut failures = 0;
    let mut due = match settings.at_once || settings.when.begins_at_once() {
        true => Due { at: began, is_retry: false },
        false => match next(settings, random, began, began) {
            Some(at) => Due { at, is_retry: false },
            None => return End::NeverAgain,
        },
    };
    loop {
        if due.at > clock.now() {
            watcher.happened(Happened::Waits { until: due.at, is_retry: due.is_retry });
        }
        match wait(settings, clock, stop, watcher, random, began, due).await {
            Woken::Stopped => return End::Stopped,
            Woken::NeverAgain => return End::NeverAgain,
            Woken::Due(at) => {
                // A machine that slept wakes long after.
                let times = missed(settings, began, at, clock.now());
                if times > 0 {
                    watcher.happened(Happened::Missed { times, run_took: None });
                }
            }
        }
        watcher.happened(Happened::Begins);
        let (started, started_at) = (tokio::time::Instant::now(), clock.now());
        let outcome = work().await;
        let took = started.elapsed();
        match outcome {
            Outcome::Done => failures = 0,
            Outcome::Failed => failures += 1,
            Outcome::Held => {}
        }
        watcher.happened(Happened::Ended { outcome, took, failures });
        if stop.is_raised() {
            return End::Stopped;
        }
        if let Some(most) = settings.failures_max.filter(|most| failures >= most.get()) {
            return End::Failures(most);
        }
        let now = clock.now();
        let times = missed(settings, began, started_at, now);
        if times > 0 {
            watcher.happened(Happened::Missed { times, run_took: Some(took) });
        }
        let Some(next_due) = next(settings, random, began, now) else { return End::NeverAgain };
        due = match outcome {
            Outcome::Done => Due { at: next_due, is_retry: false },
            Outcome::Held => Due::sooner(next_due, now + signed(HELD_RETRY)),
            Outcome::Failed => {
                let earliest = now + signed(settings.backoff.after(failures));
                let times = missed(settings, began, now, earliest);
                if times > 0 {
                    watcher.happened(Happened::HeldBack { times });
                }
                // A nightly run is tried again before the next night; one of every minute waits longer.
                Due { at: earliest, is_retry: true }
            }
        };
    }
}

/// When the next run begins.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Timestamp,
    is_retry: bool,
}

impl Due {
    /// The schedule's time, or a retry before it.
    fn sooner(scheduled: Timestamp, retry: Timestamp) -> Self {
        if retry < scheduled { Self { at: retry, is_retry: true } } else { Self { at: scheduled, is_retry: false } }
    }
}

enum Woken {
    /// It is time; this was the time.
    Due(Timestamp),
    Stopped,
    NeverAgain,
}

/// Waits by the wall clock, which may be set meanwhile.
async fn wait(
    settings: &Settings,
    clock: &dyn Clock,
    stop: &Stop,
    watcher: &dyn Watcher,
    random: &mut fastrand::Rng,
    began: Timestamp,
    mut due: Due,
) -> Woken {
    let mut before = clock.now();
    loop {
        if stop.is_raised() {
            return Woken::Stopped;
        }
        let now = clock.now();
        if now < before {
            watcher.happened(Happened::ClockWentBack { by: before.duration_since(now) });
            // What was due in a future that will not come so soon is due by the new time.
            let Some(scheduled) = next(settings, random, began, now) else { return Woken::NeverAgain };
            let moved = match due.is_retry {
                true => now + signed(settings.backoff.longest),
                false => scheduled,
            };
            if moved < due.at {
                due.at = moved;
                watcher.happened(Happened::Waits { until: due.at, is_retry: due.is_retry });
            }
        }
        before = now;
        if now >= due.at {
            return Woken::Due(due.at);
        }
        let left = Duration::try_from(due.at.duration_since(now)).unwrap_or(LOOK_EVERY);
        tokio::select! {
            biased;
            () = stop.raised() => return Woken::Stopped,
            () = tokio::time::sleep(left.min(LOOK_EVERY)) => {}
        }
    }
}

/// The schedule's next time after `now`, with its jitter.
fn next(settings: &Settings, random: &mut fastrand::Rng, began: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let at = settings.when.next_after(began, now)?;
    let jitter = settings.jitter.mul_f64(random.f64());
    at.checked_add(signed(jitter)).ok()
}

/// Times of the schedule after `since`, up to `now`.
fn missed(settings: &Settings, began: Timestamp, since: Timestamp, now: Timestamp) -> u32 {
    let (mut at, mut times) = (since, 0);
    while times < MISSED_MAX {
        match settings.when.next_after(began, at) {
            Some(next) if next <= now => (at, times) = (next, times + 1),
            Some(_) | None => break,
        }
    }
    times
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
