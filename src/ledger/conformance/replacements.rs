//! What every ledger promises of paid subscriptions.

use jiff::{SignedDuration, Timestamp};

use crate::ledger::{CutoverLedger, LedgerError, OriginalRef, ParkReason, Parked, Replacement, Stage, StageCount};
use crate::record::Fingerprint;

const TARGET: &str = "https://api.example/graphql#prod";

/// A replacement `sub-<name>` of `orig-<name>`, planned.
pub(crate) fn planned(name: &str) -> Replacement {
    Replacement {
        subscription_id: format!("sub-{name}"),
        customer_id: format!("cus-{name}"),
        payer_id: format!("payer-{name}"),
        resource_id: None,
        plan_id: "plan-team".to_owned(),
        original: OriginalRef { provider: "stripe".to_owned(), id: format!("orig-{name}") },
        content: Fingerprint(u64::MAX - 7),
        stage: Stage::Planned,
        billing_id: None,
        attempts: 0,
        changed_at: Timestamp::from_millisecond(1_777_000_000_123).expect("an instant"),
    }
}

fn at(stage: Stage, replacement: &Replacement) -> Replacement {
    Replacement { stage, ..replacement.clone() }
}

fn parked(reason: ParkReason) -> Stage {
    Stage::Parked(Parked { reason, detail: "the API refused it: PlanNotFound".to_owned() })
}

/// Every stage, and every way to each.
fn ways() -> Vec<(Stage, Vec<Stage>)> {
    use Stage::{Cancelled, Cancelling, Confirmed, Planned, Provisioned, Provisioning};
    let whole = [Planned, Provisioning, Provisioned, Confirmed, Cancelling, Cancelled];
    let mut ways: Vec<_> = (0..whole.len()).map(|at| (whole[at].clone(), whole[..=at].to_vec())).collect();
    ways.push((parked(ParkReason::Refused), vec![Planned, Provisioning, parked(ParkReason::Refused)]));
    ways
}

/// Runs every promise against ledgers of `empty`; each store is opened as often as the promise needs.
pub(crate) async fn suite<S>(empty: impl Fn() -> S, open: impl AsyncFn(&S) -> Box<dyn CutoverLedger>) {
    macro_rules! promises {
        ($($promise:ident),* $(,)?) => {$(
            let store = empty();
            $promise(async || open(&store).await).await;
        )*};
    }
    promises!(
        what_was_written_is_read_by_the_next_run,
        only_a_step_that_may_follow_is_written,
        an_original_is_replaced_once,
        what_it_is_for_is_fixed_once_something_was_sent,
        they_are_counted_and_listed_and_targets_do_not_see_each_other,
    );
}

async fn what_was_written_is_read_by_the_next_run(reopen: impl AsyncFn() -> Box<dyn CutoverLedger>) {
    let ledger = reopen().await;
    let mut ada = planned("ada");
    ada.resource_id = Some("site-1".to_owned());
    let steps = [
        ada.clone(),
        Replacement { attempts: 1, ..at(Stage::Provisioning, &ada) },
        Replacement { attempts: 2, ..at(Stage::Provisioning, &ada) },
        Replacement { billing_id: Some("sub_new".to_owned()), ..at(parked(ParkReason::SyncError), &ada) },
    ];
    for (number, step) in (0..).zip(&steps) {
        let step = Replacement { changed_at: step.changed_at + SignedDuration::from_secs(number), ..step.clone() };
        ledger.write_step(TARGET, &step).await.unwrap();
        assert_eq!(ledger.replacement(TARGET, "sub-ada").await.unwrap(), Some(step));
    }
    let last = Replacement { changed_at: ada.changed_at + SignedDuration::from_secs(3), ..steps[3].clone() };
    ledger.close().await.unwrap();
    let ledger = reopen().await;
    assert_eq!(ledger.replacement(TARGET, "sub-ada").await.unwrap(), Some(last.clone()));
    assert_eq!(ledger.replacement_of(TARGET, &ada.original).await.unwrap(), Some(last.clone()));
    assert_eq!(ledger.replacement_billed_as(TARGET, "sub_new").await.unwrap(), Some(last.clone()));
    assert_eq!(ledger.replacement_billed_as(TARGET, "orig-ada").await.unwrap(), None);
    assert_eq!(ledger.replacements_of_customer(TARGET, "cus-ada").await.unwrap(), [last]);
    assert_eq!(ledger.replacement(TARGET, "sub-bob").await.unwrap(), None);
}

