//! `rejects`: what did not go through, as a list, as a CSV to correct, and again.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::report::{counted, grouped, quoted};
use super::setup::{self, Work};
use super::whole_file::WholeFile;
use super::{bulk, ending, import, out, out_json, say};
use crate::config;
use crate::entity::Schema;
use crate::ledger::LedgerPlace;
use crate::ledger::RunId;
use crate::ledger::rejects::{self, Exported, Listing, RejectsError};
use crate::pipeline::{Known, SourceSpec, StepSpec};
use crate::sink::Operation;
use crate::source::Input;

/// Lists, exports or retries.
pub(super) async fn main(args: args::Rejects, talk: &Talk) -> Result<Exit, Failure> {
    match args {
        args::Rejects::List(of) => list(&of, talk),
        args::Rejects::Export(args) => export(&args, talk),
        args::Rejects::Retry(args) => retry(args, talk).await,
    }
}

fn failure(error: &RejectsError) -> Failure {
    Failure::of(Exit::Config, error)
}

/// The rejects files of the run that is meant, and of one step where one is named.
fn files(of: &args::RejectsOf) -> Result<Vec<(PathBuf, Listing)>, Failure> {
    let ledger = &of.ledger.ledger;
    let mut listed = Vec::new();
    for path in rejects::files(ledger.local(), of.run.map(RunId)).map_err(|error| failure(&error))? {
        match rejects::list(&path) {
            Ok(listing) => listed.push((path, listing)),
            Err(RejectsError::Empty { .. }) => {}
            Err(error) => return Err(failure(&error)),
        }
    }
    if of.run.is_none()
        && let Some(last) = listed.iter().map(|(_, listing)| listing.header.run).max()
    {
        listed.retain(|(_, listing)| listing.header.run == last);
    }
    if let Some(step) = &of.step {
        listed.retain(|(_, listing)| listing.header.step == *step);
    }
    Ok(listed)
}

fn nothing(of: &args::RejectsOf) -> String {
    match of.run {
        Some(run) => format!("run {run} rejected nothing"),
        None => {
            format!("nothing was rejected yet, as far as {} knows", rejects::folder(of.ledger.ledger.local()).display())
        }
    }
}

fn list(of: &args::RejectsOf, talk: &Talk) -> Result<Exit, Failure> {
    let listed = files(of)?;
    if talk.json() {
        let objects: Vec<Value> = listed.iter().map(|(path, listing)| listing_json(path, listing)).collect();
        out_json(&json!({ "files": objects }))?;
        return Ok(Exit::Settled);
    }
    if listed.is_empty() {
        out(&format!("{}\n", nothing(of)));
        return Ok(Exit::Settled);
    }
    let mut text = String::new();
    for (path, listing) in &listed {
        let all: u64 = listing.groups.iter().map(|group| group.count).sum::<u64>() + listing.others;
        let _ = writeln!(
            text,
            "run {}, {}: {} in {}",
            listing.header.run,
            listing.header.step,
            counted(all, "reject"),
            path.display()
        );
        for group in &listing.groups {
            let who = if group.failed { "refused by the API: " } else { "" };
            let field = group.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
            let _ = writeln!(text, "{:>8}  {who}{field}{}", grouped(group.count), group.reason);
            for sample in &group.samples {
                let value = sample.value.as_deref().map(|value| format!(" {}", quoted(value))).unwrap_or_default();
                // The group's reason has `…` where those of its rejects differ, or may differ.
                let reason = match sample.reason == group.reason {
                    true => String::new(),
                    false => format!(": {}", sample.reason),
                };
                let _ = writeln!(text, "          {}{value}{reason}", sample.place);
            }
        }
        if listing.others > 0 {
            let _ = writeln!(text, "{:>8}  of other kinds", grouped(listing.others));
        }
        if listing.torn || listing.lines_damaged > 0 {
            let lines = listing.lines_damaged + u64::from(listing.torn);
            let _ = writeln!(text, "{:>8}  lines can't be read: the run was killed, or the file was changed", lines);
        }
    }
    out(&text);
    if !talk.quiet {
        let step = if listed.len() > 1 { " --step STEP" } else { "" };
        let ledger = setup::ledger_option(&of.ledger.ledger);
        say(&format!(
            "hint: correct them in a CSV, and send that\n  \
             stigg-import rejects export{step} --out fix.csv{ledger}\n  \
             stigg-import rejects retry{step} --csv fix.csv{ledger}"
        ));
    }
    Ok(Exit::Settled)
}

