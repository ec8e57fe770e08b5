//! From where a ledger is said to be to an open one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::args;
use super::exit::{Exit, Failure};
use crate::clock::SystemClock;
use crate::ledger::{
    Access, CutoverLedger, Durability, Fence, LeaseTerms, Ledger, LedgerError, LedgerPlace, Part, PostgresLedger,
    PostgresPace, RunFinish, RunId, RunLock, SqliteLedger,
};
use crate::pipeline::{Stop, Stopped};

/// How long a hold on a shared ledger lasts, where it is not the usual time.
const LEASE_VARIABLE: &str = "STIGG_IMPORT_LEASE_SECONDS";

/// How long after the end of a hold it is tried to take it.
const AFTER_A_LEASE: Duration = Duration::from_millis(500);

fn lease_terms() -> Result<LeaseTerms, Failure> {
    let usual = LeaseTerms::default();
    let Some(text) = std::env::var(LEASE_VARIABLE).ok().filter(|text| !text.is_empty()) else { return Ok(usual) };
    match text.parse() {
        Ok(seconds @ 3..=3600) => Ok(LeaseTerms { length: Duration::from_secs(seconds), ..usual }),
        Ok(_) | Err(_) => {
            Err(Failure::new(Exit::Arguments, format!("{LEASE_VARIABLE} is not a number from 3 to 3600"))
                .hint("leave it out: 30 seconds fit most"))
        }
    }
}

/// The ledger for writing, and the lock that goes with it.
pub(super) async fn ledger_to_write(place: &LedgerPlace) -> Result<(RunLock, Arc<dyn CutoverLedger>), Failure> {
    let fail = |error| ledger_failure(&error);
    let lock = RunLock::acquire(place, lease_terms()?, jiff::Timestamp::now()).await.map_err(fail)?;
    let ledger = ledger_at(place, Access::Write, lock.fence()).await.map_err(fail)?;
    Ok((lock, ledger))
}

/// A shared ledger, as one of the workers that share it has it.
pub(super) struct Share {
    pub lock: RunLock,
    pub ledger: Arc<dyn CutoverLedger>,
    /// The rates that all of them keep together.
    pub pace: PostgresPace,
}

/// The ledger for one of several workers. Where the part is held, it is waited for until that hold is over: a worker that was
/// killed can't give it back, and the one that takes its place comes at once.
///
/// # Errors
///
/// The ledger is none that can be shared; another worker has the part, and renews its hold.
pub(super) async fn share_to_write(place: &LedgerPlace, part: Part, stop: &Stop) -> Result<Share, Failure> {
    let fail = |error| ledger_failure(&error);
    let LedgerPlace::Postgres(address) = place else {
        return Err(Failure::new(Exit::Arguments, "a ledger in a file can't be shared by several workers").hint(
            "put the address of a Postgres database into STIGG_IMPORT_LEDGER, or leave --shard out; nothing was sent",
        ));
    };
    let terms = LeaseTerms { part, ..lease_terms()? };
    let mut waited = false;
    let lock = loop {
        let held = match RunLock::acquire(place, terms, jiff::Timestamp::now()).await {
            Ok(lock) => break lock,
            Err(held @ LedgerError::Held { .. }) if !waited => held,
            Err(error) => return Err(fail(error)),
        };
        waited = true;
        let LedgerError::Held { by, .. } = &held else { return Err(fail(held)) };
        tracing::warn!("the part is held by {by}; waits until that is over");
        // By the server's clock; ours may be another.
        if !stop.wait(terms.length + AFTER_A_LEASE).await {
            return Err(fail(held));
        }
    };
    let ledger =
        PostgresLedger::open(address, Access::Write, lock.fence(), Arc::new(SystemClock)).await.map_err(fail)?;
    let pace = ledger.pace();
    Ok(Share { lock, ledger: Arc::new(ledger), pace })
}

/// Stops a run whose hold on its ledger is lost, as long as what it returns is kept.
pub(super) fn watch_lock(lock: &RunLock, stop: &Arc<Stop>) -> JoinSet<()> {
    let (lost, stop) = (lock.lost(), stop.clone());
    let mut watching = JoinSet::new();
    watching.spawn(async move {
        lost.await;
        let why = "it could not be renewed in time, and another run may have it";
        stop.raise(Stopped::HoldLost(why.to_owned()));
    });
    watching
}

async fn ledger_at(
    place: &LedgerPlace,
    access: Access,
    fence: Option<Fence>,
) -> Result<Arc<dyn CutoverLedger>, LedgerError> {
    let clock = Arc::new(SystemClock);
    Ok(match place {
        LedgerPlace::File(path) => Arc::new(SqliteLedger::open(path, access, Durability::default(), clock).await?),
        LedgerPlace::Postgres(address) => Arc::new(PostgresLedger::open(address, access, fence, clock).await?),
    })
}

/// Writes the end of a run down.
pub(super) async fn finish<S: serde::Serialize + Sync>(
    ledger: &dyn Ledger,
    run: u64,
    exit: Exit,
    summary: &S,
) -> Result<(), Failure> {
    let summary_json = serde_json::to_string(summary).map_err(|error| Failure::of(Exit::Bug, &error))?;
    let finish = RunFinish { finished_at: jiff::Timestamp::now(), exit: exit as i32, summary_json };
    match ledger.finish_run(RunId(run), finish).await {
        Ok(()) => Ok(()),
        // A full disk is told once, as the reason why the run stopped.
        Err(_) if exit == Exit::Ledger => Ok(()),
        Err(error) => Err(ledger_failure(&error)),
    }
}

/// The ledger for reading; none where there is none yet.
pub(super) async fn ledger_to_read(place: &LedgerPlace) -> Result<Option<Arc<dyn Ledger>>, Failure> {
    Ok(whole_ledger_to_read(place).await?.map(|ledger| ledger as Arc<dyn Ledger>))
}

/// The same, with all that is in it.
pub(super) async fn whole_ledger_to_read(place: &LedgerPlace) -> Result<Option<Arc<dyn CutoverLedger>>, Failure> {
    match ledger_at(place, Access::Read, None).await {
        Ok(ledger) => Ok(Some(ledger)),
        Err(LedgerError::Missing { .. }) => Ok(None),
        Err(error) => Err(ledger_failure(&error)),
    }
}

/// ` --ledger PATH` for a hint, where the same command without it would have another. Without a password.
pub(super) fn ledger_option(place: &LedgerPlace) -> String {
    match place {
        place if *place == args::ledger_unsaid() => String::new(),
        LedgerPlace::File(path) => format!(" --ledger {}", path.display()),
        LedgerPlace::Postgres(address) => format!(" --ledger '{address}'"),
    }
}

/// The folder of temporary files that belongs to a ledger.
pub(super) fn spill_dir(place: &LedgerPlace) -> PathBuf {
    match place.local().parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

pub(super) fn ledger_failure(error: &LedgerError) -> Failure {
    let exit = match error {
        LedgerError::Held { .. } => Exit::Held,
        LedgerError::Address { .. } => Exit::Arguments,
        _ => Exit::Ledger,
    };
    let failure = Failure::of(exit, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
