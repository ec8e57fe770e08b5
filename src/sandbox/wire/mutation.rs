//! What can be written (contract 3.1, 3.2, 3.4, 3.5, 3.6).

use async_graphql::{Context, Object, Result};
use tokio::time::Instant;

use super::enums::{ProvisionSubscriptionStatus, SubscriptionStatus};
use super::inputs::{
    ArchiveCustomerInput, ImportCustomerBulkInput, ImportSubscriptionsBulkInput, ReportUsageBaseInput,
    ReportUsageBulkInput, ReportUsageInput, SubscriptionCancellationInput, UsageEventsReportInput,
};
use super::lists::environment;
use super::objects::{Customer, CustomerSubscription, ProvisionSubscriptionResult, UsageMeasurementWithCurrentUsage};
use super::scalars::{DateTime, Uuid};
use super::terms::ProvisionSubscriptionInput;
use crate::sandbox::billing::bring_to_provider;
use crate::sandbox::environment::{Environment, lock};
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::store::provision::Provisioned;
use crate::sandbox::store::usage::Measured;
use crate::sandbox::store::{Counts, Store, Written};
use crate::sandbox::unknowns::{BulkEntityLimit, CustomerAnswer, SchemaAge};

/// The root of writing.
pub(crate) struct Mutation;

/// Whose request it is.
pub(crate) struct Caller {
    pub key: String,
}

/// Takes one mutation of each entity from the limit per entity.
fn take_entities(context: &Context<'_>, mut entities: Vec<String>) -> std::result::Result<(), Refusal> {
    entities.sort_unstable();
    entities.dedup();
    let key = &context.data_unchecked::<Caller>().key;
    lock(&environment(context).limits).take_entities(key, &entities, Instant::now()).map_err(Refusal::too_many_requests)
}

/// The same for the rows of a bulk request, if they count.
fn take_rows<'a>(
    context: &Context<'_>,
    rows: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> std::result::Result<(), Refusal> {
    match environment(context).unknowns.bulk_entity_limit {
        BulkEntityLimit::Free => Ok(()),
        BulkEntityLimit::Counted => {
            take_entities(context, rows.filter_map(|(customer, resource)| Some(entity(customer?, resource))).collect())
        }
    }
}

/// `customerId:resourceId`, without a resource `customerId` (contract 6).
fn entity(customer_id: &str, resource_id: Option<&str>) -> String {
    resource_id.map_or_else(|| customer_id.to_owned(), |resource_id| format!("{customer_id}:{resource_id}"))
}

/// As GraphQL says it of an input field that a schema does not have.
fn undefined_field(input: &str, field: &str) -> Refusal {
    Refusal::new(Code::BadUserInput, format!("Field \"{field}\" is not defined by type \"{input}\""))
}

fn refuse_usage_keys(
    age: SchemaAge,
    input: &str,
    mut keys: impl Iterator<Item = bool>,
) -> std::result::Result<(), Refusal> {
    if age != SchemaAge::Current && keys.any(|sent| sent) {
        return Err(undefined_field(input, "idempotencyKey"));
    }
    Ok(())
}

fn measurement(environment: &Environment, measured: Measured, now_ms: i64) -> UsageMeasurementWithCurrentUsage {
    UsageMeasurementWithCurrentUsage {
        created_at: DateTime(now_ms),
        credit: None,
        current_usage: Some(measured.current),
        customer_id: measured.key.customer_id,
        environment_id: environment.id.0.clone(),
        feature_id: measured.key.feature_id,
        id: Uuid::of("measurement", &measured.number.to_string()),
        next_reset_date: None,
        resource_id: measured.key.resource_id,
        timestamp: DateTime(measured.at_ms),
        usage_period_end: None,
        usage_period_start: None,
        value: measured.value,
    }
}

fn subscription_at(
    environment: &Environment,
    store: &Store,
    position: u32,
    now_ms: i64,
) -> Option<CustomerSubscription> {
    let row = store.subscriptions.at(position)?;
    environment.view(store, now_ms).single(row, row.content())
}

