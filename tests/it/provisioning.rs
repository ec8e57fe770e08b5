//! Provisioning against the embedded API, which was written from the vendor's documents and knows nothing of us.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use stigg_import::entity::Entity;
use stigg_import::sandbox::{Catalog, Fault, FaultKind, LimiterKind, Reply, Request, Sandbox, Settings};
use stigg_import::sink::conformance::{ProvisionFixture, batch, check_provisioning, customer, provision_request};
use stigg_import::sink::stigg::StiggSink;
use stigg_import::sink::transport::{HttpAnswer, RequestBody, Sent, Transport, TransportError};
use stigg_import::sink::{
    Budgets, Disposition, ErrorCode, Operation, ProvisionRequest, Provisioner as _, Provisioning, Sink as _, SinkError,
};
use tokio::time::Instant;

/// Carries requests to a sandbox without a network; each way takes up to `way_max`, and they overtake each other.
struct Straight {
    sandbox: Sandbox,
    way_max: Duration,
}

impl Transport for Straight {
    fn post(&self, operation: &'static str, body: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
        Box::pin(async move {
            tokio::time::sleep(self.way_max.mul_f64(fastrand::f64())).await;
            let request = Request {
                api_key: Some("server-key".to_owned()),
                operation: Some(operation.to_owned()),
                body: body.into_bytes(),
            };
            match self.sandbox.handle(request).await {
                Reply::Answer { status, body, .. } => {
                    Ok(HttpAnswer { status, retry_after: None, date: None, body: body.into() })
                }
                Reply::Silent => pending().await,
                Reply::Reset | Reply::Truncated { .. } => {
                    Err(TransportError { sent: Sent::Maybe, source: "cut".into() })
                }
            }
        })
    }
}

fn settings() -> Settings {
    let catalog: Catalog = serde_json::from_value(json!({
        "plans": [{ "id": "paid", "kind": "paid" }, { "id": "paid-many", "kind": "paid", "product": "many" }],
        "products": [{ "id": "many", "multiple_subscriptions": true }],
    }))
    .expect("a catalog");
    let started_at = "2026-06-30T12:00:00Z".parse().ok();
    Settings { catalog: Some(catalog), started_at, ..Settings::default() }
}

fn sink_of(settings: Settings) -> (Sandbox, StiggSink) {
    let sandbox = Sandbox::new(settings);
    let transport = Straight { sandbox: sandbox.clone(), way_max: Duration::ZERO };
    (sandbox, StiggSink::new(Arc::new(transport)))
}

/// The same with customers `ada` and others, each known at the billing provider.
async fn with_customers(settings: Settings, ids: &[&str]) -> (Sandbox, StiggSink) {
    let (sandbox, sink) = sink_of(settings);
    let customers: Vec<_> = ids.iter().map(|id| payer(id)).collect();
    let permit = Budgets::unlimited().acquire(Operation::ImportCustomers).await;
    sink.submit(&batch(Entity::Customer, &customers), permit).await.expect("customers are taken");
    (sandbox, sink)
}

fn payer(id: &str) -> (String, Value) {
    let (key, mut json) = customer(id, "Payer");
    json["billingId"] = format!("cus_{id}").into();
    (key, json)
}

async fn provision(sink: &StiggSink, request: &ProvisionRequest) -> Result<Provisioning, SinkError> {
    let permit = Budgets::unlimited().acquire_provision(&request.customer_id, request.resource_id.as_deref()).await;
    sink.provision(request, permit).await
}

/// Ada's subscription `s`, with other values of some fields.
fn changed(fields: Value) -> ProvisionRequest {
    let mut request = provision_request("s", "ada", "paid", None);
    let mut input: Value = serde_json::from_str(&request.input_json).expect("JSON");
    for (field, value) in fields.as_object().expect("fields") {
        input[field] = value.clone();
    }
    request.input_json = input.to_string();
    request
}

