//! The whole state, in a form in which two runs can be compared.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::store::Store;
use super::store::content::{CustomerContent, SubscriptionContent};
use super::store::events::{Counted, EventContent};
use super::store::table::Table;
use super::store::usage::{UsageKey, UsageValue};

/// The state of an environment, keyed by ids, without anything that the server made up: no times of writing, no UUIDs.
/// Two runs that end in the same state have equal snapshots, whatever way they went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshot {
    /// Customers by id.
    pub customers: BTreeMap<String, CustomerContent>,
    /// Subscriptions by id. One that came without an id has one that depends only on its customer, its plan and how
    /// many the customer had.
    pub subscriptions: BTreeMap<String, SubscriptionContent>,
    /// Current usage by customer, feature, and resource (the empty text: none).
    pub usage: BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>,
    /// Raw events, in the order of their keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventContent>,
}

impl Snapshot {
    /// Sum of the current usage of each feature over all customers and resources, exact. A value that needs more than
    /// 28 digits is left out.
    pub fn usage_totals(&self) -> BTreeMap<String, Decimal> {
        let mut totals: BTreeMap<String, Decimal> = BTreeMap::new();
        for (feature, resources) in self.usage.values().flatten() {
            // The shortest text that reads back as the same f64, so integers and short decimals stay exact.
            for value in resources.values().filter_map(|value| value.to_string().parse::<Decimal>().ok()) {
                let total = totals.entry(feature.clone()).or_default();
                *total = total.saturating_add(value);
            }
        }
        totals
    }

    pub(super) fn of(store: &Store) -> Self {
        let mut snapshot = Self {
            customers: store.customers.iter().map(|row| (row.id.to_string(), row.content().clone())).collect(),
            subscriptions: store.subscriptions.iter().map(|row| (row.id.to_string(), row.content().clone())).collect(),
            usage: BTreeMap::new(),
            events: store
                .events
                .iter()
                .map(|(key, event)| EventContent {
                    key: key.clone(),
                    dimensions: event.dimensions.clone(),
                    counted: event.counted,
                })
                .collect(),
        };
        for (key, usage) in &store.usage {
            snapshot
                .usage
                .entry(key.customer_id.clone())
                .or_default()
                .entry(key.feature_id.clone())
                .or_default()
                .insert(key.resource_id.clone().unwrap_or_default(), usage.value);
        }
        snapshot
    }

    /// Replaces the records of `store`; its rules stay.
    pub(super) fn load_into(&self, store: &mut Store, now_ms: i64) {
        (store.customers, store.subscriptions) = (Table::default(), Table::default());
        (store.subscriptions_of, store.usage) = (HashMap::new(), BTreeMap::new());
        store.usage_keys_seen.clear();
        store.tasks.clear();
        store.tasks_open.clear();
        store.events = self
            .events
            .iter()
            .map(|event| {
                let (dimensions, counted) = (event.dimensions.clone(), event.counted);
                (event.key.clone(), Counted { dimensions, counted, last_counted_ms: now_ms })
            })
            .collect();
        for (id, content) in &self.customers {
            store.customers.write(id, content.clone(), now_ms, 0);
        }
        for (id, content) in &self.subscriptions {
            store.write_subscription(id, content.clone(), now_ms, 0);
        }
        for (customer_id, features) in &self.usage {
            for (feature_id, resources) in features {
                for (resource_id, value) in resources {
                    let key = UsageKey {
                        customer_id: customer_id.clone(),
                        feature_id: feature_id.clone(),
                        resource_id: Some(resource_id.clone()).filter(|id| !id.is_empty()),
                    };
                    store.usage.insert(key, UsageValue { value: *value, at_ms: now_ms, applied: 0, changed: 0 });
                }
            }
        }
    }
}
