//! Commits that happen and whose answer never comes, over connections that end or only fall silent.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::AtomicI64;

use super::*;
use crate::ledger::conformance::replacements::planned;
use crate::ledger::conformance::{batch, batch_with_fields, scope, sketches, start};
use crate::ledger::{MemoryLedger, Replacement, Replacements as _, Stage};

const TARGET: &str = "https://api.example/graphql#prod";

/// Stands between a ledger and the server, and keeps the answer to one commit for itself.
struct Relay {
    port: u16,
    /// Commits until then; negative afterwards.
    commits_left: Arc<AtomicI64>,
}

/// What becomes of a connection whose answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Ends,
    FallsSilent,
}

impl Relay {
    fn start(then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, commits_left) = (listener.local_addr().unwrap().port(), Arc::new(AtomicI64::new(i64::MAX)));
        let left = commits_left.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, left) = (client.unwrap(), left.clone());
                std::thread::spawn(move || relay(&client, &left, then));
            }
        });
        Self { port, commits_left }
    }

    fn address(&self, database: &Database) -> PostgresAddress {
        let url = server().url(&database.name).replace(&server().port().to_string(), &self.port.to_string());
        PostgresAddress::of(&format!("{url}?sslmode=disable"))
    }
}

/// Carries bytes both ways until one side ends, or an answer is to be kept.
fn relay(client: &TcpStream, commits_left: &AtomicI64, then: Then) {
    let upstream = TcpStream::connect(("127.0.0.1", server().port())).unwrap();
    let keeps = AtomicI64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            carry(client, &upstream, |bytes| {
                let commits = memchr::memmem::find(bytes, b"COMMIT").is_some();
                if commits && commits_left.fetch_sub(1, Ordering::SeqCst) == 0 {
                    keeps.store(1, Ordering::SeqCst);
                }
                true
            });
        });
        // The server has committed when it answers.
        carry(&upstream, client, |_| match keeps.load(Ordering::SeqCst) {
            0 => true,
            _ if then == Then::Ends => false,
            // The thread ends with the tests.
            _ => loop {
                std::thread::park();
            },
        });
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, passes: impl Fn(&[u8]) -> bool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut bytes)
        && read > 0
        && passes(&bytes[..read])
        && to.write_all(&bytes[..read]).is_ok()
    {}
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// A short life of a ledger, every kind of write in it.
async fn live<L: Ledger + crate::ledger::Replacements>(ledger: &L) {
    let (scope, run) = (scope(), ledger.begin_run(start()).await.unwrap());
    let open = async |batches: &[&Batch]| ledger.open(run, "s", &scope, batches).await.unwrap();
    let first = batch_with_fields(&[("ada", 1), ("bob", 1)]);
    let ids = open(&[&first, &batch_with_fields(&[("eve", 1), ("fay", 1)])]).await;
    ledger.note_task(ids[0], "task-1").await.unwrap();
    let refused = Outcome::Failed { code: "X".to_owned(), message: String::new() };
    ledger.settle(ids[0], &[Outcome::Open { reason: String::new() }, refused]).await.unwrap();
    ledger.settle(ids[1], &[Outcome::Accepted, Outcome::Accepted]).await.unwrap();
    let lost = open(&[&batch(&[("eve", 2)])]).await;
    ledger.forget(lost[0]).await.unwrap();
    let mark = StepMark { identity: "i".to_owned(), value: "2026-05-01".to_owned() };
    ledger.set_mark(&scope, "s", Some(&mark)).await.unwrap();
    let step = |stage| Replacement { stage, ..planned("ada") };
    for stage in [Stage::Planned, Stage::Provisioning, Stage::Provisioned, Stage::Confirmed] {
        ledger.write_step(TARGET, &step(stage)).await.unwrap();
    }
    let finish = RunFinish { finished_at: start().started_at, exit: 0, summary_json: "{}".to_owned() };
    ledger.finish_run(run, finish).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_done_twice() {
    if left_out() {
        return;
    }
    for then in [Then::Ends, Then::FallsSilent] {
        keeps_each_answer(then).await;
    }
}

async fn keeps_each_answer(then: Then) {
    let (model, scope) = (MemoryLedger::new(clock()), scope());
    live(&model).await;
    let relay = Relay::start(then);
    let mut cut = 0;
    loop {
        // Given: a ledger whose commit number `cut` happens, and is not answered.
        let database = Database::new();
        database.open().await;
        let address = relay.address(&database);
        let mut ledger = PostgresLedger::open(&address, Access::Write, None, clock()).await.unwrap();
        ledger.server.answer_within = std::time::Duration::from_millis(1500);
        relay.commits_left.store(cut, Ordering::SeqCst);

        // When
        live(&ledger).await;

        // Then
        let was_cut = relay.commits_left.swap(i64::MAX, Ordering::SeqCst) < 0;
        assert_eq!(
            ledger.open_batches(&scope).await.unwrap(),
            model.open_batches(&scope).await.unwrap(),
            "cut {cut}, {then:?}"
        );
        let known = ledger.load_index(&scope).await.unwrap().known_fingerprints();
        assert_eq!(known, model.load_index(&scope).await.unwrap().known_fingerprints(), "cut {cut}, {then:?}");
        let keys = ["ada", "bob", "eve", "fay"];
        assert_eq!(sketches(&ledger, &keys).await, sketches(&model, &keys).await, "cut {cut}, {then:?}");
        assert_eq!(ledger.runs(9).await.unwrap(), model.runs(9).await.unwrap(), "cut {cut}, {then:?}");
        assert_eq!(
            ledger.mark(&scope, "s").await.unwrap(),
            model.mark(&scope, "s").await.unwrap(),
            "cut {cut}, {then:?}"
        );
        let moved = ledger.replacements(TARGET, None, 9).await.unwrap();
        assert_eq!(moved, model.replacements(TARGET, None, 9).await.unwrap(), "cut {cut}, {then:?}");
        if !was_cut {
            break;
        }
        // Silence takes its time.
        cut += if then == Then::Ends { 1 } else { 3 };
    }
    assert!(cut > 12, "{cut} commits");
}
