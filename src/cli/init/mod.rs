//! `init`: drafts a mapping and a pipeline from an export's header and its first rows.

mod ask;
mod pipeline;
mod report;
mod source;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use self::ask::{Said, Terminal};
use self::pipeline::put_step;
use self::report::{Maybe, Report, Step, Written};
use self::source::{DraftSource, Opening};
use super::args::Talk;
use super::exit::{Exit, Failure};
use super::setup;
use super::source_args::array_hint;
use super::whole_file::WholeFile;
use crate::clock::SystemClock;
use crate::draft::{self, Adviser, CantDraft, Draft, Nobody, Sample, Told};
use crate::entity::Schema;
use crate::mapping;
use crate::source::SourceError;
use clap::{Args, ValueEnum};

/// What to draft, and from what.
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// What a row is: customer, subscription, paid-subscription, usage or event [default: told by the columns, and both where
    /// each row is a customer and the plan that it has]
    #[arg(long, short, value_name = "ENTITY", value_parser = schema_of)]
    entity: Option<Schema>,

    #[command(flatten)]
    source: DraftSource,

    /// A field's column, where the guess is wrong: customerId=who; may be repeated
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = pair_of)]
    column: Vec<(String, String)>,

    /// What comes first in dates such as 03/04/2024, where the columns don't tell
    #[arg(long, value_enum, value_name = "ORDER")]
    dates: Option<Order>,

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

/// What comes first in a date of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// 3 April
    DayFirst,
    /// March 4
    MonthFirst,
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

