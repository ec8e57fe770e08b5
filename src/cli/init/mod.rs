//! `init`: drafts a mapping and a pipeline from an export's header and its first rows.

mod source;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::source::{DraftSource, Opening};
use super::args::Talk;
use super::exit::{Exit, Failure};
use super::report::{counted, grouped};
use super::{out, out_json, setup};
use crate::clock::SystemClock;
use crate::draft::{self, CantDraft, Draft, Sample};
use crate::entity::{Entity, Schema};
use crate::mapping;
use crate::source::SourceError;

/// What to draft, and from what.
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// What a row is: customer, subscription, usage or event
    #[arg(long, short, value_name = "ENTITY", value_parser = entity_of)]
    entity: Entity,

    #[command(flatten)]
    source: DraftSource,

    /// A field's column, where the guess is wrong: customerId=acct_no; may be repeated
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = pair_of)]
    column: Vec<(String, String)>,

    /// The folder for the mapping and the pipeline file
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Rows that are looked at
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rows: u64,

    /// Write over a mapping that is there
    #[arg(long)]
    force: bool,
}

/// A pipeline file's own name, in the drafts' folder.
const PIPELINE: &str = "pipeline.toml";

fn entity_of(name: &str) -> Result<Entity, String> {
    Entity::of_name(name).ok_or_else(|| format!("an entity is one of {}", Entity::ALL.map(Entity::name).join(", ")))
}

fn pair_of(text: &str) -> Result<(String, String), String> {
    let (field, column) = text.split_once('=').ok_or("it has the form FIELD=COLUMN")?;
    Ok((field.trim().to_owned(), column.to_owned()))
}

/// Drafts, checks the draft, and writes it.
pub(super) async fn main(args: Init, talk: &Talk) -> Result<Exit, Failure> {
    let name = setup::step_name(Schema::Import(args.entity));
    let file = args.dir.join(format!("{name}.toml"));
    if file.exists() && !args.force {
        return Err(Failure::new(Exit::Config, format!("{} is there already", file.display()))
            .hint("say --force to write over it, or --dir for another folder; nothing was written"));
    }
    let opening = args.source.opening(&args.dir)?;
    let looked = opening.look(args.rows).await.map_err(|error| unreadable(&error))?;
    let sample = &looked.sample;
    let columns: BTreeMap<String, String> = args.column.iter().cloned().collect();
    args.known(&columns, sample)?;
    let draft = draft::draft(args.entity, sample, &columns, &SystemClock).map_err(|error| cant_draft(&error))?;
    holds(&draft, &opening, &file).await?;

    std::fs::create_dir_all(&args.dir).map_err(|error| cant_write(&args.dir, &error))?;
    write_privately(&file, &draft.mapping).map_err(|error| cant_write(&file, &error))?;
    let pipeline = args.dir.join(PIPELINE);
    let added =
        add_step(&pipeline, &name, &opening.step(&name, &looked)).map_err(|error| cant_write(&pipeline, &error))?;
    report(&args, sample, &draft, &file, added.then_some(pipeline.as_path()), talk)?;
    Ok(Exit::Settled)
}

impl Init {
    /// Whether the fields and columns that were said exist.
    fn known(&self, said: &BTreeMap<String, String>, sample: &Sample) -> Result<(), Failure> {
        for (field, column) in said {
            if !self.entity.fields().iter().any(|known| known.name == field) {
                let fields: Vec<&str> = self.entity.fields().iter().map(|field| field.name).collect();
                return Err(Failure::new(Exit::Arguments, format!("a {} has no field {field}", self.entity.name()))
                    .hint(format!("its fields are {}", fields.join(", "))));
            }
            if sample.column(column).is_none() {
                let columns: Vec<&str> = sample.columns.iter().map(|column| &*column.name).collect();
                return Err(Failure::new(Exit::Arguments, format!("there is no column {column}"))
                    .hint(format!("the columns are {}", columns.join(", "))));
            }
        }
        Ok(())
    }
}

