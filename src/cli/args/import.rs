//! The words of the commands that read a source: which data, through which mapping, to which target.

use std::path::PathBuf;

use clap::Args;

use super::super::bulk;
use super::super::source_args::MappedSource;
use super::positive;
use crate::ledger::{LedgerPlace, Part};

/// Which data goes through which mapping.
#[derive(Debug, Clone, Default, Args)]
pub struct Input {
    /// A pipeline file (several steps), instead of --mapping and a source
    #[arg(value_name = "PIPELINE.toml", conflicts_with = "mapping")]
    pub pipeline: Option<PathBuf>,
    /// Mapping and source.
    #[command(flatten)]
    pub mapped: MappedSource,
}

/// Where it goes, and how fast.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The GraphQL address [default: the pipeline file's, or https://api.stigg.io/graphql]
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,

    /// Multiply the published rate limits, for a key with higher ones (or a sandbox with --rate-scale)
    #[arg(long, value_name = "N", value_parser = positive)]
    pub rate_scale: Option<f64>,

    /// Let this many requests go at once before pacing starts; only for short jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub burst: Option<u32>,
}

/// The environment variable that says where the ledger is, so that its password is in no list of processes.
const LEDGER_VARIABLE: &str = "STIGG_IMPORT_LEDGER";

/// What stands for the ledger where nothing is said.
const LEDGER_UNSAID: &str = "<unsaid>";

/// Where the ledger is, if nothing is said: not clap's `env`, which takes a variable for a word that was said, and so for
/// one that contradicts others.
pub fn ledger_unsaid() -> LedgerPlace {
    let variable = std::env::var(LEDGER_VARIABLE).ok().filter(|place| !place.trim().is_empty());
    variable.map_or_else(LedgerPlace::default, |place| LedgerPlace::of(place.trim()))
}

/// Takes any text, as clap would print one that it refuses, with its password.
fn ledger_place(text: &str) -> Result<LedgerPlace, std::convert::Infallible> {
    Ok(if text == LEDGER_UNSAID { ledger_unsaid() } else { LedgerPlace::of_argument(text) })
}

/// Where the ledger is.
#[derive(Debug, Clone, Args)]
pub struct LedgerAt {
    /// The ledger: a file, or a Postgres database that several machines share [default: $STIGG_IMPORT_LEDGER, or
    /// .stigg-import/ledger.db]
    #[arg(long, value_name = "PATH|URL", default_value = LEDGER_UNSAID, hide_default_value = true, value_parser = ledger_place)]
    pub ledger: LedgerPlace,
}

/// Which part of the records.
#[derive(Debug, Clone, Default, Args)]
pub struct Shard {
    /// Take only the records of part I of N, from 0 (3/8), as one of N workers that share a ledger in Postgres and the rate
    /// limit. /N takes I from JOB_COMPLETION_INDEX, as Kubernetes sets it
    #[arg(long, value_name = "I/N", value_parser = part)]
    pub shard: Option<Part>,
}

/// The variable in which Kubernetes tells a pod of an indexed job which it is.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// Most workers. Each reads the whole source.
const PARTS_MAX: u32 = 256;

fn part(text: &str) -> Result<Part, String> {
    let text = match text.strip_prefix('/') {
        Some(count) => match std::env::var(INDEX_VARIABLE) {
            Ok(index) => format!("{index}/{count}"),
            Err(_) => return Err(format!("{INDEX_VARIABLE} is not set; say which part it is, as in 0/{count}")),
        },
        None => text.to_owned(),
    };
    let part = Part::parse(&text).filter(|part| part.count <= PARTS_MAX);
    part.ok_or_else(|| {
        format!("`{text}` is no part; 0/4 to 3/4 are those of four workers, and {PARTS_MAX} are the most")
    })
}

/// A page about what happened, for people.
#[derive(Debug, Clone, Default, Args)]
pub struct Report {
    /// Write what happened into this file, too: a page for a browser that only you may read
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Show values of some of the rows in the report: personal data
    #[arg(long, requires = "report")]
    pub report_samples: bool,
}

