//! The file's promises: the suite, random lives, failures at every write, kills, and damaged files.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::sum::{OPEN_BATCH, SUMMED, Summed};
use super::*;
use crate::clock::FixedClock;
use crate::ledger::conformance::{self, batch, batch_with_fields, scope, sketches, start};
use crate::ledger::keys::{Keys, pack_keys_older};
use crate::ledger::{CutoverLedger, MemoryLedger, Replacements as _, StepMark};

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at(Timestamp::from_millisecond(1_777_000_000_000).unwrap()))
}

async fn try_open(path: &Path, access: Access) -> Result<SqliteLedger, LedgerError> {
    SqliteLedger::open(path, access, Durability::ProcessEnd, clock()).await
}

async fn boxed(path: PathBuf, durability: Durability) -> Box<dyn Ledger> {
    Box::new(SqliteLedger::open(&path, Access::Write, durability, clock()).await.unwrap())
}

#[tokio::test]
async fn the_sqlite_ledger_keeps_every_promise() {
    for durability in [Durability::ProcessEnd, Durability::PowerLoss] {
        let folder = || tempfile::tempdir().unwrap();
        let open = |folder: &tempfile::TempDir| boxed(folder.path().join("ledger.db"), durability);
        conformance::suite(folder, open).await;
        let open = async |folder: &tempfile::TempDir| {
            let path = folder.path().join("ledger.db");
            let ledger = SqliteLedger::open(&path, Access::Write, durability, clock()).await.unwrap();
            let ledger: Box<dyn CutoverLedger> = Box::new(ledger);
            ledger
        };
        conformance::replacements::suite(folder, open).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn it_knows_what_the_memory_ledger_knows(steps in conformance::steps()) {
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let model = MemoryLedger::new(clock());
            let reopen = || boxed(folder.path().join("ledger.db"), Durability::ProcessEnd);
            conformance::same_life(steps, model, reopen).await;
        });
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_a_panic(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..300), cut in any::<bool>()) {
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ledger.db");
            let ledger = try_open(&path, Access::Write).await.unwrap();
            let records: Vec<String> = (0..400).map(|number| number.to_string()).collect();
            let records: Vec<_> = records.iter().map(|key| (key.as_str(), 1)).collect();
            let batch = batch_with_fields(&records);
            let ids = ledger.open(RunId(1), "s", &scope(), &[&batch, &batch]).await.unwrap();
            ledger.settle(ids[0], &vec![Outcome::Accepted; 400]).await.unwrap();
            ledger.close().await.unwrap();
            drop(ledger);

            let mut file = std::fs::read(&path).unwrap();
            let at = at.index(file.len());
            if cut {
                file.truncate(at);
            } else {
                let end = (at + bytes.len()).min(file.len());
                file[at..end].copy_from_slice(&bytes[..end - at]);
            }
            std::fs::write(&path, file).unwrap();

            if let Ok(ledger) = try_open(&path, Access::Write).await {
                let _ = ledger.load_index(&scope()).await;
                let _ = ledger.open_batches(&scope()).await;
                let _ = ledger.history(&scope(), KeyHash::of("7")).await;
                let _ = ledger.sketches(&scope(), &[KeyHash::of("7")].into()).await;
                let _ = ledger.compact(Compaction::Now, Index::new()).await;
            }
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A ledger whose connection is interrupted once, after so many callbacks; none when negative.
async fn fragile(path: &Path, steps_left: Arc<AtomicI64>) -> SqliteLedger {
    let database = Database::from(path);
    let mut connection = database.open(Access::Write).await.unwrap();
    let mut handle = connection.lock_handle().await.unwrap();
    // SQLite also calls back when a commit has been done, and would then say that what it wrote has failed.
    let is_done = Arc::new(AtomicBool::new(false));
    let done = is_done.clone();
    handle.set_commit_hook(move || {
        done.store(true, Ordering::Relaxed);
        true
    });
    handle.set_progress_handler(1, move || {
        let was_done = is_done.swap(false, Ordering::Relaxed);
        steps_left.fetch_sub(1, Ordering::Relaxed) != 0 || was_done
    });
    drop(handle);
    SqliteLedger::over(database, connection, Access::Write, Durability::ProcessEnd, clock()).await.unwrap()
}

#[tokio::test]
async fn a_failure_at_any_step_of_a_write_leaves_all_or_nothing() {
    let outcome = |accepted| match accepted {
        true => Outcome::Accepted,
        false => Outcome::Open { reason: "lost".to_owned() },
    };
    // A prime: all kinds of steps are met without meeting each. `STIGG_IMPORT_CRASH_EVERY=1` meets each.
    let every = std::env::var("STIGG_IMPORT_CRASH_EVERY").map_or(11, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (mut failures, mut stop_after) = (BTreeMap::<&str, u32>::new(), 0);
    loop {
        // Given: a ledger that fails once, somewhere, and a model that never does.
        let path = folder.path().join(format!("{stop_after}.db"));
        let steps_left = Arc::new(AtomicI64::new(-1));
        let (ledger, model) = (fragile(&path, steps_left.clone()).await, MemoryLedger::new(clock()));
        let (run, scope) = (RunId(1), scope());
        let a = batch_with_fields(&[("ada", 1), ("bob", 2)]);
        let b = batch_with_fields(&[("eve", 3), ("ada", 4)]);
        let same = async |what: &str| {
            let known = ledger.load_index(&scope).await.unwrap().known_fingerprints();
            assert_eq!(known, model.load_index(&scope).await.unwrap().known_fingerprints(), "{what}, {stop_after}");
            let keys = |open: Vec<OpenBatch>| -> Vec<_> { open.into_iter().map(|open| open.items).collect() };
            let open = keys(ledger.open_batches(&scope).await.unwrap());
            assert_eq!(open, keys(model.open_batches(&scope).await.unwrap()), "{what}, {stop_after}");
            let known = sketches(&model, &["ada", "bob", "eve"]).await;
            assert_eq!(sketches(&ledger, &["ada", "bob", "eve"]).await, known, "{what}, {stop_after}");
        };
        steps_left.store(stop_after, Ordering::Relaxed);

        // When: each write that failed is done again, as the pipeline's next run would.
        let (mut ids, mut of_model) = (Vec::new(), Vec::new());
        for batches in [[&a], [&b]] {
            let opened = match ledger.open(run, "s", &scope, &batches).await {
                Ok(opened) => opened,
                Err(_) => {
                    *failures.entry("open").or_default() += 1;
                    same("open failed").await;
                    ledger.open(run, "s", &scope, &batches).await.unwrap()
                }
            };
            ids.extend(opened);
            of_model.extend(model.open(run, "s", &scope, &batches).await.unwrap());
            same("opened").await;
        }
        for (at, accepted) in [(0, [true, true]), (1, [false, true]), (1, [true, false])] {
            let outcomes = accepted.map(outcome);
            if ledger.settle(ids[at], &outcomes).await.is_err() {
                *failures.entry("settle").or_default() += 1;
                same("settle failed").await;
                ledger.settle(ids[at], &outcomes).await.unwrap();
            }
            model.settle(of_model[at], &outcomes).await.unwrap();
            same("settled").await;
        }
        if ledger.compact(Compaction::Now, Index::new()).await.is_err() {
            *failures.entry("compact").or_default() += 1;
            same("compact failed").await;
            ledger.compact(Compaction::Now, Index::new()).await.unwrap();
        }

        // Then
        same("compacted").await;
        if steps_left.load(Ordering::Relaxed) >= 0 {
            break; // it came through without reaching the failure
        }
        stop_after += every;
    }
    conformance::counted(failures.values().sum(), "steps of writes at which the ledger failed");
    for what in ["open", "settle", "compact"] {
        assert!(failures.get(what).is_some_and(|count| *count > 3), "{failures:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_the_ledger_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::from(folder.path().join("ledger.db").as_path());
    let mut connection = database.open(Access::Write).await.unwrap();
    database.run(&mut connection, "PRAGMA max_page_count = 12").await.unwrap();
    let ledger = SqliteLedger::over(database, connection, Access::Write, Durability::PowerLoss, clock()).await.unwrap();
    let keys: Vec<String> = (0..1000).map(|number| format!("customer-{number}")).collect();
    let large = batch(&keys.iter().map(|key| (key.as_str(), 1)).collect::<Vec<_>>());

    let error = ledger.open(RunId(1), "s", &scope(), &[&large]).await.unwrap_err();

    assert!(matches!(error, LedgerError::CannotWrite { failure: WriteFailure::Full, .. }), "{error}");
    let id = ledger.open(RunId(1), "s", &scope(), &[&batch(&[("ada", 1)])]).await.unwrap()[0];
    ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
    assert_eq!(ledger.counts(&scope()).await.unwrap().known_records, 1);
}

const CHILD: &str = "STIGG_IMPORT_TEST_LEDGER";

/// The process that the next test kills. Says in a file what it is about to do and what was done.
#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut log = std::fs::OpenOptions::new().append(true).create(true).open(path.with_extension("log")).unwrap();
    runtime().block_on(async {
        let ledger = try_open(&path, Access::Write).await.unwrap();
        let (run, scope) = (ledger.begin_run(start()).await.unwrap(), scope());
        for round in 0u64.. {
            let keys: Vec<String> = (0..200).map(|number| format!("{run}-{round}-{number}")).collect();
            let records: Vec<_> = keys.iter().map(|key| (key.as_str(), round)).collect();
            let (a, b) = (batch_with_fields(&records[..100]), batch_with_fields(&records[100..]));
            let ids = ledger.open(run, "s", &scope, &[&a, &b]).await.unwrap();
            write!(log, "opened {run}-{round}-0 {round}\nopened {run}-{round}-199 {round}\n").unwrap();
            writeln!(log, "settling {run}-{round}-0 {round}").unwrap();
            ledger.settle(ids[0], &vec![Outcome::Accepted; 100]).await.unwrap();
            writeln!(log, "settled {run}-{round}-0 {round}").unwrap();
            if round % 20 == 19 {
                ledger.compact(Compaction::Now, Index::new()).await.unwrap();
            }
        }
    });
}

#[test]
fn a_killed_process_leaves_what_it_had_opened_and_settled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    for kill in 1..=6 {
        // When: a process works on the ledger and is killed at some moment.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ledger::sqlite::crash::child_that_is_killed", "--test-threads", "1"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(20..400)));
        child.kill().unwrap();
        child.wait().unwrap();

        // Then: what it says was written is known, and nothing is that was not delivered.
        let log = std::fs::read_to_string(path.with_extension("log")).unwrap_or_default();
        let complete = &log[..log.rfind('\n').map_or(0, |end| end + 1)];
        // A child that was killed within a line leaves it torn: the next one's words must not follow it.
        std::fs::write(path.with_extension("log"), complete).unwrap();
        let mut said: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
        for line in complete.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            said.entry(words[0]).or_default().push((words[1], words[2].parse().unwrap()));
        }
        let said = |what: &str| said.get(what).cloned().unwrap_or_default();
        runtime().block_on(async {
            let ledger = try_open(&path, Access::Write).await.unwrap();
            let known = ledger.load_index(&scope()).await.unwrap().known_fingerprints();
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
            for key in said("opened").into_iter().map(|(key, _)| key).filter(|key| !settling.contains(key)) {
                assert!(!known.contains_key(&KeyHash::of(key)), "{key} was not delivered, seed {seed}");
            }
            assert!(ledger.runs(100).await.unwrap().iter().all(|run| run.finish.is_none()));
            ledger.close().await.unwrap();
        });
        assert!(kill < 6 || !said("settled").is_empty(), "the child came to nothing");
    }
}

#[tokio::test]
async fn a_settled_batch_leaves_no_key_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = try_open(&path, Access::Write).await.unwrap();
    let keys: Vec<String> = (0..500).map(|number| format!("person-{number}@example.com")).collect();
    let all = batch(&keys.iter().map(|key| (key.as_str(), 1)).collect::<Vec<_>>());
    let ids = ledger.open(RunId(1), "s", &scope(), &[&all, &all]).await.unwrap();
    ledger.settle(ids[0], &vec![Outcome::Accepted; 500]).await.unwrap();
    let refused = Outcome::Failed { code: "X".to_owned(), message: "no plan for person-7@example.com".to_owned() };
    ledger.settle(ids[1], &vec![refused; 500]).await.unwrap();
    ledger.close().await.unwrap();

    let held = |path: &Path| memchr::memmem::find(&std::fs::read(path).unwrap(), b"@example.com").is_some();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap().path();
        assert!(!held(&entry), "{}", entry.display());
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let refused = async |access| {
        let before = std::fs::read(&path).unwrap();
        let error = try_open(&path, access).await.unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(error.hint().is_some());
        error
    };
    let plain = |path: PathBuf| async move {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        sqlx::ConnectOptions::connect(&options).await.unwrap()
    };

    std::fs::write(&path, "customerId,email\n1,ada@example.com\n".repeat(100)).unwrap();
    assert!(matches!(refused(Access::Write).await, LedgerError::Corrupt { .. }));
    std::fs::remove_file(&path).unwrap();

    let mut other = plain(path.clone()).await;
    sqlx::query("CREATE TABLE theirs (id)").execute(&mut other).await.unwrap();
    sqlx::Connection::close(other).await.unwrap();
    let error = refused(Access::Write).await;
    assert!(error.to_string().contains("another program's"), "{error}");
    std::fs::remove_file(&path).unwrap();

    try_open(&path, Access::Write).await.unwrap().close().await.unwrap();
    let mut newer = plain(path.clone()).await;
    sqlx::query("PRAGMA user_version = 7").execute(&mut newer).await.unwrap();
    sqlx::Connection::close(newer).await.unwrap();
    for access in [Access::Write, Access::Read] {
        assert!(matches!(refused(access).await, LedgerError::Newer { found: 7, known: 6, .. }));
    }
}