async fn only_a_step_that_may_follow_is_written(reopen: impl AsyncFn() -> Box<dyn CutoverLedger>) {
    let ledger = reopen().await;
    for (from, way) in ways() {
        for (number, (to, _)) in ways().into_iter().enumerate() {
            let start = planned(&format!("{}-{number}", from.name()));
            for stage in &way {
                ledger.write_step(TARGET, &at(stage.clone(), &start)).await.unwrap();
            }
            let written = ledger.write_step(TARGET, &at(to.clone(), &start)).await;
            let now = ledger.replacement(TARGET, &start.subscription_id).await.unwrap().unwrap().stage;
            if from.may_become(&to) {
                written.unwrap();
                assert_eq!(now, to);
            } else {
                assert!(
                    matches!(&written, Err(LedgerError::StepRefused { from: f, to: t, .. }) if (*f, *t) == (from.name(), to.name())),
                    "{written:?}"
                );
                assert_eq!(now, from, "nothing was written");
            }
        }
    }
    let early = ledger.write_step(TARGET, &at(Stage::Provisioning, &planned("new"))).await;
    assert!(matches!(early, Err(LedgerError::StepRefused { from: "unknown", .. })), "{early:?}");
}

async fn an_original_is_replaced_once(reopen: impl AsyncFn() -> Box<dyn CutoverLedger>) {
    let ledger = reopen().await;
    ledger.write_step(TARGET, &planned("ada")).await.unwrap();
    let thief = Replacement { original: planned("ada").original, ..planned("bob") };

    let taken = ledger.write_step(TARGET, &thief).await;

    assert!(
        matches!(&taken, Err(LedgerError::OriginalTaken { original, by }) if original == "orig-ada" && by == "sub-ada")
    );
    assert_eq!(ledger.replacement(TARGET, "sub-bob").await.unwrap(), None);
    assert_eq!(ledger.replacement(TARGET, "sub-ada").await.unwrap(), Some(planned("ada")), "it stays");
    ledger.write_step("another target", &thief).await.unwrap();
    let mut other_provider = thief;
    other_provider.original.provider = "zuora".to_owned();
    ledger.write_step(TARGET, &other_provider).await.unwrap();
}

async fn what_it_is_for_is_fixed_once_something_was_sent(reopen: impl AsyncFn() -> Box<dyn CutoverLedger>) {
    let ledger = reopen().await;
    let ada = planned("ada");
    let mut corrected = ada.clone();
    corrected.original.id = "orig-other".to_owned();
    ledger.write_step(TARGET, &ada).await.unwrap();
    ledger.write_step(TARGET, &corrected).await.unwrap();
    for changed in [
        ada.clone(),
        Replacement { customer_id: "cus-bob".to_owned(), ..corrected.clone() },
        Replacement { payer_id: "cus-bob".to_owned(), ..corrected.clone() },
        Replacement { plan_id: "plan-other".to_owned(), ..corrected.clone() },
        Replacement { resource_id: Some("site".to_owned()), ..corrected.clone() },
    ] {
        let refused = ledger.write_step(TARGET, &at(Stage::Provisioning, &changed)).await;
        assert!(matches!(refused, Err(LedgerError::StepRefused { .. })), "{refused:?}");
    }
    ledger.write_step(TARGET, &at(Stage::Provisioning, &corrected)).await.unwrap();
}

async fn they_are_counted_and_listed_and_targets_do_not_see_each_other(
    reopen: impl AsyncFn() -> Box<dyn CutoverLedger>,
) {
    let ledger = reopen().await;
    let refused = parked(ParkReason::Refused);
    let pays = parked(ParkReason::PaymentRequired);
    for (name, way) in [
        ("a", vec![Stage::Planned]),
        ("b", vec![Stage::Planned, refused.clone()]),
        ("c", vec![Stage::Planned, refused]),
        ("d", vec![Stage::Planned, pays]),
        ("e", vec![Stage::Planned, Stage::Provisioning]),
    ] {
        for stage in way {
            ledger.write_step(TARGET, &at(stage, &planned(name))).await.unwrap();
        }
    }
    ledger.write_step("b-target", &planned("z")).await.unwrap();

    let count = |stage, reason, count| StageCount { stage, reason, count };
    assert_eq!(
        ledger.stage_counts(TARGET).await.unwrap(),
        [
            count("planned", None, 1),
            count("provisioning", None, 1),
            count("parked", Some(ParkReason::PaymentRequired), 1),
            count("parked", Some(ParkReason::Refused), 2),
        ]
    );
    let ids = async |after: Option<&str>, limit| -> Vec<String> {
        let page = ledger.replacements(TARGET, after, limit).await.unwrap();
        page.into_iter().map(|replacement| replacement.subscription_id).collect()
    };
    assert_eq!(ids(None, 2).await, ["sub-a", "sub-b"]);
    assert_eq!(ids(Some("sub-b"), 9).await, ["sub-c", "sub-d", "sub-e"]);
    assert_eq!(ledger.replacement_targets().await.unwrap(), ["b-target", TARGET]);
}

#[test]
fn every_reason_is_found_by_its_name() {
    for reason in ParkReason::ALL {
        assert_eq!(ParkReason::of_name(reason.name()), Some(reason));
    }
    assert_eq!(ParkReason::of_name("else"), None);
}
