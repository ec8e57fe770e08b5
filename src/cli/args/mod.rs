//! The command line as it is written: what each word means, with examples.

mod afterwards;
mod embedded;
mod import;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::cutover;
use super::doctor;
use super::init::Init;
use super::source_args::Json;
use super::sync;
use super::why;

pub use afterwards::{BecameOf, LedgerCommand, Rejects, RejectsExport, RejectsOf, RejectsRetry, Settle, Status};
pub use embedded::{Demo, SandboxArgs};
pub use import::{Bulk, Check, Input, LedgerAt, Plan, Report, Run, Shard, Target, Verify, ledger_unsaid};

/// Moves customers, subscriptions and usage into Stigg.
#[derive(Debug, Parser)]
#[command(
    name = "stigg-import",
    version,
    about = "Moves a business's billing data into Stigg, and keeps it in step.",
    long_about = "Moves a business's billing data into Stigg, and keeps it in step.\n\n\
        Streams customers, subscriptions and usage out of billing exports, maps them by a declarative file \
        to Stigg's import schemas, and delivers them in bulk within the API's rate limits. It remembers what \
        was delivered: the same command is a first import, a resume after a crash, and a nightly sync.",
    after_help = "Start here:\n  \
        stigg-import demo                         see the main job work, no account needed\n  \
        stigg-import check --mapping M --csv F    does the mapping fit the export?\n  \
        stigg-import plan  --mapping M --csv F    what would be sent?\n  \
        stigg-import run   --mapping M --csv F    send it\n\n\
        The key of the target environment is read from STIGG_API_KEY (or STIGG_SERVER_API_KEY).\n\n\
        Exit codes:\n  \
        0  all settled\n  \
        1  a bug\n  \
        2  wrong arguments\n  \
        3  some rows were rejected or refused, or --max-rejects was passed\n  \
        4  interrupted, or some batches are still open: run the same command again\n  \
        5  config, mapping or target doesn't hold: nothing was sent\n  \
        6  the source failed part-way\n  \
        7  credentials refused\n  \
        8  the ledger, or a report, can't be written\n  \
        9  another run holds the ledger"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How it talks.
    #[command(flatten)]
    pub talk: Talk,
}

/// How the program talks; every command has these, after its own.
#[derive(Debug, Clone, Args)]
pub struct Talk {
    /// Print one JSON object to standard output instead of text
    #[arg(long, global = true, display_order = 900, action = ArgAction::SetTrue, value_parser = Json::of_switch)]
    json: Vec<Json>,

    /// Say nothing but errors and the result
    #[arg(long, short, global = true, display_order = 901)]
    pub quiet: bool,

    /// Say more; twice for every request
    #[arg(long, short, global = true, display_order = 902, action = ArgAction::Count)]
    pub verbose: u8,

    /// Form of the log lines on standard error
    #[arg(long, global = true, display_order = 903, value_enum, default_value_t = LogFormat::Text, value_name = "FORM")]
    pub log_format: LogFormat,
}

impl Talk {
    /// Whether one JSON object is printed instead of text.
    pub fn json(&self) -> bool {
        self.json.contains(&Json::Print)
    }

    /// Takes note of a `--json` before the command: one behind it would hide it.
    pub fn hear(&mut self, words: impl Iterator<Item = OsString>) {
        let before = words.skip(1).take_while(|word| !SOURCE_COMMANDS.iter().any(|command| word == command));
        if self.json.iter().any(|json| matches!(json, Json::Source(_)))
            && before.into_iter().any(|word| word == "--json")
        {
            self.json.push(Json::Print);
        }
    }
}

