//! What an environment says of itself, and customers that are archived.

use serde_json::{Value, json};

use super::{Api, Settings};
use crate::sandbox::EnvironmentType;

async fn listed(api: &Api, id: &str) -> Value {
    let found = api.run("Customers", json!({ "filter": { "customerId": { "in": [id] } } })).await.ok();
    found["customers"]["totalCount"].clone()
}

#[tokio::test(start_paused = true)]
async fn the_environment_lists_itself_with_its_type() {
    let settings = Settings {
        environment: "Live Shop".to_owned(),
        environment_type: EnvironmentType::Production,
        ..Settings::default()
    };
    let api = Api::new(settings);

    let current = api.post(&json!({ "query": "query CurrentEnvironment { currentEnvironment }" })).await.ok();
    let all = api.run("Environments", json!({ "paging": { "first": 100 } })).await.ok();

    assert_eq!(
        all["environments"]["edges"],
        json!([{ "node": { "id": current["currentEnvironment"], "slug": "live-shop", "displayName": "Live Shop",
            "type": "PRODUCTION" } }])
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_not_read_the_environment_may_not_list_it() {
    let api = Api::unknown("environment-read=refused");

    assert_eq!(api.run("Environments", json!({})).await.code(), "IdentityForbidden");
}

#[tokio::test(start_paused = true)]
async fn an_archived_customer_is_not_read_and_takes_nothing() {
    let api = Api::plain();
    api.customers(json!([{ "customerId": "ada", "email": "ada@example.com" }])).await.ok();
    assert_eq!(listed(&api, "ada").await, 1);

    let archived = api.run("ArchiveCustomer", json!({ "input": { "customerId": "ada" } })).await.ok();

    assert_eq!(archived["archiveCustomer"]["customerId"], "ada");
    assert!(archived["archiveCustomer"]["deletedAt"].is_string());
    assert_eq!(listed(&api, "ada").await, 0);
    let again = api.run("ArchiveCustomer", json!({ "input": { "customerId": "ada" } })).await;
    assert_eq!(again.code(), "CustomerNotFound");
    let usage = json!([{ "customerId": "ada", "featureId": "seats", "value": 1, "updateBehavior": "SET" }]);
    assert_eq!(api.usage(usage).await.code(), "CustomerNotFound");
    let written = api.customers(json!([{ "customerId": "ada" }])).await;
    assert!(written.json["errors"][0]["message"].as_str().unwrap().contains("archived"), "{}", written.json);
    assert!(api.sandbox.snapshot().customers["ada"].archived);
}

#[tokio::test(start_paused = true)]
async fn archiving_counts_for_the_customer() {
    let api = Api::new(Settings { rate_scale: Some(1.0), ..Settings::default() });

    let mut codes = Vec::new();
    for _ in 0..31 {
        codes.push(api.run("ArchiveCustomer", json!({ "input": { "customerId": "nobody" } })).await.code().to_owned());
    }

    assert_eq!(codes[29], "CustomerNotFound");
    assert_eq!(codes[30], "RateLimitExceeded", "thirty a minute for one entity");
}
