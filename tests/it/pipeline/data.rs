//! What is imported: three mappings, and exports written as CSV.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use stigg_import::clock::Clock;
use stigg_import::mapping;
use stigg_import::pipeline::OpenStep;
use stigg_import::source::{CsvOptions, Rows, open_csv_reader};

pub(super) const CUSTOMERS: &str = r#"
entity = "customer"
[fields]
customerId = "id"
name = "name"
email = "email"
"#;

pub(super) const SUBSCRIPTIONS: &str = r#"
entity = "subscription"
[fields]
subscriptionId = "id"
customerId = "customer"
planId = "plan"
additionalMetaData.note = "note"
"#;

pub(super) const USAGE: &str = r#"
entity = "usage"
[fields]
customerId = "customer"
featureId = "feature"
value = "value"
"#;

pub(super) const EVENTS: &str = r#"
entity = "event"
[fields]
customerId = "customer"
eventName = { const = "call" }
idempotencyKey = { columns = ["region", "number"], join = "/" }
timestamp = { column = "at", time = "unix" }
dimensions.region = "region"
dimensions.bytes = { column = "bytes", type = "number" }
"#;

/// An e-mail address that our check lets pass and the API refuses: two dots in a row.
pub(super) const BAD_EMAIL: &str = "a..b@example.com";

use super::ledger::hold_time;

/// Rows in each batch that a source hands out: small, so that several are needed.
const BATCH_ROWS: usize = 16;

/// One step's data.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub name: &'static str,
    pub mapping: String,
    pub csv: String,
    /// Whether the source breaks at its end.
    pub breaks: bool,
}

impl Data {
    pub(super) fn new(name: &'static str, mapping: &str, csv: impl Into<String>) -> Self {
        Self { name, mapping: mapping.to_owned(), csv: csv.into(), breaks: false }
    }

    /// The same, of a source that breaks after its last row.
    pub(super) fn breaking(mut self) -> Self {
        self.breaks = true;
        self
    }

    /// The same with another word somewhere.
    pub(super) fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.csv.contains(from), "`{from}` is in the data");
        self.csv = self.csv.replace(from, to);
        self
    }

    /// Opens it. All rows are in memory before the run begins, and time stands still meanwhile: a thread that reads is
    /// nobody whom paused time waits for.
    pub(super) async fn open(&self, clock: &dyn Clock) -> OpenStep {
        let _held = hold_time();
        let source = Breaking { text: self.csv.clone().into_bytes(), at: 0, breaks: self.breaks };
        let options = CsvOptions { batch_rows: BATCH_ROWS, delimiter: Some(b','), ..CsvOptions::default() };
        let file = format!("{}.csv", self.name);
        let mut rows = open_csv_reader(&file, source, &options).await.expect("the source opens");
        let (mut batches, mut broke) = (Vec::new(), None);
        loop {
            match rows.next().await {
                Ok(Some(batch)) => batches.push(batch),
                Ok(None) => break,
                Err(error) => broke = Some(error),
            }
        }
        assert_eq!(broke.is_some(), self.breaks);
        let mapping = mapping::parse("m.toml", &self.mapping, Path::new("")).expect("the mapping holds");
        let rows = Rows::in_memory(Arc::clone(rows.columns()), batches, broke);
        OpenStep::new(self.name, &mapping, rows, clock).expect("the mapping fits")
    }
}

struct Breaking {
    text: Vec<u8>,
    at: usize,
    breaks: bool,
}

impl Read for Breaking {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.text[self.at..];
        if rest.is_empty() && self.breaks {
            return Err(io::Error::other("the disk is gone"));
        }
        let taken = rest.len().min(out.len());
        out[..taken].copy_from_slice(&rest[..taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// Customers `cus-0` to `cus-{n-1}`; those in `bad` have an e-mail address that the API refuses.
pub(super) fn customers(n: usize, bad: &[usize]) -> Data {
    let mut csv = String::from("id,name,email\n");
    for i in 0..n {
        let email = if bad.contains(&i) { BAD_EMAIL.to_owned() } else { format!("c{i}@example.com") };
        let _ = writeln!(csv, "cus-{i},Customer {i},{email}");
    }
    Data::new("customers", CUSTOMERS, csv)
}

/// A subscription for each of `n` customers; those in `bad` are on a plan that is not in the catalog.
pub(super) fn subscriptions(n: usize, bad: &[usize]) -> Data {
    let mut csv = String::from("id,customer,plan,note\n");
    for i in 0..n {
        let plan = if bad.contains(&i) { "plan-unknown" } else { "plan-free" };
        let _ = writeln!(csv, "sub-{i},cus-{i},{plan},note {i}");
    }
    Data::new("subscriptions", SUBSCRIPTIONS, csv)
}

/// A total of calls for each of `n` customers; those in `bad` are of customers that do not exist.
pub(super) fn usage(n: usize, bad: &[usize]) -> Data {
    let mut csv = String::from("customer,feature,value\n");
    for i in 0..n {
        let who = if bad.contains(&i) { "nobody" } else { "cus" };
        let _ = writeln!(csv, "{who}-{i},feature-calls,{}", i * 10 + 1);
    }
    Data::new("usage", USAGE, csv)
}
