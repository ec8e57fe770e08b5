//! Trouble on demand.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{Api, Settings, some_customers};
use crate::sandbox::{Fault, FaultKind, Faults, Reply};

fn import(n: usize) -> Vec<u8> {
    let input = json!({ "input": { "customers": [{ "customerId": format!("c{n}") }] } });
    json!({ "query": super::document("ImportCustomerBulk"), "operationName": "ImportCustomerBulk", "variables": input })
        .to_string()
        .into_bytes()
}

fn status(reply: &Reply) -> u16 {
    match reply {
        Reply::Answer { status, .. } | Reply::Truncated { status, .. } => *status,
        Reply::Reset | Reply::Silent => 0,
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_answers_as_it_says_and_does_its_work_or_not() {
    for kind in FaultKind::ALL {
        let api = Api::plain();
        api.inject(Fault::once(kind));
        let began = Instant::now();

        let reply = api.raw(import(0)).await;

        let expected = match kind {
            FaultKind::RateLimited => 429,
            FaultKind::ServerErrorBefore | FaultKind::ServerErrorAfter => 500,
            FaultKind::BadGateway | FaultKind::BadGatewayAfter => 502,
            FaultKind::Unauthenticated => 401,
            FaultKind::Slow | FaultKind::Truncated | FaultKind::NotJson => 200,
            FaultKind::LostAnswer | FaultKind::ResetBefore | FaultKind::Silent | FaultKind::SilentAfter => 0,
        };
        assert_eq!(status(&reply), expected, "{kind:?}");
        assert_eq!(matches!(reply, Reply::Silent), matches!(kind, FaultKind::Silent | FaultKind::SilentAfter));
        assert_eq!(api.sandbox.snapshot().customers.len(), usize::from(kind.work_is_done()), "{kind:?}");
        assert_eq!(began.elapsed() >= Duration::from_secs(1), kind == FaultKind::Slow);
        assert_eq!(api.sandbox.stats().faults[kind.name()], 1);
        assert_eq!(status(&api.raw(import(0)).await), 200, "the next one passes");
    }
}

#[tokio::test]
async fn bodies_are_broken_where_they_should_be() {
    let api = Api::plain();

    api.inject(Fault::once(FaultKind::Truncated));
    let Reply::Truncated { headers, body, .. } = api.raw(import(0)).await else { panic!("not truncated") };
    let whole: usize = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
    assert!(body.len() < whole && serde_json::from_slice::<serde_json::Value>(&body).is_err());

    for kind in [FaultKind::NotJson, FaultKind::BadGateway] {
        api.inject(Fault::once(kind));
        let Reply::Answer { body, .. } = api.raw(import(0)).await else { panic!("no answer") };
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_err());
    }

    api.inject(Fault::once(FaultKind::RateLimited).delay(Duration::from_millis(1500)));
    let Reply::Answer { headers, .. } = api.raw(import(0)).await else { panic!("no answer") };
    assert!(headers.contains(&(String::from("retry-after"), String::from("2"))));
}

#[tokio::test]
async fn a_script_hits_its_operation_as_often_as_it_says() {
    let api = Api::plain();
    api.customers(some_customers(1)).await.ok();
    api.inject(Fault::once(FaultKind::ServerErrorAfter).on("importCustomersBulk").after(1).times(2));
    api.inject(Fault::once(FaultKind::ServerErrorBefore).on("ReportUsageBulk"));

    let mut seen = Vec::new();
    for n in 0..4 {
        api.query("{ currentEnvironment }").await.ok();
        seen.push(status(&api.raw(import(n)).await));
    }

    assert_eq!(seen, [200, 500, 500, 200]);
    let usage = json!([{ "customerId": "c0", "featureId": "f", "value": 1 }]);
    assert_eq!(api.usage(usage.clone()).await.code(), "UnexpectedError");
    api.usage(usage).await.ok();
}

#[tokio::test]
async fn the_operation_header_names_an_operation_too() {
    let api = Api::plain();
    api.inject(Fault::once(FaultKind::ResetBefore).on("MyName"));

    let mut request =
        crate::sandbox::Request { api_key: Some(String::from("server-a")), operation: None, body: import(0).into() };
    assert_eq!(status(&api.sandbox.handle(request.clone()).await), 200);
    request.operation = Some(String::from("MyName"));
    assert_eq!(api.sandbox.handle(request).await, Reply::Reset);
}

#[tokio::test(start_paused = true)]
async fn random_faults_follow_their_probability_and_their_seed() {
    let run = async |seed: u64| {
        let faults = Faults::default().with(FaultKind::LostAnswer, 0.2).with(FaultKind::Slow, 0.1);
        let api = Api::new(Settings { faults, seed, ..Settings::default() });
        let mut replies = Vec::new();
        for _ in 0..300 {
            let body = br#"{"query":"{ currentEnvironment }"}"#;
            replies.push(matches!(api.raw(body.to_vec()).await, Reply::Reset));
        }
        replies
    };

    let first = run(1).await;

    let lost = first.iter().filter(|lost| **lost).count();
    assert!((30..90).contains(&lost), "{lost}");
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
}

#[tokio::test]
async fn a_key_can_be_refused_after_some_requests() {
    let faults: Faults = "unauthenticated-after=2".parse().unwrap();
    let api = Api::new(Settings { faults, ..Settings::default() });

    let mut seen = Vec::new();
    for n in 0..4 {
        seen.push(status(&api.raw(import(n)).await));
    }

    assert_eq!(seen, [200, 200, 401, 401]);
}

#[tokio::test(start_paused = true)]
async fn the_work_is_done_before_the_latency() {
    let latency = Duration::from_secs(5);
    let api = Api::new(Settings { latency, latency_jitter: latency, ..Settings::default() });
    let began = Instant::now();

    // When: the client gives up before the answer leaves.
    let gave_up = tokio::time::timeout(Duration::from_secs(1), api.raw(import(0))).await;

    assert!(gave_up.is_err());
    assert_eq!(api.sandbox.snapshot().customers.len(), 1);
    api.raw(import(1)).await;
    assert!((latency..latency * 3).contains(&(began.elapsed() - Duration::from_secs(1))));
}
