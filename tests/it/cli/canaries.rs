//! Canaries in everything that goes in: keys, passwords, tokens, customers. Then every byte that came out is searched:
//! both streams at every level, and every file that was written. Where one may be is what SECURITY.md says.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use stigg_import::sandbox::{FaultKind, Faults, Settings};

use crate::databases::{Engine, PASSWORD, left_out, shared};
use crate::program::{Api, Folder, Ran};
use crate::relay::{Relay, answer, says};
use crate::sql::sqlite::database;

const KEY: &str = "server-canary0key";
const STRIPE_KEY: &str = "rk_test_canary0stripe";

/// What stands in secrets.
const SECRET: [&str; 4] = ["canary0key", "canary0stripe", "canary0token", "canary0pass"];

/// What stands in the cells of customers; those of rejected rows have a word more.
const PERSONAL: &str = "canary0person";
const REJECTED: &str = "canary0personreject";

/// Every level, and one below all of them.
const LEVELS: [&str; 4] = ["-q", "-vv", "-vvv --log-format json", "trace"];

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { [path].into() }).collect()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// One program's life in one folder: everything that it says and writes is searched.
struct Cage {
    folder: Folder,
    inputs: BTreeSet<PathBuf>,
    searched_bytes: u64,
}

impl Cage {
    fn new(folder: Folder) -> Self {
        let inputs = files(&folder.path(""));
        Self { folder, inputs, searched_bytes: 0 }
    }

    fn command(&self, words: &str, level: &str) -> Command {
        let words = if level == "trace" { words.to_owned() } else { format!("{words} {level}") };
        let mut command = self.folder.command(&words);
        command.env("STIGG_API_KEY", KEY).env("STRIPE_API_KEY", STRIPE_KEY).env("RUST_BACKTRACE", "full");
        command.env("DB_PASSWORD", "canary0pass").env("PGPASSWORD", "canary0pass");
        if level == "trace" {
            command.env("STIGG_IMPORT_LOG", "trace");
        }
        command
    }

    /// Runs it at each level. `may_tell` are the personal words that its streams may have.
    fn sings_nothing(&mut self, words: &str, exits: &[i32], may_tell: &[&str]) -> Ran {
        let mut last = None;
        for level in LEVELS {
            let ran = self.folder.finish(&mut self.command(words, level));
            assert!(ran.exit.is_some_and(|exit| exits.contains(&exit)), "{words} {level}\n{ran}");
            self.search(&ran, may_tell, &format!("{words} {level}"));
            last = Some(ran);
        }
        last.unwrap()
    }

    fn search(&mut self, ran: &Ran, may_tell: &[&str], what: &str) {
        for stream in [&ran.stdout, &ran.stderr] {
            let mut rest = stream.to_ascii_lowercase();
            self.searched_bytes += rest.len() as u64;
            may_tell.iter().for_each(|word| rest = rest.replace(word, ""));
            for word in SECRET.into_iter().chain([PERSONAL]) {
                assert!(!rest.contains(word), "`{what}` tells {word}\n{ran}");
            }
        }
        self.search_files(what);
    }

    fn search_files(&mut self, what: &str) {
        for path in files(&self.folder.path("")).difference(&self.inputs) {
            let bytes = std::fs::read(path).unwrap();
            self.searched_bytes += bytes.len() as u64;
            for word in SECRET {
                assert!(!holds(&bytes, word), "after `{what}` {} holds {word}", path.display());
            }
            // Rejected rows are kept for their owner; everything else is not.
            let name = path.to_string_lossy();
            let rest = match name.contains("/rejects/") || name.ends_with("fix.csv") {
                true => String::from_utf8_lossy(&bytes).replace(REJECTED, "").into_bytes(),
                false => bytes,
            };
            assert!(!holds(&rest, PERSONAL), "after `{what}` {} holds a customer", path.display());
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(path), 0o600, "{}", path.display());
            if let Some(folder) = path.parent().filter(|folder| *folder != self.folder.path("").as_path()) {
                assert_eq!(mode(folder), 0o700, "{}", folder.display());
            }
        }
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        eprintln!("counted: {} bytes searched for canaries", self.searched_bytes);
    }
}

const CUSTOMERS_TOML: &str = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nemail = \"email\"\nname = \"name\"\n\
    additionalMetaData.note = \"note\"\n";