#[tokio::test]
async fn a_file_of_format_1_is_read_as_it_is_and_brought_up_by_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::raw_sql(include_str!("format_1.sql")).execute(&mut old).await.unwrap();
    sqlx::query("INSERT INTO run (identity, started_ms, arguments) VALUES ('p', 0, '{}')")
        .execute(&mut old)
        .await
        .unwrap();
    sqlx::query("INSERT INTO scope (target, entity) VALUES (?, 'customer')")
        .bind(scope().target)
        .execute(&mut old)
        .await
        .unwrap();
    sqlx::Connection::close(old).await.unwrap();

    let reader = try_open(&path, Access::Read).await.unwrap();
    assert_eq!(reader.mark(&scope(), "customers").await.unwrap(), None);
    assert_eq!(sketches(&reader, &["ada"]).await, HashMap::new());
    assert_eq!(reader.replacement_targets().await.unwrap(), Vec::<String>::new());
    assert_eq!(reader.stage_counts("t").await.unwrap(), []);
    assert_eq!(reader.replacements("t", None, 1).await.unwrap(), []);
    reader.close().await.unwrap();

    let writer = try_open(&path, Access::Write).await.unwrap();
    let mark = StepMark { identity: "a".to_owned(), value: "7".to_owned() };
    writer.set_mark(&scope(), "customers", Some(&mark)).await.unwrap();
    assert_eq!(writer.mark(&scope(), "customers").await.unwrap(), Some(mark));
    assert_eq!(writer.runs(10).await.unwrap().len(), 1);
}

