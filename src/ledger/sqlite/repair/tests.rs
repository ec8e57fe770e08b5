use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::batch::{Batch, BatchId, Outcome};
use crate::clock::FixedClock;
use crate::entity::Entity;
use crate::ledger::conformance::{self, batch, batch_with_fields, scope, sketches, start};
use crate::ledger::sqlite::crash;
use crate::ledger::{
    Compaction, Durability, Event, Index, Ledger as _, OriginalRef, Replacement, Replacements as _, RunId, Scope,
    SqliteLedger, Stage,
};
use crate::record::{Fingerprint, KeyHash};

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_777_000_000_000).unwrap()
}

async fn open(path: &Path) -> Result<SqliteLedger, LedgerError> {
    SqliteLedger::open(path, Access::Write, Durability::ProcessEnd, Arc::new(FixedClock::at(now()))).await
}

fn lock(path: &Path) -> RunLock {
    RunLock::File(crate::ledger::FileLock::acquire(path, now()).unwrap())
}

fn events(target: &str) -> Scope {
    Scope { target: target.to_owned(), entity: Entity::Event }
}

fn event_batch(records: &[(&str, u64)]) -> Batch {
    Batch { entity: Entity::Event, ..batch(records) }
}

/// What is true of the events of a target.
#[derive(Default)]
struct Truth {
    target: String,
    delivered: BTreeSet<String>,
    /// Those that were refused, and those of which nobody knows.
    others: BTreeSet<String>,
}

/// A ledger with some lives behind it: contents that replace others, refusals, batches that are given up or stay open, some
/// of it merged; of one target or of two, whose events have the same keys. Returns what is true of the events.
async fn lived(path: &Path, rng: &mut fastrand::Rng) -> Vec<Truth> {
    let mut truths: Vec<Truth> = ["a", "b"][..rng.usize(1..=2)]
        .iter()
        .map(|target| Truth { target: (*target).to_owned(), ..Truth::default() })
        .collect();
    let ledger = open(path).await.unwrap();
    let refused = Outcome::Failed { code: "X".to_owned(), message: String::new() };
    let lost = Outcome::Open { reason: String::new() };
    for number in 0..rng.usize(1..40) {
        let run = ledger.begin_run(start()).await.unwrap();
        let keys: BTreeSet<String> = (0..rng.usize(1..200)).map(|_| format!("k{}", rng.u32(..2000))).collect();
        let records: Vec<(&str, u64)> = keys.iter().map(|key| (key.as_str(), rng.u64(1..4))).collect();
        let ids = ledger.open(run, "s", &scope(), &[&batch_with_fields(&records)]).await.unwrap();
        match rng.usize(..4) {
            0 => ledger.forget(ids[0]).await.unwrap(),
            1 if number > 30 => {}
            _ => ledger.settle(ids[0], &vec![Outcome::Accepted; records.len()]).await.unwrap(),
        }
        let truth = rng.choice(&mut truths).unwrap();
        let keys: Vec<String> = (0..rng.usize(1..50)).map(|event| format!("e{number}-{event}")).collect();
        let records: Vec<(&str, u64)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
        let ids = ledger.open(run, "e", &events(&truth.target), &[&event_batch(&records)]).await.unwrap();
        let mixed = rng.usize(..3) == 0;
        let outcome = |rng: &mut fastrand::Rng| match rng.usize(..3) {
            0 if mixed => refused.clone(),
            1 if mixed => lost.clone(),
            _ => Outcome::Accepted,
        };
        let outcomes: Vec<Outcome> = keys.iter().map(|_| outcome(rng)).collect();
        ledger.settle(ids[0], &outcomes).await.unwrap();
        for (key, outcome) in keys.into_iter().zip(outcomes) {
            if outcome == Outcome::Accepted { &mut truth.delivered } else { &mut truth.others }.insert(key);
        }
        if rng.usize(..12) == 0 {
            ledger.compact(Compaction::Now, Index::new()).await.unwrap();
        }
    }
    ledger.close().await.unwrap();
    truths
}

/// Damages the file in some way, and keeps its time of change, as a disk does.
fn damage(path: &Path, rng: &mut fastrand::Rng) -> String {
    let (mut bytes, changed) = (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap());
    let at = rng.usize(100..bytes.len());
    let what = rng.usize(..4);
    match what {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << rng.u32(..8),
        2 => {
            let page = at / 4096 * 4096;
            bytes[page.max(100)..(page + 4096)].fill(0);
        }
        _ => {
            let end = (at + rng.usize(1..600)).min(bytes.len());
            rng.fill(&mut bytes[at..end]);
        }
    }
    fs::write(path, bytes).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(changed).unwrap();
    format!("way {what} at {at}")
}

