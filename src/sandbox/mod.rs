//! An embedded Stigg API, written from the API's own documents and from nothing of our client.
//!
//! It is a real GraphQL server with the API's types, keeps the API's rules and limits, works subscription imports off in
//! the background, and goes wrong on demand. Where the documents leave something open, [`Unknowns`] switches between the
//! possible behaviours. "Contract N" in these pages is section N of our collection of the API's documents, see
//! `docs/sandbox.md`.
//!
//! In process, [`Sandbox::handle`] takes a request without any network and only ever waits on tokio's clock, so tests
//! with paused time are exact. [`Sandbox::serve`] does the same over TCP.

mod billing;
mod catalog;
mod environment;
mod error;
mod faults;
mod gate;
mod limiter;
mod limits;
mod rules;
mod serve;
mod settings;
mod snapshot;
mod stats;
mod store;
mod stripe;
#[cfg(test)]
mod tests;
mod text;
mod unknowns;
mod wire;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_graphql::{EmptySubscription, Schema};
use axum::body::Bytes;

use self::environment::{Environment, lock};
use self::wire::ApiSchema;
use self::wire::mutation::Mutation;
use self::wire::query::Query;

pub use self::catalog::{Catalog, CatalogEntry, CatalogFeature, CatalogPlan, CatalogPrice, CatalogProduct, PlanKind};
pub use self::faults::{Fault, FaultKind, Faults};
pub use self::limiter::LimiterKind;
pub use self::settings::Settings;
pub use self::snapshot::Snapshot;
pub use self::stats::{KeyStats, OperationStats, Stats};
pub use self::store::content::{Cancelled, CustomerContent, SubscriptionContent, Trial};
pub use self::store::events::{EventContent, EventKey};
pub use self::store::tasks::Pace;
pub use self::stripe::{
    StripeAccount, StripeCustomer, StripeInvoiceItem, StripeItem, StripeRequest, StripeSnapshot, StripeSubscription,
};
pub use self::text::SettingError;
pub use self::unknowns::*;
pub use self::wire::enums::*;
pub use self::wire::scalars::{DateTime, Json, Uuid};
pub use self::wire::terms::*;

/// A request as HTTP carries it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Header `X-API-KEY`.
    pub api_key: Option<String>,
    /// Header `x-graphql-operation-name`; only faults look at it.
    pub operation: Option<String>,
    /// The body: JSON with `query`, `variables`, `operationName`.
    pub body: Bytes,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers, names in lower case.
        headers: Vec<(String, String)>,
        /// The whole body.
        body: Vec<u8>,
    },
    /// The connection is cut without an answer.
    Reset,
    /// An answer whose body ends too early.
    Truncated {
        /// HTTP status.
        status: u16,
        /// Headers, names in lower case; `content-length` is that of the whole body.
        headers: Vec<(String, String)>,
        /// As much of the body as comes.
        body: Vec<u8>,
    },
    /// No answer ever comes.
    Silent,
}

/// An embedded environment. Clones share it.
#[derive(Clone)]
pub struct Sandbox {
    environment: Arc<Environment>,
    schema: ApiSchema,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("environment", &self.environment.name).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// An empty environment.
    pub fn new(settings: Settings) -> Self {
        let schema = Schema::build(Query::default(), Mutation, EmptySubscription).finish();
        Self { environment: Arc::new(Environment::new(settings)), schema }
    }

    /// Answers a request in process. The work is done at once; latency and slow answers wait on tokio's clock
    /// afterwards. [`Reply::Silent`] returns at once: that nothing comes is for the caller to play.
    pub async fn handle(&self, request: Request) -> Reply {
        gate::answer(&self.environment, &self.schema, request).await
    }

    /// The old billing system beside it: an account at Stripe, empty at first.
    pub fn stripe(&self) -> &StripeAccount {
        &self.environment.stripe
    }

    /// Answers a request to Stripe in process, as [`Self::handle`] does.
    pub async fn handle_stripe(&self, request: StripeRequest) -> Reply {
        let now_s = self.environment.now_ms().div_euclid(1000);
        self.environment.stripe.handle(request, now_s).await
    }

    /// Serves `POST /graphql`, `GET /healthz` and Stripe under `/stripe` on `listener` until `shutdown` is done. Cut connections are reset,
    /// truncated bodies end in the middle, and silence lasts until the client or the server goes.
    ///
    /// # Errors
    ///
    /// The listener's, if it breaks.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        serve::serve(self, listener, shutdown).await
    }

    /// The whole state, with every import step that is due by now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.environment.store().0)
    }

    /// What it saw so far.
    pub fn stats(&self) -> Stats {
        let (store, _) = self.environment.store();
        lock(&self.environment.counters).report(&store)
    }

    /// Scripts a fault for the next matching requests.
    pub fn inject(&self, fault: Fault) {
        lock(&self.environment.faults).inject(fault);
    }

    /// Replaces the state. Imports that are under way are forgotten.
    pub fn load(&self, snapshot: &Snapshot) {
        let (mut store, now_ms) = self.environment.store();
        snapshot.load_into(&mut store, now_ms);
    }

    /// The schema that it answers with, in GraphQL's schema language: a part of the API's own.
    pub fn schema_sdl(&self) -> String {
        self.schema.sdl()
    }

    /// The time of day by its clock.
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.environment.now_ms()).unwrap_or_default()
    }

    fn body_bytes_max(&self) -> usize {
        self.environment.body_bytes_max
    }
}
