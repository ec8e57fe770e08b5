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
    assert_eq!(again.json()["pipeline"], serde_json::Value::Null, "{again}");
    assert_eq!(folder.read("pipeline.toml"), pipeline);
}

#[test]
fn what_is_needed_and_not_found_is_asked_for() {
    let folder = Folder::new();
    folder.write("crm.csv", "acct_no,mail\nacme,ada@acme.example\n");
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
    hint: the columns are acct_no, mail
    "#);
    assert_ran!(folder.run("init --entity customer --csv crm.csv --column id=acct_no"), @r#"
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
    error: invalid value 'invoice' for '--entity <ENTITY>': an entity is one of customer, subscription, usage, event

    For more information, try '--help'.
    "#);
    assert!(!folder.path("customers.toml").exists(), "nothing was written");

    folder.run("init --entity customer --csv crm.csv --column customerId=acct_no").exits(0);
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
