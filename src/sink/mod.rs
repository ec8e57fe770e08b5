//! Sends a batch once: budget, request, answer.
//!
//! A [`Sink`] takes one [`Batch`] and one [`Permit`] and says what is true afterwards. Pausing, retrying, splitting
//! and the ledger are the pipeline's work; it decides from the [`SinkError`] variant alone.
//!
//! ```text
//!  Budgets ──Permit──► Sink::submit ──► Transport (one POST) ──► answer ──► Submission | SinkError
//! ```
//!
//! [`stigg::StiggSink`] is the API, [`MemorySink`] its twin for tests, [`DryRunSink`] sends nothing, and may write
//! [`BulkFiles`] instead. The typed client
//! for programs is [`stigg::Client`].

mod answer;
pub mod budget;
mod bulk_files;
pub mod code;
pub mod concurrency;
pub mod conformance;
mod dry_run;
mod entity_budget;
mod error;
#[cfg(test)]
pub mod graphql_check;
mod memory;
mod message;
mod operation;
mod provision;
mod read;
pub mod stigg;
pub mod transport;
mod watched;

use futures::future::BoxFuture;

pub use budget::{BudgetSettings, Budgets, Permit, Rate, SharedRate};
pub use bulk_files::{BulkFile, BulkFiles, WrittenFile};
pub use code::{Class, ErrorCode};
pub use concurrency::{Concurrency, ConcurrencyBounds, Health, Slot};
pub use dry_run::DryRunSink;
pub use entity_budget::{MUTATIONS_PER_MINUTE, ProvisionPermit};
pub use error::{Disposition, MESSAGE_CHARS_MAX, Named, SinkError, Stop, UnknownCause};
pub use memory::{Fault, MemorySink, Tasks};
pub use operation::{Operation, PublishedRate, UNPUBLISHED_PER_MINUTE};
pub use provision::{ProvisionRequest, ProvisionedSubscription, Provisioner, Provisioning};
pub use read::{
    CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, EnvironmentEntry, Page, ReadAddon, ReadCustomer,
    ReadEntitlement, ReadSubscription, ReadUsage, Submission, SyncState, TaskState, TaskStatus,
};

use crate::batch::Batch;
pub use watched::{Exchange, Watched};

pub use crate::http::{Endpoint, EndpointError, RETRY_AFTER_MAX};

/// Most ids in one read, and most entries of one page. The API documents no largest page for GraphQL and 100 for REST
/// (REST reference, 2026).
pub const READ_IDS_MAX: usize = 100;

/// Takes batches, and answers what is there. It sends once: pausing, retrying and the ledger are the pipeline's work.
///
/// Every call spends one permit of its operation ([`Operation::of`] the batch's entity for [`Sink::submit`], the
/// operation named at each other method); a permit of another operation is [`SinkError::Malformed`], and nothing is
/// sent. A batch may come again after an unknown outcome, also from a later process: customers and subscriptions
/// are upserted by id, usage is `SET` and events carry a key, so that a second delivery changes nothing. Calls overlap; an implementation
/// keeps no order. Dropping a future leaves the outcome unknown.
pub trait Sink: Send + Sync {
    /// Submits one batch.
    fn submit<'a>(&'a self, batch: &'a Batch, permit: Permit) -> BoxFuture<'a, Result<Submission, SinkError>>;

    /// How far a task is ([`Operation::ImportTasks`]). A task that can't be read is [`TaskState::Unreadable`], not an
    /// error: whether a key may read tasks is not documented.
    fn task<'a>(&'a self, id: &'a str, permit: Permit) -> BoxFuture<'a, Result<TaskState, SinkError>>;

    /// The ids of subscription imports that are under way, the latest first, at most ten; `None` where the key may not
    /// ask ([`Operation::ImportTasks`]). For an import whose own id nobody wrote down.
    fn running_imports(&self, permit: Permit) -> BoxFuture<'_, Result<Option<Vec<String>>, SinkError>>;

    /// The customers among `ids` (1 to [`READ_IDS_MAX`]) that are there ([`Operation::Customers`]). A missing one is
    /// only missing when no page is left. `after`: [`Page::next`] of the page before.
    fn read_customers<'a>(
        &'a self,
        ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadCustomer>, SinkError>>;

    /// The subscriptions among `ids` that are there, whatever their status ([`Operation::Subscriptions`]). As
    /// [`Sink::read_customers`].
    fn read_subscriptions<'a>(
        &'a self,
        ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>>;

    /// A page of the subscriptions of these customers, whatever their status ([`Operation::Subscriptions`]). As
    /// [`Sink::read_customers`].
    fn read_subscriptions_of<'a>(
        &'a self,
        customer_ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>>;

    /// A page of the ids of all customers ([`Operation::Customers`]).
    fn customer_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>>;

    /// A page of the ids of all subscriptions, whatever their status ([`Operation::Subscriptions`]).
    fn subscription_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>>;

    /// What a customer (and resource) has used, by feature ([`Operation::EntitlementsState`]). Features that the
    /// customer is not entitled to are not listed.
    fn read_usage<'a>(
        &'a self,
        customer_id: &'a str,
        resource_id: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Vec<ReadUsage>, SinkError>>;

    /// The environment that the key belongs to, or `None` where the key may not ask
    /// ([`Operation::CurrentEnvironment`]).
    fn environment(&self, permit: Permit) -> BoxFuture<'_, Result<Option<String>, SinkError>>;

    /// A page of the plans ([`Operation::Plans`]).
    fn plans<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogPlan>, SinkError>>;

    /// A page of the features ([`Operation::Features`]).
    fn features<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogFeature>, SinkError>>;

    /// A page of the add-ons ([`Operation::Addons`]).
    fn addons<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogAddon>, SinkError>>;

    /// The credit currencies, all at once ([`Operation::CustomCurrencies`]).
    fn currencies(&self, permit: Permit) -> BoxFuture<'_, Result<Vec<CatalogCurrency>, SinkError>>;
}

/// Refuses a permit of another operation. Nothing was sent.
fn check_permit(permit: &Permit, operation: Operation) -> Result<(), SinkError> {
    if permit.operation() == operation {
        return Ok(());
    }
    Err(SinkError::malformed(format!("a permit of {} was spent on {operation}", permit.operation())))
}

/// Refuses no ids, and more than a read takes. Nothing was sent.
fn check_ids(ids: &[&str]) -> Result<(), SinkError> {
    if (1..=READ_IDS_MAX).contains(&ids.len()) {
        return Ok(());
    }
    Err(SinkError::malformed(format!("{} ids in one read, it takes 1 to {READ_IDS_MAX}", ids.len())))
}
