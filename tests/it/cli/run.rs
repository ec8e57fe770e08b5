use std::io::Write as _;
use std::process::Stdio;

use super::{CLEAN_CSV, CUSTOMERS_CSV, CUSTOMERS_TOML, RUN, clean, customers};
use crate::program::{Api, Folder, assert_ran};

#[test]
fn what_was_changed_in_stigg_is_reported_by_verify_and_repaired_by_resend() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    // Given: somebody else's import changes one customer and the ledger does not know.
    folder.write("other.csv", "id,email,name\ncus_2,bob@example.com,Robert\n");
    folder.run_to(&api, "run --mapping customers.toml --csv other.csv --ledger other.db").exits(0);
    let again = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((again.total("accepted"), again.total("unchanged")), (0, 3), "a run compares with its ledger");
    let verify = "verify --mapping customers.toml --csv customers.csv";
    let verified = folder.run_to(&api, verify).exits(3);
    assert!(verified.stdout.contains("name is Robert, and should be Bob"), "{verified}");
    assert!(verified.stderr.contains("--resend"), "{verified}");
    // When
    let resent = folder.run_to(&api, &format!("{RUN} --resend --json")).exits(0);
    // Then
    assert_eq!((resent.total("accepted"), resent.total("changed"), resent.total("created")), (3, 3, 0), "{resent}");
    folder.run_to(&api, verify).exits(0);
    let last = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((last.total("accepted"), last.total("unchanged")), (0, 3), "{last}");
}

#[test]
fn the_first_run_sends_all_the_second_nothing_and_the_third_what_changed() {
    let (api, folder) = (Api::open(), customers());
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     5        5         4          0         1 [DURATION]

    every record is accounted for: 5 = 4 accepted + 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why
    "#);
    assert_eq!(api.customers(), 4);
    assert_eq!(api.sandbox.snapshot().customers["cus_5"].name.as_deref(), Some("Eve, of Eden"));

    let requests = api.requests("importCustomersBulk");
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     5        5         0          4         1 [DURATION]

    every record is accounted for: 5 = 4 unchanged + 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/2-customers.jsonl
    hint: stigg-import rejects list --run 2 shows why
    "#);
    assert_eq!(api.requests("importCustomersBulk"), requests);

    folder.write("customers.csv", CUSTOMERS_CSV.replace("Bob", "Robert"));
    let third = folder.run_to(&api, &format!("{RUN} --json")).exits(3);
    assert_eq!((third.total("accepted"), third.total("changed"), third.total("unchanged")), (1, 1, 3), "{third}");
    assert_eq!(api.sandbox.snapshot().customers["cus_2"].name.as_deref(), Some("Robert"));
    assert_eq!(api.sandbox.stats().operations["importCustomersBulk"].rows_received, 5);
}

#[test]
fn a_clean_run_ends_with_0_and_needs_no_words() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         3          0         0 [DURATION]

    every record is accounted for: 3 = 3 accepted

    --- stderr
    "#);
    assert_ran!(folder.run_to(&api, &format!("{RUN} --quiet")), @r#"
    exit 0
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         0          3         0 [DURATION]

    every record is accounted for: 3 = 3 unchanged

    --- stderr
    "#);
}

#[test]
fn the_summary_is_one_object_with_these_names() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(folder.run_to(&api, &format!("{RUN} --json")), @r#"
    exit 0
    --- stdout
    {
      "run": 1,
      "ok": true,
      "exit": 0,
      "duration_s": "[DURATION]",
      "steps": [
        {
          "name": "customers",
          "entity": "customer",
          "rows": 3,
          "records": 3,
          "filtered": 0,
          "rejected": 0,
          "unchanged": 0,
          "accepted": 3,
          "failed": 0,
          "open": 0,
          "created": 3,
          "changed": 0,
          "batches": 1,
          "requests": 1,
          "reads": 0,
          "retries": 0,
          "throttled": 0,
          "duration_s": "[DURATION]",
          "budget_share": null
        }
      ]
    }

    --- stderr
    "#);
}

#[test]
fn standard_input_is_a_source() {
    let (api, folder) = (Api::open(), clean());
    let words = format!("run --mapping customers.toml --csv - --json --target {}", api.url);
    let mut child = folder.command(&words).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(CLEAN_CSV.as_bytes()).unwrap();
    let ran = folder.wait(child).exits(0);
    assert_eq!((ran.total("accepted"), api.customers()), (3, 3), "{ran}");
}

#[test]
fn patterns_and_compressed_files_are_sources() {
    let (api, folder) = (Api::open(), clean());
    folder.write("exports/1.csv", CLEAN_CSV).write("exports/2.csv.gz", gzip(&CLEAN_CSV.replace("cus_", "org_")));
    let words = "run --mapping customers.toml --csv exports/*.csv* --json";
    let ran = folder.run_to(&api, words).exits(0);
    assert_eq!((ran.total("rows"), api.customers()), (6, 6), "{ran}");
}

