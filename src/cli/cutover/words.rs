//! The words of `cutover`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::args::{LedgerAt, Report, Target};
use crate::cli::exit::{Exit, Failure};
use crate::cli::source_args::MappedSource;
use crate::ledger::ParkReason;
use crate::pipeline::{Phase, RetryParked, SETTLES_WITHIN};

pub(crate) const LONG_ABOUT: &str = "Moves subscriptions on paid plans, the part of a migration that costs real money.\n\n\
    Each is provisioned in Stigg with the original's start date and isBackdated, so that nothing is billed twice; read back \
    until it is active and at the billing provider under an id of its own, at the original's price; and only then is the \
    original cancelled there, at once and without proration or a last invoice. Every step is in the ledger and in an audit \
    file before its effect: stopped at any moment, the same command goes on.\n\n\
    Without more words it provisions and proves, and cancels nothing. Cancelling needs --phase cancel (or all) and \
    --cancel-originals, and on a terminal the number typed. What can't go on is parked with a reason; docs/cutover.md says \
    what to do about each.\n\n\
    Originals at Stripe are read and cancelled by this program (key in STRIPE_API_KEY; live keys need --live). Those of \
    other providers are written to a list for people, which comes back with --cancelled.";

pub(crate) const EXAMPLES: &str = "Examples:\n  \
    stigg-import cutover --mapping paid.toml --stripe subscriptions --plan\n  \
    stigg-import cutover --mapping paid.toml --stripe subscriptions --limit 10\n  \
    stigg-import status --cutover\n  \
    stigg-import cutover --phase cancel --cancel-originals --limit 10\n  \
    stigg-import cutover --mapping paid.toml --stripe subscriptions --phase all --cancel-originals --live\n  \
    stigg-import cutover --mapping paid.toml --csv subscriptions.csv --only-customers first.txt\n  \
    stigg-import cutover --mapping paid.toml --csv subscriptions.csv --retry-parked payment-required\n  \
    stigg-import cutover --cancelled originals-to-cancel.csv";

/// `cutover`
#[derive(Debug, Clone, Args)]
pub struct Cutover {
    /// Mapping and source; none is needed to cancel.
    #[command(flatten)]
    pub mapped: MappedSource,
    /// Target and rate.
    #[command(flatten)]
    pub target: Target,
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// What is done
    #[arg(long, value_enum, value_name = "PHASE", default_value_t = PhaseWord::Provision)]
    pub phase: PhaseWord,
    /// Really cancel originals at the billing provider; with --phase cancel or all
    #[arg(long)]
    pub cancel_originals: bool,
    /// Say what would be done; sends nothing and writes nothing
    #[arg(long)]
    pub plan: bool,
    /// Only subscriptions of the customers in this file, an id on each line
    #[arg(long, value_name = "FILE")]
    pub only_customers: Option<PathBuf>,
    /// At most so many subscriptions, for a first cohort
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Begin parked ones anew: all, or those of one reason
    #[arg(long, value_name = "REASON", num_args = 0..=1, default_missing_value = "all", value_parser = retry_parked)]
    pub retry_parked: Option<RetryParked>,
    /// Take a live Stripe key: real customers are charged and cancelled
    #[arg(long)]
    pub live: bool,
    /// Where the billing provider's API is [default: that of --stripe-url, or https://api.stripe.com]
    #[arg(long, value_name = "URL")]
    pub provider_url: Option<String>,
    /// Don't compare what the provider charges for the original and its replacement: for replacements that are billed by
    /// another account
    #[arg(long)]
    pub without_amounts: bool,
    /// How long a provision request without an answer may still be carried out; only then is it sent again
    #[arg(long, value_name = "N", default_value_t = SETTLES_WITHIN.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub settle_seconds: u64,
    /// The audit file, a JSON line for each step [default: cutover-audit.jsonl beside the ledger]
    #[arg(long, value_name = "FILE")]
    pub audit: Option<PathBuf>,
    /// The list of originals that people cancel; a new file [default: originals-to-cancel.csv]
    #[arg(long, value_name = "FILE")]
    pub originals: Option<PathBuf>,
    /// Take back the list of originals, `cancelled_at` filled in, and close those
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mapping", "phase", "cancel_originals", "plan", "limit",
        "only_customers", "retry_parked", "originals", "report"])]
    pub cancelled: Option<PathBuf>,
    /// Stop after this many rejects, or this share of the rows (5 %)
    #[arg(long, value_name = "N|N%")]
    pub max_rejects: Option<String>,
    /// Report.
    #[command(flatten)]
    pub report: Report,
}

/// A phase as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PhaseWord {
    /// Provision in Stigg and prove; cancel nothing
    Provision,
    /// Cancel the originals of what was proved; provision nothing
    Cancel,
    /// Both, one after the other
    All,
}

impl From<PhaseWord> for Phase {
    fn from(word: PhaseWord) -> Self {
        match word {
            PhaseWord::Provision => Self::Provision,
            PhaseWord::Cancel => Self::Cancel,
            PhaseWord::All => Self::All,
        }
    }
}

fn retry_parked(text: &str) -> Result<RetryParked, String> {
    if text == "all" {
        return Ok(RetryParked::All);
    }
    let reasons = || ParkReason::ALL.map(ParkReason::name).join(", ");
    ParkReason::of_name(text).map(RetryParked::Only).ok_or_else(|| format!("reasons are all, {}", reasons()))
}

impl Cutover {
    /// Checks what clap can't: which words belong together.
    pub(super) fn check(&self) -> Result<Phase, Failure> {
        let wrong = |message: &str, hint: &str| Err(Failure::new(Exit::Arguments, message).hint(hint));
        let has_source = self.mapped.mapping.is_some();
        match (self.phase, self.cancel_originals, has_source) {
            (PhaseWord::Provision, true, _) => wrong(
                "--cancel-originals, and the phase is provision, which cancels nothing",
                "say --phase all, or --phase cancel once the replacements are confirmed",
            ),
            (PhaseWord::Cancel | PhaseWord::All, false, _) if !self.plan => wrong(
                "cancelling originals has to be said twice",
                "add --cancel-originals; --plan says what would be done. An original can't be revived",
            ),
            (PhaseWord::Cancel, _, true) => wrong(
                "--phase cancel takes no source: it cancels what the ledger knows to be confirmed",
                "leave the mapping and its source out; --only-customers and --limit choose among them",
            ),
            (PhaseWord::Provision | PhaseWord::All, _, false) => wrong(
                "there is no mapping of paid subscriptions",
                "stigg-import cutover --mapping mappings/stripe/paid-subscriptions.toml --stripe subscriptions",
            ),
            (phase, _, _) => Ok(phase.into()),
        }
    }

    pub(super) fn audit_path(&self) -> PathBuf {
        self.audit
            .clone()
            .unwrap_or_else(|| self.ledger.ledger.local().parent().unwrap_or(Path::new("")).join("cutover-audit.jsonl"))
    }

    pub(super) fn originals_path(&self) -> PathBuf {
        self.originals.clone().unwrap_or_else(|| PathBuf::from("originals-to-cancel.csv"))
    }
}
