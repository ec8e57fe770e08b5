//! The cutover of paid plans: each subscription is provisioned in Stigg, backdated; read back until it is proved; and only
//! then is its original at the billing provider cancelled.
//!
//! ```text
//!  row ─► planned ─► provisioning ─► provisioned ─► confirmed          provisioning: provision.rs
//!                                                       │              proving: proof.rs, confirm.rs
//!                                   consent ─► cancelling ─► cancelled cancelling: confirm.rs
//! ```
//!
//! Every step reads before it writes, and is in the audit file and the ledger before its effect, so that it may be killed
//! at any moment and run again. What can't go on is parked with a reason, for a person.

mod audit;
mod confirm;
mod desk;
mod paid;
mod plan;
mod products;
mod proof;
mod provision;
mod records;
mod returned;
mod sorting;
mod source;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use audit::{AuditFile, AuditOut};
pub use desk::SETTLES_WITHIN;
pub(super) use paid::Paid;
pub use plan::{CutoverPlan, plan_cutover};
pub(super) use records::Records;
pub use returned::{Returned, ReturnedError, take_returned};
pub use tally::{AtStage, CutoverSummary, Sample, Tally};

use self::audit::Audit;
use self::desk::{Desk, Left, TURNS};
use self::products::Products;
use self::source::Source;
use super::max_rejects::MaxRejects;
use super::reading::Reading;
use super::retry::RetryPolicy;
use super::run::{Journal, StartError, target_name};
use super::step::OpenPaid;
use super::stop::{Stop, Stopped};
use crate::clock::Clock;
use crate::ledger::{CutoverLedger, LedgerError, ParkReason, Replacement, RunStart, Stage};
use crate::provider::{Provider, ProviderName};
use crate::sink::{Budgets, Provisioner, Sink};

/// Most replacements that are under way at once. At the API's rate four begin each second; the others wait until they are
/// at the billing provider.
const UNDER_WAY_MAX: usize = 256;

/// Most originals that are cancelled at once; the provider's own pace is its client's.
const CANCELS_UNDER_WAY_MAX: usize = 16;

/// Replacements that are read from the ledger at once.
const PAGE: u32 = 500;

/// What a cutover does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Provisions and proves; cancels nothing.
    Provision,
    /// Cancels the originals of what was proved; provisions nothing.
    Cancel,
    /// Both, one after the other.
    All,
}

impl Phase {
    /// Whether originals may be cancelled.
    pub fn cancels(self) -> bool {
        match self {
            Self::Provision => false,
            Self::Cancel | Self::All => true,
        }
    }
}

/// Which of the subscriptions are meant.
#[derive(Debug, Clone, Default)]
pub struct Cohort {
    /// Only those of these customers; none: of all.
    pub customers: Option<BTreeSet<String>>,
    /// At most so many that have something to be done; none: all.
    pub limit: Option<u64>,
}

impl Cohort {
    fn has(&self, customer_id: &str) -> bool {
        self.customers.as_ref().is_none_or(|customers| customers.contains(customer_id))
    }
}

/// Which parked replacements are begun anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RetryParked {
    /// None.
    #[default]
    No,
    /// All.
    All,
    /// Those of a reason.
    Only(ParkReason),
}

impl RetryParked {
    fn takes(&self, reason: ParkReason) -> bool {
        match self {
            Self::No => false,
            Self::All => true,
            Self::Only(only) => *only == reason,
        }
    }
}

/// Asked before the first original is cancelled, with their number.
pub type Consent = Box<dyn Fn(u64) -> bool + Send + Sync>;

/// Takes the originals that people have to cancel.
pub trait ByHand: Send {
    /// Adds one. It is written down as listed before.
    ///
    /// # Errors
    ///
    /// It can't be written, in words. The next run lists it again.
    fn add(&mut self, replacement: &Replacement) -> Result<(), String>;

    /// Makes the list last.
    ///
    /// # Errors
    ///
    /// As [`Self::add`].
    fn finish(&mut self) -> Result<(), String>;
}

