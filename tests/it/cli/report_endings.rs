//! The pages of `--report` as they are read, whole: of each command the endings that `report` does not show.

use stigg_import::sandbox::Settings;

use super::report::{assert_page, text};
use super::{CLEAN_CSV, RUN, clean, customers, cutover};
use crate::program::{Api, Folder, assert_ran, catalog};

#[test]
fn a_run_that_settles_everything() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, &format!("{RUN} --report run-done.html")).exits(0);
    assert_page!(text(&folder, "run-done.html"), @"
    Done: stigg-import run
    ✓ Done
    3 records: all accounted for; none rejected.
    Command stigg-import run
    Run 1
    Into http://127.0.0.1:[PORT]/graphql
    Took [DURATION]
    Written [TIME] UTC
    In Stigg 3 3 sent now
    Rejected 0 set aside, not sent
    Refused 0 by the API
    Open 0 for the next run
    Took [DURATION] [SPEED] records/s
    What to do next
    Nothing has to be done. The same command sends what will have changed.
    stigg-import verify with the same source compares with what Stigg has.
    Where every record went
    Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. One row may make several records, several rows one.
    Step | Rows | Records | Accepted | Unchanged | Rejected | Refused | Filtered | Open
    customers | 3 | 3 | 3 | 0 | 0 | 0 | 0 | 0
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Slowest steps
    Step | Took | Of the time | Records a second | Of the rate limit | What held it back
    customers | [DURATION] | [SHARE] | [SPEED] | – | too short to say
    Retries and pauses
    Every request was answered the first time, and none too fast for the API.
    Step | Batches | Requests | Sent again | “Slow down” | Reads
    customers | 1 | 1 | 0 | 0 | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_run_that_stops_early() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, &format!("{RUN} --max-rejects 0 --report run-stopped.html --report-samples")).exits(3);
    assert_page!(text(&folder, "run-stopped.html"), @r#"
    Stopped: stigg-import run
    ✕ Stopped
    The run stopped early: too many rejects: 1, and 0 are allowed. 5 records: all accounted for; 1 rejected, 4 still open.
    Command stigg-import run
    Run 1
    Into http://127.0.0.1:[PORT]/graphql
    Took [DURATION]
    Written [TIME] UTC
    In Stigg 0 0 sent now
    Rejected ! 1 set aside, not sent
    Refused 0 by the API
    Open ! 4 for the next run
    Took [DURATION] nothing was sent
    What to do next
    stigg-import rejects list --run 1 shows why; mend the mapping or the rows, or allow more with --max-rejects.
    Correct them in a CSV and send that: stigg-import rejects export --out fix.csv, then stigg-import rejects retry --csv fix.csv.
    Where every record went
    Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. One row may make several records, several rows one.
    Step | Rows | Records | Accepted | Unchanged | Rejected | Refused | Filtered | Open
    customers | 5 | 5 | 0 | 0 | 1 | 0 | 0 | 4
    What was rejected, and why
    Rows that do not fit are set aside. There are more of them than --max-rejects allows: the run stopped.
    Records | Step | What is wrong | Found by | Examples
    1 | customers | email: is not an e-mail address | own check | customers.csv:4, record 3 "not-an-email": is not an e-mail address
    The examples hold personal data: pass this page on with care.
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Slowest steps
    Step | Took | Of the time | Records a second | Of the rate limit | What held it back
    customers | [DURATION] | [SHARE] | [SPEED] | – | nothing was to be sent
    Retries and pauses
    Every request was answered the first time, and none too fast for the API.
    Step | Batches | Requests | Sent again | “Slow down” | Reads
    customers | 0 | 0 | 0 | 0 | 0
    This page shows values of rows: personal data.
    It loads nothing from anywhere and runs no script.
    "#);
}

