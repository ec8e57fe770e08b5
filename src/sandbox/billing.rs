//! What Stigg does at the billing provider: a provisioned subscription is made there, too (contract 3.4).

use super::catalog::{CatalogPlan, Known};
use super::environment::Environment;
use super::store::Store;
use super::store::content::SubscriptionContent;
use super::store::provision::period_end;
use super::stripe::{StripeItem, StripeSubscription};
use super::wire::enums::{BillingPeriod, PricingType, SubscriptionStatus};

/// Makes the subscription at this position in the account at Stripe, if it is a paid one that has begun and the account
/// knows its payer.
pub(crate) fn bring_to_provider(environment: &Environment, store: &Store, position: u32, now_ms: i64) {
    let Some(row) = store.subscriptions.at(position) else { return };
    let content = row.content();
    let status = match content.status(row.created_ms, now_ms) {
        SubscriptionStatus::Active => "active",
        SubscriptionStatus::InTrial => "trialing",
        _ => return,
    };
    let provisioned = content.provisioned.as_ref().map(|input| &input.0);
    let payer = provisioned.and_then(|input| input["payingCustomerId"].as_str()).unwrap_or(&content.customer_id);
    let payer = store.customers.get(payer).and_then(|row| row.content().billing_id.clone());
    let (PricingType::Paid, Some(id), Some(customer)) = (content.pricing_type, content.billing_id.clone(), payer)
    else {
        return;
    };
    let items = match store.shelf.plan(&content.plan_id) {
        Known::Yes(plan) => item(plan, content).into_iter().collect(),
        Known::Unchecked | Known::No => Vec::new(),
    };
    let start_ms = content.start_date.map_or(now_ms, |start| start.0);
    let period_end_ms = period_end(start_ms, period(content), now_ms);
    let metadata = provisioned.and_then(|input| input["billingInformation"]["metadata"].as_object());
    environment.stripe.subscribe(StripeSubscription {
        id,
        customer,
        status: status.to_owned(),
        created: now_ms.div_euclid(1000),
        start_date: start_ms.div_euclid(1000),
        current_period_end: period_end_ms.div_euclid(1000),
        canceled_at: None,
        ended_at: None,
        cancel_at_period_end: false,
        schedule: None,
        items,
        metadata: metadata.cloned().unwrap_or_default(),
    });
}

fn period(content: &SubscriptionContent) -> BillingPeriod {
    content.billing_period.unwrap_or(BillingPeriod::Monthly)
}

/// What it charges for by the plan's price, if that has one for the period.
fn item(plan: &CatalogPlan, content: &SubscriptionContent) -> Option<StripeItem> {
    let price = plan.prices.iter().find(|price| price.billing_period == period(content))?;
    let interval = match price.billing_period {
        BillingPeriod::Monthly => "month",
        BillingPeriod::Annually => "year",
    };
    Some(StripeItem {
        price: format!("price_{}_{interval}", plan.id),
        product: format!("prod_{}", plan.id),
        quantity: Some(quantity(content)),
        unit_amount: price.unit_amount,
        currency: price.currency.clone(),
        interval: interval.to_owned(),
    })
}

/// How many units: as was said for the plan's one chargeable feature, else for the first of several, else one.
fn quantity(content: &SubscriptionContent) -> u64 {
    let first = content.billable_features.first().map(|feature| feature.quantity);
    let first = first.or_else(|| content.charges.first().map(|charge| charge.quantity));
    // Quantities are checked to be no less than 0; parts of a unit are none.
    content.unit_quantity.or(first).map_or(1, |quantity| quantity as u64)
}
