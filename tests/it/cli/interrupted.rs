//! Runs that somebody ends, and runs that meet another.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use stigg_import::sandbox::{Fault, FaultKind};

use super::clean;
use crate::program::{Api, Folder, assert_ran};

/// More than one batch.
fn rows() -> String {
    let rows = (0..2500).map(|number| format!("org_{number},c{number}@example.com,Customer {number}\n"));
    std::iter::once("id,email,name\n".to_owned()).chain(rows).collect()
}

/// A run whose source does not end before `ChildStdin` is dropped.
fn endless(folder: &Folder, api: &Api) -> (Child, ChildStdin) {
    let words = format!("run --mapping customers.toml --csv - --target {} --rate-scale 100000", api.url);
    let mut child = folder.command(&words).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(rows().as_bytes()).unwrap();
    (child, stdin)
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let line = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

fn is_interrupted_and_goes_on(name: &str) {
    let (api, folder) = (Api::open(), clean());
    let (child, stdin) = endless(&folder, &api);
    until("a request is sent", || api.requests("importCustomersBulk") > 0);
    signal(&child, name);
    let ran = folder.wait(child);
    drop(stdin);
    assert_eq!(ran.exit, Some(4), "{ran}");
    assert!(ran.stderr.contains("interrupted: settling what is in flight"), "{ran}");
    assert!(ran.stderr.ends_with("hint: run the same command again; it goes on where this one stopped\n"), "{ran}");

    folder.write("customers.csv", rows());
    let again = folder.run_to(&api, &format!("{} --json", super::RUN)).exits(0);
    assert_eq!(again.total("accepted") + again.total("unchanged"), 2500, "{again}");
    assert_eq!(api.customers(), 2500);
    let twice = api.sandbox.stats().keys.values().filter(|key| key.applied > 1).count();
    assert_eq!(twice, 0, "what was settled is not sent again");
}

#[test]
fn ctrl_c_settles_what_is_in_flight_and_the_same_command_goes_on() {
    is_interrupted_and_goes_on("INT");
}

#[test]
fn sigterm_does_the_same() {
    is_interrupted_and_goes_on("TERM");
}

#[test]
fn a_run_that_is_interrupted_before_a_row_was_read_says_so_and_ends_with_4() {
    // Given: a source that has not even given its header.
    let (api, folder) = (Api::open(), clean());
    let words = format!("run --mapping customers.toml --csv - --target {}", api.url);
    let mut child = folder.command(&words).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "TERM");
    assert_ran!(folder.wait(child), @r#"
    exit 4
    --- stdout

    --- stderr
    interrupted: settling what is in flight; once more to stop at once
    error: interrupted before a row was read; nothing was sent
    hint: run the same command again
    "#);
    drop(stdin);

    // Given: a target that does not answer.
    api.sandbox.inject(Fault::once(FaultKind::Silent).on("currentEnvironment"));
    let child = folder.command(&format!("{} --target {}", super::RUN, api.url)).spawn().unwrap();
    until("the target is asked for its name", || api.requests("currentEnvironment") > 0);
    signal(&child, "INT");
    let ran = folder.wait(child).exits(4);
    assert!(ran.stderr.contains("error: interrupted before a row was read; nothing was sent"), "{ran}");
    super::a_good_run_follows(&folder, &api);
}

#[test]
fn the_second_signal_ends_at_once_and_what_was_in_flight_is_settled_by_the_next_run() {
    // Given: an API that takes the work and does not answer, for the requests of the first run.
    let (api, folder) = (Api::open(), clean());
    api.sandbox.inject(Fault::once(FaultKind::SilentAfter).on("importCustomersBulk").times(2));
    let (child, stdin) = endless(&folder, &api);
    until("two requests are sent", || api.requests("importCustomersBulk") > 1);

    // When
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, "INT");

    // Then
    let began = Instant::now();
    let ran = folder.wait(child).exits(4);
    assert!(began.elapsed() < Duration::from_secs(20), "{ran}");
    drop(stdin);
    folder.write("customers.csv", rows());
    let again = folder.run_to(&api, &format!("{} --json", super::RUN)).exits(0);
    assert!(again.stderr.contains("an earlier run left 2 batches open"), "{again}");
    assert_eq!((again.total("open"), api.customers()), (0, 2500), "{again}");
}

#[test]
fn a_second_run_while_one_is_going_is_told_who_goes() {
    let (api, folder) = (Api::open(), clean());
    let (child, stdin) = endless(&folder, &api);
    until("a request is sent", || api.requests("importCustomersBulk") > 0);

    let second = folder.run_to(&api, super::RUN).exits(9);
    assert!(second.stderr.contains(&format!("process {}", child.id())), "{second}");
    assert_ran!(second, @r#"
    exit 9
    --- stdout

    --- stderr
    error: another run holds the ledger .stigg-import/ledger.db: process [PID], since [TIME]
    hint: wait until it is done; two runs over one ledger would count things twice
    "#);
    // Looking is allowed.
    assert!(folder.run("status").exits(0).stdout.contains("going on"));

    drop(stdin);
    folder.wait(child).exits(0);
    assert_eq!(api.customers(), 2500);
    folder.run_to(&api, super::RUN).exits(0);
    assert_eq!(api.customers(), 2503);
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let (api, folder) = (Api::open(), clean());
    let line = format!("\"$PROGRAM\" {} --target {} | true", super::RUN, api.url);
    folder.finish(&mut folder.shell(&line));
    assert_eq!(api.customers(), 3);
}

#[test]
fn a_plan_that_is_interrupted_says_so_and_ends_with_4() {
    // Given: a target that does not answer.
    let (api, folder) = (Api::open(), clean());
    api.sandbox.inject(Fault::once(FaultKind::Silent).on("currentEnvironment"));
    let words = format!("plan --mapping customers.toml --csv customers.csv --target {}", api.url);
    let child = folder.command(&words).spawn().unwrap();
    until("the target is asked for its name", || api.requests("currentEnvironment") > 0);
    // When
    signal(&child, "INT");
    // Then
    assert_ran!(folder.wait(child), @"
    exit 4
    --- stdout

    --- stderr
    interrupted: settling what is in flight; once more to stop at once
    error: interrupted before the plan was made; nothing was sent
    hint: run the same command again
    ");
}
