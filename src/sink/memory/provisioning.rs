//! Provisioning in memory, as unkind as the API may be: an id that is known is provisioned a second time, and a request
//! whose answer is lost may be carried out later.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Fault, MemorySink, State, before, lost, parse, refusal};
use crate::entity::Entity;
use crate::sink::{
    ErrorCode, Operation, ProvisionPermit, ProvisionRequest, ProvisionedSubscription, Provisioner, Provisioning,
    SinkError, check_permit,
};

/// What it knows of provisioning.
#[derive(Debug, Default)]
pub(super) struct Provisions {
    /// How often each id was provisioned: more than once is never right.
    counts: BTreeMap<String, u64>,
    /// Customers that have to pay first.
    must_pay: BTreeSet<String>,
    /// Requests that are carried out later.
    late: Vec<(Instant, Value)>,
    /// Looks until a new one is at the billing provider.
    looks: u32,
}

impl MemorySink {
    /// How often each subscription was provisioned.
    pub fn provisioned(&self) -> BTreeMap<String, u64> {
        let mut state = self.state();
        state.carry_out_late();
        state.provisions.counts.clone()
    }

    /// Lets a customer pay first: `PAYMENT_REQUIRED`.
    pub fn must_pay(&self, customer_id: &str) {
        self.state().provisions.must_pay.insert(customer_id.to_owned());
    }

    /// How many looks at it a new subscription takes until it is at the billing provider. Default 0.
    pub fn set_sync_looks(&self, looks: u32) {
        self.state().provisions.looks = looks;
    }

    /// Changes a record from outside; its JSON is as it was sent, and for a subscription may have `status`, `billingId`,
    /// `billingSyncError` and `pricingType`, too.
    pub fn change(&self, entity: Entity, key: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        state.carry_out_late();
        if let Some(json) = state.records.get_mut(&(entity, key.to_owned())) {
            change(json);
        }
    }

    fn provision_now(&self, request: &ProvisionRequest) -> Result<Option<Provisioning>, SinkError> {
        let mut state = self.state();
        state.carry_out_late();
        let fault = state.write_faults.pop_front();
        if let Some(error) = fault.as_ref().and_then(before) {
            return Err(error);
        }
        state.requests += 1;
        let input = parse(request.input_json.as_bytes())?;
        let code = state.refused.get(&(Entity::Subscription, request.subscription_id.clone())).cloned();
        match (&fault, &code) {
            (Some(Fault::Refuse(code) | Fault::ApplyHalf(code)), _) | (_, Some(code)) => {
                return Err(refusal(code.clone()));
            }
            (Some(Fault::ApplyLate(after)), None) => {
                let at = Instant::now() + *after;
                state.provisions.late.push((at, input));
                return Err(lost());
            }
            _ => {}
        }
        let answer = state.provision(&input)?;
        match fault {
            Some(Fault::LoseAnswer) => Err(lost()),
            Some(Fault::Hold) => Ok(None),
            _ => Ok(Some(answer)),
        }
    }
}

impl State {
    /// Carries out what was to be carried out by now.
    pub(super) fn carry_out_late(&mut self) {
        let now = Instant::now();
        let due: Vec<Value> =
            self.provisions.late.extract_if(.., |(at, _)| *at <= now).map(|(_, input)| input).collect();
        for input in due {
            let _ = self.provision(&input);
        }
    }

    fn provision(&mut self, input: &Value) -> Result<Provisioning, SinkError> {
        let text = |field: &str| input[field].as_str().unwrap_or_default().to_owned();
        let (id, customer_id) = (text("subscriptionId"), text("customerId"));
        let request_id = Some(format!("result-{}", self.requests));
        let Some(customer) = self.records.get(&(Entity::Customer, customer_id.clone())) else {
            return Err(refusal(ErrorCode::CustomerNotFound));
        };
        if self.provisions.must_pay.contains(&customer_id) || customer["billingId"].is_null() {
            return Ok(Provisioning::PaymentRequired { checkout_url: None, request_id });
        }
        *self.provisions.counts.entry(id.clone()).or_default() += 1;
        // A new one ends the customer's other one of the resource.
        for ((entity, other), json) in &mut self.records {
            if *entity == Entity::Subscription
                && *other != id
                && json["customerId"] == input["customerId"]
                && json["resourceId"] == input["resourceId"]
            {
                json["status"] = json!("CANCELED");
            }
        }
        let mut record = input.clone();
        record["pricingType"] = json!("PAID");
        record["newBillingId"] = json!(format!("new-{id}"));
        record["looks"] = json!(self.provisions.looks);
        bring_on(&mut record);
        let subscription = ProvisionedSubscription {
            subscription_id: id.clone(),
            status: "ACTIVE".to_owned(),
            start_date: None,
            billing_id: record["billingId"].as_str().map(str::to_owned),
            billing_sync_error: None,
        };
        self.records.insert((Entity::Subscription, id), record);
        Ok(Provisioning::Provisioned { subscription: Some(Box::new(subscription)), is_scheduled: false, request_id })
    }

    /// A look brings each provisioned subscription on its way to the billing provider.
    pub(super) fn bring_on_provisioned(&mut self) {
        self.carry_out_late();
        for ((entity, _), json) in &mut self.records {
            if *entity == Entity::Subscription && json["newBillingId"].is_string() {
                bring_on(json);
            }
        }
    }
}

fn bring_on(record: &mut Value) {
    match record["looks"].as_u64() {
        Some(0) if record["billingId"].is_null() => record["billingId"] = record["newBillingId"].clone(),
        Some(looks @ 1..) => record["looks"] = json!(looks - 1),
        _ => {}
    }
}

impl Provisioner for MemorySink {
    fn provision<'a>(
        &'a self,
        request: &'a ProvisionRequest,
        permit: ProvisionPermit,
    ) -> BoxFuture<'a, Result<Provisioning, SinkError>> {
        Box::pin(async move {
            check_permit(&permit.operation, Operation::ProvisionSubscription)?;
            match self.provision_now(request)? {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        })
    }
}