/// A connection that knows nothing of ledgers.
async fn plain(path: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    sqlx::ConnectOptions::connect(&options).await.unwrap()
}

/// Makes a file what the version before sums would have written.
pub(super) async fn as_format_4(path: &Path) {
    let mut connection = plain(path).await;
    for Summed { table, .. } in &SUMMED {
        let sql = format!("ALTER TABLE {table} DROP COLUMN sum");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    sqlx::raw_sql("PRAGMA user_version = 4").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}

/// Records with fields that were sent and accepted.
async fn deliver(ledger: &SqliteLedger, records: &[(&str, u64)]) {
    let id = ledger.open(RunId(1), "s", &scope(), &[&batch_with_fields(records)]).await.unwrap()[0];
    ledger.settle(id, &vec![Outcome::Accepted; records.len()]).await.unwrap();
}

/// Given a file of format 4, when it is read, then it says what it said; and when a writer brings it up, then what it goes on
/// to write has sums, and so has, once merged, what it had.
#[tokio::test]
async fn a_file_of_format_4_goes_on_and_gets_sums_with_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = try_open(&path, Access::Write).await.unwrap();
    ledger.begin_run(start()).await.unwrap();
    deliver(&ledger, &[("ada", 1), ("bob", 1)]).await;
    let open = ledger.open(RunId(1), "s", &scope(), &[&batch(&[("eve", 1), ("fay", 1)])]).await.unwrap()[0];
    let mark = StepMark { identity: "a".to_owned(), value: "7".to_owned() };
    ledger.set_mark(&scope(), "s", Some(&mark)).await.unwrap();
    ledger.close().await.unwrap();
    as_format_4(&path).await;

    let says = async |ledger: &SqliteLedger| {
        let known = ledger.load_index(&scope()).await.unwrap().known_fingerprints();
        let open = ledger.open_batches(&scope()).await.unwrap();
        let sketches = sketches(ledger, &["ada", "bob"]).await;
        let history = ledger.history(&scope(), KeyHash::of("ada")).await.unwrap();
        (known, open, sketches, history, ledger.runs(9).await.unwrap(), ledger.mark(&scope(), "s").await.unwrap())
    };
    let reader = try_open(&path, Access::Read).await.unwrap();
    let old = says(&reader).await;
    assert_eq!((old.0.len(), old.1.len(), old.2.len(), old.3.len(), old.4.len()), (2, 1, 2, 1, 1));
    assert_eq!(old.5, Some(mark));
    reader.close().await.unwrap();

    let writer = try_open(&path, Access::Write).await.unwrap();
    assert_eq!(says(&writer).await, old);
    let sums = async |table: &str| {
        let sql = format!("SELECT count(*), count(sum) FROM {table}");
        let counts: (i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&mut plain(&path).await).await.unwrap();
        counts
    };
    assert_eq!((sums("batch").await, sums("outcome").await), ((2, 0), (1, 0)), "nothing is known of them");
    writer.settle(open, &[Outcome::Accepted, Outcome::Open { reason: String::new() }]).await.unwrap();
    assert_eq!((sums("open_batch").await, sums("outcome").await), ((1, 1), (2, 1)));
    writer.settle(open, &vec![Outcome::Accepted; 2]).await.unwrap();
    deliver(&writer, &[("ada", 2)]).await;
    writer.compact(Compaction::Now, Index::new()).await.unwrap();
    for table in ["batch", "outcome", "segment"] {
        let (all, with_sums) = sums(table).await;
        assert!(all > 0 && all == with_sums, "{table}: {with_sums} of {all}");
    }
    writer.close().await.unwrap();
    let reader = try_open(&path, Access::Read).await.unwrap();
    assert_eq!(reader.load_index(&scope()).await.unwrap().known(), 4);
}

