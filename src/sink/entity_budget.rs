//! The second layer of the API's limits: 30 mutations a minute for one customer, or one resource of a customer (rate-limit
//! page, 2026), beside the operation's own rate.
//!
//! An entity's requests are spaced by the moments at which they may leave, not by those at which they begin to wait for the
//! operation: else those that waited long would leave in a bunch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep_until};

use super::budget::Permit;
use crate::pacer::SHARE_OF_RATE;

/// Mutations a minute that the API takes for one entity. Source: rate-limit page, 2026.
pub const MUTATIONS_PER_MINUTE: u32 = 30;

/// Entities that are remembered before those at rest are dropped.
const REMEMBERED: usize = 1024;

/// How far back a moment may be dated, to make up for a timer that fired late (tokio's has a grain of 1 ms).
const LATENESS: Duration = Duration::from_millis(5);

/// The right to provision one subscription: of its customer (and resource), and of the operation. It can't be made or
/// copied: only [`super::Budgets::acquire_provision`] hands it out.
#[must_use = "a permit that is dropped is spent without a request"]
#[derive(Debug)]
pub struct ProvisionPermit {
    pub(super) operation: Permit,
}

/// A pace for each entity.
#[derive(Debug)]
pub(super) struct EntityBudgets {
    interval: Option<Duration>,
    known: Mutex<Known>,
}

/// The entities that are not at rest, and a few that are.
#[derive(Debug)]
struct Known {
    entities: HashMap<String, Entity>,
    /// How many there may be before those at rest are looked for.
    look_at: usize,
}

/// When its next request may leave. Held while one waits: tokio's mutex is fair, so they go in the order of asking.
type Entity = Arc<tokio::sync::Mutex<Instant>>;

/// An entity's free moment, which nobody else of the entity has until it is spent or dropped.
pub(super) struct Turn(Option<(OwnedMutexGuard<Instant>, Duration)>);

impl Turn {
    /// Its request leaves now.
    pub(super) fn spend(self) {
        if let Some((mut free_at, interval)) = self.0 {
            let now = Instant::now();
            let due = now.checked_sub(LATENESS).map_or(*free_at, |earliest| free_at.max(earliest));
            *free_at = due + interval;
        }
    }
}

impl EntityBudgets {
    /// At the published rate times `scale`, or without limit.
    pub(super) fn new(scale: Option<f64>) -> Self {
        let interval = scale.map(|scale| {
            let per_minute = f64::from(MUTATIONS_PER_MINUTE) * scale * SHARE_OF_RATE;
            Duration::from_secs_f64((60.0 / per_minute).min(3600.0))
        });
        Self { interval, known: Mutex::new(Known { entities: HashMap::new(), look_at: REMEMBERED }) }
    }

    /// Waits for the entity's next free moment, in the order of asking. Dropping the future, or the turn, spends nothing.
    pub(super) async fn turn(&self, customer_id: &str, resource_id: Option<&str>) -> Turn {
        let Some(interval) = self.interval else { return Turn(None) };
        let free_at = self.entity(customer_id, resource_id).lock_owned().await;
        sleep_until(*free_at).await;
        Turn(Some((free_at, interval)))
    }

