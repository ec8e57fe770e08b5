//! What was drafted, as text or as one object, and what comes next.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::args::Talk;
use super::super::exit::Failure;
use super::super::report::{counted, grouped};
use super::super::{out, out_json};
use super::pipeline::Became;
use super::{PIPELINE, word};
use crate::draft::{Draft, Sample};
use crate::entity::Schema;

/// All that there is to say.
pub(super) struct Report<'a> {
    /// The drafts' folder.
    pub(super) dir: &'a Path,
    pub(super) sample: &'a Sample,
    pub(super) written: Vec<Written>,
    /// Mappings that were there already.
    pub(super) left_out: Vec<PathBuf>,
    pub(super) maybe: Option<Maybe>,
}

/// A mapping that was written.
pub(super) struct Written {
    pub(super) draft: Draft,
    pub(super) file: PathBuf,
    pub(super) step: Step,
}

/// What became of the pipeline file.
pub(super) enum Step {
    /// The mapping is a step's.
    Of(Became),
    /// The mapping is for `cutover`, which takes these words.
    None { source: String },
}

/// What the rows may be besides.
pub(super) struct Maybe {
    pub(super) schema: Schema,
    /// The column that speaks for it.
    pub(super) column: String,
    /// The source as words of the command line.
    pub(super) source: String,
}

pub(super) fn print(report: &Report<'_>, talk: &Talk) -> Result<(), Failure> {
    if talk.json() {
        return out_json(&object(report));
    }
    out(&text(report));
    Ok(())
}

fn object(report: &Report<'_>) -> Value {
    let pipeline = report.dir.join(PIPELINE);
    let drafts: Vec<Value> = report
        .written
        .iter()
        .map(|written| {
            let has_step = matches!(written.step, Step::Of(Became::Added | Became::Replaced));
            json!({
                "entity": written.draft.schema.name(),
                "recognised": written.draft.recognised,
                "mapping": written.file,
                "pipeline": has_step.then_some(&pipeline),
                "to_do": written.draft.to_do,
            })
        })
        .collect();
    json!({ "columns": report.sample.columns.len(), "rows": report.sample.rows, "drafts": drafts })
}

fn text(report: &Report<'_>) -> String {
    let Report { dir, sample, written, left_out, maybe } = report;
    let pipeline = dir.join(PIPELINE);
    let looked = format!("{} of {} columns", counted(sample.rows, "row"), grouped(sample.columns.len() as u64));
    let mut text = match written.iter().find_map(|written| written.draft.recognised) {
        Some(export) => format!("{looked}: a {export}; the mapping that ships fits it\n"),
        None => format!("{looked}: no export that is known; columns were guessed\n"),
    };
    if written.len() + left_out.len() > 1 {
        text.push_str("each row is a customer and a subscription; --entity drafts only one of them\n");
    }
    for file in left_out {
        let _ = writeln!(text, "{} is there already; it was left as it is", file.display());
    }
    for Written { file, step, .. } in written {
        let _ = writeln!(text, "wrote {}", file.display());
        let _ = match step {
            Step::Of(Became::Added) => writeln!(text, "wrote a step into {}", pipeline.display()),
            Step::Of(Became::Replaced) => writeln!(text, "wrote over the step in {}", pipeline.display()),
            Step::Of(Became::Kept) => {
                writeln!(text, "{PIPELINE} has a step of this name already; it was left as it is")
            }
            Step::None { .. } => writeln!(text, "paid subscriptions are no step of a pipeline: `cutover` moves them"),
        };
    }
    to_decide(&mut text, written);
    if let Some(Maybe { schema, column, source }) = maybe {
        let _ = write!(
            text,
            "\nif column {column:?} says a plan of each, this drafts the {}s, too:\n  stigg-import init --entity {} {source}\n",
            schema.name(),
            word(*schema)
        );
    }
    let cutover = written.iter().find_map(|written| match &written.step {
        Step::Of(_) => None,
        Step::None { source } => Some((written.file.display(), source)),
    });
    let _ = match cutover {
        None => write!(
            text,
            "\nthen:\n  stigg-import check {0}\n  stigg-import plan {0}\n  stigg-import run {0}\n  stigg-import verify {0}\n\
             to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:8080/graphql\n",
            pipeline.display()
        ),
        Some((file, source)) => write!(
            text,
            "\nthen:\n  stigg-import check --mapping {file} {source}\n  stigg-import cutover --mapping {file} {source} --plan\n"
        ),
    };
    text
}

/// What only a person knows, with the mapping's name where there are several.
fn to_decide(text: &mut String, written: &[Written]) {
    match written.iter().filter(|written| !written.draft.to_do.is_empty()).count() {
        0 => return,
        _ if written.len() == 1 => text.push_str("\nto decide, each at a TODO in the mapping:\n"),
        _ => text.push_str("\nto decide, each at a TODO in its mapping:\n"),
    }
    for Written { draft, file, .. } in written {
        let name = file.file_name().map(|name| name.to_string_lossy()).filter(|_| written.len() > 1);
        let name = name.map(|name| format!("{name}, ")).unwrap_or_default();
        draft.to_do.iter().for_each(|what| text.push_str(&format!("  {name}{what}\n")));
    }
}