/// Customers in CSV, JSON and SQLite; some rows are refused by us, one by the API.
fn cage() -> Cage {
    let folder = Folder::new();
    let (mut csv, mut json) = ("id,email,name,note\n".to_owned(), String::new());
    for number in 0..40 {
        let row = format!("canary0person-{number}@example.com,Canary0Person {number},=canary0person-{number}");
        csv.push_str(&format!("csv-{number},{row}\n"));
        json.push_str(&format!(
            "{{\"id\": \"json-{number}\", \"email\": \"canary0person@example.com\", \"name\": \"Canary0Person\", \"note\": \"canary0person\"}}\n"
        ));
    }
    // Rejected for its e-mail; unreadable; and one that only the API refuses.
    csv.push_str(
        "csv-bad,canary0personreject,canary0personreject,=canary0personreject\ncsv-ragged,canary0personreject\n",
    );
    csv.push_str("csv-dot,canary0personreject.@example.com,canary0personreject,canary0personreject\n");
    json.push_str("{\"id\": \"json-bad\", \"email\": \"canary0personreject\", \"name\": {\"x\": \n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(database(
        &folder.path(""),
        "CREATE TABLE t (id TEXT PRIMARY KEY, email TEXT, name TEXT, note TEXT);
         INSERT INTO t VALUES ('sql-1', 'canary0person@example.com', 'canary0person', 'canary0person'),
             ('sql-2', 'canary0personreject', 'canary0personreject', 'canary0personreject')",
    ));
    let step = |name: &str, source: &str| {
        format!("[[step]]\nname = \"{name}\"\nmapping = \"customers.toml\"\nsource = {{ {source} }}\n")
    };
    folder.write("customers.toml", CUSTOMERS_TOML).write("customers.csv", csv).write("customers.jsonl", json).write(
        "pipeline.toml",
        step("csv", "csv = \"customers.csv\"")
            + &step("json", "json = \"customers.jsonl\"")
            + &step("sql", "sqlite = \"billing.db\", table = \"t\", key = \"id\""),
    );
    Cage::new(folder)
}

#[test]
fn no_command_tells_or_keeps_a_secret_or_a_customer() {
    let mut cage = cage();
    // Given: an API that goes wrong in many ways, so that there is much to log; and a token in its address.
    let api = Api::new(Settings {
        keys: vec![KEY.to_owned()],
        faults: Faults::default()
            .with(FaultKind::ServerErrorAfter, 0.1)
            .with(FaultKind::NotJson, 0.1)
            .with(FaultKind::LostAnswer, 0.1),
        ..Settings::default()
    });
    let target = format!("--target {}?token=canary0token --rate-scale 100000", api.url);

    // When / Then
    let ends = &[0, 3, 4, 5];
    cage.sings_nothing("check pipeline.toml", ends, &[REJECTED]);
    cage.sings_nothing(&format!("plan pipeline.toml {target}"), ends, &[REJECTED]);
    for _ in 0..3 {
        cage.sings_nothing(&format!("run pipeline.toml {target}"), ends, &[]);
    }
    cage.sings_nothing(&format!("run pipeline.toml {target} --resend --json"), ends, &[]);
    cage.sings_nothing("status --json", &[0], &[]);
    cage.sings_nothing("why csv-7", &[0, 5], &[]);
    cage.sings_nothing("why csv-bad", &[0, 5], &[REJECTED]);
    cage.sings_nothing("rejects list", &[0], &[REJECTED]);
    cage.sings_nothing("rejects export --step csv --out fix.csv", &[0], &[]);
    cage.sings_nothing(&format!("rejects retry --step csv --csv fix.csv {target}"), ends, &[]);
    // What Stigg has was changed behind our back: told by id and field.
    cage.sings_nothing(&format!("verify pipeline.toml {target}"), ends, &[]);
    cage.sings_nothing(&format!("run pipeline.toml {target} --to-files given"), &[2, 3, 5], &[]);
    assert!(api.customers() > 80 && cage.searched_bytes > 1 << 20, "{} bytes", cage.searched_bytes);
}

/// A drafted mapping has two sample cells of each column, for whoever completes it; the streams have none.
#[test]
fn a_draft_shows_its_samples_in_the_file_only() {
    let cage = cage();
    let folder = &cage.folder;
    let ran = folder.run("init --entity customer --csv customers.csv --dir drafted -vv").exits(0);
    assert!(!ran.to_string().to_ascii_lowercase().contains(PERSONAL), "{ran}");
    let mode = folder.path("drafted/customers.toml").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds customers' data");
}

/// While batches are open, and while the list of processes can be read.
#[test]
fn a_run_that_waits_shows_nothing_either() {
    let (mut cage, api) = (cage(), Api::open());
    let relay = Relay::to(&api, |asked| {
        (asked.operation == "ImportCustomerBulk")
            .then(|| -> crate::relay::Instead { Box::new(|_, _| thread::sleep(Duration::from_secs(60))) })
    });
    let words = format!("run pipeline.toml --target {}?token=canary0token", relay.url);
    let mut child = cage.command(&words.replace("?token=canary0token", ""), "-vvv").spawn().unwrap();
    while relay.asked("ImportCustomerBulk") == 0 {
        assert!(child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(10));
    }
    let processes = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default();
    for word in SECRET.into_iter().chain([PERSONAL]) {
        assert!(!holds(&processes, word));
    }
    cage.search_files("run, while it waits");
    child.kill().unwrap();
    let ran = cage.folder.wait(child);
    cage.search(&ran, &[], "run, killed");
}

