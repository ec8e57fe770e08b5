//! What a test can make go wrong.

use std::time::Duration;

use crate::sink::ErrorCode;
#[cfg(doc)]
use crate::sink::TaskState;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It does not leave.
    NotSent,
    /// It is refused for now.
    Throttled(Option<Duration>),
    /// It is lost on the way: nothing is applied, and nobody knows.
    LoseRequest,
    /// It is applied, and the answer is lost.
    LoseAnswer,
    /// It is applied, and no answer ever comes: the future never ends.
    Hold,
    /// It is refused as a whole with this code.
    Refuse(ErrorCode),
    /// The first half of its records is applied, and the whole is answered with this code.
    ApplyHalf(ErrorCode),
    /// The answer is lost at once, and it is carried out so much later; where records are imported, at once.
    ApplyLate(Duration),
}

/// How an import of subscriptions is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    /// It is applied at once, before the answer.
    None,
    /// A task of so many looks (at it, or at the subscriptions) does it.
    Listed {
        /// Looks until it is done.
        looks: u32,
    },
    /// As `Listed`, and the task can't be read: [`TaskState::NotListed`].
    NotListed {
        /// Looks until it is done.
        looks: u32,
    },
    /// As `Listed`, and the task can't be read: [`TaskState::Unreadable`].
    Unreadable {
        /// Looks until it is done.
        looks: u32,
    },
}
