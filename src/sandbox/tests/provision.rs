//! Contract 3.4 and 3.6.

use serde_json::{Value, json};

use super::{Api, Settings, catalog};
use crate::sandbox::{CatalogPrice, StripeCustomer, StripeItem, StripeSnapshot, StripeSubscription};

async fn with_ada(api: Api) -> Api {
    api.customers(json!([{ "customerId": "ada", "billingId": "cus_ada" }, { "customerId": "bob" }])).await.ok();
    api
}

fn paid(customer: &str, id: &str) -> Value {
    json!({
        "customerId": customer, "planId": "paid", "subscriptionId": id, "billingPeriod": "MONTHLY",
        "startDate": "2026-01-15T00:00:00.000Z", "unitQuantity": 3,
        "billingInformation": { "isBackdated": true, "metadata": { "migrated": "yes" } },
    })
}

#[tokio::test]
async fn a_backdated_paid_subscription_gets_its_own_billing_id() {
    let api = with_ada(Api::with_catalog("")).await;

    let got = api.provision(paid("ada", "s")).await.ok();

    let result = &got["provisionSubscription"];
    assert_eq!((&result["status"], &result["isScheduled"]), (&json!("SUCCESS"), &json!(false)));
    assert!(result["subscription"]["billingId"].as_str().unwrap().starts_with("sub_stigg_"));
    let stored = &api.sandbox.snapshot().subscriptions["s"];
    assert!(!stored.billed_again);
    assert_eq!(stored.provisioned.as_ref().unwrap().0["billingInformation"]["metadata"]["migrated"], "yes");
    let read = api
        .query("{ getSubscription(input: {subscriptionId: \"s\"}) { currentBillingPeriodEnd prices { usageLimit } syncStates { status vendorIdentifier } } }")
        .await
        .ok();
    assert_eq!(read["getSubscription"]["currentBillingPeriodEnd"], "2026-06-15T00:00:00.000Z");
    assert_eq!(read["getSubscription"]["prices"][0]["usageLimit"], 3.0);
    assert_eq!(read["getSubscription"]["syncStates"], json!([{ "status": "SUCCESS", "vendorIdentifier": "STRIPE" }]));
}

#[tokio::test]
async fn a_past_start_without_backdating_bills_again() {
    let api = with_ada(Api::with_catalog("")).await;
    let mut input = paid("ada", "s");
    input["billingInformation"] = json!({});

    api.provision(input).await.ok();

    assert!(api.sandbox.snapshot().subscriptions["s"].billed_again);
}

#[tokio::test]
async fn a_customer_who_cannot_pay_gets_a_checkout_and_nothing_is_written() {
    let listed =
        Settings { catalog: Some(catalog()), without_payment_method: ["ada".to_owned()].into(), ..Settings::default() };
    for (api, customer) in [(Api::with_catalog(""), "bob"), (Api::new(listed), "ada")] {
        let api = with_ada(api).await;

        let got = api.provision(paid(customer, "s")).await.ok();

        let result = &got["provisionSubscription"];
        assert_eq!(result["status"], "PAYMENT_REQUIRED");
        assert!(result["checkoutUrl"].is_string() && result["subscription"].is_null());
        assert!(api.sandbox.snapshot().subscriptions.is_empty());
    }
}

#[tokio::test]
async fn wrong_input_is_refused() {
    let api = with_ada(Api::with_catalog("")).await;
    let with = |field: &str, value: Value| {
        let mut input = paid("ada", "s");
        input[field] = value;
        input
    };
    let bad = [
        (with("customerId", json!("eve")), "CustomerNotFound"),
        (with("planId", json!("nope")), "PlanNotFound"),
        (with("billingPeriod", json!(null)), "BillingPeriodMissingError"),
        (with("refId", json!("other")), "EntityIdDifferentFromRefIdError"),
        (with("unitQuantity", json!(-1)), "InvalidQuantity"),
        (with("addons", json!([{ "addonId": "x" }])), "AddonNotFound"),
        (with("entitlements", json!([{ "feature": { "featureId": "seats" } }])), "BadUserInput"),
        (with("billingInformation", json!({ "metadata": { "n": 1 } })), "InvalidMetadataError"),
        (with("billingPeriod", json!("MONTH")), "BadUserInput"),
    ];
    for (input, code) in bad {
        assert_eq!(api.provision(input.clone()).await.code(), code, "{input}");
    }
    assert!(api.sandbox.snapshot().subscriptions.is_empty());
}

