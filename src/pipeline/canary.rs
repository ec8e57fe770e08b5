//! A few records of each step that go first: chosen to differ, with what they need, and read back.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::changes::{self, Extent};
use super::compare::Difference;
use super::diff::Diff;
use super::handover::handover;
use super::held::Held;
use super::prepare::{Comparison, Preparation};
use super::reading::Reading;
use super::retry::RetryPolicy;
use super::step::OpenStep;
use super::stop::{Stop, Stopped};
use super::summary::Progress;
use super::verify::{Reader, SampleSize, Sampler};
use crate::batch::{Batch, BatchLimits, Builder};
use crate::clock::Clock;
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::ledger::{Index, Ledger, LedgerError, Part, Scope};
use crate::mapping::{Mapper, SpillSettings};
use crate::record::KeyHash;
use crate::sink::{Budgets, Sink};

/// Why a record was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChosenAs {
    /// No other record of the step that would be sent has more fields.
    MostFields,
    /// No other has fewer.
    FewestFields,
    /// By chance.
    AtRandom,
    /// A chosen record of a later step refers to it.
    Needed,
}

/// A record of a canary.
#[derive(Debug, Clone, Serialize)]
pub struct Chosen {
    /// Its key.
    pub key: String,
    /// Where the source has it.
    pub place: String,
    /// Why it was chosen.
    pub chosen_as: ChosenAs,
    /// Its row as it was, columns with cells; empty for a total, whose rows are not held.
    pub row: Vec<(String, Option<String>)>,
    /// How many rows made it.
    pub rows: u64,
    /// What is sent.
    pub request: Value,
    /// The record alone.
    #[serde(skip)]
    batch: Batch,
}

impl Chosen {
    fn hash(&self) -> KeyHash {
        self.batch.items[0].hash
    }
}

/// The canary of a step.
#[derive(Debug, Clone)]
pub struct CanaryStep {
    /// The step.
    pub name: String,
    /// What it imports.
    pub entity: Entity,
    /// The records that go first.
    pub records: Vec<Chosen>,
    /// How many records the step would send in all.
    pub to_send: u64,
}

impl CanaryStep {
    /// What names the chosen records to a run.
    pub fn keys(&self) -> Index {
        let mut keys = Index::new();
        self.records.iter().for_each(|record| keys.learn(record.hash(), record.batch.items[0].fingerprint));
        keys
    }
}

/// Everything that choosing needs.
pub struct CanaryJob<'a> {
    /// The steps, in order.
    pub steps: Vec<OpenStep>,
    /// What was delivered before, and what names the target in it.
    pub ledger: Option<(&'a dyn Ledger, &'a str)>,
    /// How many records of each step, and what chooses those at random.
    pub size: SampleSize,
    /// The folder of temporary files.
    pub spill_dir: PathBuf,
    /// Reads everything, also where a step could read its changes only.
    pub full: bool,
    /// The date.
    pub clock: &'a dyn Clock,
    /// The flag that ends it early.
    pub stop: Arc<Stop>,
}

/// What the chosen records of later steps need to be there.
#[derive(Default)]
struct Needs {
    customers: HashSet<String>,
    /// Customer and resource of usage.
    subscriptions: HashSet<(String, String)>,
}

