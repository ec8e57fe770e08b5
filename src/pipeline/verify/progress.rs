//! How far verifying is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::pipeline::summary::{Count, Progress};

/// How far verifying is. Written by it, read at any time by whoever shows it.
#[derive(Debug, Default)]
pub struct VerifyProgress {
    step: Mutex<Option<Arc<VerifyingStep>>>,
}

/// How far it is with one step.
#[derive(Debug)]
pub struct VerifyingStep {
    /// The step's name.
    pub name: String,
    /// When it began.
    pub began: Instant,
    /// Records that were read back, or could not be.
    pub read: Count,
    /// Those of them that differ or are missing.
    pub unequal: Count,
    /// What came out of the source.
    pub(super) source: Arc<Progress>,
    /// Records of the sample; 0 where all are read back, and before it was drawn.
    pub(super) chosen: Count,
    /// Whether a sample is being drawn.
    pub(super) is_drawing: AtomicBool,
}

impl VerifyProgress {
    /// The step that is being verified; none before the first.
    pub fn step(&self) -> Option<Arc<VerifyingStep>> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn begin(&self, name: &str, is_sampled: bool) -> Arc<VerifyingStep> {
        let step = Arc::new(VerifyingStep {
            name: name.to_owned(),
            began: Instant::now(),
            read: Count::default(),
            unequal: Count::default(),
            source: Arc::default(),
            chosen: Count::default(),
            is_drawing: AtomicBool::new(is_sampled),
        });
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Some(step.clone());
        step
    }
}

impl VerifyingStep {
    /// Records that came out of the source until now.
    pub fn records(&self) -> u64 {
        self.source.created.get() + self.source.changed.get()
    }

    /// Whether a sample is being drawn, so that nothing is read back yet.
    pub fn is_drawing(&self) -> bool {
        self.is_drawing.load(Ordering::Relaxed)
    }

    /// Records that are to be read back, as far as they are known, and the share of the source that they came out of; no
    /// share where its length is not known.
    pub fn to_read(&self) -> (u64, Option<f64>) {
        match self.chosen.get() {
            0 => (self.records(), self.source.share_read()),
            chosen => (chosen, Some(1.0)),
        }
    }

    pub(super) fn drawn(&self, records: u64) {
        self.chosen.set(records);
        self.is_drawing.store(false, Ordering::Relaxed);
    }
}
