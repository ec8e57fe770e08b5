//! What a draft is made from: as it is written on the command line, opened, and as a step of a pipeline file.

use std::fmt::Write as _;
use std::path::Path;

use clap::{ArgAction, Args};

use super::super::exit::{Exit, Failure};
use super::super::source_args::Json;
use super::cant_write;
use crate::config::{self, SqlWritten};
use crate::draft::{self, JsonSample, Sample};
use crate::pipeline::SourceSpec;
use crate::source::{self, CsvOptions, EACH_KEY, EACH_VALUE, JsonOptions, Rows, SourceError, WHOLE_ROW, Written};

/// One source: a file, a pattern, or a database.
#[derive(Debug, Clone, Args)]
pub struct DraftSource {
    /// A CSV file or a pattern ('exports/*.csv.gz')
    #[arg(long, value_name = "FILE", conflicts_with_all = ["postgres", "mysql", "sqlite", "query", "table"])]
    csv: Option<String>,

    /// Without FILE: print one JSON object to standard output instead of text. With FILE: a JSON file or a pattern: an
    /// array, an object with one, or records on lines
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", action = ArgAction::Append,
        value_parser = Json::of_value)]
    json: Vec<Json>,

    /// The array that holds the JSON's records, where there are several: customers, data.customers
    #[arg(long, value_name = "NAME", requires = "json")]
    array: Option<String>,

    /// An object or array in each JSON record, to make a row of each of its entries (columns _key and _value)
    #[arg(long, value_name = "NAME", requires = "json")]
    each: Option<String>,

    /// A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program puts variables in
    #[arg(long, value_name = "URL", conflicts_with_all = ["mysql", "sqlite"])]
    postgres: Option<String>,

    /// A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes
    #[arg(long, value_name = "URL", conflicts_with = "sqlite")]
    mysql: Option<String>,

    /// A SQLite database's file
    #[arg(long, value_name = "FILE")]
    sqlite: Option<String>,

    /// The query whose rows are read from the database
    #[arg(long, value_name = "SQL", conflicts_with = "table", allow_hyphen_values = true)]
    query: Option<String>,

    /// The table whose rows are read from the database
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

/// A source that a draft can be made from.
pub(super) struct Opening {
    spec: SourceSpec,
    /// The `source` of a pipeline's step, but for a JSON array that is found.
    written: String,
    words: String,
}

/// What was looked at.
pub(super) struct Looked {
    pub(super) sample: Sample,
    /// The array of an object that holds the JSON's records, where it was found and not said.
    array: Option<String>,
}

impl DraftSource {
    /// The source as words of the command line.
    fn words(&self) -> String {
        let json = self.json.iter().find_map(|json| match json {
            Json::Source(file) => Some(file),
            Json::No | Json::Print => None,
        });
        let words = [
            ("csv", self.csv.as_ref()),
            ("json", json),
            ("array", self.array.as_ref()),
            ("each", self.each.as_ref()),
            ("postgres", self.postgres.as_ref()),
            ("mysql", self.mysql.as_ref()),
            ("sqlite", self.sqlite.as_ref()),
            ("query", self.query.as_ref()),
            ("table", self.table.as_ref()),
        ];
        let said = words.iter().filter_map(|(name, value)| Some(format!("--{name} {}", for_shell(value.as_ref()?))));
        said.collect::<Vec<_>>().join(" ")
    }

    /// The source, and how a pipeline file in the folder `dir` names it.
    pub(super) fn opening(&self, dir: &Path) -> Result<Opening, Failure> {
        let text = draft::quoted;
        let json: Vec<&str> = self
            .json
            .iter()
            .filter_map(|json| match json {
                Json::Source(file) => Some(file.as_str()),
                Json::No | Json::Print => None,
            })
            .collect();
        let (spec, written) = match (self.csv.as_deref(), &json[..], self.database()) {
            (Some(csv), [], None) => {
                let spec =
                    SourceSpec::Csv { inputs: vec![config::input_of(named(csv)?)], options: CsvOptions::default() };
                (spec, format!("csv = {}", text(&from_there(csv, dir)?)))
            }
            (None, [json], None) => {
                let options =
                    JsonOptions { array: self.array.clone(), each: self.each.clone(), ..JsonOptions::default() };
                let spec = SourceSpec::Json { inputs: vec![config::input_of(named(json)?)], options };
                let mut written = format!("json = {}", text(&from_there(json, dir)?));
                for (key, value) in [("array", &self.array), ("each", &self.each)] {
                    if let Some(value) = value {
                        let _ = write!(written, ", {key} = {}", text(value));
                    }
                }
                (spec, written)
            }
            (None, [], Some((kind, url))) => (self.sql(kind, url)?, self.sql_written(kind, url, dir)?),
            (None, [], None) => {
                return Err(Failure::new(Exit::Arguments, "there is nothing to draft from")
                    .hint("name a file or a database: --csv FILE, --json FILE, --postgres URL --table NAME; see stigg-import init --help"));
            }
            _ => {
                return Err(Failure::new(Exit::Arguments, "a draft has one source")
                    .hint("files of one kind go in one pattern ('exports/*.csv'); draft the others one by one"));
            }
        };
        Ok(Opening { spec, written, words: self.words() })
    }

