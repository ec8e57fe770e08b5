//! `init`: drafts a mapping and a pipeline from an export's header and its first rows.

mod ask;
mod pipeline;
mod source;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::ask::Terminal;
use self::pipeline::add_step;
use self::source::{DraftSource, Opening};
use super::args::Talk;
use super::exit::{Exit, Failure};
use super::report::{counted, grouped};
use super::{out, out_json, setup};
use crate::clock::SystemClock;
use crate::draft::{self, Adviser, CantDraft, Draft, Nobody, Sample};
use crate::entity::Schema;
use crate::mapping;
use crate::source::SourceError;

/// What to draft, and from what.
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// What a row is: customer, subscription, paid-subscription, usage or event [default: told by the columns]
    #[arg(long, short, value_name = "ENTITY", value_parser = schema_of)]
    entity: Option<Schema>,

    #[command(flatten)]
    source: DraftSource,

    /// A field's column, where the guess is wrong: customerId=who; may be repeated
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = pair_of)]
    column: Vec<(String, String)>,

    /// The folder for the mapping and the pipeline file
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Rows that are looked at
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rows: u64,

    /// Ask nothing on a terminal: what can't be known is guessed and left with a TODO
    #[arg(long, short)]
    yes: bool,

    /// Write over a mapping that is there
    #[arg(long)]
    force: bool,
}

/// A pipeline file's own name, in the drafts' folder.
const PIPELINE: &str = "pipeline.toml";

fn schema_of(name: &str) -> Result<Schema, String> {
    let all = || Schema::ALL.map(word).join(", ");
    Schema::of_name(&name.replace('-', "_")).ok_or_else(|| format!("an entity is one of {}", all()))
}

/// An entity as a word of the command line.
fn word(schema: Schema) -> String {
    schema.name().replace('_', "-")
}

fn pair_of(text: &str) -> Result<(String, String), String> {
    let (field, column) = text.split_once('=').ok_or("it has the form FIELD=COLUMN")?;
    Ok((field.trim().to_owned(), column.to_owned()))
}

/// Drafts, checks the draft, and writes it.
pub(super) async fn main(args: Init, talk: &Talk) -> Result<Exit, Failure> {
    let opening = args.source.opening(&args.dir)?;
    if let Some(schema) = args.entity {
        args.is_free(schema)?;
    }
    let looked = opening.look(args.rows).await.map_err(|error| unreadable(&error))?;
    let sample = &looked.sample;
    let mut adviser: Box<dyn Adviser> = match !args.yes && !talk.json() && ask::is_there() {
        true => Box::new(Terminal::default()),
        false => Box::new(Nobody),
    };
    let schema = match args.entity {
        Some(schema) => schema,
        None => {
            let schema = draft::schema_of(sample, &mut *adviser, &SystemClock).map_err(|likely| unclear(&likely))?;
            args.is_free(schema)?;
            schema
        }
    };
    let columns: BTreeMap<String, String> = args.column.iter().cloned().collect();
    known(schema, &columns, sample)?;
    let drafted = draft::draft(schema, sample, &columns, &mut *adviser, &SystemClock);
    let draft = drafted.map_err(|error| cant_draft(&error))?;
    let (name, file) = args.file(schema);
    holds(&draft, &opening, &file).await?;

    std::fs::create_dir_all(&args.dir).map_err(|error| cant_write(&args.dir, &error))?;
    write_privately(&file, &draft.mapping).map_err(|error| cant_write(&file, &error))?;
    let pipeline = match schema {
        Schema::Import(_) => {
            let pipeline = args.dir.join(PIPELINE);
            let added = add_step(&pipeline, &name, &opening.step(&name, &looked));
            Pipeline::Step { added: added.map_err(|error| cant_write(&pipeline, &error))? }
        }
        // No pipeline takes it.
        Schema::PaidSubscription => Pipeline::None { source: opening.words(&looked) },
    };
    report(&args, schema, sample, &draft, &file, &pipeline, talk)?;
    Ok(Exit::Settled)
}

/// What became of the pipeline file.
enum Pipeline {
    /// The mapping is a step's, which was added or was there.
    Step { added: bool },
    /// The mapping is for `cutover`, which takes these words.
    None { source: String },
}

impl Init {
    /// The step's name, and the mapping's file.
    fn file(&self, schema: Schema) -> (String, PathBuf) {
        let name = setup::step_name(schema);
        let file = self.dir.join(format!("{name}.toml"));
        (name, file)
    }

    fn is_free(&self, schema: Schema) -> Result<(), Failure> {
        let (_, file) = self.file(schema);
        if file.exists() && !self.force {
            return Err(Failure::new(Exit::Config, format!("{} is there already", file.display()))
                .hint("say --force to write over it, or --dir for another folder; nothing was written"));
        }
        Ok(())
    }
}

/// Whether the fields and columns that were said exist.
fn known(schema: Schema, said: &BTreeMap<String, String>, sample: &Sample) -> Result<(), Failure> {
    for (field, column) in said {
        if !schema.fields().iter().any(|known| known.name == field) {
            let fields: Vec<&str> = schema.fields().iter().map(|field| field.name).collect();
            return Err(Failure::new(Exit::Arguments, format!("a {} has no field {field}", schema.name()))
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

fn report(
    args: &Init,
    schema: Schema,
    sample: &Sample,
    draft: &Draft,
    file: &Path,
    pipeline: &Pipeline,
    talk: &Talk,
) -> Result<(), Failure> {
    let path = args.dir.join(PIPELINE);
    if talk.json() {
        return out_json(&json!({
            "entity": schema.name(),
            "columns": sample.columns.len(),
            "rows": sample.rows,
            "recognised": draft.recognised,
            "mapping": file,
            "pipeline": matches!(pipeline, Pipeline::Step { added: true }).then_some(&path),
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
        Pipeline::Step { added: true } => writeln!(text, "wrote a step into {}", path.display()),
        Pipeline::Step { added: false } => {
            writeln!(text, "{PIPELINE} has a step of this name already; it was left as it is")
        }
        Pipeline::None { .. } => writeln!(text, "paid subscriptions are no step of a pipeline: `cutover` moves them"),
    };
    if !draft.to_do.is_empty() {
        text.push_str("\nto decide, each at a TODO in the mapping:\n");
        draft.to_do.iter().for_each(|what| text.push_str(&format!("  {what}\n")));
    }
    let _ = match pipeline {
        Pipeline::Step { .. } => write!(
            text,
            "\nthen:\n  stigg-import check {0}\n  stigg-import plan {0}\n  stigg-import run {0}\n  stigg-import verify {0}\n",
            path.display()
        ),
        Pipeline::None { source } => write!(
            text,
            "\nthen:\n  stigg-import check --mapping {0} {source}\n  stigg-import cutover --mapping {0} {source} --plan\n",
            file.display()
        ),
    };
    out(&text);
    Ok(())
}

/// Nobody said what a row is, and nobody can be asked.
fn unclear(likely: &[Schema]) -> Failure {
    let words: Vec<String> = likely.iter().map(|schema| word(*schema)).collect();
    let (message, hint) = match &words[..] {
        [] => (
            "the columns don't tell what a row is".to_owned(),
            format!("say --entity with one of {}; nothing was written", Schema::ALL.map(word).join(", ")),
        ),
        words => (
            format!("a row may be a {}", words.join(" or a ")),
            format!("say --entity {}, or draft one after the other; nothing was written", words.join(" or --entity ")),
        ),
    };
    Failure::new(Exit::Arguments, message).hint(hint)
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
