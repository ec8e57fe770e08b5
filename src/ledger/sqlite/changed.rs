//! What bits that have changed in a row, while the ledger is open or after a kill, make it say: nothing, wherever the row is
//! read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::AssertSqlSafe;

use super::sum::{SUMMED, Summed};
use super::*;
use crate::clock::FixedClock;
use crate::ledger::conformance::replacements::planned;
use crate::ledger::conformance::{batch, batch_with_fields, scope, start};
use crate::ledger::{Replacement, Replacements as _, Stage, StepMark};

const TARGET: &str = "t";

async fn open(path: &Path, access: Access) -> Result<SqliteLedger, LedgerError> {
    let clock = Arc::new(FixedClock::at(start().started_at));
    SqliteLedger::open(path, access, Durability::ProcessEnd, clock).await
}

/// A ledger with something in each table. Batches 3 and 6 are accepted, 4 is partly settled, 5 open; those before are
/// merged.
async fn filled(folder: &Path) -> PathBuf {
    let path = folder.join("filled.db");
    let ledger = open(&path, Access::Write).await.unwrap();
    let finished_at = start().started_at;
    let finish = || RunFinish { finished_at, exit: 0, summary_json: "{\"ok\":true}".to_owned() };
    for content in 1..=3 {
        let run = ledger.begin_run(start()).await.unwrap();
        let both = batch_with_fields(&[("ada", content), ("bob", 1)]);
        let id = ledger.open(run, "s", &scope(), &[&both]).await.unwrap()[0];
        ledger.settle(id, &[Outcome::Accepted, Outcome::Accepted]).await.unwrap();
        if content == 2 {
            ledger.compact(Compaction::Now, Index::new()).await.unwrap();
        }
        ledger.finish_run(run, finish()).await.unwrap();
    }
    let run = ledger.begin_run(start()).await.unwrap();
    let three = batch_with_fields(&[("cy", 1), ("dan", 1), ("eve", 1)]);
    let ids = ledger.open(run, "s", &scope(), &[&three, &batch(&[("fay", 1)]), &batch(&[("gus", 1)])]).await.unwrap();
    let refused = Outcome::Failed { code: "X".to_owned(), message: String::new() };
    ledger.settle(ids[0], &[Outcome::Accepted, refused, lost()]).await.unwrap();
    ledger.settle(ids[2], &[Outcome::Accepted]).await.unwrap();
    ledger.note_task(ids[1], "task").await.unwrap();
    ledger.set_mark(&scope(), "s", Some(&mark())).await.unwrap();
    ledger.write_step(TARGET, &planned("ada")).await.unwrap();
    ledger.close().await.unwrap();
    path
}

fn lost() -> Outcome {
    Outcome::Open { reason: String::new() }
}

fn mark() -> StepMark {
    StepMark { identity: "a".to_owned(), value: "7".to_owned() }
}

/// A copy, which no seal speaks for.
fn copy_of(filled: &Path, name: &str) -> PathBuf {
    let copy = filled.with_file_name(format!("{name}.db"));
    std::fs::copy(filled, &copy).unwrap();
    copy
}

/// Changes a file behind the ledger's back.
async fn change(path: &Path, sql: String) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut connection).await.expect(&sql);
    assert!(done.rows_affected() > 0, "{sql}");
    sqlx::Connection::close(connection).await.unwrap();
}

