//! The same, not left to chance: each fault that loses work, and each moment at which a kill leaves the outcome
//! unknown, happens to each operation, and is seen to have happened in the API's counts or in the ledger.

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use stigg_import::clock::SystemClock;
use stigg_import::entity::Entity;
use stigg_import::ledger::{Access, Counts, Durability, Ledger as _, OpenBatch, SqliteLedger};
use stigg_import::sandbox::{Fault, FaultKind, Faults, Snapshot};

use super::{COMMAND, CUSTOMERS, api, in_peace, undisturbed, write_export};
use crate::program::{Api, Folder, LEDGER};

/// The operations that write, and what they write.
const WRITES: [(&str, Entity); 3] = [
    ("importCustomersBulk", Entity::Customer),
    ("importSubscriptionsBulk", Entity::Subscription),
    ("reportUsageBulk", Entity::Usage),
];

/// Those that settle an asynchronous import.
const READS: [&str; 2] = ["importIntegrationTasks", "subscriptions"];

/// Faults after which the work is lost, or nobody knows whether it is.
const FAULTS: [FaultKind; 8] = [
    FaultKind::LostAnswer,
    FaultKind::ServerErrorAfter,
    FaultKind::ServerErrorBefore,
    FaultKind::ResetBefore,
    FaultKind::Truncated,
    FaultKind::BadGateway,
    FaultKind::BadGatewayAfter,
    FaultKind::NotJson,
];

/// Where a kill hits a run that has written a batch to its ledger.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The batch waits for a permit: no request was made of it.
    BeforeSending,
    /// It was sent, and the API did nothing.
    SentAndNotDone,
    /// The API did the work, and has not answered.
    DoneAndNotAnswered,
    /// The answer is there, and the ledger does not know.
    AnsweredAndNotSettled,
    /// The API does the work, the ledger knows the task, and the outcome is not known.
    TaskNoted,
    /// The API broke, and the program waits to send again.
    BetweenTries(FaultKind),
}

impl Moment {
    /// Runs until this moment of a batch of `operation`, and kills.
    fn kill_at(self, folder: &Folder, api: &Api, operation: &str) {
        let (fault, command) = match self {
            Self::BeforeSending => {
                let pipeline = folder.read("pipeline.toml");
                folder.write("slow.toml", format!("{pipeline}[limits]\n{operation} = 1\n"));
                (None, "run slow.toml --json")
            }
            Self::SentAndNotDone => (Some(FaultKind::Silent), COMMAND),
            Self::DoneAndNotAnswered => (Some(FaultKind::SilentAfter), COMMAND),
            Self::AnsweredAndNotSettled => (Some(FaultKind::Slow), COMMAND),
            Self::TaskNoted => (None, COMMAND),
            Self::BetweenTries(kind) => (Some(kind), COMMAND),
        };
        if let Some(kind) = fault {
            api.sandbox.inject(Fault::once(kind).on(operation).delay(Duration::from_millis(1500)));
        }
        let before = written(api);
        let mut child = folder.command(command).spawn().unwrap();
        let entity = WRITES.iter().find(|(name, _)| *name == operation).unwrap().1;
        let counted = || fault.is_some_and(|kind| faults(api, kind) == 1);
        until(&mut child, &format!("{self:?} of {operation}"), || match self {
            Self::BeforeSending => ledger(folder, entity).is_some_and(|(counts, open)| {
                counts.known_records > 0
                    && !open.is_empty()
                    && open.iter().all(|batch| is_absent(&before, &written(api), batch, entity))
            }),
            Self::TaskNoted => api.requests("importIntegrationTasks") > 0,
            Self::SentAndNotDone | Self::DoneAndNotAnswered | Self::AnsweredAndNotSettled | Self::BetweenTries(_) => {
                counted()
            }
        });
        match self {
            // The answer comes while the program can't read it.
            Self::AnsweredAndNotSettled => {
                let stop = format!("kill -STOP {}", child.id());
                assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
                thread::sleep(Duration::from_secs(2));
            }
            // A fault is counted before the work is done, and where nobody listens any more it may not be done.
            Self::DoneAndNotAnswered | Self::BetweenTries(_) => {
                let has_worked = || api.sandbox.stats().tasks_open > 0 || written(api) != before;
                if fault.is_some_and(FaultKind::work_is_done) {
                    until(&mut child, "the work of the fault is done", has_worked);
                }
                thread::sleep(Duration::from_millis(200));
            }
            Self::BeforeSending | Self::SentAndNotDone | Self::TaskNoted => {}
        }
        child.kill().unwrap();
        folder.wait(child);
        self.was_hit(folder, api, operation, entity, &before);
    }