/// The ledger says nothing that is not true, lets no event go out again, and works on.
async fn tells_the_truth(path: &Path, truths: &[Truth], about: &str) {
    let ledger = open(path).await.unwrap();
    assert_eq!(ledger.load_index(&scope()).await.unwrap().known(), 0, "{about}: any content may have been replaced");
    for truth in truths {
        let scope = events(&truth.target);
        let known = ledger.load_index(&scope).await.unwrap();
        let is_known = |key: &String| known.delivered(KeyHash::of(key)).is_some();
        for foreign in truths.iter().filter(|other| other.target != truth.target) {
            let stray = foreign.delivered.iter().chain(&foreign.others).find(|key| is_known(key));
            assert_eq!(stray, None, "{about}: was delivered elsewhere");
        }
        assert_eq!(truth.others.iter().find(|key| is_known(key)), None, "{about}: was never delivered");
        let holds_all_others = ledger.mark(&scope, UNKNOWN_EVENTS).await.unwrap().is_some();
        let was_used = !truth.delivered.is_empty() || !truth.others.is_empty();
        assert!(holds_all_others || !was_used, "{about}: events that were lost with the file would be sent again");
        // A person's word is taken.
        for batch in ledger.open_batches(&scope).await.unwrap() {
            ledger.settle(batch.id, &batch.outcomes(|_| Outcome::Accepted)).await.unwrap();
        }
        assert_eq!(ledger.open_batches(&scope).await.unwrap(), [], "{about}");
    }
    let run = ledger.begin_run(start()).await.unwrap();
    let keys: Vec<String> = (0..2000).map(|number| format!("k{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(sketches(&ledger, &keys).await.len(), 0, "{about}: nothing of them is known");
    let new = batch_with_fields(&[("new", 1)]);
    let ids: Vec<BatchId> = ledger.open(run, "s", &scope(), &[&new]).await.unwrap();
    ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
    assert_eq!(sketches(&ledger, &["new"]).await.len(), 1, "{about}");
    ledger.compact(Compaction::Now, Index::new()).await.unwrap();
    ledger.close().await.unwrap();
    assert_eq!(repair(path, now(), &lock(path)).await.unwrap(), None, "{about}");
}

/// All that a ledger of [`lived`] says.
async fn says(path: &Path) -> Result<String, LedgerError> {
    let ledger =
        SqliteLedger::open(path, Access::Read, Durability::ProcessEnd, Arc::new(FixedClock::at(now()))).await?;
    let keys: Vec<String> = (0..2000).map(|number| format!("k{number}")).collect();
    let keys: HashSet<KeyHash> = keys.iter().map(|key| KeyHash::of(key)).collect();
    let mut said = format!("{:?}\n", ledger.runs(u32::MAX).await?);
    for scope in ledger.scopes().await? {
        let known = ledger.load_index(&scope).await?.known_fingerprints();
        let open = ledger.open_batches(&scope).await?;
        let sketches: BTreeMap<_, _> = ledger.sketches(&scope, &keys).await?.into_iter().collect();
        let mark = ledger.mark(&scope, "s").await?;
        let is_held = ledger.mark(&scope, UNKNOWN_EVENTS).await?;
        let mut stories = Vec::new();
        for key in ["k1", "k2", "k3", "e0-0", "e1-0"] {
            let story = ledger.history(&scope, KeyHash::of(key)).await?;
            // How it was sent is only told, and has no sum.
            let told = |event| Event { task: None, attempts: 0, request_id: None, ..event };
            stories.push(story.into_iter().map(told).collect::<Vec<_>>());
        }
        said += &format!("{scope:?} {known:?} {open:?} {sketches:?} {mark:?} {is_held:?} {stories:?}\n");
    }
    for target in ledger.replacement_targets().await? {
        said += &format!("{:?}\n", ledger.replacements(&target, None, u32::MAX).await?);
    }
    ledger.close().await?;
    Ok(said)
}

/// One life, one damage, one repair.
async fn is_repaired_or_left_alone(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut rng = fastrand::Rng::with_seed(seed);
    let truths = lived(&path, &mut rng).await;
    let said = says(&path).await.unwrap();
    let sound = fs::read(&path).unwrap();
    let how = damage(&path, &mut rng);
    // After a kill there is no seal.
    let sealed = rng.bool();
    if !sealed {
        fs::remove_file(seal::path_of(&path)).unwrap();
    }
    let about = format!("seed {seed}: {how}, sealed {sealed}");
    let damaged = fs::read(&path).unwrap();
    if damaged == sound {
        return; // a page that was free
    }

    let repaired = match repair(&path, now(), &lock(&path)).await {
        Ok(Some(repaired)) => repaired,
        // Bits that nobody reads.
        Ok(None) => {
            conformance::counted(1, "ledgers without a seal whose damage changes nothing of what they say");
            assert!(!sealed, "{about} was not noticed");
            return assert_eq!(says(&path).await.unwrap(), said, "{about} was not noticed");
        }
        Err(LedgerError::Corrupt { .. }) => {
            conformance::counted(1, "damaged ledgers refused and left as they were");
            return assert_eq!(fs::read(&path).unwrap(), damaged, "{about}: what can't be repaired is left alone");
        }
        // The table of those can't be read, and may have had some.
        Err(LedgerError::PaidInDoubt { .. }) => {
            conformance::counted(1, "damaged ledgers refused and left as they were");
            return assert_eq!(fs::read(&path).unwrap(), damaged, "{about}");
        }
        Err(error) => panic!("{about}: {error}"),
    };
    assert_eq!(fs::read(&repaired.kept_at).unwrap(), damaged, "the damaged file is kept as it was");
    tells_the_truth(&path, &truths, &about).await;
    conformance::counted(1, "damaged ledgers repaired");
}

/// A schema that is damaged without being malformed: a column is called otherwise, so that sound statements are refused.
#[tokio::test]
async fn a_damaged_schema_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for sealed in [true, false] {
        let path = folder.path().join(format!("sealed-{sealed}.db"));
        lived(&path, &mut fastrand::Rng::with_seed(7)).await;
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        let mut damaged = fs::read(&path).unwrap();
        // `target` of the scopes, which nothing can do without, in their table as in its constraint.
        let at: Vec<usize> = memchr::memmem::find_iter(&damaged, b"target TEXT NOT NULL,\n  entity")
            .chain(memchr::memmem::find_iter(&damaged, b"target, entity)"))
            .collect();
        assert!(at.len() >= 2, "{at:?}");
        at.into_iter().for_each(|at| damaged[at] ^= 1);
        fs::write(&path, &damaged).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        if !sealed {
            fs::remove_file(seal::path_of(&path)).unwrap();
        }
        for _ in 0..2 {
            let error = repair(&path, now(), &lock(&path)).await.unwrap_err();
            assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
            assert_eq!(fs::read(&path).unwrap(), damaged, "what can't be repaired is left alone");
        }
        assert!(matches!(open(&path).await, Err(LedgerError::Corrupt { .. })));
    }
}

/// `STIGG_IMPORT_DAMAGE_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("STIGG_IMPORT_DAMAGE_CASES").map_or(60, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_repaired_ledger_says_is_true_and_no_event_that_was_sent_may_be_sent_again(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(is_repaired_or_left_alone(seed));
    }
}

