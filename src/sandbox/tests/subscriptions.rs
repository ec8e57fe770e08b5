//! Contract 3.2, 3.3, 4 and 5.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, Settings, catalog, some_customers};
use crate::sandbox::Pace;

async fn with_ada(api: Api) -> Api {
    api.customers(json!([{ "customerId": "ada" }, { "customerId": "bob" }])).await.ok();
    api
}

#[tokio::test(start_paused = true)]
async fn a_task_goes_from_pending_to_done_in_steps() {
    // Given: two rows per second, after a second.
    let second = Duration::from_secs(1);
    let import_pace = Pace { start_delay: second, step: second, rows_per_step: 2 };
    let api = with_ada(Api::new(Settings { import_pace, ..Settings::default() })).await;
    let rows: Value =
        (0..4).map(|n| json!({ "customerId": "ada", "planId": "p", "subscriptionId": format!("s{n}") })).collect();

    // When
    let id = api.subscriptions(rows).await.ok()["importSubscriptionsBulk"].clone();

    // Then
    let mut seen = Vec::new();
    for _ in 0..4 {
        let task = api.task(&id).await;
        seen.push((task["status"].as_str().unwrap().to_owned(), task["progress"].as_i64().unwrap()));
        assert_eq!(task["totalSubtasksCount"], 4);
        tokio::time::advance(second).await;
    }
    let expected = [("PENDING", 0), ("IN_PROGRESS", 0), ("IN_PROGRESS", 50), ("COMPLETED", 100)];
    assert_eq!(seen, expected.map(|(status, progress)| (status.to_owned(), progress)));
    assert_eq!(api.task(&id).await["endDate"], "2026-06-01T12:00:03.000Z");
    assert_eq!(api.sandbox.snapshot().subscriptions.len(), 4);
    assert_eq!(api.sandbox.stats().operations["importSubscriptionsBulk"].rows_applied, 4);
}

