//! The README's commands in its fences, run as they stand there and in their order, and what it says that they print.
//!
//! Each section is a story of its own: what a reader has when it begins is made here, everything else comes from the page.

use std::time::{Duration, Instant};

use super::reader::{Reader, as_it_stands, is_shown, sections, without_numbers, without_times};
use crate::program::{Folder, repository};

const PAGE: &str = "README.md";

/// Sections whose fences hold commands, each with the test that runs them.
const SECTIONS: &[&str] = &[
    "Two commands",         // `.ci/run` is what runs them; what the demo prints is compared here
    "A first import",       // here
    "With your own export", // `super::walks`
    "A mapping",            // here
    "Paid plans",           // here
    "A report for others",  // here
    "Resuming",             // here
    "Rejects",              // here
    "Scheduled runs",       // here
    "As a library",         // `.ci/run`: "the examples run"
];

#[test]
fn every_section_with_commands_has_its_reader() {
    let found: Vec<String> = sections(PAGE).into_iter().map(|(heading, _)| heading).collect();
    assert_eq!(found, SECTIONS);
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let text = std::fs::read_to_string(repository(PAGE)).unwrap();
    let (_, shown) = text.split_once("```text\n").unwrap();
    let printed: Vec<String> = shown.split_once("```").unwrap().0.lines().map(without_times).collect();
    let folder = Folder::new();
    let ran = folder.run("demo").exits(3);
    let said: Vec<String> = ran.stdout.lines().map(without_times).collect();
    assert!(is_shown(&printed, &said), "the page shows {printed:#?}\nit says {said:#?}");
}

#[test]
fn a_first_import_goes_by_the_readme() {
    let mut reader = Reader::new();
    // Nobody is asked without a terminal.
    let own =
        |command: &str| if command.contains("--canary") { format!("{command} --yes") } else { command.to_owned() };
    reader.follows(PAGE, "A first import", own, without_times);
}

#[test]
fn contracts_are_drafted_by_the_readme() {
    let mut reader = Reader::new();
    let contracts =
        "contract no,member,tariff,starts,cycle,note\n1,10,Gold,2025-01-31,monthly,\n2,11,Silver,2025-02-28,yearly,x\n";
    reader.folder.write("contracts.csv", contracts);
    reader.follows(PAGE, "A mapping", as_it_stands, without_times);
}

/// Given the demo's account at a billing provider, imported, when the section is followed, then all that can be is moved.
#[test]
fn paid_plans_are_moved_by_the_readme() {
    let mut reader = Reader::new();
    reader.types("stigg-import demo --cutover --dir .").exits(3);
    reader.start_sandbox("sandbox --port 8080 --catalog catalog.json --stripe stripe.json");
    let at = reader.address().to_owned();
    let there = format!("--stripe-url {at}/stripe --target {at}/graphql --rate-scale 1000");
    reader
        .types(&format!("stigg-import run --mapping mappings/stripe/api-customers.toml --stripe customers {there}"))
        .exits(0);
    let own = |command: &str| match command {
        "stigg-import status --cutover" => command.to_owned(),
        _ if command.contains("--stripe ") => format!("{command} {there} --provider-url {at}/stripe"),
        _ => format!("{command} --target {at}/graphql --provider-url {at}/stripe"),
    };
    reader.follows(PAGE, "Paid plans", own, without_times);
    let status = reader.types("stigg-import status --cutover").exits(0);
    assert!(status.stdout.contains("cancelled"), "{status}");
}

/// A rehearsal with its sandbox, in which customers were imported once and found unchanged once: two runs after the demo's own.
fn rehearsal() -> Reader {
    let mut reader = Reader::new();
    reader.types("stigg-import demo --dir rehearsal").exits(3);
    "rehearsal".clone_into(&mut reader.stands_in);
    reader.start_sandbox("sandbox --port 8080 --catalog catalog.json");
    reader
}

const CUSTOMERS: &str = "stigg-import run --mapping mappings/stripe/customers.toml --csv customers.csv --target http://127.0.0.1:8080/graphql";

#[test]
fn a_report_is_written_by_the_readme() {
    let mut reader = rehearsal();
    let own = |command: &str| format!("{command} --target http://127.0.0.1:8080/graphql");
    reader.follows(PAGE, "A report for others", own, without_times);
    assert!(reader.folder.path("rehearsal/run.html").exists());
}

#[test]
fn rejects_are_mended_by_the_readme() {
    let mut reader = rehearsal();
    for _ in 0..2 {
        reader.types(CUSTOMERS).exits(3);
    }
    // Given: who edits gives two customers their ids and addresses, and does not know more.
    reader.folder.write(
        "edit.sh",
        "sed -i 's/not-an-email/found@example.com/; s/^,,/cus_found,,/; s/yesterday/2025-01-31 10:00/' \"$1\"\n",
    );
    reader.follows(PAGE, "Rejects", as_it_stands, without_times);
}

/// Given a run that was killed while some of its batches were open and others settled, at an API that loses answers, when the
/// section is followed, then all is settled.
#[test]
fn a_killed_run_goes_on_by_the_readme() {
    let mut reader = Reader::new();
    reader.types("stigg-import demo --dir rehearsal").exits(3);
    "rehearsal".clone_into(&mut reader.stands_in);
    reader.start_sandbox("sandbox --port 8080 --catalog catalog.json --latency-ms 300 --fault lost-answer=0.1 --fault server-error-after=0.1");
    // A ledger that knows nothing of the demo's own sandbox.
    std::fs::remove_dir_all(reader.folder.path("rehearsal/.stigg-import")).unwrap();
    for step in ["customers", "subscriptions"] {
        reader.types(&CUSTOMERS.replace("customers", step)).exits(3);
    }
    let usage = CUSTOMERS.replace("customers", "usage");
    let mut killed = reader.line(&usage).spawn().unwrap();
    let began = Instant::now();
    loop {
        let said = reader.types("stigg-import status").stdout;
        if said.lines().any(|line| line.contains("usage records known, ") && line.contains("batches")) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "never half-way: {said}");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    reader.follows(PAGE, "Resuming", as_it_stands, without_numbers);
    let again = reader.types(&usage).exits(3);
    assert!(again.stdout.contains("2,132 = 2,097 unchanged"), "{again}");
}

#[test]
fn a_pipeline_is_synced_by_the_readme() {
    let mut reader = Reader::with_a_pipeline();
    reader.follows(PAGE, "Scheduled runs", |command| command.replace("127.0.0.1:9464", "127.0.0.1:0"), without_times);
    let status = reader.types("stigg-import status").exits(0);
    assert!(status.stdout.contains("3 customer records known"), "{status}");
}
