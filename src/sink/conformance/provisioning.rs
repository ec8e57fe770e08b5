//! What every [`Provisioner`] has to do.

use std::time::Duration;

use serde_json::json;

use super::{LOOKS_MAX, batch};
use crate::entity::Entity;
use crate::sink::{
    Budgets, ErrorCode, Operation, ProvisionRequest, Provisioner, Provisioning, ReadSubscription, SinkError,
};

/// What the target has to hold before [`check_provisioning`] runs.
#[derive(Debug, Clone)]
pub struct ProvisionFixture {
    /// Begins every id that the suite makes, so that runs do not meet. The customer `{prefix}-nobody` must not exist.
    pub prefix: String,
    /// A published paid plan of a product without several subscriptions per customer.
    pub plan_id: String,
    /// A published paid plan of a product that allows several.
    pub plan_of_many_id: String,
    /// A customer's id at the billing provider who has a means of payment there.
    pub payer_billing_id: String,
}

/// Start of everything that the suite provisions.
const START: &str = "2026-01-15T00:00:00.000Z";

/// Runs the whole suite. What the API does with an id that it knows is not documented, and not in it.
///
/// # Panics
///
/// At the first thing that does not hold.
pub async fn check_provisioning(sink: &dyn Provisioner, budgets: &Budgets, fixture: &ProvisionFixture) {
    let suite = Suite { sink, budgets, fixture };
    suite.customers_are_there().await;
    suite.one_is_provisioned_and_read_back().await;
    suite.a_second_one_ends_the_first().await;
    suite.resources_live_side_by_side().await;
    suite.who_cannot_pay_gets_nothing().await;
    suite.who_is_not_known_is_refused().await;
}

/// A request for a backdated subscription, billed each month.
pub fn provision_request(
    subscription_id: &str,
    customer_id: &str,
    plan_id: &str,
    resource_id: Option<&str>,
) -> ProvisionRequest {
    let mut input = json!({
        "subscriptionId": subscription_id, "customerId": customer_id, "planId": plan_id, "startDate": START,
        "billingPeriod": "MONTHLY", "billingInformation": { "isBackdated": true, "metadata": { "origin": "conformance" } },
        "additionalMetaData": { "origin": "conformance" },
    });
    if let Some(resource_id) = resource_id {
        input["resourceId"] = resource_id.into();
    }
    ProvisionRequest {
        subscription_id: subscription_id.to_owned(),
        customer_id: customer_id.to_owned(),
        resource_id: resource_id.map(str::to_owned),
        input_json: input.to_string(),
    }
}

struct Suite<'a> {
    sink: &'a dyn Provisioner,
    budgets: &'a Budgets,
    fixture: &'a ProvisionFixture,
}

