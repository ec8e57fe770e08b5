//! The words of the commands with the embedded API in them.

use std::path::PathBuf;

use clap::Args;

use super::positive;

/// `demo`
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// How many customers the export has [default: 1000; with --cutover 12]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub customers: Option<u32>,
    /// Show how paid plans are moved instead: provisioned, proved, and their originals at Stripe cancelled
    #[arg(long)]
    pub cutover: bool,
    /// The folder for the export, the ledger and the rejects [default: a new temporary one]
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Keep to the published rate limits (by default the embedded API is a thousand times as generous)
    #[arg(long)]
    pub real_limits: bool,
    /// The export's seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// `sandbox`
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// The port on 127.0.0.1; 0 takes a free one and prints it
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Plans, features, add-ons and credit currencies (JSON); without it any id is known
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// Keep the data in this file: read at start if it is there, written at the end
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// What the account at Stripe holds (JSON), the billing system to move away from; without it nothing
    #[arg(long, value_name = "FILE")]
    pub stripe: Option<PathBuf>,
    /// Multiply the published rate limits
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = positive)]
    pub rate_scale: f64,
    /// Don't limit the rate
    #[arg(long, conflicts_with = "rate_scale")]
    pub no_limits: bool,
    /// How long each answer takes
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
    /// Accept only this key; may be repeated [default: any]
    #[arg(long, value_name = "KEY")]
    pub key: Vec<String>,
    /// A fault and its probability (lost-answer=0.05); may be repeated
    #[arg(long, value_name = "KIND=P")]
    pub fault: Vec<String>,
    /// How to behave where the API's documents are silent (customer-batch=good-kept); may be repeated
    #[arg(long, value_name = "NAME=CHOICE")]
    pub unknown: Vec<String>,
    /// Seed of the random faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