/// Reads every source to its end, the last step first, and chooses. Nothing is sent.
///
/// # Errors
///
/// The ledger can't be read.
pub async fn choose(job: CanaryJob<'_>) -> Result<Result<Vec<CanaryStep>, Stopped>, LedgerError> {
    let mut needs = Needs::default();
    let mut chosen = Vec::with_capacity(job.steps.len());
    for mut step in job.steps.into_iter().rev() {
        let (name, entity) = (step.name.clone(), step.entity);
        let (index, held) = match job.ledger {
            Some((ledger, target)) => {
                let scope = Scope { target: target.to_owned(), entity };
                if let Some((source, identity)) = &step.changes
                    && let Extent::Since(mark) = changes::extent(ledger, &scope, &name, identity, job.full).await?
                {
                    match changes::reopened(&**source, &mark, step.rows.columns()).await {
                        Ok(rows) => step.rows = rows,
                        Err(why) => job.stop.raise(Stopped::SourceBroke(why)),
                    }
                }
                (ledger.load_index(&scope).await?, Held::of(ledger, &scope, job.clock.now()).await?)
            }
            None => (Index::new(), Held::default()),
        };
        let preparation = Preparation {
            rows: step.rows,
            mapper: Mapper::new(step.plan, SpillSettings::in_dir(&job.spill_dir)),
            map_on: None,
            compared: Comparison {
                diff: Diff::new(index, Builder::new(entity, BatchLimits::of(entity))).holding(held),
                progress: Arc::new(Progress::default()),
                rejects: None,
                max_rejects: None,
                stop: job.stop.clone(),
                reasons: None,
                mark: None,
                part: Part::ALL,
                watch: None,
                records: 0,
            },
        };
        let (sender, mut receiver) = handover();
        let preparing = tokio::spawn(preparation.prepare(sender));
        let mut choosing = Choosing::new(entity, job.size, job.clock.now());
        while let Some(batch) = receiver.next().await {
            choosing.show(&batch, &mut needs);
        }
        if let Err(panic) = preparing.await {
            std::panic::resume_unwind(panic.into_panic());
        }
        if let Some(stopped) = job.stop.why() {
            return Ok(Err(stopped.clone()));
        }
        let (records, to_send) = choosing.finish(job.size.records);
        records.iter().for_each(|record| needs.add(entity, record));
        chosen.push(CanaryStep { name, entity, records, to_send });
    }
    chosen.reverse();
    Ok(Ok(chosen))
}

impl Needs {
    fn add(&mut self, entity: Entity, record: &Chosen) {
        let text = |field: &str| record.request.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        match entity {
            Entity::Customer => {}
            Entity::Subscription | Entity::Event => {
                self.customers.insert(text("customerId"));
            }
            Entity::Usage => {
                self.customers.insert(text("customerId"));
                self.subscriptions.insert((text("customerId"), text("resourceId")));
            }
        }
    }
}

/// Chooses among the records of a step as they come, in memory for the chosen ones only.
struct Choosing {
    entity: Entity,
    most: Option<(usize, Chosen)>,
    fewest: Option<(usize, Chosen)>,
    sampler: Sampler,
    needed: Vec<Chosen>,
    to_send: u64,
    now: Timestamp,
}

impl Choosing {
    fn new(entity: Entity, size: SampleSize, now: Timestamp) -> Self {
        // Two more, in case that chance takes the first two, too.
        let sampler = Sampler::new(SampleSize { records: size.records + 2, ..size });
        Self { entity, most: None, fewest: None, sampler, needed: Vec::new(), to_send: 0, now }
    }

    fn show(&mut self, batch: &Batch, needs: &mut Needs) {
        self.to_send += batch.items.len() as u64;
        self.sampler.show(batch);
        for (at, item) in batch.items.iter().enumerate() {
            // We wrote it.
            let Ok(request) = serde_json::from_slice::<Value>(batch.json_of(item)) else { continue };
            let fields = leaves(&request).len();
            if self.most.as_ref().is_none_or(|(most, _)| fields > *most) {
                self.most = Some((fields, chosen(batch, at, &request, ChosenAs::MostFields)));
            }
            if self.fewest.as_ref().is_none_or(|(fewest, _)| fields < *fewest) {
                self.fewest = Some((fields, chosen(batch, at, &request, ChosenAs::FewestFields)));
            }
            if self.is_needed(&request, needs) {
                self.needed.push(chosen(batch, at, &request, ChosenAs::Needed));
            }
        }
    }

    /// Takes what is found off the list: one subscription is enough.
    fn is_needed(&self, request: &Value, needs: &mut Needs) -> bool {
        let text = |field: &str| request.get(field).and_then(Value::as_str).unwrap_or_default();
        match self.entity {
            Entity::Customer => needs.customers.remove(text("customerId")),
            Entity::Subscription => {
                // Usage needs one that has not ended.
                let has_ended = text("endDate").parse::<Timestamp>().is_ok_and(|end| end <= self.now);
                let key = (text("customerId").to_owned(), text("resourceId").to_owned());
                !has_ended && needs.subscriptions.remove(&key)
            }
            Entity::Usage | Entity::Event => false,
        }
    }