impl Suite<'_> {
    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.fixture.prefix)
    }

    async fn provision(&self, request: &ProvisionRequest) -> Result<Provisioning, SinkError> {
        let permit = self.budgets.acquire_provision(&request.customer_id, request.resource_id.as_deref()).await;
        self.sink.provision(request, permit).await
    }

    async fn read(&self, id: &str) -> Option<ReadSubscription> {
        let permit = self.budgets.acquire(Operation::Subscriptions).await;
        let mut page = self.sink.read_subscriptions(&[id], None, permit).await.expect("subscriptions are read");
        assert!(page.items.len() <= 1, "one subscription of one id");
        page.items.pop()
    }

    /// Reads until it is at the billing provider.
    async fn read_in_time(&self, id: &str) -> ReadSubscription {
        for _ in 0..LOOKS_MAX {
            if let Some(read) = self.read(id).await.filter(|read| read.billing_id.is_some()) {
                return read;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{id} did not reach the billing provider");
    }

    async fn customers_are_there(&self) {
        let payer = |id: String| {
            let json = json!({ "customerId": id, "name": "Payer", "billingId": self.fixture.payer_billing_id });
            (id, json)
        };
        let broke = json!({ "customerId": self.id("broke"), "name": "Broke" });
        let customers = [payer(self.id("payer")), payer(self.id("many")), (self.id("broke"), broke)];
        let permit = self.budgets.acquire(Operation::ImportCustomers).await;
        self.sink.submit(&batch(Entity::Customer, &customers), permit).await.expect("customers are taken");
    }

    async fn one_is_provisioned_and_read_back(&self) {
        let (id, payer) = (self.id("first"), self.id("payer"));

        let answer = self.provision(&provision_request(&id, &payer, &self.fixture.plan_id, None)).await;

        let Ok(Provisioning::Provisioned { subscription, is_scheduled, request_id }) = answer else {
            panic!("not provisioned: {answer:?}")
        };
        assert!(!is_scheduled, "it began in the past");
        assert!(request_id.is_some_and(|id| !id.is_empty()), "the answer has an id");
        if let Some(subscription) = subscription {
            assert_eq!((&subscription.subscription_id, subscription.status.as_str()), (&id, "ACTIVE"));
            assert_eq!(subscription.billing_sync_error, None);
        }
        let read = self.read_in_time(&id).await;
        assert_eq!((read.customer_id, read.plan_id, read.resource_id), (payer, self.fixture.plan_id.clone(), None));
        assert_eq!((read.status.as_str(), read.pricing_type.as_str()), ("ACTIVE", "PAID"));
        assert_eq!(read.start_date, START.parse().ok());
        assert_eq!(read.billing_period.as_deref(), Some("MONTHLY"));
        assert_eq!(read.metadata.get("origin"), Some(&json!("conformance")));
        assert_eq!(read.billing_sync_error, None);
        assert!(read.sync_states.iter().all(|state| state.status != "ERROR"), "{:?}", read.sync_states);
        assert_ne!(read.billing_id.as_deref(), Some(self.fixture.payer_billing_id.as_str()), "it has an id of its own");
    }

    async fn a_second_one_ends_the_first(&self) {
        let (first, second) = (self.id("first"), self.id("second"));

        let answer = self.provision(&provision_request(&second, &self.id("payer"), &self.fixture.plan_id, None)).await;

        assert!(matches!(answer, Ok(Provisioning::Provisioned { .. })), "{answer:?}");
        let (first, second) = (self.read_in_time(&first).await, self.read_in_time(&second).await);
        assert_eq!((first.status.as_str(), second.status.as_str()), ("CANCELED", "ACTIVE"));
        assert_ne!(first.billing_id, second.billing_id);
    }

    async fn resources_live_side_by_side(&self) {
        let plan = &self.fixture.plan_of_many_id;
        for resource in ["north", "south"] {
            let request = provision_request(&self.id(resource), &self.id("many"), plan, Some(resource));
            let answer = self.provision(&request).await;
            assert!(matches!(answer, Ok(Provisioning::Provisioned { .. })), "{answer:?}");
        }
        for resource in ["north", "south"] {
            let read = self.read_in_time(&self.id(resource)).await;
            assert_eq!((read.resource_id.as_deref(), read.status.as_str()), (Some(resource), "ACTIVE"));
        }
    }

    async fn who_cannot_pay_gets_nothing(&self) {
        let id = self.id("unpaid");

        let answer = self.provision(&provision_request(&id, &self.id("broke"), &self.fixture.plan_id, None)).await;

        assert!(matches!(answer, Ok(Provisioning::PaymentRequired { .. })), "{answer:?}");
        let read = self.read(&id).await;
        assert!(read.as_ref().is_none_or(|read| read.status != "ACTIVE"), "{read:?}");
    }

    async fn who_is_not_known_is_refused(&self) {
        let id = self.id("nobody-s");

        let answer = self.provision(&provision_request(&id, &self.id("nobody"), &self.fixture.plan_id, None)).await;

        assert!(matches!(&answer, Err(SinkError::Refused { code: ErrorCode::CustomerNotFound, .. })), "{answer:?}");
        assert_eq!(self.read(&id).await, None);
    }
}
