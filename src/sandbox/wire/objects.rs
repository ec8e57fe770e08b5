//! What the API answers: its object types, with the fields that an import or its proof reads.

use async_graphql::{OutputType, SimpleObject, Union};

use super::enums::{
    BillingModel, BillingPeriod, CreditCadence, EntitlementResetPeriod, EntitlementsStateAccessDeniedReason,
    EnvironmentType, FeatureStatus, FeatureType, MeterType, PackageStatus, PaymentCollection, PaymentCollectionMethod,
    PricingType, ProductStatus, ProvisionSubscriptionStatus, SubscriptionCancelReason, SubscriptionStatus, SyncStatus,
    TaskStatus, TaskType, VendorIdentifier,
};
use super::scalars::{ConnectionCursor, DateTime, Json, Uuid};

#[derive(SimpleObject)]
pub(crate) struct PageInfo {
    pub end_cursor: Option<ConnectionCursor>,
    pub has_next_page: Option<bool>,
    pub has_previous_page: Option<bool>,
    pub start_cursor: Option<ConnectionCursor>,
}

#[derive(SimpleObject)]
#[graphql(
    concrete(name = "CustomerEdge", params(Customer)),
    concrete(name = "SubscriptionQueryEdge", params(SubscriptionQuery)),
    concrete(name = "ImportIntegrationTaskEdge", params(ImportIntegrationTask)),
    concrete(name = "PlanEdge", params(Plan)),
    concrete(name = "ProductEdge", params(Product)),
    concrete(name = "FeatureEdge", params(Feature)),
    concrete(name = "AddonEdge", params(Addon)),
    concrete(name = "EnvironmentEdge", params(EnvironmentObject))
)]
pub(crate) struct Edge<T: OutputType> {
    pub cursor: ConnectionCursor,
    pub node: T,
}

#[derive(SimpleObject)]
#[graphql(
    concrete(name = "CustomerConnection", params(Customer)),
    concrete(name = "SubscriptionQueryConnection", params(SubscriptionQuery)),
    concrete(name = "PlanConnection", params(Plan)),
    concrete(name = "ProductConnection", params(Product)),
    concrete(name = "FeatureConnection", params(Feature)),
    concrete(name = "AddonConnection", params(Addon))
)]
pub(crate) struct Connection<T: OutputType>
where
    Edge<T>: OutputType,
{
    pub page_info: PageInfo,
    pub edges: Vec<Edge<T>>,
    pub total_count: i32,
}

#[derive(SimpleObject)]
pub(crate) struct ImportIntegrationTaskConnection {
    pub page_info: PageInfo,
    pub edges: Vec<Edge<ImportIntegrationTask>>,
}

#[derive(SimpleObject)]
pub(crate) struct EnvironmentConnection {
    pub page_info: PageInfo,
    pub edges: Vec<Edge<EnvironmentObject>>,
}

