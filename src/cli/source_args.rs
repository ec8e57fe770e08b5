//! A mapping and a source as they are written on the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, Args};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::setup;
use crate::config::{self, SqlFault, SqlWritten, StripeFault, StripeWritten};
use crate::mapping::{self, MappingFile};
use crate::pipeline::{SourceSpec, StepSpec};
use crate::source::{JsonOptions, OpenProblem, SourceError};

/// What a `--json` means: how the program talks, or a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// It was not said.
    No,
    /// Print one JSON object.
    Print,
    /// Read this file, pattern, or `-`.
    Source(String),
}

impl Json {
    /// Of the commands that have no source, where it is a switch.
    #[expect(clippy::unnecessary_wraps, reason = "the parser's form")]
    pub(super) fn of_switch(text: &str) -> Result<Self, String> {
        Ok(if text == "false" { Self::No } else { Self::Print })
    }

    #[expect(clippy::unnecessary_wraps, reason = "the parser's form")]
    pub(super) fn of_value(text: &str) -> Result<Self, String> {
        Ok(if text.is_empty() { Self::Print } else { Self::Source(text.to_owned()) })
    }
}

/// One mapping, and the data that goes through it.
#[derive(Debug, Clone, Default, Args)]
pub struct MappedSource {
    /// The mapping file
    #[arg(long, short, value_name = "FILE")]
    pub mapping: Option<PathBuf>,

    /// A CSV file, a pattern ('exports/*.csv.gz'), or - for standard input; may be repeated
    #[arg(long, value_name = "FILE", requires = "mapping")]
    pub csv: Vec<String>,

    /// The CSV's delimiter, where it is not found out by itself: , ; | or tab
    #[arg(long, value_name = "CHAR", requires = "csv")]
    pub delimiter: Option<String>,

    /// The CSV's quote character, or none
    #[arg(long, value_name = "CHAR", requires = "csv")]
    pub quote: Option<String>,

    /// The encoding of CSV or JSON, where it is not found out by itself: utf-8, utf-16le, windows-1252, …
    #[arg(long, value_name = "LABEL", requires = "mapping")]
    pub encoding: Option<String>,

    /// Without FILE: print one JSON object to standard output instead of text. With FILE: read JSON from a file, a
    /// pattern, or - for standard input. May be repeated
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", action = ArgAction::Append,
        value_parser = Json::of_value)]
    pub json: Vec<Json>,

    /// The array that holds the JSON's records, where there are several: customers, data.customers
    #[arg(long, value_name = "NAME", requires = "json")]
    pub array: Option<String>,

    /// An object or array in each JSON record, to make a row of each of its entries (columns _key and _value)
    #[arg(long, value_name = "NAME", requires = "json")]
    pub each: Option<String>,

    /// A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program puts variables in
    #[arg(long, value_name = "URL", requires = "mapping")]
    pub postgres: Option<String>,

    /// A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes
    #[arg(long, value_name = "URL", requires = "mapping")]
    pub mysql: Option<String>,

    /// A SQLite database's file
    #[arg(long, value_name = "FILE", requires = "mapping")]
    pub sqlite: Option<String>,

    /// A list of Stripe's API: subscriptions or customers; the key is read from STRIPE_API_KEY
    // Not an enum of clap's: its message would show a key that was written here.
    #[arg(long, value_name = "LIST", requires = "mapping", hide_possible_values = true)]
    pub stripe: Option<String>,

    /// Where Stripe's API is [default: https://api.stripe.com]
    #[arg(long, value_name = "URL", requires = "stripe")]
    pub stripe_url: Option<String>,

    /// The query whose rows are read from the database
    // One from a file may begin with a comment, which looks like an option.
    #[arg(long, value_name = "SQL", conflicts_with = "table", allow_hyphen_values = true)]
    pub query: Option<String>,

    /// The table whose rows are read from the database
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,

    /// A unique column of the query or table, so that rows are read in pages by it
    #[arg(long, value_name = "COLUMN")]
    pub key: Option<String>,

    /// The column that says when a row has changed, so that later runs read only changes
    #[arg(long, value_name = "COLUMN")]
    pub changed: Option<String>,

    /// How far before the last mark changes are read again: seconds, or the column's own unit [default: 60]
    // Signed, so that one below 0 is told as in a pipeline file.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub changed_margin: Option<i64>,
}

