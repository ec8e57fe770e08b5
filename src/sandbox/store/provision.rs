//! Provisioning and cancelling single subscriptions (contract 3.4, 3.6).

use super::Store;
use super::content::{Cancelled, SubscriptionContent, Trial};
use super::subscriptions::{Parts, modern, quantities, stored_metadata};
use crate::sandbox::catalog::{Known, PlanKind};
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::unknowns::KnownSubscription;
use crate::sandbox::wire::enums::{
    BillingPeriod, PricingType, SubscriptionCancelReason, SubscriptionCancellationTime, SubscriptionStatus,
};
use crate::sandbox::wire::inputs::SubscriptionCancellationInput;
use crate::sandbox::wire::scalars::{DateTime, Json, Uuid};
use crate::sandbox::wire::terms::ProvisionSubscriptionInput;

/// What provisioning came to.
#[derive(Debug)]
pub(crate) enum Provisioned {
    /// The subscription at this position; `new` if it was not there before.
    Done { position: u32, new: bool },
    /// The customer has to pay first; nothing was written.
    PaymentRequired { checkout_id: String },
}

impl Store {
    /// Provisions one subscription.
    pub fn provision(&mut self, input: ProvisionSubscriptionInput, now_ms: i64) -> Result<Provisioned, Refusal> {
        check_shape(&input)?;
        let Some(customer) = self.customer(&input.customer_id) else {
            let message = format!("Customer {} not found", input.customer_id);
            return Err(Refusal::new(Code::CustomerNotFound, message));
        };
        let pays = customer.content().billing_id.is_some() || customer.content().payment_method_id.is_some();
        let entitlements: Vec<_> = match (&input.entitlements, &input.subscription_entitlements) {
            (Some(entries), _) => entries.clone(),
            (None, entries) => entries.iter().flatten().cloned().map(modern).collect(),
        };
        let kind = self.check_parts(&Parts {
            plan_id: &input.plan_id,
            resource_id: input.resource_id.as_deref(),
            addons: input.addons.as_deref().unwrap_or_default(),
            billable_features: input.billable_features.as_deref().unwrap_or_default(),
            charges: input.charges.as_deref().unwrap_or_default(),
            entitlements: &entitlements,
        })?;
        if kind == Some(PlanKind::Paid) && input.billing_period.is_none() {
            return Err(Refusal::new(Code::BillingPeriodMissingError, "a paid plan needs a billingPeriod"));
        }
        let mut id = input.subscription_id.clone().or_else(|| input.ref_id.clone());
        if let Some(position) = id.as_deref().and_then(|id| self.subscriptions.position(id)) {
            match self.unknowns.known_subscription {
                KnownSubscription::Existing => return Ok(Provisioned::Done { position, new: false }),
                KnownSubscription::Refused => {
                    let message = "a subscription with this id exists";
                    return Err(Refusal::new(Code::DuplicatedEntityNotAllowed, message));
                }
                KnownSubscription::Second => id = None,
            }
        }
        let must_pay =
            self.without_payment_method.contains(&input.customer_id) || (kind == Some(PlanKind::Paid) && !pays);
        if must_pay {
            let key = id.unwrap_or_else(|| format!("{}\n{}", input.customer_id, input.plan_id));
            return Ok(Provisioned::PaymentRequired { checkout_id: Uuid::of("checkout", &key).0 });
        }
        let id = id.unwrap_or_else(|| self.new_subscription_id(&input.customer_id, &input.plan_id));
        let pricing_type = kind.map_or_else(
            || match (entitlements.is_empty(), input.billing_period) {
                (false, _) => PricingType::Custom,
                (true, Some(_)) => PricingType::Paid,
                (true, None) => PricingType::Free,
            },
            PricingType::from,
        );
        let start_ms = input.start_date.map_or(now_ms, |start| start.0);
        self.end_others(&input, start_ms, now_ms);
        let content = content_of(input, pricing_type, entitlements, &id, now_ms);
        let (position, _) = self.write_subscription(&id, content, now_ms, 0);
        Ok(Provisioned::Done { position, new: true })
    }

    /// A new non-trial subscription ends the customer's other one of the same product and resource (contract 3.4).
    fn end_others(&mut self, input: &ProvisionSubscriptionInput, start_ms: i64, now_ms: i64) {
        let product = |plan_id: &str| match self.shelf.plan(plan_id) {
            Known::Yes(plan) => Some(plan.product.clone()),
            Known::Unchecked | Known::No => None,
        };
        let own_product = product(&input.plan_id);
        let others: Vec<(String, SubscriptionContent)> = self
            .subscriptions_of(&input.customer_id)
            .iter()
            .filter_map(|position| self.subscriptions.at(*position))
            .filter(|row| {
                row.content().resource_id == input.resource_id
                    && product(&row.content().plan_id) == own_product
                    && row.content().status(row.created_ms, now_ms) == SubscriptionStatus::Active
            })
            .map(|row| (row.id.to_string(), row.content().clone()))
            .collect();
        for (id, mut content) in others {
            let at = (start_ms > now_ms).then_some(DateTime(start_ms));
            content.cancelled = Some(Cancelled { reason: SubscriptionCancelReason::UpgradeOrDowngrade, at });
            self.subscriptions.write(&id, content, now_ms, 0);
        }
    }

