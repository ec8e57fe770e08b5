//! A ledger in Postgres: the real program against a real server.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use stigg_import::sandbox::Settings;

use crate::databases::{Engine, PASSWORD, Server, left_out, shared};
use crate::program::{Api, Folder, Ran, assert_ran};

const LEDGER: &str = "STIGG_IMPORT_LEDGER";
const CUSTOMERS: usize = 3000;

/// A database of its own for a ledger, on the server that all tests share.
struct Shared {
    server: &'static Server,
    name: &'static str,
    url: String,
}

impl Shared {
    fn new(name: &'static str) -> Self {
        let server = shared(Engine::Postgres);
        server.run_sql("postgres", &format!("CREATE DATABASE {name}"));
        Self { server, name, url: server.url(name) }
    }

    fn sql(&self, sql: &str) -> String {
        self.server.client(self.name, sql)
    }

    /// The program with its ledger here.
    fn command(&self, folder: &Folder, words: &str) -> Command {
        let mut command = folder.command(words);
        command.env(LEDGER, &self.url).env("HOSTNAME", "worker-1").env("STIGG_IMPORT_LEASE_SECONDS", "3");
        command
    }

    #[track_caller]
    fn run(&self, folder: &Folder, words: &str) -> Ran {
        let ran = folder.finish(&mut self.command(folder, words));
        tells_no_password(&ran);
        ran
    }
}

#[track_caller]
fn tells_no_password(ran: &Ran) {
    for secret in [PASSWORD, "s3cret%2F", "s3cret"] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran}");
    }
}

fn folder(rows: &str) -> Folder {
    let folder = Folder::new();
    folder.write("customers.csv", format!("id,name\n{rows}"));
    folder.write("customers.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\n");
    folder
}

fn many() -> String {
    (0..CUSTOMERS).map(|number| format!("cus_{number},Customer {number}\n")).collect()
}

const RUN: &str = "run --mapping customers.toml --csv customers.csv";

