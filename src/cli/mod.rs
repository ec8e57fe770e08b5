//! The command line: one file for each command, and the one place that prints.

mod args;
mod bulk;
mod canary;
mod check;
mod cutover;
mod demo;
mod doctor;
mod ending;
mod eta;
mod exit;
mod import;
mod init;
mod ledger;
mod ledgers;
mod log;
mod machine;
mod man;
mod plan;
mod plan_file;
mod plan_report;
mod progress;
mod rejects;
mod report;
mod report_html;
mod sandbox;
mod schema;
mod settle;
mod setup;
mod source_args;
mod status;
mod sync;
mod to_files;
mod verify;
mod whole_file;
mod why;

use std::borrow::Cow;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use tokio::runtime::Builder;

pub use args::Cli;
use args::Command;
use exit::{Exit, Failure};

/// Runs the program as the command line says, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(mut cli) => {
            cli.talk.hear(std::env::args_os());
            cli
        }
        Err(error) => {
            // Help and version are answers, not errors.
            let code = if error.use_stderr() { Exit::Arguments } else { Exit::Settled };
            let _ = error.print();
            return code.into();
        }
    };
    log::start(&cli.talk);
    if let Err(failure) = machine::suffices() {
        return shown(&failure);
    }
    if matches!(&cli.command, Command::Sync(sync) if !sync.once) {
        sync::one_arena::begin_again();
    }
    let runtime = match threads(&cli.command).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return shown(&Failure::of(Exit::Bug, &error)),
    };
    let json = cli.talk.json();
    let ended = runtime.block_on(dispatch(cli));
    // A blocked read of standard input must not keep the process alive.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) if json => {
            out(&format!("{:#}\n", failure.to_json()));
            shown(&failure)
        }
        Err(failure) => shown(&failure),
    }
}

/// What serves many connections has several threads. Everything else sends from this one, and reads and maps on another
/// ([`crate::pipeline::StageThread`]).
fn threads(command: &Command) -> Builder {
    match command {
        Command::Demo(_) | Command::Sandbox(_) => {
            let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
        Command::Run(_)
        | Command::Bulk(_)
        | Command::Init(_)
        | Command::Plan(_)
        | Command::Check(_)
        | Command::Doctor(_)
        | Command::Verify(_)
        | Command::Cutover(_)
        | Command::Status(_)
        | Command::Sync(_)
        | Command::Settle(_)
        | Command::Ledger(_)
        | Command::Rejects(_)
        | Command::Why(_)
        | Command::Schema(_)
        | Command::Completions { .. }
        | Command::Man { .. } => Builder::new_current_thread(),
    }
}

async fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let talk = cli.talk;
    match cli.command {
        Command::Demo(args) => demo::main(args, &talk).await,
        Command::Run(args) => import::main(args, &talk).await,
        Command::Bulk(args) => bulk::main(args, &talk).await,
        Command::Init(args) => init::main(args, &talk).await,
        Command::Sync(args) => sync::main(*args, &talk).await,
        Command::Plan(args) => plan::main(args, &talk).await,
        Command::Check(args) => check::main(args, &talk).await,
        Command::Doctor(args) => doctor::main(args, &talk).await,
        Command::Verify(args) => verify::main(args, &talk).await,
        Command::Cutover(args) => cutover::main(*args, &talk).await,
        Command::Status(args) => status::main(args, &talk).await,
        Command::Settle(args) => settle::main(args, &talk).await,
        Command::Ledger(args) => ledger::main(args, &talk).await,
        Command::Why(args) => why::main(args, &talk).await,
        Command::Rejects(args) => rejects::main(args, &talk).await,
        Command::Sandbox(args) => sandbox::main(*args, &talk).await,
        Command::Schema(args) => Ok(schema::main(&args)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "stigg-import", &mut script);
            // clap_complete 4.6 takes the hyphen of our name for the border of a subcommand in one of two places, and then
            // bash offers nothing behind a command.
            out(&String::from_utf8_lossy(&script).replace("stigg__subcmd__import", "stigg__import"));
            Ok(Exit::Settled)
        }
        Command::Man { dir } => man::main(dir.as_deref(), &talk),
    }
}

/// Prints data. A reader that has gone (`| head`) is no error.
fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(plain(text).as_bytes());
    let _ = stdout.flush();
}

/// Prints talk.
fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{}", plain(text));
}

/// Text without control characters but line breaks and tabs: what a row or an answer says must not
/// steer the terminal.
fn plain(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(steers) { Cow::Owned(text.replace(steers, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

fn shown(failure: &Failure) -> ExitCode {
    say(&failure.to_string());
    failure.exit.into()
}

/// Prints an object for programs.
fn out_json<T: serde::Serialize>(object: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(object).map_err(|error| Failure::of(Exit::Bug, &error))?;
    out(&format!("{text}\n"));
    Ok(())
}