#[tokio::test]
async fn a_known_id_can_be_switched() {
    let existing = with_ada(Api::plain()).await;
    let refused = with_ada(Api::unknown("known-subscription=refused")).await;
    let second = with_ada(Api::unknown("known-subscription=second")).await;
    for api in [&existing, &refused, &second] {
        api.provision(paid("ada", "s")).await.ok();
    }

    let again = existing.provision(paid("ada", "s")).await.ok();
    assert_eq!(again["provisionSubscription"]["subscription"]["subscriptionId"], "s");
    assert_eq!(existing.sandbox.stats().keys["subscription:s"].applied, 1);
    assert_eq!(refused.provision(paid("ada", "s")).await.code(), "DuplicatedEntityNotAllowed");
    second.provision(paid("ada", "s")).await.ok();
    assert_eq!(second.sandbox.snapshot().subscriptions.len(), 2);
}

#[tokio::test]
async fn a_new_subscription_ends_the_old_one_of_the_same_resource() {
    let api = with_ada(Api::plain()).await;
    api.provision(paid("ada", "old")).await.ok();
    let mut other = paid("ada", "other");
    other["resourceId"] = json!("r");
    api.provision(other).await.ok();

    api.provision(paid("ada", "new")).await.ok();

    let got = api.query("{ subscriptions(filter: {status: {eq: ACTIVE}}, sorting: [{field: createdAt, direction: ASC}]) { edges { node { subscriptionId } } } }").await.ok();
    let active: Vec<_> =
        got["subscriptions"]["edges"].as_array().unwrap().iter().map(|e| &e["node"]["subscriptionId"]).collect();
    assert_eq!(active, ["other", "new"]);
}

#[tokio::test]
async fn a_future_start_is_scheduled() {
    let api = with_ada(Api::plain()).await;
    let mut input = paid("ada", "s");
    input["startDate"] = json!("2027-01-01T00:00:00Z");

    let got = api.provision(input).await.ok();

    assert_eq!(got["provisionSubscription"]["isScheduled"], true);
    assert_eq!(got["provisionSubscription"]["subscription"]["status"], "NOT_STARTED");
}

#[tokio::test]
async fn cancelling_follows_its_time() {
    let api = with_ada(Api::plain()).await;
    for id in ["now", "dated", "period"] {
        let mut input = paid("ada", id);
        input["resourceId"] = json!(id);
        api.provision(input).await.ok();
    }
    let cancel = async |input: Value| api.run("CancelSubscription", json!({ "input": input })).await;

    let now = cancel(json!({ "subscriptionRefId": "now" })).await.ok();
    assert_eq!(now["cancelSubscription"]["status"], "CANCELED");
    assert_eq!(cancel(json!({ "subscriptionRefId": "now" })).await.code(), "SubscriptionAlreadyCanceledOrExpired");
    assert_eq!(cancel(json!({ "subscriptionRefId": "nope" })).await.code(), "SubscriptionNotFound");
    let dated = json!({ "subscriptionRefId": "dated", "subscriptionCancellationTime": "SPECIFIC_DATE" });
    assert_eq!(cancel(dated.clone()).await.code(), "InvalidCancellationDate");
    let mut dated = dated;
    dated["endDate"] = json!("2026-12-01T00:00:00Z");
    assert_eq!(cancel(dated).await.ok()["cancelSubscription"]["status"], "ACTIVE");
    cancel(json!({ "subscriptionRefId": "period", "subscriptionCancellationTime": "END_OF_BILLING_PERIOD" }))
        .await
        .ok();
    let read = api.query("{ getSubscription(input: {subscriptionId: \"period\"}) { effectiveEndDate } }").await.ok();
    assert_eq!(read["getSubscription"]["effectiveEndDate"], "2026-06-15T00:00:00.000Z");
}

/// An item of so many cents.
fn item(unit_amount: i64, quantity: u64) -> StripeItem {
    StripeItem {
        price: "price_old".to_owned(),
        product: "prod_old".to_owned(),
        quantity: Some(quantity),
        unit_amount,
        currency: "eur".to_owned(),
        interval: "month".to_owned(),
    }
}

