//! What a run would do. Sends no record and writes nothing.

mod changed;
mod finding;
mod live;
mod promise;
mod references;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::catalog::Catalog;
use super::changes::{self, Extent};
use super::diff::Diff;
use super::handover::handover;
use super::held::Held;
use super::prepare::{Comparison, Preparation};
use super::reading::Reading;
use super::retry::RetryPolicy;
use super::step::OpenStep;
use super::stop::{Stop, Stopped};
use super::summary::{Progress, StepSummary};
use super::verify::{PAGES_IN_FLIGHT_MAX, Reader};
use crate::batch::{BatchLimits, Builder};
use crate::clock::Clock;
use crate::entity::Entity;
use crate::ledger::rejects::{Group, Groups};
use crate::ledger::{Index, Ledger, LedgerError, Part, Scope};
use crate::mapping::{Mapper, SpillSettings};
use crate::sink::{Budgets, Disposition, Operation, Sink, SinkError};

use changed::Changed;
pub use changed::{ChangedFields, ChangedSample};
pub use finding::{Finding, FindingKind, FindingSample};
pub use live::Live;
use promise::Content;
pub use promise::Promise;
use references::References;

/// What a step would do.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// Its account; what would be sent is `open`, and split into `created` and `changed`.
    pub summary: StepSummary,
    /// How many write requests that is.
    pub requests: u64,
    /// How long they take at the rate limit, in seconds; none where the rate is not limited.
    pub seconds: Option<f64>,
    /// What would be rejected, by reason, the most frequent first.
    pub reasons: Vec<Group>,
    /// What the API would refuse, the most records first; empty where the target was not asked.
    pub findings: Vec<Finding>,
    /// Records whose references were not looked up in Stigg, since there are so many.
    pub unasked: u64,
    /// What Stigg has of the records that would be sent, where that was asked.
    pub live: Option<Live>,
    /// Which fields of the changed records differ from what was delivered; where there is a ledger, Stigg was not asked
    /// what it has, and records of the entity have several fields to change.
    pub changed_fields: Option<ChangedFields>,
    /// The records that would be sent, with their content; where that was asked.
    pub chosen: Option<Arc<Index>>,
    content: Content,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// Why planning ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// Everything that a plan needs.
pub struct PlanJob<'a> {
    /// The steps, in order.
    pub steps: Vec<OpenStep>,
    /// What was delivered before, and what names the target in it; without it everything is new.
    pub ledger: Option<(&'a dyn Ledger, &'a str)>,
    /// Whom to ask what there is; nobody: references and catalog are not checked.
    pub asks: Option<(Arc<dyn Sink>, RetryPolicy)>,
    /// Whether to ask what Stigg has of each record that would be sent.
    pub live: bool,
    /// Whether to keep which records would be sent: 32 bytes for each.
    pub choose: bool,
    /// How fast.
    pub budgets: &'a Arc<Budgets>,
    /// The folder of temporary files.
    pub spill_dir: PathBuf,
    /// Reads everything, also where a step could read its changes only.
    pub full: bool,
    /// The date.
    pub clock: &'a dyn Clock,
    /// The flag that ends it early.
    pub stop: Arc<Stop>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The ledger can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The target can't be asked.
    #[error("the target can't be read")]
    Target(#[source] SinkError),
}

impl PlanError {
    /// Whether the key was refused.
    pub fn is_credentials(&self) -> bool {
        match self {
            Self::Ledger(_) => false,
            Self::Target(error) => matches!(error.disposition(), Disposition::Stop(crate::sink::Stop::Credentials)),
        }
    }
}

