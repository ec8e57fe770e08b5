//! Rate budgets: one per operation. Nothing leaves without a permit.
//!
//! The pace is 0.99 of the published rate with a burst of 1, the one policy that no common limiter refuses (fixed and
//! sliding windows, token buckets of any size). A waiter sleeps to the exact instant; the calculation is governor's
//! GCRA on a clock of our own, so that tests which pause tokio's time own this one too.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::Quota;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use tokio::time::{Instant, sleep_until};

use super::operation::Operation;

/// The part of a published rate that is used. One request in a hundred is the room for answers that travel faster
/// than others, so that requests which left evenly arrive bunched.
pub const SHARE_OF_RATE: f64 = 0.99;

/// How far back a permit may be dated, to make up for a timer that fired late (tokio's has a grain of 1 ms).
const LATENESS: Duration = Duration::from_millis(5);

/// The rate of an operation's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Requests a minute that the API takes; [`SHARE_OF_RATE`] of them are used.
    PerMinute(NonZeroU32),
    /// No limit.
    Unlimited,
}

/// How budgets are made: the published rates, and what the user says otherwise.
#[derive(Debug, Clone)]
pub struct BudgetSettings {
    rates: [Rate; Operation::ALL.len()],
    burst: NonZeroU32,
    scale: f64,
}

impl Default for BudgetSettings {
    /// The published rates, burst 1.
    fn default() -> Self {
        let rates = Operation::ALL
            .map(|operation| NonZeroU32::new(operation.rate().per_minute).map_or(Rate::Unlimited, Rate::PerMinute));
        Self { rates, burst: NonZeroU32::MIN, scale: 1.0 }
    }
}

impl BudgetSettings {
    /// Sets one operation's rate.
    #[must_use]
    pub fn rate(mut self, operation: Operation, rate: Rate) -> Self {
        self.rates[operation.index()] = rate;
        self
    }

    /// No limit for any operation.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.rates = [Rate::Unlimited; Operation::ALL.len()];
        self
    }

    /// Permits that may be spent at once after a time of rest. Default 1; more shortens small jobs, and some limiters
    /// refuse it.
    #[must_use]
    pub fn burst(mut self, burst: NonZeroU32) -> Self {
        self.burst = burst;
        self
    }

    /// Multiplies every rate, for a target that is faster or slower than the vendor's. Default 1. Values that are not
    /// finite and above zero are taken for 1.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = if scale.is_finite() && scale > 0.0 { scale } else { 1.0 };
        self
    }
}

/// The right to send one request of one operation. It can't be made or copied: only [`Budgets::acquire`] hands it out.
#[must_use = "a permit that is dropped is spent without a request"]
#[derive(Debug)]
pub struct Permit {
    operation: Operation,
}

impl Permit {
    /// What it permits.
    pub fn operation(&self) -> Operation {
        self.operation
    }
}

/// A moment from which a budget's share is counted ([`Budgets::share`]).
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    operation: Operation,
    at: Instant,
    spent: u64,
}

/// Rate budgets, one per operation. Shared by everything that sends with one key.
#[derive(Debug)]
pub struct Budgets {
    budgets: [Budget; Operation::ALL.len()],
}

impl Budgets {
    /// Budgets by `settings`.
    pub fn new(settings: &BudgetSettings) -> Self {
        Self {
            budgets: Operation::ALL.map(|operation| {
                let per_minute = match settings.rates[operation.index()] {
                    Rate::PerMinute(rate) => Some(f64::from(rate.get()) * settings.scale),
                    Rate::Unlimited => None,
                };
                Budget::new(per_minute, settings.burst)
            }),
        }
    }

    /// The published rates.
    pub fn published() -> Self {
        Self::new(&BudgetSettings::default())
    }

    /// No limits, for a target of one's own.
    pub fn unlimited() -> Self {
        Self::new(&BudgetSettings::default().unlimited())
    }

    /// Waits for the operation's next free moment, in order of asking. Dropping the future spends nothing.
    pub async fn acquire(&self, operation: Operation) -> Permit {
        self.of(operation).acquire().await;
        Permit { operation }
    }

    /// Pauses the operation's whole budget for `pause` from now: the API asked for it. Pauses don't add up: the latest
    /// end counts, so that many answers of one moment make one pause.
    pub fn pause(&self, operation: Operation, pause: Duration) {
        self.of(operation).pause(pause);
    }

