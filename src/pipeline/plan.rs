//! What a run would do. Sends nothing and writes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::diff::Diff;
use super::prepare::Preparation;
use super::step::OpenStep;
use super::stop::{Stop, Stopped};
use super::summary::{Progress, StepSummary};
use crate::batch::{BatchLimits, Builder};
use crate::ledger::{Index, Ledger, LedgerError, Scope};
use crate::mapping::{Mapper, SpillSettings};
use crate::record::Reject;
use crate::sink::{Budgets, Operation};

/// What a step would do.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// Its account; what would be sent is `open`, and split into `created` and `changed`.
    pub summary: StepSummary,
    /// How many write requests that is.
    pub requests: u64,
    /// How long they take at the rate limit, in seconds; none where the rate is not limited.
    pub seconds: Option<f64>,
    /// The first few rejects.
    pub samples: Vec<Reject>,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// Why planning ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// Reads every source to its end and counts.
///
/// `target` names the target in the ledger; without a ledger everything is new.
///
/// # Errors
///
/// The ledger can't be read.
pub async fn plan(
    steps: Vec<OpenStep>,
    ledger: Option<(&dyn Ledger, &str)>,
    budgets: &Budgets,
    spill_dir: PathBuf,
    stop: Arc<Stop>,
) -> Result<Planned, LedgerError> {
    let mut planned = Vec::new();
    for step in steps {
        if stop.is_raised() {
            break;
        }
        let began = Instant::now();
        let (name, entity) = (step.name.clone(), step.entity);
        let index = match ledger {
            Some((ledger, target)) => ledger.load_index(&Scope { target: target.to_owned(), entity }).await?,
            None => Index::new(),
        };
        let progress = Arc::new(Progress::default());
        let preparation = Preparation {
            rows: step.rows,
            mapper: Mapper::new(step.plan, SpillSettings::in_dir(&spill_dir)),
            diff: Diff::new(index, Builder::new(entity, BatchLimits::of(entity))),
            progress: progress.clone(),
            rejects: None,
            max_rejects: None,
            stop: stop.clone(),
            samples: Vec::new(),
        };
        let (sender, mut receiver) = mpsc::channel(1);
        let preparing = tokio::spawn(preparation.prepare(sender));
        let mut requests = 0;
        while let Some(batch) = receiver.recv().await {
            requests += 1;
            progress.open.add(batch.items.len() as u64);
        }
        let prepared = match preparing.await {
            Ok(prepared) => prepared,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let duration_s = began.elapsed().as_secs_f64();
        planned.push(PlannedStep {
            summary: StepSummary::new(&name, entity, prepared.records, &progress, duration_s),
            requests,
            seconds: budgets.per_minute(Operation::of(entity)).map(|per_minute| requests as f64 * 60.0 / per_minute),
            samples: prepared.samples,
        });
    }
    Ok(Planned { steps: planned, stopped: stop.why().cloned() })
}
