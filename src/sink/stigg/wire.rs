//! The shapes of the API's answers, and their way into our words.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::wire_catalog::Currency;
use crate::sink::error::{MESSAGE_CHARS_MAX, bounded};
use crate::sink::{
    Page, ReadAddon, ReadCustomer, ReadEntitlement, ReadSubscription, SinkError, SyncState, TaskState, TaskStatus,
};

/// A value that is there and means nothing to us.
pub(super) type Ignored = IgnoredAny;

/// A number, read exactly: serde_json's own reading may be off by the last bit.
pub(super) struct Exact(pub f64);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        // JSON's numbers are Rust's; a text or a list is not.
        raw.get().parse().map(Self).map_err(|_| D::Error::custom("not a number"))
    }
}

/// A time, as ISO 8601.
pub(super) struct Time(Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("not a time"))
    }
}

pub(super) fn at(time: Option<Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

pub(super) fn number(number: Option<Exact>) -> Option<f64> {
    number.map(|number| number.0)
}

/// `additionalMetaData` is any JSON; what is not an object has no keys to compare.
fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

#[derive(Deserialize)]
pub(super) struct Edges<T> {
    edges: Vec<Edge<T>>,
}

#[derive(Deserialize)]
struct Edge<T> {
    node: T,
}

impl<T> Edges<T> {
    pub(super) fn nodes(self) -> impl Iterator<Item = T> {
        self.edges.into_iter().map(|edge| edge.node)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection<T> {
    page_info: PageInfo,
    edges: Vec<Edge<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: Option<bool>,
    end_cursor: Option<String>,
}

impl<T> Connection<T> {
    /// A page that promises another without saying where would end a read early and make records look missing.
    pub(super) fn page<R: From<T>>(self) -> Result<Page<R>, SinkError> {
        let next = match (self.page_info.has_next_page, self.page_info.end_cursor) {
            (Some(true), None) => return Err(SinkError::unreadable("a page names no next one although there is one")),
            (Some(true), cursor) => cursor,
            (Some(false) | None, _) => None,
        };
        Ok(Page { items: self.edges.into_iter().map(|edge| edge.node.into()).collect(), next })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    pub(super) id: Option<String>,
    status: String,
    progress: Option<i64>,
    #[serde(default)]
    import_errors: Vec<TaskError>,
}

#[derive(Deserialize)]
struct TaskError {
    id: String,
    error: String,
}

impl Task {
    pub(super) fn state(self) -> TaskState {
        let status = match self.status.as_str() {
            "PENDING" | "IN_PROGRESS" => {
                let progress = self.progress.unwrap_or(0).clamp(0, 100);
                return TaskState::Running { progress: u8::try_from(progress).unwrap_or(0) };
            }
            "COMPLETED" => TaskStatus::Completed,
            "PARTIALLY_FAILED" => TaskStatus::PartiallyFailed,
            "FAILED" => TaskStatus::Failed,
            "CANCELED" => TaskStatus::Canceled,
            other => return TaskState::Unreadable { reason: format!("status {}", bounded(other, 100)) },
        };
        let errors = self.import_errors.into_iter().take(TaskState::ERRORS_MAX);
        let errors = errors.map(|error| (bounded(&error.id, 255), bounded(&error.error, MESSAGE_CHARS_MAX))).collect();
        TaskState::Finished { status, errors }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Customer {
    customer_id: String,
    name: Option<String>,
    email: Option<String>,
    billing_id: Option<String>,
    salesforce_id: Option<String>,
    additional_meta_data: Option<Value>,
    updated_at: Option<Time>,
}

impl From<Customer> for ReadCustomer {
    fn from(wire: Customer) -> Self {
        Self {
            customer_id: wire.customer_id,
            name: wire.name,
            email: wire.email,
            billing_id: wire.billing_id,
            salesforce_id: wire.salesforce_id,
            metadata: object(wire.additional_meta_data),
            updated_at: at(wire.updated_at),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefId {
    pub(super) ref_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomerRef {
    customer_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceRef {
    resource_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscription {
    subscription_id: String,
    status: String,
    pricing_type: String,
    start_date: Option<Time>,
    end_date: Option<Time>,
    billing_period: Option<String>,
    billing_id: Option<String>,
    billing_sync_error: Option<String>,
    sync_states: Option<Vec<Sync>>,
    salesforce_id: Option<String>,
    additional_meta_data: Option<Value>,
    created_at: Option<Time>,
    plan: RefId,
    customer: CustomerRef,
    resource: Option<ResourceRef>,
    addons: Option<Vec<SubscriptionAddon>>,
    entitlements: Option<Vec<Entitlement>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sync {
    status: String,
    error: Option<String>,
    vendor_identifier: String,
}

impl From<Sync> for SyncState {
    fn from(wire: Sync) -> Self {
        let error = wire.error.map(|error| bounded(&error, MESSAGE_CHARS_MAX));
        Self { vendor: wire.vendor_identifier, status: wire.status, error }
    }
}

#[derive(Deserialize)]
struct SubscriptionAddon {
    addon: RefId,
    quantity: Exact,
}

/// All members of the union in one: serde's tagged enums would buffer, and lose the exact numbers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entitlement {
    #[serde(rename = "__typename")]
    typename: String,
    feature: Option<RefId>,
    usage_limit: Option<Exact>,
    has_unlimited_usage: Option<bool>,
    reset_period: Option<String>,
    amount: Option<Exact>,
    cadence: Option<String>,
    custom_currency: Option<Currency>,
}

impl From<Entitlement> for ReadEntitlement {
    fn from(wire: Entitlement) -> Self {
        match (wire.typename.as_str(), wire.feature, wire.custom_currency) {
            ("SubscriptionFeatureEntitlement", Some(feature), _) => Self::Feature {
                feature_id: feature.ref_id,
                usage_limit: number(wire.usage_limit),
                unlimited: wire.has_unlimited_usage.unwrap_or(false),
                reset_period: wire.reset_period,
            },
            ("SubscriptionCreditEntitlement", _, Some(currency)) => Self::Credit {
                currency_id: currency.currency_id,
                amount: number(wire.amount).unwrap_or(0.0),
                cadence: wire.cadence.unwrap_or_default(),
            },
            _ => Self::Other,
        }
    }
}

impl From<Subscription> for ReadSubscription {
    fn from(wire: Subscription) -> Self {
        Self {
            subscription_id: wire.subscription_id,
            customer_id: wire.customer.customer_id,
            plan_id: wire.plan.ref_id,
            resource_id: wire.resource.map(|resource| resource.resource_id),
            status: wire.status,
            pricing_type: wire.pricing_type,
            start_date: at(wire.start_date),
            end_date: at(wire.end_date),
            billing_period: wire.billing_period,
            billing_id: wire.billing_id,
            billing_sync_error: wire.billing_sync_error.map(|error| bounded(&error, MESSAGE_CHARS_MAX)),
            sync_states: wire.sync_states.unwrap_or_default().into_iter().map(Into::into).collect(),
            salesforce_id: wire.salesforce_id,
            metadata: object(wire.additional_meta_data),
            entitlements: wire.entitlements.unwrap_or_default().into_iter().map(Into::into).collect(),
            addons: wire
                .addons
                .unwrap_or_default()
                .into_iter()
                .map(|wire| ReadAddon { addon_id: wire.addon.ref_id, quantity: wire.quantity.0 })
                .collect(),
            created_at: at(wire.created_at),
        }
    }
}
