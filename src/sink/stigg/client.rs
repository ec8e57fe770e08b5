//! The typed client, for programs that use the API without a pipeline.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::calls::{self, Calls, SubscriptionSelect};
use super::documents::REPORT_USAGE_MEASURED;
use super::input::{ImportCustomer, ImportSubscription, Measurement, ReportUsage};
use crate::batch::BatchLimits;
use crate::entity::Entity;
use crate::sink::transport::{HttpAnswer, HttpSettings, HttpSetupError, HttpTransport, Transport};
use crate::sink::{
    Budgets, CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, EnvironmentEntry, Operation, Page,
    READ_IDS_MAX, ReadCustomer, ReadSubscription, ReadUsage, SinkError, TaskState,
};

/// How long an operation's budget pauses after a 429 that does not say how long.
pub const THROTTLE_PAUSE: Duration = Duration::from_secs(10);

/// A typed client of the operations that an import needs.
///
/// Every call waits for its operation's rate budget and sends exactly once; whether to send again is the caller's
/// decision, by [`SinkError::disposition`]. A 429 pauses the operation's budget for everyone who shares it. Cheap to
/// clone.
///
/// ```no_run
/// use stigg_import::sink::stigg::{Client, ImportCustomer, ReportUsage};
/// use stigg_import::sink::transport::HttpSettings;
/// use stigg_import::sink::Endpoint;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let key = std::env::var("STIGG_API_KEY")?;
/// let client = Client::connect(HttpSettings::new(Endpoint::parse(Endpoint::STIGG)?, key.into()))?;
///
/// let ada = ImportCustomer { customer_id: "ada".into(), name: Some("Ada".into()), ..Default::default() };
/// client.import_customers(&[ada]).await?;
/// let measured = client.report_usage(&[ReportUsage::total("ada", "feature-calls", 1200.0)]).await?;
/// assert_eq!(measured[0].current_usage, Some(1200.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    calls: Calls,
    budgets: Arc<Budgets>,
}

impl Client {
    /// A client over HTTP at the published rates. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`].
    pub fn connect(settings: HttpSettings) -> Result<Self, HttpSetupError> {
        Ok(Self::new(Arc::new(HttpTransport::new(settings)?), Arc::new(Budgets::published())))
    }

    /// A client over any transport, with budgets that others may share.
    pub fn new(transport: Arc<dyn Transport>, budgets: Arc<Budgets>) -> Self {
        Self { calls: Calls::new(transport), budgets }
    }

    /// The rate budgets.
    pub fn budgets(&self) -> &Arc<Budgets> {
        &self.budgets
    }

    /// Creates or updates customers, 1 to 1000.
    ///
    /// # Errors
    ///
    /// [`SinkError`]; [`SinkError::Malformed`] without a request for none or too many.
    pub async fn import_customers(&self, customers: &[ImportCustomer]) -> Result<(), SinkError> {
        self.import_customers_and_tell(customers).await.map(|_| ())
    }

    /// As [`Self::import_customers`], and tells the answer's text, whose content is not documented.
    ///
    /// # Errors
    ///
    /// As [`Self::import_customers`].
    pub async fn import_customers_and_tell(&self, customers: &[ImportCustomer]) -> Result<Option<String>, SinkError> {
        let answer = self.import(Entity::Customer, customers).await?;
        self.noted(Operation::ImportCustomers, calls::decode(&answer, Operation::ImportCustomers))
    }

    /// Archives a customer.
    ///
    /// # Errors
    ///
    /// [`SinkError`]; one that is not there is refused.
    pub async fn archive_customer(&self, id: &str) -> Result<(), SinkError> {
        let permit = self.budgets.acquire(Operation::ArchiveCustomer).await;
        self.noted(Operation::ArchiveCustomer, self.calls.archive_customer(id, permit).await)
    }

    /// Creates or updates subscriptions on free and custom plans, 1 to 1000, and answers the id of the task that does
    /// it from now on.
    ///
    /// # Errors
    ///
    /// As [`Self::import_customers`].
    pub async fn import_subscriptions(
        &self,
        subscriptions: &[ImportSubscription],
    ) -> Result<Option<String>, SinkError> {
        let answer = self.import(Entity::Subscription, subscriptions).await?;
        self.noted(Operation::ImportSubscriptions, calls::decode(&answer, Operation::ImportSubscriptions))
    }

    /// Reports usage, 1 to 100 records, and answers the totals that the API has now.
    ///
    /// # Errors
    ///
    /// As [`Self::import_customers`]; [`SinkError::Malformed`] also for numbers that are not finite.
    pub async fn report_usage(&self, usage: &[ReportUsage]) -> Result<Vec<Measurement>, SinkError> {
        let answer = self.import(Entity::Usage, usage).await?;
        self.noted(Operation::ReportUsage, calls::measurements(&answer))
    }

    /// How far an import of subscriptions is.
    ///
    /// # Errors
    ///
    /// [`SinkError`]; what a key may not read is [`TaskState::Unreadable`].
    pub async fn import_task(&self, id: &str) -> Result<TaskState, SinkError> {
        let permit = self.budgets.acquire(Operation::ImportTasks).await;
        self.noted(Operation::ImportTasks, self.calls.task(id, permit).await)
    }