/// The one source that is named.
enum Named<'a> {
    Csv,
    Json(Vec<&'a str>),
    Sql { kind: &'static str, url: &'a str },
    Stripe { list: &'a str },
}

impl MappedSource {
    /// Whether the data comes from standard input, so that nobody can be asked there.
    pub(super) fn reads_stdin(&self) -> bool {
        self.csv.iter().any(|file| file == "-") || self.json_files().contains(&"-")
    }

    /// The step that is meant, and its words for the ledger; none where no mapping is named.
    pub(super) fn step(&self, command: &str) -> Result<Option<(StepSpec, Value)>, Failure> {
        let files = self.json_files();
        if let Some(file) = files.iter().find(|file| Path::new(file).extension().is_some_and(|end| end == "toml")) {
            return Err(Failure::new(Exit::Arguments, format!("`--json {file}` would read it as a JSON source"))
                .hint(format!("stigg-import {command} {file} --json")));
        }
        let Some(path) = &self.mapping else {
            return match (files.first(), self.stray()) {
                (Some(file), _) => {
                    Err(Failure::new(Exit::Arguments, format!("`--json {file}` is a source, and there is no mapping"))
                        .hint(format!("stigg-import {command} --mapping M --json {file}")))
                }
                (None, Some(word)) => Err(Failure::new(Exit::Arguments, format!("--{word} goes with --mapping"))
                    .hint("say it in the pipeline file, for each step")),
                (None, None) => Ok(None),
            };
        };
        let named = self.named(files, command)?;
        let mapping = Arc::new(mapping::load(path).map_err(|error| setup::mapping_failure(&error))?);
        let arguments = json!({ "mapping": setup::absolute(path), "source": self.arguments(&named) });
        let source = match named {
            Named::Csv => self.csv(&mapping)?,
            Named::Json(files) => SourceSpec::Json {
                inputs: files.into_iter().map(config::input_of).collect(),
                options: JsonOptions {
                    array: self.array.clone(),
                    each: self.each.clone(),
                    encoding: self.encoding.clone(),
                    ..JsonOptions::default()
                },
            },
            Named::Sql { kind, url } => self.sql(kind, url, &mapping)?,
            Named::Stripe { list } => self.stripe(list)?,
        };
        Ok(Some((StepSpec { name: setup::step_name(mapping.schema()), mapping, source }, arguments)))
    }

    fn json_files(&self) -> Vec<&str> {
        let files = self.json.iter().filter_map(|json| match json {
            Json::Source(file) => Some(file.as_str()),
            Json::No | Json::Print => None,
        });
        files.collect()
    }

    /// A word that needs a source which is not there.
    fn stray(&self) -> Option<&'static str> {
        self.sql_word().or_else(|| self.json_word())
    }

    fn sql_word(&self) -> Option<&'static str> {
        let words = [("query", &self.query), ("table", &self.table), ("key", &self.key), ("changed", &self.changed)];
        let word = words.into_iter().find_map(|(word, value)| value.is_some().then_some(word));
        word.or_else(|| self.changed_margin.is_some().then_some("changed-margin"))
    }

    fn json_word(&self) -> Option<&'static str> {
        let words = [("array", &self.array), ("each", &self.each)];
        words.into_iter().find_map(|(word, value)| value.is_some().then_some(word))
    }

    fn named<'a>(&'a self, files: Vec<&'a str>, command: &str) -> Result<Named<'a>, Failure> {
        let mut named = Vec::new();
        if !self.csv.is_empty() {
            named.push(("csv", Named::Csv));
        }
        if !files.is_empty() {
            named.push(("json", Named::Json(files)));
        }
        for (kind, url) in [("postgres", &self.postgres), ("mysql", &self.mysql), ("sqlite", &self.sqlite)] {
            if let Some(url) = url {
                named.push((kind, Named::Sql { kind, url }));
            }
        }
        if let Some(list) = &self.stripe {
            named.push(("stripe", Named::Stripe { list }));
        }
        if named.len() > 1 {
            let words: Vec<String> = named.iter().map(|(word, _)| format!("--{word}")).collect();
            let message = format!("{} are different sources, and a mapping has one", words.join(" and "));
            return Err(Failure::new(Exit::Arguments, message)
                .hint("run them one after the other, or as the steps of a pipeline file"));
        }
        let Some((word, named)) = named.pop() else {
            return Err(Failure::new(Exit::Arguments, "there is a mapping, and no source").hint(format!(
                "stigg-import {command} --mapping M with --csv F, --json F, --stripe LIST, or --postgres, --mysql or \
                 --sqlite and --query or --table"
            )));
        };
        let astray = match &named {
            Named::Csv => self.stray(),
            Named::Json(_) => self.sql_word(),
            Named::Stripe { .. } => self.stray().or_else(|| self.encoding.is_some().then_some("encoding")),
            Named::Sql { .. } => self.json_word().or_else(|| self.encoding.is_some().then_some("encoding")),
        };
        match astray {
            Some(astray) => Err(Failure::new(Exit::Arguments, format!("--{astray} does not go with --{word}"))
                .hint(format!("stigg-import {command} --help says what goes with what"))),
            None => Ok(named),
        }
    }

    fn csv(&self, mapping: &MappingFile) -> Result<SourceSpec, Failure> {
        let mut options = config::csv_options(mapping);
        if let Some(text) = &self.delimiter {
            options.delimiter = Some(delimiter_of(text)?);
        }
        if let Some(text) = &self.quote {
            options.quote = config::quote_of(text).ok_or_else(|| {
                Failure::new(Exit::Arguments, format!("`{text}` is no quote character"))
                    .hint("one ASCII character, or none")
            })?;
        }
        if self.encoding.is_some() {
            options.encoding.clone_from(&self.encoding);
        }
        let inputs = self.csv.iter().map(|text| config::input_of(text)).collect();
        Ok(SourceSpec::Csv { inputs, options })
    }

    fn sql(&self, kind: &'static str, url: &str, mapping: &MappingFile) -> Result<SourceSpec, Failure> {
        let written = SqlWritten {
            kind,
            url,
            query: self.query.as_deref(),
            table: self.table.as_deref(),
            key: self.key.as_deref(),
            changed: self.changed.as_deref(),
            changed_margin: self.changed_margin,
        };
        written.read(Path::new(""), Some(mapping)).map_err(|fault| {
            let (message, hint) = match &fault {
                SqlFault::NoVariable(_) => {
                    (fault.to_string(), "export it; in single quotes the program puts it into the address".to_owned())
                }
                SqlFault::Password => (
                    format!("the address of --{kind} holds a password, which others can see in the list of processes"),
                    format!("put it into a variable and write '{kind}://me:${{DB_PASSWORD}}@host/db' in single quotes"),
                ),
                SqlFault::NoQuery | SqlFault::TwoQueries => {
                    (fault.to_string(), format!("--{kind} goes with one of --query 'select …' and --table NAME"))
                }
                SqlFault::ChangedJoinsRows => {
                    (fault.to_string(), "leave --changed out; unchanged records are not sent anyway".to_owned())
                }
                SqlFault::MarginAlone => (fault.to_string(), "--changed-margin goes with --changed COLUMN".to_owned()),
                SqlFault::MarginNegative => {
                    (fault.to_string(), "--changed-margin is a number of seconds, 0 or more".to_owned())
                }
            };
            Failure::new(Exit::Arguments, message).hint(hint)
        })
    }

    fn stripe(&self, list: &str) -> Result<SourceSpec, Failure> {
        StripeWritten { list, url: self.stripe_url.as_deref() }.read().map_err(|fault| {
            let (exit, hint) = match &fault {
                StripeFault::KeyWritten => (
                    Exit::Arguments,
                    "put it into STRIPE_API_KEY and say --stripe subscriptions; others can see arguments",
                ),
                StripeFault::KeyInUrl => (Exit::Arguments, "put the key into STRIPE_API_KEY"),
                StripeFault::NoSuchList => (Exit::Arguments, "say --stripe subscriptions or --stripe customers"),
                StripeFault::Url(_) => (Exit::Arguments, "leave --stripe-url out for Stripe itself"),
                StripeFault::Key(_) => {
                    (Exit::Credentials, "put a secret or restricted key into STRIPE_API_KEY; nothing was sent")
                }
            };
            Failure::new(exit, fault.to_string()).hint(hint)
        })
    }

    /// As a pipeline file would say it, the address as it was written.
    fn arguments(&self, named: &Named<'_>) -> Value {
        let mut source = match named {
            Named::Csv => json!({ "csv": self.csv, "delimiter": self.delimiter, "quote": self.quote,
                "encoding": self.encoding }),
            Named::Json(files) => {
                json!({ "json": files, "array": self.array, "each": self.each, "encoding": self.encoding })
            }
            // What is written here was found to be a list's name.
            Named::Stripe { list } => json!({ "stripe": list, "url": self.stripe_url }),
            Named::Sql { kind, url } => json!({ *kind: url, "query": self.query, "table": self.table, "key": self.key,
                "changed": self.changed, "changed_margin": self.changed_margin }),
        };
        if let Some(source) = source.as_object_mut() {
            source.retain(|_, value| !value.is_null());
        }
        source
    }
}

fn delimiter_of(text: &str) -> Result<u8, Failure> {
    match text {
        "tab" | "\\t" | "\t" => Ok(b'\t'),
        _ => {
            match text.as_bytes() {
                [byte] if byte.is_ascii() => Ok(*byte),
                _ => Err(Failure::new(Exit::Arguments, format!("`{text}` is no delimiter"))
                    .hint("one ASCII character, or tab")),
            }
        }
    }
}

/// How to say which part of a JSON file holds the records, where that is what is wrong.
pub(super) fn array_hint(error: &SourceError) -> Option<String> {
    let SourceError::Open { problem, .. } = error else { return None };
    match problem {
        OpenProblem::Arrays(arrays) => {
            let first = arrays.first().map_or("NAME", String::as_str);
            Some(format!("say which one with --array {first} (in a pipeline file: array = \"{first}\")"))
        }
        OpenProblem::RecordOrArray(array) => {
            Some(format!("if the records are in it, say --array {array} (in a pipeline file: array = \"{array}\")"))
        }
        _ => None,
    }
}
