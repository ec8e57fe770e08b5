//! The guides' commands, run as they are written and in their order.

use super::{CUSTOMERS_CSV, CUSTOMERS_TOML};
use crate::program::{Api, Folder, repository};

/// What a guide does.
enum Step {
    /// A line of a shell block, with the exit code that its comment promises.
    Command(String, i32),
    /// A block that is a file: the text before it ends with the file's name and a colon.
    File(String, String),
}

fn steps(guide: &str) -> Vec<Step> {
    let text = std::fs::read_to_string(repository(&format!("docs/guides/{guide}"))).expect("it ships");
    let mut found = Vec::new();
    let (mut block, mut content, mut before) = (None, String::new(), String::new());
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            let named = before.ends_with(':').then(|| before.rsplit('`').nth(1)).flatten();
            block = match (block, language, named) {
                (None, "sh", _) => Some(None),
                (None, _, name) => Some(Some(name.unwrap_or_default().to_owned())),
                (Some(Some(name)), ..) if !name.is_empty() => {
                    found.push(Step::File(name, std::mem::take(&mut content)));
                    None
                }
                (Some(_), ..) => None,
            };
            content.clear();
            continue;
        }
        match &block {
            Some(None) if !line.is_empty() => {
                let (command, comment) = line.split_once('#').unwrap_or((line, ""));
                let exit = comment.trim().strip_prefix("ends with ").map_or(0, |rest| {
                    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("an exit code")
                });
                found.push(Step::Command(command.trim().to_owned(), exit));
            }
            Some(None) => {}
            Some(Some(_)) => content.push_str(&format!("{line}\n")),
            None if line.is_empty() => {}
            None => line.clone_into(&mut before),
        }
    }
    found
}

/// Runs a guide in a folder that has what it speaks of; how many commands that were. Who edits is `edit.sh`, if it is there.
fn walk(guide: &str, folder: &Folder, api: &Api) -> usize {
    let mut commands = 0;
    for step in steps(guide) {
        match step {
            Step::File(name, content) => {
                folder.write(&name, content);
            }
            Step::Command(command, exit) => {
                let line = command
                    .replace("http://127.0.0.1:8080/graphql", &format!("{} --rate-scale 1000", api.url))
                    .replace("http://127.0.0.1:8080/stripe", &api.url.replace("/graphql", "/stripe"))
                    .replace("stigg-import ", "\"$PROGRAM\" ");
                let mut shell = folder.shell(&line);
                let ran = folder.finish(shell.env("EDITOR", "sh edit.sh").env("STRIPE_API_KEY", "rk_test_1"));
                assert_eq!(ran.exit, Some(exit), "{guide}: {command}\n{ran}");
                commands += 1;
            }
        }
    }
    commands
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

/// Who walks it knows which price is which plan, and which event is which feature.
#[test]
fn stripes_exports_and_its_api_go_by_their_guide() {
    let (api, folder) = (Api::with_catalog(), Folder::new());
    for file in ["customers.csv", "subscriptions.csv", "usage.csv"] {
        folder.write(file, std::fs::read(repository(&format!("tests/data/stripe-small/{file}"))).unwrap());
    }
    for file in ["api-customers.toml", "plans.csv"] {
        let name = format!("mappings/stripe/{file}");
        folder.write(&name, std::fs::read(repository(&name)).unwrap());
    }
    folder.write(
        "edit.sh",
        "while IFS=, read -r price plan; do sed -i \"s|^\\\"$price\\\" = \\\"[^\\\"]*|\\\"$price\\\" = \\\"$plan|\" \"$1\"; done < mappings/stripe/plans.csv\n\
         sed -i 's|^\"api_calls\" = .*|\"api_calls\" = \"feature-api-calls\"|; s|^\"messages_sent\" = .*|\"messages_sent\" = \"feature-messages-sent\"|; \
         s|^\"storage_gb_hours\" = .*|\"storage_gb_hours\" = \"feature-storage-gb-hours\"|' \"$1\"\n",
    );
    assert_eq!(walk("from-stripe.md", &folder, &api), 12);
    let there = api.sandbox.snapshot();
    assert_eq!((there.customers.len(), there.subscriptions.len()), (53, 50));
}

#[test]
fn a_mapping_is_written_by_its_guide() {
    let (api, folder) = (Api::open(), Folder::new());
    assert_eq!(walk("writing-a-mapping.md", &folder, &api), 6);
    let there = api.sandbox.snapshot();
    assert_eq!((there.customers.len(), there.subscriptions.len()), (4, 2));
}
