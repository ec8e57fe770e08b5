//! What the typed client sends. Field names and types: GraphQL schema, client release 6.25.0, 2026.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A customer to import (`ImportCustomerInput`). Existing ones are updated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportCustomer {
    /// Your id of the customer, 1 to 255 of `a-zA-Z0-9_|.@-`.
    pub customer_id: String,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Id at the billing provider (`cus_…`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_id: Option<String>,
    /// Payment method at the billing provider (`pm_…`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_method_id: Option<String>,
    /// Id in Salesforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salesforce_id: Option<String>,
    /// When your system changed it; skipped where the API has a newer one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub updated_at: Option<Timestamp>,
    /// Free metadata.
    #[serde(rename = "additionalMetaData", skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A subscription on a free or custom plan to import (`ImportSubscriptionInput`). Existing ones are updated.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportSubscription {
    /// A stable id of it: without one a second import can't find it again.
    pub subscription_id: String,
    /// The customer.
    pub customer_id: String,
    /// The plan.
    pub plan_id: String,
    /// The resource, for products that allow several subscriptions for one customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Start.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub start_date: Option<Timestamp>,
    /// End.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub end_date: Option<Timestamp>,
    /// How often it is billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_period: Option<BillingPeriod>,
    /// Quantity of the plan's one chargeable feature.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "finite_option")]
    pub unit_quantity: Option<f64>,
    /// Quantities of several chargeable features.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub billable_features: Vec<BillableFeature>,
    /// Quantities of charges, the newer form of the two above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// Add-ons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<AddonInput>,
    /// What this customer gets, on custom plans only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<Entitlement>,
    /// Links a subscription at the billing provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_id: Option<String>,
    /// Id in Salesforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salesforce_id: Option<String>,
    /// When your system changed it; skipped where the API has a newer one of this customer and plan.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub updated_at: Option<Timestamp>,
    /// Free metadata.
    #[serde(rename = "additionalMetaData", skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// How often a subscription is billed. Credits have a [`Cadence`] instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BillingPeriod {
    /// Each month.
    Monthly,
    /// Each year.
    Annually,
}

/// The quantity of a chargeable feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BillableFeature {
    /// The feature.
    pub feature_id: String,
    /// How many.
    #[serde(serialize_with = "finite")]
    pub quantity: f64,
}

/// The quantity of a charge.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// The feature or credit currency.
    pub id: String,
    /// How many.
    #[serde(serialize_with = "finite")]
    pub quantity: f64,
    /// What `id` names.
    #[serde(rename = "type")]
    pub charge_type: ChargeType,
}

/// What a charge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChargeType {
    /// A feature.
    Feature,
    /// A credit currency.
    Credit,
}

/// An add-on of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddonInput {
    /// The add-on.
    pub addon_id: String,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i32>,
}

/// An entitlement of a custom subscription. The API takes exactly one of the two in each entry; so does the type.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Entitlement {
    /// A feature.
    Feature(FeatureEntitlement),
    /// Credits, granted again and again.
    Credit(CreditEntitlement),
}

/// A feature that a custom subscription gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeatureEntitlement {
    /// The feature.
    pub feature_id: String,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "finite_option")]
    pub usage_limit: Option<f64>,
    /// Whether there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_unlimited_usage: Option<bool>,
    /// Whether usage may go beyond the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_soft_limit: Option<bool>,
    /// The values of an enum feature.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enum_values: Vec<String>,
    /// When usage starts at zero again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_period: Option<ResetPeriod>,
}

/// When usage starts at zero again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResetPeriod {
    /// Each year.
    Year,
    /// Each month.
    Month,
    /// Each week.
    Week,
    /// Each day.
    Day,
    /// Each hour.
    Hour,
}

/// Credits that a custom subscription gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreditEntitlement {
    /// The credit currency.
    pub custom_currency_id: String,
    /// Credits for each cadence.
    #[serde(serialize_with = "finite")]
    pub amount: f64,
    /// How often they are granted.
    pub cadence: Cadence,
    /// Whether usage may go beyond the credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_soft_limit: Option<bool>,
}

/// How often credits are granted. Subscriptions have a [`BillingPeriod`] instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cadence {
    /// Each month.
    Month,
    /// Each year.
    Year,
}

/// Usage to report (`ReportUsageBaseInput`).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportUsage {
    /// The customer.
    pub customer_id: String,
    /// A metered feature whose usage you calculate.
    pub feature_id: String,
    /// The resource, for products that allow several subscriptions for one customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The value.
    #[serde(serialize_with = "finite")]
    pub value: f64,
    /// What the value does to the total. Always sent: the API's default adds.
    pub update_behavior: UpdateBehavior,
    /// When the value was read.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// Free dimensions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, Scalar>,
    /// Names this report at the API, so that a repeated `Delta` is recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl ReportUsage {
    /// The feature's current total for a customer, which replaces what the API has.
    pub fn total(customer_id: impl Into<String>, feature_id: impl Into<String>, value: f64) -> Self {
        Self {
            customer_id: customer_id.into(),
            feature_id: feature_id.into(),
            resource_id: None,
            value,
            update_behavior: UpdateBehavior::Set,
            created_at: None,
            dimensions: BTreeMap::new(),
            idempotency_key: None,
        }
    }
}

/// What a reported value does to the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UpdateBehavior {
    /// Replaces it: may be repeated.
    Set,
    /// Adds to it: may not be repeated without an idempotency key.
    Delta,
}

/// The value of a dimension.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// A number.
    #[serde(serialize_with = "finite")]
    Number(f64),
    /// True or false.
    Bool(bool),
}

/// Usage as the API has it after a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The customer.
    pub customer_id: String,
    /// The feature.
    pub feature_id: String,
    /// The resource.
    pub resource_id: Option<String>,
    /// The value that was reported.
    pub value: f64,
    /// The total that the API has now.
    pub current_usage: Option<f64>,
}

/// `2022-01-01T00:00:00.000Z`.
fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")),
        None => serializer.serialize_none(),
    }
}

/// JSON has no NaN; serde_json would write `null` for it.
fn finite<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.is_finite() {
        serializer.serialize_f64(*number)
    } else {
        Err(serde::ser::Error::custom("a number is not finite"))
    }
}

fn finite_option<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => finite(number, serializer),
        None => serializer.serialize_none(),
    }
}
