//! What Stigg has, against the source: statuses, samples, what only Stigg has, and paid subscriptions.

use std::io::Write as _;
use std::process::Stdio;

use super::sync::Syncing;
use super::{CLEAN_CSV, RUN, clean, cutover};
use crate::program::{Api, Folder, assert_ran, catalog};
use stigg_import::sandbox::Settings;

/// Given a subscription that has ended in Stigg and that the source says to be active, when it is verified, then its status
/// is told; those that have ended or not begun in the source are equal.
#[test]
fn a_subscription_that_ended_before_its_time_is_different() {
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let folder = clean();
    folder.run_to(&api, RUN).exits(0);
    let mapping = "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n\
                   startDate = { column = \"start\", time = \"iso\" }\nendDate = { column = \"end\", time = \"iso\" }\n";
    let rows = "id,customer,plan,start,end\nsub_1,cus_1,plan-free,2025-01-01T00:00:00Z,\n\
                sub_2,cus_2,plan-free,2025-01-01T00:00:00Z,2025-06-01T00:00:00Z\nsub_3,cus_3,plan-free,2099-01-01T00:00:00Z,\n";
    folder.write("subs.toml", mapping).write("subs.csv", rows);
    let words = "--mapping subs.toml --csv subs.csv";
    folder.run_to(&api, &format!("run {words}")).exits(0);
    folder.run_to(&api, &format!("verify {words}")).exits(0);
    // When
    folder.write("subs.csv", rows.replace("2025-06-01T00:00:00Z", ""));
    // Then
    assert_ran!(folder.run_to(&api, &format!("verify {words}")), @r#"
    exit 3
    --- stdout
    step           expected  equal  different  missing  unread
    subscriptions         3      2          1        0       0
    sub_2 (subs.csv:3, record 2): status is EXPIRED, and should be ACTIVE

    --- stderr
    hint: the same words with `run` send what has changed in the source; with `run` and --resend, all of it again, also over what was changed in Stigg itself
    "#);
}

#[test]
fn a_sample_reads_back_so_many_records_and_says_what_that_is_worth() {
    let (api, folder) = (Api::open(), clean());
    let rows: String = (0..2000).map(|n| format!("cus_{n},c{n}@example.com,Customer {n}\n")).collect();
    folder.write("customers.csv", format!("id,email,name\n{rows}"));
    folder.run_to(&api, RUN).exits(0);
    let before = api.requests("customers");
    assert_ran!(folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv --sample 300"), @r#"
    exit 0
    --- stdout
    step       expected  equal  different  missing  unread
    customers       300    300          0        0       0
    customers: a sample of 300 of 2,000 records, all equal: of all, with a confidence of 95 %, fewer than 1.00 % differ or are missing

    --- stderr
    everything that should be in Stigg is there, as the source has it
    "#);
    assert_eq!(api.requests("customers") - before, 3, "a hundred in a page");
    // Half of them differ: of 300, some do.
    folder.write("customers.csv", format!("id,email,name\n{}", rows.replace("Customer 1", "Client 1")));
    let verified =
        folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv --sample 300 --json").exits(3);
    let step = &verified.json()["steps"][0];
    assert_eq!((step["expected"].as_u64(), step["sampled_from"].as_u64()), (Some(300), Some(2000)));
    assert!(step["different"].as_u64().is_some_and(|different| (100..220).contains(&different)), "{verified}");
}

/// Given a source that has not come to its end, when a sample of it is verified, then a line every ten seconds tells that it is
/// being drawn.
#[test]
fn while_a_sample_is_drawn_that_is_told() {
    let (api, folder) = (Api::open(), clean());
    let rows: String = (0..3000).map(|n| format!("cus_{n},c{n}@example.com,Customer {n}\n")).collect();
    let csv = format!("id,email,name\n{rows}");
    folder.write("customers.csv", &csv);
    folder.run_to(&api, RUN).exits(0);
    let words =
        format!("verify --mapping customers.toml --csv - --sample 300 --target {} --rate-scale 100000", api.url);
    let mut command = folder.command(&words);
    command.stdin(Stdio::piped());
    let mut verifying = Syncing::start(command);
    let mut stdin = verifying.stdin();
    stdin.write_all(csv.as_bytes()).unwrap();
    verifying.until("a sample is drawn", |said| said.contains("draws a sample"));
    drop(stdin);
    let (exit, stdout, said) = verifying.end();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("from [0-9,]+ records until now", "from [READ] records until now");
    settings.bind(|| assert_ran!(format!("exit {exit:?}\n--- stdout\n{stdout}--- stderr\n{said}"), @"
    exit Some(0)
    --- stdout
    step       expected  equal  different  missing  unread
    customers       300    300          0        0       0
    customers: a sample of 300 of 3,000 records, all equal: of all, with a confidence of 95 %, fewer than 1.00 % differ or are missing
    --- stderr
    customers: draws a sample, from [READ] records until now · [DURATION]
    everything that should be in Stigg is there, as the source has it
    "));
}

#[test]
fn what_only_stigg_has_is_listed() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    folder.write("customers.csv", CLEAN_CSV.replace("cus_2,bob@example.com,Bob\n", "").replace("carl@", "carl-at-"));
    assert_ran!(folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv --extra"), @r#"
    exit 0
    --- stdout
    step       expected  equal  different  missing  unread
    customers         1      1          0        0       0
    customers: Stigg has 2 that no step has (rows were rejected, and their records may be among these): cus_2, cus_3

    --- stderr
    everything that should be in Stigg is there, as the source has it
    "#);
    // Two steps of an entity are looked at together.
    folder.write("customers.csv", CLEAN_CSV).write(
        "pipeline.toml",
        "[[step]]\nname = \"some\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n\
         [[step]]\nname = \"others\"\nmapping = \"customers.toml\"\nsource = { csv = \"others.csv\" }\n",
    );
    folder.write("others.csv", "id,email,name\ncus_9,,Zoe\n");
    folder.run_to(&api, "run pipeline.toml").exits(0);
    let verified = folder.run_to(&api, "verify pipeline.toml --extra --json").exits(0).json();
    assert_eq!(verified["extra"], serde_json::json!([{ "entity": "customer", "records": 0, "ids": [] }]));
}

/// Given subscriptions of which a cutover has provisioned some, when they are verified, then those are read back and the
/// others are missing; and one that somebody ended in Stigg is different.
#[test]
fn paid_subscriptions_are_read_back() {
    let (folder, api): (Folder, Api) = cutover::world(Settings::default());
    let stripe = api.url.replace("/graphql", "/stripe");
    let moved = format!("cutover --mapping paid.toml --csv paid.csv --limit 3 --provider-url {stripe}");
    folder.run_to(&api, &moved).exits(0);
    assert_ran!(folder.run_to(&api, "verify --mapping paid.toml --csv paid.csv"), @r#"
    exit 3
    --- stdout
    step                expected  equal  different  missing  unread
    paid-subscriptions         5      3          0        2       0
    d (paid.csv:5, record 4): is not in Stigg
    e (paid.csv:6, record 5): is not in Stigg

    --- stderr
    hint: `cutover` with the same words provisions paid subscriptions that are missing; it changes none that are there
    "#);
    let rows = folder.read("paid.csv").replace("2025-06-16T16:35:00Z", "2025-06-17T16:35:00Z");
    folder.write("paid.csv", rows);
    let verified = folder.run_to(&api, "verify --mapping paid.toml --csv paid.csv --json").exits(3).json();
    let step = &verified["steps"][0];
    assert_eq!([&step["equal"], &step["different"], &step["missing"]], [0, 3, 2], "{verified:#}");
    assert_eq!(step["samples"][0]["differences"][0]["field"], "startDate");
}

/// Given tens of thousands of customers in Stigg, when they are verified on a terminal (`script` of util-linux makes one), then
/// every one is counted, and a line tells how many were read back, how fast, and how long it still takes.
#[cfg(target_os = "linux")]
#[test]
fn tens_of_thousands_are_verified_exactly_while_a_line_tells_how_far_it_is() {
    const CUSTOMERS: usize = 30_000;
    let (api, folder) = (Api::open(), clean());
    let rows: String = (0..CUSTOMERS).map(|n| format!("cus_{n},c{n}@example.com,Customer {n}\n")).collect();
    folder.write("customers.csv", format!("id,email,name\n{rows}"));
    folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!(api.customers(), CUSTOMERS);
    // Two were changed since, and three came.
    let now =
        rows.replace("Customer 7\n", "Seven\n").replace("Customer 29999\n", "Last\n") + "new_1,,\nnew_2,,\nnew_3,,\n";
    folder.write("customers.csv", format!("id,email,name\n{now}"));

    // When: at eight times the rate of 250 pages a minute.
    let before = api.requests("customers");
    let words = format!("verify --mapping customers.toml --csv customers.csv --target {} --rate-scale 8", api.url);
    let line = format!("script -qec \"$PROGRAM {words} > found.txt\" /dev/null");
    let ran = folder.finish(folder.shell(&line).env("TERM", "xterm")).exits(3);

    // Then
    insta::assert_snapshot!(folder.read("found.txt"), @r#"
    step       expected   equal  different  missing  unread
    customers    30,003  29,998          2        3       0
    cus_7 (customers.csv:9, record 8): name is Customer 7, and should be Seven
    cus_29999 (customers.csv:30001, record 30000): name is Customer 29999, and should be Last
    new_1 (customers.csv:30002, record 30001): is not in Stigg
    new_2 (customers.csv:30003, record 30002): is not in Stigg
    new_3 (customers.csv:30004, record 30003): is not in Stigg
    "#);
    let pages = api.requests("customers") - before;
    assert!((301..=302).contains(&pages), "{pages} pages of a hundred");
    for part in [" records read back", " different or missing · ", "/s · ", "s, about "] {
        assert!(ran.stdout.contains(part), "no {part:?} in {ran}");
    }
    // Elsewhere a line every ten seconds; it is over before the first.
    let piped = folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv --json").exits(3);
    let step = &piped.json()["steps"][0];
    let counts = ["expected", "equal", "different", "missing", "unread"].map(|count| step[count].as_u64().unwrap());
    assert_eq!(counts, [30_003, 29_998, 2, 3, 0], "{piped}");
}