/// Makes a file what the version before format 6 would have written, its open batches with it.
pub(super) async fn as_format_5(path: &Path) {
    let mut connection = plain(path).await;
    let rows: Vec<(i64, Vec<u8>, Option<String>, u32)> =
        sqlx::query_as("SELECT batch, keys, task, len FROM open_batch JOIN batch ON batch.id = batch")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    for (batch, keys, task, len) in rows {
        let keys = pack_keys_older(Keys::unpack(&keys, len).unwrap().iter());
        let sum = OPEN_BATCH.begin().number(batch).bytes(&keys).maybe_text(task.as_deref());
        sqlx::query("UPDATE open_batch SET keys = ?2, sum = ?3 WHERE batch = ?1")
            .bind(batch)
            .bind(keys)
            .bind(sum.stored())
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::raw_sql("PRAGMA user_version = 5").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}

/// Given a file of format 5 with open batches, when it is read, then it says what it said; and when a writer brings it up,
/// then they can be settled in part and as a whole.
#[tokio::test]
async fn open_batches_of_a_file_of_format_5_are_read_and_settled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = try_open(&path, Access::Write).await.unwrap();
    let records: Vec<String> = (0..300).map(|number| format!("cus_{number:04}\u{1f}seats")).collect();
    let records: Vec<_> = records.iter().map(|key| (key.as_str(), 1)).collect();
    let batches = [batch(&records), batch(&[("ada", 1), ("bob", 1), ("eve", 1)])];
    let ids = ledger.open(RunId(1), "s", &scope(), &[&batches[0], &batches[1]]).await.unwrap();
    ledger.note_task(ids[1], "task-1").await.unwrap();
    let open = || Outcome::Open { reason: String::new() };
    ledger.settle(ids[1], &[open(), Outcome::Accepted, open()]).await.unwrap();
    let before = ledger.open_batches(&scope()).await.unwrap();
    ledger.close().await.unwrap();
    as_format_5(&path).await;
    let keys_bytes = async || -> Vec<i64> {
        let lengths = sqlx::query_scalar("SELECT length(keys) FROM open_batch ORDER BY batch");
        lengths.fetch_all(&mut plain(&path).await).await.unwrap()
    };
    assert_eq!(keys_bytes().await, [300 * (8 + 14), 2 * (8 + 3)]);

    let reader = try_open(&path, Access::Read).await.unwrap();
    assert_eq!(reader.open_batches(&scope()).await.unwrap(), before);
    reader.close().await.unwrap();
    let writer = try_open(&path, Access::Write).await.unwrap();
    assert_eq!(writer.open_batches(&scope()).await.unwrap(), before);
    assert_eq!(keys_bytes().await, [300 * (8 + 14), 2 * (8 + 3)], "what is not written again stays as it is");

    let mut some = vec![open(); 300];
    some[..299].fill(Outcome::Accepted);
    writer.settle(ids[0], &some).await.unwrap();
    let left = writer.open_batches(&scope()).await.unwrap();
    assert_eq!(left[0].items, before[0].items[299..]);
    // The mark, one record that skips 299, and the other batch as it was.
    assert_eq!(keys_bytes().await, [4 + 5 + 14, 2 * (8 + 3)]);
    writer.settle(ids[0], &vec![Outcome::Accepted; 300]).await.unwrap();
    writer.settle(ids[1], &vec![Outcome::Accepted; 3]).await.unwrap();
    assert_eq!(writer.open_batches(&scope()).await.unwrap(), []);
    assert_eq!(writer.load_index(&scope()).await.unwrap().known(), 303);
    writer.close().await.unwrap();
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut plain(&path).await).await.unwrap();
    assert_eq!(version, 6);
}

