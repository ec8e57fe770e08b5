//! What the embedded environment knows of each record. The same types make a snapshot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sandbox::wire::enums::{BillingPeriod, PaymentCollectionMethod, PricingType, SubscriptionStatus};
use crate::sandbox::wire::scalars::{DateTime, Json};
use crate::sandbox::wire::terms::{
    BillableFeatureInput, ChargeInput, SubscriptionAddonInput, SubscriptionEntitlementInputV2,
};

/// A customer, without its id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CustomerContent {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Id at the billing provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_id: Option<String>,
    /// Payment method at the billing provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_method_id: Option<String>,
    /// Id in Salesforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salesforce_id: Option<String>,
    /// Metadata.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Whether it is archived: reads don't see it any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
}

/// A subscription, without its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionContent {
    /// Its customer.
    pub customer_id: String,
    /// Its plan.
    pub plan_id: String,
    /// How the plan is sold.
    pub pricing_type: PricingType,
    /// Its resource, for products with several subscriptions per customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Its start, if one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<DateTime>,
    /// Its end, if one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<DateTime>,
    /// How often it is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_period: Option<BillingPeriod>,
    /// Quantity of its one chargeable feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_quantity: Option<f64>,
    /// Quantities of its chargeable features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub billable_features: Vec<BillableFeatureInput>,
    /// Quantities of its charges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<ChargeInput>,
    /// Its add-ons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<SubscriptionAddonInput>,
    /// Its own entitlements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<SubscriptionEntitlementInputV2>,
    /// Id at the billing provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_id: Option<String>,
    /// Id in Salesforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salesforce_id: Option<String>,
    /// Metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How its payments are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_collection_method: Option<PaymentCollectionMethod>,
    /// The whole input of a provisioned subscription: what was agreed beyond the fields above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<Json>,
    /// Whether the customer was billed at once for a period that began before: the start was in the past and
    /// `isBackdated` was not true (contract 11).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub billed_again: bool,
    /// Why it was cancelled, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancelled>,
    /// End of its trial, if it has one; a trial without an end lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// A cancellation. Its time is the server's and not part of it, unless it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cancelled {
    /// Why.
    pub reason: crate::sandbox::wire::enums::SubscriptionCancelReason,
    /// When it takes effect, if that was asked for; otherwise at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime>,
}

/// A trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trial {
    /// Its end, if one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<DateTime>,
}

impl SubscriptionContent {
    /// Its state at `now_ms`, if it was created at `created_ms`.
    pub fn status(&self, created_ms: i64, now_ms: i64) -> SubscriptionStatus {
        let past = |time: Option<DateTime>| time.is_some_and(|time| time.0 <= now_ms);
        if self.cancelled.is_some_and(|cancelled| cancelled.at.is_none() || past(cancelled.at)) {
            SubscriptionStatus::Canceled
        } else if past(self.end_date) {
            SubscriptionStatus::Expired
        } else if self.start_date.map_or(created_ms, |start| start.0) > now_ms {
            SubscriptionStatus::NotStarted
        } else if self.trial.is_some_and(|trial| !past(trial.end_date)) {
            SubscriptionStatus::InTrial
        } else {
            SubscriptionStatus::Active
        }
    }

    /// Whether it grants anything at `now_ms`.
    pub fn is_active(&self, created_ms: i64, now_ms: i64) -> bool {
        matches!(self.status(created_ms, now_ms), SubscriptionStatus::Active | SubscriptionStatus::InTrial)
    }
}
