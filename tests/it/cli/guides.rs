//! The guides' commands, run as they are written and in their order.

use super::{CUSTOMERS_CSV, CUSTOMERS_TOML};
use crate::program::{Api, Folder, repository};

/// The lines of a guide's shell blocks, each with the exit code that its comment promises.
fn commands(guide: &str) -> Vec<(String, i32)> {
    let text = std::fs::read_to_string(repository(&format!("docs/guides/{guide}"))).expect("it ships");
    let mut found = Vec::new();
    let mut in_shell = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_shell = line == "```sh";
            continue;
        }
        if in_shell && !line.is_empty() {
            let (command, comment) = line.split_once('#').unwrap_or((line, ""));
            let exit = comment.trim().strip_prefix("ends with ").map_or(0, |rest| {
                rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("an exit code")
            });
            found.push((command.trim().to_owned(), exit));
        }
    }
    found
}

/// Runs a guide in a folder that has what it speaks of; how many commands that were.
fn walk(guide: &str, folder: &Folder, api: &Api) -> usize {
    let commands = commands(guide);
    for (command, exit) in &commands {
        let line = command
            .replace("http://127.0.0.1:8080/graphql", &format!("{} --rate-scale 1000", api.url))
            .replace("stigg-import ", "\"$PROGRAM\" ");
        let ran = folder.finish(&mut folder.shell(&line));
        assert_eq!(ran.exit, Some(*exit), "{guide}: {command}\n{ran}");
    }
    commands.len()
}

#[test]
fn a_first_import_goes_by_its_guide() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.csv", std::fs::read(repository("tests/data/chinook/csv/customers.csv")).unwrap());
    assert_eq!(walk("first-import.md", &folder, &api), 7);
    assert_eq!(api.customers(), 59);
    assert!(folder.path("first-import.html").exists());
}

#[test]
fn rejects_are_mended_by_their_guide() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.toml", CUSTOMERS_TOML).write("customers.csv", CUSTOMERS_CSV);
    assert_eq!(walk("fixing-rejects.md", &folder, &api), 6);
    assert_eq!(api.customers(), 5);
}

#[test]
fn the_vendors_files_go_by_their_guide() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.json", std::fs::read(repository("tests/data/bulk/customers-1.9.1.json")).unwrap());
    assert_eq!(walk("from-the-vendors-tool.md", &folder, &api), 2);
    assert!(api.customers() > 0);
    assert_eq!(api.requests("importCustomersBulk"), 1, "the second time sends nothing");
}

#[test]
fn a_sync_goes_on_from_the_import_by_its_guide() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.toml", CUSTOMERS_TOML).write("customers.csv", super::CLEAN_CSV);
    let step = "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n";
    folder.write("pipeline.toml", format!("[target]\nurl = \"{}\"\n{step}", api.url));
    assert_eq!(walk("nightly-sync.md", &folder, &api), 4);
    assert_eq!((api.customers(), api.requests("importCustomersBulk")), (3, 1), "the second run sends nothing");
}