#[test]
fn a_run_goes_on_from_what_another_machine_has_done() {
    if left_out() {
        return;
    }
    // Given: a run in one folder, which nothing but the ledger survives.
    let (api, ledger) = (Api::open(), Shared::new("shared_elsewhere"));
    let to = format!("--target {} --rate-scale 100000", api.url);
    let first = folder("ada,Ada\nbob,Bob\n,Nobody\n");
    assert_ran!(ledger.run(&first, &format!("{RUN} {to}")).exits(3), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         2          0         1 [DURATION]

    every record is accounted for: 3 = 2 accepted + 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why
    "#);
    assert_eq!(api.customers(), 2);
    assert!(!first.path(crate::program::LEDGER).exists(), "no file is the ledger");
    assert_eq!(first.run("rejects list").exits(0).stdout, ledger.run(&first, "rejects list").exits(0).stdout);
    drop(first);

    // When: another machine has a source with one change.
    let second = folder("ada,Ada\nbob,Robert\n");
    let plan =
        ledger.run(&second, &format!("plan --mapping customers.toml --csv customers.csv --json --target {}", api.url));
    assert_eq!((plan.total("change"), plan.total("unchanged")), (1, 1), "{plan}");
    let ran = ledger.run(&second, &format!("{RUN} {to} --json -vvv")).exits(0);
    assert!(ran.stderr.lines().count() > 3, "there is no log in which a password could be: {ran}");
    assert_eq!((ran.total("accepted"), ran.total("unchanged")), (1, 1), "{ran}");

    // Then: what the runs did is known everywhere.
    assert_ran!(ledger.run(&second, "status").exits(0), @r#"
    exit 0
    --- stdout
    what            run          began (UTC)          ended (UTC)  exit
    customers.toml    2  [TIME]  [TIME]     0
    customers.toml    1  [TIME]  [TIME]     3

    http://127.0.0.1:[PORT]/graphql [UUID]: 2 customer records known

    --- stderr
    "#);
    let why = ledger.run(&second, "why bob").exits(0);
    assert_eq!(why.stdout.matches("accepted").count(), 2, "{why}");
    assert_ran!(ledger.run(&second, "settle").exits(0), @r#"
    exit 0
    --- stdout
    no events are open

    --- stderr
    "#);
    assert_ran!(ledger.run(&second, "status --cutover").exits(0), @r#"
    exit 0
    --- stdout
    no paid subscription was moved yet

    --- stderr
    "#);
    assert_eq!(ledger.sql("SELECT count(*) FROM stigg_import.lease"), "0", "given back");
}

#[test]
fn an_address_as_a_word_is_repeated_in_hints_and_takes_its_password_from_elsewhere() {
    if left_out() {
        return;
    }
    let (api, ledger) = (Api::open(), Shared::new("shared_word"));
    let folder = folder("ada,Ada\n,Nobody\n");
    let bare = format!("postgres://stigg@127.0.0.1:{}/shared_word", ledger.server.port());
    let words = format!("{RUN} --target {} --rate-scale 100000 --ledger {bare}", api.url);
    let ran = folder.finish(folder.command(&words).env("PGPASSWORD", PASSWORD)).exits(3);
    tells_no_password(&ran);
    let hint = format!("rejects list --run 1 --ledger '{bare}' shows why");
    assert!(ran.stderr.contains(&hint), "{ran}");
    assert_eq!(ledger.sql("SELECT count(*) FROM stigg_import.run"), "1");

    // A word wins over the variable, which contradicts no other word.
    let ran = ledger.run(&folder, "status --ledger .stigg-import/ledger.db").exits(0);
    assert!(ran.stdout.contains("there is no ledger at .stigg-import/ledger.db"), "{ran}");
    let ran = ledger.run(&folder, "run --plan none.json").exits(5);
    assert!(ran.stderr.contains("can't read the plan"), "{ran}");

    let ran = folder.finish(folder.command(&format!("status --ledger {}", ledger.url)).env(LEDGER, "other.db"));
    assert_ran!(ran.exits(2), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the ledger's address postgres://stigg@127.0.0.1:[PORT]/shared_word can't be used: it holds a password, which others can see in the list of processes
    hint: put an address like postgres://user:password@host:5432/database?sslmode=verify-full into STIGG_IMPORT_LEDGER
    "#);
}

#[test]
fn what_is_wrong_with_a_shared_ledger_is_one_clear_error() {
    if left_out() {
        return;
    }
    let (api, ledger, folder) = (Api::open(), Shared::new("shared_trouble"), folder("ada,Ada\n"));
    let run = |url: &str| {
        let words = format!("{RUN} --target {} --rate-scale 100000", api.url);
        let ran = folder.finish(ledger.command(&folder, &words).env(LEDGER, url));
        tells_no_password(&ran);
        assert_eq!(api.customers(), 0, "{ran}");
        ran
    };
    let port = format!(":{}/", ledger.server.port());
    assert_ran!(run(&ledger.url.replace(&port, ":1/")).exits(8), @r#"
    exit 8
    --- stdout

    --- stderr
    error: can't reach the ledger postgres://stigg@127.0.0.1:[PORT]/shared_trouble: Connection refused (os error 111)
    hint: check that the server runs and lets this machine in, then run the same command again; nothing is lost
    "#);
    assert_ran!(run(&ledger.url.replace("s3cret", "other")).exits(8), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger postgres://stigg@127.0.0.1:[PORT]/shared_trouble refused the login: password authentication failed for user "stigg" (28P01)
    hint: put the address with the right user and password into STIGG_IMPORT_LEDGER, or the password into PGPASSWORD
    "#);
    assert_ran!(run(&ledger.url.replace("shared_trouble", "shared_nowhere")).exits(8), @r#"
    exit 8
    --- stdout

    --- stderr
    error: can't reach the ledger postgres://stigg@127.0.0.1:[PORT]/shared_nowhere: database "shared_nowhere" does not exist (3D000)
    hint: check that the server runs and lets this machine in, then run the same command again; nothing is lost
    "#);
    assert_ran!(run("postgres://stigg:s3cret@db.example/ledger?sslmode=disable").exits(2), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the ledger's address postgres://stigg@db.example/ledger?sslmode=disable can't be used: TLS is required except on this machine: say sslmode=require, verify-ca or verify-full
    hint: put an address like postgres://user:password@host:5432/database?sslmode=verify-full into STIGG_IMPORT_LEDGER
    "#);
    assert_ran!(run(&format!("{}?pasword=s3cret", ledger.url)).exits(2), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the ledger's address postgres://stigg@127.0.0.1:[PORT]/shared_trouble?pasword=*** can't be used: unknown parameter `pasword`; known are sslmode, ssl-mode, sslrootcert, ssl-root-cert, ssl-ca, sslcert, ssl-cert, sslkey, ssl-key, host, hostaddr, port, dbname, user, password, application_name, options
    hint: put an address like postgres://user:password@host:5432/database?sslmode=verify-full into STIGG_IMPORT_LEDGER
    "#);
    ledger.sql("CREATE ROLE shared_poor LOGIN PASSWORD 's3cret'");
    let poor = format!("postgres://shared_poor:s3cret@127.0.0.1{port}shared_trouble");
    assert_ran!(run(&poor).exits(8), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the user of the ledger postgres://shared_poor@127.0.0.1:[PORT]/shared_trouble lacks a right: permission denied for database shared_trouble (42501)
    hint: docs/ledgers.md lists the rights that it needs, as statements to run
    "#);
    assert_ran!(ledger.run(&folder, "status").exits(0), @r#"
    exit 0
    --- stdout
    no runs yet: there is no ledger at postgres://stigg@127.0.0.1:[PORT]/shared_trouble

    --- stderr
    "#);

    ledger.run(&folder, &format!("{RUN} --target {}", api.url)).exits(0);
    let held = "INSERT INTO stigg_import.lease VALUES ('0/1', 'x', 'worker-7', 7, now(), now() + interval '1 min')";
    ledger.sql(held);
    let again = |words: &str| ledger.run(&folder, &format!("{RUN} --target {} {words}", api.url));
    assert_ran!(again("").exits(9), @r#"
    exit 9
    --- stdout

    --- stderr
    error: another run holds the ledger postgres://stigg@127.0.0.1:[PORT]/shared_trouble: process [PID] on worker-7, since [TIME], until [TIME] unless it is renewed
    hint: wait until it is done; one that was killed holds it until then. Two runs over one ledger would count things twice
    "#);
    ledger.sql("DELETE FROM stigg_import.lease; UPDATE stigg_import.format SET version = 4");
    assert_ran!(again("").exits(8), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger postgres://stigg@127.0.0.1:[PORT]/shared_trouble has format 4, this program knows formats up to 3
    hint: use the newer version of stigg-import, or another ledger with `--ledger PATH`
    "#);
    assert_ran!(ledger.run(&folder, "status").exits(8), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger postgres://stigg@127.0.0.1:[PORT]/shared_trouble has format 4, this program knows formats up to 3
    hint: use the newer version of stigg-import, or another ledger with `--ledger PATH`
    "#);
}

/// An API that takes its time, so that there is something to kill.
fn slow() -> Api {
    Api::new(Settings { latency: Duration::from_millis(500), ..Settings::default() })
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for {what}");
        thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_killed_run_is_gone_on_with_once_its_lease_is_over() {
    if left_out() {
        return;
    }
    let (api, ledger, folder) = (slow(), Shared::new("shared_killed"), folder(&many()));
    let words = format!("{RUN} --json --target {} --rate-scale 100", api.url);

    // When: it's killed with some batches settled, and others on their way.
    let mut child = ledger.command(&folder, &words).spawn().unwrap();
    let settled =
        || ledger.sql("SELECT coalesce(sum(len), 0) FROM stigg_import.outcome JOIN stigg_import.batch ON id = batch");
    wait("the tables", || ledger.sql("SELECT to_regclass('stigg_import.outcome') IS NOT NULL") == "t");
    wait("a settled batch", || settled() != "0");
    child.kill().unwrap();
    child.wait().unwrap();
    let delivered: usize = settled().parse().unwrap();
    assert!(delivered < CUSTOMERS, "it was too late to kill");

    // Then: nobody gets in at once, and whoever comes then finishes the job.
    let ran = ledger.run(&folder, &words).exits(9);
    assert!(ran.stderr.contains("on worker-1"), "{ran}");
    let began = Instant::now();
    let ran = loop {
        let ran = ledger.run(&folder, &words);
        if ran.exit != Some(9) {
            break ran.exits(0);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{ran}");
        thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(api.customers(), CUSTOMERS);
    assert!(ran.total("unchanged") >= delivered as u64, "{ran}");
    assert_eq!(ledger.sql("SELECT count(*) FROM stigg_import.open_batch"), "0");
    let ran = ledger.run(&folder, &words).exits(0);
    assert_eq!((ran.total("unchanged"), ran.total("requests")), (CUSTOMERS as u64, 0), "{ran}");
}

#[test]
fn a_run_whose_lease_is_taken_from_it_stops_and_writes_nothing_more() {
    if left_out() {
        return;
    }
    let (api, ledger, folder) = (slow(), Shared::new("shared_stolen"), folder(&many()));
    let words = format!("{RUN} --target {} --rate-scale 1", api.url);
    let child = ledger.command(&folder, &words).spawn().unwrap();
    wait("the tables", || ledger.sql("SELECT to_regclass('stigg_import.outcome') IS NOT NULL") == "t");
    wait("a settled batch", || ledger.sql("SELECT count(*) FROM stigg_import.outcome") != "0");

    // When: it was stopped for so long that another run has the lease.
    ledger.sql("UPDATE stigg_import.lease SET owner = 'another', until_at = now() + interval '1 min'");
    let written = "SELECT (SELECT count(*) FROM stigg_import.batch), (SELECT count(*) FROM stigg_import.outcome)";
    let then = ledger.sql(written);

    let ran = folder.wait(child).exits(8);
    tells_no_password(&ran);
    assert!(ran.stderr.contains("error: the run stopped early: the hold on the ledger is lost: the lease"), "{ran}");
    assert!(ran.stderr.contains("hint: another run goes on where this one stopped"), "{ran}");
    assert_eq!(ledger.sql(written), then);
    assert_eq!(ledger.sql("SELECT finished_ms IS NULL FROM stigg_import.run"), "t");
    assert_eq!(ledger.sql("SELECT owner FROM stigg_import.lease"), "another");
}

/// Given one record on its way to an API that takes its time, when the hold is lost before the answer comes, then the run says
/// that, and not that its last write failed.
#[test]
fn a_run_that_can_not_renew_its_hold_says_so() {
    if left_out() {
        return;
    }
    let api = Api::new(Settings { latency: Duration::from_secs(4), ..Settings::default() });
    let (ledger, folder) = (Shared::new("shared_lost"), folder("ada,Ada\n"));
    let child = ledger.command(&folder, &format!("{RUN} --target {}", api.url)).spawn().unwrap();
    wait("a request", || api.requests("importCustomersBulk") != 0);
    ledger.sql("UPDATE stigg_import.lease SET owner = 'another', until_at = now() + interval '1 min'");
    let ran = folder.wait(child);
    tells_no_password(&ran);
    assert_ran!(ran, @"
    exit 8
    --- stdout
    step       rows  records  accepted  unchanged  rejected  open time
    customers     1        1         0          0         0     1 [DURATION]

    every record is accounted for: 1 = 1 open

    --- stderr
    [TIME]  WARN another run has taken the lease on the ledger
    error: the run stopped early: the hold on the ledger is lost: it could not be renewed in time, and another run may have it
    hint: another run goes on where this one stopped, and stigg-import status shows it; when it is over, run the same command again; nothing is lost
    ");
}
