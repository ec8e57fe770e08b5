//! What makes a value acceptable: ids, e-mail addresses, metadata, quantities (contract 3.1, 3.2, 3.5, 4).

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::error::{Code, Refusal};
use super::wire::terms::SubscriptionEntitlementInputV2;

/// Most characters of an id, a name or an e-mail address. Contract 3.1, 3.2: REST pages.
pub(crate) const TEXT_CHARS_MAX: usize = 255;
/// Most customers in one request. Contract 3.1.
pub(crate) const CUSTOMERS_MAX: usize = 1000;
/// Most subscriptions in one request. Contract 3.2: REST; GraphQL unknown.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 1000;
/// Most usage records in one request. Contract 3.5.
pub(crate) const USAGES_MAX: usize = 100;
/// Most events in one request. Contract 3.5.
pub(crate) const EVENTS_MAX: usize = 1000;
/// Most bytes of an event. Contract 3.5: 1 MB.
pub(crate) const EVENT_BYTES_MAX: usize = 1_000_000;
/// Most resources in one question. Contract 8.
pub(crate) const RESOURCE_IDS_MAX: usize = 100;
/// Largest usage value, 2^53 − 1. Contract 3.5.
pub(crate) const VALUE_MAX: f64 = 9_007_199_254_740_991.0;

type Checked = Result<(), Refusal>;

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadUserInput, message)
}

/// How many rows a bulk request has: at least one, at most `most`.
pub(crate) fn row_count(rows: usize, most: usize, what: &str) -> Checked {
    if rows == 0 {
        return Err(bad(format!("{what} must not be empty")));
    }
    if rows > most {
        return Err(bad(format!("{what} must contain no more than {most} elements")));
    }
    Ok(())
}

/// `field` is 1 to 255 characters long.
pub(crate) fn text(field: &str, value: &str) -> Checked {
    let chars = value.chars().count();
    if chars == 0 || chars > TEXT_CHARS_MAX {
        return Err(bad(format!("{field} must be between 1 and {TEXT_CHARS_MAX} characters")));
    }
    Ok(())
}

/// `field` has at least one character.
pub(crate) fn not_empty(field: &str, value: &str) -> Checked {
    if value.is_empty() { Err(bad(format!("{field} must not be empty"))) } else { Ok(()) }
}

/// An object of strings, numbers and booleans.
pub(crate) fn dimensions(value: &Value) -> Checked {
    let plain = value.as_object().is_some_and(|object| {
        object.values().all(|value| value.is_string() || value.is_number() || value.is_boolean())
    });
    if plain { Ok(()) } else { Err(bad("dimensions must be an object of strings, numbers and booleans")) }
}

fn pattern(field: &str, value: &str, more: &[u8]) -> Checked {
    text(field, value)?;
    let bytes = value.as_bytes();
    let holds = bytes[0].is_ascii_alphanumeric()
        && bytes[1..].iter().all(|byte| byte.is_ascii_alphanumeric() || more.contains(byte));
    if holds { Ok(()) } else { Err(bad(format!("{field} has characters that are not allowed"))) }
}

/// `^[a-zA-Z0-9][a-zA-Z0-9_|.@-]*$`
pub(crate) fn customer_id(value: &str) -> Checked {
    pattern("customerId", value, b"_|.@-")
}

/// `^[a-zA-Z0-9][a-zA-Z0-9_|.-]*$`
pub(crate) fn plan_id(value: &str) -> Checked {
    pattern("planId", value, b"_|.-")
}

/// An e-mail address as a mail server would take it, without quoted local parts.
pub(crate) fn email(value: &str) -> Checked {
    text("email", value)?;
    let holds = value.rsplit_once('@').is_some_and(|(local, domain)| {
        let local_holds = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c));
        let labels: Vec<&str> = domain.split('.').collect();
        local_holds
            && labels.len() > 1
            && labels.iter().all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            })
    });
    if holds { Ok(()) } else { Err(bad("email must be an email")) }
}

/// An object whose values are strings (contract 11).
pub(crate) fn metadata(value: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let refused = || Refusal::new(Code::InvalidMetadataError, "metadata must be an object with string values");
    let object = value.as_object().ok_or_else(refused)?;
    object
        .iter()
        .map(|(key, value)| value.as_str().map(|text| (key.clone(), text.to_owned())).ok_or_else(refused))
        .collect()
}

/// A quantity is a finite number from 0.
pub(crate) fn quantity(field: &str, value: f64) -> Checked {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Refusal::new(Code::InvalidQuantity, format!("{field} must not be negative")))
}

/// Exactly one of feature or credit, and a reset configuration that fits its period (contract 4).
pub(crate) fn entitlement(entry: &SubscriptionEntitlementInputV2) -> Checked {
    match (&entry.feature, &entry.credit) {
        (Some(feature), None) => {
            let period_fits = feature.reset_period.is_some()
                || (feature.yearly_reset_period_configuration.is_none()
                    && feature.monthly_reset_period_configuration.is_none()
                    && feature.weekly_reset_period_configuration.is_none());
            if !period_fits {
                let message = "a reset period configuration needs a reset period";
                return Err(Refusal::new(Code::InvalidEntitlementResetPeriod, message));
            }
            feature.usage_limit.map_or(Ok(()), |limit| quantity("usageLimit", limit))
        }
        (None, Some(credit)) => quantity("amount", credit.amount),
        (Some(_), Some(_)) | (None, None) => Err(bad("an entitlement must have exactly one of feature or credit")),
    }
}

/// No id comes twice in one request.
pub(crate) fn distinct<'a>(field: &str, ids: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            let message = format!("{field} comes more than once in the request");
            return Err(Refusal::new(Code::DuplicatedEntityNotAllowed, message));
        }
    }
    Ok(())
}