#[test]
fn the_same_file_twice_is_noticed() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(folder.run_to(&api, &format!("{RUN} --csv ./customers.csv")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because ./customers.csv: is the same input as customers.csv; its rows would be counted twice
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_eq!(api.customers(), 0);
}

#[test]
fn verify_tells_what_is_there_and_what_differs() {
    let (api, folder) = (Api::open(), clean());
    let verify = "verify --mapping customers.toml --csv customers.csv";
    folder.run_to(&api, RUN).exits(0);
    assert_ran!(folder.run_to(&api, verify), @r#"
    exit 0
    --- stdout
    step       expected  equal  different  missing  unread
    customers         3      3          0        0       0

    --- stderr
    everything that should be in Stigg is there, as the source has it
    "#);

    folder.write("customers.csv", CLEAN_CSV.replace("Bob", "Robert") + "cus_9,,Zoe\n");
    assert_ran!(folder.run_to(&api, verify), @r#"
    exit 3
    --- stdout
    step       expected  equal  different  missing  unread
    customers         4      2          1        1       0
    cus_2 (customers.csv:3, record 2): name is Bob, and should be Robert
    cus_9 (customers.csv:5, record 4): is not in Stigg

    --- stderr
    hint: the same words with `run` send what has changed in the source; with `run` and --resend, all of it again, also over what was changed in Stigg itself
    "#);
    let verified = folder.run_to(&api, &format!("{verify} --json")).exits(3).json();
    let step = &verified["steps"][0];
    assert_eq!([&step["expected"], &step["equal"], &step["different"], &step["missing"]], [4, 2, 1, 1], "{verified}");
}

#[test]
fn status_tells_of_the_runs_and_of_what_is_known() {
    let (api, folder) = (Api::open(), customers());
    assert_ran!(folder.run("status"), @r#"
    exit 0
    --- stdout
    no runs yet: there is no ledger at .stigg-import/ledger.db

    --- stderr
    "#);
    assert_eq!(folder.run("status --json").exits(0).json()["runs"], serde_json::json!([]));

    folder.run_to(&api, RUN).exits(3);
    assert_ran!(folder.run("status"), @r#"
    exit 0
    --- stdout
    what            run          began (UTC)          ended (UTC)  exit
    customers.toml    1  [TIME]  [TIME]     3

    http://127.0.0.1:[PORT]/graphql [UUID]: 4 customer records known

    --- stderr
    "#);
    let status = folder.run("status --json").exits(0).json();
    assert_eq!(status["runs"][0]["exit"], 3, "{status}");
    assert_eq!(status["runs"][0]["summary"]["steps"][0]["accepted"], 4, "{status}");
    assert_eq!(status["scopes"][0]["known_records"], 4, "{status}");
}

#[test]
fn the_pipeline_file_names_steps_and_target_and_its_paths_count_from_its_folder() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("import/customers.toml", CUSTOMERS_TOML).write("import/customers.csv", CLEAN_CSV).write(
        "import/pipeline.toml",
        format!(
            "[target]\nurl = \"{}\"\n\n[[step]]\nname = \"people\"\nmapping = \"customers.toml\"\nsource = {{ csv = \"customers.csv\" }}\n",
            api.url
        ),
    );
    assert_ran!(folder.run("run import/pipeline.toml"), @r#"
    exit 0
    --- stdout
    step    rows  records  accepted  unchanged  rejected time
    people     3        3         3          0         0 [DURATION]

    every record is accounted for: 3 = 3 accepted

    --- stderr
    "#);
    assert_eq!(api.customers(), 3);
}

#[test]
fn max_rejects_ends_a_run_over_the_wrong_file() {
    let (api, folder) = (Api::open(), customers());
    assert_ran!(folder.run_to(&api, &format!("{RUN} --max-rejects 0")), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected  open time
    customers     5        5         0          0         1     4 [DURATION]

    every record is accounted for: 5 = 1 rejected + 4 open

    --- stderr
    error: the run stopped early: too many rejects: 1, and 0 are allowed
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why; mend the mapping or the rows, or allow more with --max-rejects
    "#);
    super::a_good_run_follows(&folder, &api);
}

#[test]
fn without_a_terminal_there_are_no_colours_and_no_control_characters() {
    let (api, folder) = (Api::open(), customers());
    folder.write("customers.csv", CUSTOMERS_CSV.replace("not-an-email", "\u{1b}[31mred@\u{7}"));
    for words in
        ["run --mapping customers.toml --csv customers.csv -vv", "plan --mapping customers.toml --csv customers.csv"]
    {
        let ran = folder.run_to(&api, words);
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
    }
    for words in ["rejects list", "status", "--help", "run --help", "rum", "run --mapping nope.toml --csv x"] {
        let ran = folder.run(words);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains('\u{1b}'), "{ran}");
    }
}

#[test]
fn log_lines_can_be_json() {
    let (api, folder) = (Api::open(), customers());
    let ran = folder.run_to(&api, &format!("{RUN} -vv --log-format json --quiet"));
    let ran = if ran.stderr.is_empty() { folder.run_to(&api, &format!("{RUN} -vv --log-format json")) } else { ran };
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with('{')).collect();
    assert!(!lines.is_empty(), "{ran}");
    for line in lines {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

/// As the `gzip` program writes it.
pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}
