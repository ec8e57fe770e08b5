//! What a settlement writes: nothing but a short row where a batch was accepted as a whole, and the
//! states of its records otherwise.

use std::fmt::Write as _;
use std::sync::PoisonError;

use super::writer::{Script, Trace, Writer};
use crate::batch::BatchId;
use crate::ledger::LedgerError;
use crate::ledger::segment::State;
use crate::ledger::verdict::{Verdict, keys_left};

/// Settles batches that were accepted as a whole: `$4` lists them, `$5` their ids. A function in a DELETE of many rows, even
/// `->>`, makes SQLite copy each page that it changes into a temporary file first.
const ACCEPT: &str = "
    INSERT INTO outcome (batch, settled_ms, task, attempts, request_id)
      SELECT open_batch.batch, list.value ->> 1, task, list.value ->> 2, list.value ->> 3
      FROM json_each($4) AS list JOIN open_batch ON open_batch.batch = list.value ->> 0;
    DELETE FROM open_batch WHERE batch IN (SELECT value FROM json_each($5));";

/// What the writer knows of an open batch.
pub(super) struct Open {
    pub(super) len: u32,
    /// None: nothing is settled yet.
    pub(super) states: Option<Vec<State>>,
    pub(super) refusals: Vec<(u32, String)>,
    /// Settled in the group that is being written.
    pub(super) closed: bool,
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
        if let Found::No = self.find(batch).await? {
            return Ok(Err(LedgerError::NoSuchBatch(batch)));
        }
        sqlx::query("UPDATE open_batch SET task = ? WHERE batch = ?")
            .bind(task)
            .bind(batch.0.cast_signed())
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
        type Row = (u32, bool, Option<Vec<u8>>, Option<String>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT batch.len, open_batch.batch IS NOT NULL, outcome.states, outcome.refusals FROM batch
             LEFT JOIN open_batch ON open_batch.batch = batch.id LEFT JOIN outcome ON outcome.batch = batch.id
             WHERE batch.id = ?",
        )
        .bind(batch.0.cast_signed())
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let Some((len, is_open, states, refusals)) = row else { return Ok(Found::No) };
        if !is_open {
            return Ok(Found::Settled);
        }
        let states = states.map(|states| self.database.states(&states, len)).transpose()?;
        let refusals = refusals.map_or(Ok(Vec::new()), |text| self.database.refusals(&text))?;
        self.open.insert(batch.0, Open { len, states, refusals, closed: false });
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
        let open = &self.open[&batch];
        let states = open.states.as_ref().expect("were just set");
        let refusals = (!open.refusals.is_empty())
            .then(|| serde_json::to_string(&open.refusals).expect("numbers and texts are JSON"));
        sqlx::query(
            "INSERT OR REPLACE INTO outcome (batch, settled_ms, task, attempts, request_id, refusals, states)
             SELECT batch, ?2, task, ?3, ?4, ?5, ?6 FROM open_batch WHERE batch = ?1",
        )
        .bind(batch.cast_signed())
        .bind(open.closed.then_some(settled_ms))
        .bind(trace.attempts)
        .bind(trace.request_id)
        .bind(refusals)
        .bind(states.iter().map(|state| *state as u8).collect::<Vec<u8>>())
        .execute(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let rest = if open.closed {
            sqlx::query("DELETE FROM open_batch WHERE batch = ?1").bind(batch.cast_signed())
        } else {
            let keys: Vec<u8> = sqlx::query_scalar("SELECT keys FROM open_batch WHERE batch = ?")
                .bind(batch.cast_signed())
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
            let left =
                keys_left(&keys, states).ok_or_else(|| self.database.corrupt("the keys of a batch are damaged"))?;
            sqlx::query("UPDATE open_batch SET keys = ?2 WHERE batch = ?1").bind(batch.cast_signed()).bind(left)
        };
        rest.execute(&mut self.connection).await.map(drop).map_err(|error| self.database.error(error))
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
            write!(script.accepted, "{before}[{batch},{settled_ms},{attempts},{request_id}]")
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
