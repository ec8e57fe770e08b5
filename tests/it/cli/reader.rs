//! A page's commands in its fences, run as they stand there and in their order, and what it says that they print.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};

use crate::program::{Folder, Ran, repository};

/// A command of the page, and what the page shows of its output; `…` stands for what is left out.
pub(super) struct Shown {
    pub(super) command: String,
    exit: i32,
    printed: Option<Vec<String>>,
}

/// Exit codes that a page does not say beside the command: the rehearsals' exports have what does not fit, on purpose.
const EXITS: &[(&str, &str, i32)] = &[
    ("README.md", "stigg-import demo", 3),
    ("README.md", "stigg-import check --mapping mappings/stripe/customers.toml", 3),
    ("README.md", "stigg-import plan ", 4),
    ("README.md", "stigg-import run ", 3),
    ("README.md", "stigg-import rejects retry", 3),
    (
        "README.md",
        "stigg-import cutover --mapping mappings/stripe/paid-subscriptions.toml --stripe subscriptions --limit",
        3,
    ),
    ("docs/cutover.md", "stigg-import demo", 3),
    ("docs/cutover.md", "stigg-import cutover --mapping", 3),
    ("docs/reports.md", "stigg-import plan ", 4),
];

/// The commands of a section, up to the next heading.
fn section(page: &str, name: &str) -> Vec<Shown> {
    sections(page).into_iter().find(|(heading, _)| heading == name).unwrap_or_else(|| panic!("no section {name}")).1
}

/// The sections of a page that have commands, each under its heading.
pub(super) fn sections(page: &str) -> Vec<(String, Vec<Shown>)> {
    // A command may go on in the next line.
    let text = std::fs::read_to_string(repository(page)).expect("it ships").replace("\\\n", " ");
    let (mut found, mut fence) = (Vec::<(String, Vec<Shown>)>::new(), None);
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_none() { Some(language) } else { None };
            continue;
        }
        let heading = ["# ", "## ", "### "].iter().find_map(|mark| line.strip_prefix(mark));
        if let (None, Some(heading)) = (fence, heading) {
            found.push((heading.to_owned(), Vec::new()));
        }
        let Some((_, commands)) = found.last_mut() else { continue };
        match (fence, line.strip_prefix("$ ")) {
            (Some("sh"), _) if !line.is_empty() => commands.push(shown(page, line, None)),
            (Some("console"), Some(command)) => commands.push(shown(page, command, Some(Vec::new()))),
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

fn shown(page: &str, line: &str, printed: Option<Vec<String>>) -> Shown {
    let (command, comment) = line.split_once('#').unwrap_or((line, ""));
    let command = command.trim().to_owned();
    let said = comment.trim().strip_prefix("ends with ").map(|rest| rest[..1].parse().expect("an exit code"));
    let is_it = |(of, begins, _): &&(&str, &str, i32)| *of == page && command.starts_with(begins);
    let known = EXITS.iter().find(is_it).map(|(_, _, exit)| *exit);
    Shown { exit: said.or(known).unwrap_or(0), command, printed }
}

/// A folder, and the sandbox that a reader has in another shell.
pub(super) struct Reader {
    pub(super) folder: Folder,
    /// Where the reader stands in it.
    pub(super) stands_in: String,
    sandbox: Option<(Child, String)>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { folder: Folder::new(), stands_in: ".".to_owned(), sandbox: None }
    }

    /// One who has a pipeline of three customers, and the sandbox.
    pub(super) fn with_a_pipeline() -> Self {
        let mut reader = Self::new();
        reader.folder.write("customers.toml", super::CUSTOMERS_TOML).write("customers.csv", super::CLEAN_CSV);
        reader.start_sandbox("sandbox --port 8080");
        let target = format!("[target]\nurl = \"{}/graphql\"\n", reader.address());
        let step =
            "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n";
        reader.folder.write("pipeline.toml", format!("{target}{step}"));
        reader
    }

    /// Starts the program's sandbox on a free port.
    pub(super) fn start_sandbox(&mut self, words: &str) {
        let mut command = self.folder.command(&words.replace("--port 8080", "--port 0"));
        let mut child = command.current_dir(self.folder.path(&self.stands_in)).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        self.sandbox = Some((child, url.trim().trim_end_matches("/graphql").to_owned()));
    }

    /// The address of the sandbox without its path.
    pub(super) fn address(&self) -> &str {
        self.sandbox.as_ref().map_or("http://127.0.0.1:8080", |(_, address)| address)
    }

    /// A line as it would be typed, with both of its streams as one.
    pub(super) fn line(&self, line: &str) -> Command {
        let line = line.replace("http://127.0.0.1:8080", self.address()).replace("stigg-import ", "exec \"$PROGRAM\" ");
        let mut shell = self.folder.shell(&format!("exec 2>&1; cd {}; {line}", self.stands_in));
        shell.env("EDITOR", "sh ../edit.sh").env("STRIPE_API_KEY", "rk_test_1");
        shell
    }

    /// Runs it to its end.
    pub(super) fn types(&self, line: &str) -> Ran {
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

    /// Follows a section of a page, where `own` says what this reader types instead of a command.
    pub(super) fn follows(
        &mut self,
        page: &str,
        name: &str,
        own: impl Fn(&str) -> String,
        same: impl Fn(&str) -> String,
    ) {
        for Shown { command, exit, printed } in section(page, name) {
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
                assert_eq!(ran.exit, Some(exit), "{page}, {name}: {command}\n{ran}");
                let said: Vec<String> = ran.stdout.lines().map(&same).collect();
                if let Some(printed) = printed {
                    let printed: Vec<String> = printed.iter().map(|line| same(line)).collect();
                    assert!(
                        is_shown(&printed, &said),
                        "{page}, {name}: {command}\nthe page shows {printed:#?}\nit says {said:#?}"
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

pub(super) fn as_it_stands(command: &str) -> String {
    command.to_owned()
}

/// A line without what differs from machine to machine: how wide a column of times is, and the times.
pub(super) fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_time = |at: usize| words.get(at + 1) == Some(&"s") && words[at].parse::<f64>().is_ok();
    let word = |(at, word): (usize, &&str)| if is_time(at) { "N".to_owned() } else { (*word).to_owned() };
    words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// A line without any number: of a run that is killed at some moment.
pub(super) fn without_numbers(line: &str) -> String {
    let is_number = |word: &str| word.trim_end_matches(',').chars().all(|c| c.is_ascii_digit() || c == ',' || c == '.');
    let word = |word| if is_number(word) { "N" } else { word };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Whether these lines are what the page shows: `…` alone stands for any number of lines, elsewhere for any text.
pub(super) fn is_shown(page: &[String], said: &[String]) -> bool {
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
