//! Deleting rejects files of long ago.

use std::path::Path;

use jiff::Timestamp;

use super::{RejectsError, by_run};
use crate::ledger::{Ledger, LedgerError, WriteFailure};

/// Why old rejects files are still there.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The ledger, which knows when runs ended, can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The folder can't be read, or a file not deleted.
    #[error(transparent)]
    Files(#[from] RejectsError),
}

/// Deletes the rejects files of runs that ended before this instant, but for the last run's. Returns how many.
///
/// Call it before [`Ledger::prune`]: a run that the ledger has forgotten is taken for an old one, unless it is newer than
/// every run that the ledger knows.
///
/// # Errors
///
/// [`PruneError`]. Files that were deleted before are gone.
pub async fn prune(ledger_path: &Path, ledger: &dyn Ledger, before: Timestamp) -> Result<u64, PruneError> {
    let files = by_run(ledger_path)?;
    let Some(last) = ledger.runs(1).await?.first().map(|run| run.id) else { return Ok(0) };
    let mut deleted = 0;
    for (run, path) in files {
        if run >= last {
            continue;
        }
        let ended = ledger.run(run).await?.map(|run| run.finish.map_or(run.start.started_at, |end| end.finished_at));
        if ended.is_some_and(|ended| ended >= before) {
            continue;
        }
        std::fs::remove_file(&path).map_err(|error| RejectsError::CannotWrite {
            path,
            failure: WriteFailure::of(&error),
            detail: error.to_string(),
        })?;
        deleted += 1;
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::conformance::start;
    use crate::ledger::{MemoryLedger, RunFinish, RunStart};

    #[tokio::test]
    async fn files_of_runs_that_ended_long_ago_are_deleted_but_not_the_last_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger_path = folder.path().join("ledger.db");
        let rejects = folder.path().join("rejects");
        std::fs::create_dir(&rejects).expect("made");
        // Given: four runs a day apart, and files of theirs, of a run before them, of one after, and of somebody else.
        let ledger = MemoryLedger::default();
        let day = |day: i64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * day);
        for number in 1..=4 {
            let run = ledger.begin_run(RunStart { started_at: day(number), ..start() }).await.expect("begun");
            let finish = RunFinish { finished_at: day(number), exit: 3, summary_json: "{}".to_owned() };
            ledger.finish_run(run, finish).await.expect("finished");
        }
        for name in ["1-a.jsonl", "1-b.jsonl", "2-a.jsonl", "3-a.jsonl", "4-a.jsonl", "9-a.jsonl", "notes.txt"] {
            std::fs::write(rejects.join(name), "").expect("written");
        }
        let left = || {
            let entries = std::fs::read_dir(&rejects).expect("readable");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
            names.sort();
            names
        };
        // When
        assert_eq!(prune(&ledger_path, &ledger, day(3)).await.expect("pruned"), 3);
        // Then
        assert_eq!(left(), ["3-a.jsonl", "4-a.jsonl", "9-a.jsonl", "notes.txt"]);
        assert_eq!(prune(&ledger_path, &ledger, day(99)).await.expect("pruned"), 1);
        assert_eq!(left(), ["4-a.jsonl", "9-a.jsonl", "notes.txt"]);
    }
}
