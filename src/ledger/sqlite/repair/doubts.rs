//! What of the copied rows is believed.

use jiff::Timestamp;
use sqlx::Row as _;

use super::Rebuilding;
use crate::entity::Entity;
use crate::ledger::LedgerError;
use crate::ledger::keys::{Keys, pack_keys};
use crate::ledger::segment::{ITEM_BYTES, State, unpack_segment};

/// A batch that was copied, as far as it means something.
struct Found {
    id: i64,
    is_event: bool,
    len: u32,
    /// The positions of the keys that it has as an open one; none where it is not open.
    open: Option<Vec<u32>>,
    /// Whether it was accepted as a whole.
    accepted: bool,
    /// The records that were refused: both their states and the codes say so.
    refused: Vec<bool>,
    /// The codes, as they are stored.
    refusals: Option<String>,
}

impl Rebuilding<'_> {
    /// Makes what was copied hold together.
    pub(super) async fn settle_doubts(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        self.drop_runs().await?;
        let now_ms = now.as_millisecond();
        self.change("UPDATE main.batch SET opened_ms = ?1 WHERE opened_ms NOT BETWEEN 0 AND ?1", now_ms).await?;
        self.change("UPDATE main.outcome SET settled_ms = ?1 WHERE settled_ms NOT BETWEEN 0 AND ?1", now_ms).await?;
        // How they were sent is no use any more, and may be damaged.
        self.change("UPDATE main.outcome SET task = NULL, attempts = 0, request_id = NULL WHERE ?1", 1).await?;
        for id in self.numbers("SELECT id FROM main.segment").await? {
            self.settle_segment(id).await?;
        }
        // With two environments, nothing says that a batch still stands under its own.
        let one_scope = self.number("SELECT count(*) FROM main.scope WHERE entity = 'event'").await? == 1;
        for id in self.numbers("SELECT id FROM main.batch WHERE items IS NOT NULL ORDER BY id").await? {
            match self.found(id).await? {
                Some(found) => self.settle_doubt(found, one_scope).await?,
                None => {
                    self.repaired.lost += 1;
                    self.drop_batch(id).await?;
                }
            }
        }
        for sql in [
            "DELETE FROM main.open_batch WHERE ?1 AND batch NOT IN (SELECT id FROM main.batch WHERE items IS NOT NULL)",
            "DELETE FROM main.outcome WHERE ?1 AND batch NOT IN (SELECT id FROM main.batch)",
        ] {
            self.change(sql, 1).await?;
        }
        Ok(())
    }

    async fn drop_runs(&mut self) -> Result<(), LedgerError> {
        for id in self.numbers("SELECT id FROM main.run").await? {
            let row = sqlx::query("SELECT * FROM main.run WHERE id = ?").bind(id).fetch_one(&mut self.connection).await;
            if self.new.run_info(&row.map_err(|error| self.fail(error))?).is_err() {
                self.repaired.lost += 1;
                self.change("DELETE FROM main.run WHERE id = ?", id).await?;
            } else {
                self.repaired.runs += 1;
            }
        }
        Ok(())
    }

    /// A segment of events stays where it stands under the scope of all of its batches.
    async fn settle_segment(&mut self, id: i64) -> Result<(), LedgerError> {
        let items: Vec<u8> = sqlx::query_scalar("SELECT items FROM main.segment WHERE id = ?")
            .bind(id)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| self.fail(error))?;
        let (mut batches, mut records) = (Vec::new(), 0);
        let intact = unpack_segment(&items, |batch, items| {
            batches.push(batch);
            records += items.len() / ITEM_BYTES;
        });
        let same: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM json_each(?2) AS list JOIN main.batch ON batch.id = list.value
             WHERE batch.scope = (SELECT scope FROM main.segment WHERE id = ?1)",
        )
        .bind(id)
        .bind(serde_json::to_string(&batches).expect("numbers are JSON"))
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.fail(error))?;
        if !intact || usize::try_from(same) != Ok(batches.len()) {
            self.repaired.lost += 1;
            return self.change("DELETE FROM main.segment WHERE id = ?", id).await.map(drop);
        }
        self.repaired.batches_proved += batches.len() as u64;
        // It says how much room is made.
        sqlx::query("UPDATE main.segment SET records = ?2 WHERE id = ?1")
            .bind(id)
            .bind(records as i64)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .map_err(|error| self.fail(error))
    }

    /// A batch that was copied; none where it means nothing.
    async fn found(&mut self, id: i64) -> Result<Option<Found>, LedgerError> {
        let row = sqlx::query(
            "SELECT entity, len, items, step, open_batch.task, keys, settled_ms, refusals, states
             FROM main.batch JOIN main.scope ON scope.id = batch.scope
             LEFT JOIN main.open_batch ON open_batch.batch = batch.id LEFT JOIN main.outcome ON outcome.batch = batch.id
             WHERE batch.id = ?",
        )
        .bind(id)
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.fail(error))?;
        Ok(row.and_then(|row| {
            let entity: String = row.try_get(0).ok()?;
            let (len, items): (u32, &[u8]) = (row.try_get(1).ok()?, row.try_get(2).ok()?);
            if items.len() != len as usize * ITEM_BYTES {
                return None;
            }
            let (_, _): (String, Option<String>) = (row.try_get(3).ok()?, row.try_get(4).ok()?);
            let keys: Option<&[u8]> = row.try_get(5).ok()?;
            let settled_ms: Option<i64> = row.try_get(6).ok()?;
            // What of these can't be read says nothing.
            let refusals = row.try_get::<Option<&str>, _>(7);
            let states = row.try_get::<Option<&[u8]>, _>(8);
            let open = match keys {
                Some(keys) => Some(Keys::unpack(keys, len)?.iter().map(|(position, _)| position).collect()),
                None => None,
            };
            let codes = refusals.as_ref().ok().and_then(|text| self.new.refusals(text.as_ref()?).ok());
            let is_refused = |(position, state): (u32, State)| {
                state == State::Failed && codes.iter().flatten().any(|(refused, _)| *refused == position)
            };
            let known = states.as_ref().ok().and_then(|bytes| State::of_bytes(bytes.as_ref()?, len));
            let known = known.unwrap_or_else(|| vec![State::Open; len as usize]);
            Some(Found {
                id,
                is_event: entity == Entity::Event.name(),
                len,
                accepted: keys.is_none()
                    && settled_ms.is_some()
                    && matches!((&refusals, &states), (Ok(None), Ok(None))),
                open,
                refused: (0..).zip(known).map(is_refused).collect(),
                refusals: codes.map(|codes| serde_json::to_string(&codes).expect("numbers and texts are JSON")),
            })
        }))
    }

    async fn settle_doubt(&mut self, found: Found, one_scope: bool) -> Result<(), LedgerError> {
        let Found { id, is_event, len, open, accepted, refused, refusals } = found;
        if is_event && accepted && one_scope {
            self.repaired.batches_proved += 1;
            return Ok(());
        }
        if is_event {
            let states = refused.iter().map(|refused| if *refused { State::Failed } else { State::Open });
            let states: Vec<State> = states.collect();
            // No event is read back by its key.
            let open = (0..len).filter(|position| !refused[*position as usize]);
            let mut keys = Vec::new();
            pack_keys(&mut keys, open.map(|position| (position, "")));
            if keys.is_empty() {
                self.repaired.batches_proved += 1;
                self.change("DELETE FROM main.open_batch WHERE batch = ?", id).await?;
                return self.write_states(id, true, &states, refusals).await;
            }
            let sql = "INSERT OR REPLACE INTO main.open_batch (batch, task, keys) VALUES (?, NULL, ?)";
            let done = sqlx::query(sql).bind(id).bind(keys).execute(&mut self.connection).await;
            done.map_err(|error| self.fail(error))?;
            self.repaired.batches_opened += 1;
            return self.write_states(id, false, &states, refusals).await;
        }
        match open {
            Some(open) => {
                let mut states = vec![State::NeverKnown; len as usize];
                open.iter().for_each(|position| states[*position as usize] = State::Open);
                self.write_states(id, false, &states, refusals).await
            }
            // It was copied for its row as an open one.
            None => self.drop_batch(id).await,
        }
    }

    async fn drop_batch(&mut self, id: i64) -> Result<(), LedgerError> {
        self.change("DELETE FROM main.batch WHERE id = ?", id).await.map(drop)
    }

    async fn write_states(
        &mut self,
        id: i64,
        settled: bool,
        states: &[State],
        refusals: Option<String>,
    ) -> Result<(), LedgerError> {
        let done = sqlx::query(
            "INSERT OR REPLACE INTO main.outcome (batch, settled_ms, task, attempts, request_id, refusals, states)
             SELECT id, iif(?2, opened_ms, NULL), NULL, 0, NULL, ?4, ?3 FROM main.batch WHERE id = ?1",
        )
        .bind(id)
        .bind(settled)
        .bind(states.iter().map(|state| *state as u8).collect::<Vec<u8>>())
        .bind(refusals)
        .execute(&mut self.connection)
        .await;
        done.map(drop).map_err(|error| self.fail(error))
    }
}
