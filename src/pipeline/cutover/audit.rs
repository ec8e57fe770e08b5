//! The audit file: a JSON line for each step, and for each answer that decided one.
//!
//! A line is on disk before the ledger has the step, and so before its effect. After a kill in between, the next run
//! writes the step again: the file may say a step twice, and never lacks one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::Replacement;

/// Where lines go. An implementation makes a line last before it returns.
pub trait AuditOut: Send {
    /// Adds a line; `line` ends in a line break.
    ///
    /// # Errors
    ///
    /// The system's. Part of the line may have been written.
    fn append(&mut self, line: &[u8]) -> io::Result<()>;
}

/// The audit file. Readable by its owner only: it says who the customers are.
#[derive(Debug)]
pub struct AuditFile(File);

impl AuditFile {
    /// Opens the file to add to it; makes it (mode 0600) where it is missing.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        // A line that a kill cut off shall not swallow the next one.
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self(file))
    }
}

impl AuditOut for AuditFile {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line)?;
        self.0.sync_data()
    }
}

/// What a line is about, besides the replacement itself.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Note {
    /// The id of the request that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What was answered or found, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl Note {
    pub(super) fn of(answer: impl Into<String>) -> Self {
        Self { request_id: None, answer: Some(answer.into()) }
    }

    pub(super) fn with_request(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: String,
    run: u64,
    /// The stage that is reached, or `answer` for what a request brought.
    step: &'a str,
    subscription_id: &'a str,
    customer_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<&'a str>,
    plan_id: &'a str,
    provider: &'a str,
    original_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_id: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(flatten)]
    note: &'a Note,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Writes lines of one run.
pub(super) struct Audit {
    out: Mutex<Box<dyn AuditOut>>,
    run: u64,
}

impl Audit {
    pub(super) fn new(out: Box<dyn AuditOut>, run: u64) -> Self {
        Self { out: Mutex::new(out), run }
    }

    /// Writes that a replacement is about to reach its stage.
    pub(super) fn stage(&self, now: Timestamp, next: &Replacement, note: &Note) -> io::Result<()> {
        self.line(now, next.stage.name(), next, note)
    }

    /// Writes what a request about it brought.
    pub(super) fn answer(&self, now: Timestamp, about: &Replacement, note: &Note) -> io::Result<()> {
        self.line(now, "answer", about, note)
    }

    fn line(&self, now: Timestamp, step: &str, about: &Replacement, note: &Note) -> io::Result<()> {
        let parked = about.stage.parked();
        let line = Line {
            time: format!("{now:.3}"),
            run: self.run,
            step,
            subscription_id: &about.subscription_id,
            customer_id: &about.customer_id,
            resource_id: about.resource_id.as_deref(),
            plan_id: &about.plan_id,
            provider: &about.original.provider,
            original_id: &about.original.id,
            billing_id: about.billing_id.as_deref(),
            attempt: about.attempts,
            reason: parked.map(|parked| parked.reason.name()),
            detail: parked.map(|parked| parked.detail.as_str()),
            note,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.out.lock().unwrap_or_else(PoisonError::into_inner).append(&text)
    }
}
