//! `bulk`: the files of the vendor's bulk-import tool, under its own flags.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::import::{self, How};
use super::report_html::Destination;
use super::setup::{self, Work};
use crate::config;
use crate::mapping::{self, MappingFile};
use crate::pipeline::{SourceSpec, StepSpec};
use crate::source::{Input, JsonOptions};

/// A mapping that is in the program: its name in messages and rejects files, and its text.
struct Shipped {
    name: &'static str,
    text: &'static str,
}

/// Ships the mapping `mappings/bulk/FILE`.
macro_rules! shipped {
    ($file:literal) => {
        Shipped { name: concat!("bulk:", $file), text: include_str!(concat!("../../mappings/bulk/", $file)) }
    };
}

const CUSTOMERS: Shipped = shipped!("customers.toml");
const SUBSCRIPTIONS: Shipped = shipped!("subscriptions.toml");
const USAGE: Shipped = shipped!("usage.toml");
const INPUT_CUSTOMERS: Shipped = shipped!("input-0.0.9-customers.toml");
const INPUT_SUBSCRIPTIONS: Shipped = shipped!("input-0.0.9-subscriptions.toml");
const INPUT_USAGE: Shipped = shipped!("input-0.0.9-usage.toml");

const ALL: [Shipped; 6] = [CUSTOMERS, SUBSCRIPTIONS, USAGE, INPUT_CUSTOMERS, INPUT_SUBSCRIPTIONS, INPUT_USAGE];

/// The tool's flags.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// customers.json, an object with the array `customers`
    #[arg(long, value_name = "FILE")]
    pub customers_file: Vec<String>,

    /// free-subscriptions.json, custom-subscriptions.json or subscriptions.json, an object with the array
    /// `subscriptions`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub subscriptions_file: Vec<String>,

    /// usage.json, an object with the array `usages`
    #[arg(long, value_name = "FILE")]
    pub usage_file: Vec<String>,

    /// input.json of version 0.0.9: customers, each with its subscription and its usage
    #[arg(long, value_name = "FILE", conflicts_with_all = ["customers_file", "subscriptions_file", "usage_file"])]
    pub input_file: Vec<String>,
}

/// Imports and reports, as `run` does.
pub(super) async fn main(args: args::Bulk, talk: &Talk) -> Result<Exit, Failure> {
    let work = args.files.work()?;
    let wanted = import::Wanted {
        command: "bulk",
        max_rejects: args.max_rejects.as_deref(),
        how: How::of(false, args.resend),
        target: &args.target,
        ledger: &args.ledger.ledger,
        destination: Destination::of(&args.report)?,
    };
    import::deliver(work, wanted, talk).await
}

impl Files {
    fn work(&self) -> Result<Work, Failure> {
        let parts: Vec<(Shipped, &[String], &str, Option<&str>)> = vec![
            (CUSTOMERS, &self.customers_file, "customers", None),
            (SUBSCRIPTIONS, &self.subscriptions_file, "subscriptions", None),
            (USAGE, &self.usage_file, "usages", None),
            (INPUT_CUSTOMERS, &self.input_file, "customers", None),
            (INPUT_SUBSCRIPTIONS, &self.input_file, "customers", None),
            (INPUT_USAGE, &self.input_file, "customers", Some("featuresUsage")),
        ];
        let mut steps = Vec::new();
        for (shipped, files, array, each) in parts {
            if !files.is_empty() {
                steps.push(shipped.step(files, array, each)?);
            }
        }
        if steps.is_empty() {
            return Err(Failure::new(Exit::Arguments, "there is no file to import")
                .hint("stigg-import bulk --customers-file F --subscriptions-file F --usage-file F, any of them"));
        }
        self.one_reads_stdin()?;
        Ok(Work {
            steps,
            identity: "bulk".to_owned(),
            arguments: json!({ "bulk": self.arguments() }),
            ..Work::default()
        })
    }

    fn one_reads_stdin(&self) -> Result<(), Failure> {
        let is_stdin = |file: &&String| file.as_str() == "-";
        if self.input_file.iter().any(|file| is_stdin(&file)) {
            return Err(Failure::new(
                Exit::Arguments,
                "--input-file is read three times, and standard input only once",
            )
            .hint("write it into a file"));
        }
        let files = self.customers_file.iter().chain(&self.subscriptions_file).chain(&self.usage_file);
        if files.filter(is_stdin).count() > 1 {
            return Err(Failure::new(Exit::Arguments, "only one file can be standard input"));
        }
        Ok(())
    }

    fn arguments(&self) -> Value {
        let absolute = |files: &[String]| -> Vec<Value> {
            let absolute = |file: &String| match file.as_str() {
                "-" => json!(file),
                _ => json!(setup::absolute(Path::new(file))),
            };
            files.iter().map(absolute).collect()
        };
        json!({
            "customers_file": absolute(&self.customers_file),
            "subscriptions_file": absolute(&self.subscriptions_file),
            "usage_file": absolute(&self.usage_file),
            "input_file": absolute(&self.input_file),
        })
    }
}

impl Shipped {
    fn mapping(&self) -> Result<Arc<MappingFile>, Failure> {
        let parsed = mapping::parse(self.name, self.text, Path::new(""));
        // A test of each mapping that ships has seen that it holds.
        parsed.map(Arc::new).map_err(|problems| Failure::of(Exit::Bug, &problems))
    }

    fn step(&self, files: &[String], array: &str, each: Option<&str>) -> Result<StepSpec, Failure> {
        let mapping = self.mapping()?;
        let inputs: Vec<Input> = files.iter().map(|file| config::input_of(file)).collect();
        let options =
            JsonOptions { array: Some(array.to_owned()), each: each.map(str::to_owned), ..JsonOptions::default() };
        let name = setup::step_name(mapping.schema());
        Ok(StepSpec { name, mapping, source: SourceSpec::Json { inputs, options } })
    }
}

/// The mapping that a rejects file names: one of ours, or a file.
pub(super) fn mapping_named(name: &str) -> Result<Arc<MappingFile>, Failure> {
    match ALL.iter().find(|shipped| shipped.name == name) {
        Some(shipped) => shipped.mapping(),
        None => mapping::load(Path::new(name)).map(Arc::new).map_err(|error| setup::mapping_failure(&error)),
    }
}
