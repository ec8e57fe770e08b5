//! Contract 3.1 and 5.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, some_customers};

#[tokio::test]
async fn rows_are_created_then_updated() {
    let api = Api::plain();
    api.customers(json!([{ "customerId": "ada", "name": "Ada", "email": "a@example.com" }])).await.ok();

    // When: one field is left out, one is cleared, one comes new.
    api.customers(json!([{ "refId": "ada", "email": null, "additionalMetaData": { "a": "1" } }])).await.ok();

    let snapshot = api.sandbox.snapshot();
    let ada = &snapshot.customers["ada"];
    assert_eq!(ada.name.as_deref(), Some("Ada"));
    assert_eq!(ada.email, None);
    assert_eq!(ada.metadata["a"], "1");
    let stats = api.sandbox.stats();
    assert_eq!(stats.keys["customer:ada"].applied, 2);
    assert_eq!((stats.keys["customer:ada"].changed, stats.keys_changed), (1, 1));
    assert_eq!(stats.operations["importCustomersBulk"].rows_applied, 2);
}

#[tokio::test]
async fn bad_rows_are_refused_with_their_names() {
    let long = "x".repeat(256);
    let bad: Vec<Value> = vec![
        json!({ "customerId": "b", "email": "not-an-email" }),
        json!({ "customerId": "b", "email": "a@b" }),
        json!({ "customerId": "b", "email": "a b@example.com" }),
        json!({ "customerId": "-b" }),
        json!({ "customerId": "b c" }),
        json!({ "customerId": "" }),
        json!({ "customerId": "bä" }),
        json!({ "customerId": long }),
        json!({ "customerId": "b", "name": long }),
        json!({ "customerId": "b", "billingId": "" }),
        json!({ "customerId": "b", "additionalMetaData": { "n": 1 } }),
        json!({ "customerId": "b", "additionalMetaData": "text" }),
    ];
    for row in bad {
        let api = Api::plain();
        let got = api.customers(json!([{ "customerId": "ada" }, row.clone()])).await;

        assert_eq!(got.code(), "FailedToImportCustomer", "{row}");
        let more = &got.json["errors"][0]["extensions"];
        assert_eq!(more["failedCustomerIds"], json!([row["customerId"]]), "{row}");
        assert!(more["failedBillingIds"].is_array());
        assert!(api.sandbox.snapshot().customers.is_empty());
    }
}

#[tokio::test]
async fn good_rows_of_a_bad_batch_can_be_kept() {
    let api = Api::unknown("customer-batch=good-kept");

    let got = api
        .customers(json!([{ "customerId": "ada" }, { "customerId": "b", "email": "?", "billingId": "cus_b" }]))
        .await;

    assert_eq!(got.json["errors"][0]["extensions"]["failedBillingIds"], json!(["cus_b"]));
    assert!(api.sandbox.snapshot().customers.contains_key("ada"));
    assert_eq!(api.sandbox.stats().operations["importCustomersBulk"].rows_failed, 1);
}

#[tokio::test]
async fn a_bad_row_can_stay_anonymous() {
    let api = Api::unknown("customer-error=anonymous");

    let email = api.customers(json!([{ "customerId": "b", "email": "?" }])).await;
    let metadata = api.customers(json!([{ "customerId": "b", "additionalMetaData": { "n": 1 } }])).await;

    assert_eq!(email.code(), "BadUserInput");
    assert_eq!(metadata.code(), "InvalidMetadataError");
    assert!(email.json["errors"][0]["extensions"]["failedCustomerIds"].is_null());
}

#[tokio::test]
async fn whole_requests_are_refused() {
    let api = Api::plain();

    assert_eq!(api.customers(json!([])).await.code(), "BadUserInput");
    assert_eq!(api.customers(some_customers(1001)).await.code(), "BadUserInput");
    assert_eq!(
        api.customers(json!([{ "customerId": "a" }, { "refId": "a" }])).await.code(),
        "DuplicatedEntityNotAllowed"
    );
    assert_eq!(api.customers(json!([{ "name": "a" }])).await.code(), "MissingEntityIdError");
    let two_ids = json!([{ "customerId": "a", "refId": "b" }]);
    assert_eq!(api.customers(two_ids).await.code(), "EntityIdDifferentFromRefIdError");
    assert!(api.sandbox.snapshot().customers.is_empty());

    api.customers(some_customers(1000)).await.ok();
    assert_eq!(api.sandbox.snapshot().customers.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_row_older_than_the_stored_change_is_skipped_silently() {
    let api = Api::plain();
    api.customers(json!([{ "customerId": "ada", "name": "New", "updatedAt": "2020-01-01T00:00:00.000Z" }])).await.ok();

    tokio::time::advance(Duration::from_secs(60)).await;
    let row = |name: &str, at: &str| json!([{ "customerId": "ada", "name": name, "updatedAt": at }]);
    api.customers(row("Old", "2026-06-01T11:59:59.000Z")).await.ok();
    assert_eq!(api.sandbox.snapshot().customers["ada"].name.as_deref(), Some("New"));
    assert_eq!(api.sandbox.stats().operations["importCustomersBulk"].rows_skipped, 1);

    api.customers(row("Newest", "2026-06-01T12:00:30.000Z")).await.ok();
    assert_eq!(api.sandbox.snapshot().customers["ada"].name.as_deref(), Some("Newest"));
}

#[tokio::test]
async fn the_answer_is_null_a_word_or_json() {
    let rows = json!([{ "customerId": "ada" }]);

    assert!(Api::plain().customers(rows.clone()).await.ok()["importCustomersBulk"].is_null());
    let word = Api::unknown("customer-answer=word").customers(rows.clone()).await.ok();
    assert_eq!(word["importCustomersBulk"], "OK");
    let json = Api::unknown("customer-answer=json").customers(rows).await.ok();
    assert_eq!(json["importCustomersBulk"], "{\"newCustomers\":[\"ada\"]}");
}
