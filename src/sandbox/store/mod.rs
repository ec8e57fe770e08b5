//! The embedded environment's state. Everything here is synchronous; time comes in as milliseconds since 1970.

pub(crate) mod content;
mod customers;
pub(crate) mod events;
pub(crate) mod page;
pub(crate) mod provision;
mod subscriptions;
pub(crate) mod table;
pub(crate) mod tasks;
pub(crate) mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use self::content::{CustomerContent, SubscriptionContent};
use self::events::{Counted, EventKey};
pub(crate) use self::table::Written;
use self::table::{Row, Table};
use self::tasks::{Pace, Task};
use self::usage::{UsageKey, UsageValue};
use super::catalog::Shelf;
use super::unknowns::Unknowns;

/// What became of the rows of one request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub created: u64,
    pub changed: u64,
    pub same: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl Counts {
    pub fn add(&mut self, written: Written) {
        match written {
            Written::Created => self.created += 1,
            Written::Changed => self.changed += 1,
            Written::Same => self.same += 1,
        }
    }
}

/// The state, and the rules it is kept by.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub shelf: Shelf,
    pub unknowns: Unknowns,
    pub usage_needs_subscription: bool,
    pub pace: Pace,
    /// Customers that have to pay first, whatever is stored of them.
    pub without_payment_method: BTreeSet<String>,
    pub customers: Table<CustomerContent>,
    pub subscriptions: Table<SubscriptionContent>,
    /// Positions of a customer's subscriptions, ascending.
    pub subscriptions_of: HashMap<String, Vec<u32>>,
    /// Current usage, the records of a customer side by side.
    pub usage: BTreeMap<UsageKey, UsageValue>,
    /// Idempotency keys that were seen, with what they were for.
    pub usage_keys_seen: HashSet<(UsageKey, String)>,
    /// Events that were counted.
    pub events: BTreeMap<EventKey, Counted>,
    pub tasks: Vec<Task>,
    /// Positions of tasks that are not done.
    pub tasks_open: Vec<usize>,
    /// What subscription imports did, since they started.
    pub imported: Counts,
    /// Measurements taken, for their ids.
    pub measurements: u64,
}

impl Store {
    /// A customer that is not archived.
    pub fn customer(&self, id: &str) -> Option<&Row<CustomerContent>> {
        self.customers.get(id).filter(|row| !row.content().archived)
    }

    /// The positions of a customer's subscriptions.
    pub fn subscriptions_of(&self, customer_id: &str) -> &[u32] {
        self.subscriptions_of.get(customer_id).map_or(&[], Vec::as_slice)
    }

    /// Whether the customer has a subscription that grants something at `now_ms`. `resource_id`: of that resource, or
    /// with none only those that have none (contract 8).
    pub fn has_active(&self, customer_id: &str, resource_id: Option<&str>, now_ms: i64) -> bool {
        self.subscriptions_of(customer_id).iter().filter_map(|position| self.subscriptions.at(*position)).any(|row| {
            row.content().resource_id.as_deref() == resource_id && row.content().is_active(row.created_ms, now_ms)
        })
    }

    /// A customer's usage by feature; `resource_id`: of that resource, or with none only what has none.
    pub fn usage_of(&self, customer_id: &str, resource_id: Option<&str>) -> Vec<(&str, UsageValue)> {
        let first = UsageKey { customer_id: customer_id.to_owned(), feature_id: String::new(), resource_id: None };
        self.usage
            .range(first..)
            .take_while(|(key, _)| key.customer_id == customer_id)
            .filter(|(key, _)| key.resource_id.as_deref() == resource_id)
            .map(|(key, usage)| (key.feature_id.as_str(), *usage))
            .collect()
    }

    /// Stores a subscription and keeps the customer's list.
    pub fn write_subscription(
        &mut self,
        id: &str,
        content: SubscriptionContent,
        now_ms: i64,
        delay_ms: i64,
    ) -> (u32, Written) {
        let customer_id = content.customer_id.clone();
        let (position, written) = self.subscriptions.write(id, content, now_ms, delay_ms);
        if written == Written::Created {
            self.subscriptions_of.entry(customer_id).or_default().push(position);
        }
        (position, written)
    }
}
