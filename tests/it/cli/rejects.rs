use std::os::unix::fs::PermissionsExt as _;

use super::{CUSTOMERS_CSV, RUN, customers};
use crate::program::{Api, Folder, LEDGER, assert_ran, stripe_pipeline};

#[test]
fn rejects_are_listed_corrected_and_sent_again() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    assert_ran!(folder.run("rejects list"), @r#"
    exit 0
    --- stdout
    run 1, customers: 1 reject in .stigg-import/rejects/1-customers.jsonl
           1  email: is not an e-mail address
              customers.csv:4, record 3 "not-an-email"

    --- stderr
    hint: correct them in a CSV, and send that
      stigg-import rejects export --out fix.csv
      stigg-import rejects retry --csv fix.csv
    "#);
    assert_ran!(folder.run("rejects export"), @r#"
    exit 0
    --- stdout
    id,email,name,_source,_record,_line,_field,_found,_reason
    cus_3,not-an-email,Carl,customers.csv,3,4,email,not-an-email,is not an e-mail address

    --- stderr
    1 row of 1 reject
    "#);
    assert_ran!(folder.run("rejects export --out fix.csv"), @r#"
    exit 0
    --- stdout

    --- stderr
    1 row of 1 reject
    hint: correct it, then stigg-import rejects retry --csv fix.csv
    "#);
    let mode = folder.path("fix.csv").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds customers' data");

    folder.write("fix.csv", folder.read("fix.csv").replace("not-an-email", "carl@example.com"));
    assert_ran!(folder.run_to(&api, "rejects retry --csv fix.csv"), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     1        1         1          0         0 [DURATION]

    every record is accounted for: 1 = 1 accepted

    --- stderr
    "#);
    assert_eq!(api.sandbox.snapshot().customers["cus_3"].email.as_deref(), Some("carl@example.com"));

    // The export was corrected, too: nothing is left to do.
    folder.write("customers.csv", CUSTOMERS_CSV.replace("not-an-email", "carl@example.com"));
    let last = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((last.total("accepted"), last.total("unchanged")), (0, 5), "{last}");
}

/// A pipeline over JSON whose records hold JSON, NULLs, and texts that a spreadsheet would run.
fn json_pipeline(api: &Api) -> Folder {
    let folder = Folder::new();
    folder
        .write(
            "pipeline.toml",
            format!(
                "[target]\nurl = \"{}\"\n[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\n\
                 source = {{ json = \"customers.json\", array = \"customers\" }}\n",
                api.url
            ),
        )
        .write(
            "customers.toml",
            "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nemail = \"contact.email\"\n\
             name = { column = \"name\", optional = true }\n\
             additionalMetaData = { column = \"tags\", json = true, optional = true }\n",
        )
        .write(
            "customers.json",
            r#"{"customers": [
                {"id": "cus_1", "contact": {"email": "ada@example.com"}, "name": "Ada", "tags": {"a": "1"}},
                {"id": "cus_2", "contact": {"email": "bob"}, "name": "=Bob, \"the\n;one\"",
                 "tags": {"quote": "\"x\"; y", "sum": "=1+1", "n": 1.50, "long": "ä,b\tc"}},
                {"id": "cus_3", "contact": {"email": "carl"}, "name": null}
            ]}"#,
        );
    folder
}

#[test]
fn rows_of_a_json_source_are_corrected_and_sent_again_with_their_values() {
    // Given: what the same rows give when they are right at once.
    let right = Api::open();
    let folder = json_pipeline(&right);
    let json = folder.read("customers.json");
    let mended =
        |text: &str| text.replace("\"bob\"", "\"bob@example.com\"").replace("\"carl\"", "\"carl@example.com\"");
    folder.write("customers.json", mended(&json));
    folder.run("run pipeline.toml").exits(0);
    let expected = right.sandbox.snapshot().customers;
    assert_eq!(expected.len(), 3);

    // When: they are wrong, corrected in the export, saved by spreadsheets of two countries, and sent again.
    for delimiter in [",", ";"] {
        let api = Api::open();
        let folder = json_pipeline(&api);
        folder.run("run pipeline.toml").exits(3);
        folder.run("rejects export --out fix.csv").exits(0);
        let mut saved =
            csv::WriterBuilder::new().delimiter(delimiter.as_bytes()[0]).from_path(folder.path("saved.csv")).unwrap();
        let mut exported = csv::ReaderBuilder::new().has_headers(false).from_path(folder.path("fix.csv")).unwrap();
        for record in exported.records() {
            let record = record.unwrap();
            let mend = |cell: &str| match cell {
                "bob" => "bob@example.com".to_owned(),
                "carl" => "carl@example.com".to_owned(),
                cell => cell.to_owned(),
            };
            saved.write_record(record.iter().map(mend)).unwrap();
        }
        drop(saved);
        let ran = folder.run("rejects retry --csv saved.csv --json").exits(0);
        assert_eq!((ran.total("records"), ran.total("accepted")), (2, 2), "{ran}");
        // Then
        let found = api.sandbox.snapshot().customers;
        for (id, customer) in &expected {
            let found = &found[id];
            assert_eq!((&found.name, &found.email), (&customer.name, &customer.email), "{id}");
            assert_eq!(found.metadata, customer.metadata, "{id}");
        }
        // The ledger takes them for the same records, too.
        folder.write("customers.json", mended(&json));
        let again = folder.run("run pipeline.toml --json").exits(0);
        assert_eq!((again.total("unchanged"), again.total("accepted")), (3, 0), "{again}");
    }
}

#[test]
fn rows_of_entries_in_json_keep_key_and_value() {
    let (api, folder) = (Api::open(), Folder::new());
    folder
        .write(
            "pipeline.toml",
            format!(
                "[target]\nurl = \"{}\"\n[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\n\
                 source = {{ json = \"tenants.json\", each = \"people\" }}\n",
                api.url
            ),
        )
        .write(
            "customers.toml",
            "entity = \"customer\"\n[fields]\ncustomerId = \"_key\"\nemail = \"_value\"\nname = \"tenant\"\n",
        )
        .write("tenants.json", r#"[{"tenant": "T", "people": {"ada": "ada@example.com", "bob": "bob"}}]"#);
    folder.run("run pipeline.toml").exits(3);
    let exported = folder.run("rejects export --out fix.csv").exits(0);
    assert!(folder.read("fix.csv").contains("bob"), "{exported}");
    folder.write("fix.csv", folder.read("fix.csv").replacen("bob,bob,", "bob,bob@example.com,", 1));
    let text = folder.read("fix.csv");
    let ran = folder.run("rejects retry --csv fix.csv --json");
    assert_eq!((ran.exit, ran.total("accepted")), (Some(0), 1), "{text}{ran}");
    assert_eq!(api.sandbox.snapshot().customers["bob"].email.as_deref(), Some("bob@example.com"));
}

#[test]
fn a_corrected_row_does_not_replace_what_was_delivered_meanwhile_unless_it_is_told_to() {
    // Given: two rows of one key; the first was delivered, the second rejected.
    let (api, folder) = (Api::open(), customers());
    folder.write("customers.csv", "id,email,name\ncus_0,old@example.com,Old\n");
    folder.run_to(&api, RUN).exits(0);
    folder.write(
        "customers.csv",
        "id,email,name\ncus_0,bad,Newer\ncus_1,ada@example.com,Ada\ncus_1,eve@example.com,Eve\n",
    );
    folder.run_to(&api, RUN).exits(3);
    folder.run("rejects export --out fix.csv").exits(0);
    folder.write("fix.csv", folder.read("fix.csv").replacen(",bad,", ",new@example.com,", 1));
    // When
    let ran = folder.run_to(&api, "rejects retry --csv fix.csv --json").exits(3);
    // Then: what an earlier run delivered is changed as by any run; what this run delivered stays.
    assert_eq!((ran.total("accepted"), ran.total("rejected")), (1, 1), "{ran}");
    let email = |id: &str| api.sandbox.snapshot().customers[id].email.clone().unwrap();
    assert_eq!((email("cus_0"), email("cus_1")), ("new@example.com".to_owned(), "ada@example.com".to_owned()));
    let listed = folder.run("rejects list").exits(0);
    assert!(
        listed.stdout.contains(
            "key: a record of this key with other content was delivered already, and only one can be true; correct the \
             key, or say --replace if this one is right"
        ),
        "{listed}"
    );
    // When: what was rejected twice is run again.
    folder.run_to(&api, "rejects retry --run 3").exits(3);
    assert_eq!(email("cus_1"), "ada@example.com");
    // When
    folder.run_to(&api, "rejects retry --run 2 --csv fix.csv --replace").exits(0);
    assert_eq!(email("cus_1"), "eve@example.com");
}

#[test]
fn of_two_rows_of_one_key_the_rejected_one_does_not_win_by_a_later_runs_rejects() {
    // Given: two rows of one key, and a second run that finds the first of them unchanged.
    let (api, folder) = (Api::open(), customers());
    folder.write("customers.csv", "id,email,name\ncus_1,ada@example.com,Ada\ncus_1,eve@example.com,Eve\n");
    folder.run_to(&api, RUN).exits(3);
    folder.run_to(&api, RUN).exits(3);
    // When
    let ran = folder.run_to(&api, "rejects retry --json").exits(3);
    // Then
    assert_eq!((ran.total("accepted"), ran.total("rejected")), (0, 1), "{ran}");
    assert_eq!(api.sandbox.snapshot().customers["cus_1"].email.as_deref(), Some("ada@example.com"));
}

#[test]
fn of_two_numbers_of_one_feature_the_rejected_one_does_not_win_by_a_later_runs_rejects() {
    // Given: two rows of one usage key.
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN);
    let usage = "entity = \"usage\"\n[fields]\ncustomerId = \"c\"\nfeatureId = \"f\"\nvalue = \"v\"\n";
    folder.write("usage.toml", usage).write("usage.csv", "c,f,v\ncus_1,seats,3\ncus_1,seats,4\n");
    for _ in 0..2 {
        folder.run_to(&api, "run --mapping usage.toml --csv usage.csv").exits(3);
    }
    // When
    let ran = folder.run_to(&api, "rejects retry --json").exits(3);
    // Then
    assert_eq!((ran.total("accepted"), ran.total("rejected")), (0, 1), "{ran}");
}

#[test]
fn rows_that_are_still_wrong_are_rejected_again() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    let ran = folder.run_to(&api, "rejects retry --json").exits(3);
    assert_eq!((ran.total("records"), ran.total("rejected"), ran.total("accepted")), (1, 1, 0), "{ran}");
    assert_eq!(folder.run("rejects list --json").exits(0).json()["files"][0]["run"], 2);
}

