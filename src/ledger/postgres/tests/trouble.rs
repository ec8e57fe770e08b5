//! Connections that are cut, servers that stop, processes that are killed, and what a ledger refuses.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::ledger::conformance::{batch, batch_with_fields, scope, sketches, start};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Cuts every connection that a ledger has, on the server's side.
fn cut(database: &Database) {
    database.client(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        database.name
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_again_and_again_lose_and_double_nothing() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let ledger = Arc::new(database.open().await);
    let run = ledger.begin_run(start()).await.unwrap();

    // When: four writers at once, whose connections are cut some twenty times, mostly in the middle of a write.
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let cutter = {
        let (database, stop) = (database.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut cuts = 0;
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(60));
                cut(&database);
                cuts += 1;
            }
            cuts
        })
    };
    let writer = |number: usize| {
        let ledger = ledger.clone();
        async move {
            let (mut opened, mut settled, mut failures) = (Vec::new(), Vec::new(), 0);
            for round in 0..60 {
                let key = format!("{number}-{round}");
                // A write that failed, although it was tried twice, is what ends a run; the next one goes on.
                match ledger.open(run, "s", &scope(), &[&batch(&[(&key, 7)])]).await {
                    Ok(ids) => opened.push((key.clone(), ids[0])),
                    Err(LedgerError::Unreachable { .. }) => {
                        failures += 1;
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                }
                match ledger.settle(opened.last().unwrap().1, &[Outcome::Accepted]).await {
                    Ok(()) => settled.push(key),
                    Err(LedgerError::Unreachable { .. }) => failures += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            (opened, settled, failures)
        }
    };
    let done = futures::future::join_all((0..4).map(writer).map(tokio::spawn)).await;
    stop.store(true, Ordering::Relaxed);
    let cuts = cutter.join().unwrap();

    // Then: what was said to be settled is known, what was said to be opened is known or open, and each only once.
    let ledger = database.open().await;
    let known = known(&ledger).await;
    let open = ledger.open_batches(&scope()).await.unwrap();
    let mut writes = 0;
    for result in done {
        let (opened, settled, _) = result.unwrap();
        for key in &settled {
            assert!(known.contains_key(&KeyHash::of(key)), "{key} was settled");
        }
        for (key, id) in &opened {
            let is_open = open.iter().any(|batch| batch.id == *id && batch.items[0].key == *key);
            assert!(known.contains_key(&KeyHash::of(key)) != is_open, "{key} was opened once");
        }
        writes += opened.len();
    }
    assert!(cuts >= 3 && writes > 100, "{cuts} cuts, {writes} writes");
    let twice = database.client("SELECT count(*) - count(DISTINCT items) FROM stigg_import.batch");
    assert_eq!(twice, "0", "a batch that was opened twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_started_again_is_waited_for() {
    if left_out() {
        return;
    }
    let mut server = Server::start(Engine::Postgres);
    let database = Database::on(&server);
    let ledger = database.open().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let id = ledger.open(run, "s", &scope(), &[&batch(&[("ada", 1)])]).await.unwrap()[0];

    server.kill();
    let settling = tokio::spawn(async move {
        ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
        ledger
    });
    let server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .unwrap();

    let ledger = settling.await.unwrap();
    assert_eq!(known(&ledger).await.len(), 1);
    server.kill();
    let error = ledger.settle(id, &[Outcome::Accepted]).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unreachable { .. }), "{error}");
    assert!(matches!(database.try_open(Access::Write).await, Err(LedgerError::Unreachable { .. })));
}

const CHILD: &str = "STIGG_IMPORT_TEST_POSTGRES_LEDGER";
const CHILD_LOG: &str = "STIGG_IMPORT_TEST_POSTGRES_LEDGER_LOG";

/// The process that the next test kills. Says in a file what it is about to do and what was done.
#[test]
fn child_that_is_killed() {
    let (Ok(url), Some(log)) = (std::env::var(CHILD), std::env::var_os(CHILD_LOG)) else { return };
    let mut log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
    runtime().block_on(async {
        let address = PostgresAddress::of(&url);
        let ledger = PostgresLedger::open(&address, Access::Write, None, clock()).await.unwrap();
        let (run, scope) = (ledger.begin_run(start()).await.unwrap(), scope());
        for round in 0u64.. {
            let (a, b) = (format!("{run}-{round}-a"), format!("{run}-{round}-b"));
            let (first, second) = (batch_with_fields(&[(&a, round)]), batch_with_fields(&[(&b, round)]));
            let ids = ledger.open(run, "s", &scope, &[&first, &second]).await.unwrap();
            write!(log, "opened {a} {round}\nopened {b} {round}\nsettling {a} {round}\n").unwrap();
            ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
            writeln!(log, "settled {a} {round}").unwrap();
            if round % 20 == 19 {
                ledger.compact(Compaction::Now, Index::new()).await.unwrap();
            }
        }
    });
}

#[test]
fn a_killed_process_leaves_what_it_had_opened_and_settled() {
    if left_out() {
        return;
    }
    let (database, folder) = (Database::new(), tempfile::tempdir().unwrap());
    let path: PathBuf = folder.path().join("log");
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    for kill in 1..=4 {
        // When: a process works on the ledger and is killed at some moment.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ledger::postgres::tests::trouble::child_that_is_killed", "--test-threads", "1"])
            .env(CHILD, server().url(&database.name))
            .env(CHILD_LOG, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(150..900)));
        // The last one lives until it has done something, however busy the machine is.
        let has_settled = || std::fs::read_to_string(&path).is_ok_and(|log| log.contains("settled "));
        while kill == 4 && !has_settled() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();

        // Then: what it says was written is known, and nothing is that was not delivered.
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let complete = &log[..log.rfind('\n').map_or(0, |end| end + 1)];
        std::fs::write(&path, complete).unwrap();
        let said = |what: &str| -> Vec<(&str, u64)> {
            let words = complete.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            words.filter(|words| words[0] == what).map(|words| (words[1], words[2].parse().unwrap())).collect()
        };
        runtime().block_on(async {
            let ledger = database.open().await;
            let known = known(&ledger).await;
            let open = ledger.open_batches(&scope()).await.unwrap();
            let open: BTreeMap<&str, u64> =
                open.iter().flat_map(|batch| &batch.items).map(|item| (&*item.key, item.fingerprint.0)).collect();
            for (key, content) in said("settled") {
                assert_eq!(known.get(&KeyHash::of(key)).map(|print| print.0), Some(content), "{key}, seed {seed}");
            }
            let settled = said("settled");
            let keys: Vec<&str> = settled.iter().map(|(key, _)| *key).collect();
            assert_eq!(sketches(&ledger, &keys).await.len(), keys.len(), "a batch has its sketches, seed {seed}");
            for (key, content) in said("opened") {
                let settled = known.get(&KeyHash::of(key)).map(|print| print.0);
                assert_eq!(settled.or(open.get(key).copied()), Some(content), "{key}, seed {seed}");
            }
            let settling: Vec<&str> = said("settling").into_iter().map(|(key, _)| key).collect();
            for (key, _) in said("opened").into_iter().filter(|(key, _)| !settling.contains(key)) {
                assert!(!known.contains_key(&KeyHash::of(key)), "{key} was not delivered, seed {seed}");
            }
            assert!(ledger.runs(100).await.unwrap().iter().all(|run| run.finish.is_none()));
        });
        assert!(kill < 4 || !said("settled").is_empty(), "the child came to nothing");
    }
}

