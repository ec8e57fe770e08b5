//! `run --to-files`: what is written is what `bulk` takes, and ends as a run without it.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{CUSTOMERS_CSV, CUSTOMERS_TOML, clean, customers};
use crate::program::{Api, Folder, assert_ran, stripe_pipeline};

/// The files of a run, under the flags that take them.
const BULK: &str = "bulk --customers-file out/customers.json --subscriptions-file out/free-subscriptions.json \
                    --subscriptions-file out/subscriptions.json --subscriptions-file out/custom-subscriptions.json \
                    --usage-file out/usage.json";

/// What the API has, but for its tasks.
fn state(api: &Api) -> [Value; 3] {
    let state = serde_json::to_value(api.sandbox.snapshot()).unwrap();
    ["customers", "subscriptions", "usage"].map(|kind| state[kind].clone())
}

/// Runs `pipeline.toml` into the API, and into files that `bulk` imports into another.
#[track_caller]
fn assert_both_ways_end_in_the_same_state(folder: &Folder, exit: i32) -> [Value; 3] {
    let (direct, by_files) = (Api::open(), Api::open());
    let run = folder.run_to(&direct, "run pipeline.toml --json").exits(exit);
    let written = folder.run("run pipeline.toml --to-files out --json").exits(exit);
    for count in ["rows", "records", "rejected", "filtered"] {
        assert_eq!(written.total(count), run.total(count), "{count}: {written}");
    }
    // What only the API refuses is in the files, too.
    assert_eq!(written.total("accepted"), run.total("accepted") + run.total("failed"), "{written}");
    let bulk = folder.run_to(&by_files, &format!("{BULK} --ledger bulk/ledger.db --json"));
    for count in ["accepted", "failed"] {
        assert_eq!(bulk.total(count), run.total(count), "{count}: {bulk}");
    }
    assert_eq!(bulk.total("rejected") + bulk.total("open"), 0, "{bulk}");
    assert_eq!(state(&by_files), state(&direct));
    state(&direct)
}

#[test]
fn a_stripe_export_by_files_ends_as_it_does_without() {
    let folder = Folder::new();
    folder.write("pipeline.toml", stripe_pipeline("http://127.0.0.1:1/graphql", "stripe-small"));
    let [customers, subscriptions, usage] = assert_both_ways_end_in_the_same_state(&folder, 3);
    for kind in [customers, subscriptions, usage] {
        assert!(!kind.as_object().unwrap().is_empty());
    }
}

/// A pipeline of JSON files whose keys are the API's fields.
fn api_fields(folder: &Folder, entity: &str, records: &Value) -> String {
    let fields: std::collections::BTreeSet<&String> =
        records.as_array().unwrap().iter().flat_map(|record| record.as_object().unwrap().keys()).collect();
    let mut mapping = format!("entity = \"{entity}\"\n[fields]\n");
    for field in fields {
        let is_json =
            records.as_array().unwrap().iter().any(|record| record[field].is_array() || record[field].is_object());
        mapping.push_str(&format!("{field} = {{ column = \"{field}\", optional = true, json = {is_json} }}\n"));
    }
    folder.write(&format!("{entity}.toml"), mapping).write(&format!("{entity}.json"), records.to_string());
    format!("[[step]]\nname = \"{entity}\"\nmapping = \"{entity}.toml\"\nsource = {{ json = \"{entity}.json\" }}\n")
}

/// Every field of every entity.
fn everything() -> Folder {
    let folder = Folder::new();
    let pipeline = [
        (
            "customer",
            json!([
                { "customerId": "c-1", "email": "one@example.com", "name": "One \"1\"", "billingId": "cus_1",
                  "paymentMethodId": "pm_1", "salesforceId": "sf-1", "updatedAt": "2024-03-01T10:00:00.000Z",
                  "additionalMetaData": { "key": "value\n", "metadata": "é" } },
                { "customerId": "c-2" },
            ]),
        ),
        (
            "subscription",
            json!([
                { "subscriptionId": "s-1", "customerId": "c-1", "planId": "plan-free", "resourceId": "site-1",
                  "startDate": "2023-01-01T00:00:00.000Z", "endDate": "2035-01-01T00:00:00.000Z",
                  "additionalMetaData": { "legacyId": "1" } },
                { "subscriptionId": "s-2", "customerId": "c-1", "planId": "plan-pro", "billingPeriod": "MONTHLY",
                  "unitQuantity": 5, "updatedAt": "2024-03-01T10:00:00.000Z",
                  "billableFeatures": [{ "featureId": "feature-seats", "quantity": 3 }] },
                { "subscriptionId": "s-3", "customerId": "c-2", "planId": "plan-custom", "salesforceId": "sf-3",
                  "addons": [{ "addonId": "addon-1", "quantity": 2 }],
                  "entitlements": [
                    { "feature": { "featureId": "feature-seats", "usageLimit": 50, "resetPeriod": "MONTH",
                      "monthlyResetPeriodConfiguration": { "accordingTo": "StartOfTheMonth" } } },
                    { "credit": { "customCurrencyId": "credits", "amount": 1000.5, "cadence": "MONTH" } }] },
                { "subscriptionId": "s-4", "customerId": "c-2", "planId": "plan-pro", "billingId": "sub_4",
                  "charges": [{ "id": "feature-seats", "quantity": 1, "type": "FEATURE" }] },
            ]),
        ),
        (
            "usage",
            json!([
                { "customerId": "c-1", "featureId": "feature-seats", "resourceId": "site-1", "value": 12.75 },
                { "customerId": "c-2", "featureId": "feature-seats", "value": 9_007_199_254_740_991_i64,
                  "createdAt": "2026-01-31T10:00:00.000Z", "dimensions": { "region": "eu", "level": 2 },
                  "idempotencyKey": "report-1" },
            ]),
        ),
    ]
    .map(|(entity, records)| api_fields(&folder, entity, &records));
    folder.write("pipeline.toml", pipeline.concat());
    folder
}

