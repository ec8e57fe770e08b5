//! A whole run: every step in order, each settled before the next begins.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::changes::{self, Extent, HeldBack};
use super::deliver::Delivery;
use super::diff::{Diff, is_final};
use super::events::{Event, Observer};
use super::handover::handover;
use super::held::Held;
use super::max_rejects::MaxRejects;
use super::outage::Outage;
use super::part::PartLedger;
use super::prepare::{Comparison, Preparation};
use super::reading::Reading;
use super::retry::RetryPolicy;
use super::step::OpenStep;
use super::stop::{Stop, Stopped};
use super::summary::{Progress, StepSummary, Summary};
use crate::batch::{BatchLimits, Builder, Spares};
use crate::clock::Clock;
use crate::entity::Schema;
use crate::ledger::{Compaction, Ledger, LedgerError, Part, RunId, RunStart, Scope, StepMark, rejects};
use crate::mapping::{Mapper, SpillSettings};
use crate::record::KeyHash;
use crate::sink::{Budgets, Concurrency, ConcurrencyBounds, Disposition, Operation, Sink, SinkError};

/// Known records from which rows are mapped on a thread of their own ([`Job::map_on`]). Looking so many up is a third of what is done to
/// a row that has not changed, and both go on at once; where most rows are sent, every core is busy already, and what crosses to another one
/// costs a twentieth more.
const MAPPED_APART_KNOWN: usize = 100_000;

/// Where a run keeps its own files.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The ledger's file; rejects files are written beside it when there is something to write.
    pub ledger_path: PathBuf,
    /// The folder of temporary files.
    pub spill_dir: PathBuf,
    /// What is run: the pipeline file's path, or the mapping's.
    pub identity: String,
    /// What was asked for, in a form that `rejects retry` understands.
    pub arguments_json: String,
}

/// What a run does about records that the ledger knows to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Known {
    /// Sends those whose content has changed.
    #[default]
    SendChanged,
    /// Sends all of them again: for what was changed in Stigg itself, which the ledger can't know.
    /// Events are left alone: nobody can change them, and one that is sent again may count twice.
    SendAll,
    /// Sends those whose content has changed, and rejects what would replace content that must stay. For corrected rejects:
    /// a row that was rejected because another had its key must not win by coming later.
    Keep {
        /// What this run or a later one delivered stays.
        since: RunId,
        /// So does what is known of these, whoever delivered it.
        contested: Arc<[KeyHash]>,
    },
}

/// Everything that a run needs. Its steps are open already, see [`super::open_steps`].
pub struct Job {
    /// The steps, in order.
    pub steps: Vec<OpenStep>,
    /// Where it goes.
    pub sink: Arc<dyn Sink>,
    /// The target's address without its path, in lower case: names its records in the ledger.
    pub target: String,
    /// How fast.
    pub budgets: Arc<Budgets>,
    /// What was delivered before.
    pub ledger: Arc<dyn Ledger>,
    /// Files.
    pub journal: Journal,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// The date.
    pub clock: Arc<dyn Clock>,
    /// The flag that ends it early.
    pub stop: Arc<Stop>,
    /// Patience.
    pub retry: RetryPolicy,
    /// When to give up on a source.
    pub max_rejects: Option<MaxRejects>,
    /// Reads everything, also where a step could read its changes only.
    pub full: bool,
    /// Most records in a request; none: as many as the API takes.
    pub batch_records_max: Option<usize>,
    /// Where rows are read and mapped, if the ledger knows so many that they are compared meanwhile: a [`super::StageThread`], or the
    /// runtime that runs this.
    pub map_on: Handle,
    /// Where what they make is compared and batched, and otherwise rows are read and mapped, too: another one, or the runtime that runs
    /// this.
    pub prepare_on: Handle,
    /// What becomes of records that were delivered before.
    pub known: Known,
    /// Which of the records: all, or those of one of several workers.
    pub part: Part,
}

/// A run that is over.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its account. `ok` and `exit` are the caller's to fill: exit codes are the command line's.
    pub summary: Summary,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
    /// Batches of its steps that are open still.
    pub open_batches: u64,
    /// The rejects files that it wrote.
    pub rejects: Vec<PathBuf>,
}

