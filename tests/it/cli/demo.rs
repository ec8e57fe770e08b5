use serde_json::json;

use crate::program::{Folder, assert_ran};

#[test]
fn the_summary_balances_and_everything_is_read_back() {
    let folder = Folder::new();
    let ran = folder.run("demo --customers 200 --dir demo --json").exits(3);
    assert_eq!(ran.stderr, "", "{ran}");
    let summary = ran.json();
    let places = ["filtered", "rejected", "unchanged", "accepted", "failed", "open"];
    for step in summary["steps"].as_array().unwrap() {
        let sum: u64 = places.iter().map(|place| step[*place].as_u64().unwrap()).sum();
        assert_eq!(step["records"], sum, "{ran}");
    }
    assert_eq!((ran.total("open"), &summary["exit"], &summary["ok"]), (0, &json!(3), &json!(false)));
    assert!(ran.total("accepted") > 500 && ran.total("rejected") > 0 && ran.total("failed") > 0, "{ran}");
    assert_eq!(summary["verified"]["ok"], true, "{ran}");
    for name in ["pipeline.toml", "customers.csv", "mappings/stripe/plans.csv", ".stigg-import/rejects/1-usage.jsonl"] {
        assert!(folder.path("demo").join(name).exists(), "{name}");
    }
}

#[test]
fn a_person_reads_what_happened_and_what_to_do_next() {
    assert_ran!(Folder::new().run("demo --customers 100 --dir demo"), @r#"
    exit 3
    --- stdout
    step           rows  records  accepted  unchanged  rejected  refused time
    customers       101      101        99          1         1        0 [DURATION]
    subscriptions    99       99        97          0         2        0 [DURATION]
    usage           593      215       212          0         2        1 [DURATION]

    every record is accounted for: 415 = 408 accepted + 1 unchanged + 5 rejected + 1 refused by the API
    read back from the API: 408 of 408 accepted records are there, as the export has them

    the rows that did not fit, each with its place and reason:
      demo/.stigg-import/rejects/1-customers.jsonl
      demo/.stigg-import/rejects/1-subscriptions.jsonl
      demo/.stigg-import/rejects/1-usage.jsonl

    next:
      # why they did not fit
      stigg-import rejects list --ledger demo/.stigg-import/ledger.db
      # the same once more, with an API that stays
      stigg-import sandbox --port 8080 &
      stigg-import run demo/pipeline.toml --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    writing a Stripe-style export of 100 customers into demo
    the embedded Stigg API listens at http://127.0.0.1:[PORT]/graphql
    importing customers, subscriptions and usage
    "#);
}

#[test]
fn a_demo_can_be_shown_again_in_the_same_folder() {
    let folder = Folder::new();
    let first = folder.run("demo --customers 20 --dir demo --json");
    let second = folder.run("demo --customers 20 --dir demo --json");
    assert_eq!(first.exit, second.exit, "{second}");
    assert_eq!(first.total("accepted"), second.total("accepted"));
    assert!(first.total("accepted") > 0, "{first}");
}

#[test]
fn a_folder_that_can_not_be_made_is_said() {
    let folder = Folder::new();
    folder.write("file", "");
    assert_ran!(folder.run("demo --dir file/demo"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't make file/demo
      because Not a directory (os error 20)
    hint: name another folder with --dir
    "#);
}

#[test]
fn a_demo_of_a_cutover_moves_what_can_be_moved_and_cancels_only_that() {
    let folder = Folder::new();
    let ran = folder.run("demo --cutover --dir demo --json").exits(3);
    assert_eq!(ran.stderr, "", "{ran}");
    let (provision, cancel) = (&ran.json()["provision"], &ran.json()["cancel"]);
    assert_eq!(
        (&provision["records"], &provision["confirmed"], &provision["rejected"]),
        (&json!(12), &json!(9), &json!(1))
    );
    let at = |stage: &str, count: u64| json!({ "stage": stage, "count": count });
    let parked = |reason: &str| json!({ "stage": "parked", "reason": reason, "count": 1 });
    let stages = json!([at("cancelled", 9), parked("payment-required"), parked("amounts-differ")]);
    assert_eq!(
        (&cancel["cancelled"], &cancel["with_pending_items"], &cancel["stages"]),
        (&json!(9), &json!(1), &stages)
    );
    for name in ["stripe.json", "mappings/stripe/paid-subscriptions.toml", ".stigg-import/cutover-audit.jsonl"] {
        assert!(folder.path("demo").join(name).exists(), "{name}");
    }
    // For a person it is told in words, and what to do next.
    assert_ran!(folder.run("demo --cutover --customers 2 --dir demo"), @"
    exit 0
    --- stdout
    2 records
      confirmed now  2
    where they are now
      confirmed  2

    2 originals to cancel
      cancelled  2
    1 original had invoice items that wait: look at them at the provider; the audit file names them
    where they are now
      cancelled  2

    next:
      # every step, with its time and the ids of requests
      less demo/.stigg-import/cutover-audit.jsonl
      # where they all are
      stigg-import status --cutover --ledger demo/.stigg-import/ledger.db
      # what to do about each reason, and your own cutover
      docs/cutover.md

    --- stderr
    the embedded Stigg API listens at http://127.0.0.1:[PORT]/graphql, an account at Stripe with 2 customers beside it
    importing the customers
    provisioning their paid plans, backdated, and proving each

    cancelling the originals of what was proved
    ");
}

/// Given a folder in which something is in the way of a file, when the demo is run, then it says which folder and where to go.
#[test]
fn a_demo_that_cannot_write_its_files_says_so() {
    let folder = Folder::new();
    for name in ["demo/customers.csv/x", "other/pipeline.toml/x", "file"] {
        folder.write(name, "");
    }
    assert_ran!(folder.run("demo --customers 20 --dir demo"), @"
    exit 5
    --- stdout

    --- stderr
    writing a Stripe-style export of 20 customers into demo
    error: the demo can't write into demo
      because Is a directory (os error 21)
    hint: name another folder with --dir
    ");
    assert_ran!(folder.run("demo --customers 20 --dir other"), @"
    exit 5
    --- stdout

    --- stderr
    writing a Stripe-style export of 20 customers into other
    the embedded Stigg API listens at http://127.0.0.1:[PORT]/graphql
    error: the demo can't write into other
      because Is a directory (os error 21)
    hint: name another folder with --dir
    ");
    folder.write("cut/catalog.json/x", "");
    assert_ran!(folder.run("demo --cutover --customers 20 --dir cut"), @"
    exit 5
    --- stdout

    --- stderr
    error: the demo can't write into cut
      because Is a directory (os error 21)
    hint: name another folder with --dir
    ");
    assert_ran!(folder.run("demo --customers 20 --dir file/demo"), @"
    exit 5
    --- stdout

    --- stderr
    error: can't make file/demo
      because Not a directory (os error 20)
    hint: name another folder with --dir
    ");
}