    /// Fails where the kill came at another moment.
    fn was_hit(self, folder: &Folder, api: &Api, operation: &str, entity: Entity, before: &Written) {
        let began = Instant::now();
        while api.sandbox.stats().tasks_open > 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "the API's task does not end");
            thread::sleep(Duration::from_millis(10));
        }
        let (counts, open) = ledger(folder, entity).unwrap();
        let after = written(api);
        let place = format!("{self:?} of {operation}: {counts:?}");
        assert!(!open.is_empty(), "{place}: no batch is open");
        let absent = open.iter().filter(|batch| is_absent(before, &after, batch, entity)).count();
        match self {
            Self::BeforeSending => {
                assert_eq!(absent, open.len(), "{place}");
                assert_eq!(api.requests(operation), 1, "{place}");
                assert!(counts.known_records > 0, "the only request was of another batch, {place}");
            }
            Self::SentAndNotDone => assert!(absent > 0 && api.requests(operation) > 0, "{place}"),
            Self::DoneAndNotAnswered | Self::AnsweredAndNotSettled => assert!(absent < open.len(), "{place}"),
            Self::TaskNoted => assert!(open.iter().any(|batch| batch.task.is_some()), "{place}"),
            Self::BetweenTries(kind) if kind.work_is_done() => assert!(absent < open.len(), "{place}"),
            Self::BetweenTries(_) => assert!(absent > 0, "{place}"),
        }
    }
}

/// How often the API broke in this way.
fn faults(api: &Api, kind: FaultKind) -> u64 {
    api.sandbox.stats().faults.get(kind.name()).copied().unwrap_or(0)
}

#[track_caller]
fn until(child: &mut Child, what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before: {what}");
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the ledger knows of an entity; none before it has a batch.
fn ledger(folder: &Folder, entity: Entity) -> Option<(Counts, Vec<OpenBatch>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = folder.path(LEDGER);
        let ledger =
            SqliteLedger::open(&path, Access::Read, Durability::default(), Arc::new(SystemClock)).await.ok()?;
        let scopes = ledger.scopes().await.ok()?;
        let scope = scopes.iter().find(|scope| scope.entity == entity)?;
        Some((ledger.counts(scope).await.ok()?, ledger.open_batches(scope).await.ok()?))
    })
}

/// How often the API wrote each record.
type Written = BTreeMap<String, u32>;

fn written(api: &Api) -> Written {
    api.sandbox.stats().keys.into_iter().map(|(key, stats)| (key, stats.applied)).collect()
}

/// Whether the API did nothing for a batch in the meantime.
fn is_absent(before: &Written, after: &Written, batch: &OpenBatch, entity: Entity) -> bool {
    batch.items.iter().all(|item| {
        let mut parts = item.key.split('\u{1f}');
        let mut part = || parts.next().unwrap_or_default();
        let key = match entity {
            Entity::Customer => format!("customer:{}", part()),
            Entity::Subscription => format!("subscription:{}", part()),
            Entity::Usage => format!("usage:{}/{}", part(), part()),
            Entity::Event => unreachable!("no run here sends events"),
        };
        before.get(&key) == after.get(&key)
    })
}