/// Given a ledger that nothing closed, with a log or without, when any bit of it flips, then it is noticed, or what the ledger
/// says is the same.
#[tokio::test]
async fn a_flipped_bit_without_a_seal_is_noticed_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::new();
    let seed = rng.get_seed();
    let (closed, killed) = (folder.path().join("closed.db"), folder.path().join("killed.db"));
    lived(&closed, &mut rng).await;
    // And the same with some of it in the log.
    let ledger = open(&closed).await.unwrap();
    for number in 0..6 {
        let ids = ledger.open(RunId(1), "s", &scope(), &[&batch_with_fields(&[("k1", number)])]).await.unwrap();
        if number % 2 == 0 {
            ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
        }
    }
    copy_with_log(&closed, &killed).unwrap();
    ledger.close().await.unwrap();
    let (mut noticed, mut same) = (0, 0);
    for source in [&closed, &killed] {
        let place = |path: &Path, end: &str| fs::read(beside(path, end)).unwrap_or_default();
        let files = [("", place(source, "")), ("-wal", place(source, "-wal"))];
        let put = |path: &Path, files: &[(&str, Vec<u8>); 2]| {
            for (end, bytes) in files.iter().filter(|(_, bytes)| !bytes.is_empty()) {
                fs::write(beside(path, end), bytes).unwrap();
            }
        };
        let path = beside(source, "-sound");
        put(&path, &files);
        let said = says(&path).await.unwrap();
        for case in 0..cases() {
            let mut damaged = files.clone();
            let which = if source == &killed { rng.usize(..2) } else { 0 };
            let (end, bytes) = &mut damaged[which];
            // Most of a file is room: seldom there.
            let tries: Vec<usize> = (0..4).map(|_| rng.usize(..bytes.len() * 8)).collect();
            let bit = tries.iter().copied().find(|bit| bytes[bit / 8] != 0).unwrap_or(tries[0]);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let about = format!("seed {seed}, {} bit {bit} of `{end}`", source.display());
            // Another place each time: what could not be read to its end is closed some time later.
            let path = beside(source, &format!("-{case}"));
            put(&path, &damaged);
            let says = says(&path).await;
            drop(remove(&path));
            match says {
                Err(error @ (LedgerError::Corrupt { .. } | LedgerError::Newer { .. })) => {
                    noticed += 1;
                    assert!(error.hint().is_some());
                }
                Err(error) => panic!("{about}: {error}"),
                Ok(says) => {
                    same += 1;
                    assert_eq!(says, said, "{about}");
                }
            }
        }
    }
    conformance::counted(noticed, "bits that flipped without a seal were noticed");
    conformance::counted(same, "bits that flipped and that nobody reads");
    assert!(noticed > 0, "{same} mean nothing, none was noticed");
}