#[Object]
impl Mutation {
    async fn import_customers_bulk(
        &self,
        context: &Context<'_>,
        input: ImportCustomerBulkInput,
    ) -> Result<Option<String>> {
        let environment = environment(context);
        let rows = input.customers;
        take_rows(context, rows.iter().map(|row| (row.customer_id.as_deref().or(row.ref_id.as_deref()), None)))?;
        let received = rows.len();
        let mut counts = Counts::default();
        let outcome = {
            let (mut store, now_ms) = environment.store();
            store.import_customers(rows, now_ms, &mut counts)
        };
        lock(&environment.counters).rows("importCustomersBulk", received, counts);
        let created = outcome?;
        Ok(match environment.unknowns.customer_answer {
            CustomerAnswer::Null => None,
            CustomerAnswer::Word => Some(String::from("OK")),
            CustomerAnswer::Json => Some(serde_json::json!({ "newCustomers": created }).to_string()),
        })
    }

    async fn import_subscriptions_bulk(
        &self,
        context: &Context<'_>,
        input: ImportSubscriptionsBulkInput,
    ) -> Result<Option<String>> {
        let environment = environment(context);
        let rows = input.subscriptions;
        if environment.unknowns.schema_age == SchemaAge::BeforeEntitlements
            && rows.iter().any(|row| row.entitlements.is_some())
        {
            return Err(undefined_field("ImportSubscriptionInput", "entitlements").into());
        }
        take_rows(context, rows.iter().map(|row| (Some(row.customer_id.as_str()), row.resource_id.as_deref())))?;
        let received = rows.len();
        let outcome = {
            let (mut store, now_ms) = environment.store();
            store.start_import(rows, now_ms)
        };
        lock(&environment.counters).rows("importSubscriptionsBulk", received, Counts::default());
        Ok(Some(outcome?.0))
    }

    async fn report_usage_bulk(
        &self,
        context: &Context<'_>,
        input: ReportUsageBulkInput,
    ) -> Result<Vec<UsageMeasurementWithCurrentUsage>> {
        let environment = environment(context);
        let rows = input.usages;
        let age = environment.unknowns.schema_age;
        refuse_usage_keys(age, "ReportUsageBaseInput", rows.iter().map(|row| row.idempotency_key.is_some()))?;
        take_rows(context, rows.iter().map(|row| (Some(row.customer_id.as_str()), row.resource_id.as_deref())))?;
        report(environment, "reportUsageBulk", rows)
    }

    async fn report_event(&self, context: &Context<'_>, events: UsageEventsReportInput) -> Result<Option<String>> {
        let environment = environment(context);
        let rows = events.usage_events;
        let received = rows.len();
        let key = &context.data_unchecked::<Caller>().key;
        lock(&environment.limits).take_events(key, received, Instant::now()).map_err(Refusal::too_many_requests)?;
        take_rows(context, rows.iter().map(|row| (Some(row.customer_id.as_str()), row.resource_id.as_deref())))?;
        let mut counts = Counts::default();
        let outcome = {
            let (mut store, now_ms) = environment.store();
            store.report_events(rows, now_ms, &mut counts)
        };
        lock(&environment.counters).rows("reportEvent", received, counts);
        outcome?;
        Ok(None)
    }

    async fn report_usage(
        &self,
        context: &Context<'_>,
        input: ReportUsageInput,
    ) -> Result<UsageMeasurementWithCurrentUsage> {
        let environment = environment(context);
        let age = environment.unknowns.schema_age;
        refuse_usage_keys(age, "ReportUsageInput", std::iter::once(input.idempotency_key.is_some()))?;
        take_rows(context, std::iter::once((Some(input.customer_id.as_str()), input.resource_id.as_deref())))?;
        let row = ReportUsageBaseInput {
            created_at: input.created_at,
            customer_id: input.customer_id,
            dimensions: input.dimensions,
            feature_id: input.feature_id,
            idempotency_key: input.idempotency_key,
            resource_id: input.resource_id,
            update_behavior: input.update_behavior,
            value: input.value,
        };
        let measured = report(environment, "reportUsage", vec![row])?.pop();
        measured.ok_or_else(|| Refusal::new(Code::UnexpectedError, "no measurement").into())
    }

