//! `check`: do the files hold, do the examples pass, does the mapping fit the data?

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::report::{counted, grouped, what_is_wrong};
use super::{out, out_json, setup};
use crate::clock::SystemClock;
use crate::config;
use crate::mapping::{self, ExampleOutcome, Mapper, MappingFile, Plan, SpillSettings, run_examples};
use crate::pipeline::{StepSpec, open_rows};
use crate::record::{RecordBatch, Reject};
use crate::source::Rows;

/// Checks and reports.
pub(super) async fn main(args: args::Check, talk: &Talk) -> Result<Exit, Failure> {
    let mut checked = Checked::default();
    match args.mapped.step("check")? {
        Some((step, _)) => {
            checked.examples(&step.mapping);
            checked.steps(&[step], args.rows).await?;
        }
        None if args.files.is_empty() => {
            return Err(Failure::new(Exit::Arguments, "there is nothing to check")
                .hint("name mapping or pipeline files, or --mapping M --csv F"));
        }
        None => {}
    }
    for path in &args.files {
        checked.file(path, args.rows).await?;
    }
    checked.show(talk)
}

/// What was found.
#[derive(Default)]
struct Checked {
    text: String,
    objects: Vec<Value>,
    examples_failed: usize,
    rows_rejected: u64,
}

impl Checked {
    /// A pipeline has steps, a mapping an entity.
    async fn file(&mut self, path: &PathBuf, rows: u64) -> Result<(), Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::because(Exit::Config, format!("can't read {}", path.display()), &error))?;
        if is_pipeline(&text) {
            let file = config::load(path).map_err(|error| setup::config_failure(&error))?;
            for step in &file.steps {
                self.examples(&step.mapping);
            }
            return self.steps(&file.steps, rows).await;
        }
        let mapping = mapping::load(path).map_err(|error| setup::mapping_failure(&error))?;
        self.examples(&mapping);
        Ok(())
    }

    fn examples(&mut self, mapping: &MappingFile) {
        let outcomes = run_examples(mapping);
        let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
        let _ = write!(self.text, "{}: holds", mapping.name());
        let _ = match (outcomes.len(), failed.len()) {
            (0, _) => writeln!(self.text, ", and has no examples"),
            (all, 0) => writeln!(self.text, ", {} pass", counted(all as u64, "example")),
            (all, bad) => writeln!(self.text, ", and {bad} of {} fail", counted(all as u64, "example")),
        };
        for outcome in &failed {
            let _ = writeln!(self.text, "  {}", what_failed(mapping, outcome));
        }
        self.examples_failed += failed.len();
        self.objects.push(json!({
            "file": mapping.name(),
            "entity": mapping.schema().name(),
            "examples": outcomes.len(),
            "failed": failed.iter().map(|outcome| what_failed(mapping, outcome)).collect::<Vec<_>>(),
        }));
    }

    /// Opens the sources and maps their first rows.
    async fn steps(&mut self, steps: &[StepSpec], rows_max: u64) -> Result<(), Failure> {
        let mut opened = Vec::with_capacity(steps.len());
        for step in steps {
            let open = open_rows(step, &SystemClock).await.map_err(|error| setup::open_failure(&error))?;
            opened.push((&step.name, open));
        }
        for (name, (rows, plan)) in opened {
            let columns = rows.columns().len();
            let tried = try_rows(rows, plan, rows_max).await?;
            for source in &tried.sources {
                let _ = writeln!(self.text, "{name}: {source}");
            }
            let _ = match (tried.rows, tried.rejected) {
                (0, _) => writeln!(self.text, "{name}: there are no rows"),
                (rows, 0) => writeln!(self.text, "{name}: the first {} fit", counted(rows, "row")),
                (rows, bad) => {
                    let first = counted(rows, "row");
                    writeln!(self.text, "{name}: of the first {first} {} would be rejected", grouped(bad))
                }
            };
            for reject in tried.samples.iter().take(5) {
                let _ = writeln!(self.text, "  {}: {}", reject.place, what_is_wrong(reject));
            }
            if tried.rejected > 5 {
                let _ = writeln!(self.text, "  … and {} more", grouped(tried.rejected - 5));
            }
            self.rows_rejected += tried.rejected;
            self.objects.push(json!({
                "step": name,
                "columns": columns,
                "sources": tried.sources,
                "rows": tried.rows,
                "rejected": tried.rejected,
                "rejects": tried.samples.iter().map(|reject| json!({
                    "place": reject.place.to_string(),
                    "field": reject.field,
                    "value": reject.value,
                    "reason": reject.reason,
                })).collect::<Vec<_>>(),
            }));
        }
        Ok(())
    }

    fn show(self, talk: &Talk) -> Result<Exit, Failure> {
        let exit = match (self.examples_failed, self.rows_rejected) {
            (0, 0) => Exit::Settled,
            (0, _) => Exit::Rejects,
            _ => Exit::Config,
        };
        if talk.json() {
            out_json(&json!({ "ok": exit == Exit::Settled, "exit": exit as i32, "checks": self.objects }))?;
        } else {
            out(&self.text);
        }
        if self.examples_failed > 0 {
            return Err(Failure::new(
                Exit::Config,
                format!("{} did not pass", counted(self.examples_failed as u64, "example")),
            )
            .hint("an example is the mapping's promise: mend the one or the other"));
        }
        Ok(exit)
    }
}

/// What became of the first rows.
struct Tried {
    sources: Vec<String>,
    rows: u64,
    rejected: u64,
    samples: Vec<Reject>,
}

async fn try_rows(mut rows: Rows, plan: Arc<Plan>, rows_max: u64) -> Result<Tried, Failure> {
    let sources = rows.described().iter().map(ToString::to_string).collect();
    let mut tried = Tried { sources, rows: 0, rejected: 0, samples: Vec::new() };
    let spill = SpillSettings::in_dir(&std::env::temp_dir());
    let mut mapper = Mapper::new(plan, spill);
    let mut records = RecordBatch::default();
    while tried.rows < rows_max {
        let Some(batch) = rows.next().await.map_err(|error| Failure::of(Exit::Source, &error))? else { break };
        records.clear();
        mapper.apply(&batch, &mut records).map_err(|error| Failure::of(Exit::Ledger, &error))?;
        tried.rows += records.rows;
        tried.rejected += records.rejects.len() as u64;
        let room = 20_usize.saturating_sub(tried.samples.len());
        tried.samples.extend(records.rejects.drain(..).take(room));
    }
    Ok(tried)
}

/// `file:line: example 3: planId is …`.
fn what_failed(mapping: &MappingFile, outcome: &ExampleOutcome) -> String {
    format!("{}:{}: example {}: {}", mapping.name(), outcome.line, outcome.number, outcome.differences.join("; "))
}

/// By its own keys: only a pipeline has `[[step]]`, only a mapping an `entity`.
fn is_pipeline(text: &str) -> bool {
    let starts = |word: &str| text.lines().any(|line| line.trim_start().starts_with(word));
    starts("[[step]]") || (starts("[target]") && !starts("entity"))
}
