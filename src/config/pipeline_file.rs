//! Reading a pipeline file.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::notify::NotifyWritten;
use super::source;
use crate::document::{Document, Named, Span};
use crate::mapping::{self, LoadError, MappingFile};
use crate::pipeline::{MaxRejects, SourceSpec, StepSpec};
use crate::problem::{Problem, Problems};
use crate::sink::Operation;
use crate::source::Input;

/// Most bytes of a pipeline file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a pipeline file gives no pipeline. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read {file}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was read and doesn't hold, or one of its mappings doesn't.
    #[error("{0}")]
    Problems(#[from] Problems),
}

/// A pipeline as it was written; its mappings are read and hold.
#[derive(Debug)]
pub struct PipelineFile {
    /// The target's address; none: the public API.
    pub target: Option<String>,
    /// Rates that replace the published ones: requests a minute.
    pub limits: Vec<(Operation, u32)>,
    /// When to give up on a source.
    pub max_rejects: Option<MaxRejects>,
    /// Whom to tell how scheduled runs go.
    pub notify: Option<NotifyWritten>,
    /// The steps, in order. Never empty.
    pub steps: Vec<StepSpec>,
}

/// Reads and checks a pipeline file and its mappings. Paths in it count from its own folder.
///
/// # Errors
///
/// [`ConfigError`]: the file can't be read, or all problems of it and its mappings.
pub fn load(path: &Path) -> Result<PipelineFile, ConfigError> {
    let file = path.display().to_string();
    let io = |source| ConfigError::Io { file: file.clone(), source };
    if std::fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
        let reason = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    Ok(parse(&file, &text, path.parent().unwrap_or(Path::new("")))?)
}

/// Checks a pipeline's text.
///
/// # Errors
///
/// Every problem of it and of its mappings.
pub fn parse(name: &str, text: &str, base_dir: &Path) -> Result<PipelineFile, Problems> {
    let mut reader = Reader { document: Document::new(name, text), base_dir, mappings: Vec::new() };
    let file = reader.document.parse().map(|top| reader.pipeline(&top));
    let Reader { document, mappings, .. } = reader;
    match file {
        Some(file) if document.holds() && mappings.is_empty() => Ok(file),
        _ => {
            let mut problems = document.into_problems();
            problems.0.extend(mappings);
            Err(problems)
        }
    }
}

struct Reader<'t> {
    document: Document<'t>,
    base_dir: &'t Path,
    /// Problems of the mappings, which are files of their own.
    mappings: Vec<Problem>,
}

impl Reader<'_> {
    fn pipeline(&mut self, top: &DeTable<'_>) -> PipelineFile {
        self.document.known_keys(top, &["$schema", "target", "limits", "max_rejects", "notify", "step"], "a pipeline");
        let target = self.document.table(top, "target").and_then(|target| {
            for secret in ["key", "api_key", "token"] {
                if let Some((key, _)) = target.get_key_value(secret) {
                    let hint = "put the key into the environment variable STIGG_API_KEY";
                    self.document.secret(key.span(), "keys do not belong into a file that is shared", hint);
                }
            }
            self.document.known_keys(target, &["url", "key", "api_key", "token"], "`[target]`");
            self.document.string(target, "url")
        });
        let limits = self.limits(top);
        let max_rejects = bound_on_rejects(&mut self.document, top, "max_rejects");
        let notify = NotifyWritten::read(&mut self.document, top);
        let steps = self.steps(top);
        PipelineFile { target: target.map(|url| url.text), limits, max_rejects, notify, steps }
    }

    fn limits(&mut self, top: &DeTable<'_>) -> Vec<(Operation, u32)> {
        let Some(table) = self.document.table(top, "limits") else { return Vec::new() };
        let names: Vec<&str> = Operation::ALL.iter().map(|operation| operation.root_field()).collect();
        let mut limits = Vec::new();
        let keys: Vec<(String, Span)> = table.keys().map(|key| (key.get_ref().to_string(), key.span())).collect();
        for (key, span) in keys {
            let Some(operation) = Operation::ALL.into_iter().find(|operation| operation.root_field() == key) else {
                self.document.known_keys(table, &names, "`[limits]`");
                continue;
            };
            match self.document.integer(table, &key).map(u32::try_from) {
                Some(Ok(per_minute)) if per_minute > 0 => limits.push((operation, per_minute)),
                Some(_) => self.document.problem(span, "a limit is a number of requests a minute, from 1"),
                None => {}
            }
        }
        limits
    }

    fn steps(&mut self, top: &DeTable<'_>) -> Vec<StepSpec> {
        let tables = self.document.tables(top, "step");
        if tables.is_empty() && !top.contains_key("step") {
            let hint = "add a [[step]] with `name`, `mapping` and `source`";
            self.document.hinted(0..0, "a pipeline needs a step", hint);
        }
        let mut names = BTreeSet::new();
        let mut steps = Vec::new();
        for (table, span) in tables {
            self.document.known_keys(table, &["name", "mapping", "source"], "a step");
            let name = self.needed(table, "name", &span);
            if let Some(name) = &name {
                let fits = !name.text.is_empty()
                    && name.text.len() <= 64
                    && name.text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
                if !fits {
                    let message = "a step's name is 1 to 64 letters, digits, _ and -";
                    self.document.problem(name.span.clone(), message);
                }
                if !names.insert(name.text.clone()) {
                    self.document.problem(name.span.clone(), format!("there are two steps `{}`", name.text));
                }
            }
            let mapping = self.needed(table, "mapping", &span).and_then(|mapping| self.mapping(&mapping));
            let source = source::read(&mut self.document, self.base_dir, table, &span, mapping.as_deref());
            if let (Some(name), Some(mapping), Some(source)) = (name, mapping, source) {
                steps.push(StepSpec { name: name.text, mapping, source });
            }
        }
        let stdins = steps.iter().filter(|step| reads_stdin(&step.source)).count();
        if stdins > 1 {
            self.document.problem(0..0, "only one step can read standard input");
        }
        steps
    }

    fn needed(&mut self, table: &DeTable<'_>, key: &str, span: &Span) -> Option<Named> {
        if !table.contains_key(key) {
            self.document.problem(span.clone(), format!("the step has no `{key}`"));
        }
        self.document.string(table, key)
    }

    fn mapping(&mut self, mapping: &Named) -> Option<Arc<MappingFile>> {
        match mapping::load(&self.base_dir.join(&mapping.text)) {
            Ok(file) => Some(Arc::new(file)),
            Err(LoadError::Problems(problems)) => {
                self.mappings.extend(problems.0);
                None
            }
            Err(LoadError::Io { file, source }) => {
                self.document.problem(mapping.span.clone(), format!("can't read {file}: {source}"));
                None
            }
        }
    }
}

