//! What is written of runs.

use super::sum::{RUN, Sum};
use super::writer::Writer;
use crate::ledger::{LedgerError, RunFinish, RunId, RunStart};

/// What is kept of a run that ended long ago, in place of arguments and summary.
pub(super) const EMPTIED: &str = "{}";

/// The sum of a run, as far as it is known when it begins.
fn begun(run: i64, start: &RunStart) -> Sum {
    let sum = RUN.begin().number(run).text(&start.identity);
    sum.number(start.started_at.as_millisecond()).text(&start.arguments_json)
}

fn ended(begun: Sum, finish: Option<&RunFinish>) -> Sum {
    match finish {
        None => begun.nothing().nothing().nothing(),
        Some(RunFinish { finished_at, exit, summary_json }) => {
            begun.number(finished_at.as_millisecond()).number((*exit).into()).text(summary_json)
        }
    }
}

impl Writer {
    pub(super) async fn begin_run(&mut self, start: RunStart) -> Result<RunId, LedgerError> {
        let run = self
            .number(
                "SELECT max(coalesce((SELECT max(id) FROM run), 0),
                            coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'run'), 0)) + 1",
            )
            .await?;
        let sum = ended(begun(run, &start), None);
        sqlx::query("INSERT INTO run (id, identity, started_ms, arguments, sum) VALUES (?, ?, ?, ?, ?)")
            .bind(run)
            .bind(start.identity)
            .bind(start.started_at.as_millisecond())
            .bind(start.arguments_json)
            .bind(sum.stored())
            .execute(&mut self.connection)
            .await
            .map(|_| RunId(run.cast_unsigned()))
            .map_err(|error| self.database.error(error))
    }

    pub(super) async fn finish_run(&mut self, run: RunId, finish: RunFinish) -> Result<(), LedgerError> {
        let row = sqlx::query("SELECT * FROM run WHERE id = ?")
            .bind(run.0.cast_signed())
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|error| self.database.error(error))?;
        let Some(row) = row else { return Err(LedgerError::NoSuchRun(run)) };
        let start = self.database.run_info(&row)?.start;
        let sum = ended(begun(run.0.cast_signed(), &start), Some(&finish));
        sqlx::query("UPDATE run SET finished_ms = ?2, exit = ?3, summary = ?4, sum = ?5 WHERE id = ?1")
            .bind(run.0.cast_signed())
            .bind(finish.finished_at.as_millisecond())
            .bind(finish.exit)
            .bind(finish.summary_json)
            .bind(sum.stored())
            .execute(&mut self.connection)
            .await
            .map(drop)
            .map_err(|error| self.database.error(error))
    }

    /// Drops arguments and summary of runs that ended before an instant, but for the last of all.
    pub(super) async fn empty_runs(&mut self, before_ms: i64) -> Result<(), LedgerError> {
        let rows = sqlx::query(
            "SELECT * FROM run WHERE coalesce(finished_ms, started_ms) < ?1 AND id < (SELECT max(id) FROM run)
               AND arguments <> ?2",
        )
        .bind(before_ms)
        .bind(EMPTIED)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let mut sums = Vec::with_capacity(rows.len());
        for row in &rows {
            let info = self.database.run_info(row)?;
            let run = info.id.0.cast_signed();
            let start = RunStart { arguments_json: EMPTIED.to_owned(), ..info.start };
            let finish = info.finish.map(|finish| RunFinish { summary_json: EMPTIED.to_owned(), ..finish });
            sums.push((run, ended(begun(run, &start), finish.as_ref()).stored()));
        }
        sqlx::query(
            "UPDATE run SET arguments = ?2, summary = iif(summary IS NULL, NULL, ?2), sum = list.value ->> 1
             FROM json_each(?1) AS list WHERE run.id = list.value ->> 0",
        )
        .bind(serde_json::to_string(&sums).expect("numbers are JSON"))
        .bind(EMPTIED)
        .execute(&mut self.connection)
        .await
        .map(drop)
        .map_err(|error| self.database.error(error))
    }
}
