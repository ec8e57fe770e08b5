//! What a run tells whoever watches: reporters only read it.

use std::sync::Arc;
use std::time::Duration;

use super::changes::WholeBecause;
use super::summary::{Progress, StepSummary};
use crate::entity::Entity;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A step begins.
    StepStarted {
        /// Its name.
        name: String,
        /// Which step of the run it is, from 1 on.
        number: usize,
        /// How many steps the run has.
        steps: usize,
        /// What it imports.
        entity: Entity,
        /// Its counts, as they grow.
        progress: Arc<Progress>,
        /// Most write requests a minute; none where the rate is not limited.
        requests_per_minute: Option<f64>,
    },
    /// A step is over.
    StepFinished(Box<StepSummary>),
    /// A step that can read its changes begins to read.
    Reading {
        /// Its name.
        step: String,
        /// From this mark on; or all, and why.
        since: Result<String, WholeBecause>,
    },
    /// Batches of an earlier run were found open; their records are sent again.
    Resuming {
        /// How many batches.
        batches: usize,
        /// How many records in them.
        records: usize,
    },
    /// Records that an earlier run sent with an unknown outcome are no longer in the source.
    GoneFromSource {
        /// The run that sent them.
        run: u64,
        /// How many.
        records: usize,
        /// How many of them the API has; none where that can't be read.
        present: Option<usize>,
    },
    /// Records that an earlier run left open did not come among the changes; the next run reads everything.
    NotAmongChanges {
        /// How many batches.
        batches: usize,
    },
    /// Events that an earlier run sent with an unknown outcome are not sent again: it is too long ago for the API to be
    /// sure to know them.
    Held {
        /// How many.
        records: usize,
    },
    /// The API asked for a pause.
    Throttled {
        /// How long nothing of this kind is sent.
        pause: Duration,
    },
    /// A request is sent again.
    Resending {
        /// Which try comes next, from 2.
        next_try: u32,
        /// The wait before it.
        wait: Duration,
        /// What happened.
        why: String,
    },
    /// The API refused a batch because of some of its records; it is sent again in parts.
    Splitting {
        /// Records in it.
        records: usize,
        /// The API's words.
        why: String,
    },
    /// A batch is left to the next run.
    LeftOpen {
        /// Records in it.
        records: usize,
        /// Why.
        why: String,
    },
}

/// Watches a run.
pub trait Observer: Send + Sync {
    /// Hears of an event. Must not block.
    fn event(&self, event: &Event);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Observer for Unwatched {
    fn event(&self, _: &Event) {}
}
