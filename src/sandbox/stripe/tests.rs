use std::time::Duration;

use serde_json::Map;

use super::access::VERSION;
use super::*;
use crate::sandbox::{FaultKind, Sandbox, Settings};

const KEY: &str = "Bearer sk_test_1";

fn subscription(id: &str, created: i64) -> StripeSubscription {
    StripeSubscription {
        id: id.to_owned(),
        customer: "cus_1".to_owned(),
        status: "active".to_owned(),
        created,
        start_date: created,
        current_period_end: created + 2_592_000,
        canceled_at: None,
        ended_at: None,
        cancel_at_period_end: false,
        schedule: None,
        items: vec![StripeItem {
            price: "price_1".to_owned(),
            product: "prod_1".to_owned(),
            quantity: Some(3),
            unit_amount: 1500,
            currency: "usd".to_owned(),
            interval: "month".to_owned(),
        }],
        metadata: Map::new(),
    }
}

fn with(settings: Settings, subscriptions: Vec<StripeSubscription>) -> Sandbox {
    let sandbox = Sandbox::new(settings);
    sandbox.stripe().load(StripeSnapshot { subscriptions, ..StripeSnapshot::default() });
    sandbox
}

fn request(method: &str, path: &str, query: &str) -> StripeRequest {
    StripeRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        authorization: Some(KEY.to_owned()),
        version: Some(VERSION.to_owned()),
        body: Bytes::new(),
    }
}

async fn send(sandbox: &Sandbox, request: StripeRequest) -> (u16, Vec<(String, String)>, Value) {
    match sandbox.handle_stripe(request).await {
        Reply::Answer { status, headers, body } => {
            (status, headers, serde_json::from_slice(&body).expect("Stripe answers in JSON"))
        }
        other => panic!("no answer: {other:?}"),
    }
}

async fn call(sandbox: &Sandbox, method: &str, path: &str, query: &str) -> (u16, Value) {
    let (status, _, value) = send(sandbox, request(method, path, query)).await;
    (status, value)
}

#[tokio::test]
async fn pages_go_by_a_cursor_from_the_newest_on() {
    let sandbox = with(Settings::default(), (1..=5).map(|n| subscription(&format!("sub_{n}"), n)).collect());
    let mut seen = Vec::new();
    let mut query = "limit=2&status=all".to_owned();
    loop {
        let (status, page) = call(&sandbox, "GET", "/v1/subscriptions", &query).await;
        assert_eq!((status, &page["object"]), (200, &Value::from("list")));
        let ids: Vec<String> = page["data"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["id"].as_str().expect("an id").to_owned())
            .collect();
        seen.extend(ids);
        if page["has_more"] == false {
            break;
        }
        query = format!("limit=2&status=all&starting_after={}", seen.last().expect("a row"));
    }
    assert_eq!(seen, ["sub_5", "sub_4", "sub_3", "sub_2", "sub_1"]);
    assert_eq!(
        call(&sandbox, "GET", "/v1/subscriptions", "starting_after=sub_9").await.1["error"]["code"],
        "resource_missing"
    );
    for limit in ["0", "101", "x"] {
        let (status, answer) = call(&sandbox, "GET", "/v1/subscriptions", &format!("limit={limit}")).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &Value::from("limit")), "{limit}");
    }
}

#[tokio::test]
async fn a_cancellation_ends_at_once_and_a_second_one_is_not_found() {
    let sandbox = with(Settings::default(), vec![subscription("sub_1", 1), subscription("sub_2", 2)]);
    let path = "/v1/subscriptions/sub_1";

    let (status, answer) = call(&sandbox, "DELETE", path, "prorate=false&invoice_now=false").await;

    assert_eq!((status, &answer["status"]), (200, &Value::from("canceled")));
    assert!(answer["canceled_at"].is_i64() && answer["ended_at"].is_i64(), "{answer}");
    let (status, again) = call(&sandbox, "DELETE", path, "").await;
    assert_eq!((status, &again["error"]["code"]), (404, &Value::from("resource_missing")));
    let (status, read) = call(&sandbox, "GET", path, "").await;
    assert_eq!((status, &read["status"]), (200, &Value::from("canceled")));
    let (_, listed) = call(&sandbox, "GET", "/v1/subscriptions", "").await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "without a status, ended ones are left out");
    let snapshot = sandbox.stripe().snapshot();
    assert_eq!(snapshot.cancellations, BTreeMap::from([("sub_1".to_owned(), 1)]));
    assert_eq!((snapshot.invoice_items, snapshot.invoiced), (vec![], vec![]));
    assert_eq!(sandbox.stripe().requests()[0], "DELETE /v1/subscriptions/sub_1?prorate=false&invoice_now=false");
}

