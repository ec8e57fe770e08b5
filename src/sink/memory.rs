//! A sink in memory, with faults on demand, for tests of whatever stands on a sink.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::budget::Permit;
use super::code::ErrorCode;
use super::error::{Named, SinkError, UnknownCause};
use super::{
    CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, Operation, Page, ReadAddon, ReadCustomer,
    ReadEntitlement, ReadSubscription, ReadUsage, Sink, Submission, TaskState, TaskStatus, answer, check_ids,
    check_permit,
};
use crate::batch::Batch;
use crate::entity::Entity;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It does not leave.
    NotSent,
    /// It is refused for now.
    Throttled(Option<Duration>),
    /// It is lost on the way: nothing is applied, and nobody knows.
    LoseRequest,
    /// It is applied, and the answer is lost.
    LoseAnswer,
    /// It is applied, and no answer ever comes: the future never ends.
    Hold,
    /// It is refused as a whole with this code.
    Refuse(ErrorCode),
    /// The first half of its records is applied, and the whole is answered with this code.
    ApplyHalf(ErrorCode),
}

/// How an import of subscriptions is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    /// It is applied at once, before the answer.
    None,
    /// A task of so many looks (at it, or at the subscriptions) does it.
    Listed {
        /// Looks until it is done.
        looks: u32,
    },
    /// As `Listed`, and the task can't be read: [`TaskState::NotListed`].
    NotListed {
        /// Looks until it is done.
        looks: u32,
    },
    /// As `Listed`, and the task can't be read: [`TaskState::Unreadable`].
    Unreadable {
        /// Looks until it is done.
        looks: u32,
    },
}

/// Keeps everything in maps. Upserts by key, as the API does.
#[derive(Debug, Default)]
pub struct MemorySink {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tasks: Tasks,
    records: BTreeMap<(Entity, String), Value>,
    applied: BTreeMap<(Entity, String), u64>,
    refused: BTreeMap<(Entity, String), ErrorCode>,
    write_faults: VecDeque<Fault>,
    read_faults: VecDeque<Fault>,
    started: BTreeMap<String, Task>,
    plans: Vec<CatalogPlan>,
    features: Vec<CatalogFeature>,
    requests: u64,
}

