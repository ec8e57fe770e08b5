//! A business of some customers, Stigg, a billing provider, and a cutover between them that may be killed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::*;
use crate::batch::{BatchLimits, Builder};
use crate::clock::Clock;
use crate::entity::Entity;
use crate::ledger::{MemoryLedger, OriginalRef, Parked, Replacements as _};
use crate::mapping;
use crate::pipeline::run::Journal;
use crate::provider::{
    Cancelling, Interval, MemoryProvider, Original, OriginalId, OriginalItem, Provider, ProviderError, Reading as Found,
};
use crate::record::{Fingerprint, KeyHash, Origin, Place, RowBatch};
use crate::sink::{MemorySink, Operation, Sink as _};
use crate::source::{BrokeProblem, Rows, SourceError};

pub(super) const TARGET: &str = "https://api.example/graphql memory";

const MAPPING: &str = r#"
entity = "paid_subscription"
[fields]
subscriptionId = "id"
customerId = "customer"
planId = "plan"
resourceId = { column = "resource", optional = true }
startDate = { column = "start", time = "iso" }
billingPeriod = { const = "MONTHLY" }
unitQuantity = "quantity"
original = { provider = { column = "provider" }, id = "original" }
"#;

const COLUMNS: [&str; 8] = ["id", "customer", "plan", "resource", "start", "quantity", "provider", "original"];

/// A row of the source.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub id: String,
    pub customer: String,
    pub plan: String,
    pub resource: String,
    pub provider: &'static str,
    pub original: String,
}

/// The clock of the date goes with the clock of the waits.
#[derive(Debug)]
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let began: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        began + SignedDuration::try_from(self.0.elapsed()).unwrap()
    }
}

/// Lines that survive a kill; a kill comes with the line that it says.
#[derive(Debug, Clone, Default)]
pub(super) struct AuditLines(Arc<Mutex<(Vec<u8>, Option<Kill>)>>);

/// A kill while a line is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kill {
    /// Lines before it.
    pub after_lines: u32,
    /// Whether the line is cut off.
    pub torn: bool,
}

/// What a killed process dies of.
#[derive(Debug)]
pub(super) struct Killed {
    /// The step that was being written down.
    pub step: String,
}

impl AuditOut for AuditLines {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut guard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (text, kill) = &mut *guard;
        match kill {
            Some(Kill { after_lines: 0, torn }) => {
                text.extend_from_slice(if *torn { &line[..line.len() / 2] } else { line });
                *kill = None;
                drop(guard);
                let line: Value = serde_json::from_slice(line).unwrap();
                std::panic::panic_any(Killed { step: line["step"].as_str().unwrap().to_owned() });
            }
            Some(kill) => kill.after_lines -= 1,
            None => {}
        }
        text.extend_from_slice(line);
        Ok(())
    }
}

impl AuditLines {
    pub(super) fn kill(&self, kill: Option<Kill>) {
        let mut guard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        guard.1 = kill;
        // As the file does when it is opened.
        if !guard.0.is_empty() && !guard.0.ends_with(b"\n") {
            guard.0.push(b'\n');
        }
    }

    /// The lines, and how many were cut off.
    pub(super) fn lines(&self) -> (Vec<Value>, usize) {
        let text = String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap();
        let parsed: Vec<_> = text.lines().map(serde_json::from_str::<Value>).collect();
        let torn = parsed.iter().filter(|line| line.is_err()).count();
        (parsed.into_iter().filter_map(Result::ok).collect(), torn)
    }
}

/// The provider, with somebody who watches what is cancelled.
struct Watched {
    provider: Arc<MemoryProvider>,
    sink: Arc<MemorySink>,
    ledger: MemoryLedger,
    crimes: Arc<Mutex<Vec<String>>>,
}

impl Provider for Watched {
    fn name(&self) -> ProviderName {
        self.provider.name()
    }

    fn read<'a>(&'a self, id: &'a OriginalId) -> futures::future::BoxFuture<'a, Result<Found, ProviderError>> {
        self.provider.read(id)
    }

    fn cancel<'a>(&'a self, id: &'a OriginalId) -> futures::future::BoxFuture<'a, Result<Cancelling, ProviderError>> {
        Box::pin(async move {
            let original = OriginalRef { provider: "stripe".to_owned(), id: id.to_string() };
            let written = self.ledger.replacement_of(TARGET, &original).await.unwrap();
            let record = written.as_ref().and_then(|one| self.sink.record(Entity::Subscription, &one.subscription_id));
            let is_active = record.as_ref().is_some_and(|record| {
                record["status"].is_null() && record["billingId"].is_string() && record["billingId"] != id.as_str()
            });
            if !is_active || written.as_ref().is_none_or(|one| one.stage != Stage::Cancelling) {
                self.crimes.lock().unwrap().push(format!("{id} was cancelled over {written:?} and {record:?}"));
            }
            self.provider.cancel(id).await
        })
    }
}