/// Commands that take a source, where `--json` may name one.
const SOURCE_COMMANDS: [&str; 8] = ["init", "run", "sync", "plan", "check", "verify", "cutover", "why"];

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the main job in a minute: no account, no network
    #[command(
        long_about = "Shows the main job in a minute: no account, no network.\n\n\
            Writes a Stripe-style export with some dirty rows, starts the embedded API, imports customers, \
            subscriptions and usage into it with the mappings that ship, reads everything back, and says what happened.\n\n\
            With --cutover there is an account at Stripe, too, and the subscriptions on paid plans are moved: provisioned, \
            proved, and then cancelled at Stripe. Some can't be moved, on purpose.",
        after_help = "Examples:\n  stigg-import demo\n  stigg-import demo --json\n  stigg-import demo --customers 5000 --dir my-demo\n  \
            stigg-import demo --cutover"
    )]
    Demo(Demo),

    /// Draft a mapping and a pipeline from an export's header and first rows
    #[command(
        long_about = "Drafts a mapping and a pipeline from an export's header and its first rows, from JSON, or from a database's table.\n\n\
            Exports of Stripe, Chargebee, Recurly and Zuora are recognised by their columns and get the mapping that \
            ships. Of others the columns are guessed, by their names and by what stands in them; each guess has a comment \
            with two values, and what only you can know is marked with TODO: which plan becomes which, which zone times \
            are in. What is written passes `check`. Nothing is sent.\n\n\
            On a terminal it asks what it can't guess well, with its guess on Enter: what a row is, which of two likely \
            columns is the id, whether the day or the month comes first, whether amounts are in cents. --yes asks nothing.",
        after_help = "Examples:\n  \
            stigg-import init --csv customers.csv\n  \
            stigg-import init --entity paid-subscription --csv contracts.csv --yes\n  \
            stigg-import init --entity subscription --csv 'exports/subs*.csv.gz' --dir migration\n  \
            stigg-import init --entity customer --csv crm.csv --column customerId=who\n  \
            stigg-import init --entity customer --json export.json --array customers\n  \
            stigg-import init --entity usage --postgres 'postgres://me:${PGPASSWORD}@host/db' --table usage_totals"
    )]
    Init(Init),

    /// Import, resume, or send what changed: always the same command
    #[command(
        long_about = "Imports what is new or changed.\n\n\
            The first run sends everything. A run after a crash or an interrupt goes on where it stopped. A run over an \
            unchanged export sends nothing. Rows that do not fit go to the rejects file and never stop the run.\n\n\
            A run compares with what it delivered, not with what Stigg has: what somebody changed in Stigg since is \
            reported by `verify` and repaired by `run --resend`, which sends every record of the source again.",
        after_help = "Examples:\n  \
            stigg-import run pipeline.toml\n  \
            stigg-import run --mapping mappings/stripe/customers.toml --csv 'exports/customers*.csv.gz'\n  \
            stigg-import run --mapping customers.toml --postgres 'postgres://me:${PGPASSWORD}@host/db' --table customers --key id\n  \
            stigg-import run --mapping customers.toml --sqlite billing.db --query 'select * from customers' --key id\n  \
            curl -s https://example.com/export | stigg-import run --mapping customers.toml --json - --array customers\n  \
            psql -c \"COPY (…) TO STDOUT CSV HEADER\" | stigg-import run --mapping customers.toml --csv -\n  \
            stigg-import run pipeline.toml --target http://127.0.0.1:8080/graphql\n  \
            stigg-import run pipeline.toml --to-files files"
    )]
    Run(Run),

    /// Import the files of the vendor's bulk-import tool, under its flags
    #[command(
        long_about = "Imports the files of the vendor's tool (npx @stigg/bulk-import) of every version, under its own flags.\n\n\
            The files need no mapping and stay as they are. Everything else is as with `run`: the ledger, the rate limits, \
            the rejects, the summary and the exit codes. The same command again sends only what has changed. The files \
            have no ids of subscriptions; they are made of customer, plan and resource.",
        after_help = "Examples:\n  \
            stigg-import bulk --customers-file customers.json --subscriptions-file free-subscriptions.json --usage-file usage.json\n  \
            stigg-import bulk --subscriptions-file free-subscriptions.json --subscriptions-file custom-subscriptions.json\n  \
            stigg-import bulk --input-file input.json\n  \
            stigg-import bulk --customers-file customers.json --target http://127.0.0.1:8080/graphql"
    )]
    Bulk(Bulk),

    /// Run again and again on a schedule, never two at a time
    #[command(long_about = sync::LONG_ABOUT, after_help = sync::EXAMPLES)]
    Sync(Box<sync::Sync>),

    /// Say what `run` would do; sends nothing
    #[command(
        long_about = "Says what `run` with the same words would do, in records; sends nothing and writes nothing.\n\n\
            Records are compared with what the ledger knows to be delivered: to create, to change, unchanged, rejected; \
            of customers and subscriptions to change, the fields that differ. The time is that of the requests at the rate limit.",
        after_help = "Examples:\n  stigg-import plan pipeline.toml\n  stigg-import plan --mapping customers.toml --csv customers.csv --json\n  \
            stigg-import plan --mapping customers.toml --sqlite billing.db --table customers --key id"
    )]
    Plan(Plan),

    /// Do the files hold? Runs a mapping's examples and maps the first rows
    #[command(
        long_about = "Checks mapping and pipeline files: do they hold, do the mapping's examples pass, are the columns \
            there, and do the first rows fit? Sends nothing.\n\n\
            Ends with 0 if everything is fine, with 3 if some of the rows would be rejected, and with 5 otherwise.",
        after_help = "Examples:\n  stigg-import check mappings/stripe/customers.toml\n  \
            stigg-import check --mapping customers.toml --csv customers.csv\n  \
            stigg-import check --mapping customers.toml --json export.json --array customers\n  \
            stigg-import check pipeline.toml"
    )]
    Check(Check),

    /// Look at key, rights, catalog, clock and speed of the target before the first write
    #[command(long_about = doctor::LONG_ABOUT, after_help = doctor::EXAMPLES)]
    Doctor(doctor::Doctor),

    /// Read back from the API and say what differs from the source
    #[command(
        long_about = "Reads back from the API every record that the source has, and says what is missing or differs.\n\n\
            Ends with 0 if Stigg has everything as the source has it, and with 3 if something is missing or differs. \
            Rejected rows are not looked for. `run` sends what has changed in the source; what was changed in Stigg \
            itself is repaired by `run --resend`.",
        after_help = "Examples:\n  stigg-import verify pipeline.toml\n  stigg-import verify --mapping customers.toml --csv customers.csv\n  \
            stigg-import verify --mapping customers.toml --json export.json --array customers\n  \
            stigg-import verify pipeline.toml --gone"
    )]
    Verify(Verify),

    /// Move paid plans: provision them backdated, prove it, then cancel the originals
    #[command(long_about = cutover::LONG_ABOUT, after_help = cutover::EXAMPLES)]
    Cutover(Box<cutover::Cutover>),

    /// Show the runs of this folder, and what is still open
    #[command(
        after_help = "Examples:\n  stigg-import status\n  stigg-import status --cutover\n  stigg-import status --json"
    )]
    Status(Status),

    /// Say what became of events whose outcome nobody knows
    #[command(
        long_about = "Lists events that were sent and never answered, and takes your word for what became of them.\n\n\
            An event that is sent twice may count twice, and the API does not answer single events. So a run sends \
            events without an answer again only within 12 hours. Older ones stay open, and nothing is sent for them \
            until you have looked at the features' usage in Stigg and say what is true:\n  \
            --as delivered   Stigg has them: no run sends them again\n  \
            --as lost        Stigg does not have them: the next run that has them in its source sends them",
        after_help = "Examples:\n  stigg-import settle\n  stigg-import settle --as delivered"
    )]
    Settle(Settle),

    /// Make a damaged ledger whole
    #[command(
        subcommand,
        after_help = "Examples:\n  stigg-import ledger repair\n  stigg-import ledger repair --ledger billing/ledger.db"
    )]
    Ledger(LedgerCommand),

    /// List, export or retry the rows that were rejected or refused
    #[command(
        subcommand,
        after_help = "Examples:\n  stigg-import rejects list\n  stigg-import rejects export --out fix.csv\n  \
            stigg-import rejects retry --csv fix.csv"
    )]
    Rejects(Rejects),

    /// Tell one record's story: when it was sent, what was answered, where it was rejected
    #[command(long_about = why::LONG_ABOUT, after_help = why::EXAMPLES)]
    Why(why::Why),

    /// Run the embedded Stigg API on a port, with rate limits, latency and faults
    #[command(after_help = "Examples:\n  stigg-import sandbox --port 8080\n  \
            stigg-import sandbox --port 8080 --rate-scale 10 --latency-ms 120 --fault lost-answer=0.05\n  \
            stigg-import sandbox --port 8080 --catalog catalog.json --unknown customer-batch=good-kept")]
    Sandbox(Box<SandboxArgs>),

    /// Print the JSON Schema of a file format, for editors
    #[command(after_help = "Example:\n  stigg-import schema mapping > mapping.schema.json")]
    Schema(Schema),

    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  stigg-import completions bash > /etc/bash_completion.d/stigg-import")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Print the manual page, or write one for each command
    #[command(
        long_about = "Prints the manual page of the program; with --dir it writes that and a page for each command into a folder.",
        after_help = "Examples:\n  stigg-import man | man -l -\n  \
            stigg-import man --dir /usr/local/share/man/man1"
    )]
    Man {
        /// Write a page for the program and for each of its commands into this folder
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

/// `schema`
#[derive(Debug, Clone, Args)]
pub struct Schema {
    /// Which file format
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// File formats that have a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Mapping files
    Mapping,
    /// Pipeline files
    Pipeline,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("not a number above zero".to_owned()),
    }
}
