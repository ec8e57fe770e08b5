//! Reads back what the API has and compares it, record by record, with what the source says now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;

use super::compare::{self, Difference};
use super::diff::Diff;
use super::handover::handover;
use super::prepare::Preparation;
use super::reading::Reading;
use super::retry::RetryPolicy;
use super::step::OpenStep;
use super::stop::{Stop, Stopped};
use super::summary::Progress;
use crate::batch::{Batch, BatchLimits, Builder};
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::ledger::{Index, Ledger, LedgerError, Scope};
use crate::mapping::{Mapper, SpillSettings};
use crate::record::KeyHash;
use crate::sink::{Budgets, Disposition, READ_IDS_MAX, Sink, SinkError};

/// Most pages that are read at once.
pub(super) const PAGES_IN_FLIGHT_MAX: usize = 8;
/// Most differences that are kept with their values.
const SAMPLES_MAX: usize = 100;

/// Why events can't be verified.
const EVENTS_UNREADABLE: &str =
    "the API does not answer single events; look at the usage of the features that they feed";

fn unreadable(entity: Entity) -> Option<&'static str> {
    match entity {
        Entity::Customer | Entity::Subscription | Entity::Usage => None,
        Entity::Event => Some(EVENTS_UNREADABLE),
    }
}

/// What verifying one step found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifiedStep {
    /// The step.
    pub name: String,
    /// What it imports.
    pub entity: &'static str,
    /// Records of the source that should be in Stigg: those that were neither filtered nor rejected.
    pub expected: u64,
    /// Records that are there as the source has them.
    pub equal: u64,
    /// Records that are there with other content.
    pub different: u64,
    /// Records that are not there.
    pub missing: u64,
    /// Records that could not be read back.
    pub unread: u64,
    /// Why none of them can be read back; none where they can. They are `unread` then, and that is no failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<&'static str>,
    /// Rows and records of the source that don't fit the mapping.
    pub rejected: u64,
    /// Ids of records that the ledger knows, that Stigg has, and that no row of the source makes any more. None where
    /// nobody asked, and where it can't be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<Vec<String>>,
    /// Why that can't be told, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone_untold: Option<String>,
    /// The first records that are not equal.
    pub samples: Vec<Unequal>,
}

/// A record that is not in Stigg as the source has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unequal {
    /// Its key.
    pub key: String,
    /// Where the source has it.
    pub place: String,
    /// What differs; empty where the record is missing.
    pub differences: Vec<Difference>,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The steps, in order.
    pub steps: Vec<VerifiedStep>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// Verifies every step. Reading takes permits of the read operations' budgets.
///
/// A source that says one key twice is compared with its first record, as in a run. With `known`, a ledger and the
/// target's name in it, every id that the API has is listed, to find the records that are gone from the source.
///
/// # Errors
///
/// The ledger can't be read.
pub async fn verify(
    steps: Vec<OpenStep>,
    sink: Arc<dyn Sink>,
    budgets: Arc<Budgets>,
    retry: RetryPolicy,
    spill_dir: PathBuf,
    stop: Arc<Stop>,
    known: Option<(&dyn Ledger, &str)>,
) -> Result<Verified, LedgerError> {
    let mut verified = Vec::new();
    let entities: Vec<_> = steps.iter().map(|step| step.entity).collect();
    for step in steps {
        if stop.is_raised() {
            break;
        }
        let (name, entity) = (step.name.clone(), step.entity);
        let is_whole = step.is_whole;
        let is_alone = entities.iter().filter(|other| **other == entity).count() == 1;
        let index = match known {
            Some((ledger, target)) if unreadable(entity).is_none() => {
                let mut index = ledger.load_index(&Scope { target: target.to_owned(), entity }).await?;
                // All that the source has is compared, whatever was delivered.
                index.doubt_all();
                index
            }
            Some(_) | None => Index::new(),
        };
        let progress = Arc::new(Progress::default());
        let limits = BatchLimits { records_max: READ_IDS_MAX, ..BatchLimits::of(entity) };
        let preparation = Preparation {
            rows: step.rows,
            mapper: Mapper::new(step.plan, SpillSettings::in_dir(&spill_dir)),
            diff: Diff::new(index, Builder::new(entity, limits)),
            progress: progress.clone(),
            rejects: None,
            max_rejects: None,
            stop: stop.clone(),
            reasons: None,
            mark: None,
            watch: None,
        };
        let (sender, mut receiver) = handover();
        let preparing = tokio::spawn(preparation.prepare(sender));
        let mut found = VerifiedStep {
            name,
            entity: entity.name(),
            expected: 0,
            equal: 0,
            different: 0,
            missing: 0,
            unread: 0,
            unreadable: unreadable(entity),
            rejected: 0,
            gone: None,
            gone_untold: None,
            samples: Vec::new(),
        };
        let reading = Reading {
            sink: sink.clone(),
            budgets: budgets.clone(),
            progress: progress.clone(),
            retry,
            stop: stop.clone(),
        };
        let reader = Reader(&reading);
        let mut pages = FuturesUnordered::new();
        let mut more = true;
        while more || !pages.is_empty() {
            tokio::select! {
                Some((batch, read)) = pages.next(), if !pages.is_empty() => found.add(&batch, read),
                next = receiver.next(), if more && pages.len() < PAGES_IN_FLIGHT_MAX => match next {
                    Some(batch) => pages.push(reader.read(batch)),
                    None => more = false,
                },
            }
        }
        let prepared = match preparing.await {
            Ok(prepared) => prepared,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        found.rejected = progress.rejected.get();
        if known.is_some() {
            let told = match untold(entity, is_whole, is_alone, prepared.complete, found.rejected) {
                Some(why) => Err(why.to_owned()),
                None if prepared.unseen == 0 => Ok(Vec::new()),
                None => reader.gone(entity, &prepared.index).await.map_err(|error| error.with_causes()),
            };
            match told {
                Ok(gone) => found.gone = Some(gone),
                Err(why) => found.gone_untold = Some(why),
            }
        }
        verified.push(found);
    }
    Ok(Verified { steps: verified, stopped: stop.why().cloned() })
}

/// Why nobody can tell which records are gone from the source.
fn untold(entity: Entity, is_whole: bool, is_alone: bool, is_complete: bool, rejected: u64) -> Option<&'static str> {
    match entity {
        Entity::Usage | Entity::Event => return Some("the API does not list it"),
        Entity::Customer | Entity::Subscription => {}
    }
    if !is_whole {
        Some("a file may be a part of the data")
    } else if !is_alone {
        Some("another step has records of the same kind")
    } else if !is_complete {
        Some("the source was not read to its end")
    } else if rejected > 0 {
        Some("rows were rejected, and their keys are not known")
    } else {
        None
    }
}

