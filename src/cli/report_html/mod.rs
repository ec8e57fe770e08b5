//! What happened, as one page for a browser: for people who were not there.
//!
//! One file without scripts that loads nothing. Everything put into it is escaped; values of rows are on it only where that was asked
//! for.

mod chart;
mod cutover;
mod destination;
mod page;
mod plan;
mod reasons;
mod recorder;
mod run;
mod series;
mod verify;

pub(super) use cutover::{Around, cutover, cutover_plan};
pub(super) use destination::Destination;
pub(super) use plan::plan;
pub(super) use recorder::Recorder;
pub(super) use run::run;
pub(super) use verify::verify;

use self::page::{Card, Fact, Tone};
use super::exit::{Exit, Failure};
use super::say;

/// Writes a report where one is asked for. Returns how the process ends, and what is to be said where the report could not
/// be written: what the command did stands, and so does its exit code, unless that is 0.
pub(super) fn write(
    destination: Option<&Destination>,
    exit: Exit,
    page: impl FnOnce(&Destination) -> page::Page,
) -> (Exit, Option<Failure>) {
    let Some(destination) = destination else { return (exit, None) };
    match destination.write(&page(destination)) {
        Ok(()) => (exit, None),
        Err(failure) if exit == Exit::Settled => (Exit::Ledger, Some(failure)),
        Err(failure) => (exit, Some(failure)),
    }
}

/// Says what became of a report that could not be written; returns the exit code.
pub(super) fn said(exit: Exit, failed: Option<Failure>) -> Exit {
    if let Some(failure) = failed {
        say(&failure.to_string());
    }
    exit
}

/// How a command ended, in one or two words.
fn state(exit: Exit, is_stopped: bool) -> (Tone, &'static str) {
    match exit {
        Exit::Settled => (Tone::Good, "Done"),
        Exit::Rejects if is_stopped => (Tone::Bad, "Stopped"),
        Exit::Rejects => (Tone::Attention, "Done, with rejects"),
        Exit::Open => (Tone::Attention, "Not finished"),
        Exit::Bug => (Tone::Bad, "A fault of the program"),
        Exit::Arguments | Exit::Config | Exit::Source | Exit::Credentials | Exit::Ledger | Exit::Held => {
            (Tone::Bad, "Stopped")
        }
    }
}

/// When the page was made.
fn made_at() -> Fact {
    let now = jiff::Timestamp::now();
    Fact { name: "Written", value: now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string() }
}

fn card(name: &'static str, value: String, note: impl Into<String>, tone: Tone) -> Card {
    Card { name, value, note: note.into(), tone }
}

/// Attention where there is something, good where there is nothing.
fn tone_of(count: u64) -> Tone {
    if count > 0 { Tone::Attention } else { Tone::Good }
}
