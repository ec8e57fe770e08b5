//! `settle`: events that were sent, and whose answer nobody got.

use std::time::{Duration, Instant};

use stigg_import::sandbox::{Fault, FaultKind};

use crate::program::{Api, Folder, assert_ran};

const EVENTS_TOML: &str = r#"entity = "event"

[fields]
customerId = "account"
eventName = { const = "call" }
idempotencyKey = "id"
timestamp = { column = "at", time = "unix" }
"#;

const RUN: &str = "run --mapping events.toml --csv events.csv";

/// A run that was killed while it waited for the answer to three events; `kind` says whether they arrived.
pub(super) fn unanswered(kind: FaultKind) -> (Api, Folder) {
    let (api, folder) = (Api::open(), super::clean());
    folder.run_to(&api, super::RUN).exits(0);
    folder.write("events.toml", EVENTS_TOML);
    folder.write("events.csv", "account,id,at\ncus_1,e-1,1780000001\ncus_1,e-2,1780000002\ncus_2,e-3,1780000003\n");
    api.sandbox.inject(Fault::once(kind).on("reportEvent"));
    let mut child = folder.command(&format!("{RUN} --target {}", api.url)).spawn().unwrap();
    let began = Instant::now();
    while api.requests("reportEvent") == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "never: events are sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    folder.wait(child);
    (api, folder)
}

/// How often each event was counted.
fn counted(api: &Api) -> Vec<u32> {
    api.sandbox.snapshot().events.iter().map(|event| event.counted).collect()
}

#[test]
fn without_open_events_there_is_nothing_to_settle() {
    let folder = Folder::new();
    assert_ran!(folder.run("settle"), @r"
    exit 0
    --- stdout
    no events are open

    --- stderr
    ");
    assert_ran!(folder.run("settle --as lost"), @r"
    exit 0
    --- stdout
    no events are open

    --- stderr
    ");
    assert!(!folder.path(".stigg-import").exists(), "no ledger is made for it");
}

#[test]
fn settle_lists_what_is_open_and_changes_nothing() {
    let (_api, folder) = unanswered(FaultKind::SilentAfter);
    assert_ran!(folder.run("settle"), @r"
    exit 0
    --- stdout
    target                                                               run           sent (UTC)  events
    http://127.0.0.1:[PORT]/graphql [UUID]    2  [TIME]       3
    hint: look at the features' usage in Stigg, then `stigg-import settle --as delivered` (no run sends them) or `--as lost` (the next run sends them)

    --- stderr
    ");
    let status = folder.run("status").exits(0);
    assert!(status.stdout.contains("12 hours ago are not sent again; `stigg-import settle` lists them"), "{status}");
    let listed = folder.run("settle --json").exits(0).json();
    assert_eq!(listed["open"][0]["events"], 3, "{listed}");
}

#[test]
fn events_settled_as_delivered_are_never_sent_again() {
    let (api, folder) = unanswered(FaultKind::SilentAfter);
    assert_ran!(folder.run("settle --as delivered"), @r"
    exit 0
    --- stdout
    3 events settled as delivered; no run sends them

    --- stderr
    ");
    let again = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((again.total("unchanged"), again.total("accepted")), (3, 0), "{again}");
    assert_eq!((api.requests("reportEvent"), counted(&api)), (1, vec![1, 1, 1]));
    assert!(folder.run("settle").exits(0).stdout.contains("no events are open"));
}

#[test]
fn events_settled_as_lost_are_sent_by_the_next_run() {
    let (api, folder) = unanswered(FaultKind::Silent);
    assert_eq!(counted(&api), Vec::<u32>::new());
    assert_ran!(folder.run("settle --as lost"), @r"
    exit 0
    --- stdout
    3 events settled as lost; the next run that has them in its source sends them

    --- stderr
    ");
    assert!(folder.run("settle").exits(0).stdout.contains("no events are open"));
    let again = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((again.total("unchanged"), again.total("accepted")), (0, 3), "{again}");
    assert_eq!(counted(&api), [1, 1, 1]);
}

#[test]
fn json_says_how_many_events_were_settled_and_as_what() {
    let (_api, folder) = unanswered(FaultKind::SilentAfter);
    let settled = folder.run("settle --as delivered --json").exits(0).json();
    assert_eq!(settled, serde_json::json!({ "settled": 3, "as": "delivered" }));
}

#[test]
fn a_word_that_is_neither_is_refused_and_nothing_is_settled() {
    let (_api, folder) = unanswered(FaultKind::SilentAfter);
    assert_ran!(folder.run("settle --as gone"), @r"
    exit 2
    --- stdout

    --- stderr
    error: invalid value 'gone' for '--as <WORD>'
      [possible values: delivered, lost]

    For more information, try '--help'.
    ");
    assert_eq!(folder.run("settle --json").exits(0).json()["open"][0]["events"], 3);
}

#[test]
fn resend_leaves_events_alone() {
    let (api, folder) = unanswered(FaultKind::SilentAfter);
    folder.run("settle --as delivered").exits(0);
    let again = folder.run_to(&api, &format!("{RUN} --resend --json")).exits(0);
    assert_eq!((again.total("unchanged"), again.total("accepted")), (3, 0), "{again}");
    assert_eq!((api.requests("reportEvent"), counted(&api)), (1, vec![1, 1, 1]));
}