#[tokio::test]
async fn a_proration_or_an_invoice_that_was_asked_for_is_noted() {
    let sandbox = with(Settings::default(), vec![subscription("sub_1", 1)]);

    let mut form = request("DELETE", "/v1/subscriptions/sub_1", "prorate=true");
    form.body = Bytes::from_static(b"invoice_now=true");
    assert_eq!(send(&sandbox, form).await.0, 200);

    let snapshot = sandbox.stripe().snapshot();
    assert_eq!(snapshot.invoiced, ["sub_1"]);
    assert_eq!(
        snapshot.invoice_items.iter().map(|item| (item.proration, item.amount)).collect::<Vec<_>>(),
        [(true, -1500)]
    );
    let (_, items) = call(&sandbox, "GET", "/v1/invoiceitems", "customer=cus_1&pending=true").await;
    assert_eq!(items["data"][0]["parent"]["subscription_details"]["subscription"], "sub_1");
}

#[tokio::test]
async fn what_does_not_hold_is_refused_and_changes_nothing() {
    let sandbox = with(Settings::default(), vec![subscription("sub_1", 1)]);
    let before = sandbox.stripe().snapshot();
    let path = "/v1/subscriptions/sub_1";
    for (method, path, query, status) in [
        ("DELETE", path, "prorated=false", 400),
        ("DELETE", path, "prorate=no", 400),
        ("DELETE", path, "prorate=false&prorate=true", 400),
        ("DELETE", "/v1/subscriptions/sub_9", "", 404),
        ("POST", "/v1/subscriptions/sub_1/cancel", "", 404),
        ("POST", path, "", 404),
        ("GET", path, "limit=1", 400),
        ("GET", "/v1/subscriptions", "status=gone", 400),
        ("GET", "/v1/customers/cus_9", "", 404),
    ] {
        assert_eq!(call(&sandbox, method, path, query).await.0, status, "{method} {path} {query}");
    }
    for (authorization, version, status) in [
        (None, Some(VERSION), 401),
        (Some("Bearer sk_live_1"), Some(VERSION), 401),
        (Some("Bearer pk_test_1"), Some(VERSION), 401),
        (Some("Basic !"), Some(VERSION), 401),
        (Some(KEY), None, 400),
        (Some(KEY), Some("2020-08-27"), 400),
        // `sk_test_1:`
        (Some("Basic c2tfdGVzdF8xOg=="), Some(VERSION), 200),
        (Some("Bearer rk_test_1"), Some(VERSION), 200),
    ] {
        let mut request = request("GET", path, "");
        (request.authorization, request.version) = (authorization.map(str::to_owned), version.map(str::to_owned));
        assert_eq!(send(&sandbox, request).await.0, status, "{authorization:?} {version:?}");
    }
    assert_eq!(sandbox.stripe().snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn more_than_25_in_a_second_are_told_to_wait() {
    let sandbox = with(Settings { rate_scale: Some(1.0), ..Settings::default() }, vec![subscription("sub_1", 1)]);
    let read = || request("GET", "/v1/subscriptions/sub_1", "");
    for _ in 0..25 {
        assert_eq!(send(&sandbox, read()).await.0, 200);
    }
    let (status, headers, answer) = send(&sandbox, read()).await;
    assert_eq!((status, &answer["error"]["code"]), (429, &Value::from("rate_limit")));
    for (name, value) in [("retry-after", "1"), ("stripe-should-retry", "true")] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{headers:?}");
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(send(&sandbox, read()).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn faults_do_the_work_or_leave_it_as_they_say() {
    for kind in FaultKind::ALL {
        let sandbox = with(Settings::default(), vec![subscription("sub_1", 1)]);
        sandbox.stripe().inject(Fault::once(kind).on("stripe.subscriptions.cancel"));
        assert_eq!(call(&sandbox, "GET", "/v1/subscriptions/sub_1", "").await.0, 200, "{kind:?} is for another call");

        sandbox.handle_stripe(request("DELETE", "/v1/subscriptions/sub_1", "")).await;

        let ended = sandbox.stripe().snapshot().subscriptions[0].status == "canceled";
        assert_eq!(ended, kind.work_is_done(), "{kind:?}");
    }
}