    /// Cancels one subscription, and tells its position.
    pub fn cancel(&mut self, input: &SubscriptionCancellationInput, now_ms: i64) -> Result<u32, Refusal> {
        let id = input.subscription_ref_id.as_str();
        let Some((position, row)) = self.subscriptions.position(id).zip(self.subscriptions.get(id)) else {
            return Err(Refusal::new(Code::SubscriptionNotFound, format!("Subscription {id} not found")));
        };
        if matches!(
            row.content().status(row.created_ms, now_ms),
            SubscriptionStatus::Canceled | SubscriptionStatus::Expired
        ) {
            let message = format!("Subscription {id} is already cancelled or expired");
            return Err(Refusal::new(Code::SubscriptionAlreadyCanceledOrExpired, message));
        }
        let when = input.subscription_cancellation_time.unwrap_or(SubscriptionCancellationTime::Immediate);
        let mut content = row.content().clone();
        let (reason, at) = match (when, input.end_date) {
            (SubscriptionCancellationTime::Immediate, _) => (SubscriptionCancelReason::Immediate, None),
            (SubscriptionCancellationTime::SpecificDate, Some(date)) if date.0 > now_ms => {
                (SubscriptionCancelReason::ScheduledCancellation, Some(date))
            }
            (SubscriptionCancellationTime::SpecificDate, _) => {
                return Err(Refusal::new(Code::InvalidCancellationDate, "endDate must be in the future"));
            }
            (SubscriptionCancellationTime::EndOfBillingPeriod, _) => {
                let start_ms = content.start_date.map_or(row.created_ms, |start| start.0);
                let end_ms = period_end(start_ms, content.billing_period.unwrap_or(BillingPeriod::Monthly), now_ms);
                (SubscriptionCancelReason::ScheduledCancellation, Some(DateTime(end_ms)))
            }
        };
        content.cancelled = Some(Cancelled { reason, at });
        self.subscriptions.write(id, content, now_ms, 0);
        Ok(position)
    }
}

/// What is wrong with the input in itself.
fn check_shape(input: &ProvisionSubscriptionInput) -> Result<(), Refusal> {
    rules::customer_id(&input.customer_id)?;
    rules::plan_id(&input.plan_id)?;
    if input.subscription_id.as_ref().zip(input.ref_id.as_ref()).is_some_and(|(id, other)| id != other) {
        return Err(Refusal::new(Code::EntityIdDifferentFromRefIdError, "subscriptionId and refId differ"));
    }
    for (field, value) in
        [("subscriptionId", &input.subscription_id), ("refId", &input.ref_id), ("resourceId", &input.resource_id)]
    {
        value.as_deref().map_or(Ok(()), |value| rules::text(field, value))?;
    }
    input.unit_quantity.map_or(Ok(()), |quantity| rules::quantity("unitQuantity", quantity))?;
    let billing_metadata = input.billing_information.as_ref().and_then(|billing| billing.metadata.as_ref());
    for metadata in [input.additional_meta_data.as_ref(), billing_metadata].into_iter().flatten() {
        rules::metadata(&metadata.0)?;
    }
    quantities(
        input.addons.as_deref().unwrap_or_default(),
        input.billable_features.as_deref().unwrap_or_default(),
        input.charges.as_deref().unwrap_or_default(),
    )?;
    input.entitlements.iter().flatten().try_for_each(rules::entitlement)
}

fn content_of(
    input: ProvisionSubscriptionInput,
    pricing_type: PricingType,
    entitlements: Vec<crate::sandbox::wire::terms::SubscriptionEntitlementInputV2>,
    id: &str,
    now_ms: i64,
) -> SubscriptionContent {
    let provisioned = serde_json::to_value(&input).ok().map(Json);
    let backdated = input.billing_information.as_ref().and_then(|billing| billing.is_backdated) == Some(true);
    let trial =
        input.trial_override_configuration.as_ref().filter(|trial| trial.is_trial && input.skip_trial != Some(true));
    SubscriptionContent {
        pricing_type,
        billed_again: pricing_type == PricingType::Paid
            && !backdated
            && input.start_date.is_some_and(|start| start.0 < now_ms),
        trial: trial.map(|trial| Trial { end_date: trial.trial_end_date }),
        cancelled: input
            .cancellation_date
            .map(|at| Cancelled { reason: SubscriptionCancelReason::ScheduledCancellation, at: Some(at) }),
        // The provider's id of the new subscription: never the one of an original (contract 11).
        billing_id: (pricing_type == PricingType::Paid)
            .then(|| format!("sub_stigg_{}", &Uuid::of("billing", id).0.replace('-', "")[..16])),
        customer_id: input.customer_id,
        plan_id: input.plan_id,
        resource_id: input.resource_id,
        start_date: input.start_date,
        end_date: None,
        billing_period: input.billing_period,
        unit_quantity: input.unit_quantity,
        billable_features: input.billable_features.unwrap_or_default(),
        charges: input.charges.unwrap_or_default(),
        addons: input.addons.unwrap_or_default(),
        entitlements,
        salesforce_id: input.salesforce_id,
        metadata: stored_metadata(input.additional_meta_data.as_ref()),
        payment_collection_method: input.payment_collection_method,
        provisioned,
    }
}

/// The first end of a billing period after `now_ms`, for periods that began at `start_ms`.
pub(crate) fn period_end(start_ms: i64, period: BillingPeriod, now_ms: i64) -> i64 {
    let months = match period {
        BillingPeriod::Monthly => 1,
        BillingPeriod::Annually => 12,
    };
    let Ok(start) = jiff::Timestamp::from_millisecond(start_ms) else { return now_ms };
    let start = start.to_zoned(jiff::tz::TimeZone::UTC);
    // Counted from the start each time, so that the 31st stays the 31st where the month has one.
    (1..=i64::from(i16::MAX))
        .map_while(|nth| start.checked_add(jiff::Span::new().try_months(nth * months).ok()?).ok())
        .map(|end| end.timestamp().as_millisecond())
        .find(|end_ms| *end_ms > now_ms)
        .unwrap_or(now_ms)
}
