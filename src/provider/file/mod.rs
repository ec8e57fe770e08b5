//! Originals that people cancel: a list of them goes out as CSV, and comes back with the moments of their ends.
//!
//! The list is that of one run at a time: [`Originals::create`] never replaces a file, as somebody may have filled it in.
//! A row that comes back without `cancelled_at` is still open.

mod call;
mod cancelled;
mod originals;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;

use super::{Cancelling, OriginalId, Provider, ProviderError, ProviderName, Reading};

pub use call::CancelCall;
pub use cancelled::{Cancelled, CancelledFault, CancelledList, CancelledProblem, read_cancelled};
pub use originals::{COLUMNS, OriginalRow, Originals, OriginalsError};

/// A provider that this program does not call: every call is [`ProviderError::ByHand`].
#[derive(Debug, Clone, Copy)]
pub struct ByHandProvider(pub ProviderName);

impl Provider for ByHandProvider {
    fn name(&self) -> ProviderName {
        self.0
    }

    fn read<'a>(&'a self, _id: &'a OriginalId) -> BoxFuture<'a, Result<Reading, ProviderError>> {
        Box::pin(std::future::ready(Err(ProviderError::ByHand)))
    }

    fn cancel<'a>(&'a self, _id: &'a OriginalId) -> BoxFuture<'a, Result<Cancelling, ProviderError>> {
        Box::pin(std::future::ready(Err(ProviderError::ByHand)))
    }
}
