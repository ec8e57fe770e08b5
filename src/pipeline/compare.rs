//! Compares a record, as the source has it or as it was sent, with what the API has.
//!
//! Only what the record says is compared: the API may know more than the source does.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::sink::{ReadCustomer, ReadEntitlement, ReadSubscription};

/// A field that is not as the source has it (which a run may have sent, or not yet).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// As the source has it.
    pub expected: String,
    /// As the API has it; none where it has nothing.
    pub found: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.found {
            Some(found) => write!(f, "{} is {found}, and should be {}", self.field, self.expected),
            None => write!(f, "{} is missing, and should be {}", self.field, self.expected),
        }
    }
}

/// What differs between a subscription's JSON and the API's.
pub(super) fn subscription(json: &[u8], found: &ReadSubscription) -> Vec<Difference> {
    let sent = Sent::of(json);
    let mut differences = Vec::new();
    sent.text("customerId", Some(&found.customer_id), &mut differences);
    sent.text("planId", Some(&found.plan_id), &mut differences);
    sent.text("resourceId", found.resource_id.as_deref(), &mut differences);
    sent.text("billingPeriod", found.billing_period.as_deref(), &mut differences);
    sent.text("salesforceId", found.salesforce_id.as_deref(), &mut differences);
    sent.time("startDate", found.start_date, &mut differences);
    sent.time("endDate", found.end_date, &mut differences);
    sent.metadata(&found.metadata, &mut differences);
    sent.entitlements(&found.entitlements, &mut differences);
    for addon in sent.list("addons") {
        let id = addon["addonId"].as_str().unwrap_or_default();
        let quantity = addon["quantity"].as_f64();
        let has = found.addons.iter().find(|known| known.addon_id == id);
        if has.is_none_or(|has| quantity.is_some_and(|quantity| quantity != has.quantity)) {
            differences.push(Difference {
                field: format!("addons.{id}"),
                expected: quantity.unwrap_or(1.0).to_string(),
                found: has.map(|has| has.quantity.to_string()),
            });
        }
    }
    differences
}

/// Whether a subscription's status is what its dates say. One that was ended before its time (by another of the customer, by
/// hand, by the billing provider) is not as the source has it.
pub(super) fn status(json: &[u8], found: &ReadSubscription, now: Timestamp) -> Option<Difference> {
    let sent = Sent::of(json);
    let at = |field| sent.0.get(field).and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    let end = at("endDate").or_else(|| at("cancellationDate"));
    let (expected, fits): (_, &[&str]) = if end.is_some_and(|end| end <= now) {
        ("EXPIRED", &["EXPIRED", "CANCELED"])
    } else if at("startDate").is_some_and(|start| start > now) {
        ("NOT_STARTED", &["NOT_STARTED"])
    } else {
        ("ACTIVE", &["ACTIVE", "IN_TRIAL"])
    };
    (!fits.contains(&found.status.as_str())).then(|| Difference {
        field: "status".to_owned(),
        expected: expected.to_owned(),
        found: Some(found.status.clone()),
    })
}

/// What differs between a customer's JSON and the API's.
pub(super) fn customer(json: &[u8], found: &ReadCustomer) -> Vec<Difference> {
    let sent = Sent::of(json);
    let mut differences = Vec::new();
    sent.text("name", found.name.as_deref(), &mut differences);
    sent.text("email", found.email.as_deref(), &mut differences);
    sent.text("billingId", found.billing_id.as_deref(), &mut differences);
    sent.text("salesforceId", found.salesforce_id.as_deref(), &mut differences);
    sent.metadata(&found.metadata, &mut differences);
    differences
}

/// What differs between a usage value's JSON and the API's total.
pub(super) fn usage(json: &[u8], found: Option<f64>) -> Vec<Difference> {
    let sent = Sent::of(json);
    let Some(value) = sent.0.get("value").and_then(Value::as_f64) else { return Vec::new() };
    if found == Some(value) {
        return Vec::new();
    }
    vec![Difference {
        field: "value".to_owned(),
        expected: value.to_string(),
        found: found.map(|found| found.to_string()),
    }]
}

/// When the source changed a record, by which the API skips it where it has a newer one.
pub(super) fn updated_at(json: &[u8]) -> Option<Timestamp> {
    Sent::of(json).0.get("updatedAt").and_then(Value::as_str)?.parse().ok()
}

struct Sent(Map<String, Value>);

impl Sent {
    fn of(json: &[u8]) -> Self {
        match serde_json::from_slice(json) {
            Ok(Value::Object(object)) => Self(object),
            // We wrote it; an unreadable record has no field to compare.
            Ok(_) | Err(_) => Self(Map::new()),
        }
    }

    fn text(&self, field: &str, found: Option<&str>, differences: &mut Vec<Difference>) {
        if let Some(sent) = self.0.get(field).and_then(Value::as_str)
            && found != Some(sent)
        {
            let found = found.map(str::to_owned);
            differences.push(Difference { field: field.to_owned(), expected: sent.to_owned(), found });
        }
    }

    /// Times are compared to the second: whether the API keeps milliseconds is not documented.
    fn time(&self, field: &str, found: Option<Timestamp>, differences: &mut Vec<Difference>) {
        if let Some(text) = self.0.get(field).and_then(Value::as_str)
            && let Ok(sent) = text.parse::<Timestamp>()
            && found.map(Timestamp::as_second) != Some(sent.as_second())
        {
            let found = found.map(|found| found.to_string());
            differences.push(Difference { field: field.to_owned(), expected: text.to_owned(), found });
        }
    }