/// Sums are looked at in a file of the format before this one, too.
#[tokio::test]
async fn a_row_of_a_file_of_format_5_that_has_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = try_open(&path, Access::Write).await.unwrap();
    ledger.open(RunId(1), "s", &scope(), &[&batch(&[("ada", 1)])]).await.unwrap();
    ledger.close().await.unwrap();
    as_format_5(&path).await;
    drop(try_open(&path, Access::Read).await.unwrap());
    let mut connection = plain(&path).await;
    sqlx::raw_sql("UPDATE open_batch SET keys = x'00000000030000006f6461'").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    for access in [Access::Read, Access::Write] {
        let error = try_open(&path, access).await.unwrap_err();
        assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
    }
}

/// Given a file of format 3 that knows records, when a writer brings it up, then nothing is known of their fields, and what
/// is delivered from now on has sketches.
#[tokio::test]
async fn what_was_delivered_before_format_4_has_no_sketch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = try_open(&path, Access::Write).await.unwrap();
    deliver(&ledger, &[("ada", 1), ("bob", 1)]).await;
    ledger.close().await.unwrap();
    as_format_4(&path).await;
    let mut old = plain(&path).await;
    sqlx::raw_sql("DROP TABLE sketch; PRAGMA user_version = 3").execute(&mut old).await.unwrap();
    sqlx::Connection::close(old).await.unwrap();

    let reader = try_open(&path, Access::Read).await.unwrap();
    assert_eq!(sketches(&reader, &["ada", "bob"]).await.len(), 0);
    reader.close().await.unwrap();
    let writer = try_open(&path, Access::Write).await.unwrap();
    assert_eq!(sketches(&writer, &["ada", "bob"]).await.len(), 0);
    deliver(&writer, &[("ada", 2)]).await;
    assert_eq!(sketches(&writer, &["ada", "bob"]).await.into_keys().collect::<Vec<_>>(), [KeyHash::of("ada")]);
    assert_eq!(writer.load_index(&scope()).await.unwrap().known(), 2);
}

