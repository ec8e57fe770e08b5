//! What a settlement writes: nothing but a short row where a batch was accepted as a whole, and the
//! states of its records otherwise.

use std::fmt::Write as _;
use std::sync::PoisonError;

use sqlx::Row as _;

use super::sum::{OPEN_BATCH, OUTCOME, Sum};
use super::writer::{Script, Trace, Writer};
use crate::batch::BatchId;
use crate::ledger::LedgerError;
use crate::ledger::segment::State;
use crate::ledger::verdict::{Verdict, keys_left};

/// Settles batches that were accepted as a whole: `$4` lists them, `$5` their ids. A function in a DELETE of many rows, even
/// `->>`, makes SQLite copy each page that it changes into a temporary file first.
const ACCEPT: &str = "
    INSERT INTO outcome (batch, settled_ms, task, attempts, request_id, sum)
      SELECT open_batch.batch, list.value ->> 1, task, list.value ->> 2, list.value ->> 3, list.value ->> 4
      FROM jsonb_each($4) AS list JOIN open_batch ON open_batch.batch = list.value ->> 0;
    DELETE FROM open_batch WHERE batch IN (SELECT value FROM json_each($5));";

/// What the writer knows of an open batch.
pub(super) struct Open {
    pub(super) len: u32,
    /// The sum of its number and keys.
    pub(super) with_keys: Sum,
    /// None: nothing is settled yet.
    pub(super) states: Option<Vec<State>>,
    pub(super) refusals: Vec<(u32, String)>,
    /// Settled in the group that is being written.
    pub(super) closed: bool,
}

/// The sum of the outcome of a batch that was accepted as a whole.
pub(super) fn accepted_sum(batch: i64, settled_ms: i64) -> Sum {
    OUTCOME.begin().number(batch).number(settled_ms).nothing().nothing()
}

enum Found {
    Open,
    Settled,
    No,
}

impl Writer {
    pub(super) async fn write_task(
        &mut self,
        batch: BatchId,
        task: String,
    ) -> Result<Result<(), LedgerError>, LedgerError> {
        match self.find(batch).await? {
            Found::Open => {}
            Found::Settled => return Ok(Ok(())),
            Found::No => return Ok(Err(LedgerError::NoSuchBatch(batch))),
        }
        let sum = self.open[&batch.0].with_keys.text(&task);
        sqlx::query("UPDATE open_batch SET task = ?2, sum = ?3 WHERE batch = ?1")
            .bind(batch.0.cast_signed())
            .bind(task)
            .bind(sum.stored())
            .execute(&mut self.connection)
            .await
            .map(|_| Ok(()))
            .map_err(|error| self.database.error(error))
    }

    /// Makes sure that an open batch is in `self.open`.
    async fn find(&mut self, batch: BatchId) -> Result<Found, LedgerError> {
        if let Some(open) = self.open.get(&batch.0) {
            return Ok(if open.closed { Found::Settled } else { Found::Open });
        }
        let row = sqlx::query(
            "SELECT outcome.batch, settled_ms, refusals, states, outcome.sum,
                    open_batch.batch, keys, open_batch.task, open_batch.sum, len
             FROM batch LEFT JOIN open_batch ON open_batch.batch = batch.id LEFT JOIN outcome ON outcome.batch = batch.id
             WHERE batch.id = ?",
        )
        .bind(batch.0.cast_signed())
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let Some(row) = row else { return Ok(Found::No) };
        let decode = |error| self.database.error(error);
        self.database.check_sum(&row, 0, &OUTCOME)?;
        self.database.check_sum(&row, 5, &OPEN_BATCH)?;
        let keys: Option<&[u8]> = row.try_get(6).map_err(decode)?;
        let Some(keys) = keys else { return Ok(Found::Settled) };
        let len: u32 = row.try_get(9).map_err(decode)?;
        let states: Option<&[u8]> = row.try_get(3).map_err(decode)?;
        let states = states.map(|states| self.database.states(states, len)).transpose()?;
        let refusals: Option<&str> = row.try_get(2).map_err(decode)?;
        let refusals = refusals.map_or(Ok(Vec::new()), |text| self.database.refusals(text))?;
        let with_keys = OPEN_BATCH.begin().number(batch.0.cast_signed()).bytes(keys);
        self.open.insert(batch.0, Open { len, with_keys, states, refusals, closed: false });
        Ok(Found::Open)
    }

