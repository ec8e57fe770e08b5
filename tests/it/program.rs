//! The real binary in a folder of its own, and an embedded API on a real port for it to talk to.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use stigg_import::sandbox::{Catalog, Sandbox, Settings};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// No run of these tests may take longer: a program that hangs fails its test.
const RUN_MAX: Duration = Duration::from_secs(120);

/// The default ledger, seen from the folder.
pub const LEDGER: &str = ".stigg-import/ledger.db";

/// A temporary folder to run the program in.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::with_prefix("stigg-import-test-").unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap()).into_owned()
    }

    /// The program with these words; nothing of our environment but what every program has.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stigg-import"));
        command.args(words.split_whitespace());
        self.prepare(&mut command);
        command
    }

    /// A shell line in which `$PROGRAM` is the program.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        self.prepare(&mut command);
        command.env("PROGRAM", env!("CARGO_BIN_EXE_stigg-import"));
        command
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("TMPDIR", self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Runs the program to its end.
    pub fn run(&self, words: &str) -> Ran {
        self.finish(&mut self.command(words))
    }

    /// Runs the program against `api`, at full speed.
    pub fn run_to(&self, api: &Api, words: &str) -> Ran {
        self.run(&format!("{words} --target {} --rate-scale 100000", api.url))
    }

    /// Runs a command to its end.
    pub fn finish(&self, command: &mut Command) -> Ran {
        self.wait(command.spawn().unwrap())
    }

    /// Waits for the end of a command that was started before.
    pub fn wait(&self, mut child: Child) -> Ran {
        let stdout = thread::spawn(drain(child.stdout.take()));
        let stderr = thread::spawn(drain(child.stderr.take()));
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > RUN_MAX {
                child.kill().unwrap();
                panic!("the program hangs; stderr: {}", stderr.join().unwrap());
            }
            thread::sleep(Duration::from_millis(10));
        };
        Ran {
            exit: status.code(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
            folder: self.0.path().to_string_lossy().into_owned(),
        }
    }
}

fn drain(pipe: Option<impl Read>) -> impl FnOnce() -> String {
    move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).unwrap();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What a run of the program ended with. It prints as one text to compare, without what differs each time.
pub struct Ran {
    /// None after a signal.
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    folder: String,
}

impl Ran {
    /// The one object on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }

    /// Fails with the whole output if the exit code is another one.
    #[track_caller]
    pub fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, Some(exit), "{self}");
        self
    }

    /// The sum of one count over the steps of the summary on standard output.
    #[track_caller]
    pub fn total(&self, count: &str) -> u64 {
        let steps = self.json()["steps"].as_array().unwrap_or_else(|| panic!("no steps\n{self}")).clone();
        steps.iter().map(|step| step[count].as_u64().unwrap_or_else(|| panic!("no {count}\n{self}"))).sum()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| text.replace(&self.folder, "[FOLDER]");
        match self.exit {
            Some(exit) => writeln!(f, "exit {exit}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        writeln!(f, "--- stdout\n{}", shown(&self.stdout))?;
        write!(f, "--- stderr\n{}", shown(&self.stderr))
    }
}

/// Compares a run's exit code, standard output and standard error with what was seen before. Times, ports and ids
/// that differ each time are replaced first.
macro_rules! assert_ran {
    ($ran:expr, @$expected:literal) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        for (pattern, replacement) in $crate::program::FILTERS {
            settings.add_filter(pattern, *replacement);
        }
        settings.bind(|| insta::assert_snapshot!($ran, @$expected));
    }};
}
pub(crate) use assert_ran;

/// What differs from run to run.
pub const FILTERS: &[(&str, &str)] = &[
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "[TIME]"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[UUID]"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
    (r" +\d+(\.\d)? s\b", " [DURATION]"),
    (r"takes \d+ ms", "takes [MS] ms"),
    (r"with \d+ requests? at once", "with [N] requests at once"),
    (r" +time\n", " time\n"),
    (r#""duration_s": [0-9.e-]+"#, r#""duration_s": "[DURATION]""#),
    (r"process \d+", "process [PID]"),
    (r"(?m) +$", ""),
    (r"demo-\d+", "demo-[PID]"),
    (r"stigg-import-doctor-[0-9a-f]{11}", "stigg-import-doctor-[AT]"),
];

/// An embedded API on a port of this machine, until it is dropped.
pub struct Api {
    pub sandbox: Sandbox,
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
}

impl Api {
    /// One that takes any key, id and rate.
    pub fn open() -> Self {
        Self::new(Settings::default())
    }

    /// One that sells what the demo's does.
    pub fn with_catalog() -> Self {
        Self::new(Settings { catalog: Some(catalog()), usage_needs_subscription: Some(false), ..Settings::default() })
    }

    pub fn new(settings: Settings) -> Self {
        Self::serve(Sandbox::new(settings))
    }

    pub fn serve(sandbox: Sandbox) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let served = sandbox.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    served = served.serve(listener, std::future::pending()) => served.unwrap(),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        let url = format!("http://{}/graphql", told.recv().unwrap());
        Self { sandbox, url, stop: Some(stop) }
    }

    /// Requests of one operation so far.
    pub fn requests(&self, root_field: &str) -> u64 {
        self.sandbox.stats().operations.get(root_field).map_or(0, |stats| stats.requests)
    }

    pub fn customers(&self) -> usize {
        self.sandbox.snapshot().customers.len()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
    }
}

/// The catalog of the demo.
pub fn catalog() -> Catalog {
    serde_json::from_str(include_str!("../../src/cli/demo/catalog.json")).unwrap()
}

/// A file of this repository.
pub fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A pipeline of the mappings that ship for Stripe, over an export of this repository.
pub fn stripe_pipeline(url: &str, export: &str) -> String {
    let mut text = format!("[target]\nurl = \"{url}\"\n");
    for step in ["customers", "subscriptions", "usage"] {
        let mapping = repository(&format!("mappings/stripe/{step}.toml"));
        let csv = repository(&format!("tests/data/{export}/{step}.csv"));
        text.push_str(&format!(
            "\n[[step]]\nname = \"{step}\"\nmapping = \"{}\"\nsource = {{ csv = \"{}\" }}\n",
            mapping.display(),
            csv.display()
        ));
    }
    text
}
