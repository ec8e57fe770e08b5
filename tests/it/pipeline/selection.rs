//! Runs that may send only some of their records.

use std::sync::Arc;

use stigg_import::clock::FixedClock;
use stigg_import::ledger::Index;
use stigg_import::pipeline::{PlanJob, Planned, Selection, Stop, Stopped, plan};
use stigg_import::record::{Fingerprint, KeyHash};

use super::data::{self, Data};
use super::world::{NOW, World, accounts, settings};

/// Plans `steps` over an empty ledger, and keeps what would be sent.
async fn planned(world: &World, steps: &[Data]) -> Planned {
    let job = world.job(steps).await;
    let clock = FixedClock::at(NOW.parse().unwrap());
    plan(PlanJob {
        steps: job.steps,
        ledger: None,
        asks: None,
        live: false,
        choose: true,
        budgets: &job.budgets,
        spill_dir: job.journal.spill_dir,
        full: false,
        clock: &clock,
        stop: Arc::new(Stop::default()),
    })
    .await
    .expect("a plan")
}

/// Given a plan of ten customers, when an eleventh and another content of the third come while it is run, then neither is
/// sent, the run says which row it was, and what was in the plan is there.
#[tokio::test(start_paused = true)]
async fn what_a_plan_does_not_have_is_not_sent() {
    let world = World::new(settings()).batches_of(2);
    let ten = data::customers(10, &[]);
    let chosen = planned(&world, std::slice::from_ref(&ten)).await.steps[0].chosen.clone().expect("it was asked for");
    for moved in [data::customers(11, &[]), ten.clone().replace("Customer 3,", "Somebody Else,")] {
        let world = World::new(settings()).batches_of(2);
        let mut job = world.job(std::slice::from_ref(&moved)).await;
        job.steps = job.steps.into_iter().map(|step| step.choosing(Selection::Just(chosen.clone()))).collect();
        // When
        let finished = world.finish(job).await.expect("it begins");
        // Then
        assert!(matches!(&finished.stopped, Some(Stopped::Moved(place)) if place.contains("record")), "{finished:?}");
        assert!(finished.summary.unbalanced().is_empty());
        let snapshot = world.snapshot();
        assert!(!snapshot.customers.contains_key("cus-10"), "the eleventh");
        assert!(snapshot.customers.values().all(|customer| customer.name.as_deref() != Some("Somebody Else")));
    }
    let mut job = world.job(std::slice::from_ref(&ten)).await;
    job.steps = job.steps.into_iter().map(|step| step.choosing(Selection::Just(chosen.clone()))).collect();
    assert_eq!(accounts(&world.finish(job).await.expect("it begins")), [[10, 0, 0, 0, 10, 0, 0]]);
}

/// Given a canary of two records, when it is run, then only they are sent, the others count as filtered and are written
/// down nowhere; and the run after it sends the others.
#[tokio::test(start_paused = true)]
async fn a_canary_sends_only_what_was_chosen_and_the_next_run_the_rest() {
    let world = World::new(settings()).batches_of(5);
    let all = data::customers(20, &[4]);
    let mut chosen = Index::new();
    for key in ["cus-1", "cus-9"] {
        chosen.learn(KeyHash::of(key), Fingerprint(0));
    }
    let chosen = Arc::new(chosen);
    let mut job = world.job(std::slice::from_ref(&all)).await;
    job.steps = job.steps.into_iter().map(|step| step.choosing(Selection::Only(chosen.clone()))).collect();
    // When
    let canary = world.finish(job).await.expect("it begins");
    // Then
    assert_eq!(accounts(&canary), [[20, 18, 0, 0, 2, 0, 0]]);
    assert_eq!(canary.summary.steps[0].missing, None);
    assert!(canary.rejects.is_empty());
    assert_eq!(world.snapshot().customers.keys().collect::<Vec<_>>(), ["cus-1", "cus-9"]);
    // When
    let rest = world.run(&[all]).await;
    // Then
    assert_eq!(accounts(&rest), [[20, 0, 0, 2, 17, 1, 0]]);
}
