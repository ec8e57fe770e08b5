//! What the account holds, and how Stripe shows it in version 2026-10-28.endive.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeCustomer {
    /// `cus_…`.
    pub id: String,
    /// E-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// What the business noted.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeSubscription {
    /// `sub_…`.
    pub id: String,
    /// The customer's id.
    pub customer: String,
    /// `active`, `trialing`, `past_due`, `unpaid`, `incomplete`, `incomplete_expired`, `paused` or `canceled`.
    pub status: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it began, in seconds since 1970.
    pub start_date: i64,
    /// End of the period of each item, in seconds since 1970.
    pub current_period_end: i64,
    /// When it was cancelled.
    #[serde(default)]
    pub canceled_at: Option<i64>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<i64>,
    /// Whether it ends with the period.
    #[serde(default)]
    pub cancel_at_period_end: bool,
    /// A schedule that changes it.
    #[serde(default)]
    pub schedule: Option<String>,
    /// What it charges for; 1 to 20.
    pub items: Vec<StripeItem>,
    /// What the business noted.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// What a subscription charges for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeItem {
    /// `price_…`.
    pub price: String,
    /// `prod_…`.
    pub product: String,
    /// How many; `None` where usage is counted.
    pub quantity: Option<u64>,
    /// Price of one, in cents.
    pub unit_amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// `day`, `week`, `month` or `year`.
    pub interval: String,
}

/// A charge or credit that waits for the next invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeInvoiceItem {
    /// `ii_…`.
    pub id: String,
    /// The customer's id.
    pub customer: String,
    /// The subscription's id.
    pub subscription: String,
    /// In cents; a credit is below 0.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Whether a change in the middle of a period made it.
    pub proration: bool,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// An object that lists hold.
pub(super) trait Listed {
    fn id(&self) -> &str;
    fn created(&self) -> i64;
    fn shown(&self) -> Value;
}

impl Listed for StripeCustomer {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn shown(&self) -> Value {
        json!({
            "id": self.id, "object": "customer", "created": self.created, "email": self.email, "name": self.name,
            "description": null, "currency": null, "balance": 0, "delinquent": false, "livemode": false,
            "invoice_settings": {"default_payment_method": null}, "metadata": self.metadata,
        })
    }
}

impl Listed for StripeSubscription {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn shown(&self) -> Value {
        let items: Vec<Value> = self.items.iter().enumerate().map(|(at, item)| self.shown_item(at, item)).collect();
        json!({
            "id": self.id, "object": "subscription", "created": self.created, "customer": self.customer,
            "status": self.status, "start_date": self.start_date, "canceled_at": self.canceled_at,
            "ended_at": self.ended_at, "cancel_at_period_end": self.cancel_at_period_end, "cancel_at": null,
            "currency": self.items.first().map(|item| &item.currency), "schedule": self.schedule,
            "trial_start": null, "trial_end": null, "livemode": false, "metadata": self.metadata,
            "items": {
                "object": "list", "data": items, "has_more": false, "total_count": self.items.len(),
                "url": format!("/v1/subscription_items?subscription={}", self.id),
            },
        })
    }
}

impl StripeSubscription {
    fn shown_item(&self, at: usize, item: &StripeItem) -> Value {
        let StripeItem { price, product, quantity, unit_amount, currency, interval } = item;
        let usage_type = if quantity.is_some() { "licensed" } else { "metered" };
        json!({
            "id": format!("si_{}_{at}", self.id), "object": "subscription_item", "subscription": self.id,
            "created": self.created, "quantity": quantity, "current_period_end": self.current_period_end,
            "metadata": {},
            "price": {
                "id": price, "object": "price", "product": product, "currency": currency, "livemode": false,
                "type": "recurring", "billing_scheme": "per_unit", "unit_amount": unit_amount,
                "unit_amount_decimal": unit_amount.to_string(),
                "recurring": {"interval": interval, "interval_count": 1, "usage_type": usage_type},
            },
        })
    }
}

impl Listed for StripeInvoiceItem {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn shown(&self) -> Value {
        json!({
            "id": self.id, "object": "invoiceitem", "customer": self.customer, "amount": self.amount,
            "currency": self.currency, "proration": self.proration, "date": self.created, "invoice": null,
            "livemode": false,
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": self.subscription},
            },
        })
    }
}
