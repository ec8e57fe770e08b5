//! The old billing system, for the cutover of paid plans: what a subscription is there, and its end.
//!
//! A [`Provider`] reads one original and cancels one original, and says what is true afterwards. When to do which, and
//! how often, is the pipeline's work; it decides from the [`ProviderError`] variant alone.
//!
//! [`stripe::StripeProvider`] is Stripe, [`MemoryProvider`] the twin for tests, with faults on demand. Where this program
//! can't call, [`file`](mod@file) lists the originals for people, and takes the list back.

pub mod conformance;
mod error;
pub mod file;
mod memory;
mod name;
mod original;
pub mod stripe;

use futures::future::BoxFuture;

pub use error::{Disposition, ProviderError, Stop, UnknownCause};
pub use memory::{Call, Fault, MemoryProvider};
pub use name::{NotAProvider, NotAnId, OriginalId, ProviderName};
pub use original::{Interval, Original, OriginalItem, OriginalStatus, PendingItem, PendingItems};

/// The old billing system.
///
/// Each call is sent once: pausing and repeating are the caller's work. A provider owns its pace, so a call waits until
/// it may leave, and a pause that the server asked for holds back all of them. Calls overlap; no order is kept. Dropping
/// the future of [`Self::cancel`] leaves the outcome unknown.
///
/// # What cancelling promises
///
/// The subscription ends at once, without proration, refund or a last invoice. An original that is cancelled already
/// stays as it is, and another's call never ends it again.
pub trait Provider: Send + Sync {
    /// Which system it is.
    fn name(&self) -> ProviderName;

    /// The subscription as it is there now; one that was cancelled is still found.
    ///
    /// # Errors
    ///
    /// [`ProviderError`]. A read changes nothing, so after any of them it may simply be asked again.
    fn read<'a>(&'a self, id: &'a OriginalId) -> BoxFuture<'a, Result<Reading, ProviderError>>;

    /// Ends the subscription at once. Only for an original whose replacement was confirmed: it can't be revived.
    ///
    /// # Errors
    ///
    /// [`ProviderError`], whose variants say whether it may have ended. After [`ProviderError::Unknown`] only
    /// [`Self::read`] knows.
    fn cancel<'a>(&'a self, id: &'a OriginalId) -> BoxFuture<'a, Result<Cancelling, ProviderError>>;
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It is there, perhaps cancelled.
    Found(Box<Original>),
    /// The provider knows no such subscription.
    NotFound,
}

/// What came of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelling {
    /// This call ended it.
    Cancelled {
        /// The provider's id of the request, for its support and the audit file, where it gave one.
        request_id: Option<String>,
    },
    /// It had ended before; this call changed nothing.
    AlreadyCancelled,
    /// The provider knows no such subscription.
    NotFound,
}
