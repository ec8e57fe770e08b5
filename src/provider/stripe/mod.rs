//! Originals at Stripe: `GET` and `DELETE /v1/subscriptions/{id}`.
//!
//! Cancelling is immediate, without proration and without a last invoice; both are Stripe's defaults and are said all the
//! same. `Idempotency-Key` has no effect on a `DELETE`, so a lost answer is settled by reading, and a 404 of a repeat, too.

#[cfg(test)]
mod tests;
mod wire;

use futures::future::BoxFuture;
use serde_json::value::RawValue;

use self::wire::{InvoiceItem, List, Subscription};
use super::{
    Cancelling, Original, OriginalId, PendingItem, PendingItems, Provider, ProviderError, ProviderName, Reading,
    UnknownCause,
};
use crate::http::HttpSetupError;
use crate::stripe::{ApiError, StripeClient, StripeError, StripeSettings};

/// What is sent with every cancellation.
const CANCEL: [(&str, &str); 2] = [("prorate", "false"), ("invoice_now", "false")];

/// Most of a customer's pending invoice items that are looked at: Stripe's largest page (API reference, 2026).
const PENDING_ITEMS_MAX: &str = "100";

/// Stripe.
#[derive(Debug)]
pub struct StripeProvider {
    client: StripeClient,
}

impl StripeProvider {
    /// Makes one. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`].
    pub fn connect(settings: StripeSettings) -> Result<Self, HttpSetupError> {
        Ok(Self { client: StripeClient::new(settings)? })
    }

    /// Two requests: the subscription, and what waits for its customer's next invoice.
    async fn read_original(&self, id: &OriginalId) -> Result<Reading, ProviderError> {
        let Some(subscription) = self.subscription(id).await? else { return Ok(Reading::NotFound) };
        let mut original = subscription.original(id).map_err(unreadable)?;
        original.pending_items = self.pending_items(&original).await?;
        Ok(Reading::Found(Box::new(original)))
    }

    async fn subscription(&self, id: &OriginalId) -> Result<Option<Subscription>, ProviderError> {
        match self.client.get::<Box<RawValue>>(&["subscriptions", id.as_str()], &[]).await {
            Ok((body, _)) => {
                let subscription = Subscription::read(&body).map_err(unreadable)?;
                self.check_mode(&subscription)?;
                Ok(Some(subscription))
            }
            Err(StripeError::Api(api)) if is_missing(&api) => {
                self.check_missing(&api)?;
                Ok(None)
            }
            // Only the provider answers in JSON; a read that meets a page for people is at the wrong address.
            Err(StripeError::Unreadable { reason }) => Err(ProviderError::NotTheProvider { answer: reason }),
            Err(error) => Err(of(error)),
        }
    }

    async fn pending_items(&self, original: &Original) -> Result<PendingItems, ProviderError> {
        let query = [("customer", original.customer_id.as_str()), ("pending", "true"), ("limit", PENDING_ITEMS_MAX)];
        match self.client.get::<List<InvoiceItem>>(&["invoiceitems"], &query).await {
            Ok((list, _)) => {
                let of_this = |item: &InvoiceItem| item.subscription() == Some(original.id.as_str());
                let items = list.data.into_iter().filter(of_this).map(PendingItem::from).collect();
                Ok(PendingItems::Read { items, more: list.has_more })
            }
            // They are for the report: a restricted key may do without, and a customer may be gone.
            Err(StripeError::Api(api)) if matches!(api.status, 400 | 403 | 404) => Ok(PendingItems::Unread),
            Err(error) => Err(of(error)),
        }
    }

    async fn cancel_original(&self, id: &OriginalId) -> Result<Cancelling, ProviderError> {
        match self.client.delete::<Box<RawValue>>(&["subscriptions", id.as_str()], &CANCEL).await {
            Ok((body, request_id)) => {
                let subscription = Subscription::read(&body).map_err(unreadable)?;
                let original = subscription.original(id).map_err(unreadable)?;
                if original.status.has_ended() {
                    return Ok(Cancelling::Cancelled { request_id });
                }
                Err(unreadable(format!("it says that the subscription is {}", original.status.as_str())))
            }
            // Also of one that this program cancelled a moment ago, whose answer was lost.
            Err(StripeError::Api(api)) if is_missing(&api) => {
                self.check_missing(&api)?;
                match self.subscription(id).await? {
                    None => Ok(Cancelling::NotFound),
                    Some(subscription) => match subscription.original(id).map_err(unreadable)? {
                        original if original.status.has_ended() => Ok(Cancelling::AlreadyCancelled),
                        original => Err(unreadable(format!(
                            "it knows no such subscription, and then that it is {}",
                            original.status.as_str()
                        ))),
                    },
                }
            }
            Err(error) => Err(of(error)),
        }
    }

    fn check_mode(&self, subscription: &Subscription) -> Result<(), ProviderError> {
        let live_key = self.client.is_live();
        if subscription.livemode == live_key { Ok(()) } else { Err(ProviderError::OtherMode { live_key }) }
    }

    /// Stripe says in words that what is missing is there in the other mode.
    fn check_missing(&self, api: &ApiError) -> Result<(), ProviderError> {
        let live_key = self.client.is_live();
        let other = if live_key { "exists in test mode" } else { "exists in live mode" };
        if api.message.contains(other) { Err(ProviderError::OtherMode { live_key }) } else { Ok(()) }
    }
}

impl Provider for StripeProvider {
    fn name(&self) -> ProviderName {
        ProviderName::Stripe
    }

    fn read<'a>(&'a self, id: &'a OriginalId) -> BoxFuture<'a, Result<Reading, ProviderError>> {
        Box::pin(self.read_original(id))
    }

    fn cancel<'a>(&'a self, id: &'a OriginalId) -> BoxFuture<'a, Result<Cancelling, ProviderError>> {
        Box::pin(self.cancel_original(id))
    }
}

/// Whether Stripe says that there is no such object. Stand-ins leave the code out.
fn is_missing(api: &ApiError) -> bool {
    api.status == 404 && api.code.as_deref().is_none_or(|code| code == "resource_missing")
}

fn unreadable(reason: String) -> ProviderError {
    ProviderError::Unknown { cause: UnknownCause::Unreadable { reason }, retry_after: None, is_final: false }
}

/// What an error of Stripe means for an original.
fn of(error: StripeError) -> ProviderError {
    match error {
        StripeError::NotSent(source) => ProviderError::NotSent { source },
        StripeError::Lost(source) => {
            ProviderError::Unknown { cause: UnknownCause::Lost(source), retry_after: None, is_final: false }
        }
        StripeError::Unreadable { reason } => unreadable(reason),
        StripeError::NotStripe { answer } => ProviderError::NotTheProvider { answer },
        StripeError::Api(api) => of_api(*api),
    }
}

fn of_api(api: ApiError) -> ProviderError {
    let ApiError { status, code, message, request_id, retry_after, should_retry } = api;
    match (status, should_retry) {
        (401, _) => ProviderError::Unauthorized { message },
        (403, _) => ProviderError::Forbidden { message },
        // A conflict is with another call for the same subscription, perhaps an earlier one of ours: look.
        (409 | 500.., should_retry) => ProviderError::Unknown {
            cause: UnknownCause::Status { status, message },
            retry_after,
            is_final: should_retry == Some(false),
        },
        (429, None | Some(true)) | (_, Some(true)) => ProviderError::Throttled { retry_after, message },
        (_, None | Some(false)) => ProviderError::Refused { status, code, message, request_id },
    }
}