#[tokio::test]
async fn a_file_that_lost_its_last_bytes_is_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    open(&path).await.unwrap().close().await.unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    let LedgerError::Corrupt { detail, .. } = open(&path).await.unwrap_err() else { panic!() };
    assert_eq!(detail, "its end is missing");
    assert!(repair(&path, now(), &lock(&path)).await.unwrap().is_some());
    open(&path).await.unwrap();
}

#[tokio::test]
async fn a_sound_ledger_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    lived(&path, &mut fastrand::Rng::with_seed(7)).await;
    let before = fs::read(&path).unwrap();
    assert_eq!(repair(&path, now(), &lock(&path)).await.unwrap(), None);
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Three batches, of which the middle one can't be read.
async fn with_a_lost_batch(path: &Path, scope: &Scope, batches: [&Batch; 3]) -> Repaired {
    let ledger = open(path).await.unwrap();
    let run = ledger.begin_run(start()).await.unwrap();
    for batch in batches {
        let ids = ledger.open(run, "s", scope, &[batch]).await.unwrap();
        ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
    }
    ledger.close().await.unwrap();
    let mut connection = Database::from(path).open(Access::Write).await.unwrap();
    sqlx::query("UPDATE batch SET items = x'00' WHERE id = 2").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    repair(path, now(), &lock(path)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_content_that_a_lost_batch_may_have_replaced_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let [old, newer, other] = [("ada", 1), ("ada", 2), ("bob", 3)].map(|record| batch(&[record]));
    let repaired = with_a_lost_batch(&path, &scope(), [&old, &newer, &other]).await;
    assert_eq!((repaired.runs, repaired.holds_unknown_events), (1, false));
    let index = open(&path).await.unwrap().load_index(&scope()).await.unwrap();
    assert_eq!(index.delivered(KeyHash::of("ada")), None);
}

#[tokio::test]
async fn events_that_were_delivered_stay_known_and_those_that_were_lost_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let [first, second, third] = ["1", "2", "3"].map(|key| event_batch(&[(key, 1)]));
    let repaired = with_a_lost_batch(&path, &events("a"), [&first, &second, &third]).await;
    assert_eq!((repaired.batches_proved, repaired.batches_opened, repaired.lost), (2, 0, 1));
    let ledger = open(&path).await.unwrap();
    let index = ledger.load_index(&events("a")).await.unwrap();
    let known = ["1", "2", "3"].map(|key| index.delivered(KeyHash::of(key)));
    assert_eq!(known, [Some(Fingerprint(1)), None, Some(Fingerprint(1))]);
    assert!(ledger.mark(&events("a"), UNKNOWN_EVENTS).await.unwrap().is_some());
}

