//! What an opening writes: the batches with their records, the keys of these while they are open, and what is known of fields.

use std::fmt::Write as _;

use super::settle::Open;
use super::sum::{BATCH, OPEN_BATCH, SKETCH};
use super::writer::{Script, Writer};
use crate::batch::{Batch, BatchId};
use crate::entity::Entity;
use crate::ledger::segment::{ITEM_BYTES, pack, pack_batch_keys};
use crate::ledger::sketch::pack_sketches;
use crate::ledger::{LedgerError, RunId, Scope};

/// Opens batches: `$1` lists them, `$2` and `$3` hold their items and keys one after the other. Any number of them in one
/// text that is prepared once. `jsonb_each` gives each list as it was parsed; `json_each` would write it as text, to be parsed
/// again.
const OPEN: &str = "
    INSERT INTO batch
      SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
             substr($2, value ->> 6, value ->> 7), value ->> 8
      FROM jsonb_each($1);
    INSERT INTO open_batch
      SELECT value ->> 0, NULL, substr($3, value ->> 9, value ->> 10), value ->> 11 FROM jsonb_each($1);";

/// Opens what goes with those that have sketches, for which [`OPEN`] has no room: usage has none, and this costs it nothing.
/// `$6` lists them, `$7` holds them one after the other.
const OPEN_SKETCHES: &str = "
    INSERT INTO sketch SELECT value ->> 0, substr($7, value ->> 1, value ->> 2), value ->> 3 FROM jsonb_each($6);";

/// Batches that are opened together, packed by their caller so that the writer only writes: one after the other in each buffer.
#[derive(Debug, Default)]
pub(super) struct Packed {
    batches: Vec<PackedBatch>,
    items: Vec<u8>,
    keys: Vec<u8>,
}

/// How much of [`Packed`] is one batch's.
#[derive(Debug)]
struct PackedBatch {
    len: u32,
    keys_bytes: usize,
    sketches: Option<Vec<u8>>,
}

impl Packed {
    /// # Panics
    ///
    /// Where a batch is of another entity.
    pub(super) fn of(batches: &[&Batch], entity: Entity) -> Self {
        let records: usize = batches.iter().map(|batch| batch.items.len()).sum();
        let mut packed = Self {
            batches: Vec::with_capacity(batches.len()),
            items: Vec::with_capacity(records * ITEM_BYTES),
            keys: Vec::with_capacity(batches.iter().map(|batch| batch.keys.len()).sum()),
        };
        for batch in batches {
            assert_eq!(batch.entity, entity, "a batch belongs to its scope");
            let keys_at = packed.keys.len();
            pack(&mut packed.items, batch);
            pack_batch_keys(&mut packed.keys, batch);
            packed.batches.push(PackedBatch {
                len: u32::try_from(batch.items.len()).expect("a batch stays under 4 GiB"),
                keys_bytes: packed.keys.len() - keys_at,
                sketches: pack_sketches(batch),
            });
        }
        packed
    }
}

/// A call of [`crate::ledger::Ledger::open`].
pub(super) struct Opening {
    pub(super) run: RunId,
    pub(super) step: String,
    pub(super) scope: Scope,
    pub(super) opened_ms: i64,
    pub(super) batches: Packed,
}

impl Writer {
    /// Gives ids to the batches of each opening, and writes into the script what opens them.
    pub(super) async fn open_batches(
        &mut self,
        openings: Vec<Opening>,
        script: &mut Script,
    ) -> Result<Vec<Vec<BatchId>>, LedgerError> {
        let mut opened = Vec::with_capacity(openings.len());
        if openings.len() > 1 {
            script.items.reserve(openings.iter().map(|opening| opening.batches.items.len()).sum());
            script.keys.reserve(openings.iter().map(|opening| opening.batches.keys.len()).sum());
        }
        for Opening { run, step, scope, opened_ms, batches: Packed { batches, items, keys } } in openings {
            let scope = self.scope_id(&scope).await?;
            let step_json = serde_json::to_string(&step).expect("a text is JSON");
            let mut ids = Vec::with_capacity(batches.len());
            // SQLite counts bytes from one.
            let (mut items_at, mut keys_at) = (script.items.len() + 1, script.keys.len() + 1);
            let (mut items_left, mut keys_left) = (items.as_slice(), keys.as_slice());
            for PackedBatch { len, keys_bytes, sketches } in batches {
                let id = self.next_batch;
                self.next_batch += 1;
                let (items, rest) = items_left.split_at(len as usize * ITEM_BYTES);
                let (keys, keys_rest) = keys_left.split_at(keys_bytes);
                (items_left, keys_left) = (rest, keys_rest);
                let head = BATCH.begin().number(id.cast_signed()).number(scope).number(run.0.cast_signed()).text(&step);
                let sum = head.number(opened_ms).number(len.into()).bytes(items).stored();
                let with_keys = OPEN_BATCH.begin().number(id.cast_signed()).bytes(keys);
                let open_sum = with_keys.nothing().stored();
                self.open.insert(id, Open { len, with_keys, states: None, refusals: Vec::new(), closed: false });
                ids.push(BatchId(id));
                let (run, items_bytes) = (run.0, items.len());
                write!(
                    script.opened,
                    "{}[{id},{scope},{run},{step_json},{opened_ms},{len},{items_at},{items_bytes},{sum},{keys_at},{keys_bytes},\
                     {open_sum}]",
                    if script.opened.is_empty() { '[' } else { ',' }
                )
                .expect("a String takes it");
                items_at += items_bytes;
                keys_at += keys_bytes;
                if let Some(sketches) = sketches {
                    let (before, at) = (if script.sketched.is_empty() { '[' } else { ',' }, script.sketches.len() + 1);
                    let sum = SKETCH.begin().number(id.cast_signed()).bytes(&sketches).stored();
                    write!(script.sketched, "{before}[{id},{at},{},{sum}]", sketches.len()).expect("a String takes it");
                    script.sketches.extend_from_slice(&sketches);
                }
            }
            append(&mut script.items, items);
            append(&mut script.keys, keys);
            opened.push(ids);
        }
        if !script.opened.is_empty() {
            script.opened.push(']');
            script.sql.push_str(OPEN);
        }
        if !script.sketched.is_empty() {
            script.sketched.push(']');
            script.sql.push_str(OPEN_SKETCHES);
        }
        Ok(opened)
    }
}

/// Appends bytes; where no room was made for more, they are not copied.
fn append(to: &mut Vec<u8>, bytes: Vec<u8>) {
    if to.capacity() == 0 {
        *to = bytes;
    } else {
        to.extend_from_slice(&bytes);
    }
}