#[tokio::test(start_paused = true)]
async fn the_api_does_what_every_provisioner_does_within_its_published_limits() {
    let limited = Settings { rate_scale: Some(1.0), limiter: LimiterKind::SlidingLog, ..settings() };
    let (sandbox, sink) = sink_of(limited);
    let fixture = ProvisionFixture {
        prefix: "c".to_owned(),
        plan_id: "paid".to_owned(),
        plan_of_many_id: "paid-many".to_owned(),
        payer_billing_id: "cus_1".to_owned(),
    };

    check_provisioning(&sink, &Budgets::published(), &fixture).await;

    let stats = sandbox.stats();
    assert!(stats.operations.values().all(|operation| operation.rate_limited == 0), "{stats:?}");
    let snapshot = sandbox.snapshot();
    assert!(
        snapshot.subscriptions.values().all(|subscription| !subscription.billed_again),
        "all of them are backdated"
    );
    let provisioned = serde_json::to_value(&snapshot.subscriptions["c-first"].provisioned).expect("JSON");
    assert_eq!(provisioned["billingInformation"]["metadata"]["origin"], "conformance");
}

#[tokio::test(start_paused = true)]
async fn no_limiter_refuses_many_customers_and_a_busy_one() {
    fastrand::seed(7);
    for limiter in [LimiterKind::FixedWindow, LimiterKind::SlidingLog, LimiterKind::SlidingCounter] {
        let limited = Settings { rate_scale: Some(1.0), limiter, ..settings() };
        let sandbox = Sandbox::new(limited);
        let transport = Straight { sandbox: sandbox.clone(), way_max: Duration::from_millis(200) };
        let sink = StiggSink::new(Arc::new(transport));
        let budgets = Budgets::published();
        let ids: Vec<String> = (0..400).map(|n| format!("cus-{n}")).collect();
        let mut customers: Vec<_> = ids.iter().map(|id| payer(id)).collect();
        customers.push(payer("busy"));
        let permit = budgets.acquire(Operation::ImportCustomers).await;
        sink.submit(&batch(Entity::Customer, &customers), permit).await.expect("customers are taken");
        let began = Instant::now();

        // The busy one's hundred are spread over the others.
        let requests = ids.iter().enumerate().flat_map(|(n, id)| {
            let busy = n % 4 == 0;
            let busy = busy.then(|| provision_request(&format!("busy-{n}"), "busy", "paid", None));
            busy.into_iter().chain([provision_request(&format!("sub-{n}"), id, "paid", None)])
        });
        let answers: Vec<_> = futures::stream::iter(requests)
            .map(|request| async {
                let permit = budgets.acquire_provision(&request.customer_id, None).await;
                sink.provision(&request, permit).await.map(|_| request)
            })
            .buffer_unordered(1000)
            .collect()
            .await;

        let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(failed.is_empty(), "{limiter:?}: {failed:?}");
        let stats = &sandbox.stats().operations["provisionSubscriptionV2"];
        assert_eq!((stats.rows_applied, stats.rate_limited), (500, 0), "{limiter:?}");
        // The busy one's first and 400 others in 97 s; from then on its other 99, the 98 waits between them in 198 s.
        assert_eq!(began.elapsed().as_secs(), 295, "{limiter:?}");
    }
}

#[tokio::test]
async fn who_has_to_pay_first_gets_a_checkout_and_nothing_is_active() {
    let listed = Settings { without_payment_method: ["ada".to_owned()].into(), ..settings() };
    let (sandbox, sink) = with_customers(listed, &["ada"]).await;

    let answer = provision(&sink, &provision_request("s", "ada", "paid", None)).await;

    let Ok(Provisioning::PaymentRequired { checkout_url, request_id }) = answer else { panic!("{answer:?}") };
    assert!(checkout_url.is_some_and(|url| url.starts_with("https://checkout.invalid/")));
    assert!(request_id.is_some());
    assert!(sandbox.snapshot().subscriptions.is_empty());
}

