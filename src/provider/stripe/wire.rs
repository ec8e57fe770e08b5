//! Stripe's objects, as much of them as is read. Versions differ in where a field is; both places are looked at.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::provider::{Interval, Original, OriginalId, OriginalItem, OriginalStatus, PendingItem, PendingItems};

#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub data: Vec<T>,
    #[serde(default)]
    pub has_more: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    id: String,
    object: String,
    status: String,
    customer: Expandable,
    start_date: Option<i64>,
    /// Before version 2025-03-31; since then each item has its own.
    current_period_end: Option<i64>,
    ended_at: Option<i64>,
    canceled_at: Option<i64>,
    #[serde(default)]
    cancel_at_period_end: bool,
    schedule: Option<Expandable>,
    items: List<Item>,
    pub livemode: bool,
}

/// A reference, which a request may have had filled in.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expandable {
    Id(String),
    Object { id: String },
}

impl Expandable {
    fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Item {
    quantity: Option<u64>,
    current_period_end: Option<i64>,
    price: Option<Price>,
    /// The older name and shape of a price.
    plan: Option<Plan>,
}

#[derive(Debug, Deserialize)]
struct Price {
    id: String,
    product: Option<Expandable>,
    currency: String,
    unit_amount: Option<i64>,
    /// As text, with fractions of the smallest unit.
    unit_amount_decimal: Option<String>,
    recurring: Option<Recurring>,
}

#[derive(Debug, Deserialize)]
struct Recurring {
    interval: String,
    interval_count: u32,
}

#[derive(Debug, Deserialize)]
struct Plan {
    id: String,
    product: Option<Expandable>,
    currency: String,
    amount: Option<i64>,
    amount_decimal: Option<String>,
    interval: String,
    interval_count: u32,
}

impl Subscription {
    /// Reads one, in words that quote nothing of it.
    pub fn read(body: &RawValue) -> Result<Self, String> {
        let subscription: Self = serde_json::from_str(body.get())
            .map_err(|error| format!("it is no subscription, at line {} column {}", error.line(), error.column()))?;
        if subscription.object != "subscription" {
            return Err("it is another object than a subscription".to_owned());
        }
        Ok(subscription)
    }

    /// As an original; its pending items were not read.
    pub fn original(self, asked: &OriginalId) -> Result<Original, String> {
        if self.id != asked.as_str() {
            return Err("it is another subscription than was asked for".to_owned());
        }
        let ends = self.items.data.iter().filter_map(|item| item.current_period_end);
        let current_period_end = ends.max().or(self.current_period_end);
        let status = OriginalStatus::of(&self.status);
        let ended_at = self.ended_at.or(self.canceled_at.filter(|_| status.has_ended()));
        Ok(Original {
            id: asked.clone(),
            status,
            customer_id: self.customer.into_id(),
            started_at: time(self.start_date)?,
            current_period_end: time(current_period_end)?,
            ended_at: time(ended_at)?,
            cancel_at_period_end: self.cancel_at_period_end,
            schedule_id: self.schedule.map(Expandable::into_id),
            items: self.items.data.into_iter().map(Item::original).collect::<Result<_, _>>()?,
            more_items: self.items.has_more,
            pending_items: PendingItems::Unread,
            live: self.livemode,
        })
    }
}

impl Item {
    fn original(self) -> Result<OriginalItem, String> {
        let quantity = self.quantity;
        match (self.price, self.plan) {
            (Some(price), _) => Ok(OriginalItem {
                price_id: price.id,
                product_id: price.product.map(Expandable::into_id),
                quantity,
                unit_amount_minor: amount(price.unit_amount_decimal, price.unit_amount)?,
                currency: price.currency,
                interval: price.recurring.map(|every| (Interval::of(&every.interval), every.interval_count)),
            }),
            (None, Some(plan)) => Ok(OriginalItem {
                price_id: plan.id,
                product_id: plan.product.map(Expandable::into_id),
                quantity,
                unit_amount_minor: amount(plan.amount_decimal, plan.amount)?,
                currency: plan.currency,
                interval: Some((Interval::of(&plan.interval), plan.interval_count)),
            }),
            (None, None) => Err("an item of it has no price".to_owned()),
        }
    }
}

fn amount(decimal: Option<String>, whole: Option<i64>) -> Result<Option<Decimal>, String> {
    match decimal {
        Some(text) => text.parse().map(Some).map_err(|_| "an amount in it is no number".to_owned()),
        None => Ok(whole.map(Decimal::from)),
    }
}

fn time(seconds: Option<i64>) -> Result<Option<Timestamp>, String> {
    let time = seconds.map(Timestamp::from_second).transpose();
    time.map_err(|_| "a time in it is out of range".to_owned())
}

#[derive(Debug, Deserialize)]
pub(super) struct InvoiceItem {
    id: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    proration: bool,
    /// Before version 2025-03-31.
    subscription: Option<Expandable>,
    parent: Option<Parent>,
}

#[derive(Debug, Deserialize)]
struct Parent {
    subscription_details: Option<SubscriptionDetails>,
}

#[derive(Debug, Deserialize)]
struct SubscriptionDetails {
    subscription: Option<Expandable>,
}

impl InvoiceItem {
    /// The subscription that it belongs to.
    pub fn subscription(&self) -> Option<&str> {
        let parent = self.parent.as_ref().and_then(|parent| parent.subscription_details.as_ref());
        match parent.and_then(|details| details.subscription.as_ref()).or(self.subscription.as_ref())? {
            Expandable::Id(id) | Expandable::Object { id } => Some(id),
        }
    }
}

impl From<InvoiceItem> for PendingItem {
    fn from(item: InvoiceItem) -> Self {
        Self { id: item.id, amount_minor: item.amount, currency: item.currency, proration: item.proration }
    }
}
