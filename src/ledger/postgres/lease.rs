//! Who may write: a row with an end, by the server's clock.
//!
//! It is taken and renewed by one statement each, and taken from another only when it is over. Each write of its owner keeps
//! it, in the write's own transaction, from being taken ([`Fence::hold`]), so that whoever was late by however much can't
//! write once another has it.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::server::{Server, connect, options};
use super::{Fence, PostgresAddress};
use crate::ledger::run_lock::{Holder, LeaseTerms, Part};
use crate::ledger::{Access, LedgerError};

/// Those that take leases come one after the other, so that parts of different counts see each other. A lease that is over
/// may be in a write that its owner left half done: the server ends it after a while.
const ALONE: &str = "
    SET LOCAL lock_timeout = '20s';
    SELECT pg_advisory_xact_lock(6001229364101943881);";

/// Takes a lease that is free or over. `owner` is part of a key: another one waits for the present owner's writes.
const TAKE: &str = "
    INSERT INTO stigg_import.lease (name, owner, host, pid, since_at, until_at)
    SELECT $1, $2, $3, $4, clock_timestamp(), clock_timestamp() + $5::bigint * interval '1 millisecond'
    WHERE NOT EXISTS (
      SELECT FROM stigg_import.lease
      WHERE split_part(name, '/', 2) <> split_part($1, '/', 2) AND until_at > clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, host = excluded.host, pid = excluded.pid,
      since_at = clock_timestamp(), until_at = clock_timestamp() + $5::bigint * interval '1 millisecond'
    WHERE lease.until_at <= clock_timestamp()
    RETURNING 1";

/// Who is in the way: of the same part, or of any part of another count.
const HOLDER: &str = "
    SELECT name, host, pid, (extract(epoch FROM since_at) * 1000)::bigint, (extract(epoch FROM until_at) * 1000)::bigint
    FROM stigg_import.lease
    WHERE name = $1 OR (split_part(name, '/', 2) <> split_part($1, '/', 2) AND until_at > clock_timestamp())
    ORDER BY until_at DESC LIMIT 1";

/// Also one that is over, as long as nobody else has taken it.
const RENEW: &str = "
    UPDATE stigg_import.lease SET until_at = clock_timestamp() + $3::bigint * interval '1 millisecond'
    WHERE name = $1 AND owner = $2";

const RELEASE: &str = "DELETE FROM stigg_import.lease WHERE name = $1 AND owner = $2";

/// How long a run that ends waits for its lease to be given back; then it is over by itself.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// Holds a shared ledger, or a part of it, as long as it is renewed. A task does that; needs a running tokio runtime.
#[derive(Debug)]
pub struct Lease {
    fence: Fence,
    address: PostgresAddress,
    lost: watch::Receiver<bool>,
    /// None once it was released.
    release: Option<oneshot::Sender<oneshot::Sender<()>>>,
}

impl Lease {
    /// Takes the lease; makes the ledger's tables where they are missing.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Held`] says who has it and until when; otherwise as [`super::PostgresLedger::open`].
    pub(crate) async fn acquire(address: &PostgresAddress, terms: LeaseTerms) -> Result<Self, LedgerError> {
        let server = Server::connect(address).await?;
        server.prepare(Access::Write).await?;
        let mut connection = connect(address, &options(address)?).await?;
        let owner = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let fence = Fence { name: terms.part.to_string(), owner };
        // Before the statement: by the server's clock it ends later, so that we are never the later one to know.
        let mut begin = Instant::now();
        let mut tries = 0;
        while !take(&server, &mut connection, &fence, terms.length).await? {
            let by = holder(&server, &mut connection, &fence.name).await?;
            tries += 1;
            match by {
                Some(by) => return Err(LedgerError::Held { ledger: server.place(), by: Box::new(by) }),
                // Given back in between.
                None if tries < 3 => begin = Instant::now(),
                None => return Err(LedgerError::Busy { ledger: server.place() }),
            }
        }
        server.pool.close().await;
        let (losing, lost) = watch::channel(false);
        let (release, released) = oneshot::channel();
        let keeper = Keeper { server, fence: fence.clone(), length: terms.length, connection: Some(connection) };
        tokio::spawn(keeper.keep(begin, losing, released));
        Ok(Self { fence, address: address.clone(), lost, release: Some(release) })
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence.clone()
    }

    pub(crate) fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut lost = self.lost.clone();
        async move {
            // Released: nothing can be lost any more.
            if lost.wait_for(|lost| *lost).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(crate) async fn release(mut self) {
        let Some(release) = self.release.take() else { return };
        let (done, released) = oneshot::channel();
        if release.send(done).is_ok() && timeout(RELEASE_WITHIN, released).await.is_err() {
            tracing::warn!("the lease on the ledger could not be given back; others wait until it is over");
        }
    }
}

/// Gives it back also where a run fails on its way, so that the next one need not wait.
impl Drop for Lease {
    fn drop(&mut self) {
        if self.release.take().is_none() || *self.lost.borrow() {
            return;
        }
        // The runtime may be ending, and takes no more work.
        let (address, fence) = (self.address.clone(), self.fence.clone());
        let giving_back = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let giving_back = async {
                    let mut connection = connect(&address, &options(&address).ok()?).await.ok()?;
                    give_back(&mut connection, &fence).await.ok()
                };
                timeout(RELEASE_WITHIN, giving_back).await.ok()?
            })
        });
        if !matches!(giving_back.join(), Ok(Some(()))) {
            tracing::warn!("the lease on the ledger could not be given back; others wait until it is over");
        }
    }
}