/// An API, or a proxy before it, that says back in its errors what it was sent.
#[test]
fn what_a_server_says_back_is_not_passed_on() {
    let bodies = [
        (
            "401 Unauthorized",
            "{\"errors\":[{\"message\":\"no such key KEY\",\"extensions\":{\"code\":\"UNAUTHENTICATED\"}}]}",
        ),
        ("403 Forbidden", "{\"message\":\"key KEY may not\",\"code\":\"AccessDeniedError\"}"),
        ("400 Bad Request", "{\"error\":{\"code\":\"BAD_USER_INPUT\",\"message\":\"KEY\"}}"),
        ("500 Oh", "{\"errors\":[{\"message\":\"x-api-key: KEY\"}]}"),
        (
            "200 OK",
            "{\"errors\":[{\"message\":\"Variable \\\"$input\\\" got invalid value \\\"canary0person@example.com\\\" at \\\"input.customers[0].email\\\"; Expected\",\"extensions\":{\"code\":\"BAD_USER_INPUT\"}}]}",
        ),
        (
            "200 OK",
            "{\"errors\":[{\"message\":\"Variable \\\"$input\\\" got invalid value { name: \\\"canary0person\\\" }; Field x\",\"extensions\":{\"code\":\"BAD_USER_INPUT\"}}]}",
        ),
        ("502 Bad Gateway", "<html>you sent x-api-key: KEY</html>"),
    ];
    for (status, body) in bodies {
        for operation in ["CurrentEnvironment", "ImportCustomerBulk"] {
            let (mut cage, api) = (cage(), Api::open());
            let body = body.replace("KEY", KEY);
            let (times, said) = (AtomicU32::new(0), answer(status, "application/json", &body));
            let relay = Relay::to(&api, move |asked| {
                let wrong = asked.operation == operation && times.fetch_add(1, Ordering::Relaxed) < 3;
                wrong.then(|| says(said.clone())).flatten()
            });
            let words = format!("run pipeline.toml --rate-scale 100000 --target {}", relay.url);
            let ran = cage.folder.finish(&mut cage.command(&words, "-vvv"));
            assert!(relay.asked(operation) > 0, "{ran}");
            cage.search(&ran, &[], &format!("{status} {body}"));
        }
    }
}

#[test]
fn a_cutover_tells_and_keeps_no_secret_and_no_customer() {
    let (folder, api) = super::cutover::world(Settings::default());
    folder.write("customers.csv", "id,email,name,note\n").write(
        "paid.csv",
        folder.read("paid.csv").replace("quantity,", "quantity,email,").replace(",2,", ",2,canary0person@example.com,"),
    );
    let mut cage = Cage::new(folder);
    cage.inputs.retain(|path| !path.to_string_lossy().contains(".stigg-import"));
    let to = format!(
        "--target {}?token=canary0token --rate-scale 100000 --provider-url {}",
        api.url,
        api.url.replace("/graphql", "/stripe")
    );
    cage.sings_nothing(&format!("cutover --mapping paid.toml --csv paid.csv --plan {to}"), &[0], &[]);
    cage.sings_nothing(&format!("cutover --mapping paid.toml --csv paid.csv {to}"), &[0, 4], &[]);
    cage.sings_nothing(&format!("cutover --phase cancel --cancel-originals {to}"), &[0, 4], &[]);
    cage.sings_nothing("status --cutover", &[0], &[]);
    assert!(cage.folder.read(".stigg-import/cutover-audit.jsonl").lines().count() >= 10);
}

#[test]
fn databases_that_fail_tell_no_password_and_no_cell() {
    let mut cage = cage();
    let api = Api::open();
    for address in [
        "postgres = \"postgres://me:${DB_PASSWORD}@127.0.0.1:1/db\"",
        "mysql = \"mysql://me:${DB_PASSWORD}@127.0.0.1:1/db\"",
    ] {
        let pipeline = format!(
            "[[step]]\nname = \"db\"\nmapping = \"customers.toml\"\nsource = {{ {address}, table = \"t\", key = \"id\" }}\n"
        );
        cage.folder.write("pipeline.toml", pipeline);
        cage.sings_nothing(&format!("run pipeline.toml --target {}", api.url), &[5], &[]);
    }
    if left_out() {
        return;
    }
    // A query that stumbles over a cell; the server's own words quote it.
    let url = shared(Engine::Postgres).url("test");
    assert!(!url.contains(PASSWORD), "it is escaped there");
    for query in [
        "select 'a' as id, ('canary0person-' || n)::int as email, '' as name, '' as note from generate_series(1, 9) n",
        "select n::text as id, '' as email, '' as name, case when n > 5000 then ('canary0person' || n)::date::text else '' end as note from generate_series(1, 9000) n",
    ] {
        let pipeline = format!(
            "[[step]]\nname = \"db\"\nmapping = \"customers.toml\"\nsource = {{ postgres = \"${{DB}}\", query = \"{query}\" }}\n"
        );
        cage.folder.write("pipeline.toml", pipeline);
        for level in LEVELS {
            let words = format!("run pipeline.toml --rate-scale 100000 --target {}", api.url);
            let ran = cage.folder.finish(cage.command(&words, level).env("DB", &url));
            assert!(matches!(ran.exit, Some(5 | 6)) && ran.stderr.contains("22"), "{ran}");
            assert!(!ran.stderr.contains(PASSWORD) && !ran.stderr.contains("s3cret%2F"), "{ran}");
            cage.search(&ran, &[], query);
        }
    }
}
