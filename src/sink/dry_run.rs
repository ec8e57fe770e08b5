//! A sink that sends nothing.

use std::sync::Arc;

use futures::future::{BoxFuture, ready};

use super::budget::Permit;
use super::{
    BulkFiles, CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, Operation, Page, ReadCustomer,
    ReadSubscription, ReadUsage, Sink, SinkError, Submission, TaskState, check_ids, check_permit,
};
use crate::batch::Batch;

/// Takes every batch and sends none: it goes into files, or nowhere. Reads go to another sink, or find nothing.
#[derive(Clone, Default)]
pub struct DryRunSink {
    reads: Option<Arc<dyn Sink>>,
    files: Option<Arc<BulkFiles>>,
}

impl DryRunSink {
    /// A sink that sends nothing at all, and finds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink that writes nothing, and reads from `sink`.
    pub fn reading(sink: Arc<dyn Sink>) -> Self {
        Self { reads: Some(sink), files: None }
    }

    /// A sink that writes every batch into `files`, and finds nothing.
    pub fn into_files(files: Arc<BulkFiles>) -> Self {
        Self { reads: None, files: Some(files) }
    }

    fn nothing<T: Send + 'static>(
        permit: &Permit,
        operation: Operation,
        nothing: T,
    ) -> BoxFuture<'static, Result<T, SinkError>> {
        Box::pin(ready(check_permit(permit, operation).map(|()| nothing)))
    }
}

impl Sink for DryRunSink {
    /// Applied, as far as anyone can tell: subscriptions too, for there is no task to follow.
    fn submit<'a>(&'a self, batch: &'a Batch, permit: Permit) -> BoxFuture<'a, Result<Submission, SinkError>> {
        let written = check_permit(&permit, Operation::of(batch.entity)).and_then(|()| match &self.files {
            Some(files) => files.write(batch).map_err(SinkError::FilesCannotWrite),
            None => Ok(()),
        });
        Box::pin(ready(written.map(|()| Submission::applied())))
    }

    fn running_imports(&self, permit: Permit) -> BoxFuture<'_, Result<Option<Vec<String>>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.running_imports(permit),
            None => Self::nothing(&permit, Operation::ImportTasks, Some(Vec::new())),
        }
    }

    fn task<'a>(&'a self, id: &'a str, permit: Permit) -> BoxFuture<'a, Result<TaskState, SinkError>> {
        match &self.reads {
            Some(sink) => sink.task(id, permit),
            None => Self::nothing(&permit, Operation::ImportTasks, TaskState::NotListed),
        }
    }

    fn read_customers<'a>(
        &'a self,
        ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadCustomer>, SinkError>> {
        match (&self.reads, check_ids(ids)) {
            (Some(sink), _) => sink.read_customers(ids, after, permit),
            (None, Ok(())) => Self::nothing(&permit, Operation::Customers, Page::only(Vec::new())),
            (None, Err(error)) => Box::pin(ready(Err(error))),
        }
    }

    fn read_subscriptions<'a>(
        &'a self,
        ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>> {
        match (&self.reads, check_ids(ids)) {
            (Some(sink), _) => sink.read_subscriptions(ids, after, permit),
            (None, Ok(())) => Self::nothing(&permit, Operation::Subscriptions, Page::only(Vec::new())),
            (None, Err(error)) => Box::pin(ready(Err(error))),
        }
    }

    fn read_subscriptions_of<'a>(
        &'a self,
        customer_ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>> {
        match (&self.reads, check_ids(customer_ids)) {
            (Some(sink), _) => sink.read_subscriptions_of(customer_ids, after, permit),
            (None, Ok(())) => Self::nothing(&permit, Operation::Subscriptions, Page::only(Vec::new())),
            (None, Err(error)) => Box::pin(ready(Err(error))),
        }
    }

    fn customer_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.customer_ids(after, permit),
            None => Self::nothing(&permit, Operation::Customers, Page::only(Vec::new())),
        }
    }

    fn subscription_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.subscription_ids(after, permit),
            None => Self::nothing(&permit, Operation::Subscriptions, Page::only(Vec::new())),
        }
    }

    fn read_usage<'a>(
        &'a self,
        customer_id: &'a str,
        resource_id: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Vec<ReadUsage>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.read_usage(customer_id, resource_id, permit),
            None => Self::nothing(&permit, Operation::EntitlementsState, Vec::new()),
        }
    }

    fn environment(&self, permit: Permit) -> BoxFuture<'_, Result<Option<String>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.environment(permit),
            None => Self::nothing(&permit, Operation::CurrentEnvironment, None),
        }
    }

    fn plans<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogPlan>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.plans(after, permit),
            None => Self::nothing(&permit, Operation::Plans, Page::only(Vec::new())),
        }
    }

    fn features<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogFeature>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.features(after, permit),
            None => Self::nothing(&permit, Operation::Features, Page::only(Vec::new())),
        }
    }

    fn addons<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogAddon>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.addons(after, permit),
            None => Self::nothing(&permit, Operation::Addons, Page::only(Vec::new())),
        }
    }

    fn currencies(&self, permit: Permit) -> BoxFuture<'_, Result<Vec<CatalogCurrency>, SinkError>> {
        match &self.reads {
            Some(sink) => sink.currencies(permit),
            None => Self::nothing(&permit, Operation::CustomCurrencies, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::conformance::{batch, customer};
    use crate::sink::{Budgets, MemorySink};

    #[tokio::test]
    async fn a_dry_run_reads_and_never_writes() {
        let memory = Arc::new(MemorySink::default());
        let sink = DryRunSink::reading(memory.clone());
        let budgets = Budgets::unlimited();
        let ada = batch(crate::entity::Entity::Customer, &[customer("ada", "Ada")]);
        sink.submit(&ada, budgets.acquire(Operation::ImportCustomers).await).await.unwrap();
        assert!(memory.applied().is_empty());
        memory.submit(&ada, budgets.acquire(Operation::ImportCustomers).await).await.unwrap();
        let page = sink.read_customers(&["ada"], None, budgets.acquire(Operation::Customers).await).await.unwrap();
        assert_eq!(page.items.len(), 1);
    }
}
