//! Every document that an importer sends runs.

use serde_json::json;

use super::{Api, DOCUMENTS};

#[test]
fn documents_validate_against_the_apis_schema() {
    use apollo_compiler::{ExecutableDocument, Schema};
    let official = include_str!("../../../tests/stigg/schema.graphql");
    let schema = Schema::parse_and_validate(official, "schema.graphql").unwrap();

    ExecutableDocument::parse_and_validate(&schema, DOCUMENTS, "documents.graphql").unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_document_executes() {
    let api = Api::plain();
    api.customers(json!([{ "customerId": "ada", "email": "ada@example.com", "billingId": "cus_1" }])).await.ok();
    let task = api
        .imported(json!([{
            "customerId": "ada", "planId": "big", "subscriptionId": "s1", "startDate": "2025-01-01T00:00:00.000Z",
            "resourceId": "r1",
            "entitlements": [
                { "feature": { "featureId": "seats", "usageLimit": 5, "resetPeriod": "MONTH" } },
                { "credit": { "customCurrencyId": "credits", "amount": 10, "cadence": "MONTH" } },
            ],
        }]))
        .await;
    assert_eq!((&task["status"], &task["progress"]), (&json!("COMPLETED"), &json!(100)));
    api.usage(json!([{ "customerId": "ada", "featureId": "seats", "resourceId": "r1", "value": 3,
        "updateBehavior": "SET" }]))
        .await
        .ok();

    let customers = api.run("Customers", json!({ "filter": { "customerId": { "in": ["ada"] } } })).await.ok();
    let subscriptions =
        api.run("GetSubscriptions", json!({ "filter": { "subscriptionId": { "in": ["s1"] } } })).await.ok();
    let entitlements =
        api.run("Entitlements", json!({ "query": { "customerId": "ada", "resourceId": "r1" } })).await.ok();
    let provisioned = api
        .provision(json!({ "customerId": "ada", "planId": "pro", "subscriptionId": "s2", "billingPeriod": "MONTHLY" }))
        .await
        .ok();
    let cancelled = api.run("CancelSubscription", json!({ "input": { "subscriptionRefId": "s2" } })).await.ok();

    assert_eq!(customers["customers"]["totalCount"], 1);
    assert_eq!(customers["customers"]["edges"][0]["node"]["email"], "ada@example.com");
    let node = &subscriptions["subscriptions"]["edges"][0]["node"];
    assert_eq!(node["startDate"], "2025-01-01T00:00:00.000Z");
    assert_eq!(node["customer"]["customerId"], "ada");
    assert_eq!(node["resource"]["resourceId"], "r1");
    assert_eq!(node["plan"]["refId"], "big");
    assert_eq!(node["pricingType"], "CUSTOM");
    assert_eq!(node["entitlements"][0]["usageLimit"], 5.0);
    assert_eq!(node["entitlements"][1]["cadence"], "MONTH");
    assert_eq!(entitlements["entitlementsState"]["entitlementsV2"][0]["currentUsage"], 3.0);
    assert_eq!(provisioned["provisionSubscription"]["status"], "SUCCESS");
    assert_eq!(cancelled["cancelSubscription"]["status"], "CANCELED");
}

#[tokio::test]
async fn one_document_may_hold_many_operations() {
    let api = Api::plain();
    let variables = json!({ "input": { "customers": [{ "customerId": "ada" }] } });

    let body = json!({ "query": DOCUMENTS, "operationName": "ImportCustomerBulk", "variables": variables });
    api.post(&body).await.ok();

    assert_eq!(api.sandbox.stats().operations.keys().collect::<Vec<_>>(), ["importCustomersBulk"]);
}

#[tokio::test]
async fn unknown_input_fields_are_refused_as_a_whole() {
    let api = Api::plain();

    let got = api.customers(json!([{ "customerId": "ada", "nickname": "a" }])).await;

    assert_eq!(got.code(), "BadUserInput");
    assert!(got.json["errors"][0]["extensions"]["traceId"].is_string());
    assert!(api.sandbox.snapshot().customers.is_empty());
}

#[tokio::test]
async fn only_the_official_alias_is_taken() {
    let api = Api::plain();

    let aliased = api.query("{ other: currentEnvironment }").await;
    let nested = api.query("{ customers { n: totalCount } }").await;
    let directive = api.query("{ currentEnvironment @defer }").await;

    assert_eq!(aliased.code(), "GraphQLAliasesLimitExceeded");
    assert_eq!(nested.code(), "GraphQLAliasesLimitExceeded");
    assert_eq!(directive.code(), "GraphQLUnsupportedDirective");
}

#[tokio::test]
async fn a_batch_of_operations_is_refused() {
    let got = Api::plain().post(&json!([{ "query": "{ currentEnvironment }" }])).await;

    assert_eq!(got.code(), "GraphQLBatchedOperationsLimitExceeded");
}

#[tokio::test]
async fn bad_bodies_get_an_answer() {
    let api = Api::plain();
    for body in
        ["", "{", "null", "{\"query\": 5}", "{\"query\": \"{\"}", "\u{0}", "{\"query\":\"query A{x} query B{y}\"}"]
    {
        let reply = api.raw(body.as_bytes().to_vec()).await;
        assert!(matches!(reply, super::Reply::Answer { .. }), "{body}");
    }
    let looping = api.query("{ ...A } fragment A on Query { ...A currentEnvironment }").await;
    assert!(looping.json["errors"].is_array());
}

#[tokio::test]
async fn keys_are_checked() {
    let mut api = Api::new(super::Settings { keys: vec!["server-a".into(), "client-a".into()], ..Default::default() });

    api.key = String::from("server-b");
    let wrong = api.query("{ currentEnvironment }").await;
    assert_eq!((wrong.status, wrong.code()), (401, "Unauthenticated"));

    api.key = String::from("client-a");
    api.query("{ currentEnvironment }").await.ok();
    assert_eq!(api.customers(json!([{ "customerId": "ada" }])).await.code(), "IdentityForbidden");

    api.key = String::from("server-a");
    api.customers(json!([{ "customerId": "ada" }])).await.ok();
}
