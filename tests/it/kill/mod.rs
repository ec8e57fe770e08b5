//! `kill -9` at random moments, and the same command again until it is done: the API ends as after one undisturbed
//! run. The seed is printed; `STIGG_IMPORT_KILLS=N` runs N rounds, `STIGG_IMPORT_SEED=S` repeats one.

mod moments;

use std::time::{Duration, Instant};

use fastrand::Rng;
use stigg_import::sandbox::{FaultKind, Faults, Settings, Snapshot};

use crate::program::{Api, Folder, catalog};

/// Kills in one round, before the program is left in peace.
const KILLS_MAX: usize = 4;

/// Runs in peace until everything is settled; faults may leave batches open more than once.
const RUNS_MAX: usize = 10;

const CUSTOMERS: usize = 1300;

/// An export of two customer batches, two subscription batches, and a dozen usage batches.
fn write_export(folder: &Folder, url: &str) {
    let mut customers = String::from("id,email,name\n");
    let mut subscriptions = String::from("id,customer,plan\n");
    let mut usage = String::from("event,customer,value\n");
    for number in 0..CUSTOMERS {
        customers.push_str(&format!("cus_{number},c{number}@example.com,Customer {number}\n"));
        // A few rows fit nowhere, and a few only the API refuses.
        let plan = if number % 97 == 0 { "" } else { "plan-team" };
        let customer = if number % 61 == 0 { number + 100_000 } else { number };
        subscriptions.push_str(&format!("sub_{number},cus_{customer},{plan}\n"));
        for event in 0..2 {
            usage.push_str(&format!("evt_{number}_{event},cus_{number},{}\n", number + event));
        }
    }
    folder
        .write("customers.csv", customers)
        .write("subscriptions.csv", subscriptions)
        .write("usage.csv", usage)
        .write(
            "customers.toml",
            "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nemail = \"email\"\nname = \"name\"\n",
        )
        .write(
            "subscriptions.toml",
            "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n\
             startDate = { const = \"2025-01-01T00:00:00Z\" }\nbillingPeriod = { const = \"MONTHLY\" }\n",
        )
        .write(
            "usage.toml",
            "entity = \"usage\"\naggregate = { how = \"sum\", distinct = \"event\" }\n[fields]\n\
             customerId = \"customer\"\nfeatureId = { const = \"feature-api-calls\" }\nvalue = \"value\"\n",
        );
    let mut pipeline = format!("[target]\nurl = \"{url}\"\n");
    for step in ["customers", "subscriptions", "usage"] {
        pipeline.push_str(&format!(
            "[[step]]\nname = \"{step}\"\nmapping = \"{step}.toml\"\nsource = {{ csv = \"{step}.csv\" }}\n"
        ));
    }
    folder.write("pipeline.toml", pipeline);
}

const COMMAND: &str = "run pipeline.toml --json --rate-scale 100000";

/// An API that takes its time, so that there is something to kill.
fn api(faults: Faults, seed: u64) -> Api {
    Api::new(Settings {
        catalog: Some(catalog()),
        usage_needs_subscription: Some(false),
        latency: Duration::from_millis(30),
        latency_jitter: Duration::from_millis(60),
        faults,
        seed,
        ..Settings::default()
    })
}

/// What one undisturbed run leaves, and how long it took.
fn undisturbed() -> (Snapshot, Duration) {
    let (api, folder) = (api(Faults::default(), 0), Folder::new());
    write_export(&folder, &api.url);
    let began = Instant::now();
    let ran = folder.run(COMMAND).exits(3);
    assert_eq!(ran.total("open"), 0, "{ran}");
    let (snapshot, took) = (api.sandbox.snapshot(), began.elapsed());
    // Every kind of record, or the tests would show nothing of it.
    assert_eq!((snapshot.customers.len(), snapshot.usage.len()), (CUSTOMERS, CUSTOMERS));
    assert!(snapshot.subscriptions.len() > 1000, "{}", snapshot.subscriptions.len());
    (snapshot, took)
}

/// Kills until luck or patience ends, then runs in peace until nothing is open.
fn killed_and_resumed(rng: &mut Rng, faults: Faults, took: Duration) -> (Snapshot, usize) {
    let (api, folder) = (api(faults, rng.u64(..)), Folder::new());
    write_export(&folder, &api.url);
    let mut kills = 0;
    while kills < KILLS_MAX {
        let mut child = folder.command(COMMAND).spawn().unwrap();
        std::thread::sleep(took.mul_f64(rng.f64()));
        let was_done = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        folder.wait(child);
        if was_done {
            break;
        }
        kills += 1;
    }
    in_peace(&folder);
    (api.sandbox.snapshot(), kills)
}

/// The same command until nothing is open; then nothing is left to send.
fn in_peace(folder: &Folder) {
    let mut left = None;
    for _ in 0..RUNS_MAX {
        let ran = folder.run(COMMAND);
        if ran.exit == Some(3) {
            // Only what the API refuses is left to send.
            let again = folder.run(COMMAND);
            assert!(again.exit == Some(3) || again.exit == Some(4), "{again}");
            assert_eq!(again.total("accepted"), 0, "{again}");
            return;
        }
        assert_eq!(ran.exit, Some(4), "{ran}");
        left = Some(ran);
    }
    panic!("batches stay open: {}", left.unwrap());
}

fn seed_of(name: &str) -> u64 {
    let seed = std::env::var("STIGG_IMPORT_SEED").ok().map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    eprintln!("{name}: STIGG_IMPORT_SEED={seed}");
    seed
}

fn rounds(default: usize) -> usize {
    std::env::var("STIGG_IMPORT_KILLS").ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn a_program_that_is_killed_at_random_moments_ends_as_an_undisturbed_one() {
    let (expected, took) = undisturbed();
    let mut rng = Rng::with_seed(seed_of("kills"));
    let mut kills = 0;
    for round in 0..rounds(8) {
        let (snapshot, killed) = killed_and_resumed(&mut rng, Faults::default(), took);
        assert!(snapshot == expected, "round {round}, after {killed} kills: the API ends in another state");
        kills += killed;
    }
    eprintln!("counted: {kills} kills at random moments");
    assert!(kills > 0, "nothing was killed: the run is too short for this test");
}

#[test]
fn kills_and_faults_together_change_nothing_either() {
    let (expected, took) = undisturbed();
    let mut rng = Rng::with_seed(seed_of("kills and faults"));
    let mut kills = 0;
    for round in 0..rounds(1) {
        let mut faults = Faults::default();
        faults.slow_delay = Duration::from_millis(50);
        for kind in [
            FaultKind::LostAnswer,
            FaultKind::ServerErrorAfter,
            FaultKind::ServerErrorBefore,
            FaultKind::ResetBefore,
            FaultKind::Truncated,
            FaultKind::BadGatewayAfter,
            FaultKind::RateLimited,
            FaultKind::Slow,
        ] {
            faults = faults.with(kind, rng.f64() * 0.05);
        }
        let (snapshot, killed) = killed_and_resumed(&mut rng, faults, took);
        assert!(snapshot == expected, "round {round}, after {killed} kills: the API ends in another state");
        kills += killed;
    }
    eprintln!("counted: {kills} kills at random moments");
}