/// What the API has of each record of a page: nothing, or what differs.
pub(super) type Read = Result<Vec<Option<Vec<Difference>>>, String>;

/// Reads back what the API has of a batch.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a Reading);

impl Reader<'_> {
    pub(super) async fn read(self, batch: Batch) -> (Batch, Read) {
        let read = match batch.entity {
            Entity::Customer => self.customers(&batch).await,
            Entity::Subscription => self.subscriptions(&batch).await,
            Entity::Usage => self.usage(&batch).await,
            Entity::Event => return (batch, Err(EVENTS_UNREADABLE.to_owned())),
        };
        let read = read.map_err(|error| {
            if let Disposition::Stop(crate::sink::Stop::Credentials) = error.disposition() {
                self.0.stop.raise(Stopped::CredentialsRefused(error.with_causes()));
            }
            error.with_causes()
        });
        (batch, read)
    }

    /// Ids that the API has, that the index knows, and that did not come.
    async fn gone(&self, entity: Entity, index: &Index) -> Result<Vec<String>, SinkError> {
        let mut gone = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = match entity {
                Entity::Customer => self.0.customer_ids(after.as_deref()).await?,
                Entity::Subscription => self.0.subscription_ids(after.as_deref()).await?,
                Entity::Usage | Entity::Event => return Ok(gone),
            };
            gone.extend(page.items.into_iter().filter(|id| index.is_unseen(KeyHash::of(id))));
            match page.next {
                Some(next) if !self.0.stop.is_raised() => after = Some(next),
                Some(_) | None => return Ok(gone),
            }
        }
    }

    async fn customers(&self, batch: &Batch) -> Result<Vec<Option<Vec<Difference>>>, SinkError> {
        let ids: Vec<&str> = batch.items.iter().map(|item| batch.key_of(item)).collect();
        let found = self.0.customers(&ids).await?;
        let found: HashMap<&str, _> = found.iter().map(|customer| (customer.customer_id.as_str(), customer)).collect();
        let compared = |item| found.get(batch.key_of(item)).map(|found| compare::customer(batch.json_of(item), found));
        Ok(batch.items.iter().map(compared).collect())
    }

    async fn subscriptions(&self, batch: &Batch) -> Result<Vec<Option<Vec<Difference>>>, SinkError> {
        let ids: Vec<&str> = batch.items.iter().map(|item| batch.key_of(item)).collect();
        let found = self.0.subscriptions(&ids).await?;
        let found: HashMap<&str, _> = found.iter().map(|one| (one.subscription_id.as_str(), one)).collect();
        let compared =
            |item| found.get(batch.key_of(item)).map(|found| compare::subscription(batch.json_of(item), found));
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
                    let read = match self.0.usage(customer, named).await {
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

impl VerifiedStep {
    fn add(&mut self, batch: &Batch, read: Read) {
        self.expected += batch.items.len() as u64;
        let Ok(read) = read else {
            self.unread += batch.items.len() as u64;
            return;
        };
        for (item, found) in batch.items.iter().zip(read) {
            let differences = match found {
                Some(differences) if differences.is_empty() => {
                    self.equal += 1;
                    continue;
                }
                Some(differences) => {
                    self.different += 1;
                    differences
                }
                None => {
                    self.missing += 1;
                    Vec::new()
                }
            };
            if self.samples.len() < SAMPLES_MAX {
                let key = batch.key_of(item).replace(KEY_SEPARATOR, " ").trim_end().to_owned();
                self.samples.push(Unequal { key, place: item.origin.place().to_string(), differences });
            }
        }
    }

    /// Whether everything that should be there is there, and is equal, as far as it can be told.
    pub fn holds(&self) -> bool {
        self.unreadable.is_some() || self.equal == self.expected
    }
}
