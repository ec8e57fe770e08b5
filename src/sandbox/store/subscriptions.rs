//! One row of a subscription import: its rules, and what is stored (contract 3.2, 4, 5).

use super::content::SubscriptionContent;
use super::{Store, Written};
use crate::sandbox::catalog::{CatalogPlan, Known, PlanKind};
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::unknowns::PaidImport;
use crate::sandbox::wire::enums::{ChargeType, PricingType};
use crate::sandbox::wire::inputs::ImportSubscriptionInput;
use crate::sandbox::wire::scalars::{Json, Uuid};
use crate::sandbox::wire::terms::{
    BillableFeatureInput, ChargeInput, SubscriptionAddonInput, SubscriptionEntitlementInput,
    SubscriptionEntitlementInputV2, SubscriptionFeatureEntitlementInput,
};

type Checked = Result<(), Refusal>;

/// The parts that imported and provisioned subscriptions share.
pub(super) struct Parts<'a> {
    pub plan_id: &'a str,
    pub resource_id: Option<&'a str>,
    pub addons: &'a [SubscriptionAddonInput],
    pub billable_features: &'a [BillableFeatureInput],
    pub charges: &'a [ChargeInput],
    pub entitlements: &'a [SubscriptionEntitlementInputV2],
}

/// What is wrong with a row in itself, whatever is stored.
pub(crate) fn shape(row: &ImportSubscriptionInput) -> Checked {
    rules::customer_id(&row.customer_id)?;
    rules::plan_id(&row.plan_id)?;
    let texts = [
        ("subscriptionId", &row.subscription_id),
        ("resourceId", &row.resource_id),
        ("billingId", &row.billing_id),
        ("salesforceId", &row.salesforce_id),
    ];
    for (field, value) in texts {
        value.as_deref().map_or(Ok(()), |value| rules::text(field, value))?;
    }
    row.unit_quantity.map_or(Ok(()), |quantity| rules::quantity("unitQuantity", quantity))?;
    row.additional_meta_data.as_ref().map_or(Ok(()), |metadata| rules::metadata(&metadata.0).map(drop))?;
    if row.start_date.zip(row.end_date).is_some_and(|(start, end)| end < start) {
        return Err(Refusal::new(Code::BadUserInput, "endDate must not be before startDate"));
    }
    quantities(
        row.addons.as_deref().unwrap_or_default(),
        row.billable_features.as_deref().unwrap_or_default(),
        row.charges.as_deref().unwrap_or_default(),
    )?;
    if row.entitlements.is_some() && row.subscription_entitlements.is_some() {
        let message = "entitlements and subscriptionEntitlements exclude each other";
        return Err(Refusal::new(Code::BadUserInput, message));
    }
    row.entitlements.iter().flatten().try_for_each(rules::entitlement)
}

/// Quantities are not negative, and no add-on comes twice.
pub(super) fn quantities(
    addons: &[SubscriptionAddonInput],
    billable_features: &[BillableFeatureInput],
    charges: &[ChargeInput],
) -> Checked {
    rules::distinct("addonId", addons.iter().map(|addon| addon.addon_id.as_str()))?;
    for addon in addons {
        rules::quantity("quantity", addon.quantity.map_or(1.0, f64::from))?;
    }
    billable_features.iter().try_for_each(|feature| rules::quantity("quantity", feature.quantity))?;
    charges.iter().try_for_each(|charge| rules::quantity("quantity", charge.quantity))
}

/// The deprecated form of feature entitlements, as the present one.
pub(super) fn modern(entry: SubscriptionEntitlementInput) -> SubscriptionEntitlementInputV2 {
    SubscriptionEntitlementInputV2 {
        credit: None,
        feature: Some(SubscriptionFeatureEntitlementInput {
            feature_id: entry.feature_id,
            enum_values: None,
            feature_group_id: None,
            has_soft_limit: entry.has_soft_limit,
            has_unlimited_usage: entry.has_unlimited_usage,
            monthly_reset_period_configuration: entry.monthly_reset_period_configuration,
            reset_period: entry.reset_period,
            usage_limit: entry.usage_limit,
            weekly_reset_period_configuration: entry.weekly_reset_period_configuration,
            yearly_reset_period_configuration: entry.yearly_reset_period_configuration,
        }),
    }
}