/// Everything that a cutover needs.
pub struct CutoverJob {
    /// What it does.
    pub phase: Phase,
    /// Where the subscriptions are; none is needed to cancel.
    pub step: Option<OpenPaid>,
    /// Which of them.
    pub cohort: Cohort,
    /// Which parked ones begin anew.
    pub retry_parked: RetryParked,
    /// Stigg.
    pub sink: Arc<dyn Provisioner>,
    /// The target's address without its path, in lower case.
    pub target: String,
    /// How fast.
    pub budgets: Arc<Budgets>,
    /// Billing providers that can be called. Of others, people cancel.
    pub providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
    /// Whether the provider is asked what it charges for the replacement.
    pub compare_amounts: bool,
    /// How long after a request without an answer the API may still carry it out; see [`SETTLES_WITHIN`].
    pub settles_within: Duration,
    /// What was done before.
    pub ledger: Arc<dyn CutoverLedger>,
    /// The audit file.
    pub audit: Box<dyn AuditOut>,
    /// Files.
    pub journal: Journal,
    /// Counts, for whoever shows them.
    pub tally: Arc<Tally>,
    /// The date.
    pub clock: Arc<dyn Clock>,
    /// The flag that ends it early.
    pub stop: Arc<Stop>,
    /// Patience.
    pub retry: RetryPolicy,
    /// When to give up on a source.
    pub max_rejects: Option<MaxRejects>,
    /// Asked before anything is cancelled.
    pub consent: Consent,
    /// Where originals go that people cancel.
    pub by_hand: Box<dyn ByHand>,
}

/// A cutover that is over.
#[derive(Debug)]
pub struct CutoverFinished {
    /// Its account. `ok` and `exit` are the caller's to fill.
    pub summary: CutoverSummary,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
    /// The rejects file, where there was something to write.
    pub rejects: Option<PathBuf>,
    /// Whether consent was asked for and not given.
    pub declined: bool,
}

/// Runs a cutover.
///
/// # Errors
///
/// [`StartError`]: nothing was sent. Whatever goes wrong later is in [`CutoverFinished`].
pub async fn cutover(job: CutoverJob) -> Result<CutoverFinished, StartError> {
    let began = Instant::now();
    let sink: Arc<dyn Sink> = job.sink.clone();
    let target = tokio::select! {
        biased;
        () = job.stop.raised() => return Err(StartError::Interrupted),
        target = target_name(&sink, &job.budgets, job.retry, &job.target) => target?,
    };
    let reading = Reading {
        sink,
        budgets: job.budgets.clone(),
        progress: Arc::default(),
        retry: job.retry,
        stop: job.stop.clone(),
    };
    let products = match &job.step {
        Some(_) => Products::read(&reading).await.map_err(StartError::Target)?,
        None => Products::default(),
    };
    let start = RunStart {
        identity: job.journal.identity.clone(),
        started_at: job.clock.now(),
        arguments_json: job.journal.arguments_json.clone(),
    };
    let run = job.ledger.begin_run(start).await?;
    let desk = Desk {
        reading,
        provisioner: job.sink,
        ledger: job.ledger,
        providers: job.providers,
        audit: Audit::new(job.audit, run.0),
        clock: job.clock,
        target,
        compare_amounts: job.compare_amounts,
        settles_within: job.settles_within,
        tally: job.tally,
        turns: Semaphore::new(TURNS),
    };
    let mut rejects = None;
    let has_source = job.step.is_some();
    if let Some(step) = job.step {
        let retry_parked = job.retry_parked.clone();
        let source = Source::new(step, &job.journal, run, job.max_rejects, job.cohort.clone(), retry_parked);
        rejects = source.provision_all(&desk, &products).await;
    }
    let (mut to_cancel, mut declined) = (0, false);
    if job.phase.cancels() && !job.stop.is_raised() {
        // With a source its records say which parked ones begin anew, and are looked at once in a run.
        let retry_parked = if has_source { RetryParked::No } else { job.retry_parked };
        let by_hand = Mutex::new(job.by_hand);
        let mut cancelling = Cancel { desk: &desk, cohort: &job.cohort, retry_parked, by_hand };
        if let Err(error) = cancelling.cancel_all(&job.consent, &mut to_cancel, &mut declined).await {
            desk.ledger_failed(&error);
        }
    }
    let mut summary = CutoverSummary::new(run.0, job.phase, &desk.tally, to_cancel, began.elapsed().as_secs_f64());
    match desk.ledger.stage_counts(&desk.target).await {
        Ok(counts) => summary.stages = counts.into_iter().map(AtStage::from).collect(),
        Err(error) => drop(desk.ledger_failed(&error)),
    }
    let stopped = job.stop.why().cloned();
    summary.stopped = stopped.as_ref().map(ToString::to_string);
    Ok(CutoverFinished { summary, stopped, rejects, declined })
}

/// The second half: originals whose replacements were proved.
struct Cancel<'a> {
    desk: &'a Desk,
    cohort: &'a Cohort,
    retry_parked: RetryParked,
    by_hand: Mutex<Box<dyn ByHand>>,
}

