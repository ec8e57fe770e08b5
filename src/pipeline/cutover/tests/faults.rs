//! Random trouble: faults of Stigg and of the provider, kills while a step is written and at any moment, and everything
//! that parks. Whatever happens: no original is cancelled unless its replacement was confirmed, none is provisioned
//! twice, every one ends cancelled or parked, and the audit file tells the whole story.
//!
//! `STIGG_IMPORT_CUTOVER_CASES=N` runs more cases, `STIGG_IMPORT_CUTOVER_SEED=S` one of them again.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt as _;

use super::super::*;
use super::world::{Asked, Kill, Killed, TARGET, World, at_provider};
use crate::entity::Entity;
use crate::ledger::Replacements as _;
use crate::provider::{Fault as ProviderFault, OriginalStatus};
use crate::sink::{ErrorCode, Fault};

/// Cases of a normal run of the tests: some seconds.
const CASES: u64 = 300;

/// How many times the cases are gone on with, at most, until each step was killed while it was written.
const LONGER_MAX: u64 = 10;

/// Runs that are disturbed, at most; the last one is not.
const DISTURBED_MAX: usize = 6;

/// Runs after which a case counts as one that never ends.
const RUNS_MAX: usize = 30;

async fn world(rng: &mut Rng) -> World {
    let mut world = World::new().await;
    for number in 0..rng.usize(1..8) {
        let name = format!("c{number}");
        world.subscription(&name).await;
        match rng.u32(0..14) {
            0 => world.sink.must_pay(&name),
            1 => world.sink.refuse(Entity::Subscription, &name, ErrorCode::PlanNotFound),
            2 => world.provider.put(at_provider(&format!("new-{name}"), &format!("cus_{name}"), 1)),
            3 => world.provider.put(at_provider(&format!("old-{name}"), "cus_other", 4900)),
            4 => {
                let mut ended = at_provider(&format!("old-{name}"), &format!("cus_{name}"), 4900);
                ended.status = OriginalStatus::Canceled;
                world.provider.put(ended);
            }
            5 if number > 0 => {
                let row = world.rows.last_mut().unwrap();
                row.customer = "c0".to_owned();
                let original = row.original.clone();
                world.provider.put(at_provider(&original, "cus_c0", 4900));
            }
            6 => world.rows.last_mut().unwrap().original = "old-nobody".to_owned(),
            _ => {}
        }
    }
    world.sink.set_sync_looks(rng.u32(0..4));
    world
}

fn disturb(world: &World, rng: &mut Rng) {
    let seconds = |rng: &mut Rng, most: u64| Duration::from_millis(rng.u64(0..most * 1000));
    for _ in 0..rng.u32(0..6) {
        world.sink.inject(match rng.u32(0..8) {
            0 => Fault::NotSent,
            1 => Fault::Throttled(rng.bool().then(|| seconds(rng, 60))),
            2 => Fault::LoseRequest,
            3 => Fault::LoseAnswer,
            4 => Fault::Hold,
            5 => Fault::Refuse(ErrorCode::UnexpectedError),
            _ => Fault::ApplyLate(seconds(rng, 119)),
        });
    }
    for _ in 0..rng.u32(0..3) {
        world.sink.inject_read(match rng.u32(0..3) {
            0 => Fault::NotSent,
            1 => Fault::Throttled(None),
            _ => Fault::LoseAnswer,
        });
    }
    let provider = |rng: &mut Rng| match rng.u32(0..6) {
        0 => ProviderFault::NotSent,
        1 => ProviderFault::Throttled(Some(seconds(rng, 30))),
        2 => ProviderFault::LoseRequest,
        3 => ProviderFault::Hold,
        4 => ProviderFault::Unauthorized,
        _ => ProviderFault::LoseAnswer,
    };
    for _ in 0..rng.u32(0..3) {
        world.provider.inject_cancel(provider(rng));
    }
    for _ in 0..rng.u32(0..3) {
        world.provider.inject_read(provider(rng));
    }
}

/// Runs one case; adds the steps at which it was killed to `killed_at`.
async fn case(seed: u64, killed_at: &mut BTreeSet<String>) {
    let mut rng = Rng::with_seed(seed);
    let world = world(&mut rng).await;
    for _ in 0..rng.usize(0..=DISTURBED_MAX) {
        disturb(&world, &mut rng);
        let phase = [Phase::Provision, Phase::Cancel, Phase::All][rng.usize(0..3)];
        world.audit.kill((rng.f64() < 0.6).then(|| Kill { after_lines: rng.u32(0..30), torn: rng.bool() }));
        let asked = Asked { consent: rng.f64() < 0.8, ..Asked::of(phase) };
        // Nothing else ends a run that hangs on a call that is never answered.
        let life = Duration::from_millis(rng.u64(0..400_000));
        let run = AssertUnwindSafe(tokio::time::timeout(life, cutover(world.job(asked)))).catch_unwind();
        match run.await {
            Ok(Ok(Ok(finished))) => assert!(finished.summary.balances(), "{:?}", finished.summary),
            // Killed at a moment, or before it began.
            Ok(Err(_) | Ok(Err(_))) => {}
            Err(panic) => match panic.downcast::<Killed>() {
                Ok(killed) => drop(killed_at.insert(killed.step)),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
        world.check_crimes();
        tokio::time::advance(Duration::from_millis(rng.u64(0..200_000))).await;
    }
    // In the end nobody kills; what is left of the faults is met.
    for runs in 0.. {
        assert!(runs < RUNS_MAX, "it never ends");
        world.audit.kill(None);
        let run = tokio::time::timeout(Duration::from_secs(3600), cutover(world.job(Asked::of(Phase::All)))).await;
        if let Ok(Ok(finished)) = run
            && finished.stopped.is_none()
            && finished.summary.open + finished.summary.cancel_open == 0
        {
            break;
        }
    }
    world.check().await;
    for replacement in world.ledger.replacements(TARGET, None, 1000).await.unwrap() {
        assert!(matches!(replacement.stage, Stage::Cancelled | Stage::Parked(_)), "{replacement:?}");
    }
    let planned = world.ledger.replacements(TARGET, None, 1000).await.unwrap().len();
    assert!(planned >= 1);
}

#[test]
fn whatever_happens_nothing_is_doubled_lost_or_cancelled_unproved() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Killed>() {
            quiet(info);
        }
    }));
    let one = number("STIGG_IMPORT_CUTOVER_SEED");
    let cases = if one.is_some() { 1 } else { number("STIGG_IMPORT_CUTOVER_CASES").unwrap_or(CASES) };
    let first = one.unwrap_or_else(|| fastrand::u64(..));
    let steps: BTreeSet<String> = Stage::NAMES.into_iter().chain(["answer"]).map(str::to_owned).collect();
    let mut killed_at = BTreeSet::new();
    for n in 0..cases * LONGER_MAX {
        // Some steps are rarely killed: it goes on until each was, where there are enough cases to ask for that.
        if n >= cases && (cases < CASES || killed_at == steps) {
            break;
        }
        let seed = first.wrapping_add(n);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(case(seed, &mut killed_at))));
        // The case's own message was printed by the hook.
        assert!(ended.is_ok(), "this case again: STIGG_IMPORT_CUTOVER_SEED={seed}");
    }
    if cases >= CASES {
        assert_eq!(killed_at, steps, "each step was killed while it was written");
    }
}