fn listing_json(path: &Path, listing: &Listing) -> Value {
    json!({
        "run": listing.header.run.0,
        "step": listing.header.step,
        "entity": listing.header.entity.name(),
        "file": path,
        "others": listing.others,
        "lines_damaged": listing.lines_damaged + u64::from(listing.torn),
        "groups": listing.groups.iter().map(|group| json!({
            "kind": if group.failed { "failed" } else { "rejected" },
            "field": group.field,
            "reason": group.reason,
            "count": group.count,
            "samples": group.samples.iter().map(|sample| json!({
                "source": &*sample.place.source,
                "record": sample.place.record,
                "line": sample.place.line,
                "value": sample.value,
                "reason": sample.reason,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

/// The one file that is meant: rows of different steps have different columns.
fn one(of: &args::RejectsOf) -> Result<(PathBuf, Listing), Failure> {
    let mut listed = files(of)?;
    match listed.len() {
        0 => Err(Failure::new(Exit::Arguments, nothing(of))),
        1 => Ok(listed.remove(0)),
        _ => {
            let steps: Vec<&str> = listed.iter().map(|(_, listing)| listing.header.step.as_str()).collect();
            Err(Failure::new(Exit::Arguments, "several steps have rejects, and their rows differ")
                .hint(format!("say which with --step: {}", steps.join(", "))))
        }
    }
}

fn export(args: &args::RejectsExport, talk: &Talk) -> Result<Exit, Failure> {
    let (path, _) = one(&args.of)?;
    let exported = match &args.out {
        Some(file) => export_to(&path, file)?,
        None => rejects::export(&path, io::stdout().lock()).map_err(|error| failure(&error))?,
    };
    if !talk.quiet {
        say(&said(&exported));
        if let Some(file) = &args.out {
            let step = args.of.step.as_ref().map(|step| format!(" --step {step}")).unwrap_or_default();
            let ledger = setup::ledger_option(&args.of.ledger.ledger);
            say(&format!("hint: correct it, then stigg-import rejects retry{step} --csv {}{ledger}", file.display()));
        }
    }
    Ok(Exit::Settled)
}

/// What was there may be rows that a person has corrected: it is replaced by a whole export only.
fn export_to(path: &Path, file: &Path) -> Result<Exported, Failure> {
    let fail = |error: &(dyn std::error::Error + 'static)| {
        Failure::because(Exit::Config, format!("can't write {}", file.display()), error)
            .hint("make room or mend the rights, or name another file with --out; what was there is as it was")
    };
    let mut whole = WholeFile::private(file).map_err(|error| fail(&error))?;
    let exported = rejects::export(path, BufWriter::new(&mut whole)).map_err(|error| match error {
        RejectsError::Output { .. } => fail(&error),
        other => failure(&other),
    })?;
    whole.done().map_err(|error| fail(&error))?;
    Ok(exported)
}

fn said(exported: &Exported) -> String {
    let mut text = format!("{} of {}", counted(exported.rows, "row"), counted(exported.entries, "reject"));
    if exported.entries_without_rows > 0 {
        let _ = write!(
            text,
            "; {}: correct {} in the source, and run it again",
            match exported.entries_without_rows {
                1 => "1 more is a total over many rows".to_owned(),
                more => format!("{} more are totals over many rows", grouped(more)),
            },
            if exported.entries_without_rows == 1 { "it" } else { "those" }
        );
    }
    text
}

/// A new file that only its owner can read: it holds customers' data.
fn private_file(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| Failure::because(Exit::Config, format!("can't write {}", path.display()), &error))
}

async fn retry(args: args::RejectsRetry, talk: &Talk) -> Result<Exit, Failure> {
    let (path, listing) = one(&args.of)?;
    let ledger = &args.of.ledger.ledger;
    if listing.header.entity == Schema::PaidSubscription {
        return Err(Failure::new(Exit::Arguments, "these rows are of a cutover, which goes one step at a time")
            .hint("correct them in the source and run the same cutover again; what is done is left alone"));
    }
    let arguments = arguments_of(ledger, listing.header.run).await?;
    if let Some(folder) = arguments["to_files"].as_str() {
        // Sending now would be the first request of somebody who asked for none.
        return Err(Failure::new(Exit::Arguments, "these rows were rejected by a run that sent nothing")
            .hint(format!("correct them in the source and run again with --to-files {folder}")));
    }
    let rows = setup::spill_dir(ledger).join(format!("retry-{}.csv", std::process::id()));
    let removed = Removed(rows.clone());
    let dialect = match &args.csv {
        Some(corrected) => restore(corrected, &rows)?,
        None => {
            let exported = setup::spill_dir(ledger).join(format!("retry-{}.export.csv", std::process::id()));
            let _removed = Removed(exported.clone());
            rejects::export(&path, BufWriter::new(private_file(&exported)?)).map_err(|error| failure(&error))?;
            restore(&exported, &rows)?
        }
    };
    let mapping = bulk::mapping_named(&listing.header.mapping)?;
    if mapping.is_aggregate() {
        return Err(Failure::new(Exit::Arguments, "totals can't be made from the rejected rows alone")
            .hint("correct the rows in the source and run the same command as before: totals that changed are sent"));
    }
    let limits = config::csv_options(&mapping).limits;
    let options = match dialect {
        // We wrote it, and know how. JSON in cells could make it look like something else.
        Dialect::Ours => {
            let quote = crate::source::Quote::Byte(b'"');
            crate::source::CsvOptions { limits, delimiter: Some(b','), quote, ..Default::default() }
        }
        Dialect::Unknown => crate::source::CsvOptions { limits, ..Default::default() },
    };
    let work = Work {
        steps: vec![StepSpec {
            name: listing.header.step.clone(),
            mapping,
            source: SourceSpec::Csv { inputs: vec![Input::Path(rows)], options },
        }],
        target: arguments["target"].as_str().map(str::to_owned),
        limits: limits_of(&arguments),
        identity: format!("rejects of run {}", listing.header.run),
        arguments: arguments.clone(),
        ..Work::default()
    };
    let target = args::Target {
        rate_scale: args.target.rate_scale.or_else(|| arguments["rate_scale"].as_f64()),
        ..args.target.clone()
    };
    let known = match args.replace {
        true => Known::SendChanged,
        false => Known::Keep {
            since: listing.header.run,
            contested: rejects::contested(&path).map_err(|error| failure(&error))?.into(),
        },
    };
    let finished = import::import(work, import::How { known, ..Default::default() }, &target, ledger, talk).await?;
    drop(removed);
    ending::show(&finished, ledger, talk)
}

/// The rate limits that the run kept to.
fn limits_of(arguments: &Value) -> Vec<(Operation, u32)> {
    let limits = arguments["limits"].as_object().into_iter().flatten();
    limits.filter_map(|(name, limit)| Some((Operation::of_name(name)?, u32::try_from(limit.as_u64()?).ok()?))).collect()
}

/// What the run was asked to do.
async fn arguments_of(ledger: &LedgerPlace, run: RunId) -> Result<Value, Failure> {
    let store = setup::ledger_to_read(ledger).await?;
    let info = match &store {
        Some(store) => store.run(run).await.map_err(|error| setup::ledger_failure(&error))?,
        None => None,
    };
    let Some(info) = info else {
        return Err(Failure::new(Exit::Config, format!("the ledger does not know run {run}"))
            .hint("name its ledger with --ledger"));
    };
    serde_json::from_str(&info.start.arguments_json).map_err(|error| Failure::of(Exit::Bug, &error))
}

/// How a file of rows to retry is written.
enum Dialect {
    /// By us: comma, `"`, UTF-8.
    Ours,
    /// By somebody else: to be found out.
    Unknown,
}

/// Delimiters with which spreadsheets save a CSV, ours first.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Copies a corrected CSV without our columns, its neutralised cells as they were. One that was not exported by us is
/// copied as it is.
fn restore(from: &Path, to: &Path) -> Result<Dialect, Failure> {
    let fail = |error: csv::Error| {
        Failure::because(Exit::Config, format!("{} is not a CSV that could be run again", from.display()), &error)
    };
    let is_ours = |cell: &[u8]| std::str::from_utf8(cell).is_ok_and(rejects::is_our_column);
    for delimiter in DELIMITERS {
        let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_path(from).map_err(fail)?;
        let header = reader.byte_headers().map_err(fail)?.clone();
        let ours: Vec<bool> = header.iter().map(is_ours).collect();
        if !ours.contains(&true) {
            continue;
        }
        let kept = |record: &csv::ByteRecord| -> Vec<Vec<u8>> {
            let cells = record.iter().enumerate().filter(|(index, _)| !ours.get(*index).copied().unwrap_or(false));
            cells.map(|(_, cell)| cell.to_vec()).collect()
        };
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(BufWriter::new(private_file(to)?));
        writer.write_record(restored(kept(&header))).map_err(fail)?;
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(fail)? {
            writer.write_record(restored(kept(&record))).map_err(fail)?;
        }
        writer.flush().map_err(|error| Failure::of(Exit::Ledger, &error))?;
        return Ok(Dialect::Ours);
    }
    let copied = File::open(from).and_then(|mut corrected| {
        let mut rows = private_file(to).map_err(|failure| io::Error::other(failure.to_string()))?;
        io::copy(&mut corrected, &mut rows)
    });
    copied.map_err(|error| Failure::because(Exit::Config, format!("can't read {}", from.display()), &error))?;
    Ok(Dialect::Unknown)
}

/// Cells as they were before an export made them safe for a spreadsheet.
fn restored(cells: Vec<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    cells.into_iter().map(|cell| match std::str::from_utf8(&cell) {
        Ok(text) => rejects::restore(text).into_owned().into_bytes(),
        Err(_) => cell,
    })
}

/// Takes a temporary file away again.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
