//! The promises, against a real server.

#[path = "../../../../tests/it/databases.rs"]
#[expect(dead_code, reason = "the sources' tests use more of it; the build says so if they no longer do")]
mod databases;
mod lease;
mod lost_answers;
mod pace;
mod promises;
mod trouble;
mod writers;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use self::databases::{Engine, Server, left_out};
use super::*;
use crate::clock::FixedClock;
use crate::ledger::conformance;

/// The server of these tests.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(Engine::Postgres))
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at(Timestamp::from_millisecond(1_777_000_000_000).unwrap()))
}

/// A database of its own, with nothing in it.
#[derive(Debug, Clone)]
struct Database {
    name: String,
    address: PostgresAddress,
}

impl Database {
    fn new() -> Self {
        Self::on(server())
    }

    fn on(server: &Server) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("ledger_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        server.run_sql("postgres", &format!("CREATE DATABASE {name}"));
        let address = PostgresAddress::of(&server.url(&name));
        Self { name, address }
    }

    async fn try_open(&self, access: Access) -> Result<PostgresLedger, LedgerError> {
        PostgresLedger::open(&self.address, access, None, clock()).await
    }

    async fn open(&self) -> PostgresLedger {
        self.try_open(Access::Write).await.unwrap()
    }

    /// Waits until a connection waits for a lock.
    async fn wait_for_lock(&self) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'",
            self.name
        );
        for _ in 0..200 {
            if self.client(&sql) != "0" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("nobody waits for a lock");
    }

    /// What the server's own client prints.
    fn client(&self, sql: &str) -> String {
        server().client(&self.name, sql)
    }
}

async fn known(ledger: &PostgresLedger) -> std::collections::BTreeMap<KeyHash, crate::record::Fingerprint> {
    ledger.load_index(&conformance::scope()).await.unwrap().known_fingerprints()
}
