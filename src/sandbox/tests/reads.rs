//! Contract 8.

use serde_json::{Value, json};

use super::{Api, Settings, some_customers};

async fn ids(api: &Api, arguments: &str) -> Vec<String> {
    let got = api.query(&format!("{{ customers({arguments}) {{ edges {{ node {{ customerId }} }} }} }}")).await.ok();
    let edges = got["customers"]["edges"].as_array().unwrap();
    edges.iter().map(|edge| edge["node"]["customerId"].as_str().unwrap().to_owned()).collect()
}

const ASC: &str = "sorting: [{field: createdAt, direction: ASC}]";

#[tokio::test]
async fn a_page_has_ten_rows_newest_first_by_default() {
    let api = Api::plain();
    api.customers(some_customers(25)).await.ok();

    let got = api
        .query("{ customers { totalCount pageInfo { hasNextPage hasPreviousPage } edges { node { customerId } } } }")
        .await
        .ok();

    assert_eq!(got["customers"]["totalCount"], 25);
    assert_eq!(got["customers"]["pageInfo"], json!({ "hasNextPage": true, "hasPreviousPage": false }));
    assert_eq!(got["customers"]["edges"].as_array().unwrap().len(), 10);
    assert_eq!(got["customers"]["edges"][0]["node"]["customerId"], "c24");
}

#[tokio::test]
async fn paging_visits_each_row_once_in_either_direction() {
    let api = Api::plain();
    api.customers(some_customers(57)).await.ok();
    for (direction, forwards) in [("ASC", true), ("DESC", true), ("ASC", false), ("DESC", false)] {
        let (size, cursor, info) =
            if forwards { ("first", "after", "endCursor") } else { ("last", "before", "startCursor") };
        let mut seen: Vec<String> = Vec::new();
        let mut at = String::new();
        loop {
            let got = api
                .query(&format!("{{ customers(paging: {{{size}: 10{at}}}, sorting: [{{field: createdAt, direction: {direction}}}]) {{ pageInfo {{ hasNextPage hasPreviousPage {info} }} edges {{ node {{ customerId }} }} }} }}"))
                .await
                .ok();
            let list = &got["customers"];
            let page =
                list["edges"].as_array().unwrap().iter().map(|e| e["node"]["customerId"].as_str().unwrap().to_owned());
            let page: Vec<String> = page.collect();
            if forwards {
                seen.extend(page)
            } else {
                seen.splice(0..0, page);
            }
            let more = if forwards { "hasNextPage" } else { "hasPreviousPage" };
            if list["pageInfo"][more] == json!(false) {
                break;
            }
            at = format!(", {cursor}: {}", list["pageInfo"][info]);
        }
        let mut expected: Vec<String> = (0..57).map(|n| format!("c{n}")).collect();
        if direction == "DESC" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{direction} {forwards}");
    }
}

#[tokio::test]
async fn rows_that_come_while_paging_do_not_move_the_others() {
    let api = Api::plain();
    api.customers(some_customers(4)).await.ok();
    let got =
        api.query(&format!("{{ customers(paging: {{first: 2}}, {ASC}) {{ pageInfo {{ endCursor }} }} }}")).await.ok();
    let cursor = got["customers"]["pageInfo"]["endCursor"].clone();

    api.customers(json!([{ "customerId": "late" }])).await.ok();

    assert_eq!(ids(&api, &format!("paging: {{first: 2, after: {cursor}}}, {ASC}")).await, ["c2", "c3"]);
}

#[tokio::test]
async fn wrong_pages_are_refused() {
    let api = Api::new(Settings { page_size_max: 50, ..Settings::default() });
    for paging in ["first: 51", "first: -1", "first: 1, last: 1", "first: 1, after: \"x\"", "first: 1, before: \"x\""] {
        let got = api.query(&format!("{{ customers(paging: {{{paging}}}) {{ totalCount }} }}")).await;
        assert_eq!(got.code(), "BadUserInput", "{paging}");
    }
    api.query("{ customers(paging: {first: 50}) { totalCount } }").await.ok();
}

