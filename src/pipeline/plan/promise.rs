//! Names what a plan would send, so that a later run can tell whether it still would.

use serde::{Deserialize, Serialize};

use super::PlannedStep;
use crate::batch::Batch;

/// What a step of a plan would send. Two that are equal send the same records with the same content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The step.
    pub name: String,
    /// What it imports.
    pub entity: String,
    /// Records that would be sent.
    pub records: u64,
    /// Of these: never delivered before.
    pub create: u64,
    /// Of these: delivered before with other content.
    pub change: u64,
    /// Names the records and their content, whatever their order.
    pub content: String,
    /// Names what Stigg had of them, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
}

impl Promise {
    /// That of a planned step.
    pub fn of(step: &PlannedStep) -> Self {
        Self {
            name: step.summary.name.clone(),
            entity: step.summary.entity.to_owned(),
            records: step.summary.created + step.summary.changed,
            create: step.summary.created,
            change: step.summary.changed,
            content: format!("{:032x}", step.content.0),
            live: step
                .live
                .as_ref()
                .map(|live| format!("{:016x}-{}-{}-{}", live.sum, live.absent, live.different, live.equal)),
        }
    }
}

/// A sum over records that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content(pub(super) u128);

impl Content {
    pub(super) fn add(&mut self, batch: &Batch) {
        for item in &batch.items {
            let mut bytes = [0; 20];
            bytes[..12].copy_from_slice(&item.hash.to_bytes());
            bytes[12..].copy_from_slice(&item.fingerprint.0.to_be_bytes());
            self.0 = self.0.wrapping_add(xxhash_rust::xxh3::xxh3_128(&bytes));
        }
    }
}