/// Drafts, checks the drafts, and writes them.
pub(super) async fn main(args: Init, talk: &Talk) -> Result<Exit, Failure> {
    let opening = args.source.opening(&args.dir)?;
    if let Some(schema) = args.entity {
        args.is_free(schema)?;
    }
    let looked = opening.look(args.rows).await.map_err(|error| unreadable(&error))?;
    let sample = &looked.sample;
    let asked: Box<dyn Adviser> = match !args.yes && !talk.json() && ask::is_there() {
        true => Box::new(Terminal::default()),
        false => Box::new(Nobody),
    };
    let mut adviser = Said { dates: args.dates, asked };
    let told = match args.entity {
        Some(schema) => Told { schemas: vec![schema], maybe: None },
        None => draft::schemas_of(sample, &mut adviser, &SystemClock).map_err(|likely| unclear(&likely))?,
    };
    // Of several those that are not there yet.
    let (left_out, schemas): (Vec<Schema>, Vec<Schema>) =
        told.schemas.iter().partition(|schema| told.schemas.len() > 1 && args.is_free(**schema).is_err());
    let schemas = if schemas.is_empty() { &told.schemas[..1] } else { &schemas[..] };
    schemas.iter().try_for_each(|schema| args.is_free(*schema))?;
    let columns: BTreeMap<String, String> = args.column.iter().cloned().collect();
    known(schemas, &columns, sample)?;
    let drafted = draft::drafts(schemas, sample, &columns, &mut adviser, &SystemClock);
    let drafts = drafted.map_err(|error| cant_draft(&error))?;
    for draft in &drafts {
        holds(draft, &opening, &args.file(draft.schema).1).await?;
    }

    std::fs::create_dir_all(&args.dir).map_err(|error| cant_write(&args.dir, &error))?;
    let mut written = Vec::new();
    for draft in drafts {
        let (name, file) = args.file(draft.schema);
        write_privately(&file, &draft.mapping).map_err(|error| cant_write(&file, &error))?;
        let step = match draft.schema {
            Schema::Import(_) => {
                let pipeline = args.dir.join(PIPELINE);
                let became = put_step(&pipeline, &name, &opening.step(&name, &looked), args.force);
                Step::Of(became.map_err(|error| cant_write(&pipeline, &error))?)
            }
            // No pipeline takes it.
            Schema::PaidSubscription => Step::None { source: opening.words(&looked) },
        };
        written.push(Written { draft, file, step });
    }
    let left_out = left_out.into_iter().map(|schema| args.file(schema).1).collect();
    let maybe = told.maybe.filter(|(schema, _)| args.is_free(*schema).is_ok()).map(|(schema, column)| Maybe {
        schema,
        column,
        source: opening.words(&looked),
    });
    report::print(&Report { dir: &args.dir, sample, written, left_out, maybe }, talk)?;
    Ok(Exit::Settled)
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
fn known(schemas: &[Schema], said: &BTreeMap<String, String>, sample: &Sample) -> Result<(), Failure> {
    for (field, column) in said {
        let fields = || schemas.iter().flat_map(|schema| schema.fields()).map(|field| field.name);
        if !fields().any(|known| known == field) {
            let names: Vec<&str> = schemas.iter().map(|schema| schema.name()).collect();
            let fields: Vec<&str> = fields().collect();
            return Err(Failure::new(Exit::Arguments, format!("a {} has no field {field}", names.join(" or a ")))
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
        Failure { exit: Exit::Bug, ..failure }.hint("please report this bug with what is shown; nothing was written")
    };
    let parsed = mapping::parse(&name, &draft.mapping, Path::new("")).map_err(|problems| bug(&problems))?;
    let wanted: Vec<String> = parsed.columns_used().into_iter().map(|column| column.name).collect();
    let rows = opening.open(&wanted).await.map_err(|error| unreadable(&error))?;
    mapping::compile(&parsed, rows.columns(), &SystemClock).map(drop).map_err(|problems| bug(&problems))
}

/// Its comments show values of the sample, which may be people's.
fn write_privately(file: &Path, text: &str) -> std::io::Result<()> {
    let mut written = WholeFile::private(file)?;
    written.write_all(text.as_bytes())?;
    written.done()
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
            "say which one does: --dates day-first or --dates month-first; nothing was written".to_owned()
        }
    };
    Failure::of(Exit::Config, error).hint(hint)
}

fn unreadable(error: &SourceError) -> Failure {
    let exit = if error.before_reading() { Exit::Config } else { Exit::Source };
    Failure::of(exit, error).hint(match array_hint(error) {
        Some(hint) => format!("{hint}; nothing was written"),
        None => "nothing was written; mend the source and run the same command again".to_owned(),
    })
}

fn cant_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(Exit::Config, format!("can't write {}", path.display()), error)
        .hint("make room or mend the rights, or name another folder with --dir, then run the same command again")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::entity::Entity;

    #[tokio::test]
    async fn a_draft_that_does_not_hold_is_told_to_be_a_bug() {
        let words = ["stigg-import", "init", "--csv", "c.csv"];
        let Ok(Command::Init(args)) = Cli::try_parse_from(words).map(|cli| cli.command) else {
            panic!("these are words of a draft")
        };
        let opening = args.source.opening(Path::new(".")).unwrap();
        let draft = Draft {
            schema: Schema::Import(Entity::Customer),
            mapping: "entity = \"customer\"\n[fields]\ncustomerID = \"id\"\n".to_owned(),
            recognised: None,
            to_do: Vec::new(),
        };
        let failure = holds(&draft, &opening, Path::new("customers.toml")).await.unwrap_err();
        insta::assert_snapshot!(format!("exit {}\n{failure}", failure.exit as u8), @r#"
        exit 1
        error: the draft does not hold: 1 problem

        customers.toml:3:1: the record has no field `customerID`
          3 | customerID = "id"
            | ^^^^^^^^^^
          hint: did you mean `customerId`?

        hint: please report this bug with what is shown; nothing was written
        "#);
    }

    #[test]
    fn an_export_that_may_be_several_things_is_told_with_the_words_that_decide() {
        let failure = unclear(&[Schema::Import(Entity::Customer), Schema::PaidSubscription]);
        assert_eq!(failure.message, "a row may be a customer or a paid-subscription");
        assert_eq!(
            failure.hint.as_deref(),
            Some(
                "say --entity customer or --entity paid-subscription, or draft one after the other; nothing was written"
            )
        );
    }
}