    fn metadata(&self, found: &Map<String, Value>, differences: &mut Vec<Difference>) {
        let Some(Value::Object(sent)) = self.0.get("additionalMetaData") else { return };
        for (key, value) in sent {
            let has = found.get(key);
            if has.map(plain) != Some(plain(value)) {
                differences.push(Difference {
                    field: format!("additionalMetaData.{key}"),
                    expected: plain(value),
                    found: has.map(plain),
                });
            }
        }
    }

    fn list(&self, field: &str) -> &[Value] {
        self.0.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn entitlements(&self, found: &[ReadEntitlement], differences: &mut Vec<Difference>) {
        for entry in self.list("entitlements") {
            let (id, sent, has) = if let Some(feature) = entry.get("feature") {
                let id = feature["featureId"].as_str().unwrap_or_default();
                let has = found.iter().find_map(|known| match known {
                    ReadEntitlement::Feature { feature_id, usage_limit, .. } if feature_id == id => Some(*usage_limit),
                    ReadEntitlement::Feature { .. } | ReadEntitlement::Credit { .. } | ReadEntitlement::Other => None,
                });
                (id, feature["usageLimit"].as_f64(), has)
            } else {
                let credit = &entry["credit"];
                let id = credit["customCurrencyId"].as_str().unwrap_or_default();
                let has = found.iter().find_map(|known| match known {
                    ReadEntitlement::Credit { currency_id, amount, .. } if currency_id == id => Some(Some(*amount)),
                    ReadEntitlement::Feature { .. } | ReadEntitlement::Credit { .. } | ReadEntitlement::Other => None,
                });
                (id, credit["amount"].as_f64(), has)
            };
            let differs = match (sent, has) {
                (_, None) => true,
                (Some(sent), Some(has)) => has != Some(sent),
                (None, Some(_)) => false,
            };
            if differs {
                let show =
                    |number: Option<f64>| number.map_or_else(|| "no limit".to_owned(), |number| number.to_string());
                differences.push(Difference {
                    field: format!("entitlements.{id}"),
                    expected: show(sent),
                    found: has.map(show),
                });
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> ReadSubscription {
        ReadSubscription {
            subscription_id: "s".into(),
            customer_id: "c".into(),
            plan_id: "plan-a".into(),
            resource_id: None,
            status: "ACTIVE".into(),
            pricing_type: "FREE".into(),
            start_date: "2026-01-01T00:00:00Z".parse().ok(),
            end_date: None,
            billing_period: None,
            billing_id: None,
            billing_sync_error: None,
            sync_states: Vec::new(),
            salesforce_id: None,
            metadata: Map::from_iter([("legacy".to_owned(), Value::from("1"))]),
            entitlements: Vec::new(),
            addons: Vec::new(),
            created_at: None,
        }
    }

    #[test]
    fn what_was_not_sent_is_not_compared() {
        assert_eq!(subscription(br#"{"subscriptionId":"s","customerId":"c","planId":"plan-a"}"#, &read()), []);
    }

    #[test]
    fn a_status_has_to_be_what_the_dates_say() {
        let now: Timestamp = "2026-06-30T12:00:00Z".parse().unwrap();
        let status = |json: &str, status: &str| {
            let found = ReadSubscription { status: status.to_owned(), ..read() };
            super::status(json.as_bytes(), &found, now).map(|difference| difference.expected)
        };
        assert_eq!(status("{}", "ACTIVE"), None);
        assert_eq!(status("{}", "IN_TRIAL"), None);
        assert_eq!(status("{}", "CANCELED").as_deref(), Some("ACTIVE"));
        assert_eq!(status(r#"{"endDate":"2026-06-30T12:00:01.000Z"}"#, "EXPIRED").as_deref(), Some("ACTIVE"));
        assert_eq!(status(r#"{"endDate":"2026-06-30T12:00:00.000Z"}"#, "EXPIRED"), None);
        assert_eq!(status(r#"{"endDate":"2026-06-30T12:00:00.000Z"}"#, "ACTIVE").as_deref(), Some("EXPIRED"));
        assert_eq!(status(r#"{"startDate":"2026-07-01T00:00:00.000Z"}"#, "NOT_STARTED"), None);
        assert_eq!(status(r#"{"startDate":"2026-07-01T00:00:00.000Z"}"#, "ACTIVE").as_deref(), Some("NOT_STARTED"));
    }

    #[test]
    fn every_sent_field_is_compared() {
        let sent = br#"{"customerId":"d","planId":"plan-b","resourceId":"r","startDate":"2026-01-02T00:00:00.000Z",
            "endDate":"2026-02-01T00:00:00.000Z","billingPeriod":"MONTHLY","additionalMetaData":{"legacy":"2"},
            "addons":[{"addonId":"x","quantity":2}],"entitlements":[{"feature":{"featureId":"f","usageLimit":3}}]}"#;
        let fields: Vec<String> = subscription(sent, &read()).into_iter().map(|difference| difference.field).collect();
        assert_eq!(
            fields,
            [
                "customerId",
                "planId",
                "resourceId",
                "billingPeriod",
                "startDate",
                "endDate",
                "additionalMetaData.legacy",
                "entitlements.f",
                "addons.x"
            ]
        );
    }
}
