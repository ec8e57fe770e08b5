//! Originals that people cancelled: the list comes back, and the ledger closes them.

use std::sync::Arc;

use super::audit::{Audit, AuditOut, Note};
use crate::clock::Clock;
use crate::ledger::{CutoverLedger, LedgerError, OriginalRef, Replacement, RunStart, Stage};
use crate::provider::file::CancelledList;

/// What became of a list that came back.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Returned {
    /// Closed now.
    pub closed: u64,
    /// Closed before.
    pub closed_before: u64,
    /// Rows without a moment: still to be cancelled.
    pub open: u64,
    /// Originals that nobody was asked to cancel: they stay as they are. In the list's order.
    pub not_asked: Vec<String>,
}

/// Why a list could not be taken. What was closed before stays closed; the same list may come again.
#[derive(Debug, thiserror::Error)]
pub enum ReturnedError {
    /// The ledger can't be read or written.
    #[error("the ledger can't be used")]
    Ledger(#[from] LedgerError),
    /// The audit file can't be written.
    #[error("the audit file can't be written")]
    Audit(#[source] std::io::Error),
}

/// Closes the originals of `list` that people were asked to cancel.
///
/// # Errors
///
/// [`ReturnedError`].
pub async fn take_returned(
    list: &CancelledList,
    ledger: Arc<dyn CutoverLedger>,
    target: &str,
    audit: Box<dyn AuditOut>,
    start: RunStart,
    clock: &dyn Clock,
) -> Result<Returned, ReturnedError> {
    let run = ledger.begin_run(start).await?;
    let audit = Audit::new(audit, run.0);
    let mut returned = Returned { open: list.open, ..Returned::default() };
    for cancelled in &list.cancelled {
        let original = OriginalRef { provider: cancelled.provider.as_str().to_owned(), id: cancelled.id.to_string() };
        match ledger.replacement_of(target, &original).await? {
            Some(replacement) if replacement.stage == Stage::Cancelling => {
                let next = Replacement { stage: Stage::Cancelled, changed_at: clock.now(), ..replacement };
                let note = Note::of(format!("a person cancelled the original at {}", cancelled.at));
                audit.stage(next.changed_at, &next, &note).map_err(ReturnedError::Audit)?;
                ledger.write_step(target, &next).await?;
                returned.closed += 1;
            }
            Some(replacement) if replacement.stage == Stage::Cancelled => returned.closed_before += 1,
            Some(_) | None => returned.not_asked.push(original.id),
        }
    }
    Ok(returned)
}
