//! Contract 3.5 and 6: raw events.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, Settings};

async fn with_ada(api: Api) -> Api {
    api.customers(json!([{ "customerId": "ada" }])).await.ok();
    api
}

fn event(key: &str, more: Value) -> Value {
    let mut event = json!({
        "customerId": "ada", "eventName": "call", "idempotencyKey": key, "timestamp": "2026-06-01T11:00:00.000Z",
    });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn counted(api: &Api) -> Vec<u32> {
    api.sandbox.snapshot().events.iter().map(|event| event.counted).collect()
}

#[tokio::test]
async fn a_repeat_is_known_by_its_five_fields_and_its_dimensions_are_left_out() {
    let api = with_ada(Api::plain()).await;
    api.events(json!([event("a", json!({ "dimensions": { "n": 1, "b": true, "t": "x" } }))])).await.ok();
    api.events(json!([event("a", json!({ "dimensions": { "n": 2 } })), event("a", json!({}))])).await.ok();
    assert_eq!(counted(&api), [1]);
    assert_eq!(api.sandbox.snapshot().events[0].dimensions, Some(json!({ "n": 1, "b": true, "t": "x" })));
    assert_eq!(api.sandbox.stats().operations["reportEvent"].rows_skipped, 2);

    for other in [
        json!({ "idempotencyKey": "b" }),
        json!({ "eventName": "other" }),
        json!({ "resourceId": "r" }),
        json!({ "timestamp": "2026-06-01T11:00:00.001Z" }),
    ] {
        api.events(json!([event("a", other)])).await.ok();
    }
    assert_eq!(counted(&api), [1; 5]);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_time_is_another_one_when_it_is_sent_again() {
    let api = with_ada(Api::plain()).await;
    for _ in 0..2 {
        api.events(json!([event("a", json!({ "timestamp": null }))])).await.ok();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(counted(&api), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn repeats_may_be_forgotten_after_a_day() {
    for (setting, expected) in [("event-repeats=known", 1), ("event-repeats=for-a-day", 2)] {
        let api = with_ada(Api::unknown(setting)).await;
        api.events(json!([event("a", json!({}))])).await.ok();
        tokio::time::sleep(Duration::from_secs(86_399)).await;
        api.events(json!([event("a", json!({}))])).await.ok();
        assert_eq!(counted(&api), [1], "{setting}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        api.events(json!([event("a", json!({}))])).await.ok();
        assert_eq!(counted(&api), [expected], "{setting}");
    }
}

#[tokio::test]
async fn what_is_no_event_is_refused_and_nothing_is_kept() {
    let api = with_ada(Api::plain()).await;
    for (bad, code) in [
        (json!({ "eventName": "" }), "BadUserInput"),
        (json!({ "idempotencyKey": "" }), "BadUserInput"),
        (json!({ "customerId": "nobody" }), "CustomerNotFound"),
        (json!({ "dimensions": { "list": [1] } }), "BadUserInput"),
        (json!({ "dimensions": { "none": null } }), "BadUserInput"),
        (json!({ "dimensions": [] }), "BadUserInput"),
        (json!({ "dimensions": { "much": "x".repeat(1_000_000) } }), "BadUserInput"),
    ] {
        let got = api.events(json!([event("good", json!({})), event("bad", bad.clone())])).await;
        assert_eq!(got.code(), code, "{}", got.json);
    }
    assert_eq!(api.events(json!([])).await.code(), "BadUserInput");
    let many: Vec<Value> = (0..1001).map(|n| event(&n.to_string(), json!({}))).collect();
    assert_eq!(api.events(json!(many)).await.code(), "BadUserInput");
    assert_eq!(counted(&api), [0; 0]);
    api.events(json!(many[..1000])).await.ok();
    assert_eq!(counted(&api).len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_events_a_second_pass_however_they_are_batched() {
    let api = with_ada(Api::new(Settings { rate_scale: Some(1.0), ..Settings::default() })).await;
    let batch = |from: u32, to: u32| -> Value { (from..to).map(|n| event(&n.to_string(), json!({}))).collect() };
    api.events(batch(0, 600)).await.ok();
    tokio::time::sleep(Duration::from_millis(500)).await;
    api.events(batch(600, 1000)).await.ok();
    let refused = api.events(batch(1000, 1001)).await;
    assert_eq!(refused.status, 429);
    tokio::time::sleep(Duration::from_millis(500)).await;
    api.events(batch(1000, 1600)).await.ok();
    assert_eq!(api.events(batch(1600, 1601)).await.status, 429);
}
