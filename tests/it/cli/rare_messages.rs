//! What a person is told of what seldom happens: each message as it is shown.

use stigg_import::sandbox::Settings;

use super::cutover::{cutover, world};
use super::{RUN, clean, customers};
use crate::program::{Api, assert_ran};

#[test]
fn an_export_without_rows_is_told() {
    let folder = clean();
    folder.write("customers.csv", "id,email,name\n");
    assert_ran!(folder.run("check --mapping customers.toml --csv customers.csv"), @r#"
    exit 0
    --- stdout
    customers.toml: holds, and has no examples
    customers: customers.csv: uncompressed, UTF-8 (assumed), delimiter comma, quote ", LF, 3 columns
    customers: there are no rows

    --- stderr
    "#);
}

#[test]
fn of_many_differences_the_first_are_shown() {
    let (api, folder) = (Api::open(), clean());
    let rows: String = (0..12).map(|number| format!("cus_{number},c{number}@example.com,C\n")).collect();
    folder.write("customers.csv", format!("id,email,name\n{rows}"));
    assert_ran!(folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv --extra"), @r#"
    exit 3
    --- stdout
    step       expected  equal  different  missing  unread
    customers        12      0          0       12       0
    cus_0 (customers.csv:2, record 1): is not in Stigg
    cus_1 (customers.csv:3, record 2): is not in Stigg
    cus_2 (customers.csv:4, record 3): is not in Stigg
    cus_3 (customers.csv:5, record 4): is not in Stigg
    cus_4 (customers.csv:6, record 5): is not in Stigg
    cus_5 (customers.csv:7, record 6): is not in Stigg
    cus_6 (customers.csv:8, record 7): is not in Stigg
    cus_7 (customers.csv:9, record 8): is not in Stigg
    cus_8 (customers.csv:10, record 9): is not in Stigg
    cus_9 (customers.csv:11, record 10): is not in Stigg
    … see --json for more
    customers: Stigg has none that no step has

    --- stderr
    hint: the same words with `run` send what has changed in the source; with `run` and --resend, all of it again, also over what was changed in Stigg itself
    "#);
}

#[test]
fn what_no_step_has_can_not_be_told_of_usage() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    folder.write("usage.toml", "entity = \"usage\"\n[fields]\ncustomerId = \"c\"\nfeatureId = \"f\"\nvalue = \"v\"\n");
    folder.write("usage.csv", "c,f,v\ncus_1,seats,3\n");
    folder.run_to(&api, "run --mapping usage.toml --csv usage.csv").exits(0);
    assert_ran!(folder.run_to(&api, "verify --mapping usage.toml --csv usage.csv --extra"), @r#"
    exit 0
    --- stdout
    step   expected  equal  different  missing  unread
    usage         1      1          0        0       0
    usage that no step has can't be told: the API does not list it

    --- stderr
    everything that should be in Stigg is there, as the source has it
    "#);
}

#[test]
fn a_draft_that_can_not_be_written_says_what_to_do() {
    let folder = clean();
    folder.write("file", "");
    assert_ran!(folder.run("init --csv customers.csv --dir file/drafts"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't write file/drafts
      because Not a directory (os error 20)
    hint: make room or mend the rights, or name another folder with --dir, then run the same command again
    "#);
}

#[test]
fn a_rejects_file_that_was_cut_off_or_changed_is_read_as_far_as_it_can_be() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    let file = ".stigg-import/rejects/1-customers.jsonl";
    let text = folder.read(file);
    folder.write(file, format!("{text}not JSON\n{{\"kind\":\"rej"));
    assert_ran!(folder.run("rejects list"), @r#"
    exit 0
    --- stdout
    run 1, customers: 1 reject in .stigg-import/rejects/1-customers.jsonl
           1  email: is not an e-mail address
              customers.csv:4, record 3 "not-an-email"
           2  lines can't be read: the run was killed, or the file was changed

    --- stderr
    hint: correct them in a CSV, and send that
      stigg-import rejects export --out fix.csv
      stigg-import rejects retry --csv fix.csv
    "#);
}

#[test]
fn reasons_beyond_the_first_thousand_kinds_are_counted() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    let file = ".stigg-import/rejects/1-customers.jsonl";
    let text = folder.read(file);
    let mut lines = text.lines();
    let (header, entry) = (lines.next().unwrap(), lines.next().unwrap());
    // As a mapping's own words may be: a reason for each row.
    let letters =
        |number: usize| number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect::<String>();
    let entries: String =
        (0..1003).map(|number| format!("{}\n", entry.replace("is not an e-mail address", &letters(number)))).collect();
    folder.write(file, format!("{header}\n{entries}"));
    let listed = folder.run("rejects list").exits(0);
    let last: Vec<&str> = listed.stdout.lines().rev().take(2).collect();
    insta::assert_snapshot!(last.join("\n"), @r#"
    3  of other kinds
       customers.csv:4, record 3 "not-an-email"
    "#);
}

#[test]
fn a_long_cutover_says_how_long_it_takes() {
    let (folder, api) = world(Settings::default());
    let rows: String =
        (0..120).map(|number| format!("n{number},a,2025-06-16T16:35:00Z,2,stripe,old-n{number}\n")).collect();
    folder.write("paid.csv", format!("{}{rows}", folder.read("paid.csv")));
    let words = format!("cutover --mapping paid.toml --csv paid.csv --plan --target {}", api.url);
    assert_ran!(folder.run(&words), @r#"
    exit 0
    --- stdout
    125 records
      to provision and prove  125
    provisioning takes about [DURATION] at the rate limit
    0 originals confirmed and not yet cancelled

    --- stderr
    "#);
}

#[test]
fn originals_that_had_a_schedule_are_counted() {
    let (folder, api) = world(Settings::default());
    cutover(&folder, &api, "--mapping paid.toml --csv paid.csv").exits(0);
    let mut account = api.sandbox.stripe().snapshot();
    account.subscriptions.iter_mut().find(|one| one.id == "old-a").unwrap().schedule = Some("sched_1".to_owned());
    api.sandbox.stripe().load(account);
    assert_ran!(cutover(&folder, &api, "--phase cancel --cancel-originals"), @r#"
    exit 0
    --- stdout
    5 originals to cancel
      cancelled  5
    1 original had a schedule at the provider
    where they are now
      cancelled  5

    --- stderr
    every step is in .stigg-import/cutover-audit.jsonl
    "#);
}
