//! Inputs from anywhere, made from good ones by chance: nothing panics, hangs, or makes more of an input than is in it.
//!
//! Each target of `fuzz/targets.rs` gets some seconds. `STIGG_IMPORT_FUZZ_SECONDS=N` gives each so many (with
//! `-- --nocapture` the number of inputs is told), `STIGG_IMPORT_FUZZ_SEED=S` begins with that seed,
//! `STIGG_IMPORT_FUZZ_TARGET=NAME` is for one of them.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

use self::targets::{TARGETS, Target};
use crate::program::repository;

/// Seconds for each target in a normal run of the tests.
const SECONDS: u64 = 2;

/// Longest time of one input, on a machine that has other things to do as well. The slowest that was seen took 0.3 s.
const INPUT_MAX: Duration = Duration::from_secs(10);

/// Most bytes of an input: what is bounded shows in small ones.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Texts that parsers treat in ways of their own.
const TOKENS: [&str; 40] = [
    "\"",
    "\"\"",
    "'",
    ",",
    ";",
    "\t",
    "\r\n",
    "\n",
    "\\",
    "\\u0000",
    "\u{feff}",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "]]",
    ":",
    "null",
    "true",
    "1e999",
    "-0",
    "9999999999999999999999",
    "0.1",
    "=",
    "#",
    "%Y-%m-%d",
    "2026-02-30",
    "${X}",
    "not",
    "in",
    "and",
    "(",
    ")",
    "*/5",
    "@daily",
    "__typename",
    "\"data\"",
    "\"errors\"",
    "\u{1F600}",
];

/// Good inputs, from which others are made.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let file = |name: &str| std::fs::read(repository(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let all = |folder: &str, ending: &str| files(&repository(folder), ending);
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut seeds = match target {
        "csv" => all("tests/data", "csv"),
        "json" => all("tests/data", "json"),
        "mapping" => all("mappings", "toml"),
        "pipeline" => texts(&[
            "max_rejects = \"5 %\"\n[target]\nurl = \"http://127.0.0.1:1/graphql\"\n[limits]\nreportUsageBulk = 1200\n[notify]\nurl = \
             \"https://example.com/${X}\"\n[[step]]\nname = \"a\"\nmapping = \"a.toml\"\nsource = { csv = [\"a.csv\", \
             \"b*.csv.gz\"], delimiter = \";\" }\n",
            "[[step]]\nname = \"b\"\nmapping = \"b.toml\"\nsource = { postgres = \"${DB}\", query = \"select 1\", key = \"id\", changed = \
             \"at\" }\n",
        ]),
        "cells" => texts(&[
            "sub_1\tcus_1\tpro\t01.02.2026 10:30\t2026-12-31\t1777636800\t1.234,5\t10\nsub_2\tcus_2\t\t\t\t\t\t",
            "sub_3\tcus_3\tfree\t31.03.2026 02:30\t2026-12-31T10:00:00+02:00\t-1\t5\t0.1",
        ]),
        "expression" => texts(&[
            "plan in [\"pro\", \"free\"] and value > 1",
            "not (name == \"\" or email != \"a@b.c\")",
            "value * 2 + 1 >= 3 and starts_with(name, \"x\")",
        ]),
        "answer" => {
            let body = |text: &str| [&[0, 1], text.as_bytes()].concat();
            [
                "{\"data\":{\"importCustomersBulk\":[{\"customerId\":\"a\"}]}}",
                "{\"errors\":[{\"message\":\"Failed\",\"extensions\":{\"code\":\"BadUserInput\",\"identifier\":\"x\",\"failedIds\":[\"a\"]}}]}",
                "{\"data\":{\"customers\":{\"edges\":[{\"node\":{\"customerId\":\"a\",\"name\":\"A\",\"updatedAt\":\"2026-01-01T00:00:00Z\"}}],\"pageInfo\":{\"hasNextPage\":true,\"endCursor\":\"c\"}}}}",
                "{\"data\":{\"importIntegrationTasks\":{\"edges\":[{\"node\":{\"id\":\"t\",\"status\":\"COMPLETED\",\"progress\":100}}]}}}",
                "<html><body>Bad gateway</body></html>",
            ]
            .map(body)
            .to_vec()
        }
        "words" => texts(&[
            "*/15 * * * *",
            "30 2 * * 1-5",
            "0 0 29 2 *",
            "@hourly",
            "postgres://me:secret@host:5432/db?sslmode=require",
            "https://user:secret@api.stigg.io:8443/graphql?token=x#y",
            "120",
            "Fri, 27 Nov 2026 02:30:00 GMT",
        ]),
        other => panic!("no seeds for `{other}`"),
    };
    seeds.push(file("Cargo.toml"));
    seeds
}

