//! The sandbox held against the API's documents.

mod customers;
mod documents;
mod environment;
mod events;
mod faults;
mod limits;
mod provision;
mod reads;
mod schema;
mod settings;
mod subscriptions;
mod tcp;
mod usage;

use std::time::Duration;

use serde_json::{Value, json};

use super::{Catalog, Fault, Reply, Request, Sandbox, Settings, Unknowns};

/// The documents of `tests/stigg/documents.graphql`.
pub(super) const DOCUMENTS: &str = include_str!("../../../tests/stigg/documents.graphql");

/// One of them. Debug builds take long to parse all.
pub(super) fn document(operation: &str) -> &'static str {
    let named = |text: &&str| text.contains(&format!(" {operation}("));
    DOCUMENTS.split("\n\n").find(named).unwrap_or_else(|| panic!("no document {operation}"))
}

/// A noon in 2026, so that tests don't depend on the day.
pub(super) const NOON: &str = "2026-06-01T12:00:00Z";

/// Talks to a sandbox in process.
#[derive(Clone)]
pub(super) struct Api {
    pub sandbox: Sandbox,
    pub key: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub json: Value,
}

impl Got {
    pub fn code(&self) -> &str {
        self.json["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.json.get("errors").is_none(), "{}", self.json);
        assert_eq!(self.status, 200);
        self.json["data"].clone()
    }
}

impl Api {
    pub fn new(settings: Settings) -> Self {
        let settings = Settings { started_at: settings.started_at.or(NOON.parse().ok()), ..settings };
        Self { sandbox: Sandbox::new(settings), key: String::from("server-test") }
    }

    pub fn plain() -> Self {
        Self::new(Settings::default())
    }

    /// With one or more `NAME=CHOICE`.
    pub fn unknown(setting: &str) -> Self {
        Self::new(Settings { unknowns: unknowns(setting), ..Settings::default() })
    }

    pub fn with_catalog(unknown: &str) -> Self {
        Self::new(Settings { unknowns: unknowns(unknown), catalog: Some(catalog()), ..Settings::default() })
    }

    pub async fn raw(&self, body: Vec<u8>) -> Reply {
        let request = Request { api_key: Some(self.key.clone()), operation: None, body: body.into() };
        self.sandbox.handle(request).await
    }

    pub async fn post(&self, body: &Value) -> Got {
        match self.raw(body.to_string().into_bytes()).await {
            Reply::Answer { status, headers, body } => {
                Got { status, headers, json: serde_json::from_slice(&body).unwrap() }
            }
            other => panic!("no answer but {other:?}"),
        }
    }

    /// Runs one of [`DOCUMENTS`].
    pub async fn run(&self, operation: &str, variables: Value) -> Got {
        self.post(&json!({ "query": document(operation), "operationName": operation, "variables": variables })).await
    }

    /// Runs a document.
    pub async fn query(&self, query: &str) -> Got {
        self.post(&json!({ "query": query })).await
    }

    pub async fn customers(&self, rows: Value) -> Got {
        self.run("ImportCustomerBulk", json!({ "input": { "customers": rows } })).await
    }

    pub async fn subscriptions(&self, rows: Value) -> Got {
        self.run("ImportSubscriptionsBulk", json!({ "input": { "subscriptions": rows } })).await
    }

    pub async fn usage(&self, rows: Value) -> Got {
        self.run("ReportUsageBulk", json!({ "input": { "usages": rows } })).await
    }

    pub async fn events(&self, rows: Value) -> Got {
        self.run("ReportEvent", json!({ "events": { "usageEvents": rows } })).await
    }

    pub async fn provision(&self, input: Value) -> Got {
        self.run("ProvisionSubscription", json!({ "input": input })).await
    }

    /// Imports subscriptions, waits for the end, and answers the task.
    pub async fn imported(&self, rows: Value) -> Value {
        let id = self.subscriptions(rows).await.ok()["importSubscriptionsBulk"].clone();
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.task(&id).await
    }

    pub async fn task(&self, id: &Value) -> Value {
        self.run("ImportTask", json!({ "id": id })).await.ok()["importIntegrationTasks"]["edges"][0]["node"].clone()
    }

    pub fn inject(&self, fault: Fault) {
        self.sandbox.inject(fault);
    }
}

pub(super) fn unknowns(setting: &str) -> Unknowns {
    setting.parse().unwrap()
}

pub(super) fn catalog() -> Catalog {
    serde_json::from_value(json!({
        "plans": [
            { "id": "free", "kind": "free" },
            { "id": "custom", "kind": "custom" },
            { "id": "paid", "kind": "paid" },
            { "id": "many", "kind": "free", "product": "multi" },
        ],
        "products": [{ "id": "multi", "multiple_subscriptions": true }],
        "features": [
            { "id": "seats", "meter": "Fluctuating" },
            { "id": "calls", "meter": "Incremental", "events": true },
            { "id": "sso", "type": "BOOLEAN", "meter": "None" },
        ],
        "addons": [{ "id": "support" }],
        "currencies": [{ "id": "credits" }],
    }))
    .unwrap()
}

/// `count` customers `c0`, `c1`, ….
pub(super) fn some_customers(count: usize) -> Value {
    (0..count).map(|n| json!({ "customerId": format!("c{n}"), "name": format!("Customer {n}") })).collect()
}