    /// Settles one batch, or puts it on the list of those that were accepted as a whole.
    pub(super) async fn settle(
        &mut self,
        batch: BatchId,
        verdict: Verdict,
        settled_ms: i64,
        accepted: &mut Vec<(u64, i64)>,
    ) -> Result<Result<(), LedgerError>, LedgerError> {
        match self.find(batch).await? {
            Found::Open => {}
            Found::Settled => return Ok(Ok(())),
            Found::No => return Ok(Err(LedgerError::NoSuchBatch(batch))),
        }
        let open = self.open.get_mut(&batch.0).expect("was found");
        let found = verdict.len(open.len);
        if found != open.len as usize {
            return Ok(Err(LedgerError::OutcomesMismatch { batch, expected: open.len, found }));
        }
        if let (Verdict::AllAccepted(_), None) = (&verdict, &open.states) {
            open.closed = true;
            accepted.push((batch.0, settled_ms));
            return Ok(Ok(()));
        }
        let mut states = open.states.take().unwrap_or_else(|| vec![State::Open; open.len as usize]);
        let news = verdict.apply(&mut states, &mut open.refusals);
        open.closed = !states.contains(&State::Open);
        open.states = Some(states);
        if news {
            self.write_states(batch.0, settled_ms).await?;
        }
        Ok(Ok(()))
    }

    async fn write_states(&mut self, batch: u64, settled_ms: i64) -> Result<(), LedgerError> {
        let trace = self.trace(batch);
        let id = batch.cast_signed();
        let open = &self.open[&batch];
        let states = open.states.as_ref().expect("were just set");
        let settled_ms = open.closed.then_some(settled_ms);
        let refusals = (!open.refusals.is_empty())
            .then(|| serde_json::to_string(&open.refusals).expect("numbers and texts are JSON"));
        let bytes: Vec<u8> = states.iter().map(|state| *state as u8).collect();
        let sum = OUTCOME.begin().number(id).maybe_number(settled_ms).maybe_text(refusals.as_deref()).bytes(&bytes);
        sqlx::query(
            "INSERT OR REPLACE INTO outcome (batch, settled_ms, task, attempts, request_id, refusals, states, sum)
             SELECT batch, ?2, task, ?3, ?4, ?5, ?6, ?7 FROM open_batch WHERE batch = ?1",
        )
        .bind(id)
        .bind(settled_ms)
        .bind(trace.attempts)
        .bind(trace.request_id)
        .bind(refusals)
        .bind(bytes)
        .bind(sum.stored())
        .execute(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        if open.closed {
            return sqlx::query("DELETE FROM open_batch WHERE batch = ?1")
                .bind(id)
                .execute(&mut self.connection)
                .await
                .map(drop)
                .map_err(|error| self.database.error(error));
        }
        let row = sqlx::query("SELECT batch, keys, task, sum FROM open_batch WHERE batch = ?")
            .bind(id)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| self.database.error(error))?;
        self.database.check_sum(&row, 0, &OPEN_BATCH)?;
        let decode = |error| self.database.error(error);
        let (keys, task): (&[u8], Option<&str>) = (row.try_get(1).map_err(decode)?, row.try_get(2).map_err(decode)?);
        let left = keys_left(keys, states).ok_or_else(|| self.database.corrupt("the keys of a batch are damaged"))?;
        let with_keys = OPEN_BATCH.begin().number(id).bytes(&left);
        let sum = with_keys.maybe_text(task);
        sqlx::query("UPDATE open_batch SET keys = ?2, sum = ?3 WHERE batch = ?1")
            .bind(id)
            .bind(left)
            .bind(sum.stored())
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.database.error(error))?;
        self.open.get_mut(&batch).expect("is there").with_keys = with_keys;
        Ok(())
    }

    /// Whether a settlement only puts its batch on the list of those that were accepted as a whole.
    pub(super) fn closes_at_once(&self, batch: BatchId, verdict: &Verdict) -> bool {
        let whole = self.open.get(&batch.0).is_some_and(|open| open.states.is_none());
        whole && matches!(verdict, Verdict::AllAccepted(_))
    }

    /// Settles batches that were accepted as a whole, all in two statements.
    pub(super) fn settle_accepted(&self, accepted: &[(u64, i64)], script: &mut Script) {
        if accepted.is_empty() {
            return;
        }
        for (batch, settled_ms) in accepted {
            let trace = self.trace(*batch);
            let request_id = serde_json::to_string(&trace.request_id).expect("a text is JSON");
            let (before, attempts) = (if script.closed.is_empty() { '[' } else { ',' }, trace.attempts);
            let sum = accepted_sum(batch.cast_signed(), *settled_ms).stored();
            write!(script.accepted, "{before}[{batch},{settled_ms},{attempts},{request_id},{sum}]")
                .and_then(|()| write!(script.closed, "{before}{batch}"))
                .expect("a String takes it");
        }
        script.accepted.push(']');
        script.closed.push(']');
        script.sql.push_str(ACCEPT);
    }

    /// The attempts of a batch; forgotten when it closes.
    fn trace(&self, batch: u64) -> Trace {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = self.open.get(&batch).is_none_or(|open| open.closed);
        if closed { traces.remove(&batch) } else { traces.get(&batch).cloned() }.unwrap_or_default()
    }
}
