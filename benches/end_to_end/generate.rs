//! Input of any size, the same for the same arguments.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::Failure;

/// What to write.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What the rows are.
    #[arg(value_enum)]
    kind: Kind,
    /// How many, the header not counted.
    #[arg(long)]
    rows: u64,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

/// What the rows are.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// A feature's total: ten features for each customer, so that every row is a record of its own.
    Usage,
    /// A customer.
    Customers,
}

const FEATURES: [&str; 10] = [
    "api-calls",
    "storage-gb",
    "seats",
    "builds",
    "cpu-hours",
    "exports",
    "events",
    "messages",
    "projects",
    "ai-tokens",
];

/// Writes the file.
///
/// # Errors
///
/// When it can't be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(&arguments.out)?);
    match arguments.kind {
        Kind::Usage => {
            writeln!(out, "customer_id,feature,resource,total,read_at")?;
            for row in 0..arguments.rows {
                let mixed = mix(row);
                writeln!(
                    out,
                    "cus_{:07},{},ws-{},{},2026-06-{:02}T{:02}:{:02}:00Z",
                    row / 10,
                    FEATURES[(row % 10) as usize],
                    row / 10 % 10,
                    mixed % 1_000_000,
                    1 + (mixed >> 20) % 30,
                    (mixed >> 30) % 24,
                    (mixed >> 40) % 60,
                )?;
            }
        }
        Kind::Customers => {
            writeln!(out, "id,name,email,country,created")?;
            for row in 0..arguments.rows {
                let mixed = mix(row);
                writeln!(
                    out,
                    "cus_{row:07},\"Customer {row:07}, Ltd\",billing{row:07}@example.com,{},2025-{:02}-{:02}T08:00:00Z",
                    ["DE", "FR", "US", "IN"][(mixed % 4) as usize],
                    1 + (mixed >> 20) % 12,
                    1 + (mixed >> 30) % 28,
                )?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// SplitMix64's finisher: a value that looks random, from a row's number.
fn mix(row: u64) -> u64 {
    let mut bits = row.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