#[tokio::test(start_paused = true)]
async fn bad_rows_are_skipped_and_listed() {
    let api = with_ada(Api::with_catalog("")).await;
    let feature = json!([{ "feature": { "featureId": "seats" } }]);
    let bad = [
        (json!({ "customerId": "eve", "planId": "free" }), "CustomerNotFound"),
        (json!({ "planId": "nope" }), "PlanNotFound"),
        (json!({ "planId": "paid" }), "BadUserInput"),
        (json!({ "planId": "free", "entitlements": feature }), "BadUserInput"),
        (json!({ "planId": "custom", "entitlements": [{ "feature": { "featureId": "x" } }] }), "FeatureNotFound"),
        (
            json!({ "planId": "custom",
                "entitlements": [{ "credit": { "customCurrencyId": "x", "amount": 1, "cadence": "YEAR" } }] }),
            "CustomCurrencyNotFound",
        ),
        (json!({ "planId": "free", "addons": [{ "addonId": "x" }] }), "AddonNotFound"),
        (json!({ "planId": "free", "billableFeatures": [{ "featureId": "x", "quantity": 1 }] }), "FeatureNotFound"),
        (json!({ "planId": "many" }), "BadUserInput"),
    ];
    let mut rows: Vec<Value> = Vec::new();
    for (n, (row, _)) in bad.iter().enumerate() {
        let mut row = row.clone();
        row["subscriptionId"] = json!(format!("s{n}"));
        row.as_object_mut().unwrap().entry("customerId").or_insert(json!("ada"));
        rows.push(row);
    }
    rows.push(json!({ "customerId": "ada", "planId": "custom", "subscriptionId": "good", "entitlements": feature }));

    let task = api.imported(json!(rows)).await;

    assert_eq!(task["status"], "PARTIALLY_FAILED");
    let errors = task["importErrors"].as_array().unwrap();
    assert_eq!(errors.len(), bad.len());
    for (n, (row, code)) in bad.iter().enumerate() {
        assert_eq!(errors[n]["id"], format!("s{n}"));
        assert!(errors[n]["error"].as_str().unwrap().starts_with(code), "{row}: {}", errors[n]);
    }
    assert_eq!(api.sandbox.snapshot().subscriptions.keys().collect::<Vec<_>>(), ["good"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_good_row_fails() {
    let api = Api::unknown("task-error-id=opaque");

    let task = api.imported(json!([{ "customerId": "eve", "planId": "p", "subscriptionId": "s" }])).await;

    assert_eq!(task["status"], "FAILED");
    assert_ne!(task["importErrors"][0]["id"], "s");
}

#[tokio::test(start_paused = true)]
async fn wrong_shapes_refuse_the_request_or_the_row() {
    let feature = json!({ "featureId": "seats" });
    let credit = json!({ "customCurrencyId": "credits", "amount": 1, "cadence": "MONTH" });
    let bad = [
        (json!({ "entitlements": [{ "feature": feature, "credit": credit }] }), "BadUserInput"),
        (json!({ "entitlements": [{}] }), "BadUserInput"),
        (json!({ "planId": "a@b" }), "BadUserInput"),
        (json!({ "subscriptionId": "" }), "BadUserInput"),
        (json!({ "unitQuantity": -1 }), "InvalidQuantity"),
        (json!({ "addons": [{ "addonId": "support", "quantity": -1 }] }), "InvalidQuantity"),
        (json!({ "charges": [{ "id": "seats", "quantity": -1, "type": "FEATURE" }] }), "InvalidQuantity"),
        (json!({ "additionalMetaData": { "n": 1 } }), "InvalidMetadataError"),
        (json!({ "startDate": "2026-02-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z" }), "BadUserInput"),
    ];
    for (more, code) in bad {
        let mut row = json!({ "customerId": "ada", "planId": "p", "subscriptionId": "s" });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());

        let strict = with_ada(Api::plain()).await;
        assert_eq!(strict.subscriptions(json!([row])).await.code(), code, "{row}");

        let lenient = with_ada(Api::unknown("subscription-shape=task")).await;
        let task = lenient.imported(json!([row])).await;
        assert!(task["importErrors"][0]["error"].as_str().unwrap().starts_with(code), "{row}: {task}");
    }
    let cadence = json!([{ "customerId": "ada", "planId": "p",
        "entitlements": [{ "credit": { "customCurrencyId": "c", "amount": 1, "cadence": "MONTHLY" } }] }]);
    assert_eq!(Api::plain().subscriptions(cadence).await.code(), "BadUserInput");
}

#[tokio::test(start_paused = true)]
async fn whole_requests_are_refused() {
    let api = Api::plain();
    let row = |n: usize| json!({ "customerId": "c0", "planId": "p", "subscriptionId": format!("s{n}") });

    assert_eq!(api.subscriptions(json!([])).await.code(), "BadUserInput");
    assert_eq!(api.subscriptions((0..1001).map(row).collect()).await.code(), "BadUserInput");
    assert_eq!(api.subscriptions(json!([row(1), row(1)])).await.code(), "DuplicatedEntityNotAllowed");
    api.customers(some_customers(1)).await.ok();
    assert_eq!(api.imported((0..1000).map(row).collect()).await["status"], "COMPLETED");
}

#[tokio::test(start_paused = true)]
async fn a_known_id_is_updated_and_no_other_customers() {
    let api = with_ada(Api::plain()).await;
    api.imported(json!([{ "customerId": "ada", "planId": "p", "subscriptionId": "s", "unitQuantity": 1 }])).await;

    api.imported(json!([{ "customerId": "ada", "planId": "p", "subscriptionId": "s", "unitQuantity": 2 }])).await;
    let stolen = api.imported(json!([{ "customerId": "bob", "planId": "p", "subscriptionId": "s" }])).await;

    assert!(stolen["importErrors"][0]["error"].as_str().unwrap().starts_with("DuplicatedEntityNotAllowed"));
    assert_eq!(api.sandbox.snapshot().subscriptions["s"].unit_quantity, Some(2.0));
    assert_eq!(api.sandbox.stats().keys["subscription:s"].changed, 1);
}

#[tokio::test(start_paused = true)]
async fn rows_without_an_id_make_a_new_one_each_time() {
    let api = with_ada(Api::plain()).await;

    for _ in 0..2 {
        api.imported(json!([{ "customerId": "ada", "planId": "p" }])).await;
    }

    assert_eq!(api.sandbox.snapshot().subscriptions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_skip_rule_compares_customer_and_plan_not_the_id() {
    let api = with_ada(Api::plain()).await;
    api.imported(json!([{ "customerId": "ada", "planId": "p", "subscriptionId": "s1" }])).await;

    // When: another subscription of the same customer and plan comes with an older change, and one of another plan.
    let task = api
        .imported(json!([
            { "customerId": "ada", "planId": "p", "subscriptionId": "s2", "updatedAt": "2026-01-01T00:00:00Z" },
            { "customerId": "ada", "planId": "q", "subscriptionId": "s3", "updatedAt": "2026-01-01T00:00:00Z" },
        ]))
        .await;

    // Then: it is skipped without a word.
    assert_eq!((&task["status"], &task["importErrors"]), (&json!("COMPLETED"), &json!([])));
    assert_eq!(api.sandbox.snapshot().subscriptions.keys().collect::<Vec<_>>(), ["s1", "s3"]);
    assert_eq!(api.sandbox.stats().operations["importSubscriptionsBulk"].rows_skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn dates_decide_the_status() {
    let api = with_ada(Api::plain()).await;
    api.imported(json!([
        { "customerId": "ada", "planId": "p", "subscriptionId": "ended", "endDate": "2026-01-01T00:00:00Z" },
        { "customerId": "ada", "planId": "p", "subscriptionId": "later", "startDate": "2030-01-01T00:00:00Z" },
        { "customerId": "ada", "planId": "p", "subscriptionId": "now", "startDate": "2020-01-01T00:00:00Z" },
    ]))
    .await;

    let got = api.query("{ subscriptions(sorting: [{field: createdAt, direction: ASC}]) { edges { node { status cancelReason } } } }").await.ok();

    let status: Vec<_> =
        got["subscriptions"]["edges"].as_array().unwrap().iter().map(|e| &e["node"]["status"]).collect();
    assert_eq!(status, ["EXPIRED", "NOT_STARTED", "ACTIVE"]);
    let active = api.query("{ getActiveSubscriptions(input: {customerId: \"ada\"}) { subscriptionId } }").await.ok();
    assert_eq!(active["getActiveSubscriptions"], json!([{ "subscriptionId": "now" }]));
}

#[tokio::test(start_paused = true)]
async fn what_the_documents_leave_open_can_be_switched() {
    let row = json!([{ "customerId": "ada", "planId": "paid", "subscriptionId": "s" }]);

    let refused = with_ada(Api::unknown("task-read=refused")).await;
    let id = refused.subscriptions(row.clone()).await.ok()["importSubscriptionsBulk"].clone();
    assert_eq!(refused.run("ImportTask", json!({ "id": id })).await.code(), "IdentityForbidden");

    let unlisted = with_ada(Api::unknown("task-id=unlisted")).await;
    assert!(unlisted.imported(row.clone()).await.is_null());
    assert_eq!(unlisted.sandbox.snapshot().subscriptions.len(), 1);

    let one_at_a_time = with_ada(Api::unknown("concurrent-imports=refused")).await;
    one_at_a_time.subscriptions(row.clone()).await.ok();
    assert_eq!(one_at_a_time.subscriptions(row.clone()).await.code(), "ImportAlreadyInProgress");
    tokio::time::sleep(Duration::from_secs(1)).await;
    one_at_a_time.subscriptions(row.clone()).await.ok();

    let paid = with_ada(Api::with_catalog("paid-import=accepted")).await;
    assert_eq!(paid.imported(row.clone()).await["status"], "COMPLETED");

    let old = with_ada(Api::unknown("schema-age=before-entitlements")).await;
    let newer = json!([{ "customerId": "ada", "planId": "p", "entitlements": [] }]);
    assert_eq!(old.subscriptions(newer).await.code(), "BadUserInput");
    old.subscriptions(row).await.ok();
}

#[tokio::test(start_paused = true)]
async fn reads_can_lag_behind_the_task() {
    let api = with_ada(Api::unknown("read-delay-ms=5000")).await;
    let read = async || {
        let got = api.query("{ subscriptions { totalCount edges { node { billingPeriod } } } }").await.ok();
        (got["subscriptions"]["totalCount"].clone(), got["subscriptions"]["edges"][0]["node"]["billingPeriod"].clone())
    };
    let write = async |period: &str| {
        let row = json!([{ "customerId": "ada", "planId": "p", "subscriptionId": "s", "billingPeriod": period }]);
        let id = api.subscriptions(row).await.ok()["importSubscriptionsBulk"].clone();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(api.task(&id).await["status"], "COMPLETED");
    };

    write("MONTHLY").await;
    assert_eq!(read().await, (json!(0), json!(null)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(read().await, (json!(1), json!("MONTHLY")));

    // An update shows the old state for as long.
    write("ANNUALLY").await;
    assert_eq!(read().await, (json!(1), json!("MONTHLY")));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(read().await, (json!(1), json!("ANNUALLY")));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_overlap_end_the_same_however_often_one_looks() {
    let run = async |looks: u32| {
        let settings = Settings { catalog: Some(catalog()), ..Settings::default() };
        let api = with_ada(Api::new(settings)).await;
        for task in 0..3 {
            let rows = (0..250).map(|n| {
                json!({ "customerId": "ada", "planId": "free", "subscriptionId": format!("s{n}"),
                "additionalMetaData": { "task": task.to_string() } })
            });
            api.subscriptions(rows.collect()).await.ok();
            for _ in 0..looks {
                tokio::time::advance(Duration::from_millis(1)).await;
                api.sandbox.snapshot();
            }
            tokio::time::advance(Duration::from_millis(5 - u64::from(looks))).await;
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        api.sandbox.snapshot()
    };

    assert_eq!(run(0).await, run(5).await);
}
