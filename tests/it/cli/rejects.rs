use std::os::unix::fs::PermissionsExt as _;

use super::{CUSTOMERS_CSV, RUN, customers};
use crate::program::{Api, Folder, LEDGER, assert_ran, stripe_pipeline};

#[test]
fn rejects_are_listed_corrected_and_sent_again() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    assert_ran!(folder.run("rejects list"), @r#"
    exit 0
    --- stdout
    run 1, customers: 1 reject in .stigg-import/rejects/1-customers.jsonl
           1  email: is not an e-mail address
              customers.csv:4, record 3 "not-an-email"

    --- stderr
    hint: stigg-import rejects export --out fix.csv writes them as a CSV to correct; then stigg-import rejects retry --csv fix.csv
    "#);
    assert_ran!(folder.run("rejects export"), @r#"
    exit 0
    --- stdout
    id,email,name,_source,_record,_line,_field,_value,_reason
    cus_3,not-an-email,Carl,customers.csv,3,4,email,not-an-email,is not an e-mail address

    --- stderr
    1 row of 1 reject
    "#);
    assert_ran!(folder.run("rejects export --out fix.csv"), @r#"
    exit 0
    --- stdout

    --- stderr
    1 row of 1 reject
    hint: correct it, then stigg-import rejects retry --csv fix.csv
    "#);
    let mode = folder.path("fix.csv").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds customers' data");

    folder.write("fix.csv", folder.read("fix.csv").replace("not-an-email", "carl@example.com"));
    assert_ran!(folder.run_to(&api, "rejects retry --csv fix.csv"), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     1        1         1          0         0 [DURATION]

    every record is accounted for: 1 = 1 accepted

    --- stderr
    "#);
    assert_eq!(api.sandbox.snapshot().customers["cus_3"].email.as_deref(), Some("carl@example.com"));

    // The export was corrected, too: nothing is left to do.
    folder.write("customers.csv", CUSTOMERS_CSV.replace("not-an-email", "carl@example.com"));
    let last = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((last.total("accepted"), last.total("unchanged")), (0, 5), "{last}");
}

#[test]
fn rows_that_are_still_wrong_are_rejected_again() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    let ran = folder.run_to(&api, "rejects retry --json").exits(3);
    assert_eq!((ran.total("records"), ran.total("rejected"), ran.total("accepted")), (1, 1, 0), "{ran}");
    assert_eq!(folder.run("rejects list --json").exits(0).json()["files"][0]["run"], 2);
}

#[test]
fn a_retry_goes_where_the_run_went_and_may_be_told_otherwise() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    folder.run("rejects export --out fix.csv").exits(0);
    folder.write("fix.csv", folder.read("fix.csv").replace("not-an-email", "carl@example.com"));
    folder.run("rejects retry --csv fix.csv").exits(0);
    assert_eq!(api.customers(), 5);
}

#[test]
fn each_step_has_its_rejects() {
    let (api, folder) = (Api::with_catalog(), Folder::new());
    folder.write("pipeline.toml", stripe_pipeline(&api.url, "stripe-small"));
    folder.run("run pipeline.toml --rate-scale 100000").exits(3);
    assert_ran!(folder.run("rejects export"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: several steps have rejects, and their rows differ
    hint: say which with --step: customers, subscriptions, usage
    "#);
    let listed = folder.run("rejects list --json").exits(0).json();
    let steps: Vec<&str> =
        listed["files"].as_array().unwrap().iter().map(|file| file["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["customers", "subscriptions", "usage"]);
    assert_ran!(folder.run("rejects retry --step usage"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: totals can't be made from the rejected rows alone
    hint: correct the rows in the source and run the same command as before: totals that changed are sent
    "#);
    let exported = folder.run("rejects export --step subscriptions").exits(0);
    assert!(exported.stdout.starts_with("id,Customer ID,"), "{exported}");
}

#[test]
fn nothing_rejected_is_said() {
    let folder = Folder::new();
    assert_ran!(folder.run("rejects list"), @r#"
    exit 0
    --- stdout
    nothing was rejected yet, as far as .stigg-import/rejects knows

    --- stderr
    "#);
    assert_ran!(folder.run("rejects export"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: nothing was rejected yet, as far as .stigg-import/rejects knows
    "#);
    assert_eq!(folder.run("rejects list --json").exits(0).json()["files"], serde_json::json!([]));
}

#[test]
fn another_ledger_is_named_in_the_hints() {
    let (api, folder) = (Api::open(), customers());
    let ran = folder.run_to(&api, &format!("{RUN} --ledger books/here.db")).exits(3);
    assert!(ran.stderr.contains("rejects list --run 1 --ledger books/here.db"), "{ran}");
    assert!(!folder.path(LEDGER).exists());
    let listed = folder.run("rejects list --ledger books/here.db").exits(0);
    assert!(listed.stderr.contains("--ledger books/here.db"), "{listed}");
}
