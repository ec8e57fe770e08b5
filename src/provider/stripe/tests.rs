use super::*;
use crate::http::Endpoint;
use crate::provider::{Disposition, Interval, OriginalStatus, Stop};
use crate::stripe::recorder::{Recorder, Scripted};
use crate::stripe::{LiveKeys, StripeKey};

/// As the API answers in version 2026-10-28.endive: the period is the item's.
const ACTIVE: &str = r#"{
  "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1", "livemode": false,
  "start_date": 1735689600, "ended_at": null, "canceled_at": null, "cancel_at_period_end": false,
  "schedule": "sub_sched_1",
  "items": {"object": "list", "has_more": false, "data": [
    {"id": "si_1", "quantity": 3, "current_period_end": 1767225600,
     "price": {"id": "price_1", "product": "prod_1", "currency": "usd", "unit_amount": null,
               "unit_amount_decimal": "1500.5", "recurring": {"interval": "month", "interval_count": 1}}}]}}"#;

const PENDING: &str = r#"{"object": "list", "has_more": true, "data": [
  {"id": "ii_1", "amount": -250, "currency": "usd", "proration": true,
   "parent": {"subscription_details": {"subscription": "sub_1"}}},
  {"id": "ii_2", "amount": 100, "currency": "usd", "subscription": "sub_other"}]}"#;

const MISSING: &str = r#"{"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such subscription: 'sub_1'"}}"#;

