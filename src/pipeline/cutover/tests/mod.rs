//! What a cutover holds, whatever happens.

mod faults;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use self::world::{Asked, TARGET, World, at_provider, original_id};
use super::*;
use crate::entity::Entity;
use crate::ledger::Replacements as _;
use crate::provider::{Fault as ProviderFault, OriginalStatus};
use crate::sink::{CatalogPlan, ErrorCode, Fault};

#[tokio::test(start_paused = true)]
async fn a_subscription_is_provisioned_proved_and_then_its_original_is_cancelled() {
    let mut world = World::new().await;
    world.subscription("ada").await;

    let finished = world.run(Phase::Provision).await;

    assert_eq!((finished.summary.confirmed, finished.summary.cancelled), (1, 0));
    assert_eq!(world.stage("ada").await, ("confirmed", None));
    assert!(world.provider.cancelled().is_empty(), "provisioning cancels nothing");
    let sent = world.sink.record(Entity::Subscription, "ada").unwrap();
    assert_eq!(sent["billingInformation"], json!({ "isBackdated": true }));
    assert_eq!(sent["startDate"], "2025-06-16T16:35:00.000Z");
    assert!(sent["original"].is_null(), "it is ours, and not the API's");

    let finished = world.run(Phase::Cancel).await;

    assert_eq!((finished.summary.to_cancel, finished.summary.cancelled), (1, 1));
    assert_eq!(world.stage("ada").await, ("cancelled", None));
    assert_eq!(world.provider.cancelled().len(), 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_command_again_sends_nothing() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.run(Phase::All).await;
    let requests = world.provider.calls().len();

    let finished = world.run(Phase::All).await;

    assert_eq!((finished.summary.done_before, finished.summary.provision_requests), (1, 0));
    assert_eq!((finished.summary.to_cancel, finished.summary.cancel_requests), (0, 0));
    assert_eq!(world.provider.calls().len(), requests);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn without_consent_nothing_is_cancelled() {
    let mut world = World::new().await;
    world.subscription("ada").await;

    let finished = world.run_asked(Asked { consent: false, ..Asked::of(Phase::All) }).await;

    assert!(finished.declined);
    assert_eq!((finished.summary.to_cancel, finished.summary.cancelled), (1, 0));
    assert_eq!(world.stage("ada").await, ("confirmed", None));
    world.check().await;
}

/// Parks what `spoil` spoils, with `reason`, and neither provisions nor cancels a thing more.
async fn parks(reason: &str, provisioned: usize, spoil: impl AsyncFnOnce(&mut World)) {
    let mut world = World::new().await;
    world.subscription("ada").await;
    spoil(&mut world).await;

    let finished = world.run(Phase::All).await;

    assert_eq!(world.stage("ada").await, ("parked", Some(reason)), "{:?}", finished.summary);
    assert_eq!(finished.summary.parked, 1);
    assert_eq!(finished.summary.samples[0].reason, Some(reason));
    assert_eq!(world.sink.provisioned().len(), provisioned, "{reason}");
    assert!(world.provider.cancelled().is_empty(), "{reason}");
    let again = world.run(Phase::All).await;
    assert_eq!(
        (again.summary.parked_before, again.summary.provision_requests),
        (1, 0),
        "{reason}: a person has to look"
    );
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_go_on_is_parked_with_its_reason() {
    parks("payment-required", 0, async |world| world.sink.must_pay("ada")).await;
    parks("refused", 0, async |world| world.sink.refuse(Entity::Subscription, "ada", ErrorCode::PlanNotFound)).await;
    parks("refused", 0, async |world| world.rows[0].customer = "nobody".to_owned()).await;
    parks("original-not-found", 0, async |world| world.rows[0].original = "old-nobody".to_owned()).await;
    parks("original-cancelled", 0, async |world| {
        let mut ended = at_provider("old-ada", "cus_ada", 4900);
        ended.status = OriginalStatus::Canceled;
        world.provider.put(ended);
    })
    .await;
    parks("other-customer", 0, async |world| world.provider.put(at_provider("old-ada", "cus_bob", 4900))).await;
    parks("amounts-differ", 1, async |world| world.provider.put(at_provider("new-ada", "cus_ada", 4800))).await;
    parks("not-active", 1, async |world| {
        let mut ended = at_provider("new-ada", "cus_ada", 4900);
        ended.status = OriginalStatus::IncompleteExpired;
        world.provider.put(ended);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_stigg_shows_decides_and_not_what_it_answered() {
    for (field, value, reason) in [
        ("status", json!("CANCELED"), "not-active"),
        ("status", json!("PAYMENT_PENDING"), "payment-required"),
        ("billingSyncError", json!("No such price"), "sync-error"),
        ("billingId", json!("old-ada"), "same-as-original"),
        ("planId", json!("plan-else"), "other-subscription"),
        ("customerId", json!("bob"), "other-subscription"),
    ] {
        let mut world = World::new().await;
        world.subscription("ada").await;
        world.run(Phase::Provision).await;
        // Between the confirmation and the cancelling.
        world.sink.change(Entity::Subscription, "ada", |record| record[field] = value.clone());

        let finished = world.run(Phase::Cancel).await;

        assert_eq!(world.stage("ada").await, ("parked", Some(reason)), "{field}");
        assert_eq!((finished.summary.cancel_parked, finished.summary.cancelled), (1, 0), "{field}");
        assert!(world.provider.cancelled().is_empty(), "{field}");
        world.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_reading_and_provisioned_once() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.sink.inject(Fault::LoseAnswer);

    let finished = world.run(Phase::Provision).await;

    assert_eq!((finished.summary.confirmed, finished.summary.provision_requests), (1, 1));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_sent_again_only_when_it_can_no_longer_be_carried_out() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.sink.inject(Fault::LoseRequest);
    let began = Instant::now();

    let finished = world.run(Phase::Provision).await;

    assert_eq!((finished.summary.confirmed, finished.summary.provision_requests), (1, 2));
    let took = began.elapsed();
    assert!((120..125).contains(&took.as_secs()), "{took:?}");
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_carried_out_late_is_not_sent_again() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.sink.inject(Fault::ApplyLate(Duration::from_secs(110)));

    let finished = world.run(Phase::Provision).await;

    assert_eq!((finished.summary.confirmed, finished.summary.provision_requests), (1, 1));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_never_answered_and_never_there_is_parked() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    (0..3).for_each(|_| world.sink.inject(Fault::LoseRequest));

    world.run(Phase::Provision).await;

    assert_eq!(world.stage("ada").await, ("parked", Some("unresolved")));
    world.check().await;
    let retried = Asked { retry_parked: RetryParked::Only(ParkReason::Unresolved), ..Asked::of(Phase::All) };
    world.run_asked(retried).await;
    assert_eq!(world.stage("ada").await, ("cancelled", None), "a person has looked");
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_one_begins_anew_when_it_is_asked_for_by_its_reason() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.provider.put(at_provider("new-ada", "cus_ada", 4800));
    world.run(Phase::All).await;
    world.provider.put(at_provider("new-ada", "cus_ada", 4900));

    let other = RetryParked::Only(ParkReason::Refused);
    let left = world.run_asked(Asked { retry_parked: other, ..Asked::of(Phase::All) }).await;
    assert_eq!((left.summary.parked_before, left.summary.confirmed), (1, 0));
    let taken = world.run_asked(Asked { retry_parked: RetryParked::All, ..Asked::of(Phase::All) }).await;

    assert_eq!((taken.summary.confirmed, taken.summary.provision_requests), (1, 0), "it is there: it is found");
    assert_eq!(world.stage("ada").await, ("cancelled", None));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_subscription_that_would_end_the_first_is_parked() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.subscription("bob").await;
    world.rows[1].customer = "ada".to_owned();
    world.provider.put(at_provider("old-bob", "cus_ada", 4900));

    world.run(Phase::All).await;

    assert_eq!(world.stage("ada").await, ("cancelled", None));
    assert_eq!(world.stage("bob").await, ("parked", Some("would-end-another")));
    assert_eq!(world.sink.record(Entity::Subscription, "ada").unwrap()["status"], json!(null), "it is active");
    world.check().await;

    // Of another product, and of another resource, it ends nothing.
    let plan = |plan_id: &str, product: &str| CatalogPlan {
        plan_id: plan_id.to_owned(),
        status: "PUBLISHED".to_owned(),
        pricing_type: Some("PAID".to_owned()),
        product_id: Some(product.to_owned()),
        multiple_subscriptions: false,
    };
    world.sink.set_catalog(vec![plan("plan-team", "one"), plan("plan-more", "two")], Vec::new());
    let mut site = world.rows[1].clone();
    (site.id, site.original, site.resource) = ("site".to_owned(), "old-site".to_owned(), "site".to_owned());
    world.provider.put(at_provider("old-site", "cus_ada", 4900));
    world.provider.put(at_provider("new-site", "cus_ada", 4900));
    world.rows = vec![site];
    world.run(Phase::All).await;
    assert_eq!(world.stage("site").await, ("cancelled", None));
}

#[tokio::test(start_paused = true)]
async fn two_rows_for_one_original_or_one_id_are_one_and_a_reject() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    let mut twice = world.rows[0].clone();
    twice.id = "ada-2".to_owned();
    world.rows.extend([twice, world.rows[0].clone()]);
    let folder = tempfile::tempdir().unwrap();
    let mut job = world.job(Asked::of(Phase::All));
    job.journal.ledger_path = folder.path().join("ledger.db");

    let finished = cutover(job).await.unwrap();

    assert!(finished.summary.balances());
    assert_eq!((finished.summary.cancelled, finished.summary.rejected), (1, 2));
    let rejects = std::fs::read_to_string(finished.rejects.unwrap()).unwrap();
    assert!(rejects.contains("ada replaces that original already"), "{rejects}");
    assert!(rejects.contains("another record before it has the same subscriptionId"), "{rejects}");
    assert_eq!(world.ledger.replacement(TARGET, "ada-2").await.unwrap(), None);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_comes_as_a_row_of_the_provider_is_not_replaced() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.run(Phase::All).await;
    let mut made_by_stigg = world.rows[0].clone();
    (made_by_stigg.id, made_by_stigg.original) = ("new-ada".to_owned(), "new-ada".to_owned());
    world.rows.push(made_by_stigg);

    let finished = world.run(Phase::All).await;

    assert_eq!((finished.summary.done_before, finished.summary.replacements), (1, 1));
    assert_eq!((finished.summary.provision_requests, finished.summary.to_cancel), (0, 0));
    assert_eq!(world.ledger.replacement(TARGET, "new-ada").await.unwrap(), None);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_cohort_is_of_customers_and_of_a_number() {
    let mut world = World::new().await;
    for name in ["ada", "bob", "cem", "dan"] {
        world.subscription(name).await;
    }
    let of = |customers: &[&str], limit| Cohort {
        customers: Some(customers.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>()),
        limit,
    };
    let first = Asked { cohort: of(&["bob", "cem"], Some(1)), ..Asked::of(Phase::All) };
    let finished = world.run_asked(first).await;
    assert_eq!((finished.summary.not_asked, finished.summary.later, finished.summary.cancelled), (2, 1, 1));
    assert_eq!(world.stage("bob").await, ("cancelled", None));

    // What is done does not count against the next number.
    let next = Asked { cohort: of(&["bob", "cem"], Some(1)), ..Asked::of(Phase::Provision) };
    let finished = world.run_asked(next).await;
    assert_eq!((finished.summary.done_before, finished.summary.confirmed), (1, 1));

    let finished = world.run(Phase::All).await;
    assert_eq!((finished.summary.done_before, finished.summary.confirmed, finished.summary.cancelled), (2, 2, 3));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn originals_of_providers_that_are_not_called_are_listed_again_until_they_are_closed() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.rows[0].provider = "zuora";

    let finished = world.run(Phase::All).await;

    assert_eq!((finished.summary.listed, finished.summary.cancelled), (1, 0));
    assert_eq!(world.stage("ada").await, ("cancelling", None));
    let again = world.run(Phase::Cancel).await;
    assert_eq!(again.summary.listed, 1);
    assert_eq!(*world.listed.lock().unwrap(), ["old-ada", "old-ada"]);
    assert!(world.provider.calls().is_empty());
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_its_time_to_the_provider_is_waited_for_and_then_left_to_the_next_run() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.sink.set_sync_looks(5);
    assert_eq!(world.run(Phase::All).await.summary.cancelled, 1);

    let mut world = World::new().await;
    world.subscription("ada").await;
    world.sink.set_sync_looks(1_000);
    let finished = world.run(Phase::All).await;
    assert_eq!((finished.summary.open, finished.summary.to_cancel), (1, 0));
    assert_eq!(world.stage("ada").await, ("provisioned", None));
    let unproved = world.run(Phase::Cancel).await.summary;
    assert_eq!((unproved.unproved_open, unproved.to_cancel), (1, 0), "nothing is said to be done that is not");
    assert!(finished.summary.samples[0].detail.contains("no id at the billing provider yet"));
    world.sink.change(Entity::Subscription, "ada", |record| record["billingId"] = json!("new-ada"));
    assert_eq!(world.run(Phase::Cancel).await.summary.cancelled, 1, "it is proved first");
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_without_an_answer_is_settled_by_reading() {
    for (fault, calls) in [(ProviderFault::LoseAnswer, 1), (ProviderFault::LoseRequest, 2), (ProviderFault::NotSent, 2)]
    {
        let mut world = World::new().await;
        world.subscription("ada").await;
        world.provider.inject_cancel(fault);

        let finished = world.run(Phase::All).await;

        assert_eq!((finished.summary.cancelled, finished.summary.cancel_requests), (1, calls), "{fault:?}");
        assert_eq!(world.provider.cancelled().get(&original_id("old-ada")), Some(&1));
        world.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_cancellation_is_parked_and_one_that_somebody_else_did_is_done() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.subscription("bob").await;
    world.run(Phase::Provision).await;
    let mut ended = at_provider("old-bob", "cus_bob", 4900);
    ended.status = OriginalStatus::Canceled;
    world.provider.put(ended);
    world.provider.inject_cancel(ProviderFault::Refuse);

    let finished = world.run(Phase::Cancel).await;

    assert_eq!(world.stage("ada").await, ("parked", Some("cancel-refused")));
    assert_eq!(world.stage("bob").await, ("cancelled", None));
    assert_eq!(
        (finished.summary.cancelled, finished.summary.cancel_parked, finished.summary.cancel_requests),
        (1, 1, 1)
    );
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn one_whose_row_is_gone_is_found_in_stigg_and_goes_on() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.subscription("bob").await;
    world.subscription("cem").await;
    world.run(Phase::Provision).await;
    world.provider.inject_cancel(ProviderFault::Refuse);
    // Somebody cancels by hand what could not be cancelled, and the provider lists it no longer.
    world.run(Phase::Cancel).await;
    assert_eq!(world.stage("ada").await, ("parked", Some("cancel-refused")));
    let mut ended = at_provider("old-ada", "cus_ada", 4900);
    ended.status = OriginalStatus::Canceled;
    world.provider.put(ended);
    // And one was killed with its request on the way.
    world.subscription("dan").await;
    world.rows.rotate_right(1);
    world.sink.inject(Fault::Hold);
    let killed = tokio::time::timeout(Duration::from_secs(5), cutover(world.job(Asked::of(Phase::Provision)))).await;
    assert!(killed.is_err());
    assert_eq!(world.stage("dan").await, ("provisioning", None));

    let untouched = world.run(Phase::Cancel).await;
    assert_eq!(world.stage("ada").await, ("parked", Some("cancel-refused")), "a person has to say so");
    assert_eq!((untouched.summary.cancelled, world.stage("dan").await), (1, ("cancelled", None)));
    let asked = Asked { retry_parked: RetryParked::Only(ParkReason::CancelRefused), ..Asked::of(Phase::Cancel) };
    let finished = world.run_asked(asked).await;

    assert_eq!(world.stage("ada").await, ("cancelled", None));
    assert_eq!(finished.summary.cancel_requests, 0);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_parked_before_its_original_is_cancelled_is_counted() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.sink.set_sync_looks(1_000);
    world.run(Phase::Provision).await;
    world.sink.change(Entity::Subscription, "ada", |record| record["billingSyncError"] = json!("No such price"));

    let finished = world.run(Phase::Cancel).await.summary;

    assert_eq!(world.stage("ada").await, ("parked", Some("sync-error")));
    assert_eq!((finished.unproved_parked, finished.parked_in_all(), finished.to_cancel), (1, 1, 0));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_breaks_settles_what_came_and_cancels_nothing() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.breaks = true;

    let finished = world.run(Phase::All).await;

    assert!(matches!(finished.stopped, Some(Stopped::SourceBroke(_))), "{:?}", finished.stopped);
    assert_eq!((finished.summary.confirmed, finished.summary.to_cancel), (1, 0));
    assert!(world.provider.cancelled().is_empty());
    world.breaks = false;
    assert_eq!(world.run(Phase::All).await.summary.cancelled, 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_cutover_settles_what_is_under_way_and_goes_on_later() {
    let mut world = World::new().await;
    for number in 0..20 {
        world.subscription(&format!("c{number}")).await;
    }
    let asked = Asked::of(Phase::All);
    let stop = asked.stop.clone();
    let interrupt = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stop.raise(Stopped::Interrupted);
    };

    let (finished, ()) = tokio::join!(world.run_asked(asked), interrupt);

    let summary = finished.summary;
    assert_eq!(finished.stopped, Some(Stopped::Interrupted));
    assert!(summary.confirmed > 0 && summary.open > 0 && summary.confirmed + summary.open == 20, "{summary:?}");
    assert_eq!(summary.to_cancel, 0);
    assert_eq!(world.run(Phase::All).await.summary.cancelled, 20);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_stops_and_the_next_run_goes_on() {
    let mut world = World::new().await;
    world.subscription("ada").await;
    world.provider.inject_cancel(ProviderFault::Unauthorized);

    let finished = world.run(Phase::All).await;

    assert!(matches!(finished.stopped, Some(Stopped::ProviderRefused(_))), "{:?}", finished.stopped);
    assert_eq!(world.stage("ada").await, ("cancelling", None));
    assert_eq!(world.run(Phase::Cancel).await.summary.cancelled, 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_the_api_s() {
    let mut world = World::new().await;
    for number in 0..251 {
        world.subscription(&format!("c{number}")).await;
    }
    let began = Instant::now();

    let finished = world.run(Phase::Provision).await;

    assert_eq!(finished.summary.confirmed, 251);
    // Customers are read before they are provisioned, at the same pace (250 a minute, times 0.99).
    let took = began.elapsed();
    assert!((60.0..63.0).contains(&took.as_secs_f64()), "{took:?}");
    world.check().await;
}
