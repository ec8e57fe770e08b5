//! Several workers as real processes, over one ledger in Postgres.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use stigg_import::sandbox::{LimiterKind, Settings};

use super::{RUN, clean};
use crate::databases::{Engine, left_out, shared};
use crate::program::{Api, Folder, Ran, assert_ran};

const CUSTOMERS: usize = 400;
const FEATURES: usize = 20;
const RECORDS: u64 = (CUSTOMERS * FEATURES) as u64;
const WORKERS: u32 = 4;

/// A ledger of its own.
fn ledger(name: &str) -> String {
    let server = shared(Engine::Postgres);
    server.run_sql("postgres", &format!("CREATE DATABASE {name}"));
    server.url(name)
}

/// An API that counts the limits for itself, in the strictest way, at so many times the published rates.
fn strict(rate_scale: f64) -> Api {
    Api::new(Settings {
        rate_scale: Some(rate_scale),
        limiter: LimiterKind::SlidingLog,
        latency: Duration::from_millis(20),
        usage_needs_subscription: Some(false),
        ..Settings::default()
    })
}

/// Customers, and the usage of each of many features, of which some rows do not fit.
fn folder(api: &Api) -> Folder {
    let folder = Folder::new();
    let customers: String = (0..CUSTOMERS).map(|number| format!("cus_{number},Customer {number}\n")).collect();
    folder.write("customers.csv", format!("id,name\n{customers}"));
    folder.write("customers.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\n");
    let usage: String = (0..CUSTOMERS)
        .flat_map(|customer| (0..FEATURES).map(move |feature| format!("cus_{customer},feature-{feature},{feature}\n")))
        .collect();
    let wrong: String = (0..30).map(|number| format!("cus_{number},feature-0,none-{number}\n")).collect();
    folder.write("usage.csv", format!("customer,feature,value\n{wrong}{usage}"));
    let mapping =
        "entity = \"usage\"\n[fields]\ncustomerId = \"customer\"\nfeatureId = \"feature\"\nvalue = \"value\"\n";
    folder.write("usage.toml", mapping);
    let step = |name: &str| {
        format!("[[step]]\nname = \"{name}\"\nmapping = \"{name}.toml\"\nsource = {{ csv = \"{name}.csv\" }}\n")
    };
    let target = format!("[target]\nurl = \"{}\"\n", api.url);
    folder.write("pipeline.toml", target + &step("customers") + &step("usage"));
    folder
}

fn worker(folder: &Folder, ledger: &str, index: u32, rate_scale: f64) -> Command {
    let mut command = folder
        .command(&format!("sync pipeline.toml --once --json --shard {index}/{WORKERS} --rate-scale {rate_scale}"));
    command.env("STIGG_IMPORT_LEDGER", ledger).env("STIGG_IMPORT_LEASE_SECONDS", "3");
    command
}

#[track_caller]
fn all_is_there_once(api: &Api) {
    let snapshot = api.sandbox.snapshot();
    assert_eq!(snapshot.customers.len(), CUSTOMERS);
    let usage: usize = snapshot.usage.values().map(|features| features.len()).sum();
    assert_eq!(usage as u64, RECORDS);
    let refused: u64 = api.sandbox.stats().operations.values().map(|operation| operation.rate_limited).sum();
    assert_eq!(refused, 0, "the API's own limiter refused requests");
}

fn sum(workers: &[Ran], count: &str) -> u64 {
    workers.iter().map(|worker| worker.total(count)).sum()
}

#[test]
fn four_workers_import_each_record_once_and_within_the_rate_of_one() {
    if left_out() {
        return;
    }
    let (api, ledger) = (strict(8.0), ledger("shards_four"));
    let folder = folder(&api);
    let workers = [0, 1, 2, 3].map(|index| worker(&folder, &ledger, index, 8.0).spawn().unwrap());
    let workers = workers.map(|child| folder.wait(child).exits(3));
    all_is_there_once(&api);
    assert_eq!(sum(&workers, "accepted"), CUSTOMERS as u64 + RECORDS);
    assert_eq!(sum(&workers, "rejected"), 30, "each row that does not fit is one worker's");
    let most = api.sandbox.stats().keys.values().map(|key| key.applied).max();
    assert_eq!(most, Some(1), "nothing was sent twice");
    assert!(workers.iter().all(|worker| worker.total("accepted") > RECORDS / 8), "{}", workers[0]);
    // The next night nobody sends anything.
    let sent = api.requests("reportUsageBulk");
    let workers = [0, 1, 2, 3].map(|index| worker(&folder, &ledger, index, 8.0).spawn().unwrap());
    let workers = workers.map(|child| folder.wait(child).exits(3));
    assert_eq!((sum(&workers, "accepted"), api.requests("reportUsageBulk")), (0, sent));
}