/// A bound on rejects: a number, or a text with a number or a share.
pub(super) fn bound_on_rejects(document: &mut Document<'_>, table: &DeTable<'_>, key: &str) -> Option<MaxRejects> {
    let item = table.get(key)?;
    let text = match item.get_ref().as_str() {
        Some(text) => text.to_owned(),
        None => document.integer(table, key)?.to_string(),
    };
    text.parse().map_err(|error: crate::pipeline::NoBound| document.problem(item.span(), error.to_string())).ok()
}

fn reads_stdin(source: &SourceSpec) -> bool {
    match source {
        SourceSpec::Csv { inputs, .. } | SourceSpec::Json { inputs, .. } => {
            inputs.iter().any(|input| matches!(input, Input::Stdin))
        }
        SourceSpec::Sql { .. } | SourceSpec::Stripe(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        parse("pipeline.toml", text, Path::new("mappings")).expect_err("it does not hold").to_string()
    }

    #[test]
    fn a_pipeline_that_holds_gives_its_steps_in_order() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = r#"
            max_rejects = "5 %"
            [target]
            url = "http://127.0.0.1:8080/graphql"
            [limits]
            reportUsageBulk = 1200
            [[step]]
            name = "customers"
            mapping = "mappings/stripe/customers.toml"
            source = { csv = ["a.csv", "exports/*.csv.gz"], delimiter = ";", encoding = "utf-8" }
            [[step]]
            name = "usage"
            mapping = "mappings/stripe/usage.toml"
            source = { csv = "-" }
        "#;
        let file = parse("pipeline.toml", text, root).expect("it holds");
        assert_eq!(file.target.as_deref(), Some("http://127.0.0.1:8080/graphql"));
        assert_eq!(file.limits, [(Operation::ReportUsage, 1200)]);
        assert_eq!(file.max_rejects, Some(MaxRejects::Share(0.05)));
        let names: Vec<&str> = file.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["customers", "usage"]);
        let SourceSpec::Csv { inputs, options } = &file.steps[0].source else { panic!("the first step reads CSV") };
        assert_eq!(options.delimiter, Some(b';'));
        assert_eq!(inputs[0], Input::Path(root.join("a.csv")), "paths count from the pipeline's folder");
        assert!(matches!(&inputs[1], Input::Glob(pattern) if pattern.ends_with("exports/*.csv.gz")));
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_places() {
        let text = "[target]\nurl = 1\nkey = \"server-secret\"\n[limits]\nreportUsage = 5\n[[step]]\nname = \"a b\"\nmaping = \"x.toml\"\nsource = { csvs = \"a\" }\n";
        let told = problems(text);
        assert!(!told.contains("server-secret"), "{told}");
        for part in [
            "pipeline.toml:2:7: `url` is a text, not a number",
            "pipeline.toml:3:1: keys do not belong into a file that is shared",
            "pipeline.toml:5:1: `[limits]` has no key `reportUsage`",
            "did you mean `reportUsageBulk`?",
            "pipeline.toml:7:8: a step's name is",
            "pipeline.toml:8:1: a step has no key `maping`",
            "did you mean `mapping`?",
            "the step has no `mapping`",
            "a source has no key `csvs`",
        ] {
            assert!(told.contains(part), "`{part}` is missing in\n{told}");
        }
    }

    #[test]
    fn a_pipeline_without_steps_and_one_with_two_readers_of_standard_input_do_not_hold() {
        assert!(problems("").contains("a pipeline needs a step"));
        let step = |name: &str| {
            format!(
                "[[step]]\nname = \"{name}\"\nmapping = \"../mappings/stripe/customers.toml\"\nsource = {{ csv = \"-\" }}\n"
            )
        };
        let told = parse("p.toml", &(step("a") + &step("b")), &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
            .expect_err("it does not hold")
            .to_string();
        assert!(told.contains("only one step can read standard input"), "{told}");
        let told = problems(&(step("a") + &step("a")));
        assert!(told.contains("there are two steps `a`"), "{told}");
    }
}