pub(super) struct World {
    pub sink: Arc<MemorySink>,
    pub provider: Arc<MemoryProvider>,
    pub ledger: MemoryLedger,
    pub audit: AuditLines,
    pub crimes: Arc<Mutex<Vec<String>>>,
    pub listed: Arc<Mutex<Vec<String>>>,
    pub rows: Vec<Row>,
    /// Whether the source breaks after its rows.
    pub breaks: bool,
    clock: Arc<TestClock>,
}

/// What a run is asked for.
pub(super) struct Asked {
    pub phase: Phase,
    pub cohort: Cohort,
    pub retry_parked: RetryParked,
    pub consent: bool,
    pub stop: Arc<Stop>,
}

impl Asked {
    pub(super) fn of(phase: Phase) -> Self {
        Self { phase, cohort: Cohort::default(), retry_parked: RetryParked::No, consent: true, stop: Arc::default() }
    }
}

struct Listed(Arc<Mutex<Vec<String>>>);

impl ByHand for Listed {
    fn add(&mut self, replacement: &Replacement) -> Result<(), String> {
        self.0.lock().unwrap().push(replacement.original.id.clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

pub(super) fn original_id(name: &str) -> OriginalId {
    OriginalId::parse(name).unwrap()
}

/// A subscription at the provider that costs `minor` cents a month for each of two.
pub(super) fn at_provider(id: &str, customer: &str, minor: i64) -> Original {
    let mut original = MemoryProvider::active(&original_id(id), customer);
    original.items = vec![OriginalItem {
        price_id: "price".to_owned(),
        product_id: None,
        quantity: Some(2),
        unit_amount_minor: Some(Decimal::from(minor)),
        currency: "usd".to_owned(),
        interval: Some((Interval::Month, 1)),
    }];
    original
}

impl World {
    pub(super) async fn new() -> Self {
        Self {
            sink: Arc::new(MemorySink::default()),
            provider: Arc::new(MemoryProvider::new(ProviderName::Stripe)),
            ledger: MemoryLedger::new(Arc::new(TestClock(Instant::now()))),
            audit: AuditLines::default(),
            crimes: Arc::default(),
            listed: Arc::default(),
            rows: Vec::new(),
            breaks: false,
            clock: Arc::new(TestClock(Instant::now())),
        }
    }

    /// A customer `name`, in Stigg and as `cus_name` at the provider.
    pub(super) async fn customer(&self, name: &str) {
        let json = json!({ "customerId": name, "billingId": format!("cus_{name}") }).to_string();
        let limits = BatchLimits { records_max: 10, body_bytes_max: usize::MAX };
        let mut builder = Builder::new(Entity::Customer, limits);
        let origin = Origin::total(Place { source: "a".into(), record: 1, line: 1 }, 1, vec![1]);
        builder.push(json.as_bytes(), name, KeyHash::of(name), Fingerprint(1), origin).unwrap();
        let batch = builder.finish().unwrap();
        let permit = Budgets::unlimited().acquire(Operation::ImportCustomers).await;
        self.sink.submit(&batch, permit).await.unwrap();
    }

    /// A customer with a subscription `old-name` at the provider, a row that replaces it by `name`, and what it will be at
    /// the provider, at the same price.
    pub(super) async fn subscription(&mut self, name: &str) {
        self.customer(name).await;
        self.provider.put(at_provider(&format!("old-{name}"), &format!("cus_{name}"), 4900));
        self.provider.put(at_provider(&format!("new-{name}"), &format!("cus_{name}"), 4900));
        self.rows.push(Row {
            id: name.to_owned(),
            customer: name.to_owned(),
            plan: "plan-team".to_owned(),
            resource: String::new(),
            provider: "stripe",
            original: format!("old-{name}"),
        });
    }

    fn paid(&self) -> OpenPaid {
        let columns: Arc<[Box<str>]> = COLUMNS.iter().map(|name| Box::from(*name)).collect();
        let mut batch = RowBatch::new("subscriptions.csv".into(), columns.clone());
        for (number, row) in (1..).zip(&self.rows) {
            let cells = [
                row.id.as_str(),
                &row.customer,
                &row.plan,
                &row.resource,
                "2025-06-16T16:35:00Z",
                "2",
                row.provider,
                &row.original,
            ];
            batch.push(number, number + 1, cells.map(Some));
        }
        let broke = self.breaks.then(|| SourceError::Broke {
            place: Place { source: "subscriptions.csv".into(), record: 1, line: 2 },
            problem: BrokeProblem::Io(io::Error::other("the server was killed")),
        });
        let mapping = mapping::parse("paid.toml", MAPPING, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
        let rows = Rows::in_memory(columns, vec![Arc::new(batch)], broke);
        OpenPaid::new("paid", &mapping, rows, &*self.clock).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) fn job(&self, asked: Asked) -> CutoverJob {
        let watched = Watched {
            provider: self.provider.clone(),
            sink: self.sink.clone(),
            ledger: self.ledger.clone(),
            crimes: self.crimes.clone(),
        };
        let provider: Arc<dyn Provider> = Arc::new(watched);
        let consent = asked.consent;
        CutoverJob {
            phase: asked.phase,
            step: (asked.phase != Phase::Cancel).then(|| self.paid()),
            cohort: asked.cohort,
            retry_parked: asked.retry_parked,
            sink: self.sink.clone(),
            target: "https://api.example/graphql".to_owned(),
            budgets: Arc::new(Budgets::published()),
            providers: BTreeMap::from([(ProviderName::Stripe, provider)]),
            compare_amounts: true,
            settles_within: SETTLES_WITHIN,
            ledger: Arc::new(self.ledger.clone()),
            audit: Box::new(self.audit.clone()),
            journal: Journal {
                ledger_path: std::env::temp_dir().join("no-such-folder/ledger.db"),
                spill_dir: std::env::temp_dir(),
                identity: "paid.toml".to_owned(),
                arguments_json: "{}".to_owned(),
            },
            tally: Arc::default(),
            clock: self.clock.clone(),
            stop: asked.stop,
            retry: RetryPolicy::default(),
            max_rejects: None,
            consent: Box::new(move |_| consent),
            by_hand: Box::new(Listed(self.listed.clone())),
        }
    }

    pub(super) async fn run(&self, phase: Phase) -> CutoverFinished {
        self.run_asked(Asked::of(phase)).await
    }

    pub(super) async fn run_asked(&self, asked: Asked) -> CutoverFinished {
        self.audit.kill(None);
        let finished = cutover(self.job(asked)).await.unwrap();
        assert!(finished.summary.balances(), "{:?}", finished.summary);
        finished
    }

    /// A replacement's stage, and the reason of a parked one.
    pub(super) async fn stage(&self, name: &str) -> (&'static str, Option<&'static str>) {
        let replacement = self.ledger.replacement(TARGET, name).await.unwrap().unwrap();
        (replacement.stage.name(), replacement.stage.parked().map(|parked| parked.reason.name()))
    }

    /// Holds what must hold whatever happened.
    pub(super) async fn check(&self) {
        self.check_crimes();
        self.check_story().await;
    }

    /// Nothing is cancelled unproved, nothing is done twice.
    pub(super) fn check_crimes(&self) {
        assert_eq!(*self.crimes.lock().unwrap(), Vec::<String>::new());
        for (id, times) in self.sink.provisioned() {
            assert_eq!(times, 1, "{id} was provisioned {times} times");
        }
        for (id, times) in self.provider.cancelled() {
            assert_eq!(times, 1, "{id} was cancelled {times} times");
        }
    }

    /// The audit file alone tells where each one is, and a way that may be gone.
    async fn check_story(&self) {
        let (lines, _) = self.audit.lines();
        for replacement in self.ledger.replacements(TARGET, None, 10_000).await.unwrap() {
            let mut at: Option<Stage> = None;
            for line in lines.iter().filter(|line| line["subscriptionId"] == replacement.subscription_id.as_str()) {
                assert!(line["time"].is_string() && line["run"].is_u64() && line["originalId"].is_string(), "{line}");
                let step = line["step"].as_str().unwrap();
                if step == "answer" {
                    assert!(line["answer"].is_string(), "{line}");
                    continue;
                }
                let parked = line["reason"].as_str().map(|reason| Parked {
                    reason: ParkReason::of_name(reason).unwrap(),
                    detail: line["detail"].as_str().unwrap().to_owned(),
                });
                let next = Stage::of_name(step, parked).unwrap();
                match &at {
                    None => assert_eq!(next, Stage::Planned, "{replacement:?}"),
                    // After a kill a step is written again, or another one instead of it.
                    Some(at) if *at == next || at.may_become(&next) => {}
                    Some(at) => assert!(
                        self.was_killed_between(&lines, &replacement.subscription_id, at, &next),
                        "{at:?} -> {next:?}"
                    ),
                }
                at = Some(next);
            }
            assert_eq!(at, Some(replacement.stage.clone()), "{replacement:?}");
        }
    }

    /// Whether the ledger may have been at a stage before `at`, because a kill came between the audit's line and it.
    fn was_killed_between(&self, lines: &[Value], id: &str, at: &Stage, next: &Stage) -> bool {
        let of = |stage: &Stage| {
            lines
                .iter()
                .filter(|line| line["subscriptionId"] == id && line["step"] == stage.name())
                .filter_map(|line| line["run"].as_u64())
                .collect::<Vec<_>>()
        };
        // Another run wrote the next step.
        of(at).iter().any(|run| of(next).iter().any(|later| later > run))
    }
}
