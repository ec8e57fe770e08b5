//! Provisioning paid subscriptions: one in each request.

use std::fmt;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::entity_budget::ProvisionPermit;
use super::{Sink, SinkError};

/// A sink that provisions, too.
///
/// It sends once, as [`Sink`] does. What the API does with a `subscriptionId` that it knows is not documented, so whoever
/// calls this reads first, and after an unknown outcome reads back before anything else.
pub trait Provisioner: Sink {
    /// Provisions one subscription ([`super::Operation::ProvisionSubscription`]).
    ///
    /// # Errors
    ///
    /// [`SinkError`]. After [`SinkError::Unknown`] it may be provisioned.
    fn provision<'a>(
        &'a self,
        request: &'a ProvisionRequest,
        permit: ProvisionPermit,
    ) -> BoxFuture<'a, Result<Provisioning, SinkError>>;
}

/// A subscription to provision.
#[derive(Clone)]
pub struct ProvisionRequest {
    /// Its id, by which it is read back.
    pub subscription_id: String,
    /// Its customer.
    pub customer_id: String,
    /// Its resource.
    pub resource_id: Option<String>,
    /// The whole `ProvisionSubscriptionInput`, these three included, as JSON.
    pub input_json: String,
}

impl fmt::Debug for ProvisionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The input is a customer's data: a stray `{:?}` must not put it into a log.
        write!(f, "ProvisionRequest({})", self.subscription_id)
    }
}

/// What became of a request that was answered. Source of the members: `ProvisionSubscriptionStatus` of the GraphQL schema,
/// client release 6.25.0, 2026.
#[derive(Debug, Clone, PartialEq)]
pub enum Provisioning {
    /// `SUCCESS`. That it is active, and at the billing provider, is for reading back to show.
    Provisioned {
        /// The subscription, as far as the answer has it.
        subscription: Option<Box<ProvisionedSubscription>>,
        /// Whether it starts later.
        is_scheduled: bool,
        /// The API's id of this result.
        request_id: Option<String>,
    },
    /// `PAYMENT_REQUIRED`: never a success, nothing is active.
    PaymentRequired {
        /// Where the customer may pay. Whoever has the address can: it is for that customer alone.
        checkout_url: Option<String>,
        /// The API's id of this result.
        request_id: Option<String>,
    },
}

/// A subscription as the answer to its provisioning has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionedSubscription {
    /// Its id.
    pub subscription_id: String,
    /// `ACTIVE`, `CANCELED`, `EXPIRED`, `IN_TRIAL`, `NOT_STARTED`, `PAYMENT_PENDING`.
    pub status: String,
    /// Start.
    pub start_date: Option<Timestamp>,
    /// Its id at the billing provider, where it is there already.
    pub billing_id: Option<String>,
    /// Why the billing provider refused it.
    pub billing_sync_error: Option<String>,
}
