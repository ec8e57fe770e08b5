//! The first half: every record of the source, provisioned and proved.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt as _};

use super::audit::Note;
use super::desk::{Desk, Left, Way};
use super::paid::Paid;
use super::products::Products;
use super::records::Records;
use super::sorting::{Next, Sorting};
use super::{Cohort, RetryParked, UNDER_WAY_MAX};
use crate::entity::Schema;
use crate::ledger::{Replacement, RunId, Stage, rejects};
use crate::pipeline::max_rejects::MaxRejects;
use crate::pipeline::run::Journal;
use crate::pipeline::step::OpenPaid;
use crate::pipeline::stop::Stopped;
use crate::pipeline::with_causes;
use crate::record::{Record, RecordBatch, Reject};

/// Records of a source, and which of them are meant.
pub(super) struct Source {
    records: Records,
    rejects: rejects::Writer,
    max_rejects: Option<MaxRejects>,
    sorting: Sorting,
    /// One replacement of a customer at a time: whether it would end another is decided by what is written.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Source {
    pub(super) fn new(
        step: OpenPaid,
        journal: &Journal,
        run: RunId,
        max_rejects: Option<MaxRejects>,
        cohort: Cohort,
        retry_parked: RetryParked,
    ) -> Self {
        let (schema, ledger_path) = (Schema::PaidSubscription, &journal.ledger_path);
        Self {
            rejects: rejects::Writer::new(ledger_path, run, &step.name, schema, &step.mapping_name),
            records: Records::new(step, &journal.spill_dir),
            max_rejects,
            sorting: Sorting::new(cohort, retry_parked),
            turns: HashMap::new(),
        }
    }

    /// Reads to the source's end; returns the rejects file, where there is one.
    pub(super) async fn provision_all(mut self, desk: &Desk, products: &Products) -> Option<PathBuf> {
        let stop = desk.reading.stop.clone();
        let mut out = RecordBatch::default();
        let mut under_way = FuturesUnordered::new();
        loop {
            let more = loop {
                tokio::select! {
                    biased;
                    // What is under way goes on while the source lets wait.
                    Some(()) = under_way.next(), if !under_way.is_empty() => {}
                    more = self.records.next(&mut out, &stop) => break more,
                }
            };
            if !more {
                break;
            }
            self.count(desk, &out);
            for record in &out.records {
                if stop.is_raised() {
                    // Not looked at: neither done nor known.
                    desk.tally.open.add(1);
                    continue;
                }
                match self.next(desk, &out, record).await {
                    None => {}
                    Some((paid, replacement)) => {
                        while under_way.len() >= UNDER_WAY_MAX {
                            under_way.next().await;
                        }
                        let turn = self.turns.entry(paid.request.customer_id.clone()).or_default().clone();
                        under_way.push(one(desk, products, paid, replacement, turn));
                    }
                }
            }
            self.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        while under_way.next().await.is_some() {}
        if let Err(error) = self.rejects.flush() {
            stop.raise(Stopped::LedgerCannotWrite(with_causes(&error)));
        }
        self.rejects.path().map(std::path::Path::to_owned)
    }

    fn count(&mut self, desk: &Desk, out: &RecordBatch) {
        desk.tally.took(out);
        if let Some((read, total)) = self.records.bytes() {
            desk.tally.bytes_read.set(read);
            desk.tally.bytes_total.set(total);
        }
        for reject in &out.rejects {
            self.reject(desk, reject);
        }
    }

    fn reject(&mut self, desk: &Desk, reject: &Reject) {
        let tally = &desk.tally;
        tally.rejected.add(1);
        let stop = &desk.reading.stop;
        if let Err(error) = self.rejects.rejected(reject) {
            stop.raise(Stopped::LedgerCannotWrite(with_causes(&error)));
        }
        if let Some(why) = self.max_rejects.and_then(|max| max.passed(tally.rejected.get(), tally.rows.get())) {
            stop.raise(Stopped::TooManyRejects(why));
        }
    }

    /// What has to go on, planned and written down where it begins.
    async fn next(&mut self, desk: &Desk, out: &RecordBatch, record: &Record) -> Option<(Paid, Replacement)> {
        match self.sorting.next(&*desk.ledger, &desk.target, &desk.tally, out, record).await {
            Ok(Next::Counted) => None,
            Ok(Next::Rejected(reject)) => {
                self.reject(desk, &reject);
                None
            }
            Ok(Next::GoOn(paid, replacement)) => Some((*paid, *replacement)),
            Ok(Next::Begin(paid)) => {
                let mut replacement = planned(desk, &paid);
                match desk.step(&mut replacement, Stage::Planned, &Note::default()).await {
                    Ok(()) => Some((*paid, replacement)),
                    Err(Left::Parked | Left::Open(_)) => {
                        desk.tally.open.add(1);
                        None
                    }
                }
            }
            Err(error) => {
                desk.tally.open.add(1);
                desk.ledger_failed(&error);
                None
            }
        }
    }
}

fn planned(desk: &Desk, paid: &Paid) -> Replacement {
    Replacement {
        subscription_id: paid.request.subscription_id.clone(),
        customer_id: paid.request.customer_id.clone(),
        payer_id: paid.payer_id.clone(),
        resource_id: paid.request.resource_id.clone(),
        plan_id: paid.plan_id.clone(),
        original: paid.original(),
        content: paid.content,
        stage: Stage::Planned,
        billing_id: None,
        attempts: 0,
        changed_at: desk.clock.now(),
    }
}

/// Brings one replacement as far as it goes, and counts it.
async fn one(
    desk: &Desk,
    products: &Products,
    paid: Paid,
    mut replacement: Replacement,
    turn: Arc<tokio::sync::Mutex<()>>,
) {
    let way = go(desk, products, &paid, &mut replacement, turn).await;
    match way {
        Ok(()) => desk.tally.confirmed.add(1),
        Err(Left::Parked) => {
            desk.tally.parked.add(1);
            desk.tally.sample(&replacement, None);
        }
        Err(Left::Open(why)) => {
            desk.tally.open.add(1);
            desk.tally.sample(&replacement, Some(&why));
        }
    }
}

async fn go(
    desk: &Desk,
    products: &Products,
    paid: &Paid,
    replacement: &mut Replacement,
    turn: Arc<tokio::sync::Mutex<()>>,
) -> Way<()> {
    if replacement.stage != Stage::Provisioned {
        let _turn = turn.lock().await;
        desk.provision(replacement, paid, products).await?;
    }
    desk.confirm(replacement).await
}
