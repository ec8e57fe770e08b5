//! A mapping's examples: its unit tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::SystemClock;
use crate::record::{RecordBatch, RowBatch};

use super::aggregate::SpillSettings;
use super::compile::compile;
use super::file::MappingFile;
use super::mapper::Mapper;
use super::spec::{ExampleSpec, Expect};

/// What came of one `[[example]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleOutcome {
    /// Its number in the file, from 1.
    pub number: usize,
    /// The line on which it starts, from 1.
    pub line: usize,
    /// What is not as it promises, one clause each. Empty: it passes.
    pub differences: Vec<String>,
}

impl ExampleOutcome {
    /// Whether it holds.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs all examples. Columns that a row leaves out are empty.
pub fn run_examples(file: &MappingFile) -> Vec<ExampleOutcome> {
    file.examples
        .iter()
        .enumerate()
        .map(|(index, example)| ExampleOutcome {
            number: index + 1,
            line: file.problem(example.span.clone(), "").line,
            differences: differences(file, example),
        })
        .collect()
}

fn differences(file: &MappingFile, example: &ExampleSpec) -> Vec<String> {
    let mut names: BTreeSet<String> = file.columns_used().into_iter().map(|column| column.name).collect();
    names.extend(example.rows.iter().flatten().map(|(column, _)| column.clone()));
    let columns: Arc<[Box<str>]> = names.into_iter().map(String::into_boxed_str).collect();
    let plan = match compile(file, &columns, &SystemClock) {
        Ok(plan) => Arc::new(plan),
        Err(problems) => return problems.0.into_iter().map(|problem| problem.message).collect(),
    };
    let mut rows = RowBatch::new("example".into(), columns.clone());
    for (row, number) in example.rows.iter().zip(1..) {
        let cell = |column: &str| row.iter().find(|(name, _)| name == column).map_or("", |(_, text)| text);
        rows.push(number, number + 1, columns.iter().map(|column| Some(cell(column))));
    }
    let mut out = RecordBatch::default();
    // An example is far below any budget: the folder is never used.
    let mut mapper = Mapper::new(plan, SpillSettings::in_dir(&std::env::temp_dir()));
    let mapped = mapper.apply(&Arc::new(rows), &mut out).and_then(|()| {
        while mapper.finish(&mut out)? {}
        Ok(())
    });
    match mapped {
        Ok(()) => compare(&example.expect, &out),
        Err(error) => vec![error.to_string()],
    }
}

fn compare(expect: &Expect, out: &RecordBatch) -> Vec<String> {
    let found = || {
        let rejects = out
            .rejects
            .iter()
            .map(|reject| format!("a reject ({}: {})", reject.field.as_deref().unwrap_or("the row"), reject.reason));
        let records = out.records.iter().map(|record| String::from_utf8_lossy(out.json_of(record)).into_owned());
        let filtered = (out.filtered > 0).then(|| format!("{} filtered", out.filtered));
        let all: Vec<String> = records.chain(rejects).chain(filtered).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    };
    match expect {
        Expect::Gives(records) => {
            if records.len() != out.records.len() {
                return vec![format!("gives {} records instead of {}: {}", out.records.len(), records.len(), found())];
            }
            let mut differences = Vec::new();
            for (index, (expected, record)) in records.iter().zip(&out.records).enumerate() {
                let path = if records.len() == 1 { String::new() } else { format!("record {}: ", index + 1) };
                match serde_json::from_slice(out.json_of(record)) {
                    Ok(given) => differ(&path, expected, &given, &mut differences),
                    Err(error) => differences.push(format!("{path}is not JSON: {error}")),
                }
            }
            differences
        }
        Expect::Rejects(what) => {
            let rejected =
                out.rejects.iter().any(|reject| reject.field.as_ref() == Some(what) || reject.reason == *what);
            if rejected && out.records.is_empty() {
                Vec::new()
            } else {
                vec![format!("gives {} instead of a reject for `{what}`", found())]
            }
        }
        Expect::Filtered => {
            if out.filtered > 0 && out.records.is_empty() && out.rejects.is_empty() {
                Vec::new()
            } else {
                vec![format!("gives {} instead of being filtered", found())]
            }
        }
    }
}

/// What an example names has to be there; what it doesn't name may be. Lists are compared whole.
fn differ(path: &str, expected: &Value, given: &Value, differences: &mut Vec<String>) {
    match (expected, given) {
        (Value::Object(expected), Value::Object(given)) => {
            for (key, expected) in expected {
                let separator = if path.is_empty() || path.ends_with(' ') { "" } else { "." };
                let path = format!("{path}{separator}{key}");
                match given.get(key) {
                    Some(given) => differ(&path, expected, given, differences),
                    None => differences.push(format!("{path} is absent instead of {expected}")),
                }
            }
        }
        (Value::Array(expected), Value::Array(given)) if expected.len() == given.len() => {
            for (index, (expected, given)) in expected.iter().zip(given).enumerate() {
                differ(&format!("{path}[{index}]"), expected, given, differences);
            }
        }
        (Value::Number(expected), Value::Number(given)) if expected.as_f64() == given.as_f64() => {}
        _ if expected == given => {}
        _ => differences.push(format!("{path} is {given} instead of {expected}")),
    }
}
