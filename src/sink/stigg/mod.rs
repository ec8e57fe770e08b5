//! The API itself, over GraphQL.

mod body;
mod calls;
mod client;
mod documents;
mod echo;
mod input;
mod plain;
mod wire;
mod wire_catalog;
mod wire_provision;
mod wire_usage;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use calls::SubscriptionSelect;
pub use client::{Client, THROTTLE_PAUSE};
pub use input::{
    AddonInput, BillableFeature, BillingPeriod, Cadence, Charge, ChargeType, CreditEntitlement, Entitlement,
    FeatureEntitlement, ImportCustomer, ImportSubscription, Measurement, ReportUsage, ResetPeriod, Scalar,
    UpdateBehavior,
};

use super::budget::Permit;
use super::transport::{HttpSettings, HttpSetupError, HttpTransport, Transport};
use super::{
    CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, Page, ProvisionPermit, ProvisionRequest, Provisioner,
    Provisioning, ReadCustomer, ReadSubscription, ReadUsage, Sink, SinkError, Submission, TaskState, check_ids,
};
use crate::batch::Batch;
use calls::Calls;

/// Delivers to the API. Cheap to clone.
#[derive(Clone)]
pub struct StiggSink {
    calls: Calls,
}

impl StiggSink {
    /// Delivers over `transport`.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { calls: Calls::new(transport) }
    }

    /// Delivers over HTTP. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`].
    pub fn connect(settings: HttpSettings) -> Result<Self, HttpSetupError> {
        Ok(Self::new(Arc::new(HttpTransport::new(settings)?)))
    }

    /// Names the billing integration that imported customers and subscriptions belong to: needed only where the
    /// environment has several.
    #[must_use]
    pub fn integration(mut self, id: impl Into<String>) -> Self {
        self.calls = self.calls.integration(id.into());
        self
    }
}

impl Sink for StiggSink {
    fn submit<'a>(&'a self, batch: &'a Batch, permit: Permit) -> BoxFuture<'a, Result<Submission, SinkError>> {
        Box::pin(self.calls.submit(batch, permit))
    }

    fn task<'a>(&'a self, id: &'a str, permit: Permit) -> BoxFuture<'a, Result<TaskState, SinkError>> {
        Box::pin(self.calls.task(id, permit))
    }

    fn running_imports(&self, permit: Permit) -> BoxFuture<'_, Result<Option<Vec<String>>, SinkError>> {
        Box::pin(self.calls.running_imports(permit))
    }

    fn read_customers<'a>(
        &'a self,
        ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadCustomer>, SinkError>> {
        Box::pin(async move {
            check_ids(ids)?;
            self.calls.customers(&calls::of_ids(Some(ids)), &calls::paging(after), permit).await
        })
    }

    fn read_subscriptions<'a>(
        &'a self,
        ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>> {
        Box::pin(async move {
            check_ids(ids)?;
            self.calls.subscriptions(SubscriptionSelect::Ids(ids), after, permit).await
        })
    }

    fn read_subscriptions_of<'a>(
        &'a self,
        customer_ids: &'a [&'a str],
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>> {
        Box::pin(async move {
            check_ids(customer_ids)?;
            self.calls.subscriptions(SubscriptionSelect::OfCustomers(customer_ids), after, permit).await
        })
    }

    fn customer_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>> {
        Box::pin(async move {
            Ok(self
                .calls
                .customers(&calls::of_ids(None), &calls::paging(after), permit)
                .await?
                .map(|one| one.customer_id))
        })
    }

    fn subscription_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>> {
        Box::pin(async move {
            let page = self.calls.subscriptions(SubscriptionSelect::All, after, permit).await?;
            Ok(page.map(|one| one.subscription_id))
        })
    }

    fn read_usage<'a>(
        &'a self,
        customer_id: &'a str,
        resource_id: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Vec<ReadUsage>, SinkError>> {
        Box::pin(self.calls.usage(customer_id, resource_id, permit))
    }

    fn environment(&self, permit: Permit) -> BoxFuture<'_, Result<Option<String>, SinkError>> {
        Box::pin(self.calls.environment(permit))
    }

    fn plans<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogPlan>, SinkError>> {
        Box::pin(self.calls.plans(after, permit))
    }

    fn features<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogFeature>, SinkError>> {
        Box::pin(self.calls.features(after, permit))
    }

    fn addons<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogAddon>, SinkError>> {
        Box::pin(self.calls.addons(after, permit))
    }

    fn currencies(&self, permit: Permit) -> BoxFuture<'_, Result<Vec<CatalogCurrency>, SinkError>> {
        Box::pin(self.calls.currencies(permit))
    }
}

impl Provisioner for StiggSink {
    fn provision<'a>(
        &'a self,
        request: &'a ProvisionRequest,
        permit: ProvisionPermit,
    ) -> BoxFuture<'a, Result<Provisioning, SinkError>> {
        Box::pin(self.calls.provision(request, permit))
    }
}

#[cfg(test)]
mod tests;
