//! The README's commands in its fences, run as they stand there and in their order, and what it says that they print.
//!
//! Each section is a story of its own: what a reader has when it begins is made here, everything else comes from the page.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::program::{Folder, Ran, repository};

/// A command of the page, and what the page shows of its output; `…` stands for what is left out.
struct Shown {
    command: String,
    exit: i32,
    printed: Option<Vec<String>>,
}

/// Exit codes that the page does not say beside the command: the rehearsal's export has dirty rows on purpose.
const EXITS: &[(&str, i32)] = &[
    ("stigg-import demo", 3),
    ("stigg-import check --mapping mappings/stripe/customers.toml", 3),
    ("stigg-import plan ", 4),
    ("stigg-import run ", 3),
    ("stigg-import rejects retry", 3),
    // Of the demo's account one can't be moved as it is.
    ("stigg-import cutover --mapping mappings/stripe/paid-subscriptions.toml --stripe subscriptions --limit", 3),
];

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

/// The commands of a section, up to the next heading.
fn section(name: &str) -> Vec<Shown> {
    sections().into_iter().find(|(heading, _)| heading == name).unwrap_or_else(|| panic!("no section {name}")).1
}

fn sections() -> Vec<(String, Vec<Shown>)> {
    let text = std::fs::read_to_string(repository("README.md")).expect("it ships");
    let (mut found, mut fence) = (Vec::<(String, Vec<Shown>)>::new(), None);
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_none() { Some(language) } else { None };
            continue;
        }
        let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "));
        if let (None, Some(heading)) = (fence, heading) {
            found.push((heading.to_owned(), Vec::new()));
        }
        let Some((_, commands)) = found.last_mut() else { continue };
        match (fence, line.strip_prefix("$ ")) {
            (Some("sh"), _) if !line.is_empty() => commands.push(shown(line, None)),
            (Some("console"), Some(command)) => commands.push(shown(command, Some(Vec::new()))),
            (Some("console"), None) => {
                let printed = commands.last_mut().and_then(|command| command.printed.as_mut());
                printed.expect("a command stands before what it prints").push(line.to_owned());
            }
            _ => {}
        }
    }
    found.retain(|(_, commands)| !commands.is_empty());
    for command in found.iter_mut().flat_map(|(_, commands)| commands) {
        // Before the next prompt.
        if let Some(printed) = command.printed.as_mut().filter(|printed| printed.last().is_some_and(String::is_empty)) {
            printed.pop();
        }
    }
    found
}

fn shown(line: &str, printed: Option<Vec<String>>) -> Shown {
    let (command, comment) = line.split_once('#').unwrap_or((line, ""));
    let command = command.trim().to_owned();
    let said = comment.trim().strip_prefix("ends with ").map(|rest| rest[..1].parse().expect("an exit code"));
    let known = EXITS.iter().find(|(begins, _)| command.starts_with(begins)).map(|(_, exit)| *exit);
    Shown { exit: said.or(known).unwrap_or(0), command, printed }
}

/// A folder, and the sandbox that a reader has in another shell.
struct Reader {
    folder: Folder,
    /// Where the reader stands in it.
    stands_in: String,
    sandbox: Option<(Child, String)>,
}

impl Reader {
    fn new() -> Self {
        Self { folder: Folder::new(), stands_in: ".".to_owned(), sandbox: None }
    }

    /// Starts the program's sandbox on a free port.
    fn start_sandbox(&mut self, words: &str) {
        let mut command = self.folder.command(&words.replace("--port 8080", "--port 0"));
        let mut child = command.current_dir(self.folder.path(&self.stands_in)).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        self.sandbox = Some((child, url.trim().trim_end_matches("/graphql").to_owned()));
    }

    /// The address of the sandbox without its path.
    fn address(&self) -> &str {
        self.sandbox.as_ref().map_or("http://127.0.0.1:8080", |(_, address)| address)
    }

    /// A line as it would be typed, with both of its streams as one.
    fn line(&self, line: &str) -> Command {
        let line = line.replace("http://127.0.0.1:8080", self.address()).replace("stigg-import ", "exec \"$PROGRAM\" ");
        let mut shell = self.folder.shell(&format!("exec 2>&1; cd {}; {line}", self.stands_in));
        shell.env("EDITOR", "sh ../edit.sh").env("STRIPE_API_KEY", "rk_test_1");
        shell
    }

    /// Runs it to its end.
    fn types(&self, line: &str) -> Ran {
        let mut ran = self.folder.finish(&mut self.line(line));
        ran.stdout = ran.stdout.replace(self.address(), "http://127.0.0.1:8080");
        ran
    }

    /// Runs what goes on for ever until it has done what there was to do, and ends it as a service manager does.
    fn ends_while_it_waits(&self, line: &str) -> Ran {
        let mut child = self.line(line).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let (mut all, mut last) = (String::new(), String::new());
        while !last.contains("next run at") {
            last.clear();
            assert!(said.read_line(&mut last).unwrap() > 0, "it ended: {all}");
            all.push_str(&last);
        }
        signal(&child, "TERM");
        let mut ran = self.folder.wait(child);
        said.read_to_string(&mut all).unwrap();
        ran.stdout = all;
        ran
    }

