//! Stripe: provider and source against the embedded account, which was written from Stripe's documents and knows nothing of us.

mod cutover;
mod localstripe;
mod source;

use std::num::NonZeroU32;

use stigg_import::http::Endpoint;
use stigg_import::provider::conformance::{Fixture, check};
use stigg_import::provider::stripe::StripeProvider;
use stigg_import::provider::{Cancelling, Disposition, OriginalId, PendingItems, Provider as _, Reading};
use stigg_import::sandbox::{Fault, FaultKind, Sandbox, Settings, StripeItem, StripeSnapshot, StripeSubscription};
use stigg_import::stripe::{LiveKeys, StripeKey, StripeSettings};

fn subscription(number: i64) -> StripeSubscription {
    let item = StripeItem {
        price: "price_pro".to_owned(),
        product: "prod_pro".to_owned(),
        quantity: Some(2),
        unit_amount: 1500,
        currency: "usd".to_owned(),
        interval: "month".to_owned(),
    };
    StripeSubscription {
        id: format!("sub_{number}"),
        customer: format!("cus_{number}"),
        status: "active".to_owned(),
        created: 1_735_689_600 + number,
        start_date: 1_735_689_600,
        current_period_end: 1_767_225_600,
        canceled_at: None,
        ended_at: None,
        cancel_at_period_end: false,
        schedule: None,
        items: vec![item],
        metadata: serde_json::Map::new(),
    }
}

/// A sandbox whose account holds so many active subscriptions, `sub_1` the oldest, and its address.
async fn account(subscriptions: i64, settings: Settings) -> (Sandbox, String) {
    let sandbox = Sandbox::new(settings);
    let subscriptions = (1..=subscriptions).map(subscription).collect();
    sandbox.stripe().load(StripeSnapshot { subscriptions, ..StripeSnapshot::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/stripe", listener.local_addr().expect("an address"));
    tokio::spawn(sandbox.clone().serve(listener, std::future::pending()));
    (sandbox, url)
}

fn provider(url: &str) -> StripeProvider {
    let key = StripeKey::parse(&"sk_test_any".into(), LiveKeys::Refused).expect("a key");
    let mut settings = StripeSettings::new(Endpoint::parse(url).expect("an address"), key);
    settings.calls_per_second = NonZeroU32::new(1000).expect("above zero");
    StripeProvider::connect(settings).expect("a provider")
}

fn id(text: &str) -> OriginalId {
    OriginalId::parse(text).expect("an id")
}

#[tokio::test]
async fn the_provider_keeps_what_providers_promise_and_asks_for_no_proration() {
    let (sandbox, url) = account(2, Settings::default()).await;

    check(&provider(&url), &Fixture { active: id("sub_1"), untouched: id("sub_2"), missing: id("sub_none") }).await;

    let snapshot = sandbox.stripe().snapshot();
    assert_eq!(snapshot.cancellations.into_iter().collect::<Vec<_>>(), [("sub_1".to_owned(), 1)]);
    assert_eq!((snapshot.invoice_items, snapshot.invoiced), (vec![], vec![]));
}

#[tokio::test]
async fn after_a_lost_answer_reading_tells_whether_it_was_cancelled() {
    for kind in FaultKind::ALL {
        if matches!(kind, FaultKind::Silent | FaultKind::SilentAfter) {
            // As a lost answer, a minute later.
            continue;
        }
        let (sandbox, url) = account(1, Settings::default()).await;
        let provider = provider(&url);
        sandbox.stripe().inject(Fault::once(kind).on("stripe.subscriptions.cancel"));

        let cancelled = provider.cancel(&id("sub_1")).await;

        let Reading::Found(original) = provider.read(&id("sub_1")).await.expect("an answer") else {
            panic!("{kind:?}")
        };
        assert_eq!(original.status.has_ended(), kind.work_is_done(), "{kind:?}");
        match cancelled {
            Ok(cancelling) => {
                assert!(matches!(cancelling, Cancelling::Cancelled { .. }) && kind == FaultKind::Slow, "{kind:?}");
            }
            Err(error) => match error.disposition() {
                Disposition::Again { .. } | Disposition::Stop(_) => assert!(!kind.work_is_done(), "{kind:?}: {error}"),
                Disposition::ReadBack { may_repeat, .. } => assert!(may_repeat, "{kind:?}"),
                Disposition::Park => panic!("{kind:?}: {error}"),
            },
        }
        // Once more is never twice.
        let again = provider.cancel(&id("sub_1")).await.expect("an answer");
        assert_eq!(again == Cancelling::AlreadyCancelled, kind.work_is_done(), "{kind:?}: {again:?}");
        assert_eq!(sandbox.stripe().snapshot().cancellations["sub_1"], 1);
    }
}

#[tokio::test]
async fn what_waits_for_an_invoice_is_reported_and_left() {
    let (sandbox, url) = account(2, Settings::default()).await;
    let mut snapshot = sandbox.stripe().snapshot();
    for (number, subscription) in [(1, "sub_1"), (2, "sub_2")] {
        snapshot.invoice_items.push(stigg_import::sandbox::StripeInvoiceItem {
            id: format!("ii_{number}"),
            customer: "cus_1".to_owned(),
            subscription: subscription.to_owned(),
            amount: -700,
            currency: "usd".to_owned(),
            proration: true,
            created: 1_764_000_000,
        });
    }
    sandbox.stripe().load(snapshot);

    let Reading::Found(original) = provider(&url).read(&id("sub_1")).await.expect("an answer") else { panic!() };

    let PendingItems::Read { items, more: false } = &original.pending_items else { panic!("{original:?}") };
    assert_eq!(items.iter().map(|item| (item.id.as_str(), item.amount_minor)).collect::<Vec<_>>(), [("ii_1", -700)]);
    assert_eq!((original.items.len(), original.items[0].quantity), (1, Some(2)));
}
