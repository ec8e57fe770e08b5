//! One record's story.

use serde_json::json;

use super::clean;
use crate::program::{Api, Folder, assert_ran};

const CUSTOMERS_TOML: &str =
    "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nemail = { column = \"email\", optional = true }\n";

#[test]
fn a_record_that_was_sent_rejected_and_mended_has_a_story() {
    let (folder, api) = (Folder::new(), Api::open());
    folder.write("customers.toml", CUSTOMERS_TOML);
    folder.write("customers.csv", "id,email\nada,not-an-email\nbob,bob@example.com\n");
    folder.run_to(&api, "run --mapping customers.toml --csv customers.csv").exits(3);
    folder.write("customers.csv", "id,email\nada,ada@example.com\nbob,bob@example.com\n");
    folder.run_to(&api, "run --mapping customers.toml --csv customers.csv").exits(0);

    assert_ran!(folder.run("why ada"), @r#"
    exit 0
    --- stdout
    customer ada, at http://127.0.0.1:[PORT]/graphql [UUID]
      [TIME], run 2 (customers), batch 2: accepted
    run 1, customers (customer): customers.csv:2, record 1: rejected, nothing was sent: email: is not an e-mail address

    --- stderr
    "#);
    let told = folder.run("why ada --json").exits(0).json();
    assert_eq!(told["sent"][0]["outcome"], "accepted");
    assert_eq!(
        (&told["rejected"][0]["sent"], &told["rejected"][0]["rows"]),
        (&json!(false), &json!([["ada", "not-an-email"]]))
    );
    assert_ran!(folder.run("why eve"), @r#"
    exit 0
    --- stdout
    eve: nothing is known of it. It was never sent, it was filtered, or its row never came; ids are compared as they are written

    --- stderr
    "#);
}

#[test]
fn usage_is_named_by_its_parts_and_what_the_api_refused_is_told_in_its_words() {
    let (folder, api) = (Folder::new(), Api::with_catalog());
    folder.write("customers.csv", "id,email\nada,\n").write("customers.toml", CUSTOMERS_TOML);
    folder.run_to(&api, "run --mapping customers.toml --csv customers.csv").exits(0);
    folder
        .write("usage.toml", "entity = \"usage\"\n[fields]\ncustomerId = \"c\"\nfeatureId = \"f\"\nvalue = \"v\"\n")
        .write("usage.csv", "c,f,v\nada,feature-api-calls,7\nada,feature-none,8\n");
    folder.run_to(&api, "run --mapping usage.toml --csv usage.csv").exits(3);
    assert_ran!(folder.run("why ada feature-api-calls"), @r#"
    exit 0
    --- stdout
    usage ada feature-api-calls, at http://127.0.0.1:[PORT]/graphql [UUID]
      [TIME], run 2 (usage), batch 2: accepted

    --- stderr
    "#);
    assert_ran!(folder.run("why ada feature-none"), @r#"
    exit 0
    --- stdout
    usage ada feature-none, at http://127.0.0.1:[PORT]/graphql [UUID]
      [TIME], run 2 (usage), batch 2: refused: FeatureNotFound
    run 2, usage (usage): usage.csv:3, record 2: refused by the API: FeatureNotFound: Feature feature-none not found (trace [UUID])

    --- stderr
    "#);
}

#[test]
fn without_a_ledger_nothing_is_known_and_a_key_is_needed() {
    assert!(clean().run("why ada").exits(0).stdout.starts_with("ada: nothing is known of it."));
    assert!(clean().run("why").exits(2).stderr.contains("<KEY>"));
}

/// Given a mapping with a table, a constant and metadata, when a record is asked for with its source, then its row, what the
/// mapping says of each field and what would be sent are told; and of a row that does not fit, why.
#[test]
fn with_its_source_a_record_has_its_row_its_mapping_and_its_request() {
    let (folder, api) = (Folder::new(), Api::open());
    folder.write(
        "subs.toml",
        "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\n\
         planId = { column = \"plan\", map = { gold = \"plan-gold\" } }\nadditionalMetaData.origin = { const = \"crm\" }\n",
    );
    folder.write("subs.csv", "id,customer,plan\ns_1,ada,gold\ns_2,bob,lead\n");
    folder.write("customers.csv", "id,email\nada,\n").write("customers.toml", CUSTOMERS_TOML);
    folder.run_to(&api, "run --mapping customers.toml --csv customers.csv").exits(0);
    folder.run_to(&api, "run --mapping subs.toml --csv subs.csv").exits(3);
    assert_ran!(folder.run("why s_1 --mapping subs.toml --csv subs.csv"), @r#"
    exit 0
    --- stdout
    step subscriptions: subs.csv:2, record 1, by subs.toml
      row
        id = "s_1"
        customer = "ada"
        plan = "gold"
      mapping, and what it makes
        subscriptionId = "id"  → s_1
        customerId = "customer"  → ada
        planId = { column = "plan", map = { gold = "plan-gold" } }  → plan-gold
        additionalMetaData.origin = { const = "crm" }  → crm
    subscription s_1, at http://127.0.0.1:[PORT]/graphql [UUID]
      [TIME], run 2 (subscriptions), batch 2: accepted, task [UUID]

    --- stderr
    "#);
    assert_ran!(folder.run("why s_2 --mapping subs.toml --csv subs.csv"), @r#"
    exit 0
    --- stdout
    step subscriptions: subs.csv:3, record 2: would be rejected: planId "lead": no entry in its `map`
    run 2, subscriptions (subscription): subs.csv:3, record 2: rejected, nothing was sent: planId: no entry in its `map`

    --- stderr
    "#);
    folder.write(
        "pipeline.toml",
        "[[step]]\nname = \"contracts\"\nmapping = \"subs.toml\"\nsource = { csv = \"subs.csv\" }\n",
    );
    let told = folder.run("why s_1 --pipeline pipeline.toml --json").exits(0).json();
    assert_eq!(told["source"][0]["request"]["planId"], "plan-gold", "{told:#}");
    assert_eq!(told["source"][0]["row"][1], json!(["customer", "ada"]));
    assert_ran!(folder.run("why s_9 --mapping subs.toml --csv subs.csv"), @r#"
    exit 0
    --- stdout
    step subscriptions: no row of the source makes it now
    s_9: nothing is known of it. It was never sent, it was filtered, or its row never came; ids are compared as they are written

    --- stderr
    "#);
}

#[test]
fn of_very_many_rejected_rows_it_is_said_that_there_are_more() {
    let (folder, api) = (Folder::new(), Api::open());
    folder.write("customers.toml", CUSTOMERS_TOML);
    folder.write("customers.csv", format!("id,email\n{}", "ada,not-an-email\n".repeat(51)));
    folder.run_to(&api, "run --mapping customers.toml --csv customers.csv").exits(3);
    let told = folder.run("why ada").exits(0).stdout;
    let last: Vec<&str> = told.lines().rev().take(2).collect();
    insta::assert_snapshot!(last.join("\n"), @"
    … more than 50 rejected rows have it
    run 1, customers (customer): customers.csv:51, record 50: rejected, nothing was sent: email: is not an e-mail address
    ");
}