/// The draft parses, and fits the source: what is written passes `check`.
async fn holds(draft: &Draft, opening: &Opening, file: &Path) -> Result<(), Failure> {
    let name = file.display().to_string();
    let bug = |problems: &crate::problem::Problems| {
        let failure = Failure::of_problems("the draft does not hold", problems);
        Failure { exit: Exit::Bug, ..failure }.hint("this is a bug; nothing was written")
    };
    let parsed = mapping::parse(&name, &draft.mapping, Path::new("")).map_err(|problems| bug(&problems))?;
    let wanted: Vec<String> = parsed.columns_used().into_iter().map(|column| column.name).collect();
    let rows = opening.open(&wanted).await.map_err(|error| unreadable(&error))?;
    mapping::compile(&parsed, rows.columns(), &SystemClock).map(drop).map_err(|problems| bug(&problems))
}

/// Its comments show values of the sample, which may be people's.
fn write_privately(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

/// Adds a step to the pipeline file, which is made where it is missing; `false`: it has one of that name already.
fn add_step(pipeline: &Path, name: &str, step: &str) -> std::io::Result<bool> {
    let before = match std::fs::read_to_string(pipeline) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if before.lines().any(|line| line.replace(' ', "") == format!("name=\"{name}\"")) {
        return Ok(false);
    }
    let between = if before.is_empty() { "" } else { "\n" };
    std::fs::write(pipeline, format!("{before}{between}{step}"))?;
    Ok(true)
}

fn report(
    args: &Init,
    sample: &Sample,
    draft: &Draft,
    file: &Path,
    pipeline: Option<&Path>,
    talk: &Talk,
) -> Result<(), Failure> {
    if talk.json() {
        return out_json(&json!({
            "entity": args.entity.name(),
            "columns": sample.columns.len(),
            "rows": sample.rows,
            "recognised": draft.recognised,
            "mapping": file,
            "pipeline": pipeline,
            "to_do": draft.to_do,
        }));
    }
    let looked = format!("{} of {} columns", counted(sample.rows, "row"), grouped(sample.columns.len() as u64));
    let mut text = match draft.recognised {
        Some(export) => format!("{looked}: a {export}; the mapping that ships fits it\n"),
        None => format!("{looked}: no export that is known; columns were guessed\n"),
    };
    let _ = writeln!(text, "wrote {}", file.display());
    let _ = match pipeline {
        Some(pipeline) => writeln!(text, "wrote a step into {}", pipeline.display()),
        None => writeln!(text, "{PIPELINE} has a step of this name already; it was left as it is"),
    };
    if !draft.to_do.is_empty() {
        text.push_str("\nto decide, each at a TODO in the mapping:\n");
        draft.to_do.iter().for_each(|what| text.push_str(&format!("  {what}\n")));
    }
    let pipeline = args.dir.join(PIPELINE);
    let _ = write!(
        text,
        "\nthen:\n  stigg-import check {0}\n  stigg-import plan {0}\n  stigg-import run {0}\n",
        pipeline.display()
    );
    out(&text);
    Ok(())
}

fn cant_draft(error: &CantDraft) -> Failure {
    let hint = match error {
        CantDraft::NoColumn { field, .. } => {
            format!("say which one it is: --column {field}=COLUMN; nothing was written")
        }
        CantDraft::DayOrMonth { .. } => {
            "write the mapping by hand, or export times as 2024-01-31; nothing was written".to_owned()
        }
    };
    Failure::of(Exit::Config, error).hint(hint)
}

fn unreadable(error: &SourceError) -> Failure {
    let exit = if error.before_reading() { Exit::Config } else { Exit::Source };
    Failure::of(exit, error).hint("nothing was written; mend the source and run the same command again")
}

fn cant_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(Exit::Config, format!("can't write {}", path.display()), error)
}
