//! Reads back what the API has and compares it, record by record, with what the source says now.

mod others;
mod paid;
mod progress;
mod reader;
mod sample;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use serde::Serialize;

use super::compare::Difference;
use super::diff::Diff;
use super::handover::handover;
use super::prepare::{Comparison, Preparation};
use super::reading::Reading;
use super::retry::RetryPolicy;
use super::step::{OpenPaid, OpenStep};
use super::stop::{Stop, Stopped};
use crate::batch::{Batch, BatchLimits, Builder};
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::ledger::{Index, Ledger, LedgerError, Part, Scope};
use crate::mapping::{Mapper, SpillSettings};
use crate::sink::{Budgets, Disposition, READ_IDS_MAX, Sink, SinkError};

pub use others::Extra;
use others::{InSteps, gone, is_listed, untold};
pub use progress::{VerifyProgress, VerifyingStep};
pub(super) use reader::{Read, Reader};
pub use sample::SampleSize;
pub(super) use sample::Sampler;

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
    /// Records of the source that should be in Stigg: those that were neither filtered nor rejected. Of a sample: those
    /// that were chosen.
    pub expected: u64,
    /// Of how many records the sample was taken; none where all were read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_from: Option<u64>,
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
    /// What Stigg has and no step, by entity; empty where nobody asked.
    pub extra: Vec<Extra>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// A step to verify.
pub enum ToVerify {
    /// Imported.
    Imported(OpenStep),
    /// Provisioned by a cutover.
    Paid(OpenPaid),
}

/// Everything that verifying needs.
pub struct VerifyJob<'a> {
    /// The steps, in order.
    pub steps: Vec<ToVerify>,
    /// What is read.
    pub sink: Arc<dyn Sink>,
    /// How fast.
    pub budgets: Arc<Budgets>,
    /// Patience.
    pub retry: RetryPolicy,
    /// The folder of temporary files.
    pub spill_dir: PathBuf,
    /// The flag that ends it early.
    pub stop: Arc<Stop>,
    /// The date: it says whether a subscription should be active.
    pub now: Timestamp,
    /// A ledger and the target's name in it, to find the records that are gone from the source.
    pub known: Option<(&'a dyn Ledger, &'a str)>,
    /// Read back only so many records of each imported step; none: all of them.
    pub sample: Option<SampleSize>,
    /// Whether to find out what Stigg has and no step.
    pub extra: bool,
    /// Where it says how far it is.
    pub progress: Arc<VerifyProgress>,
}

/// Verifies every step. Reading takes permits of the read operations' budgets.
///
/// A source that says one key twice is compared with its first record, as in a run.
///
/// # Errors
///
/// The ledger can't be read.
pub async fn verify(job: VerifyJob<'_>) -> Result<Verified, LedgerError> {
    let reading = Reading {
        sink: job.sink,
        budgets: job.budgets,
        progress: Arc::default(),
        retry: job.retry,
        stop: job.stop.clone(),
    };
    let mut entities = Vec::new();
    for step in &job.steps {
        match step {
            ToVerify::Imported(step) => entities.push(step.entity),
            ToVerify::Paid(_) => {}
        }
    }
    let verifying = Verifying {
        reading: &reading,
        spill_dir: job.spill_dir,
        now: job.now,
        known: job.known,
        sample: job.sample,
        entities,
        progress: &job.progress,
    };
    let mut verified = Vec::new();
    let mut in_steps: Vec<InSteps> = Vec::new();
    let mut unlisted = BTreeSet::new();
    for step in job.steps {
        if job.stop.is_raised() {
            break;
        }
        match step {
            ToVerify::Paid(step) => {
                let progress = job.progress.begin(&step.name, false);
                verified.push(paid::verify(step, &reading, &verifying.spill_dir, job.now, &progress).await);
            }
            ToVerify::Imported(step) => {
                let entity = step.entity;
                let (found, index, is_complete) = verifying.step(step).await?;
                if job.extra && !is_listed(entity) {
                    unlisted.insert(entity);
                } else if job.extra {
                    let at = in_steps.iter().position(|known| known.entity == entity).unwrap_or_else(|| {
                        in_steps.push(InSteps { entity, indexes: Vec::new(), is_complete: true, rejected: 0 });
                        in_steps.len() - 1
                    });
                    in_steps[at].indexes.push(index);
                    in_steps[at].is_complete &= is_complete;
                    in_steps[at].rejected += found.rejected;
                }
                verified.push(found);
            }
        }
    }
    let mut extra = Vec::new();
    for entity in &in_steps {
        extra.push(entity.extra(&reading).await);
    }
    extra.extend(unlisted.into_iter().map(Extra::unlisted));
    Ok(Verified { steps: verified, extra, stopped: job.stop.why().cloned() })
}

/// What verifying each step needs.
struct Verifying<'a> {
    reading: &'a Reading,
    spill_dir: PathBuf,
    now: Timestamp,
    known: Option<(&'a dyn Ledger, &'a str)>,
    sample: Option<SampleSize>,
    /// Of the imported steps.
    entities: Vec<Entity>,
    progress: &'a VerifyProgress,
}