    #[graphql(name = "provisionSubscriptionV2")]
    async fn provision_subscription(
        &self,
        context: &Context<'_>,
        input: ProvisionSubscriptionInput,
    ) -> Result<ProvisionSubscriptionResult> {
        let environment = environment(context);
        take_entities(context, vec![entity(&input.customer_id, input.resource_id.as_deref())])?;
        let mut counts = Counts::default();
        let (outcome, now_ms) = {
            let (mut store, now_ms) = environment.store();
            let outcome = store.provision(input, now_ms).map(|done| match done {
                Provisioned::PaymentRequired { checkout_id } => {
                    counts.skipped += 1;
                    Err(checkout_id)
                }
                Provisioned::Done { position, new } => {
                    if new {
                        bring_to_provider(environment, &store, position, now_ms);
                        counts.add(Written::Created)
                    } else {
                        counts.skipped += 1
                    }
                    Ok(subscription_at(environment, &store, position, now_ms))
                }
            });
            (outcome, now_ms)
        };
        counts.failed += u64::from(outcome.is_err());
        lock(&environment.counters).rows("provisionSubscriptionV2", 1, counts);
        Ok(match outcome? {
            Err(checkout_id) => ProvisionSubscriptionResult {
                checkout_url: Some(format!("https://checkout.invalid/{checkout_id}")),
                checkout_billing_id: Some(checkout_id.clone()),
                id: checkout_id,
                is_scheduled: Some(false),
                status: ProvisionSubscriptionStatus::PaymentRequired,
                subscription: None,
            },
            Ok(subscription) => {
                let id = subscription.as_ref().map_or("", |subscription| subscription.subscription_id.as_str());
                ProvisionSubscriptionResult {
                    checkout_billing_id: None,
                    checkout_url: None,
                    id: Uuid::of("provision", &format!("{id}\n{now_ms}")).0,
                    is_scheduled: Some(
                        subscription.as_ref().is_some_and(|s| s.status == SubscriptionStatus::NotStarted),
                    ),
                    status: ProvisionSubscriptionStatus::Success,
                    subscription,
                }
            }
        })
    }

    async fn cancel_subscription(
        &self,
        context: &Context<'_>,
        input: SubscriptionCancellationInput,
    ) -> Result<CustomerSubscription> {
        let environment = environment(context);
        take_entities(context, vec![input.subscription_ref_id.clone()])?;
        let outcome = {
            let (mut store, now_ms) = environment.store();
            store.cancel(&input, now_ms).map(|position| subscription_at(environment, &store, position, now_ms))
        };
        let mut counts = Counts::default();
        match &outcome {
            Ok(_) => counts.add(Written::Changed),
            Err(_) => counts.failed += 1,
        }
        lock(&environment.counters).rows("cancelSubscription", 1, counts);
        outcome?.ok_or_else(|| Refusal::new(Code::UnexpectedError, "the subscription has no customer").into())
    }

    async fn archive_customer(&self, context: &Context<'_>, input: ArchiveCustomerInput) -> Result<Customer> {
        let environment = environment(context);
        take_entities(context, vec![input.customer_id.clone()])?;
        let (mut store, now_ms) = environment.store();
        store.archive_customer(&input.customer_id, now_ms)?;
        let archived = store.customers.get(&input.customer_id);
        let shown = archived.map(|row| environment.view(&store, now_ms).customer(row));
        shown.ok_or_else(|| Refusal::new(Code::UnexpectedError, "the archived customer is gone").into())
    }
}

fn report(
    environment: &Environment,
    root_field: &'static str,
    rows: Vec<ReportUsageBaseInput>,
) -> Result<Vec<UsageMeasurementWithCurrentUsage>> {
    let received = rows.len();
    let mut counts = Counts::default();
    let (outcome, now_ms) = {
        let (mut store, now_ms) = environment.store();
        (store.report_usage(rows, now_ms, &mut counts), now_ms)
    };
    lock(&environment.counters).rows(root_field, received, counts);
    Ok(outcome?.into_iter().map(|measured| measurement(environment, measured, now_ms)).collect())
}
