//! One method for each operation: request body, one POST, answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::body::Imports;
use super::input::Measurement;
use super::{body, echo, plain, wire, wire_catalog, wire_provision, wire_usage};
use crate::batch::Batch;
use crate::entity::Entity;
use crate::sink::answer;
use crate::sink::budget::Permit;
use crate::sink::transport::{HttpAnswer, RequestBody, Transport};
use crate::sink::{
    CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, EnvironmentEntry, Operation, Page, ProvisionPermit,
    ProvisionRequest, Provisioning, READ_IDS_MAX, ReadCustomer, ReadSubscription, ReadUsage, SinkError, Submission,
    TaskState, check_permit,
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
    integration_id: Option<String>,
    imports: Imports,
}

impl Calls {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, integration_id: None, imports: Imports::new(None) }
    }

    /// The same, whose imports name a billing integration.
    pub(super) fn integration(self, id: String) -> Self {
        Self { imports: Imports::new(Some(&id)), integration_id: Some(id), ..self }
    }

    pub(super) async fn submit(&self, batch: &Batch, permit: Permit) -> Result<Submission, SinkError> {
        let operation = Operation::of(batch.entity);
        let body = self.imports.body(batch.entity, batch.json.clone());
        let answer = self.post(operation, body, permit).await?;
        match batch.entity {
            Entity::Customer => {
                // A text or null, as the schema says; anything else is not this API's answer.
                decode::<Option<Cow<'_, str>>>(&answer, operation)?;
                Ok(Submission::applied())
            }
            Entity::Subscription => Ok(Submission::Started { task: decode(&answer, operation)? }),
            Entity::Usage => {
                if echo::names_all(&answer, batch) {
                    return Ok(Submission::applied());
                }
                // An answer for every record is an answer to each, whatever ids it uses.
                if decode::<wire_usage::MeasurementCount>(&answer, operation)?.0 == batch.items.len() {
                    return Ok(Submission::applied());
                }
                let taken: Vec<wire_usage::UsageKey<'_>> = decode(&answer, operation)?;
                Ok(match_usage(batch, &taken))
            }
            Entity::Event => {
                // A text or null, as the schema says; anything else is not this API's answer.
                decode::<Option<Cow<'_, str>>>(&answer, operation)?;
                Ok(Submission::applied())
            }
        }
    }

    /// Imports records of the typed client, by the operation's own document or one that asks for more.
    pub(super) async fn import<T: Serialize>(
        &self,
        entity: Entity,
        document: &str,
        records: &[T],
        permit: Permit,
    ) -> Result<HttpAnswer, SinkError> {
        let json = serde_json::to_vec(records).map_err(|error| SinkError::malformed(error.to_string()))?;
        let json_bytes = json.len();
        let records = Bytes::from(json).slice(1..json_bytes - 1);
        let head = body::import_head(entity, document, self.integration_id.as_deref());
        self.post(Operation::of(entity), body::import(head, records), permit).await
    }

    pub(super) async fn provision(
        &self,
        request: &ProvisionRequest,
        permit: ProvisionPermit,
    ) -> Result<Provisioning, SinkError> {
        let operation = Operation::ProvisionSubscription;
        let mut body = body::head(operation, operation.document(), request.input_json.len() + 16);
        body.extend_from_slice(b"{\"input\":");
        body.extend_from_slice(request.input_json.as_bytes());
        body.extend_from_slice(b"}}");
        let answer = self.post(operation, body.into(), permit.operation).await?;
        decode::<wire_provision::ProvisionResult>(&answer, operation)?.into()
    }

    pub(super) async fn task(&self, id: &str, permit: Permit) -> Result<TaskState, SinkError> {
        let variables = json!({ "filter": { "id": { "eq": id } } });
        match self.ask::<wire::Edges<wire::Task>>(Operation::ImportTasks, &variables, permit).await {
            Ok(tasks) => Ok(tasks.nodes().next().map_or(TaskState::NotListed, wire::Task::state)),
            // Refused for good, whatever the reason (rights, an id that is no task's, a schema without tasks):
            // asking again gives the same answer, and reading back settles the records.
            Err(error @ (SinkError::Forbidden { .. } | SinkError::Refused { .. } | SinkError::Malformed { .. })) => {
                Ok(TaskState::Unreadable { reason: error.with_causes() })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn running_imports(&self, permit: Permit) -> Result<Option<Vec<String>>, SinkError> {
        let variables = json!({ "filter": {
            "taskType": { "eq": "IMPORT_SUBSCRIPTIONS_BULK" },
            "status": { "in": ["PENDING", "IN_PROGRESS"] },
        } });
        match self.ask::<wire::Edges<wire::Task>>(Operation::ImportTasks, &variables, permit).await {
            Ok(tasks) => Ok(Some(tasks.nodes().filter_map(|task| task.id).collect())),
            Err(SinkError::Forbidden { .. } | SinkError::Refused { .. } | SinkError::Malformed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The customers that a filter lets through.
    pub(super) async fn customers(
        &self,
        filter: &Value,
        paging: &Value,
        permit: Permit,
    ) -> Result<Page<ReadCustomer>, SinkError> {
        let variables = json!({ "filter": filter, "paging": paging });
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
        let state: wire_usage::EntitlementsState =
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

    /// The environments that the key sees, 100 at most; `None` where it may not ask.
    pub(super) async fn environments(&self, permit: Permit) -> Result<Option<Vec<EnvironmentEntry>>, SinkError> {
        let variables = json!({ "paging": paging(None) });
        match self.ask::<wire::Edges<wire_catalog::Environment>>(Operation::Environments, &variables, permit).await {
            Ok(all) => Ok(Some(all.nodes().map(Into::into).collect())),
            Err(SinkError::Forbidden { .. } | SinkError::Refused { .. } | SinkError::Malformed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn archive_customer(&self, id: &str, permit: Permit) -> Result<(), SinkError> {
        let variables = json!({ "input": { "customerId": id } });
        self.ask::<wire::Ignored>(Operation::ArchiveCustomer, &variables, permit).await.map(|_| ())
    }

    /// The first page of the customers, of a size that is asked for.
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
        let mut body = body::head(operation, operation.document(), 256);
        serde_json::to_writer(&mut body, variables).map_err(|error| SinkError::malformed(error.to_string()))?;
        body.push(b'}');
        let answer = self.post(operation, body.into(), permit).await?;
        decode(&answer, operation)
    }

    async fn post(&self, operation: Operation, body: RequestBody, permit: Permit) -> Result<HttpAnswer, SinkError> {
        check_permit(&permit, operation)?;
        tracing::trace!(operation = operation.name(), body_bytes = body.len(), "request");
        let answer = self.transport.post(operation.name(), body).await.map_err(answer::of_transport);
        match &answer {
            Ok(answer) => tracing::trace!(operation = operation.name(), ?answer, "answer"),
            Err(error) => tracing::debug!(operation = operation.name(), error = error.with_causes(), "no answer"),
        }
        answer
    }
}

/// The filter of customers with these ids; of all without.
pub(super) fn of_ids(ids: Option<&[&str]>) -> Value {
    ids.map_or(json!({}), |ids| json!({ "customerId": { "in": ids } }))
}

pub(super) fn paging(after: Option<&str>) -> Value {
    match after {
        Some(after) => json!({ "first": READ_IDS_MAX, "after": after }),
        None => json!({ "first": READ_IDS_MAX }),
    }
}

/// The root field's value in an answer without errors.
pub(super) fn decode<'a, T: Deserialize<'a>>(reply: &'a HttpAnswer, operation: Operation) -> Result<T, SinkError> {
    match plain::read(reply, operation.root_field()) {
        Some(value) => Ok(value),
        None => decode_with_care(reply, operation),
    }
}

/// Any answer, also one that has errors or says nothing.
fn decode_with_care<'a, T: Deserialize<'a>>(reply: &'a HttpAnswer, operation: Operation) -> Result<T, SinkError> {
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
    let measured: Vec<wire_usage::Measured<'_>> = decode(answer, Operation::ReportUsage)?;
    Ok(measured.into_iter().map(Into::into).collect())
}

/// Joins what the answer names with the batch's items, by key: that the order is kept is not documented.
fn match_usage(batch: &Batch, taken: &[wire_usage::UsageKey<'_>]) -> Submission {
    let taken: HashSet<(&str, &str, &str)> = taken.iter().map(wire_usage::UsageKey::parts).collect();
    let is_left_out = |index: &usize| !taken.contains(&wire_usage::parts(batch.key_of(&batch.items[*index])));
    Submission::Applied { unanswered: (0..batch.items.len()).filter(is_left_out).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bodies that are plain answers, and what is nearly one.
    fn body() -> impl Strategy<Value = String> {
        let item = prop_oneof![
            4 => "[a-c]{1,3}".prop_map(|id| format!(r#"{{"customerId":"{id}","featureId":"f","resourceId":null}}"#)),
            1 => Just(r#"{"customerId":"\u0061","featureId":"f","resourceId":"r","more":[{"x":1}]}"#.to_owned()),
            1 => Just(r#"{"customerId":7}"#.to_owned()),
        ];
        let value = prop_oneof![
            6 => prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            1 => Just("null".to_owned()),
            1 => Just("\"text\"".to_owned()),
        ];
        let member = prop_oneof![
            6 => value.prop_map(|value| format!(r#""data":{{"reportUsageBulk":{value}}}"#)),
            1 => Just(r#""data":{"other":1,"reportUsageBulk":[]}"#.to_owned()),
            1 => Just(r#""data":null"#.to_owned()),
            1 => Just(r#""d\u0061ta":{"reportUsageBulk":[]}"#.to_owned()),
            1 => Just(r#""errors":[]"#.to_owned()),
            1 => Just(r#""errors":null"#.to_owned()),
            1 => Just(r#""errors":"x""#.to_owned()),
            1 => Just(r#""errors":[{"message":"m","extensions":{"code":"PlanNotFound"}}]"#.to_owned()),
            1 => Just(r#""extensions":{"cost":[1,2]}"#.to_owned()),
        ];
        let tail = prop_oneof![8 => Just("}"), 1 => Just(""), 1 => Just("} x"), 1 => Just("}\n")];
        (prop::collection::vec(member, 0..4), tail).prop_map(|(members, tail)| format!("{{{}{tail}", members.join(",")))
    }

    proptest! {
        /// The quick reading may leave an answer to the careful one, but never says anything else.
        #[test]
        fn a_plain_answer_is_read_as_the_careful_reading_reads_it(body in body(), status in prop_oneof![4 => Just(200), 1 => Just(500)]) {
            let answer = HttpAnswer { status, retry_after: None, date: None, body: body.clone().into() };
            let operation = Operation::ReportUsage;
            let names = |keys: Vec<wire_usage::UsageKey<'_>>| -> Vec<String> {
                keys.iter().map(|key| format!("{:?}", key.parts())).collect()
            };
            let quick = plain::read::<Vec<wire_usage::UsageKey<'_>>>(&answer, operation.root_field()).map(names);
            let careful = decode_with_care::<Vec<wire_usage::UsageKey<'_>>>(&answer, operation).map(names);
            match (quick, careful) {
                (Some(quick), Ok(careful)) => prop_assert_eq!(quick, careful),
                (Some(_), Err(error)) => prop_assert!(false, "{} is no success: {:?}", body, error),
                (None, _) => {}
            }
        }
    }

    #[test]
    fn an_answer_that_says_something_twice_is_not_plain() {
        let data = r#""data":{"reportUsageBulk":[]}"#;
        for body in [format!("{{{data},{data}}}"), format!(r#"{{{data},"errors":[],"errors":[]}}"#)] {
            let answer = HttpAnswer { status: 200, retry_after: None, date: None, body: body.into() };
            assert!(plain::read::<Vec<wire_usage::UsageKey<'_>>>(&answer, "reportUsageBulk").is_none());
        }
    }

    #[test]
    fn what_the_api_answers_day_by_day_is_plain() {
        let body = r#"{"data":{"reportUsageBulk":[{"customerId":"a","featureId":"f","resourceId":null}]}}"#;
        let answer = HttpAnswer { status: 200, retry_after: None, date: None, body: body.into() };
        let keys = plain::read::<Vec<wire_usage::UsageKey<'_>>>(&answer, "reportUsageBulk").expect("plain");
        assert_eq!(keys[0].parts(), ("a", "f", ""));
        let nothing = HttpAnswer {
            status: 200,
            retry_after: None,
            date: None,
            body: r#"{"data":{"importCustomersBulk":null}}"#.into(),
        };
        assert!(plain::read::<Option<wire::Ignored>>(&nothing, "importCustomersBulk").is_some());
    }
}
