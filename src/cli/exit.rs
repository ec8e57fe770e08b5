//! Exit codes and the one form in which errors are shown.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::report::counted;
use crate::pipeline::{CutoverFinished, CutoverSummary, Stopped, Summary};
use crate::problem::{Problem, Problems};

/// How the process ends. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All settled.
    Settled = 0,
    /// A bug of ours.
    Bug = 1,
    /// Wrong arguments.
    Arguments = 2,
    /// Some rows were rejected or refused; all others are settled, unless `--max-rejects` was passed.
    Rejects = 3,
    /// Some batches are still open: run the same command again.
    Open = 4,
    /// A config or mapping file, or the target, doesn't hold. Nothing was sent.
    Config = 5,
    /// The source failed part-way. What was read is settled.
    Source = 6,
    /// The API refused the key.
    Credentials = 7,
    /// The ledger can't be written, nor the audit file of a cutover, nor a report.
    Ledger = 8,
    /// Another run holds the ledger.
    Held = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit code of what ended early.
    pub fn of_stopped(stopped: &Stopped) -> Self {
        match stopped {
            Stopped::LedgerCannotWrite(_) | Stopped::HoldLost(_) | Stopped::SpillFailed(_) => Self::Ledger,
            Stopped::CredentialsRefused(_) | Stopped::ProviderRefused(_) => Self::Credentials,
            Stopped::FilesCannotWrite(_) => Self::Config,
            Stopped::RequestMalformed(_) => Self::Bug,
            Stopped::SourceBroke(_) | Stopped::Moved(_) => Self::Source,
            Stopped::Interrupted | Stopped::NotTheApi(_) | Stopped::Outage(_) | Stopped::NotTheProvider(_) => {
                Self::Open
            }
            // What is open was never sent, and the same command again would stop at the same place.
            Stopped::TooManyRejects(_) => Self::Rejects,
        }
    }

    /// The exit code of a cutover: the worst thing that is true of its subscriptions.
    pub fn of_cutover(summary: &CutoverSummary, stopped: Option<&Stopped>) -> Self {
        if !summary.balances() {
            return Self::Bug;
        }
        if let Some(stopped) = stopped {
            return Self::of_stopped(stopped);
        }
        if summary.open + summary.cancel_open + summary.unproved_open > 0 {
            Self::Open
        } else if summary.rejected + summary.parked_in_all() > 0 {
            Self::Rejects
        } else {
            Self::Settled
        }
    }

    /// The exit code of a cutover that ran. One that was declined at the terminal has not done what it was asked to.
    pub fn of_finished_cutover(finished: &CutoverFinished) -> Self {
        match Self::of_cutover(&finished.summary, finished.stopped.as_ref()) {
            Self::Settled | Self::Rejects if finished.declined => Self::Open,
            exit => exit,
        }
    }

    /// The exit code of a run: the worst thing that is true of its records.
    pub fn of(summary: &Summary, stopped: Option<&Stopped>) -> Self {
        if !summary.unbalanced().is_empty() {
            return Self::Bug;
        }
        if let Some(stopped) = stopped {
            return Self::of_stopped(stopped);
        }
        if summary.total(|step| step.open) > 0 {
            Self::Open
        } else if summary.total(|step| step.rejected + step.failed) > 0 {
            Self::Rejects
        } else {
            Self::Settled
        }
    }
}

/// An error as a person reads it: what, why, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// One lower-case clause.
    pub message: String,
    /// Causes, outermost first.
    pub causes: Vec<String>,
    /// What is wrong with the files that a person wrote.
    pub problems: Vec<Problem>,
    /// What to do next.
    pub hint: Option<String>,
}

/// What libraries say on the way to a cause, without saying anything.
const EMPTY_WORDS: [&str; 2] = ["error sending request", "client error (Connect)"];

impl Failure {
    /// An error without causes.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), problems: Vec::new(), hint: None }
    }

    /// An error with its sources as causes.
    pub fn of(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self::new(exit, error.to_string()).caused_by(error.source())
    }

    /// An error in our words, with what it comes from.
    pub fn because(exit: Exit, message: impl Into<String>, cause: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(exit, message).caused_by(Some(cause))
    }

    /// Files that don't hold, with all that is wrong with them.
    pub fn of_problems(what: &str, problems: &Problems) -> Self {
        Self {
            problems: problems.0.clone(),
            ..Self::new(Exit::Config, format!("{what}: {}", counted(problems.0.len() as u64, "problem")))
        }
        .hint("nothing was sent; mend what is shown and run the same command again")
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let mut error = json!({ "message": self.message, "causes": self.causes, "hint": self.hint });
        if !self.problems.is_empty() {
            let problems = self.problems.iter().map(|problem| {
                json!({
                    "file": problem.file,
                    "line": problem.line,
                    "column": problem.column,
                    "message": problem.message,
                    "hint": problem.hint,
                })
            });
            error["problems"] = problems.collect();
        }
        json!({ "ok": false, "exit": self.exit as u8, "error": error })
    }

    fn caused_by(mut self, mut cause: Option<&(dyn std::error::Error + 'static)>) -> Self {
        while let Some(error) = cause {
            let text = error.to_string();
            // Many crates repeat their source's words in their own.
            let is_repeated = self.message.ends_with(&text) || self.causes.last() == Some(&text);
            if !is_repeated && !EMPTY_WORDS.contains(&text.as_str()) {
                self.causes.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// Adds the next command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  because {cause}")?;
        }
        for problem in &self.problems {
            write!(f, "\n\n{problem}")?;
        }
        if let Some(hint) = &self.hint {
            let gap = if self.problems.is_empty() { "" } else { "\n" };
            write!(f, "{gap}\nhint: {hint}")?;
        }
        Ok(())
    }
}
