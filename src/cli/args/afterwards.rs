//! The words of the commands that look at what happened: runs, what is open, rejects.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::import::{LedgerAt, Target};

/// `status`
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub runs: u32,
    /// Instead of runs: how far the paid subscriptions of a cutover are
    #[arg(long, conflicts_with = "runs")]
    pub cutover: bool,
}

/// `ledger`
#[derive(Debug, Clone, Subcommand)]
pub enum LedgerCommand {
    /// Make a damaged ledger whole: what can be proved is kept, what can't is sent again or held
    #[command(
        long_about = "Makes a damaged ledger whole. Nothing is sent.\n\n\
            What can still be read is copied into a new file; the damaged one is kept beside it. Of a damaged file nothing \
            says which content of a record is the latest: what Stigg has of customers, subscriptions and usage is \
            forgotten, and the next run sends them again, which the API makes harmless. Events are the exception, since \
            one that is sent again long after may count twice: those that were surely delivered stay known, and all \
            others are held until `settle` says what became of them.\n\n\
            A ledger with paid subscriptions (`cutover`) is left as it is, and so is one in Postgres, which repairs itself.",
        after_help = "Examples:\n  stigg-import ledger repair\n  stigg-import ledger repair --ledger billing/ledger.db --json"
    )]
    Repair(LedgerAt),
}

/// `settle`
#[derive(Debug, Clone, Args)]
pub struct Settle {
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// What became of them; without it they are listed
    #[arg(long = "as", value_enum, value_name = "WORD")]
    pub became: Option<BecameOf>,
}

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BecameOf {
    /// Stigg has them
    Delivered,
    /// Stigg does not have them
    Lost,
}

impl BecameOf {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Lost => "lost",
        }
    }
}

/// `rejects`
#[derive(Debug, Clone, Subcommand)]
pub enum Rejects {
    /// What was rejected, by reason, with samples
    #[command(after_help = "Examples:\n  stigg-import rejects list\n  stigg-import rejects list --run 3 --json")]
    List(RejectsOf),
    /// Write the rejected rows as a CSV that can be corrected and run again
    #[command(after_help = "Example:\n  stigg-import rejects export --step customers --out fix.csv")]
    Export(RejectsExport),
    /// Run a corrected CSV (or the rejected rows as they are) through the same mapping again
    #[command(
        after_help = "Examples:\n  stigg-import rejects retry --step customers --csv fix.csv\n  stigg-import rejects retry"
    )]
    Retry(RejectsRetry),
}

/// Which rejects.
#[derive(Debug, Clone, Args)]
pub struct RejectsOf {
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// The run [default: the last that rejected something]
    #[arg(long, value_name = "RUN")]
    pub run: Option<u64>,
    /// Only this step
    #[arg(long, value_name = "NAME")]
    pub step: Option<String>,
}

/// `rejects export`
#[derive(Debug, Clone, Args)]
pub struct RejectsExport {
    /// Which.
    #[command(flatten)]
    pub of: RejectsOf,
    /// Where to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `rejects retry`
#[derive(Debug, Clone, Args)]
pub struct RejectsRetry {
    /// Which.
    #[command(flatten)]
    pub of: RejectsOf,
    /// Send rows also where a record of their key was delivered meanwhile with other content
    #[arg(long)]
    pub replace: bool,
    /// The corrected CSV [default: the rejected rows as they were]
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Target and rate.
    #[command(flatten)]
    pub target: Target,
}
