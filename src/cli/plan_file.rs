//! A plan that is kept: what `plan --out` writes, and `run --plan` holds the run to.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde::{Deserialize, Serialize};

use super::args::{self, Cli, Command};
use super::exit::{Exit, Failure};
use super::report::{counted, grouped};
use super::setup::{self, Work};
use super::whole_file::WholeFile;
use crate::pipeline::{Planned, Promise};

/// The format that is written. A file of another is not read.
const FORMAT: u32 = 1;

/// What is kept. No row and no key is in it, and passwords are variables that were not put in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    format: u32,
    /// The program that made it.
    version: String,
    /// When.
    made_at: String,
    /// The folder that the words speak of.
    folder: PathBuf,
    /// The words of the command that made it.
    words: Vec<String>,
    /// What names the target in the ledger: its address and environment.
    pub target: String,
    /// What each step would send.
    pub steps: Vec<Promise>,
}

/// Whether a plan can be kept, found out before anything is read.
pub(super) fn can_be_kept(args: &args::Plan, work: &Work) -> Result<(), Failure> {
    setup::is_readable_again(work, "a plan of standard input can't be kept")?;
    if let Some(file) = &args.out {
        // Before an hour of reading.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Failure::new(Exit::Arguments, format!("there is no folder {}", folder.display()))
                .hint("make it, or name another file with --out"));
        }
    }
    Ok(())
}

/// Writes a plan, whole or not at all, for its owner only.
pub(super) fn write(file: &Path, args: &args::Plan, target: &str, planned: &Planned) -> Result<(), Failure> {
    let fail = |error: &(dyn std::error::Error + 'static)| {
        Failure::because(Exit::Config, format!("the plan can't be written to {}", file.display()), error)
            .hint("name another file with --out; nothing was sent")
    };
    let kept = PlanFile {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: jiff::Timestamp::now().to_string(),
        folder: std::env::current_dir().map_err(|error| fail(&error))?,
        words: args.words(),
        target: target.to_owned(),
        steps: planned.steps.iter().map(Promise::of).collect(),
    };
    let mut text = serde_json::to_string_pretty(&kept).map_err(|error| fail(&error))?;
    text.push('\n');
    let mut written = WholeFile::private(file).map_err(|error| fail(&error))?;
    written.write_all(text.as_bytes()).map_err(|error| fail(&error))?;
    written.done().map_err(|error| fail(&error))
}

/// Reads a plan, and the command that made it.
pub(super) fn read(file: &Path) -> Result<(PlanFile, args::Plan), Failure> {
    let again = "make it again with plan --out; nothing was sent";
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::because(Exit::Config, format!("can't read the plan {}", file.display()), &error).hint(again)
    })?;
    let no_plan = |error: &(dyn std::error::Error + 'static)| {
        Failure::because(Exit::Config, format!("{} is no plan of this program", file.display()), error).hint(again)
    };
    let kept: PlanFile = serde_json::from_str(&text).map_err(|error| no_plan(&error))?;
    if kept.format != FORMAT || kept.version != env!("CARGO_PKG_VERSION") {
        let message = format!("{} was made by version {} of the program", file.display(), kept.version);
        return Err(Failure::new(Exit::Config, message).hint(again));
    }
    let here = std::env::current_dir().map_err(|error| no_plan(&error))?;
    if here != kept.folder {
        let message = format!("{} was made in another folder, and its files are meant from there", file.display());
        return Err(Failure::new(Exit::Config, message)
            .hint(format!("cd {} and run it there; nothing was sent", kept.folder.display())));
    }
    let words = ["stigg-import", "plan"].into_iter().chain(kept.words.iter().map(String::as_str));
    let command = Cli::try_parse_from(words).map_err(|error| no_plan(&error))?.command;
    match command {
        Command::Plan(plan) => Ok((kept, plan)),
        _ => Err(Failure::new(Exit::Config, format!("{} is no plan of this program", file.display())).hint(again)),
    }
}

impl PlanFile {
    /// Refuses where the plan would be another one now. Nothing was sent.
    pub(super) fn still_holds(&self, target: &str, planned: &Planned) -> Result<(), Failure> {
        let again = |message: String| {
            Failure::new(Exit::Config, message)
                .hint("look at a new one: the same words with plan --out; nothing was sent")
        };
        if target != self.target {
            let message = format!("the plan is for {}, and the key is for {target}", self.target);
            return Err(Failure::new(Exit::Config, message)
                .hint("use the key of the plan's environment, or make a new plan; nothing was sent"));
        }
        let now: Vec<Promise> = planned.steps.iter().map(Promise::of).collect();
        if now.len() != self.steps.len() {
            return Err(again("the pipeline has other steps than when the plan was made".to_owned()));
        }
        for (then, now) in self.steps.iter().zip(&now) {
            if then == now {
                continue;
            }
            let message = if (&then.name, &then.entity) != (&now.name, &now.entity) {
                "the pipeline has other steps than when the plan was made".to_owned()
            } else if then.content != now.content && then.records != now.records {
                format!(
                    "step `{}` moved since the plan was made: it would send {}, and the plan has {}",
                    now.name,
                    counted(now.records, "record"),
                    grouped(then.records)
                )
            } else if then.content != now.content {
                format!("step `{}` moved since the plan was made: its records have other content", now.name)
            } else if then.live != now.live {
                format!("Stigg moved since the plan was made: what it has of step `{}` is other", now.name)
            } else {
                format!("what was delivered of step `{}` is other than when the plan was made", now.name)
            };
            return Err(again(message));
        }
        Ok(())
    }
}

impl args::Plan {
    /// The words that mean the same, without `--out`.
    fn words(&self) -> Vec<String> {
        // As they were typed: there is no other form that says all of it.
        let mut words = Vec::new();
        let mut typed = std::env::args().skip_while(|word| word != "plan").skip(1);
        while let Some(word) = typed.next() {
            if word == "--out" {
                typed.next();
            } else if !word.starts_with("--out=") {
                words.push(word);
            }
        }
        words
    }
}
