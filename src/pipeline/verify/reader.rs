//! Reads back what the API has of a batch, and compares.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;

use super::EVENTS_UNREADABLE;
use crate::batch::Batch;
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::pipeline::compare::{self, Difference};
use crate::pipeline::reading::Reading;
use crate::pipeline::stop::Stopped;
use crate::sink::{Disposition, SinkError};

/// What the API has of each record of a page: nothing, or what differs.
pub(in crate::pipeline) type Read = Result<Vec<Option<Vec<Difference>>>, String>;

/// Reads back what the API has of a batch.
#[derive(Clone, Copy)]
pub(in crate::pipeline) struct Reader<'a> {
    pub reading: &'a Reading,
    /// Whether a subscription should be active depends on it.
    pub now: Timestamp,
}

impl Reader<'_> {
    pub(in crate::pipeline) async fn read(self, batch: Batch) -> (Batch, Read) {
        let read = match batch.entity {
            Entity::Customer => self.customers(&batch).await,
            Entity::Subscription => self.subscriptions(&batch).await,
            Entity::Usage => self.usage(&batch).await,
            Entity::Event => return (batch, Err(EVENTS_UNREADABLE.to_owned())),
        };
        let read = read.map_err(|error| {
            if let Disposition::Stop(crate::sink::Stop::Credentials) = error.disposition() {
                self.reading.stop.raise(Stopped::CredentialsRefused(error.with_causes()));
            }
            error.with_causes()
        });
        (batch, read)
    }

    async fn customers(&self, batch: &Batch) -> Result<Vec<Option<Vec<Difference>>>, SinkError> {
        let ids: Vec<&str> = batch.items.iter().map(|item| batch.key_of(item)).collect();
        let found = self.reading.customers(&ids).await?;
        let found: HashMap<&str, _> = found.iter().map(|customer| (customer.customer_id.as_str(), customer)).collect();
        let compared = |item| found.get(batch.key_of(item)).map(|found| compare::customer(batch.json_of(item), found));
        Ok(batch.items.iter().map(compared).collect())
    }

    async fn subscriptions(&self, batch: &Batch) -> Result<Vec<Option<Vec<Difference>>>, SinkError> {
        let ids: Vec<&str> = batch.items.iter().map(|item| batch.key_of(item)).collect();
        let found = self.reading.subscriptions(&ids).await?;
        let found: HashMap<&str, _> = found.iter().map(|one| (one.subscription_id.as_str(), one)).collect();
        let compared = |item| {
            found.get(batch.key_of(item)).map(|found| {
                let mut differences = compare::subscription(batch.json_of(item), found);
                differences.extend(compare::status(batch.json_of(item), found, self.now));
                differences
            })
        };
        Ok(batch.items.iter().map(compared).collect())
    }

    /// One request for each customer and resource of the page.
    async fn usage(&self, batch: &Batch) -> Result<Vec<Option<Vec<Difference>>>, SinkError> {
        let mut known: HashMap<(&str, &str), HashMap<String, Option<f64>>> = HashMap::new();
        let mut compared = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            let mut parts = batch.key_of(item).split(KEY_SEPARATOR);
            let (customer, feature) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let resource = parts.next().unwrap_or_default();
            let features = match known.entry((customer, resource)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let named = (!resource.is_empty()).then_some(resource);
                    let read = match self.reading.usage(customer, named).await {
                        Ok(read) => read,
                        // The API refuses to say anything of a customer that it does not have.
                        Err(error) if matches!(error.disposition(), Disposition::Split) => Vec::new(),
                        Err(error) => return Err(error),
                    };
                    entry.insert(read.into_iter().map(|usage| (usage.feature_id, usage.current_usage)).collect())
                }
            };
            compared.push(features.get(feature).map(|found| compare::usage(batch.json_of(item), *found)));
        }
        Ok(compared)
    }
}
