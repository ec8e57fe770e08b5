//! What the sandbox saw: requests, refusals, rows, and how often each record was written.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use tokio::time::Instant;

use super::limiter::WINDOW;
use super::store::{Counts, Store};

/// What the sandbox saw since it started. Loading a snapshot keeps the operations and forgets the records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// HTTP requests, also those that no operation was found in.
    pub requests: u64,
    /// By root field.
    pub operations: BTreeMap<String, OperationStats>,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Writes by record: `customer:ID`, `subscription:ID`, `usage:CUSTOMER/FEATURE` or `usage:CUSTOMER/FEATURE/RESOURCE`.
    pub keys: BTreeMap<String, KeyStats>,
    /// Records whose second or later write brought other content.
    pub keys_changed: u64,
    /// Subscription imports that are not done.
    pub tasks_open: u64,
}

/// What the sandbox saw of one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OperationStats {
    /// Requests, refused ones too.
    pub requests: u64,
    /// Refused by a rate limit, of the operation or of an entity.
    pub rate_limited: u64,
    /// Answered with an error, rate limits not counted.
    pub refused: u64,
    /// Most requests in any 60 seconds, refused ones too.
    pub requests_per_minute_max: u64,
    /// Rows that came.
    pub rows_received: u64,
    /// Rows that were written: new ones, changed ones, and those that were the same.
    pub rows_applied: u64,
    /// Of those, rows that changed something that was there.
    pub rows_changed: u64,
    /// Of those, rows that were there already as they are.
    pub rows_same: u64,
    /// Rows that a skip rule or an idempotency key left out, silently.
    pub rows_skipped: u64,
    /// Rows that were refused, when rows were looked at singly.
    pub rows_failed: u64,
}

/// How often a record was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KeyStats {
    /// Writes.
    pub applied: u32,
    /// Writes after the first that changed it.
    pub changed: u32,
}

/// Counts as requests come.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub requests: u64,
    pub faults: BTreeMap<&'static str, u64>,
    operations: BTreeMap<&'static str, (OperationStats, VecDeque<Instant>)>,
}

impl Counters {
    /// Counts a request of an operation.
    pub fn request(&mut self, root_field: &'static str, now: Instant) {
        let (stats, recent) = self.operations.entry(root_field).or_default();
        stats.requests += 1;
        while recent.front().is_some_and(|first| now.saturating_duration_since(*first) >= WINDOW) {
            recent.pop_front();
        }
        recent.push_back(now);
        stats.requests_per_minute_max = stats.requests_per_minute_max.max(recent.len() as u64);
    }

    /// The counts of an operation.
    pub fn of(&mut self, root_field: &'static str) -> &mut OperationStats {
        &mut self.operations.entry(root_field).or_default().0
    }

    /// Adds what became of the rows of a request.
    pub fn rows(&mut self, root_field: &'static str, received: usize, counts: Counts) {
        let stats = self.of(root_field);
        stats.rows_received += received as u64;
        add(stats, counts);
    }

    /// The report, with the records of `store`.
    pub fn report(&self, store: &Store) -> Stats {
        let mut stats = Stats {
            requests: self.requests,
            operations: self.operations.iter().map(|(name, (stats, _))| ((*name).to_owned(), stats.clone())).collect(),
            faults: self.faults.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            keys: BTreeMap::new(),
            keys_changed: 0,
            tasks_open: store.tasks_open.len() as u64,
        };
        // Subscriptions are written in the background, so the store counts them.
        if let Some(import) = stats.operations.get_mut("importSubscriptionsBulk") {
            add(import, store.imported);
        }
        let customers = store.customers.iter().map(|row| (format!("customer:{}", row.id), row.applied, row.changed));
        let subscriptions =
            store.subscriptions.iter().map(|row| (format!("subscription:{}", row.id), row.applied, row.changed));
        let usage = store.usage.iter().map(|(key, usage)| {
            let mut name = format!("usage:{}/{}", key.customer_id, key.feature_id);
            if let Some(resource_id) = &key.resource_id {
                name.push('/');
                name.push_str(resource_id);
            }
            (name, usage.applied, usage.changed)
        });
        stats.keys = customers
            .chain(subscriptions)
            .chain(usage)
            .map(|(name, applied, changed)| (name, KeyStats { applied, changed }))
            .collect();
        stats.keys_changed = stats.keys.values().filter(|key| key.changed > 0).count() as u64;
        stats
    }
}

fn add(stats: &mut OperationStats, counts: Counts) {
    stats.rows_applied += counts.created + counts.changed + counts.same;
    stats.rows_changed += counts.changed;
    stats.rows_same += counts.same;
    stats.rows_skipped += counts.skipped;
    stats.rows_failed += counts.failed;
}
