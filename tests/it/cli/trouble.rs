//! Each bad situation is one clear error with its exit code, sends nothing or loses nothing, and a good run follows.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use stigg_import::sandbox::{Fault, FaultKind, Settings};

use super::{CLEAN_CSV, CUSTOMERS_TOML, RUN, a_good_run_follows, clean};
use crate::program::{Api, Folder, LEDGER, assert_ran, catalog};

#[test]
fn all_problems_of_a_mapping_are_told_at_once() {
    let (api, folder) = (Api::open(), clean());
    folder.write(
        "customers.toml",
        "entity = \"customer\"\nwhen = 'x'\n\n[fields]\ncustomerID = \"id\"\nemail = { column = \"email\", tme = \"iso\" }\nname = 5\n",
    );
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the mapping doesn't hold: 4 problems

    customers.toml:2:1: a mapping has no key `when`
      2 | when = 'x'
        | ^^^^
      hint: its keys are entity, description, where, group, aggregate, fields, record, checks, reject, lookups, csv, example, $schema

    customers.toml:5:1: the record has no field `customerID`
      5 | customerID = "id"
        | ^^^^^^^^^^
      hint: did you mean `customerId`?

    customers.toml:6:29: a value has no key `tme`
      6 | email = { column = "email", tme = "iso" }
        |                             ^^^
      hint: did you mean `time`?

    customers.toml:7:8: `name` is a column's name, not a number
      7 | name = 5
        |        ^
      hint: to send the same value always, write { const = 5 }

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_ran!(folder.run_to(&api, &format!("{RUN} --json")), @r#"
    exit 5
    --- stdout
    {
      "ok": false,
      "exit": 5,
      "error": {
        "message": "the mapping doesn't hold: 4 problems",
        "causes": [],
        "hint": "nothing was sent; mend what is shown and run the same command again",
        "problems": [
          {
            "file": "customers.toml",
            "line": 2,
            "column": 1,
            "message": "a mapping has no key `when`",
            "hint": "its keys are entity, description, where, group, aggregate, fields, record, checks, reject, lookups, csv, example, $schema"
          },
          {
            "file": "customers.toml",
            "line": 5,
            "column": 1,
            "message": "the record has no field `customerID`",
            "hint": "did you mean `customerId`?"
          },
          {
            "file": "customers.toml",
            "line": 6,
            "column": 29,
            "message": "a value has no key `tme`",
            "hint": "did you mean `time`?"
          },
          {
            "file": "customers.toml",
            "line": 7,
            "column": 8,
            "message": "`name` is a column's name, not a number",
            "hint": "to send the same value always, write { const = 5 }"
          }
        ]
      }
    }

    --- stderr
    error: the mapping doesn't hold: 4 problems

    customers.toml:2:1: a mapping has no key `when`
      2 | when = 'x'
        | ^^^^
      hint: its keys are entity, description, where, group, aggregate, fields, record, checks, reject, lookups, csv, example, $schema

    customers.toml:5:1: the record has no field `customerID`
      5 | customerID = "id"
        | ^^^^^^^^^^
      hint: did you mean `customerId`?

    customers.toml:6:29: a value has no key `tme`
      6 | email = { column = "email", tme = "iso" }
        |                             ^^^
      hint: did you mean `time`?

    customers.toml:7:8: `name` is a column's name, not a number
      7 | name = 5
        |        ^
      hint: to send the same value always, write { const = 5 }

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_eq!(api.sandbox.stats().requests, 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn a_mapping_that_does_not_fit_the_header_names_every_column_that_is_missing() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.csv", CLEAN_CSV.replace("id,email,name", "Id ,e-mail,full name"));
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the mapping of step `customers` does not fit its source: 3 problems

    customers.toml:4:14: the source has no column `id`
      4 | customerId = "id"
        |              ^^^^
      hint: did you mean `Id `?

    customers.toml:5:9: the source has no column `email`
      5 | email = "email"
        |         ^^^^^^^
      hint: did you mean `e-mail`?

    customers.toml:6:8: the source has no column `name`
      6 | name = "name"
        |        ^^^^^^
      hint: its columns are Id , e-mail, full name

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_eq!(api.sandbox.stats().requests, 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn all_problems_of_a_pipeline_and_its_mappings_are_told_at_once() {
    let (api, folder) = (Api::open(), clean());
    folder.write("bad.toml", CUSTOMERS_TOML.replace("customerId", "customer_id")).write(
        "pipeline.toml",
        "[target]\nurl = \"https://api.stigg.io/graphql\"\nkey = \"secret\"\n\n[[step]]\nname = \"one\"\nmapping = \"bad.toml\"\n\
         source = { csv = \"customers.csv\" }\n\n[[step]]\nname = \"one\"\nmapping = \"nowhere.toml\"\nsorce = { csv = \"x\" }\n",
    );
    assert_ran!(folder.run_to(&api, "run pipeline.toml"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the pipeline doesn't hold: 6 problems

    pipeline.toml:3:1: keys do not belong into a file that is shared
      3 | ***
        | ^^^
      hint: put the key into the environment variable STIGG_API_KEY

    pipeline.toml:10:1: the step has no `source`
      10 | [[step]]
         | ^^^^^^^^
      hint: for example source = { csv = "exports/customers*.csv" }

    pipeline.toml:11:8: there are two steps `one`
      11 | name = "one"
         |        ^^^^^

    pipeline.toml:12:11: can't read nowhere.toml: No such file or directory (os error 2)
      12 | mapping = "nowhere.toml"
         |           ^^^^^^^^^^^^^^

    pipeline.toml:13:1: a step has no key `sorce`
      13 | sorce = { csv = "x" }
         | ^^^^^
      hint: did you mean `source`?

    bad.toml:4:1: the record has no field `customer_id`
      4 | customer_id = "id"
        | ^^^^^^^^^^^
      hint: did you mean `customerId`?

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_eq!(api.sandbox.stats().requests, 0);
}

#[test]
fn files_that_are_not_there_are_named() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(folder.run_to(&api, "run nowhere.toml"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't read nowhere.toml
      because No such file or directory (os error 2)
    "#);
    assert_ran!(folder.run_to(&api, "run --mapping nowhere.toml --csv customers.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't read mapping nowhere.toml
      because No such file or directory (os error 2)
    "#);
    assert_ran!(folder.run_to(&api, "run --mapping customers.toml --csv nowhere.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because nowhere.csv: no such file
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_ran!(folder.run_to(&api, "run --mapping customers.toml --csv nowhere/*.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because nowhere/*.csv: no file matches this pattern
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_ran!(folder.run_to(&api, "run --mapping customers.toml --csv ."), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because .: is a directory; name its files, or a pattern like `./*`
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_eq!(api.sandbox.stats().requests, 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn an_empty_file_is_an_error_and_a_header_only_is_none() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.csv", "");
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because customers.csv: is empty: there is no header line
    hint: nothing was sent; mend the source and run the same command again
    "#);
    folder.write("customers.csv", "id,email,name\n");
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     0        0         0          0         0 [DURATION]

    nothing was read: the source has no rows

    --- stderr
    "#);
    assert_eq!(api.requests("importCustomersBulk"), 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn a_header_with_a_name_twice_or_a_file_that_is_no_text_is_refused() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.csv", "id,email,id\ncus_1,,cus_2\n");
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because customers.csv: the header has the name `id` more than once: columns 1, 3
    hint: nothing was sent; mend the source and run the same command again
    "#);
    folder.write("customers.csv", b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because customers.csv: is a ZIP archive or an Excel workbook, not CSV text; unpack it, or save it as CSV, first
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_eq!(api.sandbox.stats().requests, 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn a_wrong_key_is_said_before_anything_is_sent() {
    let api = Api::new(Settings { keys: vec!["server-right".to_owned()], ..Settings::default() });
    let folder = clean();
    let words = format!("{RUN} --target {} --rate-scale 100000", api.url);
    assert_ran!(folder.finish(folder.command(&words).env("STIGG_API_KEY", "server-wrong")), @r#"
    exit 7
    --- stdout

    --- stderr
    error: http://127.0.0.1:[PORT]/graphql: the API does not accept the key: Unauthenticated (trace [UUID])
    hint: put the full access key of the target environment into STIGG_API_KEY; nothing was sent
    "#);
    assert_ran!(folder.finish(folder.command(&words).env("STIGG_API_KEY", "two\nlines")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the key is empty or has characters that a key can't have
    hint: nothing was sent
    "#);
    assert_eq!(api.customers(), 0);
    folder.finish(folder.command(&words).env("STIGG_SERVER_API_KEY", "server-right")).exits(0);
    assert_eq!(api.customers(), 3);
}

#[test]
fn a_key_that_is_withdrawn_during_the_run_ends_it_and_a_new_one_goes_on() {
    let (api, folder) = (Api::open(), clean());
    api.sandbox.inject(Fault::once(FaultKind::Unauthenticated).on("importCustomersBulk"));
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 7
    --- stdout
    step       rows  records  accepted  unchanged  rejected  open time
    customers     3        3         0          0         0     3 [DURATION]

    every record is accounted for: 3 = 3 open

    --- stderr
    3 records left open for the next run: the run stops
    error: the run stopped early: the API does not accept the key: Unauthenticated (trace [UUID])
    hint: check the key in STIGG_API_KEY, then run the same command again; it goes on from here
    "#);
    assert_eq!(api.customers(), 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn targets_that_can_not_be_used_are_said_before_anything_is_read_or_sent() {
    let folder = clean();
    assert_ran!(folder.run(RUN), @r#"
    exit 7
    --- stdout

    --- stderr
    error: there is no key for the target
    hint: put the environment's full access key into STIGG_API_KEY; nothing was sent
    "#);
    assert_ran!(folder.run(&format!("{RUN} --target http://api.example.com/graphql")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the target would send the key unencrypted to api.example.com; http is only taken to this machine (127.0.0.0/8, ::1, localhost)
    hint: give --target an address like https://api.stigg.io/graphql; nothing was sent
    "#);
    assert_ran!(folder.run(&format!("{RUN} --target api.example.com")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the target is not a URL: relative URL without a base
    hint: give --target an address like https://api.stigg.io/graphql; nothing was sent
    "#);
    assert_ran!(folder.run(&format!("{RUN} --target ftp://127.0.0.1/")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the target is neither https nor http but ftp
    hint: give --target an address like https://api.stigg.io/graphql; nothing was sent
    "#);
    assert!(!folder.path(".stigg-import").exists());
}

#[test]
fn a_host_that_does_not_answer_is_named() {
    let folder = clean();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_ran!(folder.run(&format!("{RUN} --target http://{free}/graphql")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't use the target http://127.0.0.1:[PORT]/graphql
      because the API could not be reached
      because tcp connect error
      because Connection refused (os error 111)
    hint: check --target and the network, then run the same command again; nothing was sent
    "#);
    a_good_run_follows(&folder, &Api::open());
}

#[test]
fn a_target_that_is_another_server_is_told_apart() {
    let (api, folder) = (Api::open(), clean());
    let site = site("404 Not Found", "text/html", "<!doctype html><title>Nothing here</title>");
    assert_ran!(folder.run(&format!("{RUN} --target {site}")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't use the target http://127.0.0.1:[PORT]/graphql
      because no Stigg API answers at this address: status 404
    hint: check --target: the API is at https://api.stigg.io/graphql, and a proxy or a sign-in page may stand before it; nothing was sent
    "#);
    let page = self::site("200 OK", "text/html", "<!doctype html><title>Welcome</title>");
    assert_ran!(folder.run(&format!("{RUN} --target {page}")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't use the target http://127.0.0.1:[PORT]/graphql
      because no Stigg API answers at this address: it gave a web page
    hint: check --target: the API is at https://api.stigg.io/graphql, and a proxy or a sign-in page may stand before it; nothing was sent
    "#);
    assert_ran!(folder.run(&format!("{RUN} --target {}", api.url.replace("/graphql", "/api"))), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't use the target http://127.0.0.1:[PORT]/api
      because no Stigg API answers at this address: status 404
    hint: check --target: the API is at https://api.stigg.io/graphql, and a proxy or a sign-in page may stand before it; nothing was sent
    "#);
    a_good_run_follows(&folder, &api);
}

#[test]
fn what_only_the_api_knows_is_refused_record_by_record() {
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let folder = clean();
    folder.run_to(&api, RUN).exits(0);
    folder
        .write(
            "subscriptions.toml",
            "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n\
             startDate = { const = \"2025-01-01T00:00:00Z\" }\n",
        )
        .write(
            "subscriptions.csv",
            "id,customer,plan\nsub_1,cus_1,plan-team\nsub_2,cus_2,plan-nope\nsub_3,cus_99,plan-team\nsub_4,cus_3,plan-team\n",
        );
    assert_ran!(folder.run_to(&api, "run --mapping subscriptions.toml --csv subscriptions.csv"), @r#"
    exit 3
    --- stdout
    step           rows  records  accepted  unchanged  rejected  refused time
    subscriptions     4        4         2          0         0        2 [DURATION]

    every record is accounted for: 4 = 2 accepted + 2 refused by the API

    --- stderr
    rejected rows are in .stigg-import/rejects/2-subscriptions.jsonl
    hint: stigg-import rejects list --run 2 shows why
    "#);
    assert_ran!(folder.run("rejects list"), @r#"
    exit 0
    --- stdout
    run 2, subscriptions: 2 rejects in .stigg-import/rejects/2-subscriptions.jsonl
           2  refused by the API: NotImported
              subscriptions.csv:3, record 2 "sub_2": NotImported: PlanNotFound: Plan plan-nope not found
              subscriptions.csv:4, record 3 "sub_3": NotImported: CustomerNotFound: Customer cus_99 not found

    --- stderr
    hint: correct them in a CSV, and send that
      stigg-import rejects export --out fix.csv
      stigg-import rejects retry --csv fix.csv
    "#);
    let have: Vec<String> = api.sandbox.snapshot().subscriptions.into_keys().collect();
    assert_eq!(have, ["sub_1", "sub_4"]);
}

#[test]
fn a_ledger_that_can_not_be_written_ends_with_8_and_sends_nothing() {
    let (api, folder) = (Api::open(), clean());
    folder.write("file", "");
    assert_ran!(folder.run_to(&api, &format!("{RUN} --ledger file/ledger.db")), @r#"
    exit 8
    --- stdout

    --- stderr
    error: can't write the ledger file/ledger.db.lock: the disk reported an error (Not a directory (os error 20))
    hint: make the folder writable, or name another place with `--ledger PATH`
    "#);
    assert_eq!(api.customers(), 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn a_ledger_that_is_damaged_is_left_alone() {
    let (api, folder) = (Api::open(), clean());
    folder.write(LEDGER, "this is not a ledger, but somebody's letter, and it is long enough to be one. ".repeat(20));
    let before = folder.read(LEDGER);
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger .stigg-import/ledger.db is damaged, or is no ledger: file is not a database
    hint: `stigg-import ledger repair` keeps what can be proved; the next run sends the rest again, events only on your word
    "#);
    assert_ran!(folder.run("status"), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger .stigg-import/ledger.db is damaged, or is no ledger: file is not a database
    hint: `stigg-import ledger repair` keeps what can be proved; the next run sends the rest again, events only on your word
    "#);
    assert_eq!(folder.read(LEDGER), before);
    assert_eq!(api.customers(), 0);
    std::fs::remove_file(folder.path(LEDGER)).unwrap();
    a_good_run_follows(&folder, &api);
}

/// Runs with files limited to `blocks` of 512 bytes (of 1024 in some shells), as on a disk that is full.
fn on_a_full_disk(folder: &Folder, api: &Api, blocks: u32) -> crate::program::Ran {
    let line =
        format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$PROGRAM\" {RUN} --target {} --rate-scale 100000", api.url);
    folder.finish(&mut folder.shell(&line))
}

#[test]
fn a_disk_that_is_full_from_the_beginning_sends_nothing() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(on_a_full_disk(&folder, &api, 1), @r#"
    exit 8
    --- stdout

    --- stderr
    error: can't write the ledger .stigg-import/ledger.db: the disk reported an error (disk I/O error)
    hint: make the folder writable, or name another place with `--ledger PATH`
    "#);
    assert_eq!(api.customers(), 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn a_disk_that_fills_up_ends_the_run_and_nothing_is_lost() {
    let (api, folder) = (Api::open(), clean());
    // Given: rejects that need more room than there is.
    let mut rows = String::from("id,email,name\n");
    for number in 0..8000 {
        let email = if number % 2 == 0 { "" } else { "not-an-email" };
        rows.push_str(&format!("cus_{number},{email},{}\n", "n".repeat(100)));
    }
    folder.write("customers.csv", &rows);

    // When
    let ran = on_a_full_disk(&folder, &api, 300);

    // Then
    assert_ran!(&ran, @r#"
    exit 8
    --- stdout
    step        rows  records  accepted  unchanged  rejected   open time
    customers  2,048    2,048         0          0     1,024  1,024 [DURATION]

    every record is accounted for: 2,048 = 1,024 rejected + 1,024 open

    --- stderr
    [TIME]  WARN the last rejects could not be written path=.stigg-import/rejects/1-customers.jsonl error=File too large (os error 27)
    error: the run stopped early: the ledger can't be written: can't write the rejects file .stigg-import/rejects/1-customers.jsonl: no space is left (File too large (os error 27))
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: make room or mend the rights, then run the same command again; nothing is lost
    "#);
    let again = folder.run_to(&api, &format!("{RUN} --json")).exits(3);
    assert_eq!((again.total("records"), again.total("rejected"), again.total("open")), (8000, 4000, 0), "{again}");
    assert_eq!(again.total("accepted") + again.total("unchanged"), 4000, "{again}");
    assert_eq!(api.customers(), 4000);
}

#[test]
fn a_source_that_breaks_part_way_ends_with_6_and_the_whole_one_goes_on() {
    let (api, folder) = (Api::open(), clean());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut rows = String::from("id,email,name\n");
    for number in 0..6000 {
        rows.push_str(&format!("cus_{number},,{:x}\n", rng.u128(..)));
    }
    let whole = super::run::gzip(&rows);
    folder.write("customers.csv", &whole[..whole.len() * 3 / 4]);
    let ran = folder.run_to(&api, &format!("{RUN} --json")).exits(6);
    assert!(ran.stderr.contains("is damaged or cut off"), "{ran}");
    assert_eq!(ran.total("records"), ran.total("accepted") + ran.total("open"), "{ran}");
    assert_eq!(api.customers() as u64, ran.total("accepted"), "{ran}");
    assert!(api.customers() >= 1000, "{ran}");

    folder.write("customers.csv", whole);
    let again = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!(again.total("unchanged"), ran.total("accepted"), "{again}");
    assert_eq!(api.customers(), 6000);
}

#[test]
fn an_export_that_is_still_being_written_ends_with_6_and_half_a_row_is_not_taken() {
    let (api, folder) = (Api::open(), clean());
    let rows = |numbers: std::ops::Range<u32>| -> String {
        numbers.map(|number| format!("cus_{number},c{number}@example.com,{}\n", "x".repeat(200))).collect()
    };
    folder.write("customers.csv", format!("id,email,name\n{}", rows(0..20_000)));
    // When: at the published rate, which takes five seconds, more is appended, up to the middle of a row.
    let child = folder.command(&format!("{RUN} --target {}", api.url)).spawn().unwrap();
    while api.requests("importCustomersBulk") == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut file = std::fs::OpenOptions::new().append(true).open(folder.path("customers.csv")).unwrap();
    file.write_all(format!("{}cus_20500,c205", rows(20_000..20_500)).as_bytes()).unwrap();
    let ran = folder.wait(child).exits(6);
    // Then
    assert!(
        ran.stderr
            .contains("the source broke part-way: customers.csv:20502, record 20500: was changed while it was read"),
        "{ran}"
    );
    assert_eq!(api.customers(), 20_500);
    folder.write("customers.csv", format!("id,email,name\n{}", rows(0..21_000)));
    assert_eq!(folder.run_to(&api, &format!("{RUN} --json")).exits(0).total("accepted"), 500);
}

/// A server that says the same to everybody.
fn site(status: &str, content_type: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 16 * 1024];
            // One read is a whole request here; a client that has gone is no trouble of this server.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/graphql")
}