    /// Permits spent so far.
    pub fn spent(&self, operation: Operation) -> u64 {
        self.of(operation).spent.load(Ordering::Relaxed)
    }

    /// Requests a minute that the budget is counted against, or `None` without limit.
    pub fn per_minute(&self, operation: Operation) -> Option<f64> {
        self.of(operation).per_minute
    }

    /// The present moment of an operation, to count a share from.
    pub fn mark(&self, operation: Operation) -> Mark {
        Mark { operation, at: Instant::now(), spent: self.spent(operation) }
    }

    /// The part of the published budget that was used since `mark`, 0 to about 1; `None` without limit.
    ///
    /// The first request takes no waiting, so the time is counted as if it had: a run of one request used its share.
    pub fn share(&self, mark: &Mark) -> Option<f64> {
        let per_minute = self.of(mark.operation).per_minute?;
        let spent = (self.spent(mark.operation) - mark.spent) as f64;
        let minutes = mark.at.elapsed().as_secs_f64() / 60.0;
        Some(spent / (minutes * per_minute).max(1.0))
    }

    fn of(&self, operation: Operation) -> &Budget {
        &self.budgets[operation.index()]
    }
}

type Limiter = governor::RateLimiter<NotKeyed, InMemoryState, PacingClock, NoOpMiddleware<Nanos>>;

#[derive(Debug)]
struct Budget {
    per_minute: Option<f64>,
    pacer: Option<Pacer>,
    paused_until: Mutex<Option<Instant>>,
    spent: AtomicU64,
}

struct Pacer {
    limiter: Limiter,
    clock: PacingClock,
    origin: Instant,
    /// Held while waiting: tokio's mutex is fair, so permits go out in the order of asking.
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Pacer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pacer")
    }
}

impl Budget {
    fn new(per_minute: Option<f64>, burst: NonZeroU32) -> Self {
        let pacer = per_minute.and_then(|per_minute| {
            let interval = Duration::from_secs_f64((60.0 / (per_minute * SHARE_OF_RATE)).min(3600.0));
            // No quota has an interval of nothing: more than a request each nanosecond is no limit.
            let quota = Quota::with_period(interval)?.allow_burst(burst);
            let clock = PacingClock::default();
            let limiter = Limiter::direct_with_clock(quota, clock.clone());
            Some(Pacer { limiter, clock, origin: Instant::now(), turn: tokio::sync::Mutex::new(()) })
        });
        Self { per_minute, pacer, paused_until: Mutex::new(None), spent: AtomicU64::new(0) }
    }

    async fn acquire(&self) {
        match &self.pacer {
            Some(pacer) => {
                let _turn = pacer.turn.lock().await;
                loop {
                    self.pause_over().await;
                    let Err(next) = pacer.check() else { break };
                    // A pause may begin while this sleeps: it is looked for again.
                    sleep_until(next).await;
                }
            }
            None => self.pause_over().await,
        }
        self.spent.fetch_add(1, Ordering::Relaxed);
    }

    fn pause(&self, pause: Duration) {
        let Some(until) = Instant::now().checked_add(pause) else { return };
        let mut paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused_until = Some(paused_until.map_or(until, |earlier| earlier.max(until)));
    }

    async fn pause_over(&self) {
        loop {
            let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            match paused_until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }
}

impl Pacer {
    /// Takes the next moment, or says when it is.
    fn check(&self) -> Result<(), Instant> {
        // Governor would count the next interval from the moment of waking, and lose each time what the timer was
        // late. So it is asked for a little earlier, and if the moment has come since, for the moment itself.
        let now = Instant::now().duration_since(self.origin);
        self.clock.set(now.saturating_sub(LATENESS));
        let Err(early) = self.limiter.check() else { return Ok(()) };
        let due = Duration::from_nanos(early.earliest_possible().as_u64());
        if due > now {
            return Err(self.origin + due);
        }
        self.clock.set(due);
        self.limiter.check().map_err(|later| self.origin + Duration::from_nanos(later.earliest_possible().as_u64()))
    }
}

/// The moment for which governor is asked, in nanoseconds since the pacer was made.
#[derive(Debug, Clone, Default)]
struct PacingClock(Arc<AtomicU64>);

impl PacingClock {
    fn set(&self, since_origin: Duration) {
        // 584 years of nanoseconds fit.
        self.0.store(u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for PacingClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