/// `run`
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Data and mapping.
    #[command(flatten)]
    pub input: Input,
    /// Target and rate.
    #[command(flatten)]
    pub target: Target,
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// Part.
    #[command(flatten)]
    pub shard: Shard,
    /// Send just what this file of `plan --out` says, and nothing if source or target have moved since
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["pipeline", "mapping", "target", "rate_scale", "burst", "ledger", "full", "resend", "to_files", "shard"]
    )]
    pub plan: Option<PathBuf>,
    /// Send so many records of each step first, read them back, show them, and ask before going on with the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20), conflicts_with_all = ["to_files", "plan", "resend", "shard"])]
    pub canary: Option<u32>,
    /// Don't ask: go on after a canary whose records are in Stigg as they were sent
    #[arg(long, requires = "canary")]
    pub yes: bool,
    /// Stop after this many rejects, or this share of the rows (5 %)
    #[arg(long, value_name = "N|N%")]
    pub max_rejects: Option<String>,
    /// Read all rows, also where `changed` would leave some out
    #[arg(long)]
    pub full: bool,
    /// Send every record again, also those that were delivered: repairs what was changed in Stigg itself; not events,
    /// which may count twice
    #[arg(long)]
    pub resend: bool,
    /// Send nothing: write the files of the vendor's bulk-import tool into this folder, for `bulk` or the tool itself
    #[arg(
        long,
        value_name = "FOLDER",
        conflicts_with_all = ["target", "rate_scale", "burst", "ledger", "full", "resend", "report", "shard"]
    )]
    pub to_files: Option<PathBuf>,
    /// Report.
    #[command(flatten)]
    pub report: Report,
}

/// `bulk`
#[derive(Debug, Clone, Args)]
#[command(mut_arg("target", |target| target.help("The GraphQL address [default: https://api.stigg.io/graphql]")))]
pub struct Bulk {
    /// Data.
    #[command(flatten)]
    pub files: bulk::Files,
    /// Target and rate.
    #[command(flatten)]
    pub target: Target,
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// Stop after this many rejects, or this share of the rows (5 %)
    #[arg(long, value_name = "N|N%")]
    pub max_rejects: Option<String>,
    /// Send every record again, also those that were delivered: repairs what was changed in Stigg itself
    #[arg(long)]
    pub resend: bool,
    /// Report.
    #[command(flatten)]
    pub report: Report,
}

/// `plan`
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Data and mapping.
    #[command(flatten)]
    pub input: Input,
    /// Target and rate.
    #[command(flatten)]
    pub target: Target,
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// Read all rows, also where `changed` would leave some out
    #[arg(long)]
    pub full: bool,
    /// Read from Stigg what it has of each record that would be sent, and say which fields differ
    #[arg(long)]
    pub live: bool,
    /// Ask the target nothing: its catalog, and what records refer to, is not checked
    #[arg(long, conflicts_with = "live")]
    pub offline: bool,
    /// Write the plan into this file: `run --plan FILE` sends just that, and refuses if source or target have moved
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    pub out: Option<PathBuf>,
    /// Report.
    #[command(flatten)]
    pub report: Report,
}

/// `verify`
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Data and mapping.
    #[command(flatten)]
    pub input: Input,
    /// Target and rate.
    #[command(flatten)]
    pub target: Target,
    /// List the records that are in Stigg and that the ledger knows, but that no row of the database makes any more
    #[arg(long)]
    pub gone: bool,
    /// Read back only so many records of each step, chosen at random, for sources that are too large to read back whole
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,
    /// List the customers and subscriptions that Stigg has and that no step has
    #[arg(long)]
    pub extra: bool,
    /// The ledger, for --gone: a file, or a Postgres database [default: $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]
    #[arg(long, value_name = "PATH|URL", default_value = LEDGER_UNSAID, hide_default_value = true, value_parser = ledger_place, requires = "gone")]
    pub ledger: LedgerPlace,
    /// Report.
    #[command(flatten)]
    pub report: Report,
}

/// `check`
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Mapping or pipeline files
    #[arg(value_name = "FILE", conflicts_with = "mapping")]
    pub files: Vec<PathBuf>,

    /// Mapping and source.
    #[command(flatten)]
    pub mapped: MappedSource,

    /// How many rows are tried
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub rows: u64,
}
