//! The lines on standard error of a whole run: with `-v`, with `-vv`, and as objects of JSON.

use stigg_import::sandbox::{Fault, FaultKind};

use super::{CUSTOMERS_CSV, RUN, clean, customers};
use crate::program::{Api, Folder, Ran, assert_ran};

/// Compares lines without what a wait was drawn to be, and without what differs between machines.
macro_rules! assert_lines {
    ($ran:expr, @$expected:literal) => {{
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r#"(wait_s"?[=:])[0-9.e-]+"#, "$1[WAIT]");
        // In one of the two ways a connection is seen to be cut.
        let cut = r"connection (error: Connection reset by peer \(os error 104\)|closed before message completed)";
        settings.add_filter(cut, "connection [CUT]");
        settings.bind(|| assert_ran!($ran, @$expected));
    }};
}

/// A run, the second of its ledger, of which the first answer is not what it should be.
fn with_a_fault(kind: FaultKind, words: &str) -> Ran {
    let (api, folder) = (Api::open(), customers());
    folder.write("customers.csv", "id,email,name\n");
    folder.run_to(&api, RUN).exits(0);
    folder.write("customers.csv", CUSTOMERS_CSV);
    api.sandbox.inject(Fault::once(kind).on("importCustomersBulk"));
    folder.run_to(&api, &format!("{RUN} {words}")).exits(3)
}

/// An API that has archived one of the customers, which it takes no more, and rows that have all changed.
fn with_an_archived_customer() -> (Api, Folder) {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    let mut snapshot = api.sandbox.snapshot();
    snapshot.customers.get_mut("cus_2").unwrap().archived = true;
    api.sandbox.load(&snapshot);
    let rows = folder.read("customers.csv");
    folder.write("customers.csv", rows.replace("Ada", "Ida").replace("Bob", "Rob").replace("Carl", "Karl"));
    (api, folder)
}

#[test]
fn with_v_a_run_tells_of_steps_and_of_what_is_sent_again() {
    assert_lines!(with_a_fault(FaultKind::ServerErrorAfter, "-v"), @"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     5        5         4          0         1 [DURATION]

    every record is accounted for: 5 = 4 accepted + 1 rejected

    --- stderr
    [TIME]  INFO step{run=2 step=customers}: step begins step=customers
    [TIME]  INFO step{run=2 step=customers}: it is not known whether the request was applied: the API failed: UnexpectedError: Internal server error (trace [UUID]) next_try=2 wait_s=[WAIT]
    [TIME]  INFO step{run=2 step=customers}: step is over step=customers records=5 accepted=4 unchanged=0 filtered=0 rejected=1 refused=0 open=0
    rejected rows are in .stigg-import/rejects/2-customers.jsonl
    hint: stigg-import rejects list --run 2 shows why
    ");
}

#[test]
fn with_v_a_run_tells_of_a_batch_that_is_sent_in_parts() {
    let (api, folder) = with_an_archived_customer();
    assert_lines!(folder.run_to(&api, &format!("{RUN} -v")), @"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected  refused time
    customers     3        3         2          0         0        1 [DURATION]

    every record is accounted for: 3 = 2 accepted + 1 refused by the API

    --- stderr
    [TIME]  INFO step{run=2 step=customers}: step begins step=customers
    [TIME]  INFO step{run=2 step=customers}: a batch was refused and is sent again in parts: Failed to import customers: Customer cus_2 is archived (trace [UUID]) records=3
    [TIME]  INFO step{run=2 step=customers}: step is over step=customers records=3 accepted=2 unchanged=0 filtered=0 rejected=0 refused=1 open=0
    rejected rows are in .stigg-import/rejects/2-customers.jsonl
    hint: stigg-import rejects list --run 2 shows why
    ");
}

#[test]
fn with_vv_a_run_tells_of_each_batch_and_each_request_without_an_answer() {
    assert_lines!(with_a_fault(FaultKind::LostAnswer, "-vv"), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     5        5         4          0         1 [DURATION]

    every record is accounted for: 5 = 4 accepted + 1 rejected

    --- stderr
    [TIME]  INFO step{run=2 step=customers}: step begins step=customers
    [TIME] DEBUG step{run=2 step=customers}:batch{id=1}: no answer operation="ImportCustomerBulk" error="it is not known whether the request was applied: the answer was lost: error sending request: client error (SendRequest): connection [CUT]"
    [TIME]  INFO step{run=2 step=customers}:batch{id=1}: it is not known whether the request was applied: the answer was lost: error sending request: client error (SendRequest): connection [CUT] next_try=2 wait_s=[WAIT]
    [TIME] DEBUG step{run=2 step=customers}: a batch has its answer batch=1 accepted=4 failed=0 open=0
    [TIME]  INFO step{run=2 step=customers}: step is over step=customers records=5 accepted=4 unchanged=0 filtered=0 rejected=1 refused=0 open=0
    rejected rows are in .stigg-import/rejects/2-customers.jsonl
    hint: stigg-import rejects list --run 2 shows why
    "#);
}

/// The account and the hint are for people, and stay text; each line of the log is an object.
#[test]
fn as_json_each_line_of_the_log_is_an_object() {
    assert_lines!(with_a_fault(FaultKind::ServerErrorAfter, "-v --log-format json"), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     5        5         4          0         1 [DURATION]

    every record is accounted for: 5 = 4 accepted + 1 rejected

    --- stderr
    {"timestamp":"[TIME]","level":"INFO","message":"step begins","step":"customers","target":"stigg_import::cli::progress","span":{"run":2,"step":"customers","name":"step"},"spans":[{"run":2,"step":"customers","name":"step"}]}
    {"timestamp":"[TIME]","level":"INFO","message":"it is not known whether the request was applied: the API failed: UnexpectedError: Internal server error (trace [UUID])","next_try":2,"wait_s":[WAIT],"target":"stigg_import::cli::progress","span":{"run":2,"step":"customers","name":"step"},"spans":[{"run":2,"step":"customers","name":"step"}]}
    {"timestamp":"[TIME]","level":"INFO","message":"step is over","step":"customers","records":5,"accepted":4,"unchanged":0,"filtered":0,"rejected":1,"refused":0,"open":0,"target":"stigg_import::cli::progress","span":{"run":2,"step":"customers","name":"step"},"spans":[{"run":2,"step":"customers","name":"step"}]}
    rejected rows are in .stigg-import/rejects/2-customers.jsonl
    hint: stigg-import rejects list --run 2 shows why
    "#);
}