impl Cancel<'_> {
    async fn cancel_all(
        &mut self,
        consent: &Consent,
        to_cancel: &mut u64,
        declined: &mut bool,
    ) -> Result<(), LedgerError> {
        // What is in Stigg, whatever is written of it, is found: its row may be gone from the source by now.
        let lost = |stage: &Stage| match stage {
            Stage::Provisioning => true,
            Stage::Parked(parked) => self.retry_parked.takes(parked.reason),
            Stage::Planned | Stage::Provisioned | Stage::Confirmed | Stage::Cancelling | Stage::Cancelled => false,
        };
        self.each(lost, None, async |mut replacement: Replacement| {
            let found = self.desk.find(&mut replacement).await;
            self.left(&replacement, found, false);
        })
        .await?;
        // What an earlier run provisioned and did not prove is proved first.
        self.each(
            |stage| matches!(stage, Stage::Provisioned),
            None,
            async |mut replacement: Replacement| {
                let confirmed = self.desk.confirm(&mut replacement).await;
                self.left(&replacement, confirmed, false);
            },
        )
        .await?;
        let wanted = |stage: &Stage| matches!(stage, Stage::Confirmed | Stage::Cancelling);
        *to_cancel = self.count(wanted).await?;
        self.desk.tally.to_cancel.set(*to_cancel);
        if *to_cancel == 0 || self.desk.reading.stop.is_raised() {
            return Ok(());
        }
        if !consent(*to_cancel) {
            *declined = true;
            return Ok(());
        }
        self.each(wanted, self.cohort.limit, async |mut replacement: Replacement| {
            let cancelled = self.desk.cancel(&mut replacement).await;
            self.left(&replacement, cancelled, true);
        })
        .await?;
        if let Err(why) = self.by_hand.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).finish() {
            self.desk.halt(Stopped::FilesCannotWrite(why));
        }
        Ok(())
    }

    /// Counts what became of one.
    fn left(&self, replacement: &Replacement, way: Result<(), Left>, is_cancel: bool) {
        let tally = &self.desk.tally;
        match way {
            Ok(()) if !is_cancel => {}
            Ok(()) if replacement.stage == Stage::Cancelled => tally.cancelled.add(1),
            Ok(()) => {
                let added = self.by_hand.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(replacement);
                match added {
                    Ok(()) => tally.listed.add(1),
                    Err(why) => {
                        tally.cancel_open.add(1);
                        self.desk.halt(Stopped::FilesCannotWrite(why));
                    }
                }
            }
            Err(Left::Parked) => {
                tally.sample(replacement, None);
                let parked = if is_cancel { &tally.cancel_parked } else { &tally.unproved_parked };
                parked.add(1);
            }
            Err(Left::Open(why)) => {
                tally.sample(replacement, Some(&why));
                let open = if is_cancel { &tally.cancel_open } else { &tally.unproved_open };
                open.add(1);
            }
        }
    }

    /// How many of the cohort are at such a stage, at most the cohort's limit.
    async fn count(&self, wanted: impl Fn(&Stage) -> bool) -> Result<u64, LedgerError> {
        let (mut count, mut after) = (0, None::<String>);
        loop {
            let page = self.desk.ledger.replacements(&self.desk.target, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.subscription_id.clone());
            count += page.iter().filter(|one| self.cohort.has(&one.customer_id) && wanted(&one.stage)).count() as u64;
        }
        Ok(self.cohort.limit.map_or(count, |limit| count.min(limit)))
    }

    /// Does something with each of the cohort that is at such a stage, several at once.
    async fn each(
        &self,
        wanted: impl Fn(&Stage) -> bool,
        limit: Option<u64>,
        act: impl AsyncFn(Replacement),
    ) -> Result<(), LedgerError> {
        let mut under_way = FuturesUnordered::new();
        let (mut begun, mut after) = (0, None::<String>);
        loop {
            let page = self.desk.ledger.replacements(&self.desk.target, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.subscription_id.clone());
            for replacement in page {
                if !self.cohort.has(&replacement.customer_id) || !wanted(&replacement.stage) {
                    continue;
                }
                if limit.is_some_and(|limit| begun >= limit) || self.desk.reading.stop.is_raised() {
                    break;
                }
                begun += 1;
                if under_way.len() >= CANCELS_UNDER_WAY_MAX {
                    under_way.next().await;
                }
                under_way.push(act(replacement));
            }
        }
        while under_way.next().await.is_some() {}
        Ok(())
    }
}