#[tokio::test]
async fn a_start_in_the_future_is_told_from_one_that_is_active() {
    let (_sandbox, sink) = with_customers(settings(), &["ada"]).await;

    let answer = provision(&sink, &changed(json!({ "startDate": "2027-01-01T00:00:00.000Z" }))).await;

    let Ok(Provisioning::Provisioned { subscription: Some(subscription), is_scheduled: true, .. }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(subscription.status, "NOT_STARTED");
    assert_eq!(subscription.start_date, "2027-01-01T00:00:00Z".parse().ok());
}

#[tokio::test]
async fn what_is_refused_is_refused_in_the_apis_words_and_not_done() {
    let (sandbox, sink) = with_customers(settings(), &["ada"]).await;
    for (fields, code) in [
        (json!({ "customerId": "eve" }), ErrorCode::CustomerNotFound),
        (json!({ "planId": "nope" }), ErrorCode::PlanNotFound),
        (json!({ "billingPeriod": null }), ErrorCode::BillingPeriodMissingError),
        (json!({ "billingPeriod": "MONTH" }), ErrorCode::BadUserInput),
        (json!({ "newField": 1 }), ErrorCode::BadUserInput),
        (json!({ "unitQuantity": -1 }), ErrorCode::InvalidQuantity),
        (json!({ "addons": [{ "addonId": "x" }] }), ErrorCode::AddonNotFound),
        (json!({ "billingInformation": { "metadata": { "n": 1 } } }), ErrorCode::InvalidMetadataError),
    ] {
        let error = provision(&sink, &changed(fields.clone())).await.expect_err("refused");

        assert_eq!(error.disposition(), Disposition::Split, "{fields}: {error:?}");
        assert_eq!(error.code_and_message().0, code.as_str(), "{fields}");
    }
    assert!(sandbox.snapshot().subscriptions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_an_answer_that_is_lost_nobody_says_whether_it_was_done() {
    for kind in FaultKind::ALL {
        let (sandbox, sink) = with_customers(settings(), &["ada"]).await;
        sandbox.inject(Fault::once(kind).on("provisionSubscriptionV2"));

        let request = provision_request("s", "ada", "paid", None);
        let answer = tokio::time::timeout(Duration::from_secs(60), provision(&sink, &request)).await;

        let done = sandbox.snapshot().subscriptions.len();
        let expected = usize::from(kind.work_is_done());
        assert_eq!(done, expected, "{kind:?}");
        let Ok(answer) = answer else {
            assert!(matches!(kind, FaultKind::Silent | FaultKind::SilentAfter), "{kind:?}");
            continue;
        };
        match kind {
            FaultKind::Slow => assert!(matches!(answer, Ok(Provisioning::Provisioned { .. })), "{answer:?}"),
            FaultKind::RateLimited => {
                assert!(matches!(answer, Err(SinkError::Throttled { .. })), "{answer:?}");
            }
            FaultKind::Unauthenticated => {
                assert!(matches!(answer, Err(SinkError::Unauthorized { .. })), "{answer:?}");
            }
            _ => assert!(matches!(answer, Err(SinkError::Unknown { .. })), "{kind:?}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn an_id_that_is_known_is_reported_as_the_api_treats_it() {
    let mut seen = BTreeMap::new();
    for choice in ["existing", "refused", "second"] {
        let unknowns = format!("known-subscription={choice}").parse().expect("a switch");
        let (sandbox, sink) = with_customers(Settings { unknowns, ..settings() }, &["ada"]).await;
        let request = provision_request("s", "ada", "paid", None);
        provision(&sink, &request).await.expect("the first is provisioned");

        let again = provision(&sink, &request).await;

        let said = match again {
            Ok(Provisioning::Provisioned { subscription: Some(one), .. }) if one.subscription_id == "s" => "the same",
            Ok(Provisioning::Provisioned { subscription: Some(_), .. }) => "another id",
            Err(SinkError::Refused { code: ErrorCode::DuplicatedEntityNotAllowed, .. }) => "refused",
            other => panic!("{choice}: {other:?}"),
        };
        seen.insert(choice, (said, sandbox.snapshot().subscriptions.len()));
    }
    let expected = [("existing", ("the same", 1)), ("refused", ("refused", 1)), ("second", ("another id", 2))];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}