/// Reads or writes in some way.
async fn act(ledger: &SqliteLedger, way: &str) -> Result<(), LedgerError> {
    let (scope, ada) = (scope(), KeyHash::of("ada"));
    match way {
        "load_index" => ledger.load_index(&scope).await.map(drop),
        "delivered_since" => ledger.delivered_since(&scope, RunId(1)).await.map(drop),
        "open_batches" => ledger.open_batches(&scope).await.map(drop),
        "close_superseded" => ledger.close_superseded(&scope).await.map(drop),
        "history" => ledger.history(&scope, ada).await.map(drop),
        "sketches" => ledger.sketches(&scope, &[ada].into()).await.map(drop),
        "mark" => ledger.mark(&scope, "s").await.map(drop),
        "set_mark" => ledger.set_mark(&scope, "s", Some(&mark())).await,
        "scopes" => ledger.scopes().await.map(drop),
        "runs" => ledger.runs(9).await.map(drop),
        "run" => ledger.run(RunId(1)).await.map(drop),
        "finish_run" => {
            let finish = RunFinish { finished_at: start().started_at, exit: 0, summary_json: "{}".to_owned() };
            ledger.finish_run(RunId(4), finish).await
        }
        "prune" => ledger.prune(start().started_at + jiff::SignedDuration::from_hours(1)).await.map(drop),
        "compact" => ledger.compact(Compaction::Now, Index::new()).await.map(drop),
        "open" => ledger.open(RunId(4), "s", &scope, &[&batch(&[("new", 1)])]).await.map(drop),
        "note_task" => ledger.note_task(BatchId(5), "other").await,
        "settle" => ledger.settle(BatchId(4), &[lost(), lost(), Outcome::Accepted]).await,
        "replacement" => ledger.replacement(TARGET, "sub-ada").await.map(drop),
        "replacements" => ledger.replacements(TARGET, None, 9).await.map(drop),
        "write_step" => {
            let next = Replacement { stage: Stage::Provisioning, ..planned("ada") };
            ledger.write_step(TARGET, &next).await
        }
        other => panic!("no such way: {other}"),
    }
}

/// Given an open ledger, when the sums of a table change under it, then whoever reads of that table is told.
#[tokio::test]
async fn a_row_whose_bits_have_changed_is_not_believed_wherever_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let filled = filled(folder.path()).await;
    let ways: [(&str, &[&str]); 20] = [
        ("load_index", &["scope", "batch", "outcome", "segment"]),
        ("delivered_since", &["scope", "batch", "outcome", "segment"]),
        ("open_batches", &["scope", "batch", "open_batch"]),
        ("close_superseded", &["scope", "batch", "open_batch", "outcome"]),
        ("history", &["scope", "batch", "outcome", "segment"]),
        ("sketches", &["scope", "batch", "outcome", "segment", "sketch"]),
        ("mark", &["scope", "mark"]),
        ("set_mark", &["scope"]),
        ("scopes", &["scope"]),
        ("runs", &["run"]),
        ("run", &["run"]),
        ("finish_run", &["run"]),
        ("prune", &["run"]),
        ("compact", &["scope", "batch", "outcome", "segment"]),
        ("open", &["scope"]),
        ("note_task", &["open_batch"]),
        ("settle", &["open_batch", "outcome"]),
        ("replacement", &["replacement"]),
        ("replacements", &["replacement"]),
        ("write_step", &["replacement"]),
    ];
    for (way, tables) in ways {
        let ledger = open(&copy_of(&filled, way), Access::Write).await.unwrap();
        act(&ledger, way).await.unwrap_or_else(|error| panic!("{way} of a sound ledger: {error}"));
        ledger.close().await.unwrap();
        for Summed { table, .. } in &SUMMED {
            let path = copy_of(&filled, &format!("{way}-{table}"));
            let ledger = open(&path, Access::Write).await.unwrap();
            change(&path, format!("UPDATE {table} SET sum = sum + 1")).await;
            match act(&ledger, way).await {
                Ok(()) => assert!(!tables.contains(table), "{way} believes `{table}`"),
                Err(LedgerError::Corrupt { detail, .. }) => {
                    assert!(tables.contains(table), "{way} reads `{table}`");
                    assert_eq!(detail, format!("bits of a row in its table `{table}` have changed"), "{way}");
                }
                Err(other) => panic!("{way}, `{table}`: {other}"),
            }
        }
    }
}

/// Given a batch that this process has opened, when its row changes and then a part of it is settled, then the row is not
/// written anew with a sum that fits.
#[tokio::test]
async fn a_row_that_has_changed_does_not_get_a_new_sum() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path()).await;
    let ledger = open(&path, Access::Write).await.unwrap();
    let id = ledger.open(RunId(4), "s", &scope(), &[&batch(&[("gus", 1), ("hal", 1)])]).await.unwrap()[0];
    change(&path, format!("UPDATE open_batch SET task = 'changed' WHERE batch = {id}")).await;
    let error = ledger.settle(id, &[Outcome::Accepted, lost()]).await.unwrap_err();
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
    assert!(ledger.open_batches(&scope()).await.is_err());
}

