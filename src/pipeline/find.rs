//! Looks one record up in a step's source: its row, what the mapping makes of it, or why it makes nothing.

use std::path::Path;

use serde_json::Value;

use super::step::{OpenStepError, StepSpec, open_rows};
use super::with_causes;
use crate::clock::Clock;
use crate::mapping::{Mapper, SpillSettings};
use crate::record::{Fingerprint, KeyHash, Origin, RecordBatch, Reject};

/// Most records and rejects that are kept.
pub const FOUND_MAX: usize = 20;

/// What a source has of a record.
#[derive(Debug)]
pub enum Found {
    /// The mapping makes it.
    Record {
        /// The rows it comes from.
        origin: Origin,
        /// What would be sent.
        request: Value,
        /// Names it.
        fingerprint: Fingerprint,
    },
    /// Its row does not fit.
    Rejected(Reject),
}

/// Why a source was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It can't be opened, or the mapping doesn't fit it.
    #[error(transparent)]
    Open(#[from] OpenStepError),
    /// It broke part-way, or the mapping could not go on.
    #[error("step `{step}` was not read to its end: {why}")]
    Broke {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
}

/// Reads a step's source to its end. A record is found by its key, a reject by rows that have every one of `words` in a
/// cell. At most [`FOUND_MAX`] are kept.
///
/// # Errors
///
/// The source can't be read.
pub async fn find(
    step: &StepSpec,
    key: KeyHash,
    words: &[String],
    spill_dir: &Path,
    clock: &dyn Clock,
) -> Result<Vec<Found>, FindError> {
    let (mut rows, plan) = open_rows(step, clock).await?;
    let broke = |why: String| FindError::Broke { step: step.name.clone(), why };
    let mut mapper = Mapper::new(plan, SpillSettings::in_dir(spill_dir));
    let mut out = RecordBatch::default();
    let mut found = Vec::new();
    while let Some(batch) = rows.next().await.map_err(|error| broke(with_causes(&error)))? {
        out.clear();
        mapper.apply(&batch, &mut out).map_err(|error| broke(with_causes(&error)))?;
        take(&out, key, words, &mut found);
    }
    let mut more = true;
    while more {
        out.clear();
        more = mapper.finish(&mut out).map_err(|error| broke(with_causes(&error)))?;
        take(&out, key, words, &mut found);
    }
    Ok(found)
}

fn take(out: &RecordBatch, key: KeyHash, words: &[String], found: &mut Vec<Found>) {
    for record in out.records.iter().filter(|record| record.hash == key) {
        if found.len() < FOUND_MAX
            && let Ok(request) = serde_json::from_slice(out.json_of(record))
        {
            found.push(Found::Record { origin: out.origin_of(record), request, fingerprint: record.fingerprint });
        }
    }
    let has_words =
        |row: &Vec<Option<String>>| words.iter().all(|word| row.iter().flatten().any(|cell| cell.trim() == word));
    for reject in out.rejects.iter().filter(|reject| reject.rows.iter().any(has_words)) {
        if found.len() < FOUND_MAX {
            found.push(Found::Rejected(reject.clone()));
        }
    }
}