/// Given an event whose row reads well and has changed, then it is no proof that the event was delivered.
#[tokio::test]
async fn a_row_whose_bits_have_changed_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).await.unwrap();
    ledger.begin_run(start()).await.unwrap();
    for key in ["1", "2"] {
        let ids = ledger.open(RunId(1), "e", &events("a"), &[&event_batch(&[(key, 1)])]).await.unwrap();
        ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
    }
    ledger.close().await.unwrap();
    let mut connection = Database::from(&*path).open(Access::Write).await.unwrap();
    sqlx::query("UPDATE batch SET items = zeroblob(20) WHERE id = 2").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let repaired = repair(&path, now(), &lock(&path)).await.unwrap().unwrap();
    assert_eq!(repaired.found, "bits of a row in its table `batch` have changed");
    assert_eq!((repaired.batches_proved, repaired.batches_opened, repaired.lost), (1, 0, 1));
    assert_eq!(open(&path).await.unwrap().load_index(&events("a")).await.unwrap().known(), 1);
}

/// A ledger that the version before sums wrote.
#[tokio::test]
async fn a_damaged_file_of_format_4_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).await.unwrap();
    ledger.begin_run(start()).await.unwrap();
    for key in ["1", "2", "3"] {
        let ids = ledger.open(RunId(1), "e", &events("a"), &[&event_batch(&[(key, 1)])]).await.unwrap();
        ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
    }
    ledger.close().await.unwrap();
    crash::as_format_4(&path).await;
    assert_eq!(repair(&path, now(), &lock(&path)).await.unwrap(), None, "it is sound");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE batch SET items = x'00' WHERE id = 2").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let repaired = repair(&path, now(), &lock(&path)).await.unwrap().unwrap();
    assert_eq!((repaired.runs, repaired.batches_proved, repaired.lost), (1, 2, 1));
    let index = open(&path).await.unwrap().load_index(&events("a")).await.unwrap();
    let known = ["1", "2", "3"].map(|key| index.delivered(KeyHash::of(key)).is_some());
    assert_eq!(known, [true, false, true]);
}

/// A ledger of format 5: the keys of an open batch are copied as they are, and still read.
#[tokio::test]
async fn open_batches_of_a_damaged_file_of_format_5_stay_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).await.unwrap();
    let scope = Scope { target: "a".to_owned(), entity: Entity::Customer };
    let batches = [conformance::batch(&[("ada", 1), ("bob", 1)]), conformance::batch(&[("eve", 1)])];
    for batch in &batches {
        ledger.open(RunId(1), "s", &scope, &[batch]).await.unwrap();
    }
    let before = ledger.open_batches(&scope).await.unwrap();
    ledger.close().await.unwrap();
    crash::as_format_5(&path).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE batch SET items = x'00' WHERE id = 2").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let repaired = repair(&path, now(), &lock(&path)).await.unwrap().unwrap();
    assert_eq!(repaired.lost, 1);
    let left = open(&path).await.unwrap().open_batches(&scope).await.unwrap();
    assert_eq!(left.iter().map(|batch| &batch.items).collect::<Vec<_>>(), [&before[0].items]);
}

#[tokio::test]
async fn events_that_may_stand_under_another_environment_are_open() {
    // Given: two environments with the same events, of which one has a batch of the other's, and another that can't be read.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).await.unwrap();
    let run = ledger.begin_run(start()).await.unwrap();
    for (target, key) in [("a", "1"), ("b", "2"), ("a", "3")] {
        let ids = ledger.open(run, "e", &events(target), &[&event_batch(&[(key, 1)])]).await.unwrap();
        ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
    }
    ledger.close().await.unwrap();
    let mut connection = Database::from(&*path).open(Access::Write).await.unwrap();
    // The first without its sum, as an older version wrote it.
    for sql in ["UPDATE batch SET scope = 2, sum = NULL WHERE id = 1", "UPDATE batch SET items = x'00' WHERE id = 3"] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();
    // When
    let repaired = repair(&path, now(), &lock(&path)).await.unwrap().unwrap();
    // Then
    assert_eq!((repaired.batches_proved, repaired.batches_opened), (0, 2));
    let ledger = open(&path).await.unwrap();
    for target in ["a", "b"] {
        assert_eq!(ledger.load_index(&events(target)).await.unwrap().known(), 0);
    }
}

