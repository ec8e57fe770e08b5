//! `sync`: runs on a schedule, as real processes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use stigg_import::sandbox::{Fault, FaultKind, Settings};

use super::{CLEAN_CSV, CUSTOMERS_TOML, clean, customers};
use crate::program::{Api, Folder, assert_ran};

/// A pipeline of one step, and what else the file says.
pub(super) fn pipeline(api: &Api, more: &str) -> String {
    format!(
        "[target]\nurl = \"{}\"\n{more}\n[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = {{ csv = \
         \"customers.csv\" }}\n",
        api.url
    )
}

/// A process that syncs, and what it has said so far.
pub(super) struct Syncing {
    child: Child,
    said: Arc<Mutex<String>>,
    hears: std::thread::JoinHandle<()>,
}

impl Syncing {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (said, stderr) = (Arc::<Mutex<String>>::default(), child.stderr.take().unwrap());
        let heard = said.clone();
        let hears = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line.unwrap());
                heard.push('\n');
            }
        });
        Self { child, said, hears }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !holds(&self.said()) {
            assert!(began.elapsed() < Duration::from_secs(60), "never: {what}; it said\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    /// What it reads, where that is piped.
    pub(super) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Waits for its end: exit code, standard output, all that it said.
    pub(super) fn end(mut self) -> (Option<i32>, String, String) {
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let exit = self.child.wait().unwrap().code();
        self.hears.join().unwrap();
        (exit, stdout, self.said.lock().unwrap().clone())
    }

    /// The address at which it answers.
    fn address(&self) -> String {
        self.until("it says where its metrics are", |said| said.contains("/metrics"));
        let said = self.said();
        let rest = said.split("metrics are at http://").nth(1).unwrap();
        rest.split('/').next().unwrap().to_owned()
    }
}

/// Status and body of a request without a library.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Samples by name and labels.
fn metrics(address: &str) -> BTreeMap<String, f64> {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    samples.filter_map(sample).collect()
}

/// A webhook: it keeps what it gets, and answers with each of these statuses in turn, the last for ever.
struct Hook {
    address: String,
    got: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Hook {
    fn answering(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let got = Arc::<Mutex<Vec<(String, Value)>>>::default();
        let kept = got.clone();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let path = head.split(' ').nth(1).unwrap().to_owned();
                kept.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
                let status = statuses[number.min(statuses.len() - 1)];
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, got }
    }

    fn got(&self) -> Vec<(String, Value)> {
        self.got.lock().unwrap().clone()
    }
}

fn runs(folder: &Folder) -> Vec<(Timestamp, Timestamp, i64)> {
    let status = folder.run("status --json --runs 1000").exits(0).json();
    let at = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let runs = status["runs"].as_array().unwrap().iter().map(|run| {
        let finished = if run["finished_at"].is_null() { Timestamp::MAX } else { at(&run["finished_at"]) };
        (at(&run["started_at"]), finished, run["exit"].as_i64().unwrap_or(-1))
    });
    runs.collect()
}

#[test]
fn once_runs_once_and_ends_as_a_run_does() {
    let (api, folder) = (Api::open(), customers());
    folder.write("pipeline.toml", pipeline(&api, ""));
    assert_ran!(folder.run("sync pipeline.toml --once --rate-scale 100000"), @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     5        5         4          0         1 [DURATION]

    every record is accounted for: 5 = 4 accepted + 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why
    "#);
    folder.write("customers.csv", CLEAN_CSV);
    let again = folder.run("sync pipeline.toml --once --json").exits(0);
    assert_eq!((again.total("accepted"), again.total("unchanged")), (1, 2), "{again}");
}

#[test]
fn what_does_not_hold_is_told_at_once() {
    let (api, folder) = (Api::open(), clean());
    folder.write("pipeline.toml", pipeline(&api, ""));
    assert_ran!(folder.run("sync pipeline.toml"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the following required arguments were not provided:
      <--cron <PATTERN>|--every <TIME>|--once>

    Usage: stigg-import sync <--cron <PATTERN>|--every <TIME>|--once> <PIPELINE.toml>

    For more information, try '--help'.
    "#);
    assert_ran!(folder.run("sync pipeline.toml --cron 61_*_*_*_*"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: `61_*_*_*_*` is no cron pattern: Pattern must have between 5 and 7 fields
    hint: a pattern has minute, hour, day, month and weekday: --cron '30 2 * * *' is every night at half past two
    "#);
    let mut command = folder.command("sync pipeline.toml --zone Mars/Olympus --cron");
    assert_ran!(folder.finish(command.arg("0 3 * * *")), @r#"
    exit 2
    --- stdout

    --- stderr
    error: `Mars/Olympus` is no time zone
      because failed to find time zone `Mars/Olympus` in time zone database
    hint: zones are named as in the IANA database: --zone Europe/Berlin, --zone UTC
    "#);
    assert_ran!(folder.run("sync pipeline.toml --every soon"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: invalid value 'soon' for '--every <TIME>': `soon` is no time; write 90s, 15m or 1h30m

    For more information, try '--help'.
    "#);
    assert_ran!(folder.run("sync pipeline.toml --every 0s"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: runs can't follow one another faster than every second
    hint: --every takes a time from 1s on: 90s, 15m, 1h30m
    "#);
    assert_ran!(folder.run("sync --mapping customers.toml --csv - --every 1m"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: standard input can't be read on a schedule: it can be read only once
    hint: put the data into a file, and name that
    "#);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    assert_ran!(folder.run(&format!("sync pipeline.toml --every 1m --metrics {address}")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't serve metrics on 127.0.0.1:[PORT]
      because Address already in use (os error 98)
    hint: give --metrics an address of this machine whose port is free; nothing was sent
    "#);
    folder.write("pipeline.toml", pipeline(&api, "[notify]\nurl = \"${NO_SUCH_WEBHOOK}\""));
    assert_ran!(folder.run("sync pipeline.toml --every 1m"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: `[notify] url` names the environment variable NO_SUCH_WEBHOOK, which is not set
    hint: set it to the webhook's address, or take `[notify]` out; nothing was sent
    "#);
    folder.write("pipeline.toml", pipeline(&api, "[notify]\nurl = \"http://hooks.example.com/T0/secret\""));
    let told = folder.run("sync pipeline.toml --every 1m");
    assert!(!told.stderr.contains("secret"), "{told}");
    assert_ran!(told, @r#"
    exit 5
    --- stdout

    --- stderr
    error: the webhook's address would send the key unencrypted to hooks.example.com; http is only taken to this machine (127.0.0.0/8, ::1, localhost)
    hint: give `[notify] url` an address that begins with https://; nothing was sent
    "#);
    assert_eq!(api.customers(), 0);
}

#[test]
fn changes_follow_while_metrics_tell_of_it_and_a_signal_ends_it_well() {
    let (api, folder) = (Api::open(), clean());
    folder.write("pipeline.toml", pipeline(&api, ""));
    let words = "sync pipeline.toml --every 1s --rate-scale 100000 --metrics 127.0.0.1:0 --report sync.html --json";
    let syncing = Syncing::start(folder.command(words));
    let address = syncing.address();
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".to_owned()));
    // When: the source changes between two runs.
    syncing.until("a first run is done", |said| said.contains("run 1 is done"));
    folder.write("customers.csv", format!("{CLEAN_CSV}cus_9,new@example.com,New\n"));
    syncing.until("the change is sent", |said| said.contains("4 records, 1 accepted, 3 unchanged"));
    assert_eq!(api.customers(), 4);
    syncing.until("a run that finds nothing", |said| said.contains("4 records, 4 unchanged"));
    // Then
    let told = metrics(&address);
    let records =
        |outcome: &str| told[&format!("stigg_import_records_total{{step=\"customers\",outcome=\"{outcome}\"}}")];
    assert_eq!(records("accepted"), 4.0);
    assert!(records("unchanged") >= 7.0, "{told:#?}");
    assert_eq!(told["stigg_import_requests_total{step=\"customers\"}"], 2.0);
    assert!(told["stigg_import_runs_total{outcome=\"done\"}"] >= 3.0, "{told:#?}");
    assert_eq!(told["stigg_import_runs_total{outcome=\"failed\"}"], 0.0);
    let now = Timestamp::now().as_second() as f64;
    assert!((now - told["stigg_import_last_success_timestamp_seconds"]).abs() < 30.0, "{told:#?}");
    assert!(told["stigg_import_run_duration_seconds_bucket{le=\"60.0\"}"] >= 3.0, "{told:#?}");
    assert_eq!(get(&address, "/readyz"), (200, "the last run came to its end\n".to_owned()));
    assert_eq!(get(&address, "/other").0, 404);
    syncing.signal("TERM");
    let (exit, stdout, said) = syncing.end();
    assert_eq!(exit, Some(0), "{said}");
    assert!(folder.read("sync.html").contains("sync"), "the report of the last run");
    // One object a line.
    let objects: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(objects.len() >= 3 && objects.iter().all(|object| object["ok"] == true), "{stdout}");
}

/// glibc would give each thread memory of its own, and keep it; see `benches/sync_memory.sh`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_schedule_has_one_arena_for_its_memory_unless_somebody_says_otherwise() {
    let arenas_of = |said: Option<&str>| {
        let (api, folder) = (Api::open(), clean());
        folder.write("pipeline.toml", pipeline(&api, ""));
        let mut command = folder.command("sync pipeline.toml --every 1h --now --rate-scale 100000");
        command.env_remove("GLIBC_TUNABLES").env_remove("MALLOC_ARENA_MAX");
        if let Some(said) = said {
            command.env("MALLOC_ARENA_MAX", said);
        }
        let syncing = Syncing::start(command);
        syncing.until("a run is done", |said| said.contains("run 1 is done"));
        let environment = std::fs::read(format!("/proc/{}/environ", syncing.child.id())).unwrap();
        syncing.signal("TERM");
        assert_eq!(syncing.end().0, Some(0));
        let environment = String::from_utf8(environment).unwrap();
        environment.split('\0').find_map(|variable| variable.strip_prefix("MALLOC_ARENA_MAX=")).map(str::to_owned)
    };
    assert_eq!(arenas_of(None).as_deref(), Some("1"), "under the process id that was started");
    assert_eq!(arenas_of(Some("4")).as_deref(), Some("4"));
}

#[test]
fn what_it_says_without_a_terminal() {
    let (api, folder) = (Api::open(), customers());
    folder.write("pipeline.toml", pipeline(&api, ""));
    let syncing = Syncing::start(folder.command("sync pipeline.toml --every 1h --rate-scale 100000"));
    syncing.until("it waits", |said| said.contains("next run at"));
    syncing.signal("INT");
    let (exit, stdout, said) = syncing.end();
    assert_ran!(format!("exit {exit:?}\n--- stdout\n{stdout}--- stderr\n{said}"), @r#"
    exit Some(0)
    --- stdout
    --- stderr
    [TIME]  INFO syncs pipeline.toml every 1 h
    [TIME]  INFO run 1 is done in [DURATION]: 5 records, 4 accepted, 1 rejected run=1 exit=3
    [TIME]  INFO stigg-import rejects list --run 1 shows why run=1
    [TIME]  INFO next run at [TIME] UTC
    interrupted: settling what is in flight; once more to stop at once
    "#);
}

#[test]
fn a_failure_is_tried_again_told_to_the_webhook_once_it_is_back_and_counted() {
    let (api, folder, hook) = (Api::open(), clean(), Hook::answering(&[500, 200]));
    folder
        .write("pipeline.toml", pipeline(&api, "[notify]\nurl = \"http://${HOOK}/T0/hook-secret\"\nrejects_above = 1"));
    let words = "sync pipeline.toml --every 1s --retry-after 1s --rate-scale 100000 --metrics 127.0.0.1:0";
    let mut command = folder.command(words);
    command.env("HOOK", &hook.address);
    let syncing = Syncing::start(command);
    let address = syncing.address();
    syncing.until("a first run is done", |said| said.contains("run 1 is done"));
    assert_eq!(hook.got(), []);
    // When: the mapping is broken for a while.
    folder.write("customers.toml", CUSTOMERS_TOML.replace("customerId", "customerld"));
    syncing.until("it fails twice", |said| said.matches("the pipeline doesn't hold").count() >= 2);
    let (status, why) = get(&address, "/readyz");
    assert!(status == 503 && why.starts_with("the last"), "{status} {why}");
    assert!(metrics(&address)["stigg_import_failures_in_a_row"] >= 1.0);
    folder.write("customers.toml", CUSTOMERS_TOML);
    syncing.until("it goes on", |said| {
        said.rfind("is done").zip(said.rfind("doesn't hold")).is_some_and(|(done, broken)| done > broken)
    });
    // And when: more is rejected than is borne in silence.
    let rejects = "id,email,name\ncus_1,a,A\ncus_2,b,B\ncus_3,c,C\n";
    folder.write("customers.csv", rejects);
    let began = Instant::now();
    while !hook.got().iter().any(|(_, news)| news["event"] == "rejects") {
        assert!(began.elapsed() < Duration::from_secs(60), "never told: {:#?}", hook.got());
        std::thread::sleep(Duration::from_millis(10));
    }
    syncing.signal("TERM");
    let (exit, _, said) = syncing.end();
    // Then
    assert_eq!(exit, Some(0), "rejects do not make a service fail: {said}");
    assert!(!said.contains("hook-secret"), "{said}");
    let got = hook.got();
    let (path, news) = got.iter().find(|(_, news)| news["event"] == "rejects").unwrap();
    assert_eq!(path, "/T0/hook-secret");
    assert_eq!(news["exit"], 3);
    assert_eq!(news["summary"]["steps"][0]["rejected"], 3);
    let text = news["text"].as_str().unwrap();
    assert!(text.ends_with("came to its end with 3 rejected and 0 refused by the API, of 3 rows"), "{text}");
    assert!(!news.to_string().contains("cus_1"), "no customer's data: {news}");
}

#[test]
fn failures_in_a_row_end_it_with_the_last_ones_exit_code_and_the_webhook_hears_of_each() {
    let (api, folder, hook) = (Api::open(), clean(), Hook::answering(&[200]));
    folder.write("pipeline.toml", pipeline(&api, &format!("[notify]\nurl = \"http://{}/hook\"", hook.address)));
    api.sandbox.inject(Fault::once(FaultKind::Unauthenticated).on("importCustomersBulk").times(100));
    let words = "sync pipeline.toml --every 1s --retry-after 1s --failures-max 2 --rate-scale 100000";
    let syncing = Syncing::start(folder.command(words));
    let (exit, stdout, said) = syncing.end();
    let told = format!("exit {exit:?}\n--- stdout\n{stdout}--- stderr\n{said}");
    assert_ran!(told, @r#"
    exit Some(7)
    --- stdout
    --- stderr
    [TIME]  INFO syncs pipeline.toml every [DURATION]
    3 records left open for the next run: the run stops
    [TIME] ERROR run 1 failed in [DURATION]: 3 records, 3 open run=1 exit=7 failures=1
    [TIME] ERROR the run stopped early: the API does not accept the key: Unauthenticated (trace [UUID]) run=1
    [TIME]  WARN 1 start left out, to wait longer after failures
    [TIME]  INFO next try at [TIME] UTC
    an earlier run left 1 batch open; 3 records will be sent again
    3 records left open for the next run: the run stops
    [TIME] ERROR run 2 failed in [DURATION]: 3 records, 3 open run=2 exit=7 failures=2
    [TIME] ERROR the run stopped early: the API does not accept the key: Unauthenticated (trace [UUID]) run=2
    error: 2 runs in a row failed
    hint: what each of them said is above; start it again when that is mended: it goes on where it stopped
    "#);
    let news: Vec<Value> = hook.got().into_iter().map(|(_, news)| news).collect();
    assert_eq!(news.iter().map(|news| news["failures_in_a_row"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(news.iter().all(|news| news["event"] == "failed" && news["exit"] == 7), "{news:#?}");
}

#[test]
fn log_lines_say_of_which_run_step_and_batch_they_are() {
    let (api, folder) = (Api::open(), clean());
    folder.write("pipeline.toml", pipeline(&api, ""));
    let ran = folder.run("sync pipeline.toml --once -vv --log-format json --rate-scale 100000").exits(0);
    let lines: Vec<Value> = ran.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let settled = lines.iter().find(|line| line["message"] == "a batch has its answer");
    let settled = settled.unwrap_or_else(|| panic!("no batch in the log\n{ran}"));
    assert_eq!((&settled["batch"], &settled["accepted"]), (&1.into(), &3.into()), "{settled}");
    assert_eq!((&settled["span"]["run"], &settled["span"]["step"]), (&1.into(), &"customers".into()), "{settled}");
}

#[test]
fn two_processes_on_one_ledger_never_run_at_once() {
    let api = Api::new(Settings { latency: Duration::from_millis(150), ..Settings::default() });
    let folder = clean();
    folder.write("pipeline.toml", pipeline(&api, ""));
    let words = "sync pipeline.toml --every 1s --rate-scale 100000 --full";
    let both = [(); 2].map(|()| Syncing::start(folder.command(words)));
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < Duration::from_secs(8) {
        // Something to do in each run.
        number += 1;
        folder.write("new.csv", format!("{CLEAN_CSV}cus_9,n{number}@example.com,New\n"));
        // At once, as an export should come: a run may read it at any moment.
        std::fs::rename(folder.path("new.csv"), folder.path("customers.csv")).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    let told = both.map(|syncing| {
        syncing.signal("TERM");
        syncing.end()
    });
    for (exit, _, said) in &told {
        assert!(matches!(exit, Some(0 | 4)), "{exit:?}: {said}");
    }
    // Then
    let mut runs = runs(&folder);
    runs.sort();
    assert!(runs.len() >= 8, "{runs:#?}");
    for pair in runs.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "overlap: {pair:#?}");
    }
    let held = told.iter().filter(|(_, _, said)| said.contains("no run: another run holds the ledger")).count();
    assert!(held > 0, "they never met: {told:#?}");
    folder.run("sync pipeline.toml --once --rate-scale 100000").exits(0);
    folder.run("verify pipeline.toml --rate-scale 100000").exits(0);
}
