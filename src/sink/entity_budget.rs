//! The second layer of the API's limits: 30 mutations a minute for one customer, or one resource of a customer (rate-limit
//! page, 2026), beside the operation's own rate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::budget::Permit;
use crate::pacer::Pacer;

/// Mutations a minute that the API takes for one entity. Source: rate-limit page, 2026.
pub const MUTATIONS_PER_MINUTE: u32 = 30;

/// Entities that are remembered before those at rest are dropped.
const REMEMBERED: usize = 1024;

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
    per_minute: Option<f64>,
    entities: Mutex<HashMap<String, Entity>>,
}

#[derive(Debug)]
struct Entity {
    pacer: Arc<Pacer>,
    asked_at: Instant,
}

impl EntityBudgets {
    /// At the published rate times `scale`, or without limit.
    pub(super) fn new(scale: Option<f64>) -> Self {
        Self { per_minute: scale.map(|scale| f64::from(MUTATIONS_PER_MINUTE) * scale), entities: Mutex::default() }
    }

    /// Waits for the entity's next free moment, in the order of asking.
    pub(super) async fn acquire(&self, customer_id: &str, resource_id: Option<&str>) {
        let Some(per_minute) = self.per_minute else { return };
        let pacer = self.pacer(customer_id, resource_id, per_minute);
        pacer.acquire().await;
    }

    fn pacer(&self, customer_id: &str, resource_id: Option<&str>, per_minute: f64) -> Arc<Pacer> {
        let key = match resource_id {
            Some(resource_id) => format!("{customer_id}:{resource_id}"),
            None => customer_id.to_owned(),
        };
        let now = Instant::now();
        let mut entities = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
        if entities.len() >= REMEMBERED {
            // Whoever still waits holds the pacer; one that was asked a minute ago is at rest.
            entities.retain(|_, entity| {
                Arc::strong_count(&entity.pacer) > 1 || now - entity.asked_at < Duration::from_secs(60)
            });
        }
        let entity = entities.entry(key).or_insert_with(|| Entity {
            pacer: Arc::new(Pacer::new(Some(per_minute), NonZeroU32::MIN)),
            asked_at: now,
        });
        entity.asked_at = now;
        entity.pacer.clone()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.entities.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{BudgetSettings, Budgets, Operation};

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
        // Two of the operation: 60 s / (250 × 0.99) each, the first of them begun already.
        assert_eq!(other.as_millis(), 480);
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
    async fn entities_at_rest_are_forgotten() {
        let budgets = EntityBudgets::new(Some(1.0));
        for number in 0..REMEMBERED {
            budgets.acquire(&format!("cus-{number}"), None).await;
        }
        assert_eq!(budgets.remembered(), REMEMBERED);
        budgets.acquire("busy", None).await;
        assert_eq!(budgets.remembered(), REMEMBERED + 1, "all of them may still be counted");
        tokio::time::advance(Duration::from_secs(60)).await;
        budgets.acquire("late", None).await;
        assert_eq!(budgets.remembered(), 1);
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