async fn take(
    server: &Server,
    connection: &mut PgConnection,
    fence: &Fence,
    length: Duration,
) -> Result<bool, LedgerError> {
    let fail = |error| server.error(error);
    let mut transaction = connection.begin().await.map_err(fail)?;
    let taken = async {
        sqlx::raw_sql(ALONE).execute(&mut *transaction).await?;
        sqlx::query_scalar::<_, i32>(TAKE)
            .bind(&fence.name)
            .bind(&fence.owner)
            .bind(host())
            .bind(i64::from(std::process::id()))
            .bind(milliseconds(length))
            .fetch_optional(&mut *transaction)
            .await
    };
    match taken.await.map_err(fail) {
        Ok(taken) => {
            transaction.commit().await.map_err(fail)?;
            Ok(taken.is_some())
        }
        // It is over, and still in a write.
        Err(LedgerError::Busy { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn holder(server: &Server, connection: &mut PgConnection, name: &str) -> Result<Option<Holder>, LedgerError> {
    let fail = |error| server.error(error);
    let row = sqlx::query(HOLDER).bind(name).fetch_optional(connection).await.map_err(fail)?;
    let Some(row) = row else { return Ok(None) };
    let instant = |index| -> Result<Option<Timestamp>, LedgerError> {
        Ok(Timestamp::from_millisecond(row.try_get(index).map_err(fail)?).ok())
    };
    let part = Part::parse(row.try_get(0).map_err(fail)?);
    Ok(Some(Holder {
        pid: u32::try_from(row.try_get::<i64, _>(2).map_err(fail)?).ok(),
        host: Some(row.try_get(1).map_err(fail)?),
        part: part.filter(|part| *part != Part::ALL),
        since: instant(3)?,
        until: instant(4)?,
    }))
}

async fn give_back(connection: &mut PgConnection, fence: &Fence) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE).bind(&fence.name).bind(&fence.owner).execute(connection).await.map(drop)
}

fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// This machine's name, for people.
fn host() -> String {
    let variable = |name| std::env::var(name).ok();
    let said = variable("HOSTNAME")
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .or_else(|| variable("COMPUTERNAME"));
    said.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Renews a lease, over a connection of its own: those of the ledger may all be waiting.
struct Keeper {
    server: Server,
    fence: Fence,
    length: Duration,
    connection: Option<PgConnection>,
}

impl Keeper {
    async fn keep(
        mut self,
        mut begin: Instant,
        losing: watch::Sender<bool>,
        mut released: oneshot::Receiver<oneshot::Sender<()>>,
    ) {
        loop {
            tokio::select! {
                done = &mut released => return self.end(done.ok()).await,
                () = sleep_until(begin + self.length / 3) => {}
            }
            let over_at = begin + self.length;
            loop {
                let now = Instant::now();
                // What hangs is begun anew while there is time.
                let give_up_at = over_at.min(now + self.length / 6);
                let renewed = tokio::select! {
                    done = &mut released => return self.end(done.ok()).await,
                    renewed = tokio::time::timeout_at(give_up_at, self.renew()) => renewed,
                };
                match renewed {
                    Ok(Ok(true)) => {
                        begin = now;
                        break;
                    }
                    Ok(Ok(false)) => {
                        tracing::warn!("another run has taken the lease on the ledger");
                        losing.send_replace(true);
                        return;
                    }
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the lease on the ledger could not be renewed yet");
                        self.connection = None;
                    }
                    Err(_) => {
                        tracing::warn!("the lease on the ledger could not be renewed yet: no answer");
                        self.connection = None;
                    }
                }
                let again_at = Instant::now() + self.length / 30;
                if again_at >= over_at {
                    sleep_until(over_at).await;
                    tracing::warn!("the lease on the ledger could not be renewed in time");
                    losing.send_replace(true);
                    return;
                }
                sleep_until(again_at).await;
            }
        }
    }

    /// Whether it is still ours.
    async fn renew(&mut self) -> Result<bool, LedgerError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.server.address, &options(&self.server.address)?).await?),
        };
        let done = sqlx::query(RENEW)
            .bind(&self.fence.name)
            .bind(&self.fence.owner)
            .bind(milliseconds(self.length))
            .execute(connection)
            .await
            .map_err(|error| self.server.error(error))?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives it back. Where it was dropped, its dropping does that.
    async fn end(mut self, done: Option<oneshot::Sender<()>>) {
        let Some(done) = done else { return };
        let connected = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => match options(&self.server.address) {
                Ok(options) => connect(&self.server.address, &options).await,
                Err(error) => Err(error),
            },
        };
        if let Ok(mut connection) = connected {
            if let Err(error) = give_back(&mut connection, &self.fence).await {
                tracing::warn!(%error, "the lease on the ledger could not be given back; others wait until it is over");
            }
            // What remains of it ends with the connection.
            drop(connection.close().await);
        }
        let _ = done.send(());
    }
}
