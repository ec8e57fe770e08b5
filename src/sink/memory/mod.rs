//! A sink in memory, with faults on demand, for tests of whatever stands on a sink.

mod fault;
mod provisioning;
mod records;
mod state;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use serde_json::Value;

use super::budget::Permit;
use super::code::ErrorCode;
use super::error::{Named, SinkError, UnknownCause};
use super::{
    CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, Operation, Page, ReadCustomer, ReadSubscription,
    ReadUsage, Sink, Submission, TaskState, answer, check_ids, check_permit,
};
use crate::batch::Batch;
use crate::entity::Entity;
pub use fault::{Fault, Tasks};
use records::{customer, subscription, text};
use state::{State, Task};

/// Keeps everything in maps. Upserts by key, as the API does.
#[derive(Debug, Default)]
pub struct MemorySink {
    state: Mutex<State>,
}

impl MemorySink {
    /// Makes the next submission without a fault go wrong. Faults queue.
    pub fn inject(&self, fault: Fault) {
        self.state().write_faults.push_back(fault);
    }

    /// Makes the next read (task, entities, catalog) go wrong.
    pub fn inject_read(&self, fault: Fault) {
        self.state().read_faults.push_back(fault);
    }

    /// Refuses a record for good: a batch of customers or usage that holds it is refused as a whole, an import of
    /// subscriptions skips it.
    pub fn refuse(&self, entity: Entity, key: &str, code: ErrorCode) {
        self.state().refused.insert((entity, key.to_owned()), code);
    }

    /// Takes it again.
    pub fn allow(&self, entity: Entity, key: &str) {
        self.state().refused.remove(&(entity, key.to_owned()));
    }

    /// How imports of subscriptions are followed. Default: a task of one look.
    pub fn set_tasks(&self, tasks: Tasks) {
        self.state().tasks = tasks;
    }

    /// The catalog that it lists.
    pub fn set_catalog(&self, plans: Vec<CatalogPlan>, features: Vec<CatalogFeature>) {
        let mut state = self.state();
        (state.plans, state.features) = (plans, features);
    }

    /// How often each record was applied, by entity and key.
    pub fn applied(&self) -> BTreeMap<(Entity, String), u64> {
        self.state().applied.clone()
    }

    /// A record's JSON as it was sent last.
    pub fn record(&self, entity: Entity, key: &str) -> Option<Value> {
        self.state().records.get(&(entity, key.to_owned())).cloned()
    }

    /// Requests that it received, reads included.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether to answer at all.
    fn submit_now(&self, batch: &Batch) -> Result<Option<Submission>, SinkError> {
        let mut state = self.state();
        let fault = state.write_faults.pop_front();
        if let Some(error) = fault.as_ref().and_then(before) {
            return Err(error);
        }
        state.requests += 1;
        let rows: Vec<(String, Value)> = batch
            .items
            .iter()
            .map(|item| Ok((batch.key_of(item).to_owned(), parse(batch.json_of(item))?)))
            .collect::<Result<_, SinkError>>()?;
        if let Some(Fault::Refuse(code)) = fault {
            return Err(refusal(code));
        }
        if let Some(Fault::ApplyHalf(code)) = fault {
            let half = rows.len() / 2;
            rows.into_iter().take(half).for_each(|(key, json)| state.apply(batch.entity, key, json));
            return Err(refusal(code));
        }
        let code_of = |state: &State, key: &str| state.refused.get(&(batch.entity, key.to_owned())).cloned();
        let submission = match batch.entity {
            Entity::Customer | Entity::Usage | Entity::Event => {
                if let Some(code) = rows.iter().find_map(|(key, _)| code_of(&state, key)) {
                    return Err(refusal(code));
                }
                rows.into_iter().for_each(|(key, json)| state.apply(batch.entity, key, json));
                Submission::applied()
            }
            Entity::Subscription => {
                let mut task = Task { looks_left: 0, looks: 0, rows: Vec::new(), errors: Vec::new() };
                for (key, json) in rows {
                    match code_of(&state, &key) {
                        Some(code) => task.errors.push((key, code.to_string())),
                        None => task.rows.push((key, json)),
                    }
                }
                state.start(task)
            }
        };
        match fault {
            Some(Fault::LoseAnswer | Fault::ApplyLate(_)) => Err(lost()),
            Some(Fault::Hold) => Ok(None),
            _ => Ok(Some(submission)),
        }
    }

    /// Checks permit and faults of a read, then answers from the state.
    fn read<T: Send>(
        &self,
        permit: &Permit,
        operation: Operation,
        answer: impl FnOnce(&mut State) -> T,
    ) -> Result<T, SinkError> {
        check_permit(permit, operation)?;
        let mut state = self.state();
        let fault = state.read_faults.pop_front();
        if let Some(error) = fault.as_ref().and_then(before) {
            return Err(error);
        }
        state.requests += 1;
        match fault {
            Some(Fault::Refuse(code) | Fault::ApplyHalf(code)) => Err(refusal(code)),
            Some(Fault::LoseAnswer | Fault::Hold | Fault::ApplyLate(_)) => Err(lost()),
            _ => Ok(answer(&mut state)),
        }
    }
}