/// Compaction takes the sketches of a batch with its row, and leaves no other.
#[tokio::test]
async fn a_sketch_goes_with_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = try_open(&path, Access::Write).await.unwrap();
    for content in 1..=3 {
        let id = ledger.open(RunId(1), "s", &scope(), &[&batch_with_fields(&[("ada", content)])]).await.unwrap()[0];
        ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
    }
    ledger.compact(Compaction::Now, Index::new()).await.unwrap();
    ledger.close().await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut file = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let batches: Vec<i64> = sqlx::query_scalar("SELECT batch FROM sketch").fetch_all(&mut file).await.unwrap();
    assert_eq!(batches, [3]);
}

#[tokio::test]
async fn a_reader_makes_nothing_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/ledger.db");
    assert!(matches!(try_open(&path, Access::Read).await, Err(LedgerError::Missing { .. })));
    assert!(!path.parent().unwrap().exists());

    let writer = try_open(&path, Access::Write).await.unwrap();
    let run = writer.begin_run(start()).await.unwrap();
    let reader = try_open(&path, Access::Read).await.unwrap();
    assert_eq!(reader.runs(10).await.unwrap()[0].id, run, "also while a run writes");
    assert!(matches!(reader.begin_run(start()).await, Err(LedgerError::CannotWrite { .. })));
    reader.close().await.unwrap();
    writer.close().await.unwrap();
    assert!(matches!(writer.begin_run(start()).await, Err(LedgerError::Closed)));
    assert!(matches!(writer.runs(1).await, Err(LedgerError::Closed)));
}

