//! What a customer gets, and how much of it is used.

use std::collections::BTreeMap;

use super::objects::{
    CreditEntitlement, EntitlementCurrency, EntitlementFeature, EntitlementUnion, FeatureEntitlement,
};
use super::scalars::DateTime;
use super::terms::SubscriptionFeatureEntitlementInput;
use super::view::View;

/// What a customer gets: what its active subscriptions grant, and each feature that has usage. What a plan grants is
/// not in the catalog, so a feature that no subscription grants is shown as unlimited.
pub(super) fn entitlements(view: &View<'_>, customer_id: &str, resource_id: Option<&str>) -> Vec<EntitlementUnion> {
    let store = view.store;
    let mut features = BTreeMap::new();
    let mut credits = Vec::new();
    let granting = store
        .subscriptions_of(customer_id)
        .iter()
        .filter_map(|position| store.subscriptions.at(*position))
        .filter(|row| row.content().is_active(row.created_ms, view.now_ms))
        .filter(|row| row.content().resource_id.as_deref() == resource_id);
    for entry in granting.flat_map(|row| &row.content().entitlements) {
        if let Some(feature) = &entry.feature {
            features.insert(feature.feature_id.clone(), Some(feature));
        }
        if let Some(credit) = &entry.credit {
            credits.push(EntitlementUnion::Credit(CreditEntitlement {
                currency: EntitlementCurrency {
                    currency_id: credit.custom_currency_id.clone(),
                    display_name: view.currency(&credit.custom_currency_id).display_name,
                },
                current_usage: Some(0.0),
                has_soft_limit: credit.has_soft_limit,
                is_granted: true,
                usage_limit: Some(credit.amount),
            }));
        }
    }
    let used = store.usage_of(customer_id, resource_id);
    for (feature_id, _) in &used {
        features.entry((*feature_id).to_owned()).or_insert(None);
    }
    let feature = |(id, granted): (String, Option<&SubscriptionFeatureEntitlementInput>)| {
        let usage = used.iter().find(|(feature_id, _)| **feature_id == id).map(|(_, usage)| usage);
        let current = usage.map_or(0.0, |usage| usage.value);
        let unlimited = granted.is_none_or(|granted| granted.has_unlimited_usage == Some(true));
        let limit = granted.and_then(|granted| granted.usage_limit);
        let soft = granted.and_then(|granted| granted.has_soft_limit);
        let known = view.feature(&id);
        EntitlementUnion::Feature(FeatureEntitlement {
            current_usage: Some(current),
            enum_values: granted.and_then(|granted| granted.enum_values.clone()),
            feature: Some(EntitlementFeature {
                display_name: known.display_name,
                feature_status: known.feature_status,
                feature_type: known.feature_type,
                id: known.id,
                meter_type: known.meter_type,
                ref_id: known.ref_id,
            }),
            has_soft_limit: soft,
            has_unlimited_usage: unlimited,
            is_granted: unlimited || soft == Some(true) || limit.is_none_or(|limit| current <= limit),
            reset_period: granted.and_then(|granted| granted.reset_period),
            usage_limit: limit,
            usage_period_end: None,
            usage_period_start: None,
            usage_updated_at: usage.map(|usage| DateTime(usage.at_ms)),
        })
    };
    features.into_iter().map(feature).chain(credits).collect()
}
