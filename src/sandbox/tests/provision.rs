//! Contract 3.4 and 3.6.

use serde_json::{Value, json};

use super::{Api, Settings, catalog};

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