#[derive(SimpleObject)]
#[graphql(name = "Environment")]
pub(crate) struct EnvironmentObject {
    pub display_name: String,
    pub id: Uuid,
    pub is_sandbox: bool,
    pub slug: String,
    pub r#type: EnvironmentType,
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub(crate) struct Customer {
    pub additional_meta_data: Option<Json>,
    pub billing_id: Option<String>,
    pub created_at: Option<DateTime>,
    pub customer_id: String,
    pub default_payment_method_id: Option<String>,
    pub deleted_at: Option<DateTime>,
    pub email: Option<String>,
    pub environment_id: Uuid,
    pub has_payment_method: bool,
    pub id: Uuid,
    pub name: Option<String>,
    pub ref_id: String,
    pub salesforce_id: Option<String>,
    pub updated_at: DateTime,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Product {
    pub created_at: DateTime,
    pub display_name: Option<String>,
    pub environment_id: Uuid,
    pub id: Uuid,
    pub is_default_product: bool,
    pub multiple_subscriptions: bool,
    pub ref_id: String,
    pub status: ProductStatus,
    pub updated_at: DateTime,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Plan {
    pub created_at: Option<DateTime>,
    pub display_name: String,
    pub environment_id: Uuid,
    pub id: Uuid,
    pub is_latest: Option<bool>,
    pub pricing_type: Option<PricingType>,
    pub product: Product,
    pub product_id: Option<String>,
    pub ref_id: String,
    pub status: PackageStatus,
    pub r#type: String,
    pub updated_at: Option<DateTime>,
    pub version_number: i32,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Addon {
    pub created_at: Option<DateTime>,
    pub display_name: String,
    pub environment_id: Uuid,
    pub id: Uuid,
    pub is_latest: Option<bool>,
    pub product: Option<Product>,
    pub product_id: Option<String>,
    pub ref_id: String,
    pub status: PackageStatus,
    pub r#type: String,
    pub updated_at: Option<DateTime>,
    pub version_number: i32,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Feature {
    pub created_at: Option<DateTime>,
    pub display_name: String,
    pub environment_id: Uuid,
    pub feature_status: FeatureStatus,
    pub feature_type: FeatureType,
    pub has_meter: Option<bool>,
    pub id: Uuid,
    pub meter_type: Option<MeterType>,
    pub ref_id: String,
    pub updated_at: DateTime,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct CustomCurrency {
    pub archived_at: Option<DateTime>,
    pub created_at: DateTime,
    pub currency_id: String,
    pub display_name: String,
    pub id: Uuid,
    pub updated_at: DateTime,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct CustomerResource {
    pub created_at: DateTime,
    pub customer: Customer,
    pub environment_id: Uuid,
    pub resource_id: String,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct SyncState {
    pub error: Option<String>,
    pub status: SyncStatus,
    pub synced_entity_id: Option<String>,
    pub vendor_identifier: VendorIdentifier,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct SubscriptionAddon {
    pub addon: Addon,
    pub addon_id: String,
    pub created_at: Option<DateTime>,
    pub id: Uuid,
    pub quantity: f64,
    pub updated_at: DateTime,
}

/// A price of a subscription; its `usageLimit` is the quantity that was bought.
#[derive(SimpleObject, Clone)]
pub(crate) struct SubscriptionPrice {
    pub billing_model: Option<BillingModel>,
    pub created_at: Option<DateTime>,
    pub credits_quantity: Option<f64>,
    pub feature_id: Option<String>,
    pub id: Uuid,
    pub subscription_id: String,
    pub updated_at: DateTime,
    pub usage_limit: Option<f64>,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct SubscriptionFeatureEntitlement {
    pub created_at: Option<DateTime>,
    pub enum_values: Option<Vec<String>>,
    pub environment_id: Uuid,
    pub feature: Feature,
    pub feature_id: String,
    pub has_soft_limit: Option<bool>,
    pub has_unlimited_usage: Option<bool>,
    pub id: Uuid,
    pub reset_period: Option<EntitlementResetPeriod>,
    pub subscription_id: String,
    pub updated_at: Option<DateTime>,
    pub usage_limit: Option<f64>,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct SubscriptionCreditEntitlement {
    pub amount: f64,
    pub cadence: CreditCadence,
    pub created_at: Option<DateTime>,
    pub custom_currency: CustomCurrency,
    pub custom_currency_id: String,
    pub environment_id: Uuid,
    pub has_soft_limit: Option<bool>,
    pub id: Uuid,
    pub subscription_id: String,
    pub updated_at: Option<DateTime>,
}

#[derive(Union, Clone)]
pub(crate) enum SubscriptionEntitlementUnion {
    Credit(SubscriptionCreditEntitlement),
    Feature(SubscriptionFeatureEntitlement),
}

/// A subscription. In lists, ids of the customer and resource are the caller's; elsewhere they are UUIDs (contract 8).
#[derive(SimpleObject, Clone)]
#[graphql(
    concrete(name = "SubscriptionQuery", params(String, "Vec<SyncState>")),
    concrete(name = "CustomerSubscription", params(Uuid, "Option<Vec<SyncState>>"))
)]
pub(crate) struct Subscription<Id: OutputType, Sync: OutputType> {
    pub additional_meta_data: Option<Json>,
    pub addons: Option<Vec<SubscriptionAddon>>,
    pub billing_id: Option<String>,
    pub billing_period: Option<BillingPeriod>,
    pub billing_sync_error: Option<String>,
    pub cancel_reason: Option<SubscriptionCancelReason>,
    pub cancellation_date: Option<DateTime>,
    pub created_at: Option<DateTime>,
    pub current_billing_period_end: Option<DateTime>,
    pub customer: Customer,
    pub customer_id: Option<Id>,
    pub effective_end_date: Option<DateTime>,
    pub end_date: Option<DateTime>,
    pub entitlements: Option<Vec<SubscriptionEntitlementUnion>>,
    pub environment_id: Uuid,
    pub id: Uuid,
    pub old_billing_id: Option<String>,
    pub payment_collection: PaymentCollection,
    pub payment_collection_method: Option<PaymentCollectionMethod>,
    pub plan: Plan,
    pub prices: Option<Vec<SubscriptionPrice>>,
    pub pricing_type: PricingType,
    pub ref_id: String,
    pub resource: Option<CustomerResource>,
    pub resource_id: Option<Id>,
    pub salesforce_id: Option<String>,
    pub start_date: DateTime,
    pub status: SubscriptionStatus,
    pub subscription_id: String,
    pub sync_states: Sync,
    pub trial_end_date: Option<DateTime>,
}

/// As lists answer it.
pub(crate) type SubscriptionQuery = Subscription<String, Vec<SyncState>>;
/// As everything else answers it.
pub(crate) type CustomerSubscription = Subscription<Uuid, Option<Vec<SyncState>>>;

#[derive(SimpleObject, Clone)]
pub(crate) struct ImportSubTaskError {
    pub error: String,
    pub id: String,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct ImportIntegrationTask {
    pub created_at: Option<DateTime>,
    pub customers_count: i32,
    pub end_date: Option<DateTime>,
    pub environment_id: String,
    pub id: Uuid,
    pub import_errors: Vec<ImportSubTaskError>,
    pub products_count: i32,
    pub progress: i32,
    pub start_date: Option<DateTime>,
    pub status: TaskStatus,
    pub task_type: TaskType,
    pub total_subtasks_count: i32,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct UsageMeasurementCredit {
    pub consumed: f64,
    pub currency_id: String,
    pub current_usage: f64,
    pub timestamp: DateTime,
    pub usage_limit: f64,
    pub usage_period_end: Option<DateTime>,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct UsageMeasurementWithCurrentUsage {
    pub created_at: DateTime,
    pub credit: Option<UsageMeasurementCredit>,
    pub current_usage: Option<f64>,
    pub customer_id: String,
    pub environment_id: String,
    pub feature_id: String,
    pub id: Uuid,
    pub next_reset_date: Option<DateTime>,
    pub resource_id: Option<String>,
    pub timestamp: DateTime,
    pub usage_period_end: Option<DateTime>,
    pub usage_period_start: Option<DateTime>,
    pub value: f64,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct ProvisionSubscriptionResult {
    pub checkout_billing_id: Option<String>,
    pub checkout_url: Option<String>,
    pub id: String,
    pub is_scheduled: Option<bool>,
    pub status: ProvisionSubscriptionStatus,
    pub subscription: Option<CustomerSubscription>,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct EntitlementFeature {
    pub display_name: String,
    pub feature_status: FeatureStatus,
    pub feature_type: FeatureType,
    pub id: Uuid,
    pub meter_type: Option<MeterType>,
    pub ref_id: String,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct EntitlementCurrency {
    pub currency_id: String,
    pub display_name: String,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct FeatureEntitlement {
    pub current_usage: Option<f64>,
    pub enum_values: Option<Vec<String>>,
    pub feature: Option<EntitlementFeature>,
    pub has_soft_limit: Option<bool>,
    pub has_unlimited_usage: bool,
    pub is_granted: bool,
    pub reset_period: Option<EntitlementResetPeriod>,
    pub usage_limit: Option<f64>,
    pub usage_period_end: Option<DateTime>,
    pub usage_period_start: Option<DateTime>,
    pub usage_updated_at: Option<DateTime>,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct CreditEntitlement {
    pub currency: EntitlementCurrency,
    pub current_usage: Option<f64>,
    pub has_soft_limit: Option<bool>,
    pub is_granted: bool,
    pub usage_limit: Option<f64>,
}

#[derive(Union, Clone)]
pub(crate) enum EntitlementUnion {
    Credit(CreditEntitlement),
    Feature(FeatureEntitlement),
}

#[derive(SimpleObject, Clone)]
pub(crate) struct EntitlementsState {
    pub access_denied_reason: Option<EntitlementsStateAccessDeniedReason>,
    pub entitlements_v2: Vec<EntitlementUnion>,
}
