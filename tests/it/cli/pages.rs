//! The commands of the pages in `docs/`, those that are neither in a guide nor about a source: run, or, where they are words for
//! what only a reader has, taken by the program.

use std::collections::BTreeSet;

use super::reader::{Reader, as_it_stands, without_times};
use crate::program::{Folder, repository};

#[test]
fn reports_are_written_by_their_page() {
    let mut reader = Reader::with_a_pipeline();
    reader.follows("docs/reports.md", "Reports", as_it_stands, without_times);
    for name in ["plan.html", "run.html", "verify.html"] {
        assert!(reader.folder.read(name).contains("</html>"), "{name}");
    }
}

#[test]
fn a_cutover_is_rehearsed_by_its_page() {
    let mut reader = Reader::new();
    reader.follows("docs/cutover.md", "Rehearse", as_it_stands, without_times);
    let status = reader.types("stigg-import status --cutover").exits(0);
    assert!(status.stdout.contains("cancelled"), "{status}");
}

/// An export that has the columns and the good rows of a mapping's examples.
fn export_of(mapping: &str) -> String {
    let text = std::fs::read_to_string(repository(mapping)).expect("it ships");
    let mapping: toml::Table = text.parse().expect("it is TOML");
    let examples = mapping["example"].as_array().expect("it has some");
    let rows_of = |example: &toml::Value| match (example.get("row"), example.get("rows")) {
        (Some(row), _) => vec![row.clone()],
        (None, rows) => rows.and_then(toml::Value::as_array).expect("rows").clone(),
    };
    let columns: BTreeSet<String> = examples
        .iter()
        .flat_map(rows_of)
        .flat_map(|row| row.as_table().expect("cells").keys().cloned().collect::<Vec<_>>())
        .collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(&columns).expect("in memory");
    for row in examples.iter().filter(|example| example.get("gives").is_some()).flat_map(rows_of) {
        let cell = |column: &String| row.get(column).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        csv.write_record(columns.iter().map(cell)).expect("in memory");
    }
    String::from_utf8(csv.into_inner().expect("in memory")).expect("UTF-8")
}

/// Given exports with the columns that each mapping's examples have, when the page's commands are run, then the mappings that
/// ship fit them.
#[test]
fn the_mappings_that_ship_are_tried_by_their_page() {
    let page = std::fs::read_to_string(repository("docs/mapping.md")).expect("it ships");
    let (_, section) = page.split_once("## Mappings that ship").expect("the section");
    let commands: Vec<&str> = section.split('`').filter(|code| code.starts_with("stigg-import check ")).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    let mut reader = Reader::new();
    let mappings = repository("mappings").display().to_string();
    std::os::unix::fs::symlink(&mappings, reader.folder.path("mappings")).expect("a link");
    reader.start_sandbox("sandbox --port 8080");
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        if let Some(at) = words.iter().position(|word| *word == "--csv") {
            reader.folder.write(words[at + 1], export_of(words[3]));
        }
        let stripe = format!("{}/stripe", reader.address());
        let own = command.replace("--stripe customers", &format!("--stripe customers --stripe-url {stripe}"));
        let ran = reader.types(&own);
        assert_eq!(ran.exit, Some(0), "{command}\n{ran}");
    }
}

/// The commands of a text: lines of their own, behind a prompt or a pipe, and those between backticks.
fn commands_of(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start_matches(['#', ' ', '$']);
        let pieces =
            if bare.starts_with("stigg-import ") { vec![bare] } else { line.split('`').skip(1).step_by(2).collect() };
        for piece in pieces {
            let piece = piece.rsplit(" | ").next().unwrap_or_default();
            if piece.starts_with("stigg-import ") {
                found.push(piece.split(" #").next().unwrap_or_default().trim().to_owned());
            }
        }
    }
    found
}

/// Words that stand for what only a reader has.
const PLACEHOLDERS: &[(&str, &str)] = &[("I/N", "0/2"), (" …", ""), ("mapping|pipeline", "mapping")];

/// Every command of the pages, the mappings' comments and what is deployed is one that the program takes. Whether it does what
/// the page says is shown elsewhere: here, in `readme`, `walks`, `guides`, `documented` and `cutover`.
#[test]
fn every_command_of_a_page_is_taken() {
    let folder = Folder::new();
    let mut commands = BTreeSet::new();
    for pattern in ["*.md", "docs/*.md", "docs/guides/*.md", "mappings/*/*.toml", "deploy/*", "deploy/*/*"] {
        for path in glob::glob(&repository(pattern).display().to_string()).expect("a pattern") {
            let path = path.expect("a path");
            if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                commands.extend(commands_of(&text).into_iter().map(|command| (path.clone(), command)));
            }
        }
    }
    assert!(commands.len() > 100, "only {} were found", commands.len());
    for (path, command) in commands {
        let mut line = command.replacen("stigg-import", "\"$PROGRAM\"", 1);
        for (placeholder, value) in PLACEHOLDERS {
            line = line.replace(placeholder, value);
        }
        let ran = folder.finish(&mut folder.shell(&format!("set -f; {line} --help")));
        assert_eq!(ran.exit, Some(0), "{}: {command}\n{ran}", path.display());
    }
}
