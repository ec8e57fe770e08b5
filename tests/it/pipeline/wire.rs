//! The way to the embedded API without a network, and what was seen on it.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use stigg_import::record::Fingerprint;
use stigg_import::sandbox::{Reply, Request, Sandbox};
use stigg_import::sink::transport::{HttpAnswer, HttpSettings, RequestBody, Sent, Transport, TransportError};
use tokio::time::Instant;

use super::ledger::Watched;
use super::world::Fuse;

/// One request that left.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    pub operation: &'static str,
    pub at: Instant,
    /// Records in it; none in a read.
    pub records: usize,
}

/// Carries requests to a sandbox as a network would, and holds them against the promises.
pub(super) struct Wire {
    sandbox: Sandbox,
    ledger: Arc<Watched>,
    fuse: Arc<Fuse>,
    /// The mean time of a request's way to the API, and chance.
    way: Mutex<(Duration, fastrand::Rng)>,
    posted: Mutex<Vec<Posted>>,
    broken: Mutex<Vec<String>>,
    /// How many answers to which operation are yet to be replaced by a proxy's page.
    pages: Mutex<(usize, &'static str)>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    variables: Variables<'a>,
}

#[derive(Deserialize)]
struct Variables<'a> {
    #[serde(borrow, default, alias = "events")]
    input: Option<BTreeMap<String, &'a RawValue>>,
}

impl Wire {
    pub(super) fn new(sandbox: Sandbox, ledger: Arc<Watched>, fuse: Arc<Fuse>) -> Self {
        let way = Mutex::new((Duration::ZERO, fastrand::Rng::with_seed(7)));
        Self { sandbox, ledger, fuse, way, posted: Mutex::default(), broken: Mutex::default(), pages: Mutex::default() }
    }

    /// From now on requests take half to one and a half of `mean` to the API: they arrive bunched and out of order.
    pub(super) fn stretch(&self, mean: Duration) {
        self.way.lock().unwrap().0 = mean;
    }

    /// A proxy gives its own page, with a good status, in the place of the next answers to an operation.
    pub(super) fn replace_answers(&self, answers: usize, operation: &'static str) {
        *self.pages.lock().unwrap() = (answers, operation);
    }

    fn is_replaced(&self, operation: &str) -> bool {
        let mut pages = self.pages.lock().unwrap();
        let replaced = pages.0 > 0 && pages.1 == operation;
        pages.0 -= usize::from(replaced);
        replaced
    }

    fn way(&self) -> Duration {
        let mut way = self.way.lock().unwrap();
        let factor = 0.5 + way.1.f64();
        way.0.mul_f64(factor)
    }

    /// What was sent, in order.
    pub(super) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// How many requests of an operation left.
    pub(super) fn count(&self, operation: &str) -> usize {
        self.posted.lock().unwrap().iter().filter(|posted| posted.operation == operation).count()
    }

    /// Promises that a request broke.
    pub(super) fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap().clone()
    }

    fn look(&self, operation: &'static str, body: &[u8]) {
        let body: Body<'_> = serde_json::from_slice(body).expect("a request is JSON");
        let input = body.variables.input.unwrap_or_default();
        let mut records = 0;
        for list in ["customers", "subscriptions", "usages", "usageEvents"] {
            let Some(rows) = input.get(list) else { continue };
            let rows: Vec<&RawValue> = serde_json::from_str(rows.get()).expect("a list");
            records += rows.len();
            for row in rows {
                if !self.ledger.is_open(Fingerprint::of(row.get().as_bytes())) {
                    self.say(format!("{operation} sends a record that is not open in the ledger: {row}"));
                }
                if list == "usages" && !row.get().contains(r#""updateBehavior":"SET""#) {
                    self.say(format!("usage that is not SET: {row}"));
                }
            }
        }
        self.posted.lock().unwrap().push(Posted { operation, at: Instant::now(), records });
    }

    fn say(&self, broken: String) {
        self.broken.lock().unwrap().push(broken);
    }
}

impl Transport for Wire {
    fn post(&self, operation: &'static str, body: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let body = body.into_bytes();
            self.look(operation, &body);
            let way = self.way();
            if !way.is_zero() {
                tokio::time::sleep(way).await;
            }
            let request =
                Request { api_key: Some("server-key".to_owned()), operation: Some(operation.to_owned()), body };
            // A request that has arrived is worked off, also when its sender is gone.
            let sandbox = self.sandbox.clone();
            let work = tokio::spawn(async move { sandbox.handle(request).await });
            let answered = tokio::time::timeout(HttpSettings::TIMEOUT, async {
                match work.await.expect("the sandbox holds") {
                    Reply::Silent => pending().await,
                    reply => reply,
                }
            });
            let reply = answered.await;
            self.fuse.burn().await;
            match reply {
                Ok(_) if self.is_replaced(operation) => {
                    Ok(HttpAnswer { status: 200, retry_after: None, date: None, body: "<html>Sign in</html>".into() })
                }
                Ok(Reply::Answer { status, headers, body }) => {
                    Ok(HttpAnswer { status, retry_after: pause_of(&headers), date: None, body: body.into() })
                }
                Ok(Reply::Reset) => Err(lost("connection reset")),
                Ok(Reply::Truncated { .. }) => Err(lost("the body ended too early")),
                Ok(Reply::Silent) | Err(_) => Err(lost("timed out")),
            }
        })
    }
}

fn lost(why: &str) -> TransportError {
    TransportError { sent: Sent::Maybe, source: why.into() }
}

fn pause_of(headers: &[(String, String)]) -> Option<Duration> {
    headers.iter().find_map(|(name, value)| match name.as_str() {
        "retry-after" => Some(Duration::from_secs(value.parse().expect("whole seconds"))),
        "retry-after-ms" => Some(Duration::from_millis(value.parse().expect("whole milliseconds"))),
        _ => None,
    })
}
