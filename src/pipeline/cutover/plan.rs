//! What a cutover would do. Sends nothing and writes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;

use super::records::Records;
use super::sorting::{Next, Sorting};
use super::tally::{AtStage, CutoverSummary, Tally};
use super::{Cohort, PAGE, Phase, RetryParked};
use crate::ledger::{LedgerError, MemoryLedger, Replacements, Stage};
use crate::pipeline::step::OpenPaid;
use crate::pipeline::stop::{Stop, Stopped};
use crate::record::{RecordBatch, Reject};
use crate::sink::{Budgets, Operation};

/// Most rejects kept as samples.
const REJECTS_MAX: usize = 20;

/// What a cutover would do.
#[derive(Debug, Clone)]
pub struct CutoverPlan {
    /// Its account; what would be provisioned or go on is `open`.
    pub summary: CutoverSummary,
    /// How long provisioning takes at the rate limit, in seconds; none where it is not limited.
    pub provision_seconds: Option<f64>,
    /// How many originals can be cancelled now: of those that were confirmed.
    pub to_cancel: u64,
    /// The first few rejects.
    pub rejects: Vec<Reject>,
    /// Why planning ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// Reads the source to its end, where there is one, and counts. Without a ledger everything is new.
///
/// # Errors
///
/// The ledger can't be read.
#[expect(clippy::too_many_arguments, reason = "each is a part of the same question")]
pub async fn plan_cutover(
    phase: Phase,
    step: Option<OpenPaid>,
    cohort: Cohort,
    retry_parked: RetryParked,
    known: Option<(&dyn Replacements, &str)>,
    budgets: &Budgets,
    spill_dir: PathBuf,
    stop: Arc<Stop>,
) -> Result<CutoverPlan, LedgerError> {
    let began = Instant::now();
    let nothing = MemoryLedger::default();
    let (ledger, target): (&dyn Replacements, &str) = known.unwrap_or((&nothing, ""));
    let tally = Tally::default();
    let mut rejects = Vec::new();
    if let Some(step) = step {
        let mut records = Records::new(step, &spill_dir);
        let mut sorting = Sorting::new(cohort.clone(), retry_parked);
        let mut out = RecordBatch::default();
        while records.next(&mut out, &stop).await {
            tally.took(&out);
            let mut rejected = std::mem::take(&mut out.rejects);
            for record in &out.records {
                match sorting.next(ledger, target, &tally, &out, record).await? {
                    Next::Counted => {}
                    Next::Rejected(reject) => rejected.push(*reject),
                    Next::Begin(_) | Next::GoOn(..) => tally.open.add(1),
                }
            }
            tally.rejected.add(rejected.len() as u64);
            let room = REJECTS_MAX.saturating_sub(rejects.len());
            rejects.extend(rejected.into_iter().take(room));
        }
    }
    let mut to_cancel = 0;
    let mut after: Option<String> = None;
    loop {
        let page = ledger.replacements(target, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.subscription_id.clone());
        let ready = page.iter().filter(|one| cohort.has(&one.customer_id));
        to_cancel += ready.filter(|one| matches!(one.stage, Stage::Confirmed | Stage::Cancelling)).count() as u64;
    }
    let to_cancel = cohort.limit.map_or(to_cancel, |limit| to_cancel.min(limit));
    let mut summary = CutoverSummary::new(0, phase, &tally, to_cancel, began.elapsed().as_secs_f64());
    summary.stages = ledger.stage_counts(target).await?.into_iter().map(AtStage::from).collect();
    let stopped = stop.why().cloned();
    summary.stopped = stopped.as_ref().map(ToString::to_string);
    let per_minute = budgets.per_minute(Operation::ProvisionSubscription);
    Ok(CutoverPlan {
        provision_seconds: per_minute.map(|per_minute| tally.open.get() as f64 * 60.0 / per_minute),
        summary,
        to_cancel,
        rejects,
        stopped,
    })
}
