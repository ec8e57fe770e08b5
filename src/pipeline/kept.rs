//! Records that the API kept as it has them, because it has newer ones than the source: that is what `updatedAt` is for.
//!
//! The API says nothing of it. A subscription is read back anyway; customers are where all of a request's can be read back at
//! once, as those of a nightly sync can. How many a first import of thousands left out, `verify` tells.

use std::collections::HashMap;

use super::compare;
use super::deliver::Delivery;
use crate::batch::{Batch, Outcome};
use crate::entity::Entity;
use crate::sink::READ_IDS_MAX;

impl Delivery {
    /// Counts the customers of a batch that the API has newer.
    pub(super) async fn look_for_kept(&self, batch: &Batch, outcomes: &[Outcome]) {
        if self.scope.entity != Entity::Customer {
            return;
        }
        let accepted = batch.items.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Accepted);
        let dated: Vec<_> = accepted
            .filter_map(|(item, _)| {
                Some((batch.key_of(item), batch.json_of(item), compare::updated_at(batch.json_of(item))?))
            })
            .collect();
        if dated.is_empty() {
            return;
        }
        let progress = &self.reading.progress;
        let ids: Vec<&str> = dated.iter().map(|(id, ..)| *id).collect();
        let found = if ids.len() <= READ_IDS_MAX { self.reading.customers(&ids).await.ok() } else { None };
        let Some(found) = found else { return progress.kept_untold.add(ids.len() as u64) };
        let found: HashMap<&str, _> = found.iter().map(|customer| (customer.customer_id.as_str(), customer)).collect();
        let kept = dated.iter().filter(|(id, json, sent_at)| {
            found.get(id).is_some_and(|customer| {
                customer.updated_at.is_some_and(|at| at > *sent_at) && !compare::customer(json, customer).is_empty()
            })
        });
        progress.kept.add(kept.count() as u64);
        progress.dated.add(ids.len() as u64);
    }
}
