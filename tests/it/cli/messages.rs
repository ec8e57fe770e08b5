//! What a person is told in the less likely situations: each message as it is shown.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use stigg_import::sandbox::{Fault, FaultKind, Settings};

use super::cutover::{cutover, world};
use super::{CLEAN_CSV, RUN, clean, customers};
use crate::program::{Api, Folder, LEDGER, assert_ran, catalog, repository};

/// An array that ends in the middle of its second record.
const BROKEN: &str = r#"[{"id":"cus_1","email":"ada@example.com","name":"Ada"},{"id":"cus_2","#;

#[test]
fn a_source_that_breaks_is_told_by_every_command_that_reads_it() {
    let (api, folder) = (Api::open(), clean());
    folder.write("broken.json", BROKEN);
    let words = "--mapping customers.toml --json broken.json";
    assert_ran!(folder.run_to(&api, &format!("verify {words}")), @r#"
    exit 6
    --- stdout
    step       expected  equal  different  missing  unread
    customers         1      0          0        1       0
    cus_1 (broken.json:1, record 1): is not in Stigg

    --- stderr
    error: verifying stopped early: the source broke part-way: broken.json:1, record 1: the JSON is cut off: the text ends in the middle of it
    hint: mend the source and run the same command again
    "#);
    assert_ran!(folder.run_to(&api, &format!("run {words} --canary 1")), @r#"
    exit 6
    --- stdout

    --- stderr
    error: the canary could not be chosen: the source broke part-way: broken.json:1, record 1: the JSON is cut off: the text ends in the middle of it
    hint: run the same command again; nothing was sent
    "#);
    assert_ran!(folder.run(&format!("why cus_2 {words}")), @r#"
    exit 6
    --- stdout

    --- stderr
    error: step `customers` was not read to its end: broken.json:1, record 1: the JSON is cut off: the text ends in the middle of it
    hint: mend the source and ask again
    "#);
    assert_ran!(folder.run("init --entity customer --json broken.json --force"), @r#"
    exit 6
    --- stdout

    --- stderr
    error: broken.json:1, record 1: the JSON is cut off: the text ends in the middle of it
    hint: nothing was written; mend the source and run the same command again
    "#);

    let (folder, api) = world(Settings::default());
    let row = r#"{"id":"a","customer":"a","start":"2025-06-16T16:35:00Z","quantity":2,"provider":"stripe","original":"old-a"}"#;
    folder.write("broken.json", format!("[{row},{{"));
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --json broken.json --plan"), @r#"
    exit 6
    --- stdout
    1 record
      to provision and prove  1
    0 originals confirmed and not yet cancelled

    --- stderr
    error: planning stopped early: the source broke part-way: broken.json:1, record 1: the JSON is cut off: the text ends in the middle of it
    "#);
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --json broken.json"), @r#"
    exit 6
    --- stdout
    1 record
      confirmed now  1
    where they are now
      confirmed  1

    --- stderr
    error: the cutover stopped early: the source broke part-way: broken.json:1, record 1: the JSON is cut off: the text ends in the middle of it
    every step is in .stigg-import/cutover-audit.jsonl
    hint: mend the source and run the same command again; it goes on from here
    "#);
}

#[test]
fn words_of_a_cutover_that_do_not_hold() {
    let (folder, api) = world(Settings::default());
    folder.write("nobody.txt", "\n  \n").write("list.csv", "id\n1\n").write("file", "");
    let paid = "--mapping paid.toml --csv paid.csv";
    assert_ran!(cutover(&folder, &api, &format!("{paid} --only-customers nobody.txt")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: nobody.txt names no customer
    hint: write an id of a customer on each line; nothing was sent
    "#);
    assert_ran!(cutover(&folder, &api, &format!("{paid} --only-customers missing.txt")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't read missing.txt
      because No such file or directory (os error 2)
    hint: name a file with an id of a customer on each line; nothing was sent
    "#);
    assert_ran!(cutover(&folder, &api, &format!("{paid} --audit file/audit.jsonl")), @r#"
    exit 8
    --- stdout

    --- stderr
    error: can't write the audit file file/audit.jsonl
      because File exists (os error 17)
    hint: name another place with --audit; nothing was sent
    "#);
    assert_ran!(cutover(&folder, &api, "--cancelled list.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: list.csv doesn't hold: 3 faults
      because line 1: the header has no column `provider`
      because line 1: the header has no column `original_id`
      because line 1: the header has no column `cancelled_at`
    hint: nothing of it was taken; mend what is shown and run the same command again
    "#);
    assert_ran!(cutover(&folder, &api, "--cancelled missing.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't read missing.csv
      because No such file or directory (os error 2)
    hint: name the list that came back; nothing of it was taken
    "#);
    assert_ran!(folder.run_to(&api, &format!("cutover {paid} --provider-url ftp://127.0.0.1/")), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the billing provider's address is neither https nor http but ftp
    hint: leave --provider-url out for Stripe itself; nothing was sent
    "#);
    folder.write("c.toml", super::CUSTOMERS_TOML).write("c.csv", CLEAN_CSV);
    assert_ran!(cutover(&folder, &api, "--mapping c.toml --csv c.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` is not for a cutover: c.toml makes no paid subscriptions
    hint: `run` imports it; `cutover` takes a mapping whose entity is paid_subscription; nothing was read or sent
    "#);
}

#[test]
fn a_canary_without_a_terminal_says_how_to_go_on() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.csv", "id,email,name\ncus_1,ada@example.com,Ada\ncus_2,ada@example.com,Ada\n");
    let ran = folder.run_to(&api, &format!("{RUN} --canary 1")).exits(4);
    let told: Vec<&str> = ran.stderr.lines().skip_while(|line| !line.starts_with("canary:")).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    canary: 1 record sent and read back: 1 equal
    the other record was not sent
    hint: the same command with --yes, or without --canary, sends them
    "#);

    // One that is refused.
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let mapping =
        "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n";
    folder
        .write("subs.toml", mapping)
        .write("subs.csv", "id,customer,plan\nsub_1,cus_1,plan-nowhere\nsub_2,cus_1,plan-nowhere\n");
    folder.run_to(&api, RUN).exits(0);
    let ran = folder.run_to(&api, "run --mapping subs.toml --csv subs.csv --canary 1 --yes").exits(3);
    let told: Vec<&str> = ran.stderr.lines().skip_while(|line| !line.starts_with("canary:")).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    canary: 1 record sent and read back: 1 missing
    the other record was not sent
    hint: stigg-import rejects list --run 3 shows what was refused; mend the mapping or the rows, and begin again
    "#);
}

#[test]
fn files_of_plans_that_cannot_be_used() {
    let (api, folder) = (Api::open(), clean());
    let plan = "plan --mapping customers.toml --csv customers.csv";
    folder.write("folder/file", "");
    assert_ran!(folder.run_to(&api, &format!("{plan} --out folder")), @r#"
    exit 5
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     3        3       3       0          0         0 [DURATION]

    customers: 3 records, 1 request, about a second at the rate limit

    --- stderr
    error: the plan can't be written to folder
      because it is a folder
    hint: name another file with --out; nothing was sent
    "#);
    assert_ran!(folder.run("run --plan missing.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't read the plan missing.json
      because No such file or directory (os error 2)
    hint: make it again with plan --out; nothing was sent
    "#);
    folder.run_to(&api, &format!("{plan} --out plan.json")).exits(4);
    let kept = folder.read("plan.json");
    let at = kept.find("/graphql ").expect("the target's name has the environment") + "/graphql ".len();
    folder.write("plan.json", format!("{}other-{}", &kept[..at], &kept[at..]));
    assert_ran!(folder.run("run --plan plan.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the plan is for http://127.0.0.1:[PORT]/graphql other-[UUID], and the key is for http://127.0.0.1:[PORT]/graphql [UUID]
    hint: use the key of the plan's environment, or make a new plan; nothing was sent
    "#);
    assert_eq!(api.customers(), 0);
}

#[test]
fn rejects_that_cannot_be_sent_again() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    assert_ran!(folder.run("rejects retry --csv missing.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: missing.csv is not a CSV that could be run again
      because No such file or directory (os error 2)
    "#);
    folder.write("fix.csv", "id,email,name\ncus_3,carl@example.com,Carl\n");
    std::fs::remove_file(folder.path(LEDGER)).unwrap();
    assert_ran!(folder.run("rejects retry --csv fix.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the ledger does not know run 1
    hint: name its ledger with --ledger
    "#);
    // A file of a killed run, with nothing in it.
    folder.write(".stigg-import/rejects/9-customers.jsonl", "");
    assert_ran!(folder.run("why cus_3"), @r#"
    exit 0
    --- stdout
    run 1, customers (customer): customers.csv:4, record 3: rejected, nothing was sent: email: is not an e-mail address

    --- stderr
    the rejects file .stigg-import/rejects/9-customers.jsonl holds nothing: its run was killed while it was made; the others are told
    "#);

    let (folder, api) = world(Settings::default());
    folder.write("paid.csv", folder.read("paid.csv") + "f,f,never,2,stripe,old-f\n");
    cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --plan");
    cutover(&folder, &api, "--mapping paid.toml --csv paid.csv");
    folder.write("fix.csv", "id\nf\n");
    assert_ran!(folder.run("rejects retry --csv fix.csv"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: these rows are of a cutover, which goes one step at a time
    hint: correct them in the source and run the same cutover again; what is done is left alone
    "#);
}

#[test]
fn a_port_or_a_folder_that_is_taken() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let told = folder.run(&format!("sandbox --port {}", taken.local_addr().unwrap().port()));
    assert_ran!(told, @r#"
    exit 2
    --- stdout

    --- stderr
    error: the sandbox can't listen on 127.0.0.1:[PORT]
      because Address already in use (os error 98)
    hint: choose another --port, or 0 for a free one
    "#);
    folder.write("file", "");
    assert_ran!(folder.run("demo --dir file/demo"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't make file/demo
      because Not a directory (os error 20)
    hint: name another folder with --dir
    "#);
    assert_ran!(folder.run("demo --cutover --dir file/demo"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't make file/demo
      because Not a directory (os error 20)
    hint: name another folder with --dir
    "#);
    assert_ran!(folder.run("init --entity customer --postgres postgres://me@127.0.0.1/db"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: there is neither a query nor a table
    hint: --postgres 'address with ${VARIABLE} for its password' --table NAME
    "#);
}

#[test]
fn events_cannot_be_read_back_and_that_is_told() {
    let (api, folder) = (Api::open(), clean());
    let mapping = "entity = \"event\"\n[fields]\ncustomerId = \"id\"\neventName = { const = \"call\" }\nidempotencyKey = \"id\"\n\
                   timestamp = { const = \"2026-01-31T10:00:00Z\" }\n";
    folder.write("events.toml", mapping);
    assert_ran!(folder.run_to(&api, "verify --mapping events.toml --csv customers.csv"), @r#"
    exit 0
    --- stdout
    step    expected  equal  different  missing  unread
    events         3      0          0        0       3
    events: can't be read back: the API does not answer single events; look at the usage of the features that they feed

    --- stderr
    everything that can be read back is in Stigg, as the source has it
    "#);
}

/// What a run tells while it goes on, of an API that is busy and of an answer that never came.
#[test]
fn a_pause_and_records_that_left_the_source_are_told() {
    let (api, folder) = (Api::open(), clean());
    api.sandbox.inject(Fault {
        delay: Duration::from_secs(1),
        ..Fault::once(FaultKind::RateLimited).on("importCustomersBulk")
    });
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         3          0         0 [DURATION]

    every record is accounted for: 3 = 3 accepted

    --- stderr
    the API asked for a pause of [DURATION]
    "#);

    folder.write("customers.csv", CLEAN_CSV.replace("cus_", "new_"));
    let before = api.requests("importCustomersBulk");
    api.sandbox.inject(Fault::once(FaultKind::SilentAfter).on("importCustomersBulk"));
    let mut child = folder.command(&format!("{RUN} --target {}", api.url)).spawn().unwrap();
    let began = Instant::now();
    while api.requests("importCustomersBulk") == before {
        assert!(began.elapsed() < Duration::from_secs(60), "never: customers are sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    folder.wait(child);
    folder.write("customers.csv", CLEAN_CSV);
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         0          3         0 [DURATION]

    every record is accounted for: 3 = 3 unchanged

    --- stderr
    an earlier run left 1 batch open; 3 records will be sent again
    3 records of run 2 had no known outcome and left the source since; 3 of them in Stigg
    "#);
}

#[test]
fn a_key_that_is_refused_ends_a_verification_with_7() {
    let (api, folder) = (Api::open(), clean());
    api.sandbox.inject(Fault::once(FaultKind::Unauthenticated).on("customers").times(9));
    assert_ran!(folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv"), @r#"
    exit 7
    --- stdout
    step       expected  equal  different  missing  unread
    customers         3      0          0        0       3

    --- stderr
    error: verifying stopped early: the API does not accept the key: Unauthenticated (trace [UUID])
    hint: check the key in STIGG_API_KEY and its rights, and run the same command again
    "#);
}

/// The server's answers say nothing, so often that it is no longer tried: lines of progress come in between.
#[test]
fn a_verification_without_answers_says_what_is_not_read_and_what_to_do() {
    let (api, folder) = (Api::open(), clean());
    api.sandbox.inject(Fault::once(FaultKind::NotJson).on("customers").times(9));
    let ran = folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv");
    let words: Vec<&str> = ran.stderr.lines().filter(|line| !line.contains("records read back")).collect();
    insta::assert_snapshot!(words.join("\n"), @"
    3 records could not be read back: the API gave no answer that says what it has
    hint: run the same command again; nothing was changed
    ");
    assert_eq!(ran.exit, Some(4), "{ran}");
}

/// A JSON file with several arrays: the words that name one are in the hint, and they are right.
#[test]
fn a_file_with_several_arrays_is_told_with_the_words_that_name_one() {
    let (api, folder) = (Api::open(), clean());
    folder.write("a.json", r#"{"one":[{"id":"a","email":"","name":"A"}],"two":[{"id":"b","email":"","name":"B"}]}"#);
    assert_ran!(folder.run_to(&api, "run --mapping customers.toml --json a.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because a.json: has more than one array: `one`, `two`; say which one holds the records
    hint: say which one with --array one (in a pipeline file: array = "one"); nothing was sent
    "#);
    folder.run_to(&api, "run --mapping customers.toml --json a.json --array one").exits(0);
    folder.write("b.json", r#"{"id":"a","email":"","name":"A","more":[{"id":"b","email":"","name":"B"}]}"#);
    assert_ran!(folder.run_to(&api, "run --mapping customers.toml --json b.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because b.json: is one object, which may be a record itself or hold the records in `more`; say which
    hint: if the records are in it, say --array more (in a pipeline file: array = "more"); nothing was sent
    "#);
    folder.run_to(&api, "run --mapping customers.toml --json b.json --array more").exits(0);
}

#[test]
fn a_length_of_a_hold_that_is_none_is_told() {
    let (api, folder) = (Api::open(), clean());
    let mut command = folder.command(&format!("run --mapping customers.toml --csv customers.csv --target {}", api.url));
    assert_ran!(folder.finish(command.env("STIGG_IMPORT_LEASE_SECONDS", "2")), @"
    exit 2
    --- stdout

    --- stderr
    error: STIGG_IMPORT_LEASE_SECONDS is not a number from 3 to 3600
    hint: leave it out: 30 seconds fit most
    ");
    assert_eq!(api.customers(), 0);
}

/// Why a run reads all rows although only changes were asked for.
#[test]
fn a_sync_that_reads_everything_says_why() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("app.db", std::fs::read(repository("tests/data/chinook/Chinook_Sqlite.sqlite")).unwrap());
    folder.write("c.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n");
    let run = |more: &str| {
        let mut command = folder.command("run --mapping c.toml --sqlite app.db --key id --changed at --query");
        command.arg("select InvoiceId as id, InvoiceDate as at from Invoice").args(more.split_whitespace());
        let ran = folder.finish(command.args(["--target", &api.url, "--rate-scale", "100000"])).exits(0);
        ran.stderr
    };
    let told = [run(""), run(""), run("--full")];
    folder.write("c.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"id\"\n");
    insta::assert_snapshot!(told.join("--\n") + "--\n" + &run(""), @r#"
    customers: reads all rows: no run of this step has come to its end yet
    --
    --
    customers: reads all rows: --full was given
    --
    customers: reads all rows: its source or mapping, or this program, is not the one that ran before
    "#);
}

/// Given a ledger that knows two environments at one address, when a plan is made without asking, then nobody knows which is
/// meant.
#[test]
fn a_plan_without_a_request_needs_a_ledger_of_one_environment() {
    let folder = clean();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut told = String::new();
    for unknowns in ["", "--unknown environment-read=refused"] {
        let mut sandbox = folder.command(&format!("sandbox --port {port} --no-limits {unknowns}")).spawn().unwrap();
        let mut listens = String::new();
        let mut said = BufReader::new(sandbox.stderr.take().unwrap());
        while !listens.contains("Ctrl-C") {
            assert!(said.read_line(&mut listens).unwrap() > 0, "it ended: {listens}");
        }
        let stop = format!("kill -TERM {}", sandbox.id());
        folder.run(&format!("{RUN} --target http://127.0.0.1:{port}/graphql")).exits(0);
        assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
        folder.wait(sandbox).exits(0);
        told = listens;
    }
    assert_ran!(told, @r#"
    the sandbox listens; try
      stigg-import run --mapping M --csv F --target http://127.0.0.1:[PORT]/graphql
    Ctrl-C ends it
    "#);
    let plan =
        format!("plan --mapping customers.toml --csv customers.csv --offline --target http://127.0.0.1:{port}/graphql");
    assert_ran!(folder.run(&plan), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the ledger knows several environments at http://127.0.0.1:[PORT]/graphql
    hint: plan without --offline: the key says which one is meant
    "#);
}

#[test]
fn a_kept_plan_whose_source_breaks_is_not_run() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.json", format!("{BROKEN}\"email\":null,\"name\":null}}]"));
    folder.run_to(&api, "plan --mapping customers.toml --json customers.json --out plan.json").exits(4);
    folder.write("customers.json", BROKEN);
    assert_ran!(folder.run("run --plan plan.json"), @"
    exit 6
    --- stdout

    --- stderr
    error: the plan could not be made again: the source broke part-way: customers.json:1, record 1: the JSON is cut off: the text ends in the middle of it
    hint: mend the source and run the same command again; nothing was sent
    ");
    assert_eq!(api.customers(), 0);
}
