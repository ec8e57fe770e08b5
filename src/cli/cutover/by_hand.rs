//! The list of originals that people cancel, and its way back.

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde_json::json;

use super::words::Cutover;
use super::{audit, named, report};
use crate::cli::args::Talk;
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::counted;
use crate::cli::setup::{self, Work};
use crate::cli::{out, out_json};
use crate::clock::SystemClock;
use crate::ledger::{Replacement, RunStart};
use crate::pipeline::{AtStage, ByHand, take_returned};
use crate::provider::file::{CancelledList, OriginalRow, Originals, OriginalsError, read_cancelled};
use crate::provider::{OriginalId, ProviderName};

/// Most faults of a list that are shown.
const FAULTS_MAX: usize = 10;

/// Writes the list when there is something to write.
pub(super) struct List {
    path: PathBuf,
    on: Date,
    open: Option<Originals>,
}

impl List {
    /// A list at `path`, for people who cancel on that day.
    pub(super) fn new(path: PathBuf, on: Date) -> Self {
        Self { path, on, open: None }
    }

    fn cannot(&self, error: &OriginalsError) -> String {
        let path = self.path.display();
        match error {
            OriginalsError::Exists => format!(
                "the list {path} is there already, and somebody may have filled it in: take it back with --cancelled, or \
                 name a new one with --originals"
            ),
            OriginalsError::Io(cause) => format!("the list {path} can't be written: {cause}"),
        }
    }
}

impl ByHand for List {
    fn add(&mut self, replacement: &Replacement) -> Result<(), String> {
        let provider = replacement.original.provider.parse::<ProviderName>().map_err(|error| error.to_string())?;
        let id = OriginalId::parse(&replacement.original.id).map_err(|error| error.to_string())?;
        if self.open.is_none() {
            self.open = Some(Originals::create(&self.path, self.on).map_err(|error| self.cannot(&error))?);
        }
        let row = OriginalRow { provider, id: &id, subscription_id: &replacement.subscription_id };
        let written = self.open.as_mut().map_or(Ok(()), |list| list.write(&row));
        written.map_err(|error| self.cannot(&error))
    }

    fn finish(&mut self) -> Result<(), String> {
        let finished = self.open.take().map_or(Ok(()), Originals::finish);
        finished.map_err(|error| self.cannot(&error))
    }
}

/// Reads the list that came back.
pub(super) fn read(path: &Path) -> Result<CancelledList, Failure> {
    let file = File::open(path).map_err(|error| {
        Failure::because(Exit::Config, format!("can't read {}", path.display()), &error)
            .hint("name the list that came back; nothing of it was taken")
    })?;
    read_cancelled(file, jiff::Timestamp::now()).map_err(|problems| {
        let mut failure = Failure::new(
            Exit::Config,
            format!("{} doesn't hold: {}", path.display(), crate::cli::report::counted(problems.len() as u64, "fault")),
        );
        failure.causes = problems.iter().take(FAULTS_MAX).map(ToString::to_string).collect();
        failure.hint("nothing of it was taken; mend what is shown and run the same command again")
    })
}

/// Takes back a list of originals that people cancelled.
pub(super) async fn returned(args: &Cutover, path: &Path, talk: &Talk) -> Result<Exit, Failure> {
    let list = read(path)?;
    let work = Work {
        identity: "originals cancelled by hand".to_owned(),
        arguments: json!({ "cancelled": setup::absolute(path) }),
        ..Work::default()
    };
    let connection = setup::connect(&args.target, &work)?;
    let target = named(&connection.sink, &connection.budgets, &connection.address).await?;
    let (lock, ledger) = setup::ledger_to_write(&args.ledger.ledger).await?;
    let audit = audit(&args.audit_path())?;
    let start = RunStart {
        identity: work.identity,
        started_at: jiff::Timestamp::now(),
        arguments_json: work.arguments.to_string(),
    };
    let taken = take_returned(&list, ledger.clone(), &target, Box::new(audit), start, &SystemClock).await;
    let stages = ledger.stage_counts(&target).await.map_err(|error| setup::ledger_failure(&error));
    let closed = ledger.close().await.map_err(|error| setup::ledger_failure(&error));
    lock.release().await;
    let taken = taken.map_err(|error| {
        Failure::of(Exit::Ledger, &error)
            .hint("make room or mend the rights, then take the same list again: what is closed stays closed")
    })?;
    closed?;
    let stages: Vec<AtStage> = stages?.into_iter().map(AtStage::from).collect();
    let exit = if taken.not_asked.is_empty() { Exit::Settled } else { Exit::Rejects };
    if talk.json() {
        out_json(&json!({ "ok": exit == Exit::Settled, "exit": exit as i32, "returned": taken, "stages": stages }))?;
        return Ok(exit);
    }
    let mut text = format!("{} closed", counted(taken.closed, "original"));
    if taken.closed_before > 0 {
        text.push_str(&format!(", {} closed before", taken.closed_before));
    }
    if taken.open > 0 {
        text.push_str(&format!(", {} without a moment: still to be cancelled", taken.open));
    }
    text.push('\n');
    for id in &taken.not_asked {
        text.push_str(&format!("{id}: nobody was asked to cancel it; it stays as it is\n"));
    }
    text.push_str(&report::stages(&stages));
    out(&text);
    Ok(exit)
}
