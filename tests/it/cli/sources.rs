//! Every kind of source, said on the command line.

use serde_json::{Value, json};

use super::{CLEAN_CSV, CUSTOMERS_TOML};
use crate::program::{Api, Folder, LEDGER, assert_ran, repository};
use crate::sql::sqlite::database;

const CUSTOMERS_JSON: &str = r#"{"customers": [
    {"id": "cus_1", "email": "ada@example.com", "name": "Ada"},
    {"id": "cus_2", "email": "bob", "name": "Bob"},
    {"id": "cus_3", "email": null, "name": "Carl"}
], "archive": [{"id": "old"}]}"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder
        .write("customers.toml", CUSTOMERS_TOML)
        .write("customers.csv", CLEAN_CSV)
        .write("customers.json", CUSTOMERS_JSON)
        .write("query.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"CustomerId\"\nemail = \"Email\"\n")
        .write("billing.db", std::fs::read(repository("tests/data/chinook/Chinook_Sqlite.sqlite")).unwrap());
    folder
}

#[test]
fn json_is_a_source_with_a_value_and_a_way_to_talk_without() {
    let (api, folder) = (Api::open(), folder());
    let words = "run --mapping customers.toml --json customers.json --array customers";
    assert_ran!(folder.run_to(&api, words), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         2          0         1 [DURATION]

    every record is accounted for: 3 = 2 accepted + 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why
    "#);
    assert_eq!(api.customers(), 2);
    let first = "run --json --mapping customers.toml --json customers.json --array customers";
    for words in [format!("{words} --json"), format!("--json {words}"), first.to_owned()] {
        let again = folder.run_to(&api, &words).exits(3);
        assert_eq!((again.total("unchanged"), again.total("rejected")), (2, 1), "{again}");
    }
    assert_ran!(folder.run_to(&api, "rejects retry"), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     1        1         0          0         1 [DURATION]

    every record is accounted for: 1 = 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/5-customers.jsonl
    hint: stigg-import rejects list --run 5 shows why
    "#);
}

#[test]
fn standard_input_is_json_too() {
    let (api, folder) = (Api::open(), folder());
    let line = format!(
        "$PROGRAM run --mapping customers.toml --json - --array customers --json --target {} <customers.json",
        api.url
    );
    let ran = folder.finish(&mut folder.shell(&line)).exits(3);
    assert_eq!((ran.total("accepted"), ran.total("rejected"), api.customers()), (2, 1, 2), "{ran}");
}

#[test]
fn each_makes_rows_of_the_entries_of_a_record() {
    let (api, folder) = (Api::open(), folder());
    folder
        .write(
            "usage.toml",
            "entity = \"usage\"\n[fields]\ncustomerId = \"id\"\nfeatureId = \"_key\"\nvalue = \"_value\"\n",
        )
        .write("usage.json", r#"[{"id": "cus_1", "used": {"seats": 3, "sites": 4.5}}, {"id": "cus_2"}]"#);
    let ran = folder.run("check --mapping usage.toml --json usage.json --each used --json").exits(0);
    assert_eq!(ran.json()["checks"][1]["rows"], 2, "{ran}");
    folder.run_to(&api, "run --mapping customers.toml --csv customers.csv").exits(0);
    let ran = folder.run_to(&api, "run --mapping usage.toml --json usage.json --each used --json");
    assert_eq!(ran.total("records"), 2, "{ran}");
}

#[test]
fn sqlite_is_planned_run_and_verified() {
    let (api, folder) = (Api::open(), folder());
    let words = "--mapping query.toml --sqlite billing.db --table Customer --key CustomerId";
    let planned = folder.run_to(&api, &format!("plan {words} --json")).exits(4);
    assert_eq!(planned.json()["steps"][0]["create"], 59, "{planned}");
    let ran = folder.run_to(&api, &format!("run {words} --json")).exits(0);
    assert_eq!((ran.total("accepted"), api.customers()), (59, 59), "{ran}");
    let verified = folder.run_to(&api, &format!("verify {words}")).exits(0);
    assert!(verified.stdout.contains("59"), "{verified}");
    let line = "$PROGRAM check --mapping query.toml --sqlite billing.db \
                --query 'select CustomerId, Email from Customer where CustomerId < 8'";
    assert_ran!(folder.finish(&mut folder.shell(line)), @r#"
    exit 0
    --- stdout
    query.toml: holds, and has no examples
    customers: the first 7 rows fit

    --- stderr
    "#);
}

#[test]
fn records_that_are_gone_from_a_database_are_listed_and_nothing_is_sent_for_them() {
    let (api, folder) = (Api::open(), folder());
    let words = |command: &str, query: &str, more: &str| {
        let source = format!("--mapping query.toml --sqlite billing.db --key CustomerId {more} --target {}", api.url);
        let mut command = folder.command(&format!("{command} {source} --rate-scale 100000"));
        command.args(["--query", query]);
        folder.finish(&mut command)
    };
    // Given: all customers in Stigg, and one that no run knows.
    words("run", "select * from Customer", "").exits(0);
    folder.write("other.csv", "CustomerId,Email,FirstName,LastName\nnobody,,N,B\n");
    folder.run_to(&api, "run --mapping query.toml --csv other.csv --ledger other/ledger.db").exits(0);
    assert_eq!(api.customers(), 60);

    // When two of them are deleted.
    let left = "select * from Customer where CustomerId not in (3, 58)";
    assert_eq!(words("run", left, "--json").exits(0).json()["steps"][0]["missing"], 2);

    // Then
    assert_ran!(words("verify", left, "--gone").exits(0), @r"
    exit 0
    --- stdout
    step       expected  equal  different  missing  unread
    customers        57     57          0        0       0
    3: is gone from the source, and is in Stigg
    58: is gone from the source, and is in Stigg

    --- stderr
    everything that should be in Stigg is there, as the source has it
    ");
    let listed = words("verify", left, "--gone --json").exits(0).json()["steps"][0].clone();
    assert_eq!((&listed["gone"], &listed["equal"]), (&serde_json::json!(["3", "58"]), &serde_json::json!(57)));
    assert_eq!(api.customers(), 60);
    let none = words("verify", "select * from Customer", "--gone --json").exits(0);
    assert_eq!(none.json()["steps"][0]["gone"], serde_json::json!([]), "{none}");
    assert_ran!(folder.run_to(&api, "verify --mapping query.toml --csv other.csv --gone").exits(0), @r"
    exit 0
    --- stdout
    step       expected  equal  different  missing  unread
    customers         1      1          0        0       0
    customers: what is gone from the source can't be told: a file may be a part of the data

    --- stderr
    everything that should be in Stigg is there, as the source has it
    ");
    assert_ran!(words("verify", left, "--gone --ledger no/ledger.db").exits(5), @r"
    exit 5
    --- stdout

    --- stderr
    error: there is no ledger at no/ledger.db
    hint: --gone compares with what runs delivered: name their ledger with --ledger
    ");
}

#[test]
fn what_is_wrong_with_a_sqlite_database_is_one_clear_error_before_anything_is_sent() {
    let (api, folder) = (Api::open(), folder());
    folder.write("text.db", "this is no database, but a text that somebody gave its name");
    let fails = |database: &str, query: &str| {
        let line = format!("run --mapping query.toml --sqlite {database} --target {}", api.url);
        folder.finish(folder.command(&line).args(["--query", query])).exits(5)
    };
    assert_ran!(fails("no.db", "select 1"), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because sqlite query: no such file
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails("text.db", "select 1"), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because sqlite query: the database can't be reached: file is not a database (26)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails("billing.db", "select nothing from nowhere"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because sqlite query: the query can't be run: near "nothing": syntax error (1)
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_ran!(fails("billing.db", "select CustomerId from Customer"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the mapping of step `customers` does not fit its source: 1 problem

    query.toml:4:9: the source has no column `Email`
      4 | email = "Email"
        |         ^^^^^^^
      hint: its columns are CustomerId

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_eq!(api.customers(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_column_is_one_clear_error_and_a_blob_among_texts_is_a_reject() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("query.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\n");
    let sql = "CREATE TABLE scanned (id TEXT, name BLOB); INSERT INTO scanned VALUES ('cus_1', x'ff00');
        CREATE TABLE mixed (id TEXT, name); INSERT INTO mixed VALUES ('cus_1', 'Ada'), ('cus_2', x'ff00')";
    database(&folder.path(""), sql).await;
    assert_ran!(folder.run_to(&api, "run --mapping query.toml --sqlite billing.db --table scanned"), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because sqlite table scanned: column `name` is of type blob, bytes that are no text; leave it out, or give it as text: hex(…)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_eq!(api.customers(), 0);
    assert_ran!(folder.run_to(&api, "run --mapping query.toml --sqlite billing.db --table mixed"), @r"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     2        2         1          0         1 [DURATION]

    every record is accounted for: 2 = 1 accepted + 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why
    ");
    assert_ran!(folder.run("rejects list"), @r"
    exit 0
    --- stdout
    run 1, customers: 1 reject in .stigg-import/rejects/1-customers.jsonl
           1  column `…` holds a blob, bytes that are no text
              sqlite table mixed, record 2: column `name` holds a blob, bytes that are no text

    --- stderr
    hint: correct them in a CSV, and send that
      stigg-import rejects export --out fix.csv
      stigg-import rejects retry --csv fix.csv
    ");
    assert_eq!(api.customers(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_that_is_damaged_in_its_middle_ends_with_6_and_the_whole_one_goes_on() {
    const ROWS: u64 = 40_000;
    let folder = Folder::new();
    folder.write("query.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\n");
    let sql = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
        INSERT INTO customers SELECT i, 'name ' || i FROM n";
    database(&folder.path(""), sql).await;
    let whole = std::fs::read(folder.path("billing.db")).unwrap();
    let mut damaged = whole.clone();
    let (middle, end) = (whole.len() / 2, whole.len() / 2 + 3 * 4096);
    damaged[middle..end].fill(0xff);

    for key in ["", "--key id"] {
        let (api, ledger) = (Api::open(), if key.is_empty() { "streamed" } else { "paged" });
        let words = format!(
            "run --mapping query.toml --sqlite billing.db --table customers {key} --ledger {ledger}/ledger.db --json"
        );

        // When
        folder.write("billing.db", &damaged);
        let broke = folder.run_to(&api, &words).exits(6);
        folder.write("billing.db", &whole);
        let again = folder.run_to(&api, &words).exits(0);

        // Then
        let accepted = broke.total("accepted");
        assert!(accepted > 0 && accepted < ROWS, "{key}: {broke}");
        assert!(broke.stderr.contains("malformed"), "{key}: {broke}");
        assert_eq!((broke.total("open"), api.customers() as u64), (0, ROWS), "{key}: {broke}");
        assert_eq!((again.total("unchanged"), again.total("accepted")), (accepted, ROWS - accepted), "{key}: {again}");
    }
}

#[test]
fn changes_of_a_database_are_read_from_the_mark() {
    let (api, folder) = (Api::open(), folder());
    let words = "run --mapping query.toml --sqlite billing.db --table Customer --key CustomerId --changed SupportRepId";
    folder.run_to(&api, words).exits(0);
    let again = folder.run_to(&api, &format!("{words} --json")).exits(0);
    assert!(again.json()["steps"][0]["since"].is_string(), "{again}");
}

#[test]
fn a_plan_says_since_when_and_a_margin_of_0_reads_only_the_last_values() {
    let (api, folder) = (Api::open(), folder());
    let source = "--mapping query.toml --sqlite billing.db --table Customer --key CustomerId --changed SupportRepId";
    let planned = |more: &str| {
        let step = folder.run_to(&api, &format!("plan {source} {more} --json")).json()["steps"][0].clone();
        (step["since"].clone(), step["rows"].as_u64().unwrap())
    };

    // Given: representatives 3, 4 and 5, of which the last has 18 customers.
    assert_eq!(planned(""), (Value::Null, 59));
    folder.run_to(&api, &format!("run {source}")).exits(0);

    // Then: all are within 60 of the mark, which is in the column's own unit.
    assert_eq!(planned(""), (json!("5"), 59));
    assert_eq!(planned("--changed-margin 0"), (json!("5"), 18));
    assert_eq!(planned("--changed-margin 1"), (json!("5"), 18 + 20));
    assert_eq!(planned("--changed-margin 0 --full"), (Value::Null, 59));
    let bytes = String::from_utf8_lossy(&std::fs::read(folder.path(LEDGER)).unwrap()).into_owned();
    assert!(!bytes.contains("changed_margin"), "a plan is no run");
    let ran = folder.run_to(&api, &format!("run {source} --changed-margin 0 --json")).exits(0);
    assert_eq!((ran.total("rows"), ran.total("unchanged")), (18, 18), "{ran}");
    let bytes = String::from_utf8_lossy(&std::fs::read(folder.path(LEDGER)).unwrap()).into_owned();
    assert!(bytes.contains(r#""changed_margin":0"#), "the margin is not kept for a retry");
}

#[test]
fn the_ledger_keeps_the_source_as_it_was_said() {
    let (api, folder) = (Api::open(), folder());
    let line = format!(
        "BILLING=billing.db $PROGRAM run --mapping query.toml --sqlite '${{BILLING}}' --table Customer --target {}",
        api.url
    );
    folder.finish(&mut folder.shell(&line)).exits(0);
    let bytes = String::from_utf8_lossy(&std::fs::read(folder.path(LEDGER)).unwrap()).into_owned();
    assert!(bytes.contains(r#""source":{"sqlite":"${BILLING}","table":"Customer"}"#), "the source is not kept");
}

#[test]
fn passwords_are_not_taken_and_variables_that_are_not_set_are_named() {
    let folder = folder();
    assert_ran!(
        folder.run("run --mapping query.toml --postgres postgres://me:s3cret@127.0.0.1:1/db --table customers"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the address of --postgres holds a password, which others can see in the list of processes
    hint: put it into a variable and write 'postgres://me:${DB_PASSWORD}@host/db' in single quotes
    "#);
    assert_ran!(
        folder.run("run --mapping query.toml --mysql mysql://me:${NO_SUCH_VARIABLE}@127.0.0.1:1/db --table c"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the environment variable NO_SUCH_VARIABLE is not set
    hint: export it; in single quotes the program puts it into the address
    "#);
    // As a pipeline file: the same path, to a port where nobody listens.
    let line = "PGPASSWORD=s3cret $PROGRAM run --mapping query.toml \
                --postgres 'postgres://me:${PGPASSWORD}@127.0.0.1:1/db' --table customers --target http://127.0.0.1:1";
    let ran = folder.finish(&mut folder.shell(line)).exits(5);
    assert!(ran.stderr.contains("postgres table customers") && !ran.stderr.contains("s3cret"), "{ran}");
    let ran = folder
        .run("run --mapping query.toml --mysql mysql://me@127.0.0.1:1/db --query select --target http://127.0.0.1:1");
    assert!(ran.exits(5).stderr.contains("mysql query"));
    assert!(!folder.path(".stigg-import").exists());
}

#[test]
fn sources_that_do_not_go_together_end_with_2() {
    let folder = folder();
    let shown: Vec<String> = [
        "run --json pipeline.toml",
        "check --json customers.toml",
        "run --json customers.json",
        "run --mapping customers.toml",
        "run --mapping customers.toml --csv customers.csv --json customers.json",
        "run --mapping customers.toml --csv customers.csv --json - --sqlite billing.db",
        "run --mapping customers.toml --csv customers.csv --key id",
        "run --mapping customers.toml --csv customers.csv --json --array customers",
        "run --mapping customers.toml --json customers.json --table customers",
        "run --mapping customers.toml --sqlite billing.db",
        "run --mapping customers.toml --sqlite billing.db --table a --encoding utf-8",
        "run pipeline.toml --key id",
        "run --mapping customers.toml --sqlite billing.db --table a --changed-margin 5",
        "run --mapping customers.toml --sqlite billing.db --table a --changed b --changed-margin -5",
        "run --mapping customers.toml --csv customers.csv --changed-margin 5",
    ]
    .into_iter()
    .map(|words| {
        let ran = folder.run(words).exits(2);
        assert!(ran.stdout.is_empty() || words.contains("--json --"), "{ran}");
        format!("$ {words}\n{}", ran.stderr)
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    $ run --json pipeline.toml
    error: `--json pipeline.toml` would read it as a JSON source
    hint: stigg-import run pipeline.toml --json

    $ check --json customers.toml
    error: `--json customers.toml` would read it as a JSON source
    hint: stigg-import check customers.toml --json

    $ run --json customers.json
    error: `--json customers.json` is a source, and there is no mapping
    hint: stigg-import run --mapping M --json customers.json

    $ run --mapping customers.toml
    error: there is a mapping, and no source
    hint: stigg-import run --mapping M with --csv F, --json F, --stripe LIST, or --postgres, --mysql or --sqlite and --query or --table

    $ run --mapping customers.toml --csv customers.csv --json customers.json
    error: --csv and --json are different sources, and a mapping has one
    hint: run them one after the other, or as the steps of a pipeline file

    $ run --mapping customers.toml --csv customers.csv --json - --sqlite billing.db
    error: --csv and --json and --sqlite are different sources, and a mapping has one
    hint: run them one after the other, or as the steps of a pipeline file

    $ run --mapping customers.toml --csv customers.csv --key id
    error: --key does not go with --csv
    hint: stigg-import run --help says what goes with what

    $ run --mapping customers.toml --csv customers.csv --json --array customers
    error: --array does not go with --csv
    hint: stigg-import run --help says what goes with what

    $ run --mapping customers.toml --json customers.json --table customers
    error: --table does not go with --json
    hint: stigg-import run --help says what goes with what

    $ run --mapping customers.toml --sqlite billing.db
    error: there is neither a query nor a table
    hint: --sqlite goes with one of --query 'select …' and --table NAME

    $ run --mapping customers.toml --sqlite billing.db --table a --encoding utf-8
    error: --encoding does not go with --sqlite
    hint: stigg-import run --help says what goes with what

    $ run pipeline.toml --key id
    error: --key goes with --mapping
    hint: say it in the pipeline file, for each step

    $ run --mapping customers.toml --sqlite billing.db --table a --changed-margin 5
    error: there is a margin and no column of changes
    hint: --changed-margin goes with --changed COLUMN

    $ run --mapping customers.toml --sqlite billing.db --table a --changed b --changed-margin -5
    error: the margin is below 0
    hint: --changed-margin is a number of seconds, 0 or more

    $ run --mapping customers.toml --csv customers.csv --changed-margin 5
    error: --changed-margin does not go with --csv
    hint: stigg-import run --help says what goes with what
    ");
    assert_ran!(folder.run("plan --mapping m.toml --sqlite a.db --query q --table t"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the argument '--query <SQL>' cannot be used with '--table <NAME>'

    Usage: stigg-import plan --mapping <FILE> --sqlite <FILE> --query <SQL> [PIPELINE.toml]

    For more information, try '--help'.
    "#);
    assert!(!folder.path(".stigg-import").exists());
}

#[test]
fn changes_can_not_be_read_where_rows_are_put_together() {
    let folder = folder();
    folder.write(
        "totals.toml",
        "entity = \"usage\"\naggregate = \"count\"\n[fields]\ncustomerId = \"CustomerId\"\nfeatureId = { const = \"f\" }\n",
    );
    let words = "run --mapping totals.toml --sqlite billing.db --table Invoice --changed InvoiceDate";
    assert_ran!(folder.run(words), @"
    exit 2
    --- stdout

    --- stderr
    error: the mapping makes one record of several rows (`group`, `aggregate`), and `changed` reads only some
    hint: leave --changed out; unchanged records are not sent anyway
    ");
}
