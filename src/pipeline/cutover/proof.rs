//! What has to be true of a replacement before its original may be cancelled.

use crate::ledger::{ParkReason, Parked, Replacement};
use crate::provider::{Interval, Original, OriginalItem};
use crate::sink::ReadSubscription;

/// A replacement that was read back and holds. There is no other way to one than [`look`], and without one nothing is
/// cancelled.
#[derive(Debug)]
pub(super) struct Confirmed {
    subscription_id: String,
    billing_id: String,
}

impl Confirmed {
    /// The replacement's id in Stigg.
    pub(super) fn subscription_id(&self) -> &str {
        &self.subscription_id
    }

    /// Its id at the billing provider.
    pub(super) fn billing_id(&self) -> &str {
        &self.billing_id
    }
}

/// What reading a replacement back showed.
#[derive(Debug)]
pub(super) enum Look {
    /// It holds.
    Holds(Confirmed),
    /// Not yet: it may, a moment later.
    NotYet(String),
    /// It does not, and waiting changes nothing.
    Park(Parked),
}

/// Systems outside Stigg that bill nobody. Any other counts, also one that this release does not know. Source:
/// `VendorIdentifier` of the API's schema, client release 6.25.0, 2026.
const NOT_BILLING: &[&str] = &["AUTH0", "BIG_QUERY", "HUBSPOT", "OPEN_FGA", "PREQUEL", "SALESFORCE", "SNOWFLAKE"];

fn park(reason: ParkReason, detail: impl Into<String>) -> Look {
    Look::Park(Parked { reason, detail: detail.into() })
}

/// Whether what Stigg has is what was to be provisioned: another customer or plan under the same id is not.
pub(super) fn is_ours(read: &ReadSubscription, replacement: &Replacement) -> Result<(), Parked> {
    let differs = |what: &str, theirs: &str, ours: &str| {
        let detail = format!("Stigg has a subscription of this id with {what} {theirs}, not {ours}");
        Err(Parked { reason: ParkReason::OtherSubscription, detail })
    };
    if read.customer_id != replacement.customer_id {
        return differs("customer", &read.customer_id, &replacement.customer_id);
    }
    if read.plan_id != replacement.plan_id {
        return differs("plan", &read.plan_id, &replacement.plan_id);
    }
    let resource = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
    if read.resource_id != replacement.resource_id {
        return differs("resource", &resource(&read.resource_id), &resource(&replacement.resource_id));
    }
    Ok(())
}

/// Looks at a replacement as Stigg has it now. Source of the rule: contract 8 and 12.
pub(super) fn look(read: Option<&ReadSubscription>, replacement: &Replacement) -> Look {
    let Some(read) = read else { return Look::NotYet("Stigg does not list it".to_owned()) };
    if let Err(parked) = is_ours(read, replacement) {
        return Look::Park(parked);
    }
    // Members: `SubscriptionStatus` of the API's schema, client release 6.25.0, 2026.
    match read.status.as_str() {
        "ACTIVE" | "IN_TRIAL" => {}
        "PAYMENT_PENDING" => return park(ParkReason::PaymentRequired, "Stigg waits for a payment"),
        status => return park(ParkReason::NotActive, format!("its status in Stigg is {status}")),
    }
    if let Some(error) = &read.billing_sync_error {
        return park(ParkReason::SyncError, format!("the billing provider refused it: {error}"));
    }
    let mut billing = read.sync_states.iter().filter(|state| !NOT_BILLING.contains(&state.vendor.as_str()));
    if let Some(state) = billing.clone().find(|state| state.status == "ERROR") {
        let why = state.error.as_deref().unwrap_or("it does not say why");
        return park(ParkReason::SyncError, format!("it could not be brought to the billing provider: {why}"));
    }
    if let Some(state) = billing.find(|state| !matches!(state.status.as_str(), "SUCCESS" | "NO_SYNC_REQUIRED")) {
        return Look::NotYet(format!("it is being brought to the billing provider ({})", state.status));
    }
    match read.billing_id.as_deref().filter(|id| !id.is_empty()) {
        None => Look::NotYet("it has no id at the billing provider yet".to_owned()),
        Some(id) if id == replacement.original.id => {
            park(ParkReason::SameAsOriginal, "its id at the billing provider is the original's")
        }
        Some(id) => {
            Look::Holds(Confirmed { subscription_id: replacement.subscription_id.clone(), billing_id: id.to_owned() })
        }
    }
}

/// Whether the provider charges for the replacement what it charges for the original: the same amount in each currency
/// and period, whatever the items are called. `Ok(false)`: it can't be told, because an amount depends on the quantity.
pub(super) fn same_amounts(original: &Original, replacement: &Original) -> Result<bool, Parked> {
    let (Some(old), Some(new)) = (amounts(original), amounts(replacement)) else { return Ok(false) };
    if old == new {
        return Ok(true);
    }
    let text = |amounts: &[Amount]| match amounts {
        [] => "nothing".to_owned(),
        amounts => amounts.iter().map(Amount::text).collect::<Vec<_>>().join(" and "),
    };
    let detail = format!("the original costs {}, the replacement {}", text(&old), text(&new));
    Err(Parked { reason: ParkReason::AmountsDiffer, detail })
}

/// What is charged for a currency in a period, in its smallest unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Amount {
    currency: String,
    period: String,
    minor: rust_decimal::Decimal,
}

impl Amount {
    fn text(&self) -> String {
        format!("{} {} (smallest units) {}", self.minor.normalize(), self.currency, self.period)
    }
}

