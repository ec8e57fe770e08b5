//! What is done with bytes from anywhere: nothing of it may panic, hang, or take memory without bound.
//!
//! Two programs share these: `tests/it/fuzz.rs`, which changes good inputs at random and runs with every test, and the targets of
//! `cargo fuzz` beside this file.

use std::future::Future;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use stigg_import::clock::FixedClock;
use stigg_import::http::{Endpoint, RETRY_AFTER_MAX, retry_after};
use stigg_import::ledger::LedgerPlace;
use stigg_import::mapping::{self, MappingFile};
use stigg_import::record::RecordBatch;
use stigg_import::schedule::When;
use stigg_import::sink::stigg::{Client, ImportCustomer, StiggSink};
use stigg_import::sink::transport::{HttpAnswer, RequestBody, Transport, TransportError};
use stigg_import::sink::{BudgetSettings, Budgets, Operation, Sink};
use stigg_import::source::{CsvOptions, JsonOptions, Rows, open_csv_reader, open_json_reader};
use tokio::runtime::Runtime;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("csv", csv),
    ("json", json),
    ("mapping", mapping),
    ("pipeline", pipeline),
    ("cells", cells),
    ("expression", expression),
    ("answer", answer),
    ("words", words),
];

fn wait<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a runtime")
    });
    runtime.block_on(future)
}

/// Reads to the end. Returns how many rows there were, good and bad.
async fn count(mut rows: Rows) -> usize {
    let mut count = 0;
    while let Ok(Some(batch)) = rows.next().await {
        count += batch.len() + batch.bad().len();
    }
    count
}

/// A CSV file, in whatever encoding and compression it claims to have.
pub fn csv(data: &[u8]) {
    let bytes = data.to_vec();
    let count = wait(async {
        match open_csv_reader("fuzz.csv", Cursor::new(bytes), &CsvOptions::default()).await {
            Ok(rows) => count(rows).await,
            Err(_) => 0,
        }
    });
    // Not of a compressed one: it may hold more than its bytes, within the limit on that.
    let is_compressed = data.starts_with(&[0x1f, 0x8b]) || data.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    assert!(is_compressed || count <= data.len(), "{count} rows of {} bytes", data.len());
}

/// A JSON file.
pub fn json(data: &[u8]) {
    let bytes = data.to_vec();
    let wanted: Vec<String> = ["id", "plan.id", "a"].map(str::to_owned).to_vec();
    let count = wait(async {
        match open_json_reader("fuzz.json", Cursor::new(bytes), &JsonOptions::default(), &wanted).await {
            Ok(rows) => count(rows).await,
            Err(_) => 0,
        }
    });
    let is_compressed = data.starts_with(&[0x1f, 0x8b]) || data.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    assert!(is_compressed || count <= data.len(), "{count} rows of {} bytes", data.len());
}

/// A mapping file; one that holds is used on a row.
pub fn mapping(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(file) = mapping::parse("fuzz.toml", text, Path::new("/nonexistent")) {
        apply(&file, "id,name,email,plan,value,at\na,b,c@example.com,pro,1,2026-01-01\n,,,,,\n");
    }
}

/// A pipeline file. Its mappings can't be read.
pub fn pipeline(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        drop(stigg_import::config::parse("fuzz.toml", text, Path::new("/nonexistent")));
    }
}

/// A mapping with a conversion of each kind.
const EVERY_KIND: &str = r#"
entity = "subscription"
[fields]
subscriptionId = "id"
customerId = "customer"
planId = { column = "plan", map = { pro = "plan-pro" }, default = "plan-free" }
startDate = { column = "start", time = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }
endDate = "end"
updatedAt = { column = "updated", time = "unix" }
unitQuantity = { column = "quantity", decimal = "," }
additionalMetaData.text = "id"
[[fields.entitlements]]
feature = { featureId = { const = "feature-seats" }, usageLimit = "limit" }
when = 'limit != ""'
"#;

/// Cells of any text, through a conversion of each kind.
pub fn cells(data: &[u8]) {
    static FILE: OnceLock<MappingFile> = OnceLock::new();
    let file = FILE.get_or_init(|| mapping::parse("every.toml", EVERY_KIND, Path::new("")).expect("it holds"));
    let text = String::from_utf8_lossy(data);
    let mut csv = String::from("id,customer,plan,start,end,updated,quantity,limit\n");
    for line in text.split('\n').take(20) {
        let cells: Vec<String> =
            line.split('\t').chain(std::iter::repeat("")).take(8).map(|cell| cell.replace('"', "\"\"")).collect();
        csv.push_str(&format!("\"{}\"\n", cells.join("\",\"")));
    }
    apply(file, &csv);
}

