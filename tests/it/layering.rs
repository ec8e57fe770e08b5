//! Which way names may point between the rooms. `docs/architecture.md` says why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room, and the rooms that it may name besides itself.
const RULES: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("entity", &[]),
    ("clock", &[]),
    ("problem", &[]),
    ("document", &["problem"]),
    ("http", &["clock"]),
    ("pacer", &[]),
    ("spreadsheet", &[]),
    ("database_url", &[]),
    ("stripe", &["http", "pacer", "clock"]),
    ("batch", &["record", "entity"]),
    ("source", &["database_url", "stripe", "record", "entity", "clock", "problem"]),
    ("mapping", &["record", "entity", "clock", "problem", "document"]),
    ("draft", &["mapping", "record", "entity", "clock"]),
    ("sink", &["http", "pacer", "batch", "record", "entity", "clock", "problem"]),
    ("provider", &["stripe", "http", "spreadsheet", "clock"]),
    ("ledger", &["database_url", "pacer", "spreadsheet", "batch", "record", "entity", "clock", "problem"]),
    ("sandbox", &[]),
    ("pipeline", &["source", "mapping", "batch", "sink", "ledger", "provider", "record", "entity", "clock", "problem"]),
    ("schedule", &["pipeline", "http", "entity", "clock"]),
    (
        "config",
        &[
            "document", "stripe", "source", "mapping", "sink", "pipeline", "schedule", "record", "entity", "clock",
            "problem",
        ],
    ),
    ("doctor", &["pipeline", "sink", "entity", "clock"]),
    (
        "cli",
        &[
            "config",
            "sandbox",
            "doctor",
            "draft",
            "pipeline",
            "schedule",
            "source",
            "mapping",
            "sink",
            "ledger",
            "provider",
            "stripe",
            "batch",
            "spreadsheet",
            "record",
            "entity",
            "clock",
            "problem",
        ],
    ),
];

#[test]
fn names_point_only_where_the_architecture_lets_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms: BTreeSet<&str> = RULES.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).expect("it is under src");
        let first = inside.components().next().expect("it has a name").as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs").to_owned();
        if room == "lib" || room == "main" {
            continue;
        }
        let (_, allowed) =
            RULES.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("room `{room}` has no rule"));
        seen += 1;
        let text = std::fs::read_to_string(&file).expect("readable");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for named in rooms_named(code, &rooms) {
                if named != room && !allowed.contains(&named.as_str()) {
                    wrong.push(format!("src/{}:{}: {room} names {named}", inside.display(), number + 1));
                }
            }
        }
    }
    assert!(seen > 5, "only {seen} files were looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rule_sees_a_wrong_name() {
    let rooms: BTreeSet<&str> = RULES.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms_named("use crate::sink::Sink;", &rooms), ["sink"]);
    assert_eq!(rooms_named("use crate::{record::Row, ledger::{Index, Seen}};", &rooms), ["record", "ledger"]);
    assert_eq!(rooms_named("stigg_import::cli::run()", &rooms), ["cli"]);
}

#[test]
fn nothing_below_the_command_line_prints() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src) {
        if file.starts_with(src.join("cli")) || file.ends_with("main.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("readable");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in ["println!", "eprintln!", "print!(", "eprint!("] {
                assert!(!code.contains(word), "{}:{}: {word}", file.display(), number + 1);
            }
        }
    }
}

fn rooms_named(code: &str, rooms: &BTreeSet<&str>) -> Vec<String> {
    let mut named = Vec::new();
    for root in ["crate::", "stigg_import::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut word = String::new();
                let mut leading = true;
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            word.clear();
                            leading = true;
                        }
                        c if (c.is_alphanumeric() || c == '_') && leading && depth == 0 => word.push(c),
                        ' ' if word.is_empty() => {}
                        _ => {
                            if leading && depth == 0 && rooms.contains(word.as_str()) {
                                named.push(word.clone());
                            }
                            leading = false;
                        }
                    }
                }
            } else {
                let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if rooms.contains(word.as_str()) {
                    named.push(word);
                }
            }
        }
    }
    named
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}
