//! The floor: the least that a program can do to get a CSV into the API. A reader thread writes the
//! JSON of each request; one thread sends. No ledger, no checks of the values, no proof.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::Failure;

/// What to send, and where.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A CSV as `generate usage` writes it.
    #[arg(long)]
    csv: PathBuf,
    /// The server's address.
    #[arg(long)]
    url: reqwest::Url,
    /// Most requests in flight.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
}

/// What the API takes in one request.
const ROWS_PER_REQUEST: usize = 100;
const HEAD: &[u8] = br#"{"operationName":"ReportUsageBulk","query":"mutation ReportUsageBulk($input: ReportUsageBulkInput!) { reportUsageBulk(input: $input) { id } }","variables":{"input":{"usages":["#;
const TAIL: &[u8] = b"]}}}";

/// Sends the file.
///
/// # Errors
///
/// The first that occurs: nothing is tried again.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // The HTTP client is built with TLS and wants a provider, also for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (bodies, mut received) = mpsc::channel(16);
    let csv = arguments.csv.clone();
    let reader = std::thread::spawn(move || read(&csv, &bodies));
    let in_flight = Arc::new(Semaphore::new(arguments.in_flight));
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut requests = JoinSet::new();
        while let Some(body) = received.recv().await {
            let permit = in_flight.clone().acquire_owned().await.expect("never closed");
            let request = client.post(arguments.url.clone()).header("content-type", "application/json").body(body);
            requests.spawn(async move {
                let answer = request.send().await?.error_for_status()?.bytes().await?;
                drop(permit);
                match answer.starts_with(br#"{"data""#) {
                    true => Ok(()),
                    false => Err(Failure::from("the server refused a request")),
                }
            });
            while let Some(done) = requests.try_join_next() {
                done??;
            }
        }
        while let Some(done) = requests.join_next().await {
            done??;
        }
        Ok::<(), Failure>(())
    })?;
    reader.join().map_err(|_| "the reader panicked")??;
    Ok(())
}

/// Reads the rows and hands on a request's body for every hundred.
fn read(csv: &std::path::Path, bodies: &mpsc::Sender<Vec<u8>>) -> Result<(), Failure> {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_path(csv)?;
    let mut row = csv::ByteRecord::new();
    let (mut body, mut rows) = (HEAD.to_vec(), 0);
    while reader.read_byte_record(&mut row)? {
        if rows > 0 {
            body.push(b',');
        }
        for (name, cell) in
            [&br#"{"customerId":""#[..], br#"","featureId":""#, br#"","resourceId":""#].into_iter().zip(row.iter())
        {
            body.extend_from_slice(name);
            push_text(&mut body, cell);
        }
        body.extend_from_slice(br#"","value":"#);
        body.extend_from_slice(&row[3]);
        body.extend_from_slice(br#","updateBehavior":"SET","createdAt":""#);
        push_text(&mut body, &row[4]);
        body.extend_from_slice(br#""}"#);
        rows += 1;
        if rows == ROWS_PER_REQUEST {
            body.extend_from_slice(TAIL);
            let next = Vec::with_capacity(body.capacity());
            if bodies.blocking_send(std::mem::replace(&mut body, next)).is_err() {
                return Ok(());
            }
            body.extend_from_slice(HEAD);
            rows = 0;
        }
    }
    if rows > 0 {
        body.extend_from_slice(TAIL);
        // A closed channel means that a request failed, which the sender reports.
        let _ = bodies.blocking_send(body);
    }
    Ok(())
}

/// Appends the inside of a JSON string.
fn push_text(body: &mut Vec<u8>, cell: &[u8]) {
    if cell.iter().all(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\') {
        body.extend_from_slice(cell);
    } else {
        let text = serde_json::to_string(&String::from_utf8_lossy(cell)).expect("a string is JSON");
        body.extend_from_slice(&text.as_bytes()[1..text.len() - 1]);
    }
}