    /// Follows a section, where `own` says what this reader types instead of a command.
    fn follows(&mut self, name: &str, own: impl Fn(&str) -> String, same: impl Fn(&str) -> String) {
        for Shown { command, exit, printed } in section(name) {
            if let Some(folder) = command.strip_prefix("cd ") {
                folder.clone_into(&mut self.stands_in);
            } else if let Some(words) = command.strip_prefix("stigg-import sandbox ") {
                self.start_sandbox(&format!("sandbox {words}"));
            } else {
                let typed = own(&command);
                let ran = match typed.starts_with("stigg-import sync ") && !typed.contains("--once") {
                    true => self.ends_while_it_waits(&typed),
                    false => self.types(&typed),
                };
                assert_eq!(ran.exit, Some(exit), "{name}: {command}\n{ran}");
                let said: Vec<String> = ran.stdout.lines().map(&same).collect();
                if let Some(printed) = printed {
                    let printed: Vec<String> = printed.iter().map(|line| same(line)).collect();
                    assert!(
                        is_shown(&printed, &said),
                        "{name}: {command}\nthe page shows {printed:#?}\nit says {said:#?}"
                    );
                }
            }
        }
    }
}

fn signal(child: &Child, name: &str) {
    let line = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.sandbox {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A line without what differs from machine to machine: how wide a column of times is, and the times.
fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_time = |at: usize| words.get(at + 1) == Some(&"s") && words[at].parse::<f64>().is_ok();
    let word = |(at, word): (usize, &&str)| if is_time(at) { "N".to_owned() } else { (*word).to_owned() };
    words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// A line without any number: of a run that is killed at some moment.
fn without_numbers(line: &str) -> String {
    let is_number = |word: &str| word.trim_end_matches(',').chars().all(|c| c.is_ascii_digit() || c == ',' || c == '.');
    let word = |word| if is_number(word) { "N" } else { word };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Whether these lines are what the page shows: `…` alone stands for any number of lines, elsewhere for any text.
fn is_shown(page: &[String], said: &[String]) -> bool {
    match page.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first == "…" => (0..=said.len()).any(|left_out| is_shown(rest, &said[left_out..])),
        Some((first, rest)) => {
            said.split_first().is_some_and(|(line, said)| line_is_shown(first, line) && is_shown(rest, said))
        }
    }
}

fn line_is_shown(page: &str, mut said: &str) -> bool {
    let mut parts = page.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(rest) = said.strip_prefix(first) else { return false };
    said = rest;
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return said.is_empty() };
    for part in between {
        let Some(at) = said.find(part) else { return false };
        said = &said[at + part.len()..];
    }
    said.ends_with(last)
}

#[test]
fn what_is_left_out_on_the_page_may_be_anything_and_nothing_else_may() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let said = lines("one 1 two\nthree\nfour");
    for page in ["one 1 two\nthree\nfour", "…\nfour", "one 1 two\n…", "one … two\n…\nfour", "one…\nthree\n…\nfour", "…"]
    {
        assert!(is_shown(&lines(page), &said), "{page}");
    }
    for page in ["one 1 two\nthree", "one 1 two\nfour", "…\nthree", "one … three\n…", "three\n…", ""] {
        assert!(!is_shown(&lines(page), &said), "{page}");
    }
}

#[test]
fn every_section_with_commands_has_its_reader() {
    let found: Vec<String> = sections().into_iter().map(|(heading, _)| heading).collect();
    assert_eq!(found, SECTIONS);
}

fn as_it_stands(command: &str) -> String {
    command.to_owned()
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let text = std::fs::read_to_string(repository("README.md")).unwrap();
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
    reader.follows("A first import", own, without_times);
}

#[test]
fn contracts_are_drafted_by_the_readme() {
    let mut reader = Reader::new();
    let contracts =
        "contract no,member,tariff,starts,cycle,note\n1,10,Gold,2025-01-31,monthly,\n2,11,Silver,2025-02-28,yearly,x\n";
    reader.folder.write("contracts.csv", contracts);
    reader.follows("A mapping", as_it_stands, without_times);
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
    reader.follows("Paid plans", own, without_times);
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
    reader.follows("A report for others", own, without_times);
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
    reader.follows("Rejects", as_it_stands, without_times);
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
    reader.follows("Resuming", as_it_stands, without_numbers);
    let again = reader.types(&usage).exits(3);
    assert!(again.stdout.contains("2,132 = 2,097 unchanged"), "{again}");
}

#[test]
fn a_pipeline_is_synced_by_the_readme() {
    let mut reader = Reader::new();
    reader.folder.write("customers.toml", super::CUSTOMERS_TOML).write("customers.csv", super::CLEAN_CSV);
    reader.start_sandbox("sandbox --port 8080");
    let target = format!("[target]\nurl = \"{}/graphql\"\n", reader.address());
    let step = "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n";
    reader.folder.write("pipeline.toml", format!("{target}{step}"));
    reader.follows("Scheduled runs", |command| command.replace("127.0.0.1:9464", "127.0.0.1:0"), without_times);
    let status = reader.types("stigg-import status").exits(0);
    assert!(status.stdout.contains("3 customer records known"), "{status}");
}
