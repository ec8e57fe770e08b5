//! Exit codes and the one form in which errors are shown.

use std::process::ExitCode;

use crate::pipeline::{Stopped, Summary};

/// How the process ends. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All settled.
    Settled = 0,
    /// A bug of ours.
    Bug = 1,
    /// Wrong arguments.
    Arguments = 2,
    /// Everything is settled; some rows were rejected or refused.
    Rejects = 3,
    /// Some batches are still open: run the same command again.
    Open = 4,
    /// A config or mapping file, or the target, doesn't hold. Nothing was sent.
    Config = 5,
    /// The source failed part-way. What was read is settled.
    Source = 6,
    /// The API refused the key.
    Credentials = 7,
    /// The ledger can't be written.
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
    /// The exit code of a run: the worst thing that is true of its records.
    pub fn of(summary: &Summary, stopped: Option<&Stopped>) -> Self {
        if !summary.unbalanced().is_empty() {
            return Self::Bug;
        }
        match stopped {
            Some(Stopped::LedgerCannotWrite(_) | Stopped::SpillFailed(_)) => return Self::Ledger,
            Some(Stopped::CredentialsRefused(_)) => return Self::Credentials,
            Some(Stopped::RequestMalformed(_)) => return Self::Bug,
            Some(Stopped::SourceBroke(_)) => return Self::Source,
            Some(Stopped::Interrupted | Stopped::NotTheApi(_) | Stopped::Outage(_)) => return Self::Open,
            Some(Stopped::TooManyRejects(_)) | None => {}
        }
        if summary.total(|step| step.open) > 0 {
            Self::Open
        } else if summary.total(|step| step.rejected + step.failed) > 0 || stopped.is_some() {
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
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// An error without causes.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// An error with its sources as causes.
    pub fn of(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut failure = Self::new(exit, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many crates repeat their source's words in their own.
            if !failure.message.ends_with(&text) && failure.causes.last() != Some(&text) {
                failure.causes.push(text);
            }
            source = cause.source();
        }
        failure
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
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