    /// A page of the customers, or of those among `ids` (up to [`READ_IDS_MAX`]), oldest first.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn customers(&self, ids: Option<&[&str]>, after: Option<&str>) -> Result<Page<ReadCustomer>, SinkError> {
        check_count(ids.map_or(1, <[_]>::len), READ_IDS_MAX)?;
        let permit = self.budgets.acquire(Operation::Customers).await;
        self.noted(Operation::Customers, self.calls.customers(&calls::of_ids(ids), &calls::paging(after), permit).await)
    }

    /// A page of the customers whose id is `from` or comes after it, and comes before `before`.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn customers_between(
        &self,
        from: &str,
        before: &str,
        after: Option<&str>,
    ) -> Result<Page<ReadCustomer>, SinkError> {
        let filter = json!({ "customerId": { "gte": from, "lt": before } });
        let permit = self.budgets.acquire(Operation::Customers).await;
        self.noted(Operation::Customers, self.calls.customers(&filter, &calls::paging(after), permit).await)
    }

    /// The newest customers, asked for with a page of `count`; whether the API cuts it is not documented.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn first_customers(&self, count: usize) -> Result<Page<ReadCustomer>, SinkError> {
        let permit = self.budgets.acquire(Operation::Customers).await;
        self.noted(Operation::Customers, self.calls.customers(&json!({}), &json!({ "first": count }), permit).await)
    }

    /// A page of the subscriptions, whatever their status, oldest first.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn subscriptions(
        &self,
        select: SubscriptionSelect<'_>,
        after: Option<&str>,
    ) -> Result<Page<ReadSubscription>, SinkError> {
        match select {
            SubscriptionSelect::All => {}
            SubscriptionSelect::Ids(ids) | SubscriptionSelect::OfCustomers(ids) => {
                check_count(ids.len(), READ_IDS_MAX)?;
            }
        }
        let permit = self.budgets.acquire(Operation::Subscriptions).await;
        self.noted(Operation::Subscriptions, self.calls.subscriptions(select, after, permit).await)
    }

    /// What a customer (and resource) has used of the features that it is entitled to.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn usage(&self, customer_id: &str, resource_id: Option<&str>) -> Result<Vec<ReadUsage>, SinkError> {
        let permit = self.budgets.acquire(Operation::EntitlementsState).await;
        self.noted(Operation::EntitlementsState, self.calls.usage(customer_id, resource_id, permit).await)
    }

    /// The environment that the key belongs to, or `None` where the key may not ask.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn environment(&self) -> Result<Option<String>, SinkError> {
        let permit = self.budgets.acquire(Operation::CurrentEnvironment).await;
        self.noted(Operation::CurrentEnvironment, self.calls.environment(permit).await)
    }

    /// The ids of subscription imports that are under way, or `None` where the key may not ask.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn running_imports(&self) -> Result<Option<Vec<String>>, SinkError> {
        let permit = self.budgets.acquire(Operation::ImportTasks).await;
        self.noted(Operation::ImportTasks, self.calls.running_imports(permit).await)
    }

    /// The environments that the key sees, or `None` where it may not ask.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn environments(&self) -> Result<Option<Vec<EnvironmentEntry>>, SinkError> {
        let permit = self.budgets.acquire(Operation::Environments).await;
        self.noted(Operation::Environments, self.calls.environments(permit).await)
    }

    /// A page of the plans.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn plans(&self, after: Option<&str>) -> Result<Page<CatalogPlan>, SinkError> {
        let permit = self.budgets.acquire(Operation::Plans).await;
        self.noted(Operation::Plans, self.calls.plans(after, permit).await)
    }

    /// A page of the features.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn features(&self, after: Option<&str>) -> Result<Page<CatalogFeature>, SinkError> {
        let permit = self.budgets.acquire(Operation::Features).await;
        self.noted(Operation::Features, self.calls.features(after, permit).await)
    }

    /// A page of the add-ons.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn addons(&self, after: Option<&str>) -> Result<Page<CatalogAddon>, SinkError> {
        let permit = self.budgets.acquire(Operation::Addons).await;
        self.noted(Operation::Addons, self.calls.addons(after, permit).await)
    }

    /// The credit currencies.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn currencies(&self) -> Result<Vec<CatalogCurrency>, SinkError> {
        let permit = self.budgets.acquire(Operation::CustomCurrencies).await;
        self.noted(Operation::CustomCurrencies, self.calls.currencies(permit).await)
    }

    async fn import<T: Serialize>(&self, entity: Entity, records: &[T]) -> Result<HttpAnswer, SinkError> {
        check_count(records.len(), BatchLimits::of(entity).records_max)?;
        let operation = Operation::of(entity);
        let permit = self.budgets.acquire(operation).await;
        let document = match entity {
            Entity::Usage => REPORT_USAGE_MEASURED,
            Entity::Customer | Entity::Subscription | Entity::Event => operation.document(),
        };
        self.calls.import(entity, document, records, permit).await
    }

    /// Pauses the budget where the API asked for it.
    fn noted<T>(&self, operation: Operation, answer: Result<T, SinkError>) -> Result<T, SinkError> {
        if let Err(SinkError::Throttled { retry_after }) = &answer {
            self.budgets.pause(operation, retry_after.unwrap_or(THROTTLE_PAUSE));
        }
        answer
    }
}

/// Refuses none, and more than a request takes. Nothing was sent.
fn check_count(count: usize, count_max: usize) -> Result<(), SinkError> {
    if (1..=count_max).contains(&count) {
        return Ok(());
    }
    Err(SinkError::malformed(format!("{count} records in one request, it takes 1 to {count_max}")))
}