/// A few at a time: each is a process, and an API of its own.
fn each<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    for some in cases.chunks(4) {
        thread::scope(|scope| {
            for case in some {
                scope.spawn(|| check(case));
            }
        });
    }
    eprintln!("counted: {} moments and faults of operations", cases.len());
}

fn is_killed_at(moment: Moment, operation: &str, expected: &Snapshot) {
    let (api, folder) = (api(Faults::default(), 0), Folder::new());
    write_export(&folder, &api.url);
    moment.kill_at(&folder, &api, operation);
    in_peace(&folder);
    assert!(api.sandbox.snapshot() == *expected, "killed at {moment:?} of {operation}: the API ends in another state");
}

#[test]
fn each_fault_happens_to_each_operation_and_the_end_is_that_of_an_undisturbed_run() {
    let (expected, _) = undisturbed();
    each(&FAULTS, |kind| {
        let (api, folder) = (api(Faults::default(), 0), Folder::new());
        write_export(&folder, &api.url);
        let operations: Vec<&str> = WRITES.iter().map(|(operation, _)| *operation).chain(READS).collect();
        for operation in &operations {
            api.sandbox.inject(Fault::once(*kind).on(operation));
        }
        in_peace(&folder);
        assert_eq!(faults(&api, *kind), operations.len() as u64, "{kind:?} did not happen to each operation");
        assert!(api.sandbox.snapshot() == expected, "after {kind:?} the API ends in another state");
    });
}

#[test]
fn a_kill_at_each_moment_of_each_operation_ends_as_an_undisturbed_run() {
    let (expected, _) = undisturbed();
    let moments = [
        Moment::BeforeSending,
        Moment::SentAndNotDone,
        Moment::DoneAndNotAnswered,
        Moment::AnsweredAndNotSettled,
        Moment::BetweenTries(FaultKind::ServerErrorBefore),
        Moment::BetweenTries(FaultKind::LostAnswer),
    ];
    let mut cases: Vec<(Moment, &str)> =
        moments.iter().flat_map(|moment| WRITES.iter().map(|(operation, _)| (*moment, *operation))).collect();
    cases.push((Moment::TaskNoted, "importSubscriptionsBulk"));
    each(&cases, |(moment, operation)| is_killed_at(*moment, operation, &expected));
}

/// The source goes on while an outcome is unknown: what was in doubt comes back with other content, or as it was before.
#[test]
fn content_that_changes_after_a_kill_is_the_last_one_in_the_end() {
    let moments = [Moment::SentAndNotDone, Moment::DoneAndNotAnswered, Moment::AnsweredAndNotSettled];
    let cases: Vec<(Moment, &str)> =
        moments.iter().flat_map(|moment| WRITES.iter().map(|(operation, _)| (*moment, *operation))).collect();
    let (expected, _) = undisturbed();
    each(&cases, |(moment, operation)| {
        // Given: everything was delivered once.
        let (api, folder) = (api(Faults::default(), 0), Folder::new());
        write_export(&folder, &api.url);
        in_peace(&folder);
        // When: all of it changes, the run that sends this is killed, and then it is again as it was.
        let customers = folder.read("customers.csv").replace("Customer ", "Another ");
        let subscriptions = folder.read("subscriptions.csv").replace(",plan-team", ",plan-scale");
        let more: String = (0..CUSTOMERS).map(|number| format!("more_{number},cus_{number},7\n")).collect();
        let usage = folder.read("usage.csv") + &more;
        folder.write("customers.csv", customers).write("subscriptions.csv", subscriptions).write("usage.csv", usage);
        moment.kill_at(&folder, &api, operation);
        write_export(&folder, &api.url);
        in_peace(&folder);
        // Then
        assert!(api.sandbox.snapshot() == expected, "after {moment:?} of {operation}: the API has other content");
    });
}
