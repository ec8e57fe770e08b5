//! What a run would do: told, compared with Stigg, kept, and held to.

use super::{CUSTOMERS_CSV, RUN, clean, customers};
use crate::program::{Api, Folder, LEDGER, Ran, assert_ran, catalog};
use stigg_import::sandbox::Settings;

const PLAN: &str = "plan --mapping customers.toml --csv customers.csv";

#[test]
fn plan_says_what_run_would_do_and_sends_nothing() {
    let (api, folder) = (Api::open(), customers());
    assert_ran!(folder.run_to(&api, "plan --mapping customers.toml --csv customers.csv"), @r#"
    exit 4
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     5        5       4       0          0         1 [DURATION]

    customers: 4 records, 1 request, about a second at the rate limit
      1 would be rejected: email: is not an e-mail address
        customers.csv:4, record 3: "not-an-email"

    --- stderr
    "#);
    assert_eq!(api.requests("importCustomersBulk"), 0);
    assert!(!folder.path(".stigg-import").exists(), "a plan writes nothing");

    folder.run_to(&api, RUN).exits(3);
    folder.write("customers.csv", CUSTOMERS_CSV.replace("Bob", "Robert") + "cus_6,,Fay\n");
    let requests = api.requests("importCustomersBulk");
    assert_ran!(folder.run_to(&api, "plan --mapping customers.toml --csv customers.csv"), @r#"
    exit 4
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     6        6       1       1          3         1 [DURATION]

    customers: 2 records, 1 request, about a second at the rate limit
      1 would be rejected: email: is not an e-mail address
        customers.csv:4, record 3: "not-an-email"
      1 changed: name 1
        cus_2 (customers.csv:3, record 2): name

    --- stderr
    "#);
    let plan = folder.run_to(&api, "plan --mapping customers.toml --csv customers.csv --json").exits(4).json();
    let step = &plan["steps"][0];
    assert_eq!([&step["create"], &step["change"], &step["unchanged"], &step["rejected"]], [1, 1, 3, 1], "{plan}");
    assert_eq!(api.requests("importCustomersBulk"), requests);
}

/// Customers, subscriptions and usage of which the API would refuse some.
fn a_pipeline_with_dangling_references() -> Folder {
    let folder = customers();
    folder
        .write(
            "pipeline.toml",
            "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n\
             [[step]]\nname = \"subscriptions\"\nmapping = \"subscriptions.toml\"\nsource = { csv = \"subscriptions.csv\" }\n\
             [[step]]\nname = \"usage\"\nmapping = \"usage.toml\"\nsource = { csv = \"usage.csv\" }\n",
        )
        .write(
            "subscriptions.toml",
            "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n\
             endDate = { column = \"ends\", time = \"iso\" }\n",
        )
        .write(
            "subscriptions.csv",
            "id,customer,plan,ends\nsub_1,cus_1,plan-free,\nsub_2,cus_2,plan-nobody-made,\nsub_3,cus_3,plan-free,\n\
             sub_4,cus_4,plan-free,2020-01-01T00:00:00Z\nsub_5,cus_5,plan-nobody-made,\nsub_6,cus_9,plan-team,\n",
        )
        .write(
            "usage.toml",
            "entity = \"usage\"\n[fields]\ncustomerId = \"customer\"\nfeatureId = \"feature\"\nvalue = \"value\"\n",
        )
        .write(
            "usage.csv",
            "customer,feature,value\ncus_1,feature-api-calls,5\ncus_1,feature-nobody-made,6\ncus_1,feature-fed,7\n\
             cus_1,feature-switch,8\ncus_4,feature-api-calls,9\ncus_9,feature-api-calls,10\n",
        );
    folder
}

/// The demo's catalog with a feature that events feed and one without a meter. Usage needs a subscription.
fn strict_api() -> Api {
    let mut all = serde_json::to_value(catalog()).unwrap();
    let features = all["features"].as_array_mut().unwrap();
    features.push(serde_json::json!({ "id": "feature-fed", "meter": "Incremental", "events": true }));
    features.push(serde_json::json!({ "id": "feature-switch", "type": "BOOLEAN", "meter": "None" }));
    let catalog = Some(serde_json::from_value(all).unwrap());
    Api::new(Settings { catalog, ..Settings::default() })
}

/// Given records that refer to what is not there, when they are planned, then each is found before anything is sent, and a
/// run is refused just those.
#[test]
fn what_the_api_would_refuse_is_told_before_it_is_asked() {
    let (api, folder) = (strict_api(), a_pipeline_with_dangling_references());
    assert_ran!(folder.run_to(&api, "plan pipeline.toml"), @r#"
    exit 4
    --- stdout
    step           rows  records  create  change  unchanged  rejected time
    customers         5        5       4       0          0         1 [DURATION]
    subscriptions     6        6       6       0          0         0 [DURATION]
    usage             6        6       6       0          0         0 [DURATION]

    customers: 4 records, 1 request, about a second at the rate limit
      1 would be rejected: email: is not an e-mail address
        customers.csv:4, record 3: "not-an-email"
    subscriptions: 6 records, 1 request, about a second at the rate limit
      2 would be refused: planId "plan-nobody-made": no such plan at the target
        subscriptions.csv:3, record 2
        subscriptions.csv:6, record 5
        to do: create and publish the plan in Stigg, or mend the mapping's lookup of planId
      2 would be refused: customerId: a customer that neither a step nor Stigg has
        subscriptions.csv:4, record 3: "cus_3"
        subscriptions.csv:7, record 6: "cus_9"
        to do: import these customers first, or find out why their rows were rejected or left out
    usage: 6 records, 1 request, about a second at the rate limit
      1 would be refused: featureId "feature-nobody-made": no such feature at the target
        usage.csv:3, record 2
        to do: create the feature in Stigg, or mend the mapping of featureId
      1 would be refused: featureId "feature-switch": a feature without a meter, which takes no usage
        usage.csv:5, record 4
        to do: give the feature a meter in Stigg, or leave its usage out
      1 would be refused: featureId "feature-fed": a feature that is fed by events, which takes no usage
        usage.csv:4, record 3
        to do: send its events with a mapping of entity event, or leave its usage out
      1 would be refused: customerId: a customer that neither a step nor Stigg has
        usage.csv:7, record 6: "cus_9"
        to do: import these customers first, or find out why their rows were rejected or left out
      1 would be refused: customerId: a customer without an active subscription, in the steps as in Stigg
        usage.csv:6, record 5: "cus_4"
        to do: import the customer's subscription first; paid ones with `stigg-import cutover`
    in all: 16 records, 3 requests, about a second at the rate limit

    --- stderr
    "#);
    let written = ["importCustomersBulk", "importSubscriptionsBulk", "reportUsageBulk"];
    assert_eq!(written.map(|operation| api.requests(operation)), [0; 3]);

    let planned = folder.run_to(&api, "plan pipeline.toml --json").exits(4).json();
    let ran = folder.run_to(&api, "run pipeline.toml --json").exits(3);
    for (index, step) in ["customers", "subscriptions", "usage"].into_iter().enumerate() {
        let findings = planned["steps"][index]["findings"].as_array().unwrap();
        let foreseen: u64 = findings.iter().map(|finding| finding["records"].as_u64().unwrap()).sum();
        assert_eq!(ran.json()["steps"][index]["failed"].as_u64(), Some(foreseen), "{step}\n{planned:#}\n{ran}");
    }
}

/// Given customers in Stigg whom the source does not have, when what refers to them is planned, then Stigg is asked, and
/// nothing is found.
#[test]
fn a_reference_to_what_only_stigg_has_is_none_to_worry_about() {
    let (api, folder) = (strict_api(), a_pipeline_with_dangling_references());
    folder.write("subscriptions.csv", "id,customer,plan,ends\nsub_1,cus_1,plan-free,\nsub_2,cus_2,plan-free,\n");
    folder.run_to(&api, "run pipeline.toml").exits(3);
    folder.write(
        "usage.csv",
        "customer,feature,value\ncus_1,feature-api-calls,50\ncus_4,feature-api-calls,1\nx,feature-api-calls,1\n",
    );
    let words = "plan --mapping usage.toml --csv usage.csv --ledger another/ledger.db --json";
    let planned = folder.run_to(&api, words).exits(4).json();
    let kinds: Vec<_> = planned["steps"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["kind"].as_str().unwrap(), finding["samples"][0]["value"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [("no-customer", "x"), ("no-subscription", "cus_4")], "{planned:#}");
}

/// Given a customer changed in the source and one that somebody changed in Stigg, when it is planned live, then the fields
/// that differ are told with both values.
#[test]
fn a_live_plan_tells_which_fields_differ_from_stigg() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    let changed = "id,email,name\ncus_1,ada@example.org,Ada L.\ncus_2,bob@example.com,Bob\ncus_4,,Dora\n";
    folder.write("customers.csv", changed);
    assert_ran!(folder.run_to(&api, &format!("{PLAN} --live")), @r#"
    exit 4
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     3        3       1       1          1         0 [DURATION]

    customers: 2 records, 1 request, about a second at the rate limit
      of these Stigg has: 1 not there, 1 with other content (email 1, name 1)
        cus_1 (customers.csv:2, record 1): name is Ada, and should be Ada L.; email is ada@example.com, and should be ada@example.org

    --- stderr
    "#);
    // Another ledger knows nothing: what is there already is told.
    let planned = folder.run_to(&api, &format!("{PLAN} --live --ledger other/ledger.db --json")).exits(4).json();
    let live = &planned["steps"][0]["live"];
    assert_eq!([&live["absent"], &live["different"], &live["equal"], &live["unread"]], [1, 1, 1, 0], "{planned:#}");
    assert_eq!(live["fields"], serde_json::json!({ "email": 1, "name": 1 }));
}

/// Customers with some metadata and a subscription.
fn two_steps() -> Folder {
    let folder = Folder::new();
    folder
        .write(
            "pipeline.toml",
            "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n\
             [[step]]\nname = \"subscriptions\"\nmapping = \"subscriptions.toml\"\nsource = { csv = \"subscriptions.csv\" }\n",
        )
        .write(
            "customers.toml",
            "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nemail = \"email\"\nname = \"name\"\n\
             additionalMetaData.region = \"region\"\nadditionalMetaData.tier = \"tier\"\n",
        )
        .write(
            "customers.csv",
            "id,email,name,region,tier\ncus_1,ada@example.com,Ada,eu,1\ncus_2,bob@example.com,Bob,us,1\n\
             cus_3,carl@example.com,Carl,eu,\n",
        )
        .write(
            "subscriptions.toml",
            "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n\
             startDate = { column = \"starts\", time = \"iso\" }\n",
        )
        .write("subscriptions.csv", "id,customer,plan,starts\nsub_1,cus_1,plan-free,2026-01-01T00:00:00Z\n");
    folder
}

/// Given what was delivered, when a name and a date are changed and fields are taken away, then a plan that asks nobody
/// names just these fields; and without the ledger's hashes of fields, as an older version left it, that it does not know.
#[test]
fn a_plan_that_asks_nobody_names_the_fields_that_changed() {
    let (api, folder) = (Api::open(), two_steps());
    folder.run_to(&api, "run pipeline.toml").exits(0);
    folder
        .write(
            "customers.csv",
            "id,email,name,region,tier\ncus_1,ada@example.com,Ada L.,eu,1\ncus_2,,Bob,us,\ncus_3,carl@example.com,Carl,eu,\n\
             cus_4,,Dora,,\n",
        )
        .write("subscriptions.csv", "id,customer,plan,starts\nsub_1,cus_1,plan-free,2026-02-01T00:00:00Z\n");
    let plan = "plan pipeline.toml --offline --report plan.html";
    assert_ran!(folder.run_to(&api, plan), @r#"
    exit 4
    --- stdout
    step           rows  records  create  change  unchanged  rejected time
    customers         4        4       1       2          1         0 [DURATION]
    subscriptions     1        1       0       1          0         0 [DURATION]

    customers: 3 records, 1 request, about a second at the rate limit
      2 changed: additionalMetaData.tier 1, email 1, name 1
        cus_1 (customers.csv:2, record 1): name
        cus_2 (customers.csv:3, record 2): additionalMetaData.tier, email
    subscriptions: 1 record, 1 request, about a second at the rate limit
      1 changed: startDate 1
        sub_1 (subscriptions.csv:2, record 1): startDate
    in all: 4 records, 2 requests, about a second at the rate limit

    --- stderr
    the catalog of the target, and what records refer to, was not checked: --offline
    "#);
    let report = folder.read("plan.html");
    assert!(report.contains("What changed since it was delivered"), "{report}");
    assert!(!report.contains("cus_1"), "no key is in a report without samples");
    let steps = folder.run_to(&api, &format!("{plan} --json")).exits(4).json()["steps"].clone();
    insta::assert_snapshot!(serde_json::to_string_pretty(&steps[0]["changed_fields"]).unwrap(), @r#"
    {
      "known": 2,
      "unknown": 0,
      "unasked": 0,
      "fields": {
        "additionalMetaData.tier": 1,
        "email": 1,
        "name": 1
      },
      "samples": [
        {
          "key": "cus_1",
          "place": "customers.csv:2, record 1",
          "fields": [
            "name"
          ]
        },
        {
          "key": "cus_2",
          "place": "customers.csv:3, record 2",
          "fields": [
            "additionalMetaData.tier",
            "email"
          ]
        }
      ]
    }
    "#);
    assert_eq!(steps[1]["changed_fields"]["fields"], serde_json::json!({ "startDate": 1 }));
    let live = folder.run_to(&api, "plan pipeline.toml --live --json").exits(4).json();
    assert!(live["steps"][0]["changed_fields"].is_null(), "Stigg was asked: {live:#}");

    // When
    as_an_older_version_left_it(&folder.path(LEDGER));
    assert_ran!(folder.run_to(&api, plan), @r#"
    exit 4
    --- stdout
    step           rows  records  create  change  unchanged  rejected time
    customers         4        4       1       2          1         0 [DURATION]
    subscriptions     1        1       0       1          0         0 [DURATION]

    customers: 3 records, 1 request, about a second at the rate limit
      2 changed, and the ledger does not know in which fields; --live asks Stigg
    subscriptions: 1 record, 1 request, about a second at the rate limit
      1 changed, and the ledger does not know in which fields; --live asks Stigg
    in all: 4 records, 2 requests, about a second at the rate limit

    --- stderr
    the catalog of the target, and what records refer to, was not checked: --offline
    "#);
    // What is delivered from now on is known again.
    folder.run_to(&api, "run pipeline.toml").exits(0);
    folder.write("subscriptions.csv", "id,customer,plan,starts\nsub_1,cus_1,plan-free,2026-03-01T00:00:00Z\n");
    let steps = folder.run_to(&api, &format!("{plan} --json")).exits(4).json()["steps"].clone();
    assert_eq!(steps[1]["changed_fields"]["fields"], serde_json::json!({ "startDate": 1 }));
}

/// Makes the ledger one of format 3, which has no table of fields and no sums.
fn as_an_older_version_left_it(ledger: &std::path::Path) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(ledger);
        let mut connection = options.connect().await.expect("a database");
        let older = "DROP TABLE sketch;
            ALTER TABLE run DROP COLUMN sum; ALTER TABLE scope DROP COLUMN sum; ALTER TABLE batch DROP COLUMN sum;
            ALTER TABLE open_batch DROP COLUMN sum; ALTER TABLE outcome DROP COLUMN sum; ALTER TABLE segment DROP COLUMN sum;
            ALTER TABLE mark DROP COLUMN sum; ALTER TABLE replacement DROP COLUMN sum; PRAGMA user_version = 3";
        connection.execute(sqlx::raw_sql(older)).await.expect("it runs");
        connection.close().await.expect("it closes");
    });
}

#[test]
fn a_plan_of_what_is_delivered_has_nothing_to_do() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    assert_ran!(folder.run_to(&api, PLAN), @r#"
    exit 0
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     3        3       0       0          3         0 [DURATION]

    customers: nothing to send

    --- stderr
    "#);
}

#[test]
fn a_plan_without_a_key_or_offline_says_what_was_not_checked() {
    let folder = clean();
    assert_ran!(folder.run(PLAN), @r#"
    exit 4
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     3        3       3       0          0         0 [DURATION]

    customers: 3 records, 1 request, about a second at the rate limit

    --- stderr
    the catalog of the target, and what records refer to, was not checked: there is no key in STIGG_API_KEY
    "#);
    assert_ran!(folder.run(&format!("{PLAN} --offline --target http://127.0.0.1:1/graphql")), @r#"
    exit 4
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     3        3       3       0          0         0 [DURATION]

    customers: 3 records, 1 request, about a second at the rate limit

    --- stderr
    the catalog of the target, and what records refer to, was not checked: --offline
    "#);
    assert_ran!(folder.run(&format!("{PLAN} --target http://127.0.0.1:1/graphql")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't use the target http://127.0.0.1:[PORT]/graphql
      because the API could not be reached
      because tcp connect error
      because Connection refused (os error 111)
    hint: check --target and the network, or plan with --offline; nothing was sent
    "#);
}

/// Keeps a plan of the customers in `customers.csv`.
fn kept(folder: &Folder, api: &Api) -> Ran {
    folder.run_to(api, &format!("{PLAN} --out plan.json")).exits(4)
}

#[test]
fn a_kept_plan_is_run_as_it_is() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(kept(&folder, &api), @r#"
    exit 4
    --- stdout
    step       rows  records  create  change  unchanged  rejected time
    customers     3        3       3       0          0         0 [DURATION]

    customers: 3 records, 1 request, about a second at the rate limit

    --- stderr
    wrote plan.json
    hint: stigg-import run --plan plan.json sends just that
    "#);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder.path("plan.json")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!folder.read("plan.json").contains("ada"), "no row is in a plan");
    assert_ran!(folder.run("run --plan plan.json"), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         3          0         0 [DURATION]

    every record is accounted for: 3 = 3 accepted

    --- stderr
    "#);
    assert_eq!(api.customers(), 3);
}

/// Given a kept plan, when the source, the ledger, the environment or the folder has changed since, then nothing is sent,
/// and the message says what moved.
#[test]
fn a_kept_plan_is_refused_where_something_moved() {
    let (api, folder) = (Api::open(), clean());
    kept(&folder, &api);
    folder.write(
        "customers.csv",
        "id,email,name\ncus_1,ada@example.com,Ada\ncus_2,bob@example.com,Robert\ncus_3,,Carl\n",
    );
    assert_ran!(folder.run("run --plan plan.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` moved since the plan was made: its records have other content
    hint: look at a new one: the same words with plan --out; nothing was sent
    "#);
    folder.write("customers.csv", "id,email,name\ncus_1,ada@example.com,Ada\n");
    assert_ran!(folder.run("run --plan plan.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` moved since the plan was made: it would send 1 record, and the plan has 3
    hint: look at a new one: the same words with plan --out; nothing was sent
    "#);
    assert_eq!(api.customers(), 0);

    let (api, folder) = (Api::open(), clean());
    kept(&folder, &api);
    folder.run_to(&api, RUN).exits(0);
    assert_ran!(folder.run("run --plan plan.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` moved since the plan was made: it would send 0 records, and the plan has 3
    hint: look at a new one: the same words with plan --out; nothing was sent
    "#);

    let (api, folder) = (Api::open(), clean());
    kept(&folder, &api);
    std::fs::create_dir(folder.path("elsewhere")).unwrap();
    let elsewhere = folder.finish(folder.command("run --plan ../plan.json").current_dir(folder.path("elsewhere")));
    assert_ran!(elsewhere, @r#"
    exit 5
    --- stdout

    --- stderr
    error: ../plan.json was made in another folder, and its files are meant from there
    hint: cd [FOLDER] and run it there; nothing was sent
    "#);
    assert!(!folder.path(LEDGER).exists());
    folder.write("plan.json", "{}");
    assert_ran!(folder.run("run --plan plan.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: plan.json is no plan of this program
      because missing field `format` at line 1 column 2
    hint: make it again with plan --out; nothing was sent
    "#);
}

/// Given a live plan, when somebody has changed a record in Stigg since, then it is refused.
#[test]
fn a_live_plan_is_refused_where_stigg_moved() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, &format!("{PLAN} --live --out plan.json")).exits(4);
    // Somebody else imports one of them with another name.
    folder.write("other.csv", "id,email,name\ncus_2,bob@example.com,Bobby\n");
    folder.run_to(&api, "run --mapping customers.toml --csv other.csv --ledger other/ledger.db").exits(0);
    assert_ran!(folder.run("run --plan plan.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: Stigg moved since the plan was made: what it has of step `customers` is other
    hint: look at a new one: the same words with plan --out; nothing was sent
    "#);
}

#[test]
fn a_plan_that_can_not_be_kept_is_refused_before_reading() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(folder.run_to(&api, "plan --mapping customers.toml --csv - --out plan.json"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a plan of standard input can't be kept: it can be read only once
    hint: put the data into a file, and name that
    "#);
    assert_ran!(folder.run_to(&api, &format!("{PLAN} --out missing/plan.json")), @r#"
    exit 2
    --- stdout

    --- stderr
    error: there is no folder missing
    hint: make it, or name another file with --out
    "#);
}
