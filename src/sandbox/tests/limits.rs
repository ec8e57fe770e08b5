//! Contract 6.

use std::time::Duration;

use proptest::prelude::{ProptestConfig, prop, proptest};
use serde_json::json;
use tokio::time::Instant;

use super::{Api, Settings, unknowns};
use crate::sandbox::LimiterKind;
use crate::sandbox::limiter::{Limiter, WINDOW};

fn limited(limiter: LimiterKind, unknown: &str) -> Api {
    Api::new(Settings { rate_scale: Some(0.02), limiter, unknowns: unknowns(unknown), ..Settings::default() })
}

async fn import(api: &Api, n: usize) -> super::Got {
    api.customers(json!([{ "customerId": format!("c{n}") }])).await
}

#[tokio::test(start_paused = true)]
async fn one_request_too_many_is_refused_until_the_window_ends() {
    // Given: 250 × 0.02 = 5 requests a minute.
    let api = limited(LimiterKind::FixedWindow, "");
    tokio::time::advance(Duration::from_millis(10_500)).await;
    for n in 0..5 {
        import(&api, n).await.ok();
    }

    let refused = import(&api, 5).await;

    assert_eq!((refused.status, refused.code()), (429, "RateLimitExceeded"));
    assert_eq!(refused.header("retry-after"), Some("50"));
    tokio::time::advance(Duration::from_millis(49_499)).await;
    assert_eq!(import(&api, 5).await.status, 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    import(&api, 5).await.ok();
    let stats = &api.sandbox.stats().operations["importCustomersBulk"];
    assert_eq!((stats.requests, stats.rate_limited, stats.rows_applied), (8, 2, 6));
    assert_eq!(stats.requests_per_minute_max, 8);
}

#[tokio::test(start_paused = true)]
async fn operations_and_keys_have_limits_of_their_own() {
    let mut api = limited(LimiterKind::FixedWindow, "");
    for n in 0..5 {
        import(&api, n).await.ok();
    }
    assert_eq!(import(&api, 5).await.status, 429);

    // 600 × 0.02 = 12.
    for _ in 0..12 {
        api.usage(json!([{ "customerId": "c0", "featureId": "f", "value": 1 }])).await.ok();
    }
    assert_eq!(api.usage(json!([{ "customerId": "c0", "featureId": "f", "value": 1 }])).await.status, 429);
    for _ in 0..50 {
        api.run("Customers", json!({})).await.ok();
    }
    api.key = String::from("server-other");
    import(&api, 5).await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_looks_as_it_is_switched() {
    let full = async |unknown: &str| {
        let api = limited(LimiterKind::FixedWindow, unknown);
        for n in 0..5 {
            import(&api, n).await.ok();
        }
        import(&api, 5).await
    };

    let hidden = full("rate-limit-status=200,retry-header=none").await;
    assert_eq!((hidden.status, hidden.code(), hidden.header("retry-after")), (200, "RateLimitExceeded", None));
    assert_eq!(full("retry-header=retry-after-ms").await.header("retry-after-ms"), Some("60000"));
    assert_eq!(full("code-spelling=screaming").await.code(), "RATE_LIMIT_EXCEEDED");
}

#[tokio::test(start_paused = true)]
async fn the_count_can_go_by_operation_name() {
    let api = limited(LimiterKind::FixedWindow, "rate-limit-by=operation-name");
    let named = |name: &str| json!({ "query": format!("query {name} {{ getSubscription(input: {{subscriptionId: \"s\"}}) {{ id }} }}") });

    for _ in 0..5 {
        assert_eq!(api.post(&named("ImportCustomerBulk")).await.code(), "SubscriptionNotFound");
    }

    assert_eq!(api.post(&named("ImportCustomerBulk")).await.status, 429);
    assert_eq!(api.post(&named("Mine")).await.code(), "SubscriptionNotFound");
}

#[tokio::test(start_paused = true)]
async fn one_entity_takes_thirty_mutations_a_minute() {
    let api = Api::new(Settings { rate_scale: Some(1.0), ..Settings::default() });
    api.customers(json!([{ "customerId": "ada" }, { "customerId": "bob" }])).await.ok();
    let provision = async |customer: &str, resource: Option<&str>, n: usize| {
        api.provision(json!({ "customerId": customer, "planId": "p", "subscriptionId": format!("{customer}{n}"),
            "resourceId": resource }))
            .await
    };
    for n in 0..30 {
        provision("ada", None, n).await.ok();
    }

    let refused = provision("ada", None, 30).await;

    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    provision("ada", Some("r"), 31).await.ok();
    provision("bob", None, 30).await.ok();
    tokio::time::advance(WINDOW).await;
    provision("ada", None, 30).await.ok();
    assert_eq!(api.sandbox.stats().operations["provisionSubscriptionV2"].rate_limited, 1);
}

#[tokio::test(start_paused = true)]
async fn bulk_rows_can_count_for_their_entities() {
    let report = async |unknown: &str| {
        let api = Api::new(Settings { rate_scale: Some(1.0), unknowns: unknowns(unknown), ..Settings::default() });
        api.customers(json!([{ "customerId": "ada" }])).await.ok();
        let row = json!({ "customerId": "ada", "featureId": "f", "value": 1 });
        let mut refused = 0;
        for _ in 0..40 {
            refused += usize::from(api.usage(json!([row, row])).await.status == 429);
        }
        refused
    };

    assert_eq!(report("bulk-entity-limit=free").await, 0);
    // The import counted for ada too.
    assert_eq!(report("bulk-entity-limit=counted").await, 11);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_waits_as_told_gets_in_and_no_window_overflows(
        gaps_ms in prop::collection::vec(0_u64..3000, 1..200),
        per_minute in 1_u32..40,
        kind in prop::sample::select(vec![
            LimiterKind::FixedWindow, LimiterKind::SlidingLog, LimiterKind::TokenBucket { capacity: 3 },
        ]),
    ) {
        let start = Instant::now();
        let mut limiter = Limiter::new(kind, per_minute, start);
        let mut now = start;
        let mut taken = Vec::new();
        for gap in gaps_ms {
            now += Duration::from_millis(gap);
            if let Err(wait) = limiter.take(start, now) {
                assert!(wait > Duration::ZERO && wait <= WINDOW);
                now += wait + Duration::from_nanos(1);
                assert_eq!(limiter.take(start, now), Ok(()));
            }
            taken.push(now);
        }
        let most = match kind {
            LimiterKind::FixedWindow => per_minute as usize * 2,
            LimiterKind::TokenBucket { capacity } => (per_minute + capacity) as usize,
            LimiterKind::SlidingLog | LimiterKind::SlidingCounter => per_minute as usize,
        };
        for (index, first) in taken.iter().enumerate() {
            let in_window = taken[index..].iter().take_while(|at| **at - *first < WINDOW).count();
            assert!(in_window <= most, "{in_window} > {most}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn steady_requests_just_below_the_limit_pass_every_limiter() {
    let kinds = [
        LimiterKind::FixedWindow,
        LimiterKind::SlidingLog,
        LimiterKind::SlidingCounter,
        LimiterKind::TokenBucket { capacity: 1 },
    ];
    for kind in kinds {
        let start = Instant::now();
        let mut limiter = Limiter::new(kind, 600, start);
        let gap = WINDOW.div_f64(600.0 * 0.99);
        let refused = (0..3000_u32).filter(|n| limiter.take(start, start + gap * *n).is_err()).count();
        assert_eq!(refused, 0, "{kind:?}");
    }
}
