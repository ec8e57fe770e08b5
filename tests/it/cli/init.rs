use super::clean;
use crate::program::{Api, Folder, assert_ran, repository};

/// An export of nobody we know.
const ACCOUNTS: &str = "Account Code,Company,Contact,Notes
acme,Acme Inc,ada@acme.example,vip
bolt,Bolt,bob@bolt.example,
";

const CONTRACTS: &str = "contract_id,account_id,plan,interval,starts,seats
k1,acme,Pro Plan,month,2024-01-31 10:00,5
k2,bolt,free,yearly,2024-02-01 11:00,1
";

#[test]
fn an_export_that_nobody_knows_is_drafted_checked_planned_run_and_verified() {
    // Given: nothing but two files.
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("accounts.csv", ACCOUNTS).write("contracts.csv", CONTRACTS);

    // When
    assert_ran!(folder.run("init --entity customer --csv accounts.csv"), @r#"
    exit 0
    --- stdout
    2 rows of 4 columns: no export that is known; columns were guessed
    wrote ./customers.toml
    wrote a step into ./pipeline.toml

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
    assert_ran!(folder.run("init --entity subscription --csv contracts.csv"), @r#"
    exit 0
    --- stdout
    2 rows of 6 columns: no export that is known; columns were guessed
    wrote ./subscriptions.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in the mapping:
      lookups.plans: what each plan becomes in Stigg
      startDate: is the zone of column "starts" UTC?

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);

    // Then: what was written goes all the way as it is.
    assert_eq!(
        folder.read("pipeline.toml"),
        "\
[[step]]
name = \"customers\"
mapping = \"customers.toml\"
source = { csv = \"accounts.csv\" }

[[step]]
name = \"subscriptions\"
mapping = \"subscriptions.toml\"
source = { csv = \"contracts.csv\" }
"
    );
    folder.run("check pipeline.toml").exits(0);
    folder.run_to(&api, "plan pipeline.toml").exits(4);
    let ran = folder.run_to(&api, "run pipeline.toml --json").exits(0);
    assert_eq!(ran.total("accepted"), 4, "{ran}");
    folder.run_to(&api, "verify pipeline.toml").exits(0);
}

#[test]
fn a_draft_is_not_written_over_what_a_person_wrote() {
    let folder = clean();
    let before = folder.read("customers.toml");
    assert_ran!(folder.run("init --entity customer --csv customers.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: ./customers.toml is there already
    hint: say --force to write over it, or --dir for another folder; nothing was written
    "#);
    assert_eq!(folder.read("customers.toml"), before);
    folder.run("init --entity customer --csv customers.csv --force").exits(0);
    assert_ne!(folder.read("customers.toml"), before);

    // A step of that name is a person's, too.
    let pipeline = folder.read("pipeline.toml");
    let again = folder.run("init --entity customer --csv customers.csv --force --json").exits(0);
    assert_eq!(again.json()["drafts"][0]["pipeline"], serde_json::Value::Null, "{again}");
    assert_eq!(folder.read("pipeline.toml"), pipeline);
}

#[test]
fn what_is_needed_and_not_found_is_asked_for() {
    let folder = Folder::new();
    folder.write("crm.csv", "who,mail\nacme,ada@acme.example\nacme,bob@acme.example\n");
    assert_ran!(folder.run("init --entity customer --csv crm.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: no column looks like the customerId of a customer
    hint: say which one it is: --column customerId=COLUMN; nothing was written
    "#);
    assert_ran!(folder.run("init --entity customer --csv crm.csv --column customerId=acct"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: there is no column acct
    hint: the columns are who, mail
    "#);
    assert_ran!(folder.run("init --entity customer --csv crm.csv --column id=who"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a customer has no field id
    hint: its fields are customerId, email, name, billingId, paymentMethodId, salesforceId, updatedAt, additionalMetaData
    "#);
    assert_ran!(folder.run("init --entity customer --csv missing.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: missing.csv: no such file
    hint: nothing was written; mend the source and run the same command again
    "#);
    assert_ran!(folder.run("init --entity invoice --csv crm.csv"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: invalid value 'invoice' for '--entity <ENTITY>': an entity is one of customer, subscription, paid-subscription, usage, event

    For more information, try '--help'.
    "#);
    assert!(!folder.path("customers.toml").exists(), "nothing was written");

    folder.run("init --entity customer --csv crm.csv --column customerId=who").exits(0);
    folder.run("check pipeline.toml").exits(0);
}

/// Given times of which each may be of two days, when they are drafted without a terminal, then it is said how to tell which.
#[test]
fn dates_that_can_be_read_in_two_ways_are_told_apart_by_a_word() {
    let folder = Folder::new();
    folder.write("events.csv", "customer_id,event_id,event,date\nacme,e1,call,03/04/2024\nbolt,e2,call,05/06/2024\n");
    assert_ran!(folder.run("init --entity event --csv events.csv"), @"
    exit 5
    --- stdout

    --- stderr
    error: in column date, either the day or the month may come first, and every record needs its timestamp
    hint: say which one does: --dates day-first or --dates month-first; nothing was written
    ");
    assert!(!folder.path("events.toml").exists() && !folder.path("pipeline.toml").exists());
    assert_ran!(folder.run("init --entity event --csv events.csv --dates day-first"), @r#"
    exit 0
    --- stdout
    2 rows of 4 columns: no export that is known; columns were guessed
    wrote ./events.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in the mapping:
      timestamp: is the zone of column "date" UTC?

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
    let line = |folder: &Folder| {
        let mapping = folder.read("events.toml");
        mapping.lines().find(|line| line.starts_with("timestamp")).unwrap_or_default().to_owned()
    };
    insta::assert_snapshot!(line(&folder), @r#"timestamp = { column = "date", time = "%d/%m/%Y", zone = "UTC" }"#);
    folder.run("init --entity event --csv events.csv --dates month-first --force").exits(0);
    insta::assert_snapshot!(line(&folder), @r#"timestamp = { column = "date", time = "%m/%d/%Y", zone = "UTC" }"#);
    folder.run("check pipeline.toml").exits(0);
    assert_ran!(folder.run("init --entity event --csv events.csv --column date"), @"
    exit 2
    --- stdout

    --- stderr
    error: invalid value 'date' for '--column <FIELD=COLUMN>': it has the form FIELD=COLUMN

    For more information, try '--help'.
    ");
}

/// Given names of plans in another alphabet, when they are drafted, then each gets an id of its own, beside its name.
#[test]
fn plans_in_another_alphabet_are_proposed_with_numbers() {
    let folder = Folder::new();
    folder.write(
        "subscriptions.csv",
        "subscription_id,customer_id,plan\ns1,acme,Базовый\ns2,bolt,Базовый\ns3,cora,专业版\ns4,dune,Επιχείρηση\n",
    );
    folder.run("init --entity subscription --csv subscriptions.csv").exits(0);
    let mapping = folder.read("subscriptions.toml");
    let lookup = mapping.find("# TODO: what each").map(|at| &mapping[at..]).unwrap_or_default();
    insta::assert_snapshot!(lookup, @r#"
    # TODO: what each becomes in Stigg: the id of its plan. Rows with another value are rejected.
    [lookups.plans]
    "Базовый" = "plan-1"  # 2 rows of the sample
    "Επιχείρηση" = "plan-2"  # 1 row of the sample
    "专业版" = "plan-3"  # 1 row of the sample
    "#);
    folder.run("check pipeline.toml").exits(0);
}

#[test]
fn a_table_of_a_database_is_drafted_and_its_password_is_not_written() {
    let folder = Folder::new();
    folder.write("app.db", std::fs::read(repository("tests/data/chinook/Chinook_Sqlite.sqlite")).unwrap());
    folder.run("init --entity customer --sqlite app.db --table Customer").exits(0);
    assert!(folder.read("pipeline.toml").contains(r#"source = { sqlite = "app.db", table = "Customer" }"#));
    folder.run("check pipeline.toml").exits(0);
    let refused = folder.run("init --entity customer --force --postgres postgres://me:secret@127.0.0.1/db --table t");
    let refused = refused.exits(2).to_string();
    assert!(!refused.contains("secret"), "{refused}");
}

/// A nested export that nobody wrote a mapping for.
const WORKSPACES: &str = r#"{
  "exported": "2024-03-01T00:00:00Z",
  "workspaces": [
    {"workspace": {"id": "ws-1", "owner": {"name": "Ada", "email": "ada@acme.example"}},
     "account": {"ref": "acme", "id": "acc-1", "name": "Acme Inc"},
     "agreement": {"subscription_id": "k1", "plan": {"code": "Pro Plan", "cycle": "month"},
       "starts": "2024-01-31T10:00:00Z", "lines": [{"sku": "seat", "quantity": 5}]},
     "metadata": {"tier": "gold", "region": null}},
    {"workspace": {"id": "ws-2", "owner": {"name": "Bob", "email": "bob@bolt.example"}},
     "account": {"ref": "bolt", "id": "acc-2", "name": "Bolt"},
     "agreement": {"subscription_id": "k2", "plan": {"code": "free", "cycle": "year"},
       "starts": "2024-02-01T11:00:00Z", "lines": [{"sku": "seat", "quantity": 1}]},
     "metadata": {}}
  ]
}"#;

/// Given nested JSON, when it is drafted twice, then values are found inside, and the drafts go all the way as they are.
#[test]
fn nested_json_that_nobody_knows_is_drafted_checked_run_and_verified() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("export.json", WORKSPACES);
    assert_ran!(folder.run("init --entity customer --json export.json"), @r#"
    exit 0
    --- stdout
    2 rows of 22 columns: no export that is known; columns were guessed
    wrote ./customers.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in the mapping:
      customerId: is it column "account.id", and not "account.ref"?

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
    assert_ran!(folder.run("init --entity subscription --json export.json"), @r#"
    exit 0
    --- stdout
    2 rows of 22 columns: no export that is known; columns were guessed
    wrote ./subscriptions.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in the mapping:
      customerId: is it column "account.id", and not "account.ref"?
      lookups.plans: what each plan becomes in Stigg

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
    insta::assert_snapshot!(folder.read("customers.toml"), @r#"
    # A draft from 22 columns and 2 rows. Each guess says why; look at those, and at every TODO.

    entity = "customer"

    [fields]
    # by its name: acc-1 | acc-2
    # TODO: is it column "account.id", and not "account.ref"?
    customerId = "account.id"
    # by its name: ada@acme.example | bob@bolt.example
    email = "workspace.owner.email"
    # by its name: Acme Inc | Bolt
    name = "account.name"
    # by its name: {"tier":"gold","region":null} | {}
    additionalMetaData = { column = "metadata", json = true }

    # Columns that are not read.
    # "workspace.id": ws-1 | ws-2
    # "workspace.owner.name": Ada | Bob
    # "account.ref": acme | bolt
    # "agreement.subscription_id": k1 | k2
    # "agreement.plan.code": Pro Plan | free
    # "agreement.plan.cycle": month | year
    # "agreement.starts": 2024-01-31T10:00:00Z | 2024-02-01T11:00:00Z
    # "agreement.lines[0].sku": seat
    # "agreement.lines[0].quantity": 5 | 1
    "#);
    insta::assert_snapshot!(folder.read("subscriptions.toml"), @r#"
    # A draft from 22 columns and 2 rows. Each guess says why; look at those, and at every TODO.

    entity = "subscription"

    [fields]
    # by its name: k1 | k2
    subscriptionId = "agreement.subscription_id"
    # by its name: acc-1 | acc-2
    # TODO: is it column "account.id", and not "account.ref"?
    customerId = "account.id"
    # by its name: Pro Plan | free
    planId = { column = "agreement.plan.code", lookup = "plans" }
    # by its name: ws-1 | ws-2
    resourceId = "workspace.id"
    # by its name: 2024-01-31T10:00:00Z | 2024-02-01T11:00:00Z
    startDate = "agreement.starts"
    # by its name: month | year
    billingPeriod = { column = "agreement.plan.cycle", map = { "month" = "MONTHLY", "year" = "ANNUALLY" } }
    # by its name: 5 | 1
    unitQuantity = "agreement.lines[0].quantity"
    # by its name: {"tier":"gold","region":null} | {}
    additionalMetaData = { column = "metadata", json = true }

    # Columns that are not read.
    # "workspace.owner.name": Ada | Bob
    # "workspace.owner.email": ada@acme.example | bob@bolt.example
    # "account.ref": acme | bolt
    # "account.name": Acme Inc | Bolt
    # "agreement.lines[0].sku": seat

    # TODO: what each becomes in Stigg: the id of its plan. Rows with another value are rejected.
    [lookups.plans]
    "Pro Plan" = "pro-plan"  # 1 row of the sample
    "free" = "free"  # 1 row of the sample
    "#);
    assert!(folder.read("pipeline.toml").contains(r#"source = { json = "export.json", array = "workspaces" }"#));
    folder.run("check pipeline.toml").exits(0);
    let ran = folder.run_to(&api, "run pipeline.toml --json").exits(0);
    assert_eq!(ran.total("accepted"), 4, "{ran}");
    folder.run_to(&api, "verify pipeline.toml").exits(0);
    let customers = &api.sandbox.snapshot().customers;
    assert!(customers.contains_key("acc-1"), "{:?}", customers.keys());
}

/// The same records on lines, and as entries of an object in each record.
#[test]
fn json_lines_and_entries_of_an_object_are_drafted() {
    let folder = Folder::new();
    folder.write(
        "totals.jsonl",
        "{\"customerId\":\"acme\",\"totals\":{\"seats\":3,\"sites\":2}}\n{\"customerId\":\"bolt\",\"totals\":{\"seats\":1}}\n",
    );
    folder.run("init --entity customer --json totals.jsonl").exits(0);
    let usage = "init --entity usage --json totals.jsonl --each totals --column featureId=_key --column value=_value";
    let drafted = folder.run(&format!("{usage} --json")).exits(0);
    assert_eq!(drafted.json()["rows"], 3, "{drafted}");
    assert!(folder.read("pipeline.toml").contains(r#"source = { json = "totals.jsonl", each = "totals" }"#));
    folder.run("check pipeline.toml").exits(0);
}

/// What the API of a known vendor lists gets the mapping that ships, whatever optional parts the first records lack.
#[test]
fn answers_of_known_apis_are_recognised() {
    let folder = Folder::new();
    folder
        .write(
            "subs.json",
            r#"{"object":"list","data":[{"id":"sub_1","object":"subscription","customer":"cus_1","status":"active","start_date":1750091700,
            "cancel_at_period_end":false,"metadata":{"seats":"37"},"items":{"object":"list","data":[{"id":"si_1","quantity":37,
            "current_period_start":1781195700,"current_period_end":1783787700,
            "price":{"id":"price_Team","unit_amount":4900,"recurring":{"interval":"month","interval_count":1}}}]}}],"has_more":false}"#,
        )
        .write("customers.json", std::fs::read(repository("tests/data/bulk/customers-1.9.1.json")).unwrap());
    let drafted = folder.run("init --entity subscription --json subs.json --json").exits(0);
    assert_eq!(drafted.json()["drafts"][0]["recognised"], "list of subscriptions of Stripe's API", "{drafted}");
    assert!(folder.read("subscriptions.toml").contains("\"price_Team\" = \"price_Team\"  # 1 row of the sample"));
    let drafted = folder.run("init --entity customer --json customers.json --json").exits(0);
    assert_eq!(drafted.json()["drafts"][0]["recognised"], "customers file of @stigg/bulk-import", "{drafted}");
    folder.run("check pipeline.toml").exits(0);
}

#[test]
fn a_source_that_is_missing_double_or_has_several_arrays_is_told() {
    let folder = Folder::new();
    folder.write("a.json", r#"{"one":[{"id":1}],"two":[{"id":2}]}"#).write("a.csv", "id\n1\n");
    assert_ran!(folder.run("init --entity customer --json"), @r#"
    exit 2
    --- stdout
    {
      "ok": false,
      "exit": 2,
      "error": {
        "message": "there is nothing to draft from",
        "causes": [],
        "hint": "name a file or a database: --csv FILE, --json FILE, --postgres URL --table NAME; see stigg-import init --help"
      }
    }

    --- stderr
    error: there is nothing to draft from
    hint: name a file or a database: --csv FILE, --json FILE, --postgres URL --table NAME; see stigg-import init --help
    "#);
    assert_ran!(folder.run("init --entity customer --csv a.csv --json a.json"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a draft has one source
    hint: files of one kind go in one pattern ('exports/*.csv'); draft the others one by one
    "#);
    assert_ran!(folder.run("init --entity customer --json -"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a draft reads its input twice, and standard input comes once
    hint: write it to a file first
    "#);
    assert_ran!(folder.run("init --entity customer --json a.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: a.json: has more than one array: `one`, `two`; say which one holds the records
    hint: say which one with --array one (in a pipeline file: array = "one"); nothing was written
    "#);
    folder.run("init --entity customer --json a.json --array two").exits(0);
    assert!(folder.read("pipeline.toml").contains(r#"source = { json = "a.json", array = "two" }"#));
}

/// Nobody said what a row is: the columns tell, or somebody has to.
#[test]
fn what_a_row_is_is_told_by_the_columns_where_it_can_be() {
    let folder = Folder::new();
    folder
        .write("accounts.csv", ACCOUNTS)
        .write("contracts.csv", CONTRACTS)
        .write("either.csv", "member,mail,plan\nm1,ada@acme.example,gold\n")
        .write("neither.csv", "x\n1\n");
    for (file, entity) in [("accounts.csv", "customer"), ("contracts.csv", "subscription")] {
        let drafted = folder.run(&format!("init --csv {file} --json")).exits(0);
        assert_eq!(drafted.json()["drafts"][0]["entity"], entity, "{drafted}");
    }
    // All that a row may be is there.
    assert_ran!(folder.run("init --csv either.csv"), @"
    exit 5
    --- stdout

    --- stderr
    error: ./customers.toml is there already
    hint: say --force to write over it, or --dir for another folder; nothing was written
    ");
    assert_ran!(folder.run("init --csv neither.csv"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the columns don't tell what a row is
    hint: say --entity with one of customer, subscription, paid-subscription, usage, event; nothing was written
    "#);
    assert_ran!(folder.run("init --csv accounts.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: ./customers.toml is there already
    hint: say --force to write over it, or --dir for another folder; nothing was written
    "#);
}

/// Given a list of customers with their plans beside a mapping of customers that a person has, when it is drafted, then theirs is
/// left as it is; with --force both are written, and the earlier draft's step reads the new file.
#[test]
fn a_row_that_is_a_customer_and_a_subscription_is_drafted_as_both() {
    let folder = Folder::new();
    folder.write("accounts.csv", ACCOUNTS).write("either.csv", "member,mail,plan\nm1,ada@acme.example,gold\n");
    folder.run("init --csv accounts.csv").exits(0);
    let before = folder.read("customers.toml");
    assert_ran!(folder.run("init --csv either.csv"), @"
    exit 0
    --- stdout
    1 row of 3 columns: no export that is known; columns were guessed
    each row is a customer and a subscription; --entity drafts only one of them
    ./customers.toml is there already; it was left as it is
    wrote ./subscriptions.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in the mapping:
      subscriptionId: there is none; has each customer one subscription, so that its id can be the customer's?
      lookups.plans: what each plan becomes in Stigg

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    ");
    assert_eq!(folder.read("customers.toml"), before);
    assert_ran!(folder.run("init --csv either.csv --force"), @"
    exit 0
    --- stdout
    1 row of 3 columns: no export that is known; columns were guessed
    each row is a customer and a subscription; --entity drafts only one of them
    wrote ./customers.toml
    wrote over the step in ./pipeline.toml
    wrote ./subscriptions.toml
    pipeline.toml has a step of this name already; it was left as it is

    to decide, each at a TODO in its mapping:
      subscriptions.toml, subscriptionId: there is none; has each customer one subscription, so that its id can be the customer's?
      subscriptions.toml, lookups.plans: what each plan becomes in Stigg

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    ");
    insta::assert_snapshot!(folder.read("pipeline.toml"), @r#"
    [[step]]
    name = "customers"
    mapping = "customers.toml"
    source = { csv = "either.csv" }

    [[step]]
    name = "subscriptions"
    mapping = "subscriptions.toml"
    source = { csv = "either.csv" }
    "#);
    let drafted = folder.run("init --csv either.csv --force --json").exits(0).json();
    assert_eq!(drafted["drafts"].as_array().map(Vec::len), Some(2), "{drafted}");
    folder.run("check pipeline.toml").exits(0);
    folder.run("init --csv either.csv --force --column nothing=plan").exits(2);
}

/// Given a list of customers with a column that may be a plan, when it is drafted, then the one command that drafts it is named,
/// and works.
#[test]
fn what_a_row_may_be_besides_is_told_with_the_command_that_drafts_it() {
    let folder = Folder::new();
    folder.write("members.csv", "Member No;Mail;Club\n1;a@gym.example;Soho\n2;b@gym.example;Soho\n");
    assert_ran!(folder.run("init --csv members.csv"), @r#"
    exit 0
    --- stdout
    2 rows of 3 columns: no export that is known; columns were guessed
    wrote ./customers.toml
    wrote a step into ./pipeline.toml

    if column "Club" says a plan of each, this drafts the subscriptions, too:
      stigg-import init --entity subscription --csv members.csv

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
    folder.run("init --entity subscription --csv members.csv").exits(0);
    folder.run("check pipeline.toml").exits(0);
}

#[test]
fn paid_subscriptions_are_drafted_for_a_cutover_and_not_into_the_pipeline() {
    let folder = Folder::new();
    folder.write(
        "paid subs.csv",
        "sub_id,customer_id,plan,started,interval,price\nsub_1,acme,Pro,2024-01-31T10:00:00Z,month,4900\n",
    );
    let mut command = folder.command("init --entity paid-subscription --csv");
    assert_ran!(folder.finish(command.arg("paid subs.csv")), @r#"
    exit 0
    --- stdout
    1 row of 6 columns: no export that is known; columns were guessed
    wrote ./paid-subscriptions.toml
    paid subscriptions are no step of a pipeline: `cutover` moves them

    to decide, each at a TODO in the mapping:
      lookups.plans: what each plan becomes in Stigg
      priceUnitAmount: prices are the catalog's; if this is negotiated instead, take away the next #; are these amounts in cents?

    then:
      stigg-import check --mapping ./paid-subscriptions.toml --csv 'paid subs.csv'
      stigg-import cutover --mapping ./paid-subscriptions.toml --csv 'paid subs.csv' --plan

    --- stderr
    "#);
    insta::assert_snapshot!(folder.read("paid-subscriptions.toml"), @r#"
    # A draft from 6 columns and 1 row. Each guess says why; look at those, and at every TODO.

    entity = "paid_subscription"

    [fields]
    # by its name: sub_1
    subscriptionId = "sub_id"
    # by its name: acme
    customerId = "customer_id"
    # by its name: Pro
    planId = { column = "plan", lookup = "plans" }
    # by its name: 2024-01-31T10:00:00Z
    startDate = "started"
    # by its name: month
    billingPeriod = { column = "interval", map = { "month" = "MONTHLY" } }
    # by its name: 4900
    # TODO: prices are the catalog's; if this is negotiated instead, take away the next #; are these amounts in cents?
    # priceUnitAmount = { column = "price", scale = -2 }
    # The one that `cutover` cancels once its replacement is proved.
    original = { provider = { const = "stripe" }, id = "sub_id" }
    # Goes to the provider with the new one, which so says where it comes from.
    billingInformation.metadata.migratedFrom = "sub_id"

    # TODO: what each becomes in Stigg: the id of its plan. Rows with another value are rejected.
    [lookups.plans]
    "Pro" = "Pro"  # 1 row of the sample
    "#);
    assert!(!folder.path("pipeline.toml").exists());
    let mut check = folder.command("check --mapping paid-subscriptions.toml --csv");
    folder.finish(check.arg("paid subs.csv")).exits(0);
}

/// What a draft can't know, all in one export.
const DOUBTFUL: &str = "id,acct,plan,start,interval,price,mail
s1,acme,Pro,03/04/2024,month,4900,ada@acme.example
s2,bolt,Day,05/06/2024,year,1900,bob@bolt.example
";

/// On a terminal (`script` of util-linux makes one) what can't be guessed well is asked for, once each, with the guess on Enter.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_what_cannot_be_known_is_asked_for() {
    let draft = |typed: &str, words: &str| {
        let folder = Folder::new();
        folder.write("doubtful.csv", DOUBTFUL);
        let line = format!(
            "(sleep 1; printf '{typed}'; sleep 1) | script -qec \"stty -echo; $PROGRAM init --csv doubtful.csv {words}\" /dev/null"
        );
        let ran = folder.finish(&mut folder.shell(&line));
        (folder, ran)
    };

    // What a row is, which column, the order of day and month, and the unit: two by number or name, two by Enter.
    let (folder, ran) = draft("paid_subscription\\nmonth\\n2\\n\\n\\n", "");
    let said: Vec<&str> = ran.stdout.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    what is a row?
      1  both               a customer, and the plan that it has: a mapping of each
      2  customer           who is billed
      3  subscription       a customer has a free or custom plan
      4  paid_subscription  a customer has a paid plan, which is moved by `cutover`
      5  usage              how much of a feature a customer has used, in all
      6  event              something that a customer did once
    number, or Enter for 1:
    column start: does the day or the month come first?
      1  day first    %d/%m/%Y
      2  month first  %m/%d/%Y
    number, or Enter for 1:
    a number from 1 to 2, or Enter for 1:
    column price: are these amounts in whole units or in cents?
      1  whole units  4900 is 4900.00
      2  cents        4900 is 49.00
    number, or Enter for 2:
    at which billing provider are the originals?
      1  stripe
      2  zuora
      3  chargebee
      4  recurly
      5  paddle
    number, or Enter for 1:
    2 rows of 7 columns: no export that is known; columns were guessed
    wrote ./paid-subscriptions.toml
    paid subscriptions are no step of a pipeline: `cutover` moves them

    to decide, each at a TODO in the mapping:
      lookups.plans: what each plan becomes in Stigg
      startDate: is the zone of column "start" UTC?
      priceUnitAmount: prices are the catalog's; if this is negotiated instead, take away the next #

    then:
      stigg-import check --mapping ./paid-subscriptions.toml --csv doubtful.csv
      stigg-import cutover --mapping ./paid-subscriptions.toml --csv doubtful.csv --plan
    "#);
    let mapping = folder.read("paid-subscriptions.toml");
    for line in [
        "startDate = { column = \"start\", time = \"%m/%d/%Y\", zone = \"UTC\" }\n",
        "# priceUnitAmount = { column = \"price\", scale = -2 }\n",
        "original = { provider = { const = \"stripe\" }, id = \"id\" }\n",
    ] {
        assert!(mapping.contains(line), "{line}: {mapping}");
    }
    assert!(!mapping.contains("are these amounts"), "it was answered: {mapping}");

    // Silent with --yes: nothing is asked, and what would silently be wrong is refused or left out.
    let (folder, ran) = draft("", "--yes --entity subscription");
    assert_eq!(ran.exit, Some(0), "{ran}");
    assert!(!ran.stdout.contains("Enter"), "{ran}");
    assert!(folder.read("subscriptions.toml").contains("# TODO: 3 April or 4 March?"), "{ran}");
    let (folder, ran) = draft("", "--yes");
    assert_eq!(ran.exit, Some(0), "{ran}");
    assert!(folder.path("customers.toml").exists() && folder.path("subscriptions.toml").exists(), "{ran}");

    // Who ends the input leaves the rest to the guesses.
    let (folder, ran) = draft("\\004", "--entity subscription");
    assert_eq!(ran.exit, Some(0), "{ran}");
    assert!(folder.read("subscriptions.toml").contains("# TODO: 3 April or 4 March?"), "{ran}");
}

/// A gym's member list and contracts, in the gym's words, with semicolons and a dirty row.
const MEMBERS: &str = "Member No;Forename;Surname;E-Mail;Phone;Home Club;Member since
10001;Ada;Lovelace;ada@gym.example;+44 20 1;Soho;03.01.2024
10002;Bob;Stone;bob@gym.example;+44 20 2;Soho;14.02.2024
10003;Cleo;Park;cleo@gym.example;;Camden;28.02.2025
10004;Dan;Ohm;not an address;+44 20 4;Camden;01.03.2025
10005;Eve;Eden;;+44 20 5;Soho;02.03.2025
";
const TARIFFS: &str = "Contract No;Member No;Tariff;Signed;Runs from;Runs until;Paid;Monthly fee;State
C-1;10001;Gold 24/7;03.01.2024;03.01.2024;;monthly;49,90;active
C-2;10002;Off-peak;14.02.2024;15.02.2024;14.02.2025;monthly;19,90;ended
C-3;10003;Gold 24/7;28.02.2025;01.03.2025;;yearly;499,00;active
C-5;10005;Off-peak;02.03.2025;02.03.2025;;monthly;19,90;active
";

/// Given exports in another trade's words, and only the plan lookup edited, when the five commands of the README are run, then
/// the import is verified.
#[test]
fn a_gyms_lists_reach_a_verified_import_with_only_the_plans_edited() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("members.csv", MEMBERS).write("contracts.csv", TARIFFS);
    // The wrong way round: what a subscription needs is put before it.
    assert_ran!(folder.run("init --csv contracts.csv"), @r#"
    exit 0
    --- stdout
    4 rows of 9 columns: no export that is known; columns were guessed
    wrote ./subscriptions.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in the mapping:
      lookups.plans: what each plan becomes in Stigg
      startDate: is the zone of column "Runs from" UTC?
      endDate: is the zone of column "Runs until" UTC?

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
    assert_ran!(folder.run("init --csv members.csv"), @r#"
    exit 0
    --- stdout
    5 rows of 7 columns: no export that is known; columns were guessed
    wrote ./customers.toml
    wrote a step into ./pipeline.toml

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
    insta::assert_snapshot!(folder.read("pipeline.toml"), @r#"
    [[step]]
    name = "customers"
    mapping = "customers.toml"
    source = { csv = "members.csv" }

    [[step]]
    name = "subscriptions"
    mapping = "subscriptions.toml"
    source = { csv = "contracts.csv" }
    "#);
    let mapping = folder.read("subscriptions.toml");
    let plans = mapping.replace("\"gold-24-7\"", "\"plan-gold\"").replace("= \"Off-peak\"", "= \"plan-off-peak\"");
    assert_ne!(mapping, plans);
    folder.write("subscriptions.toml", plans);
    assert_ran!(folder.run("check pipeline.toml"), @r#"
    exit 3
    --- stdout
    customers.toml: holds, and has no examples
    subscriptions.toml: holds, and has no examples
    customers: members.csv: uncompressed, UTF-8 (assumed), delimiter semicolon, quote ", LF, 7 columns
    customers: of the first 5 rows 1 would be rejected
      members.csv:5, record 4: email "not an address": is not an e-mail address
    subscriptions: contracts.csv: uncompressed, UTF-8 (assumed), delimiter semicolon, quote ", LF, 9 columns
    subscriptions: the first 4 rows fit

    --- stderr
    "#);
    assert_ran!(folder.run_to(&api, "plan pipeline.toml"), @r#"
    exit 4
    --- stdout
    step           rows  records  create  change  unchanged  rejected time
    customers         5        5       4       0          0         1 [DURATION]
    subscriptions     4        4       4       0          0         0 [DURATION]

    customers: 4 records, 1 request, about a second at the rate limit
      1 would be rejected: email: is not an e-mail address
        members.csv:5, record 4: "not an address"
    subscriptions: 4 records, 1 request, about a second at the rate limit
    in all: 8 records, 2 requests, about a second at the rate limit

    --- stderr
    "#);
    assert_ran!(folder.run_to(&api, "run pipeline.toml"), @r#"
    exit 3
    --- stdout
    step           rows  records  accepted  unchanged  rejected time
    customers         5        5         4          0         1 [DURATION]
    subscriptions     4        4         4          0         0 [DURATION]

    every record is accounted for: 9 = 8 accepted + 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why
    "#);
    assert_ran!(folder.run_to(&api, "verify pipeline.toml"), @r#"
    exit 0
    --- stdout
    step           expected  equal  different  missing  unread
    customers             4      4          0        0       0
    subscriptions         4      4          0        0       0

    --- stderr
    everything that should be in Stigg is there, as the source has it
    "#);
    let there = api.sandbox.snapshot();
    assert_eq!(there.customers["10001"].name.as_deref(), Some("Ada Lovelace"));
    let plans: Vec<&str> = there.subscriptions.values().map(|one| one.plan_id.as_str()).collect();
    assert_eq!(plans, ["plan-gold", "plan-off-peak", "plan-gold", "plan-off-peak"]);
}

#[test]
fn an_export_that_is_known_is_told_by_its_name() {
    let folder = Folder::new();
    let export = repository("tests/data/stripe-small/customers.csv");
    folder.write("customers.csv", std::fs::read(export).unwrap());
    assert_ran!(folder.run("init --csv customers.csv"), @"
    exit 0
    --- stdout
    63 rows of 37 columns: a Stripe customers export; the mapping that ships fits it
    wrote ./customers.toml
    wrote a step into ./pipeline.toml

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    ");
}