#[test]
fn every_field_of_every_entity_comes_back_from_the_files() {
    let [customers, subscriptions, usage] = assert_both_ways_end_in_the_same_state(&everything(), 0);
    assert_eq!(customers["c-1"]["salesforceId"], "sf-1");
    assert_eq!(subscriptions.as_object().unwrap().keys().collect::<Vec<_>>(), ["s-1", "s-2", "s-3", "s-4"]);
    assert_eq!(usage["c-2"]["feature-seats"][""], 9_007_199_254_740_991_i64 as f64);
}

#[test]
fn what_no_document_of_the_tool_names_is_written_and_said() {
    let folder = everything();
    assert_ran!(folder.run("run pipeline.toml --to-files out").exits(0), @r"
    exit 0
    --- stdout
    step          rows  records  accepted  unchanged  rejected time
    customer         2        2         2          0         0 [DURATION]
    subscription     4        4         4          0         0 [DURATION]
    usage            2        2         2          0         0 [DURATION]

    every record is accounted for: 8 = 8 accepted

    out/customers.json: 2 records
    out/free-subscriptions.json: 1 record
    out/subscriptions.json: 1 record
    out/custom-subscriptions.json: 2 records
    out/usage.json: 2 records

    --- stderr
    out/customers.json has fields that no document of the vendor's tool names, in so many records: `salesforceId` (1); stigg-import bulk reads them
    out/custom-subscriptions.json has fields that no document of the vendor's tool names, in so many records: `billingId` (1), `charges` (1), `salesforceId` (1); stigg-import bulk reads them
    out/usage.json has fields that no document of the vendor's tool names, in so many records: `createdAt` (1), `dimensions` (1), `idempotencyKey` (1); stigg-import bulk reads them
    ");
    insta::assert_snapshot!(folder.read("out/free-subscriptions.json"), @r#"
    {"subscriptions":[
    {"subscriptionId":"s-1","customerId":"c-1","planId":"plan-free","resourceId":"site-1","startDate":"2023-01-01T00:00:00.000Z","endDate":"2035-01-01T00:00:00.000Z","additionalMetaData":{"legacyId":"1"}}
    ]}
    "#);
    insta::assert_snapshot!(folder.read("out/usage.json"), @r#"
    {"usages":[
    {"customerId":"c-1","featureId":"feature-seats","resourceId":"site-1","usage":12.75},
    {"customerId":"c-2","featureId":"feature-seats","usage":9007199254740991,"createdAt":"2026-01-31T10:00:00.000Z","dimensions":{"level":2,"region":"eu"},"idempotencyKey":"report-1"}
    ]}
    "#);
    for name in ["customers.json", "subscriptions.json", "custom-subscriptions.json"] {
        let mode = std::fs::metadata(folder.path(&format!("out/{name}"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = folder.run("run pipeline.toml --to-files out --json").exits(0);
    assert_eq!(again.total("accepted"), 8, "every record is written again: {again}");
    assert_eq!(again.json()["files"][0]["records"], 2, "{again}");
}

#[test]
fn rejected_rows_are_left_out_and_can_be_listed() {
    let folder = customers();
    assert_ran!(folder.run("run --mapping customers.toml --csv customers.csv --to-files out").exits(3), @r"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     5        5         4          0         1 [DURATION]

    every record is accounted for: 5 = 4 accepted + 1 rejected

    out/customers.json: 4 records

    --- stderr
    rejected rows are in out/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 --ledger out/ledger.db shows why
    ");
    assert_ran!(folder.run("rejects list --ledger out/ledger.db").exits(0), @r#"
    exit 0
    --- stdout
    run 1, customers: 1 reject in out/rejects/1-customers.jsonl
           1  email: is not an e-mail address
              customers.csv:4, record 3 "not-an-email"

    --- stderr
    hint: correct them in a CSV, and send that
      stigg-import rejects export --out fix.csv --ledger out/ledger.db
      stigg-import rejects retry --csv fix.csv --ledger out/ledger.db
    "#);
    assert_ran!(folder.run("rejects retry --ledger out/ledger.db").exits(2), @r"
    exit 2
    --- stdout

    --- stderr
    error: these rows were rejected by a run that sent nothing
    hint: correct them in the source and run again with --to-files out
    ");
}

#[test]
fn files_that_were_there_stay_where_the_source_breaks() {
    let folder = clean();
    folder.run("run --mapping customers.toml --csv customers.csv --to-files out").exits(0);
    let before = folder.read("out/customers.json");
    folder.write("broken.json", "[{\"id\":\"cus_9\",\"email\":null,\"name\":\"Zoe\"},{]");
    assert_ran!(folder.run("run --mapping customers.toml --json broken.json --to-files out").exits(6), @r"
    exit 6
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     1        1         1          0         0 [DURATION]

    every record is accounted for: 1 = 1 accepted

    --- stderr
    error: the run stopped early: the source broke part-way: broken.json:1, record 1: the JSON is wrong at column 44: expected a key in double quotes, found `]`
    hint: no file was written, and what was there is as before; run the same command again
    ");
    assert_eq!(folder.read("out/customers.json"), before);
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name.to_string_lossy().contains("json"));
    assert_eq!(names, ["customers.json"], "no temporary file is left");
}

#[test]
fn a_disk_that_fills_up_writes_no_file_and_says_so() {
    let folder = clean();
    let rows: String = (0..2_500).map(|n| format!("cus_{n},,{}\n", "n".repeat(250))).collect();
    folder.write("customers.csv", format!("id,email,name\n{rows}"));
    // Long names: the files reach the limit before the log of their ledger does.
    // As on a disk that is full: no file may have more than 600 blocks of 512 bytes (of 1024 in some shells).
    let line = "trap '' XFSZ; ulimit -f 600; exec \"$PROGRAM\" run --mapping customers.toml --csv customers.csv \
                --to-files out --json";
    let ran = folder.finish(&mut folder.shell(line)).exits(5);
    assert_eq!(ran.json()["files"], json!([]), "{ran}");
    assert!(ran.total("open") > 0, "what is not written is not accepted: {ran}");
    assert!(ran.stderr.contains("the files can't be written: File too large"), "{ran}");
    assert!(!folder.path("out/customers.json").exists());

    let again = folder.run("run --mapping customers.toml --csv customers.csv --to-files out --json").exits(0);
    assert_eq!(again.json()["files"][0]["records"], 2_500, "{again}");
}

#[test]
fn what_can_not_be_written_as_files_is_said_before_anything_is_read() {
    let folder = Folder::new();
    folder.write("customers.toml", CUSTOMERS_TOML).write("customers.csv", CUSTOMERS_CSV);
    folder.write(
        "events.toml",
        "entity = \"event\"\n[fields]\ncustomerId = \"id\"\neventName = \"name\"\nidempotencyKey = \"id\"\ntimestamp = \"id\"\n",
    );
    let run = "run --csv customers.csv";
    assert_ran!(folder.run(&format!("{run} --mapping events.toml --to-files out")).exits(5), @r"
    exit 5
    --- stdout

    --- stderr
    error: the vendor's tool has no file for step `events`: it does not import events
    hint: leave the step out, or run it without --to-files; nothing was written
    ");
    assert!(!folder.path("out").exists());
    folder.write("a-file", "");
    assert_ran!(folder.run(&format!("{run} --mapping customers.toml --to-files a-file")).exits(5), @r"
    exit 5
    --- stdout

    --- stderr
    error: the files can't be written into a-file
      because File exists (os error 17)
    hint: make room or mend the rights, then run the same command again
    ");
    assert_ran!(
        folder.run(&format!("{run} --mapping customers.toml --to-files out --target http://127.0.0.1:1/graphql")).exits(2),
        @r"
    exit 2
    --- stdout

    --- stderr
    error: the argument '--to-files <FOLDER>' cannot be used with '--target <URL>'

    Usage: stigg-import run --csv <FILE> --mapping <FILE> --to-files <FOLDER> [PIPELINE.toml]

    For more information, try '--help'.
    "
    );
}