#[tokio::test]
async fn a_place_that_can_not_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = try_open(&folder.path().join("file/ledger.db"), Access::Write).await.unwrap_err();
    assert!(matches!(error, LedgerError::CannotWrite { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_journals_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".stigg-import/ledger.db");
    let ledger = try_open(&path, Access::Write).await.unwrap();
    ledger.begin_run(start()).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let files: Vec<PathBuf> =
        std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
}

#[tokio::test]
async fn compaction_waits_until_it_is_worth_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = try_open(&folder.path().join("ledger.db"), Access::Write).await.unwrap();
    let keys: Vec<String> = (0..6000).map(|number| number.to_string()).collect();
    let deliver = async |content: u64| {
        let records: Vec<_> = keys.iter().map(|key| (key.as_str(), content)).collect();
        let id = ledger.open(RunId(content), "s", &scope(), &[&batch(&records)]).await.unwrap()[0];
        ledger.settle(id, &vec![Outcome::Accepted; records.len()]).await.unwrap();
        ledger.load_index(&scope()).await.unwrap();
        ledger.compact(Compaction::WhenWorthIt, Index::new()).await.unwrap()
    };
    for content in 1..=3 {
        assert_eq!(deliver(content).await, Compacted::default());
    }
    assert_eq!(deliver(4).await, Compacted { batches: 4, records_dropped: 18_000 });
    let known = ledger.load_index(&scope()).await.unwrap().known_fingerprints();
    assert_eq!((known.len(), known.values().filter(|print| print.0 == 4).count()), (6000, 6000));
}