impl Verifying<'_> {
    /// What was found, all keys that came, and whether the source was read to its end.
    async fn step(&self, step: OpenStep) -> Result<(VerifiedStep, Index, bool), LedgerError> {
        let (name, entity) = (step.name.clone(), step.entity);
        let is_whole = step.is_whole;
        let is_alone = self.entities.iter().filter(|other| **other == entity).count() == 1;
        let index = match self.known {
            Some((ledger, target)) if unreadable(entity).is_none() => {
                let mut index = ledger.load_index(&Scope { target: target.to_owned(), entity }).await?;
                // All that the source has is compared, whatever was delivered.
                index.doubt_all();
                index
            }
            Some(_) | None => Index::new(),
        };
        let shown = self.progress.begin(&name, self.sample.is_some());
        let progress = shown.source.clone();
        let limits = BatchLimits { records_max: READ_IDS_MAX, ..BatchLimits::of(entity) };
        let preparation = Preparation {
            rows: step.rows,
            mapper: Mapper::new(step.plan, SpillSettings::in_dir(&self.spill_dir)),
            map_on: None,
            compared: Comparison {
                diff: Diff::new(index, Builder::new(entity, limits)),
                progress: progress.clone(),
                rejects: None,
                max_rejects: None,
                stop: self.reading.stop.clone(),
                reasons: None,
                mark: None,
                part: Part::ALL,
                watch: None,
                records: 0,
            },
        };
        let (sender, mut receiver) = handover();
        let preparing = tokio::spawn(preparation.prepare(sender));
        let mut found = VerifiedStep { unreadable: unreadable(entity), ..VerifiedStep::new(name, entity.name()) };
        let reader = Reader { reading: self.reading, now: self.now };
        let mut pages = FuturesUnordered::new();
        let mut sampler = self.sample.map(Sampler::new);
        let mut chosen = Vec::new();
        let mut more = true;
        while more || !pages.is_empty() || !chosen.is_empty() {
            while pages.len() < PAGES_IN_FLIGHT_MAX
                && let Some(batch) = chosen.pop()
            {
                pages.push(reader.read(batch));
            }
            tokio::select! {
                Some((batch, read)) = pages.next(), if !pages.is_empty() => {
                    found.add(&batch, read);
                    shown.read.set(found.equal + found.different + found.missing + found.unread);
                    shown.unequal.set(found.different + found.missing);
                }
                next = receiver.next(), if more && pages.len() < PAGES_IN_FLIGHT_MAX => match next {
                    Some(batch) => match &mut sampler {
                        Some(sampler) => sampler.show(&batch),
                        None => pages.push(reader.read(batch)),
                    },
                    None => {
                        more = false;
                        if let Some(sampler) = sampler.take() {
                            found.sampled_from = Some(sampler.shown);
                            chosen = sampler.into_batches(entity);
                            shown.drawn(chosen.iter().map(|batch| batch.items.len() as u64).sum());
                        }
                    }
                },
            }
        }
        drop(pages);
        let prepared = match preparing.await {
            Ok(prepared) => prepared,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        found.rejected = progress.rejected.get();
        if self.known.is_some() {
            let told = match untold(entity, is_whole, is_alone, prepared.complete, found.rejected) {
                Some(why) => Err(why.to_owned()),
                None if prepared.unseen == 0 => Ok(Vec::new()),
                None => gone(self.reading, entity, &prepared.index).await.map_err(|error| error.with_causes()),
            };
            match told {
                Ok(gone) => found.gone = Some(gone),
                Err(why) => found.gone_untold = Some(why),
            }
        }
        Ok((found, prepared.index, prepared.complete))
    }
}

/// Ends everything where the key was refused: each further page would be, too.
fn stop_at_refused_key(reading: &Reading, error: &SinkError) {
    if let Disposition::Stop(crate::sink::Stop::Credentials) = error.disposition() {
        reading.stop.raise(Stopped::CredentialsRefused(error.with_causes()));
    }
}

impl VerifiedStep {
    fn new(name: String, entity: &'static str) -> Self {
        Self {
            name,
            entity,
            expected: 0,
            sampled_from: None,
            equal: 0,
            different: 0,
            missing: 0,
            unread: 0,
            unreadable: None,
            rejected: 0,
            gone: None,
            gone_untold: None,
            samples: Vec::new(),
        }
    }

    fn add(&mut self, batch: &Batch, read: Read) {
        self.expected += batch.items.len() as u64;
        let Ok(read) = read else {
            self.unread += batch.items.len() as u64;
            return;
        };
        for (item, found) in batch.items.iter().zip(read) {
            self.count(found, || Unequal {
                key: batch.key_of(item).replace(KEY_SEPARATOR, " ").trim_end().to_owned(),
                place: batch.origin_of(item).place().to_string(),
                differences: Vec::new(),
            });
        }
    }

    /// Counts a record of which the API has this, and keeps it as a sample where it is not equal.
    fn count(&mut self, found: Option<Vec<Difference>>, sample: impl FnOnce() -> Unequal) {
        let differences = match found {
            Some(differences) if differences.is_empty() => {
                self.equal += 1;
                return;
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
            self.samples.push(Unequal { differences, ..sample() });
        }
    }

    /// Whether everything that should be there is there, and is equal, as far as it can be told.
    pub fn holds(&self) -> bool {
        self.unreadable.is_some() || self.equal == self.expected
    }
}