impl Store {
    /// Imports one row of a task at `at_ms`. `Ok(None)`: the skip rule left it out, silently.
    pub(super) fn import_subscription(
        &mut self,
        row: ImportSubscriptionInput,
        at_ms: i64,
    ) -> Result<Option<Written>, Refusal> {
        shape(&row)?;
        if self.customer(&row.customer_id).is_none() {
            let message = format!("Customer {} not found", row.customer_id);
            return Err(Refusal::new(Code::CustomerNotFound, message));
        }
        let entitlements: Vec<_> = match (row.entitlements, row.subscription_entitlements) {
            (Some(entries), _) => entries,
            (None, entries) => entries.into_iter().flatten().map(modern).collect(),
        };
        let (addons, billable_features, charges) = (
            row.addons.unwrap_or_default(),
            row.billable_features.unwrap_or_default(),
            row.charges.unwrap_or_default(),
        );
        let kind = self.check_parts(&Parts {
            plan_id: &row.plan_id,
            resource_id: row.resource_id.as_deref(),
            addons: &addons,
            billable_features: &billable_features,
            charges: &charges,
            entitlements: &entitlements,
        })?;
        if kind == Some(PlanKind::Paid) && self.unknowns.paid_import == PaidImport::Refused {
            let message = format!("Plan {} is paid and can't be imported", row.plan_id);
            return Err(Refusal::new(Code::BadUserInput, message));
        }
        if let Some(id) = &row.subscription_id {
            let other = self.subscriptions.get(id).filter(|stored| stored.content().customer_id != row.customer_id);
            if other.is_some() {
                let message = format!("Subscription {id} belongs to another customer");
                return Err(Refusal::new(Code::DuplicatedEntityNotAllowed, message));
            }
        }
        // The rule compares customer and plan, not the subscription's id (contract 5, 11).
        let newer = row.updated_at.is_some_and(|at| {
            self.subscriptions_of(&row.customer_id)
                .iter()
                .filter_map(|position| self.subscriptions.at(*position))
                .any(|stored| stored.content().plan_id == row.plan_id && stored.updated_ms > at.0)
        });
        if newer {
            return Ok(None);
        }
        let id = row.subscription_id.unwrap_or_else(|| self.new_subscription_id(&row.customer_id, &row.plan_id));
        let pricing_type = kind.map_or_else(
            || match (entitlements.is_empty(), row.billing_period) {
                (false, _) => PricingType::Custom,
                (true, Some(_)) => PricingType::Paid,
                (true, None) => PricingType::Free,
            },
            PricingType::from,
        );
        let content = SubscriptionContent {
            customer_id: row.customer_id,
            plan_id: row.plan_id,
            pricing_type,
            resource_id: row.resource_id,
            start_date: row.start_date,
            end_date: row.end_date,
            billing_period: row.billing_period,
            unit_quantity: row.unit_quantity,
            billable_features,
            charges,
            addons,
            entitlements,
            billing_id: row.billing_id,
            salesforce_id: row.salesforce_id,
            metadata: stored_metadata(row.additional_meta_data.as_ref()),
            payment_collection_method: None,
            provisioned: None,
            billed_again: false,
            cancelled: None,
            trial: None,
        };
        let delay_ms = i64::try_from(self.unknowns.read_delay.as_millis()).unwrap_or(i64::MAX / 4);
        Ok(Some(self.write_subscription(&id, content, at_ms, delay_ms).1))
    }

    /// Checks a subscription's parts against the catalog, and tells the plan's kind if there is one.
    pub(super) fn check_parts(&self, parts: &Parts<'_>) -> Result<Option<PlanKind>, Refusal> {
        let plan = self.known_plan(parts.plan_id)?;
        for addon in parts.addons {
            if matches!(self.shelf.addon(&addon.addon_id), Known::No) {
                return Err(Refusal::new(Code::AddonNotFound, format!("Addon {} not found", addon.addon_id)));
            }
        }
        let priced = parts.billable_features.iter().map(|feature| feature.feature_id.as_str());
        let (charged_features, charged_credits): (Vec<_>, Vec<_>) =
            parts.charges.iter().partition(|charge| charge.r#type == ChargeType::Feature);
        let granted = parts.entitlements.iter().filter_map(|entry| Some(entry.feature.as_ref()?.feature_id.as_str()));
        for id in priced.chain(charged_features.into_iter().map(|charge| charge.id.as_str())).chain(granted) {
            if matches!(self.shelf.feature(id), Known::No) {
                return Err(Refusal::new(Code::FeatureNotFound, format!("Feature {id} not found")));
            }
        }
        let credits =
            parts.entitlements.iter().filter_map(|entry| Some(entry.credit.as_ref()?.custom_currency_id.as_str()));
        for id in charged_credits.into_iter().map(|charge| charge.id.as_str()).chain(credits) {
            if matches!(self.shelf.currency(id), Known::No) {
                return Err(Refusal::new(Code::CustomCurrencyNotFound, format!("Custom currency {id} not found")));
            }
        }
        if let Some(plan) = plan {
            if plan.kind != PlanKind::Custom && !parts.entitlements.is_empty() {
                let message = format!("Plan {} is not custom and takes no entitlements", plan.id);
                return Err(Refusal::new(Code::BadUserInput, message));
            }
            if self.shelf.allows_several(plan) && parts.resource_id.is_none() {
                let message = format!("Plan {} needs a resourceId", plan.id);
                return Err(Refusal::new(Code::BadUserInput, message));
            }
        }
        Ok(plan.map(|plan| plan.kind))
    }

    fn known_plan(&self, id: &str) -> Result<Option<&CatalogPlan>, Refusal> {
        match self.shelf.plan(id) {
            Known::Unchecked => Ok(None),
            Known::Yes(plan) => Ok(Some(plan)),
            Known::No => Err(Refusal::new(Code::PlanNotFound, format!("Plan {id} not found"))),
        }
    }

    /// An id for a subscription that came without: new each time, and the same in a run that does the same.
    pub(super) fn new_subscription_id(&self, customer_id: &str, plan_id: &str) -> String {
        let mut nth = self.subscriptions_of(customer_id).len();
        loop {
            let Uuid(uuid) = Uuid::of("subscription-id", &format!("{customer_id}\n{plan_id}\n{nth}"));
            let id = format!("subscription-{plan_id}-{}", &uuid[..8]);
            if self.subscriptions.get(&id).is_none() {
                return id;
            }
            nth += 1;
        }
    }
}

/// Metadata that was checked before.
pub(super) fn stored_metadata(json: Option<&Json>) -> std::collections::BTreeMap<String, String> {
    json.and_then(|json| rules::metadata(&json.0).ok()).unwrap_or_default()
}
