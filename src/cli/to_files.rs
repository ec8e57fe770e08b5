//! `run --to-files`: the files of the vendor's bulk-import tool instead of requests.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::args::Talk;
use super::exit::{Exit, Failure};
use super::import::{self, Import};
use super::progress::Teller;
use super::report::{self, Tense, counted, grouped};
use super::setup::{self, Connection, Work};
use super::{ending, out, out_json, say};
use crate::entity::Entity;
use crate::ledger::LedgerPlace;
use crate::pipeline::{Finished, Known};
use crate::sink::{BudgetSettings, Budgets, BulkFile, BulkFiles, DryRunSink, WrittenFile};

/// The ledger in the folder: the numbers of its runs, and their rejects. What it knows to be written is written again.
const LEDGER: &str = "ledger.db";

/// Reads every row, writes the files, and reports.
pub(super) async fn main(
    mut work: Work,
    max_rejects: Option<&str>,
    folder: &Path,
    talk: &Talk,
) -> Result<Exit, Failure> {
    work.bound_rejects(max_rejects)?;
    let mut entities: Vec<Entity> = Vec::with_capacity(work.steps.len());
    for step in &work.steps {
        entities.push(step.entity().map_err(|error| setup::open_failure(&error))?);
    }
    let without_file = work.steps.iter().zip(&entities).find(|(_, entity)| BulkFile::of(**entity).is_empty());
    if let Some((step, _)) = without_file {
        return Err(Failure::new(
            Exit::Config,
            format!("the vendor's tool has no file for step `{}`: it does not import events", step.name),
        )
        .hint("leave the step out, or run it without --to-files; nothing was written"));
    }
    let (stop, steps) = import::open(&work.steps, talk).await?;
    let cannot_write = |error: std::io::Error| {
        Failure::because(Exit::Config, format!("the files can't be written into {}", folder.display()), &error)
            .hint("make room or mend the rights, then run the same command again")
    };
    let files = Arc::new(BulkFiles::create(folder, entities).map_err(cannot_write)?);
    let connection = Connection {
        rates: BudgetSettings::default().unlimited(),
        sink: Arc::new(DryRunSink::into_files(files.clone())),
        budgets: Arc::new(Budgets::unlimited()),
        address: "files".to_owned(),
    };
    let ledger = LedgerPlace::File(folder.join(LEDGER));
    let mut arguments = work.arguments;
    arguments["to_files"] = json!(folder);
    let import = Import {
        steps,
        connection,
        ledger: &ledger,
        identity: work.identity,
        arguments_json: arguments.to_string(),
        max_rejects: work.max_rejects,
        full: true,
        known: Known::SendAll,
        stop,
        keep_since: None,
        part: None,
    };
    let finished = import.run(Teller::new(talk)).await?;
    let exit = Exit::of(&finished.summary, finished.stopped.as_ref());
    let is_whole = finished.stopped.is_none() && finished.summary.total(|step| step.open) == 0;
    let written = match Arc::into_inner(files).filter(|_| is_whole) {
        Some(files) => files.finish().map_err(cannot_write)?,
        None => Vec::new(),
    };
    show(&finished, &written, &ledger, talk)?;
    Ok(exit)
}

fn show(finished: &Finished, written: &[WrittenFile], ledger: &LedgerPlace, talk: &Talk) -> Result<(), Failure> {
    if talk.json() {
        let mut object = serde_json::to_value(&finished.summary).map_err(|error| Failure::of(Exit::Bug, &error))?;
        let file = |file: &WrittenFile| json!({ "path": file.path, "records": file.records, "undocumented": file.undocumented });
        object["files"] = written.iter().map(file).collect();
        out_json(&object)?;
    } else {
        let mut text = report::summary(&finished.summary, Tense::Done);
        text.push('\n');
        for file in written {
            let _ = writeln!(text, "{}: {}", file.path.display(), counted(file.records, "record"));
        }
        out(text.trim_end_matches('\n'));
        out("\n");
    }
    ending::say_how_it_ended(finished, talk);
    if written.is_empty() {
        say("hint: no file was written, and what was there is as before; run the same command again");
        return Ok(());
    }
    if talk.quiet {
        return Ok(());
    }
    for file in written.iter().filter(|file| !file.undocumented.is_empty()) {
        let fields: Vec<String> =
            file.undocumented.iter().map(|(field, records)| format!("`{field}` ({})", grouped(*records))).collect();
        say(&format!(
            "{} has fields that no document of the vendor's tool names, in so many records: {}; stigg-import bulk reads \
             them",
            file.path.display(),
            fields.join(", ")
        ));
    }
    let exit = Exit::of(&finished.summary, finished.stopped.as_ref());
    if let Some(hint) = ending::hint(exit, finished, ledger) {
        say(&format!("hint: {hint}"));
    }
    Ok(())
}
