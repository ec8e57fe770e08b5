use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use stigg_import::sandbox::{FaultKind, Faults, Settings};

use super::{RUN, customers};
use crate::program::{Api, LEDGER};

const KEY: &str = "server-canary-7f3a9c";

/// Files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[test]
fn neither_the_key_nor_customers_are_told_or_kept() {
    let folder = customers();
    // Given: an API that knows the key, and goes wrong in many ways, so that there is much to log.
    let api = Api::new(Settings {
        keys: vec![KEY.to_owned()],
        faults: Faults::default().with(FaultKind::ServerErrorAfter, 0.3).with(FaultKind::NotJson, 0.2),
        ..Settings::default()
    });

    // When
    let words = format!("{RUN} --target {} --rate-scale 100000 -vv", api.url);
    let ran = folder.finish(folder.command(&words).env("STIGG_API_KEY", KEY)).exits(3);
    let json = folder.finish(folder.command(&format!("{words} --log-format json")).env("STIGG_API_KEY", KEY)).exits(3);
    let traced = folder
        .finish(folder.command(&words).env("STIGG_API_KEY", KEY).env("STIGG_IMPORT_LOG", "trace,stigg_import=trace"));

    // Then
    for ran in [&ran, &json, &traced] {
        for word in [KEY, "ada@example.com", "bob@example.com", "of Eden"] {
            assert!(!ran.stdout.contains(word) && !ran.stderr.contains(word), "{word} was told\n{ran}");
        }
    }
    for path in files(&folder.path(".stigg-import")) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!holds(&bytes, KEY), "{} holds the key", path.display());
        // Rejected rows are kept, for their owner only; nothing else is.
        for word in ["ada@example.com", "bob@example.com", "of Eden"] {
            assert!(!holds(&bytes, word), "{} holds {word}", path.display());
        }
    }
    let mode = |name: &str| folder.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".stigg-import"), 0o700);
    assert_eq!(mode(".stigg-import/rejects"), 0o700);
    assert_eq!(mode(".stigg-import/rejects/1-customers.jsonl"), 0o600);
    assert_eq!(mode(LEDGER), 0o600);
}

#[test]
fn secrets_in_the_target_are_not_told() {
    let folder = customers();
    let words = format!("{RUN} --target https://user:hunter2@127.0.0.1:9/graphql?token=hunter3 -vv");
    let ran = folder.finish(folder.command(&words).env("STIGG_API_KEY", KEY));
    assert!(!ran.stderr.contains("hunter") && !ran.stdout.contains("hunter"), "{ran}");
}