#[test]
fn a_sync() {
    let (api, folder) = (Api::open(), clean());
    folder.write(
        "pipeline.toml",
        format!(
            "[target]\nurl = \"{}\"\n[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = {{ csv = \
             \"customers.csv\" }}\n",
            api.url
        ),
    );
    let words = "sync pipeline.toml --once --rate-scale 100000 --report";
    folder.run(&format!("{words} sync-first.html")).exits(0);
    // When there is nothing new.
    folder.run(&format!("{words} sync.html")).exits(0);
    assert_page!(text(&folder, "sync.html"), @"
    Done: stigg-import sync
    ✓ Done
    3 records: all accounted for; none rejected.
    Command stigg-import sync
    Run 2
    Into http://127.0.0.1:[PORT]/graphql
    Took [DURATION]
    Written [TIME] UTC
    In Stigg 3 0 sent now
    Rejected 0 set aside, not sent
    Refused 0 by the API
    Open 0 for the next run
    Took [DURATION] nothing was sent
    What to do next
    Nothing has to be done. The same command sends what will have changed.
    stigg-import verify with the same source compares with what Stigg has.
    Where every record went
    Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. One row may make several records, several rows one.
    Step | Rows | Records | Accepted | Unchanged | Rejected | Refused | Filtered | Open
    customers | 3 | 3 | 0 | 3 | 0 | 0 | 0 | 0
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Slowest steps
    Step | Took | Of the time | Records a second | Of the rate limit | What held it back
    customers | [DURATION] | [SHARE] | [SPEED] | – | nothing was to be sent
    Retries and pauses
    Every request was answered the first time, and none too fast for the API.
    Step | Batches | Requests | Sent again | “Slow down” | Reads
    customers | 0 | 0 | 0 | 0 | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
    // When its key is refused.
    folder.write("customers.csv", CLEAN_CSV.replace("Bob", "Robert"));
    api.sandbox.inject(
        stigg_import::sandbox::Fault::once(stigg_import::sandbox::FaultKind::Unauthenticated).on("importCustomersBulk"),
    );
    folder.run(&format!("{words} sync-stopped.html")).exits(7);
    assert_page!(text(&folder, "sync-stopped.html"), @"
    Stopped: stigg-import sync
    ✕ Stopped
    The run stopped early: the API does not accept the key: Unauthenticated (trace [UUID]). 3 records: all accounted for; 1 still open.
    Command stigg-import sync
    Run 3
    Into http://127.0.0.1:[PORT]/graphql
    Took [DURATION]
    Written [TIME] UTC
    In Stigg 2 0 sent now
    Rejected 0 set aside, not sent
    Refused 0 by the API
    Open ! 1 for the next run
    Took [DURATION] nothing was sent
    What to do next
    Check the key in STIGG_API_KEY, then run the same command again; it goes on from here.
    Where every record went
    Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. One row may make several records, several rows one.
    Step | Rows | Records | Accepted | Unchanged | Rejected | Refused | Filtered | Open
    customers | 3 | 3 | 0 | 2 | 0 | 0 | 0 | 1
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Slowest steps
    Step | Took | Of the time | Records a second | Of the rate limit | What held it back
    customers | [DURATION] | [SHARE] | [SPEED] | – | too short to say
    Retries and pauses
    Every request was answered the first time, and none too fast for the API.
    Step | Batches | Requests | Sent again | “Slow down” | Reads
    customers | 1 | 1 | 0 | 0 | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

/// Customers and subscriptions; one of a plan that Stigg has not, one of a customer that nobody has.
fn two_steps() -> Folder {
    let folder = clean();
    folder
        .write(
            "pipeline.toml",
            "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n\
             [[step]]\nname = \"subscriptions\"\nmapping = \"subscriptions.toml\"\nsource = { csv = \"subscriptions.csv\" }\n",
        )
        .write(
            "subscriptions.toml",
            "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"c\"\nplanId = \"p\"\n",
        )
        .write("subscriptions.csv", "id,c,p\nsub_1,cus_1,plan-free\nsub_2,cus_2,plan-nope\nsub_3,cus_99,plan-free\n");
    folder
}

#[test]
fn a_plan_that_is_ready_and_one_with_nothing_to_send() {
    let (api, folder) = (Api::open(), clean());
    let plan = "plan --mapping customers.toml --csv customers.csv --report";
    folder.run_to(&api, &format!("{plan} plan-ready.html")).exits(4);
    assert_page!(text(&folder, "plan-ready.html"), @"
    Ready: stigg-import plan
    ✓ Ready
    A run would send 3 records (3 new, 0 changed) in about a second; none would be rejected.
    Command stigg-import plan
    Written [TIME] UTC
    New 3 records to create
    Changed 0 records to update
    Unchanged 0 nothing is sent for them
    Rejected 0 would be set aside
    Refused 0 the API would refuse them
    Would take a second at the API's rate limit
    What to do next
    stigg-import run with the same words sends it.
    What would happen to every record
    Compared with what earlier runs delivered. A plan sends nothing.
    Step | Rows | Records | New | Changed | Unchanged | Rejected | Filtered
    customers | 3 | 3 | 3 | 0 | 0 | 0 | 0
    What the API would refuse
    Nothing: all that the records refer to is there.
    Slowest steps
    Requests, and the time that the API's rate limit gives them.
    Step | Requests | Would take
    customers | 1 | a second
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
    folder.run_to(&api, RUN).exits(0);
    folder.run_to(&api, &format!("{plan} plan-nothing.html")).exits(0);
    assert_page!(text(&folder, "plan-nothing.html"), @"
    Ready: stigg-import plan
    ✓ Ready
    A run would send nothing; none would be rejected.
    Command stigg-import plan
    Written [TIME] UTC
    New 0 records to create
    Changed 0 records to update
    Unchanged 3 nothing is sent for them
    Rejected 0 would be set aside
    Refused 0 the API would refuse them
    Would take – nothing is to be sent
    What to do next
    There is nothing to send.
    What would happen to every record
    Compared with what earlier runs delivered. A plan sends nothing.
    Step | Rows | Records | New | Changed | Unchanged | Rejected | Filtered
    customers | 3 | 3 | 0 | 0 | 3 | 0 | 0
    What the API would refuse
    Nothing: all that the records refer to is there.
    Slowest steps
    Requests, and the time that the API's rate limit gives them.
    Step | Requests | Would take
    customers | 0 | –
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_plan_that_finds_what_the_api_would_refuse_and_what_has_changed() {
    let (api, folder) = (Api::new(Settings { catalog: Some(catalog()), ..Settings::default() }), two_steps());
    folder.run_to(&api, RUN).exits(0);
    folder.write("customers.csv", CLEAN_CSV.replace("Bob", "Robert"));
    folder.run_to(&api, "plan pipeline.toml --report plan-refused.html --report-samples").exits(4);
    assert_page!(text(&folder, "plan-refused.html"), @r#"
    Ready, with rejects: stigg-import plan
    ! Ready, with rejects
    A run would send 4 records (3 new, 1 changed) in about a second; 2 would be refused by the API.
    Command stigg-import plan
    Written [TIME] UTC
    New 3 records to create
    Changed 1 records to update
    Unchanged 2 nothing is sent for them
    Rejected 0 would be set aside
    Refused ! 2 the API would refuse them
    Would take a second at the API's rate limit
    What to do next
    Do what stands beside each thing that the API would refuse, and plan again.
    stigg-import run with the same words sends it.
    What would happen to every record
    Compared with what earlier runs delivered. A plan sends nothing.
    Step | Rows | Records | New | Changed | Unchanged | Rejected | Filtered
    customers | 3 | 3 | 0 | 1 | 2 | 0 | 0
    subscriptions | 3 | 3 | 3 | 0 | 0 | 0 | 0
    What the API would refuse
    What these records refer to is not at the target, or does not take them.
    Records | Step | Field | Refers to | What to do | Examples
    1 | subscriptions | planId | no such plan at the target | create and publish the plan in Stigg, or mend the mapping's lookup of planId | subscriptions.csv:3, record 2 "plan-nope"
    1 | subscriptions | customerId | a customer that neither a step nor Stigg has | import these customers first, or find out why their rows were rejected or left out | subscriptions.csv:4, record 3 "cus_99"
    What changed since it was delivered
    Compared with what the ledger knows. With --live, Stigg is asked, and both values are told.
    Step | Known | Not known | Fields that changed
    customers | 1 | 0 | name: 1
    Slowest steps
    Requests, and the time that the API's rate limit gives them.
    Step | Requests | Would take
    customers | 1 | a second
    subscriptions | 1 | a second
    This page shows values of rows: personal data.
    It loads nothing from anywhere and runs no script.
    "#);
    folder.run_to(&api, "plan pipeline.toml --live --report plan-live.html").exits(4);
    assert_page!(text(&folder, "plan-live.html"), @"
    Ready, with rejects: stigg-import plan
    ! Ready, with rejects
    A run would send 4 records (3 new, 1 changed) in about a second; 2 would be refused by the API.
    Command stigg-import plan
    Written [TIME] UTC
    New 3 records to create
    Changed 1 records to update
    Unchanged 2 nothing is sent for them
    Rejected 0 would be set aside
    Refused ! 2 the API would refuse them
    Would take a second at the API's rate limit
    What to do next
    Do what stands beside each thing that the API would refuse, and plan again.
    stigg-import run with the same words sends it.
    What would happen to every record
    Compared with what earlier runs delivered. A plan sends nothing.
    Step | Rows | Records | New | Changed | Unchanged | Rejected | Filtered
    customers | 3 | 3 | 0 | 1 | 2 | 0 | 0
    subscriptions | 3 | 3 | 3 | 0 | 0 | 0 | 0
    What the API would refuse
    What these records refer to is not at the target, or does not take them.
    Records | Step | Field | Refers to | What to do
    1 | subscriptions | planId | no such plan at the target | create and publish the plan in Stigg, or mend the mapping's lookup of planId
    1 | subscriptions | customerId | a customer that neither a step nor Stigg has | import these customers first, or find out why their rows were rejected or left out
    What Stigg has now of the records that would be sent
    Step | Not there | Different | Equal | Not read | Fields that differ
    customers | 0 | 1 | 0 | 0 | name: 1
    subscriptions | 3 | 0 | 0 | 0 |
    Slowest steps
    Requests, and the time that the API's rate limit gives them.
    Step | Requests | Would take
    customers | 1 | a second
    subscriptions | 1 | a second
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
    folder.run_to(&api, "plan pipeline.toml --offline --report plan-offline.html").exits(4);
    assert_page!(text(&folder, "plan-offline.html"), @"
    Ready: stigg-import plan
    ✓ Ready
    A run would send 4 records (3 new, 1 changed) in about a second; none would be rejected.
    Command stigg-import plan
    Written [TIME] UTC
    New 3 records to create
    Changed 1 records to update
    Unchanged 2 nothing is sent for them
    Rejected 0 would be set aside
    Refused – was not checked
    Would take a second at the API's rate limit
    What to do next
    stigg-import run with the same words sends it.
    What would happen to every record
    Compared with what earlier runs delivered. A plan sends nothing.
    Step | Rows | Records | New | Changed | Unchanged | Rejected | Filtered
    customers | 3 | 3 | 0 | 1 | 2 | 0 | 0
    subscriptions | 3 | 3 | 3 | 0 | 0 | 0 | 0
    What the API would refuse
    The catalog of the target, and what records refer to, was not checked: --offline.
    What changed since it was delivered
    Compared with what the ledger knows. With --live, Stigg is asked, and both values are told.
    Step | Known | Not known | Fields that changed
    customers | 1 | 0 | name: 1
    Slowest steps
    Requests, and the time that the API's rate limit gives them.
    Step | Requests | Would take
    customers | 1 | a second
    subscriptions | 1 | a second
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_plan_that_stops_early() {
    let (api, folder) = (Api::open(), clean());
    let rows: String = (0..6000).map(|number| format!("cus_{number},,Customer {number}\n")).collect();
    let whole = super::run::gzip(&format!("id,email,name\n{rows}"));
    folder.write("customers.csv", &whole[..whole.len() - 9]);
    folder.run_to(&api, "plan --mapping customers.toml --csv customers.csv --report plan-stopped.html").exits(6);
    assert_page!(text(&folder, "plan-stopped.html"), @"
    Stopped: stigg-import plan
    ✕ Stopped
    Planning stopped early: the source broke part-way: customers.csv:6002, record 6000: the gzip data is damaged or cut off: incomplete deflate stream. Until then: a run would send 6,000 records (6,000 new, 0 changed) in about a second; none would be rejected.
    Command stigg-import plan
    Written [TIME] UTC
    New 6,000 records to create
    Changed 0 records to update
    Unchanged 0 nothing is sent for them
    Rejected 0 would be set aside
    Refused 0 the API would refuse them
    Would take a second at the API's rate limit
    What to do next
    Mend what stopped it, and plan again. Nothing was sent.
    What would happen to every record
    Compared with what earlier runs delivered. A plan sends nothing.
    Step | Rows | Records | New | Changed | Unchanged | Rejected | Filtered
    customers | 6,000 | 6,000 | 6,000 | 0 | 0 | 0 | 0
    What the API would refuse
    Nothing: all that the records refer to is there.
    Slowest steps
    Requests, and the time that the API's rate limit gives them.
    Step | Requests | Would take
    customers | 6 | a second
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_verification_that_finds_everything_as_it_should_be() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    folder
        .run_to(&api, "verify --mapping customers.toml --csv customers.csv --extra --report verify-equal.html")
        .exits(0);
    assert_page!(text(&folder, "verify-equal.html"), @"
    As it should be: stigg-import verify
    ✓ As it should be
    3 records: all of them are in Stigg as the source has them.
    Command stigg-import verify
    Written [TIME] UTC
    Expected 3 records of the source
    Equal 3 as the source has them
    Different 0 in Stigg, with other content
    Missing 0 not in Stigg
    Not read 0 nothing is known of them
    What to do next
    Nothing has to be done.
    What is there
    Records of the source were read back from the API and compared, field by field. Rejected rows are not looked for.
    Step | Expected | Equal | Different | Missing | Not read | Rejected
    customers | 3 | 3 | 0 | 0 | 0 | 0
    In Stigg, and in no step
    What | Records
    customers | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_verification_that_stops_early() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    let whole = super::run::gzip(CLEAN_CSV);
    folder.write("customers.csv", &whole[..whole.len() - 9]);
    folder.run_to(&api, "verify --mapping customers.toml --csv customers.csv --report verify-stopped.html").exits(6);
    assert_page!(text(&folder, "verify-stopped.html"), @"
    Stopped: stigg-import verify
    ✕ Stopped
    Verifying stopped early: the source broke part-way: customers.csv:5, record 3: the gzip data is damaged or cut off: incomplete deflate stream. Until then: 3 records: all of them are in Stigg as the source has them.
    Command stigg-import verify
    Written [TIME] UTC
    Expected 3 records of the source
    Equal 3 as the source has them
    Different 0 in Stigg, with other content
    Missing 0 not in Stigg
    Not read 0 nothing is known of them
    What to do next
    Mend the source and run the same command again.
    What is there
    Records of the source were read back from the API and compared, field by field. Rejected rows are not looked for.
    Step | Expected | Equal | Different | Missing | Not read | Rejected
    customers | 3 | 3 | 0 | 0 | 0 | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_cutover_from_its_plan_to_the_end() {
    let (folder, api) =
        cutover::world(Settings { without_payment_method: ["b".to_owned()].into(), ..Settings::default() });
    let words = "--mapping paid.toml --csv paid.csv";
    cutover::cutover(&folder, &api, &format!("{words} --plan --report cutover-planned.html")).exits(0);
    assert_page!(text(&folder, "cutover-planned.html"), @"
    Ready: stigg-import cutover --plan
    ✓ Ready
    5 subscriptions would be provisioned and proved; 0 originals can be cancelled now.
    Command stigg-import cutover --plan
    Written [TIME] UTC
    To provision 5 subscriptions
    To cancel 0 originals of what is confirmed
    Parked 0 somebody has to decide
    Rejected 0 rows that do not fit
    What to do next
    stigg-import cutover with the same words and without --plan provisions and proves; it cancels nothing.
    Where every record went
    What became of them | How many
    to provision and prove | 5
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
    cutover::cutover(&folder, &api, &format!("{words} --report cutover-parked.html --report-samples")).exits(3);
    assert_page!(text(&folder, "cutover-parked.html"), @"
    Done, with some parked: stigg-import cutover
    ! Done, with some parked
    5 subscriptions: all accounted for; 4 confirmed, 1 parked.
    Command stigg-import cutover
    Run 2
    Took [DURATION]
    Written [TIME] UTC
    Confirmed 4 subscriptions
    Cancelled 0 originals, at the provider
    Parked ! 1 somebody has to decide
    Rejected 0 rows that do not fit
    What to do next
    docs/cutover.md says what to do about each reason; then run the same command with --retry-parked.
    Every step that was taken is in the audit file, .stigg-import/cutover-audit.jsonl.
    Where every record went
    What became of them | How many
    confirmed now | 4
    parked now | 1
    How far the whole move is
    All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each reason.
    Stage | Reason | How many
    confirmed | – | 4
    parked | payment-required | 1
    Those that went no further
    Subscription | Original | Stage | Reason | In words
    b | old-b | parked | payment-required | Stigg asks for a payment: the customer has no means of payment there
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Requests
    What | How many
    Requests that provision, repeats included | 5
    Requests that cancel, repeats included | 0
    Answered with “slow down” | 0
    This page shows values of rows: personal data.
    It loads nothing from anywhere and runs no script.
    ");
    cutover::cutover(&folder, &api, "--phase cancel --cancel-originals --plan --report cutover-to-cancel.html")
        .exits(0);
    assert_page!(text(&folder, "cutover-to-cancel.html"), @"
    Ready: stigg-import cutover --plan
    ✓ Ready
    0 subscriptions would be provisioned and proved; 4 originals can be cancelled now.
    Command stigg-import cutover --plan
    Written [TIME] UTC
    To provision 0 subscriptions
    To cancel 4 originals of what is confirmed
    Parked 0 somebody has to decide
    Rejected 0 rows that do not fit
    What to do next
    stigg-import cutover with the same words, without --plan and with --cancel-originals cancels them.
    How far the whole move is
    All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each reason.
    Stage | Reason | How many
    confirmed | – | 4
    parked | payment-required | 1
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
    let cancel = "--phase cancel --cancel-originals --report cutover-cancelled.html";
    cutover::cutover(&folder, &api, cancel).exits(0);
    assert_page!(text(&folder, "cutover-cancelled.html"), @"
    Done: stigg-import cutover
    ✓ Done
    4 of 4 originals cancelled.
    Command stigg-import cutover
    Run 3
    Took [DURATION]
    Written [TIME] UTC
    Confirmed 0 subscriptions
    Cancelled 4 originals, at the provider
    Parked 0 somebody has to decide
    Rejected 0 rows that do not fit
    What to do next
    Every step that was taken is in the audit file, .stigg-import/cutover-audit.jsonl.
    Originals to cancel
    What became of them | How many
    cancelled | 4
    How far the whole move is
    All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each reason.
    Stage | Reason | How many
    cancelled | – | 4
    parked | payment-required | 1
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Requests
    What | How many
    Requests that provision, repeats included | 0
    Requests that cancel, repeats included | 4
    Answered with “slow down” | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_cutover_whose_originals_people_cancel() {
    let (folder, api) = cutover::world(Settings::default());
    folder.write("paid.csv", folder.read("paid.csv").replace(",stripe,", ",chargebee,"));
    let words =
        "cutover --mapping paid.toml --csv paid.csv --phase all --cancel-originals --report cutover-by-hand.html";
    folder.run_to(&api, words).exits(0);
    assert_page!(text(&folder, "cutover-by-hand.html"), @"
    Done: stigg-import cutover
    ✓ Done
    5 subscriptions: all accounted for; 5 confirmed, 0 of 5 originals cancelled.
    Command stigg-import cutover
    Run 2
    Took [DURATION]
    Written [TIME] UTC
    Confirmed 5 subscriptions
    Cancelled 0 originals, at the provider
    Parked 0 somebody has to decide
    Rejected 0 rows that do not fit
    By hand ! 5 originals for people to cancel
    What to do next
    Originals to cancel by hand are in originals-to-cancel.csv; fill in cancelled_at, then stigg-import cutover --cancelled originals-to-cancel.csv.
    Every step that was taken is in the audit file, .stigg-import/cutover-audit.jsonl.
    Where every record went
    What became of them | How many
    confirmed now | 5
    Originals to cancel
    What became of them | How many
    listed for people | 5
    How far the whole move is
    All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each reason.
    Stage | Reason | How many
    cancelling | – | 5
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Requests
    What | How many
    Requests that provision, repeats included | 5
    Requests that cancel, repeats included | 0
    Answered with “slow down” | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}

#[test]
fn a_cutover_that_stops_early() {
    let (folder, api) = cutover::world(Settings::default());
    folder
        .write("paid.csv", folder.read("paid.csv").replace(",stripe,", ",chargebee,"))
        .write("originals-to-cancel.csv", "");
    let words =
        "cutover --mapping paid.toml --csv paid.csv --phase all --cancel-originals --report cutover-stopped.html";
    folder.run_to(&api, words).exits(5);
    assert_page!(text(&folder, "cutover-stopped.html"), @"
    Stopped: stigg-import cutover
    ✕ Stopped
    The cutover stopped early: the list originals-to-cancel.csv is there already, and somebody may have filled it in: take it back with --cancelled, or name a new one with --originals. 5 subscriptions: all accounted for; 5 confirmed, 0 of 5 originals cancelled.
    Command stigg-import cutover
    Run 2
    Took [DURATION]
    Written [TIME] UTC
    Confirmed 5 subscriptions
    Cancelled 0 originals, at the provider
    Parked 0 somebody has to decide
    Rejected 0 rows that do not fit
    Open ! 5 for the next run
    What to do next
    Every step that was taken is in the audit file, .stigg-import/cutover-audit.jsonl.
    Where every record went
    What became of them | How many
    confirmed now | 5
    Originals to cancel
    What became of them | How many
    open | 5
    How far the whole move is
    All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each reason.
    Stage | Reason | How many
    cancelling | – | 5
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Requests
    What | How many
    Requests that provision, repeats included | 5
    Requests that cancel, repeats included | 0
    Answered with “slow down” | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    ");
}
