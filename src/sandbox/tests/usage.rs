//! Contract 3.5 and 5.

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::{Value, json};

use super::{Api, Settings, some_customers};

async fn with_ada(api: Api) -> Api {
    api.customers(json!([{ "customerId": "ada" }])).await.ok();
    api
}

fn row(value: Value, more: Value) -> Value {
    let mut row = json!({ "customerId": "ada", "featureId": "seats", "value": value });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

fn set(value: f64) -> Value {
    row(json!(value), json!({ "updateBehavior": "SET" }))
}

fn current(api: &Api) -> f64 {
    api.sandbox.snapshot().usage["ada"]["seats"][""]
}

#[tokio::test]
async fn set_replaces_and_delta_adds_and_is_the_default() {
    let api = with_ada(Api::plain()).await;

    api.usage(json!([set(5.0)])).await.ok();
    api.usage(json!([set(5.0)])).await.ok();
    assert_eq!(current(&api), 5.0);

    let got =
        api.usage(json!([row(json!(2), json!({})), row(json!(-1), json!({ "updateBehavior": "DELTA" }))])).await.ok();
    assert_eq!(current(&api), 6.0);
    assert_eq!(got["reportUsageBulk"][0]["currentUsage"], 7.0);
    assert_eq!(got["reportUsageBulk"][1]["value"], -1.0);
    assert_eq!(api.sandbox.stats().keys["usage:ada/seats"].applied, 4);
}

#[tokio::test]
async fn a_repeated_delta_with_its_key_changes_nothing() {
    let api = with_ada(Api::plain()).await;
    let keyed = |key: &str| json!([row(json!(2), json!({ "idempotencyKey": key }))]);

    api.usage(keyed("a")).await.ok();
    api.usage(keyed("a")).await.ok();
    api.usage(keyed("b")).await.ok();

    assert_eq!(current(&api), 4.0);
    assert_eq!(api.sandbox.stats().operations["reportUsageBulk"].rows_skipped, 1);
}

#[tokio::test]
async fn resources_have_their_own_usage() {
    let api = with_ada(Api::plain()).await;

    api.usage(json!([set(1.0), row(json!(2), json!({ "resourceId": "r" }))])).await.ok();

    let seats = &api.sandbox.snapshot().usage["ada"]["seats"];
    assert_eq!((seats[""], seats["r"]), (1.0, 2.0));
    let one = api.query(
        "mutation { reportUsage(input: {customerId: \"ada\", featureId: \"seats\", value: 1}) { currentUsage } }",
    );
    assert_eq!(one.await.ok()["reportUsage"]["currentUsage"], 2.0);
}

#[tokio::test]
async fn bad_rows_refuse_the_batch() {
    let api = with_ada(Api::with_catalog("")).await;
    let bad = [
        (json!({ "customerId": "eve" }), "CustomerNotFound"),
        (json!({ "featureId": "x" }), "FeatureNotFound"),
        (json!({ "featureId": "calls" }), "CannotReportUsageForEntitlementWithMeterError"),
        (json!({ "featureId": "sso" }), "MeteringNotAvailableForFeatureType"),
        (json!({}), "NoActiveSubscriptionForCustomer"),
        (json!({ "value": 9_007_199_254_740_992.0 }), "BadUserInput"),
        (json!({ "value": -9_007_199_254_740_992.0 }), "BadUserInput"),
        (json!({ "dimensions": { "a": [1] } }), "BadUserInput"),
    ];
    for (more, code) in bad {
        assert_eq!(api.usage(json!([row(json!(1), more.clone())])).await.code(), code, "{more}");
    }
    let negative = with_ada(Api::plain()).await.usage(json!([set(-1.0)])).await;
    assert_eq!(negative.code(), "InvalidQuantity");
    assert!(api.sandbox.snapshot().usage.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_active_subscription_of_the_resource_opens_usage() {
    let api = with_ada(Api::with_catalog("")).await;
    api.imported(json!([{ "customerId": "ada", "planId": "many", "subscriptionId": "s", "resourceId": "r" }])).await;

    assert_eq!(api.usage(json!([set(1.0)])).await.code(), "NoActiveSubscriptionForCustomer");
    api.usage(json!([row(json!(1), json!({ "resourceId": "r" }))])).await.ok();

    let state = api.run("Entitlements", json!({ "query": { "customerId": "ada" } })).await.ok();
    assert_eq!(state["entitlementsState"]["accessDeniedReason"], "NoActiveSubscription");
    let unknown = api.run("Entitlements", json!({ "query": { "customerId": "eve" } })).await.ok();
    assert_eq!(unknown["entitlementsState"]["accessDeniedReason"], "CustomerNotFound");
}

#[tokio::test]
async fn what_is_kept_of_a_bad_batch_can_be_switched() {
    for (choice, kept) in [("all-or-nothing", vec![]), ("before-bad-kept", vec!["c0"]), ("good-kept", vec!["c0", "c1"])]
    {
        let api = Api::unknown(&format!("usage-batch={choice}"));
        api.customers(some_customers(2)).await.ok();

        let rows: Value = ["c0", "eve", "c1"]
            .map(|id| json!({ "customerId": id, "featureId": "f", "value": 1 }))
            .into_iter()
            .collect();

        assert_eq!(api.usage(rows).await.code(), "CustomerNotFound");
        assert_eq!(api.sandbox.snapshot().usage.keys().collect::<Vec<_>>(), kept, "{choice}");
    }
}

#[tokio::test]
async fn whole_requests_are_refused() {
    let api = with_ada(Api::plain()).await;
    let rows = |count: usize| (0..count).map(|_| set(1.0)).collect::<Value>();

    assert_eq!(api.usage(rows(0)).await.code(), "BadUserInput");
    assert_eq!(api.usage(rows(101)).await.code(), "BadUserInput");
    api.usage(rows(100)).await.ok();
}

#[tokio::test]
async fn older_and_repeated_sets_can_be_ignored() {
    let at = |value: u32, at: &str| json!([row(json!(value), json!({ "updateBehavior": "SET", "createdAt": at }))]);
    for (choice, expected) in [("applied", 1.0), ("ignored", 2.0)] {
        let api = with_ada(Api::unknown(&format!("older-set={choice}"))).await;
        api.usage(at(2, "2026-02-01T00:00:00Z")).await.ok();
        api.usage(at(1, "2026-01-01T00:00:00Z")).await.ok();
        assert_eq!(current(&api), expected);
    }
    let keyed = |value: u32| json!([row(json!(value), json!({ "updateBehavior": "SET", "idempotencyKey": "k" }))]);
    for (choice, expected) in [("applied", 1.0), ("ignored", 2.0)] {
        let api = with_ada(Api::unknown(&format!("repeated-set={choice}"))).await;
        api.usage(keyed(2)).await.ok();
        api.usage(keyed(1)).await.ok();
        assert_eq!(current(&api), expected);
    }
}

#[tokio::test]
async fn an_older_server_refuses_idempotency_keys() {
    let api = with_ada(Api::unknown("schema-age=before-usage-keys")).await;

    let got = api.usage(json!([row(json!(1), json!({ "idempotencyKey": "k" }))])).await;

    assert_eq!(got.code(), "BadUserInput");
    assert!(got.json["errors"][0]["message"].as_str().unwrap().contains("idempotencyKey"));
    api.usage(json!([set(1.0)])).await.ok();
}

#[tokio::test]
async fn the_largest_integers_stay_exact() {
    let api = Api::new(Settings::default());
    api.customers(some_customers(3)).await.ok();
    let largest = 9_007_199_254_740_991_u64;
    let rows: Value = (0..3)
        .map(|n| json!({ "customerId": format!("c{n}"), "featureId": "f", "value": largest, "updateBehavior": "SET" }))
        .collect();

    api.usage(rows).await.ok();

    let snapshot = api.sandbox.snapshot();
    assert_eq!(snapshot.usage_totals()["f"].to_string(), (largest * 3).to_string());
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<super::super::Snapshot>(&text).unwrap(), snapshot);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_order_of_distinct_sets_and_any_repeat_end_the_same(
        values in prop::collection::vec(0_u32..1000, 1..20),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let once = Api::plain();
            let again = Api::plain();
            let rows: Vec<Value> = values.iter().enumerate().map(|(n, value)| {
                json!({ "customerId": format!("c{n}"), "featureId": "f", "value": value, "updateBehavior": "SET" })
            }).collect();
            for api in [&once, &again] {
                api.customers(some_customers(values.len())).await.ok();
            }
            once.usage(json!(rows)).await.ok();
            for row in rows.iter().rev() {
                again.usage(json!([row])).await.ok();
            }
            for repeat in &repeats {
                again.usage(json!([repeat.get(&rows)])).await.ok();
            }
            assert_eq!(once.sandbox.snapshot(), again.sandbox.snapshot());
        });
    }
}
