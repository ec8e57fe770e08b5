//! The `source` of a step: which kind, where, and how it is written.

use std::path::Path;

use toml::de::DeTable;

use super::sql_source::{SqlFault, SqlWritten};
use super::stripe_source::{StripeFault, StripeWritten};
use crate::document::{Document, Named, Span};
use crate::mapping::MappingFile;
use crate::pipeline::SourceSpec;
use crate::source::{CsvOptions, Input, JsonOptions, Quote};

/// Keys that say which kind of source it is, and the keys that go with each.
const KINDS: [(&str, &[&str]); 7] = [
    ("csv", &["delimiter", "quote", "encoding"]),
    ("json", &["array", "each", "encoding"]),
    ("postgres", SQL_KEYS),
    ("mysql", SQL_KEYS),
    ("mariadb", SQL_KEYS),
    ("sqlite", SQL_KEYS),
    ("stripe", &["url"]),
];

const SQL_KEYS: &[&str] = &["query", "table", "key", "changed", "changed_margin"];

const EXAMPLE: &str = "for example source = { csv = \"exports/customers*.csv\" }";

/// Reads a step's source; notes what is wrong with it.
pub(super) fn read(
    document: &mut Document<'_>,
    base_dir: &Path,
    step: &DeTable<'_>,
    span: &Span,
    mapping: Option<&MappingFile>,
) -> Option<SourceSpec> {
    if !step.contains_key("source") {
        document.hinted(span.clone(), "the step has no `source`", EXAMPLE);
    }
    let table = document.table(step, "source")?;
    let named: Vec<_> = KINDS.iter().filter(|(kind, _)| table.contains_key(*kind)).collect();
    let [(kind, keys)] = named[..] else {
        let kinds = KINDS.map(|(kind, _)| kind);
        if named.is_empty() {
            let all: Vec<&str> =
                kinds.into_iter().chain(KINDS.iter().flat_map(|(_, keys)| keys.iter().copied())).collect();
            document.known_keys(table, &all, "a source");
            document.hinted(span.clone(), format!("the source has none of {}", kinds.join(", ")), EXAMPLE);
        } else {
            document.problem(span.clone(), format!("a source is one of {}", kinds.join(", ")));
        }
        return None;
    };
    let known: Vec<&str> = std::iter::once(*kind).chain(keys.iter().copied()).collect();
    document.known_keys(table, &known, &format!("a {kind} source"));
    match *kind {
        "csv" => csv(document, base_dir, table, span, mapping),
        "json" => json(document, base_dir, table),
        "stripe" => stripe(document, table),
        kind => sql(document, base_dir, table, span, kind, mapping),
    }
}

fn csv(
    document: &mut Document<'_>,
    base_dir: &Path,
    table: &DeTable<'_>,
    span: &Span,
    mapping: Option<&MappingFile>,
) -> Option<SourceSpec> {
    let inputs = inputs(document.strings(table, "csv")?, base_dir);
    let mut options = mapping.map(csv_options).unwrap_or_default();
    if let Some(delimiter) = document.character(table, "delimiter") {
        match u8::try_from(delimiter) {
            Ok(byte) if byte.is_ascii() => options.delimiter = Some(byte),
            _ => document.problem(span.clone(), "a delimiter is one ASCII character"),
        }
    }
    if let Some(quote) = document.string(table, "quote") {
        match quote_of(&quote.text) {
            Some(known) => options.quote = known,
            None => document.problem(quote.span, "a quote is one ASCII character, or none"),
        }
    }
    if let Some(encoding) = document.string(table, "encoding") {
        options.encoding = Some(encoding.text);
    }
    Some(SourceSpec::Csv { inputs, options })
}

fn json(document: &mut Document<'_>, base_dir: &Path, table: &DeTable<'_>) -> Option<SourceSpec> {
    let inputs = inputs(document.strings(table, "json")?, base_dir);
    let mut text = |key| document.string(table, key).map(|named| named.text);
    let options =
        JsonOptions { array: text("array"), each: text("each"), encoding: text("encoding"), ..JsonOptions::default() };
    Some(SourceSpec::Json { inputs, options })
}

