//! Records as they were sent, read back as the API would answer them.

use serde_json::{Map, Value};

use crate::sink::{ReadAddon, ReadCustomer, ReadEntitlement, ReadSubscription};

pub(super) fn text(json: &Value, field: &str) -> String {
    json[field].as_str().unwrap_or_default().to_owned()
}

fn maybe(json: &Value, field: &str) -> Option<String> {
    json[field].as_str().map(str::to_owned)
}

fn time(json: &Value, field: &str) -> Option<jiff::Timestamp> {
    json[field].as_str()?.parse().ok()
}

fn metadata(json: &Value) -> Map<String, Value> {
    json["additionalMetaData"].as_object().cloned().unwrap_or_default()
}

fn list<'a>(json: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    json[field].as_array().into_iter().flatten()
}

pub(super) fn customer(id: &str, json: &Value) -> ReadCustomer {
    ReadCustomer {
        customer_id: id.to_owned(),
        name: maybe(json, "name"),
        email: maybe(json, "email"),
        billing_id: maybe(json, "billingId"),
        salesforce_id: maybe(json, "salesforceId"),
        metadata: metadata(json),
        updated_at: time(json, "updatedAt"),
    }
}

pub(super) fn subscription(id: &str, json: &Value) -> ReadSubscription {
    ReadSubscription {
        subscription_id: id.to_owned(),
        customer_id: text(json, "customerId"),
        plan_id: text(json, "planId"),
        resource_id: maybe(json, "resourceId"),
        status: maybe(json, "status").unwrap_or_else(|| "ACTIVE".to_owned()),
        pricing_type: maybe(json, "pricingType").unwrap_or_else(|| "FREE".to_owned()),
        start_date: time(json, "startDate"),
        end_date: time(json, "endDate"),
        billing_period: maybe(json, "billingPeriod"),
        billing_id: maybe(json, "billingId"),
        billing_sync_error: maybe(json, "billingSyncError"),
        sync_states: Vec::new(),
        salesforce_id: maybe(json, "salesforceId"),
        metadata: metadata(json),
        entitlements: list(json, "entitlements").map(entitlement).collect(),
        addons: list(json, "addons")
            .map(|json| ReadAddon {
                addon_id: text(json, "addonId"),
                quantity: json["quantity"].as_f64().unwrap_or(1.0),
            })
            .collect(),
        created_at: None,
    }
}

fn entitlement(json: &Value) -> ReadEntitlement {
    let (feature, credit) = (&json["feature"], &json["credit"]);
    if feature.is_object() {
        ReadEntitlement::Feature {
            feature_id: text(feature, "featureId"),
            usage_limit: feature["usageLimit"].as_f64(),
            unlimited: feature["hasUnlimitedUsage"].as_bool().unwrap_or(false),
            reset_period: maybe(feature, "resetPeriod"),
        }
    } else {
        ReadEntitlement::Credit {
            currency_id: text(credit, "customCurrencyId"),
            amount: credit["amount"].as_f64().unwrap_or(0.0),
            cadence: text(credit, "cadence"),
        }
    }
}