/// The error of a fault that keeps a request from arriving.
fn before(fault: &Fault) -> Option<SinkError> {
    match fault {
        Fault::NotSent => Some(SinkError::NotSent { source: "no connection".into() }),
        Fault::Throttled(retry_after) => Some(SinkError::Throttled { retry_after: *retry_after }),
        Fault::LoseRequest => Some(lost()),
        Fault::LoseAnswer | Fault::Hold | Fault::Refuse(_) | Fault::ApplyHalf(_) | Fault::ApplyLate(_) => None,
    }
}

fn lost() -> SinkError {
    SinkError::Unknown { cause: UnknownCause::Lost("the connection was cut".into()), retry_after: None }
}

fn refusal(code: ErrorCode) -> SinkError {
    let message = format!("refused with {code}");
    answer::of_code(code, message, Named::default(), None)
}

fn parse(json: &[u8]) -> Result<Value, SinkError> {
    serde_json::from_slice(json).map_err(|error| SinkError::malformed(error.to_string()))
}

impl Sink for MemorySink {
    fn submit<'a>(&'a self, batch: &'a Batch, permit: Permit) -> BoxFuture<'a, Result<Submission, SinkError>> {
        Box::pin(async move {
            check_permit(&permit, Operation::of(batch.entity))?;
            match self.submit_now(batch)? {
                Some(submission) => Ok(submission),
                None => std::future::pending().await,
            }
        })
    }

    fn task<'a>(&'a self, id: &'a str, permit: Permit) -> BoxFuture<'a, Result<TaskState, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::ImportTasks, |state| state.task(id)) })
    }

    fn running_imports(&self, permit: Permit) -> BoxFuture<'_, Result<Option<Vec<String>>, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::ImportTasks, |state| state.running()) })
    }

    fn read_customers<'a>(
        &'a self,
        ids: &'a [&'a str],
        _after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadCustomer>, SinkError>> {
        Box::pin(async move {
            check_ids(ids)?;
            self.read(&permit, Operation::Customers, |state| state.find(Entity::Customer, ids, customer))
        })
    }

    fn read_subscriptions<'a>(
        &'a self,
        ids: &'a [&'a str],
        _after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>> {
        Box::pin(async move {
            check_ids(ids)?;
            self.read(&permit, Operation::Subscriptions, |state| {
                state.look();
                state.bring_on_provisioned();
                state.find(Entity::Subscription, ids, subscription)
            })
        })
    }

    fn read_subscriptions_of<'a>(
        &'a self,
        customer_ids: &'a [&'a str],
        _after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<ReadSubscription>, SinkError>> {
        Box::pin(async move {
            check_ids(customer_ids)?;
            self.read(&permit, Operation::Subscriptions, |state| {
                state.look();
                state.bring_on_provisioned();
                let all = state.records.iter().filter(|((entity, _), _)| *entity == Entity::Subscription);
                let all = all.map(|((_, id), json)| subscription(id, json));
                Page::only(all.filter(|one| customer_ids.contains(&one.customer_id.as_str())).collect())
            })
        })
    }

    fn customer_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::Customers, |state| state.ids(Entity::Customer, after)) })
    }

    fn subscription_ids<'a>(
        &'a self,
        after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<String>, SinkError>> {
        Box::pin(async move {
            self.read(&permit, Operation::Subscriptions, |state| {
                state.look();
                state.ids(Entity::Subscription, after)
            })
        })
    }

    fn read_usage<'a>(
        &'a self,
        customer_id: &'a str,
        resource_id: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Vec<ReadUsage>, SinkError>> {
        Box::pin(async move {
            self.read(&permit, Operation::EntitlementsState, |state| {
                let usage = state.records.iter().filter(|((entity, _), json)| {
                    *entity == Entity::Usage
                        && json["customerId"] == customer_id
                        && json["resourceId"].as_str() == resource_id
                });
                usage
                    .map(|(_, json)| ReadUsage {
                        feature_id: text(json, "featureId"),
                        current_usage: json["value"].as_f64(),
                        usage_limit: None,
                        period_start: None,
                        period_end: None,
                    })
                    .collect()
            })
        })
    }

    fn environment(&self, permit: Permit) -> BoxFuture<'_, Result<Option<String>, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::CurrentEnvironment, |_| Some("memory".to_owned())) })
    }

    fn plans<'a>(
        &'a self,
        _after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogPlan>, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::Plans, |state| Page::only(state.plans.clone())) })
    }

    fn features<'a>(
        &'a self,
        _after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogFeature>, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::Features, |state| Page::only(state.features.clone())) })
    }

    fn addons<'a>(
        &'a self,
        _after: Option<&'a str>,
        permit: Permit,
    ) -> BoxFuture<'a, Result<Page<CatalogAddon>, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::Addons, |_| Page::only(Vec::new())) })
    }

    fn currencies(&self, permit: Permit) -> BoxFuture<'_, Result<Vec<CatalogCurrency>, SinkError>> {
        Box::pin(async move { self.read(&permit, Operation::CustomCurrencies, |_| Vec::new()) })
    }
}

#[cfg(test)]
mod tests;
