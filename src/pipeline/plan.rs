//! What a run would do. Sends nothing and writes nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;

use super::changes::{self, Extent};
use super::diff::Diff;
use super::handover::handover;
use super::held::held;
use super::prepare::Preparation;
use super::step::OpenStep;
use super::stop::{Stop, Stopped};
use super::summary::{Progress, StepSummary};
use crate::batch::{BatchLimits, Builder};
use crate::clock::Clock;
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
/// `target` names the target in the ledger; without a ledger everything is new. `full`: everything is read, also
/// where a step could read its changes only.
///
/// # Errors
///
/// The ledger can't be read.
pub async fn plan(
    steps: Vec<OpenStep>,
    ledger: Option<(&dyn Ledger, &str)>,
    budgets: &Budgets,
    spill_dir: PathBuf,
    full: bool,
    clock: &dyn Clock,
    stop: Arc<Stop>,
) -> Result<Planned, LedgerError> {
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
        let (index, held) = match ledger {
            Some((ledger, target)) => {
                let scope = Scope { target: target.to_owned(), entity };
                (ledger.load_index(&scope).await?, held(ledger, &scope, clock.now()).await?)
            }
            None => (Index::new(), HashSet::new()),
        };
        let progress = Arc::new(Progress::default());
        let preparation = Preparation {
            rows: step.rows,
            mapper: Mapper::new(step.plan, SpillSettings::in_dir(&spill_dir)),
            diff: Diff::new(index, Builder::new(entity, BatchLimits::of(entity))).holding(held),
            progress: progress.clone(),
            rejects: None,
            max_rejects: None,
            stop: stop.clone(),
            samples: Vec::new(),
            mark: None,
        };
        let (sender, mut receiver) = handover();
        let preparing = tokio::spawn(preparation.prepare(sender));
        let mut requests = 0;
        while let Some(batch) = receiver.next().await {
            requests += 1;
            progress.open.add(batch.items.len() as u64);
        }
        let prepared = match preparing.await {
            Ok(prepared) => prepared,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let duration_s = began.elapsed().as_secs_f64();
        let mut summary = StepSummary::new(&name, entity, prepared.records, &progress, duration_s);
        summary.since = since;
        planned.push(PlannedStep {
            summary,
            requests,
            seconds: budgets.per_minute(Operation::of(entity)).map(|per_minute| requests as f64 * 60.0 / per_minute),
            samples: prepared.samples,
        });
    }
    Ok(Planned { steps: planned, stopped: stop.why().cloned() })
}
