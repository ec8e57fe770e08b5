//! `sandbox`: the embedded API as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use super::{RUN, clean};
use crate::program::{Folder, assert_ran, repository};

/// Starts it, runs `work` with its address, ends it with SIGTERM.
fn with_sandbox(folder: &Folder, words: &str, work: impl FnOnce(&str)) {
    let mut child = folder.command(&format!("sandbox --port 0 {words}")).spawn().unwrap();
    let mut url = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut url).unwrap();
    work(url.trim());
    let line = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    folder.wait(child).exits(0);
}

#[test]
fn an_import_into_it_is_kept_in_a_file() {
    let folder = clean();
    with_sandbox(&folder, "--data stigg.json --no-limits", |url| {
        folder.run(&format!("{RUN} --target {url}")).exits(0);
    });
    assert!(folder.read("stigg.json").contains("ada@example.com"));
    with_sandbox(&folder, "--data stigg.json", |url| {
        let verify = format!("verify --mapping customers.toml --csv customers.csv --target {url}");
        folder.run(&verify).exits(0);
    });
}

#[test]
fn its_switches_are_those_of_its_help() {
    let folder = clean();
    let words =
        "--rate-scale 1000 --latency-ms 20 --fault lost-answer=0.05 --unknown customer-batch=good-kept --key server-a";
    let help = folder.run("sandbox --help").stdout;
    assert!(help.contains("--fault lost-answer=0.05") && help.contains("--unknown customer-batch=good-kept"), "{help}");
    with_sandbox(&folder, words, |url| {
        folder.run(&format!("{RUN} --target {url}")).exits(7);
        let words = format!("{RUN} --target {url} --rate-scale 1000");
        folder.finish(folder.command(&words).env("STIGG_API_KEY", "server-a")).exits(0);
    });
}

#[test]
fn the_account_at_stripe_is_what_a_file_says() {
    let folder = clean();
    // The one that the documentation shows.
    let page = std::fs::read_to_string(repository("docs/sandbox.md")).unwrap();
    let (_, example) = page.rsplit_once("```json\n").unwrap();
    folder.write("stripe.json", example.split_once("```").unwrap().0);
    with_sandbox(&folder, "--stripe stripe.json", |url| {
        let stripe = url.replace("/graphql", "/stripe");
        let mapping = repository("mappings/stripe/api-customers.toml");
        let words =
            format!("run --mapping {} --stripe customers --stripe-url {stripe} --target {url}", mapping.display());
        assert_eq!(folder.run(&format!("{words} --json")).exits(0).total("accepted"), 1);
    });
    folder.write("stripe.json", "{ \"plans\": [] }");
    assert_ran!(folder.run("sandbox --port 0 --stripe stripe.json"), @r"
    exit 5
    --- stdout

    --- stderr
    error: stripe.json: unknown field `plans`, expected one of `customers`, `subscriptions`, `invoice_items`, `invoiced`, `cancellations` at line 1 column 9
    ");
}

#[test]
fn what_it_can_not_read_is_said() {
    let folder = clean();
    folder.write("catalog.json", "{ \"plans\": [{ \"id\": 1 }] }");
    assert_ran!(folder.run("sandbox --port 0 --catalog catalog.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: catalog.json: invalid type: integer `1`, expected a string at line 1 column 21
    "#);
    assert_ran!(folder.run("sandbox --port 0 --catalog nowhere.json"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't read nowhere.json
      because No such file or directory (os error 2)
    "#);
    assert_ran!(folder.run("sandbox --port 0 --unknown customer-batch=nonsense"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: "nonsense" is not a choice here; the choices are: all-or-nothing, good-kept
    "#);
}

/// Given a folder that is gone at the end, when the sandbox would keep what it has there, then it says that it could not.
#[test]
fn what_it_can_not_keep_is_said_at_its_end() {
    let folder = clean();
    folder.write("data/other", "");
    let mut child = folder.command("sandbox --port 0 --data data/stigg.json --quiet").spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    std::fs::remove_dir_all(folder.path("data")).unwrap();
    folder.write("data", "");
    let line = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    assert_ran!(folder.wait(child), @"
    exit 5
    --- stdout

    --- stderr
    error: can't write data/stigg.json
      because there is no folder data
    hint: it is as it was before; make room, or name another file with --data
    ");
}
