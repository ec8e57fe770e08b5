//! What a person is told of what seldom happens: each message as it is shown.

use stigg_import::sandbox::{Catalog, EnvironmentType, Settings};

use super::cutover::{cutover, world};
use super::sync::{Syncing, pipeline};
use super::{RUN, clean, customers};
use crate::program::{Api, assert_ran, catalog};
use crate::relay::Relay;

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

/// Given an environment for production that sells one currency and no plan, when it is to be probed for a pipeline of
/// subscriptions, then each of the problems is told.
#[test]
fn several_problems_are_in_the_way_of_an_import() {
    let one_currency: Catalog =
        serde_json::from_value(serde_json::json!({ "currencies": [{ "id": "credits" }] })).unwrap();
    let settings = Settings { environment_type: EnvironmentType::Production, ..Settings::default() };
    let (api, folder) = (Api::new(Settings { catalog: Some(one_currency), ..settings }), clean());
    folder
        .write(
            "subscriptions.toml",
            "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"c\"\nplanId = \"p\"\n",
        )
        .write("subscriptions.csv", "id,c,p\n")
        .write(
            "pipeline.toml",
            "[[step]]\nname = \"subscriptions\"\nmapping = \"subscriptions.toml\"\nsource = { csv = \"subscriptions.csv\" }\n",
        );
    assert_ran!(folder.run(&format!("doctor pipeline.toml --probe --target {} --rate-scale 20", api.url)), @r#"
    exit 5
    --- stdout
    http://127.0.0.1:[PORT]/graphql

    ok       key          none is needed for a server on this machine
    problem  probe        "sandbox" (PRODUCTION) is for production: nothing was written
                          to do: probe with the key of a non-production environment; without --probe nothing is written
    note     environment  "sandbox" (PRODUCTION)
                          to do: rehearse in a non-production environment first: an import can't be taken back
    ok       reading      customers, subscriptions and import tasks can be read
    ok       catalog      plans: 0 free, 0 custom, 0 paid; 0 features, 0 take usage, 0 are fed by events; 0 add-ons; 1 credit currency
    problem  catalog      no free or custom plan is published: no subscription can be imported
                          to do: publish it in Stigg before the import: what refers to it is refused
    note     catalog      no feature takes reported usage
                          to do: publish it in Stigg before the import: what refers to it is refused
    ok       clock        this machine's clock agrees with the server's
    ok       speed        a read takes [MS] ms (median of 10): with [N] requests at once the limit of importCustomersBulk is used in full, 5000 a minute, at which a million customers take [DURATION]
    note     writing      whether the key may write is not seen by reading
                          to do: stigg-import doctor --probe tries it, in a non-production environment

    what the API's documents leave open:
      how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
      with which status does an error come, and how is its code spelled? status 200, code BadUserInput
      may the key read import tasks? yes
      more is answered by --probe, in a non-production environment

    problems are in the way of an import

    --- stderr
    "#);
}

/// Given a server (or a proxy before it) that does not say what time it is, when it is looked at, then that is a note.
#[test]
fn a_server_that_does_not_say_the_time_is_no_obstacle() {
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let relay = Relay::without_header(&api, "date");
    let folder = clean();
    assert_ran!(folder.run(&format!("doctor --target {} --rate-scale 20", relay.url)), @r#"
    exit 0
    --- stdout
    http://127.0.0.1:[PORT]/graphql

    ok       key          none is needed for a server on this machine
    ok       environment  "sandbox" (DEVELOPMENT)
    ok       reading      customers, subscriptions and import tasks can be read
    ok       catalog      plans: 1 free, 4 custom, 0 paid; 3 features, 3 take usage, 0 are fed by events; 0 add-ons; 0 credit currencies
    note     clock        the server says no time to compare this machine's with
                          to do: see that this machine's clock is set from the network (timedatectl)
    ok       speed        a read takes [MS] ms (median of 10): with [N] requests at once the limit of importCustomersBulk is used in full, 5000 a minute, at which a million customers take [DURATION]
    note     writing      whether the key may write is not seen by reading
                          to do: stigg-import doctor --probe tries it, in a non-production environment

    what the API's documents leave open:
      how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
      with which status does an error come, and how is its code spelled? status 200, code BadUserInput
      may the key read import tasks? yes
      more is answered by --probe, in a non-production environment

    an import can begin

    --- stderr
    "#);
}

#[test]
fn a_plan_asks_for_so_many_customers_and_says_that_there_are_more() {
    let (api, folder) = (Api::new(Settings { catalog: Some(catalog()), ..Settings::default() }), clean());
    folder.write("usage.toml", "entity = \"usage\"\n[fields]\ncustomerId = \"c\"\nfeatureId = \"f\"\nvalue = \"v\"\n");
    let rows: String = (0..20_150).map(|number| format!("cus_{number:05},feature-api-calls,3\n")).collect();
    folder.write("usage.csv", format!("c,f,v\n{rows}"));
    assert_ran!(folder.run_to(&api, "plan --mapping usage.toml --csv usage.csv"), @r#"
    exit 4
    --- stdout
    step     rows  records  create  change  unchanged  rejected time
    usage  20,150   20,150  20,150       0          0         0 [DURATION]

    usage: 20,150 records, 202 requests, about a second at the rate limit
      20,000 would be refused: customerId: a customer that neither a step nor Stigg has
        usage.csv:2, record 1: "cus_00000"
        usage.csv:3, record 2: "cus_00001"
        usage.csv:4, record 3: "cus_00002"
        to do: import these customers first, or find out why their rows were rejected or left out
      150 records refer to customers that no step has and that Stigg was not asked for: there are too many

    --- stderr
    "#);
}

#[test]
fn a_plan_counts_the_reasons_and_changes_that_it_does_not_show() {
    let (api, folder) = (Api::new(Settings { catalog: Some(catalog()), ..Settings::default() }), clean());
    // Given: customers that were delivered, of which all but one change, and seven rows that each have something else.
    let rows = |name: &str| (0..8).map(|number| format!("cus_{number},,{name}{number}\n")).collect::<String>();
    folder.write("customers.csv", format!("id,email,name\n{}", rows("N")));
    folder.run_to(&api, RUN).exits(0);
    let long = "x".repeat(300);
    let bad = format!(",,A\nno id,,A\n{long},,A\nc_1,nobody,A\nc_2,,{long}\nc_3,A\nc_4,,A,B\nc_5,,\"A\"B\n");
    folder.write("customers.csv", format!("id,email,name\n{}{bad}", rows("M").replace("M7", "N7")));
    assert_ran!(folder.run_to(&api, "plan --mapping customers.toml --csv customers.csv"), @r#"
    exit 4
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers    16       16       0       7          1         8 [DURATION]

    customers: 7 records, 1 request, about a second at the rate limit
      2 would be rejected: the row has … cells, the header has …
        customers.csv:15, record 14: the row has 2 cells, the header has 3
        customers.csv:16, record 15: the row has 4 cells, the header has 3
      1 would be rejected: text follows the closing quote of column `name`, which opens on line 17; a quote inside quotes has to be written twice
        customers.csv:17, record 16
      1 would be rejected: customerId: has 300 characters, the API takes 255
        customers.csv:12, record 11: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" and 140 characters more
      1 would be rejected: customerId: is empty, and is needed; it comes from column `id`
        customers.csv:10, record 9
      1 would be rejected: customerId: may not have the character ' '
        customers.csv:11, record 10: "no id"
      2 would be rejected for 2 other reasons; --json has all
      7 changed: name 7
        cus_0 (customers.csv:2, record 1): name
        cus_1 (customers.csv:3, record 2): name
        cus_2 (customers.csv:4, record 3): name
        cus_3 (customers.csv:5, record 4): name
        cus_4 (customers.csv:6, record 5): name
        … and 2 more; --json has 7

    --- stderr
    "#);
    // Given: plans that Stigg has not.
    folder.write(
        "subscriptions.toml",
        "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"c\"\nplanId = \"p\"\n",
    );
    let rows: String = (0..8).map(|number| format!("sub_{number},cus_{number},plan-{number}\n")).collect();
    folder.write("subscriptions.csv", format!("id,c,p\n{rows}"));
    assert_ran!(folder.run_to(&api, "plan --mapping subscriptions.toml --csv subscriptions.csv"), @r#"
    exit 4
    --- stdout
    step           rows  records  create  change  unchanged  rejected time
    subscriptions     8        8       8       0          0         0 [DURATION]

    subscriptions: 8 records, 1 request, about a second at the rate limit
      1 would be refused: planId "plan-0": no such plan at the target
        subscriptions.csv:2, record 1
        to do: create and publish the plan in Stigg, or mend the mapping's lookup of planId
      1 would be refused: planId "plan-1": no such plan at the target
        subscriptions.csv:3, record 2
        to do: create and publish the plan in Stigg, or mend the mapping's lookup of planId
      1 would be refused: planId "plan-2": no such plan at the target
        subscriptions.csv:4, record 3
        to do: create and publish the plan in Stigg, or mend the mapping's lookup of planId
      1 would be refused: planId "plan-3": no such plan at the target
        subscriptions.csv:5, record 4
        to do: create and publish the plan in Stigg, or mend the mapping's lookup of planId
      1 would be refused: planId "plan-4": no such plan at the target
        subscriptions.csv:6, record 5
        to do: create and publish the plan in Stigg, or mend the mapping's lookup of planId
      3 would be refused for 3 other reasons; --json has all

    --- stderr
    "#);
}

/// Given a list of originals that people cancelled, when the disk is full while it is taken, then that is said, and the same
/// list can be taken again; a list that is there already is not written over.
#[test]
fn a_list_of_originals_is_taken_again_after_a_full_disk_and_never_written_over() {
    let (folder, api) = world(Settings::default());
    folder.write("paid.csv", folder.read("paid.csv").replace(",stripe,", ",chargebee,"));
    folder.run_to(&api, "cutover --mapping paid.toml --csv paid.csv --phase all --cancel-originals").exits(0);
    assert_ran!(folder.run_to(&api, "cutover --phase cancel --cancel-originals"), @"
    exit 5
    --- stdout
    5 originals to cancel
      open  5
    where they are now
      cancelling  5

    --- stderr
    error: the cutover stopped early: the list originals-to-cancel.csv is there already, and somebody may have filled it in: take it back with --cancelled, or name a new one with --originals
    every step is in .stigg-import/cutover-audit.jsonl
    ");
    let list = folder.read("originals-to-cancel.csv");
    let rows: Vec<String> = list.lines().map(str::to_owned).collect();
    let filled: Vec<String> = rows[1..].iter().map(|row| format!("{row}2026-01-01T00:00:00Z")).collect();
    folder.write("back.csv", format!("{}\n{}\n", rows[0], filled.join("\n")));
    #[cfg(target_os = "linux")]
    assert_ran!(folder.run_to(&api, "cutover --cancelled back.csv --audit /dev/full"), @"
    exit 8
    --- stdout

    --- stderr
    error: the audit file can't be written
      because No space left on device (os error 28)
    hint: make room or mend the rights, then take the same list again: what is closed stays closed
    ");
    folder.run_to(&api, "cutover --cancelled back.csv").exits(0);
    assert_ran!(folder.run_to(&api, "cutover --cancelled back.csv"), @"
    exit 0
    --- stdout
    0 originals closed, 5 closed before
    where they are now
      cancelled  5

    --- stderr
    ");
}

#[test]
fn what_is_parked_says_what_to_do() {
    let (folder, api) = world(Settings { without_payment_method: ["b".to_owned()].into(), ..Settings::default() });
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --csv paid.csv"), @"
    exit 3
    --- stdout
    5 records
      confirmed now  4
      parked now     1
    where they are now
      confirmed                 4
      parked, payment-required  1
    b (for old-b) is parked, payment-required: Stigg asks for a payment: the customer has no means of payment there

    --- stderr
    every step is in .stigg-import/cutover-audit.jsonl
    hint: docs/cutover.md says what to do about each reason; then run the same command with --retry-parked
    ");
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --csv paid.csv"), @"
    exit 3
    --- stdout
    5 records
      confirmed before  4
      parked before     1
    where they are now
      confirmed                 4
      parked, payment-required  1
    b (for old-b) is parked, payment-required: Stigg asks for a payment: the customer has no means of payment there

    --- stderr
    every step is in .stigg-import/cutover-audit.jsonl
    hint: docs/cutover.md says what to do about each reason; then run the same command with --retry-parked
    ");
}

#[test]
fn a_live_key_that_nobody_allowed_says_what_live_means() {
    let (folder, api) = world(Settings::default());
    let stripe = api.url.replace("/graphql", "/stripe");
    let words = format!("cutover --mapping paid.toml --csv paid.csv --target {} --provider-url {stripe}", api.url);
    let ran = folder.finish(folder.command(&words).env("STRIPE_API_KEY", "sk_live_51Secret"));
    assert_ran!(ran, @"
    exit 7
    --- stdout

    --- stderr
    error: the Stripe key is a live one, and live keys were not allowed
    hint: with --live real subscriptions are provisioned and cancelled; nothing was sent
    ");
}

#[test]
fn a_cutover_without_its_words_says_which_are_missing() {
    let (folder, api) = world(Settings::default());
    assert_ran!(cutover(&folder, &api, "--phase cancel"), @"
    exit 2
    --- stdout

    --- stderr
    error: cancelling originals has to be said twice
    hint: add --cancel-originals; --plan says what would be done. An original can't be revived
    ");
    assert_ran!(cutover(&folder, &api, "--cancel-originals --mapping paid.toml --csv paid.csv"), @"
    exit 2
    --- stdout

    --- stderr
    error: --cancel-originals, and the phase is provision, which cancels nothing
    hint: say --phase all, or --phase cancel once the replacements are confirmed
    ");
    assert_ran!(cutover(&folder, &api, "--phase cancel --cancel-originals --mapping paid.toml --csv paid.csv"), @"
    exit 2
    --- stdout

    --- stderr
    error: --phase cancel takes no source: it cancels what the ledger knows to be confirmed
    hint: leave the mapping and its source out; --only-customers and --limit choose among them
    ");
    assert_ran!(cutover(&folder, &api, ""), @"
    exit 2
    --- stdout

    --- stderr
    error: there is no mapping of paid subscriptions
    hint: stigg-import cutover --mapping mappings/stripe/paid-subscriptions.toml --stripe subscriptions
    ");
}

/// Given a kept plan, when what was delivered, the steps or the program is another one since, then it is refused in these words.
#[test]
fn a_kept_plan_is_refused_for_what_it_rests_on() {
    let (api, folder) = (Api::open(), clean());
    let step = |name: &str| {
        format!("[[step]]\nname = \"{name}\"\nmapping = \"customers.toml\"\nsource = {{ csv = \"customers.csv\" }}\n")
    };
    folder.write("pipeline.toml", step("customers"));
    folder.run_to(&api, "plan pipeline.toml --out plan.json").exits(4);
    let kept = folder.read("plan.json");

    // Given: another version of the program made it.
    folder.write("plan.json", kept.replace("\"version\": \"", "\"version\": \"0.0.1-"));
    assert_ran!(folder.run("run --plan plan.json"), @"
    exit 5
    --- stdout

    --- stderr
    error: plan.json was made by version 0.0.1-0.1.0 of the program
    hint: make it again with plan --out; nothing was sent
    ");
    folder.write("plan.json", kept);

    // Given: the pipeline has a step of another name, and one more.
    folder.write("pipeline.toml", step("people"));
    assert_ran!(folder.run("run --plan plan.json"), @"
    exit 5
    --- stdout

    --- stderr
    error: the pipeline has other steps than when the plan was made
    hint: look at a new one: the same words with plan --out; nothing was sent
    ");
    folder.write("pipeline.toml", format!("{}\n{}", step("customers"), step("people")));
    assert_ran!(folder.run("run --plan plan.json"), @"
    exit 5
    --- stdout

    --- stderr
    error: the pipeline has other steps than when the plan was made
    hint: look at a new one: the same words with plan --out; nothing was sent
    ");

    // Given: the same records were delivered meanwhile with other content.
    folder.write("pipeline.toml", step("customers"));
    let rows = folder.read("customers.csv");
    folder.write("customers.csv", rows.replace("Ada", "Ida").replace("Bob", "Rob").replace("Carl", "Karl"));
    folder.run_to(&api, "run pipeline.toml").exits(0);
    folder.write("customers.csv", rows);
    assert_ran!(folder.run("run --plan plan.json"), @"
    exit 5
    --- stdout

    --- stderr
    error: what was delivered of step `customers` is other than when the plan was made
    hint: look at a new one: the same words with plan --out; nothing was sent
    ");
}

#[test]
fn a_run_that_was_killed_is_listed_with_what_is_open() {
    let (api, folder) = super::settle::unanswered(stigg_import::sandbox::FaultKind::SilentAfter);
    assert_eq!(api.customers(), 3);
    assert_ran!(folder.run("status"), @"
    exit 0
    --- stdout
    what            run          began (UTC)          ended (UTC)  exit
    events.toml       2  [TIME]  going on, or killed     -
    customers.toml    1  [TIME]  [TIME]     0

    http://127.0.0.1:[PORT]/graphql [UUID]: 3 customer records known
    http://127.0.0.1:[PORT]/graphql [UUID]: 0 event records known, 3 open in 1 batch
    hint: run the same command again; what is open is sent again and settled
    hint: events of more than 12 hours ago are not sent again; `stigg-import settle` lists them

    --- stderr
    ");
}

/// Given something else at the place of a rejects file of long ago, when a sync would delete it, then that is told, and nothing
/// of the run is another.
#[test]
fn an_old_rejects_file_that_can_not_be_deleted_is_told() {
    let (api, folder) = (Api::open(), clean());
    folder.write("pipeline.toml", pipeline(&api, ""));
    folder.write(".stigg-import/rejects/0-customers.jsonl/file", "");
    assert_ran!(folder.run("sync pipeline.toml --once --rate-scale 100000"), @"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         3          0         0 [DURATION]

    every record is accounted for: 3 = 3 accepted

    --- stderr
    [TIME]  WARN old rejects files, which hold customers' data, could not be deleted: can't write the rejects file .stigg-import/rejects/0-customers.jsonl: the disk reported an error (Is a directory (os error 21)); see that they can be, or delete them by hand: the next run tries again
    ");
}

/// Given a program whose file was taken away while it began, so that it can't begin again with one arena, when it syncs, then it
/// goes on without.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_sync_that_can_not_begin_again_with_one_arena_goes_on_without() {
    let (api, folder) = (Api::open(), clean());
    folder.write("pipeline.toml", pipeline(&api, ""));
    folder.run_to(&api, "run pipeline.toml").exits(0);
    folder.write("customers.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n");
    let words = "sync pipeline.toml --every 1h --rate-scale 100000 -vv";
    let line = format!("cp \"$PROGRAM\" own && exec 3<own && rm own && exec /proc/self/fd/3 {words}");
    let mut command = folder.shell(&line);
    command.env_remove("GLIBC_TUNABLES").env_remove("MALLOC_ARENA_MAX");
    let syncing = Syncing::start(command);
    syncing.until("a run is done", |said| said.contains("run 2 is done"));
    syncing.signal("TERM");
    let (exit, _, said) = syncing.end();
    assert_eq!(exit, Some(0), "{said}");
    let of_arenas: Vec<&str> = said.lines().filter(|line| line.contains("arena")).collect();
    assert_ran!(of_arenas.join("\n"), @"
    [TIME] DEBUG the process could not begin again with one arena for its memory error=No such file or directory (os error 2)
    ");
}

/// Given a webhook that a pipeline names, when the pipeline no longer holds, then it is told that nobody can be told; without a
/// webhook nobody was to be.
#[test]
fn a_pipeline_that_no_longer_holds_can_not_say_whom_to_tell() {
    let said = |more: &str| {
        let (api, folder) = (Api::open(), clean());
        folder.write("pipeline.toml", pipeline(&api, more));
        let words = "sync pipeline.toml --every 1s --failures-max 1 --rate-scale 100000";
        let syncing = Syncing::start(folder.command(words));
        syncing.until("a first run is done", |said| said.contains("run 1 is done"));
        // At once: a run may read it at any moment.
        folder.write("broken.toml", "[notify\n");
        std::fs::rename(folder.path("broken.toml"), folder.path("pipeline.toml")).unwrap();
        let (exit, _, said) = syncing.end();
        assert_eq!(exit, Some(5), "{said}");
        let lines: Vec<&str> = said.lines().filter(|line| !line.contains(" INFO ")).collect();
        lines.join("\n")
    };
    assert_ran!(said("[notify]\nurl = \"http://127.0.0.1:9/hook\"\n"), @"
    [TIME]  WARN nobody can be told of the failed run: the pipeline, which names the webhook, doesn't hold
    error: the pipeline doesn't hold: 1 problem

    pipeline.toml:1:8: unclosed table, expected `]`
      1 | [notify
        |        ^

    hint: nothing was sent; mend what is shown and run the same command again
    error: the run failed
    hint: what it said is above; start it again when that is mended: it goes on where it stopped
    ");
    assert_ran!(said(""), @"
    error: the pipeline doesn't hold: 1 problem

    pipeline.toml:1:8: unclosed table, expected `]`
      1 | [notify
        |        ^

    hint: nothing was sent; mend what is shown and run the same command again
    error: the run failed
    hint: what it said is above; start it again when that is mended: it goes on where it stopped
    ");
}