#[test]
fn a_retry_goes_where_the_run_went_and_may_be_told_otherwise() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    folder.run("rejects export --out fix.csv").exits(0);
    folder.write("fix.csv", folder.read("fix.csv").replace("not-an-email", "carl@example.com"));
    folder.run("rejects retry --csv fix.csv").exits(0);
    assert_eq!(api.customers(), 5);
}

#[test]
fn each_step_has_its_rejects() {
    let (api, folder) = (Api::with_catalog(), Folder::new());
    folder.write("pipeline.toml", stripe_pipeline(&api.url, "stripe-small"));
    folder.run("run pipeline.toml --rate-scale 100000").exits(3);
    assert_ran!(folder.run("rejects export"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: several steps have rejects, and their rows differ
    hint: say which with --step: customers, subscriptions, usage
    "#);
    let listed = folder.run("rejects list --json").exits(0).json();
    let steps: Vec<&str> =
        listed["files"].as_array().unwrap().iter().map(|file| file["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["customers", "subscriptions", "usage"]);
    assert_ran!(folder.run("rejects retry --step usage"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: totals can't be made from the rejected rows alone
    hint: correct the rows in the source and run the same command as before: totals that changed are sent
    "#);
    let exported = folder.run("rejects export --step subscriptions").exits(0);
    assert!(exported.stdout.starts_with("id,Customer ID,"), "{exported}");
}

#[test]
fn nothing_rejected_is_said() {
    let folder = Folder::new();
    assert_ran!(folder.run("rejects list"), @r#"
    exit 0
    --- stdout
    nothing was rejected yet, as far as .stigg-import/rejects knows

    --- stderr
    "#);
    assert_ran!(folder.run("rejects export"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: nothing was rejected yet, as far as .stigg-import/rejects knows
    "#);
    assert_eq!(folder.run("rejects list --json").exits(0).json()["files"], serde_json::json!([]));
}

#[test]
fn a_rejects_file_of_a_killed_run_that_holds_nothing_hides_no_other() {
    // Given: a run with a reject, one that was killed before its file had a header, and one in the middle of it.
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, RUN).exits(3);
    folder
        .write(".stigg-import/rejects/2-customers.jsonl", "")
        .write(".stigg-import/rejects/3-customers.jsonl", "{\"ver");
    // When, then
    let listed = folder.run("rejects list").exits(0);
    assert!(listed.stdout.starts_with("run 1, customers: 1 reject in "), "{listed}");
    let torn = folder.run("rejects list --run 3").exits(0);
    assert_eq!(torn.stdout, "run 3 rejected nothing\n", "{torn}");
    let exported = folder.run("rejects export").exits(0);
    assert!(exported.stdout.contains("not-an-email"), "{exported}");
}

#[test]
fn another_ledger_is_named_in_the_hints() {
    let (api, folder) = (Api::open(), customers());
    let ran = folder.run_to(&api, &format!("{RUN} --ledger books/here.db")).exits(3);
    assert!(ran.stderr.contains("rejects list --run 1 --ledger books/here.db"), "{ran}");
    assert!(!folder.path(LEDGER).exists());
    let listed = folder.run("rejects list --ledger books/here.db").exits(0);
    assert!(listed.stderr.contains("--ledger books/here.db"), "{listed}");
}

#[test]
fn cells_that_a_spreadsheet_or_a_browser_would_run_are_text_in_the_export_and_come_back_unchanged() {
    let names = [
        "=cmd|' /C calc'!A0",
        "'=1",
        "+1",
        "-1",
        "@SUM(1)",
        "＝1",
        "a;=1",
        "a\n=1",
        "a;\"=1\"",
        "<script>alert(1)</script>",
        "a, -1",
    ];
    let api = Api::open();
    let folder = customers();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["id", "email", "name"]).unwrap();
    for (number, name) in names.iter().enumerate() {
        csv.write_record([&*format!("cus_{number}"), "bad", name]).unwrap();
    }
    folder.write("customers.csv", csv.into_inner().unwrap());
    folder.run_to(&api, RUN).exits(3);
    folder.run("rejects export --out fix.csv").exits(0);
    let exported = folder.read("fix.csv");
    for delimiter in [b',', b';', b'\t', b'|'] {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.flexible(true).delimiter(delimiter).from_reader(exported.as_bytes());
        for record in reader.into_records().map(Result::unwrap) {
            let runs = |cell: &&str| cell.starts_with(['=', '+', '-', '@', '＝']);
            assert_eq!(record.iter().find(runs), None, "{exported}");
        }
    }
    folder.write("fix.csv", exported.replace(",bad,", ",good@example.com,"));
    folder.run_to(&api, "rejects retry --csv fix.csv").exits(0);
    let found = api.sandbox.snapshot().customers;
    for (number, name) in names.iter().enumerate() {
        assert_eq!(found[&format!("cus_{number}")].name.as_deref(), Some(*name));
    }
}

/// Given a total beyond what the API takes, when rejects are exported to be corrected, then it is said that it has no row.
#[test]
fn totals_can_not_be_corrected_in_an_export_and_that_is_told() {
    let (api, folder) = (Api::open(), customers());
    folder.write(
        "usage.toml",
        "entity = \"usage\"\naggregate = \"sum\"\n[fields]\ncustomerId = \"c\"\nfeatureId = \"f\"\nvalue = \"v\"\n",
    );
    folder.write("usage.csv", "c,f,v\ncus_1,f,9007199254740991\ncus_1,f,9007199254740991\ncus_2,f,many\n");
    folder.run_to(&api, "run --mapping usage.toml --csv usage.csv").exits(3);
    assert_ran!(folder.run("rejects export --out fix.csv"), @"
    exit 0
    --- stdout

    --- stderr
    1 row of 1 reject; 1 more is a total over many rows: correct it in the source, and run it again
    hint: correct it, then stigg-import rejects retry --csv fix.csv
    ");
}
