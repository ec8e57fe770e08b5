//! Which of a step's records a run may send.

use std::sync::Arc;

use crate::ledger::Index;
use crate::record::{Fingerprint, KeyHash};

/// Which of the records that are new or changed are sent.
#[derive(Debug, Clone, Default)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Only those with these keys: a canary. All others count as filtered, rejected rows among them, and nothing is
    /// concluded from what did not come.
    Only(Arc<Index>),
    /// Those with these keys and this content: a plan that somebody has seen. Another record that would have to be sent
    /// ends the run with [`super::Stopped::Moved`] before it leaves.
    Just(Arc<Index>),
}

impl Selection {
    /// Whether a record is left out.
    pub(super) fn leaves_out(&self, key: KeyHash) -> bool {
        match self {
            Self::All | Self::Just(_) => false,
            Self::Only(chosen) => !chosen.holds(key),
        }
    }

    /// Whether a record that would have to be sent was not foreseen.
    pub(super) fn forbids(&self, key: KeyHash, fingerprint: Fingerprint) -> bool {
        match self {
            Self::All | Self::Only(_) => false,
            Self::Just(planned) => planned.delivered(key) != Some(fingerprint),
        }
    }

    /// Whether the run leaves most of the source out.
    pub(super) fn is_canary(&self) -> bool {
        match self {
            Self::All | Self::Just(_) => false,
            Self::Only(_) => true,
        }
    }
}
