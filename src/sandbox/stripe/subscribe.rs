//! A subscription that Stigg makes in the account.

use super::{StripeAccount, StripeItem, StripeSnapshot, StripeSubscription, lock};

impl StripeAccount {
    /// Adds a subscription, unless its customer is not known here or it is there already. Without items it costs what the
    /// customer's other one does that began at the same time, or else the customer's newest; where there is none, nothing.
    pub(in crate::sandbox) fn subscribe(&self, mut new: StripeSubscription) {
        let mut state = lock(&self.state);
        let is_known = state.customers.iter().any(|customer| customer.id == new.customer)
            || state.subscriptions.iter().any(|other| other.customer == new.customer);
        if !is_known || state.subscriptions.iter().any(|other| other.id == new.id) {
            return;
        }
        if new.items.is_empty() {
            new.items = state.items_like(&new);
        }
        state.subscriptions.push(new);
    }
}

impl StripeSnapshot {
    fn items_like(&self, new: &StripeSubscription) -> Vec<StripeItem> {
        let alive = |other: &&StripeSubscription| {
            other.customer == new.customer && !["canceled", "incomplete_expired"].contains(&&*other.status)
        };
        let others = self.subscriptions.iter().filter(alive);
        let like = others.max_by_key(|other| (other.start_date == new.start_date, other.created));
        like.map_or_else(Vec::new, |other| other.items.clone())
    }
}