/// The files of a folder, and of those in it.
fn files(folder: &Path, ending: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|of| of == ending) {
            found.push(std::fs::read(&path).expect("readable"));
        }
    }
    found
}

/// Another input, made from good ones.
fn changed(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng| {
        let seed = &seeds[rng.usize(..seeds.len())];
        // Of a large file some lines, from its beginning or its middle.
        let from = if rng.bool() { 0 } else { rng.usize(..=seed.len()) };
        let most = [200, 2_000, INPUT_BYTES_MAX][rng.usize(..3)];
        seed[from..seed.len().min(from + most)].to_vec()
    };
    let mut input = pick(rng);
    for _ in 0..rng.usize(1..8) {
        let at = rng.usize(..=input.len());
        match rng.usize(..8) {
            0 => input.truncate(at),
            1 if at < input.len() => input[at] = rng.u8(..),
            2 if at < input.len() => input[at] ^= 1 << rng.u32(..8),
            3 => {
                let token = TOKENS[rng.usize(..TOKENS.len())].as_bytes();
                let times = [1, 1, 1, 2, 300][rng.usize(..5)];
                input.splice(at..at, token.repeat(times));
            }
            4 => {
                let to = (at + rng.usize(..40)).min(input.len());
                input.drain(at..to);
            }
            5 => {
                let to = (at + rng.usize(..200)).min(input.len());
                let again = input[at..to].to_vec();
                input.splice(at..at, again);
            }
            6 => {
                let other = pick(rng);
                input.splice(at..at, other);
            }
            _ => input.push(rng.u8(..)),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// Tries inputs for so long. Returns how many.
fn try_out((name, target): Target, first: u64, time: Duration) -> u64 {
    let (seeds, began) = (seeds(name), Instant::now());
    let mut number = 0;
    while began.elapsed() < time {
        let seed = first + number;
        let input = if number < seeds.len() as u64 && first == 0 {
            seeds[number as usize].clone()
        } else {
            changed(&seeds, &mut Rng::with_seed(seed))
        };
        let at = Instant::now();
        let survived = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
        let slow = at.elapsed() > INPUT_MAX;
        assert!(
            survived && !slow,
            "{name} {}, of {} bytes: {:?}\nreplay it with\n  STIGG_IMPORT_FUZZ_TARGET={name} STIGG_IMPORT_FUZZ_SEED={seed} cargo test --test it \
             fuzz:: -- --nocapture\n",
            if survived { "took too long over an input" } else { "failed on an input" },
            input.len(),
            String::from_utf8_lossy(&input).chars().take(400).collect::<String>()
        );
        number += 1;
    }
    number
}

#[test]
fn inputs_from_anywhere_break_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let time = Duration::from_secs(number("STIGG_IMPORT_FUZZ_SECONDS").unwrap_or(SECONDS));
    let first = number("STIGG_IMPORT_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(1..1 << 40));
    let only = std::env::var("STIGG_IMPORT_FUZZ_TARGET").ok();
    let chosen = TARGETS.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    let tried: Vec<_> = chosen.map(|target| (target.0, try_out(target, first, time))).collect();
    tried.iter().for_each(|(target, inputs)| eprintln!("counted: {inputs} inputs of `{target}`"));
    eprintln!("{} s each, from seed {first}: {tried:?}", time.as_secs());
    assert!(!tried.is_empty() && tried.iter().all(|(_, inputs)| *inputs > 0), "{tried:?}");
}
