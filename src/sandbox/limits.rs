//! The published rate limits, and who has used how much of them (contract 6).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::limiter::{Limiter, LimiterKind, WINDOW};
use super::unknowns::RateLimitBy;

/// Mutations per minute on one entity. Contract 6: entity layer.
const ENTITY_PER_MINUTE: u32 = 30;

/// Raw events per second. Contract 6: requests of `reportEvent` are 1000 divided by the batch's size, per second.
const EVENTS_PER_SECOND: u32 = 1000;

/// An operation: its root field, its name in the official clients, and its requests per minute, if they are published.
pub(crate) struct Operation {
    pub root_field: &'static str,
    pub official_name: &'static str,
    pub per_minute: Option<u32>,
}

const fn operation(root_field: &'static str, official_name: &'static str, per_minute: Option<u32>) -> Operation {
    Operation { root_field, official_name, per_minute }
}

/// Every operation of the sandbox, with the newest published limit (contract 6, pages of 2026).
/// `importSubscriptionsBulk` has none: 250 is inferred there from its sibling.
pub(crate) const OPERATIONS: &[Operation] = &[
    operation("importCustomersBulk", "ImportCustomerBulk", Some(250)),
    operation("importSubscriptionsBulk", "ImportSubscriptionsBulk", Some(250)),
    operation("provisionSubscriptionV2", "ProvisionSubscription", Some(250)),
    operation("cancelSubscription", "CancelSubscription", Some(250)),
    operation("archiveCustomer", "ArchiveCustomer", Some(250)),
    operation("reportUsageBulk", "ReportUsageBulk", Some(600)),
    operation("reportUsage", "ReportUsage", Some(3000)),
    // Counted in events, per second.
    operation("reportEvent", "ReportEvent", None),
    operation("subscriptions", "GetSubscriptions", Some(1500)),
    operation("getSubscription", "GetSubscription", Some(3000)),
    operation("getCustomerByRefId", "GetCustomerById", Some(3000)),
    operation("getActiveSubscriptions", "GetActiveSubscriptions", None),
    operation("importIntegrationTasks", "ImportTask", None),
    operation("customers", "Customers", None),
    operation("entitlementsState", "Entitlements", None),
    operation("currentEnvironment", "CurrentEnvironment", None),
    operation("environments", "Environments", None),
    operation("plans", "Plans", None),
    operation("products", "Products", None),
    operation("features", "Features", None),
    operation("addons", "Addons", None),
    operation("customCurrencies", "CustomCurrencies", None),
];

/// The operation of a root field.
pub(crate) fn by_root_field(root_field: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.root_field == root_field)
}

/// The limits in use.
#[derive(Debug)]
pub(crate) struct Limits {
    scale: Option<f64>,
    kind: LimiterKind,
    by: RateLimitBy,
    start: Instant,
    operations: HashMap<(String, &'static str), Limiter>,
    /// Mutations per entity in the present minute since the start.
    entities: HashMap<(String, String), u32>,
    entity_window: u64,
    /// Events of the last second, by key: when and how many.
    events: HashMap<String, VecDeque<(Instant, u32)>>,
}

impl Limits {
    pub fn new(scale: Option<f64>, kind: LimiterKind, by: RateLimitBy, start: Instant) -> Self {
        Self {
            scale,
            kind,
            by,
            start,
            operations: HashMap::new(),
            entities: HashMap::new(),
            entity_window: 0,
            events: HashMap::new(),
        }
    }

    fn scaled(&self, published: u32) -> Option<u32> {
        // At least one request a minute passes; a float that is out of range saturates.
        self.scale.map(|scale| ((f64::from(published) * scale).floor() as u32).max(1))
    }

    /// Takes a request of `key` for one root field, sent under `operation_name`.
    ///
    /// # Errors
    ///
    /// How long until one can pass.
    pub fn take(
        &mut self,
        key: &str,
        root_field: &str,
        operation_name: Option<&str>,
        now: Instant,
    ) -> Result<(), Duration> {
        let by_name = (self.by == RateLimitBy::OperationName)
            .then(|| OPERATIONS.iter().find(|operation| Some(operation.official_name) == operation_name))
            .flatten();
        let Some(operation) = by_name.or_else(|| by_root_field(root_field)) else { return Ok(()) };
        let Some(per_minute) = operation.per_minute.and_then(|published| self.scaled(published)) else {
            return Ok(());
        };
        let kind = self.kind;
        self.operations
            .entry((key.to_owned(), operation.root_field))
            .or_insert_with(|| Limiter::new(kind, per_minute, now))
            .take(self.start, now)
    }

    /// Takes a request of so many events: 1000 in any second, the strictest reading of the limit.
    ///
    /// # Errors
    ///
    /// How long until it can pass.
    pub fn take_events(&mut self, key: &str, events: usize, now: Instant) -> Result<(), Duration> {
        const SECOND: Duration = Duration::from_secs(1);
        let Some(limit) = self.scaled(EVENTS_PER_SECOND) else { return Ok(()) };
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let recent = self.events.entry(key.to_owned()).or_default();
        while recent.front().is_some_and(|(first, _)| now.saturating_duration_since(*first) >= SECOND) {
            recent.pop_front();
        }
        let used: u32 = recent.iter().map(|(_, events)| events).sum();
        // What alone is more than a second's worth passes after a second of rest.
        if used > 0 && used.saturating_add(events) > limit {
            return Err(recent.front().map_or(SECOND, |(first, _)| *first + SECOND - now));
        }
        recent.push_back((now, events));
        Ok(())
    }

    /// Takes one mutation of each entity, or of none.
    ///
    /// # Errors
    ///
    /// How long until all can pass.
    pub fn take_entities(&mut self, key: &str, entities: &[String], now: Instant) -> Result<(), Duration> {
        let Some(limit) = self.scaled(ENTITY_PER_MINUTE) else { return Ok(()) };
        let elapsed = now.saturating_duration_since(self.start);
        let window = elapsed.as_secs() / WINDOW.as_secs();
        if window != self.entity_window {
            self.entities.clear();
            self.entity_window = window;
        }
        let full =
            |entity: &String| self.entities.get(&(key.to_owned(), entity.clone())).is_some_and(|used| *used >= limit);
        if entities.iter().any(full) {
            return Err(WINDOW * u32::try_from(window + 1).unwrap_or(u32::MAX) - elapsed);
        }
        for entity in entities {
            *self.entities.entry((key.to_owned(), entity.clone())).or_insert(0) += 1;
        }
        Ok(())
    }
}