#[tokio::test]
async fn a_ledger_of_a_newer_program_is_refused_and_not_changed() {
    if left_out() {
        return;
    }
    let database = Database::new();
    assert!(matches!(database.try_open(Access::Read).await, Err(LedgerError::Missing { .. })));
    database.open().await.close().await.unwrap();
    database.client("UPDATE stigg_import.format SET version = 7");
    for access in [Access::Write, Access::Read] {
        let error = database.try_open(access).await.unwrap_err();
        assert!(matches!(error, LedgerError::Newer { found: 7, known: 3, .. }), "{error}");
        assert!(error.hint().is_some());
    }
    assert_eq!(database.client("SELECT version FROM stigg_import.format"), "7");
}

/// Given tables of format 2 with an open batch, when a writer brings them up, then it can be settled in part and as a whole.
#[tokio::test]
async fn an_open_batch_of_format_2_is_read_and_settled() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let ledger = database.open().await;
    let id = ledger.open(RunId(1), "s", &scope(), &[&batch(&[("ada", 1), ("bob", 1)])]).await.unwrap()[0];
    let before = ledger.open_batches(&scope()).await.unwrap();
    ledger.close().await.unwrap();
    database.client(
        "UPDATE stigg_import.open_batch SET keys = '\\x0000000003000000616461 0100000003000000626f62';
         UPDATE stigg_import.format SET version = 2",
    );

    let reader = database.try_open(Access::Read).await.unwrap();
    assert_eq!(reader.open_batches(&scope()).await.unwrap(), before);
    let writer = database.open().await;
    assert_eq!(database.client("SELECT version FROM stigg_import.format"), "3");
    assert_eq!(writer.open_batches(&scope()).await.unwrap(), before);
    writer.settle(id, &[Outcome::Accepted, Outcome::Open { reason: String::new() }]).await.unwrap();
    assert_eq!(writer.open_batches(&scope()).await.unwrap()[0].items, before[0].items[1..]);
    assert_eq!(database.client("SELECT encode(keys, 'hex') FROM stigg_import.open_batch"), "ffffffff80010003626f62");
    writer.settle(id, &[Outcome::Accepted, Outcome::Accepted]).await.unwrap();
    assert_eq!(known(&writer).await.len(), 2);
}