    fn finish(self, records: usize) -> (Vec<Chosen>, u64) {
        let mut all: Vec<Chosen> = Vec::new();
        let mut add = |one: Chosen| {
            if !all.iter().any(|known| known.hash() == one.hash()) {
                all.push(one);
            }
        };
        // One record is one by chance; of two, those that differ most.
        if records > 1 {
            self.most.into_iter().chain(self.fewest).for_each(|(_, one)| add(one));
        }
        for batch in self.sampler.into_batches(self.entity) {
            for (at, item) in batch.items.iter().enumerate() {
                if let Ok(request) = serde_json::from_slice::<Value>(batch.json_of(item)) {
                    add(chosen(&batch, at, &request, ChosenAs::AtRandom));
                }
            }
        }
        all.truncate(records);
        for needed in self.needed {
            if !all.iter().any(|known| known.hash() == needed.hash()) {
                all.push(needed);
            }
        }
        (all, self.to_send)
    }
}

/// The record at a position of a batch.
fn chosen(batch: &Batch, at: usize, request: &Value, chosen_as: ChosenAs) -> Chosen {
    let item = &batch.items[at];
    let row = batch.origin_of(item).rows().first().map_or_else(Vec::new, |row| {
        row.columns().iter().map(ToString::to_string).zip(row.cells().map(|cell| cell.map(str::to_owned))).collect()
    });
    Chosen {
        key: batch.key_of(item).replace(KEY_SEPARATOR, " ").trim_end().to_owned(),
        place: batch.origin_of(item).place().to_string(),
        chosen_as,
        row,
        rows: batch.origin_of(item).row_count(),
        request: request.clone(),
        batch: batch.subset(&[at]),
    }
}

/// The values of a record with their paths: `additionalMetaData.plan`, `addons.0.addonId`.
pub fn leaves(value: &Value) -> Vec<(String, String)> {
    fn walk(path: String, value: &Value, out: &mut Vec<(String, String)>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(below(name), value, out)),
            Value::Array(entries) => {
                entries.iter().enumerate().for_each(|(at, value)| walk(below(&at.to_string()), value, out));
            }
            Value::String(text) => out.push((path, text.clone())),
            Value::Null | Value::Bool(_) | Value::Number(_) => out.push((path, value.to_string())),
        }
    }
    let mut out = Vec::new();
    walk(String::new(), value, &mut out);
    out
}

/// What Stigg has of a record that was sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Landed {
    /// It is there as it was sent.
    Equal,
    /// It is there with other content.
    Different(Vec<Difference>),
    /// It is not there.
    Missing,
    /// It can't be read back.
    Unread(String),
}

/// Reads the records of a canary back, in their order.
pub async fn read_back(
    steps: &[CanaryStep],
    sink: Arc<dyn Sink>,
    budgets: Arc<Budgets>,
    retry: RetryPolicy,
    stop: Arc<Stop>,
    now: Timestamp,
) -> Vec<Vec<Landed>> {
    let reading = Reading { sink, budgets, progress: Arc::default(), retry, stop };
    let reader = Reader { reading: &reading, now };
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        let mut landed = Vec::with_capacity(step.records.len());
        for record in &step.records {
            let (_, read) = reader.read(record.batch.clone()).await;
            landed.push(match read {
                Err(why) => Landed::Unread(why),
                Ok(mut found) => match found.pop().flatten() {
                    None => Landed::Missing,
                    Some(differences) if differences.is_empty() => Landed::Equal,
                    Some(differences) => Landed::Different(differences),
                },
            });
        }
        all.push(landed);
    }
    all
}

/// The paths of a record's fields that are read back; the others Stigg does not tell, or we don't ask for.
pub fn is_read_back(entity: Entity, path: &str) -> bool {
    let fields: &[&str] = match entity {
        Entity::Customer => &["customerId", "name", "email", "billingId", "salesforceId", "additionalMetaData"],
        Entity::Subscription => &[
            "subscriptionId",
            "customerId",
            "planId",
            "resourceId",
            "billingPeriod",
            "salesforceId",
            "startDate",
            "endDate",
            "additionalMetaData",
            "entitlements",
            "addons",
        ],
        Entity::Usage => &["customerId", "featureId", "resourceId", "value"],
        Entity::Event => &[],
    };
    fields.contains(&path.split('.').next().unwrap_or_default())
}

/// Counts by word, for a line about a canary.
pub fn counts(landed: &[Vec<Landed>]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for one in landed.iter().flatten() {
        let word = match one {
            Landed::Equal => "equal",
            Landed::Different(_) => "different",
            Landed::Missing => "missing",
            Landed::Unread(_) => "not read back",
        };
        *counts.entry(word).or_default() += 1;
    }
    counts
}