/// Given records that were merged, when the rows of the batch that delivered them change, then their story is not told.
#[tokio::test]
async fn the_story_of_a_merged_record_is_not_told_from_rows_that_have_changed() {
    let folder = tempfile::tempdir().unwrap();
    let filled = filled(folder.path()).await;
    for (table, number) in [("batch", "id"), ("outcome", "batch")] {
        let path = copy_of(&filled, table);
        let ledger = open(&path, Access::Write).await.unwrap();
        assert_eq!(ledger.history(&scope(), KeyHash::of("ada")).await.unwrap()[0].batch, BatchId(2));
        change(&path, format!("UPDATE {table} SET sum = sum + 1 WHERE {number} = 2")).await;
        let error = ledger.history(&scope(), KeyHash::of("ada")).await.unwrap_err();
        assert!(matches!(error, LedgerError::Corrupt { .. }), "{table}: {error}");
    }
}

/// Given a ledger that was killed or copied, when something has changed that no row says of itself, then it is not opened.
#[tokio::test]
async fn what_no_row_says_of_itself_is_found_by_looking_through() {
    let folder = tempfile::tempdir().unwrap();
    let filled = filled(folder.path()).await;
    let refused = async |path: &Path| {
        let LedgerError::Corrupt { detail, .. } = open(path, Access::Read).await.unwrap_err() else { panic!() };
        assert!(open(path, Access::Write).await.is_err());
        detail
    };
    // Numbers that were given, the format, and the name of a table: without it, no mark holds back what must not be sent.
    for (number, (sql, expected)) in [
        ("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'batch'", "numbers of its rows would be given again"),
        ("UPDATE sqlite_sequence SET name = 'cat' WHERE name = 'batch'", "numbers of its rows would be given again"),
        ("PRAGMA user_version = 4", "its tables are not those of its format"),
        ("PRAGMA user_version = 1", "its tables are not those of its format"),
        ("ALTER TABLE mark RENAME TO marj", "its tables are not those of its format"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = copy_of(&filled, &format!("changed-{number}"));
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
        assert_eq!(refused(&path).await, expected, "{sql}");
    }
    // A page that says it has one row less: each table's is the only one.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&filled);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for Summed { table, .. } in &SUMMED {
        let page: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_schema WHERE name = ?")
            .bind(table)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let path = copy_of(&filled, &format!("fewer-{table}"));
        let mut bytes = std::fs::read(&path).unwrap();
        let rows_at = (page as usize - 1) * 4096 + 4;
        assert!(bytes[rows_at] > 0, "{table}");
        bytes[rows_at] -= 1;
        std::fs::write(&path, bytes).unwrap();
        refused(&path).await;
    }
    sqlx::Connection::close(connection).await.unwrap();
}

/// Given a ledger that was killed or copied, when any column of any table has changed, then it is not opened.
#[tokio::test]
async fn no_column_changes_unnoticed_without_a_seal() {
    let folder = tempfile::tempdir().unwrap();
    let filled = filled(folder.path()).await;
    open(&copy_of(&filled, "sound"), Access::Read).await.unwrap();
    for Summed { table, columns, .. } in &SUMMED {
        for column in columns.iter().chain(&["sum"]) {
            let path = copy_of(&filled, &format!("{table}-{column}"));
            let kind = format!("SELECT type FROM pragma_table_info('{table}') WHERE name = '{column}'");
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
            let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
            let kind: String = sqlx::query_scalar(AssertSqlSafe(kind)).fetch_one(&mut connection).await.unwrap();
            sqlx::Connection::close(connection).await.unwrap();
            let changed = match kind.as_str() {
                "INTEGER" => format!("coalesce({column}, 0) + 1000"),
                "TEXT" => format!("coalesce({column}, '') || 'x'"),
                _ => format!("CAST(coalesce({column}, x'') || x'00' AS BLOB)"),
            };
            change(&path, format!("UPDATE {table} SET {column} = {changed}")).await;
            for access in [Access::Read, Access::Write] {
                let error = open(&path, access).await.unwrap_err();
                assert!(matches!(error, LedgerError::Corrupt { .. }), "{table}.{column}: {error}");
                let hint = error.hint().unwrap();
                assert!(hint.contains("ledger repair"), "{hint}");
            }
        }
    }
}
