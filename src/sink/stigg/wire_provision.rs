//! The shape of the answer to a provisioning.

use serde::Deserialize;

use super::wire::{Time, at};
use crate::sink::error::{MESSAGE_CHARS_MAX, bounded};
use crate::sink::{ProvisionedSubscription, Provisioning, SinkError};

/// The answer to a provisioning.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProvisionResult {
    id: Option<String>,
    status: String,
    is_scheduled: Option<bool>,
    checkout_url: Option<String>,
    subscription: Option<ProvisionedOne>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProvisionedOne {
    subscription_id: String,
    status: String,
    start_date: Option<Time>,
    billing_id: Option<String>,
    billing_sync_error: Option<String>,
}

impl From<ProvisionResult> for Result<Provisioning, SinkError> {
    /// A word that is neither may mean anything: it is read back, and never taken for a success.
    fn from(wire: ProvisionResult) -> Self {
        match wire.status.as_str() {
            "SUCCESS" => Ok(Provisioning::Provisioned {
                subscription: wire.subscription.map(|one| {
                    Box::new(ProvisionedSubscription {
                        subscription_id: one.subscription_id,
                        status: one.status,
                        start_date: at(one.start_date),
                        billing_id: one.billing_id,
                        billing_sync_error: one.billing_sync_error.map(|error| bounded(&error, MESSAGE_CHARS_MAX)),
                    })
                }),
                is_scheduled: wire.is_scheduled.unwrap_or(false),
                request_id: wire.id,
            }),
            "PAYMENT_REQUIRED" => {
                Ok(Provisioning::PaymentRequired { checkout_url: wire.checkout_url, request_id: wire.id })
            }
            other => Err(SinkError::unreadable(format!("the status {}", bounded(other, 100)))),
        }
    }
}
