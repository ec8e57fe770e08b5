//! A few records first: chosen, shown, and decided upon.

use super::{CLEAN_CSV, clean};
use crate::program::{Api, Folder, assert_ran, catalog};
use stigg_import::sandbox::Settings;

const RUN: &str = "run --mapping customers.toml --csv customers.csv";

/// Given forty customers of which one has a column more and one a column fewer, when a canary of three is run, then these
/// two and a third are sent and shown, and nothing else is sent until somebody says so.
#[test]
fn the_record_with_most_fields_the_one_with_fewest_and_one_at_random_go_first() {
    let (api, folder) = (Api::open(), clean());
    let rows: String = (0..40).map(|n| format!("cus_{n},c{n}@example.com,\n")).collect();
    folder.write("customers.csv", format!("id,email,name\n{rows}rich,rich@example.com,Rich\npoor,,\n"));
    let ran = folder.run_to(&api, &format!("{RUN} --canary 3")).exits(4);
    assert_eq!(api.customers(), 3, "{ran}");
    let there = api.sandbox.snapshot().customers;
    assert!(there.contains_key("rich") && there.contains_key("poor"), "{ran}");
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("customers: rich")).collect();
    assert_eq!(
        told,
        ["customers: rich (customers.csv:42, record 41; most fields) is in Stigg as it was sent"],
        "{ran}"
    );
    // The next run knows them.
    let rest = folder.run_to(&api, &format!("{RUN} --canary 1 --yes --json")).exits(0);
    assert_eq!((rest.total("unchanged"), rest.total("accepted"), rest.total("records")), (4, 38, 42), "{rest}");
    assert_eq!(api.customers(), 42);
}

