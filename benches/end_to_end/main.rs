//! The tools of `benches/end_to_end.sh`: a counting server, the floor that the product is compared
//! with, and a generator of input. One program, so that they are built with one command.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal and for a script")]

mod floor;
mod generate;
mod limiter;
mod protocol;
mod server;

use std::process::ExitCode;

use clap::Parser;

/// Why a tool stopped.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Tools for the end-to-end benches.
#[derive(Debug, Parser)]
enum Tool {
    /// Writes a CSV file, the same for the same arguments.
    Generate(generate::Arguments),
    /// Sends a CSV of usage rows as fast as the machine can: no ledger, no proof of delivery.
    Floor(floor::Arguments),
    /// Answers imports, counts them, and prints the counts when it gets SIGTERM.
    Server(server::Arguments),
}

fn main() -> ExitCode {
    // `cargo bench` starts every bench with `--bench`; this one has nothing to measure alone.
    if std::env::args().nth(1).as_deref() == Some("--bench") {
        println!("end_to_end: run benches/end_to_end.sh");
        return ExitCode::SUCCESS;
    }
    let result = match Tool::parse() {
        Tool::Generate(arguments) => generate::run(&arguments),
        Tool::Floor(arguments) => floor::run(&arguments),
        Tool::Server(arguments) => server::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