/// An expression, used on rows.
pub fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let where_ = toml_text(text);
    let mapping = format!("entity = \"customer\"\nwhere = {where_}\n[fields]\ncustomerId = \"id\"\nname = \"name\"\n");
    if let Ok(file) = mapping::parse("fuzz.toml", &mapping, Path::new("")) {
        apply(&file, "id,name,email,plan,value,at\na,b,c@example.com,pro,1,2026-01-01\nb,,,,-3.5,\n");
    }
}

/// A TOML string of any text.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Maps rows; what comes out is JSON with a key.
fn apply(file: &MappingFile, csv: &str) {
    let clock = FixedClock::at(Timestamp::UNIX_EPOCH);
    let bytes = csv.as_bytes().to_vec();
    wait(async {
        let options = CsvOptions { delimiter: Some(b','), ..CsvOptions::default() };
        let Ok(mut rows) = open_csv_reader("fuzz.csv", Cursor::new(bytes), &options).await else { return };
        let Ok(plan) = mapping::compile(file, rows.columns(), &clock) else { return };
        let spill = mapping::SpillSettings::in_dir(&std::env::temp_dir());
        let (mut mapper, mut out) = (mapping::Mapper::new(Arc::new(plan), spill), RecordBatch::default());
        while let Ok(Some(batch)) = rows.next().await {
            if mapper.apply(&batch, &mut out).is_err() {
                return;
            }
        }
        while mapper.finish(&mut out).unwrap_or(false) {}
        for record in &out.records {
            assert!(
                serde_json::from_slice::<serde_json::Value>(out.json_of(record)).is_ok_and(|json| json.is_object())
            );
            assert!(!out.key_of(record).is_empty());
        }
    });
}

/// Answers every request with the same bytes.
struct Says(HttpAnswer);

impl Transport for Says {
    fn post(&self, _: &'static str, _: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

/// What a server may answer to each operation. The first two bytes are the status.
pub fn answer(data: &[u8]) {
    let [high, low, body @ ..] = data else { return };
    let status = match u16::from_be_bytes([*high, *low]) {
        // Most answers of a server that is broken in other ways.
        status if status % 4 != 0 => 200,
        status => status % 1000,
    };
    let says = HttpAnswer { status, retry_after: None, date: None, body: body.to_vec().into() };
    let transport: Arc<dyn Transport> = Arc::new(Says(says));
    wait(async {
        let sink = StiggSink::new(transport.clone());
        let budgets = Budgets::new(&BudgetSettings::default().unlimited());
        drop(sink.environment(budgets.acquire(Operation::CurrentEnvironment).await).await);
        drop(sink.read_customers(&["a", "b"], None, budgets.acquire(Operation::Customers).await).await);
        drop(sink.read_subscriptions(&["a"], None, budgets.acquire(Operation::Subscriptions).await).await);
        drop(sink.task("t", budgets.acquire(Operation::ImportTasks).await).await);
        drop(sink.running_imports(budgets.acquire(Operation::ImportTasks).await).await);
        let client = Client::new(transport, Arc::new(budgets));
        let customer = ImportCustomer { customer_id: "a".into(), ..ImportCustomer::default() };
        drop(client.import_customers(&[customer]).await);
    });
}

/// Words of the command line, and headers.
pub fn words(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(when) = When::cron(&text, TimeZone::UTC) {
        let mut now = Timestamp::UNIX_EPOCH;
        for _ in 0..5 {
            match when.next_after(Timestamp::UNIX_EPOCH, now) {
                Some(next) => {
                    assert!(next > now, "{next} is not after {now}");
                    now = next;
                }
                None => break,
            }
        }
    }
    // What is printed of an address has nothing of what may be secret in it.
    if let Ok(endpoint) = Endpoint::parse(&text) {
        let shown = endpoint.to_string();
        assert!(!shown.contains('?') && !shown.contains('#'), "{shown}");
    }
    drop(LedgerPlace::of(&text));
    if let Ok(value) = reqwest::header::HeaderValue::from_bytes(data) {
        for name in [reqwest::header::RETRY_AFTER, reqwest::header::HeaderName::from_static("retry-after-ms")] {
            let headers = reqwest::header::HeaderMap::from_iter([(name, value.clone())]);
            let pause = retry_after(&headers, &FixedClock::at(Timestamp::UNIX_EPOCH));
            assert!(pause.is_none_or(|pause| pause <= RETRY_AFTER_MAX), "{pause:?}");
        }
    }
}