#[test]
fn row_request_and_what_stigg_has_stand_side_by_side() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.csv", "id,email,name\ncus_1,ada@example.com,Ada\n");
    assert_ran!(folder.run_to(&api, &format!("{RUN} --canary 3")), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     1        1         0          1         0 [DURATION]

    every record is accounted for: 1 = 1 unchanged

    --- stderr
    customers: cus_1 (customers.csv:2, record 1; most fields) is in Stigg as it was sent
      row                     | sent                         | in Stigg
      id     cus_1            | customerId  cus_1            | the same
      email  ada@example.com  | email       ada@example.com  | the same
      name   Ada              | name        Ada              | the same

    canary: 1 record sent and read back: 1 equal
    "#);
    assert_ran!(folder.run_to(&api, &format!("{RUN} --canary 3")), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     1        1         0          1         0 [DURATION]

    every record is accounted for: 1 = 1 unchanged

    --- stderr
    nothing is new or changed: there is nothing to send first
    "#);
    folder.write("customers.csv", CLEAN_CSV.replace("cus_1", "cus_9"));
    let ran = folder.run_to(&api, &format!("{RUN} --canary 1 --json")).exits(4);
    let canary = &ran.json()["canary"][0];
    assert_eq!(
        (canary["to_send"].as_u64(), canary["records"][0]["landed"].as_str()),
        (Some(3), Some("equal")),
        "{ran}"
    );
}

/// Customers, their subscriptions, and usage that needs both.
fn three_steps() -> Folder {
    let folder = clean();
    let customers: String = (0..30).map(|n| format!("cus_{n},,Customer {n}\n")).collect();
    let subscriptions: String = (0..30).map(|n| format!("sub_{n},cus_{n},plan-free\n")).collect();
    let usage: String = (0..30).map(|n| format!("cus_{n},feature-api-calls,{}\n", n + 1)).collect();
    folder
        .write("customers.csv", format!("id,email,name\n{customers}"))
        .write("subscriptions.csv", format!("id,customer,plan\n{subscriptions}"))
        .write("usage.csv", format!("customer,feature,value\n{usage}"))
        .write(
            "subscriptions.toml",
            "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n",
        )
        .write(
            "usage.toml",
            "entity = \"usage\"\n[fields]\ncustomerId = \"customer\"\nfeatureId = \"feature\"\nvalue = \"value\"\n",
        )
        .write(
            "pipeline.toml",
            "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n\
             [[step]]\nname = \"subscriptions\"\nmapping = \"subscriptions.toml\"\nsource = { csv = \"subscriptions.csv\" }\n\
             [[step]]\nname = \"usage\"\nmapping = \"usage.toml\"\nsource = { csv = \"usage.csv\" }\n",
        );
    folder
}

/// Given usage that needs a subscription, which needs a customer, when a canary is run, then what the chosen records need
/// goes with them, so that none is refused; and with --yes the others follow.
#[test]
fn what_a_chosen_record_needs_goes_with_it() {
    let (api, folder) = (Api::new(Settings { catalog: Some(catalog()), ..Settings::default() }), three_steps());
    let ran = folder.run_to(&api, "run pipeline.toml --canary 2").exits(4);
    assert!(ran.stderr.contains("a chosen record needs it"), "{ran}");
    let there = api.sandbox.snapshot();
    assert!(there.usage.len() == 2 && (2..=4).contains(&there.subscriptions.len()), "{ran}");
    assert!((2..=6).contains(&there.customers.len()), "{ran}");
    let all = folder.run_to(&api, "run pipeline.toml --canary 2 --yes --json").exits(0);
    assert_eq!((all.total("accepted") + all.total("unchanged"), all.total("failed")), (90, 0), "{all}");
    assert_eq!(api.customers(), 30);
}

/// Given a plan that Stigg does not have, when a canary meets it, then it is refused and shown, and --yes sends no more.
#[test]
fn a_canary_that_is_refused_stops_everything() {
    let (api, folder) = (Api::new(Settings { catalog: Some(catalog()), ..Settings::default() }), three_steps());
    folder.write("subscriptions.csv", folder.read("subscriptions.csv").replace("plan-free", "plan-nobody-made"));
    let ran = folder.run_to(&api, "run pipeline.toml --canary 1 --yes").exits(3);
    assert!(ran.stderr.contains("is not in Stigg") && ran.stderr.contains("rejects list --run 1"), "{ran}");
    let there = api.sandbox.snapshot();
    assert!(there.subscriptions.is_empty() && there.customers.len() <= 3, "{ran}");
}

#[test]
fn a_canary_of_what_can_be_read_once_is_refused() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(folder.run_to(&api, "run --mapping customers.toml --csv - --canary 3"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a canary of standard input is not possible: it can be read only once
    hint: put the data into a file, and name that
    "#);
    assert_ran!(folder.run_to(&api, &format!("{RUN} --yes")), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the following required arguments were not provided:
      --canary <N>

    Usage: stigg-import run --mapping <FILE> --canary <N> --csv <FILE> --yes --target <URL> --rate-scale <N> [PIPELINE.toml]

    For more information, try '--help'.
    "#);
}

/// On a terminal (`script` of util-linux makes one) somebody is asked.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_somebody_is_asked() {
    for (typed, customers) in [("n", 1), ("", 1), ("y", 3)] {
        let (api, folder) = (Api::open(), clean());
        let words = format!("{RUN} --canary 1 --target {} --rate-scale 100000", api.url);
        let line = format!("(sleep 1; echo {typed}; sleep 1) | script -qec \"$PROGRAM {words}\" /dev/null");
        let ran = folder.finish(&mut folder.shell(&line));
        assert!(ran.stdout.contains("send the other 2 records? [y/N]"), "{ran}");
        assert_eq!(api.customers(), customers, "{typed}: {ran}");
        assert_eq!(ran.exit, Some(if customers == 3 { 0 } else { 4 }), "{ran}");
    }
}

/// Given a customer whom Stigg has newer, when an older row of him goes first, then it stands beside what Stigg has, and the
/// run tells how many it kept.
#[test]
fn what_stigg_keeps_because_it_is_newer_is_shown_beside_the_row() {
    let (api, folder) = (Api::open(), clean());
    folder.write(
        "dated.toml",
        "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\nupdatedAt = \"at\"\n",
    );
    folder.write("newer.csv", "id,name,at\ncus_1,Ada Lovelace,2026-02-01T00:00:00Z\n");
    folder.run_to(&api, "run --mapping dated.toml --csv newer.csv --ledger other/ledger.db").exits(0);
    folder.write("older.csv", "id,name,at\ncus_1,Ada,2026-01-01T00:00:00Z\n");
    assert_ran!(folder.run_to(&api, "run --mapping dated.toml --csv older.csv --canary 1"), @"
    exit 3
    --- stdout

    --- stderr
    customers: cus_1 (older.csv:2, record 1; at random) is in Stigg with other content
      row                         | sent                                  | in Stigg
      id    cus_1                 | customerId  cus_1                     | the same
      name  Ada                   | name        Ada                       | Ada Lovelace
      at    [TIME]  | updatedAt   [TIME]  | not read back

    canary: 1 record sent and read back: 1 different
    hint: mend the mapping or the rows where Stigg has something else, and begin again
    ");
    assert_ran!(folder.run_to(&api, "run --mapping dated.toml --csv older.csv --ledger third/ledger.db"), @"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected  kept newer time
    customers     1        1         1          0         0           1 [DURATION]

    every record is accounted for: 1 = 1 accepted

    --- stderr
    ");
}

#[test]
fn a_total_over_many_rows_is_shown_with_their_number() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    folder.write(
        "usage.toml",
        "entity = \"usage\"\naggregate = \"sum\"\n[fields]\ncustomerId = \"c\"\nfeatureId = \"f\"\nvalue = \"v\"\n",
    );
    folder.write("usage.csv", "c,f,v\ncus_1,seats,3\ncus_1,seats,4\ncus_1,seats,5\n");
    assert_ran!(folder.run_to(&api, "run --mapping usage.toml --csv usage.csv --canary 1"), @"
    exit 0
    --- stdout
    step   rows  records  accepted  unchanged  rejected time
    usage     3        1         0          1         0 [DURATION]

    every record is accounted for: 1 = 1 unchanged

    --- stderr
    usage: cus_1 seats (usage.csv:2, record 1; at random) is in Stigg as it was sent
      row                  | sent                   | in Stigg
      a total of 3 rows    | customerId      cus_1  | the same
                           | featureId       seats  | the same
                           | value           12     | the same
                           | updateBehavior  SET    | not read back

    canary: 1 record sent and read back: 1 equal
    ");
}
