//! A pipeline from code: a mapping and a CSV file go into an embedded API, with a ledger in memory and
//! an observer that prints. Nothing leaves this machine.
//!
//! ```sh
//! cargo run --example run_pipeline
//! ```
#![allow(clippy::print_stdout)] // An example shows what it does.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use stigg_import::clock::SystemClock;
use stigg_import::ledger::{MemoryLedger, Part};
use stigg_import::mapping;
use stigg_import::pipeline::{
    Event, Job, Journal, Known, Observer, RetryPolicy, SourceSpec, StepSpec, StepSummary, Stop, open_steps, run,
};
use stigg_import::sandbox::{Sandbox, Settings};
use stigg_import::sink::stigg::StiggSink;
use stigg_import::sink::transport::HttpSettings;
use stigg_import::sink::{Budgets, Endpoint};
use stigg_import::source::{CsvOptions, Input};
use tokio::net::TcpListener;

const MAPPING: &str = r#"
entity = "customer"

[fields]
customerId = "id"
name       = "name"
email      = "email"
"#;

const EXPORT: &str = "id,name,email\nada,Ada Lovelace,ada@example.com\nbob,Bob,not-an-address\ngrace,Grace Hopper,\n";

/// Hears what happens while it happens. A real one feeds metrics.
struct Printer;

impl Observer for Printer {
    fn event(&self, event: &Event) {
        match event {
            Event::StepStarted { name, .. } => println!("step {name} begins"),
            Event::StepFinished(step) => println!("step {} took {:.2} s", step.name, step.duration_s),
            other => println!("{other:?}"),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let export = folder.path().join("customers.csv");
    std::fs::write(&export, EXPORT)?;

    // The embedded API, on a free port.
    let sandbox = Sandbox::new(Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = Endpoint::parse(&format!("http://{}/graphql", listener.local_addr()?))?;
    tokio::spawn(sandbox.clone().serve(listener, std::future::pending()));

    // Whatever is wrong with the mapping or the export shows here, before the first request.
    let steps = open_steps(
        &[StepSpec {
            name: "customers".to_owned(),
            mapping: Arc::new(mapping::parse("inline", MAPPING, Path::new(""))?),
            source: SourceSpec::Csv { inputs: vec![Input::Path(export)], options: CsvOptions::default() },
        }],
        &SystemClock,
    )
    .await?;

    let finished = run(Job {
        steps,
        target: endpoint.to_string(),
        sink: Arc::new(StiggSink::connect(HttpSettings::new(endpoint, "server-any".to_owned().into()))?),
        budgets: Arc::new(Budgets::published()),
        // Forgets when the program ends. `SqliteLedger` remembers, and makes the next run a resume.
        ledger: Arc::new(MemoryLedger::default()),
        journal: Journal {
            ledger_path: folder.path().join("ledger.db"),
            spill_dir: folder.path().to_owned(),
            identity: "examples/run_pipeline".to_owned(),
            arguments_json: "{}".to_owned(),
        },
        observer: Arc::new(Printer),
        clock: Arc::new(SystemClock),
        stop: Arc::new(Stop::default()),
        retry: RetryPolicy::default(),
        max_rejects: None,
        full: false,
        batch_records_max: None,
        map_on: tokio::runtime::Handle::current(),
        prepare_on: tokio::runtime::Handle::current(),
        known: Known::default(),
        part: Part::ALL,
    })
    .await?;

    let step: &StepSummary = &finished.summary.steps[0];
    println!("{} records = {} accepted + {} rejected", step.records, step.accepted, step.rejected);
    for path in &finished.rejects {
        print!("{}", std::fs::read_to_string(path)?);
    }
    println!("the API has {} customers", sandbox.snapshot().customers.len());
    Ok(())
}