/// Reads every source to its end and counts.
///
/// # Errors
///
/// The ledger or the target can't be read.
pub async fn plan(job: PlanJob<'_>) -> Result<Planned, PlanError> {
    let PlanJob { steps, ledger, asks, live, choose, budgets, spill_dir, full, clock, stop } = job;
    let reading = asks.map(|(sink, retry)| Reading {
        sink,
        budgets: budgets.clone(),
        progress: Arc::default(),
        retry,
        stop: stop.clone(),
    });
    let mut references = match &reading {
        Some(reading) => {
            let catalog = Catalog::of(reading).await.map_err(PlanError::Target)?;
            Some(References::new(catalog, reading.clone(), clock.now()))
        }
        None => None,
    };
    if let (Some(references), Some((ledger, target))) = (&mut references, ledger)
        && !steps.iter().any(|step| step.entity == Entity::Customer)
    {
        let scope = Scope { target: target.to_owned(), entity: Entity::Customer };
        references.knows(ledger.load_index(&scope).await?);
    }
    let mut planned = Vec::new();
    for mut step in steps {
        if stop.is_raised() {
            break;
        }
        let began = Instant::now();
        let (name, entity) = (step.name.clone(), step.entity);
        let mut since = None;
        if let (Some((ledger, target)), Some((source, identity))) = (ledger, &step.changes) {
            let scope = Scope { target: target.to_owned(), entity };
            if let Extent::Since(mark) = changes::extent(ledger, &scope, &name, identity, full).await? {
                match changes::reopened(&**source, &mark, step.rows.columns()).await {
                    Ok(rows) => step.rows = rows,
                    Err(why) => stop.raise(Stopped::SourceBroke(why)),
                }
                since = Some(mark);
            }
        }
        // Stigg itself knows better.
        let changed = ledger.filter(|_| reading.is_none() || !live).and_then(|_| Changed::of(entity));
        let changed = changed.map(|changed| Arc::new(Mutex::new(changed)));
        let (index, held) = match ledger {
            Some((ledger, target)) => {
                let scope = Scope { target: target.to_owned(), entity };
                (ledger.load_index(&scope).await?, Held::of(ledger, &scope, clock.now()).await?)
            }
            None => (Index::new(), Held::default()),
        };
        let progress = Arc::new(Progress::default());
        let preparation = Preparation {
            rows: step.rows,
            mapper: Mapper::new(step.plan, SpillSettings::in_dir(&spill_dir)),
            map_on: None,
            compared: Comparison {
                diff: Diff::new(index, Builder::new(entity, BatchLimits::of(entity)))
                    .holding(held)
                    .telling(changed.as_ref().map(Changed::watch)),
                progress: progress.clone(),
                rejects: None,
                max_rejects: None,
                stop: stop.clone(),
                reasons: Some(Groups::default()),
                mark: None,
                part: Part::ALL,
                watch: references.as_ref().and_then(|references| references.watch(entity)),
                records: 0,
            },
        };
        let (sender, mut receiver) = handover();
        let preparing = tokio::spawn(preparation.prepare(sender));
        let (mut requests, mut content) = (0, Content::default());
        let mut chosen = choose.then(Index::new);
        let mut found = reading.as_ref().filter(|_| live && entity != Entity::Event).map(|_| Live::default());
        let mut pages = FuturesUnordered::new();
        let mut more = true;
        while more || !pages.is_empty() {
            tokio::select! {
                Some((batch, read)) = pages.next(), if !pages.is_empty() => {
                    if let Some(found) = &mut found {
                        found.add(&batch, read);
                    }
                }
                next = receiver.next(), if more && pages.len() < PAGES_IN_FLIGHT_MAX => {
                    let Some(batch) = next else {
                        more = false;
                        continue;
                    };
                    requests += 1;
                    progress.open.add(batch.items.len() as u64);
                    content.add(&batch);
                    if let Some(chosen) = &mut chosen {
                        batch.items.iter().for_each(|item| chosen.learn(item.hash, item.fingerprint));
                    }
                    if let Some(references) = &mut references {
                        references.check(&batch).await.map_err(PlanError::Target)?;
                    }
                    if let (Some(reading), true) = (&reading, found.is_some()) {
                        pages.push(Reader { reading, now: clock.now() }.read(batch));
                    }
                }
            }
        }
        drop(pages);
        let prepared = match preparing.await {
            Ok(prepared) => prepared,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let (findings, unasked) = match &mut references {
            Some(references) => references.finish().await.map_err(PlanError::Target)?,
            None => (Vec::new(), 0),
        };
        let changed_fields = match (changed, ledger) {
            (Some(changed), Some((ledger, target))) => {
                let scope = Scope { target: target.to_owned(), entity };
                let changed = std::mem::take(&mut *changed.lock().unwrap_or_else(PoisonError::into_inner));
                Some(changed.compare(ledger, &scope).await?)
            }
            _ => None,
        };
        if let Some(references) = references.as_mut().filter(|_| entity == Entity::Customer) {
            references.knows(prepared.index);
        }
        let duration_s = began.elapsed().as_secs_f64();
        let mut summary = StepSummary::new(&name, entity, prepared.records, &progress, duration_s);
        summary.since = since;
        planned.push(PlannedStep {
            summary,
            requests,
            seconds: budgets.per_minute(Operation::of(entity)).map(|per_minute| requests as f64 * 60.0 / per_minute),
            reasons: prepared.reasons,
            findings,
            unasked,
            live: found,
            changed_fields,
            chosen: chosen.map(Arc::new),
            content,
        });
    }
    Ok(Planned { steps: planned, stopped: stop.why().cloned() })
}