fn canceled() -> String {
    ACTIVE.replace(r#""active""#, r#""canceled""#).replace(r#""ended_at": null"#, r#""ended_at": 1764000000"#)
}

fn id() -> OriginalId {
    OriginalId::parse("sub_1").expect("an id")
}

async fn provider(answers: Vec<Scripted>) -> (StripeProvider, Recorder) {
    with_key("rk_test_51Abc", LiveKeys::Refused, answers).await
}

async fn with_key(key: &str, live_keys: LiveKeys, answers: Vec<Scripted>) -> (StripeProvider, Recorder) {
    let recorder = Recorder::start(answers).await;
    let key = StripeKey::parse(&key.into(), live_keys).expect("a key");
    let endpoint = Endpoint::parse(&recorder.url("")).expect("an address");
    (StripeProvider::connect(StripeSettings::new(endpoint, key)).expect("a provider"), recorder)
}

fn lines(recorder: &Recorder) -> Vec<String> {
    recorder.requests().into_iter().map(|request| request.line).collect()
}

#[tokio::test]
async fn a_read_finds_what_is_charged_and_what_waits_for_an_invoice() {
    let (provider, recorder) = provider(vec![Scripted::json(200, ACTIVE), Scripted::json(200, PENDING)]).await;

    let Reading::Found(original) = provider.read(&id()).await.expect("an answer") else { panic!("it is there") };

    let time = |text: &str| Some(text.parse().expect("a time"));
    let pending = PendingItem { id: "ii_1".into(), amount_minor: -250, currency: "usd".into(), proration: true };
    assert_eq!(original.status, OriginalStatus::Active);
    assert_eq!(original.customer_id, "cus_1");
    assert_eq!(original.started_at, time("2025-01-01T00:00:00Z"));
    assert_eq!(original.current_period_end, time("2026-01-01T00:00:00Z"));
    assert_eq!(original.schedule_id.as_deref(), Some("sub_sched_1"));
    assert_eq!(original.pending_items, PendingItems::Read { items: vec![pending], more: true });
    let [item] = &original.items[..] else { panic!("one item") };
    assert_eq!((item.price_id.as_str(), item.quantity), ("price_1", Some(3)));
    assert_eq!(item.unit_amount_minor.expect("an amount").to_string(), "1500.5");
    assert_eq!(item.interval, Some((Interval::Month, 1)));
    assert_eq!(
        lines(&recorder),
        ["GET /v1/subscriptions/sub_1", "GET /v1/invoiceitems?customer=cus_1&pending=true&limit=100"]
    );
}

#[tokio::test]
async fn a_cancellation_is_one_delete_without_proration_and_invoice() {
    let answer = Scripted::json(200, &canceled()).header("request-id", "req_7");
    let (provider, recorder) = provider(vec![answer]).await;

    let cancelling = provider.cancel(&id()).await.expect("an answer");

    assert_eq!(cancelling, Cancelling::Cancelled { request_id: Some("req_7".to_owned()) });
    let [request] = &recorder.requests()[..] else { panic!("one request") };
    assert_eq!(request.line, "DELETE /v1/subscriptions/sub_1?prorate=false&invoice_now=false");
    assert_eq!(request.body, "");
    assert_eq!(request.header("authorization"), Some("Bearer rk_test_51Abc"));
    assert_eq!(request.header("stripe-version"), Some("2026-10-28.endive"));
    assert_eq!(request.header("idempotency-key"), None, "it would have no effect");
}

#[tokio::test]
async fn a_404_is_settled_by_reading() {
    let missing = || Scripted::json(404, MISSING);
    let (again, recorder) = provider(vec![missing(), Scripted::json(200, &canceled())]).await;
    assert_eq!(again.cancel(&id()).await.expect("an answer"), Cancelling::AlreadyCancelled);
    assert_eq!(
        lines(&recorder),
        ["DELETE /v1/subscriptions/sub_1?prorate=false&invoice_now=false", "GET /v1/subscriptions/sub_1"]
    );

    let (nowhere, _recorder) = provider(vec![missing(), missing(), missing()]).await;
    assert_eq!(nowhere.cancel(&id()).await.expect("an answer"), Cancelling::NotFound);
    assert_eq!(nowhere.read(&id()).await.expect("an answer"), Reading::NotFound);

    // Both at once can't be: nothing is believed.
    let (odd, _recorder) = provider(vec![missing(), Scripted::json(200, ACTIVE)]).await;
    let error = odd.cancel(&id()).await.expect_err("unclear");
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_good_status_is_believed_only_with_the_right_subscription_ended() {
    let other = canceled().replace("sub_1", "sub_2");
    for body in [ACTIVE, &other, "{}", "<html>", r#"{"id":"sub_1","object":"subscription"}"#, "[]"] {
        let (provider, _recorder) = provider(vec![Scripted::json(200, body)]).await;
        let error = provider.cancel(&id()).await.expect_err("not believed");
        let read_back = Disposition::ReadBack { after: None, may_repeat: true };
        assert_eq!(error.disposition(), read_back, "{body}");
    }
}

#[tokio::test]
async fn what_stripe_says_decides_what_is_done_next() {
    let seconds = |n| Some(std::time::Duration::from_secs(n));
    let again = |after| Disposition::Again { after };
    let read_back = |after, may_repeat| Disposition::ReadBack { after, may_repeat };
    let credentials = Disposition::Stop(Stop::Credentials);
    let error = |status| Scripted::json(status, r#"{"error":{"message":"m"}}"#);
    for (answer, next) in [
        (error(429).header("retry-after", "2"), again(seconds(2))),
        (error(429), again(None)),
        (error(429).header("stripe-should-retry", "false"), Disposition::Park),
        (error(400), Disposition::Park),
        (error(400).header("stripe-should-retry", "true").header("retry-after", "1"), again(seconds(1))),
        (error(402), Disposition::Park),
        (error(409), read_back(None, true)),
        (error(500).header("retry-after", "4"), read_back(seconds(4), true)),
        (error(503).header("stripe-should-retry", "false"), read_back(None, false)),
        (Scripted::json(502, "<html>"), read_back(None, true)),
        (Scripted::cut(), read_back(None, true)),
        (error(401), credentials),
        (error(403), credentials),
        (Scripted::json(404, "<html>"), Disposition::Stop(Stop::Endpoint)),
        (Scripted::json(301, ""), Disposition::Stop(Stop::Endpoint)),
    ] {
        let (provider, recorder) = provider(vec![answer.clone()]).await;
        let error = provider.cancel(&id()).await.expect_err("it failed");
        assert_eq!(error.disposition(), next, "{answer:?}: {error:?}");
        assert_eq!(recorder.requests().len(), 1, "nothing is sent twice: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_of_the_other_mode_is_told_from_a_subscription_that_is_not_there() {
    let hint =
        MISSING.replace("'sub_1'", "'sub_1'; a similar object exists in live mode, but a test mode key was used");
    let live = ACTIVE.replace(r#""livemode": false"#, r#""livemode": true"#);
    for answer in [Scripted::json(404, &hint), Scripted::json(200, &live)] {
        let (provider, _recorder) = provider(vec![answer]).await;
        let error = provider.read(&id()).await.expect_err("the other mode");
        assert!(matches!(error, ProviderError::OtherMode { live_key: false }), "{error:?}");
    }
    let (live, _recorder) = with_key("sk_live_1", LiveKeys::Allowed, vec![Scripted::json(200, ACTIVE)]).await;
    let error = live.read(&id()).await.expect_err("the other mode");
    assert_eq!(error.to_string(), "the key is of live mode, and the subscription is not");
}

#[tokio::test]
async fn a_key_without_a_right_to_invoice_items_reads_the_rest() {
    let (provider, _recorder) =
        provider(vec![Scripted::json(200, ACTIVE), Scripted::json(403, r#"{"error":{"message":"no right"}}"#)]).await;

    let Reading::Found(original) = provider.read(&id()).await.expect("an answer") else { panic!("it is there") };

    assert_eq!(original.pending_items, PendingItems::Unread);
}

#[tokio::test]
async fn an_older_version_with_plans_is_read_too() {
    let body = r#"{"id": "sub_1", "object": "subscription", "status": "past_due", "customer": {"id": "cus_1"},
      "start_date": 1735689600, "current_period_end": 1767225600, "livemode": false, "items": {"data": [
        {"quantity": null, "plan": {"id": "plan_1", "amount": 1500, "currency": "eur", "interval": "year", "interval_count": 2}}]}}"#;
    let (provider, _recorder) = provider(vec![Scripted::json(200, body), Scripted::json(200, r#"{"data": []}"#)]).await;

    let Reading::Found(original) = provider.read(&id()).await.expect("an answer") else { panic!("it is there") };

    assert_eq!((&original.status, original.customer_id.as_str()), (&OriginalStatus::PastDue, "cus_1"));
    assert_eq!(original.current_period_end.expect("an end").to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(original.items[0].unit_amount_minor.expect("an amount").to_string(), "1500");
    assert_eq!(original.items[0].interval, Some((Interval::Year, 2)));
    assert_eq!(original.pending_items, PendingItems::none());
}