/// Sums by currency and period; none where one is not known.
fn amounts(subscription: &Original) -> Option<Vec<Amount>> {
    if subscription.more_items {
        return None;
    }
    let mut sums = std::collections::BTreeMap::new();
    for item in &subscription.items {
        let unit = item.unit_amount_minor?;
        let minor = unit.checked_mul(rust_decimal::Decimal::from(item.quantity?))?;
        let sum = sums.entry((item.currency.clone(), period(item))).or_insert(rust_decimal::Decimal::ZERO);
        *sum = sum.checked_add(minor)?;
    }
    let amounts = sums.into_iter().map(|((currency, period), minor)| Amount { currency, period, minor });
    Some(amounts.filter(|amount| !amount.minor.is_zero()).collect())
}

fn period(item: &OriginalItem) -> String {
    let Some((interval, count)) = &item.interval else { return "once".to_owned() };
    // A year and twelve months are the same time.
    let (word, count) = match interval {
        Interval::Day => ("day", *count),
        Interval::Week => ("week", *count),
        Interval::Month if count % 12 == 0 => ("year", count / 12),
        Interval::Month => ("month", *count),
        Interval::Year => ("year", *count),
        Interval::Unknown(word) => (word.as_str(), *count),
    };
    if count == 1 { format!("a {word}") } else { format!("every {count} {word}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::ledger::{OriginalRef, Stage};
    use crate::record::Fingerprint;
    use crate::sink::SyncState;

    fn replacement() -> Replacement {
        Replacement {
            subscription_id: "s".to_owned(),
            customer_id: "ada".to_owned(),
            payer_id: "ada".to_owned(),
            resource_id: None,
            plan_id: "team".to_owned(),
            original: OriginalRef { provider: "stripe".to_owned(), id: "old".to_owned() },
            content: Fingerprint(1),
            stage: Stage::Provisioned,
            billing_id: None,
            attempts: 1,
            changed_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn read(vendor: &str, status: &str) -> ReadSubscription {
        ReadSubscription {
            subscription_id: "s".to_owned(),
            customer_id: "ada".to_owned(),
            plan_id: "team".to_owned(),
            resource_id: None,
            status: "ACTIVE".to_owned(),
            pricing_type: "PAID".to_owned(),
            start_date: None,
            end_date: None,
            billing_period: None,
            billing_id: Some("new".to_owned()),
            billing_sync_error: None,
            sync_states: vec![SyncState { vendor: vendor.to_owned(), status: status.to_owned(), error: None }],
            salesforce_id: None,
            metadata: Map::new(),
            entitlements: Vec::new(),
            addons: Vec::new(),
            created_at: None,
        }
    }

    #[test]
    fn only_systems_that_bill_keep_a_replacement_from_being_proved() {
        for (vendor, status, expected) in [
            ("STRIPE", "SUCCESS", "holds"),
            ("STRIPE", "NO_SYNC_REQUIRED", "holds"),
            ("STRIPE", "PENDING", "not yet"),
            ("STRIPE", "ERROR", "parked"),
            ("ZUORA", "ERROR", "parked"),
            ("SALESFORCE", "ERROR", "holds"),
            ("HUBSPOT", "PENDING", "holds"),
            ("NEW_BILLING", "ERROR", "parked"),
            ("STRIPE", "NEW_WORD", "not yet"),
        ] {
            let found = match look(Some(&read(vendor, status)), &replacement()) {
                Look::Holds(_) => "holds",
                Look::NotYet(_) => "not yet",
                Look::Park(_) => "parked",
            };
            assert_eq!(found, expected, "{vendor} {status}");
        }
    }

    #[test]
    fn one_without_an_id_at_the_provider_is_not_proved() {
        for billing_id in [None, Some(String::new())] {
            let read = ReadSubscription { billing_id, ..read("STRIPE", "SUCCESS") };
            assert!(matches!(look(Some(&read), &replacement()), Look::NotYet(_)));
        }
        assert!(matches!(look(None, &replacement()), Look::NotYet(_)));
    }

    #[test]
    fn amounts_are_the_same_whatever_the_items_are_and_a_year_is_twelve_months() {
        let subscription = |items: &[(i64, Option<u64>, Interval, u32, &str)]| {
            let mut original =
                crate::provider::MemoryProvider::active(&crate::provider::OriginalId::parse("s").expect("an id"), "c");
            original.items = items
                .iter()
                .map(|(minor, quantity, interval, count, currency)| OriginalItem {
                    price_id: "p".to_owned(),
                    product_id: None,
                    quantity: *quantity,
                    unit_amount_minor: Some((*minor).into()),
                    currency: (*currency).to_owned(),
                    interval: Some((interval.clone(), *count)),
                })
                .collect();
            original
        };
        let month = |minor, quantity| (minor, Some(quantity), Interval::Month, 1, "usd");
        let one = subscription(&[month(4900, 2)]);
        for (other, expected) in [
            (subscription(&[month(9800, 1)]), Ok(true)),
            (subscription(&[month(4900, 1), month(4900, 1), month(0, 7)]), Ok(true)),
            (subscription(&[month(4900, 3)]), Err(())),
            (subscription(&[(9800, Some(1), Interval::Month, 1, "eur")]), Err(())),
            (subscription(&[(9800, Some(1), Interval::Year, 1, "usd")]), Err(())),
            (subscription(&[]), Err(())),
            (subscription(&[(9800, None, Interval::Month, 1, "usd")]), Ok(false)),
        ] {
            let same = same_amounts(&one, &other).map_err(|parked| {
                assert_eq!(parked.reason, ParkReason::AmountsDiffer);
            });
            assert_eq!(same, expected, "{other:?}");
        }
        let yearly = subscription(&[(100, Some(1), Interval::Year, 1, "usd")]);
        let twelve = subscription(&[(100, Some(1), Interval::Month, 12, "usd")]);
        assert_eq!(same_amounts(&yearly, &twelve), Ok(true));
    }
}
