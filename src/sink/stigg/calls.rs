//! One method for each operation: request body, one POST, answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::input::Measurement;
use super::{wire, wire_catalog};
use crate::batch::Batch;
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::sink::answer;
use crate::sink::budget::Permit;
use crate::sink::transport::{HttpAnswer, Transport};
use crate::sink::{
    CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, Operation, Page, READ_IDS_MAX, ReadCustomer,
    ReadSubscription, ReadUsage, SinkError, Submission, TaskState, check_permit,
};

/// Which subscriptions are read.
#[derive(Debug, Clone, Copy)]
pub enum SubscriptionSelect<'a> {
    /// Every one.
    All,
    /// Those with these ids, [`READ_IDS_MAX`] at most.
    Ids(&'a [&'a str]),
    /// Those of these customers, [`READ_IDS_MAX`] at most.
    OfCustomers(&'a [&'a str]),
}

#[derive(Clone)]
pub(super) struct Calls {
    transport: Arc<dyn Transport>,
    pub(super) integration_id: Option<String>,
}

impl Calls {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, integration_id: None }
    }

    pub(super) async fn submit(&self, batch: &Batch, permit: Permit) -> Result<Submission, SinkError> {
        let operation = Operation::of(batch.entity);
        let body = self.import_body(batch.entity, &batch.json)?;
        let answer = self.post(operation, body, permit).await?;
        match batch.entity {
            Entity::Customer => {
                decode::<Option<wire::Ignored>>(&answer, operation)?;
                Ok(Submission::applied())
            }
            Entity::Subscription => Ok(Submission::Started { task: decode(&answer, operation)? }),
            Entity::Usage => {
                let measured: Vec<wire::Measured<'_>> = decode(&answer, operation)?;
                Ok(match_usage(batch, &measured))
            }
        }
    }

    /// Imports records given as a list's content, for the typed client.
    pub(super) async fn import<T: Serialize>(
        &self,
        entity: Entity,
        records: &[T],
        permit: Permit,
    ) -> Result<HttpAnswer, SinkError> {
        let json = serde_json::to_vec(records).map_err(|error| SinkError::malformed(error.to_string()))?;
        let body = self.import_body(entity, &json[1..json.len() - 1])?;
        self.post(Operation::of(entity), body, permit).await
    }

    pub(super) async fn task(&self, id: &str, permit: Permit) -> Result<TaskState, SinkError> {
        match self.ask::<wire::Edges<wire::Task>>(Operation::ImportTasks, &json!({ "id": id }), permit).await {
            Ok(tasks) => Ok(tasks.nodes().next().map_or(TaskState::NotListed, wire::Task::state)),
            // Refused for good, whatever the reason (rights, an id that is no task's, a schema without tasks):
            // asking again gives the same answer, and reading back settles the records.
            Err(error @ (SinkError::Forbidden { .. } | SinkError::Refused { .. } | SinkError::Malformed { .. })) => {
                Ok(TaskState::Unreadable { reason: error.with_causes() })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn customers(
        &self,
        ids: Option<&[&str]>,
        after: Option<&str>,
        permit: Permit,
    ) -> Result<Page<ReadCustomer>, SinkError> {
        let filter = ids.map_or(json!({}), |ids| json!({ "customerId": { "in": ids } }));
        let variables = json!({ "filter": filter, "paging": paging(after) });
        self.ask::<wire::Connection<wire::Customer>>(Operation::Customers, &variables, permit).await?.page()
    }

    pub(super) async fn subscriptions(
        &self,
        select: SubscriptionSelect<'_>,
        after: Option<&str>,
        permit: Permit,
    ) -> Result<Page<ReadSubscription>, SinkError> {
        let filter = match select {
            SubscriptionSelect::All => json!({}),
            SubscriptionSelect::Ids(ids) => json!({ "subscriptionId": { "in": ids } }),
            SubscriptionSelect::OfCustomers(ids) => json!({ "customerId": { "in": ids } }),
        };
        let variables = json!({ "filter": filter, "paging": paging(after) });
        self.ask::<wire::Connection<wire::Subscription>>(Operation::Subscriptions, &variables, permit).await?.page()
    }

    pub(super) async fn usage(
        &self,
        customer_id: &str,
        resource_id: Option<&str>,
        permit: Permit,
    ) -> Result<Vec<ReadUsage>, SinkError> {
        let mut query = json!({ "customerId": customer_id });
        if let Some(resource_id) = resource_id {
            query["resourceId"] = resource_id.into();
        }
        let state: wire::EntitlementsState =
            self.ask(Operation::EntitlementsState, &json!({ "query": query }), permit).await?;
        Ok(state.usage())
    }

    pub(super) async fn environment(&self, permit: Permit) -> Result<Option<String>, SinkError> {
        match self.ask(Operation::CurrentEnvironment, &json!({}), permit).await {
            Ok(name) => Ok(Some(name)),
            Err(SinkError::Forbidden { .. } | SinkError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn plans(&self, after: Option<&str>, permit: Permit) -> Result<Page<CatalogPlan>, SinkError> {
        let variables = json!({ "paging": paging(after) });
        self.ask::<wire::Connection<wire_catalog::Plan>>(Operation::Plans, &variables, permit).await?.page()
    }

    pub(super) async fn features(
        &self,
        after: Option<&str>,
        permit: Permit,
    ) -> Result<Page<CatalogFeature>, SinkError> {
        let variables = json!({ "paging": paging(after) });
        self.ask::<wire::Connection<wire_catalog::Feature>>(Operation::Features, &variables, permit).await?.page()
    }

    pub(super) async fn addons(&self, after: Option<&str>, permit: Permit) -> Result<Page<CatalogAddon>, SinkError> {
        let variables = json!({ "paging": paging(after) });
        self.ask::<wire::Connection<wire_catalog::Addon>>(Operation::Addons, &variables, permit).await?.page()
    }

    pub(super) async fn currencies(&self, permit: Permit) -> Result<Vec<CatalogCurrency>, SinkError> {
        let all: Vec<wire_catalog::Currency> = self.ask(Operation::CustomCurrencies, &json!({}), permit).await?;
        Ok(all.into_iter().map(Into::into).collect())
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        operation: Operation,
        variables: &serde_json::Value,
        permit: Permit,
    ) -> Result<T, SinkError> {
        let mut body = head(operation, 256);
        serde_json::to_writer(&mut body, variables).map_err(|error| SinkError::malformed(error.to_string()))?;
        body.push(b'}');
        let answer = self.post(operation, body, permit).await?;
        decode(&answer, operation)
    }

    async fn post(&self, operation: Operation, body: Vec<u8>, permit: Permit) -> Result<HttpAnswer, SinkError> {
        check_permit(&permit, operation)?;
        tracing::trace!(operation = operation.name(), body_bytes = body.len(), "request");
        let answer = self.transport.post(operation.name(), body).await.map_err(answer::of_transport);
        match &answer {
            Ok(answer) => tracing::trace!(operation = operation.name(), ?answer, "answer"),
            Err(error) => tracing::debug!(operation = operation.name(), error = error.with_causes(), "no answer"),
        }
        answer
    }

    /// The body of an import, written directly: the records are JSON already.
    fn import_body(&self, entity: Entity, records: &[u8]) -> Result<Vec<u8>, SinkError> {
        let list: &str = match entity {
            Entity::Customer => "customers",
            Entity::Subscription => "subscriptions",
            Entity::Usage => "usages",
        };
        let mut body = head(Operation::of(entity), records.len() + 128);
        body.extend_from_slice(b"{\"input\":{");
        // Usage belongs to no integration.
        if let Some(id) = self.integration_id.as_ref().filter(|_| entity != Entity::Usage) {
            body.extend_from_slice(b"\"integrationId\":");
            serde_json::to_writer(&mut body, id).map_err(|error| SinkError::malformed(error.to_string()))?;
            body.push(b',');
        }
        body.push(b'"');
        body.extend_from_slice(list.as_bytes());
        body.extend_from_slice(b"\":[");
        body.extend_from_slice(records);
        body.extend_from_slice(b"]}}}");
        Ok(body)
    }
}

/// Operation name and document, up to the variables' value. Documents need no escaping (a test holds them to it).
fn head(operation: Operation, more_bytes: usize) -> Vec<u8> {
    let (name, document) = (operation.name(), operation.document());
    let mut body = Vec::with_capacity(name.len() + document.len() + 64 + more_bytes);
    for part in ["{\"operationName\":\"", name, "\",\"query\":\"", document, "\",\"variables\":"] {
        body.extend_from_slice(part.as_bytes());
    }
    body
}

fn paging(after: Option<&str>) -> serde_json::Value {
    match after {
        Some(after) => json!({ "first": READ_IDS_MAX, "after": after }),
        None => json!({ "first": READ_IDS_MAX }),
    }
}

/// The root field's value in an answer without errors.
pub(super) fn decode<'a, T: Deserialize<'a>>(reply: &'a HttpAnswer, operation: Operation) -> Result<T, SinkError> {
    let data = answer::data(reply)?;
    let fields: BTreeMap<Cow<'a, str>, &'a RawValue> =
        serde_json::from_str(data.get()).map_err(|error| SinkError::unreadable(answer::misread("the data", &error)))?;
    let Some(root) = fields.get(operation.root_field()) else {
        return Err(SinkError::unreadable(format!("no {operation} in the data")));
    };
    serde_json::from_str(root.get())
        .map_err(|error| SinkError::unreadable(answer::misread(operation.root_field(), &error)))
}

/// The measurements of the typed client, in the answer's order.
pub(super) fn measurements(answer: &HttpAnswer) -> Result<Vec<Measurement>, SinkError> {
    let measured: Vec<wire::Measured<'_>> = decode(answer, Operation::ReportUsage)?;
    Ok(measured.into_iter().map(Into::into).collect())
}

/// Joins the answer's measurements with the batch's items: by position where the keys agree (that the order is kept is
/// not documented), else by key. An answer for every record is an answer to each, whatever ids it uses.
fn match_usage(batch: &Batch, measured: &[wire::Measured<'_>]) -> Submission {
    let items = &batch.items;
    let mut current_usage = vec![None; items.len()];
    let mut answered = vec![false; items.len()];
    let in_order = measured.len() == items.len()
        && items.iter().zip(measured).all(|(item, measured)| is_key(batch.key_of(item), measured));
    if in_order {
        for (slot, measured) in current_usage.iter_mut().zip(measured) {
            *slot = measured.current_usage.as_ref().map(|number| number.0);
        }
        return Submission::Applied { current_usage, unanswered: Vec::new() };
    }
    let positions: HashMap<(&str, &str, &str), usize> =
        items.iter().enumerate().map(|(index, item)| (parts(batch.key_of(item)), index)).collect();
    for measured in measured {
        if let Some(&index) = positions.get(&measured.key()) {
            answered[index] = true;
            current_usage[index] = measured.current_usage.as_ref().map(|number| number.0);
        }
    }
    let unanswered = if measured.len() == items.len() {
        Vec::new()
    } else {
        answered.iter().enumerate().filter(|(_, answered)| !**answered).map(|(index, _)| index).collect()
    };
    Submission::Applied { current_usage, unanswered }
}

fn is_key(key: &str, measured: &wire::Measured<'_>) -> bool {
    parts(key) == measured.key()
}

/// Customer, feature and resource of a usage record's key; no resource is an empty one.
fn parts(key: &str) -> (&str, &str, &str) {
    let mut parts = key.split(KEY_SEPARATOR);
    let mut next = || parts.next().unwrap_or("");
    (next(), next(), next())
}
