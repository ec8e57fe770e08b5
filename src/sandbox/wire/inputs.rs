//! What the mutations and single-record queries take: the API's input types, field by field.

use async_graphql::{InputObject, MaybeUndefined};

use super::enums::{SubscriptionCancellationAction, SubscriptionCancellationTime, UsageUpdateBehavior};
use super::scalars::{DateTime, Json, Uuid};
use super::terms::{BillableFeatureInput, ChargeInput, SubscriptionAddonInput};
use super::terms::{SubscriptionEntitlementInput, SubscriptionEntitlementInputV2};
use crate::sandbox::wire::enums::BillingPeriod;

/// One customer. A field that is left out keeps what is stored; `null` clears it.
#[derive(InputObject, Debug, Default)]
pub(crate) struct ImportCustomerInput {
    pub additional_meta_data: MaybeUndefined<Json>,
    pub billing_id: MaybeUndefined<String>,
    pub customer_id: Option<String>,
    pub email: MaybeUndefined<String>,
    pub environment_id: Option<Uuid>,
    pub name: MaybeUndefined<String>,
    pub payment_method_id: MaybeUndefined<String>,
    pub ref_id: Option<String>,
    pub salesforce_id: MaybeUndefined<String>,
    pub updated_at: Option<DateTime>,
}

#[derive(InputObject, Debug)]
pub(crate) struct ImportCustomerBulkInput {
    pub customers: Vec<ImportCustomerInput>,
    pub environment_id: Option<Uuid>,
    pub integration_id: Option<String>,
}

#[derive(InputObject, Debug, Clone)]
pub(crate) struct ImportSubscriptionInput {
    pub additional_meta_data: Option<Json>,
    pub addons: Option<Vec<SubscriptionAddonInput>>,
    pub billable_features: Option<Vec<BillableFeatureInput>>,
    pub billing_id: Option<String>,
    pub billing_period: Option<BillingPeriod>,
    pub charges: Option<Vec<ChargeInput>>,
    pub customer_id: String,
    pub end_date: Option<DateTime>,
    pub entitlements: Option<Vec<SubscriptionEntitlementInputV2>>,
    pub plan_id: String,
    pub resource_id: Option<String>,
    pub salesforce_id: Option<String>,
    pub start_date: Option<DateTime>,
    pub subscription_entitlements: Option<Vec<SubscriptionEntitlementInput>>,
    pub subscription_id: Option<String>,
    pub unit_quantity: Option<f64>,
    pub updated_at: Option<DateTime>,
}

#[derive(InputObject, Debug)]
pub(crate) struct ImportSubscriptionsBulkInput {
    pub environment_id: Option<Uuid>,
    pub integration_id: Option<String>,
    pub subscriptions: Vec<ImportSubscriptionInput>,
}

#[derive(InputObject, Debug)]
pub(crate) struct ReportUsageBaseInput {
    pub created_at: Option<DateTime>,
    pub customer_id: String,
    pub dimensions: Option<Json>,
    pub feature_id: String,
    pub idempotency_key: Option<String>,
    pub resource_id: Option<String>,
    pub update_behavior: Option<UsageUpdateBehavior>,
    pub value: f64,
}

#[derive(InputObject, Debug)]
pub(crate) struct ReportUsageBulkInput {
    pub environment_id: Option<Uuid>,
    pub usages: Vec<ReportUsageBaseInput>,
}

#[derive(InputObject, Debug)]
pub(crate) struct ReportUsageInput {
    pub created_at: Option<DateTime>,
    pub customer_id: String,
    pub dimensions: Option<Json>,
    pub environment_id: Option<Uuid>,
    pub feature_id: String,
    pub idempotency_key: Option<String>,
    pub resource_id: Option<String>,
    pub update_behavior: Option<UsageUpdateBehavior>,
    pub value: f64,
}

#[derive(InputObject, Debug)]
pub(crate) struct UsageEventReportInput {
    pub customer_id: String,
    pub dimensions: Option<Json>,
    pub event_name: String,
    pub idempotency_key: String,
    pub resource_id: Option<String>,
    pub timestamp: Option<DateTime>,
}

#[derive(InputObject, Debug)]
pub(crate) struct UsageEventsReportInput {
    pub environment_id: Option<Uuid>,
    pub usage_events: Vec<UsageEventReportInput>,
}

#[derive(InputObject, Debug)]
pub(crate) struct SubscriptionCancellationInput {
    pub await_subscription_cancellation: Option<bool>,
    pub end_date: Option<DateTime>,
    pub environment_id: Option<Uuid>,
    pub prorate: Option<bool>,
    pub subscription_cancellation_action: Option<SubscriptionCancellationAction>,
    pub subscription_cancellation_time: Option<SubscriptionCancellationTime>,
    pub subscription_ref_id: String,
}

#[derive(InputObject, Debug)]
pub(crate) struct ArchiveCustomerInput {
    pub customer_id: String,
    pub environment_id: Option<Uuid>,
}

#[derive(InputObject, Debug)]
pub(crate) struct GetCustomerByRefIdInput {
    pub customer_id: String,
    pub environment_id: Option<Uuid>,
}

#[derive(InputObject, Debug)]
pub(crate) struct GetSubscriptionInput {
    pub environment_id: Option<Uuid>,
    pub subscription_id: String,
}

#[derive(InputObject, Debug)]
pub(crate) struct GetActiveSubscriptionsInput {
    pub customer_id: String,
    pub environment_id: Option<Uuid>,
    pub resource_id: Option<String>,
    pub resource_ids: Option<Vec<String>>,
}

#[derive(InputObject, Debug)]
pub(crate) struct FetchEntitlementsQuery {
    pub customer_id: String,
    pub environment_id: Option<String>,
    pub resource_id: Option<String>,
}

#[derive(InputObject, Debug)]
pub(crate) struct FetchCustomCurrenciesInput {
    pub environment_id: Option<Uuid>,
    pub status: Option<Vec<super::enums::CustomCurrencyStatus>>,
}