#[tokio::test]
async fn rows_behind_a_stretch_that_cannot_be_read_are_found_again() {
    // Given: a file whose batches fill many pages, of which one in the middle is gone.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).await.unwrap();
    let run = ledger.begin_run(start()).await.unwrap();
    for number in 0..400 {
        let keys: Vec<String> = (0..20).map(|event| format!("{number}-{event}")).collect();
        let records: Vec<(&str, u64)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
        let ids = ledger.open(run, "e", &events("a"), &[&event_batch(&records)]).await.unwrap();
        ledger.settle(ids[0], &[const { Outcome::Accepted }; 20]).await.unwrap();
    }
    ledger.close().await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let needle = |number: u32| KeyHash::of(&format!("{number}-0")).to_bytes();
    let page = bytes.windows(12).position(|window| window == needle(200)).unwrap() / 4096 * 4096;
    bytes[page..page + 4096].fill(0);
    fs::write(&path, bytes).unwrap();
    // When
    let repaired = repair(&path, now(), &lock(&path)).await.unwrap().unwrap();
    // Then: only that page's are unknown.
    let index = open(&path).await.unwrap().load_index(&events("a")).await.unwrap();
    let known: HashSet<u32> =
        (0..400).filter(|number| index.delivered(KeyHash::of(&format!("{number}-0"))).is_some()).collect();
    assert!(!known.contains(&200) && (385..400).contains(&known.len()), "{}: {repaired:?}", known.len());
    assert!(known.contains(&0) && known.contains(&399));
}

/// A ledger as a kill leaves it, with a batch of events in the file and what `write` does in the log, of which a bit has flipped.
async fn with_a_damaged_log(folder: &Path, write: impl AsyncFn(&SqliteLedger)) -> PathBuf {
    let (path, killed) = (folder.join("ledger.db"), folder.join("killed.db"));
    let deliver = async |ledger: &SqliteLedger, key: &str| {
        let ids = ledger.open(RunId(1), "e", &events("a"), &[&event_batch(&[(key, 1)])]).await.unwrap();
        ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
    };
    let ledger = open(&path).await.unwrap();
    ledger.begin_run(start()).await.unwrap();
    deliver(&ledger, "in the file").await;
    ledger.close().await.unwrap();
    let ledger = open(&path).await.unwrap();
    deliver(&ledger, "in the log").await;
    write(&ledger).await;
    copy_with_log(&path, &killed).unwrap();
    ledger.close().await.unwrap();
    let mut log = fs::read(beside(&killed, "-wal")).unwrap();
    log[100] ^= 8;
    fs::write(beside(&killed, "-wal"), log).unwrap();
    killed
}

/// Given a bit that flipped in the log, behind which SQLite would read nothing, then the ledger is not believed, and a repair
/// holds the events that it does not know.
#[tokio::test]
async fn a_log_whose_bits_have_changed_is_noticed_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_a_damaged_log(folder.path(), async |_| {}).await;
    let LedgerError::Corrupt { detail, .. } = open(&path).await.unwrap_err() else { panic!() };
    assert_eq!(detail, "bits of its log have changed, and what was written after them could not be read");
    let repaired = repair(&path, now(), &lock(&path)).await.unwrap().unwrap();
    assert_eq!((repaired.found, repaired.batches_proved), (detail, 1));
    let ledger = open(&path).await.unwrap();
    let index = ledger.load_index(&events("a")).await.unwrap();
    let known = ["in the file", "in the log"].map(|key| index.delivered(KeyHash::of(key)).is_some());
    assert_eq!(known, [true, false]);
    assert!(ledger.mark(&events("a"), UNKNOWN_EVENTS).await.unwrap().is_some());
}

/// Given a first paid subscription that the log had and that can't be read, then it is not forgotten.
#[tokio::test]
async fn paid_subscriptions_in_a_damaged_log_are_never_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_a_damaged_log(folder.path(), async |ledger| {
        ledger.write_step("a", &conformance::replacements::planned("ada")).await.unwrap();
    });
    let path = path.await;
    let error = repair(&path, now(), &lock(&path)).await.unwrap_err();
    assert!(matches!(error, LedgerError::PaidInDoubt { .. }), "{error}");
}

#[tokio::test]
async fn paid_subscriptions_are_never_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).await.unwrap();
    let paid = Replacement {
        subscription_id: "sub".to_owned(),
        customer_id: "cus".to_owned(),
        payer_id: "cus".to_owned(),
        resource_id: None,
        plan_id: "plan".to_owned(),
        original: OriginalRef { provider: "stripe".to_owned(), id: "original".to_owned() },
        content: Fingerprint(1),
        stage: Stage::Planned,
        billing_id: None,
        attempts: 0,
        changed_at: now(),
    };
    ledger.write_step("a", &paid).await.unwrap();
    ledger.close().await.unwrap();
    let changed = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
    let error = repair(&path, now(), &lock(&path)).await.unwrap_err();
    let LedgerError::PaidInDoubt { ledger } = error else { panic!("{error}") };
    assert_eq!(ledger, Database::from(&*path).place());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}