fn sql(
    document: &mut Document<'_>,
    base_dir: &Path,
    table: &DeTable<'_>,
    span: &Span,
    kind: &str,
    mapping: Option<&MappingFile>,
) -> Option<SourceSpec> {
    let url = document.string(table, kind)?;
    let mut text = |key| document.string(table, key).map(|named| named.text);
    let (query, name, key) = (text("query"), text("table"), text("key"));
    let changed = document.string(table, "changed");
    let margin = document.integer(table, "changed_margin");
    let written = SqlWritten {
        kind,
        url: &url.text,
        query: query.as_deref(),
        table: name.as_deref(),
        key: key.as_deref(),
        changed: changed.as_ref().map(|changed| changed.text.as_str()),
        changed_margin: margin,
    };
    let fault = match written.read(base_dir, mapping) {
        Ok(source) => return Some(source),
        Err(fault) => fault,
    };
    let changed = changed.map_or_else(|| span.clone(), |changed| changed.span);
    match &fault {
        SqlFault::NoVariable(_) => document.hinted(url.span, fault.to_string(), "set it to the database's URL"),
        SqlFault::Password => {
            let hint = "put the URL into an environment variable and write \"${BILLING_DB_URL}\"";
            document.secret(url.span, "passwords do not belong into a file that is shared", hint);
        }
        SqlFault::NoQuery => {
            let hint = "say query = \"select …\" or table = \"customers\"";
            document.hinted(span.clone(), "the source has neither a `query` nor a `table`", hint);
        }
        SqlFault::TwoQueries => document.problem(span.clone(), "a source has a `query` or a `table`, not both"),
        SqlFault::ChangedJoinsRows => {
            let hint = "leave `changed` out here; unchanged records are not sent anyway";
            document.hinted(changed, fault.to_string(), hint);
        }
        SqlFault::MarginAlone => document.problem(span.clone(), "`changed_margin` goes with `changed`"),
        SqlFault::MarginNegative => {
            document.problem(span.clone(), "`changed_margin` is a number of seconds, 0 or more");
        }
    }
    None
}

fn stripe(document: &mut Document<'_>, table: &DeTable<'_>) -> Option<SourceSpec> {
    let list = document.string(table, "stripe")?;
    let url = document.string(table, "url");
    let fault = match (StripeWritten { list: &list.text, url: url.as_ref().map(|url| url.text.as_str()) }).read() {
        Ok(source) => return Some(source),
        Err(fault) => fault,
    };
    match fault {
        StripeFault::KeyWritten => {
            document.secret(list.span, fault.to_string(), "put the key into the environment variable STRIPE_API_KEY");
        }
        StripeFault::Key(_) => {
            document.hinted(list.span, fault.to_string(), "put the key into the environment variable STRIPE_API_KEY");
        }
        StripeFault::KeyInUrl => {
            let hint = "put the key into the environment variable STRIPE_API_KEY";
            document.secret(url.map_or(list.span, |url| url.span), fault.to_string(), hint);
        }
        StripeFault::NoSuchList => {
            document.hinted(list.span, fault.to_string(), "say source = { stripe = \"subscriptions\" }");
        }
        StripeFault::Url(_) => document.problem(url.map_or(list.span, |url| url.span), fault.to_string()),
    }
    None
}

fn inputs(texts: Vec<Named>, base_dir: &Path) -> Vec<Input> {
    let from_base = |text: &Named| match input_of(&text.text) {
        Input::Path(path) => Input::Path(base_dir.join(path)),
        Input::Glob(pattern) => Input::Glob(base_dir.join(pattern).to_string_lossy().into_owned()),
        Input::Stdin => Input::Stdin,
    };
    texts.iter().map(from_base).collect()
}

/// A source as people write it: a file, a pattern, or `-`.
pub fn input_of(text: &str) -> Input {
    match text.parse() {
        Ok(input) => input,
        Err(never) => match never {},
    }
}

/// What a mapping says about its CSV files.
pub fn csv_options(mapping: &MappingFile) -> CsvOptions {
    let hints = mapping.csv();
    let ascii = |c: char| u8::try_from(c).ok().filter(u8::is_ascii);
    CsvOptions {
        delimiter: hints.delimiter.and_then(ascii),
        quote: hints.quote.and_then(ascii).map_or(Quote::Detect, Quote::Byte),
        encoding: hints.encoding.clone(),
        ..CsvOptions::default()
    }
}

/// A quote as people write it: one character, or `none`.
pub fn quote_of(text: &str) -> Option<Quote> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Some(Quote::Byte(*byte)),
        b"none" => Some(Quote::None),
        _ => None,
    }
}