#[derive(Debug)]
struct Task {
    looks_left: u32,
    looks: u32,
    rows: Vec<(String, Value)>,
    errors: Vec<(String, String)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            tasks: Tasks::Listed { looks: 1 },
            records: BTreeMap::new(),
            applied: BTreeMap::new(),
            refused: BTreeMap::new(),
            write_faults: VecDeque::new(),
            read_faults: VecDeque::new(),
            started: BTreeMap::new(),
            plans: Vec::new(),
            features: Vec::new(),
            requests: 0,
        }
    }
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
            Entity::Customer | Entity::Usage => {
                if let Some(code) = rows.iter().find_map(|(key, _)| code_of(&state, key)) {
                    return Err(refusal(code));
                }
                let current_usage = match batch.entity {
                    Entity::Usage => rows.iter().map(|(_, json)| json["value"].as_f64()).collect(),
                    Entity::Customer | Entity::Subscription => Vec::new(),
                };
                rows.into_iter().for_each(|(key, json)| state.apply(batch.entity, key, json));
                Submission::Applied { current_usage, unanswered: Vec::new() }
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
            Some(Fault::LoseAnswer) => Err(lost()),
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
            Some(Fault::LoseAnswer | Fault::Hold) => Err(lost()),
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
        Fault::LoseAnswer | Fault::Hold | Fault::Refuse(_) | Fault::ApplyHalf(_) => None,
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

impl State {
    fn apply(&mut self, entity: Entity, key: String, json: Value) {
        *self.applied.entry((entity, key.clone())).or_default() += 1;
        self.records.insert((entity, key), json);
    }

    fn start(&mut self, mut task: Task) -> Submission {
        let looks = match self.tasks {
            Tasks::None => {
                task.rows.into_iter().for_each(|(key, json)| self.apply(Entity::Subscription, key, json));
                return Submission::applied();
            }
            Tasks::Listed { looks } | Tasks::NotListed { looks } | Tasks::Unreadable { looks } => looks,
        };
        (task.looks_left, task.looks) = (looks, looks);
        let id = uuid::Uuid::from_u128(self.started.len() as u128 + 1).to_string();
        self.started.insert(id.clone(), task);
        self.finish_tasks();
        Submission::Started { task: Some(id) }
    }

    /// Every look brings every task on.
    fn look(&mut self) {
        self.started.values_mut().for_each(|task| task.looks_left = task.looks_left.saturating_sub(1));
        self.finish_tasks();
    }

    fn finish_tasks(&mut self) {
        let done = self.started.values_mut().filter(|task| task.looks_left == 0);
        let rows: Vec<_> = done.flat_map(|task| std::mem::take(&mut task.rows)).collect();
        rows.into_iter().for_each(|(key, json)| self.apply(Entity::Subscription, key, json));
    }

    fn task(&mut self, id: &str) -> TaskState {
        self.look();
        match self.tasks {
            Tasks::Unreadable { .. } => return TaskState::Unreadable { reason: "no right to read tasks".to_owned() },
            Tasks::NotListed { .. } => return TaskState::NotListed,
            Tasks::None | Tasks::Listed { .. } => {}
        }
        let Some(task) = self.started.get(id) else { return TaskState::NotListed };
        if task.looks_left > 0 {
            let done = 100 * (task.looks - task.looks_left) / task.looks.max(1);
            return TaskState::Running { progress: u8::try_from(done).unwrap_or(100) };
        }
        let status = if task.errors.is_empty() { TaskStatus::Completed } else { TaskStatus::PartiallyFailed };
        TaskState::Finished { status, errors: task.errors.clone() }
    }

    fn find<T>(&self, entity: Entity, ids: &[&str], convert: fn(&str, &Value) -> T) -> Page<T> {
        let found = ids.iter().filter_map(|id| {
            let json = self.records.get(&(entity, (*id).to_owned()))?;
            Some(convert(id, json))
        });
        Page::only(found.collect())
    }
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
                state.find(Entity::Subscription, ids, subscription)
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

fn text(json: &Value, field: &str) -> String {
    json[field].as_str().unwrap_or_default().to_owned()
}

fn maybe(json: &Value, field: &str) -> Option<String> {
    json[field].as_str().map(str::to_owned)
}

fn time(json: &Value, field: &str) -> Option<jiff::Timestamp> {
    json[field].as_str()?.parse().ok()
}

fn metadata(json: &Value) -> Map<String, Value> {
    json["additionalMetaData"].as_object().cloned().unwrap_or_default()
}

fn list<'a>(json: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    json[field].as_array().into_iter().flatten()
}

fn customer(id: &str, json: &Value) -> ReadCustomer {
    ReadCustomer {
        customer_id: id.to_owned(),
        name: maybe(json, "name"),
        email: maybe(json, "email"),
        billing_id: maybe(json, "billingId"),
        salesforce_id: maybe(json, "salesforceId"),
        metadata: metadata(json),
        updated_at: time(json, "updatedAt"),
    }
}

fn subscription(id: &str, json: &Value) -> ReadSubscription {
    ReadSubscription {
        subscription_id: id.to_owned(),
        customer_id: text(json, "customerId"),
        plan_id: text(json, "planId"),
        resource_id: maybe(json, "resourceId"),
        status: "ACTIVE".to_owned(),
        pricing_type: "FREE".to_owned(),
        start_date: time(json, "startDate"),
        end_date: time(json, "endDate"),
        billing_period: maybe(json, "billingPeriod"),
        billing_id: maybe(json, "billingId"),
        billing_sync_error: None,
        salesforce_id: maybe(json, "salesforceId"),
        metadata: metadata(json),
        entitlements: list(json, "entitlements").map(entitlement).collect(),
        addons: list(json, "addons")
            .map(|json| ReadAddon {
                addon_id: text(json, "addonId"),
                quantity: json["quantity"].as_f64().unwrap_or(1.0),
            })
            .collect(),
        created_at: None,
    }
}

fn entitlement(json: &Value) -> ReadEntitlement {
    let (feature, credit) = (&json["feature"], &json["credit"]);
    if feature.is_object() {
        ReadEntitlement::Feature {
            feature_id: text(feature, "featureId"),
            usage_limit: feature["usageLimit"].as_f64(),
            unlimited: feature["hasUnlimitedUsage"].as_bool().unwrap_or(false),
            reset_period: maybe(feature, "resetPeriod"),
        }
    } else {
        ReadEntitlement::Credit {
            currency_id: text(credit, "customCurrencyId"),
            amount: credit["amount"].as_f64().unwrap_or(0.0),
            cadence: text(credit, "cadence"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::conformance::{self, batch, usage};
    use crate::sink::{Budgets, Disposition};

    fn sink_and_fixture() -> (MemorySink, conformance::Fixture) {
        let fixture = conformance::Fixture {
            prefix: "c".to_owned(),
            plan_id: "plan-free".to_owned(),
            feature_id: "feature-calls".to_owned(),
        };
        let sink = MemorySink::default();
        let (nobody, _) = usage("c-nobody", "feature-calls", 1.0);
        sink.refuse(Entity::Usage, &nobody, ErrorCode::CustomerNotFound);
        let plan = CatalogPlan {
            plan_id: fixture.plan_id.clone(),
            status: "PUBLISHED".to_owned(),
            pricing_type: Some("FREE".to_owned()),
            product_id: None,
            multiple_subscriptions: false,
        };
        let feature = CatalogFeature {
            feature_id: fixture.feature_id.clone(),
            feature_type: "NUMBER".to_owned(),
            meter_type: Some("Fluctuating".to_owned()),
            status: "ACTIVE".to_owned(),
            has_meter: false,
        };
        sink.set_catalog(vec![plan], vec![feature]);
        (sink, fixture)
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_sink_does_what_every_sink_does() {
        for tasks in [
            Tasks::None,
            Tasks::Listed { looks: 0 },
            Tasks::Listed { looks: 3 },
            Tasks::NotListed { looks: 3 },
            Tasks::Unreadable { looks: 3 },
        ] {
            let (sink, fixture) = sink_and_fixture();
            sink.set_tasks(tasks);
            conformance::check(&sink, &Budgets::unlimited(), &fixture).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_leaves_what_it_says() {
        let budgets = Budgets::unlimited();
        let two = batch(Entity::Usage, &[usage("a", "f", 1.0), usage("b", "f", 2.0)]);
        for (fault, applied, disposition) in [
            (Fault::NotSent, 0, Disposition::Resend { after: None }),
            (Fault::Throttled(None), 0, Disposition::Resend { after: None }),
            (Fault::LoseRequest, 0, Disposition::ReadBack { after: None }),
            (Fault::LoseAnswer, 2, Disposition::ReadBack { after: None }),
            (Fault::Refuse(ErrorCode::BadUserInput), 0, Disposition::Split),
            (Fault::ApplyHalf(ErrorCode::UnexpectedError), 1, Disposition::ReadBack { after: None }),
        ] {
            let sink = MemorySink::default();
            sink.inject(fault.clone());
            let permit = budgets.acquire(Operation::ReportUsage).await;
            let error = sink.submit(&two, permit).await.expect_err("a fault");
            assert_eq!(error.disposition(), disposition, "{fault:?}");
            assert_eq!(sink.applied().len(), applied, "{fault:?}");
        }
        let sink = MemorySink::default();
        sink.inject(Fault::Hold);
        let permit = budgets.acquire(Operation::ReportUsage).await;
        let held = tokio::time::timeout(Duration::from_secs(99), sink.submit(&two, permit)).await;
        assert!(held.is_err());
        assert_eq!(sink.applied().len(), 2);
    }
}