/// Given tables of format 1, when they are only read, then nothing is known of fields; and a writer brings them up.
#[tokio::test]
async fn tables_of_format_1_are_read_as_they_are_and_brought_up_by_a_writer() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let deliver = async |ledger: &PostgresLedger, content| {
        let id = ledger.open(RunId(1), "s", &scope(), &[&batch_with_fields(&[("ada", content)])]).await.unwrap()[0];
        ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
    };
    let ledger = database.open().await;
    deliver(&ledger, 1).await;
    assert_eq!(sketches(&ledger, &["ada"]).await.len(), 1);
    ledger.close().await.unwrap();
    database.client("DROP TABLE stigg_import.sketch; UPDATE stigg_import.format SET version = 1");

    let reader = database.try_open(Access::Read).await.unwrap();
    assert_eq!(known(&reader).await.len(), 1);
    assert_eq!(sketches(&reader, &["ada"]).await.len(), 0);
    let writer = database.open().await;
    assert_eq!(database.client("SELECT version FROM stigg_import.format"), "3");
    assert_eq!(sketches(&writer, &["ada"]).await.len(), 0);
    deliver(&writer, 2).await;
    deliver(&writer, 3).await;
    writer.compact(Compaction::Now, Index::new()).await.unwrap();
    assert_eq!(sketches(&writer, &["ada"]).await.len(), 1);
    assert_eq!(database.client("SELECT count(*) FROM stigg_import.sketch"), "1", "the others went with their batches");
}

#[tokio::test]
async fn a_schema_of_somebody_else_is_refused_and_not_changed() {
    if left_out() {
        return;
    }
    let database = Database::new();
    database.client("CREATE SCHEMA stigg_import; CREATE TABLE stigg_import.run (theirs text)");
    let error = database.try_open(Access::Write).await.unwrap_err();
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
    assert_eq!(database.client("SELECT count(*) FROM pg_tables WHERE schemaname = 'stigg_import'"), "1");
}

#[tokio::test]
async fn a_ledger_that_is_closed_or_only_read_takes_nothing() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let writer = database.open().await;
    let reader = database.try_open(Access::Read).await.unwrap();
    let error = reader.begin_run(start()).await.unwrap_err();
    assert!(matches!(error, LedgerError::CannotWrite { failure: WriteFailure::ReadOnly, .. }), "{error}");
    assert_eq!(reader.runs(1).await.unwrap(), []);
    writer.close().await.unwrap();
    assert!(matches!(writer.begin_run(start()).await, Err(LedgerError::Closed)));
    assert!(matches!(writer.close().await, Err(LedgerError::Closed)));
}

#[tokio::test]
async fn commits_wait_for_the_disk_whatever_the_server_is_set_to() {
    if left_out() {
        return;
    }
    let database = Database::new();
    database.client(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name));
    let ledger = database.open().await;
    let set: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&ledger.server.pool).await.unwrap();
    assert_eq!(set, "on");
    database.client(&format!("ALTER DATABASE {} SET synchronous_commit = remote_apply", database.name));
    let ledger = database.open().await;
    let set: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&ledger.server.pool).await.unwrap();
    assert_eq!(set, "remote_apply", "what waits for more stays");
}

#[tokio::test]
async fn a_user_without_a_right_and_a_wrong_password_are_told_without_the_password() {
    if left_out() {
        return;
    }
    let database = Database::new();
    database.client("CREATE ROLE poor LOGIN PASSWORD 's3cret'; CREATE ROLE owner LOGIN PASSWORD 's3cret'");
    let as_user = |user: &str, password: &str| {
        PostgresAddress::of(&format!("postgres://{user}:{password}@127.0.0.1:{}/{}", server().port(), database.name))
    };
    let open = async |address: PostgresAddress| PostgresLedger::open(&address, Access::Write, None, clock()).await;
    let refused = async |user: &str, password: &str| {
        let error = open(as_user(user, password)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        error
    };

    let error = refused("poor", "s3cret-not").await;
    assert!(matches!(error, LedgerError::Login { .. }), "{error}");
    let error = refused("poor", "s3cret").await;
    assert!(matches!(error, LedgerError::NoRight { .. }), "{error}");

    // What docs/ledgers.md says is enough: a schema that somebody has made for it.
    database.client("CREATE SCHEMA stigg_import AUTHORIZATION owner");
    let ledger = open(as_user("owner", "s3cret")).await.unwrap();
    ledger.begin_run(start()).await.unwrap();
    ledger.compact(Compaction::Now, Index::new()).await.unwrap();
    let error = refused("poor", "s3cret").await;
    assert!(matches!(error, LedgerError::NoRight { .. }), "{error}");
    database.client(
        "GRANT USAGE ON SCHEMA stigg_import TO poor; GRANT SELECT ON ALL TABLES IN SCHEMA stigg_import TO poor",
    );
    let reader = PostgresLedger::open(&as_user("poor", "s3cret"), Access::Read, None, clock()).await.unwrap();
    assert_eq!(reader.runs(5).await.unwrap().len(), 1);
    // A table that a newer version has made meanwhile.
    let id = ledger.open(RunId(1), "s", &scope(), &[&batch_with_fields(&[("ada", 1)])]).await.unwrap()[0];
    ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
    assert_eq!(sketches(&reader, &["ada"]).await.len(), 1);
    database.client("REVOKE SELECT ON stigg_import.sketch FROM poor");
    assert_eq!(sketches(&reader, &["ada"]).await.len(), 0);
    database.client("DROP OWNED BY poor; DROP OWNED BY owner; DROP ROLE poor; DROP ROLE owner");
}