    fn database(&self) -> Option<(&'static str, &str)> {
        [("postgres", &self.postgres), ("mysql", &self.mysql), ("sqlite", &self.sqlite)]
            .into_iter()
            .find_map(|(kind, url)| Some((kind, url.as_deref()?)))
    }

    fn sql(&self, kind: &'static str, url: &str) -> Result<SourceSpec, Failure> {
        let (query, table) = (self.query.as_deref(), self.table.as_deref());
        let written = SqlWritten { kind, url, query, table, key: None, changed: None, changed_margin: None };
        written.read(Path::new(""), None).map_err(|fault| {
            Failure::new(Exit::Arguments, fault.to_string())
                .hint(format!("--{kind} 'address with ${{VARIABLE}} for its password' --table NAME"))
        })
    }

    fn sql_written(&self, kind: &str, url: &str, dir: &Path) -> Result<String, Failure> {
        let is_path = kind == "sqlite" && !url.starts_with("sqlite:");
        let url = if is_path { from_there(url, dir)? } else { url.to_owned() };
        let mut written = format!("{kind} = {}", draft::quoted(&url));
        for (key, value) in [("query", &self.query), ("table", &self.table)] {
            if let Some(value) = value {
                let _ = write!(written, ", {key} = {}", draft::quoted(value));
            }
        }
        Ok(written)
    }
}

impl Opening {
    /// Looks at the first `rows_max` rows.
    pub(super) async fn look(&self, rows_max: u64) -> Result<Looked, SourceError> {
        let SourceSpec::Json { inputs, options } = &self.spec else {
            let mut rows = self.open(&[]).await?;
            let mut sample = Sample::new(rows.columns());
            while sample.rows < rows_max
                && let Some(batch) = rows.next().await?
            {
                sample.add(&batch, rows_max);
            }
            return Ok(Looked { sample, array: None });
        };
        let mut wanted = vec![WHOLE_ROW.to_owned()];
        if options.each.is_some() {
            wanted.extend([EACH_KEY.to_owned(), EACH_VALUE.to_owned()]);
        }
        let mut rows = source::open_json(inputs, options, &wanted).await?;
        let array = match rows.described().first().map(|described| &described.written) {
            Some(Written::Json { array, .. }) if options.array.is_none() => array.clone(),
            _ => None,
        };
        let mut sample = JsonSample::new();
        while sample.rows() < rows_max
            && let Some(batch) = rows.next().await?
        {
            sample.add(&batch, rows_max);
        }
        Ok(Looked { sample: sample.into_sample(), array })
    }

    /// Opens it for a mapping that uses these columns.
    pub(super) async fn open(&self, wanted: &[String]) -> Result<Rows, SourceError> {
        match &self.spec {
            SourceSpec::Csv { inputs, options } => source::open_csv(inputs, options).await,
            SourceSpec::Json { inputs, options } => source::open_json(inputs, options, wanted).await,
            SourceSpec::Sql { name, options } => source::open_sql(name, options).await,
            SourceSpec::Stripe(options) => source::open_stripe(options, wanted).await,
        }
    }

    /// The source as words of the command line.
    pub(super) fn words(&self, looked: &Looked) -> String {
        let array = looked.array.as_ref().map(|array| format!(" --array {}", for_shell(array))).unwrap_or_default();
        format!("{}{array}", self.words)
    }

    /// The pipeline's step.
    pub(super) fn step(&self, name: &str, looked: &Looked) -> String {
        let mut source = self.written.clone();
        if let Some(array) = &looked.array {
            let _ = write!(source, ", array = {}", draft::quoted(array));
        }
        format!("[[step]]\nname = \"{name}\"\nmapping = \"{name}.toml\"\nsource = {{ {source} }}\n")
    }
}

/// A word for a shell: in single quotes where it needs some.
fn for_shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-' | ':' | '@' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A file's name; not standard input.
fn named(file: &str) -> Result<&str, Failure> {
    if file == "-" {
        return Err(Failure::new(Exit::Arguments, "a draft reads its input twice, and standard input comes once")
            .hint("write it to a file first"));
    }
    Ok(file)
}

/// A path as the folder `dir` sees it.
fn from_there(path: &str, dir: &Path) -> Result<String, Failure> {
    let here = std::path::absolute(path).map_err(|error| cant_write(Path::new(path), &error))?;
    let there = std::path::absolute(dir).map_err(|error| cant_write(dir, &error))?;
    Ok(here.strip_prefix(&there).map_or_else(|_| here.display().to_string(), |rest| rest.display().to_string()))
}
