//! Rate budgets: one per operation. Nothing leaves without a permit.
//!
//! The pace is 0.99 of the published rate with a burst of 1, the one policy that no common limiter refuses (fixed and
//! sliding windows, token buckets of any size).

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::entity_budget::{EntityBudgets, ProvisionPermit};
use super::operation::Operation;
use crate::pacer::Pacer;
pub use crate::pacer::{SHARE_OF_RATE, SharedRate};

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
    entities_limited: bool,
    shared: Option<SharedRate>,
}

impl Default for BudgetSettings {
    /// The published rates, burst 1.
    fn default() -> Self {
        let rates = Operation::ALL
            .map(|operation| NonZeroU32::new(operation.rate().per_minute).map_or(Rate::Unlimited, Rate::PerMinute));
        Self { rates, burst: NonZeroU32::MIN, scale: 1.0, entities_limited: true, shared: None }
    }
}

impl BudgetSettings {
    /// Sets one operation's rate.
    #[must_use]
    pub fn rate(mut self, operation: Operation, rate: Rate) -> Self {
        self.rates[operation.index()] = rate;
        self
    }

    /// No limit for any operation, nor for any entity.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.rates = [Rate::Unlimited; Operation::ALL.len()];
        self.entities_limited = false;
        self
    }

    /// Permits that may be spent at once after a time of rest. Default 1; more shortens small jobs, and some limiters
    /// refuse it.
    #[must_use]
    pub fn burst(mut self, burst: NonZeroU32) -> Self {
        self.burst = burst;
        self
    }

    /// Counts every limited rate over all who share `rate`: several processes that send with one key. The operation's name is
    /// put behind the rate's. Bursts are not for shared rates.
    #[must_use]
    pub fn shared(mut self, rate: SharedRate) -> Self {
        self.shared = Some(rate);
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
    entities: EntityBudgets,
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
                let pacer = match (&settings.shared, per_minute) {
                    (Some(rate), Some(per_minute)) => {
                        let name = format!("{} {}", rate.name, operation.name());
                        Pacer::sharing(per_minute, SharedRate { from: rate.from.clone(), name })
                    }
                    (Some(_) | None, _) => Pacer::new(per_minute, settings.burst),
                };
                Budget { per_minute, pacer }
            }),
            entities: EntityBudgets::new(settings.entities_limited.then_some(settings.scale)),
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
        self.of(operation).pacer.acquire().await;
        Permit { operation }
    }

    /// Waits for the next free moment of a customer (or of its resource), and then of
    /// [`Operation::ProvisionSubscription`]: whoever waits for a busy customer holds back nobody else. Dropping the future
    /// spends nothing.
    pub async fn acquire_provision(&self, customer_id: &str, resource_id: Option<&str>) -> ProvisionPermit {
        let turn = self.entities.turn(customer_id, resource_id).await;
        let operation = self.acquire(Operation::ProvisionSubscription).await;
        turn.spend();
        ProvisionPermit { operation }
    }

    /// Pauses the operation's whole budget for `pause` from now: the API asked for it. Pauses don't add up: the latest
    /// end counts, so that many answers of one moment make one pause.
    pub fn pause(&self, operation: Operation, pause: Duration) {
        self.of(operation).pacer.pause(pause);
    }

    /// Permits spent so far.
    pub fn spent(&self, operation: Operation) -> u64 {
        self.of(operation).pacer.spent()
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

#[derive(Debug)]
struct Budget {
    per_minute: Option<f64>,
    pacer: Pacer,
}

#[cfg(test)]
#[path = "budget_shared_tests.rs"]
mod shared_tests;
#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