    fn entity(&self, customer_id: &str, resource_id: Option<&str>) -> Entity {
        let key = match resource_id {
            Some(resource_id) => format!("{customer_id}:{resource_id}"),
            None => customer_id.to_owned(),
        };
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.entities.len() >= known.look_at {
            // Whoever waits holds it; one that nobody holds, and whose moment has come, is as one never seen.
            known.entities.retain(|_, entity| {
                Arc::strong_count(entity) > 1 || entity.try_lock().is_ok_and(|free_at| *free_at > now)
            });
            known.look_at = REMEMBERED.max(known.entities.len() * 2);
        }
        known.entities.entry(key).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(now))).clone()
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).entities.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{BudgetSettings, Budgets, Operation};

    /// The most of these moments that any window of a minute has.
    fn most_in_a_minute(moments: &[Duration]) -> usize {
        let from = |start: Duration| {
            moments.iter().filter(|at| (start..start + Duration::from_secs(60)).contains(*at)).count()
        };
        moments.iter().copied().map(from).max().unwrap_or(0)
    }

    #[tokio::test(start_paused = true)]
    async fn one_customer_takes_two_seconds_for_each_and_holds_back_nobody() {
        let budgets = Budgets::published();
        let began = Instant::now();
        for _ in 0..31 {
            let permit = budgets.acquire_provision("ada", None).await;
            assert_eq!(permit.operation.operation(), Operation::ProvisionSubscription);
        }
        // 30 waits of 60 s / (30 × 0.99).
        assert_eq!(began.elapsed().as_millis(), 60_607);

        let busy = budgets.acquire_provision("ada", None);
        let began = Instant::now();
        let other = async {
            let _permit = budgets.acquire_provision("bob", None).await;
            let _permit = budgets.acquire_provision("ada", Some("site")).await;
            began.elapsed()
        };
        let (_permit, other) = tokio::join!(busy, other);
        // Two of the operation, which makes up for its rest: 0.8 × 60 s / (250 × 0.99) each, the first of them begun already, and
        // 5 ms for a late timer.
        assert_eq!(other.as_millis(), 383);
        assert_eq!(began.elapsed().as_millis(), 2_020);
    }

    #[tokio::test(start_paused = true)]
    async fn different_customers_are_bound_by_the_operation_alone() {
        let budgets = Budgets::published();
        let began = Instant::now();
        for number in 0..=250 {
            let _permit = budgets.acquire_provision(&format!("cus-{number}"), None).await;
        }
        assert_eq!(began.elapsed().as_millis(), 60_607);
    }

    #[tokio::test(start_paused = true)]
    async fn entities_at_rest_are_forgotten_and_no_others() {
        let budgets = Arc::new(EntityBudgets::new(Some(1.0)));
        for number in 0..REMEMBERED - 1 {
            budgets.turn(&format!("cus-{number}"), None).await.spend();
        }
        // The last of them is let through about 81 s after all of them asked.
        let queue: Vec<_> = (0..41)
            .map(|_| {
                let budgets = budgets.clone();
                tokio::spawn(async move { budgets.turn("busy", None).await.spend() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(budgets.remembered(), REMEMBERED);
        budgets.turn("one-more", None).await.spend();
        assert_eq!(budgets.remembered(), REMEMBERED + 1, "none of them is at rest");
        futures::future::join_all(queue).await;
        for number in 0..REMEMBERED {
            budgets.turn(&format!("new-{number}"), None).await.spend();
        }

        let began = Instant::now();
        budgets.turn("busy", None).await.spend();

        assert_eq!(began.elapsed().as_millis(), 2_020);
        tokio::time::advance(Duration::from_secs(3)).await;
        for number in 0..REMEMBERED {
            budgets.turn(&format!("late-{number}"), None).await.spend();
        }
        assert!(budgets.remembered() <= 2 * REMEMBERED, "{}", budgets.remembered());
    }

    #[tokio::test(start_paused = true)]
    async fn sixty_of_one_customer_take_two_minutes_and_no_minute_has_more_than_thirty() {
        let budgets = Budgets::published();
        let began = Instant::now();
        let mut moments = Vec::new();
        for _ in 0..60 {
            let _permit = budgets.acquire_provision("ada", None).await;
            moments.push(began.elapsed());
        }
        // 59 waits of 60 s / (30 × 0.99).
        assert_eq!(began.elapsed().as_millis(), 119_192);
        assert_eq!(most_in_a_minute(&moments), 30);
    }

    /// When each of these permits is given, all of them asked for at once and in this order.
    async fn moments_of(customers: impl Iterator<Item = String>) -> Vec<(String, Duration)> {
        let budgets = Arc::new(Budgets::published());
        let began = Instant::now();
        let asking: Vec<_> = customers
            .map(|customer| {
                let budgets = budgets.clone();
                tokio::spawn(async move {
                    let _permit = budgets.acquire_provision(&customer, None).await;
                    (customer, began.elapsed())
                })
            })
            .collect();
        futures::future::join_all(asking).await.into_iter().map(Result::unwrap).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_customer_with_a_long_queue_holds_back_no_other() {
        let customers = (0..200).map(|n| if n % 2 == 0 { "busy".to_owned() } else { format!("cus-{n}") });

        let moments = moments_of(customers).await;

        let last_of = |busy: bool| {
            let of = moments.iter().filter(|(customer, _)| (customer == "busy") == busy);
            of.map(|(_, at)| at.as_millis()).max()
        };
        // The busy one's first, and then the others at 60 s / (250 × 0.99) each.
        assert_eq!(last_of(false), Some(24_243));
        // The busy one's 98 others after its second at 60 s / (30 × 0.99) each.
        assert_eq!(last_of(true), Some(222_460));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_for_the_operation_does_not_leave_in_a_bunch() {
        let customers = (0..300).map(|n| format!("cus-{n}")).chain((0..90).map(|_| "busy".to_owned()));

        let mut moments = moments_of(customers).await;

        moments.retain(|(customer, _)| customer == "busy");
        moments.sort_by_key(|(_, at)| *at);
        let closest = moments.windows(2).map(|two| two[1].1 - two[0].1).min();
        assert_eq!(closest.map(|gap| gap.as_millis()), Some(2_016));
        assert_eq!(moments.len(), 90);
        let times: Vec<_> = moments.into_iter().map(|(_, at)| at).collect();
        assert_eq!(most_in_a_minute(&times), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_while_waiting_for_a_customer_spends_nothing_of_the_operation() {
        let budgets = Budgets::published();
        let _permit = budgets.acquire_provision("ada", None).await;

        let second = tokio::time::timeout(Duration::from_secs(1), budgets.acquire_provision("ada", None)).await;

        assert!(second.is_err());
        assert_eq!(budgets.spent(Operation::ProvisionSubscription), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_no_limit_and_a_scale_counts_here_too() {
        for (settings, expected_ms) in
            [(BudgetSettings::default().unlimited(), 0), (BudgetSettings::default().scale(10.0), 2_021)]
        {
            let budgets = Budgets::new(&settings);
            let began = Instant::now();
            for _ in 0..11 {
                let _permit = budgets.acquire_provision("ada", None).await;
            }
            assert_eq!(began.elapsed().as_millis(), expected_ms);
        }
    }
}