/// Why a run did not begin. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The target can't be used: no answer, a refused key, something that is not the API.
    #[error("the target can't be used")]
    Target(#[source] SinkError),
    /// It was stopped before its first step.
    #[error("interrupted before a row was read")]
    Interrupted,
    /// The ledger can't be read or written.
    #[error("the ledger can't be used")]
    Ledger(#[from] LedgerError),
}

/// Names a target in the ledger: its address and, where the API tells it, its environment.
///
/// The key is no part of it, so that a rotated key finds what the old one delivered.
///
/// # Errors
///
/// The target can't be used. A key that may not read the environment's name is fine.
pub async fn target_name(
    sink: &Arc<dyn Sink>,
    budgets: &Arc<Budgets>,
    retry: RetryPolicy,
    address: &str,
) -> Result<String, StartError> {
    /// Tries before a target counts as unusable: a start has a person or a scheduler waiting.
    const TRIES_MAX: u32 = 4;
    let reading = Reading {
        sink: sink.clone(),
        budgets: budgets.clone(),
        progress: Arc::default(),
        retry: RetryPolicy { tries_max: retry.tries_max.min(TRIES_MAX), ..retry },
        stop: Arc::default(),
    };
    let ask = async |permit| sink.environment(permit).await.map_err(SinkError::at_first_contact);
    let environment = reading.again(Operation::CurrentEnvironment, ask).await;
    match environment.map_err(StartError::Target)? {
        Some(environment) => Ok(format!("{address} {environment}")),
        None => Ok(address.to_owned()),
    }
}

/// Runs every step. After a step that did not settle everything the next does not begin: usage of
/// a subscription that is not there yet would be refused.
///
/// # Errors
///
/// [`StartError`]: nothing was sent. Whatever goes wrong later is in [`Finished`].
pub async fn run(job: Job) -> Result<Finished, StartError> {
    let began = Instant::now();
    let target = tokio::select! {
        biased;
        () = job.stop.raised() => return Err(StartError::Interrupted),
        target = target_name(&job.sink, &job.budgets, job.retry, &job.target) => target?,
    };
    let part = job.part;
    let ledger = PartLedger::of(job.ledger, part);
    let run = ledger
        .begin_run(RunStart {
            identity: job.journal.identity.clone(),
            started_at: job.clock.now(),
            arguments_json: job.journal.arguments_json.clone(),
        })
        .await?;
    let mut finished = Finished {
        summary: Summary { run: run.0, ok: false, exit: 0, duration_s: 0.0, stopped: None, steps: Vec::new() },
        stopped: None,
        open_batches: 0,
        rejects: Vec::new(),
    };
    let Job { steps, sink, budgets, journal, observer, clock, stop, retry, max_rejects, full, .. } = job;
    let (batch_records_max, map_on, prepare_on, known) = (job.batch_records_max, job.map_on, job.prepare_on, job.known);
    // Several steps of an entity share what the ledger knows: none of them can tell what is missing.
    let entities: Vec<_> = steps.iter().map(|step| step.entity).collect();
    for (number, step) in (1..).zip(steps) {
        if stop.is_raised() || finished.summary.total(|step| step.open) > 0 {
            break;
        }
        let writer = rejects::Writer::new(
            &journal.ledger_path,
            run,
            &step.name,
            Schema::Import(step.entity),
            &step.mapping_name,
        );
        let writer = Arc::new(Mutex::new(writer));
        let alone = entities.iter().filter(|entity| **entity == step.entity).count() == 1;
        let step = StepRun {
            run,
            scope: Scope { target: target.clone(), entity: step.entity },
            writer: writer.clone(),
            step,
            number,
            steps: entities.len(),
            spill: SpillSettings::in_dir(&journal.spill_dir),
            progress: Arc::new(Progress::default()),
            sink: sink.clone(),
            budgets: budgets.clone(),
            ledger: ledger.clone(),
            observer: observer.clone(),
            clock: clock.clone(),
            stop: stop.clone(),
            retry,
            max_rejects,
            full,
            alone,
            batch_records_max,
            map_on: map_on.clone(),
            prepare_on: prepare_on.clone(),
            known: known.clone(),
            part,
        };
        let span = tracing::info_span!("step", run = run.0, step = %step.step.name);
        match step.run().instrument(span).await {
            Ok(summary) => finished.summary.steps.push(summary),
            Err(error) if finished.summary.steps.is_empty() => return Err(error.into()),
            // Earlier steps were sent, and their account is owed.
            Err(error) => stop.raise(Stopped::of_ledger(&error)),
        }
        let writer = writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        finished.rejects.extend(writer.path().map(std::path::Path::to_owned));
    }
    for entity in entities.into_iter().collect::<BTreeSet<_>>() {
        let open = ledger.open_batches(&Scope { target: target.clone(), entity }).await;
        // Of a ledger that can't be read the run has said so.
        finished.open_batches += open.map_or(0, |batches| batches.len() as u64);
    }
    finished.stopped = stop.why().cloned();
    finished.summary.stopped = finished.stopped.as_ref().map(ToString::to_string);
    finished.summary.duration_s = began.elapsed().as_secs_f64();
    Ok(finished)
}

/// One step while it runs.
struct StepRun {
    run: RunId,
    scope: Scope,
    step: OpenStep,
    number: usize,
    /// How many the run has.
    steps: usize,
    writer: Arc<Mutex<rejects::Writer>>,
    spill: SpillSettings,
    progress: Arc<Progress>,
    sink: Arc<dyn Sink>,
    budgets: Arc<Budgets>,
    ledger: Arc<dyn Ledger>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    stop: Arc<Stop>,
    retry: RetryPolicy,
    max_rejects: Option<MaxRejects>,
    full: bool,
    /// Whether no other step of the run is of its entity.
    alone: bool,
    batch_records_max: Option<usize>,
    map_on: Handle,
    prepare_on: Handle,
    known: Known,
    part: Part,
}

impl StepRun {
    /// Fails only before anything is sent.
    async fn run(mut self) -> Result<StepSummary, LedgerError> {
        let began = Instant::now();
        let (name, entity) = (self.step.name.clone(), self.step.entity);
        let operation = Operation::of(entity);
        self.observer.event(&Event::StepStarted {
            name: name.clone(),
            number: self.number,
            steps: self.steps,
            entity,
            progress: self.progress.clone(),
            requests_per_minute: self.budgets.per_minute(operation),
        });
        let since = self.extent().await?;
        let mut index = self.ledger.load_index(&self.scope).await?;
        let mut kept = None;
        match self.known {
            Known::SendChanged => {}
            Known::SendAll if is_final(entity) => {}
            Known::SendAll => index.doubt_all(),
            Known::Keep { since, contested } => {
                let mut stays = self.ledger.delivered_since(&self.scope, since).await?;
                for key in &*contested {
                    if let Some(content) = index.delivered(*key) {
                        stays.learn(*key, content);
                    }
                }
                kept = Some(stays);
            }
        }
        let now = self.clock.now();
        let held = Held::of(self.ledger.as_ref(), &self.scope, now).await?;
        let (sender, receiver) = handover();
        let mut limits = BatchLimits::of(entity);
        if let Some(records_max) = self.batch_records_max {
            limits.records_max = records_max.clamp(1, limits.records_max);
        }
        let map_on = (index.len() >= MAPPED_APART_KNOWN).then(|| self.map_on.clone());
        let spares = Spares::default();
        let preparation = Preparation {
            rows: self.step.rows,
            mapper: Mapper::new(self.step.plan.clone(), self.spill.clone()),
            map_on,
            compared: Comparison {
                diff: Diff::new(index, Builder::new(entity, limits).reusing(spares.clone()))
                    .keeping(kept)
                    .holding(held)
                    .choosing(self.step.selection.clone()),
                progress: self.progress.clone(),
                rejects: Some(self.writer.clone()),
                max_rejects: self.max_rejects,
                stop: self.stop.clone(),
                reasons: None,
                mark: None,
                watch: None,
                part: self.part,
                records: 0,
            },
        };
        let delivery = Delivery {
            reading: Reading {
                sink: self.sink.clone(),
                budgets: self.budgets.clone(),
                progress: self.progress.clone(),
                retry: self.retry,
                stop: self.stop.clone(),
            },
            ledger: self.ledger.clone(),
            concurrency: Concurrency::new(ConcurrencyBounds::for_rate(self.budgets.per_minute(operation))),
            observer: self.observer.clone(),
            rejects: self.writer,
            run: self.run,
            step: name.clone(),
            scope: self.scope.clone(),
            outage: Outage::default(),
            held_back: HeldBack::default(),
            spares,
        };
        delivery.announce_open(now).await?;
        // A task of its own: rows are read and mapped on one core while batches are sent on another.
        // In a set, which ends it when this future is dropped: nobody shall read and write rejects for a run that is gone.
        let mut preparing = JoinSet::new();
        preparing.spawn_on(preparation.prepare(sender).in_current_span(), &self.prepare_on);
        delivery.deliver(receiver).await;
        let prepared = match preparing.join_next().await.expect("the set holds a task") {
            Ok(prepared) => prepared,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let settled = prepared.complete && self.progress.open.get() == 0;
        let mut mark_moved = None;
        if settled {
            let closed = match since {
                Some(_) => delivery.close_superseded().await,
                None if self.step.selection.is_canary() => {
                    self.ledger.close_superseded(&self.scope).await.map(|_| false)
                }
                None => delivery.close_open().await.map(|()| true),
            };
            let moved = match (closed, &self.step.changes) {
                (Ok(closed), Some((_, identity))) => {
                    let mark = delivery.held_back.up_to(prepared.mark).filter(|_| closed);
                    let mark = mark.map(|value| StepMark { identity: identity.clone(), value });
                    mark_moved = mark.as_ref().map(|mark| mark.value.clone());
                    changes::settled(&*self.ledger, &self.scope, &name, mark, closed).await
                }
                (Ok(_), None) => Ok(()),
                (Err(error), _) => Err(error),
            };
            moved.unwrap_or_else(|error| delivery.ledger_failed(&error));
        }
        if self.stop.why().is_none()
            && let Err(error) = self.ledger.compact(Compaction::WhenWorthIt, prepared.index).await
        {
            delivery.ledger_failed(&error);
        }
        let duration_s = began.elapsed().as_secs_f64();
        let mut summary = StepSummary::new(&name, entity, prepared.records, &self.progress, duration_s);
        // A rejected row has no key that we know: its record may be one of those that did not come.
        let all_came = settled
            && since.is_none()
            && !self.step.selection.is_canary()
            && self.alone
            && self.part == Part::ALL
            && self.step.is_whole
            && summary.rejected == 0;
        summary.missing = all_came.then_some(prepared.unseen);
        summary.since = since;
        summary.mark = mark_moved;
        summary.budget_share = self
            .budgets
            .per_minute(operation)
            .filter(|_| duration_s >= 1.0)
            .map(|per_minute| summary.requests as f64 / (per_minute * duration_s / 60.0));
        self.observer.event(&Event::StepFinished(Box::new(summary.clone())));
        Ok(summary)
    }
}

impl StepRun {
    /// Decides what is read, and from where: the mark, or none for everything.
    async fn extent(&mut self) -> Result<Option<String>, LedgerError> {
        let Some((source, identity)) = &self.step.changes else { return Ok(None) };
        let name = &self.step.name;
        let extent = changes::extent(&*self.ledger, &self.scope, name, identity, self.full).await?;
        let since = match &extent {
            Extent::Since(mark) => Ok(mark.clone()),
            Extent::Whole(why) => Err(*why),
        };
        self.observer.event(&Event::Reading { step: name.clone(), since });
        let mark = match extent {
            Extent::Since(mark) => mark,
            Extent::Whole(_) => {
                // If this run does not come to its end, nothing is true of the mark any more.
                self.ledger.set_mark(&self.scope, name, None).await?;
                return Ok(None);
            }
        };
        match changes::reopened(&**source, &mark, self.step.rows.columns()).await {
            Ok(rows) => self.step.rows = rows,
            Err(why) => self.stop.raise(Stopped::SourceBroke(why)),
        }
        Ok(Some(mark))
    }
}

/// Used where a target could not be reached: what a person is told.
impl StartError {
    /// Whether the API refused the key.
    pub fn is_credentials(&self) -> bool {
        match self {
            Self::Target(error) => matches!(error.disposition(), Disposition::Stop(crate::sink::Stop::Credentials)),
            Self::Ledger(_) | Self::Interrupted => false,
        }
    }
}