/// A subscription of Ada's at Stripe, which began so many seconds after 1970.
fn original(id: &str, start_date: i64, items: Vec<StripeItem>) -> StripeSubscription {
    StripeSubscription {
        id: id.to_owned(),
        customer: "cus_ada".to_owned(),
        status: "active".to_owned(),
        created: start_date,
        start_date,
        current_period_end: start_date + 1,
        canceled_at: None,
        ended_at: None,
        cancel_at_period_end: false,
        schedule: None,
        items,
        metadata: serde_json::Map::new(),
    }
}

/// 2026-01-15, when everything here begins.
const START_S: i64 = 1_768_435_200;

#[tokio::test]
async fn a_paid_subscription_is_made_at_stripe_and_costs_what_the_one_does_that_began_when_it_did() {
    let api = with_ada(Api::plain()).await;
    let mut ended = original("sub_ended", START_S, vec![item(1, 1)]);
    "canceled".clone_into(&mut ended.status);
    let originals = [
        ended,
        original("sub_same", START_S, vec![item(1500, 2), item(700, 1)]),
        original("sub_newer", START_S + 9, vec![item(2, 1)]),
    ];
    api.sandbox.stripe().load(StripeSnapshot { subscriptions: originals.to_vec(), ..StripeSnapshot::default() });

    let got = api.provision(paid("ada", "s")).await.ok();

    let id = got["provisionSubscription"]["subscription"]["billingId"].as_str().unwrap().to_owned();
    let made = api.sandbox.stripe().snapshot().subscriptions;
    let mut expected = original(&id, START_S, vec![item(1500, 2), item(700, 1)]);
    // The sandbox's noon, and the end of the month that runs then.
    (expected.created, expected.current_period_end) = (1_780_315_200, 1_781_481_600);
    expected.metadata.insert("migrated".to_owned(), "yes".into());
    assert_eq!(made[3..], [expected]);

    api.provision(paid("ada", "s")).await.ok();
    assert_eq!(api.sandbox.stripe().snapshot().subscriptions.len(), 4, "one that exists is not made again");
}

#[tokio::test]
async fn at_stripe_the_price_of_the_catalog_counts_where_it_has_one() {
    let mut catalog = catalog();
    let price = |billing_period: &str, unit_amount: i64| -> CatalogPrice {
        serde_json::from_value(json!({ "billing_period": billing_period, "unit_amount": unit_amount })).unwrap()
    };
    let plan = catalog.plans.iter_mut().find(|plan| plan.id == "paid").unwrap();
    plan.prices = vec![price("ANNUALLY", 15_000), price("MONTHLY", 1_500)];
    let api = with_ada(Api::new(Settings { catalog: Some(catalog), ..Settings::default() })).await;
    let originals = vec![original("sub_same", START_S, vec![item(700, 1)])];
    api.sandbox.stripe().load(StripeSnapshot { subscriptions: originals, ..StripeSnapshot::default() });

    api.provision(paid("ada", "s")).await.ok();

    let made = api.sandbox.stripe().snapshot().subscriptions.remove(1);
    assert_eq!((made.items.len(), made.items[0].unit_amount, made.items[0].quantity), (1, 1_500, Some(3)));
    assert_eq!((made.items[0].interval.as_str(), made.items[0].currency.as_str()), ("month", "usd"));
}

#[tokio::test]
async fn nothing_is_made_at_stripe_for_whom_it_does_not_know_or_before_it_begins() {
    let api = with_ada(Api::plain()).await;
    api.provision(paid("ada", "unknown-there")).await.ok();
    assert_eq!(api.sandbox.stripe().snapshot(), StripeSnapshot::default());

    let ada: StripeCustomer = serde_json::from_value(json!({ "id": "cus_ada", "created": 1 })).unwrap();
    api.sandbox.stripe().load(StripeSnapshot { customers: vec![ada], ..StripeSnapshot::default() });
    let mut later = paid("ada", "later");
    later["startDate"] = json!("2027-01-15T00:00:00.000Z");
    api.provision(later).await.ok();
    let mut of_other = paid("bob", "bob-s");
    of_other["payingCustomerId"] = json!("ada");
    api.provision(of_other).await.ok();

    let made = api.sandbox.stripe().snapshot().subscriptions;
    assert_eq!(made.iter().map(|one| (one.customer.as_str(), one.items.len())).collect::<Vec<_>>(), [("cus_ada", 0)]);
}