#[tokio::test]
async fn filters_pick_rows() {
    let api = Api::plain();
    api.customers(json!([
        { "customerId": "a", "email": "a@example.com", "billingId": "cus_a" },
        { "customerId": "b", "email": "b@example.com" },
        { "customerId": "c" },
    ]))
    .await
    .ok();
    let cases: [(&str, &[&str]); 12] = [
        ("customerId: {in: [\"b\", \"a\", \"b\", \"x\"]}", &["a", "b"]),
        ("refId: {eq: \"c\"}", &["c"]),
        ("customerId: {notIn: [\"a\"]}", &["b", "c"]),
        ("customerId: {neq: \"a\"}", &["b", "c"]),
        ("customerId: {gt: \"a\", lte: \"b\"}", &["b"]),
        ("email: {eq: \"b@example.com\"}", &["b"]),
        ("email: {neq: \"b@example.com\"}", &["a"]),
        ("billingId: {in: [\"cus_a\"]}", &["a"]),
        ("or: [{customerId: {eq: \"a\"}}, {email: {eq: \"b@example.com\"}}]", &["a", "b"]),
        ("or: [{customerId: {eq: \"a\"}}, {refId: {eq: \"c\"}}]", &["a", "c"]),
        ("and: [{customerId: {in: [\"a\", \"b\"]}}, {email: {eq: \"b@example.com\"}}]", &["b"]),
        ("customerId: {in: []}", &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&api, &format!("filter: {{{filter}}}, {ASC}")).await, expected, "{filter}");
    }
    let uuid = api.query("{ getCustomerByRefId(input: {customerId: \"b\"}) { id } }").await.ok();
    let by_uuid = format!("filter: {{id: {{eq: {}}}}}", uuid["getCustomerByRefId"]["id"]);
    assert_eq!(ids(&api, &by_uuid).await, ["b"]);
    let none = api.query("{ getCustomerByRefId(input: {customerId: \"x\"}) { id } }").await.ok();
    assert!(none["getCustomerByRefId"].is_null());
    assert_eq!(api.query("{ customers(filter: {nickname: {eq: \"a\"}}) { totalCount } }").await.code(), "BadUserInput");
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_found_by_their_own_ids_and_their_customers() {
    let api = Api::plain();
    api.customers(some_customers(3)).await.ok();
    api.imported(json!([
        { "customerId": "c0", "planId": "p", "subscriptionId": "s0" },
        { "customerId": "c1", "planId": "q", "subscriptionId": "s1", "resourceId": "r" },
        { "customerId": "c1", "planId": "p", "subscriptionId": "s2" },
    ]))
    .await;
    let cases: [(&str, &[&str]); 7] = [
        ("subscriptionId: {in: [\"s2\", \"s0\"]}", &["s0", "s2"]),
        ("customerId: {eq: \"c1\"}", &["s1", "s2"]),
        ("customer: {refId: {in: [\"c1\"]}}", &["s1", "s2"]),
        ("plan: {refId: {eq: \"p\"}}", &["s0", "s2"]),
        ("customerId: {eq: \"c1\"}, plan: {refId: {eq: \"p\"}}", &["s2"]),
        ("status: {eq: ACTIVE}, resourceId: {eq: \"r\"}", &["s1"]),
        ("and: [{customerId: {eq: \"c0\"}}, {status: {in: [CANCELED]}}]", &[]),
    ];
    for (filter, expected) in cases {
        let query = format!(
            "{{ subscriptions(filter: {{{filter}}}, {ASC}) {{ totalCount edges {{ node {{ subscriptionId customerId }} }} }} }}"
        );
        let got = api.query(&query).await.ok();
        let edges = got["subscriptions"]["edges"].as_array().unwrap();
        let found: Vec<_> = edges.iter().map(|edge| edge["node"]["subscriptionId"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{filter}");
        assert_eq!(got["subscriptions"]["totalCount"], expected.len());
    }
    // In a list the customer's id is the caller's, in a single answer it is a UUID.
    let single = api.query("{ getSubscription(input: {subscriptionId: \"s1\"}) { customerId resourceId customer { customerId subscriptions { subscriptionId } hasActiveSubscription } } }").await.ok();
    assert_eq!(single["getSubscription"]["customerId"].as_str().unwrap().len(), 36);
    assert_eq!(single["getSubscription"]["customer"]["customerId"], "c1");
    assert_eq!(single["getSubscription"]["customer"]["subscriptions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_catalog_can_be_read() {
    let api = Api::with_catalog("");
    let got = api
        .query("{ plans(filter: {refId: {in: [\"free\", \"paid\", \"x\"]}}, sorting: [{field: createdAt, direction: ASC}]) { totalCount edges { node { refId pricingType status product { refId } } } } products { totalCount } features { edges { node { refId featureType meterType } } } addons { totalCount } customCurrencies { currencyId } }")
        .await
        .ok();

    assert_eq!(got["plans"]["totalCount"], 2);
    let plan =
        json!({ "refId": "paid", "pricingType": "PAID", "status": "PUBLISHED", "product": { "refId": "product" } });
    assert_eq!(got["plans"]["edges"][1]["node"], plan);
    assert_eq!(got["products"]["totalCount"], 2);
    assert_eq!(got["features"]["edges"].as_array().unwrap().len(), 3);
    assert_eq!(got["customCurrencies"], json!([{ "currencyId": "credits" }]));
}

#[tokio::test]
async fn without_a_catalog_every_id_that_is_asked_for_is_there() {
    let got = Api::plain()
        .query("{ plans(filter: {refId: {in: [\"a\", \"b\"]}}) { totalCount } features { totalCount } }")
        .await
        .ok();

    assert_eq!((&got["plans"]["totalCount"], &got["features"]["totalCount"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn the_environment_can_be_read_or_not() {
    let read = Api::plain().query("{ currentEnvironment }").await.ok();
    assert_eq!(read["currentEnvironment"].as_str().unwrap().len(), 36);
    let refused = Api::unknown("environment-read=refused,error-status=400").query("{ currentEnvironment }").await;
    assert_eq!((refused.status, refused.code()), (400, "IdentityForbidden"));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_can_be_loaded() {
    let api = Api::plain();
    api.customers(some_customers(3)).await.ok();
    api.imported(json!([{ "customerId": "c0", "planId": "p", "subscriptionId": "s", "endDate": "2030-01-01T00:00:00Z",
        "entitlements": [{ "feature": { "featureId": "f", "usageLimit": 0.5 } }] }]))
        .await;
    api.usage(json!([{ "customerId": "c1", "featureId": "f", "value": 1.5, "resourceId": "r" }])).await.ok();
    let text = serde_json::to_string(&api.sandbox.snapshot()).unwrap();

    let other = Api::plain();
    other.sandbox.load(&serde_json::from_str(&text).unwrap());

    assert_eq!(other.sandbox.snapshot(), api.sandbox.snapshot());
    let read: Value = other.query("{ subscriptions { edges { node { subscriptionId } } } }").await.ok();
    assert_eq!(read["subscriptions"]["edges"][0]["node"]["subscriptionId"], "s");
}