#[test]
fn two_of_four_workers_are_killed_half_way_and_two_others_finish() {
    if left_out() {
        return;
    }
    let (api, ledger) = (strict(4.0), ledger("shards_killed"));
    let folder = folder(&api);
    let mut workers = [0, 1, 2, 3].map(|index| Some(worker(&folder, &ledger, index, 4.0).spawn().unwrap()));
    let began = Instant::now();
    while api.requests("reportUsageBulk") < 20 {
        assert!(began.elapsed() < Duration::from_secs(60), "they never begin");
        thread::sleep(Duration::from_millis(5));
    }
    // When
    for index in [1, 3] {
        let mut killed: Child = workers[index].take().unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    let others = [1, 3].map(|index| worker(&folder, &ledger, index, 4.0).spawn().unwrap());
    // Then: they wait until the holds of those that died are over, and finish.
    let finished: Vec<Ran> =
        workers.into_iter().flatten().chain(others).map(|child| folder.wait(child).exits(3)).collect();
    all_is_there_once(&api);
    // What the dead had settled is unchanged for those who came after; what they left open is sent again.
    assert_eq!(sum(&finished, "accepted") + sum(&finished, "unchanged"), CUSTOMERS as u64 + RECORDS);
    assert!(finished[2].stderr.contains("waits until that is over"), "{}", finished[2]);
    let most = api.sandbox.stats().keys.values().map(|key| key.applied).max();
    assert!(most.is_some_and(|most| most <= 2), "{most:?}");
    let mut status = folder.command("status --json");
    status.env("STIGG_IMPORT_LEDGER", &ledger);
    let status = folder.finish(&mut status).exits(0).json();
    for scope in status["scopes"].as_array().unwrap() {
        assert_eq!(scope["open_batches"], 0, "{status:#}");
    }
}

/// Given a part whose worker renews its hold, when another comes for it, then it waits as long as a hold lasts, says for whom,
/// and gives up.
#[test]
fn a_part_that_another_worker_keeps_is_waited_for_once() {
    if left_out() {
        return;
    }
    let (api, ledger) = (Api::open(), ledger("shards_held"));
    let folder = folder(&api);
    let run = |words: &str| {
        let mut command = folder.command(&format!("{RUN} --target {} {words}", api.url));
        command.env("STIGG_IMPORT_LEDGER", &ledger).env("STIGG_IMPORT_LEASE_SECONDS", "3");
        folder.finish(&mut command)
    };
    run("").exits(0);
    let held = "INSERT INTO stigg_import.lease VALUES ('1/4', 'x', 'worker-7', 7, now(), now() + interval '1 min')";
    shared(Engine::Postgres).run_sql("shards_held", held);
    assert_ran!(run("--shard 1/4"), @"
    exit 9
    --- stdout

    --- stderr
    [TIME]  WARN the part is held by process [PID] on worker-7, with part 1/4, since [TIME], until [TIME] unless it is renewed; waits until that is over
    error: another run holds the ledger postgres://stigg@127.0.0.1:[PORT]/shards_held: process [PID] on worker-7, with part 1/4, since [TIME], until [TIME] unless it is renewed
    hint: wait until it is done; one that was killed holds it until then. Two runs over one ledger would count things twice
    ");
}

#[test]
fn what_is_no_part_and_what_can_not_be_shared_is_told_before_anything_is_sent() {
    let (api, folder) = (Api::open(), clean());
    let run = |words: &str| folder.run(&format!("{RUN} --target {} {words}", api.url));
    assert_ran!(run("--shard 0/4"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a ledger in a file can't be shared by several workers
    hint: put the address of a Postgres database into STIGG_IMPORT_LEDGER, or leave --shard out; nothing was sent
    "#);
    assert_ran!(run("--shard 4/4"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: invalid value '4/4' for '--shard <I/N>': `4/4` is no part; 0/4 to 3/4 are those of four workers, and 256 are the most

    For more information, try '--help'.
    "#);
    assert_ran!(run("--shard /4"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: invalid value '/4' for '--shard <I/N>': JOB_COMPLETION_INDEX is not set; say which part it is, as in 0/4

    For more information, try '--help'.
    "#);
    let mut command = folder.command(&format!("{RUN} --target {} --shard /4", api.url));
    command.env("JOB_COMPLETION_INDEX", "3");
    assert_ran!(folder.finish(&mut command), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a ledger in a file can't be shared by several workers
    hint: put the address of a Postgres database into STIGG_IMPORT_LEDGER, or leave --shard out; nothing was sent
    "#);
    assert_eq!(api.customers(), 0);
}
